"""Training patients -> a reference cohort."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.generate.pool import released_patients
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort
    from haemosynth.modalities.registry import RECORD, load

    train = read_cohort(Path(snakemake.input.train[0]).parent)
    patients = released_patients(snakemake.params.patients, snakemake.input.number, len(train))
    cohort = load(RECORD, "reference").reference(snakemake.wildcards.generator, train, patients, work.stream())
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
