"""Synthetic patients no nearer to training patients than these are to each other.

A generator that has learned its patients too well draws records that are nearer to training patients than unseen
patients would be. How near unseen patients are is known without any: as near as each training patient is to the nearest
of the others. From more records than are needed, as many are taken from each decile of that distance as there are
training patients in it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from haemosynth.cohort import Cohort

DECILES = np.linspace(0, 1, 11)[1:-1]
PER_PATIENT, FEWEST = 4, 50  # records drawn for each one kept, and at least
MOST_PATIENTS = 10_000  # training patients kept to measure distances from
CHUNK = 2048


def learn(train: Cohort, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What distances need: ranks of the numbers, training patients as points, and the deciles of their distances."""
    kept = np.sort(rng.permutation(len(train))[:MOST_PATIENTS])
    clinical = train.clinical.iloc[kept]
    arrays: dict[str, np.ndarray] = {}
    for name, column in train.schema.columns.items():
        if column.derived is None and column.numeric:
            arrays[f"sorted/{name}"] = np.sort(clinical[name].dropna().to_numpy(float))
        elif column.derived is None:
            arrays[f"levels/{name}"] = np.array([len(column.categories)])
    points = _points(arrays, clinical)
    arrays["points"] = points
    arrays["deciles"] = np.quantile(_nearest(points, points, leave_out=True), DECILES)
    return arrays


def _points(arrays: Mapping[str, np.ndarray], clinical: pd.DataFrame) -> np.ndarray:
    """(patients, features) float32: numbers by their rank among training patients, levels as indicators.

    Missing numbers stand in the middle, with an indicator; two levels are as far apart as the ends of a number.
    """
    features = []
    for key in sorted(arrays):  # files do not keep the order
        kind, _, name = key.partition("/")
        if kind == "sorted":
            values, known = clinical[name].to_numpy(float), clinical[name].notna().to_numpy()
            ordered = arrays[key]
            rank = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2
            features += [np.where(known, rank / max(len(ordered), 1), 0.5), np.where(known, 0.0, 1.0)]
        elif kind == "levels":
            levels = int(arrays[key][0]) + 1  # missing, code -1, is the last
            codes = clinical[name].cat.codes.to_numpy() % levels
            features += list((codes[:, None] == np.arange(levels)).T * 0.5**0.5)
    return np.stack(features, axis=1).astype(np.float32)


def _nearest(rows: np.ndarray, points: np.ndarray, leave_out: bool = False) -> np.ndarray:
    """(rows,) distance to the nearest point; with `leave_out`, row i is not compared with point i."""
    found = np.empty(len(rows), dtype=np.float32)
    squares = (points**2).sum(axis=1)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        distance = (part**2).sum(axis=1)[:, None] + squares - 2 * part @ points.T
        if leave_out:
            distance[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        found[start : start + CHUNK] = np.sqrt(np.maximum(distance.min(axis=1), 0))
    return found


def choose(arrays: Mapping[str, np.ndarray], clinical: pd.DataFrame, n: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of n of the records, in table order, as far from training patients as these are from each other.

    A decile with too few records is filled up from those that are farther away.
    """
    decile = _decile(arrays, clinical)
    wanted = rng.multinomial(n, np.full(len(DECILES) + 1, 1 / (len(DECILES) + 1)))
    taken: list[np.ndarray] = []
    lacking = 0
    for number, quota in enumerate(wanted):
        members = rng.permutation(np.flatnonzero(decile == number))
        taken.append(members[: quota + lacking])
        lacking += quota - len(taken[-1])
    chosen = np.concatenate(taken)
    if lacking:  # the farthest deciles ran out: the farthest of the rest
        rest = np.setdiff1d(np.arange(len(clinical)), chosen)
        chosen = np.concatenate([chosen, rest[np.argsort(-decile[rest], kind="stable")][:lacking]])
    return np.sort(chosen)


def weights(arrays: Mapping[str, np.ndarray], clinical: pd.DataFrame) -> np.ndarray:
    """(records,) weights under which as many records fall in each decile as training patients do."""
    decile = _decile(arrays, clinical)
    share = np.bincount(decile, minlength=len(DECILES) + 1) / max(len(decile), 1)
    return np.asarray(1 / (len(share) * share[decile]))


def _decile(arrays: Mapping[str, np.ndarray], clinical: pd.DataFrame) -> np.ndarray:
    found = np.searchsorted(arrays["deciles"], _nearest(_points(arrays, clinical), arrays["points"]))
    return np.asarray(found)
