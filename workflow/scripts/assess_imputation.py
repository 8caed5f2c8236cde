"""Training patients with some known values hidden -> how well each method imputes them."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.figures import save_figure
    from haemosynth.core.files import write_table
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.modalities.registry import RECORD, load

    train = read_cohort(Path(snakemake.input.train[0]).parent)
    assess = load(RECORD, "impute.assess")
    table = assess.assess(train, snakemake.params.methods, work.stream())
    write_table(table, snakemake.output.table)
    save_figure(assess.figure(table), snakemake.output.figure)
