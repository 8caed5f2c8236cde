"""Training patients -> a fitted generator of one modality."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.cohort import read_cohort
    from haemosynth.generate.fitted import save

    modality, chosen = snakemake.params.modality, dict(snakemake.params.settings)
    algorithm = generate.load(modality, chosen.pop("algorithm"))
    given = chosen.pop("given", [])
    settings = generate.settings_of(algorithm, chosen, f"config: methods.{modality}.{snakemake.wildcards.method}")
    train = read_cohort(Path(snakemake.input.train[0]).parent, (modality,))
    if modality in ("genomic", "transcriptomic"):
        train = generate.visible(train, given, modality)
    checkpoint = Path(snakemake.output.weights).with_name("checkpoint")
    if modality == "clinical" and given:
        model = generate.given_alterations().fit(algorithm, train, given, settings, work.stream(), checkpoint)
    else:
        model = algorithm.fit(train, settings, work.stream(), checkpoint)
    save(model, snakemake.output.weights, snakemake.output.description, snakemake.output.history)
