"""Quantile functions that give no training patient's number away: one simple piece for at least 32 patients.

A release that is denser round the recorded numbers of training patients than round those of other patients tells who
took part, column by column (stage `disclosure`, attack `values`). A quantile function through every recorded value is
such a release. Here each piece is straight between its ends, half way between two recorded values; the first and the
last, which may be long, keep their mean too.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

LEAST_PIECE = 32  # training patients behind one piece
MAX_PIECES = 64  # of one quantile function
STEPS = 16  # straight steps that draw one quantile function, where it has fewer pieces
STANDS_OUT = 1e-3  # chance of as many patients at one value, were they spread like those round it


def quantile_curve(
    values: np.ndarray, low: float | None = None, high: float | None = None, first: bool = True, last: bool = True
) -> np.ndarray:
    """A quantile function at equal steps of rank, from rank 0 to 1.

    Args:
        values: (patients,) sorted, at least one.
        low, high: where it starts and ends, the smallest and largest value if None.
        first, last: whether it holds the smallest and the largest values of all, or only a part between them.
    """
    parts = np.array_split(values, min(max(1, len(values) // LEAST_PIECE), MAX_PIECES))
    start, end = values[0] if low is None else low, values[-1] if high is None else high
    ends = [start, *((left[-1] + right[0]) / 2 for left, right in pairwise(parts)), end]
    rank = np.linspace(0, 1, max(1, STEPS // len(parts)) + 1)
    drawn = []
    for i, part in enumerate(parts):
        outer = (first and i == 0) or (last and i == len(parts) - 1)
        mean = float(part.mean()) if outer else (ends[i] + ends[i + 1]) / 2
        drawn.append(_piece(rank, ends[i], ends[i + 1], mean))
    return np.concatenate([*(piece[:-1] for piece in drawn), drawn[-1][-1:]])


def _piece(rank: np.ndarray, low: float, high: float, mean: float) -> np.ndarray:
    """low + (high - low) rank^a, or the same from above, with this mean."""
    width = high - low
    if width <= 0:
        return np.full(len(rank), low)
    share = np.clip((mean - low) / width, 0.05, 0.95)
    if share <= 0.5:
        return np.asarray(low + width * rank ** (1 / share - 1))
    return np.asarray(high - width * (1 - rank) ** (1 / (1 - share) - 1))


def stands_out(distinct: np.ndarray, counts: np.ndarray, grain: float | None) -> np.ndarray:
    """Which values more patients share than those round them let expect: limits, and numbers that people round to.

    The patients expected at a value are those of its nearest other values, of `LEAST_PIECE` patients together at least,
    spread evenly over the steps of the recording resolution between them. Where there is no such step, no two patients
    are expected at one value.

    Args:
        distinct: (values,) sorted. counts: (values,) patients who share each. grain: recording resolution.
    """
    from scipy.stats import poisson

    if not grain:
        return np.asarray(counts > 1)
    expected = np.empty(len(distinct))
    for i in range(len(distinct)):
        first, last, others = i, i, 0
        while others < LEAST_PIECE and (first > 0 or last < len(distinct) - 1):
            left = distinct[i] - distinct[first - 1] if first > 0 else np.inf
            right = distinct[last + 1] - distinct[i] if last < len(distinct) - 1 else np.inf
            first, last = (first - 1, last) if left <= right else (first, last + 1)
            others = int(counts[first : last + 1].sum() - counts[i])
        expected[i] = others / max(1.0, round((distinct[last] - distinct[first]) / grain))
    return np.asarray(poisson.sf(counts - 1, expected) < STANDS_OUT)
