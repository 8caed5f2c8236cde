"""A long draw of synthetic patients -> its first patients, as many as are released."""

from pathlib import Path

import numpy as np

from job import job

with job(snakemake):
    from haemosynth.core.files import read_table
    from haemosynth.generate.pool import count_released
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort

    pool = read_cohort(Path(snakemake.input.pool[0]).parent)
    trained = len(read_table(snakemake.input.train))
    patients = count_released(snakemake.params.patients, snakemake.input.number, trained)
    cohort = pool.take(np.arange(min(patients, len(pool))))
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
