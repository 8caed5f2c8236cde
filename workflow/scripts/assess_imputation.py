"""Training patients with some known values hidden -> how well each method imputes them."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import read_cohort
    from haemosynth.figures import save_figure
    from haemosynth.files import write_table
    from haemosynth.impute.assess import assess, figure

    train = read_cohort(Path(snakemake.input.train[0]).parent)
    table = assess(train, snakemake.params.methods, work.stream())
    write_table(table, snakemake.output.table)
    save_figure(figure(table), snakemake.output.figure)
