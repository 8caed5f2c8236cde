"""Gaussian copula with few factors, given the record, of tables with missing values and limits of detection.

Normal scores of each analyte are a ridge regression on the clinical record and the alterations plus probabilistic
principal components of what is left (Tipping & Bishop, J R Stat Soc B 1999;61:611) plus noise of each analyte's own.
Scores that are missing, or known to lie beyond a limit alone, are drawn from what the model says of them given the
patient's other analytes, and the model is learned again, in turn (data augmentation; Tanner & Wong, J Am Stat Assoc
1987;82:528): so a limit is no value, and a missing value is no mean. Drawn scores go back to values by each analyte's
smooth quantiles, to its limits and to the steps in which it was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.streams import torch_seed
from haemosynth.encode import conditions
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.metabolomics.generators import absence, margins
from haemosynth.modalities.metabolomics.measured import LEAST_PATIENTS, make, take_logarithms
from haemosynth.modalities.metabolomics.part import Quantities, find_measured, keep_measurements, measured_of
from haemosynth.stats.regression import choose_number_of_factors, factors, ridge

DEFAULTS: dict[str, Any] = {
    "factors": None,  # how many; null: as many as make patients left out most likely
    "most_factors": 32,
    "sweeps": 16,  # in which what is missing or beyond a limit is drawn anew
    "kept": 6,  # of them, the last, which the model is averaged over
}
LEAST_NOISE = 0.05  # of an analyte's variance
DECLARED = ("unit", "scale", "grain", "digits", "middle", "spread")  # columns of var


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit the factor model to training patients who have measurements; it takes seconds and is not checkpointed.

    Raises:
        InputError: fewer than `measured.LEAST_PATIENTS` of them.
    """
    found = find_measured(train)
    number = 0 if found is None else found.n_obs
    if number < LEAST_PATIENTS:
        raise InputError(f"{number} training patients have measurements; a model needs {LEAST_PATIENTS} or more")
    data, seed = measured_of(train), torch_seed(rng)
    record = conditions.learn(train)
    everybody = conditions.transform(record, train)
    present = train.patients.isin(data.obs_names)
    features = everybody[train.patients.get_indexer(data.obs_names)]
    quantiles, limits = margins.learn(data, rng)
    slopes, rests = _augment(features, margins.scores(data), settings, seed, rng)
    slope, middle = np.mean(slopes, axis=0), features.mean(axis=0)
    rest = np.vstack(rests) - np.vstack(rests).mean(axis=0)
    # The record explains part of an analyte's variance, the rest must make up one.
    left = np.sqrt(np.maximum(1 - ((features - middle) @ slope).var(axis=0), LEAST_NOISE))
    rest /= np.maximum(rest.std(axis=0), 1e-6)
    chosen = settings["factors"]
    wanted = int(
        chosen if chosen is not None else choose_number_of_factors(rests[-1], rng, int(settings["most_factors"]))
    )
    loading = factors(rest, wanted, seed)[0].astype(np.float64)
    common = (loading**2).sum(axis=1)
    loading *= np.sqrt(np.minimum(1.0, (1 - LEAST_NOISE) / np.maximum(common, 1e-9)))[:, None]
    noise = np.sqrt(1 - (loading**2).sum(axis=1))
    arrays = {
        "slope": slope.astype(np.float64), "middle": middle, "loading": loading * left[:, None], "noise": noise * left,
        "quantiles": quantiles,
    }  # fmt: skip
    plain = {
        "parameters": int((np.abs(slope) > 0).sum()) + loading.size + 2 * loading.shape[0],
        "factors": wanted,
        "record": record,
        "presence": conditions.learn_presence(everybody, present, seed),
        "absence": absence.learn(features, np.isnan(np.asarray(data.X)), seed),
        "analytes": list(map(str, data.var_names)),
        "declared": {name: _plain(data.var[name]) for name in DECLARED},
        "log": [bool(log) for log in take_logarithms(data)],
        "limits": limits,
    }
    return Fitted(arrays, plain, pd.DataFrame())


def _plain(column: pd.Series) -> list[Any]:
    return list(column.tolist()) if pd.api.types.is_numeric_dtype(column) else [str(value) for value in column]


def _augment(
    features: Matrix,
    scores: tuple[Matrix, Matrix, Matrix],
    settings: Mapping[str, Any],
    seed: int,
    rng: np.random.Generator,
) -> tuple[list[Matrix], list[Matrix]]:
    """Coefficients of the record, and what it leaves of the completed scores, of each sweep that is kept."""
    score, low, high = scores
    unknown = np.isnan(score)
    table = np.where(unknown, _between(np.zeros_like(score), np.ones_like(score), low, high, rng), score)
    centred = features - features.mean(axis=0)
    number, slopes, rests = 0, [], []
    sweeps = max(int(settings["sweeps"]), 1)
    first = sweeps - max(min(int(settings["kept"]), sweeps), 1)
    for sweep in range(sweeps):
        slope = ridge(features, table).astype(np.float64)
        explained = table.mean(axis=0) + centred @ slope
        rest = table - explained
        if sweep >= first:
            slopes.append(slope)
            rests.append(rest)
        if sweep in (0, first):
            number = choose_number_of_factors(rest, np.random.default_rng(seed), int(settings["most_factors"]))
        loading = factors(rest, number, seed)[0].astype(np.float64)
        noise = np.maximum(rest.var(axis=0) - (loading**2).sum(axis=1), LEAST_NOISE)
        # The patient's factors given all scores, then the scores that are not known given the factors.
        precision = np.eye(number) + (loading / noise[:, None]).T @ loading
        covariance = np.linalg.inv(precision)
        common = rest @ (loading / noise[:, None]) @ covariance
        common += rng.standard_normal(common.shape) @ np.linalg.cholesky(covariance).T
        mean = explained + common @ loading.T
        drawn = _between(mean, np.broadcast_to(np.sqrt(noise), mean.shape), low, high, rng)
        table = np.where(unknown, drawn, score)
    return slopes, rests


def _between(mean: Matrix, sd: Matrix, low: Matrix, high: Matrix, rng: np.random.Generator) -> Matrix:
    """Normal numbers between bounds, by inversion."""
    first, last = ndtr((low - mean) / sd), ndtr((high - mean) / sd)
    rank = first + (last - first) * rng.random(mean.shape)
    return np.asarray(np.clip(mean + sd * ndtri(np.clip(rank, 1e-12, 1 - 1e-12)), low, high))


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Quantities:
    """Draw measurements for those patients of `given` who get them, given the record."""
    known, a = fitted.description, fitted.arrays
    features = conditions.transform(known["record"], given)
    chosen = conditions.draw_presence(known["presence"], features, rng)
    features = features[chosen]
    score = (features - a["middle"]) @ a["slope"]
    score += rng.standard_normal((len(features), a["loading"].shape[1])) @ a["loading"].T
    score += rng.standard_normal(score.shape) * a["noise"]
    declared = known["declared"]
    values, sides = margins.carry(
        score, a["quantiles"], {**known, "grain": declared["grain"], "digits": declared["digits"]}, rng
    )
    missing = absence.draw(known["absence"], features, values.shape[1], rng)
    # Nobody has a row without a value.
    missing[missing.all(axis=1)] = False
    values[missing], sides[missing] = np.nan, 0
    var = pd.DataFrame(declared, index=pd.Index(known["analytes"], dtype=object))
    return keep_measurements(make(values, sides, var, given.patients[chosen]))
