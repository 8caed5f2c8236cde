"""The measured table of a cohort: one row per patient who has one (`measured.py` says what an AnnData of it holds)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.files import replacing

if TYPE_CHECKING:
    from anndata import AnnData

NAME = "metabolomics"


@dataclass(frozen=True)
class Measurements:
    """Measurements of patients: data has one row for each patient of whom anything was measured, in table order."""

    data: AnnData
    table = "metabolomics"  # its name in a MuData file

    @property
    def owners(self) -> pd.Index:
        """The patient of each row."""
        owners: pd.Index = self.data.obs_names
        return owners

    def take(self, rows: np.ndarray, positions: np.ndarray) -> Measurements:
        """These rows, in this order."""
        return Measurements(self.data[rows])


def find_measured(cohort: Cohort) -> AnnData | None:
    """The measured table of a cohort; None where it has none."""
    part = cohort.parts.get(NAME)
    assert part is None or isinstance(part, Measurements)
    return None if part is None else part.data


def measured_of(cohort: Cohort) -> AnnData:
    """The measured table of a cohort that has one.

    Raises:
        KeyError: it has none.
    """
    found = find_measured(cohort)
    if found is None:
        raise KeyError(NAME)
    return found


def read(path: str | Path) -> Measurements:
    """Read a measured table: one row per patient.

    Raises:
        InputError: the file is missing, or a patient stands twice.
    """
    import anndata

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    data = anndata.read_h5ad(path)
    if data.obs_names.has_duplicates:
        repeated = data.obs_names[data.obs_names.duplicated()][0]
        raise InputError(f"{path}: patient {repeated} stands more than once")
    return Measurements(data)


def write(measurements: Measurements, path: str | Path) -> None:
    """Write a measured table as h5ad."""
    with replacing(path) as temporary:
        measurements.data.write_h5ad(temporary, compression="gzip")
