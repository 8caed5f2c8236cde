"""Training patients -> a reference cohort."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import read_cohort, write_cohort
    from haemosynth.generate.pool import released_patients
    from haemosynth.generate.reference import reference

    train = read_cohort(Path(snakemake.input.train[0]).parent)
    patients = released_patients(snakemake.params.patients, snakemake.input.number, len(train))
    cohort = reference(snakemake.wildcards.generator, train, patients, work.stream())
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
