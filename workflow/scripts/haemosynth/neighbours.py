"""Distances between points, and the nearest of them, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
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
