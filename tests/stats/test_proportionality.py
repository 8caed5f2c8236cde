"""The test of proportional hazards: planted departures are found, in their direction, and others are not."""

import numpy as np
import pytest

from haemosynth.stats.cox import fit_cox, hazard_trends
from haemosynth.stats.proportionality import proportionality


def lived(covariates, effect, cut, later, rng):
    """Deaths whose log hazard ratios are `effect` until `cut` and `later` from then on; a third is censored."""
    early = rng.exponential(np.exp(-covariates @ np.array(effect)))
    late = cut + rng.exponential(np.exp(-covariates @ np.array(later)))
    death, lost = np.where(early < cut, early, late), rng.exponential(2, len(covariates))
    return np.minimum(death, lost), (death <= lost).astype(float)


def test_an_effect_that_fades_and_one_that_grows_are_found_and_a_constant_one_is_not():
    rng = np.random.default_rng(1)
    covariates = rng.normal(size=(1500, 3))
    time, event = lived(covariates, [1.0, 0.0, 0.7], 0.5, [0.0, 1.0, 0.7], rng)
    found = proportionality(covariates, time, event, ridge=1.0)
    assert found.trend[0] < -0.2
    assert found.trend[1] > 0.2
    assert (found.p[:2] < 1e-6).all()
    assert abs(found.trend[2]) < 0.08
    assert found.p[2] > 0.05


def test_proportional_hazards_are_doubted_as_often_as_chance_has_it():
    rng = np.random.default_rng(2)
    doubted = []
    for _ in range(15):
        covariates = rng.normal(size=(200, 4))
        doubted += list(
            proportionality(covariates, *lived(covariates, [0.8, -0.5, 0, 0], 1, [0.8, -0.5, 0, 0], rng), 1.0).p
        )
    assert np.mean(np.array(doubted) < 0.05) < 0.15


@pytest.mark.parametrize("ridge", [0.5, 20.0])
def test_it_is_the_trend_of_resamples_under_the_same_prior(ridge):
    rng = np.random.default_rng(3)
    covariates = np.column_stack([rng.normal(size=(400, 3)) * [1, 5, 0.2], rng.random(400) < 0.1]).astype(float)
    time, event = lived(covariates, [0.5, 0.1, 1.0, 1.0], 0.4, [0.5, 0.1, 0.0, 1.0], rng)
    assert len(np.unique(time)) == 400
    ours = hazard_trends(fit_cox(covariates, time, event, ridge), covariates, time, event) / np.sqrt(event.sum())
    np.testing.assert_allclose(proportionality(covariates, time, event, ridge).trend, ours, atol=1e-5)


def test_a_constant_covariate_has_no_trend_and_a_rare_one_no_exception():
    rng = np.random.default_rng(4)
    covariates = np.column_stack([rng.normal(size=120), np.zeros(120), np.arange(120) < 2]).astype(float)
    time, event = rng.exponential(1, 120), np.ones(120)
    event[:2] = 0
    found = proportionality(covariates, time, event, ridge=1.0)
    assert np.isnan(found.trend[1])
    assert np.isnan(found.p[1])
    assert np.isfinite(found.trend[[0, 2]]).all()
