"""Combining rules: widened intervals cover what they say, and those that take synthetic patients for real ones not."""

import numpy as np
import pytest

from haemosynth.stats.combining import naive_coverage, partially_synthetic, pool_completed, widen_variance

N, K, SETS = 200, 600, 3


@pytest.fixture(scope="module")
def simulated():
    """Means of synthetic patients: drawn from a normal distribution whose mean and spread n real ones told."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(4000, N))
    mean, spread = real.mean(axis=1), real.std(axis=1, ddof=1)
    made = mean[:, None] + spread[:, None] * rng.normal(size=(4000, K))
    return made


def covers(estimate, variance):
    return (np.abs(estimate) <= 1.959964 * np.sqrt(variance)).mean()


def test_intervals_that_take_synthetic_patients_for_real_ones_cover_two_thirds(simulated):
    found = covers(simulated.mean(axis=1), simulated.var(axis=1, ddof=1) / K)
    assert found == pytest.approx(naive_coverage(K, N), abs=0.02)
    assert naive_coverage(3 * N, N) == pytest.approx(0.673, abs=0.001)
    assert 0.63 < naive_coverage(int(3.13 * 944), 944) < 0.67  # the published numbers


def test_corrected_intervals_cover_what_they_say(simulated):
    variance = widen_variance(simulated.var(axis=1, ddof=1) / K, K, N)
    assert covers(simulated.mean(axis=1), variance) == pytest.approx(0.95, abs=0.015)
    sets = simulated.reshape(-1, SETS, N)
    estimate, variance = partially_synthetic(sets.mean(axis=2).T, (sets.var(axis=2, ddof=1) / N).T)
    assert covers(estimate, variance) == pytest.approx(0.95, abs=0.03)


def test_more_synthetic_patients_do_not_narrow_an_interval_below_that_of_the_real_ones():
    of_one = 1.0
    widths = [widen_variance(of_one / k, k, 100) for k in (100, 1000, 10**6)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(of_one / 100, rel=1e-3)
    with pytest.raises(ValueError, match="two synthetic"):
        partially_synthetic([[1.0]], [[1.0]])


def test_rubins_rules_known_answer():
    # W = 2, B = 1, m = 3: T = 2 + (4/3) 1
    estimate, variance = pool_completed([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert estimate == pytest.approx(2)
    assert variance == pytest.approx(2 + 4 / 3)
    many, spread = pool_completed(np.ones((4, 2)), np.full((4, 2), 0.5))
    assert many.tolist() == [1, 1]
    assert spread.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="at least two"):
        pool_completed([1.0], [1.0])
