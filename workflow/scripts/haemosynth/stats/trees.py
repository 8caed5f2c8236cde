"""Votes of randomised trees that have not seen the patient they vote on."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from haemosynth.core.arrays import Matrix, Vector
from haemosynth.core.streams import torch_seed


def out_of_bag_votes(
    points: Matrix, answer: Vector, trees: int, rng: np.random.Generator, min_samples_leaf: int = 1
) -> Vector:
    """Mean share of answer 1 in the leaves that a row falls into, over the trees whose bootstrap sample it is not in.

    Extremely randomised trees (Geurts, Ernst and Wehenkel, Mach Learn 2006;63:3) on bootstrap samples, as
    scikit-learn's `ExtraTreesClassifier(bootstrap=True)` grows them: a node looks at the square root of the number of
    columns, at one random threshold in each, and at further columns as long as all were constant. On some hundred
    patients a library spends most of its time between the trees; here no tree outlives its votes.

    Args:
        points: (rows, columns) finite numbers. answer: (rows,) of 0 and 1.
        min_samples_leaf: rows of the bootstrap sample at least in a leaf, each counted once.

    Returns:
        (rows,) the votes, 0.5 for a row that every sample holds.
    """
    columns = np.ascontiguousarray(points.T, dtype=np.float64)
    answer = np.ascontiguousarray(answer, dtype=np.float64)
    votes, voters = _vote(columns, answer, trees, min_samples_leaf, torch_seed(rng))
    return np.where(voters > 0, votes / np.maximum(voters, 1.0), 0.5)


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _vote(columns: Matrix, answer: Vector, trees: int, fewest: int, seed: int) -> tuple[Vector, Vector]:
    """(rows,) votes of all trees together, and how many trees voted."""
    count, rows = columns.shape
    looked_at = max(1, int(math.sqrt(count)))
    state = np.array([seed], dtype=np.uint64)
    votes, voters = np.zeros(rows), np.zeros(rows)
    places = np.arange(count)
    for _ in range(trees):
        weight = np.zeros(rows)
        for _ in range(rows):
            weight[int(_uniform(state) * rows)] += 1.0
        grown = np.flatnonzero(weight > 0)
        voting = np.flatnonzero(weight == 0)
        nodes = [(0, len(grown), 0, len(voting))]  # where the rows of a node begin and end among both
        while nodes:
            begin, end, first, last = nodes.pop()
            if first == last:
                continue
            whole, ones = 0.0, 0.0
            for i in grown[begin:end]:
                whole += weight[i]
                ones += weight[i] * answer[i]
            column, threshold = -1, 0.0
            if 0.0 < ones < whole and end - begin >= 2 * fewest:
                column, threshold = _split(columns, answer, weight, grown[begin:end], places, looked_at, fewest, state)
            if column < 0:
                for i in voting[first:last]:
                    votes[i] += ones / whole
                    voters[i] += 1.0
                continue
            middle = begin + _part(columns[column], threshold, grown[begin:end])
            between = first + _part(columns[column], threshold, voting[first:last])
            nodes.append((begin, middle, first, between))
            nodes.append((middle, end, between, last))
    return votes, voters


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _split(columns, answer, weight, members, places, looked_at, fewest, state):  # type: ignore[no-untyped-def]
    """The best of a few random thresholds by Gini's index; -1 where none leaves enough rows on both sides.

    places: the columns in any order, which is left shuffled.
    """
    best, column, threshold = -1.0, -1, 0.0
    constant = 0
    for looked in range(len(places)):
        if looked >= looked_at and constant < looked:
            break
        other = looked + int(_uniform(state) * (len(places) - looked))
        places[looked], places[other] = places[other], places[looked]
        values = columns[places[looked]]
        low, high = math.inf, -math.inf
        for i in members:
            low, high = min(low, values[i]), max(high, values[i])
        if low == high:
            constant += 1
            continue
        cut = low + _uniform(state) * (high - low)
        if cut >= high:
            cut = low
        left, left_ones, right, right_ones, below = 0.0, 0.0, 0.0, 0.0, 0
        for i in members:
            if values[i] <= cut:
                below += 1
                left += weight[i]
                left_ones += weight[i] * answer[i]
            else:
                right += weight[i]
                right_ones += weight[i] * answer[i]
        if below < fewest or len(members) - below < fewest:
            continue
        purity = (left_ones**2 + (left - left_ones) ** 2) / left + (right_ones**2 + (right - right_ones) ** 2) / right
        if purity > best:
            best, column, threshold = purity, places[looked], cut
    return column, threshold


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _part(values: Vector, threshold: float, members):  # type: ignore[no-untyped-def]
    """Put the rows up to the threshold before the others.  -> how many they are"""
    below = 0
    for place in range(len(members)):
        if values[members[place]] <= threshold:
            members[below], members[place] = members[place], members[below]
            below += 1
    return below


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _uniform(state):  # type: ignore[no-untyped-def]
    """The next number in [0, 1) of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
