"""Principal components of gene expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from haemosynth.encode.records import Matrix
from haemosynth.modalities.expression.profiles import levels
from haemosynth.modalities.quantitative import fit_components, standardise_components

if TYPE_CHECKING:
    from anndata import AnnData


def fit_component_space(most: int, *known: AnnData) -> Callable[[AnnData], Matrix]:
    """What places expression in the first `most` principal components of the variable genes of known patients.

    Genes are centred and divided by their standard deviation among the known patients, limited to ten of them; the
    components keep their scale, so that distances are those between standardised profiles. As scanpy's `pp.scale` and
    `pp.pca`, whose PCA is this one: stages that compare all modalities have no scanpy in their environment.
    """
    kept = known[0].var["highly_variable"].to_numpy(dtype=bool)
    return fit_components(most, known, lambda expression: levels(expression)[:, kept].astype(float))


def standard_components(most: int, known: AnnData) -> Callable[[AnnData], Matrix]:
    """As `fit_component_space`, each component on the scale of one standard deviation among the known patients."""
    return standardise_components(fit_component_space(most, known), known)
