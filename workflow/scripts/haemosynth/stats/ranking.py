"""How well scores order patients."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.arrays import Vector


def ranks_of(values: NDArray[np.float64], axis: Literal[0, 1] = 0) -> NDArray[np.float64]:
    """Ranks from 1 along an axis of one or two; equal values share their mean rank, and NaN has none (NaN)."""
    if np.ndim(values) == 1:
        return np.array(pd.Series(values).rank(), dtype=np.float64)
    return np.array(pd.DataFrame(values).rank(axis=axis), dtype=np.float64)


def auc(answer: Vector, score: Vector) -> float:
    """Area under the ROC curve of an answer of 0 and 1; ties count half (Hanley and McNeil, Radiology 1982;143:29)."""
    positive = answer > 0.5
    return area(score[positive], score[~positive])


def area(members: Vector, others: Vector) -> float:
    """Area under the ROC curve: probability that a member scores higher than another; NaN where a score is NaN."""
    ordered = np.sort(others)
    if np.isnan(members).any() or np.isnan(ordered[-1:]).any():
        return float("nan")
    below = np.searchsorted(ordered, members, side="left") + np.searchsorted(ordered, members, side="right")
    return float(below.sum() / (2 * len(members) * len(others)))


def weighted_auc(answer: Vector, score: Vector, weight: Vector) -> float:
    """Area under the ROC curve of weighted patients; equal scores count half.

    With weights of the inverse probability of censoring it is the time-dependent area of Hung and Chiang (Can J Stat
    2010;38:8); with equal weights that of Hanley and McNeil (Radiology 1982;143:29).

    Returns:
        The area, or NaN where one answer has no weight.
    """
    level, where = np.unique(score, return_inverse=True)
    ones = np.bincount(where, weights=weight * answer, minlength=len(level))
    zeros = np.bincount(where, weights=weight * (1 - answer), minlength=len(level))
    pairs = ones.sum() * zeros.sum()
    return float(ones @ (np.cumsum(zeros) - zeros / 2) / pairs) if pairs > 0 else float("nan")
