"""Training images and the patients of a reference -> the images of these patients."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import read_cohort
    from haemosynth.generate.imaging.reference import reference_images
    from haemosynth.images import write_images

    train = read_cohort(Path(snakemake.input.train[0]).parent, ("clinical", "genomic", "imaging"))
    given = read_cohort(Path(snakemake.input.given[0]).parent)
    images = reference_images(snakemake.wildcards.generator, train, given, work.stream())
    write_images(images, snakemake.output.images)
