"""A fitted generator of record or alterations -> the tables it draws, perhaps given those of the other one."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.files import read_table, write_table
    from haemosynth.generate.balance import read_checked, to_draw
    from haemosynth.generate.fitted import load
    from haemosynth.generate.pool import pool_size
    from haemosynth.modalities import registry
    from haemosynth.modalities.cohort_files import read_cohort

    modality, given = snakemake.params.modality, [Path(file) for file in snakemake.input.given]
    algorithm = registry.load_algorithm(modality, snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    asked = dict(snakemake.params.draw)
    quotas = asked.pop("balance", None)
    patients = pool_size(len(read_table(snakemake.input.train)), **asked)
    if quotas:
        train = read_cohort(Path(snakemake.input.balanced[0]).parent)
        patients = to_draw(read_checked(quotas, train, asked["patients"]), train, patients)
    draw = registry.load(modality, "draw").draw
    tables = draw(algorithm, model, Path(snakemake.input.schema), given, patients, work.stream())
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
