"""The holdout -> one half treated as if it were a release, the other half as privacy's control."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort
    from haemosynth.study.split import halve

    holdout = read_cohort(Path(snakemake.input.holdout[0]).parent)
    fresh, control = halve(holdout, work.stream())
    write_cohort(fresh, Path(snakemake.output.fresh_schema).parent, snakemake.params.modalities)
    write_cohort(control, Path(snakemake.output.control_schema).parent, snakemake.params.modalities)
