"""Emulated two-arm trials: a planted treatment effect, and many log hazard ratios at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
LARGEST = 10.0  # log hazard ratios are held within: an arm without events has none
STEPS = 30


def thin_events(event: Matrix, log_hazard_ratio: float, rng: np.random.Generator) -> Matrix:
    """Events of patients under a treatment that multiplies every patient's hazard by exp(log_hazard_ratio).

    An event is kept with that probability; otherwise the patient is censored there. Thinning an event process at a
    constant rate scales its intensity (Lewis and Shedler, Nav Res Logist Q 1979;26:403), whatever the patient's hazard
    is, and both arms lose their patients at risk alike. So the hazards of the arms are exactly proportional with the
    stated ratio, in all patients together and given any covariate, and no model of survival is needed.

    Args:
        event: 0/1, any shape. log_hazard_ratio: at most 0.

    Raises:
        ValueError: the treatment would do harm; events cannot be added.
    """
    if log_hazard_ratio > 0:
        raise ValueError("only a treatment that prevents events can be planted by thinning")
    kept: Matrix = event * (rng.random(event.shape) < np.exp(log_hazard_ratio))
    return kept


def estimate_log_hazard_ratios(
    time: Matrix, event: Matrix, treated: Matrix, stratum: Matrix | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cox log hazard ratio of two arms and its variance, for many trials at once; ties after Breslow.

    With one 0/1 covariate the partial likelihood needs only the numbers at risk of either arm, so that Newton's method
    runs on whole tables.

    Args:
        time, event, treated: (trials, patients). stratum: (trials, patients) or None; strata have a baseline hazard of
            their own (stratified Cox regression).

    Returns:
        (trials,) log hazard ratio of the treated, held within +-10 where an arm has no event; (trials,) variance.
    """
    order = np.argsort(time, axis=1, kind="stable")
    time, event, treated = (np.take_along_axis(values, order, axis=1) for values in (time, event, treated))
    strata = np.zeros_like(time) if stratum is None else np.take_along_axis(stratum, order, axis=1)
    # Everybody with the same time is at risk: counts are read where a run of equal times begins.
    position = np.broadcast_to(np.arange(time.shape[1]), time.shape)
    begins = np.concatenate([np.ones((len(time), 1), dtype=bool), time[:, 1:] > time[:, :-1]], axis=1)
    first = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    at_risk, treated_at_risk = np.zeros_like(time), np.zeros_like(time)
    for value in np.unique(strata):
        inside = strata == value
        for target, counted in ((at_risk, inside), (treated_at_risk, inside * treated)):
            later = np.cumsum(counted[:, ::-1], axis=1, dtype=float)[:, ::-1]
            np.copyto(target, np.take_along_axis(later, first, axis=1), where=inside)
    share = np.divide(treated_at_risk, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)

    beta = np.zeros((len(time), 1))
    observed = (event * treated).sum(axis=1, keepdims=True)
    information = np.zeros_like(beta)
    for _ in range(STEPS):
        ratio = np.exp(beta)
        expected = share * ratio / (1 - share + share * ratio)
        information = (event * expected * (1 - expected)).sum(axis=1, keepdims=True)
        score = observed - (event * expected).sum(axis=1, keepdims=True)
        move = np.clip(np.divide(score, information, out=np.zeros_like(score), where=information > 0), -1, 1)
        beta = np.clip(beta + move, -LARGEST, LARGEST)
        if np.abs(move).max() < 1e-8:
            break
    with np.errstate(divide="ignore"):
        return beta[:, 0], 1 / information[:, 0]
