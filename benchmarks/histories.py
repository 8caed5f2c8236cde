"""Time and memory of event histories: 10,000 patients with about five events and 24 visits each, from fit to sample.

Usage: PYTHONPATH=workflow/scripts python benchmarks/histories.py [PATIENTS]
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import stream
from haemosynth.modalities.history import kinetics, myeloma
from haemosynth.modalities.history.design import design_of
from haemosynth.modalities.history.generators import multistate
from haemosynth.modalities.history.part import BELOW, Courses, make, path_rows
from haemosynth.modalities.history.paths import NONE, Paths

VISITS, FEATURES = 24, 40


def planted(n: int) -> Cohort:
    """Patients with five states entered and 24 visits, of numbers alone."""
    rng = stream(1, "benchmark", n)
    design = design_of({
        "states": myeloma.STATES, "transitions": myeloma.TRANSITIONS,
        "measurements": {myeloma.M_PROTEIN: myeloma.MEASUREMENTS[myeloma.M_PROTEIN]},
    }, "benchmark")  # fmt: skip
    owner = np.array([f"P{i:06d}" for i in range(n)], dtype=object)
    state = np.tile(np.array([0, 1, 2, 3, 5, NONE]), (n, 1))
    entry = np.column_stack([np.zeros(n), np.cumsum(rng.exponential(12, (n, 4)) + 2, axis=1), np.full(n, np.nan)])
    paths = Paths(owner, state, entry, entry[:, 4], design.states)
    when = np.sort(rng.random((n, VISITS)), axis=1) * paths.end[:, None]
    since = when - np.take_along_axis(entry, (entry[:, None, :4] <= when[:, :, None]).sum(axis=2) - 1, axis=1)
    value = 30 * kinetics.level(since * kinetics.DAYS, 1.0, 0.01, 0.005, -0.015)
    value = np.maximum(np.round(value * np.exp(0.06 * rng.standard_normal(value.shape)), 1), 1.0)
    rows = pd.DataFrame({
        "patient_id": np.repeat(owner, VISITS), "time": when.ravel(), "kind": "measurement", "name": myeloma.M_PROTEIN,
        "value": value.ravel(), "unit": "g/l", "note": np.where(value.ravel() <= 1, BELOW, ""),
    })  # fmt: skip
    part: Courses = make(pd.concat([path_rows(paths), rows], ignore_index=True), pd.Index(owner), design, 0.01)
    columns = {f"x{i}": Column("continuous") for i in range(FEATURES)}
    clinical = pd.DataFrame(rng.standard_normal((n, FEATURES)), columns=list(columns), index=pd.Index(owner))
    return Cohort.of(Schema("benchmark", columns), clinical, history=part)


def main() -> None:
    """Print CPU seconds of fit and sample, and the largest memory."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    cohort = planted(n)
    start = time.process_time()
    model = multistate.fit(cohort, multistate.DEFAULTS, stream(2), None)
    fitted = time.process_time()
    part = multistate.sample(model, cohort.replace(history=None), stream(3))
    drawn = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{n:,} patients, {FEATURES} numbers each: fit {fitted - start:.0f}, sample {drawn - fitted:.0f} CPU seconds,"
        f" {memory:.1f} GB; {len(part.table):,} rows drawn"
    )


if __name__ == "__main__":
    main()
