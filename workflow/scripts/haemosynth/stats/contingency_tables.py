"""Records as cells: every column coded into few states, and the counts, entropies and distances of their combinations.

What is missing is a state of its own: it is neither the most frequent level nor an absent alteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.stats.association import FEWEST, Matrix, cramers_v
from haemosynth.stats.distributions import total_variation

Vector = NDArray[np.float64]
Codes = NDArray[np.intp]
GROUPS = ("demographic", "laboratory", "disease", "comorbidity")
CLINICAL, GENOMIC, JOINT_MODALITY = RECORD, ALTERED, "joint"


@dataclass(frozen=True)
class Coding:
    """Columns and alterations as states, fixed by training patients.

    numbers: inner cut points of every number, a value equal to one is below it. levels: known levels of every
    column of levels; a level unknown to them is one state more. Derived columns are left out: they add no variety.
    """

    numbers: dict[str, Vector]
    levels: dict[str, tuple[str, ...]]
    alterations: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names, in the order of the codes: numbers, levels, alterations."""
        return (*self.numbers, *self.levels, *self.alterations)

    @property
    def sizes(self) -> Codes:
        """States of every column; the last one is `missing`.  (columns,)"""
        counts = [len(cuts) + 2 for cuts in self.numbers.values()] + [len(known) + 2 for known in self.levels.values()]
        return np.array(counts + [3] * len(self.alterations), dtype=np.intp)

    def modality(self, columns: Sequence[int]) -> str:
        """clinical, genomic, or joint where these columns are of both."""
        clinical = len(self.numbers) + len(self.levels)
        kinds = {CLINICAL if i < clinical else GENOMIC for i in columns}
        return kinds.pop() if len(kinds) == 1 else JOINT_MODALITY

    def named(self, columns: Sequence[int]) -> str:
        """`a`, `a~b` or `a~b~c`."""
        return "~".join(self.columns[i] for i in columns)

    def codes(self, cohort: Cohort) -> Codes:
        """(patients, columns) of states, from 0; the last state of a column is `missing`."""
        coded: list[Codes] = []
        for name, cuts in self.numbers.items():
            values = cohort.clinical[name].to_numpy(np.float64)
            coded.append(np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values)))
        for name, known in self.levels.items():
            column = cohort.clinical[name]
            place = pd.Index(known).get_indexer(pd.Index([str(level) for level in column.cat.categories]))
            place = np.append(np.where(place < 0, len(known), place), len(known) + 1)
            coded.append(place[column.cat.codes.to_numpy()])
        if self.alterations and cohort.alterations is not None:
            states = cohort.alterations[list(self.alterations)].to_numpy(np.float64)
            coded.extend(np.where(np.isnan(states), 2, states).T.astype(np.intp))
        return np.column_stack(coded) if coded else np.empty((len(cohort), 0), dtype=np.intp)


def fit_coding(train: Cohort, bins: int) -> Coding:
    """States of every underived column: numbers in `bins` parts of equal shares of training patients where ties allow.

    Events of endpoints are numbers 0 and 1 and so have two states. Columns without a known training value are left out.
    """
    numbers: dict[str, Vector] = {}
    levels: dict[str, tuple[str, ...]] = {}
    for name, column in train.schema.recorded.items():
        observed = train.clinical[name].dropna()
        if not len(observed):
            continue
        if column.kind == "event":
            numbers[name] = np.array([0.5])
        elif column.numeric:
            cuts = np.unique(np.quantile(observed, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
            numbers[name] = cuts[cuts < observed.max()]
        else:
            levels[name] = tuple(str(level) for level in train.clinical[name].cat.categories)
    return Coding(numbers, levels, tuple(train.schema.alterations) if train.alterations is not None else ())


def associate_codes(codes: Codes, sizes: Codes) -> Matrix:
    """Bias-corrected Cramér's V of every pair of coded columns, where neither is missing; 0 where it cannot be read."""
    found = np.zeros((len(sizes),) * 2)
    for i, j in combinations(range(len(sizes)), 2):
        known = (codes[:, i] < sizes[i] - 1) & (codes[:, j] < sizes[j] - 1)
        if known.sum() >= FEWEST:
            found[i, j] = found[j, i] = np.nan_to_num(cramers_v(codes[known, i], codes[known, j]))
    return found


def find_strongest(
    association: Matrix, coding: Coding, order: int, most: int, repeats: int = 5
) -> tuple[tuple[int, ...], ...]:
    """The `most` sets of `order` (2 or 3) columns of every modality with the largest sum of pairwise associations.

    In sets of both modalities only pairs across them count. No column is in more than `repeats` sets of a
    modality, or the endpoints, which are strongly coupled, would fill them all.
    """
    sets = np.array(list(combinations(range(len(association)), order)), dtype=np.intp).reshape(-1, order)
    genomic = sets >= len(coding.numbers) + len(coding.levels)
    mixed = genomic.any(axis=1) & ~genomic.all(axis=1)
    total = np.zeros(len(sets))
    for a, b in combinations(range(order), 2):
        total += association[sets[:, a], sets[:, b]] * (~mixed | (genomic[:, a] != genomic[:, b]))
    chosen: list[tuple[int, ...]] = []
    for of_modality in (~genomic.any(axis=1), genomic.all(axis=1), mixed):
        own = np.flatnonzero(of_modality & (total > 0))
        used, wanted = np.zeros(len(association), dtype=np.intp), len(chosen) + most
        for k in own[np.argsort(-total[own], kind="stable")]:
            if len(chosen) == wanted:
                break
            if (used[sets[k]] < repeats).all():
                used[sets[k]] += 1
                chosen.append(tuple(sets[k].tolist()))
    return tuple(chosen)


def choose_blocks(
    train: Cohort, coding: Coding, association: Matrix, columns: int, events: int
) -> dict[str, tuple[int, ...]]:
    """Sets of columns that belong together: the `columns` most associated ones of every group, and the `events` most
    frequent alterations. Groups of one column have no combinations and are left out."""
    found: dict[str, tuple[int, ...]] = {}
    names = coding.columns
    clinical = [*coding.numbers, *coding.levels]
    for group in GROUPS:
        own = np.array([i for i, name in enumerate(clinical) if train.schema.columns[name].group == group], dtype=int)
        order = np.argsort(-association[np.ix_(own, own)].sum(axis=1), kind="stable")[:columns]
        if len(own) > 1:
            found[group] = tuple(np.sort(own[order]).tolist())
    if len(coding.alterations) > 1 and train.alterations is not None:
        carriers = train.alterations[list(coding.alterations)].sum().to_numpy()
        most = [coding.alterations[k] for k in np.argsort(-carriers, kind="stable")[:events]]
        found["alterations"] = tuple(sorted(names.index(name) for name in most))
    return found


@dataclass(frozen=True)
class CellDesign:
    """What training patients fix for all candidates.

    pairs, triples: positions of the most associated columns in `coding.columns`. blocks: name -> positions of the
    columns of a block. ranges: the 1-99 % range of every number that is not an event.
    """

    coding: Coding
    pairs: tuple[tuple[int, ...], ...]
    triples: tuple[tuple[int, ...], ...]
    blocks: Mapping[str, tuple[int, ...]]
    ranges: Mapping[str, tuple[float, float]]


def design_cells(train: Cohort, settings: Mapping[str, Any]) -> CellDesign:
    """Code the columns and choose their combinations from training patients.

    Settings: bins (parts of a number), pairs (pairs, and triples, of each modality), block_columns and block_events
    (columns of a clinical block, alterations of theirs).
    """
    coding = fit_coding(train, int(settings["bins"]))
    association = associate_codes(coding.codes(train), coding.sizes)
    pairs, triples = (find_strongest(association, coding, order, int(settings["pairs"])) for order in (2, 3))
    sizes = int(settings["block_columns"]), int(settings["block_events"])
    ranges = {}
    for name in coding.numbers:
        if train.schema.columns[name].kind != "event":
            low, high = np.quantile(train.clinical[name].dropna(), [0.01, 0.99])
            ranges[name] = float(low), float(high)
    return CellDesign(coding, pairs, triples, choose_blocks(train, coding, association, *sizes), ranges)


def count_distance(first: Vector, second: Vector) -> float:
    """Total variation of two sets of counts, each as shares."""
    return total_variation(first / first.sum(), second / second.sum())


def cell_counts(first: Codes, second: Codes, sizes: Codes, columns: Sequence[int]) -> tuple[Vector, Vector]:
    """Counts of the combined states of `columns` that either side has.  2 (patients, columns) -> 2 (cells,)"""
    keys = [
        np.ravel_multi_index(tuple(side[:, i] for i in columns), tuple(sizes[list(columns)]))
        for side in (first, second)
    ]
    cells, where = np.unique(np.concatenate(keys), return_inverse=True)
    own = where[: len(first)], where[len(first) :]
    counts = [np.bincount(side, minlength=len(cells)).astype(np.float64) for side in own]
    return counts[0], counts[1]


def plug_in(counts: Vector) -> float:
    """Entropy of the observed shares, in nats; too small by about (cells - 1) / 2n."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share @ np.log(share)))


def miller_madow(counts: Vector) -> float:
    """Entropy in nats with the correction of its bias to first order, (occupied cells - 1) / 2n.

    Miller, in Quastler (ed.), Information Theory in Psychology, 1955.
    """
    return plug_in(counts) + float((np.count_nonzero(counts) - 1) / (2 * counts.sum()))


def chao_shen(counts: Vector) -> float:
    """Entropy in nats where many cells were seen once or never: shares are shrunk by the estimated coverage
    1 - (cells seen once) / n, and each cell is weighted by the inverse chance that it is seen at all.

    Chao and Shen, Environ Ecol Stat 2003;10:429.
    """
    n = counts.sum()
    once = min(float((counts == 1).sum()), n - 1)  # all seen once: coverage would be zero
    share = counts[counts > 0] / n * (1 - once / n)
    return float(-(share * np.log(share) / -np.expm1(n * np.log1p(-np.minimum(share, 1 - 1e-12)))).sum())
