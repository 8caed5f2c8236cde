"""A real cohort in its source format -> the canonical cohort."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.cohort import write_cohort
    from haemosynth.ingest import ingest

    cohort = ingest(snakemake.wildcards.cohort, snakemake.params.source)
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
