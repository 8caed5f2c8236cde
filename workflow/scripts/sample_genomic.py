"""A fitted genomic generator -> alterations and mutations, given the synthetic clinical records or before them."""

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.cohort import read_clinical, write_genomic
    from haemosynth.files import read_table
    from haemosynth.generate.fitted import load
    from haemosynth.generate.pool import pool_size
    from haemosynth.generate.reference import bare
    from haemosynth.schema import Schema

    algorithm = generate.load("genomic", snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    if snakemake.input.clinical:
        given = read_clinical(snakemake.input.clinical[0], snakemake.input.schema)
    else:
        trained = len(read_table(snakemake.input.train))
        given = bare(Schema(snakemake.wildcards.cohort, {}), pool_size(trained, **snakemake.params.draw, given=True))
    genomic = algorithm.sample(model, given, work.stream())
    write_genomic(
        genomic.alterations,
        genomic.sequenced,
        genomic.mutations,
        snakemake.output.alterations,
        snakemake.output.mutations,
    )
