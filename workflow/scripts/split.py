"""The canonical cohort -> training patients and holdout."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort
    from haemosynth.modalities.registry import load
    from haemosynth.study.split import split

    source, giving = snakemake.params.source, snakemake.params.giving
    cohort = read_cohort(Path(snakemake.input.raw[0]).parent, giving)
    for name in giving:  # what follows from a patient's path is taken from it, for training patients and holdout alike
        cohort = load(name, "settle").settle(cohort, cohort.parts[name])
    train, holdout = split(
        cohort,
        train_fraction=snakemake.params.fraction,
        stratify=source.get("stratify"),
        panel=source["panel"],
        rng=work.stream(),
        winsorise=source.get("winsorise"),
    )
    write_cohort(train, Path(snakemake.output.train_schema).parent, snakemake.params.modalities)
    write_cohort(holdout, Path(snakemake.output.holdout_schema).parent, snakemake.params.modalities)
