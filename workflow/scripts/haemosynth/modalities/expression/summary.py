"""Expression in a few numbers per patient: principal components."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Matrix
from haemosynth.modalities.expression.components import component_space
from haemosynth.modalities.expression.part import expression_of, has_expression
from haemosynth.modalities.rows import mean_by_patient


def summarise(
    known: Sequence[Cohort], fewest: int, components: int
) -> Callable[[Cohort], tuple[list[str], Matrix]] | None:
    """What gives names and numbers of a cohort, (patients, components), NaN for a patient without expression.

    The components are those of the patients of all cohorts in `known`; None where one of these has fewer than `fewest`
    patients with expression.
    """
    profiles = [expression_of(cohort) for cohort in known if has_expression(cohort)]
    if len(profiles) < len(known) or min(own.n_obs for own in profiles) < fewest:
        return None
    place = component_space(components, *profiles)
    width = place(profiles[0][:1]).shape[1]

    def numbers(cohort: Cohort) -> tuple[list[str], Matrix]:
        names = [f"component {i + 1}" for i in range(width)]
        if not has_expression(cohort) or not (own := expression_of(cohort)).n_obs:
            return names, np.full((len(cohort), width), np.nan)
        return names, mean_by_patient(place(own), own.obs_names, cohort.patients)

    return numbers
