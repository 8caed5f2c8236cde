"""A fitted genomic generator and synthetic clinical records -> their alterations and mutations."""

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.cohort import read_clinical, write_genomic
    from haemosynth.generate.fitted import load

    algorithm = generate.load("genomic", snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    given = read_clinical(snakemake.input.clinical, snakemake.input.schema)
    genomic = algorithm.sample(model, given, work.stream())
    write_genomic(
        genomic.alterations,
        genomic.sequenced,
        genomic.mutations,
        snakemake.output.alterations,
        snakemake.output.mutations,
    )
