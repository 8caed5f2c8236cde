"""A tree of noisy marginals: the model behind the private generators of either modality.

Every variable is a number of levels that are known beforehand. All one-way counts are measured with noise; a spanning
tree of pairs is chosen by the exponential mechanism for what the one-way counts do not show; the pairs of the tree are
measured with noise; patients are drawn from the root outwards (MST: McKenna, Miklau and Sheldon, J Priv Confid
2021;11(3); PrivBayes: Zhang et al., ACM Trans Database Syst 2017;42(4):25). What follows a measurement (thresholds,
shrinkage, fitting the parts to each other) sees noisy counts alone and costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtri

from haemosynth.privacy.accountant import Noise, variance_of

EMPTY = 2.0  # standard deviations of noise up to which a lesser half is taken to be empty
CONTINGENCY = 0.2  # mean square root contingency that a table of pairs should show as clearly as its noise
SURE = 0.9  # share of the draws of noise alone after which one-way counts are taken to be even
SWEEPS = 50  # of iterative proportional fitting


@dataclass(frozen=True)
class Domain:
    """The levels of one variable, known beforehand.

    runs: levels in groups; those of a group lie in an order (a power of two of them), a lone level is by itself.
    block: variables of a block describe the same patients, those of a higher block fewer of them.
    alone: drawn from its own counts; it is in no pair.
    """

    size: int
    runs: tuple[tuple[int, ...], ...]
    block: int = 0
    alone: bool = False


@dataclass(frozen=True)
class Tree:
    """The fitted tree.

    order: variables as they are drawn. parent: (variables,) or -1. coarse: for each variable (levels,) group of each
    level as a child sees it. table: for each drawn variable (groups of the parent, levels) probabilities.
    """

    order: tuple[int, ...]
    parent: tuple[int, ...]
    coarse: tuple[np.ndarray, ...]
    table: Mapping[int, np.ndarray]

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and plain data from which `load` makes the same tree."""
        arrays = {f"tree.coarse.{i:03d}": coarse for i, coarse in enumerate(self.coarse)}
        arrays |= {f"tree.table.{i:03d}": table for i, table in self.table.items()}
        return arrays, {"order": list(self.order), "parent": list(self.parent)}

    @staticmethod
    def load(arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> Tree:
        """The tree that `save` wrote."""
        coarse = tuple(arrays[f"tree.coarse.{i:03d}"] for i in range(len(plain["parent"])))
        table = {i: arrays[f"tree.table.{i:03d}"] for i in plain["order"]}
        return Tree(tuple(plain["order"]), tuple(plain["parent"]), coarse, table)

    def probability(self, i: int, levels: np.ndarray) -> np.ndarray:
        """(patients, levels of i) given the (patients, variables) levels drawn so far."""
        above = self.parent[i]
        rows = self.coarse[above][levels[:, above]] if above >= 0 else np.zeros(len(levels), dtype=np.int64)
        return np.asarray(self.table[i][rows])


def fit_tree(
    levels: np.ndarray,
    domains: Sequence[Domain],
    spent: Mapping[str, float],
    noise: Noise,
    *,
    bins: int,
    root: int = 0,
    given: int = 0,
) -> Tree:
    """Measure and fit.

    Args:
        levels: (patients, variables) level, -1 where a patient does not count for the variable.
        domains: the variables.
        spent: zCDP budgets of `marginals`, `selection` and `pairs`.
        noise: where randomness comes from.
        bins: groups of ordered levels in a pair, at most; fewer where noise would drown them.
        root: the variable that is drawn first, where none is given.
        given: so many variables at the front are parents only, and are not drawn.
    """
    count = len(domains)
    one = one_way(levels, domains, spent["marginals"], noise)
    alone = [i for i, domain in enumerate(domains) if domain.alone]
    free = [i for i in range(given, count) if i not in alone]
    edges = len(free) if given else len(free) - 1
    pair_variance = variance_of(spent["pairs"], max(edges, 1))
    coarse = [coarsen(p, d, math.sqrt(pair_variance), bins) for p, d in zip(one, domains, strict=True)]
    grouped = [np.bincount(c, weights=p) for c, p in zip(coarse, one, strict=True)]
    codes = np.stack([np.where(levels[:, i] < 0, -1, c[levels[:, i]]) for i, c in enumerate(coarse)], axis=1)

    def expected(i: int, j: int) -> np.ndarray:
        n = min(grouped[i].sum(), grouped[j].sum())
        return np.asarray(np.outer(grouped[i] / grouped[i].sum(), grouped[j] / grouped[j].sum()) * n)

    def counts(i: int, j: int) -> np.ndarray:
        both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
        width = len(grouped[j])
        return count_levels(codes[both, i] * width + codes[both, j], len(grouped[i]) * width).reshape(-1, width)

    def score(i: int, j: int) -> float:
        return gain(counts(i, j), expected(i, j), float(pair_variance))

    parent = [-1] * count
    first = [root, *alone] if free and not given else alone
    placed = list(range(given)) if given else [root]
    order = list(first)
    table = {i: (one[i] / one[i].sum())[None] for i in first}
    strength = math.sqrt(8.0 * spent["selection"] / max(edges, 1))
    known: dict[tuple[int, int], float] = {}
    for _ in range(edges):
        pairs = [(i, j) for i in placed for j in free if j not in placed]
        known |= {pair: score(*pair) for pair in pairs if pair not in known}
        i, j = pairs[noise.choice(np.array([known[pair] for pair in pairs]), strength)]
        joint = fit_pair(noise.add_noise(counts(i, j), pair_variance), expected(i, j), float(pair_variance))
        # Inside a group of levels the shares are those of the one-way counts, whatever the parent.
        inside = one[j] / np.maximum(grouped[j], 1e-300)[coarse[j]]
        empty = grouped[j][coarse[j]] == 0
        inside[empty] = (1.0 / np.bincount(coarse[j]))[coarse[j]][empty]
        table[j] = conditional(joint, grouped[j])[:, coarse[j]] * inside
        parent[j] = i
        placed.append(j)
        order.append(j)
    return Tree(tuple(order), tuple(parent), tuple(coarse), table)


def one_way(levels: np.ndarray, domains: Sequence[Domain], rho: float, noise: Noise) -> list[np.ndarray]:
    """Each variable's counts, (levels,) of at least 0, at the zCDP cost `rho` for all of them."""
    # A patient stands in at most one cell of each table: squared sensitivity is the number of tables.
    variance = variance_of(rho, len(domains))
    noisy = [noise.add_noise(count_levels(levels[:, i], domain.size), variance) for i, domain in enumerate(domains)]
    totals = _totals(noisy, domains)
    return [denoise(c, d, float(variance), totals[d.block]) for c, d in zip(noisy, domains, strict=True)]


def count_levels(levels: np.ndarray, size: int) -> np.ndarray:
    """(size,) patients at each level; -1 counts nowhere."""
    return np.bincount(levels[levels >= 0], minlength=size)


def gain(counts: np.ndarray, expected: np.ndarray, variance: float) -> float:
    """What a pair's counts show beyond independence: L1 distance from it, less what chance and noise would make of it.

    One patient changes one count by one, and so the gain by at most one.
    """
    chance = np.sqrt(2 / np.pi) * np.sqrt(expected + variance).sum()
    return float(np.abs(counts - expected).sum() - chance)


def _totals(noisy: Sequence[np.ndarray], domains: Sequence[Domain]) -> dict[int, float]:
    """Patients of each block: mean of the sums of its tables, weighted by precision; at least 1."""
    found = {}
    for block in sorted({domain.block for domain in domains}):
        own = [c for c, domain in zip(noisy, domains, strict=True) if domain.block == block]
        weight = np.array([1.0 / len(c) for c in own])
        found[block] = max(1.0, float(np.average([c.sum() for c in own], weights=weight)))
    return found


def denoise(noisy: np.ndarray, domain: Domain, variance: float, total: float) -> np.ndarray:
    """(levels,) counts of at least 0 that add up to `total`, from noisy ones.

    Sums of runs are shrunk towards even shares by what noise puts into their spread (James and Stein, Berkeley Symp
    1961). A run is halved again and again; halves differ only where their difference passes the universal threshold of
    wavelet coefficients (Donoho and Johnstone, Biometrika 1994;81:425), and the lesser half is empty where noise alone
    could make what is in it: wide ranges keep no patients in their far ends by noise.
    """
    sums = np.array([noisy[list(run)].sum() for run in domain.runs])
    size = np.array([len(run) for run in domain.runs])
    sums = sums + (total - sums.sum()) * size / size.sum()
    deviation = sums - total / len(sums)
    energy = float((deviation**2).sum())
    spread = variance * float((size * (1.0 - size / size.sum())).sum())
    # What nine in ten draws of noise alone stay below: at small budgets a column is even, not all in one level.
    spread *= float(chdtri(len(sums) - 1, 1 - SURE)) / (len(sums) - 1) if len(sums) > 1 else 1.0
    keep = max(0.0, 1.0 - spread / energy) if energy > 0 else 0.0
    sums = onto_simplex(total / len(sums) + keep * deviation, total)
    out = np.zeros(domain.size)
    for run, whole in zip(domain.runs, sums, strict=True):
        out[list(run)] = _divide(noisy[list(run)], float(whole), math.sqrt(variance))
    return out


def _divide(noisy: np.ndarray, whole: float, deviation: float) -> np.ndarray:
    """`whole` divided among the cells of a run, halves before quarters."""
    size = len(noisy)
    if size == 1:
        return np.array([whole])
    left, right = float(noisy[: size // 2].sum()), float(noisy[size // 2 :].sum())
    noise = deviation * math.sqrt(size / 2)  # of either half
    difference = left - right
    if abs(difference) <= noise * math.sqrt(2.0) * math.sqrt(2.0 * math.log(size)):
        difference = 0.0
    less = (whole - abs(difference)) / 2
    if (difference and less < EMPTY * noise) or less < 0:
        less = 0.0
    parts = (whole - less, less) if difference > 0 else (less, whole - less)
    return np.concatenate(
        [_divide(noisy[: size // 2], parts[0], deviation), _divide(noisy[size // 2 :], parts[1], deviation)]
    )


def onto_simplex(values: np.ndarray, total: float) -> np.ndarray:
    """The nearest vector of numbers of at least 0 that add up to `total` (Held et al., Math Program 1974;6:62)."""
    ordered = np.sort(values)[::-1]
    excess = (np.cumsum(ordered) - total) / np.arange(1, len(values) + 1)
    last = np.flatnonzero(ordered - excess >= 0)[-1]
    return np.asarray(np.maximum(values - excess[last], 0.0))


def coarsen(counts: np.ndarray, domain: Domain, deviation: float, bins: int) -> np.ndarray:
    """(levels,) the group of each level in a table of pairs: runs cut into groups of like mass, rare levels together.

    With k groups a side, an association phi of n patients moves a table by about phi n / k in all (root of the sum
    of squares), its noise by k - 1 deviations: k = sqrt(phi n / deviation), within 2 to `bins`.
    """
    total = float(counts.sum())
    wanted = bins if deviation == 0 else int(np.clip(math.sqrt(CONTINGENCY * total / deviation), 2, bins))
    code = np.zeros(domain.size, dtype=np.int64)
    rare = [run[0] for run in domain.runs if len(run) == 1 and counts[run[0]] < 2 * deviation]
    used = 0
    if len(rare) > 1:
        code[rare], used = used, used + 1
    for run in domain.runs:
        if len(rare) > 1 and len(run) == 1 and run[0] in rare:
            continue
        own = counts[list(run)]
        mass = own.sum()
        groups = max(1, round(wanted * mass / total)) if len(run) > 1 else 1
        middle = (np.cumsum(own) - own / 2) / mass if mass > 0 else np.zeros(len(run))
        part = np.minimum((middle * groups).astype(np.int64), groups - 1)
        _, part = np.unique(part, return_inverse=True)
        code[list(run)], used = used + part, used + int(part.max()) + 1
    return code


def fit_pair(noisy: np.ndarray, expected: np.ndarray, variance: float) -> np.ndarray:
    """Counts of a pair with the margins of `expected`: independence, plus what the noisy counts say beyond noise.

    Deviations from independence, their rows and columns centred, are shrunk by the share of them that noise explains
    (James and Stein), and the sum is brought to the margins by iterative proportional fitting (Deming and Stephan, Ann
    Math Stat 1940;11:427).
    """
    rest = noisy - expected
    rest = rest - rest.mean(axis=0, keepdims=True) - rest.mean(axis=1, keepdims=True) + rest.mean()
    energy = float((rest**2).sum())
    freedom = (rest.shape[0] - 1) * (rest.shape[1] - 1)
    keep = max(0.0, 1.0 - freedom * variance / energy) if energy > 0 else 0.0
    joint = np.maximum(expected + keep * rest, 0.0)
    for axis in (1, 0) * SWEEPS:
        found, wanted = joint.sum(axis=axis, keepdims=True), expected.sum(axis=axis, keepdims=True)
        joint = joint * np.where(found > 0, wanted / np.where(found > 0, found, 1.0), 0.0)
    return np.asarray(joint)


def conditional(joint: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Rows as probabilities; a row without patients takes the margin."""
    rows = joint.sum(axis=1, keepdims=True)
    return np.asarray(np.where(rows > 0, joint / np.where(rows > 0, rows, 1.0), margin / margin.sum()))
