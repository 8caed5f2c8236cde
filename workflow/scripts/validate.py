"""Candidates and real patients -> one stage's metrics, replicates and figure of each."""

from importlib import import_module
from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.figures import save_figure
    from haemosynth.core.files import write_table
    from haemosynth.generate import REFERENCES
    from haemosynth.generate.balance import at_real_prevalence, read_quotas, within_quotas
    from haemosynth.generate.pool import count_released
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.validate.resampling import evaluate, prepare_comparison, read_stage_settings
    from haemosynth.validate.stage import Comparison

    stage = import_module(snakemake.params.stage)
    settings = read_stage_settings(stage, snakemake.params.settings, snakemake.params.stage.split(".")[-1])
    if snakemake.input.number:
        settings["released"] = count_released(None, snakemake.input.number, 0)

    def patients(folder):
        return read_cohort(folder, snakemake.params.get("modalities", ()))

    # The streams leave the generator out: all candidates meet the same real patients.
    def streams(*names):
        return work.stream(*names, without="generator")

    holdout, train, control = (
        patients(Path(snakemake.input[side][0]).parent) for side in ("holdout", "train", "control")
    )
    quotas = None
    if snakemake.params.balance:
        # Whole cohorts are compared at the prevalence of the real one: of a balanced one the part that has it.
        quotas = read_quotas(snakemake.params.balance, train, settings.get("released"))
        holdout = within_quotas(holdout, quotas)
    folders = dict.fromkeys(Path(file).parent for file in snakemake.input.candidates)
    output, beside = snakemake.output, list(snakemake.output.beside)
    for number, (name, folder) in enumerate(zip(snakemake.params.candidates, folders, strict=True)):
        candidate = patients(folder)
        if quotas and name not in REFERENCES:
            candidate = at_real_prevalence(candidate, quotas, train)
        comparison = Comparison(
            real=holdout,
            candidate=candidate,
            train=train,
            control=control,
            pool=patients(Path(pool[0]).parent) if (pool := snakemake.input.get("pool")) else None,
            models=stage.read_models(models) if (models := snakemake.input.get("models")) else {},
        )
        comparison = prepare_comparison(stage, comparison, settings, streams)
        values, replicates = evaluate(stage, comparison, settings, streams)
        write_table(values, output.metrics[number])
        write_table(replicates, output.replicates[number])
        save_figure(stage.figure(comparison, values, settings, name), output.figures[number])
        if beside:
            each = len(beside) // len(folders)
            stage.write_beside(comparison, settings, beside[number * each : (number + 1) * each])
