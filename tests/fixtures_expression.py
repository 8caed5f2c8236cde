"""A small simulated cohort with expression for everybody's tests."""

from functools import cache
from typing import Any

from anndata import AnnData
from fixtures_small import RESOURCES

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.expression.part import keep_profiles
from haemosynth.modalities.expression.profiles import learn
from haemosynth.modalities.expression.simulate import simulate_expression
from haemosynth.study.split import split


@cache
def simulated(n: int = 400, genes: int = 300) -> tuple[Cohort, AnnData, dict[str, Any]]:
    """Patients, their expression, and the truth of it; treat all as read-only."""
    source = {"format": "simulated", "disease": "myeloma", "patients": n, "endpoint": ["OS", "PFS"]}
    cohort, truth = simulate_cohort("small", source, RESOURCES, stream(1, "with expression", n))
    expression, told = simulate_expression(cohort, truth, genes, RESOURCES / "myeloma", stream(1, "expression", n))
    return cohort, expression, told


@cache
def halves(n: int = 400, genes: int = 300) -> tuple[Cohort, Cohort]:
    """Train and holdout with expression; treat both as read-only."""
    cohort, expression, _ = simulated(n, genes)
    parts = split(
        cohort, train_fraction=0.6, stratify=None, panel={"recurrent": {"min_carriers": 5}}, rng=stream(1, "split")
    )
    own = [expression[expression.obs_names.isin(part.patients)].copy() for part in parts]
    train, holdout = learn(*own, genes=None, variable=100)
    return parts[0].replace(expression=keep_profiles(train)), parts[1].replace(expression=keep_profiles(holdout))
