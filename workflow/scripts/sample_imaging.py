"""A fitted image generator and synthetic patients -> their images."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.cohort import read_cohort
    from haemosynth.generate.fitted import load
    from haemosynth.images import write_images

    algorithm = generate.load("imaging", snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    given = read_cohort(Path(snakemake.input.given[0]).parent)
    write_images(algorithm.sample(model, given, work.stream()), snakemake.output.images)
