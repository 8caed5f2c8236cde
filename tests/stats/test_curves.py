"""Survival by lifelines: equal to the faster estimators of resamples, exact in its limits, and no patient alone."""

import numpy as np
import pytest

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import new_figure
from haemosynth.stats.competing_risks import DEATH, EVENT, aalen_johansen
from haemosynth.stats.cox import concordance, kaplan_meier, log_rank
from haemosynth.stats.curves import (
    draw_at_risk,
    draw_curves,
    format_p,
    incidence_curve,
    numbers_at_risk,
    survival_curve,
)
from haemosynth.stats.estimates import c_index, estimate_incidence, estimate_survival, log_rank_p, restricted_mean


@pytest.fixture(scope="module", params=["distinct", "tied"])
def patients(request):
    """300 patients: time and what ended follow-up (0 censored, 1 event, 2 death)."""
    rng = np.random.default_rng(4)
    time, state = rng.exponential(20, 300), rng.integers(0, 3, 300)
    return np.ceil(time) if request.param == "tied" else time, state


def test_survival_and_restricted_means_are_those_of_resamples(patients):
    time, event = patients[0], (patients[1] == EVENT).astype(float)
    slow, fast = estimate_survival(time, event), kaplan_meier(time, event)
    for part in ("times", "survival", "at_risk", "events"):
        np.testing.assert_allclose(getattr(slow, part), getattr(fast, part), atol=1e-12)
    horizons = [0.5, 12.0, 30.0, 1000.0]
    means = [fast.mean_until(horizon) for horizon in horizons]
    np.testing.assert_allclose(restricted_mean(time, event, horizons), means, rtol=1e-12)


def test_a_band_holds_the_curve_and_is_that_of_greenwood(patients):
    time, event = patients[0], (patients[1] > 0).astype(float)
    curve, fast = survival_curve(time, event), kaplan_meier(time, event)
    np.testing.assert_allclose(np.stack([curve.low, curve.high]), fast.band(), atol=1e-12)
    assert ((curve.low <= curve.estimate) & (curve.estimate <= curve.high)).all()
    assert (curve.patients, curve.events, curve.start) == (300, event.sum(), 1)


def test_incidence_of_tied_causes_is_exact_and_draws_no_random_number(patients):
    time, state = patients
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - of the library that is asked
    slow, fast = estimate_incidence(time, state), aalen_johansen(time, state)
    np.testing.assert_allclose(slow.incidence, fast.incidence, atol=1e-12)
    np.testing.assert_array_equal(slow.at_risk, fast.at_risk)
    for cause in (EVENT, DEATH):
        curve = incidence_curve(time, state, cause)
        np.testing.assert_allclose(curve.estimate, fast.incidence[cause - 1], atol=1e-12)
        np.testing.assert_array_equal(curve.at_risk, fast.at_risk)
        np.testing.assert_array_equal(curve.times, fast.times)
        assert ((curve.low <= curve.estimate) & (curve.estimate <= curve.high)).all()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_the_band_of_a_single_cause_without_censoring_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, inside = 1 - np.exp(-1), []
    for _ in range(100):
        curve = incidence_curve(rng.exponential(1, 60), np.ones(60, dtype=int), EVENT)
        last = np.searchsorted(curve.times, 1.0, side="right") - 1
        inside.append(curve.low[last] <= truth <= curve.high[last])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.06)


def test_without_censoring_survival_is_one_minus_the_empirical_distribution():
    time = np.random.default_rng(1).exponential(1, 50)
    curve = survival_curve(time, np.ones(50))
    np.testing.assert_allclose(curve.estimate, 1 - np.arange(1, 51) / 50, atol=1e-12)
    np.testing.assert_allclose(incidence_curve(time, np.ones(50, dtype=int), EVENT).estimate, np.arange(1, 51) / 50)
    assert restricted_mean(time, np.ones(50), [time.max()])[0] == pytest.approx(time.mean(), rel=1e-12)


def test_the_restricted_mean_of_an_exponential_is_known_and_censoring_does_not_move_it():
    rng = np.random.default_rng(2)
    death, lost = rng.exponential(10, 20_000), rng.exponential(15, 20_000)
    for horizon, found in zip(
        (5.0, 20.0), restricted_mean(np.minimum(death, lost), (death <= lost) * 1.0, [5.0, 20.0]), strict=True
    ):
        assert found == pytest.approx(10 * (1 - np.exp(-horizon / 10)), rel=0.01)


def test_everybody_is_at_risk_at_first_and_nobody_after_the_last(patients):
    time, state = patients
    for curve in (survival_curve(time, (state > 0) * 1.0), incidence_curve(time, state, DEATH)):
        ticks = [0.0, 5.0, 12.5, time.max(), time.max() + 1]
        found = numbers_at_risk(curve, ticks)
        assert found == [(time >= tick).sum() for tick in ticks]
        assert found[0] == len(time)
        assert found[-1] == 0


def test_counts_below_five_are_not_told_and_no_step_is_one_patients(patients):
    time, state = patients
    _, (axis, table) = new_figure(4, 4, nrows=2)
    curves = [("some", "black", survival_curve(time, (state > 0) * 1.0))]
    draw_curves(axis, curves, float(np.sort(time)[-2]))
    draw_at_risk(table, axis, curves)
    steps = axis.lines[0].get_xdata()
    assert len(steps) <= len(time) / MIN_CELL_COUNT + 1
    ticks = [tick for tick in axis.get_xticks() if 0 <= tick <= axis.get_xlim()[1]]
    at_risk = [(time >= tick).sum() for tick in ticks]
    assert 0 < min(at_risk) < MIN_CELL_COUNT
    expected = [str(n) if n >= MIN_CELL_COUNT else f"<{MIN_CELL_COUNT}" for n in at_risk]
    assert [text.get_text() for text in table.texts] == ["patients at risk", *expected]


def test_the_test_of_two_groups_is_the_log_rank_test_of_resamples(patients):
    from scipy.stats import chi2

    time, event = patients[0], (patients[1] == EVENT).astype(float)
    group = (np.arange(300) % 3 == 0).astype(float)
    excess, variance = log_rank(time, event, group)
    found = log_rank_p([(time[group == k], event[group == k]) for k in (0, 1)])
    assert found == pytest.approx(chi2.sf(excess**2 / variance, 1), rel=1e-6)
    assert np.isnan(log_rank_p([(time, 0 * event), (time, 0 * event)]))


def test_groups_of_one_survival_are_told_apart_as_often_as_chance_has_it():
    rng = np.random.default_rng(7)
    same = [log_rank_p([(rng.exponential(1, 40), np.ones(40)) for _ in range(3)]) for _ in range(100)]
    assert np.mean(np.array(same) < 0.05) < 0.13
    assert log_rank_p([(rng.exponential(mean, 80), np.ones(80)) for mean in (1, 2, 4)]) < 1e-4
    assert format_p(0.00001) == "p < 0.001"
    assert format_p(0.0312) == "p = 0.031"


def test_the_c_index_is_that_of_resamples(patients):
    time, event = patients[0], (patients[1] == DEATH).astype(float)
    rng = np.random.default_rng(5)
    for risk in (rng.normal(size=300), np.round(rng.normal(size=300)), np.zeros(300)):
        assert c_index(risk, time, event) == pytest.approx(concordance(risk, time, event), abs=1e-12)
    assert np.isnan(c_index(time, time, 0 * event))
