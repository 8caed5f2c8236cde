"""Files of every kind as tables of clean text, with an account of what was read.

Delimited text is read line by line: a line is a record unless a quoted cell of it goes on in the next one, so that a
stray quote never swallows the records after it.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.core.schema import FileRead

TEXT = (".csv", ".tsv", ".txt", ".maf")
ENDINGS = (*TEXT, ".parquet", ".xlsx")
SEPARATORS = "\t;,"
# In lower case, brackets round them left aside, spaces as underscores. What spreadsheets write in German is among them.
MISSING = frozenset({
    "na", "n/a", "n.a.", "n.a", "nan", "null", ".", "?", "??", "--", "---", "'--", "\u2014", "\u2013", "nd", "n.d.",
    "n.d", "n/d", "n/k", "unknown", "unk", "unbekannt", "missing", "not_available", "not_applicable", "not_reported",
    "not_evaluated", "not_evaluable", "not_done", "not_known", "not_recorded", "not_determined", "not_tested",
    "not_performed", "not_assessed", "not_provided", "not_specified", "not_allowed_to_collect", "no_data",
    "k.a.", "k._a.", "keine_angabe", "discrepancy", "#n/a", "#n/a_n/a", "#na", "#nv", "#div/0!", "#value!", "#ref!",
    "#name?", "#num!", "#null!", "#wert!", "#bezug!", "#zahl!", "<na>",
})  # fmt: skip
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")  # nothing that a reader sees
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")  # no character of text
LONGEST = 200  # lines that one quoted cell may span


@dataclass(frozen=True)
class Table:
    """A source table: every value clean text or None; `rows` are the numbers of its rows in the file."""

    frame: pd.DataFrame
    path: Path
    rows: np.ndarray
    reading: FileRead

    def row(self, position: int) -> str:
        """Where the row at this position (0-based) is in the file."""
        return f"{self.path}, row {self.rows[position]}"

    def column(self, *names: str) -> str | None:
        """The first of these columns that the table has, upper and lower case alike."""
        found = {str(column).lower(): str(column) for column in reversed(list(self.frame.columns))}
        return next((found[name.lower()] for name in names if name.lower() in found), None)


def find_suffix(path: Path) -> str:
    """The ending of a file that decides how it is read, compression left aside."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def clean(text: str) -> str:
    """Text with one space for every run of white space, tabs and line breaks, and without invisible characters."""
    return " ".join(INVISIBLE.sub("", text).split())


def is_missing(text: str) -> bool:
    """Whether a word means that nothing was recorded."""
    return not text or text.strip("[]").replace(" ", "_").lower() in MISSING


def read(path: Path, quoted: bool = True) -> Table:
    """Read a table as text: CSV, TSV, MAF (also gzipped), Parquet, or the first sheet of an Excel workbook.

    Text: comment lines (#) before the header are skipped; comma, semicolon or tab is found in the header. Numbers stay
    as they are written. Words for missing values become None; white space within a value or a name is one space.

    Args:
        quoted: whether a quoted cell may hold separators and line breaks; else quotes round a cell are left out where
            the row then has as many fields as the header, and all others are characters.

    Raises:
        InputError: the file is missing, empty, of another type or damaged, a row has more or fewer fields than the
            header, a value holds a control character, or a column has no or a repeated name.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    ending = find_suffix(path)
    if ending not in ENDINGS:
        raise InputError(f"{path}: cannot read files ending in {path.suffix!r}; expected {', '.join(ENDINGS)}")
    try:
        header, records, rows, account = (
            _read_delimited(path, quoted) if ending in TEXT else (_sheet if ending == ".xlsx" else _parquet)(path)
        )
    except InputError:
        raise
    except Exception as error:  # every reader has its own errors for a damaged file
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as {ending[1:]}: {reason}") from None
    header, records = _name_columns(path, header, records, account)
    table, missing = _columns(path, header, records, rows)
    blank = table.isna().all(axis=1).to_numpy(dtype=bool) if len(header) else np.zeros(len(records), dtype=bool)
    account.left["row without any value"] += int(blank.sum())
    kept = table[~blank].reset_index(drop=True)
    reading = FileRead(path.name, account.physical, len(kept), dict(+account.left), missing, dict(+account.repaired))
    check_account(reading, path)
    return Table(kept, path, np.asarray(rows)[~blank], reading)


def check_account(reading: FileRead, path: Path) -> None:
    """Raise an InputError unless every physical line or row of a file is accounted for."""
    told = reading.read + sum(reading.left.values())
    if told != reading.physical:
        raise InputError(
            f"{path}: {reading.physical} lines, but {told} are accounted for ({reading.read} records); nothing is "
            f"taken from a file that cannot be read in full: save it again as TSV or Parquet"
        )


@dataclass
class _Account:
    """What is counted while a file is read."""

    physical: int
    left: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)


Records = tuple[list[str], list[list[str]], list[int], _Account]  # names, cells by row, row numbers, account


def _name_columns(
    path: Path, header: list[str], records: list[list[str]], account: _Account
) -> tuple[list[str], list[list[str]]]:
    """Clean and distinct names; columns without a name leave where they are empty."""
    names = [clean(name) for name in header]
    empty = [
        p
        for p, name in enumerate(names)
        if not name and all(not record[p] or record[p].isspace() for record in records)
    ]
    if empty:
        account.repaired["empty column without a name left out"] += len(empty)
        kept = [p for p in range(len(names)) if p not in empty]
        names, records = [names[p] for p in kept], [[record[p] for p in kept] for record in records]
    for position, name in enumerate(names):
        if not name:
            raise InputError(f"{path}: column {position + 1} has no name")
        if name in names[:position]:
            raise InputError(f"{path}: column {name} occurs twice")
        if CONTROL.search(name):
            raise InputError(
                f"{path}: the name of column {position + 1} holds a control character; the file is damaged"
            )
    return names, records


def _columns(
    path: Path, names: list[str], records: list[list[str]], rows: list[int]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The cells as clean text by column, None where missing, and the words that were taken as missing."""
    words: Counter[str] = Counter()
    columns: dict[str, list[str | None]] = {}
    for name, cells in zip(names, zip(*records, strict=True) if records else ([] for _ in names), strict=True):
        known: dict[str, str | None] = {}
        for cell in set(cells):
            text = clean(cell)
            if sign := CONTROL.search(text):
                raise InputError(
                    f"{path}, row {rows[cells.index(cell)]}: column {name} holds the control character "
                    f"U+{ord(sign[0]):04X}; the file is damaged, or not plain text: mend the value"
                )
            known[cell] = None if is_missing(text) else text
        columns[name] = [known[cell] for cell in cells]
        for cell, count in Counter(cell for cell in cells if known[cell] is None).items():
            if clean(cell):
                words[clean(cell)] += count
    return pd.DataFrame(columns, columns=pd.Index(names), dtype="object"), dict(sorted(words.items()))


def decode(path: Path) -> str:
    """A text file as text: UTF-8, or UTF-16 where a byte order mark says so; also gzipped.

    Raises:
        InputError: another encoding; the line of the first strange byte is reported.
    """
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text; save the file again as UTF-8") from None


def _lines(text: str) -> list[str]:
    """The lines, whose ends are those of Unix or Windows, or of an old Macintosh where there are no others."""
    text = text.removesuffix("\x1a")  # the end mark of DOS
    lines = [line.removesuffix("\r") for line in text.split("\n")] if "\n" in text else text.split("\r")
    return lines[:-1] if lines[-1] == "" else lines


def _read_delimited(path: Path, quoted: bool) -> Records:
    text = decode(path)
    lines = _lines(text)
    account = _Account(len(lines))
    account.repaired["last line without a line end"] += not text.endswith(("\n", "\r"))
    at = 0
    while at < len(lines) and (lines[at].startswith("#") or not lines[at].strip()):
        account.left["comment before the header" if lines[at].startswith("#") else "blank line"] += 1
        at += 1
    if at == len(lines):
        raise InputError(f"{path}: empty; expected a header line and one line per patient")
    separator = _separator(lines[at:])
    usual = Counter(len(_literal(line, separator)) for line in lines[at + 1 : at + 60] if line.strip()).most_common(1)
    whole = usual[0][0] if usual and quoted and '"' in lines[at] else None
    header, at = _record(lines, at, separator, whole, quoted, account, path)
    account.left["header"] += 1
    while len(header) > 1 and not header[-1].strip():  # separators after the last name
        header.pop()
    _check_short_header(path, header, lines[at:], separator, at)
    records, rows = [], []
    while at < len(lines):
        if not lines[at].replace(separator, "").strip():
            account.left["blank line"] += 1
            at += 1
            continue
        rows.append(at + 1)
        record, at = _record(lines, at, separator, len(header), quoted, account, path)
        records.append(record)
    return header, records, rows, account


def _check_short_header(path: Path, header: list[str], following: list[str], separator: str, at: int) -> None:
    """R writes the names of rows without a name for their column: every row then has one field more than the header."""
    fields = [_literal(line, separator) for line in following[:60] if line.strip()]
    if len(fields) > 1 and all(len(row) == len(header) + 1 and row[-1].strip() for row in fields):
        raise InputError(
            f"{path}, line {at + 1}: {len(header) + 1} fields, but the header has {len(header)}, as in every row; R "
            f"leaves out the name of its row names: put one such as patient_id before the others, or write the table "
            f"with col.names = NA{'; a comma within a value needs quotes round it' if separator == ',' else ''}"
        )


def _separator(lines: list[str]) -> str:
    """The separator that gives header and first rows the same number of fields; the more frequent one of two such."""
    following = [line for line in lines[1:40] if line.strip()]

    def fit(separator: str) -> tuple[int, int]:
        fields, unclosed = _fields(lines[0], separator)
        for end in range(2, 6):  # a name with line breaks
            if unclosed is not None:
                fields, unclosed = _fields("\n".join(lines[:end]), separator)
        count = len(fields if unclosed is None else _fields(lines[0], separator)[0])
        same = sum(len(_fields(line, separator)[0]) == count for line in following)
        return (same if count > 1 else -1, count)

    return max(SEPARATORS, key=fit)


def _record(
    lines: list[str], at: int, separator: str, wanted: int | None, quoted: bool, account: _Account, path: Path
) -> tuple[list[str], int]:
    """The record that begins in line `at` (0-based), and the line after it. `wanted` is the number of its fields."""
    fields, unclosed = _fields(lines[at], separator)
    if unclosed is None and (wanted in (None, len(fields)) or '"' not in lines[at]):
        return _fitting(fields, wanted, path, at), at + 1
    if not quoted:
        return _fitting(lines[at].split(separator), wanted, path, at), at + 1
    literal = _literal(lines[at], separator, wanted)
    after = next((line for line in lines[at + 1 :] if line.strip()), None)
    alone = after is None or len(literal) == len(_literal(after, separator, wanted))
    if alone and wanted in (None, len(literal)) and unclosed is not None:
        account.repaired["stray quote left out"] += 1
        return literal, at + 1
    if unclosed is not None:
        for end in range(at + 2, min(len(lines), at + LONGEST) + 1):
            fields, unclosed = _fields("\n".join(lines[at:end]), separator)
            if unclosed is None:
                if wanted in (None, len(fields)):
                    account.left["line of a cell that goes on"] += end - at - 1
                    account.repaired["line break in a cell read as a space"] += end - at - 1
                    return fields, end
                break
    if wanted == len(literal):
        account.repaired["stray quote left out"] += 1
        return literal, at + 1
    return _fitting(fields if unclosed is None else literal, wanted, path, at), at + 1


def _fitting(fields: list[str], wanted: int | None, path: Path, at: int) -> list[str]:
    """The fields, empty ones after the last column left aside."""
    if wanted is None or len(fields) == wanted:
        return fields
    if len(fields) > wanted and not any(cell.strip() for cell in fields[wanted:]):
        return fields[:wanted]
    more = "a comma within a value needs quotes round it" if len(fields) > wanted else "the row may have been cut"
    raise InputError(f"{path}, line {at + 1}: {len(fields)} fields, but the header has {wanted}; {more}")


def _literal(line: str, separator: str, wanted: int | None = None) -> list[str]:
    """The fields of a line on its own: a quote that is not closed opens nothing and is left out.

    So is one that encloses separators, where the number of fields is not the wanted one otherwise.
    """
    stray: set[int] = set()
    while True:
        fields, unclosed = _fields(line, separator, stray)
        if unclosed is None:
            break
        stray.add(unclosed)
    if wanted not in (None, len(fields)) and any(separator in cell for cell in fields):
        fields = line.split(separator)
        stray = {at for at, cell in enumerate(fields) if cell.count('"') == 1}
    return [cell.lstrip(" ").removeprefix('"') if at in stray else cell for at, cell in enumerate(fields)]


def _fields(line: str, separator: str, stray: Iterable[int] = ()) -> tuple[list[str], int | None]:
    """The fields of a line, and the number of the one whose quote is not closed.

    A quote opens a field at its beginning only and closes it before a separator or the end only; two quotes in between
    are one. The fields in `stray` are taken as they are.
    """
    if '"' not in line:
        return line.split(separator), None
    fields: list[str] = []
    start, end = 0, len(line)
    while True:
        body = start
        while body < end and line[body] == " ":
            body += 1
        if body < end and line[body] == '"' and len(fields) not in stray:
            close = body + 1
            while True:
                close = line.find('"', close)
                if close < 0:
                    return [*fields, line[body:]], len(fields)
                rest = close + 1
                if line.startswith(('"', separator), rest) or not line[rest:].strip(" "):
                    if not line.startswith('"', rest):
                        break
                    close += 2
                else:
                    close += 1
            fields.append(line[body + 1 : close].replace('""', '"'))
            start = line.find(separator, close)
        else:
            stop = line.find(separator, start)
            fields.append(line[start:] if stop < 0 else line[start:stop])
            start = stop
        if start < 0:
            return fields, None
        start += 1


def _sheet(path: Path) -> Records:
    """The first sheet of a workbook; percentages and dates as the sheet shows them."""
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # some writers state too small a range
    cells = [list(row) for row in sheet.iter_rows()]
    others = [other.title for other in book.worksheets[1:]]
    account = _Account(len(cells))
    texts = [[_cell(cell) for cell in row] for row in cells]
    book.close()
    _check_formulas(path, texts)
    first = next((at for at, row in enumerate(texts) if any(row)), None)
    if first is None:
        raise InputError(f"{path}: empty; expected a header row and one row per patient")
    account.left["blank row before the header"] += first
    account.left["header"] += 1
    if others:
        account.repaired[f"sheet not read: {clean(', '.join(others))}"] += len(others)
    width = max(len(row) for row in texts)
    records = [row + [""] * (width - len(row)) for row in texts[first + 1 :]]
    header = texts[first] + [""] * (width - len(texts[first]))
    return header, records, list(range(first + 2, len(texts) + 1)), account


def _cell(cell: Any) -> str:
    value = cell.value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and "%" in str(getattr(cell, "number_format", "")):
        return f"{value * 100:.12g}%"
    return _as_text(value)


def _check_formulas(path: Path, texts: list[list[str]]) -> None:
    """A formula whose value was never computed would be an empty cell."""
    import zipfile

    import openpyxl

    with zipfile.ZipFile(path) as archive:
        sheets = [name for name in archive.namelist() if re.match(r"xl/worksheets/.*\.xml", name)]
        if not any(b"<f" in archive.read(name) for name in sheets):
            return
    book = openpyxl.load_workbook(path, read_only=True)
    for number, row in enumerate(book.worksheets[0].iter_rows(), start=1):
        for position, cell in enumerate(row):
            if getattr(cell, "data_type", "") == "f" and not texts[number - 1][position]:
                raise InputError(
                    f"{path}, row {number}: column {position + 1} holds a formula whose value is not stored; open and "
                    f"save the workbook in a spreadsheet program, or paste the values"
                )
    book.close()


def _parquet(path: Path) -> Records:
    import pyarrow.parquet as pq

    account = _Account(int(pq.read_metadata(path).num_rows))
    frame = pd.read_parquet(path)
    if frame.index.name is not None:
        frame = frame.reset_index()
    columns = []
    for position in range(frame.shape[1]):
        values = frame.iloc[:, position]
        if values.dtype == np.float32:  # 0.1 and not 0.10000000149
            columns.append(["" if np.isnan(value) else _as_text(float(str(value))) for value in values.to_numpy()])
        else:
            columns.append([_as_text(value) for value in values.astype("object")])
    records = [list(row) for row in zip(*columns, strict=True)]
    return [str(name) for name in frame.columns], records, list(range(1, len(records) + 1)), account


def _as_text(value: Any) -> str:
    """A stored value as it would be in a text file; the empty text where there is none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, bool | np.bool_):
        return str(value)
    if np.ndim(value) == 0 and pd.isna(value):
        return ""
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else f"{float(value):.15g}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())[:10]
    return str(value)
