"""A fitted transcriptomic generator and assembled synthetic patients -> their expression."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.cohort import read_cohort, write_expression
    from haemosynth.generate.fitted import load

    algorithm = generate.load("transcriptomic", snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    given = read_cohort(Path(snakemake.input.given[0]).parent)
    write_expression(algorithm.sample(model, given, work.stream()), snakemake.output.expression)
