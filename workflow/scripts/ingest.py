"""A real cohort in its source format -> the canonical cohort, and hashes of what must appear in nothing that leaves."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import write_cohort
    from haemosynth.ingest import ingest_with_strings
    from haemosynth.publish.strings import write_fingerprints

    cohort, strings = ingest_with_strings(snakemake.wildcards.cohort, snakemake.params.source)
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
    write_fingerprints(strings, work.stream().bytes(32), snakemake.output.strings)
