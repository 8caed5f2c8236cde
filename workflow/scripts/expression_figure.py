"""Synthetic and training patients with expression -> the dossier's picture of them, for each edition."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.cohort import read_cohort
    from haemosynth.figures import save_figure
    from haemosynth.report.expression import expression_figure

    wanted = ("clinical", "genomic", "transcriptomic")
    synthetic = read_cohort(Path(snakemake.input.synthetic[0]).parent, wanted)
    train = read_cohort(Path(snakemake.input.train[0]).parent, wanted)
    save_figure(expression_figure(synthetic, None), snakemake.output.release)
    save_figure(expression_figure(synthetic, train), snakemake.output.working)
