"""Plain tables: a clinical table, and mutations as MAF rows or as a patient-by-event matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haemosynth.errors import InputError
from haemosynth.ingest.mutations import read_maf, read_matrix
from haemosynth.ingest.source import ENDINGS, Raw, Table, keyed, read, rows_of, suggestion

NAMES = {"clinical": ("clinical",), "mutations": ("mutations",), "matrix": ("alterations", "matrix")}
ID = "patient_id"


def _files(source: Mapping[str, Any]) -> dict[str, Path]:
    """The tables there are, by role: clinical always, mutations and matrix where found."""
    path = Path(source["path"])
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    found: dict[str, Path] = {}
    folder = path if path.is_dir() else path.parent
    if path.is_file():
        if "clinical" in source:
            raise InputError(f"{path}: `path` names a file, so that `clinical` has no place; name the folder instead")
        found["clinical"] = path
    for role, names in NAMES.items():
        if role in source:
            found[role] = folder / str(source[role])
            if not found[role].is_file():
                raise InputError(f"{found[role]}: no such file (named under `{role}`)")
        elif path.is_dir():
            here = [folder / (name + ending + zipped) for name in names for ending in ENDINGS for zipped in ("", ".gz")]
            here = [file for file in here if file.is_file()]
            if len(here) > 1:
                raise InputError(
                    f"{folder}: {here[0].name} and {here[1].name} could both be meant; name one: `{role}:`"
                )
            if here:
                found[role] = here[0]
    if "clinical" not in found:
        raise InputError(f"{folder}: no clinical table; expected clinical{'|'.join(ENDINGS)}, or name it: `clinical:`")
    return found


def _id(table: Table, source: Mapping[str, Any]) -> str:
    name = str(source.get("id", ID))
    found = table.column(name)
    if found is None:
        there = suggestion(name, list(map(str, table.frame.columns)))
        raise InputError(f"{table.path}: the patient column {name} is missing; name it with `id:`; {there}")
    return found


def read_source(source: Mapping[str, Any], genomic: bool | None) -> Raw:
    """Read the tables of a folder, or one clinical file.

    Args:
        genomic: whether mutations are read; None reads them where there are some.

    Raises:
        InputError: a file is missing or damaged, or files disagree about patients.
    """
    paths = _files(source)
    table = read(paths["clinical"])
    id_column = _id(table, source)
    clinical = keyed(table, id_column)
    columns = dict.fromkeys(map(str, clinical.columns), paths["clinical"])
    rows = {paths["clinical"]: rows_of(table, id_column)}
    mutations, matrix, sequenced = None, None, None
    notes: list[str] = []
    readings = [table.reading]
    if genomic is not False and "mutations" in paths:
        patients = {patient: patient for patient in clinical.index}
        mutations, notes, reading = read_maf(read(paths["mutations"]), patients, frozenset(patients))
        readings.append(reading)
    if genomic is not False and "matrix" in paths:
        events = read(paths["matrix"])
        matrix, sequenced, more, reading = read_matrix(events, _id(events, source), clinical.index)
        readings.append(reading)
        notes = [*notes, *more]
    return Raw(clinical, columns, rows, mutations, matrix, sequenced, {}, tuple(notes), tuple(readings))
