"""Chained equations with Bayesian ridge regressions, one per feature, coefficients drawn anew for every table.

Van Buuren and Groothuis-Oudshoorn, J Stat Softw 2011;45(3) (chained equations); MacKay, Neural Comput 1992;4:415 and
scikit-learn's BayesianRidge (evidence-tuned shrinkage). Levels are drawn from linear probabilities of their indicators;
the indicators of one column never predict each other, which would freeze them where they start. scikit-learn's
IterativeImputer cannot leave them out, hence the chain of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.progress import progress
from haemosynth.core.streams import one_of_each
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.impute import encoding as coding

DEFAULTS: dict[str, Any] = {
    "iterations": 10,  # rounds over all columns, in the fit and for each draw
    "min_carriers": 10,  # alterations with fewer carriers are no predictors
    "scale": "recorded",  # or normal_scores: numbers by their rank, which keeps skewed distributions
}
FARTHEST = 4.0  # bound of a drawn normal score or hazard, so that a chain cannot run away


def _draw(kind: str, mean: np.ndarray, spread: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the features of one column: (patients, features) means, (features,) residual standard deviations."""
    if kind == "normal":
        drawn: np.ndarray = np.clip(mean + spread * rng.standard_normal(mean.shape), -FARTHEST, FARTHEST)
        return drawn
    if kind == "yes_no":
        return np.asarray(rng.random(mean.shape) < mean, dtype=float)
    # A linear probability may fall below 0; the floor keeps every level possible.
    indicators: np.ndarray = np.eye(mean.shape[1])[one_of_each(np.clip(mean, 1e-6, None), rng)]
    return indicators


def _fill(
    values: np.ndarray,
    present: np.ndarray,
    groups: list[tuple[str, slice]],
    pools: Mapping[int, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """The start of a chain: missing entries drawn from the observed training values of their column."""
    table = values.copy()
    for _, features in groups:
        missing = ~present[:, features.start]
        pool = pools[features.start]
        if missing.any() and len(pool):
            table[missing, features] = pool[rng.integers(len(pool), size=missing.sum())]
    return table


def _pools(values: np.ndarray, present: np.ndarray, groups: list[tuple[str, slice]]) -> dict[int, np.ndarray]:
    return {f.start: values[present[:, f.start], f] for _, f in groups}


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Fitted:
    """Run the chain on training patients and keep the regressions of its last round.

    Raises:
        InputError: the cohort has no column to impute.
    """
    from sklearn.linear_model import BayesianRidge

    encoding = coding.fit_encoding(train, settings["min_carriers"], settings["scale"])
    values, present = coding.make_inputs(encoding, train)
    groups = coding.group_features(encoding)
    pools = _pools(values, present, groups)
    table = _fill(values, present, groups, pools, rng)
    features = values.shape[1]
    coefficients, intercepts = np.zeros((features, features)), np.zeros(features)
    roots, spreads = np.zeros((features, features, features), dtype="float32"), np.zeros(features)
    rounds = settings["iterations"]
    for number in progress(range(rounds), "chained ridge", rounds):
        last = number == rounds - 1
        for kind, own in groups:
            known = present[:, own.start]
            if (known.all() and not last) or not known.any():
                continue  # complete among training patients: needed only for patients to come
            others = np.ones(features, dtype=bool)
            others[own] = False
            if not others.any():  # the only column, and no event: its own distribution is all there is
                intercepts[own], spreads[own] = table[known, own].mean(axis=0), table[known, own].std(axis=0)
            for j in range(own.start, own.stop) if others.any() else ():
                ridge = BayesianRidge(max_iter=100).fit(table[known][:, others], table[known, j])
                coefficients[j, others], intercepts[j] = ridge.coef_, ridge.intercept_
                spreads[j] = ridge.alpha_**-0.5
                if last:
                    size, axes = np.linalg.eigh(ridge.sigma_)
                    roots[j][np.ix_(others, others)] = axes * np.sqrt(np.clip(size, 0, None))
            if not known.all():
                mean = table[~known] @ coefficients[own].T + intercepts[own]
                table[~known, own] = _draw(kind, mean, spreads[own], rng)
    arrays, plain = coding.pack(encoding)
    arrays |= {"coefficients": coefficients, "intercepts": intercepts, "spreads": spreads, "roots": roots}
    arrays["centre"] = table.mean(axis=0)
    arrays |= {f"pool/{start}": pool for start, pool in pools.items()}
    description = {
        "algorithm": "chained_ridge",
        "settings": dict(settings),
        "coding": plain,
        "parameters": int((coefficients != 0).sum() + 2 * features),
        "patients": len(train),
    }
    return Fitted(arrays, description, pd.DataFrame({"step": pd.Series(dtype="int64")}))


def impute(fitted: Fitted, cohort: Cohort, draws: int, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Complete a cohort `draws` times, each with its own draw of all regression coefficients.

    Raises:
        InputError: the cohort lacks a column of the training patients.
    """
    arrays = fitted.arrays
    encoding = coding.unpack(arrays, fitted.description["coding"])
    values, present = coding.make_inputs(encoding, cohort)
    groups = coding.group_features(encoding)
    pools = {own.start: arrays[f"pool/{own.start}"] for _, own in groups}
    q, features = len(encoding.knots), values.shape[1]
    level_groups = [own for kind, own in groups if kind == "levels"]
    incomplete = [(kind, own) for kind, own in groups if not present[:, own.start].all() and len(pools[own.start])]
    centre, completed = arrays["centre"], []
    for _ in range(draws):
        table = _fill(values, present, groups, pools, rng)
        slopes = arrays["coefficients"].copy()
        for _, own in incomplete:
            for j in range(own.start, own.stop):
                slopes[j] += arrays["roots"][j] @ rng.standard_normal(features)
        # The slopes are uncertain about the centre of the data, where the mean response is well known.
        shifts = arrays["intercepts"] - (slopes - arrays["coefficients"]) @ centre
        for _ in range(fitted.description["settings"]["iterations"]):
            for kind, own in incomplete:
                missing = ~present[:, own.start]
                mean = table[missing] @ slopes[own].T + shifts[own]
                table[missing, own] = _draw(kind, mean, arrays["spreads"][own], rng)
        codes = (
            np.stack([table[:, own].argmax(axis=1) for own in level_groups], axis=1)
            if level_groups
            else np.empty((len(table), 0), dtype=np.int64)
        )
        completed.append(coding.complete(encoding, cohort, table[:, :q], codes))
    return completed
