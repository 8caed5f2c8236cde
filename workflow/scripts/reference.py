"""Training patients -> the reference cohorts."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.generate.pool import count_released
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort
    from haemosynth.modalities.registry import RECORD, load

    train = read_cohort(Path(snakemake.input.train[0]).parent)
    patients = count_released(snakemake.params.patients, snakemake.input.number, len(train))
    folders = dict.fromkeys(Path(file).parent for file in snakemake.output)
    for name, folder in zip(snakemake.params.references, folders, strict=True):
        cohort = load(RECORD, "reference").reference(name, train, patients, work.stream(generator=name))
        write_cohort(cohort, folder, snakemake.params.modalities)
