"""A small simulated cohort with courses, and small designs."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.history.design import design_of
from haemosynth.modalities.history.part import END, STATE, make
from haemosynth.modalities.history.settle import settle
from haemosynth.modalities.history.simulate import simulate
from haemosynth.modalities.rows import of_patients

RESOURCES = Path(__file__).resolve().parents[3] / "resources"
LEUKAEMIA = {
    "states": ["diagnosis", "remission", "relapse", "death"],
    "transitions": {
        "diagnosis": ["remission", "death"], "remission": ["relapse", "death"], "relapse": ["death"],
    },
    "endpoints": {"OS": ["death"], "EFS": ["relapse", "death"]},
}  # fmt: skip


@cache
def simulated(n=240):
    """(patients with their courses and settled endpoints, the truth); treat both as read-only."""
    source = {"format": "simulated", "disease": "myeloma", "patients": n, "endpoint": ["OS", "PFS"]}
    cohort, truth = simulate_cohort("small", source, RESOURCES, stream(1, "with courses", n))
    part, told = simulate("small", source, cohort, truth, RESOURCES / "myeloma", stream(1, "courses", n))
    return settle(cohort, part).replace(history=part), told


@cache
def planted(n=900, seed=1, effect=0.8):
    """(leukaemia cohort whose transitions are driven by x with known log hazard ratios, these by transition)."""
    rng = stream(seed, "planted", n)
    x, noise = rng.standard_normal(n), rng.standard_normal(n)
    design = design_of(LEUKAEMIA, "here")
    rates = {("diagnosis", "remission"): (0.3, -effect), ("diagnosis", "death"): (0.05, effect),
             ("remission", "relapse"): (0.04, effect), ("remission", "death"): (0.01, 0.0),
             ("relapse", "death"): (0.12, effect / 2)}  # fmt: skip
    rows, patients = [], [f"P{i:05d}" for i in range(n)]
    for i, patient in enumerate(patients):
        end, now, state = rng.uniform(12, 120), 0.0, "diagnosis"
        rows.append((patient, 0.0, STATE, state))
        while True:
            ways = [
                (rng.exponential(1 / (r * np.exp(b * x[i]))), to) for (a, to), (r, b) in rates.items() if a == state
            ]
            if not ways or now + min(ways)[0] > end:
                break
            now, state = now + min(ways)[0], min(ways)[1]
            rows.append((patient, now, STATE, state))
        rows.append((patient, now if state == "death" else end, END, "observed"))
    part = make(pd.DataFrame(rows, columns=["patient_id", "time", "kind", "name"]), pd.Index(patients), design, 0.01)
    columns = {"x": Column("continuous"), "noise": Column("continuous"), "OS_time": Column("time", "outcome"),
               "OS_event": Column("event", "outcome"), "EFS_time": Column("time", "outcome"),
               "EFS_event": Column("event", "outcome")}  # fmt: skip
    clinical = pd.DataFrame(dict.fromkeys(columns, np.nan), index=pd.Index(patients, name="patient_id"))
    clinical = clinical.assign(x=x, noise=noise)
    cohort = Cohort(Schema("planted", columns, ("OS", "EFS")), clinical.astype(float))
    return settle(cohort, part).replace(history=part), {pair: b for pair, (_, b) in rates.items()}


def some(cohort, rows):
    """These patients with their courses."""
    part = cohort.parts["history"]
    side = cohort.replace(history=None).take(np.asarray(rows))
    return side.replace(history=of_patients(part, side.patients))
