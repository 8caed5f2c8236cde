"""The expression of a cohort: one profile per patient who has one (`profiles.py` says what an AnnData of it holds)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.quantitative import Quantities, data_of, find_data, read_data, write_data

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Quantities", "expression_of", "find_expression", "has_expression", "keep_profiles", "read", "write"]
NAME = "expression"
TABLE = "rna"  # in a MuData file
write = write_data


def keep_profiles(data: AnnData) -> Quantities:
    """Profiles as the part of a cohort."""
    return Quantities(data, TABLE)


def has_expression(cohort: Cohort) -> bool:
    """Whether a cohort has expression."""
    return NAME in cohort.parts


def expression_of(cohort: Cohort) -> AnnData:
    """The expression of a cohort that has some.

    Raises:
        KeyError: it has none.
    """
    return data_of(cohort, NAME)


def find_expression(cohort: Cohort) -> AnnData | None:
    """The expression of a cohort; None where it has none."""
    return find_data(cohort, NAME)


def read(path: str | Path) -> Quantities:
    """Read gene expression: one row per patient.

    Raises:
        InputError: the file is missing, or a patient occurs twice.
    """
    return keep_profiles(read_data(path))
