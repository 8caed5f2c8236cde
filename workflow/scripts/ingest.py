"""A real cohort in its source format -> the canonical cohort, and hashes of what must appear in nothing that leaves."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.strings import write_fingerprints
    from haemosynth.modalities.cohort_files import write_cohort
    from haemosynth.modalities.registry import RECORD, load

    ingest = load(RECORD, "ingest").ingest_with_strings
    cohort, strings = ingest(snakemake.wildcards.cohort, snakemake.params.source)
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
    write_fingerprints(strings, work.stream().bytes(32), snakemake.output.strings)
