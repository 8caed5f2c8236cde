"""Principal components of gene expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from haemosynth.encode.records import Matrix
from haemosynth.modalities.expression.profiles import levels

if TYPE_CHECKING:
    from anndata import AnnData

LEAST = 1e-9  # standard deviation below which a gene or component is constant
LARGEST = 10.0  # standard deviations of a gene from its mean; what is farther counts as that


def component_space(most: int, *known: AnnData) -> Callable[[AnnData], Matrix]:
    """What places expression in the first `most` principal components of the variable genes of known patients.

    Genes are centred and divided by their standard deviation among the known patients, limited to ten of them; the
    components keep their scale, so that distances are those between standardised profiles. As scanpy's `pp.scale` and
    `pp.pca`, whose PCA is this one: stages that compare all modalities have no scanpy in their environment.
    """
    from sklearn.decomposition import PCA

    kept = known[0].var["highly_variable"].to_numpy(dtype=bool)
    seen = np.vstack([levels(part)[:, kept] for part in known]).astype(float)
    middle, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), LEAST)
    number = min(most, len(seen) - 1, seen.shape[1])
    # The full decomposition draws nothing, and the largest weight of a component is positive.
    found = PCA(number, svd_solver="full").fit(((seen - middle) / spread).clip(-LARGEST, LARGEST))
    axes = found.components_.T

    def place(expression: AnnData) -> Matrix:
        standard = (levels(expression)[:, kept].astype(float) - middle) / spread
        return np.asarray(standard.clip(-LARGEST, LARGEST) @ axes, dtype=np.float64)

    return place


def standard_components(most: int, known: AnnData) -> Callable[[AnnData], Matrix]:
    """As `component_space`, each component on the scale of one standard deviation among the known patients."""
    place = component_space(most, known)
    spread = np.maximum(place(known).std(axis=0), LEAST)

    def standard(expression: AnnData) -> Matrix:
        return np.asarray(place(expression) / spread)

    return standard
