"""Margins: drawn patients are accepted so that every column has the distribution that it has in training patients.

A classifier's odds shift margins, since they are learned from few patients and cut where they are large: means of
right-skewed numbers, upper quantiles and survival times fall. Here each patient has a further weight, the exponential
of a linear function of its columns, under which the means of the functions of `Encoding.basis`, and of numbers, are
those of training patients: entropy balancing (Hainmueller, Polit Anal 2012;20:25), which moves a distribution as
little as possible in Kullback-Leibler divergence. The shift by the odds is taken back completely. The shift by the
generator itself is taken back as far as it exceeds the noise of the draw that the weights are learned from.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding

LEAST_DRAWN = 6_000  # patients that the weights are learned from
NOISE = 1.0  # standard errors of the draw within which a mean is taken for that of training patients
ROUNDS = 4  # weights beyond the bound are cut, which the others make up for
CUT = 0.99  # quantile of the weights above which they are no longer distinguished


def learn(encoding: Encoding, real: Coded, drawn: Coded, weight: np.ndarray, ridge: float) -> dict[str, np.ndarray]:
    """Fit the weights; arrays for `weights`.

    Args:
        real: training patients. drawn: patients of the generator, several for each training patient.
        weight: (drawn,) what each is accepted in proportion to already.
        ridge: patients that the prior of no shift counts for.

    Returns:
        Among the arrays `bound`, the largest weight that is distinguished, and `most`, the largest of `weight`.
    """
    from scipy.optimize import minimize

    target = features(encoding, real)
    centre, spread = target.mean(axis=0), target.std(axis=0)
    kept = spread > 0  # what all training patients share is no matter of weights
    scale = np.where(kept, 1 / np.where(kept, spread, 1.0), 0.0)
    rows = (features(encoding, drawn) - centre) * scale
    penalty = ridge / len(target)
    gap = rows.mean(axis=0)
    error = NOISE * rows.std(axis=0) / np.sqrt(len(rows))
    wanted = gap * np.minimum(1.0, (error / np.where(gap == 0, 1.0, gap)) ** 2)
    tilt, base = np.zeros(rows.shape[1]), weight / weight.mean()

    def loss(effect: np.ndarray, base: np.ndarray) -> tuple[float, np.ndarray]:
        score = rows @ effect
        top = score.max()
        share = base * np.exp(score - top)
        total = share.sum()
        value = np.log(total / len(rows)) + top - wanted @ effect + 0.5 * penalty * effect @ effect
        return float(value), rows.T @ (share / total) - wanted + penalty * effect

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
    """(patients, functions) the smooth functions of the levels of all columns, and numbers and times themselves.

    A level is as wide as its bin: within it odds move a number too. Times are grouped by their event.
    """
    parts = []
    for i, variable in enumerate(encoding.variables):
        levels = coded.levels[:, i]
        parts.append(encoding.basis(i)[levels])
        if variable.kind != "level":
            value = np.nan_to_num(variable.values(levels, coded.positions[:, i]))[:, None]
            event = np.array([level.event or 0 for level in variable.levels])[levels]
            kinds = (0, 1) if variable.kind == "survival" else (0,)
            parts.append(value * np.stack([event == kind for kind in kinds], axis=1))
    return np.hstack(parts)


def weights(arrays: Mapping[str, np.ndarray], encoding: Encoding, coded: Coded, weight: np.ndarray) -> np.ndarray:
    """(patients,) what each is accepted in proportion to; 1 on average.  weight: as in `learn`"""
    score = features(encoding, coded) @ arrays["tilt"] - arrays["shift"][0]
    return np.asarray(np.minimum(weight, arrays["most"][0]) * np.exp(score))
