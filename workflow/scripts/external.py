"""The tables of another tool -> a candidate like any other, to be validated."""

import os
from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort
    from haemosynth.study.external import read_external

    train = read_cohort(Path(snakemake.input.train[0]).parent)
    cohort = read_external(Path(os.path.expandvars(snakemake.params.path)).expanduser(), train)
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
