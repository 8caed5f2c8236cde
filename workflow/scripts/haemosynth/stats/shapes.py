"""Quantile functions of many columns: each its mean and standard deviation, and shapes that columns share.

A distribution through the recorded values of every column names those who were recorded: one column reveals little,
hundreds together reveal nearly all (attack `values`). Shapes that all columns share reveal nobody.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from haemosynth.stats import quantiles as smooth

LEVELS = np.linspace(0.001, 0.999, 101)  # of the quantiles that describe a column
PER_SHAPE = 192  # patients behind a shape that columns share
MOST_SHAPES = 8
UNLIKE = 1.63  # over the root of patients: distance from its own distribution at which a column is unlike all others


def share_shapes(
    middle: np.ndarray, spread: np.ndarray, own: np.ndarray, ordered: Callable[[int], np.ndarray], patients: int
) -> np.ndarray:
    """(levels, columns) quantiles of each column: its mean and standard deviation, and shapes that columns share.

    The shapes are the mean and the leading principal components of the columns' standardised quantile functions, one
    component for `PER_SHAPE` patients. A column whose own distribution lies farther from that than chance allows in one
    of a hundred samples (Kolmogorov-Smirnov) is drawn in pieces, as clinical numbers are (`quantiles.py`), where these
    are nearer. A lowest value that many patients share keeps its share.

    Args:
        middle, spread: (columns,) means and standard deviations. own: (levels, columns) standardised quantiles.
        ordered: the sorted values of a column. patients: behind the shapes.
    """
    columns = len(middle)
    common = own.mean(axis=1, keepdims=True)
    count = min(max(1, patients // PER_SHAPE), MOST_SHAPES, columns)
    u, size, vt = np.linalg.svd(own - common, full_matrices=False)
    shape = np.maximum.accumulate(common + (u[:, :count] * size[:count]) @ vt[:count], axis=0)
    found = np.asarray(middle + spread * shape)
    for column in range(columns):
        values = ordered(column)
        n = len(values)
        if distance(found[:, column], values) > UNLIKE / np.sqrt(n):
            pieces = smooth.quantiles(values, LEVELS)
            if distance(pieces, values) < distance(found[:, column], values):
                found[:, column] = pieces
        lowest = np.searchsorted(values, values[0], side="right")
        if lowest > 1:
            found[:, column] = np.where(lowest / n >= LEVELS, values[0], np.maximum(found[:, column], values[0]))
    return found


def distance(quantile: np.ndarray, ordered: np.ndarray) -> float:
    """Largest distance of a quantile function at LEVELS from the distribution of sorted values, ties half."""
    below = np.searchsorted(ordered, quantile, "left") + np.searchsorted(ordered, quantile, "right")
    return float(np.abs(below / (2 * len(ordered)) - LEVELS).max())


def carry(values: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(patients, columns) values moved from each column's quantiles `source` to `target`, straight on beyond the ends.

    source: (levels, columns), or (levels,) for all columns.
    """
    moved = np.empty(values.shape, dtype=np.float32)
    for column in range(values.shape[1]):
        x, to = values[:, column], target[:, column]
        at = source if source.ndim == 1 else source[:, column]
        y = np.interp(x, at, to)
        for end, inner, beyond in ((0, 1, np.minimum(x - at[0], 0)), (-1, -2, np.maximum(x - at[-1], 0))):
            y += beyond * (to[end] - to[inner]) / max(at[end] - at[inner], 1e-9, key=abs)
        moved[:, column] = y
    return moved
