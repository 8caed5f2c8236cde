"""A further modality of training patients and the patients of a reference -> what these patients get."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.modalities.registry import load

    modality = snakemake.params.modality
    train = read_cohort(Path(snakemake.input.train[0]).parent, (modality,))
    given = read_cohort(Path(snakemake.input.given[0]).parent)
    part = load(modality, "reference").reference(snakemake.wildcards.generator, train, given, work.stream())
    load(modality, "part").write(part, snakemake.output.part)
