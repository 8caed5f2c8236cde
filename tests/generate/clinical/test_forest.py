"""Sequential forests: our traversal is scikit-learn's, donors are training patients of the leaf."""

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from haemosynth.generate.clinical.forest import apply, donors, pack


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
    packed |= donors(packed, x, np.zeros((3, 120), dtype=bool))
    leaves = forest.apply(x) + packed["root"]
    for node in range(len(packed["feature"])):
        expected = np.flatnonzero((leaves == node).any(axis=1))
        found = packed["donor"][packed["donor_start"][node] : packed["donor_start"][node + 1]]
        np.testing.assert_array_equal(np.sort(found), expected)


def test_out_of_bag_donors_were_not_seen_by_their_tree():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(200, 4)), rng.normal(size=(200, 1))
    forest = RandomForestRegressor(5, min_samples_leaf=4, random_state=1).fit(x, y.ravel())
    packed = pack([tree.tree_ for tree in forest.estimators_])
    seen = np.zeros((5, 200), dtype=bool)
    for tree, patients in enumerate(forest.estimators_samples_):
        seen[tree, patients] = True
    packed |= donors(packed, x, seen)
    leaves = forest.apply(x).T + packed["root"][:, None]
    spared = 0
    for node in np.unique(leaves):
        tree, patients = np.nonzero(leaves == node)
        unseen = patients[~seen[tree[0], patients]]
        found = packed["donor"][packed["donor_start"][node] : packed["donor_start"][node + 1]]
        np.testing.assert_array_equal(np.sort(found), unseen if len(unseen) > 1 else patients)
        spared += len(unseen) > 1
    assert spared > 50
