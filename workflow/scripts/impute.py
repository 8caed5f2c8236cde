"""Training patients -> several completed clinical tables and the mask of what was missing."""

from dataclasses import replace
from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.derive import derive
    from haemosynth.core.files import save_model, write_table
    from haemosynth.generate import settings_of
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.modalities.registry import RECORD, load

    chosen = dict(snakemake.params.settings)
    method = load(RECORD, "impute").load(chosen.pop("algorithm"))
    settings = settings_of(method, chosen, f"config: imputation.methods.{snakemake.wildcards.method}")
    train = read_cohort(Path(snakemake.input.train[0]).parent)
    streams = work.stream("fit"), work.stream("draw")
    model, draws = load(RECORD, "impute.complete").complete(
        method, train, settings, len(snakemake.output.draws), streams
    )
    save_model(model.arrays, model.description, snakemake.output.weights, snakemake.output.description)
    write_table(train.clinical.isna().rename_axis("patient_id").reset_index(), snakemake.output.mask)
    for table, path in zip(draws, snakemake.output.draws, strict=True):
        completed = derive(replace(train, clinical=table)).clinical
        write_table(completed.rename_axis("patient_id").reset_index(), path)
