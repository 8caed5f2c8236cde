"""The results of a cohort -> the dossier, working edition."""

from pathlib import Path

from job import job

with job(snakemake):
    from haemosynth.core.files import write_text
    from haemosynth.report.content import read_content
    from haemosynth.report.dossier import render

    config = snakemake.params.config
    content = read_content(snakemake.wildcards.cohort, snakemake.input)
    page = render(content, config, config["publish"], release=False, template=Path(snakemake.input.template))
    write_text(page, snakemake.output[0])
