"""A simulated cohort and its truth -> PET/CT phantoms of a part of its patients, and the truth behind them."""

import json
from pathlib import Path

from job import job

with job(snakemake) as work:
    from haemosynth.cohort import read_cohort
    from haemosynth.files import write_json
    from haemosynth.images import write_images
    from haemosynth.simulate.phantoms import simulate_images

    cohort = read_cohort(Path(snakemake.input.raw[0]).parent)
    truth = json.loads(Path(snakemake.input.truth).read_text(encoding="utf-8"))
    resources = Path(snakemake.input.aggregates[0]).parent
    images, known = simulate_images(cohort, truth, snakemake.params.source, resources, work.stream())
    write_images(images, snakemake.output.images)
    write_json(known, snakemake.output.truth)
