"""Synthetic patients that another tool made: read with the columns of the training patients, for validation only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort, set_types
from haemosynth.core.errors import InputError
from haemosynth.core.files import read_table
from haemosynth.modalities.registry import RECORD

ENDINGS = (".parquet", ".tsv", ".csv")


def read_external(path: Path, train: Cohort) -> Cohort:
    """Read a clinical table, or a folder with `clinical`, `alterations` and `mutations` tables (.parquet, .tsv, .csv).

    Columns are those of the canonical cohort; others are ignored. Patients are numbered where `patient_id` is missing.
    Without `alterations` nobody was sequenced: the genomic stages then have nothing to compare.

    Raises:
        InputError: a table or column is missing, a patient occurs twice, or a value is not one the column can hold.
    """
    files = {file.stem: file for file in sorted(path.glob("*")) if file.suffix in ENDINGS} if path.is_dir() else {}
    clinical_file = path if path.is_file() else files.get(RECORD)
    if clinical_file is None:
        raise InputError(f"{path}: expected a table, or a folder with clinical{', clinical'.join(ENDINGS)}")
    table = _table(clinical_file)
    if "patient_id" not in table:
        table.insert(0, "patient_id", [f"S{number:06d}" for number in range(1, len(table) + 1)])
    table = table.assign(patient_id=table["patient_id"].astype(str)).set_index("patient_id")
    if table.index.has_duplicates:
        raise InputError(f"{clinical_file}: patient {table.index[table.index.duplicated()][0]} occurs more than once")
    for name, column in train.schema.columns.items():
        if name not in table:
            raise InputError(f"{clinical_file}: column {name} is missing")
        if column.numeric:
            table[name] = _numbers(table[name], clinical_file)
        else:
            known = set(map(str, train.clinical[name].cat.categories))
            table[name] = _levels(table[name])
            unknown = sorted(set(table[name].dropna().astype(str)) - known)
            if unknown:
                raise InputError(
                    f"{clinical_file}: column {name}: {unknown[0]!r} is not one of {', '.join(sorted(known))}"
                )
    clinical = set_types(table, train.schema)
    if train.alterations is None:
        return Cohort(train.schema, clinical)
    events = list(train.schema.alterations)
    matrix = pd.DataFrame(np.nan, index=clinical.index, columns=events)
    sequenced = pd.Series(False, index=clinical.index)
    if "alterations" in files:
        found = _table(files["alterations"])
        for name in ["patient_id", *events]:
            if name not in found:
                raise InputError(f"{files['alterations']}: column {name} is missing")
        found = found.assign(patient_id=found["patient_id"].astype(str)).set_index("patient_id")
        if set(found.index) != set(clinical.index) or found.index.has_duplicates:
            raise InputError(f"{files['alterations']}: patients differ from those of {clinical_file.name}")
        found = found.loc[clinical.index]
        for name in events:
            matrix[name] = _numbers(found[name], files["alterations"])
            if not matrix[name].dropna().isin([0, 1]).all():
                raise InputError(f"{files['alterations']}: column {name}: expected 0, 1 or nothing")
        genes = [gene for gene in train.schema.genes if gene in events]
        stated = found["sequenced"].astype(str).str.lower().isin(["1", "1.0", "true"]) if "sequenced" in found else None
        sequenced = matrix[genes or events].notna().any(axis=1) if stated is None else stated
    mutations = pd.DataFrame(columns=list(MUTATION_COLUMNS))
    if "mutations" in files:
        mutations = _table(files["mutations"])
        for name in MUTATION_COLUMNS:
            if name not in mutations:
                raise InputError(f"{files['mutations']}: column {name} is missing")
        mutations = mutations[list(MUTATION_COLUMNS)].assign(patient_id=mutations["patient_id"].astype(str))
        strangers = sorted(set(mutations["patient_id"]) - set(clinical.index))
        if strangers:
            raise InputError(f"{files['mutations']}: patient {strangers[0]} is not in {clinical_file.name}")
    return Cohort.of(train.schema, clinical, matrix, sequenced, mutations)


def _table(path: Path) -> pd.DataFrame:
    try:
        return read_table(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a table ({' '.join(str(error).split())})") from None


def _levels(values: pd.Series) -> pd.Series:
    """Levels as text; whole numbers without the point that a text table with missing values gives them."""
    if pd.api.types.is_float_dtype(values):
        return values.map(lambda value: f"{value:g}", na_action="ignore").astype("object")
    return values.astype("object")


def _numbers(values: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    wrong = (numbers.isna() & values.notna()) | np.isinf(numbers)
    if wrong.any():
        raise InputError(
            f"{path}: column {values.name}, patient {wrong.idxmax()}: {values[wrong].iloc[0]!r} is no number"
        )
    return numbers
