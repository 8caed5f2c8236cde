"""Cause-specific, piecewise-constant hazards of many transitions, with effects that are shrunk together.

Transition t out of a state has the hazard, s months after the state was entered,
    h_t(s | x) = lambda_tk exp(x' beta_t),  s in interval k,
with beta_tj ~ N(m_gj, tau_t^2) and m_gj ~ N(0, omega^2), g the state that t leads to: transitions to one state share
what they can. tau and omega are learned (empirical Bayes; after ebmstate, Costa & Gerstung, R Journal 2024;16(2)).
`declare` is the model in Pyro; `learn` finds its mode by Newton steps and tau and omega by expectation-maximisation
with Laplace's approximation, which gives the same bytes everywhere and takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

ROUNDS, STEPS = 12, 4  # of expectation-maximisation, and Newton steps in each
PRIOR_EVENTS = 0.1  # that a baseline interval is given at the rate of its transition
LEAST_SCALE = 0.01
START_SCALE = 0.1  # small: with many covariates, wide effects that fit everything hold themselves up
PER_INTERVAL = 8  # events
OWN_SCALE = 50  # events from which a transition has a scale of its own
MOST_INTERVALS = 8
TAIL, LEAST_LATE = (0.93, 0.97, 0.985), 3  # further quantiles, where so many events lie beyond
NARROWEST = 0.25  # months
YEAR = 12.0  # months
LEAST_AFTER = 1.0  # events that the rate before would have made after the last one, for an interval of its own


@dataclass
class Stays:
    """Stays in the origin of one transition. length: (m,) months; event: (m,) 0/1; x: (m, p); group: of its target."""

    length: Vector
    event: Vector
    x: Matrix
    group: int


@dataclass
class Hazard:
    """One learned transition. cuts: (k,) starts of intervals, from 0; rate: (k,) per month at x = 0; beta, variance:
    (p,) effects, drawn towards those of other transitions; estimate, error: (p,) what the data say of each effect and
    its standard error, see `unshrunk`; events: how many it was learned from."""

    cuts: Vector
    rate: Vector
    beta: Vector
    variance: Vector
    estimate: Vector
    error: Vector
    events: int


def intervals(length: Vector, event: Vector, most: int = MOST_INTERVALS) -> Vector:
    """(k,) starts of intervals with about as many events each, finer ones at the late end, and one after all events."""
    times = np.sort(length[event > 0])
    number = int(np.clip(len(times) // PER_INTERVAL, 1, most))
    levels = [*(np.arange(1, number) / number), *(level for level in TAIL if (1 - level) * len(times) >= LEAST_LATE)]
    cuts = [0.0]
    # Late events are few and far between: the last interval would carry its rate over years without these.
    for cut in np.quantile(times, sorted(levels)) if number > 1 else ():
        if cut >= cuts[-1] + NARROWEST:
            cuts.append(float(cut))
    if len(times):
        # Nobody had the event after the last one: the rate before it would go on for ever. A whole year does not tell
        # when that was.
        after = YEAR * np.ceil((times[-1] + 1e-9) / YEAR)
        spent = exposure(length, np.array([cuts[-1], after])).sum(axis=0)
        rate = (times > cuts[-1]).sum() / max(spent[0], 1e-9)
        if after > cuts[-1] and rate * spent[1] >= LEAST_AFTER:
            cuts.append(float(after))
    return np.array(cuts)


def exposure(length: Vector, cuts: Vector) -> Matrix:
    """(m, k) time spent in each interval."""
    ends = np.append(cuts[1:], np.inf)
    return np.asarray(np.clip(np.minimum(length[:, None], ends) - cuts, 0.0, None))


def overall_rates(own: Stays, cuts: Vector) -> Vector:
    """(k,) the hazard of all patients in each interval, whatever their covariates, with a prior as in `learn`."""
    spent = exposure(np.maximum(own.length, 1e-3), cuts).sum(axis=0)
    which = np.searchsorted(cuts, own.length, side="left").clip(1) - 1
    overall = (own.event.sum() + PRIOR_EVENTS) / max(spent.sum(), 1e-9)
    count = np.bincount(which, weights=own.event, minlength=len(cuts))
    return np.asarray((count + PRIOR_EVENTS) / (spent + PRIOR_EVENTS / overall))


def learn(stays: Sequence[Stays], groups: int, most: int = MOST_INTERVALS) -> tuple[list[Hazard], dict[str, Any]]:
    """Learn all transitions together; also the scales, and the common effects of each group.  m: (groups, p)"""
    p = stays[0].x.shape[1] if stays else 0
    number = len(stays)
    cuts = [intervals(s.length, s.event, most) for s in stays]
    spent = [exposure(np.maximum(s.length, 1e-3), c) for s, c in zip(stays, cuts, strict=True)]
    beta, variance = np.zeros((number, p)), np.ones((number, p))
    tau, omega = np.full(number, START_SCALE), START_SCALE
    middle, spread = np.zeros((groups, p)), np.zeros((groups, p))
    group = np.array([s.group for s in stays], dtype=int)
    count = np.array([s.event.sum() for s in stays])
    rates: list[Vector] = [np.empty(0)] * number
    before = tau, middle
    for _ in range(ROUNDS if p else 1):
        before = tau, middle.copy()
        for t, own in enumerate(stays):
            beta[t], variance[t], rates[t] = _mode(own, spent[t], cuts[t], beta[t], middle[own.group], tau[t])
        for g in range(groups if p else 0):
            inside = np.flatnonzero(group == g)
            weight = (1 / tau[inside] ** 2)[:, None]
            precision = 1 / omega**2 + weight.sum()
            middle[g] = (beta[inside] * weight).sum(axis=0) / precision
            spread[g] = 1 / precision
        if p:
            gap = (beta - middle[group]) ** 2 + variance + spread[group]
            own = gap.mean(axis=1)
            # Few events tell nothing of their scale: it is then that of the others.
            shared = float((own * count).sum() / max(count.sum(), 1.0))
            shared = shared if count.sum() else 1.0
            tau = np.maximum(np.sqrt(np.where(count >= OWN_SCALE, own, np.minimum(own, shared))), LEAST_SCALE)
            omega = max(float(np.sqrt((middle**2 + spread).mean())), LEAST_SCALE)
    found = []
    for t, (own, c) in enumerate(zip(stays, cuts, strict=True)):
        estimate, error = unshrunk(beta[t], variance[t], before[1][own.group], before[0][t])
        events = int(own.event.sum())
        found.append(Hazard(c, rates[t], beta[t].copy(), variance[t].copy(), estimate, error, events))
    return found, {"tau": tau.tolist(), "omega": omega, "middle": middle}


def _mode(
    own: Stays, spent: Matrix, cuts: Vector, beta: Vector, middle: Vector, tau: float
) -> tuple[Vector, Vector, Vector]:
    """Newton steps for the effects of one transition, with baseline rates at their best for given effects."""
    which = np.searchsorted(cuts, own.length, side="left").clip(1) - 1
    count = np.bincount(which, weights=own.event, minlength=len(cuts))
    overall = (own.event.sum() + PRIOR_EVENTS) / max(spent.sum(), 1e-9)
    beta = beta.copy()
    rate, variance = np.full(len(cuts), overall), np.ones_like(beta)
    for _ in range(STEPS):
        relative = np.exp(np.clip(own.x @ beta, -12, 12))
        at_risk = relative @ spent
        rate = (count + PRIOR_EVENTS) / (at_risk + PRIOR_EVENTS / overall)
        if not len(beta):
            break
        # The baseline is profiled out: it takes up what the effects have in common in each interval.
        weight = relative[:, None] * spent
        expected = weight @ rate
        slope = own.x.T @ (own.event - expected) - (beta - middle) / tau**2
        shared = own.x.T @ weight
        curve = (own.x * expected[:, None]).T @ own.x - (
            shared * (rate / (at_risk + PRIOR_EVENTS / overall))
        ) @ shared.T
        curve[np.diag_indices(len(beta))] += 1 / tau**2
        inverse = np.linalg.inv(curve)
        step = inverse @ slope
        beta += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        variance = np.diag(inverse).copy()
    relative = np.exp(np.clip(own.x @ beta, -12, 12))
    rate = (count + PRIOR_EVENTS) / (relative @ spent + PRIOR_EVENTS / overall)
    return beta, variance, rate


def unshrunk(beta: Vector, variance: Vector, middle: Vector, tau: float) -> tuple[Vector, Vector]:
    """Each effect and its standard error without the prior of this one effect, the others keeping theirs.

    Of a normal posterior with N(middle, tau^2) as the prior of an effect, the rest is the likelihood of that effect. An
    interval from it covers a given effect as often as it says, which one about a shrunken effect does for many effects
    on average (Morris, J Am Stat Assoc 1983;78:47). The error is infinite where the data say nothing.
    """
    precision = np.clip(1 / variance - 1 / tau**2, 1e-12, None)
    return (beta / variance - middle / tau**2) / precision, 1 / np.sqrt(precision)


def declare(stays: Sequence[Stays], cuts: Sequence[Vector], groups: int, tau: Sequence[float], omega: float) -> None:
    """The model in Pyro: sites `middle` (groups, p), `beta` (transitions, p), `rate_t` (intervals), and `stays_t`.

    The baseline rates have a gamma prior worth PRIOR_EVENTS in each interval at the rate of the transition.
    """
    import pyro
    import torch
    from pyro.distributions import Gamma, Normal

    p = stays[0].x.shape[1]
    middle = pyro.sample("middle", Normal(torch.zeros(groups, p, dtype=torch.float64), omega).to_event(2))
    centre = middle[[s.group for s in stays]]
    scale = torch.tensor(list(tau), dtype=torch.float64)[:, None].expand(-1, p)
    beta = pyro.sample("beta", Normal(centre, scale).to_event(2))
    for t, own in enumerate(stays):
        spent = torch.as_tensor(exposure(np.maximum(own.length, 1e-3), cuts[t]))
        overall = (own.event.sum() + PRIOR_EVENTS) / max(float(spent.sum()), 1e-9)
        k = len(cuts[t])
        shape = torch.full((k,), PRIOR_EVENTS + 1.0, dtype=torch.float64)
        rate = pyro.sample(f"rate_{t}", Gamma(shape, PRIOR_EVENTS / overall).to_event(1))
        which = torch.as_tensor(np.searchsorted(cuts[t], own.length, side="left").clip(1) - 1)
        linear = torch.as_tensor(own.x) @ beta[t]
        event = torch.as_tensor(own.event)
        likelihood = (event * (torch.log(rate[which]) + linear)).sum() - (torch.exp(linear) * (spent @ rate)).sum()
        pyro.factor(f"stays_{t}", likelihood)


def cumulative(hazard: Hazard, length: Vector) -> Vector:
    """Cumulative baseline hazard at these lengths of stay."""
    return np.asarray(exposure(length, hazard.cuts) @ hazard.rate)


def draw_months(hazard: Hazard, x: Matrix, rng: np.random.Generator) -> Vector:
    """(m,) months until the transition, were it the only one, by inversion of the cumulative hazard."""
    wanted = rng.exponential(size=len(x)) / np.exp(np.clip(x @ hazard.beta, -12, 12))
    width = np.diff(hazard.cuts)
    knots = np.concatenate([[0.0], np.cumsum(width * hazard.rate[:-1])])
    place = np.searchsorted(knots, wanted, side="right") - 1
    return np.asarray(hazard.cuts[place] + (wanted - knots[place]) / np.maximum(hazard.rate[place], 1e-12))
