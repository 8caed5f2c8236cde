"""Synthetic and real patients -> synthetic ones whole and training ones at risk, for the working dossier alone."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.figures import save_figure
    from haemosynth.core.files import write_table
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.report.at_risk import find_patients_at_risk
    from haemosynth.report.patients import draw_patients

    synthetic, train = (
        read_cohort(Path(files[0]).parent, snakemake.params.modalities)
        for files in (snakemake.input.synthetic, snakemake.input.train)
    )
    unseen = read_cohort(Path(snakemake.input.holdout[0]).parent)
    save_figure(draw_patients(synthetic, train), snakemake.output.whole)
    write_table(find_patients_at_risk(train, unseen, synthetic, work.stream()), snakemake.output.at_risk)
