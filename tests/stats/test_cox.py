"""Survival numerics against lifelines, and their limits."""

import numpy as np
import pandas as pd
import pytest

from haemosynth.stats.cox import (
    CoxModel,
    concordance,
    curve_distance,
    fit_cox,
    hazard_trends,
    kaplan_meier,
    log_rank,
    steps_shown,
)
from haemosynth.stats.prognosis import calibration_slope, dynamic_auc, integrated_brier, predict_survival


@pytest.fixture(scope="module")
def patients():
    """400 patients, many tied times, a rare carrier; effects 0.5 and 1."""
    rng = np.random.default_rng(3)
    covariates = rng.normal(size=(400, 5))
    covariates[:, 4] = covariates[:, 4] > 1.2
    time = np.ceil(rng.exponential(10 * np.exp(-0.5 * covariates[:, 0] - covariates[:, 4])))
    event = (rng.random(400) < 0.6).astype(float)
    return covariates, time, event


def test_cox_equals_lifelines_with_ties(patients):
    lifelines = pytest.importorskip("lifelines")
    covariates, time, event = patients
    theirs = lifelines.CoxPHFitter().fit(pd.DataFrame(covariates).assign(t=time, e=event), "t", "e")
    ours = fit_cox(covariates, time, event)
    assert len(np.unique(time)) < 60
    np.testing.assert_allclose(ours.log_hazard, theirs.params_, atol=1e-5)
    np.testing.assert_allclose(ours.standard_error, theirs.standard_errors_, atol=1e-5)


def test_cox_recovers_the_hazards_it_was_simulated_with():
    rng = np.random.default_rng(0)
    truth = np.array([0.8, -0.5, 0.0])
    covariates = rng.normal(size=(5000, 3))
    time, censored = rng.exponential(np.exp(-covariates @ truth)), rng.exponential(2, 5000)
    model = fit_cox(covariates, np.minimum(time, censored), (time <= censored).astype(float))
    assert np.all(np.abs(model.log_hazard - truth) < 4 * model.standard_error)
    assert np.all(model.standard_error < 0.03)


def test_ridge_keeps_a_separated_carrier_finite_and_shrinks_to_nothing(patients):
    covariates, time, event = patients
    carrier = np.zeros(len(time))
    carrier[np.flatnonzero(event == 0)[:8]] = 1  # no carrier has the event
    separated = np.column_stack([covariates, carrier])
    model = fit_cox(separated, time, event, ridge=1.0)
    assert -4 < model.log_hazard[-1] < 0
    assert np.abs(fit_cox(separated, time, event, ridge=1e8).log_hazard).max() < 1e-4


def test_cox_without_an_event_is_refused(patients):
    covariates, time, event = patients
    with pytest.raises(ValueError, match="needs an event"):
        fit_cox(covariates, time, 0 * event)


def test_a_constant_covariate_has_no_effect_and_the_prior_as_its_error(patients):
    covariates, time, event = patients
    model = fit_cox(np.column_stack([covariates, np.zeros(len(time))]), time, event, ridge=4.0)
    assert model.log_hazard[-1] == 0
    assert model.standard_error[-1] == pytest.approx(0.5)


def test_concordance_equals_lifelines_with_ties_in_time_and_risk(patients):
    utils = pytest.importorskip("lifelines.utils")
    covariates, time, event = patients
    for risk in (covariates[:, 0], np.round(covariates[:, 0]), covariates[:, 4]):
        assert concordance(risk, time, event) == pytest.approx(utils.concordance_index(time, -risk, event), abs=1e-12)


def test_concordance_limits(patients):
    _, time, _ = patients
    event = np.ones(len(time))
    assert concordance(-time, time, event) == 1
    assert concordance(time, time, event) == 0
    assert concordance(np.zeros(len(time)), time, event) == 0.5
    assert np.isnan(concordance(time, time, 0 * event))


def test_kaplan_meier_band_and_restricted_mean_equal_lifelines(patients):
    lifelines = pytest.importorskip("lifelines")
    utils = pytest.importorskip("lifelines.utils")
    _, time, event = patients
    theirs, ours = lifelines.KaplanMeierFitter().fit(time, event), kaplan_meier(time, event)
    np.testing.assert_allclose(ours.survival, theirs.survival_function_at_times(ours.times), atol=1e-12)
    inside = ours.survival > 0
    interval = theirs.confidence_interval_.loc[ours.times[inside]]
    np.testing.assert_allclose(np.column_stack(ours.band())[inside], interval, atol=1e-12)
    for horizon in (0.5, 7.0, 12.3):
        assert ours.mean_until(horizon) == pytest.approx(
            utils.restricted_mean_survival_time(theirs, horizon), abs=1e-10
        )
    table = theirs.event_table.iloc[1:]
    np.testing.assert_array_equal(ours.at_risk, table["at_risk"])


def test_without_censoring_survival_is_the_share_alive_and_the_mean_the_mean():
    time = np.array([2.0, 4.0, 6.0, 8.0])
    curve = kaplan_meier(time, np.ones(4))
    np.testing.assert_allclose(curve.at(np.array([0, 2, 5, 9])), [1, 0.75, 0.5, 0])
    assert curve.mean_until(8) == pytest.approx(time.mean())


def test_curve_distance_is_a_distance_and_exact_for_shifted_deaths():
    early, late = kaplan_meier(np.full(5, 2.0), np.ones(5)), kaplan_meier(np.full(5, 6.0), np.ones(5))
    assert curve_distance(early, early, 10) == 0
    assert curve_distance(early, late, 10) == curve_distance(late, early, 10) == pytest.approx(0.4)


def test_integrated_brier_without_censoring_is_the_mean_squared_error(patients):
    _, time, _ = patients
    grid = np.linspace(1, 20, 20)
    predicted = np.random.default_rng(0).random((len(time), 20))
    alive = time[:, None] > grid
    found = integrated_brier(predicted, grid, time, np.ones(len(time)))
    assert found == pytest.approx(((alive - predicted) ** 2).mean())
    assert integrated_brier(alive.astype(float), grid, time, np.ones(len(time))) == 0


def test_predicted_survival_without_effects_is_exp_of_nelson_aalen(patients):
    covariates, time, event = patients
    null = CoxModel(np.zeros(5), np.eye(5), 0)
    grid = np.array([1.0, 5.0, 12.0])
    curve = kaplan_meier(time, event)
    hazard = np.array([(curve.events / curve.at_risk)[curve.times <= t].sum() for t in grid])
    found = predict_survival(null, covariates, time, event, covariates[:7], grid)
    np.testing.assert_allclose(found, np.tile(np.exp(-hazard), (7, 1)))


def test_predicted_survival_equals_lifelines(patients):
    lifelines = pytest.importorskip("lifelines")
    covariates, time, event = patients
    time = time + np.random.default_rng(1).random(len(time)) * 0.1  # without ties all baselines agree
    theirs = lifelines.CoxPHFitter().fit(pd.DataFrame(covariates).assign(t=time, e=event), "t", "e")
    model, grid = fit_cox(covariates, time, event), np.sort(time)[[20, 150, 330]]  # between times theirs interpolates
    ours = predict_survival(model, covariates, time, event, covariates[:9], grid)
    np.testing.assert_allclose(ours, theirs.predict_survival_function(covariates[:9], times=grid).T, atol=1e-5)


def test_log_rank_equals_lifelines_and_its_effect_is_the_hazard_ratio(patients):
    statistics = pytest.importorskip("lifelines.statistics")
    covariates, time, event = patients
    group = covariates[:, 4]
    excess, variance = log_rank(time, event, group)
    theirs = statistics.logrank_test(time[group == 1], time[group == 0], event[group == 1], event[group == 0])
    assert excess**2 / variance == pytest.approx(theirs.test_statistic)
    cox = fit_cox(group[:, None], time, event)
    assert excess / variance == pytest.approx(cox.log_hazard[0], abs=2 * cox.standard_error[0])


def test_log_rank_by_hand():
    # At 1 one of two dies (the member, expected 1/2, variance 1/4); at 2 the last dies, which tells nothing.
    assert log_rank(np.array([1.0, 2.0]), np.ones(2), np.array([1.0, 0.0])) == (0.5, 0.25)


def test_hazard_trends_equal_the_test_of_lifelines(patients):
    lifelines = pytest.importorskip("lifelines")
    statistics = pytest.importorskip("lifelines.statistics")
    covariates, time, event = patients
    time = time + np.random.default_rng(1).random(len(time)) * 0.1
    frame = pd.DataFrame(covariates).assign(t=time, e=event)
    theirs = lifelines.CoxPHFitter().fit(frame, "t", "e")
    test = statistics.proportional_hazard_test(theirs, frame, time_transform="rank")
    z = hazard_trends(fit_cox(covariates, time, event), covariates, time, event)
    np.testing.assert_allclose(z**2, test.test_statistic, rtol=2e-3)


def test_hazard_trends_find_the_effect_that_fades():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4000, 2))
    early = rng.exponential(np.exp(-x[:, 0]))  # the first covariate acts until 0.5 alone, the second all the time
    time = np.where(early < 0.5, early, 0.5 + rng.exponential(1, 4000))
    time = np.minimum(time, rng.exponential(np.exp(-x[:, 1])))
    z = hazard_trends(fit_cox(x, time, np.ones(4000)), x, time, np.ones(4000))
    assert z[0] < -6


def test_dynamic_area_without_censoring_is_the_area_under_the_roc_curve(patients):
    metrics = pytest.importorskip("sklearn.metrics")
    covariates, time, _ = patients
    for risk in (covariates[:, 0], np.round(covariates[:, 0])):
        for horizon in (3.0, 8.5):
            expected = metrics.roc_auc_score(time <= horizon, risk)
            assert dynamic_auc(risk, time, np.ones(len(time)), horizon) == pytest.approx(expected)


def test_dynamic_area_equals_the_sum_over_all_pairs(patients):
    covariates, time, event = patients
    risk, horizon = np.round(covariates[:, 0], 1), 9.0
    censoring = kaplan_meier(time, 1 - event)
    above = below = 0.0
    for i in np.flatnonzero((time <= horizon) & (event == 1)):
        kept = censoring.survival[censoring.times < time[i]]
        weight = 1 / (kept[-1] if len(kept) else 1.0) / censoring.at(np.array([horizon]))[0]
        for j in np.flatnonzero(time > horizon):
            above += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
            below += weight
    assert dynamic_auc(risk, time, event, horizon) == pytest.approx(above / below)


def test_dynamic_area_forgets_censoring_on_average():
    rng = np.random.default_rng(2)
    risk = rng.normal(size=20_000)
    death, censored = rng.exponential(np.exp(-risk)), rng.exponential(1.5, 20_000)
    full = dynamic_auc(risk, death, np.ones(20_000), 0.7)
    assert dynamic_auc(risk, np.minimum(death, censored), (death <= censored) * 1.0, 0.7) == pytest.approx(
        full, abs=0.01
    )
    assert np.isnan(dynamic_auc(risk, death, np.ones(20_000), 1e9))


def test_calibration_slope_undoes_a_stretched_predictor():
    rng = np.random.default_rng(4)
    risk = rng.normal(size=5000)
    time = rng.exponential(np.exp(-risk))
    event = np.ones(5000)
    slope = calibration_slope(risk, time, event)
    assert slope == pytest.approx(1, abs=0.06)
    assert calibration_slope(3 * risk, time, event) == pytest.approx(slope / 3)
    assert calibration_slope(-risk, time, event) == pytest.approx(-slope)
    assert np.isnan(calibration_slope(0 * risk, time, event))


def test_a_published_step_holds_at_least_that_many_patients(patients):
    _, time, event = patients
    curve = kaplan_meier(time, event)
    mean, ends = steps_shown(curve.times, curve.at_risk, 5, 40.0)
    counts = np.bincount(np.searchsorted(ends, np.searchsorted(curve.times, time)), minlength=len(ends))[: len(ends)]
    assert (counts[:-1] >= 5).all()
    assert (curve.at_risk[ends] >= 5).all()
    assert len(mean) == len(ends)
    assert (np.diff(mean) > 0).all()
    assert not len(steps_shown(curve.times, curve.at_risk, 5000, 40.0)[0])
