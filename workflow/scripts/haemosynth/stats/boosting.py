"""Gradient boosted trees for an answer of 0 and 1: compiled, for tables of some hundred patients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from haemosynth.core.arrays import Matrix, Vector

BINS = 255  # of the values of a column at most; one more holds the missing ones
SMALLEST_CURVATURE = 1e-3  # of a leaf: the sum of its rows' second derivatives
TINY = 1e-15  # is added to curvatures that divide
SUPPORT = 10.0  # rows' worth of curvature that a level must have to be told apart, and by which its value is shrunk


@dataclass(frozen=True)
class BoostedTrees:
    """Fitted trees. `probability` is all that is asked of them.

    A tree is a list of splits: which column, which of its bins go left, and what is below on either side: another
    split, or leaf i as -1 - i. A split that is not there has column -1.
    """

    order: NDArray[np.intp]  # (columns,) the table's columns as the trees number them
    edges: Matrix  # (columns, BINS) upper limits of the bins; of a nominal column its levels
    counts: NDArray[np.int64]  # (columns,) bins; the next number stands for missing
    nominal: NDArray[np.bool_]  # (columns,)
    start: float  # log odds before the first tree
    columns: NDArray[np.int64]  # (trees, leaves - 1)
    to_left: NDArray[np.bool_]  # (trees, leaves - 1, BINS + 1)
    below: NDArray[np.int64]  # (trees, leaves - 1, 2)
    values: Matrix  # (trees, leaves) log odds added

    def probability(self, points: Matrix) -> Vector:
        """(rows,) probability of the answer 1 for rows of the table's columns, missing values as NaN.

        A level that was not learned counts as missing.
        """
        table = np.ascontiguousarray(np.asarray(points, dtype=np.float64).T[self.order])
        codes, score = np.empty(table.shape, dtype=np.uint8), np.full(table.shape[1], self.start)
        _code(table, self.edges, self.counts, self.nominal, codes)
        _add_up(codes, self.columns, self.to_left, self.below, self.values, score)
        return np.asarray(1 / (1 + np.exp(-score)))


def fit_boosted_trees(
    points: Matrix,
    answer: Vector,
    nominal: NDArray[np.bool_],
    *,
    trees: int,
    leaves: int,
    learning_rate: float,
    min_leaf: int,
    weight: Vector | None = None,
) -> BoostedTrees:
    """Boosting with log loss by Newton steps on histograms, as scikit-learn's `HistGradientBoostingClassifier` does it.

    Trees grow at the leaf with the largest gain (Chen and Guestrin, XGBoost, KDD 2016, equation 7). Missing values go
    to the side that gains more. Nominal levels are ordered by their gradients (Fisher, J Am Stat Assoc 1958;53:789),
    missing being one of them; those too rare to be told apart go with the larger part. There is no penalty, subsampling
    or early stopping, so nothing is drawn. On some hundred rows a library spends most of its time between the trees;
    here all of them are grown in one call, by one thread.

    Args:
        points: (rows, columns), NaN where missing. answer: (rows,) 0 or 1.
        nominal: (columns,) whether a column holds codes of levels without order, at most BINS of them.
        leaves: of a tree at most. min_leaf: rows of a leaf at least.
        weight: (rows,) of a row's loss, positive; None: all 1.

    Raises:
        ValueError: a nominal column has too many levels.
    """
    order = np.concatenate([np.flatnonzero(nominal), np.flatnonzero(~nominal)])
    table = np.ascontiguousarray(np.asarray(points, dtype=np.float64).T[order])
    answer = np.ascontiguousarray(answer, dtype=np.float64)
    if weight is None:
        weights = np.ones(len(answer))
        ordered, under = np.sort(table, axis=1), np.cumsum(np.ones(table.shape), axis=1)
    else:
        weights = np.ascontiguousarray(weight, dtype=np.float64)
        ranks = np.argsort(table, axis=1, kind="stable")
        ordered, under = np.take_along_axis(table, ranks, axis=1), np.cumsum(weights[ranks], axis=1)
    kinds = np.asarray(nominal, dtype=bool)[order]
    edges, counts = np.full((len(table), BINS), np.inf), np.ones(len(table), dtype=np.int64)
    _set_edges(ordered, under, kinds, edges, counts)
    if (counts[kinds] > BINS).any():
        raise ValueError(f"a nominal column has more than {BINS} levels")
    codes = np.empty(table.shape, dtype=np.uint8)
    _code(table, edges, counts, kinds, codes)
    rate = float(np.clip(weights @ answer / weights.sum(), 1e-15, 1 - 1e-15))
    start = math.log(rate / (1 - rate))
    columns = np.full((trees, leaves - 1), -1)
    to_left = np.zeros((trees, leaves - 1, BINS + 1), dtype=bool)
    below = np.zeros((trees, leaves - 1, 2), dtype=np.int64)
    values = np.zeros((trees, leaves))
    offsets = np.concatenate([[0], np.cumsum(counts + 1)])
    bins = np.ascontiguousarray((codes + offsets[:-1, None]).T.astype(np.uint32))  # (rows, columns)
    missing = (codes == counts[:, None]).any(axis=1)
    _grow(
        codes, bins, offsets, kinds, missing, answer, weights, min_leaf, learning_rate,
        np.full(len(answer), start), np.arange(len(answer)), np.zeros(len(answer), dtype=np.int64),
        np.zeros((2, len(answer)), dtype=np.float32), np.zeros((leaves, offsets[-1], 3)),
        np.zeros((leaves, 7)), np.zeros((leaves, 6), dtype=np.int64), np.zeros((leaves, BINS + 1), dtype=bool),
        np.zeros(BINS + 1), np.zeros(BINS + 1, dtype=np.int64),
        columns, to_left, below, values,
    )  # fmt: skip
    return BoostedTrees(order, edges, counts, kinds, start, columns, to_left, below, values)


# The kernels are handed their memory and go through it number by number: expressions of whole arrays, and arrays made
# in a kernel, compile three times as long.


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _set_edges(ordered, under, nominal, edges, counts):  # type: ignore[no-untyped-def]
    """Where the bins of every column end: between any two of its values, or at quantiles where they are too many.

    ordered: (columns, rows) the values of each column in their order, missing ones last. under: the weight up to each.
    """
    for column in range(len(ordered)):
        known, different = 0, 0
        while known < ordered.shape[1] and not math.isnan(ordered[column, known]):
            if known == 0 or ordered[column, known] != ordered[column, known - 1]:
                if nominal[column] and different < BINS:
                    edges[column, different] = ordered[column, known]
                different += 1
            known += 1
        if nominal[column]:
            counts[column] = different
            continue
        found = 0
        if different <= BINS:
            for i in range(1, known):
                if ordered[column, i] != ordered[column, i - 1]:
                    edges[column, found] = (ordered[column, i - 1] + ordered[column, i]) / 2
                    found += 1
        else:
            i = 0
            for part in range(1, BINS):
                reached = part * 100.0 / BINS / 100.0 * under[column, known - 1]
                while under[column, i] < reached and i < known - 1:
                    i += 1
                edge = ordered[column, i]
                if under[column, i] - reached <= 2.0**-52:
                    edge = (edge + ordered[column, min(i + 1, known - 1)]) / 2
                if found == 0 or edge > edges[column, found - 1]:
                    edges[column, found] = edge
                    found += 1
        counts[column] = found + 1


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _code(table, edges, counts, nominal, codes):  # type: ignore[no-untyped-def]
    """The bin of every value; the number after the last bin where it is missing or no known level."""
    for column in range(table.shape[0]):
        count = counts[column]
        for row in range(table.shape[1]):
            value = table[column, row]
            low, high = 0, count if nominal[column] else count - 1
            if math.isnan(value):
                low = count
            else:
                while low < high:
                    middle = (low + high) // 2
                    if value <= edges[column, middle]:
                        high = middle
                    else:
                        low = middle + 1
                if nominal[column] and low < count and edges[column, low] != value:
                    low = count
            codes[column, row] = low


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _add_up(codes, columns, to_left, below, values, score):  # type: ignore[no-untyped-def]
    """Add the leaves' values to the log odds of rows."""
    for tree in range(columns.shape[0]):
        if columns[tree, 0] < 0:
            continue
        for row in range(len(score)):
            split = 0
            while split >= 0:
                left = to_left[tree, split, codes[columns[tree, split], row]]
                split = below[tree, split, 0 if left else 1]
            score[row] += values[tree, -1 - split]


# What is known of a leaf: sums of slopes and curvatures, its value, the gain of its best split, and the sums and the
# number of rows on the left side of that split; where its rows begin and end, which split is above and on which side
# of it, which histogram is its own, and the column of its best split.
SLOPE, CURVATURE, VALUE, GAIN, LEFT_SLOPE, LEFT_CURVATURE, LEFT_SIZE = range(7)
BEGIN, END, ABOVE, SIDE, HELD, COLUMN = range(6)


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _grow(  # type: ignore[no-untyped-def]
    codes, bins, offsets, nominal, missing, answer, weight, fewest, rate, score, members, aside, derivatives,
    histograms, sums, places, turns, ratios, levels, columns, to_left, below, values,
):  # fmt: skip
    """Grow all trees into `columns`, `to_left`, `below` and `values`.

    offsets: (columns,) where a column's bins begin in a histogram. bins: (rows, columns) where each value counts.
    """
    rows, leaves = len(answer), values.shape[1]
    for tree in range(values.shape[0]):
        leaf, new, grown = 0, 0, 1
        places[0, BEGIN], places[0, END], places[0, HELD] = 0, rows, 0
        sums[0, SLOPE], sums[0, CURVATURE], sums[0, VALUE] = 0.0, 0.0, 0.0
        for row in range(rows):
            # Single precision: sums of double precision are then exact, and do not hang on the order of the rows.
            shrunk = math.exp(-score[row])
            derivatives[0, row] = weight[row] * (((1 - answer[row]) - answer[row] * shrunk) / (1 + shrunk))
            derivatives[1, row] = weight[row] * (shrunk / (1 + shrunk) ** 2)
            sums[0, SLOPE] += derivatives[0, row]
            sums[0, CURVATURE] += derivatives[1, row]
        while True:
            # The histogram of the smaller side is counted; the larger one has what is left of both.
            sizes = places[leaf, END] - places[leaf, BEGIN], places[new, END] - places[new, BEGIN]
            if grown < leaves and max(sizes) >= 2 * fewest and sums[0, CURVATURE] >= SMALLEST_CURVATURE:
                smaller, larger = (leaf, new) if sizes[0] < sizes[1] else (new, leaf)
                if grown > 1:
                    places[larger, HELD], places[smaller, HELD] = places[leaf, HELD], new
                _count(
                    bins, derivatives, members, places[smaller, BEGIN], places[smaller, END],
                    histograms[places[smaller, HELD]],
                )  # fmt: skip
                if grown > 1:
                    _subtract(histograms, places[larger, HELD], places[smaller, HELD])
                for turn in range(2):
                    side = np.int64(new if turn else leaf)
                    sums[side, GAIN] = 0.0
                    if places[side, END] - places[side, BEGIN] >= 2 * fewest:
                        _find_split(
                            histograms, offsets, nominal, missing, fewest, ratios, levels, side, sums, places, turns
                        )
            else:
                sums[leaf, GAIN], sums[new, GAIN] = 0.0, 0.0
            leaf = 0
            for other in range(1, grown):
                if sums[other, GAIN] > sums[leaf, GAIN]:
                    leaf = other
            if grown == leaves or sums[leaf, GAIN] <= 0:
                break
            split, new = grown - 1, grown
            column = places[leaf, COLUMN]
            columns[tree, split] = column
            for i in range(BINS + 1):
                to_left[tree, split, i] = turns[leaf, i]
            below[tree, split, 0], below[tree, split, 1] = -1 - leaf, -1 - new
            if split > 0:
                below[tree, places[leaf, ABOVE], places[leaf, SIDE]] = split
            places[leaf, ABOVE], places[leaf, SIDE], places[new, ABOVE], places[new, SIDE] = split, 0, split, 1
            middle, spilled = places[leaf, BEGIN], 0
            for place in range(places[leaf, BEGIN], places[leaf, END]):
                row = members[place]
                if turns[leaf, codes[column, row]]:
                    members[middle] = row
                    middle += 1
                else:
                    aside[spilled] = row
                    spilled += 1
            for i in range(spilled):
                members[middle + i] = aside[i]
            places[new, BEGIN], places[new, END], places[leaf, END] = middle, places[leaf, END], middle
            sums[new, SLOPE] = sums[leaf, SLOPE] - sums[leaf, LEFT_SLOPE]
            sums[new, CURVATURE] = sums[leaf, CURVATURE] - sums[leaf, LEFT_CURVATURE]
            sums[leaf, SLOPE], sums[leaf, CURVATURE] = sums[leaf, LEFT_SLOPE], sums[leaf, LEFT_CURVATURE]
            for half in (leaf, new):
                sums[half, VALUE] = -sums[half, SLOPE] / (sums[half, CURVATURE] + TINY)
            grown += 1
        for leaf in range(grown):
            values[tree, leaf] = sums[leaf, VALUE] * rate
            for place in range(places[leaf, BEGIN], places[leaf, END]):
                score[members[place]] += values[tree, leaf]


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _count(bins, derivatives, members, begin, end, histogram):  # type: ignore[no-untyped-def]
    """Fill the histogram of a leaf: slope, curvature and number of its rows in every bin."""
    for i in range(histogram.shape[0]):
        histogram[i, 0] = 0.0
        histogram[i, 1] = 0.0
        histogram[i, 2] = 0.0
    for place in range(begin, end):
        row = members[place]
        slope, curvature = np.float64(derivatives[0, row]), np.float64(derivatives[1, row])
        # Column after column: the processor need not wait for a bin that was just written.
        for column in range(bins.shape[1]):
            i = bins[row, column]
            histogram[i, 0] += slope
            histogram[i, 1] += curvature
            histogram[i, 2] += 1.0


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _subtract(histograms, both, one):  # type: ignore[no-untyped-def]
    for i in range(histograms.shape[1]):
        for j in range(3):
            histograms[both, i, j] -= histograms[one, i, j]


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _find_split(  # type: ignore[no-untyped-def]
    histograms, offsets, nominal, missing, fewest, ratios, levels, leaf, sums, places, turns
):
    """The split of a leaf with the largest gain, written into the leaf's rows of `sums`, `places` and `turns`.

    A column is gone through from its first bin and from its last, so that missing values, and rare levels, which are
    never counted, stay once on the right side and once on the left. ratios, levels: working memory.
    """
    held, size = places[leaf, HELD], places[leaf, END] - places[leaf, BEGIN]
    slope, curvature = sums[leaf, SLOPE], sums[leaf, CURVATURE]
    best, column, edge, backward = 0.0, -1, 0, False
    for other in range(len(nominal)):
        offset, sorted_levels = offsets[other], nominal[other]
        count = offsets[other + 1] - offset - 1
        used = 0
        if sorted_levels:
            for level in range(count + missing[other]):
                weight = histograms[held, offset + level, 1]
                if weight * (size / curvature) >= SUPPORT:
                    ratio, place = histograms[held, offset + level, 0] / (weight + SUPPORT), used
                    while place > 0 and ratios[place - 1] > ratio:  # sorted by insertion: levels are few
                        ratios[place], levels[place] = ratios[place - 1], levels[place - 1]
                        place -= 1
                    ratios[place], levels[place] = ratio, level
                    used += 1
        for direction in range(2):
            if sorted_levels:
                steps = (used + 1) // 2 - direction if used > 1 else 0
            elif direction == 0:
                steps = count - 1 + missing[other]
            else:
                steps = count - 1 if missing[other] else 0
            a, b, n = 0.0, 0.0, 0.0  # slope, curvature and number of the rows gone through
            for step in range(steps):
                if sorted_levels:
                    i = offset + levels[used - 1 - step if direction else step]
                else:
                    i = offset + (count - 1 - step if direction else step)
                if histograms[held, i, 2] == 0.0:
                    continue
                a += histograms[held, i, 0]
                b += histograms[held, i, 1]
                n += histograms[held, i, 2]
                if n < fewest or b < SMALLEST_CURVATURE:
                    continue
                c, d = slope - a, curvature - b
                if size - n < fewest or d < SMALLEST_CURVATURE:
                    break
                loss = slope * sums[leaf, VALUE]
                if direction and not sorted_levels:  # what was gone through is the right side
                    gain = loss + c * (c / (d + TINY)) + a * (a / (b + TINY))
                else:
                    gain = loss + a * (a / (b + TINY)) + c * (c / (d + TINY))
                if gain > best:
                    best, column, edge, backward = gain, other, step, direction == 1
                    if direction and not sorted_levels:
                        sums[leaf, LEFT_SLOPE], sums[leaf, LEFT_CURVATURE], sums[leaf, LEFT_SIZE] = c, d, size - n
                    else:
                        sums[leaf, LEFT_SLOPE], sums[leaf, LEFT_CURVATURE], sums[leaf, LEFT_SIZE] = a, b, n
                    if sorted_levels:
                        for j in range(BINS + 1):
                            turns[leaf, j] = False
                        for j in range(step + 1):
                            turns[leaf, levels[used - 1 - j if direction else j]] = True
    if column < 0:
        return
    sums[leaf, GAIN], places[leaf, COLUMN] = best, column
    count = offsets[column + 1] - offsets[column] - 1
    if not nominal[column]:
        for j in range(count):
            turns[leaf, j] = j <= edge if not backward else j < count - 1 - edge
        turns[leaf, count] = backward
    if not missing[column]:
        turns[leaf, count] = 2 * sums[leaf, LEFT_SIZE] > size  # who is missing later goes with most
