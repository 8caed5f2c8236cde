"""What was read of a cohort, left out, repaired and guessed, in a few lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.schema import FileRead, Schema

TOLD = re.compile(r"^sequenced: |^\S+: \d+ rows? left out: ")  # what the lines above say already
MOST = 30  # lines of a cohort
FILES = 6  # that are named one by one
NAMES = 10  # of columns that are named one by one for a reason
WIDTH = 300  # letters of a line that holds no line of YAML
USUAL = frozenset({"header", "comment before the header", "blank line", "last line without a line end"})
# Reasons of ingestion begin so; what follows may quote a value of a record.
REASONS = (
    "identifier", "whole numbers of which nearly every patient has another", "date", "constant", "no value recorded",
    "text, nearly every patient has another", "the outcome in other words", "no secondary endpoint",
    "says who was sequenced", "event of an endpoint that is not listed", "time of an endpoint that is not listed",
)  # fmt: skip
UNLISTED = re.compile(r"(event|time) of \S.*, which the study ")


def category(reason: str) -> str:
    """A reason for leaving a column out, without what it says of the values."""
    if found := UNLISTED.match(reason):
        return f"{found[1]} of an endpoint that is not listed"
    return next((known for known in REASONS if reason.startswith(known)), reason)


def count(number: float, release: bool) -> str:
    """A number of patients as text; in a release, those under five are withheld."""
    return f"under {MIN_CELL_COUNT}" if release and 0 < number < MIN_CELL_COUNT else f"{int(number)}"


def list_what_was_read(cohort: Cohort, left: Mapping[str, pd.DataFrame] | None = None, place: str = "") -> list[str]:
    """The account of a cohort for those who hold it, at most 30 lines.

    Args:
        cohort: as ingested. left: further modality -> what its ingestion left out (`MODALITY_left.tsv`).
        place: where the rest is written.
    """
    schema, patients = cohort.schema, len(cohort)
    kept = [name for name in schema.columns if name not in schema.survival]
    lines = [
        f"{schema.cohort}: {patients} patients, {len(kept)} clinical columns"
        + (f", {len(schema.alterations)} alterations" if schema.alterations else "")
        + (f"; {len(schema.excluded)} columns and alterations left out" if schema.excluded else "")
    ]
    lines += [_file(file) for file in schema.reading[:FILES]]
    if len(schema.reading) > FILES:
        lines.append(f"and {len(schema.reading) - FILES} files more")
    if cohort.sequenced is not None:
        told = next((note for note in schema.notes if note.startswith("sequenced: ")), "")
        by = told.partition("patients, ")[2] or _by_column(schema)
        lines.append(f"sequenced: {int(cohort.sequenced.sum())} of {patients} patients{f', {by}' if by else ''}")
    if schema.endpoints:
        lines.append(f"endpoints: {'; '.join(_endpoint(cohort, name) for name in schema.endpoints)}")
    if cohort.alterations is not None:
        lines.append(f"alterations: {_some([str(name) for name in schema.alterations], 20)}")
    groups: dict[str, list[str]] = {}
    for name, reason in schema.excluded.items():
        groups.setdefault(category(reason), []).append(name)
    lines += [f"left out: {_some(names, NAMES)} ({reason})" for reason, names in _largest(groups, 8)]
    for modality, table in (left or {}).items():
        if len(table):
            reasons = _reasons(table)
            more = [f"and {len(reasons) - 4} reasons more"] if len(reasons) > 4 else []
            lines.append(f"{modality}: {'; '.join([*reasons[:4], *more])}")
    notes = [note for note in schema.notes if not TOLD.search(note)]
    notes = sorted(notes, key=lambda note: "`" not in note)  # first what asks for a decision
    room = MOST - len(lines) - (1 if place else 0)
    shown = notes if len(notes) <= room else notes[: room - 1]
    lines += [note if "`" in note else _clip(note) for note in shown]
    if len(shown) < len(notes):
        lines.append(f"and {len(notes) - len(shown)} notes more")
    if place:
        lines.append(f"in full: {place}")
    return [line if "`" in line else _clip(line) for line in lines]


def _file(file: FileRead) -> str:
    parts = [f"{number} x {reason}" for reason, number in file.left.items() if reason not in USUAL]
    repaired = [f"{number} x {what}" for what, number in file.repaired.items() if what not in USUAL]
    missing = sum(file.missing.values())
    words = _some([f"{word} ({number})" for word, number in file.missing.items()], 4)
    return (
        f"{file.file}: {file.physical} lines, {file.read} records"
        + (f"; left out: {_some(parts, 5)}" if parts else "")
        + (f"; mended: {_some(repaired, 4)}" if repaired else "")
        + (f"; {missing} cells not recorded: {words}" if words else "")
    )


def _reasons(table: pd.DataFrame) -> list[str]:
    """What left and why, the commonest first: by name where it is one thing, else how many there are."""
    groups: dict[tuple[str, str], list[str]] = {}
    for what, name, reason in zip(table["what"], table["name"], table["reason"], strict=True):
        groups.setdefault((str(what), str(reason)), []).append(str(name))
    found = []
    for (what, reason), names in sorted(groups.items(), key=lambda item: -len(item[1])):
        one = names[0] if re.match(r"one |\d", names[0]) else f"{what} {names[0]}"
        found.append(f"{one if len(names) == 1 else f'{len(names)} x {what}'}: {reason}")
    return found


def _by_column(schema: Schema) -> str:
    told = [name for name, reason in schema.excluded.items() if reason.startswith("says who was sequenced")]
    return f"by the column {told[0]}" if told else ""


def _endpoint(cohort: Cohort, name: str) -> str:
    event = cohort.clinical[f"{name}_event"]
    first = " (primary)" if name == cohort.schema.endpoints[0] else ""
    return f"{name}{first}, {int((event == 1).sum())} events in {int(event.notna().sum())} patients"


def _largest(groups: Mapping[str, Sequence[str]], most: int) -> list[tuple[str, Sequence[str]]]:
    """The largest groups in their order, the others as one."""
    kept = sorted(groups, key=lambda reason: -len(groups[reason]))[:most]
    others = [name for reason in groups if reason not in kept for name in groups[reason]]
    return [(reason, groups[reason]) for reason in groups if reason in kept] + (
        [("other reasons", others)] if others else []
    )


def _some(names: Iterable[str], most: int) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _clip(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 4].rstrip()} ..."


def make_released_reading(schema: Schema) -> list[str]:
    """The account of a cohort that may leave: what files held and why records and columns were left out.

    Counts under five are withheld; no value of a record, no patient and no name of a file is given.
    """
    lines = []
    for number, file in enumerate(schema.reading, start=1):
        reasons: dict[str, int] = {}
        for reason, records in file.left.items():
            if reason not in USUAL:
                plain = re.sub(r"\s*[(:].*", "", reason)
                reasons[plain] = reasons.get(plain, 0) + records
        left = [f"{reason} ({count(records, True)})" for reason, records in reasons.items()]
        missing, mended = sum(file.missing.values()), sum(file.repaired.values())
        few = any(0 < records < MIN_CELL_COUNT for records in reasons.values())  # else the total would tell it
        read = "records read" if few else f"{file.read} records read"
        lines.append(
            f"File {number}: {read}"
            + (f"; left out: {', '.join(left)}" if left else "")
            + (f"; cells not recorded: {count(missing, True)}" if missing else "")
            + (f"; mended: {count(mended, True)}" if mended else "")
            + "."
        )
    groups = Counter(category(reason) for reason in schema.excluded.values())
    counted = [f"{reason} ({number})" for reason, number in groups.items() if reason in REASONS]
    others = sum(number for reason, number in groups.items() if reason not in REASONS)
    if others:
        counted.append(f"as the study says, or too rare or constant in training patients ({others})")
    if counted:
        lines.append(f"Columns and alterations left out: {'; '.join(counted)}.")
    return lines


def read_summary(folder: Path) -> list[str]:
    """The account of the cohort in a folder `raw` of the results; empty where none was read there."""
    from haemosynth.core.files import read_table
    from haemosynth.modalities.cohort_files import read_cohort
    from haemosynth.modalities.registry import FURTHER

    if not (folder / "schema.yaml").is_file() or not (folder / "clinical.parquet").is_file():
        return []
    files = {modality: folder / f"{modality}_left.tsv" for modality in FURTHER}
    left = {modality: read_table(file) for modality, file in files.items() if file.is_file()}
    return list_what_was_read(read_cohort(folder), left, str(folder / "schema.yaml"))
