"""Out-of-bag votes of extremely randomised trees: parity with scikit-learn's, and what they must not know."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from haemosynth.stats.ranking import auc
from haemosynth.stats.trees import out_of_bag_votes


def patients(rng, count=300):
    """Twelve numbers and eight sparse alterations; the answer hangs on one of each."""
    points = np.hstack([rng.normal(size=(count, 12)), rng.random((count, 8)) < 0.1])
    return points, (points[:, 0] + 2 * points[:, 12] + rng.normal(size=count) > 0).astype(float)


def votes_of_scikit_learn(points, answer, trees, seed, leaf):
    model = ExtraTreesClassifier(trees, bootstrap=True, oob_score=True, random_state=seed, min_samples_leaf=leaf)
    return model.fit(points, answer).oob_decision_function_[:, 1]


@pytest.mark.parametrize("leaf", [1, 3])
def test_votes_are_those_of_scikit_learn_but_for_the_luck_of_the_trees(leaf):
    points, answer = patients(np.random.default_rng(1))
    ours = out_of_bag_votes(points, answer, 3000, np.random.default_rng(2), min_samples_leaf=leaf)
    theirs = [votes_of_scikit_learn(points, answer, 1000, seed, leaf) for seed in (3, 4)]
    # A vote is a mean over some 1,100 (370) trees: no farther from theirs than their own from each other's.
    between = np.sqrt(np.mean((theirs[0] - theirs[1]) ** 2))
    assert np.sqrt(np.mean((ours - np.mean(theirs, axis=0)) ** 2)) < between
    assert abs(ours.mean() - np.mean(theirs)) < between / 5
    assert ours.std() == pytest.approx(np.mean(theirs, axis=0).std(), rel=0.03)


def test_no_patient_votes_for_himself():
    rng = np.random.default_rng(5)
    areas = [
        auc(answer, out_of_bag_votes(rng.normal(size=(200, 6)), answer, 60, rng))
        for answer in (rng.permutation(np.repeat([0.0, 1.0], 100)) for _ in range(60))
    ]
    # Nothing to learn: in-bag votes would reach 1. A bag without a patient holds a little more of the other answer.
    assert np.mean(areas) < 0.5
    assert np.mean(areas) > 0.4


def test_what_decides_is_found_and_leaves_are_no_smaller_than_asked():
    rng = np.random.default_rng(6)
    answer = np.repeat([0.0, 1.0], 50)
    told = np.column_stack([answer, np.zeros((100, 3))])
    assert auc(answer, out_of_bag_votes(told, answer, 50, rng)) == 1  # constant columns are passed over
    alone = out_of_bag_votes(told, answer, 50, rng, min_samples_leaf=60)
    assert np.ptp(alone) < 0.3  # no split leaves sixty on both sides: every tree votes its own share


def test_the_same_stream_gives_the_same_votes_and_few_trees_leave_patients_without_one():
    points, answer = patients(np.random.default_rng(7), 80)
    first, second = (out_of_bag_votes(points, answer, 20, np.random.default_rng(8)) for _ in range(2))
    assert np.array_equal(first, second)
    one = out_of_bag_votes(points, answer, 1, np.random.default_rng(9))
    assert 0.5 < np.mean(one == 0.5) < 0.75  # 1 - 1/e of the patients are in the only bag
