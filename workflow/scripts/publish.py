"""A validated synthetic cohort -> the folder that may leave, if the gate lets it through."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.publish.release import publish
    from haemosynth.report.content import read_content

    publish(
        folder=Path(snakemake.output.manifest).parent,
        cohort=read_cohort(Path(snakemake.input.synthetic[0]).parent, snakemake.params.modalities),
        generator=snakemake.wildcards.generator,
        content=read_content(snakemake.wildcards.cohort, snakemake.input),
        config=snakemake.params.config,
        template=Path(snakemake.input.template),
        strings=next(iter(snakemake.input.get("strings", [])), None),
    )
