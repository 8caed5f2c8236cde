"""A fitted generator of record or alterations -> the tables it draws, perhaps given those of the other one."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.files import read_table, write_table
    from haemosynth.generate.fitted import load
    from haemosynth.generate.pool import pool_size
    from haemosynth.modalities import registry

    modality, given = snakemake.params.modality, [Path(file) for file in snakemake.input.given]
    algorithm = registry.load_algorithm(modality, snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    patients = pool_size(len(read_table(snakemake.input.train)), **snakemake.params.draw)
    draw = registry.load(modality, "draw").draw
    tables = draw(algorithm, model, Path(snakemake.input.schema), given, patients, work.stream())
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
