"""Margins: drawn patients are accepted so that every column has the distribution that it has in training patients.

A generator, a redraw of its columns and a classifier's odds each shift the margins a little: means of right-skewed
numbers, upper quantiles, missing rates and survival times fall. Here each patient has a weight, the exponential of a
linear function of the levels of its columns, under which the means of the functions of `Encoding.basis` are those of
training patients: entropy balancing (Hainmueller, Polit Anal 2012;20:25), which moves a distribution as little as
possible in Kullback-Leibler divergence. A ridge says that training patients are a sample: their own noise is not met
to the last patient.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding

ROUNDS = 4  # weights beyond the bound are cut, which the others make up for
CUT = 0.99  # quantile of the weights above which they are told apart no longer


def learn(
    encoding: Encoding, real: Coded, drawn: Coded, weight: np.ndarray, ridge: float
) -> dict[str, np.ndarray]:
    """Fit the weights; arrays for `weights`.

    Args:
        real: training patients. drawn: patients of the generator, several for each training patient.
        weight: (drawn,) what each is accepted in proportion to already.
        ridge: patients that the prior of no shift counts for.

    Returns:
        Among the arrays `bound`, the largest weight that is told apart, and `most`, the largest of `weight`.
    """
    target = features(encoding, real)
    centre, spread = target.mean(axis=0), target.std(axis=0)
    kept = spread > 0  # what all training patients share is no matter of weights
    scale = np.where(kept, 1 / np.where(kept, spread, 1.0), 0.0)
    rows = (features(encoding, drawn) - centre) * scale
    penalty = ridge / len(target)
    tilt, base = np.zeros(rows.shape[1]), weight / weight.mean()

    def loss(effect: np.ndarray, base: np.ndarray) -> tuple[float, np.ndarray]:
        score = rows @ effect
        top = score.max()
        share = base * np.exp(score - top)
        total = share.sum()
        value = np.log(total / len(rows)) + top + 0.5 * penalty * effect @ effect
        return float(value), rows.T @ (share / total) + penalty * effect

    bound = 1.0
    cut = base
    for _ in range(ROUNDS):
        tilt = minimize(loss, tilt, (cut,), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
        free = np.exp(rows @ tilt)
        free /= (base * free).mean()
        bound = max(1.0, float(np.quantile(base * free, CUT)))
        cut = np.minimum(base * free, bound) / free
    shift = np.log((base * np.exp(rows @ tilt)).mean() * weight.mean())
    return {
        "tilt": tilt * scale,
        "shift": np.array([shift + centre @ (tilt * scale)]),
        "most": np.array([weight.max()]),
        "bound": np.array([bound]),
    }


def features(encoding: Encoding, coded: Coded) -> np.ndarray:
    """(patients, functions) the smooth functions of the levels of all columns."""
    return np.hstack([encoding.basis(i)[coded.levels[:, i]] for i in range(len(encoding.variables))])


def weights(arrays: Mapping[str, np.ndarray], encoding: Encoding, coded: Coded, weight: np.ndarray) -> np.ndarray:
    """(patients,) what each is accepted in proportion to; 1 on average.  weight: as in `learn`"""
    score = features(encoding, coded) @ arrays["tilt"] - arrays["shift"][0]
    return np.asarray(np.minimum(weight, arrays["most"][0]) * np.exp(score))
