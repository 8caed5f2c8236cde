"""The measured table of a cohort: one row per patient who has one (`measured.py` says what an AnnData of it holds)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.quantitative import Quantities, data_of, find_data, read_data, write_data

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Quantities", "find_measured", "keep_measurements", "measured_of", "read", "write"]
NAME = "metabolomics"
TABLE = "metabolomics"  # in a MuData file
write = write_data


def keep_measurements(data: AnnData) -> Quantities:
    """Measurements as the part of a cohort."""
    return Quantities(data, TABLE)


def find_measured(cohort: Cohort) -> AnnData | None:
    """The measured table of a cohort; None where it has none."""
    return find_data(cohort, NAME)


def measured_of(cohort: Cohort) -> AnnData:
    """The measured table of a cohort that has one.

    Raises:
        KeyError: it has none.
    """
    return data_of(cohort, NAME)


def read(path: str | Path) -> Quantities:
    """Read a measured table: one row per patient.

    Raises:
        InputError: the file is missing, or a patient occurs twice.
    """
    return keep_measurements(read_data(path))
