"""The Nelson-Aalen estimator against lifelines, and what its two ways with ties have in common."""

import numpy as np
import pytest

from haemosynth.stats.hazards import estimate_hazard, read_hazard


@pytest.fixture
def tied():
    rng = np.random.default_rng(9)
    return rng.integers(1, 30, 200).astype(float), rng.integers(0, 2, 200).astype(float)


def test_tied_patients_together_equal_lifelines(tied):
    import lifelines

    other = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(*tied).cumulative_hazard_
    times, hazard = estimate_hazard(*tied, ties="together")
    assert np.allclose(hazard, other.iloc[:, 0].loc[times])


def test_without_ties_both_ways_are_one():
    rng = np.random.default_rng(4)
    time, event = rng.permutation(100.0 + np.arange(80)), rng.integers(0, 2, 80).astype(float)
    times, hazard = estimate_hazard(time, event, ties="in_turn")
    at = np.isin(times, time[event == 1])
    together = estimate_hazard(time, event, ties="together")
    assert np.array_equal(times[at], together[0])
    assert np.allclose(hazard[at], together[1])


def test_ties_in_turn_leave_fewer_at_risk(tied):
    # One after another, each of d deaths sees no more patients than all of them together; deaths first see the least.
    order = np.argsort(-tied[1], kind="stable")
    times, hazard = estimate_hazard(tied[0][order], tied[1][order], ties="in_turn")
    together = estimate_hazard(*tied, ties="together")
    last = np.searchsorted(times, together[0], side="right") - 1
    assert (hazard[last] >= together[1] - 1e-12).all()
    assert hazard[last][-1] > together[1][-1]


def test_a_hazard_is_read_as_a_step_function(tied):
    import lifelines

    times, hazard = estimate_hazard(*tied, ties="together")
    at = np.linspace(0, 40, 97)
    other = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(*tied).cumulative_hazard_at_times(at)
    assert np.allclose(read_hazard(times, hazard, at), other)
