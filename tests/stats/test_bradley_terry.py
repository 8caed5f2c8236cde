"""Abilities are those of statsmodels and of the planted model; what cannot be ranked is said to be so."""

import numpy as np
import pytest
from scipy.special import expit

from haemosynth.stats.bradley_terry import fit_bradley_terry


def results(ability, games, seed):
    """wins of a Bradley-Terry tournament: `games` of every pair."""
    rng = np.random.default_rng(seed)
    chance = expit(ability[:, None] - ability)
    upper = np.triu(rng.binomial(games, chance), 1)
    return (upper + np.tril(games - upper.T, -1)).astype(float)


def test_newton_equals_the_binomial_regression_without_intercept():
    from statsmodels.api import GLM, families

    wins = results(np.linspace(-1.5, 1.5, 8), 6, 1) + 0.5
    fit = fit_bradley_terry(wins, 1e-9)
    first, second = np.triu_indices(8, 1)
    design = np.zeros((len(first), 8))
    design[np.arange(len(first)), first] = 1
    design[np.arange(len(first)), second] = -1
    counts = np.column_stack([wins[first, second], wins[second, first]])
    peer = GLM(counts, design[:, 1:], family=families.Binomial()).fit()  # the first item has ability 0
    np.testing.assert_allclose(fit.difference[1:, 0], peer.params, atol=1e-6)
    np.testing.assert_allclose(fit.difference_error[1:, 0], peer.bse, rtol=1e-4)


def test_the_ridge_is_a_normal_prior():
    from scipy.optimize import minimize

    wins = results(np.array([2.0, 0.0, -1.0]), 3, 2)
    ridge = 0.7

    def loss(ability):
        log_chance = -np.log1p(np.exp(ability - ability[:, None]))
        return -(wins * log_chance).sum() + ridge / 2 * ability @ ability

    np.testing.assert_allclose(fit_bradley_terry(wins, ridge).ability, minimize(loss, np.zeros(3)).x, atol=1e-4)


def test_intervals_hold_the_planted_differences():
    truth = np.linspace(-1, 1, 6)
    upper = np.triu_indices(6, 1)
    inside = []
    for seed in range(60):
        fit = fit_bradley_terry(results(truth, 20, seed), 1e-6)
        gap = np.abs(fit.difference - (truth[:, None] - truth))
        inside.append((gap <= 1.96 * fit.difference_error)[upper].mean())
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_a_gene_that_never_loses_is_finite_and_a_smaller_ridge_puts_it_higher():
    wins = np.array([[0, 5, 4], [0, 0, 3], [0, 2, 0]], dtype=float)
    strong, weak = (fit_bradley_terry(wins, ridge) for ridge in (1.0, 0.01))
    assert 0 < strong.ability[0] < weak.ability[0] < 20
    assert np.isfinite(weak.error).all()
    assert weak.error[0] > weak.error[2]


def test_turned_results_turn_the_order():
    wins = results(np.linspace(-1, 1, 5), 4, 3)
    there, back = fit_bradley_terry(wins, 0.1), fit_bradley_terry(wins.T, 0.1)
    np.testing.assert_allclose(there.ability, -back.ability, atol=1e-8)
    np.testing.assert_allclose(there.error, back.error, atol=1e-8)


def test_unlinked_items_are_not_ranked_against_each_other():
    wins = np.zeros((5, 5))
    wins[:2, :2] = results(np.array([1.0, -1.0]), 10, 4)
    wins[2:4, 2:4] = results(np.array([3.0, 0.0]), 10, 5)
    fit = fit_bradley_terry(wins, 0.1)
    expected = np.zeros((5, 5), dtype=bool)
    expected[:2, :2] = expected[2:4, 2:4] = expected[4, 4] = True
    np.testing.assert_array_equal(fit.linked, expected)
    for part in ([0, 1], [2, 3], [4]):
        assert fit.ability[part].sum() == pytest.approx(0, abs=1e-10)
        alone = fit_bradley_terry(wins[np.ix_(part, part)], 0.1)
        np.testing.assert_allclose(fit.ability[part], alone.ability, atol=1e-8)
        np.testing.assert_allclose(fit.error[part], alone.error, atol=1e-8)


def test_nobody_is_ranked_where_nobody_came():
    assert len(fit_bradley_terry(np.zeros((0, 0)), 0.1).ability) == 0
    np.testing.assert_array_equal(fit_bradley_terry(np.zeros((3, 3)), 0.1).ability, 0)
    with pytest.raises(ValueError, match="ridge"):
        fit_bradley_terry(np.ones((2, 2)), 0.0)
