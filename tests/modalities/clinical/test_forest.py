"""Sequential forests: our traversal is scikit-learn's, donors are training patients of the leaf."""

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from haemosynth.modalities.clinical.generators.forest import apply, donors, pack


def test_traversal_equals_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 6)), rng.normal(size=(300, 3))
    forest = RandomForestRegressor(7, min_samples_leaf=4, random_state=1).fit(x, y)
    packed = pack([tree.tree_ for tree in forest.estimators_])
    new = rng.normal(size=(500, 6))
    expected = forest.apply(new)
    for tree in range(7):
        ours = apply(packed, new, np.full(500, tree)) - packed["root"][tree]
        np.testing.assert_array_equal(ours, expected[:, tree])


def test_donors_are_the_training_patients_of_each_leaf():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(120, 4)), rng.normal(size=(120, 1))
    forest = RandomForestRegressor(3, min_samples_leaf=5, random_state=1).fit(x, y.ravel())
    packed = pack([tree.tree_ for tree in forest.estimators_])
    packed |= donors(packed, x)
    leaves = forest.apply(x) + packed["root"]
    for node in range(len(packed["feature"])):
        expected = np.flatnonzero((leaves == node).any(axis=1))
        found = packed["donor"][packed["donor_start"][node] : packed["donor_start"][node + 1]]
        np.testing.assert_array_equal(np.sort(found), expected)
