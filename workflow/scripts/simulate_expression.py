"""A simulated cohort and published programmes -> its expression and the truth behind it."""

import json
from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import read_cohort, write_expression
    from haemosynth.files import write_json
    from haemosynth.ingest.expression import settings
    from haemosynth.simulate.expression import GENES, simulate_expression

    cohort = read_cohort(Path(snakemake.input.clinical).parent)
    genes = settings(snakemake.wildcards.cohort, snakemake.params.source)["genes"] or GENES
    folder = Path(snakemake.input.programmes).parent
    cohort_truth = json.loads(Path(snakemake.input.truth).read_text(encoding="utf-8"))
    expression, truth = simulate_expression(cohort, cohort_truth, genes, folder, work.stream())
    write_expression(expression, snakemake.output.expression)
    write_json(truth, snakemake.output.truth)
