"""The canonical cohort: one folder, one file per modality, all keyed by `patient_id`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.errors import InputError
from haemosynth.files import read_table, replacing, write_table
from haemosynth.images import Images, read_images
from haemosynth.schema import Schema, read_schema, write_schema

if TYPE_CHECKING:
    from anndata import AnnData

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


@dataclass(frozen=True)
class Cohort:
    """Patients with their clinical record, mutations, alterations, gene expression and images.

    clinical: (patients, columns), index `patient_id`. Numbers are float64; levels (categorical, ordinal, binary)
        are pandas categoricals with the schema's categories in order. Missing is NaN, never a value.
    alterations: (patients, events), float64 0/1/NaN, same index; None where the cohort has no genomic modality.
        Genes of a patient who was not sequenced are NaN.
    sequenced: (patients,) bool, same index; None without a genomic modality.
    mutations: long table with MUTATION_COLUMNS, only of patients in `clinical`; None without a genomic modality.
    expression: one row for each patient whose expression was measured, named by `patient_id`, in table order; None
        without a transcriptomic modality.
    images: of patients in `clinical`, who may own several or none; None without an imaging modality.
    """

    schema: Schema
    clinical: pd.DataFrame
    alterations: pd.DataFrame | None = None
    sequenced: pd.Series | None = None
    mutations: pd.DataFrame | None = None
    expression: AnnData | None = None
    images: Images | None = None

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
        parts: dict[str, Any] = {"clinical": self.clinical.iloc[positions]}
        if self.alterations is not None and self.sequenced is not None and self.mutations is not None:
            rows = self._mutation_rows.of(positions)
            parts["alterations"] = self.alterations.iloc[positions]
            parts["sequenced"] = self.sequenced.iloc[positions]
            parts["mutations"] = self.mutations.iloc[rows].reset_index(drop=True)
        if self.expression is not None:
            parts["expression"] = self.expression[self._expression_rows.of(positions)]
        if self.images is not None:
            parts["images"] = self.images.take(self._image_rows.of(positions))
        return replace(self, **parts)

    # Kept, since a cohort is resampled many times.
    @cached_property
    def _mutation_rows(self) -> _Rows:
        assert self.mutations is not None
        return _Rows.owned(self.mutations["patient_id"], self.patients)

    @cached_property
    def _expression_rows(self) -> _Rows:
        assert self.expression is not None
        return _Rows.owned(self.expression.obs_names, self.patients)

    @cached_property
    def _image_rows(self) -> _Rows:
        assert self.images is not None
        return _Rows.owned(self.images.patient_id, self.patients)

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


def write_cohort(cohort: Cohort, folder: str | Path, modalities: Collection[str] = ()) -> None:
    """Write `schema.yaml`, `clinical.parquet` and, with a genomic modality, `alterations.parquet` and
    `mutations.parquet`.

    `modalities` names those whose files are written even where the cohort lacks them: the alteration matrix then has
    no events and says that nobody was sequenced.
    """
    folder = Path(folder)
    write_table(cohort.clinical.rename_axis("patient_id").reset_index(), folder / "clinical.parquet")
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        tables = cohort.alterations, cohort.sequenced, cohort.mutations
        write_genomic(*tables, folder / "alterations.parquet", folder / "mutations.parquet")
    elif "genomic" in modalities:
        empty = pd.DataFrame(index=cohort.patients), pd.Series(False, index=cohort.patients)
        mutations = pd.DataFrame(columns=list(MUTATION_COLUMNS))
        write_genomic(*empty, mutations, folder / "alterations.parquet", folder / "mutations.parquet")
    write_schema(cohort.schema, folder / "schema.yaml")


def write_genomic(
    alterations: pd.DataFrame,
    sequenced: pd.Series,
    mutations: pd.DataFrame,
    matrix_path: str | Path,
    long_path: str | Path,
) -> None:
    """Write the alteration matrix, with who was sequenced, and the long table of mutations."""
    matrix = alterations.astype("Int8")
    matrix.insert(0, "sequenced", sequenced.astype(bool))
    write_table(matrix.rename_axis("patient_id").reset_index(), matrix_path)
    write_table(mutations, long_path)


def read_cohort(folder: str | Path, modalities: Collection[str] = ("clinical", "genomic")) -> Cohort:
    """Read a canonical cohort folder: its clinical and genomic modality, expression and images where named.

    Raises:
        InputError: a file is missing, a patient stands twice, or tables disagree about the patients.
    """
    folder = Path(folder)
    genomic = [folder / "alterations.parquet", folder / "mutations.parquet"]
    present = read_schema(folder / "schema.yaml").alterations
    cohort = read_parts(folder / "schema.yaml", folder / "clinical.parquet", *(genomic if present else ()))
    if "transcriptomic" in modalities:
        cohort = replace(cohort, expression=read_expression(folder / "expression.h5ad"))
    if "imaging" in modalities:
        cohort = replace(cohort, images=read_images(folder / "images.zarr"))
    return cohort


def read_expression(path: str | Path) -> AnnData:
    """Read gene expression: one row per patient.

    Raises:
        InputError: the file is missing, or a patient stands twice.
    """
    import anndata

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    expression = anndata.read_h5ad(path)
    if expression.obs_names.has_duplicates:
        repeated = expression.obs_names[expression.obs_names.duplicated()][0]
        raise InputError(f"{path}: patient {repeated} stands more than once")
    return expression


def write_expression(expression: AnnData, path: str | Path) -> None:
    """Write gene expression as h5ad."""
    with replacing(path) as temporary:
        expression.write_h5ad(temporary, compression="gzip")


def read_clinical(clinical: str | Path, schema: str | Path) -> Cohort:
    """A cohort of clinical records alone, from a table and a schema that may also know alterations."""
    known = replace(read_schema(schema), alterations={})
    table = _keyed(Path(clinical))
    for name in known.columns:
        if name not in table:
            raise InputError(f"{clinical}: column {name} of {schema} is missing")
    return Cohort(known, typed(table, known))


def read_genomic(schema: str | Path, alterations: str | Path, mutations: str | Path) -> Cohort:
    """Patients of whom alterations and mutations are known and nothing else; the schema keeps its columns."""
    full, matrix = read_schema(schema), _keyed(Path(alterations))
    return Cohort(
        full,
        typed(pd.DataFrame(np.nan, index=matrix.index, columns=list(full.columns), dtype=object), full),
        alterations=matrix[list(full.alterations)].astype("float64"),
        sequenced=matrix["sequenced"].astype(bool),
        mutations=read_table(mutations),
    )


def read_parts(
    schema: str | Path, clinical: str | Path, alterations: str | Path | None = None, mutations: str | Path | None = None
) -> Cohort:
    """Read a cohort from its files, wherever they lie.

    Raises:
        InputError: a file is missing, a patient stands twice, or tables disagree about the patients.
    """
    cohort = read_clinical(clinical, schema)
    if alterations is None or mutations is None:
        return cohort
    matrix = _keyed(Path(alterations))
    if not matrix.index.equals(cohort.patients):
        raise InputError(f"{alterations}: patients differ from those of {clinical}")
    full = read_schema(schema)
    return Cohort(
        full,
        cohort.clinical,
        alterations=matrix[list(full.alterations)].astype("float64"),
        sequenced=matrix["sequenced"].astype(bool),
        mutations=read_table(mutations),
    )


def _keyed(path: Path) -> pd.DataFrame:
    table = read_table(path)
    if "patient_id" not in table:
        raise InputError(f"{path}: column patient_id is missing")
    table = table.set_index("patient_id")
    if table.index.has_duplicates:
        raise InputError(f"{path}: patient {table.index[table.index.duplicated()][0]} stands more than once")
    return table
