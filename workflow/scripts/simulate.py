"""Published aggregates -> a canonical cohort and its truth."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import write_cohort
    from haemosynth.files import write_json
    from haemosynth.simulate import simulate_cohort

    resources = Path(snakemake.input.aggregates[0]).parents[1]
    cohort, truth = simulate_cohort(snakemake.wildcards.cohort, snakemake.params.source, resources, work.stream())
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
    write_json(truth, snakemake.output.truth)
