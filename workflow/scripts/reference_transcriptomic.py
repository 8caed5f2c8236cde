"""Expression of training patients and a reference's clinical record -> the reference's expression."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import read_cohort, write_expression
    from haemosynth.generate.transcriptomic.reference import reference

    train = read_cohort(Path(snakemake.input.train[0]).parent, ("transcriptomic",))
    given = read_cohort(Path(snakemake.input.given[0]).parent)
    made = reference(snakemake.wildcards.generator, train, given, work.stream())
    write_expression(made, snakemake.output.expression)
