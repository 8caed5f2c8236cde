"""Expression in a few numbers per patient: principal components."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.modalities.expression.components import fit_component_space
from haemosynth.modalities.expression.part import NAME
from haemosynth.modalities.quantitative import summarise_components


def summarise(
    known: Sequence[Cohort], fewest: int, components: int
) -> Callable[[Cohort], tuple[list[str], Matrix]] | None:
    """What gives names and numbers of a cohort, (patients, components), NaN for a patient without expression.

    The components are those of the patients of all cohorts in `known`; None where one of these has fewer than `fewest`
    patients with expression.
    """
    return summarise_components(NAME, known, fewest, components, fit_component_space)
