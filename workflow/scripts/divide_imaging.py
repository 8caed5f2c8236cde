"""Images -> those of each group of patients."""

from job import job

with job(snakemake):
    from haemosynth.files import read_table
    from haemosynth.images import read_images, write_images

    images = read_images(snakemake.input.images)
    for patients, path in zip(snakemake.input.patients, snakemake.output.images, strict=True):
        write_images(images.of(read_table(patients)["patient_id"].astype(str).tolist()), path)
