"""A fitted clinical generator -> the clinical records of synthetic patients, perhaps given their alterations."""

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.files import read_table, write_table
    from haemosynth.generate.fitted import load
    from haemosynth.generate.pool import pool_size
    from haemosynth.schema import read_schema

    algorithm = generate.load("clinical", snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    schema = read_schema(snakemake.input.schema)
    if snakemake.params.given:
        from haemosynth.cohort import read_genomic

        patients = read_genomic(snakemake.input.schema, *snakemake.input.alterations)
        clinical = generate.given_alterations().sample(algorithm, model, schema, patients, work.stream())
    else:
        trained = len(read_table(snakemake.input.train))
        clinical = algorithm.sample(model, schema, pool_size(trained, **snakemake.params.draw), work.stream())
    write_table(clinical.rename_axis("patient_id").reset_index(), snakemake.output.clinical)
