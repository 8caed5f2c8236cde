"""The rows that patients own in a further modality."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Part

Kind = TypeVar("Kind", bound=Part)


def of_patients(part: Kind, patients: Iterable[str]) -> Kind:
    """The rows of these patients, in the order in which they are."""
    own = np.isin(np.asarray(part.owners, dtype=str), np.asarray(list(patients), dtype=str))
    return part.take(np.flatnonzero(own), np.empty(0, dtype=np.intp))  # type: ignore[return-value]


def mean_by_patient(rows: np.ndarray, owners: pd.Index, patients: pd.Index) -> np.ndarray:
    """(patients, numbers) means over the rows of each patient; NaN for a patient without one."""
    means = pd.DataFrame(rows).groupby(np.asarray(owners)).mean()
    return np.asarray(means.reindex(patients).to_numpy(float))
