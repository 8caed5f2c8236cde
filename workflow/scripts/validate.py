"""A candidate and real patients -> one stage's metrics, replicates and figure."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.figures import save_figure
    from haemosynth.core.files import write_table
    from haemosynth.generate import REFERENCES
    from haemosynth.generate.balance import at_real_prevalence, read_quotas, within_quotas
    from haemosynth.generate.pool import released_patients
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.validate.resampling import evaluate, prepared, stage_settings
    from haemosynth.validate.stage import Comparison

    stage = import_module(snakemake.params.stage)
    settings = stage_settings(stage, snakemake.params.settings, snakemake.params.stage.split(".")[-1])
    if snakemake.input.number:
        settings["released"] = released_patients(None, snakemake.input.number, 0)

    def patients(files):
        return read_cohort(Path(files[0]).parent, snakemake.params.get("modalities", ()))

    comparison = Comparison(
        real=patients(snakemake.input.holdout),
        candidate=patients(snakemake.input.candidate),
        train=patients(snakemake.input.train),
        control=patients(snakemake.input.control),
        pool=patients(pool) if (pool := snakemake.input.get("pool")) else None,
        models=stage.read_models(models) if (models := snakemake.input.get("models")) else {},
    )

    if snakemake.params.balance:
        # Whole cohorts are compared at the prevalence of the real one: of a balanced one the part that has it.
        quotas = read_quotas(snakemake.params.balance, comparison.train, settings.get("released"))
        comparison = replace(comparison, real=within_quotas(comparison.real, quotas))
        if snakemake.wildcards.generator not in REFERENCES:
            part = at_real_prevalence(comparison.candidate, quotas, comparison.train)
            comparison = replace(comparison, candidate=part)

    # The streams leave the generator out: all candidates meet the same real patients.
    def streams(*names):
        return work.stream(*names, without="generator")

    comparison = prepared(stage, comparison, settings, streams)
    values, replicates = evaluate(stage, comparison, settings, streams)
    write_table(values, snakemake.output.metrics)
    write_table(replicates, snakemake.output.replicates)
    save_figure(stage.figure(comparison, values, settings, snakemake.wildcards.generator), snakemake.output.figure)
    if beside := snakemake.output.get("beside"):
        stage.write_beside(comparison, settings, beside)
