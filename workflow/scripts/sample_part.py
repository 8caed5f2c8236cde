"""A fitted generator of a further modality and synthetic patients -> what these patients get."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.generate.fitted import load
    from haemosynth.modalities import registry
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.modalities.rows import of_patients

    modality = snakemake.params.modality
    algorithm = registry.load_algorithm(modality, snakemake.params.algorithm)
    model = load(snakemake.input.weights, snakemake.input.description)
    given = read_cohort(Path(snakemake.input.given[0]).parent)
    if snakemake.input.pool:  # drawn for the whole long draw, as `assemble.py` did, so that endpoints follow from it
        whole = read_cohort(Path(snakemake.input.pool[0]).parent)
        part = of_patients(algorithm.sample(model, whole, work.stream()), given.patients)
    else:
        part = algorithm.sample(model, given, work.stream())
    registry.load(modality, "part").write(part, snakemake.output.part)
