"""Expression of the holdout -> that of its two halves."""

from job import job

with job(snakemake):
    from haemosynth.cohort import read_expression, write_expression
    from haemosynth.files import read_table

    expression = read_expression(snakemake.input.holdout)
    for half in ("fresh", "control"):
        own = expression.obs_names.isin(read_table(snakemake.input[half])["patient_id"])
        write_expression(expression[own].copy(), snakemake.output[half])
