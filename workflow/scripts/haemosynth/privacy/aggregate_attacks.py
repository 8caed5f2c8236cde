"""Membership attacks that read aggregates of a release: means, shares of levels, pairs, and how dense numbers lie.

Nearness to single records is not needed to find who took part: a release that keeps the means, the shares or the very
numbers of its training patients is a little likelier where they are (Homer et al., PLoS Genet 2008;4:e1000167;
Sankararaman et al., Nat Genet 2009;41:965). Every attack scores a patient by the release against the other attacked
patients, training and unseen ones alike, without him and without knowing who is who; all that does not depend on the
release is computed once, so that many releases of one generator can be attacked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Encoder, Matrix, Vector

GROUPS = 4  # quantile groups of a number, of training patients
NEAREST = (2, 10)  # other patients' values in the window of the attack `values`
ATTACKS = ("means", "columns", "pairs", *(f"values_{k}" for k in NEAREST))
RIDGE = 0.02  # of the mean variance of a column, added to every variance in `means`
SHARE = 0.02  # patients added to every level in `columns`
TRUST = 5.0  # patients that independence counts for in `pairs`
LEAST_SHARE = 1e-4  # of a pair of levels under independence
SAME = 1e-9  # within which two numbers are one
CHUNK = 20_000  # records whose pairs are counted at once


@dataclass(frozen=True)
class Coded:
    """Patients as the attacks read them.

    points: (patients, encoded columns). levels: (patients, columns) index of the level that each patient has, among
    the levels of all columns. numbers: (patients, numbers), NaN where a patient has none.
    """

    points: Matrix
    levels: NDArray[np.intp]
    numbers: Matrix

    def rows(self, which: slice | NDArray[np.intp]) -> Coded:
        """Some of the patients."""
        return Coded(self.points[which], self.levels[which], self.numbers[which])


@dataclass(frozen=True)
class Coder:
    """How patients are coded, learned from training patients.

    edges: column -> edges of its groups. owner: (levels,) column of each level; plain: (levels,) whether it is one of
    a level or alteration, not a group of numbers. endpoints: whose times are split by event. genes: whose allele
    fraction and read depth are numbers too.
    """

    encoder: Encoder
    edges: Mapping[str, Vector]
    owner: NDArray[np.intp]
    plain: NDArray[np.bool_]
    endpoints: tuple[str, ...]
    genes: tuple[str, ...]

    def code(self, cohort: Cohort) -> Coded:
        """The patients of a cohort."""
        codes: list[NDArray[np.intp]] = []
        for name, edges in self.edges.items():
            values = cohort.clinical[name].to_numpy(float)
            found = np.searchsorted(edges, values, side="left")
            codes.append(np.where(np.isnan(values), len(edges) + 1, found))
        for name, levels in self.encoder.levels:
            own = pd.Index(levels).get_indexer(pd.Index(cohort.clinical[name].astype(object)))
            missing = cohort.clinical[name].isna().to_numpy()
            codes.append(np.where(missing, len(levels) + 1, np.where(own < 0, len(levels), own)))
        if self.encoder.alterations:
            assert cohort.alterations is not None
            states = cohort.alterations[list(self.encoder.alterations)].to_numpy(float)
            codes += list(np.where(np.isnan(states), 2, states).astype(np.intp).T)
        starts = np.searchsorted(self.owner, np.arange(len(codes)))
        levels_of = np.column_stack(codes) + starts if codes else np.empty((len(cohort), 0), dtype=np.intp)
        return Coded(self.encoder.points(cohort), levels_of.astype(np.intp), self._numbers(cohort))

    def _numbers(self, cohort: Cohort) -> Matrix:
        columns: list[Vector] = []
        times = {f"{endpoint}_time": f"{endpoint}_event" for endpoint in self.endpoints}
        for name in self.edges:
            values = cohort.clinical[name].to_numpy(float)
            if name not in times:
                columns.append(values)
                continue
            event = cohort.clinical[times[name]].to_numpy(float)
            columns += [np.where(event == happened, values, np.nan) for happened in (0, 1)]
        columns += _of_mutations(cohort, self.genes)
        return np.column_stack(columns) if columns else np.empty((len(cohort), 0))


def learn_codes(train: Cohort, encoder: Encoder) -> Coder:
    """How to code patients, from the training patients whom `encoder` was fitted to."""
    events = {f"{endpoint}_event" for endpoint in train.schema.endpoints}
    edges: dict[str, Vector] = {}
    for name, _, _ in encoder.numbers:
        known = train.clinical[name].dropna().to_numpy(float)
        if name in events:
            edges[name] = np.array([0.5])
        elif len(known):
            edges[name] = np.unique(np.quantile(known, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        else:
            edges[name] = np.empty(0)
    sizes = [len(own) + 2 for own in edges.values()]
    sizes += [len(levels) + 2 for _, levels in encoder.levels] + [3] * len(encoder.alterations)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    genes: tuple[str, ...] = ()
    if train.mutations is not None and len(train.mutations):
        genes = tuple(gene for gene in train.schema.genes if (train.mutations["gene"] == gene).any())
    return Coder(encoder, edges, owner, owner >= len(edges), tuple(train.schema.endpoints), genes)


def _of_mutations(cohort: Cohort, genes: Sequence[str]) -> list[Vector]:
    """For each gene the largest allele fraction and the read depth of each carrier's mutation, NaN for others."""
    found = []
    mutations = cohort.mutations
    for gene in genes:
        own = [np.full(len(cohort), np.nan) for _ in range(2)]
        if mutations is not None:
            rows = mutations[(mutations["gene"] == gene) & mutations["vaf"].notna()]
            rows = rows.sort_values("vaf", kind="stable").drop_duplicates("patient_id", keep="last")
            where = cohort.patients.get_indexer(pd.Index(rows["patient_id"]))
            rows, where = rows[where >= 0], where[where >= 0]
            own[0][where] = rows["vaf"].to_numpy(float)
            own[1][where] = (rows["alt_count"] + rows["ref_count"]).to_numpy(float)
        found += own
    return found


@dataclass(frozen=True)
class Windows:
    """For every number of every attacked patient, the least window about it that holds the k nearest other values.

    rows, low, high, others: of each number the patients who have it, the ends of their windows, and how many other
    patients lie inside; numbers that too few patients have are left out (None). patients: attacked in all.
    """

    of: tuple[tuple[NDArray[np.intp], Vector, Vector, Vector] | None, ...]
    patients: int


def windows(numbers: Matrix, nearest: int) -> Windows:
    """The windows of all attacked patients.  numbers: (patients, numbers), NaN where a patient has none."""
    found: list[tuple[NDArray[np.intp], Vector, Vector, Vector] | None] = []
    for values in numbers.T:
        rows = np.flatnonzero(~np.isnan(values))
        if len(rows) < nearest + 2:
            found.append(None)
            continue
        own = values[rows]
        ordered = np.sort(own)
        place = nearest + np.searchsorted(ordered, own)
        beyond = np.full(nearest, np.inf)
        near = np.concatenate([-beyond, ordered, beyond])[place[:, None] + np.arange(-nearest, nearest + 1)]
        reach = np.sort(np.abs(near - own[:, None]), axis=1)[:, nearest]
        low, high = own - reach - SAME, own + reach + SAME
        others = np.searchsorted(ordered, high, "right") - np.searchsorted(ordered, low, "left") - 1
        found.append((rows, low, high, others.astype(float)))
    return Windows(tuple(found), numbers.shape[0])


def values_scores(attacked: Windows, released: Matrix) -> Vector:
    """(patients,) log of how dense the release is round a patient's numbers, less that of the other patients; summed.

    Args:
        released: (records, numbers), NaN where a record has none.
    """
    scores = np.zeros(attacked.patients)
    for window, values in zip(attacked.of, released.T, strict=True):
        if window is None:
            continue
        rows, low, high, others = window
        ordered = np.sort(values[~np.isnan(values)])
        if not len(ordered):  # a number that the release does not give at all tells nothing
            continue
        inside = np.searchsorted(ordered, high, "right") - np.searchsorted(ordered, low, "left")
        expected = len(values) * others / (attacked.patients - 1)
        scores[rows] += np.log(inside + 1.0) - np.log(expected + 1.0)
    return scores


def attack_values(numbers: Matrix, released: Matrix) -> dict[str, Vector]:
    """The attacks `values_k` on numbers alone, whatever they measure.

    Args:
        numbers: (attacked patients, numbers). released: (records, numbers). NaN where one has none.
    """
    return {f"values_{k}": values_scores(windows(numbers, k), released) for k in NEAREST}


@dataclass(frozen=True)
class Attacked:
    """The attacked patients, with all that does not depend on a release."""

    real: Coded
    coder: Coder
    away: Matrix  # (patients, encoded columns) weights of `means`: what is far from the others, over the covariance
    others_mean: Matrix  # (patients, encoded columns) mean of the other patients
    log_share: Vector  # (patients, columns) log share of the level of each patient among the others
    onehot: Matrix  # (patients, levels)
    log_pairs: Vector  # (patients,) sum over pairs of columns of the log share among the others
    apart: NDArray[np.bool_]  # (levels, levels) whether two levels are of different columns
    windows: tuple[Windows, ...]


def prepare_attacks(real: Coded, coder: Coder) -> Attacked:
    """What the attacks need of the attacked patients `real`, training and unseen ones."""
    points, n = real.points, len(real.points)
    mean = points.mean(axis=0)
    covariance = np.cov(points.T, bias=True).reshape(points.shape[1], points.shape[1])
    ridge = RIDGE * float(np.trace(covariance)) / len(covariance) + 1e-12
    others_mean = (n * mean - points) / (n - 1)
    away = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), (points - others_mean).T).T
    onehot = _onehot(real.levels, len(coder.owner))
    apart = coder.owner[:, None] != coder.owner[None, :]
    together = onehot.T @ onehot
    share = np.diag(together) / n
    expected = np.maximum(np.outer(share, share), LEAST_SHARE)
    of_others = np.log((np.maximum(together - 1, 0) + TRUST * expected) / (n - 1 + TRUST))
    log_pairs = _over_pairs(onehot, np.where(apart, of_others, 0))
    others = np.log(np.maximum(np.diag(together) - 1, 0) + SHARE) - np.log(n - 1 + 3 * SHARE)
    return Attacked(
        real, coder, away, others_mean, np.asarray(others[real.levels]), onehot, log_pairs, apart,
        tuple(windows(real.numbers, k) for k in NEAREST),
    )  # fmt: skip


def attack_aggregates(attacked: Attacked, released: Coded) -> dict[str, Vector]:
    """Score every attacked patient by each of ATTACKS, higher says that he took part.

    means    (x - m_others)' S^-1 (m_release - m_others) of the encoded record, S with a ridge
    columns  log of the share of each column's level in the release over that in the other patients, summed
    pairs    the same of each pair of columns, drawn towards independence
    values_k levels and alterations as in `columns`; numbers by how dense the release is where the k nearest other
             patients' values lie, times within their event
    """
    coder, n = attacked.coder, len(released.points)
    counts = np.bincount(released.levels.ravel(), minlength=len(coder.owner)).astype(float)
    of_release = np.log(counts + SHARE) - np.log(n + 3 * SHARE)
    by_column = of_release[attacked.real.levels] - attacked.log_share
    plain = coder.plain[attacked.real.levels]
    levels = (by_column * plain).sum(axis=1)
    moved = released.points.mean(axis=0) - attacked.others_mean
    expected = np.maximum(np.outer(counts, counts) / n**2, LEAST_SHARE)
    together = np.log((_together(released.levels, len(coder.owner)) + TRUST * expected) / (n + TRUST))
    found = {
        "means": np.einsum("ij,ij->i", attacked.away, moved),
        "columns": by_column.sum(axis=1),
        "pairs": _over_pairs(attacked.onehot, np.where(attacked.apart, together, 0)) - attacked.log_pairs,
    }
    for k, own in zip(NEAREST, attacked.windows, strict=True):
        found[f"values_{k}"] = levels + values_scores(own, released.numbers)
    return found


def _onehot(levels: NDArray[np.intp], count: int) -> Matrix:
    found = np.zeros((len(levels), count))
    found[np.arange(len(levels))[:, None], levels] = 1
    return found


def _together(levels: NDArray[np.intp], count: int) -> Matrix:
    """(levels, levels) records that have both, counted in parts: a large release would not fit into memory."""
    found = np.zeros((count, count))
    for start in range(0, len(levels), CHUNK):
        part = _onehot(levels[start : start + CHUNK], count)
        found += part.T @ part
    return found


def _over_pairs(onehot: Matrix, of_pair: Matrix) -> Vector:
    """(patients,) sum of `of_pair` over the pairs of levels that each patient has."""
    return np.asarray(np.einsum("ij,ij->i", onehot @ of_pair, onehot) / 2)
