"""Source tables as text, with what an error message needs to say where a value stands."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from haemosynth.errors import InputError

TEXT = (".csv", ".tsv", ".txt", ".maf")
ENDINGS = (*TEXT, ".parquet", ".xlsx")
MISSING = frozenset({
    "na", "n/a", "nan", "null", ".", "?", "unknown", "unk", "missing", "not_available", "not_applicable",
    "not_reported", "not_evaluated", "not_done",
})  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A source table: every value stripped text or None; `rows` are the numbers of its rows in the file."""

    frame: pd.DataFrame
    path: Path
    rows: np.ndarray

    def row(self, position: int) -> str:
        """Where the row at this position (0-based) stands in the file."""
        return f"{self.path}, row {self.rows[position]}"

    def column(self, *names: str) -> str | None:
        """The first of these columns that the table has, upper and lower case alike."""
        found = {str(column).lower(): str(column) for column in reversed(list(self.frame.columns))}
        return next((found[name.lower()] for name in names if name.lower() in found), None)


@dataclass(frozen=True)
class Raw:
    """A cohort as its source format holds it, before kinds, endpoints and panel are decided.

    clinical: (patients, columns) text or None, index patient_id. files: the file of each column.
    rows: for each file, the row of each patient. mutations: canonical rows of all genes, or None.
    matrix: (patients, events) 0/1/NaN given as such, or None. sequenced: (patients,) bool, or None where the
    source does not say. hidden: source columns that are not clinical, with the reason.
    """

    clinical: pd.DataFrame
    files: Mapping[str, Path]
    rows: Mapping[Path, pd.Series]
    mutations: pd.DataFrame | None = None
    matrix: pd.DataFrame | None = None
    sequenced: pd.Series | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> str:
        """Where a column stands, for messages."""
        return f"{self.files[name]}: column {name}"

    def value(self, name: str, patient: str) -> str:
        """Where a value stands, for messages."""
        file = self.files[name]
        return f"{file}, row {self.rows[file][patient]}, patient {patient}: column {name}"


def suffix(path: Path) -> str:
    """The ending of a file that decides how it is read, compression left aside."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def read(path: Path, quoted: bool = True) -> Table:
    """Read a table as text: CSV, TSV, MAF (also gzipped), Parquet, or the first sheet of an Excel workbook.

    Text: comment lines (#) before the header are skipped; comma, semicolon or tab is found in the header; decimal
    commas of a semicolon-separated file become points. Words for missing values become None.

    Raises:
        InputError: the file is missing, empty, of another type or damaged, or a column has no or a repeated name.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    ending = suffix(path)
    if ending not in ENDINGS:
        raise InputError(f"{path}: cannot read files ending in {path.suffix!r}; expected {', '.join(ENDINGS)}")
    try:
        frame, before = _text(path, quoted) if ending in TEXT else _typed(path, ending)
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it again as UTF-8") from None
    except Exception as error:  # every reader has its own errors for a damaged file
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as {ending[1:]}: {reason}") from None
    names = [str(name).strip() for name in frame.columns]
    for position, name in enumerate(names):
        if not name or name.startswith("Unnamed:"):
            raise InputError(f"{path}: column {position + 1} has no name")
        if name in names[:position]:
            raise InputError(f"{path}: column {name} stands twice")
    frame.columns = pd.Index(names)
    return Table(frame.reset_index(drop=True), path, frame.index.to_numpy() + before)


def _text(path: Path, quoted: bool) -> tuple[pd.DataFrame, int]:
    import gzip

    with gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else open(path, encoding="utf-8-sig") as f:
        comments, header = 0, f.readline()
        while header.startswith("#"):
            comments, header = comments + 1, f.readline()
    if not header.strip():
        raise InputError(f"{path}: empty; expected a header line and one line per patient")
    separator = max("\t;,", key=header.count)  # the first of them where none occurs
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more fields than the header
        frame = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, skiprows=comments, index_col=False,
            quoting=quoting, encoding="utf-8-sig", skip_blank_lines=False,
        )  # fmt: skip
    frame.columns = pd.Index(next(csv.reader([header], delimiter=separator, quoting=quoting)))
    frame = frame.fillna("")  # rows shorter than the header
    frame = frame.map(str.strip)
    frame = frame[(frame != "").any(axis=1)]  # blank lines, such as the last one
    if separator == ";":
        frame = frame.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)
    return frame.map(_present), comments + 2


def _typed(path: Path, ending: str) -> tuple[pd.DataFrame, int]:
    if ending == ".xlsx":
        frame = pd.read_excel(path, dtype=object, keep_default_na=False)
    else:
        frame = pd.read_parquet(path)
        if frame.index.name is not None:
            frame = frame.reset_index()
    return frame.astype("object").map(_as_text).reset_index(drop=True), 2 if ending == ".xlsx" else 1


def _as_text(value: Any) -> str | None:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return str(value)
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat())[:10]
    return _present(str(value).strip())


def _present(text: str | None) -> str | None:
    return None if not text or text.strip("[]").replace(" ", "_").lower() in MISSING else text


def keyed(table: Table, column: str) -> pd.DataFrame:
    """The table by patient.

    Raises:
        InputError: a row without patient, a patient who stands twice, or no row at all.
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
        raise InputError(f"{table.row(position)}: patient {ids[position]} stands more than once in column {column}")
    return table.frame.set_index(pd.Index(ids, name="patient_id")).drop(columns=column)


def rows_of(table: Table, column: str) -> pd.Series:
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
