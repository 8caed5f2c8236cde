"""The simulated cohort split in two, and ways to spoil a half."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_candidates import independent
from fixtures_small import small_cohort

from haemosynth.validate.resampling import prepare_comparison
from haemosynth.validate.stage import Comparison


@pytest.fixture(scope="session")
def comparison():
    """Two halves of 400 patients each: unseen real patients beside real patients."""
    cohort = small_cohort(800, 3)
    order = np.random.default_rng(0).permutation(len(cohort))
    real, candidate = cohort.take(order[:400]), cohort.take(order[400:])
    return Comparison(real=real, candidate=candidate, train=candidate, control=real)


@pytest.fixture(scope="session")
def identical(comparison):
    """The candidate is the holdout itself."""
    return replace(comparison, candidate=comparison.real)


@pytest.fixture(scope="session")
def shuffled(comparison):
    """Every column of the candidate shuffled alone."""
    return replace(comparison, candidate=independent(comparison.candidate, 5))


@pytest.fixture(scope="session")
def measured():
    """measured(stage, comparison, **settings) -> {(metric, target, modality): value}."""

    def run(stage, comparison, **settings):
        settings = stage.DEFAULTS | settings
        comparison = prepare_comparison(stage, comparison, settings, lambda *names: np.random.default_rng(0))
        values = stage.measure(comparison, settings, np.random.default_rng(0))
        keyed = {(value.metric, value.target, value.modality): value.value for value in values}
        assert len(keyed) == len(values)
        assert {value.metric for value in values} <= {metric.name for metric in stage.METRICS}
        return keyed

    return run


@pytest.fixture(scope="session")
def scored(measured):
    """scored(stage, comparison) -> the part with target `all` and a metric that is scored."""

    def run(stage, comparison, **settings):
        kinds = {metric.name: metric.kind for metric in stage.METRICS}
        found = measured(stage, comparison, **settings)
        return {key: value for key, value in found.items() if key[1] == "all" and kinds[key[0]] != "descriptive"}

    return run
