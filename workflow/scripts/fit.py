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
    elif modality == "clinical" and given:
        from haemosynth.generate.clinical.given import beside

        train, first = beside(train, given)
        settings["condition"] = [*first, *settings["condition"]]
    checkpoint = Path(snakemake.output.weights).with_name("checkpoint")
    model = algorithm.fit(train, settings, work.stream(), checkpoint)
    save(model, snakemake.output.weights, snakemake.output.description, snakemake.output.history)
