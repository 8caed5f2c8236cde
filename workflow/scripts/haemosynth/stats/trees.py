"""Votes of randomised trees that have not seen the patient they vote on."""

from __future__ import annotations

from typing import Any

import numpy as np

from haemosynth.core.arrays import Matrix, Vector
from haemosynth.core.streams import torch_seed


def out_of_bag_votes(points: Matrix, answer: Vector, trees: int, rng: np.random.Generator, **settings: Any) -> Vector:
    """Share of trees that vote 1 for each row, among those whose bootstrap sample it is not in; 0.5 where none is.

    Geurts, Ernst and Wehenkel, Mach Learn 2006;63:3 (extremely randomised trees).

    Args:
        points: (rows, columns) finite numbers. answer: (rows,) of 0 and 1. settings: of scikit-learn's classifier.
    """
    import sklearn
    from sklearn.ensemble import ExtraTreesClassifier

    # Looking at every tree's settings and numbers anew costs more than growing it.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        model = ExtraTreesClassifier(trees, bootstrap=True, oob_score=True, random_state=torch_seed(rng), **settings)
        votes = model.fit(points, answer).oob_decision_function_[:, 1]
    return np.asarray(np.nan_to_num(votes, nan=0.5))
