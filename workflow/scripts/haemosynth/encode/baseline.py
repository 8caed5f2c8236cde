"""Covariates known at baseline, one coding for every candidate; and follow-up.

What training patients fix: clinical columns of the groups demographic, laboratory, disease and comorbidity that are not
derived (what happens after baseline, such as treatment, response and the endpoints, never enters unless it is named),
and alterations with enough carriers. Numbers are winsorised at the 1 and 99 % quantiles, skewed ones taken as
log(1 + x), and put on the scale of one standard deviation; levels are compared with the most frequent one. Missing
values are completed within each side alone: the median, the reference level or wild type, and an indicator of
missingness where enough patients carry it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

BASELINE_GROUPS = ("demographic", "laboratory", "disease", "comorbidity")


@dataclass(frozen=True)
class Design:
    """The covariates, as learned from training patients. names: one for each column of `matrix`."""

    numbers: tuple[tuple[str, bool, float, float, float, float], ...]  # column, log, low, high, mean, deviation
    levels: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    alterations: tuple[str, ...]
    unsequenced: bool
    no_karyotype: bool

    @property
    def names(self) -> list[str]:
        """Names of the covariates, in the order of the matrix."""
        return [
            *(f"{'log ' if log else ''}{name}, per SD" for name, log, *_ in self.numbers),
            *(f"{name}: {level}" for name, level in self.levels),
            *(f"{name}: unknown" for name in self.unknown),
            *self.alterations,
            *(["not sequenced"] if self.unsequenced else []),
            *(["karyotype incomplete"] if self.no_karyotype else []),
        ]

    def matrix(self, cohort: Cohort) -> Matrix:
        """(patients, covariates), complete; missing values completed from this cohort alone."""
        columns: list[Vector] = []
        clinical = cohort.clinical
        for name, log, low, high, mean, deviation in self.numbers:
            values = np.clip(clinical[name].to_numpy(float), low, high)
            known = np.isfinite(values)
            values = np.where(known, values, np.median(values[known]) if known.any() else low)
            columns.append((_scale(values, log) - mean) / deviation)
        for name, level in self.levels:
            columns.append((clinical[name] == level).to_numpy().astype(float))
        for name in self.unknown:
            columns.append(clinical[name].isna().to_numpy().astype(float))
        if self.alterations and cohort.alterations is not None:
            columns.extend(np.nan_to_num(cohort.alterations[list(self.alterations)].to_numpy(float)).T)
        if self.unsequenced and cohort.sequenced is not None:
            columns.append(1.0 - cohort.sequenced.to_numpy(float))
        if self.no_karyotype and cohort.alterations is not None:
            columns.append(_karyotype_incomplete(cohort).astype(float))
        return np.column_stack(columns) if columns else np.empty((len(cohort), 0))


def baseline_design(train: Cohort, carriers: int, also: Sequence[str] = ()) -> Design:
    """The covariates known at baseline; `carriers` training patients are needed for a level or an alteration.

    Args:
        also: columns outside the baseline groups that were known at baseline all the same, such as a randomised arm.

    Raises:
        InputError: `also` names a column that the cohort lacks, or an endpoint.
    """
    for name in also:
        if name not in train.schema.columns or train.schema.columns[name].kind in ("time", "event"):
            raise InputError(f"covariates: {name!r} is no column of {train.schema.cohort}, or part of an endpoint")
    numbers, levels, unknown = [], [], []
    for name, column in train.schema.recorded.items():
        if column.kind in ("time", "event"):
            continue
        if column.group not in BASELINE_GROUPS and name not in also:
            continue
        values = train.clinical[name]
        observed = values.dropna()
        if column.numeric:
            if len(observed) < carriers or observed.nunique() < 2:
                continue
            low, high = np.quantile(observed, [0.01, 0.99])
            clipped = np.clip(observed.to_numpy(float), low, high)
            log = bool(low >= 0 and _skewness(clipped) > 1)
            scaled = _scale(clipped, log)
            if scaled.std() == 0:
                continue
            numbers.append((name, log, float(low), float(high), float(scaled.mean()), float(scaled.std())))
        else:
            counts = observed.astype(str).value_counts(sort=False)
            kept = [level for level in values.cat.categories if counts.get(level, 0) >= carriers]
            if len(kept) < 2:
                continue
            reference = max(kept, key=lambda level: counts[level])
            levels += [(name, level) for level in kept if level != reference]
        if min(values.isna().sum(), len(observed)) >= carriers:
            unknown.append(name)
    alterations: list[str] = []
    unsequenced = no_karyotype = False
    if train.alterations is not None and train.sequenced is not None:
        present = (train.alterations.to_numpy(float) == 1).sum(axis=0)
        alterations = [
            str(name) for name, count in zip(train.alterations, present, strict=True) if carriers <= count < len(train)
        ]
        known = int(train.sequenced.sum())
        unsequenced = min(known, len(train) - known) >= carriers
        incomplete = int(_karyotype_incomplete(train).sum())
        no_karyotype = min(incomplete, len(train) - incomplete) >= carriers
    return Design(tuple(numbers), tuple(levels), tuple(unknown), tuple(alterations), unsequenced, no_karyotype)


def _scale(values: Vector, log: bool) -> Vector:
    return np.log1p(values) if log else values


def _skewness(values: Vector) -> float:
    deviation = values.std()
    return float(((values - values.mean()) ** 3).mean() / deviation**3) if deviation > 0 else 0.0


def _karyotype_incomplete(cohort: Cohort) -> NDArray[np.bool_]:
    events = [name for name, kind in cohort.schema.alterations.items() if kind == "cytogenetic"]
    assert cohort.alterations is not None
    incomplete: NDArray[np.bool_] = np.isnan(cohort.alterations[events].to_numpy(float)).any(axis=1)
    return incomplete


def follow_up(cohort: Cohort, endpoint: str) -> tuple[NDArray[np.intp], Vector, Vector]:
    """(positions of patients with known follow-up, their time in months, their event) of an endpoint."""
    time = cohort.clinical[f"{endpoint}_time"].to_numpy(float)
    event = cohort.clinical[f"{endpoint}_event"].to_numpy(float)
    known = np.flatnonzero(np.isfinite(time) & np.isfinite(event))
    return known, time[known], event[known]
