"""Principal components of measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from haemosynth.encode.records import Matrix
from haemosynth.modalities.metabolomics.measured import levels

if TYPE_CHECKING:
    from anndata import AnnData

LEAST = 1e-9  # standard deviation below which a component is constant
FARTHEST = 10.0  # standard deviations that an analyte counts at most


def filled(data: AnnData) -> Matrix:
    """(patients, analytes) levels, those that are missing at the mean of training patients."""
    return np.nan_to_num(levels(data)).clip(-FARTHEST, FARTHEST)


def component_space(most: int, *known: AnnData) -> Callable[[AnnData], Matrix]:
    """What places measurements in the first `most` principal components of known patients.

    The components keep their scale, so that distances are those between standardised profiles.
    """
    from sklearn.decomposition import PCA

    seen = np.vstack([filled(part) for part in known])
    middle, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), LEAST)
    number = min(most, len(seen) - 1, seen.shape[1])
    # The full decomposition draws nothing, and the largest weight of a component is positive.
    axes = PCA(number, svd_solver="full").fit((seen - middle) / spread).components_.T

    def place(data: AnnData) -> Matrix:
        return np.asarray(((filled(data) - middle) / spread).clip(-FARTHEST, FARTHEST) @ axes)

    return place
