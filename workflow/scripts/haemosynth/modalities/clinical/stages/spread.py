"""Does the spread of numbers differ between groups? Levene's test about medians (Brown and Forsythe), many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def brown_forsythe(values: Vector, groups: Matrix) -> tuple[Vector, Vector]:
    """Effect of belonging to each group on the spread of a number.

    The correlation r of membership with the absolute deviation of a value from the median of its own side (members or
    others). Above 0 the group is more spread. Levene's statistic about medians is W = (n - 2) r^2 / (1 - r^2).

    Brown and Forsythe, J Am Stat Assoc 1974;69:364.

    Args:
        values: (patients,), NaN where missing. groups: (patients, groups), 1 member, 0 not, NaN unknown.

    Returns:
        (groups,) effect, NaN where a side has fewer than two patients or nothing varies; (groups,) patients.
    """
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    values, groups = values[order], groups[order]
    if not len(values):
        return np.full(groups.shape[1], np.nan), np.zeros(groups.shape[1])
    members, others = groups == 1, groups == 0
    deviation = np.zeros_like(groups)
    for side in (members, others):
        deviation += side * np.abs(values[:, None] - _medians(values, side))
    m, k = members.sum(axis=0), others.sum(axis=0)
    n = m + k
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = deviation.sum(axis=0) / n
        total = (deviation**2).sum(axis=0) - n * mean**2
        gap = (deviation * members).sum(axis=0) / m - (deviation * others).sum(axis=0) / k
        effect = gap * np.sqrt(m * k / n / total)
    readable = (m > 1) & (k > 1) & (total > 1e-12 * np.maximum(n * mean**2, 1e-300))
    return np.where(readable, effect, np.nan), n.astype(np.float64)


def _medians(values: Vector, members: NDArray[np.bool_]) -> Vector:
    """Median of the members of every group; `values` ascending.  (patients,), (patients, groups) -> (groups,)"""
    count = np.cumsum(members, axis=0)
    size = count[-1]
    low, high = ((count >= place).argmax(axis=0) for place in ((size + 1) // 2, size // 2 + 1))
    return np.asarray((values[low] + values[high]) / 2)


def brown_forsythe_p(effect: Vector, n: Vector) -> Vector:
    """p of the test of equal spread, W against F(1, n - 2); 1 where the effect cannot be read."""
    from scipy.special import fdtrc

    read = ~np.isnan(effect) & (n > 2)
    squared = np.where(read, effect, 0.0) ** 2
    statistic = np.maximum(n - 2, 1) * squared / np.maximum(1 - squared, 1e-12)
    return np.where(read, fdtrc(1, np.maximum(n - 2, 1), statistic), 1.0)
