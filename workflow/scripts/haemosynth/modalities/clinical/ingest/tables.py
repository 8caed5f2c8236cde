"""Plain tables: a clinical table, and mutations as MAF rows or as a patient-by-event matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from haemosynth.core.errors import InputError, Mistakes
from haemosynth.modalities.genomic.ingest.mutations import read_maf, read_matrix
from haemosynth.reading.source import ENDINGS, Raw, Table, find_rows, read, set_patients, suggestion

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
    """Read the tables of a folder, or one clinical file. Mistakes in mutations and matrix are kept in the result.

    Args:
        genomic: whether mutations are read; None reads them where there are some.

    Raises:
        InputError: a file is missing, or the clinical one cannot be read; it holds the mistakes of the others too.
    """
    paths = _files(source)
    mistakes, at_first = Mistakes(), Mistakes()
    found: dict[str, Table] = {}
    for role in paths if genomic is not False else ("clinical",):
        with (at_first if role == "clinical" else mistakes).kept():
            found[role] = read(paths[role])
    clinical, id_column, patients = pd.DataFrame(), "", pd.Index([])
    if "clinical" in found:
        with at_first.kept():
            id_column = _id(found["clinical"], source)
            patients = pd.Index(found["clinical"].frame[id_column].dropna().unique(), name="patient_id")
            clinical = set_patients(found["clinical"], id_column)
    mutations, matrix, sequenced = None, None, None
    notes: list[str] = []
    readings = [found["clinical"].reading] if "clinical" in found else []
    if "mutations" in found and len(patients):
        with mistakes.keep():
            of = {str(patient): str(patient) for patient in patients}
            mutations, notes, reading = read_maf(found["mutations"], of, frozenset(of))
            readings.append(reading)
    if "matrix" in found and len(patients):
        with mistakes.keep():
            events = found["matrix"]
            matrix, sequenced, more, reading = read_matrix(events, _id(events, source), patients)
            readings.append(reading)
            notes = [*notes, *more]
    at_first.add(mistakes.lines)
    if clinical.empty:
        at_first.tell()
    columns = dict.fromkeys(map(str, clinical.columns), paths["clinical"])
    rows = {paths["clinical"]: find_rows(found["clinical"], id_column)}
    return Raw(
        clinical,
        columns,
        rows,
        mutations,
        matrix,
        sequenced,
        notes=tuple(notes),
        readings=tuple(readings),
        mistakes=tuple(mistakes.lines),
    )
