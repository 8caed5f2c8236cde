"""Gradient boosted trees beside scikit-learn's HistGradientBoostingClassifier.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/boosting.py

Tables such as the stage `detection` sees: a few measurements with missing values, nominal columns, and sparse
alterations; its settings. CPU seconds of a fit with the probabilities of as many other rows, the best of several calls
of one process, compiled; and the largest difference between the probabilities of both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))
from haemosynth.stats.boosting import fit_boosted_trees
from haemosynth.validate.stages.detection import DEFAULTS

CALLS = 5


def boost_by_library(points: Any, answer: Any, nominal: Any, asked: Any) -> Any:
    model = HistGradientBoostingClassifier(
        max_iter=DEFAULTS["trees"],
        max_leaf_nodes=DEFAULTS["leaves"],
        learning_rate=DEFAULTS["learning_rate"],
        min_samples_leaf=DEFAULTS["min_leaf"],
        categorical_features=nominal,
        early_stopping=False,
    )
    return model.fit(points, answer).predict_proba(asked)[:, 1]


def boost_by_kernel(points: Any, answer: Any, nominal: Any, asked: Any) -> Any:
    settings = {name: DEFAULTS[name] for name in ("trees", "leaves", "learning_rate", "min_leaf")}
    return fit_boosted_trees(points, answer, nominal, **settings).probability(asked)


def measure(function: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    seconds = []
    for _ in range(CALLS):
        start = time.process_time()
        found = function(*args)
        seconds.append(time.process_time() - start)
    return min(seconds), found


def make_table(rng: np.random.Generator, patients: int, columns: int) -> tuple[Any, Any]:
    points = rng.normal(size=(patients, columns))
    measured = columns // 3
    points[:, measured:] = points[:, measured:] > 1.3
    points[:, :3] = rng.integers(0, 6, size=(patients, 3))
    answer = (points[:, 3] + (points[:, 0] == 2) + points[:, -1] + rng.normal(size=patients) > 0.5).astype(float)
    points[:, :measured][rng.random((patients, measured)) < 0.1] = np.nan
    return points, answer


def main() -> None:
    print(f"scikit-learn {sklearn.__version__}, {DEFAULTS['trees']} trees of {DEFAULTS['leaves']} leaves")
    print("patients  columns  this project, CPU s  scikit-learn  times as fast  largest difference")
    for patients, columns in ((200, 20), (500, 60), (1000, 60), (1400, 80), (10_000, 80)):
        rng = np.random.default_rng(patients)
        points, answer = make_table(rng, patients, columns)
        asked, _ = make_table(rng, patients, columns)
        nominal = np.arange(columns) < 3
        boost_by_kernel(points[:100], answer[:100], nominal, asked)
        (ours, found), (theirs, other) = (
            measure(function, points, answer, nominal, asked) for function in (boost_by_kernel, boost_by_library)
        )
        print(
            f"{patients:8,} {columns:8} {ours:20.3f} {theirs:13.3f} {theirs / ours:14.1f}"
            f" {np.abs(found - other).max():19.1e}"
        )


if __name__ == "__main__":
    main()
