"""The image files of a real cohort -> its images on one grid."""

from job import job

with job(snakemake):
    from haemosynth.files import read_table
    from haemosynth.images import write_images
    from haemosynth.ingest.images import ingest_images

    patients = read_table(next(file for file in snakemake.input.raw if file.endswith("clinical.parquet")))
    images = ingest_images(snakemake.wildcards.cohort, snakemake.params.source, patients["patient_id"].tolist())
    write_images(images, snakemake.output.images)
