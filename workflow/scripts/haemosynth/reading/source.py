"""Source tables as text, with what an error message needs to say where a value is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.core.schema import FileRead
from haemosynth.reading.raw_tables import ENDINGS, Table, find_suffix, read

__all__ = ["ENDINGS", "FileRead", "Raw", "Table", "find_rows", "find_suffix", "keyed", "read", "suggestion"]


@dataclass(frozen=True)
class Raw:
    """A cohort as its source format holds it, before kinds, endpoints and panel are decided.

    clinical: (patients, columns) text or None, index patient_id. files: the file of each column.
    rows: for each file, the row of each patient. mutations: canonical rows of all genes, or None.
    matrix: (patients, events) 0/1/NaN given as such, or None. sequenced: (patients,) bool, or None where the
    source does not say. hidden: source columns that are not clinical, with the reason. readings: the account of every
    file. panels: the genes that were sequenced, of those patients of whom not all were. samples: identifiers of
    samples. mistakes: of files that could not be read in full; what they hold is left out here.
    """

    clinical: pd.DataFrame
    files: Mapping[str, Path]
    rows: Mapping[Path, pd.Series]
    mutations: pd.DataFrame | None = None
    matrix: pd.DataFrame | None = None
    sequenced: pd.Series | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    readings: tuple[FileRead, ...] = ()
    panels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    samples: frozenset[str] = frozenset()
    mistakes: tuple[str, ...] = ()

    def column(self, name: str) -> str:
        """Where a column is, for messages."""
        return f"{self.files[name]}: column {name}"

    def value(self, name: str, patient: str) -> str:
        """Where a value is, for messages."""
        file = self.files[name]
        return f"{file}, row {self.rows[file][patient]}, patient {patient}: column {name}"


def set_patients(table: Table, column: str) -> pd.DataFrame:
    """The table by patient.

    Raises:
        InputError: a row without patient, a patient who occurs twice, or no row at all.
    """
    ids = table.frame[column]
    if ids.empty:
        raise InputError(f"{table.path}: no patient; expected one row per patient below the header")
    if ids.isna().any():
        raise InputError(
            f"{table.row(int(ids.isna().argmax()))}: column {column} is empty; every row needs its patient"
        )
    if ids.duplicated().any():
        position = int(ids.duplicated().argmax())
        raise InputError(f"{table.row(position)}: patient {ids[position]} occurs more than once in column {column}")
    return table.frame.set_index(pd.Index(ids, name="patient_id")).drop(columns=column)


def find_rows(table: Table, column: str) -> pd.Series:
    """The row of each patient in the file."""
    return pd.Series(table.rows, index=table.frame[column])


def suggestion(word: str, known: list[str]) -> str:
    """The end of an error line: the nearest known word, or some of them."""
    from difflib import get_close_matches

    upper = {name.upper(): name for name in reversed(known)}
    near = get_close_matches(str(word).upper(), list(upper), n=1)
    if near:
        return f"did you mean {upper[near[0]]!r}?"
    return f"there are {', '.join(known[:12])}{' and others' if len(known) > 12 else ''}" if known else "there is none"
