"""A fitted clinical generator -> the clinical records of synthetic patients, perhaps given their alterations."""

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.files import read_table, write_table
    from haemosynth.generate.fitted import load
    from haemosynth.schema import read_schema

    algorithm = generate.load("clinical", snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    schema, given = read_schema(snakemake.input.schema), snakemake.params.given
    if given:
        from haemosynth.cohort import read_genomic
        from haemosynth.generate.clinical.given import beside

        whole, names = beside(read_genomic(snakemake.input.schema, *snakemake.input.alterations), given)
        known = whole.clinical[names]
        clinical = algorithm.sample(model, whole.schema, len(known), work.stream(), known)[list(schema.columns)]
    else:
        patients = snakemake.params.patients or len(read_table(snakemake.input.train))
        clinical = algorithm.sample(model, schema, patients, work.stream())
    write_table(clinical.rename_axis("patient_id").reset_index(), snakemake.output.clinical)
