"""Statistics of all pairs of alterations at once: counts, odds ratios, and tests of co-occurrence and exclusivity.

Every table of counts comes from matrix products (a Gram matrix) over blocks of patients, every tail from one vectorised
call. A pair is read on the patients in whom both alterations are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import betainc, gammaln

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Positions = np.ndarray[Any, np.dtype[np.intp]]
Tail = Literal["upper", "lower"]
BLOCK = 1024  # patients multiplied at once: their chances for some hundred events stay in the processor's cache
BEYOND = 8.5  # standard deviations, and overlaps, beyond which a tail of some 1e-15 is taken for 0


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
    both, row, assayed = np.zeros((3, alterations.shape[1], alterations.shape[1]))
    for rows in _blocks(len(alterations)):
        part = alterations[rows]
        # Single precision counts exactly up to 16 million, and twice as fast.
        known = (~np.isnan(part)).astype(np.float32)
        carried = (part == 1).astype(np.float32)
        both += carried.T @ carried
        row += carried.T @ known
        assayed += known.T @ known
    row -= both
    return PairCounts(both, row, row.T.copy(), assayed - both - row - row.T)


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, size, BLOCK))


def log_odds_ratios(counts: PairCounts) -> tuple[Matrix, Matrix]:
    """Natural log odds ratio of every pair and its standard error, 0.5 added to each cell.

    Haldane, Ann Hum Genet 1956;20:309; Anscombe, Biometrika 1956;43:461. The standard error is Woolf's, from the
    same corrected cells.
    """
    a, b, c, d = (cell + 0.5 for cell in (counts.both, counts.row, counts.column, counts.neither))
    return np.log(a) + np.log(d) - np.log(b) - np.log(c), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)


def fisher_exact(counts: PairCounts) -> Matrix:
    """Two-sided p of Fisher's exact test for every pair: the sum over tables no likelier than the one observed.

    The chances of tables rise to a mode and fall beyond it, so both tails are summed outwards, the other one from where
    bisection finds it: work grows with the spread of the overlap, not with the number of carriers. The diagonal is 1.
    """
    largest = int(counts.known.max(initial=0))
    log_factorial = gammaln(np.arange(largest + 2) + 1.0)
    rows, columns = np.triu_indices(len(counts.both), 1)
    upper = [cell[rows, columns].astype(np.int64) for cell in (counts.both, counts.row, counts.column, counts.neither)]
    p = np.ones_like(counts.both)
    from haemosynth.stats.fisher import two_sided

    p[rows, columns] = p[columns, rows] = two_sided(*upper, log_factorial)
    return p


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
    mask, load, weight = known[first], burden[first].astype(np.float64), size.astype(np.float64)
    carriers, assayed = np.nansum(alterations, axis=0), known.sum(axis=0)

    # Patients with no event or all of them, and events of nobody or everybody, have chance 0 or 1: no finite effect.
    probability = np.where(carriers == assayed, 1.0, 0.0) * mask
    free = np.flatnonzero((carriers > 0) & (carriers < assayed))
    rest = load - probability.sum(axis=1)
    possible = mask[:, free].sum(axis=1)
    full = np.flatnonzero((rest == possible) & (possible > 0))
    probability[np.ix_(full, free)] = mask[np.ix_(full, free)]
    rows = np.flatnonzero((rest > 0) & (rest < possible))
    if not len(rows) or not len(free):
        return Background(probability, weight)

    m, r, w, k = mask[np.ix_(rows, free)], rest[rows], weight[rows], possible[rows]
    c = carriers[free] - weight[full] @ probability[np.ix_(full, free)]
    n_open = w @ m
    patient = np.log(r / (k - r))
    event = np.log((c + 0.5) / (n_open - c + 0.5))
    event -= event.mean()

    def chances(part: slice) -> Matrix:
        # exp(patient + event) as a product: no exponential for each entry.
        odds = np.multiply.outer(np.exp(patient[part]), np.exp(event))
        odds /= 1 + odds
        odds *= m[part]
        return np.asarray(odds)

    # Newton steps in turn: the effects of patients given events, then those of events given patients.
    for _ in range(iterations):
        total, spread, wrong = np.zeros(len(free)), np.zeros(len(free)), 0.0
        for part in _blocks(len(rows)):
            p = chances(part)
            miss = r[part] - p.sum(axis=1)
            wrong = max(wrong, float(np.abs(miss).max()))
            variance = p.sum(axis=1) - np.einsum("ij,ij->i", p, p)
            patient[part] += np.clip(miss / np.maximum(variance, 1e-9), -1, 1)
            p = chances(part)
            total += w[part] @ p
            p *= 1 - p
            spread += w[part] @ p
        if max(wrong, float(np.abs(c - total).max())) < tolerance * len(alterations):
            break
        event += np.clip((c - total) / np.maximum(spread, 1e-9), -1, 1)
    for part in _blocks(len(rows)):
        probability[np.ix_(rows[part], free)] = chances(part)
    return Background(probability, weight)


def _share_covariance(probability: Matrix, iterations: int = 12) -> Matrix:
    """c, so that two events a and b of a patient of known burden have covariance -c_a c_b.  (kinds, events), the same

    Who has one event has the less room for another: given the burden, sum_b cov(a, b) = -p_a (1 - p_a). The form -c c
    and this sum give c by fixed point (Deville and Tillé, J Stat Plan Inference 2005;128:569); exact for a single event
    and for equal chances. Without it every pair of a small panel would seem to be exclusive.
    """
    own = probability * (1 - probability)
    c = own / np.sqrt(np.maximum(own.sum(axis=1, keepdims=True), 1e-300))
    for _ in range(iterations):
        rest = c.sum(axis=1, keepdims=True) - c
        np.maximum(rest, 1e-300, out=rest)
        c += np.divide(own, rest, out=rest)
        c /= 2
    return np.asarray(np.minimum(c, probability))


def _gram(values: Matrix) -> Matrix:
    return np.asarray(values.T @ values)


@dataclass(frozen=True)
class LoadMatched:
    """Overlaps of all pairs beside those expected from frequency and burden alone; each field is (events, events).

    largest: the largest overlap that the margins allow. squares: the sum of squared chances of an overlap, which with
    `expected` gives its distribution. departure: (observed - expected) / standard deviation by chance; 0 where it
    cannot vary.
    upper: chance of an overlap at least as large as observed (co-occurrence). lower: at least as small (exclusivity).
    least_upper, least_lower: the smallest such chances that the margins of the pair allow (Tarone, Biometrics
    1990;46:515): a pair whose least chance is not small can never be found, and is not tested.
    """

    observed: Matrix
    largest: Matrix
    expected: Matrix
    squares: Matrix
    departure: Matrix
    upper: Matrix
    lower: Matrix
    least_upper: Matrix
    least_lower: Matrix


def load_matched(alterations: Matrix, counts: PairCounts | None = None) -> LoadMatched:
    """The load-matched test of every pair of events.  (patients, events) of 0/1/NaN; `counts` where they are known.

    The overlap of two events is Poisson-binomial under `load_matched_background`; its tails are those of the binomial
    with the same mean and variance (Ehm, Stat Probab Lett 1991;11:7), continued to a real number of trials.
    """
    background = load_matched_background(alterations)
    counts = pair_counts(alterations) if counts is None else counts
    mean, square = np.zeros((2, *counts.both.shape))
    for rows in _blocks(len(background.size)):
        p, weight = background.probability[rows], np.sqrt(background.size[rows])[:, None]
        c = _share_covariance(p)
        mean += _gram(weight * p) - _gram(weight * c)
        square += _gram(weight * p * p) - 2 * _gram(weight * p * c) + _gram(weight * c * c)
    mean, square = np.maximum(mean, 0), np.maximum(square, 0)
    largest = counts.both + np.minimum(counts.row, counts.column)
    variance = mean - square
    varies = variance > 1e-9
    above = np.triu_indices(len(mean))

    def mirrored(tail: Callable[[Matrix, Matrix, Matrix], Matrix], overlap: Matrix) -> Matrix:
        whole = np.empty_like(mean)
        whole[above] = tail(overlap[above], mean[above], square[above])
        whole.T[above] = whole[above]
        return np.asarray(whole)

    return LoadMatched(
        counts.both,
        largest,
        mean,
        square,
        np.where(varies, (counts.both - mean) / np.sqrt(np.where(varies, variance, 1.0)), 0.0),
        mirrored(upper_tail, counts.both),
        mirrored(lower_tail, counts.both),
        mirrored(upper_tail, largest),
        mirrored(lower_tail, np.zeros_like(mean)),
    )


def upper_tail(overlap: Matrix, mean: Matrix, square: Matrix) -> Matrix:
    """P(X >= overlap) of a Poisson-binomial X with sum of chances `mean` and sum of their squares `square`."""
    trials, chance = _match_binomial(mean, square)
    possible = betainc(np.maximum(overlap, 1), np.maximum(trials - overlap + 1, 1e-9), chance)
    return np.where(overlap <= 0, 1.0, np.where(mean > 0, possible, 0.0))


def lower_tail(overlap: Matrix, mean: Matrix, square: Matrix) -> Matrix:
    """P(X <= overlap) of a Poisson-binomial X with sum of chances `mean` and sum of their squares `square`."""
    trials, chance = _match_binomial(mean, square)
    possible = betainc(np.maximum(trials - overlap, 1e-9), overlap + 1, 1 - chance)
    return np.where(mean > 0, possible, 1.0)


def _match_binomial(mean: Matrix, square: Matrix) -> tuple[Matrix, Matrix]:
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
    found = np.zeros(len(rows), dtype=bool)
    if len(rows):
        found = false_discovery_control(p[rows, columns]) <= false_discovery_rate
    return _symmetric(rows[found], columns[found], len(p))


def load_matched_discoveries(test: LoadMatched, tail: Tail, tested: Flags, false_discovery_rate: float) -> Flags:
    """Which of the tested pairs are found in one tail of the load-matched test at this false discovery rate.

    Overlaps of rare events take few values, and many pairs can never have a small p: `discrete_step_up` lets each pair
    count only with what it can reach.

    Args:
        tested: (events, events), symmetric; every pair counts once.

    Raises:
        ValueError: a rate above a quarter.
    """
    if false_discovery_rate > 0.25:
        raise ValueError(f"a false discovery rate of {false_discovery_rate} is above a quarter")
    rows, columns = np.nonzero(np.triu(tested, 1))
    p = (test.upper if tail == "upper" else test.lower)[rows, columns]
    pair, attainable = _attainable(test, tail, rows, columns, false_discovery_rate)
    found = discrete_step_up(p, pair, attainable, false_discovery_rate)
    return _symmetric(rows[found], columns[found], len(tested))


def _symmetric(rows: Positions, columns: Positions, size: int) -> Flags:
    found = np.zeros((size, size), dtype=bool)
    found[rows, columns] = found[columns, rows] = True
    return found


def _attainable(
    test: LoadMatched, tail: Tail, rows: Positions, columns: Positions, most: float
) -> tuple[Positions, Matrix]:
    """The p-values up to `most`, at most a quarter, that each pair can have: (number of the pair, p), both (values,).

    Overlaps on the near side of the expected one have larger p-values and are passed over.
    """
    mean, square = test.expected[rows, columns], test.squares[rows, columns]
    reach = BEYOND * (1 + np.sqrt(np.maximum(mean - square, 0)))
    if tail == "upper":
        first, last = np.ceil(mean), np.minimum(test.largest[rows, columns], np.ceil(mean + reach))
    else:
        first, last = np.maximum(np.floor(mean - reach), 0), np.floor(mean)
    count = np.maximum(last - first + 1, 0).astype(np.intp)
    pair = np.repeat(np.arange(len(rows)), count)
    overlap = first[pair] + np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count)
    p = (upper_tail if tail == "upper" else lower_tail)(overlap, mean[pair], square[pair])
    kept = p <= most
    return pair[kept], p[kept]


def discrete_step_up(p: Matrix, test: Positions, attainable: Matrix, false_discovery_rate: float) -> Flags:
    """Which tests are found by the discrete step-up procedure of Benjamini-Hochberg type.  -> (tests,)

    With F_i(t) the chance of a p <= t under the null of test i, that is the largest p <= t that it can attain, a
    threshold t is allowed with k finds if sum_i F_i(t) / (1 - F_i(u)) <= rate k, u the largest attainable value with
    sum_i F_i(u) / (1 - F_i(u)) <= rate (number of tests); here no p above the rate is ever found. Under independence
    the false discovery rate is at most `false_discovery_rate` (Döhler, Durand and Roquain, Electron J Stat
    2018;12:1867). Tests that cannot attain t add nothing, so rare events do not cost power.

    Args:
        p: (tests,), observed.
        test, attainable: (values,), number of the test and a p-value up to `false_discovery_rate` that it can attain,
            all of them, in any order.
    """
    order = np.lexsort((attainable, test))
    test, attainable = test[order], attainable[order]
    # What a test attained just below adds to the sums is replaced by what it attains now.
    below = np.where(np.append(True, test[1:] != test[:-1]), 0.0, np.append(0.0, attainable[:-1]))[: len(test)]
    order = np.argsort(attainable, kind="stable")
    test, attainable, below = test[order], attainable[order], below[order]
    bound = np.cumsum(attainable / (1 - attainable) - below / (1 - below))
    allowed = int(np.searchsorted(bound, false_discovery_rate * len(p), side="right"))
    if allowed < len(bound):  # equal values stand or fall together
        allowed = int(np.searchsorted(attainable, attainable[allowed], side="left"))
    test, attainable, below = test[:allowed], attainable[:allowed], below[:allowed]
    largest = np.zeros(len(p))
    np.maximum.at(largest, test, attainable)
    expected = np.append(0.0, np.cumsum((attainable - below) / (1 - largest[test])))
    ordered = np.sort(p[p <= attainable[-1]]) if allowed else np.empty(0)
    false = expected[np.searchsorted(attainable, ordered, side="right")]
    passing = np.flatnonzero(false <= false_discovery_rate * np.arange(1, len(ordered) + 1))
    return np.asarray(p <= ordered[passing[-1]] if len(passing) else np.zeros(len(p), dtype=bool))
