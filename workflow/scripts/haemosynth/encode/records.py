"""Patients as points: one scale for clinical columns and alterations, and the distances between patients."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.arrays import Matrix as Matrix
from haemosynth.core.arrays import Vector as Vector
from haemosynth.core.cohort import Cohort
from haemosynth.modalities.registry import ALTERED, RECORD


@dataclass(frozen=True)
class Encoder:
    """A common scale, fitted on training patients.

    A number is divided by its 10-90 % range and clipped half a range beyond it; two different levels, a value and a
    missing value, and two states of an alteration all lie 1 apart. A missing number is in the middle of its range
    and differs by its own indicator; an unknown alteration lies half way, and a patient who was not sequenced differs
    by one indicator. Derived columns are left out: they say nothing that their parents do not.
    """

    numbers: tuple[tuple[str, float, float], ...]  # column, middle, 10-90 % range
    levels: tuple[tuple[str, tuple[str, ...]], ...]
    alterations: tuple[str, ...]
    baseline: NDArray[np.bool_] = field(repr=False)  # which encoded columns are clinical and not an endpoint
    genomic: NDArray[np.bool_] = field(repr=False)  # which are alterations or `sequenced`

    @property
    def blocks(self) -> dict[str, NDArray[np.bool_]]:
        """Modality -> its encoded columns; `joint`, the whole record, where there is more than one modality."""
        clinical = {RECORD: ~self.genomic}
        if not self.genomic.any():
            return clinical
        return clinical | {ALTERED: self.genomic, "joint": np.ones_like(self.genomic)}

    def points(self, cohort: Cohort) -> Matrix:
        """(patients, encoded columns)."""
        columns: list[Vector] = []
        for name, middle, width in self.numbers:
            values = cohort.clinical[name].to_numpy(float)
            missing = np.isnan(values)
            columns += [np.where(missing, 0.0, np.clip((values - middle) / width, -1, 1)), missing.astype(float)]
        for name, levels in self.levels:
            codes = pd.Index(levels).get_indexer(pd.Index(cohort.clinical[name].astype(object)))
            codes[(codes < 0) & cohort.clinical[name].notna().to_numpy()] = len(levels)  # a level unseen in training
            columns += [(codes == code) * np.sqrt(0.5) for code in range(-1, len(levels) + 1)]
        if self.alterations and cohort.alterations is not None and cohort.sequenced is not None:
            states = cohort.alterations[list(self.alterations)].to_numpy(float)
            columns.extend(np.where(np.isnan(states), 0.5, states).T)
            columns.append(cohort.sequenced.to_numpy(float))
        return np.column_stack(columns)


def fit_encoder(train: Cohort) -> Encoder:
    """The scale of distances between patients, from training patients alone."""
    numbers, levels, baseline = [], [], []
    survival = set(train.schema.survival)
    for name, column in train.schema.recorded.items():
        if not column.numeric:
            continue
        values = train.clinical[name].dropna().to_numpy(float)
        low, high = np.quantile(values, [0.1, 0.9]) if len(values) else (0.0, 1.0)
        if high <= low:  # nearly always the same value: its whole range counts
            low, high = (values.min(), values.max()) if len(values) and values.max() > values.min() else (0.0, 1.0)
        numbers.append((name, float(low + high) / 2, float(high - low)))
        baseline += [name not in survival] * 2
    for name, column in train.schema.recorded.items():
        if not column.numeric:
            levels.append((name, tuple(str(level) for level in train.clinical[name].cat.categories)))
            baseline += [True] * (len(levels[-1][1]) + 2)
    alterations = tuple(train.schema.alterations)
    clinical, genomic = len(baseline), len(alterations) + 1 if alterations else 0
    return Encoder(
        tuple(numbers),
        tuple(levels),
        alterations,
        np.array(baseline + [False] * genomic, dtype=bool),
        np.array([False] * clinical + [True] * genomic, dtype=bool),
    )


def distinct(cohort: Cohort) -> Cohort:
    """Each patient once, in the order of first appearance."""
    repeated = cohort.patients.duplicated()
    return cohort.take(np.flatnonzero(~repeated)) if repeated.any() else cohort


def some_rows(cohort: Cohort, most: int, rng: np.random.Generator) -> Cohort:
    """The cohort, or `most` of its patients at random where it has more: neighbours cost patients squared."""
    return cohort if len(cohort) <= most else cohort.take(np.sort(rng.permutation(len(cohort))[:most]))
