"""The canonical cohort: one folder, one file per modality, all keyed by `patient_id`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth.errors import InputError
from haemosynth.files import read_table, write_table
from haemosynth.schema import Schema, read_schema, write_schema

MUTATION_COLUMNS = (
    "patient_id", "gene", "chromosome", "variant_class", "hgvsp", "alt_count", "ref_count", "vaf", "copy_number",
)  # fmt: skip


@dataclass(frozen=True)
class Cohort:
    """Patients with their clinical record, mutations and alterations.

    clinical: (patients, columns), index `patient_id`. Numbers are float64; levels (categorical, ordinal, binary)
        are pandas categoricals with the schema's categories in order. Missing is NaN, never a value.
    alterations: (patients, events), float64 0/1/NaN, same index; None where the cohort has no genomic modality.
        Genes of a patient who was not sequenced are NaN.
    sequenced: (patients,) bool, same index; None without a genomic modality.
    mutations: long table with MUTATION_COLUMNS, only of patients in `clinical`; None without a genomic modality.
    """

    schema: Schema
    clinical: pd.DataFrame
    alterations: pd.DataFrame | None = None
    sequenced: pd.Series | None = None
    mutations: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if list(self.clinical.columns) != list(self.schema.columns):
            raise ValueError("clinical columns and schema columns differ")
        if self.alterations is not None:
            if list(self.alterations.columns) != list(self.schema.alterations):
                raise ValueError("alterations and the schema's alterations differ")
            if self.sequenced is None or self.mutations is None:
                raise ValueError("a cohort with alterations needs `sequenced` and `mutations`")

    def __len__(self) -> int:
        return len(self.clinical)

    @property
    def patients(self) -> pd.Index:
        """Patient identifiers, in table order."""
        return self.clinical.index

    def take(self, positions: Sequence[int] | np.ndarray) -> Cohort:
        """The patients at these positions (0-based), in this order; a position may stand more than once."""
        positions = np.asarray(positions, dtype=np.intp)
        clinical = self.clinical.iloc[positions]
        if self.alterations is None or self.sequenced is None or self.mutations is None:
            return replace(self, clinical=clinical)
        rows = self.mutations.groupby("patient_id", sort=False).indices
        wanted = [rows[patient] for patient in clinical.index if patient in rows]
        order = np.concatenate(wanted) if wanted else np.empty(0, dtype=np.intp)
        return replace(
            self,
            clinical=clinical,
            alterations=self.alterations.iloc[positions],
            sequenced=self.sequenced.iloc[positions],
            mutations=self.mutations.iloc[order].reset_index(drop=True),
        )

    def clinical_only(self) -> Cohort:
        """The cohort without its genomic modality."""
        return Cohort(replace(self.schema, alterations={}), self.clinical)


def typed(clinical: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """`clinical` in the schema's column order with the canonical types: float64 numbers, categorical levels.

    Levels that the schema does not know are appended to its categories: a holdout may hold a level that
    training patients lack, and it is not dropped.
    """
    columns = {}
    for name, column in schema.columns.items():
        values = clinical[name]
        if column.numeric:
            columns[name] = values.astype("float64")
        else:
            levels = values.astype("object")
            new = sorted({str(value) for value in levels.dropna()} - set(column.categories))
            text = levels.where(levels.isna(), levels.astype(str))
            columns[name] = pd.Series(
                pd.Categorical(text, categories=[*column.categories, *new], ordered=column.kind == "ordinal"),
                index=clinical.index,
            )
    return pd.DataFrame(columns, index=clinical.index)


def write_cohort(cohort: Cohort, folder: str | Path) -> None:
    """Write `schema.yaml`, `clinical.parquet` and, with a genomic modality, `alterations.parquet` and
    `mutations.parquet`."""
    folder = Path(folder)
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        matrix = cohort.alterations.astype("Int8")
        matrix.insert(0, "sequenced", cohort.sequenced.astype(bool))
        write_table(matrix.rename_axis("patient_id").reset_index(), folder / "alterations.parquet")
        write_table(cohort.mutations, folder / "mutations.parquet")
    write_table(cohort.clinical.rename_axis("patient_id").reset_index(), folder / "clinical.parquet")
    write_schema(cohort.schema, folder / "schema.yaml")


def read_cohort(folder: str | Path) -> Cohort:
    """Read a canonical cohort folder.

    Raises:
        InputError: a file is missing, a patient stands twice, or tables disagree about the patients.
    """
    folder = Path(folder)
    schema = read_schema(folder / "schema.yaml")
    clinical = _keyed(folder / "clinical.parquet")
    for name in schema.columns:
        if name not in clinical:
            raise InputError(f"{folder / 'clinical.parquet'}: column {name} of schema.yaml is missing")
    clinical = typed(clinical, schema)
    if not schema.alterations:
        return Cohort(schema, clinical)
    matrix = _keyed(folder / "alterations.parquet")
    if not matrix.index.equals(clinical.index):
        raise InputError(f"{folder / 'alterations.parquet'}: patients differ from those of clinical.parquet")
    return Cohort(
        schema,
        clinical,
        alterations=matrix[list(schema.alterations)].astype("float64"),
        sequenced=matrix["sequenced"].astype(bool),
        mutations=read_table(folder / "mutations.parquet"),
    )


def _keyed(path: Path) -> pd.DataFrame:
    table = read_table(path)
    if "patient_id" not in table:
        raise InputError(f"{path}: column patient_id is missing")
    table = table.set_index("patient_id")
    if table.index.has_duplicates:
        raise InputError(f"{path}: patient {table.index[table.index.duplicated()][0]} stands more than once")
    return table
