"""Competing risks against lifelines, by hand, and against a simulated truth."""

import numpy as np
import pytest

from haemosynth.stats.competing_risks import (
    CENSORED,
    DEATH,
    EVENT,
    Course,
    aalen_johansen,
    find_states,
    incidence_distance,
    state_shares,
)
from haemosynth.stats.cox import kaplan_meier


@pytest.fixture(scope="module")
def patients():
    """500 patients: time, state (0 censored, 1 event, 2 death), no ties."""
    rng = np.random.default_rng(8)
    times = rng.exponential([20.0, 35.0, 30.0], size=(500, 3))
    return times.min(axis=1), np.array([EVENT, DEATH, CENSORED])[times.argmin(axis=1)]


def course(time, event, death_time, death):
    return Course(*(np.array(values, dtype=float) for values in (time, event, death_time, death)))


def test_cumulative_incidence_equals_lifelines(patients):
    lifelines = pytest.importorskip("lifelines")
    time, state = patients
    ours = aalen_johansen(time, state)
    for cause in (EVENT, DEATH):
        theirs = lifelines.AalenJohansenFitter(calculate_variance=False).fit(time, state, event_of_interest=cause)
        expected = theirs.cumulative_density_.iloc[:, 0].loc[ours.times]
        np.testing.assert_allclose(ours.incidence[cause - 1], expected, atol=1e-12)


def test_incidences_and_survival_sum_to_one_even_with_ties(patients):
    time, state = np.ceil(patients[0]), patients[1]
    ours = aalen_johansen(time, state)
    survival = kaplan_meier(time, (state > 0).astype(float)).survival
    np.testing.assert_allclose(ours.incidence.sum(axis=0) + survival, 1)
    assert (np.diff(ours.incidence, axis=1) >= 0).all()


def test_incidence_is_below_one_minus_kaplan_meier(patients):
    time, state = patients
    naive = 1 - kaplan_meier(time, (state == EVENT).astype(float)).survival
    assert (aalen_johansen(time, state).incidence[0] <= naive + 1e-12).all()


def test_distance_of_incidences_is_exact_for_two_jumps():
    first = aalen_johansen(np.full(4, 2.0), np.full(4, EVENT))
    second = aalen_johansen(np.full(4, 6.0), np.array([EVENT, EVENT, DEATH, DEATH]))
    # The event: 1 against 0 over four months, then 1 against 1/2; death: 0 against 1/2 over the last four.
    np.testing.assert_allclose(incidence_distance(first, second, 10), [(4 + 4 * 0.5) / 10, 4 * 0.5 / 10])
    assert not incidence_distance(first, first, 10).any()


def test_who_comes_first():
    # Relapse then death; death alone (the composite endpoint ends that day, and one that ends with death unseen);
    # alive and event-free; lost for the event before death; an event after death; an event at the last visit.
    found = course(
        [3, 9, 9, 5, 4, 12, 7], [1, 1, 0, 0, 0, 1, 1],
        [9, 9, 9, 5, 8, 10, 7], [1, 1, 1, 0, 1, 1, 0],
    )  # fmt: skip
    time, state = found.first()
    assert list(time) == [3, 9, 9, 5, 4, 10, 7]
    assert list(state) == [EVENT, DEATH, DEATH, CENSORED, CENSORED, DEATH, EVENT]


def test_transitions_count_events_and_time_at_risk():
    found = course([3, 9, 5], [1, 1, 0], [9, 9, 5], [1, 1, 0])
    events, months = found.transitions(end=100)
    assert list(events) == [1, 1, 1]
    assert list(months) == [17, 17, 6]
    events, months = found.transitions(end=6)
    assert list(events) == [1, 0, 0]
    assert list(months) == [3 + 6 + 5, 14, 3]


def test_states_without_censoring_are_counted():
    found = [course([2, 9, 5, 8], [1, 1, 1, 0], [9, 9, 30, 8], [1, 1, 1, 1])]
    code, weight = find_states(found, 8.5)
    assert list(code) == [1, 0, 1, 2]  # relapsed, untouched, relapsed, dead without
    np.testing.assert_allclose(weight, 1)
    np.testing.assert_allclose(state_shares(code, weight, 4), [0.25, 0.5, 0.25, 0])


def test_weights_undo_censoring():
    rng = np.random.default_rng(3)
    n = 40_000
    relapse, death, end = rng.exponential(20, n), rng.exponential(25, n), rng.uniform(5, 60, n)
    truth, _ = find_states([course(np.minimum(relapse, death), relapse < death, death, np.ones(n))], 24.0)
    last = np.minimum(death, end)
    seen = course(np.minimum(relapse, last), relapse < last, last, death <= end)
    code, weight = find_states([seen], 24.0)
    complete = np.bincount(truth, minlength=4) / n
    np.testing.assert_allclose(state_shares(code, weight, 4), complete, atol=0.01)
    naive = state_shares(code, np.ones(n), 4)
    assert np.abs(naive - complete).sum() > 5 * np.abs(state_shares(code, weight, 4) - complete).sum()
