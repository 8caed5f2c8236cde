"""Gradient boosted trees: parity with scikit-learn's histogram boosting, and what follows from their definition."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from haemosynth.stats.boosting import BINS, fit_boosted_trees
from haemosynth.stats.ranking import auc

SETTINGS = {"trees": 40, "leaves": 8, "learning_rate": 0.1, "min_leaf": 15}


def patients(rng, count, missing=0.15):
    """Two measurements, two rounded ones, two nominal columns, six sparse alterations; the answer hangs on four."""
    levels = rng.integers(0, 6, size=(count, 2)).astype(float)
    points = np.hstack([rng.normal(size=(count, 2)), rng.normal(size=(count, 2)).round(1), levels])
    points = np.hstack([points, rng.random((count, 6)) < 0.15])
    sum_of = points[:, 0] + np.abs(points[:, 2]) + (points[:, 4] % 3 == 1) + 2 * points[:, -1]
    answer = (sum_of + rng.normal(size=count) > 1.5).astype(float)
    points[rng.random(points.shape) < missing] = np.nan
    nominal = np.zeros(points.shape[1], dtype=bool)
    nominal[4:6] = True
    return points, answer, nominal


def probability_of_scikit_learn(points, answer, nominal, asked, weight=None, **settings):
    settings = {**SETTINGS, **settings}
    model = HistGradientBoostingClassifier(
        max_iter=settings["trees"],
        max_leaf_nodes=settings["leaves"],
        learning_rate=settings["learning_rate"],
        min_samples_leaf=settings["min_leaf"],
        categorical_features=nominal,
        early_stopping=False,
    )
    return model.fit(points, answer, sample_weight=weight).predict_proba(asked)[:, 1]


@pytest.mark.parametrize(
    ("count", "missing", "leaves", "fewest"), [(60, 0.3, 8, 5), (300, 0, 8, 15), (300, 0.15, 31, 3), (900, 0.15, 4, 40)]
)
def test_probabilities_are_those_of_scikit_learn(count, missing, leaves, fewest):
    rng = np.random.default_rng(count + leaves)
    points, answer, nominal = patients(rng, count, missing)
    asked, real, _ = patients(rng, 400, 0.2)  # also where nothing was missing before
    settings = {**SETTINGS, "leaves": leaves, "min_leaf": fewest}
    ours = fit_boosted_trees(points, answer, nominal, **settings).probability(asked)
    theirs = probability_of_scikit_learn(points, answer, nominal, asked, **settings)
    assert auc(real, ours) == pytest.approx(auc(real, theirs), abs=0.002)
    # Where two splits gain the same, rounding decides between them.
    assert np.quantile(np.abs(ours - theirs), 0.95) < 1e-6


def test_weights_and_more_values_than_bins_as_in_scikit_learn():
    rng = np.random.default_rng(2)
    points, answer, nominal = patients(rng, 1200, 0.05)
    assert len(np.unique(points[:, 0])) > 4 * BINS
    weight = rng.gamma(2.0, size=len(answer))
    ours = fit_boosted_trees(points, answer, nominal, weight=weight, **SETTINGS).probability(points)
    theirs = probability_of_scikit_learn(points, answer, nominal, points, weight)
    assert np.quantile(np.abs(ours - theirs), 0.95) < 1e-6
    unweighted = fit_boosted_trees(points, answer, nominal, **SETTINGS).probability(points)
    assert np.abs(unweighted - ours).max() > 0.01


def test_one_tree_of_two_leaves_by_hand():
    """A step from the mean of 1/2 is minus the sum of (1/2 - answer) over a quarter of the rows: 2 or -2."""
    points = np.array([[0.0], [1.0], [2.0], [3.0], [np.nan], [np.nan]])
    answer = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    model = fit_boosted_trees(points, answer, np.array([False]), trees=1, leaves=2, learning_rate=0.5, min_leaf=1)
    # Missing values gain as much on the right, -(0.5 - 3 * 0.5) / (4 / 4) = 1, as on the left, and stay there.
    log_odds = np.log(model.probability(points) / (1 - model.probability(points)))
    assert log_odds == pytest.approx([-1, -1, 0.5, 0.5, 0.5, 0.5])
    assert model.probability(np.array([[1.49], [1.51]])) == pytest.approx(model.probability(points)[[1, 2]])


def test_more_trees_fit_the_learned_rows_better_and_small_leaves_are_not_made():
    points, answer, nominal = patients(np.random.default_rng(3), 200)

    def loss(**settings):
        p = fit_boosted_trees(points, answer, nominal, **{**SETTINGS, **settings}).probability(points)
        return -np.mean(answer * np.log(p) + (1 - answer) * np.log(1 - p))

    losses = [loss(trees=trees) for trees in (1, 5, 20, 80)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1] + 0.1
    alone = fit_boosted_trees(points, answer, nominal, **{**SETTINGS, "min_leaf": 101}).probability(points)
    assert alone == pytest.approx(answer.mean())


def test_neither_the_order_of_the_rows_nor_a_monotone_scale_matters():
    rng = np.random.default_rng(4)
    points, answer, nominal = patients(rng, 250)
    before = fit_boosted_trees(points, answer, nominal, **SETTINGS).probability(points)
    order = rng.permutation(len(points))
    shuffled = fit_boosted_trees(points[order], answer[order], nominal, **SETTINGS).probability(points)
    assert np.array_equal(before, shuffled)  # to the last bit: sums are exact
    scaled = np.where(nominal, points, np.exp(points))
    assert np.array_equal(before, fit_boosted_trees(scaled, answer, nominal, **SETTINGS).probability(scaled))


def test_an_unknown_level_counts_as_missing_and_a_column_without_values_is_passed_over():
    points, answer, nominal = patients(np.random.default_rng(5), 300)
    points = np.column_stack([points, np.full(len(points), np.nan), np.ones(len(points))])
    kinds = np.append(nominal, [True, False])
    model = fit_boosted_trees(points, answer, kinds, **SETTINGS)
    assert np.array_equal(model.probability(points), fit_boosted_trees(points[:, :-2], answer, nominal, **SETTINGS)
                          .probability(points[:, :-2]))  # fmt: skip
    unknown, missing = points.copy(), points.copy()
    unknown[:, 4], missing[:, 4] = 17.0, np.nan
    assert np.array_equal(model.probability(unknown), model.probability(missing))


def test_a_nominal_column_of_too_many_levels_is_refused():
    points = np.arange(BINS + 1.0)[:, None]
    with pytest.raises(ValueError, match="more than 255 levels"):
        fit_boosted_trees(points, np.tile([0.0, 1.0], 128), np.array([True]), **SETTINGS)
