"""Quantile functions that reveal no training patient's number: one simple piece for at least 48 patients.

A release that is denser around the recorded numbers of training patients than around those of others reveals who
took part, column by column (stage `disclosure`, attack `values`). A quantile function through every recorded value is
such a release. Here only some quantiles are kept, each half way between two recorded values, and between them runs a
smooth monotone curve (Fritsch and Carlson, SIAM J Numer Anal 1980;17:238); the first and the last piece, which may be
long, have the mean of their patients and a shape of one more number.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

LEAST_PIECE = 48  # training patients behind one piece
MAX_PIECES = 256  # of one quantile function
STEPS = 16  # straight steps that draw a piece
TAILS = np.exp(np.linspace(-1.5, 1.5, 25))  # shapes of the first and the last piece that are tried
STANDS_OUT = 1e-3  # chance of as many patients at one value, were they spread like those round it


def quantiles(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """The smooth quantile function of `values` at these ranks.

    Args:
        values: (patients,) sorted, at least one. ranks: in [0, 1].
    """
    from scipy.interpolate import PchipInterpolator

    parts = np.array_split(values, min(max(1, len(values) // LEAST_PIECE), MAX_PIECES))
    ends = np.array([values[0], *((left[-1] + right[0]) / 2 for left, right in pairwise(parts)), values[-1]])
    places = np.cumsum([0, *(len(part) for part in parts)]) / len(values)
    within = np.linspace(0, 1, STEPS + 1)
    grid, drawn = [places], [ends]
    if len(parts) > 1:
        inner = np.concatenate([a + (b - a) * within[1:-1] for a, b in pairwise(places)])
        grid.append(inner)
        drawn.append(PchipInterpolator(places, ends)(inner))
    for first, last in {0: 1, len(parts) - 1: len(parts)}.items():
        own = (places[first] + (places[last] - places[first]) * within[1:-1]) if len(parts) > 1 else within[1:-1]
        if len(parts) > 1:
            kept = (grid[1] <= places[first]) | (grid[1] >= places[last])
            grid[1], drawn[1] = grid[1][kept], drawn[1][kept]
        grid.append(own)
        drawn.append(_piece(ends[first], ends[last], parts[first])[1:-1])
    at, value = np.concatenate(grid), np.concatenate(drawn)
    at, first_of = np.unique(at, return_index=True)
    return np.asarray(np.interp(ranks, at, value[first_of]))


def _piece(low: float, high: float, values: np.ndarray) -> np.ndarray:
    """(STEPS + 1,) the quantile function of one long piece, from low to high, with the mean of its `values`.

    low + (high - low) (1 - (1 - rank)^b)^a, the quantile function of Kumaraswamy (J Hydrol 1980;46:79), or the same
    from above. The mean fixes a for each b of a grid, and the b is taken that lies nearest to the values: two numbers
    describe all of them.
    """
    width = high - low
    if width <= 0:
        return np.full(STEPS + 1, low)
    mean = np.clip((float(values.mean()) - low) / width, 0.05, 0.95)
    found = low + width * np.vstack([_shapes(mean), 1 - _shapes(1 - mean)[:, ::-1]])
    at, steps = (np.arange(len(values)) + 0.5) / len(values), np.linspace(0, 1, STEPS + 1)
    error = [((np.interp(at, steps, one) - values) ** 2).sum() for one in found]
    return np.asarray(found[int(np.argmin(error))])


def _shapes(mean: float) -> np.ndarray:
    """(shapes, STEPS + 1) quantile functions from 0 to 1 with this mean."""
    base = 1 - np.linspace(1, 0, STEPS + 1) ** TAILS[:, None]
    smallest, largest = np.full(len(TAILS), -7.0), np.full(len(TAILS), 7.0)  # of log a: a larger one lowers the mean
    for _ in range(40):
        middle = (smallest + largest) / 2
        above = _mean_of_steps(base ** np.exp(middle)[:, None]) > mean
        smallest, largest = np.where(above, middle, smallest), np.where(above, largest, middle)
    return np.asarray(base ** np.exp((smallest + largest) / 2)[:, None])


def _mean_of_steps(curves: np.ndarray) -> np.ndarray:
    """(curves,) mean of each curve of straight steps of one length."""
    return np.asarray((curves[:, 1:] + curves[:, :-1]).mean(axis=1) / 2)


def stands_out(distinct: np.ndarray, counts: np.ndarray, grain: float | None) -> np.ndarray:
    """Which values more patients share than those round them let expect: limits, and numbers that people round to.

    The patients expected at a value are those of its nearest other values, of `LEAST_PIECE` patients together at least,
    spread evenly over the steps of the recording resolution between them. Where there is no such step, no two patients
    are expected at one value.

    Args:
        distinct: (values,) sorted. counts: (values,) patients who share each. grain: recording resolution.
    """
    from scipy.special import pdtrc

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
    return np.asarray(pdtrc(counts - 1, expected) < STANDS_OUT)
