"""The expression of a real cohort in its source format -> one row per patient, and what left with its reason."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.cohort import read_cohort, write_expression
    from haemosynth.files import write_table
    from haemosynth.ingest.expression import ingest_expression

    cohort = read_cohort(Path(snakemake.input.clinical).parent, ("clinical",))
    expression, left = ingest_expression(snakemake.wildcards.cohort, snakemake.params.source, cohort)
    write_expression(expression, snakemake.output.expression)
    write_table(left, snakemake.output.left)
