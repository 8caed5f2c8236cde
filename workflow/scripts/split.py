"""The canonical cohort -> training patients and holdout."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort
    from haemosynth.study.split import split

    source = snakemake.params.source
    train, holdout = split(
        read_cohort(Path(snakemake.input.raw[0]).parent),
        train_fraction=snakemake.params.fraction,
        stratify=source.get("stratify"),
        panel=source["panel"],
        rng=work.stream(),
        winsorise=source.get("winsorise"),
    )
    write_cohort(train, Path(snakemake.output.train_schema).parent, snakemake.params.modalities)
    write_cohort(holdout, Path(snakemake.output.holdout_schema).parent, snakemake.params.modalities)
