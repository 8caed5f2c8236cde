"""A further modality of all patients -> that of two groups of them, with what is learned from the first alone."""

from job import job

with job(snakemake):
    from haemosynth.core.files import read_table
    from haemosynth.modalities.registry import load, offers
    from haemosynth.modalities.rows import of_patients

    modality = snakemake.params.modality
    files = load(modality, "part")
    whole = files.read(snakemake.input.part)
    parts = [of_patients(whole, read_table(file)["patient_id"]) for file in snakemake.input.patients]
    if snakemake.params.learned and offers(modality, "divide"):
        settings = load(modality, "ingest").settings(snakemake.wildcards.cohort, snakemake.params.source)
        parts = load(modality, "divide").divide(*parts, settings)
    for part, path in zip(parts, snakemake.output.parts, strict=True):
        files.write(part, path)
