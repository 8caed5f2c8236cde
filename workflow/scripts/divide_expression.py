"""Expression of all patients -> training patients and holdout, with what is learned from train alone."""

from job import job

with job(snakemake):
    from haemosynth.cohort import read_expression, write_expression
    from haemosynth.expression import learned
    from haemosynth.files import read_table
    from haemosynth.ingest.expression import settings

    expression = read_expression(snakemake.input.expression)
    chosen = settings(snakemake.wildcards.cohort, snakemake.params.source)
    parts = [
        expression[expression.obs_names.isin(read_table(file)["patient_id"])].copy()
        for file in (snakemake.input.train, snakemake.input.holdout)
    ]
    train, holdout = learned(*parts, genes=chosen["genes"], variable=chosen["variable"])
    write_expression(train, snakemake.output.train)
    write_expression(holdout, snakemake.output.holdout)
