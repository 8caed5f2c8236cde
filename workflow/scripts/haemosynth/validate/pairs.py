"""Statistics of all pairs of alterations at once: counts, odds ratios, and tests of co-occurrence and exclusivity.

Every table of counts comes from matrix products (a Gram matrix), every tail from one vectorised call. A pair is read
on the patients in whom both alterations are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import betainc, expit, gammaln

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class PairCounts:
    """The 2 x 2 table of every pair (row event, column event); each field is (events, events).

    `both` patients carry both events, `row` only the row event, `column` only the column event, `neither` none.
    """

    both: Matrix
    row: Matrix
    column: Matrix
    neither: Matrix

    @property
    def known(self) -> Matrix:
        """Patients in whom both events are known."""
        return self.both + self.row + self.column + self.neither

    @property
    def expected(self) -> Matrix:
        """Patients expected to carry both if the two events were independent; 0 where nobody is known."""
        return (self.both + self.row) * (self.both + self.column) / np.maximum(self.known, 1)


def pair_counts(alterations: Matrix) -> PairCounts:
    """The 2 x 2 tables of all pairs of events.  (patients, events) of 0/1/NaN -> four (events, events)"""
    known = (~np.isnan(alterations)).astype(np.float64)
    carried = np.nan_to_num(alterations)
    both = carried.T @ carried
    row = carried.T @ known - both
    return PairCounts(both, row, row.T.copy(), known.T @ known - both - row - row.T)


def log_odds_ratios(counts: PairCounts) -> tuple[Matrix, Matrix]:
    """Natural log odds ratio of every pair and its standard error, 0.5 added to each cell.

    Haldane, Ann Hum Genet 1956;20:309; Anscombe, Biometrika 1956;43:461. The standard error is Woolf's, from the
    same corrected cells.
    """
    a, b, c, d = (cell + 0.5 for cell in (counts.both, counts.row, counts.column, counts.neither))
    return np.log(a) + np.log(d) - np.log(b) - np.log(c), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)


def fisher_exact(counts: PairCounts) -> Matrix:
    """Two-sided p of Fisher's exact test for every pair: the sum over tables no likelier than the one observed.

    Work grows with the smaller margin of a pair. The diagonal is 1.
    """
    largest = int(counts.known.max(initial=0))
    log_factorial = gammaln(np.arange(largest + 2) + 1.0)
    rows, columns = np.triu_indices(len(counts.both), 1)
    upper = [cell[rows, columns].astype(np.int64) for cell in (counts.both, counts.row, counts.column, counts.neither)]
    p = np.ones_like(counts.both)
    p[rows, columns] = p[columns, rows] = _fisher_kernel()(*upper, log_factorial)
    return p


@cache
def _fisher_kernel() -> Callable[..., Any]:
    from numba import njit

    def kernel(both: Any, row: Any, column: Any, neither: Any, log_factorial: Any) -> Any:
        p = np.ones(both.size)
        for i in range(both.size):
            a, first, second = both[i], both[i] + row[i], both[i] + column[i]
            total = first + column[i] + neither[i]
            constant = (
                log_factorial[first] + log_factorial[total - first]
                + log_factorial[second] + log_factorial[total - second] - log_factorial[total]
            )  # fmt: skip
            # A relative tolerance of 1e-7, as in R, so that tables equally likely but for rounding count as such.
            limit = 1e-7 + constant - (
                log_factorial[a] + log_factorial[first - a] + log_factorial[second - a]
                + log_factorial[total - first - second + a]
            )  # fmt: skip
            tail = 0.0
            for x in range(max(0, first + second - total), min(first, second) + 1):
                log_p = constant - (
                    log_factorial[x] + log_factorial[first - x] + log_factorial[second - x]
                    + log_factorial[total - first - second + x]
                )  # fmt: skip
                if log_p <= limit:
                    tail += np.exp(log_p)
            p[i] = min(tail, 1.0)
        return p

    compiled: Callable[..., Any] = njit(kernel)
    return compiled


@dataclass(frozen=True)
class Background:
    """The chance of each event in each kind of patient, if only frequency of events and burden of patients mattered.

    A kind of patient is a burden and a pattern of known events. probability: (kinds, events), 0 where unknown.
    size: (kinds,), patients of each kind.
    """

    probability: Matrix
    size: Matrix


def load_matched_background(alterations: Matrix, tolerance: float = 1e-8, iterations: int = 200) -> Background:
    """The maximum-entropy matrix of probabilities that keeps how often each event and how loaded each patient is.

    logit P(patient, event) = patient effect + event effect; both sets of sums are those observed. This is the null
    of DISCOVER (Canisius, Martens and Wessels, Genome Biol 2016;17:261), here also for matrices with unknown entries:
    patients of equal burden and equal pattern of known events share their effect, so only distinct kinds are solved.

    Args:
        alterations: (patients, events) of 0/1/NaN.
    """
    known = ~np.isnan(alterations)
    burden = np.nansum(alterations, axis=1).astype(np.int64)
    keys = np.column_stack([np.packbits(known, axis=1), (burden >> 8) & 255, burden & 255]).astype(np.uint8)
    keys = np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").ravel()
    _, first, size = np.unique(keys, return_index=True, return_counts=True)
    mask, load, weight = known[first].astype(np.float64), burden[first].astype(np.float64), size.astype(np.float64)
    carriers, assayed = np.nansum(alterations, axis=0), known.sum(axis=0)

    # Patients with no event or all of them, and events of nobody or everybody, have chance 0 or 1: no finite effect.
    probability = np.where(carriers == assayed, 1.0, 0.0) * mask
    free = (carriers > 0) & (carriers < assayed)
    rest = load - probability.sum(axis=1)
    possible = mask[:, free].sum(axis=1)
    open_rows = (rest > 0) & (rest < possible)
    probability[np.ix_((rest == possible) & (possible > 0), free)] = mask[(rest == possible) & (possible > 0)][:, free]
    m, r, w = mask[np.ix_(open_rows, free)], rest[open_rows], weight[open_rows]
    c = carriers[free] - (weight[:, None] * probability[:, free])[~open_rows].sum(axis=0)
    if not m.size:
        return Background(probability, weight)

    n_open = w @ m
    patient = np.log(r / (possible[open_rows] - r))
    event = np.log((c + 0.5) / (n_open - c + 0.5))
    event -= event.mean()
    for _ in range(iterations):
        p = expit(patient[:, None] + event) * m
        variance = p * (1 - p)
        event = event + np.clip((c - w @ p) / np.maximum(w @ variance, 1e-9), -1, 1)
        p = expit(patient[:, None] + event) * m
        variance = p * (1 - p)
        patient = patient + np.clip((r - p.sum(axis=1)) / np.maximum(variance.sum(axis=1), 1e-9), -1, 1)
        p = expit(patient[:, None] + event) * m
        if max(np.abs(c - w @ p).max(), np.abs(r - p.sum(axis=1)).max()) < tolerance * len(alterations):
            break
    probability[np.ix_(open_rows, free)] = p
    return Background(probability, weight)


@dataclass(frozen=True)
class LoadMatched:
    """Overlaps of all pairs beside those expected from frequency and burden alone; each field is (events, events).

    departure: (observed - expected) / standard deviation of the overlap by chance; 0 where it cannot vary.
    upper: chance of an overlap at least as large as observed (co-occurrence). lower: at least as small (exclusivity).
    least_upper, least_lower: the smallest such chances that the margins of the pair allow (Tarone, Biometrics
    1990;46:515): a pair whose least chance is not small can never be found, and is not tested.
    """

    observed: Matrix
    expected: Matrix
    departure: Matrix
    upper: Matrix
    lower: Matrix
    least_upper: Matrix
    least_lower: Matrix


def load_matched(alterations: Matrix) -> LoadMatched:
    """The load-matched test of every pair of events.  (patients, events) of 0/1/NaN

    The overlap of two events is Poisson-binomial under `load_matched_background`; its tails are those of the binomial
    with the same mean and variance (Ehm, Stat Probab Lett 1991;11:7), continued to a real number of trials.
    """
    background = load_matched_background(alterations)
    counts = pair_counts(alterations)
    p, w = background.probability, background.size[:, None]
    mean = (w * p).T @ p
    square = (w * p * p).T @ (p * p)
    largest = counts.both + np.minimum(counts.row, counts.column)
    variance = mean - square
    varies = variance > 1e-9
    return LoadMatched(
        counts.both,
        mean,
        np.where(varies, (counts.both - mean) / np.sqrt(np.where(varies, variance, 1.0)), 0.0),
        upper_tail(counts.both, mean, square),
        lower_tail(counts.both, mean, square),
        upper_tail(largest, mean, square),
        lower_tail(np.zeros_like(mean), mean, square),
    )


def upper_tail(overlap: Matrix, mean: Matrix, square: Matrix) -> Matrix:
    """P(X >= overlap) of a Poisson-binomial X with sum of chances `mean` and sum of their squares `square`."""
    trials, chance = _matched_binomial(mean, square)
    possible = betainc(np.maximum(overlap, 1), np.maximum(trials - overlap + 1, 1e-9), chance)
    return np.where(overlap <= 0, 1.0, np.where(mean > 0, possible, 0.0))


def lower_tail(overlap: Matrix, mean: Matrix, square: Matrix) -> Matrix:
    """P(X <= overlap) of a Poisson-binomial X with sum of chances `mean` and sum of their squares `square`."""
    trials, chance = _matched_binomial(mean, square)
    possible = betainc(np.maximum(trials - overlap, 1e-9), overlap + 1, 1 - chance)
    return np.where(mean > 0, possible, 1.0)


def _matched_binomial(mean: Matrix, square: Matrix) -> tuple[Matrix, Matrix]:
    # n p = mean and n p^2 = square give a binomial of equal mean and variance.
    positive = mean > 0
    trials = np.where(positive, mean**2 / np.where(positive, square, 1.0), 1.0)
    return trials, np.where(positive, np.minimum(square / np.where(positive, mean, 1.0), 1.0), 0.0)


def discoveries(p: Matrix, tested: Flags, false_discovery_rate: float) -> Flags:
    """Which of the tested pairs are found at this false discovery rate (Benjamini and Hochberg, 1995).

    p and tested: (events, events), symmetric; every pair counts once.
    """
    from scipy.stats import false_discovery_control

    rows, columns = np.nonzero(np.triu(tested, 1))
    found = np.zeros(p.shape, dtype=bool)
    if len(rows):
        passed = false_discovery_control(p[rows, columns]) <= false_discovery_rate
        found[rows[passed], columns[passed]] = found[columns[passed], rows[passed]] = True
    return found
