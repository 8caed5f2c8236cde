"""How good predictions of survival are in patients that they were not learned from, in plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haemosynth.stats.cox import Z95, CoxModel, fit_cox, kaplan_meier
from haemosynth.stats.hazards import read_hazard

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def predict_survival(
    model: CoxModel, covariates: Matrix, time: Vector, event: Vector, patients: Matrix, grid: Vector
) -> Matrix:
    """Survival of new patients at the times of `grid` under a fitted model, by Breslow's cumulative baseline hazard.

    Args:
        covariates, time, event: the patients the model was fitted on.
        patients: (new patients, covariates). grid: (times,).

    Returns:
        (new patients, times).
    """
    centre = covariates.mean(axis=0)
    risk = np.exp((covariates - centre) @ model.log_hazard)
    times, where = np.unique(time, return_inverse=True)
    leaving = np.bincount(where, weights=risk, minlength=len(times))
    at_risk = np.cumsum(leaving[::-1])[::-1]
    hazard = np.cumsum(np.bincount(where, weights=event, minlength=len(times)) / at_risk)
    baseline = read_hazard(times, hazard, grid)
    with np.errstate(over="ignore", invalid="ignore"):
        exponent = np.exp((patients - centre) @ model.log_hazard)[:, None] * baseline[None, :]
    survival: Matrix = np.exp(-exponent)
    return survival


def integrated_brier(survival: Matrix, grid: Vector, time: Vector, event: Vector) -> float:
    """Integrated Brier score (Graf et al., Stat Med 1999;18:2529): mean over `grid` of the squared error of predicted
    survival, censored patients replaced by weights from the reverse Kaplan-Meier estimate.

    Args:
        survival: (patients, times), predicted. grid: (times,), evenly spaced. time, event: (patients,), observed.
    """
    censoring = kaplan_meier(time, 1 - event)
    before = censoring.before(time)
    dead = (time[:, None] <= grid[None, :]) & (event[:, None] == 1)
    alive = time[:, None] > grid[None, :]
    weight_dead = np.divide(1.0, before, out=np.zeros_like(before), where=before > 0)[:, None]
    at_grid = censoring.at(grid)
    weight_alive = np.divide(1.0, at_grid, out=np.zeros_like(at_grid), where=at_grid > 0)[None, :]
    error = np.where(dead, survival**2 * weight_dead, 0.0) + np.where(alive, (1 - survival) ** 2 * weight_alive, 0.0)
    return float(error.mean())


def dynamic_auc(risk: Vector, time: Vector, event: Vector, horizon: float) -> float:
    """Cumulative/dynamic area under the ROC curve at a time (Uno et al., J Am Stat Assoc 2007;102:527).

    The chance that a patient with the event by `horizon` had a higher risk than one without the event then; equal
    risks count half. Patients with the event are weighted by the inverse probability of not being censored before.

    Returns:
        The area, or NaN where nobody has the event by then or nobody is followed beyond.
    """
    case, control = (time <= horizon) & (event == 1), np.sort(risk[time > horizon])
    before = kaplan_meier(time, 1 - event).before(time[case])
    weight = np.divide(1.0, before, out=np.zeros_like(before), where=before > 0)
    if not len(control) or not weight.sum():
        return float("nan")
    lower = np.searchsorted(control, risk[case]) + np.searchsorted(control, risk[case], side="right")
    return float(weight @ lower / (2 * len(control) * weight.sum()))


def calibration_slope(risk: Vector, time: Vector, event: Vector) -> float:
    """Log hazard ratio of a linear predictor in patients that it was not learned from (van Houwelingen, Stat Med
    2000;19:3401): 1 where its spread is right, below 1 where it promises too much, below 0 where it is upside down.

    Returns:
        The slope, or NaN where the predictor is the same for everybody or nobody has the event.
    """
    deviation = risk.std()
    if not deviation or not event.any():
        return float("nan")
    return float(fit_cox((risk / deviation)[:, None], time, event).log_hazard[0] / deviation)


def hazard_agreement(truth: CoxModel, learned: CoxModel) -> list[tuple[str, float, str]]:
    """Comparisons of Cox models of the same covariates: metric, value, why there is none.

    The formulas are in METRICS of the stage `survival`.
    """
    a, b, error_a, error_b = truth.log_hazard, learned.log_hazard, truth.standard_error, learned.standard_error
    weight = error_a**-2
    norm = np.sqrt((weight @ a**2) * (weight @ b**2))
    half_a, half_b = Z95 * error_a, Z95 * error_b
    shared = np.clip(np.minimum(a + half_a, b + half_b) - np.maximum(a - half_a, b - half_b), 0, None)
    effect_a, effect_b = np.sign(a) * (np.abs(a) > half_a), np.sign(b) * (np.abs(b) > half_b)
    clear, both = int(np.abs(effect_a).sum()), int((effect_a * effect_b > 0).sum())
    either = clear + int(np.abs(effect_b).sum())
    same = float((np.sign(b) == effect_a)[effect_a != 0].mean()) if clear else np.nan
    none = "no covariate whose interval excludes no effect"
    return [
        ("log_hazard_correlation", float(weight @ (a * b) / norm) if norm > 0 else 0.0, ""),
        ("log_hazard_difference", float(weight @ np.abs(a - b) / weight.sum()), ""),
        ("hazard_interval_overlap", float((shared / (2 * half_a) + shared / (2 * half_b)).mean() / 2), ""),
        ("sign_concordance", same, "" if clear else none + " in real patients"),
        ("significance_concordance", 2 * both / either if either else np.nan, "" if either else none),
    ]
