"""The expression of a cohort: one profile per patient who has one (`profiles.py` says what an AnnData of it holds)."""

from __future__ import annotations

from functools import partial

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.quantitative import Quantities, data_of, find_data, read_part, write_data

__all__ = ["Quantities", "expression_of", "find_expression", "has_expression", "keep_profiles", "read", "write"]
NAME = "expression"
TABLE = "rna"  # in a MuData file
keep_profiles = partial(Quantities, table=TABLE)  # profiles -> the part of a cohort
find_expression = partial(find_data, name=NAME)  # cohort -> its profiles, or None
expression_of = partial(data_of, name=NAME)  # cohort -> its profiles; KeyError where it has none
read = partial(read_part, table=TABLE)  # path -> the part of a cohort
write = write_data


def has_expression(cohort: Cohort) -> bool:
    """Whether a cohort has expression."""
    return NAME in cohort.parts
