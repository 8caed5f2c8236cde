"""Synthetic and training patients -> single synthetic patients whole, for the working dossier alone."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.cohort import read_cohort
    from haemosynth.figures import save_figure
    from haemosynth.report.patients import patients_figure

    synthetic, train = (
        read_cohort(Path(files[0]).parent, snakemake.params.modalities)
        for files in (snakemake.input.synthetic, snakemake.input.train)
    )
    save_figure(patients_figure(synthetic, train), snakemake.output[0])
