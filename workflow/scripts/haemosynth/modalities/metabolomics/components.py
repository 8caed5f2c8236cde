"""Principal components of measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from haemosynth.encode.records import Matrix
from haemosynth.modalities.metabolomics.measured import levels
from haemosynth.modalities.quantitative import FARTHEST, fit_components, standardise_components

if TYPE_CHECKING:
    from anndata import AnnData


def fill(data: AnnData) -> Matrix:
    """(patients, analytes) levels, those that are missing at the mean of training patients."""
    return np.nan_to_num(levels(data)).clip(-FARTHEST, FARTHEST)


def fit_component_space(most: int, *known: AnnData) -> Callable[[AnnData], Matrix]:
    """What places measurements in the first `most` principal components of known patients.

    The components keep their scale, so that distances are those between standardised profiles.
    """
    return fit_components(most, known, fill, limit=np.inf)


def standard_components(most: int, known: AnnData) -> Callable[[AnnData], Matrix]:
    """As `fit_component_space`, each component on the scale of one standard deviation among the known patients."""
    return standardise_components(fit_component_space(most, known), known)
