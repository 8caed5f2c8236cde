"""Planted effects are exact, estimates are those of Cox regression, and variances hold what they should."""

import numpy as np
import pandas as pd
import pytest

from haemosynth.modalities.clinical.stages.control_arm import combine_estimates
from haemosynth.modalities.clinical.stages.trials import estimate_log_hazard_ratios, thin_events
from haemosynth.stats.cox import Z95, fit_cox


@pytest.fixture(scope="module")
def trials():
    rng = np.random.default_rng(0)
    treated = (np.arange(80) < 40).astype(float)[None, :].repeat(5, axis=0)
    latent = rng.exponential(size=(5, 80)) * np.exp(0.4 * treated)
    censored = rng.exponential(2, size=(5, 80))
    return np.minimum(latent, censored), (latent <= censored).astype(float), treated


def test_estimates_are_those_of_cox_regression(trials):
    estimates, variances = estimate_log_hazard_ratios(*trials)
    for i, (time, event, treated) in enumerate(zip(*trials, strict=True)):
        model = fit_cox(treated[:, None], time, event)
        assert estimates[i] == pytest.approx(model.log_hazard[0], abs=1e-5)
        assert np.sqrt(variances[i]) == pytest.approx(model.standard_error[0], rel=1e-4)


def test_ties_and_strata_are_those_of_lifelines(trials):
    from lifelines import CoxPHFitter

    time, event, treated = trials
    stratum = (np.arange(80) % 3).astype(float)[None, :].repeat(5, axis=0)
    estimates, variances = estimate_log_hazard_ratios(time, event, treated, stratum)
    table = pd.DataFrame({"time": time[0], "event": event[0], "treated": treated[0], "stratum": stratum[0]})
    fitted = CoxPHFitter().fit(table, "time", "event", strata="stratum")
    assert estimates[0] == pytest.approx(fitted.params_["treated"], abs=1e-5)
    assert variances[0] == pytest.approx(fitted.variance_matrix_.iloc[0, 0], rel=1e-4)


def test_ties_share_one_risk_set():
    """Breslow: two tied events have the same risk set, so their order in the table cannot matter."""
    time = np.array([[1.0, 1, 1, 2, 2, 3]])
    event, treated = np.array([[1.0, 1, 0, 1, 1, 0]]), np.array([[1.0, 0, 1, 0, 1, 1]])
    order = [1, 2, 0, 4, 3, 5]
    one = estimate_log_hazard_ratios(time, event, treated)
    assert estimate_log_hazard_ratios(time[:, order], event[:, order], treated[:, order])[0] == pytest.approx(one[0])


def test_an_arm_without_events_has_a_finite_estimate():
    estimates, variances = estimate_log_hazard_ratios(
        np.arange(1.0, 7)[None, :], np.array([[1.0, 1, 1, 0, 0, 0]]), np.array([[0.0, 0, 0, 1, 1, 1]])
    )
    assert np.isfinite(estimates).all()
    assert estimates[0] < -3
    assert variances[0] > 10


def test_the_planted_ratio_is_recovered_together_and_within_strata():
    """Hazards differ between patients, so that a model of survival would be needed by any other way of planting."""
    rng = np.random.default_rng(1)
    size = (40, 4000)
    stratum = (rng.random(size) < 0.5).astype(float)
    time = rng.weibull(0.7, size) * np.exp(-1.5 * stratum)
    event = (time < 2).astype(float)
    time = np.minimum(time, 2)
    treated = (np.arange(size[1]) % 2 == 0).astype(float)[None, :].repeat(size[0], axis=0)
    event = np.where(treated == 1, thin_events(event, np.log(0.6), rng), event)
    for strata in (None, stratum):
        estimates, _ = estimate_log_hazard_ratios(time, event, treated, strata)
        error = estimates.std() / np.sqrt(size[0])
        assert abs(estimates.mean() - np.log(0.6)) < 4 * error
        assert 4 * error < 0.05


def test_harm_cannot_be_planted():
    with pytest.raises(ValueError, match="prevents events"):
        thin_events(np.ones(3), 0.1, np.random.default_rng(0))


def test_without_real_controls_the_rule_is_that_of_raab_nowok_and_dibben():
    variances, control = np.full((4, 3), 0.2), np.ones((4, 3))
    _, variance = combine_estimates(np.zeros((4, 3)), variances, control, c=0, k=50, n=200)
    assert variance == pytest.approx(np.full(3, 0.2 * (50 / 200 + 1 / 4)))
    _, variance = combine_estimates(np.zeros((1, 3)), variances[:1], control[:1], c=30, k=0, n=200)
    assert variance == pytest.approx(np.full(3, 0.2))


@pytest.mark.parametrize("real", [0, 100])
def test_intervals_hold_the_uncertainty_of_the_generator(real):
    """Exponential survival: each generator has learned its rate from 100 patients. Counted as real ones, its patients
    make intervals too narrow; by the rule coverage is nominal."""
    rng = np.random.default_rng(2)
    trials, n, sets = 3000, 100, 2
    rate = n / rng.gamma(n, size=(trials, 1))
    parts = []
    treated, controls = rng.exponential(size=(trials, n)), rng.exponential(size=(trials, real))
    arm = np.concatenate([np.ones(n), np.zeros(n + real)])[None, :].repeat(trials, axis=0)
    for _ in range(sets):
        time = np.hstack([treated, controls, rng.exponential(size=(trials, n)) / rate])
        parts.append(estimate_log_hazard_ratios(time, np.ones_like(time), arm))
    estimates, variances = (np.stack(part) for part in zip(*parts, strict=True))
    share = np.full_like(variances, n / (2 * n + real))

    def coverage(variance):
        return (np.abs(estimates.mean(axis=0)) <= Z95 * np.sqrt(variance)).mean()

    assert coverage(combine_estimates(estimates, variances, share, real, n, n)[1]) == pytest.approx(0.95, abs=0.012)
    naive = (variances * (1 - share + share * (real + n / sets) / (real + n))).mean(axis=0)
    assert coverage(naive) < (0.90 if not real else 0.945)
