"""A long draw of synthetic patients -> how many of them may be released, and what each number costs."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.figures import save_figure
    from haemosynth.core.files import write_table
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.privacy.release_size import choose_size, figure, without_record

    pool, train, holdout = (read_cohort(Path(snakemake.input[side][0]).parent) for side in ("pool", "train", "holdout"))
    if snakemake.params.alone:
        curve = without_record(len(pool))
    else:
        chosen = (snakemake.params.patients, snakemake.params.release, snakemake.params.limits)
        curve = choose_size(train, holdout, pool, *chosen, work.stream())
    write_table(curve, snakemake.output.table)
    label = f"{snakemake.wildcards.generator}, tier {snakemake.params.release['tier']}"
    save_figure(figure(curve, snakemake.params.release, snakemake.params.limits, label), snakemake.output.figure)
