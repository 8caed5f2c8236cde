"""Sampled modalities -> synthetic patients within every hard limit."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.cohort import read_parts, write_cohort
    from haemosynth.generate.constraints import enforce

    cohort = enforce(read_parts(snakemake.input.schema, *snakemake.input.parts))
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
