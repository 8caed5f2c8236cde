"""Sampled modalities -> synthetic patients within every hard limit."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.core.cohort import bare, read_parts
    from haemosynth.generate.balance import balanced, read_checked
    from haemosynth.generate.constraints import enforce
    from haemosynth.generate.pool import pool_size
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort

    asked = dict(snakemake.params.draw)
    quotas = asked.pop("balance", None)
    if snakemake.params.alone:  # images of patients without a record: identifiers are all that a patient has
        train = read_parts(snakemake.input.schema, *snakemake.input.parts)
        cohort = bare(train.schema, pool_size(len(train), **asked, alone=True))
    else:
        cohort = enforce(read_parts(snakemake.input.schema, *snakemake.input.parts))
    if quotas:
        train = read_cohort(Path(snakemake.input.balanced[0]).parent)
        least = asked["patients"] if isinstance(asked["patients"], int) else len(train)
        quotas = read_checked(quotas, train, asked["patients"])
        cohort = balanced(cohort, quotas, least, pool_size(len(train), **asked))
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
