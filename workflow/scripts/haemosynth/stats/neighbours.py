"""Distances between points, and the nearest of them, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
CHUNK = 4_000_000  # distances held at once: 32 MB
ROUNDING = 1e-9  # squared distances below this are zero but for rounding


def squared_distances(points: Matrix, others: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """Squared Euclidean distances from `points` to `others`, in chunks of rows of bounded memory.

    Yields:
        (rows of `points`, (those rows, others)); distances below rounding error are exactly zero.
    """
    norms = np.einsum("ij,ij->i", others, others)
    step = max(1, CHUNK // max(1, len(others)))
    for start in range(0, len(points), step):
        part = points[start : start + step]
        squared = (-2 * part) @ others.T
        squared += norms
        squared += np.einsum("ij,ij->i", part, part)[:, None]
        squared[squared < ROUNDING] = 0.0
        yield slice(start, start + len(part)), squared


def nearest(points: Matrix, others: Matrix, count: int = 1) -> Matrix:
    """Distances from each point to its `count` nearest others, ascending.  (points, count)"""
    return neighbours(points, others, count)[0]


def neighbours(points: Matrix, others: Matrix, count: int) -> tuple[Matrix, NDArray[np.intp]]:
    """Distances from each point to its `count` nearest others, ascending, and which these are.  (points, count) each

    A search for the least distance for each of them: for some thirty it is faster than a partition, and ties go to the
    first.

    Raises:
        ValueError: fewer others than `count`.
    """
    if count > len(others):
        raise ValueError(f"{count} neighbours among {len(others)}")
    distances, places = np.empty((len(points), count)), np.empty((len(points), count), dtype=np.intp)
    for rows, squared in squared_distances(points, others):
        each = np.arange(len(squared))
        for place in range(count):
            least = squared.argmin(axis=1)
            places[rows, place], distances[rows, place] = least, squared[each, least]
            squared[each, least] = np.inf
    return np.sqrt(distances), places


def neighbourhoods(real: Matrix, candidate: Matrix, count: int) -> dict[str, float]:
    """Precision, recall, density and coverage of points, with balls to the `count`-th nearest other point.

    Args:
        real, candidate: (patients, dimensions), more than `count` patients each.
    """
    # The nearest point of a patient among its own side is itself, at distance 0.
    real_ball, candidate_ball = (nearest(side, side, count + 1)[:, -1] ** 2 * (1 + 1e-9) for side in (real, candidate))
    inside = np.zeros(len(candidate))  # real balls around each synthetic patient, each as 1 / its other real patients
    recalled = np.zeros(len(real), dtype=bool)
    covered = np.zeros(len(real), dtype=bool)
    neighbours = np.zeros(len(real))  # other real patients in each ball: more than `count` where distances tie
    for rows, squared in squared_distances(real, real):
        neighbours[rows] = (squared <= real_ball[rows, None]).sum(axis=1) - 1
    for rows, squared in squared_distances(real, candidate):
        within = squared <= real_ball[rows, None]
        inside += (within / neighbours[rows, None]).sum(axis=0)
        covered[rows] = within.any(axis=1)
        recalled[rows] = (squared <= candidate_ball[None, :]).any(axis=1)
    return {
        "precision": float((inside > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(inside.mean()),
        "coverage": float(covered.mean()),
    }


def nearer_share(to_train: Vector, to_others: Vector, trained: int, others: int) -> float:
    """Share of released patients nearer to training than to unseen patients, as at equal numbers.

    Without memory training and unseen patients are alike, so the nearest of all is a training patient with
    probability p = trained / (trained + others), whatever the release looks like. Thinning the training patients
    to the number of the unseen instead would hide the copies of those left out.

    Args:
        to_train, to_others: (released patients,) distances to the nearest training and unseen patient.
        trained, others: numbers of training and unseen patients.
    """
    return as_at_equal_n(float(((to_train < to_others) + 0.5 * (to_train == to_others)).mean()), trained, others)


def as_at_equal_n(share: float, trained: int, others: int) -> float:
    """The share of released patients nearest to a training patient, as it were with as many unseen as training ones."""
    expected = trained / (trained + others)
    return max(0.0, 0.5 + (share - expected) / (2 * (1 - expected)))
