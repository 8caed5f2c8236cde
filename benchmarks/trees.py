"""Out-of-bag votes of randomised trees beside scikit-learn's ExtraTreesClassifier.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/trees.py

As many patients and columns as the attack `classifier` sees in the demonstration and in small cohorts. CPU seconds of
the best of several calls of one process, compiled. The areas under the curve show that both learn as much.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.ensemble import ExtraTreesClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))
from haemosynth.stats.ranking import auc
from haemosynth.stats.trees import out_of_bag_votes

TREES, CALLS = 240, 5


def vote_by_library(points: Any, answer: Any, leaf: int) -> Any:
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        model = ExtraTreesClassifier(TREES, bootstrap=True, oob_score=True, random_state=1, min_samples_leaf=leaf)
        return model.fit(points, answer).oob_decision_function_[:, 1]


def vote_by_kernel(points: Any, answer: Any, leaf: int) -> Any:
    return out_of_bag_votes(points, answer, TREES, np.random.default_rng(1), min_samples_leaf=leaf)


def measure(function: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    seconds = []
    for _ in range(CALLS):
        start = time.process_time()
        found = function(*args)
        seconds.append(time.process_time() - start)
    return min(seconds), found


def main() -> None:
    print(f"scikit-learn {sklearn.__version__}, {TREES} trees")
    print("patients  columns  leaf  this project, CPU s  scikit-learn  times as fast  AUC, here  AUC, there")
    for patients, columns in ((200, 20), (400, 40), (1440, 80), (5000, 120)):
        rng = np.random.default_rng(patients)
        points = rng.normal(size=(patients, columns))
        events = 2 * columns // 3
        points[:, :events] = points[:, :events] > 1.3
        answer = (points[:, 0] + points[:, -1] / 2 + rng.normal(size=patients) > 0).astype(float)
        for leaf in (1, 3):
            vote_by_kernel(points[:50], answer[:50], leaf)
            (ours, found), (theirs, other) = (
                measure(f, points, answer, leaf) for f in (vote_by_kernel, vote_by_library)
            )
            print(
                f"{patients:8,} {columns:8} {leaf:5} {ours:20.3f} {theirs:13.3f} {theirs / ours:14.1f}"
                f" {auc(answer, found):10.3f} {auc(answer, other):11.3f}"
            )


if __name__ == "__main__":
    main()
