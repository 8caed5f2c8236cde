"""Collapsed Gibbs sampler of the Dirichlet-process mixture that `dirichlet_process.model` declares.

What is compiled is small, and takes its random numbers from outside: compilation is most of the time that a first fit
takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Any

import numba as nb
import numpy as np
from scipy.special import gammaln


@dataclass(frozen=True)
class Draws:
    """Posterior draws of the partition, with its sufficient statistics.

    assignment: (draws, patients) class of each patient.
    sizes: (draws, classes) patients of each class, 0 where a class is empty.
    ones, seen: (draws, classes, events) carriers, and patients in whom the event is known.
    strength: (draws, events) prior patients behind each event's class frequencies. alpha: (draws,).
    trace: (sweeps, 2) number of classes, and log joint density of partition and data up to a constant.
    """

    assignment: np.ndarray
    sizes: np.ndarray
    ones: np.ndarray
    seen: np.ndarray
    strength: np.ndarray
    alpha: np.ndarray
    trace: np.ndarray


def collapsed_gibbs(
    events: np.ndarray,
    base: np.ndarray,
    *,
    strengths: np.ndarray,
    sweeps: int,
    burn_in: int,
    draws: int,
    max_classes: int,
    seed: int,
    alpha: float | None = None,
) -> Draws:
    """Sample partitions of patients into classes from their posterior, everything else integrated out.

    Neal, J Comput Graph Stat 2000;9:249, algorithm 3; alpha by Escobar and West, JASA 1995;90:577, under Gamma(1, 1);
    the strength of each event on its grid, uniform a priori. Missing entries are skipped, that is marginalised.

    Args:
        events: (patients, events) 1 present, 0 absent, -1 missing.
        base: (events,) prior mean of the class frequencies, each between 0 and 1.
        strengths: (grid,) possible prior patients behind the class frequencies of an event.
        sweeps: Gibbs sweeps over all patients.
        burn_in: sweeps before the first draw.
        draws: draws kept, evenly spaced over the sweeps after the burn-in.
        max_classes: classes held at once; more are never opened.
        seed: seed of the sampler's own stream.
        alpha: concentration of the Dirichlet process, or None to sample it.
    """
    if sweeps - burn_in < draws:
        raise ValueError("fewer sweeps after the burn-in than draws to keep")
    rng = np.random.default_rng(seed)
    codes = np.ascontiguousarray(events, dtype=np.int8)
    base, grid = np.ascontiguousarray(base, dtype=np.float64), np.ascontiguousarray(strengths, dtype=np.float64)
    n, n_events = codes.shape
    lists = (*_list(codes, 1), *_list(codes, -1))
    assignment = rng.integers(min(10, max_classes), size=n)
    sizes = np.bincount(assignment, minlength=max_classes).astype(float)
    ones, seen = (np.zeros((max_classes, n_events)) for _ in range(2))
    np.add.at(ones, assignment, codes == 1)
    np.add.at(seen, assignment, codes >= 0)
    strength = np.full(n_events, grid[grid.size // 3])
    concentration = 1.0 if alpha is None else alpha
    logs = tuple(np.zeros((max_classes, n_events)) for _ in range(2))
    totals, evidence = np.zeros(max_classes), np.empty((n_events, grid.size))
    trace = np.zeros((sweeps, 2))
    kept: list[tuple[Any, ...]] = []
    thin = (sweeps - burn_in) // draws
    for t in range(sweeps):
        uniform = rng.random(n + n_events)
        _sweep(codes, *lists, base, strength, concentration, assignment, sizes, ones, seen, *logs, totals, uniform)
        joint = _draw_strengths(grid, base, ones, seen, strength, evidence, uniform[n:])
        filled = sizes[sizes > 0]
        occupied = len(filled)
        joint += float(gammaln(filled).sum()) + occupied * log(concentration)
        joint += lgamma(concentration) - lgamma(concentration + n) - concentration
        trace[t] = occupied, joint
        if t >= burn_in and (t - burn_in) % thin == 0 and len(kept) < draws:
            parts = (assignment, sizes, ones, seen, strength)
            kept.append((*(part.copy() for part in parts), concentration))
        if alpha is None:
            concentration = _draw_alpha(concentration, occupied, n, rng)
    of_patients, of_classes, carriers, known, of_events, alphas = (np.array(part) for part in zip(*kept, strict=True))
    return Draws(of_patients, of_classes, carriers, known, of_events, alphas, trace)


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _refresh(
    k: int,
    ones: np.ndarray,
    seen: np.ndarray,
    base: np.ndarray,
    strength: np.ndarray,
    present: np.ndarray,
    absent: np.ndarray,
    all_absent: np.ndarray,
) -> None:
    """Log predictive of class k, for every event: of absence, and of presence less that of absence."""
    total = 0.0
    for g in range(base.size):
        p = (ones[k, g] + strength[g] * base[g]) / (seen[k, g] + strength[g])
        absent[k, g] = log(1.0 - p)
        present[k, g] = log(p) - absent[k, g]
        total += absent[k, g]
    all_absent[k] = total


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _pick(logp: np.ndarray, uniform: float, weight: np.ndarray) -> int:
    """An index, drawn with probability proportional to exp(logp) by a number between 0 and 1.  weight: for use here"""
    best = 0
    for k in range(logp.size):
        if logp[k] > logp[best]:
            best = k
    total = 0.0
    for k in range(logp.size):
        # Beyond this nothing is left in double precision; most classes are empty.
        weight[k] = exp(logp[k] - logp[best]) if logp[k] - logp[best] > -60.0 else 0.0
        total += weight[k]
    left = uniform * total
    for k in range(logp.size):
        left -= weight[k]
        if left < 0:
            return k
    return best


def _list(events: np.ndarray, code: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of each patient's events that are this code, and how many: most events are absent."""
    own = events == code
    places = np.argsort(~own, axis=1, kind="stable")
    return places, own.sum(axis=1)


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _move(row: np.ndarray, by: int, k: int, sizes: np.ndarray, ones: np.ndarray, seen: np.ndarray) -> None:
    """Take a patient with these events into class k (by 1) or out of it (by -1)."""
    sizes[k] += by
    for g in range(row.size):
        if row[g] >= 0:
            seen[k, g] += by
            ones[k, g] += by * row[g]


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _score(
    carried: np.ndarray,
    unknown: np.ndarray,
    sizes: np.ndarray,
    alpha: float,
    present: np.ndarray,
    absent: np.ndarray,
    all_absent: np.ndarray,
    logp: np.ndarray,
) -> None:
    """Log probability of each class for a patient with these events; the first empty class is all unopened ones."""
    opened = False
    for c in range(sizes.size):
        if sizes[c] > 0:
            value = log(sizes[c]) + all_absent[c]
        elif not opened:
            value = log(alpha) + all_absent[c]
            opened = True
        else:
            logp[c] = -1e300
            continue
        for g in unknown:
            value -= absent[c, g]
        for g in carried:
            value += present[c, g]
        logp[c] = value


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _column(strength: float, base: float, ones: np.ndarray, seen: np.ndarray) -> float:
    """Log beta-binomial likelihood of an event's column given the partition."""
    a = strength * base
    b = strength - a
    value = 0.0
    for k in range(seen.size):
        if seen[k] > 0:
            value += lgamma(a + ones[k]) - lgamma(a) + lgamma(b + seen[k] - ones[k]) - lgamma(b)
            value += lgamma(a + b) - lgamma(a + b + seen[k])
    return value


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _draw_strengths(
    grid: np.ndarray,
    base: np.ndarray,
    ones: np.ndarray,
    seen: np.ndarray,
    strength: np.ndarray,
    evidence: np.ndarray,
    uniform: np.ndarray,
) -> float:
    """Draw the strength of each event, in place; the log evidence of all events under them."""
    total, weight = 0.0, np.empty(grid.size)
    for g in range(base.size):
        for s in range(grid.size):
            evidence[g, s] = _column(grid[s], base[g], ones[:, g], seen[:, g])
        chosen = _pick(evidence[g], uniform[g], weight)
        strength[g] = grid[chosen]
        total += evidence[g, chosen]
    return total


def _draw_alpha(alpha: float, occupied: int, n: int, rng: np.random.Generator) -> float:
    """The concentration, given how many classes n patients occupy (Escobar and West)."""
    eta = rng.beta(alpha + 1.0, n)
    odds = occupied / (n * (1.0 - log(eta)))
    shape = 1.0 + occupied if rng.random() < odds / (1.0 + odds) else 1.0 * occupied
    return float(rng.gamma(shape, 1.0 / (1.0 - log(eta))))


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _sweep(
    events: np.ndarray,
    carried: np.ndarray,
    n_carried: np.ndarray,
    unknown: np.ndarray,
    n_unknown: np.ndarray,
    base: np.ndarray,
    strength: np.ndarray,
    alpha: float,
    assignment: np.ndarray,
    sizes: np.ndarray,
    ones: np.ndarray,
    seen: np.ndarray,
    present: np.ndarray,
    absent: np.ndarray,
    all_absent: np.ndarray,
    uniform: np.ndarray,
) -> None:
    """Every patient leaves the class and enters one anew; the arrays of classes are changed in place."""
    n_events = base.size
    logp, weight = np.empty(sizes.size), np.empty(sizes.size)
    before = np.empty((2, n_events))
    for k in range(sizes.size):
        _refresh(k, ones, seen, base, strength, present, absent, all_absent)
    for i in range(len(assignment)):
        left = assignment[i]
        for g in range(n_events):
            before[0, g] = present[left, g]
            before[1, g] = absent[left, g]
        total = all_absent[left]
        _move(events[i], -1, left, sizes, ones, seen)
        _refresh(left, ones, seen, base, strength, present, absent, all_absent)
        own, without = carried[i, : n_carried[i]], unknown[i, : n_unknown[i]]
        _score(own, without, sizes, alpha, present, absent, all_absent, logp)
        k = _pick(logp, uniform[i], weight)
        assignment[i] = k
        _move(events[i], 1, k, sizes, ones, seen)
        if k == left:  # most patients stay: the class is as it was
            for g in range(n_events):
                present[left, g] = before[0, g]
                absent[left, g] = before[1, g]
            all_absent[left] = total
        else:
            _refresh(k, ones, seen, base, strength, present, absent, all_absent)
