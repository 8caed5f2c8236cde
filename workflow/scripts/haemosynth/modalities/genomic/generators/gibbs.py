"""Collapsed Gibbs sampler of the Dirichlet-process mixture that `dirichlet_process.model` declares."""

# ruff: noqa: NPY002 - compiled code has this random stream only, seeded by the caller
from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log

import numba as nb
import numpy as np


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
    return Draws(
        *_sample(
            np.ascontiguousarray(events, dtype=np.int8),
            np.ascontiguousarray(base, dtype=np.float64),
            np.ascontiguousarray(strengths, dtype=np.float64),
            sweeps,
            burn_in,
            (sweeps - burn_in) // draws,
            draws,
            max_classes,
            seed,
            0.0 if alpha is None else alpha,
        )
    )


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
def _pick(logp: np.ndarray) -> int:
    """An index, drawn with probability proportional to exp(logp)."""
    highest = logp.max()
    total = 0.0
    for k in range(logp.size):
        total += exp(logp[k] - highest)
    left = np.random.random() * total
    for k in range(logp.size):
        left -= exp(logp[k] - highest)
        if left < 0:
            return k
    return int(logp.argmax())


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _list(events: np.ndarray, code: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of each patient's events that are this code, and how many: most events are absent."""
    n, n_events = events.shape
    places = np.empty((n, n_events), np.int64)
    counts = np.zeros(n, np.int64)
    for i in range(n):
        for g in range(n_events):
            if events[i, g] == code:
                places[i, counts[i]] = g
                counts[i] += 1
    return places, counts


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
def _draw_alpha(alpha: float, occupied: int, n: int) -> float:
    """The concentration, given how many classes n patients occupy (Escobar and West)."""
    eta = np.random.beta(alpha + 1.0, n)
    odds = occupied / (n * (1.0 - log(eta)))
    shape = 1.0 + occupied if np.random.random() < odds / (1.0 + odds) else 1.0 * occupied
    return np.random.gamma(shape, 1.0 / (1.0 - log(eta)))


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _sample(
    events: np.ndarray,
    base: np.ndarray,
    strengths: np.ndarray,
    sweeps: int,
    burn_in: int,
    thin: int,
    n_draws: int,
    max_classes: int,
    seed: int,
    fixed_alpha: float,
) -> tuple[np.ndarray, ...]:
    np.random.seed(seed)  # numba's own stream, not numpy's
    n, n_events = events.shape
    carried, n_carried = _list(events, 1)
    unknown, n_unknown = _list(events, -1)
    assignment = np.zeros(n, np.int64)
    sizes = np.zeros(max_classes)
    ones = np.zeros((max_classes, n_events))
    seen = np.zeros((max_classes, n_events))
    for i in range(n):
        k = np.random.randint(min(10, max_classes))
        assignment[i] = k
        _move(events[i], 1, k, sizes, ones, seen)

    strength = np.full(n_events, strengths[strengths.size // 3])
    alpha = fixed_alpha if fixed_alpha > 0 else 1.0
    present = np.zeros((max_classes, n_events))
    absent = np.zeros((max_classes, n_events))
    all_absent = np.zeros(max_classes)
    before_present = np.empty(n_events)
    before_absent = np.empty(n_events)
    logp = np.empty(max_classes)
    grid = np.empty(strengths.size)
    assignment_d = np.zeros((n_draws, n), np.int64)
    sizes_d = np.zeros((n_draws, max_classes))
    ones_d = np.zeros((n_draws, max_classes, n_events))
    seen_d = np.zeros((n_draws, max_classes, n_events))
    strength_d = np.zeros((n_draws, n_events))
    alpha_d = np.zeros(n_draws)
    trace = np.zeros((sweeps, 2))
    drawn = 0
    for t in range(sweeps):
        for k in range(max_classes):
            _refresh(k, ones, seen, base, strength, present, absent, all_absent)
        for i in range(n):
            k = assignment[i]
            before_present[:] = present[k]
            before_absent[:] = absent[k]
            before_all = all_absent[k]
            left = k
            _move(events[i], -1, k, sizes, ones, seen)
            _refresh(k, ones, seen, base, strength, present, absent, all_absent)
            own, without = carried[i, : n_carried[i]], unknown[i, : n_unknown[i]]
            _score(own, without, sizes, alpha, present, absent, all_absent, logp)
            k = _pick(logp)
            assignment[i] = k
            _move(events[i], 1, k, sizes, ones, seen)
            if k == left:  # most patients stay: the class is as it was
                present[k] = before_present
                absent[k] = before_absent
                all_absent[k] = before_all
            else:
                _refresh(k, ones, seen, base, strength, present, absent, all_absent)

        occupied = 0
        joint = 0.0
        for k in range(max_classes):
            if sizes[k] > 0:
                occupied += 1
                joint += lgamma(sizes[k])
        for g in range(n_events):
            for s in range(strengths.size):
                grid[s] = _column(strengths[s], base[g], ones[:, g], seen[:, g])
            chosen = _pick(grid)
            strength[g] = strengths[chosen]
            joint += grid[chosen]
        joint += occupied * log(alpha) + lgamma(alpha) - lgamma(alpha + n) - alpha
        trace[t, 0] = occupied
        trace[t, 1] = joint
        if t >= burn_in and (t - burn_in) % thin == 0 and drawn < n_draws:
            assignment_d[drawn] = assignment
            sizes_d[drawn] = sizes
            ones_d[drawn] = ones
            seen_d[drawn] = seen
            strength_d[drawn] = strength
            alpha_d[drawn] = alpha
            drawn += 1
        if fixed_alpha <= 0:
            alpha = _draw_alpha(alpha, occupied, n)
    return assignment_d, sizes_d, ones_d, seen_d, strength_d, alpha_d, trace
