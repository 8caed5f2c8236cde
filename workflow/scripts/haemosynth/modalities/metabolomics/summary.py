"""Measurements in a few numbers per patient: principal components."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Matrix
from haemosynth.modalities.metabolomics.components import component_space
from haemosynth.modalities.metabolomics.part import find_measured
from haemosynth.modalities.rows import mean_by_patient


def summarise(
    known: Sequence[Cohort], fewest: int, components: int
) -> Callable[[Cohort], tuple[list[str], Matrix]] | None:
    """What gives names and numbers of a cohort, (patients, components), NaN for a patient without measurements.

    The components are those of the patients of all cohorts in `known`; None where one of these has fewer than `fewest`
    patients with measurements.
    """
    tables = [data for cohort in known if (data := find_measured(cohort)) is not None]
    if len(tables) < len(known) or min(own.n_obs for own in tables) < fewest:
        return None
    place = component_space(components, *tables)
    width = place(tables[0][:1]).shape[1]

    def numbers(cohort: Cohort) -> tuple[list[str], Matrix]:
        names, own = [f"component {i + 1}" for i in range(width)], find_measured(cohort)
        if own is None or not own.n_obs:
            return names, np.full((len(cohort), width), np.nan)
        return names, mean_by_patient(place(own), own.obs_names, cohort.patients)

    return numbers
