"""Distances between two samples of one variable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haemosynth.stats.ranking import ranks_of

Vector = NDArray[np.float64]


def distances(first: Vector, second: Vector) -> tuple[float, float]:
    """Area between, and largest gap between, the distribution functions of two samples without missing values."""
    first, second = np.sort(first), np.sort(second)
    points = np.concatenate([first, second])
    points.sort()
    gap = np.abs(
        np.searchsorted(first, points, side="right") / len(first)
        - np.searchsorted(second, points, side="right") / len(second)
    )
    return float(gap[:-1] @ np.diff(points)), float(gap.max())


def spread(values: Vector) -> float:
    """Interquartile range, or the standard deviation where that is 0."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) if high > low else float(np.std(values))


def level_shares(codes: Vector, count: int) -> Vector:
    """Share of each of `count` levels, and last of missing."""
    filled = np.where(np.isnan(codes), count, codes).astype(np.intp)
    return np.asarray(np.bincount(filled, minlength=count + 1) / max(len(codes), 1))


def total_variation(p: Vector, q: Vector) -> float:
    """Half the sum of absolute differences of two distributions."""
    return float(np.abs(p - q).sum() / 2)


def jensen_shannon(p: Vector, q: Vector) -> float:
    """Jensen-Shannon distance to base 2: 0 for equal distributions, 1 for distributions without a common level."""
    middle = (p + q) / 2
    bits = [float(np.sum(s[s > 0] * np.log2(s[s > 0] / middle[s > 0]))) for s in (p, q)]
    return float(np.sqrt(max(0.0, sum(bits) / 2)))


def hellinger(p: Vector, q: Vector) -> float:
    """Hellinger distance: 0 for equal distributions, 1 for distributions without a common level."""
    return float(np.sqrt(max(0.0, 1 - np.sqrt(p * q).sum())))


def kullback_leibler(first: Vector, second: Vector) -> float:
    """Kullback-Leibler divergence of counts `first` from counts `second`, in bits, 1/2 added to every cell.

    Jeffreys' prior keeps it finite where the second side lost a cell; cells that neither side has are left out.
    Kullback and Leibler, Ann Math Stat 1951;22:79.
    """
    seen = (first > 0) | (second > 0)
    p, q = first[seen] + 0.5, second[seen] + 0.5
    p, q = p / p.sum(), q / q.sum()
    return max(0.0, float(p @ np.log2(p / q)))


def find_point_masses(values: Vector, share: float) -> Vector:
    """Values that at least `share` of known values take, ascending."""
    found, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return np.asarray(found[counts >= share * counts.sum()]) if len(found) else found


def measure_mixed_distance(first: Vector, second: Vector, masses: Vector) -> float:
    """Distance of two samples whose distribution has point masses, 0 to 1.

    Total variation over the point masses and everything else as one more, plus the largest gap between the
    distribution functions of everything else, times the smaller share of it. Without missing values.
    """
    cells, rests = [], []
    for side in (first, second):
        place = np.searchsorted(masses, side)
        at = (place < len(masses)) & (masses[np.minimum(place, len(masses) - 1)] == side)
        cells.append(np.append(np.bincount(place[at], minlength=len(masses)), (~at).sum()) / len(side))
        rests.append(side[~at])
    gap = distances(rests[0], rests[1])[1] if len(rests[0]) and len(rests[1]) else 0.0
    return total_variation(cells[0], cells[1]) + float(min(cells[0][-1], cells[1][-1])) * gap


def rank_correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman correlations of the columns of (rows, columns) without missing values; 0 where a column is constant."""
    ranks = ranks_of(values)
    ranks -= ranks.mean(axis=0)
    ranks /= np.maximum(np.sqrt((ranks**2).sum(axis=0)), 1e-12)
    return np.asarray(ranks.T @ ranks)
