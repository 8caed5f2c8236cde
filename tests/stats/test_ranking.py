"""Areas under the ROC curve: ties, missing scores, and parity with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from haemosynth.stats.ranking import area, auc, weighted_auc


@pytest.mark.parametrize("steps", [3, 40, 10**9])
def test_the_areas_are_one_and_that_of_scikit_learn(steps):
    rng = np.random.default_rng(steps)
    answer = (rng.random(400) < 0.3).astype(float)
    score = np.floor((answer + 2 * rng.random(400)) * steps)
    expected = roc_auc_score(answer, score)
    assert auc(answer, score) == pytest.approx(expected, abs=1e-14)
    assert area(score[answer == 1], score[answer == 0]) == auc(answer, score)
    assert weighted_auc(answer, score, np.ones(400)) == pytest.approx(expected, abs=1e-14)


def test_answers_in_turn_give_one_half_and_order_gives_one():
    assert auc(np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])) == 1
    assert auc(np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4)) == 0.5


def test_a_score_that_is_missing_gives_no_area():
    assert np.isnan(area(np.array([0.1, np.nan]), np.array([0.2])))
    assert np.isnan(area(np.array([0.1]), np.array([np.nan, 0.2])))
