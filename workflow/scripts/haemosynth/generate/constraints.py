"""Hard constraints that every row of a synthetic cohort keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.derive import derive
from haemosynth.core.schema import Column

OFF_GRAIN = 0.05  # grains by which a value may miss its grid: recorded values are rounded to a few digits
LEAST_TIME = 1e-6  # months, where times have no grain


def enforce(cohort: Cohort) -> Cohort:
    """The cohort with every hard constraint met; what already meets them is not changed.

    Numbers are snapped to their grain and clipped to their limits, times lie above 0, an endpoint lacks both time and
    event or neither, no endpoint outlives the primary one, genes are unknown where a patient was not sequenced,
    mutations belong to patients who carry the gene, derived columns are recomputed.
    """
    clinical = cohort.clinical.copy()
    for name, column in cohort.schema.recorded.items():
        if column.numeric:
            clinical[name] = _hold(clinical[name].to_numpy("float64"), column)
    for endpoint in cohort.schema.endpoints:
        time, event = f"{endpoint}_time", f"{endpoint}_event"
        clinical[event] = clinical[event].where(clinical[event].isna(), (clinical[event] >= 0.5).astype("float64"))
        clinical[time] = clinical[time].clip(lower=cohort.schema.columns[time].grain or LEAST_TIME)
        both = clinical[time].notna() & clinical[event].notna()
        clinical[time], clinical[event] = clinical[time].where(both), clinical[event].where(both)
        if endpoint != cohort.schema.endpoints[0]:
            end = clinical[f"{cohort.schema.endpoints[0]}_time"]
            clinical[time] = clinical[time].mask(clinical[time] > end, end)
    held = replace(cohort, clinical=clinical)
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        alterations = cohort.alterations.copy()
        alterations.loc[~cohort.sequenced.to_numpy(dtype=bool), cohort.schema.genes] = np.nan
        carried = _find_carried(alterations, cohort.mutations)
        held = held.replace(alterations=alterations, mutations=cohort.mutations[carried].reset_index(drop=True))
    return derive(held)


def check(cohort: Cohort) -> list[str]:
    """One line for every constraint that some row breaks, with the number of rows and the first patient."""
    found: list[str] = []
    schema, clinical = cohort.schema, cohort.clinical

    def note(rows: np.ndarray, what: str) -> None:
        if rows.any():
            found.append(f"{what}: {int(rows.sum())} rows, first {clinical.index[int(np.argmax(rows))]}")

    for name, column in schema.recorded.items():
        if not column.numeric:
            continue
        values = clinical[name].to_numpy("float64")
        low, high = _limits(column)
        if low is not None:
            note(values < low, f"{name} below {low:g}")
        if high is not None:
            note(values > high, f"{name} above {high:g}")
        if column.grain:
            note(_off_grain(values, column), f"{name} not in steps of {column.grain:g}")
    for endpoint in schema.endpoints:
        time = clinical[f"{endpoint}_time"].to_numpy("float64")
        event = clinical[f"{endpoint}_event"].to_numpy("float64")
        note(time <= 0, f"{endpoint}_time not above 0")
        note(~np.isnan(event) & (event != 0) & (event != 1), f"{endpoint}_event neither 0 nor 1")
        note(np.isnan(time) != np.isnan(event), f"{endpoint}: time without event, or event without time")
        end = clinical[f"{schema.endpoints[0]}_time"].to_numpy("float64")
        note(time > end, f"{endpoint}_time after {schema.endpoints[0]}_time")
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        genes = cohort.alterations[schema.genes].notna().any(axis=1).to_numpy()
        note(genes & ~cohort.sequenced.to_numpy(dtype=bool), "genes known without sequencing")
        stray = int((~_find_carried(cohort.alterations, cohort.mutations)).sum())
        if stray:
            found.append(f"mutations of patients who do not carry the gene: {stray} rows")
    again = derive(cohort).clinical
    for name, column in schema.columns.items():
        if column.derived is not None:
            same = (clinical[name].astype("object") == again[name].astype("object")) | (
                clinical[name].isna() & again[name].isna()
            )
            note(~same.to_numpy(dtype=bool), f"{name} differs from {column.derived}")
    return found


def _off_grain(values: np.ndarray, column: Column) -> np.ndarray:
    steps = values / (column.grain or 1.0)
    return np.asarray((np.abs(steps - np.rint(steps)) > OFF_GRAIN) & ~column.at_point(values))


def _hold(values: np.ndarray, column: Column) -> np.ndarray:
    if column.grain:
        values = np.where(_off_grain(values, column), np.rint(values / column.grain) * column.grain, values)
    low, high = _limits(column)
    return values if low is None and high is None else np.asarray(np.clip(values, low, high))


def _limits(column: Column) -> tuple[float | None, float | None]:
    """The limits of a column; not the shortest and longest follow-up of a training patient, which would be revealed."""
    if column.kind == "time":
        return (
            column.low if "low" in column.declared else None,
            column.high if "high" in column.declared else None,
        )
    return column.low, column.high


def _find_carried(alterations: pd.DataFrame, mutations: pd.DataFrame) -> np.ndarray:
    """(mutations,) whether the patient of each row carries its gene."""
    row = alterations.index.get_indexer(pd.Index(mutations["patient_id"]))
    column = alterations.columns.get_indexer(pd.Index(mutations["gene"]))
    return np.asarray((row >= 0) & (column >= 0) & (alterations.to_numpy()[row, column] == 1))
