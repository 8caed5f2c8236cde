"""The expression of a cohort: one profile per patient who has one (`profiles.py` says what an AnnData of it holds)."""

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

NAME = "expression"


@dataclass(frozen=True)
class Profiles:
    """Profiles of patients: data has one row for each patient whose expression was measured, in table order."""

    data: AnnData
    table = "rna"  # its name in a MuData file

    @property
    def owners(self) -> pd.Index:
        """The patient of each profile."""
        owners: pd.Index = self.data.obs_names
        return owners

    def take(self, rows: np.ndarray, positions: np.ndarray) -> Profiles:
        """These profiles, in this order."""
        return Profiles(self.data[rows])


def has_expression(cohort: Cohort) -> bool:
    """Whether a cohort has expression."""
    return NAME in cohort.parts


def expression_of(cohort: Cohort) -> AnnData:
    """The expression of a cohort that has some.

    Raises:
        KeyError: it has none.
    """
    part = cohort.parts[NAME]
    assert isinstance(part, Profiles)
    return part.data


def find_expression(cohort: Cohort) -> AnnData | None:
    """The expression of a cohort; None where it has none."""
    return expression_of(cohort) if has_expression(cohort) else None


def read(path: str | Path) -> Profiles:
    """Read gene expression: one row per patient.

    Raises:
        InputError: the file is missing, or a patient stands twice.
    """
    import anndata

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    expression = anndata.read_h5ad(path)
    if expression.obs_names.has_duplicates:
        repeated = expression.obs_names[expression.obs_names.duplicated()][0]
        raise InputError(f"{path}: patient {repeated} stands more than once")
    return Profiles(expression)


def write(profiles: Profiles | AnnData, path: str | Path) -> None:
    """Write gene expression as h5ad: a part, or what generators and references draw."""
    data = profiles.data if isinstance(profiles, Profiles) else profiles
    with replacing(path) as temporary:
        data.write_h5ad(temporary, compression="gzip")
