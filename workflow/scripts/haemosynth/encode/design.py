"""Clinical tables as numbers: one coding for both sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.schema import Schema

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """Clinical columns of several cohorts under one coding.

    matrices: one (patients, columns) for each cohort; numbers as they are, levels as positions in `levels`, missing
        as NaN. levels: for each column its levels in order, empty for numbers. nominal: (columns,), whether the order
        of the levels means nothing (a categorical column with more than two levels).
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    nominal: NDArray[np.bool_]
    matrices: tuple[Matrix, ...]


def code_levels(schema: Schema, *tables: pd.DataFrame) -> Design:
    """Code the clinical tables of several cohorts alike.

    Levels are in the schema's order; levels that the schema does not know follow, sorted.
    """
    columns = tuple(schema.columns)
    levels: list[tuple[str, ...]] = []
    nominal: list[bool] = []
    filled: list[list[Matrix]] = [[] for _ in tables]
    for name in columns:
        column = schema.columns[name]
        if column.numeric:
            levels.append(())
            nominal.append(False)
            for matrix, table in zip(filled, tables, strict=True):
                matrix.append(table[name].to_numpy(np.float64))
            continue
        seen = {str(level) for table in tables for level in table[name].cat.categories}
        known = (*column.categories, *sorted(seen - set(column.categories)))
        levels.append(known)
        nominal.append(column.kind == "categorical" and len(known) > 2)
        position = {level: float(i) for i, level in enumerate(known)}
        for matrix, table in zip(filled, tables, strict=True):
            place = np.array([*(position[str(level)] for level in table[name].cat.categories), np.nan])
            matrix.append(place[table[name].cat.codes.to_numpy()])
    matrices = tuple(
        np.column_stack(matrix) if matrix else np.empty((len(table), 0))
        for matrix, table in zip(filled, tables, strict=True)
    )
    return Design(columns, tuple(levels), np.array(nominal, dtype=bool), matrices)


def make_indicators(design: Design, side: int) -> tuple[list[str], Matrix]:
    """Every column as numbers that can be correlated: nominal columns become one 0/1 column for each level.

    Returns:
        names (`column` or `column=level`) and (patients, names) with NaN where the value is missing.
    """
    names: list[str] = []
    parts: list[Matrix] = []
    for i, name in enumerate(design.columns):
        values = design.matrices[side][:, i]
        if not design.nominal[i]:
            names.append(name)
            parts.append(values)
            continue
        for code, level in enumerate(design.levels[i]):
            names.append(f"{name}={level}")
            parts.append(np.where(np.isnan(values), np.nan, (values == code).astype(np.float64)))
    return names, np.column_stack(parts) if parts else np.empty((len(design.matrices[side]), 0))
