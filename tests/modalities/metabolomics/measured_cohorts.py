"""A small simulated cohort with measurements."""

from functools import cache
from pathlib import Path

import numpy as np

from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.metabolomics.divide import divide
from haemosynth.modalities.metabolomics.part import keep_measurements, measured_of
from haemosynth.modalities.metabolomics.simulate import simulate
from haemosynth.study.split import split

RESOURCES = Path(__file__).resolve().parents[3] / "resources"


@cache
def simulated(n=700):
    """(patients, their measurements, the truth of these); treat all as read-only."""
    source = {"format": "simulated", "disease": "myeloma", "patients": n, "endpoint": ["OS", "PFS"]}
    cohort, truth = simulate_cohort("small", source, RESOURCES, stream(1, "with measurements", n))
    part, told = simulate("small", source, cohort, truth, RESOURCES / "myeloma", stream(1, "measured", n))
    return cohort, part.data, told


@cache
def halves(n=700):
    """Train and holdout with measurements; treat both as read-only."""
    cohort, data, _ = simulated(n)
    parts = split(cohort, 0.6, None, {"recurrent": {"min_carriers": 5}}, stream(1, "split"))
    own = [keep_measurements(data[data.obs_names.isin(part.patients)].copy()) for part in parts]
    return tuple(part.replace(metabolomics=one) for part, one in zip(parts, divide(*own, {}), strict=True))


def sides():
    """Train, the half of the holdout that is offered, and the control."""
    train, holdout = halves()
    half = len(holdout) // 2
    return train, holdout.take(np.arange(half)), holdout.take(np.arange(half, len(holdout)))


def values(cohort, analyte):
    """The values of an analyte by patient."""
    return measured_of(cohort).to_df()[analyte]
