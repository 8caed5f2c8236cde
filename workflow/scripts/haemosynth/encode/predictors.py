"""The clinical record as predictors of alterations and images: a design matrix of ranks, their squares and levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.stats.hazards import estimate_hazard, read_hazard

Record = list[dict[str, Any]]
KNOTS = 41  # points that hold the distribution of a number: finer than any effect that a cohort can show


def describe_record(train: Cohort, bins: int = 5, least: int | None = None) -> Record:
    """What is kept of each usable clinical column: plain data, learned from training patients.

    Derived columns (they are empty in a synthetic record) and columns with one value are not usable. An endpoint is
    one entry, its time and event together.

    Args:
        train: training patients.
        bins: quantile bins of a number when it is entered as levels.
        least: patients that a level, or missingness, needs to be distinguished; None: a fifteenth of them, 4 to 10.
            With 70 patients, levels of five predicted held-out alterations better than levels of ten did (eight
            splits), with 332 they did not.
    """
    least = min(10, max(4, len(train) // 15)) if least is None else least
    entries: Record = []
    survival = set(train.schema.survival)
    for name, column in train.schema.recorded.items():
        values = train.clinical[name]
        if name in survival or values.nunique() < 2:
            continue
        missing = int(values.isna().sum()) >= least
        if column.numeric:
            entries.append({"kind": "number", "column": name, "missing": missing} | _number(values, bins))
        else:
            counts = values.astype("object").value_counts()
            kept = [str(level) for level in values.cat.categories if counts.get(level, 0) >= least]
            if len(kept) + missing > 1 or (kept and len(counts) > 1):
                share = [float((values == level).sum() / values.notna().sum()) for level in kept]
                entries.append(
                    {"kind": "levels", "column": name, "missing": missing, "levels": kept, "share": share,
                     "other": len(counts) > len(kept)}
                )  # fmt: skip
    for endpoint in train.schema.endpoints:
        time, event = train.clinical[f"{endpoint}_time"], train.clinical[f"{endpoint}_event"]
        known = time.notna() & event.notna()
        if known.sum() < 2 or time[known].nunique() < 2:
            continue
        entry = {"kind": "endpoint", "column": endpoint, "missing": bool((~known).sum() >= least)}
        entry |= _number(time[known], bins)
        steps = estimate_hazard(time[known].to_numpy(), event[known].to_numpy(), ties="in_turn")
        entry["hazard"] = read_hazard(*steps, np.asarray(entry["knots"])).tolist()
        entries.append(entry)
    return entries


def _number(values: pd.Series, bins: int) -> dict[str, Any]:
    known = values.dropna().to_numpy()
    knots = np.quantile(known, np.linspace(0.0, 1.0, KNOTS))
    cuts = np.unique(np.quantile(known, np.arange(1, bins) / bins))
    return {"knots": knots.tolist(), "cuts": cuts[cuts > known.min()].tolist()}


def design_matrix(record: Record, clinical: pd.DataFrame) -> np.ndarray:
    """(patients, features): ranks and their squares of numbers, levels, missing indicators, martingale residuals.

    Numbers enter by their rank among training patients, scaled to variance 1; the squares allow for curved effects.
    Levels are indicators less their training share. An endpoint enters as rank of time, event, and its martingale
    residual (Therneau et al., Biometrika 1990;77:147) under the training patients' common hazard. A missing entry adds
    nothing but its indicator.
    """
    features: list[np.ndarray] = [np.empty((len(clinical), 0))]
    for entry in record:
        values, missing = _values(entry, clinical)
        if entry["kind"] == "levels":
            block = np.stack([values == level for level in entry["levels"]], axis=1) - np.asarray(entry["share"])
            if not entry["other"] and len(entry["levels"]) == 2:
                block = block[:, 1:]  # the other one is its mirror image
        else:
            rank = (_rank(entry, values) - 0.5) * np.sqrt(12.0)
            block = np.stack([rank, (rank**2 - 1.0) / np.sqrt(0.8)], axis=1)
            if entry["kind"] == "endpoint":
                event = clinical[f"{entry['column']}_event"].to_numpy()
                residual = event - np.interp(values, entry["knots"], entry["hazard"])
                block = np.column_stack([block, event - 0.5, residual])
        features.append(np.where(missing[:, None], 0.0, block))
        if entry["missing"]:
            features.append(missing[:, None].astype(float))
    return np.column_stack(features)


def _values(entry: Mapping[str, Any], clinical: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    if entry["kind"] == "levels":
        values = clinical[entry["column"]].astype("object")
        return values.to_numpy(), values.isna().to_numpy()
    if entry["kind"] == "number":
        numbers = clinical[entry["column"]].to_numpy(dtype=float)
        return numbers, np.isnan(numbers)
    numbers = clinical[f"{entry['column']}_time"].to_numpy(dtype=float)
    return numbers, np.isnan(numbers) | clinical[f"{entry['column']}_event"].isna().to_numpy()


def _rank(entry: Mapping[str, Any], values: np.ndarray) -> np.ndarray:
    """Share of training patients below, in 0..1; the middle of a run of equal knots."""
    knots: Sequence[float] = entry["knots"]
    low, high = np.searchsorted(knots, values, side="left"), np.searchsorted(knots, values, side="right")
    share = np.linspace(0.0, 1.0, len(knots))
    distinct, first = np.unique(knots, return_index=True)
    between = np.interp(values, distinct, share[first])
    tied = high - low > 1
    return np.where(tied, (share[np.minimum(low, KNOTS - 1)] + share[np.maximum(high - 1, 0)]) / 2.0, between)
