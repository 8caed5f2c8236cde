"""How near an image lies to the images of each patient: what shows a picture that was learned by heart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from haemosynth.stats.neighbours import Matrix, squared_distances


def pool(pixels: NDArray[np.float32], side: int) -> Matrix:
    """Averages over squares, so that no side is longer than `side`.  (images, channels, H, W) -> (images, averages)"""
    n, channels, height, width = pixels.shape
    step = max(1, -(-max(height, width) // side))
    down, across = height // step * step, width // step * step
    parts = pixels[:, :, :down, :across].reshape(n, channels, down // step, step, across // step, step)
    return np.asarray(parts.mean(axis=(3, 5)).reshape(n, -1), dtype=np.float64)


def to_patients(sides: Sequence[Matrix], real: Matrix, owner: NDArray[np.intp]) -> Matrix:
    """(images, patients) distance to the nearest image of each patient, the least over `sides`.

    Args:
        sides: the same images several times, as they are and mirrored: (images, coordinates) each.
        real: (real images, coordinates); owner: the patient of each.
    """
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(owner[order]) > 0])
    least = np.full((len(sides[0]), len(starts)), np.inf)
    for side in sides:
        for rows, squared in squared_distances(side, real[order]):
            least[rows] = np.minimum(least[rows], np.minimum.reduceat(squared, starts, axis=1))
    return np.asarray(np.sqrt(least.clip(0)))


def nearness_ratio(distances: Matrix) -> NDArray[np.float64]:
    """Distance to the nearest patient over that to the second nearest, 1 where both are 0.  (images, patients) ->
    (images,), at least two patients"""
    two = np.partition(distances, 1, axis=1)[:, :2]
    return np.divide(two[:, 0], two[:, 1], out=np.ones(len(two)), where=two[:, 1] > 0)
