"""Multi-state data in plain numpy: state occupation, cumulative incidence of leaving a state, log hazard ratios."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Codes = NDArray[np.integer]


def aalen_johansen(
    origin: Codes, target: Codes, start: Vector, stop: Vector, states: int, initial: Vector, times: Vector
) -> Matrix:
    """State occupation probabilities by the product integral of the Nelson-Aalen increments.

    Aalen and Johansen, Scand J Stat 1978;5:141. Stays are (start, stop]; ties are taken together, and who is censored
    at a time is still at risk at it, as in R's survfit. A patient who moves on at the time of entry was not at risk in
    between: such stays change nothing.

    Args:
        origin, target: (stays,) states, target -1 where the stay is censored. start, stop: (stays,) time in study.
        initial: (states,) probabilities at time 0. times: (points,) ascending.

    Returns:
        (points, states)
    """
    moves = (target >= 0) & (stop > start)
    events, which = np.unique(stop[moves], return_inverse=True)
    found = np.empty((len(times), states))
    if not len(events):
        found[:] = initial
        return found
    counts = np.zeros((len(events), states, states))
    np.add.at(counts, (which, origin[moves], target[moves]), 1.0)
    at_risk = np.empty((len(events), states))
    for state in range(states):
        own = (origin == state) & (stop > start)
        entered, left = np.sort(start[own]), np.sort(stop[own])
        before = np.searchsorted(entered, events, side="left") - np.searchsorted(left, events, side="left")
        at_risk[:, state] = before
    rates = counts / np.maximum(at_risk, 1.0)[:, :, None]
    leaving = rates.sum(axis=2)
    diagonal = np.arange(states)
    rates[:, diagonal, diagonal] = 1.0 - leaving
    occupied = np.empty((len(events) + 1, states))
    occupied[0] = initial
    for i in range(len(events)):
        occupied[i + 1] = occupied[i] @ rates[i]
    found[:] = occupied[np.searchsorted(events, times, side="right")]
    return found


def join(origin: Codes, target: Codes, start: Vector, stop: Vector) -> tuple[Codes, Codes, Vector, Vector]:
    """The stays with those of no length taken out: who enters and leaves a state at one time goes straight on.

    Stays of one course are one after the other.
    """
    origin, target, start, stop = origin.copy(), target.copy(), start.copy(), stop.copy()
    for i in np.flatnonzero((stop <= start) & (start > 0) & (target >= 0)):
        if i > 0 and target[i - 1] == origin[i] and stop[i - 1] == start[i]:
            target[i - 1] = target[i]
    for i in np.flatnonzero((stop <= start) & (target >= 0))[::-1]:
        if start[i] == 0 and i + 1 < len(origin) and origin[i + 1] == target[i]:
            origin[i + 1] = origin[i]
    kept = stop > start
    return origin[kept], target[kept], start[kept], stop[kept]


def estimate_leaving(length: Vector, target: Codes, states: int, at: Vector) -> Matrix:
    """Cumulative incidence of leaving a state for each other one, in time since it was entered.  (states, points)"""
    times, which = np.unique(length, return_inverse=True)
    if not len(times):
        return np.full((states, len(at)), np.nan)
    counts = np.bincount(which, minlength=len(times)).astype(float)
    at_risk = counts.sum() - np.cumsum(counts) + counts
    events = np.zeros((states, len(times)))
    moved = target >= 0
    np.add.at(events, (target[moved], which[moved]), 1.0)
    survival = np.cumprod(1 - events.sum(axis=0) / at_risk)
    before = np.concatenate([[1.0], survival[:-1]])
    incidence = np.cumsum(before * events / at_risk, axis=1)
    padded = np.concatenate([np.zeros((states, 1)), incidence], axis=1)
    return np.asarray(padded[:, np.searchsorted(times, at, side="right")])


def one_step_effects(
    length: Vector, event: NDArray[np.bool_], covariates: Matrix, prior: float = 0.0
) -> tuple[Vector, Vector]:
    """Log hazard ratio of every covariate alone, by one step from 0, and its information.

    U / I of Cox's partial likelihood at 0: U is the covariance with the martingale residuals of Nelson-Aalen, I the sum
    over events of the variance among those at risk. Unknown covariates (NaN) are at the mean.

    Args:
        length: (stays,); event: (stays,); covariates: (stays, p). prior: information that is added, which holds effects
            back of which little is known.

    Returns:
        (p,) and (p,); 0 and 0 where a covariate does not vary.
    """
    table = np.nan_to_num(covariates - np.nanmean(covariates, axis=0)) if len(covariates) else covariates
    order = np.argsort(-length, kind="stable")
    x, hit, time = table[order], event[order].astype(float), length[order]
    # Those at risk at a time are all with a length of at least that.
    last = len(time) - 1 - np.searchsorted(time[::-1], time, side="left")
    number = (last + 1).astype(float)[:, None]
    first, second = np.cumsum(x, axis=0)[last] / number, np.cumsum(x**2, axis=0)[last] / number
    score = ((x - first) * hit[:, None]).sum(axis=0)
    information = ((second - first**2).clip(0) * hit[:, None]).sum(axis=0)
    effect = np.where(information > 1e-9, score / np.maximum(information + prior, 1e-9), 0.0)
    return effect, np.where(information > 1e-9, information, 0.0)
