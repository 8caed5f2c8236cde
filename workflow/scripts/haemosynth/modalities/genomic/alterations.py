"""The alterations of a cohort as numbers."""

from __future__ import annotations

import numpy as np

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort


def make_matrix(cohort: Cohort, events: list[str]) -> Matrix:
    """Alterations in this order.  (patients, events) of 0/1/NaN

    Raises:
        ValueError: the cohort has no alterations.
    """
    if cohort.alterations is None:
        raise ValueError("the cohort has no genomic modality")
    return np.asarray(cohort.alterations[events].to_numpy(np.float64))
