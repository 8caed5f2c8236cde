"""Training patients -> a fitted generator of one modality."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth import generate
    from haemosynth.generate.fitted import save
    from haemosynth.modalities import registry
    from haemosynth.modalities.cohort_files import read_cohort

    modality, chosen = snakemake.params.modality, dict(snakemake.params.settings)
    algorithm = registry.load_algorithm(modality, chosen.pop("algorithm"))
    given, joint = chosen.pop("given", []), chosen.pop("joint", False)
    last = modality == registry.RECORD and generate.draws_classes_last(snakemake.params.settings)
    if modality == registry.RECORD:
        chosen.pop("classes_last", None)
    settings = generate.settings_of(algorithm, chosen, f"config: methods.{modality}.{snakemake.wildcards.method}")
    train = read_cohort(Path(snakemake.input.train[0]).parent, (modality,))
    checkpoint = Path(snakemake.output.weights).with_name("checkpoint")
    if modality != registry.RECORD:
        train = generate.visible(train, given, modality)
    if modality == registry.RECORD and given:
        fit = registry.load(modality, "given").fit
        model = fit(algorithm, train, given, settings, work.stream(), checkpoint)
    elif joint:
        model = registry.load(modality, "joint").fit(algorithm, train, settings, work.stream(), checkpoint)
    else:
        model = algorithm.fit(train, settings, work.stream(), checkpoint)
    if last:
        model = registry.load(modality, "classes_last").fit(model, train, settings, work.stream("classes_last"))
    save(model, snakemake.output.weights, snakemake.output.description, snakemake.output.history)
