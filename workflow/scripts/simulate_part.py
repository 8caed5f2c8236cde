"""A simulated cohort and its truth -> a further modality of a part of its patients, and the truth behind it."""

import json
from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.core.cohort import read_record
    from haemosynth.core.files import write_json
    from haemosynth.modalities.registry import load

    modality, cohort = snakemake.params.modality, read_record(Path(snakemake.input.raw[0]).parent)
    truth = json.loads(Path(snakemake.input.truth).read_text(encoding="utf-8"))
    folder = Path("resources", snakemake.params.source["disease"])
    entry = (snakemake.wildcards.cohort, snakemake.params.source)
    part, known = load(modality, "simulate").simulate(*entry, cohort, truth, folder, work.stream())
    load(modality, "part").write(part, snakemake.output.part)
    write_json(known, snakemake.output.truth)
