"""The canonical cohort: one folder, one file per modality, all keyed by `patient_id`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.core.files import read_table, write_table
from haemosynth.core.schema import Schema, read_schema, write_schema

MUTATION_COLUMNS = (
    "patient_id", "gene", "chromosome", "variant_class", "hgvsp", "alt_count", "ref_count", "vaf", "copy_number",
)  # fmt: skip


@dataclass(frozen=True)
class _Rows:
    """The rows of a long table, patient by patient: rows order[start:start + count] belong to a patient.

    order: (rows,); start and count: (patients,), in the order of the patients' table.
    """

    order: np.ndarray
    start: np.ndarray
    count: np.ndarray

    @staticmethod
    def owned(owners: Any, patients: pd.Index) -> _Rows:
        """The rows of a table whose row i belongs to patient owners[i]."""
        codes, known = pd.factorize(pd.Series(np.asarray(owners, dtype=object)))
        sizes = np.bincount(codes, minlength=len(known))
        group = pd.Index(known).get_indexer(patients)  # -1 for a patient without rows
        starts, sizes = np.append(np.cumsum(sizes) - sizes, 0), np.append(sizes, 0)
        return _Rows(np.argsort(codes, kind="stable"), starts[group], sizes[group])

    def of(self, positions: np.ndarray) -> np.ndarray:
        """The rows of the patients at these positions, one patient after the other; again for each repetition."""
        count = self.count[positions]
        ends = np.cumsum(count)
        # Rows start, start + 1, ... of each patient, one patient after the other.
        steps = np.arange(count.sum()) - np.repeat(ends - count, count)
        rows: np.ndarray = self.order[np.repeat(self.start[positions], count) + steps]
        return rows


class Part(Protocol):
    """What a patient has beside the record, such as mutations, a profile or images: rows that patients own."""

    @property
    def owners(self) -> Any:
        """(rows,) the patient of each row."""
        ...

    def take(self, rows: np.ndarray, positions: np.ndarray) -> Part:
        """These rows, in this order: those of the patients at these positions of the table of patients."""
        ...


ALTERATIONS = "alterations"  # the key of the part below


@dataclass(frozen=True)
class Alterations:
    """Who carries what.

    alterations: (patients, events), float64 0/1/NaN, one row per patient of the cohort. Genes of a patient who was not
        sequenced are NaN. sequenced: (patients,) bool, same index. mutations: long table with MUTATION_COLUMNS.
    """

    alterations: pd.DataFrame
    sequenced: pd.Series
    mutations: pd.DataFrame

    @property
    def owners(self) -> pd.Series:
        """The patient of each mutation."""
        return self.mutations["patient_id"]

    def take(self, rows: np.ndarray, positions: np.ndarray) -> Alterations:
        """These mutations, and the states of the patients at these positions."""
        mutations = self.mutations.iloc[rows].reset_index(drop=True)
        return Alterations(self.alterations.iloc[positions], self.sequenced.iloc[positions], mutations)


@dataclass(frozen=True)
class Cohort:
    """Patients with their clinical record and whatever else is known of them.

    clinical: (patients, columns), index `patient_id`. Numbers are float64; levels (categorical, ordinal, binary)
        are pandas categoricals with the schema's categories in order. Missing is NaN, never a value.
    parts: modality -> its part; a modality that the cohort lacks is not there. The events of the `Alterations` among
        them are those of the schema.
    """

    schema: Schema
    clinical: pd.DataFrame
    parts: Mapping[str, Part] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if list(self.clinical.columns) != list(self.schema.columns):
            raise ValueError("clinical columns and schema columns differ")
        if self.alterations is not None and list(self.alterations.columns) != list(self.schema.alterations):
            raise ValueError("alterations and the schema's alterations differ")

    def __len__(self) -> int:
        return len(self.clinical)

    @property
    def patients(self) -> pd.Index:
        """Patient identifiers, in table order."""
        return self.clinical.index

    @cached_property
    def _altered(self) -> Alterations | None:
        return next((part for part in self.parts.values() if isinstance(part, Alterations)), None)

    @property
    def alterations(self) -> pd.DataFrame | None:
        """(patients, events) states 0/1/NaN; None where the cohort has no alterations."""
        return None if self._altered is None else self._altered.alterations

    @property
    def sequenced(self) -> pd.Series | None:
        """(patients,) whether a patient was sequenced; None where the cohort has no alterations."""
        return None if self._altered is None else self._altered.sequenced

    @property
    def mutations(self) -> pd.DataFrame | None:
        """The long table of mutations, only of patients in `clinical`; None where the cohort has no alterations."""
        return None if self._altered is None else self._altered.mutations

    def take(self, positions: Sequence[int] | np.ndarray) -> Cohort:
        """The patients at these positions (0-based), in this order; a position may occur more than once."""
        positions = np.asarray(positions, dtype=np.intp)
        parts = {name: part.take(self._rows[name].of(positions), positions) for name, part in self.parts.items()}
        return Cohort(self.schema, self.clinical.iloc[positions], parts)

    # Kept, since a cohort is resampled many times.
    @cached_property
    def _rows(self) -> dict[str, _Rows]:
        return {name: _Rows.owned(part.owners, self.patients) for name, part in self.parts.items()}

    @staticmethod
    def of(
        schema: Schema,
        clinical: pd.DataFrame,
        alterations: pd.DataFrame | None = None,
        sequenced: pd.Series | None = None,
        mutations: pd.DataFrame | None = None,
        **parts: Part | None,
    ) -> Cohort:
        """A cohort from its tables; `parts` are its further modalities, None for one that it lacks.

        Raises:
            ValueError: alterations without `sequenced` and `mutations`.
        """
        found = {name: part for name, part in parts.items() if part is not None}
        if alterations is not None:
            if sequenced is None or mutations is None:
                raise ValueError("a cohort with alterations needs `sequenced` and `mutations`")
            found[ALTERATIONS] = Alterations(alterations, sequenced, mutations)
        return Cohort(schema, clinical, found)

    def replaced(self, **changes: Any) -> Cohort:
        """The cohort with some of what `Cohort.of` takes exchanged; None takes a part away."""
        others = {name: part for name, part in self.parts.items() if name != ALTERATIONS}
        own = dict(  # noqa: C408 - the names of what `of` takes
            schema=self.schema,
            clinical=self.clinical,
            alterations=self.alterations,
            sequenced=self.sequenced,
            mutations=self.mutations,
        )
        return Cohort.of(**{**own, **others, **changes})

    def record(self) -> Cohort:
        """The patients with their clinical record alone."""
        return Cohort(replace(self.schema, alterations={}), self.clinical)


def synthetic_ids(n: int) -> pd.Index:
    """S000001, S000002, ..."""
    return pd.Index([f"S{i:06d}" for i in range(1, n + 1)], name="patient_id", dtype="object")


def bare(schema: Schema, n: int) -> Cohort:
    """n synthetic patients of a cohort without a record: identifiers and nothing else."""
    return Cohort(schema, pd.DataFrame(index=synthetic_ids(n)))


def set_types(clinical: pd.DataFrame, schema: Schema) -> pd.DataFrame:
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


def write_record(cohort: Cohort, folder: str | Path, altered: bool = False) -> None:
    """Write `schema.yaml`, `clinical.parquet` and, with alterations, `alterations.parquet` and `mutations.parquet`.

    With `altered` the latter are written even where the cohort lacks them: the matrix then has no events and says that
    nobody was sequenced.
    """
    folder = Path(folder)
    write_table(cohort.clinical.rename_axis("patient_id").reset_index(), folder / "clinical.parquet")
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        tables = cohort.alterations, cohort.sequenced, cohort.mutations
        write_alterations(*tables, folder / "alterations.parquet", folder / "mutations.parquet")
    elif altered:
        empty = pd.DataFrame(index=cohort.patients), pd.Series(False, index=cohort.patients)
        mutations = pd.DataFrame(columns=list(MUTATION_COLUMNS))
        write_alterations(*empty, mutations, folder / "alterations.parquet", folder / "mutations.parquet")
    write_schema(cohort.schema, folder / "schema.yaml")


def write_alterations(
    alterations: pd.DataFrame,
    sequenced: pd.Series,
    mutations: pd.DataFrame,
    matrix_path: str | Path,
    long_path: str | Path,
) -> None:
    """Write the alteration matrix, with who was sequenced, and the long table of mutations."""
    write_table(matrix_of(alterations, sequenced), matrix_path)
    write_table(mutations, long_path)


def matrix_of(alterations: pd.DataFrame, sequenced: pd.Series) -> pd.DataFrame:
    """The alteration matrix as its file holds it: patient_id, sequenced, and 0, 1 or missing for each event."""
    matrix = alterations.astype("Int8")
    matrix.insert(0, "sequenced", sequenced.astype(bool))
    return matrix.rename_axis("patient_id").reset_index()


def read_record(folder: str | Path) -> Cohort:
    """Read the clinical record and the alterations of a canonical cohort folder.

    Raises:
        InputError: a file is missing, a patient occurs twice, or tables disagree about the patients.
    """
    folder = Path(folder)
    altered = [folder / "alterations.parquet", folder / "mutations.parquet"]
    present = read_schema(folder / "schema.yaml").alterations
    return read_parts(folder / "schema.yaml", folder / "clinical.parquet", *(altered if present else ()))


def read_clinical(clinical: str | Path, schema: str | Path) -> Cohort:
    """A cohort of clinical records alone, from a table and a schema that may also know alterations."""
    known = replace(read_schema(schema), alterations={})
    table = _read_by_patient(Path(clinical))
    for name in known.columns:
        if name not in table:
            raise InputError(f"{clinical}: column {name} of {schema} is missing")
    return Cohort(known, set_types(table, known))


def read_alterations(schema: str | Path, alterations: str | Path, mutations: str | Path) -> Cohort:
    """Patients of whom alterations and mutations are known and nothing else; the schema keeps its columns."""
    full, matrix = read_schema(schema), _read_by_patient(Path(alterations))
    return Cohort.of(
        full,
        set_types(pd.DataFrame(np.nan, index=matrix.index, columns=list(full.columns), dtype=object), full),
        alterations=matrix[list(full.alterations)].astype("float64"),
        sequenced=matrix["sequenced"].astype(bool),
        mutations=read_table(mutations),
    )


def read_parts(
    schema: str | Path, clinical: str | Path, alterations: str | Path | None = None, mutations: str | Path | None = None
) -> Cohort:
    """Read a cohort from its files, wherever they lie.

    Raises:
        InputError: a file is missing, a patient occurs twice, or tables disagree about the patients.
    """
    cohort = read_clinical(clinical, schema)
    if alterations is None or mutations is None:
        return cohort
    matrix = _read_by_patient(Path(alterations))
    if not matrix.index.equals(cohort.patients):
        raise InputError(f"{alterations}: patients differ from those of {clinical}")
    full = read_schema(schema)
    return Cohort.of(
        full,
        cohort.clinical,
        alterations=matrix[list(full.alterations)].astype("float64"),
        sequenced=matrix["sequenced"].astype(bool),
        mutations=read_table(mutations),
    )


def _read_by_patient(path: Path) -> pd.DataFrame:
    table = read_table(path)
    if "patient_id" not in table:
        raise InputError(f"{path}: column patient_id is missing")
    table = table.set_index("patient_id")
    if table.index.has_duplicates:
        raise InputError(f"{path}: patient {table.index[table.index.duplicated()][0]} occurs more than once")
    return table
