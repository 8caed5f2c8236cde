"""Histories in a few numbers per patient: components of states entered, their times, and early measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.modalities.history.features import numbers
from haemosynth.modalities.history.part import find_courses
from haemosynth.modalities.rows import mean_by_patient

LEAST = 1e-9  # standard deviation below which a number is constant


def summarise(
    known: Sequence[Cohort], fewest: int, components: int
) -> Callable[[Cohort], tuple[list[str], Matrix]] | None:
    """What gives names and numbers of a cohort, (patients, components), NaN for a patient without a history.

    The components are those of the patients of all cohorts in `known`; None where one of these has fewer than `fewest`
    patients with a history.
    """
    parts = [part for cohort in known if (part := find_courses(cohort)) is not None]
    if len(parts) < len(known) or min(len(part.paths) for part in parts) < fewest:
        return None
    seen = np.vstack([numbers(part) for part in parts])
    middle = np.nan_to_num(np.array([c[~np.isnan(c)].mean() if (~np.isnan(c)).any() else 0.0 for c in seen.T]))
    spread = np.array([max(c[~np.isnan(c)].std(), LEAST) if (~np.isnan(c)).any() else 1.0 for c in seen.T])

    def scale(table: Matrix) -> Matrix:
        return np.asarray(np.nan_to_num(np.clip((table - middle) / spread, -6, 6)))

    _, size, axes = np.linalg.svd(scale(seen), full_matrices=False)
    axes = axes[: min(components, int((size > 1e-6 * size[0]).sum()))]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]

    def place(cohort: Cohort) -> tuple[list[str], Matrix]:
        names, own = [f"component {i + 1}" for i in range(len(axes))], find_courses(cohort)
        if own is None or not len(own.paths):
            return names, np.full((len(cohort), len(axes)), np.nan)
        return names, mean_by_patient(scale(numbers(own)) @ axes.T, pd.Index(own.paths.owner), cohort.patients)

    return place
