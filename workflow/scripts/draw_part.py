"""Synthetic and training patients with a further modality -> the dossier's picture of them, for each edition."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.core.figures import save_figure
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.modalities.registry import load

    modality = snakemake.params.modality
    synthetic, train = (
        read_cohort(Path(files[0]).parent, (modality,)) for files in (snakemake.input.synthetic, snakemake.input.train)
    )
    draw = load(modality, "figure").draw
    save_figure(draw(synthetic, None), snakemake.output.release)
    save_figure(draw(synthetic, train), snakemake.output.working)
