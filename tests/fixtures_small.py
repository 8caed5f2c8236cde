"""A small simulated cohort for everybody's tests."""

from functools import cache
from pathlib import Path

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.simulate import simulate_cohort

RESOURCES = Path(__file__).resolve().parents[1] / "resources"


@cache
def small_cohort(n: int = 300, seed: int = 1) -> Cohort:
    """Myeloma patients with clinical record, mutations and missing values; treat it as read-only."""
    source = {"format": "simulated", "disease": "myeloma", "patients": n, "endpoint": ["OS", "PFS"]}
    return simulate_cohort("small", source, RESOURCES, stream(seed, "small cohort", n))[0]
