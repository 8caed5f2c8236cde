"""The modalities of a recipe -> one long draw of patients, within every hard limit."""

from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.cohort import bare, read_parts
    from haemosynth.generate.balance import fill_quotas, read_checked
    from haemosynth.generate.constraints import enforce
    from haemosynth.generate.fitted import load
    from haemosynth.generate.pool import pool_size
    from haemosynth.modalities import registry
    from haemosynth.modalities.cohort_files import read_cohort, write_cohort

    asked = dict(snakemake.params.draw)
    quotas = asked.pop("balance", None)
    if snakemake.params.alone:  # images of patients without a record: identifiers are all that a patient has
        train = read_parts(snakemake.input.schema, *snakemake.input.parts)
        cohort = bare(train.schema, pool_size(len(train), **asked, alone=True))
    else:
        cohort = enforce(read_parts(snakemake.input.schema, *snakemake.input.parts))
    if quotas:
        train = read_cohort(Path(snakemake.input.balanced[0]).parent)
        least = asked["patients"] if isinstance(asked["patients"], int) else len(train)
        quotas = read_checked(quotas, train, asked["patients"])
        cohort = fill_quotas(cohort, quotas, least, pool_size(len(train), **asked))
    if snakemake.input.record:  # before the histories, which are drawn given whole patients
        last = registry.load(registry.RECORD, "classes_last")
        model = load(*snakemake.input.record)
        cohort = last.redraw(cohort, model, last.find_asked(quotas, cohort.schema), work.stream("classes_last"))
    for i, (name, algorithm) in enumerate(snakemake.params.giving.items()):
        model = load(*snakemake.input.models[2 * i : 2 * i + 2])
        # The stream of `sample_part.py`, which draws the same once more and keeps it for those who are released.
        own = work.stream(of=f"sample_{name}")
        part = registry.load_algorithm(name, algorithm).sample(model, cohort, own)
        cohort = registry.load(name, "settle").settle(cohort, part)
    write_cohort(cohort, Path(snakemake.output.schema).parent, snakemake.params.modalities)
