"""The split into training patients and holdout; what a schema says of values is then learned from training alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.derive import find_parents
from haemosynth.core.errors import InputError
from haemosynth.core.panel import read_min_carriers
from haemosynth.core.schema import Column, Schema
from haemosynth.reading.preprocess import find_winsorising_limits
from haemosynth.reading.preprocess import winsorise as clipped
from haemosynth.reading.resolution import observe
from haemosynth.reading.source import suggestion

LEAST_PATIENTS = 20  # on either side
LEAST_PICTURED = 3  # where they have no record: images of a few patients are many
LEAST_OF_CLASS = 5  # patients with an event, and censored ones, in the whole cohort
BINS = 4  # quantile groups of a factor that is a number


def split(
    cohort: Cohort,
    train_fraction: float,
    stratify: str | None,
    panel: Any,
    rng: np.random.Generator,
    winsorise: Mapping[str, Sequence[float]] | None = None,
) -> tuple[Cohort, Cohort]:
    """Split a cohort into (train, holdout), with the schema learned from train.

    Stratified by the primary event and by `stratify`, missing values being strata of their own; strata too small to
    be divided evenly are rounded so that the whole is exact. Learned from train, unless declared: ranges, grains,
    categories and the recurrent panel; columns with fewer than two values and events with too few carriers in train
    leave both sides, and `schema.excluded` says so. Both sides share that schema; levels that only the holdout has
    follow behind its categories. Notes of the raw cohort stay there: they name patients.

    Args:
        panel: as in the study, {recurrent: {min_carriers: N}} or a list of genes (then events without any carrier in
            train leave, and a listed gene without one is an error).
        winsorise: column -> two quantiles; the limits are learned from train and applied to train alone.

    Raises:
        InputError: too few patients on a side or of a class of the event, or the factor is not in the cohort.
    """
    in_train = _draw(cohort, train_fraction, stratify, rng)
    train, holdout = cohort.take(np.flatnonzero(in_train)), cohort.take(np.flatnonzero(~in_train))
    limits = {
        name: find_winsorising_limits(train.clinical[name], quantiles) for name, quantiles in (winsorise or {}).items()
    }
    train = replace(
        train, clinical=train.clinical.assign(**{name: clipped(train.clinical[name], limits[name]) for name in limits})
    )
    schema = learn_schema(train, panel)
    schema = replace(
        schema,
        notes=tuple(
            f"{name}: winsorised in train to {low:.6g} to {high:.6g} (quantiles {(winsorise or {})[name]})"
            for name, (low, high) in limits.items()
        ),
    )
    return _with_schema(train, schema), _with_schema(holdout, schema)


def halve(holdout: Cohort, rng: np.random.Generator) -> tuple[Cohort, Cohort]:
    """The holdout in two random halves, (fresh, control), each in table order; an odd patient goes to control."""
    order = rng.permutation(len(holdout))
    half = len(holdout) // 2
    return holdout.take(np.sort(order[:half])), holdout.take(np.sort(order[half:]))


def _draw(cohort: Cohort, fraction: float, stratify: str | None, rng: np.random.Generator) -> np.ndarray:
    """(patients,) whether a patient is in train."""
    n, name = len(cohort), cohort.schema.cohort
    if not 0 < fraction < 1:
        raise InputError(f"split.train_fraction is {fraction}; expected a number between 0 and 1")
    wanted = round(fraction * n)
    least = LEAST_PATIENTS if cohort.schema.columns else LEAST_PICTURED
    if min(wanted, n - wanted) < least:
        raise InputError(
            f"cohort {name}: {n} patients give {wanted} to train and {n - wanted} to holdout; "
            f"the split needs {least} on either side"
        )
    strata = pd.Series("", index=range(n))
    if cohort.schema.endpoints:
        endpoint = cohort.schema.endpoints[0]
        event = cohort.clinical[f"{endpoint}_event"].reset_index(drop=True)
        for value, word in ((1.0, "an event"), (0.0, "no event")):
            count = int((event == value).sum())
            if 0 < count < LEAST_OF_CLASS or (value == 1 and count == 0):
                raise InputError(
                    f"cohort {name}: {count} patients have {word} of {endpoint}; the split needs {LEAST_OF_CLASS}"
                )
        strata = event.astype(str)
    if stratify is not None:
        strata = strata + "|" + _factor(cohort, stratify)
    codes, levels = pd.factorize(strata, sort=True)
    order = np.lexsort((rng.random(n), codes))  # strata one after the other, patients in chance order within each
    # Along this line the quota fraction x position is rounded: every stratum gets its share, the whole is exact.
    starts = np.searchsorted(codes[order], np.arange(len(levels)))
    quota = np.rint(np.append(starts, n) * (wanted / n)).astype(int)
    take = np.concatenate([np.arange(start, start + k) for start, k in zip(starts, np.diff(quota), strict=True)])
    in_train = np.zeros(n, dtype=bool)
    in_train[order[take]] = True
    return in_train


def _factor(cohort: Cohort, name: str) -> pd.Series:
    """The strata of a column: its levels, or quantile groups of numbers."""
    if name in cohort.clinical:
        values = cohort.clinical[name]
        if cohort.schema.columns[name].kind in ("continuous", "integer", "time"):
            values = pd.qcut(values.rank(method="average"), BINS, labels=False, duplicates="drop")
    elif cohort.alterations is not None and name in cohort.alterations:
        values = cohort.alterations[name]
    else:
        names = [*cohort.schema.columns, *cohort.schema.alterations]
        raise InputError(
            f"cohort {cohort.schema.cohort}: stratify: there is no column {name}; {suggestion(name, names)}"
        )
    return values.astype("object").where(values.notna(), "missing").astype(str).reset_index(drop=True)


def learn_schema(train: Cohort, panel: Any) -> Schema:
    """The schema with everything that is not declared as training patients show it.

    Raises:
        InputError: a listed gene has no carrier among training patients.
    """
    schema = train.schema
    excluded = dict(schema.excluded)
    columns: dict[str, Column] = {}
    for name, column in schema.columns.items():
        values = train.clinical[name]
        fixed = name in schema.survival or {"kind", "categories"} & set(column.declared)
        if values.nunique() < 2 and not fixed and column.derived is None:
            excluded[name] = "no value recorded in train" if values.isna().all() else "constant in train"
        else:
            columns[name] = observe(column, values)
    alterations = _panel(train, panel, excluded)
    dropped = True
    while dropped:  # a derived column whose parent left leaves too, and so on
        dropped = False
        for name, column in list(columns.items()):
            if column.derived is None:
                continue
            _, arguments = find_parents(column.derived, f"derived column {name}")
            gone = [a for a in arguments if isinstance(a, str) and a not in columns and a not in alterations]
            if gone:
                excluded[name] = f"derived from {', '.join(gone)}, which left"
                del columns[name]
                dropped = True
    listed = train.alterations is not None and read_min_carriers(panel, f"cohorts.{schema.cohort}") is None
    return replace(
        schema,
        columns=columns,
        alterations=alterations,
        excluded={name: excluded[name] for name in sorted(excluded)},
        declared=("panel",) if listed else (),
    )


def _panel(train: Cohort, panel: Any, excluded: dict[str, str]) -> dict[str, str]:
    if train.alterations is None:
        return {}
    where = f"cohorts.{train.schema.cohort}"
    least, counts = read_min_carriers(panel, where), train.alterations.sum()
    kept = {}
    for name, kind in train.schema.alterations.items():
        if counts[name] >= (least or 1):
            kept[name] = kind
        elif least is None and kind == "gene":
            raise InputError(f"{where}.panel: no training patient carries {name}; take it out of the panel")
        else:
            excluded[name] = f"{int(counts[name])} carriers in train, fewer than {least or 1}"
    if not kept:
        raise InputError(f"{where}.panel: no event has {least} carriers in train; lower min_carriers or list the genes")
    return kept


def _with_schema(side: Cohort, schema: Schema) -> Cohort:
    clinical = set_types(side.clinical, schema)
    if side.alterations is None or side.sequenced is None or side.mutations is None:
        return Cohort(schema, clinical)
    rows = side.mutations["gene"].isin(list(schema.alterations))
    return Cohort.of(
        schema,
        clinical,
        side.alterations[list(schema.alterations)],
        side.sequenced,
        side.mutations[rows].reset_index(drop=True),
    )
