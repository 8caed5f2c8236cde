"""Sampled modalities -> synthetic patients within every hard limit."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.core.cohort import bare, read_parts
    from haemosynth.generate.constraints import enforce
    from haemosynth.generate.pool import pool_size
    from haemosynth.modalities.cohort_files import write_cohort

    if snakemake.params.alone:  # images of patients without a record: identifiers are all that a patient has
        train = read_parts(snakemake.input.schema, *snakemake.input.parts)
        cohort = bare(train.schema, pool_size(len(train), **snakemake.params.draw, alone=True))
    else:
        cohort = enforce(read_parts(snakemake.input.schema, *snakemake.input.parts))
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
