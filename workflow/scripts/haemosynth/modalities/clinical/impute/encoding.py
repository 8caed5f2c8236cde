"""The clinical table as numbers for an imputation model, and imputed numbers back as recorded values.

Numbers become normal scores of their rank among training patients, or keep their shape and are only standardised
(`SCALES`); levels become codes. The outcome enters as a
predictor: event indicator and cumulative baseline hazard of each endpoint (White and Royston, Stat Med 2009;28:1982).
So do the alterations with enough carriers, so that completed tables keep their associations with the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core import derive
from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.errors import InputError
from haemosynth.stats.hazards import estimate_hazard

SCALES = ("normal_scores", "recorded")
KNOTS = 1001  # quantiles kept of a column's training values; smaller cohorts keep every value


@dataclass(frozen=True)
class Encoded:
    """A cohort as an imputation model sees it.

    numbers: (patients, numeric columns) normal scores, NaN where missing.
    codes: (patients, level columns) position of the level, -1 where missing or unknown to the training patients.
    auxiliary: (patients, 2 x endpoints + alterations) predictors that are not completed, NaN where missing: event 0/1
        and standardised cumulative hazard of each endpoint, then alterations 0/1.
    """

    numbers: np.ndarray
    codes: np.ndarray
    auxiliary: np.ndarray


@dataclass(frozen=True)
class Encoding:
    """How the columns were coded, learned from training patients.

    knots: numeric column -> increasing quantiles of its observed values. levels: level column -> its levels.
    hazards: endpoint -> (2, steps): event times in months and the Nelson-Aalen cumulative hazard from each on;
    scales: endpoint -> mean and standard deviation of that hazard over training patients.
    alterations: those that are predictors.
    impossible: columns without one observed training value; nothing can be learned, they stay missing.
    standard: numeric column -> mean and standard deviation, where numbers keep their recorded shape; else empty.
    """

    knots: Mapping[str, np.ndarray]
    levels: Mapping[str, tuple[str, ...]]
    hazards: Mapping[str, np.ndarray]
    scales: Mapping[str, tuple[float, float]]
    alterations: tuple[str, ...]
    impossible: tuple[str, ...]
    standard: Mapping[str, tuple[float, float]]


def find_imputable(cohort: Cohort) -> list[str]:
    """The columns that imputation completes, in table order.

    Left as they are: endpoints, derived columns, and columns whose absence is itself information (a rule `present`
    reads them, such as the date of a transplant).
    """
    schema = cohort.schema
    structural: set[str] = set()
    for name, column in schema.columns.items():
        if column.derived is not None:
            rule, arguments = derive.find_parents(column.derived, f"derived column {name}")
            if rule == "present":
                structural.update(argument for argument in arguments if isinstance(argument, str))
    outside = {*schema.survival, *structural}
    return [name for name in schema.recorded if name not in outside]


def fit_encoding(train: Cohort, min_carriers: int, scale: str = "normal_scores") -> Encoding:
    """Learn the coding from training patients; alterations with at least `min_carriers` of them are predictors.

    Raises:
        InputError: the cohort has no column to impute, or the scale is not one of `SCALES`.
    """
    if scale not in SCALES:
        raise InputError(f"imputation: no scale {scale!r}; expected one of {', '.join(SCALES)}")
    names = find_imputable(train)
    if not names:
        raise InputError(f"imputation of {train.schema.cohort}: the clinical table has no column that can be imputed")
    knots, levels, impossible = {}, {}, []
    for name in names:
        values = train.clinical[name].dropna()
        if values.empty:
            impossible.append(name)
        elif train.schema.columns[name].numeric:
            knots[name] = np.quantile(values.to_numpy(), np.linspace(0, 1, min(len(values), KNOTS)))
        else:
            seen = set(values.astype(str))
            levels[name] = tuple(str(level) for level in values.cat.categories if str(level) in seen)
    hazards, scales = {}, {}
    for endpoint in train.schema.endpoints:
        pair = train.clinical[[f"{endpoint}_time", f"{endpoint}_event"]].dropna().to_numpy()
        if not (pair[:, 1] == 1).any():
            continue
        steps = np.stack(estimate_hazard(pair[:, 0], pair[:, 1], ties="together"))
        hazard = _step(steps, pair[:, 0])
        hazards[endpoint] = steps
        scales[endpoint] = (float(hazard.mean()), float(hazard.std()) or 1.0)
    carried: list[str] = []
    if train.alterations is not None:
        # Both sides must be seen: an event that every patient has predicts nothing.
        count, absent = (train.alterations == 1).sum(), (train.alterations == 0).sum()
        carried = [str(name) for name in count.index[(count >= min_carriers) & (absent >= min_carriers)]]
    standard: dict[str, tuple[float, float]] = {}
    if scale == "recorded":
        values_of = {name: train.clinical[name] for name in knots}
        standard = {name: (float(x.mean()), float(x.std()) or 1.0) for name, x in values_of.items()}
    return Encoding(knots, levels, hazards, scales, tuple(carried), tuple(impossible), standard)


def _step(steps: np.ndarray, time: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], steps[1]])[np.searchsorted(steps[0], time, side="right")]


def encode(encoding: Encoding, cohort: Cohort) -> Encoded:
    """Code a cohort.

    Raises:
        InputError: the cohort lacks a column of the training patients.
    """
    from scipy.special import ndtri

    clinical = cohort.clinical
    for name in [*encoding.knots, *encoding.levels]:
        if name not in clinical:
            raise InputError(f"imputation of {cohort.schema.cohort}: column {name} of the training patients is missing")
    numbers = np.full((len(cohort), len(encoding.knots)), np.nan)
    for j, (name, knots) in enumerate(encoding.knots.items()):
        values = clinical[name].to_numpy(dtype="float64")
        known = ~np.isnan(values)
        if encoding.standard:
            mean, sd = encoding.standard[name]
            numbers[:, j] = (values - mean) / sd
            continue
        # The middle of the ranks that share a value, kept off 0 and 1 so that every score is finite.
        rank = (np.searchsorted(knots, values[known], "left") + np.searchsorted(knots, values[known], "right")) / 2
        numbers[known, j] = ndtri((rank + 0.5) / (len(knots) + 1))
    codes = np.full((len(cohort), len(encoding.levels)), -1, dtype=np.int64)
    for j, (name, levels) in enumerate(encoding.levels.items()):
        codes[:, j] = pd.Index(levels).get_indexer(pd.Index(clinical[name].astype("object")))
    events = cohort.alterations if cohort.alterations is not None else pd.DataFrame(index=cohort.patients)
    carried = events.reindex(columns=list(encoding.alterations)).to_numpy(dtype="float64")
    outcome = np.full((len(cohort), 2 * len(encoding.hazards)), np.nan)
    for j, (endpoint, steps) in enumerate(encoding.hazards.items()):
        time, event = (clinical[f"{endpoint}_{part}"].to_numpy(dtype="float64") for part in ("time", "event"))
        known = ~np.isnan(time) & ~np.isnan(event)
        mean, sd = encoding.scales[endpoint]
        outcome[known, 2 * j] = event[known]
        outcome[known, 2 * j + 1] = (_step(steps, time[known]) - mean) / sd
    return Encoded(numbers, codes, np.concatenate([outcome, carried], axis=1))


def make_inputs(encoding: Encoding, cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """A cohort as one matrix: (values, present), each (patients, features).

    Features: numbers, auxiliary, then one 0/1 feature per level. `values` is 0 where `present` is False.
    """
    encoded = encode(encoding, cohort)
    blocks = [encoded.numbers, encoded.auxiliary]
    for j, levels in enumerate(encoding.levels.values()):
        code = encoded.codes[:, [j]]
        blocks.append(np.where(code < 0, np.nan, code == np.arange(len(levels))))
    values = np.concatenate(blocks, axis=1)
    return np.nan_to_num(values), ~np.isnan(values)


def group_features(encoding: Encoding) -> list[tuple[str, slice]]:
    """The features of `inputs` by column: ("normal", one feature), ("yes_no", one) or ("levels", one per level)."""
    kinds = ["normal"] * len(encoding.knots) + ["yes_no", "normal"] * len(encoding.hazards)
    kinds += ["yes_no"] * len(encoding.alterations)
    found = [(kind, slice(j, j + 1)) for j, kind in enumerate(kinds)]
    for levels in encoding.levels.values():
        start = found[-1][1].stop if found else 0
        found.append(("levels", slice(start, start + len(levels))))
    return found


def complete(encoding: Encoding, cohort: Cohort, numbers: np.ndarray, codes: np.ndarray) -> pd.DataFrame:
    """The clinical table with its missing entries taken from imputed `numbers` and `codes` (as in `Encoded`).

    Scores become training quantiles of their rank; all values are put on the recording grain and within the limits.
    """
    from scipy.special import ndtr

    clinical = cohort.clinical.copy()
    for j, (name, knots) in enumerate(encoding.knots.items()):
        missing = clinical[name].isna().to_numpy()
        if encoding.standard:
            mean, sd = encoding.standard[name]
            values = np.clip(mean + sd * numbers[missing, j], knots[0], knots[-1])
        else:
            position = ndtr(numbers[missing, j]) * (len(knots) - 1)
            values = np.interp(position, np.arange(len(knots)), knots)
        column = cohort.schema.columns[name]
        grain = column.grain or (1.0 if column.kind == "integer" else None)
        if grain is not None:
            stepped = np.round(np.round(values / grain) * grain, 10)  # the outer rounding: 8.9, not 8.900000000000001
            values = np.where(column.at_point(values), values, stepped)
        clinical.loc[missing, name] = np.clip(values, column.low, column.high)
    for j, (name, levels) in enumerate(encoding.levels.items()):
        missing = clinical[name].isna().to_numpy()
        filled = clinical[name].astype("object")
        filled.loc[missing] = np.array(levels, dtype="object")[codes[missing, j]]
        clinical[name] = filled
    return set_types(clinical, cohort.schema)


def pack(encoding: Encoding) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The coding as arrays and plain data, for `Fitted`."""
    arrays = {f"knots/{name}": knots for name, knots in encoding.knots.items()}
    arrays |= {f"hazard/{endpoint}": steps for endpoint, steps in encoding.hazards.items()}
    plain = {
        "numbers": list(encoding.knots),
        "levels": {name: list(levels) for name, levels in encoding.levels.items()},
        "scales": {endpoint: list(scale) for endpoint, scale in encoding.scales.items()},
        "alterations": list(encoding.alterations),
        "impossible": list(encoding.impossible),
        "standard": {name: list(pair) for name, pair in encoding.standard.items()},
    }
    return arrays, plain


def unpack(arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> Encoding:
    """The coding that `pack` wrote."""
    return Encoding(
        knots={name: arrays[f"knots/{name}"] for name in plain["numbers"]},
        levels={name: tuple(levels) for name, levels in plain["levels"].items()},
        hazards={endpoint: arrays[f"hazard/{endpoint}"] for endpoint in plain["scales"]},
        scales={endpoint: (scale[0], scale[1]) for endpoint, scale in plain["scales"].items()},
        alterations=tuple(plain["alterations"]),
        impossible=tuple(plain["impossible"]),
        standard={name: (pair[0], pair[1]) for name, pair in plain["standard"].items()},
    )
