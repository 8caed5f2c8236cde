"""Principal components of gene expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from haemosynth.expression import levels
from haemosynth.validate.records import Matrix

if TYPE_CHECKING:
    from anndata import AnnData

LEAST = 1e-9  # standard deviation below which a gene or component is constant


def component_space(most: int, *known: AnnData) -> Callable[[AnnData], Matrix]:
    """What places expression in the first `most` principal components of the variable genes of known patients.

    Genes are centred and divided by their standard deviation among the known patients, limited to ten of them; the
    components keep their scale, so that distances are those between standardised profiles.
    """
    kept = known[0].var["highly_variable"].to_numpy(dtype=bool)
    seen = np.vstack([levels(part)[:, kept] for part in known]).astype(float)
    middle, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), LEAST)
    vectors: Any = np.linalg.svd(((seen - middle) / spread).clip(-10, 10), full_matrices=False)[2]
    axes = vectors[: min(most, len(seen) - 1)].T
    # The sign of a singular vector is arbitrary: the largest weight is positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])

    def place(expression: AnnData) -> Matrix:
        standard = (levels(expression)[:, kept].astype(float) - middle) / spread
        return np.asarray(standard.clip(-10, 10) @ axes, dtype=np.float64)

    return place


def standard_components(most: int, known: AnnData) -> Callable[[AnnData], Matrix]:
    """As `component_space`, each component on the scale of one standard deviation among the known patients."""
    place = component_space(most, known)
    spread = np.maximum(place(known).std(axis=0), LEAST)

    def standard(expression: AnnData) -> Matrix:
        return np.asarray(place(expression) / spread)

    return standard
