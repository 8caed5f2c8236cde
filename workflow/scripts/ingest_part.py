"""The raw files of a further modality -> its part of the cohort, and what was left out with its reason."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.core.cohort import read_record
    from haemosynth.core.files import write_table
    from haemosynth.modalities.registry import load

    modality, cohort = snakemake.params.modality, read_record(Path(snakemake.input.raw[0]).parent)
    part, left = load(modality, "ingest").ingest(snakemake.wildcards.cohort, snakemake.params.source, cohort)
    load(modality, "part").write(part, snakemake.output.part)
    write_table(left, snakemake.output.left)
