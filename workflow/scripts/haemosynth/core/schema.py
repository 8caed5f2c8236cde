"""What each clinical column and each alteration of a cohort is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from haemosynth.core.errors import InputError
from haemosynth.core.files import read_yaml, write_yaml

KINDS = ("continuous", "integer", "ordinal", "categorical", "binary", "time", "event")
NUMERIC = ("continuous", "integer", "time", "event")
GROUPS = ("demographic", "laboratory", "disease", "comorbidity", "treatment", "outcome", "other")
ALTERATION_KINDS = ("gene", "cytogenetic")


@dataclass(frozen=True)
class Column:
    """One clinical column.

    `low` and `high` are limits that every value keeps; `grain` is the step in which values were recorded
    (1 for whole years, 0.1 for haemoglobin to one decimal, None where there is none to see);
    `categories` are the levels in their order; `derived` is a rule of `haemosynth.core.derive`, such as
    `iss(beta2_microglobulin, albumin)`: such a column is recomputed and never sampled.
    `detection` holds limits of detection, `low` and `high`: values at them mean all values beyond. `points` are
    values off the grain that many records share, such as an imputed mean; they are kept as they are.
    `declared` names the attributes that the study fixed: the others are inferred from training patients.
    """

    kind: str
    group: str = "other"
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    grain: float | None = None
    derived: str | None = None
    detection: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    points: tuple[float, ...] = ()
    declared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"column kind {self.kind!r} is unknown; expected one of {', '.join(KINDS)}")
        if self.group not in GROUPS:
            raise InputError(f"column group {self.group!r} is unknown; expected one of {', '.join(GROUPS)}")

    @property
    def numeric(self) -> bool:
        """Whether values are numbers (continuous, integer, time, event) rather than levels."""
        return self.kind in NUMERIC

    def at_point(self, values: np.ndarray) -> np.ndarray:
        """Whether each value is in `points`.  (n,) -> (n,) bool"""
        points = np.asarray(self.points, dtype="float64")
        near = np.abs(np.asarray(values, dtype="float64")[..., None] - points) <= 1e-9 * np.maximum(1, np.abs(points))
        return np.asarray(near.any(axis=-1))


@dataclass(frozen=True)
class FileRead:
    """The account of one source file: physical lines or rows, records read, and the others by reason.

    `missing` counts the words that were taken as not recorded, `repaired` what was mended on the way.
    """

    file: str
    physical: int
    read: int
    left: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Schema:
    """The columns, alterations and endpoints of a cohort, and what was left out of it and why.

    `endpoints` holds names such as ("OS", "EFS"); the first is the primary one. Endpoint E is in the
    columns `E_time` (months) and `E_event` (1 event, 0 censored). `alterations` maps each event of the
    alteration matrix to "gene" or "cytogenetic". `excluded` maps source columns to the reason.
    `reading` is the account of every source file.
    `declared` holds "panel" where the study listed the genes: otherwise training patients chose the alterations.
    """

    cohort: str
    columns: Mapping[str, Column]
    endpoints: tuple[str, ...] = ()
    alterations: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    reading: tuple[FileRead, ...] = ()

    def __post_init__(self) -> None:
        for endpoint in self.endpoints:
            for suffix, kind in (("time", "time"), ("event", "event")):
                name = f"{endpoint}_{suffix}"
                if name not in self.columns or self.columns[name].kind != kind:
                    raise InputError(
                        f"schema of {self.cohort}: endpoint {endpoint} needs a column {name} of kind {kind}"
                    )
        for name, kind in self.alterations.items():
            if kind not in ALTERATION_KINDS:
                raise InputError(
                    f"schema of {self.cohort}: alteration {name} has kind {kind!r}; expected gene or cytogenetic"
                )

    @property
    def genes(self) -> list[str]:
        """Genes of the alteration matrix, in its order."""
        return [name for name, kind in self.alterations.items() if kind == "gene"]

    @property
    def recorded(self) -> dict[str, Column]:
        """The columns that are not derived from others, in table order."""
        return {name: column for name, column in self.columns.items() if column.derived is None}

    @property
    def survival(self) -> list[str]:
        """The time and event columns of all endpoints."""
        return [f"{endpoint}_{part}" for endpoint in self.endpoints for part in ("time", "event")]

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the columns of these kinds, in table order."""
        return [name for name, column in self.columns.items() if column.kind in kinds]

    def with_columns(self, columns: Mapping[str, Column]) -> Schema:
        """The same schema with other columns."""
        return replace(self, columns=dict(columns))


def _plain(column: Column) -> dict[str, Any]:
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(column).items()
        if value not in (None, (), {})
    }
    if column.detection:  # one limit is written as a number, several as a list
        plain["detection"] = {side: list(at) if len(at) > 1 else at[0] for side, at in column.detection.items()}
    return plain


def write_schema(schema: Schema, path: str | Path) -> None:
    """Write `schema.yaml`."""
    write_yaml(
        {
            "cohort": schema.cohort,
            "endpoints": list(schema.endpoints),
            "columns": {name: _plain(column) for name, column in schema.columns.items()},
            "alterations": dict(schema.alterations),
            "excluded": dict(schema.excluded),
            "notes": list(schema.notes),
            "declared": list(schema.declared),
            "reading": [asdict(file) for file in schema.reading],
        },
        path,
    )


def read_column(name: str, content: Mapping[str, Any], where: str) -> Column:
    """A `Column` from plain data; an unknown attribute is an InputError that names `where` and the column."""
    known = {f.name for f in fields(Column)}
    for key in content:
        if key not in known:
            raise InputError(f"{where}: column {name}: unknown attribute {key!r}; expected {', '.join(sorted(known))}")
    values: dict[str, Any] = {
        key: _tuple(value) if key in ("categories", "declared") else value for key, value in content.items()
    }
    if "points" in values:
        values["points"] = tuple(float(value) for value in values["points"])
    if "detection" in values:
        values["detection"] = {
            side: tuple(map(float, at)) if isinstance(at, list) else (float(at),)
            for side, at in values["detection"].items()
        }
    try:
        return Column(**values)
    except InputError as error:
        raise InputError(f"{where}: column {name}: {error}") from None
    except TypeError:
        raise InputError(f"{where}: column {name}: the attribute 'kind' is missing") from None


def _tuple(values: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(str(value) for value in values or ())


def read_schema(path: str | Path) -> Schema:
    """Read `schema.yaml`.

    Raises:
        InputError: the file is missing, is not YAML, or describes no valid cohort.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not {"cohort", "columns"} <= content.keys():
        raise InputError(f"{path}: not a cohort schema; expected the keys cohort and columns")
    return Schema(
        cohort=str(content["cohort"]),
        columns={name: read_column(name, plain, str(path)) for name, plain in content["columns"].items()},
        endpoints=_tuple(content.get("endpoints")),
        alterations=dict(content.get("alterations") or {}),
        excluded=dict(content.get("excluded") or {}),
        notes=_tuple(content.get("notes")),
        declared=_tuple(content.get("declared")),
        reading=tuple(FileRead(**file) for file in content.get("reading") or ()),
    )
