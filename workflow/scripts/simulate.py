"""Published aggregates -> a canonical cohort and its truth."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.files import write_json
    from haemosynth.modalities.cohort_files import write_cohort
    from haemosynth.modalities.registry import RECORD, load

    resources = Path(snakemake.input.aggregates[0]).parents[1]
    entry = (snakemake.wildcards.cohort, snakemake.params.source)
    cohort, truth = load(RECORD, "simulate").simulate_cohort(*entry, resources, work.stream())
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
    write_json(truth, snakemake.output.truth)
