"""Survival numerics in plain numpy: Kaplan-Meier, log-rank, Cox regression and its diagnostics, concordance.

They are here for the resamples behind every interval: a Cox model of 1,500 patients is fitted in 5 ms, where lifelines,
to which tests hold everything here, takes 0.1 s. What is computed once is left to it (`estimates.py`, `curves.py`,
`proportionality.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haemosynth.stats.ranking import ranks_of

Z95 = 1.959964  # standard errors on each side of an estimate in its 95 % interval
Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class KaplanMeier:
    """A survival function: 1 before the first of `times`, then `survival[i]` from `times[i]` on.

    times: (steps,) distinct observed times, ascending. at_risk, events: (steps,) patients at risk and events there.
    """

    times: Vector
    survival: Vector
    at_risk: Vector
    events: Vector

    def at(self, times: Vector) -> Vector:
        """Survival at `times`; after the last observed time its last value."""
        return np.concatenate([[1.0], self.survival])[np.searchsorted(self.times, times, side="right")]

    def before(self, times: Vector) -> Vector:
        """Survival just before `times`."""
        return np.concatenate([[1.0], self.survival])[np.searchsorted(self.times, times, side="left")]

    def mean_until(self, horizon: float) -> float:
        """Restricted mean survival time: the area under the curve up to `horizon`, in the unit of the times."""
        steps = np.concatenate([[0.0], self.times[self.times < horizon], [horizon]])
        return float(np.diff(steps) @ self.at(steps[:-1]))

    def band(self, level: float = 0.95) -> tuple[Vector, Vector]:
        """Pointwise interval at `times`: Greenwood variance on the log(-log) scale (Kalbfleisch and Prentice).

        Where survival is 1 or 0 the interval is that point.
        """
        from scipy.special import ndtri

        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.cumsum(self.events / (self.at_risk * (self.at_risk - self.events)))
            log = np.log(self.survival)
            half = ndtri((1 + level) / 2) * np.sqrt(variance) / np.abs(log)
            low, high = np.exp(log * np.exp(half)), np.exp(log * np.exp(-half))
        certain = (self.survival == 1) | (self.survival == 0)
        return np.where(certain, self.survival, low), np.where(certain, self.survival, high)


def kaplan_meier(time: Vector, event: Vector) -> KaplanMeier:
    """Kaplan-Meier estimate (Kaplan and Meier, J Am Stat Assoc 1958;53:457).

    Args:
        time: (patients,) follow-up.
        event: (patients,) 1 event, 0 censored. With `1 - event` it estimates the censoring distribution.
    """
    times, where = np.unique(time, return_inverse=True)
    total = np.bincount(where, minlength=len(times)).astype(float)
    events = np.bincount(where, weights=event, minlength=len(times)).astype(float)
    at_risk = len(time) - np.concatenate([[0.0], np.cumsum(total)[:-1]])
    return KaplanMeier(times, np.cumprod(1 - events / at_risk), at_risk, events)


def curve_distance(first: KaplanMeier, second: KaplanMeier, horizon: float) -> float:
    """Mean absolute difference of two survival functions over (0, horizon), exact for step functions."""
    inner = np.union1d(first.times, second.times)
    steps = np.concatenate([[0.0], inner[inner < horizon], [horizon]])
    return float(np.diff(steps) @ np.abs(first.at(steps[:-1]) - second.at(steps[:-1])) / horizon)


def steps_shown(curve_times: Vector, at_risk: Vector, fewest: int, end: float) -> tuple[Vector, NDArray[np.intp]]:
    """Where a published curve may step: one step for each group of at least `fewest` patients in follow-up order.

    A curve with a step for each patient would show when each of them died. It ends at `end`, or where fewer than
    `fewest` patients are at risk.

    Args:
        curve_times, at_risk: (steps,) of the curve, ascending in time.

    Returns:
        mean time of each group, and the position of its last step in the curve.
    """
    left = np.append(at_risk[1:], 0)
    ends: list[int] = []
    before = at_risk[0] if len(at_risk) else 0.0
    for i in np.flatnonzero((at_risk >= fewest) & (curve_times <= end)):
        if before - left[i] >= fewest:
            ends.append(int(i))
            before = left[i]
    stops = np.array(ends, dtype=np.intp)
    starts = np.concatenate([[0], stops[:-1] + 1])[: len(stops)]
    total = np.concatenate([[0.0], np.cumsum(curve_times)])
    return (total[stops + 1] - total[starts]) / (stops + 1 - starts), stops


def log_rank(time: Vector, event: Vector, group: Vector) -> tuple[float, float]:
    """Events in a group beyond those expected, and their variance (Mantel, Cancer Chemother Rep 1966;50:163).

    With (excess, variance) the log-rank statistic is excess^2 / variance, and excess / variance is Peto's estimate of
    the log hazard ratio of the group against the others (Yusuf et al., Prog Cardiovasc Dis 1985;27:335).

    Args:
        group: (patients,) 1 in the group, 0 in the other.
    """
    times, where = np.unique(time, return_inverse=True)

    def at_risk(weight: Vector | None) -> Vector:
        leaving = np.bincount(where, weights=weight, minlength=len(times)).astype(float)
        return np.cumsum(leaving[::-1])[::-1]

    everybody, members = at_risk(None), at_risk(group)
    events = np.bincount(where, weights=event, minlength=len(times))
    share = members / everybody
    spread = events * share * (1 - share) * (everybody - events) / np.maximum(everybody - 1, 1)
    return float(event @ group - events @ share), float(spread.sum())


@dataclass(frozen=True)
class CoxModel:
    """A fitted Cox model. log_hazard: (covariates,); covariance: of these; steps: Newton steps taken."""

    log_hazard: Vector
    covariance: Matrix
    steps: int

    @property
    def standard_error(self) -> Vector:
        """(covariates,) standard errors of the log hazard ratios."""
        return np.sqrt(np.diag(self.covariance))


def fit_cox(covariates: Matrix, time: Vector, event: Vector, ridge: float = 0.0, largest: int = 50) -> CoxModel:
    """Cox regression by Newton's method, ties after Efron (J Am Stat Assoc 1977;72:557).

    The penalty ridge/2 * sum(log_hazard^2) equals independent normal priors of variance 1/ridge on the log hazard
    ratios; it keeps rare carriers finite. Standard errors come from the penalised information. All sums over risk
    sets are cumulative sums, so a step costs O(patients * covariates^2).

    Args:
        covariates: (patients, covariates). time: (patients,) follow-up. event: (patients,) 1 event, 0 censored.
        largest: Newton steps at most.

    Raises:
        ValueError: no event, or no convergence (separated covariates without ridge).
    """
    order = np.argsort(-time, kind="stable")
    x, time, event = covariates[order] - covariates.mean(axis=0), time[order], event[order].astype(float)
    if not event.any():
        raise ValueError("Cox regression needs an event")
    # Groups of equal time, latest first: a group's risk set is everybody up to its last row.
    starts = np.flatnonzero(np.concatenate([[True], time[1:] != time[:-1]]))
    group = np.repeat(np.arange(len(starts)), np.diff(np.concatenate([starts, [len(time)]])))
    ends = np.concatenate([starts[1:], [len(time)]]) - 1
    rows = np.flatnonzero(event)
    of = group[rows]  # the group of each event
    deaths = np.bincount(of, minlength=len(starts))
    first = np.concatenate([[0], np.cumsum(deaths)[:-1]])
    share = (np.arange(len(rows)) - first[of]) / deaths[of]  # Efron: l/d for the l-th of d tied events
    begins = np.flatnonzero(share == 0)  # the first of each set of tied events

    def sums(beta: Vector) -> tuple[float, Vector, Vector]:
        risk = x @ beta
        weight = np.exp(risk - risk.max())
        tied = np.bincount(of, weights=weight[rows], minlength=len(starts))
        denominator = np.cumsum(weight)[ends][of] - share * tied[of]
        value = float(event @ (risk - risk.max()) - np.log(denominator).sum() - 0.5 * ridge * beta @ beta)
        return value, weight, denominator

    beta = np.zeros(x.shape[1])
    value, weight, denominator = sums(beta)
    for step in range(1, largest + 1):
        inverse = np.bincount(of, weights=1 / denominator, minlength=len(starts))
        later = np.cumsum(inverse[::-1])[::-1][group]  # sum of 1/denominator over events not later than the row
        corrected = np.bincount(of, weights=share / denominator, minlength=len(starts))[group]
        mass = weight * (later - event * corrected)
        weighted = weight[:, None] * x
        above = np.cumsum(weighted, axis=0)[ends][of]
        if len(begins) < len(rows):  # only ties need it
            dead = np.add.reduceat(weighted[rows], begins, axis=0)
            above -= share[:, None] * np.repeat(dead, deaths[of[begins]], axis=0)
        mean = above / denominator[:, None]
        gradient = x.T @ (event - mass) - ridge * beta
        information = (x * mass[:, None]).T @ x - mean.T @ mean + ridge * np.eye(len(beta))
        move = np.linalg.solve(information, gradient)
        if gradient @ move < 1e-12 * max(1.0, abs(value)):
            return CoxModel(beta, np.linalg.inv(information), step)
        for _ in range(30):
            found = sums(beta + move)
            if found[0] >= value:
                break
            move = move / 2
        beta, (value, weight, denominator) = beta + move, found
    raise ValueError(f"Cox regression did not converge in {largest} steps")


def hazard_trends(model: CoxModel, covariates: Matrix, time: Vector, event: Vector) -> Vector:
    """How the log hazard ratios change over time: the score test of Grambsch and Therneau (Biometrika 1994;81:515).

    For each covariate z = sum (g - mean g) s / sqrt(d v sum (g - mean g)^2), with s its scaled Schoenfeld residuals at
    the d events, g the rank of the event time and v the variance of its log hazard ratio: about standard normal where
    hazards are proportional, above 0 where the effect grows. z / sqrt(d) does not grow with the cohort. Risk sets are
    Breslow's, so that heavy ties make it approximate.

    Args:
        covariates, time, event: the patients the model was fitted on.
    """
    order = np.argsort(-time, kind="stable")
    x, time, event = covariates[order], time[order], event[order]
    risk = x @ model.log_hazard
    weight = np.exp(risk - risk.max())
    rows = np.flatnonzero(event)
    last = np.searchsorted(-time, -time[rows], side="right") - 1  # the last row of the risk set
    mean = np.cumsum(weight[:, None] * x, axis=0)[last] / np.cumsum(weight)[last][:, None]
    scaled = len(rows) * (x[rows] - mean) @ model.covariance
    rank = ranks_of(time[rows])
    rank -= rank.mean()
    z: Vector = rank @ scaled / np.sqrt(len(rows) * np.diag(model.covariance) * (rank @ rank))
    return z


def concordance(risk: Vector, time: Vector, event: Vector) -> float:
    """Harrell's C-index (Harrell et al., JAMA 1982;247:2543) in O(n log n).

    The share of comparable pairs in which the patient with the earlier event has the higher risk; equal risks count
    one half. A pair is comparable when the earlier of the two had the event; at equal times, when exactly one had it.

    Args:
        risk: (patients,) any score that grows with the hazard.

    Returns:
        The index, or NaN where no pair is comparable.
    """
    order = np.lexsort((event, -time))  # latest first; at equal times the censored before the events
    time, event = time[order], event[order].astype(bool)
    rank = np.unique(risk[order], return_inverse=True)[1]
    # Each event is compared with the rows before the first event of its own time.
    censored_here = np.bincount(np.unique(-time, return_inverse=True)[1], weights=np.logical_not(event)).astype(np.intp)
    starts, group = np.unique(-time, return_index=True, return_inverse=True)[1:]
    before = (starts[group] + censored_here[group])[event]
    lower, equal = _counts_before(rank, before, rank[event])
    comparable = before.sum()
    return float((lower.sum() + 0.5 * equal.sum()) / comparable) if comparable else float("nan")


def _counts_before(
    values: NDArray[np.intp], before: NDArray[np.intp], queries: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each query, how many of the first `before` values are lower, and how many equal.

    A wavelet matrix (Claude and Navarro, 2012), built and asked bit by bit from the highest, all queries at once.
    """
    left, right = np.zeros_like(before), before.copy()
    lower = np.zeros_like(before)
    for bit in reversed(range(max(1, int(values.max()).bit_length()))):
        ones = (values >> bit) & 1
        zeros = np.concatenate([[0], np.cumsum(1 - ones)])
        zeros_left, zeros_right = zeros[left], zeros[right]
        high = ((queries >> bit) & 1).astype(bool)
        lower += np.where(high, zeros_right - zeros_left, 0)
        left = np.where(high, zeros[-1] + left - zeros_left, zeros_left)
        right = np.where(high, zeros[-1] + right - zeros_right, zeros_right)
        values = values[np.argsort(ones, kind="stable")]
    return lower, right - left
