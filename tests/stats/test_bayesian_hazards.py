"""The Bayesian hazard model: Laplace beside the sampler, beside Cox regression, and limits that are known."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from haemosynth.stats.bayesian_hazards import Posterior, Prior, laplace, normal_overlap, nuts, predict_survival
from haemosynth.stats.cox import fit_cox, kaplan_meier

TRUTH = np.array([0.5, -0.3, 0.0, 0.2])


def patients(n, seed=0):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(n, 4))
    death, censored = rng.exponential(30 * np.exp(-design @ TRUTH)), rng.uniform(0, 90, n)
    return design, np.minimum(death, censored), (death <= censored).astype(float)


def prior_of(time, event, **others):
    cuts = np.quantile(time[event == 1], [0.25, 0.5, 0.75])
    return Prior(cuts, float(np.log(event.sum() / time.sum())), **others)


def test_laplace_agrees_with_the_sampler():
    data = patients(300)
    prior = prior_of(*data[1:])
    ours = laplace(*data, prior)
    theirs = nuts(*data, prior, np.random.default_rng(1), warmup=100, draws=300)
    # The normal approximation leaves the mean of the baseline hazards a little skewed.
    assert (np.abs(ours.mean - theirs.mean) / theirs.deviation).max() < 0.35
    assert (np.abs(ours.mean - theirs.mean) / theirs.deviation)[:4].max() < 0.25
    ratio = ours.deviation / theirs.deviation
    assert ratio.min() > 0.8
    assert ratio.max() < 1.25


def by_newton(design, time, event, prior):
    """Mode and covariance by Newton's method, with the derivatives of the density written out."""
    exposure, place = prior.exposure(time), np.searchsorted(prior.cuts, time)
    p, q = design.shape[1], exposure.shape[1]
    centre, precision = np.r_[np.zeros(p), np.full(q, prior.log_rate)], np.r_[
        np.full(p, prior.ratio_deviation**-2.0), np.full(q, prior.rate_deviation**-2.0)
    ]  # fmt: skip
    theta = centre.copy()
    for _ in range(50):
        hazard = exposure * np.exp(theta[p:] + (design @ theta[:p])[:, None])
        total = hazard.sum(axis=1)
        slope = np.r_[design.T @ (event - total), np.bincount(place, event, q) - hazard.sum(axis=0)]
        slope -= precision * (theta - centre)
        cross = design.T @ hazard
        information = np.block([[design.T @ (design * total[:, None]), cross], [cross.T, np.diag(hazard.sum(axis=0))]])
        information += np.diag(precision)
        theta = theta + np.linalg.solve(information, slope)
    return theta, np.linalg.inv(information)


@pytest.mark.parametrize("n", [60, 600])
def test_laplace_is_where_newton_with_derivatives_by_hand_ends(n):
    """Also with covariates that few have, and with some that say nearly the same."""
    design, time, event = patients(n)
    rare = (np.random.default_rng(1).random((n, 3)) < 0.05).astype(float)
    design = np.column_stack([design, rare, design[:, 0] + 0.05 * design[:, 1]])
    prior = prior_of(time, event)
    found = laplace(design, time, event, prior)
    mode, covariance = by_newton(design, time, event, prior)
    np.testing.assert_allclose(found.mean, mode, atol=1e-5)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-6, rtol=1e-5)


def test_a_fit_leaves_no_parameter_behind_and_repeats_itself():
    import pyro

    data = patients(100)
    first, second = (laplace(*data, prior_of(*data[1:])) for _ in range(2))
    assert not list(pyro.get_param_store().keys())
    assert first.mean.tobytes() == second.mean.tobytes()
    assert first.covariance.tobytes() == second.covariance.tobytes()


def test_too_few_steps_are_told():
    data = patients(100)
    with pytest.raises(ValueError, match="in 1 steps"):
        laplace(*data, prior_of(*data[1:]), largest=1)


def test_laplace_is_near_penalised_cox_regression():
    design, time, event = patients(1500)
    cuts = np.quantile(time[event == 1], np.arange(1, 20) / 20)
    ours = laplace(design, time, event, Prior(cuts, -3.0))
    cox = fit_cox(design, time, event, ridge=1.0)
    np.testing.assert_allclose(ours.mean[:4], cox.log_hazard, atol=0.1 * cox.standard_error.min())
    np.testing.assert_allclose(ours.deviation[:4], cox.standard_error, rtol=0.02)


def test_without_covariates_and_a_flat_prior_the_mode_is_events_over_months():
    _, time, event = patients(200)
    prior = prior_of(time, event, rate_deviation=1e4)
    found = laplace(np.empty((200, 0)), time, event, prior)
    place = np.searchsorted(prior.cuts, time)
    events, months = np.bincount(place, weights=event), prior.exposure(time).sum(axis=0)
    np.testing.assert_allclose(found.mean, np.log(events / months), atol=1e-5)
    np.testing.assert_allclose(found.deviation, 1 / np.sqrt(events), rtol=1e-4)


def test_a_covariate_that_is_constant_keeps_its_prior():
    design, time, event = patients(200)
    found = laplace(np.column_stack([design, np.zeros(200)]), time, event, prior_of(time, event, ratio_deviation=0.7))
    assert found.mean[4] == pytest.approx(0, abs=1e-9)
    assert found.deviation[4] == pytest.approx(0.7)


def test_patients_taken_twice_halve_the_variance_under_a_flat_prior():
    design, time, event = patients(200)
    prior = prior_of(time, event, ratio_deviation=1e3, rate_deviation=1e3)
    once = laplace(design, time, event, prior)
    twice = laplace(*(np.concatenate([part, part]) for part in (design, time, event)), prior)
    np.testing.assert_allclose(twice.mean, once.mean, atol=1e-4)
    np.testing.assert_allclose(twice.covariance * 2, once.covariance, rtol=1e-3, atol=1e-6)


def test_exposure_sums_to_the_time_and_draws_have_the_moments():
    design, time, event = patients(300)
    prior = prior_of(time, event)
    np.testing.assert_allclose(prior.exposure(time).sum(axis=1), time)
    found = laplace(design, time, event, prior)
    draws = found.draws(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), found.mean, atol=5 * found.deviation.max() / np.sqrt(20_000))
    np.testing.assert_allclose(draws.std(axis=0), found.deviation, rtol=0.03)


def test_predicted_survival_follows_kaplan_meier():
    design, time, event = patients(1500)
    prior = prior_of(time, event)
    found = laplace(design, time, event, prior)
    grid = np.linspace(1, 60, 30)
    predicted = predict_survival(found, design, prior, grid, found.draws(100, np.random.default_rng(0)))
    assert (np.diff(predicted, axis=1) < 0).all()
    assert np.abs(predicted.mean(axis=0) - kaplan_meier(time, event).at(grid)).max() < 0.05


def test_predicted_survival_without_effects_is_exponential():
    prior = Prior(np.array([10.0]), -3.0)
    grid = np.array([2.0, 30.0])
    certain = Posterior(np.array([0.0, np.log(0.1), np.log(0.02)]), np.eye(3), 1)
    found = predict_survival(certain, np.ones((3, 1)), prior, grid, certain.mean[None, :])
    np.testing.assert_allclose(found, [[np.exp(-0.2), np.exp(-1 - 0.4)]])


def test_normal_overlap_equals_the_integral():
    rng = np.random.default_rng(0)
    m, k = rng.normal(size=(2, 8))
    s, r = rng.uniform(0.2, 2, size=(2, 8))

    def smaller(x, i):
        return min(norm.pdf(x, m[i], s[i]), norm.pdf(x, k[i], r[i]))

    expected = [quad(smaller, -15, 15, args=(i,), limit=400, points=[m[i], k[i]])[0] for i in range(8)]
    np.testing.assert_allclose(normal_overlap((m, s), (k, r)), expected, atol=1e-6)
    np.testing.assert_allclose(normal_overlap((k, r), (m, s)), expected, atol=1e-6)
    np.testing.assert_allclose(normal_overlap((m, s), (m, s)), 1)
    np.testing.assert_allclose(normal_overlap((m, s), (m + 2 * s, s)), 2 * norm.cdf(-1))
    assert normal_overlap((np.zeros(1), np.ones(1)), (np.full(1, 60.0), np.ones(1)))[0] < 1e-12
