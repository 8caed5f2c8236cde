"""Measured tables from text, workbooks, Parquet or h5ad: patients by analytes, or analytes by patients.

Nothing is learned here: what leaves, leaves by itself (an analyte without values, a patient without any), and is listed
with its reason. Missing stays missing; what lies beyond a limit of detection is set to the limit and marked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError, Mistakes
from haemosynth.modalities.clinical.ingest.cbioportal import order_samples
from haemosynth.modalities.metabolomics.measured import HIGH, LOW, SCALES, make
from haemosynth.modalities.metabolomics.part import NAME, Quantities, keep_measurements
from haemosynth.modalities.quantitative import LEFT, Left, fill_matrix, keep_one_each, read_settings
from haemosynth.reading.genes import DATE
from haemosynth.reading.numbers import NUMERIC, find_marks, find_unit, plain, read_header_unit, read_value
from haemosynth.reading.source import Table, find_suffix, read, suggestion

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "path": None,  # file, relative to the cohort's path
    "scale": "log",  # on which patients are compared: log (concentrations, all above 0) or linear
    "linear": [],  # where the scale is log: analytes that are compared as they are
    "patient": None,  # the column that names the patient (h5ad: of obs); null: the first (h5ad: names of the rows)
    "layer": None,  # h5ad: the layer that holds the values; null: X
    "missing": [],  # words that mean not measured, beside the usual ones and those of the cohort
    "decimal": None,  # "." or ",", where the file leaves it open; null: that of the cohort
    "min_known": 0.05,  # least share of the table's patients in whom an analyte is known
}
UNITS = ("unit", "units", "einheit")  # columns that hold the units, where analytes are rows
FEWEST_WITHIN = 3  # different values within the limits, below which an analyte shows nothing but its limits
# What stands in brackets at the end of a name and is a unit, beside what can be converted: PC(34:1) has none.
UNIT = re.compile(r".*[/%\u2030].*|[mun\u00b5\u03bcp]?M|a\.?u\.?|MFI|NPX|log2|ratio|kDa|fold", re.IGNORECASE)


def settings(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The key `metabolomics` of a cohort's entry, with its defaults.

    Raises:
        InputError: a key or value that is not known.
    """
    result, where = read_settings(NAME, name, entry, DEFAULTS, "path: metabolites.tsv, scale: log")
    if result["scale"] not in SCALES:
        raise InputError(f"{where}.scale: {result['scale']!r} is unknown; expected one of {', '.join(SCALES)}")
    if result["decimal"] not in (None, ".", ","):
        raise InputError(f'{where}.decimal: {result["decimal"]!r}; expected "." or ","')
    for key in ("linear", "missing"):
        if not isinstance(result[key], list):
            raise InputError(f"{where}.{key}: {result[key]!r}; expected a list: `{key}: [{result[key]}]`")
    share = result["min_known"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise InputError(f"{where}.min_known: {share!r}; expected a share from 0 to 1")
    return result


def ingest(name: str, entry: Mapping[str, Any], cohort: Cohort) -> tuple[Quantities, pd.DataFrame]:
    """Measurements of those patients of the cohort who have any, in table order, and what left with its reason.

    Args:
        name: of the cohort; entry: its entry of the study; cohort: its ingested clinical record.

    Raises:
        InputError: the file or the entry holds mistakes; a line for each says where and what to do.
    """
    mistakes = Mistakes()
    data, left = _read(name, entry, cohort, mistakes)
    return keep_measurements(data), left


def check(name: str, entry: Mapping[str, Any], cohort: Cohort, mistakes: Mistakes) -> pd.DataFrame | None:
    """Read the measurements of a cohort and keep all mistakes; what was left out, or None where they are wrong."""
    with mistakes.keep():
        return _read(name, entry, cohort, Mistakes())[1]
    return None


def _read(name: str, entry: Mapping[str, Any], cohort: Cohort, mistakes: Mistakes) -> tuple[AnnData, pd.DataFrame]:
    chosen = settings(name, entry)
    path = _file(name, entry, chosen)
    left: Left = []
    if find_suffix(path) == ".h5ad":
        found = _h5ad(path, chosen, cohort, left)
    else:
        found = _table(path, entry, chosen, cohort, left, mistakes)
    found = _usable(found, chosen, left)
    mistakes.tell()
    if found.n_obs == 0 or found.n_vars == 0:
        raise InputError(f"{path}: no patient or no analyte with a value is left; every column was left out")
    order = cohort.patients[cohort.patients.isin(found.obs_names)]
    return found[order].copy(), pd.DataFrame(left, columns=list(LEFT))


def _file(name: str, entry: Mapping[str, Any], chosen: Mapping[str, Any]) -> Path:
    folder = Path(entry["path"]) if Path(entry["path"]).is_dir() else Path(entry["path"]).parent
    if not chosen["path"]:
        raise InputError(
            f"cohorts.{name}.metabolomics.path is missing; name the file in {folder} that holds the values"
        )
    path = folder / os.path.expanduser(os.path.expandvars(str(chosen["path"])))
    if not path.is_file():
        raise InputError(f"{path}: no such file (named under cohorts.{name}.metabolomics.path)")
    return path


@dataclass(frozen=True)
class _Cells:
    """The cells of a table, whichever side the patients are on.

    text: (patients, analytes) text or None; names of the file on both sides. units: of the analytes, where a column
    holds them. table: where they come from; rows: position of each row's name there. across: whether patients are
    columns. taken: the name that each patient has in the file.
    """

    text: pd.DataFrame
    units: Mapping[str, str]
    table: Table
    rows: Mapping[str, int]
    across: bool
    taken: Mapping[str, str]

    def place(self, patient: str, analyte: str) -> str:
        """Where a value is, for messages."""
        own = self.taken[patient]
        row, column = (analyte, own) if self.across else (own, analyte)
        return f"{self.table.row(self.rows[row])} ({row}), column {column}"

    def analyte(self, name: str) -> str:
        """Where an analyte is, for messages."""
        return self.table.row(self.rows[name]) + f" ({name})" if self.across else f"{self.table.path}: column {name}"


def _table(
    path: Path, entry: Mapping[str, Any], chosen: Mapping[str, Any], cohort: Cohort, left: Left, mistakes: Mistakes
) -> AnnData:
    table = read(path, quoted=entry["format"] != "cbioportal")
    told = {**table.reading.left, **table.reading.repaired}
    left += [("file", path.name, f"{count} x {what}") for what, count in told.items() if what != "header"]
    owner = dict(zip(cohort.patients, cohort.patients, strict=True)) | order_samples(entry)
    cells = _sides(table, chosen, owner, left)
    words = [str(word) for key in (chosen, entry) for word in key.get("missing") or []]
    text = cells.text.mask(cells.text.isin(words))
    decimal = chosen["decimal"] or entry.get("decimal")
    certain = find_marks(text[analyte] for analyte in text)
    values: list[np.ndarray] = []
    limits: list[np.ndarray] = []
    var: list[tuple[str, str]] = []
    for analyte, (name, unit) in _name(text.columns, cells.units).items():
        column = text[analyte]
        if not name or DATE.fullmatch(name):
            left.append(
                ("analyte", name or "without a name", "a date: a spreadsheet overwrote it" if name else "no name")
            )
            continue
        if column.notna().sum() == 0:
            left.append(("analyte", name, "no value"))
            continue
        made_plain = plain(analyte, column, certain, {"decimal": decimal}, cells.analyte(analyte))
        if made_plain.doubt:
            mistakes.add([_doubt(made_plain.doubt)])
            continue
        numbers = pd.to_numeric(made_plain.text, errors="coerce").astype(float)
        strange = column[column.notna() & ~np.isfinite(numbers)]
        if len(strange):
            _strange(name, analyte, column, strange, cells, left, mistakes)
            continue
        left += [("note", name, note) for note in made_plain.notes]
        side = made_plain.limits
        code = np.zeros(len(column)) if side is None else side.map({"low": LOW, "high": HIGH}).fillna(0).to_numpy(float)
        values.append(numbers.to_numpy(dtype=np.float64))
        limits.append(code)
        var.append((name, unit or made_plain.unit or ""))
    frame = pd.DataFrame({"unit": [unit for _, unit in var]}, index=pd.Index([n for n, _ in var], dtype=object))
    shape = (len(text), len(var))
    numbers_of, sides_of = (np.column_stack(part) if part else np.zeros(shape) for part in (values, limits))
    found = make(numbers_of, sides_of, frame, text.index)
    twice = found.var_names[found.var_names.duplicated()]
    if len(twice):
        raise InputError(f"{path}: the analyte {twice[0]!r} occurs more than once; give each its own name")
    _check_scale(found, chosen, cells, mistakes)
    return found


def _doubt(text: str) -> str:
    """A doubt about a sign, with the setting of this table that settles it."""
    reading = re.sub(r" \(`[^`]*`\)", "", text).split("; declare")[0]
    return f'{reading}; declare which sign comes before decimals: `metabolomics: {{decimal: ","}}` or `"."`'


def _strange(
    name: str, analyte: str, column: pd.Series, strange: pd.Series, cells: _Cells, left: Left, mistakes: Mistakes
) -> None:
    """Cells that are no numbers: a column of words leaves, a word in a column of numbers is a mistake."""
    read_values = [read_value(cell) for cell in column.dropna()]
    at_limit = sum(value is not None and value.limit is not None for value in read_values)
    if at_limit and sum(value is not None for value in read_values) == len(read_values):
        left.append(("analyte", name, f"{at_limit} of {len(read_values)} values are at a limit of detection"))
    elif len(strange) > (1 - NUMERIC) * column.notna().sum():
        left.append(("analyte", name, "words, and no numbers"))
    else:
        patient, cell = str(strange.index[0]), strange.iloc[0]
        mistakes.add([
            f"{cells.place(patient, analyte)}: {cell!r} is no number; expected a number, "
            f"a limit such as <0.6 or nothing: mend it, or declare what means not measured: "
            f"`metabolomics: {{missing: [{cell}]}}`"
        ])  # fmt: skip


def _check_scale(found: AnnData, chosen: Mapping[str, Any], cells: _Cells, mistakes: Mistakes) -> None:
    """Every analyte that is compared by its logarithm must be above 0."""
    unknown = [str(word) for word in chosen["linear"] if str(word) not in found.var_names]
    if unknown:
        mistakes.add(
            [f"{cells.table.path}: linear: no analyte {unknown[0]!r}; {suggestion(unknown[0], list(found.var_names))}"]
        )
    if chosen["scale"] != "log":
        return
    values = np.asarray(found.X)
    for j in np.flatnonzero((values <= 0).any(axis=0)):
        name = str(found.var_names[j])
        if name in chosen["linear"]:
            continue
        patient = str(found.obs_names[int(np.argmax(values[:, j] <= 0))])
        value = values[found.obs_names.get_loc(patient), j]
        mistakes.add([
            f"{cells.table.path}: patient {patient}, {name}: {value:g} has no logarithm; write a limit of detection "
            f"such as <0.1, or compare it as it is: `metabolomics: {{linear: [{name}]}}`"
        ])  # fmt: skip


def _sides(table: Table, chosen: Mapping[str, Any], owner: Mapping[str, str], left: Left) -> _Cells:
    """Which side holds the patients, and the cells by patient; of several samples of one the first that is chosen.

    Raises:
        InputError: neither side holds patients, a patient is unknown, empty or occurs twice, or a column is unknown.
    """
    frame = table.frame
    if chosen["patient"] and chosen["patient"] not in frame:
        there = suggestion(str(chosen["patient"]), list(map(str, frame.columns)))
        raise InputError(f"{table.path}: no column {chosen['patient']!r} that names the patient; {there}")
    key = str(chosen["patient"] or frame.columns[0])
    across = [c for c in map(str, frame.columns) if c in owner]
    down = int(frame[key].isin(list(owner)).sum())
    if not across and not down:
        raise InputError(
            f"{table.path}: neither its header nor its column {key} holds a patient of the cohort; expected one such "
            f"as {next(iter(owner))}; `metabolomics: {{patient: COLUMN}}` names another column"
        )
    if key in owner:
        raise InputError(f"{table.path}: the header is missing: its first name is {key}, a patient; expected analytes")
    if len(across) > down:
        first = list(map(str, frame.columns)).index(across[0])
        units = table.column(*UNITS)
        before = [c for c in map(str, frame.columns[:first]) if c not in (key, units)]
        left += [("column", c, "describes the analytes") for c in before]
        people = [c for c in map(str, frame.columns) if c not in (key, units, *before)]
        names = [None if pd.isna(word) else str(word) for word in frame[key]]
        text = frame[people].T
        where = dict(zip((name or "" for name in names), range(len(names)), strict=True))
        told = {} if units is None else {n or "": str(u) for n, u in zip(names, frame[units], strict=True) if u}
        repeated = [name for i, name in enumerate(names) if name in names[:i]]
        if repeated:
            raise InputError(
                f"{table.path}: {repeated[0] or 'a row without a name'} occurs more than once in column {key}"
            )
        text.columns = pd.Index([name or "" for name in names], dtype=object)
    else:
        people = ["" if pd.isna(word) else str(word) for word in frame[key]]
        if "" in people:
            raise InputError(f"{table.row(people.index(''))}: column {key} is empty; every row needs its patient")
        text, told, where = frame.drop(columns=key), {}, {}
        for position, patient in enumerate(people):
            if patient in where:
                raise InputError(
                    f"{table.row(position)}: patient {patient} occurs more than once in column {key}; keep one row each"
                )
            where[patient] = position
    unknown = [word for word in people if word not in owner]
    if unknown:
        raise InputError(
            f"{table.path}: {unknown[0]!r} is no patient of the cohort ({len(unknown)} such); take out who is not in "
            "the clinical table"
        )
    text.index = pd.Index(people, dtype=object)
    taken = keep_one_each(people, owner, left)  # patients, then samples as they are chosen
    text = text.iloc[list(taken.values())]
    text.index = pd.Index(list(taken), dtype=object)
    return _Cells(text, told, table, where, len(across) > down, {patient: people[i] for patient, i in taken.items()})


def _name(columns: pd.Index, told: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Name and unit of each analyte: Glucose (mmol/L), LDH [U/l]; where two would have one name, both keep theirs."""
    found = {}
    for column in map(str, columns):
        unit = told.get(column) or read_header_unit(column) or ""
        bracket = re.search(r"\s*[\[(]([^\])]*)[\])]\s*$", column)
        name = column
        if bracket and not told.get(column):
            inside = bracket[1].strip()
            if find_unit(inside) or UNIT.fullmatch(inside):
                name = column[: bracket.start()].strip()
            else:
                unit = ""
        found[column] = (name.strip(), find_unit(unit) or unit.strip())
    names = [name for name, _ in found.values()]
    return {column: (column if names.count(name) > 1 else name, unit) for column, (name, unit) in found.items()}


def _h5ad(path: Path, chosen: Mapping[str, Any], cohort: Cohort, left: Left) -> AnnData:
    """One row per patient, whichever side of the file holds them."""
    import anndata

    try:
        whole = anndata.read_h5ad(path)
    except Exception as error:  # damaged files end in many kinds of errors
        raise InputError(f"{path}: cannot be read as h5ad: {' '.join(str(error).split())}") from None
    column = chosen["patient"]
    if column is not None and column not in whole.obs:
        raise InputError(
            f"{path}: obs has no column {column!r}; {suggestion(column, list(map(str, whole.obs.columns)))}"
        )
    if column is None and not whole.obs_names.isin(cohort.patients).any():
        if not whole.var_names.isin(cohort.patients).any():
            raise InputError(f"{path}: neither obs nor var names a patient of the cohort, such as {cohort.patients[0]}")
        whole = whole.T.copy()
        left.append(("table", path.name, "the patients are in var, and not in obs: read the other way round"))
    owners = [str(word) for word in (whole.obs_names if column is None else whole.obs[column])]
    layer = chosen["layer"]
    if layer is not None and layer not in whole.layers:
        raise InputError(f"{path}: no layer {layer!r}; {suggestion(str(layer), list(map(str, whole.layers)))}")
    values = whole.X if layer is None else whole.layers[layer]
    if values is None:
        raise InputError(f"{path}: no X; name the layer that holds the values: `metabolomics: {{layer: NAME}}`")
    for position, owner in enumerate(owners):
        if owner not in cohort.patients:
            raise InputError(f"{path}: row {position + 1} of obs: {owner!r} is no patient of the cohort; take it out")
        if owner in owners[:position]:
            raise InputError(f"{path}: patient {owner} occurs more than once in obs; keep one row each")
    if whole.var_names.has_duplicates:
        repeated = whole.var_names[whole.var_names.duplicated()][0]
        raise InputError(f"{path}: the analyte {repeated!r} occurs more than once; give each its own name")
    units = whole.var["unit"].astype(object).fillna("") if "unit" in whole.var else [""] * whole.n_vars
    names = pd.Index(whole.var_names, dtype=object)
    limits = whole.layers["limit"] if "limit" in whole.layers else np.zeros(whole.shape)
    frame = pd.DataFrame({"unit": [str(u) for u in units]}, index=names)
    found = make(fill_matrix(values, np.float64), fill_matrix(limits, np.float64), frame, pd.Index(owners))
    wrong = np.isinf(np.asarray(found.X))
    if wrong.any():
        i, j = (int(k[0]) for k in np.nonzero(wrong))
        raise InputError(f"{path}: patient {owners[i]}, {names[j]}: an infinite value; expected a number or NaN")
    if chosen["scale"] == "log":
        low = (np.asarray(found.X) <= 0) & ~names.isin([str(word) for word in chosen["linear"]])
        if low.any():
            i, j = (int(k[0]) for k in np.nonzero(low))
            raise InputError(
                f"{path}: patient {owners[i]}, {names[j]}: {np.asarray(found.X)[i, j]:g} has no logarithm; compare it "
                f"as it is: `metabolomics: {{linear: [{names[j]}]}}`"
            )
    return found


def _usable(found: AnnData, chosen: Mapping[str, Any], left: Left) -> AnnData:
    """Analytes with enough different values within their limits, and patients with any value; with their scale."""
    values, limits = np.asarray(found.X), np.asarray(found.layers["limit"])
    kept = []
    for j, name in enumerate(map(str, found.var_names)):
        own = values[:, j][~np.isnan(values[:, j])]
        within = np.unique(values[:, j][~np.isnan(values[:, j]) & (limits[:, j] == 0)])
        if len(own) < max(1, chosen["min_known"] * found.n_obs):
            left.append(("analyte", name, f"known in {len(own)} of {found.n_obs} patients" if len(own) else "no value"))
        elif (limits[:, j] != 0).any() and len(within) < FEWEST_WITHIN:
            count = int((limits[:, j] != 0).sum())
            left.append(("analyte", name, f"{count} of {len(own)} values are at a limit of detection"))
        elif len(within) < 2:
            left.append(("analyte", name, "the same value in every patient"))
        else:
            kept.append(j)
    found = found[:, kept].copy()
    nothing = np.isnan(np.asarray(found.X)).all(axis=1) if kept else np.zeros(found.n_obs, dtype=bool)
    left += [("patient", str(patient), "no value") for patient in found.obs_names[nothing]]
    linear = {str(word) for word in chosen["linear"]}
    found.var["scale"] = ["linear" if name in linear else chosen["scale"] for name in found.var_names]
    return found[~nothing].copy()
