"""How near drawn histories come to unseen real ones, of a study with histories, without a run of the whole study.

Endpoints that follow from the paths are compared with those that the clinical autoencoder draws without any path (its
coupled heads): `km_distance`, the mean distance of the Kaplan-Meier curves of each endpoint from unseen patients.

Usage: PYTHONPATH=workflow/scripts python benchmarks/courses.py config/studies/mgus2.yaml
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.encode.baseline import follow_up
from haemosynth.modalities.clinical.generators import vae
from haemosynth.modalities.history import ingest, reference, settle
from haemosynth.modalities.history.generators import multistate, resampled
from haemosynth.modalities.history.stages import histories, history_prediction
from haemosynth.modalities.registry import load
from haemosynth.modalities.rows import of_patients
from haemosynth.stats.cox import curve_distance, kaplan_meier
from haemosynth.study.settings import expand_paths, read_settings, source
from haemosynth.study.split import split
from haemosynth.validate.stage import Comparison

DRAWS = 5  # of each generator and reference, averaged


def main() -> None:
    """Print a table of metrics by candidate; endpoints agree as the first lines say."""
    config = read_settings(Path(__file__).parents[1], sys.argv[1:])
    name = next(iter(config["cohorts"]))
    entry = expand_paths(source(config, name), name)
    cohort = load("clinical", "ingest").ingest(name, entry)
    part, left = ingest.ingest(name, entry, cohort)
    print(left[left["what"] == "endpoint"].to_string(index=False, header=False))
    sides = split(settle.settle(cohort, part), 0.6, entry.get("stratify"), entry["panel"], stream(1, "split"))
    train, holdout = (side.replace(history=of_patients(part, side.patients)) for side in sides)
    bare = train.replace(history=None)
    models = {module: module.fit(train, module.DEFAULTS, stream(2), None) for module in (multistate, resampled)}
    record = train.record()
    coupled = vae.fit(record, vae.DEFAULTS, stream(2, "coupled"), None)
    table: dict[str, dict[str, list[float]]] = {}
    for draw in range(DRAWS):
        drawn = {m.__name__.split(".")[-1]: m.sample(models[m], bare, stream(3, draw)) for m in models}
        drawn |= {
            k: reference.reference(k, train, bare, stream(4, k, draw)) for k in ("real", "independent", "uniform")
        }
        own = vae.sample(coupled, train.schema, len(train), stream(3, "coupled", draw))
        measure_curves(table, "coupled heads", replace(record, clinical=own), holdout)
        for kind, courses in drawn.items():
            measure_curves(table, kind, settle.settle(bare, courses), holdout)
            whole = Comparison(holdout, bare.replace(history=courses), train, holdout)
            for stage in (histories, history_prediction):
                learned = stage.prepare(whole, stage.DEFAULTS, stream(5))
                ready = Comparison(holdout, whole.candidate, train, holdout, learned)
                for value in stage.measure(ready, stage.DEFAULTS, stream(6)):
                    if value.target == "all" and np.isfinite(value.value):
                        table.setdefault(value.metric, {}).setdefault(kind, []).append(value.value)
    means = {metric: {kind: np.mean(values) for kind, values in row.items()} for metric, row in table.items()}
    print(f"{len(train)} training and {len(holdout)} unseen patients, means of {DRAWS} draws")
    print(pd.DataFrame(means).T.round(4).to_string())


def measure_curves(table: dict[str, dict[str, list[float]]], kind: str, drawn: Cohort, unseen: Cohort) -> None:
    """Add the distance of the survival curves of every endpoint."""
    for endpoint in drawn.schema.endpoints:
        (_, *one), (_, *other) = (follow_up(side, endpoint) for side in (drawn, unseen))
        end = float(np.quantile(other[0], 0.95))
        value = curve_distance(kaplan_meier(*other), kaplan_meier(*one), end)
        table.setdefault(f"km_distance {endpoint}", {}).setdefault(kind, []).append(value)


if __name__ == "__main__":
    main()
