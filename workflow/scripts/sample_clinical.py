"""A fitted clinical generator -> the clinical records of synthetic patients."""

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.files import read_table, write_table
    from haemosynth.generate.fitted import load
    from haemosynth.schema import read_schema

    algorithm = generate.load("clinical", snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    patients = snakemake.params.patients or len(read_table(snakemake.input.train))
    clinical = algorithm.sample(model, read_schema(snakemake.input.schema), patients, work.stream())
    write_table(clinical.rename_axis("patient_id").reset_index(), snakemake.output.clinical)
