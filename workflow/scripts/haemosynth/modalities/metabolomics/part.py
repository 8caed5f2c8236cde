"""The measured table of a cohort: one row per patient who has one (`measured.py` says what an AnnData of it holds)."""

from __future__ import annotations

from functools import partial

from haemosynth.modalities.quantitative import Quantities, data_of, find_data, read_part, write_data

__all__ = ["Quantities", "find_measured", "keep_measurements", "measured_of", "read", "write"]
NAME = "metabolomics"
TABLE = "metabolomics"  # in a MuData file
keep_measurements = partial(Quantities, table=TABLE)  # measurements -> the part of a cohort
find_measured = partial(find_data, name=NAME)  # cohort -> its measurements, or None
measured_of = partial(data_of, name=NAME)  # cohort -> its measurements; KeyError where it has none
read = partial(read_part, table=TABLE)  # path -> the part of a cohort
write = write_data
