"""Discrete Bayesian networks: structure by compiled hill climbing, strengths of edges over resamples, likelihood.

A network is a directed graph without cycles; each variable is distributed given its parents. It describes which
variables depend on each other. Directions are causal only under assumptions that data alone cannot show, so that
nothing here is called an effect.

Tables are (variables, patients), so that a variable is contiguous in memory; levels are 0, 1, ..., missing is -1.
Edges are (variables, variables), True at [i, j] for i -> j.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Any

import numba as nb
import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

Codes = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]
Matrix = NDArray[np.float64]

TENURE = 5  # steps of the search for which a pair that was changed rests
GAIN = 1e-9  # by which a score must rise to count as better: below it is rounding


@dataclass(frozen=True)
class Network:
    """A fitted network.

    names, states: of each variable. edges: (variables, variables). tables: for each variable (configurations of its
    parents, states), rows sum to 1; parents are in the order of `names`, the last one runs fastest.
    """

    names: tuple[str, ...]
    states: tuple[tuple[str, ...], ...]
    edges: Flags
    tables: tuple[Matrix, ...]


def bic(codes: Codes, levels: Codes, edges: Flags) -> float:
    """Bayesian information criterion of a network, higher is better: log-likelihood - log(n)/2 * free parameters.

    Schwarz, Ann Stat 1978;6:461. codes: (variables, patients) without missing. levels: (variables,) their number.
    """
    score = 0.0
    for child in range(len(codes)):
        counts = _counts(codes, levels, edges, child)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        score += float((counts * np.log(np.where(counts > 0, shares, 1))).sum())
        score -= 0.5 * log(codes.shape[1]) * len(counts) * (int(levels[child]) - 1)
    return score


def hill_climb(
    codes: Codes,
    levels: Codes,
    allowed: Flags,
    most_parents: int = 4,
    patience: int = 50,
    tenure: int = TENURE,
) -> tuple[Flags, float]:
    """A network of high BIC: edges are added, deleted and reversed, always the change that gains most.

    At a local optimum the search goes on with the least bad change, while pairs that were changed rest for a while, and
    returns the best network met: tabu search (Glover, ORSA J Comput 1989;1:190). Deterministic: ties go to the first
    pair.

    Args:
        codes: (variables, patients) without missing.
        levels: (variables,) number of levels.
        allowed: (variables, variables), whether i -> j may be in the network.
        most_parents: parents of a variable at most.
        patience: steps without a better network after which the search ends; 0 is plain hill climbing.
        tenure: steps for which a pair rests, unless its change gives a better network than any before; fewer than
            `patience`. Short ones suit small networks; from a wrong order of many variables only long ones lead out.

    Returns:
        the edges and their BIC.
    """
    typed = np.ascontiguousarray(codes, dtype=np.uint8), np.ascontiguousarray(levels, dtype=np.int64)
    edges, score = _climb(*typed, np.asarray(allowed, dtype=np.bool_), most_parents, patience, tenure)
    return np.asarray(edges), float(score)


def edge_strengths(
    tables: Codes, levels: Codes, allowed: Flags, rows: Codes, most_parents: int = 4, patience: int = 50
) -> Matrix:
    """The share of resamples in whose network each edge occurs.  -> (variables, variables), [i, j] for i -> j

    Friedman, Goldszmidt and Wyner, UAI 1999. The strength of a pair, whatever its direction, is the sum with the
    transpose.

    Args:
        tables: (completions, variables, patients) without missing; resamples take them in turn.
        rows: (resamples, size) positions of the patients of each resample.
    """
    tables, levels = np.ascontiguousarray(tables, dtype=np.uint8), np.ascontiguousarray(levels, dtype=np.int64)
    positions = np.ascontiguousarray(rows, dtype=np.int64)
    allowed = np.asarray(allowed, dtype=np.bool_)
    found = np.zeros(allowed.shape)
    for b, own in enumerate(positions):
        sample = np.take(tables[b % len(tables)], own, axis=1)
        found += _climb(sample, levels, allowed, most_parents, patience, TENURE)[0]
    return found / len(rows)


def fit_tables(codes: Codes, levels: Codes, edges: Flags, prior: float = 1.0) -> tuple[Matrix, ...]:
    """Distribution of every variable given its parents, shrunk to its own frequencies by `prior` pseudo-patients.

    A configuration of parents that nobody shows so has the frequencies of the whole cohort. codes: (variables,
    patients) without missing.  -> for each variable (configurations, levels), see `Network`
    """
    tables = []
    for child in range(len(codes)):
        counts = _counts(codes, levels, edges, child)
        whole = counts.sum(axis=0) + prior / counts.shape[1]
        tables.append((counts + prior * whole / whole.sum()) / (counts.sum(axis=1, keepdims=True) + prior))
    return tuple(tables)


def completions(
    codes: Codes,
    levels: Codes,
    allowed: Flags,
    rng: np.random.Generator,
    count: int,
    most_parents: int = 4,
    rounds: int = 2,
) -> Codes:
    """Completed tables: missing values drawn from a network that is learned along with them.

    Values start as draws from the known values of their variable; then network and missing values are drawn in turn
    (structural EM of Friedman, ICML 1997, with draws in the place of expectations). `rounds` come before the first
    table that is kept and between any two there is one. Nothing but this table is used.

    Args:
        codes: (variables, patients), -1 where missing. A variable that is nowhere known is set to level 0.

    Returns:
        (completions, variables, patients); a single one where nothing is missing.
    """
    filled = np.array(codes, dtype=np.uint8)
    unknown = np.asarray(codes) < 0
    for values, missing, start in zip(codes, unknown, filled, strict=True):
        known = values[~missing]
        start[missing] = rng.choice(known, missing.sum()) if len(known) else 0
    unknown[unknown.all(axis=1)] = False
    if not unknown.any():
        return filled[None]
    cells = np.argwhere(unknown)
    kept = []
    for i in range(rounds + count - 1):
        edges, _ = hill_climb(filled, levels, allowed, most_parents, 0)
        tables = fit_tables(filled, levels, edges)
        logs = np.zeros((len(codes), max(table.size for table in tables)))
        for row, table in zip(logs, tables, strict=True):
            row[: table.size] = np.log(table).ravel()
        _redraw(filled, np.asarray(levels, dtype=np.int64), edges, logs, cells, rng.random(len(cells)))
        if i >= rounds - 1:
            kept.append(filled.copy())
    return np.stack(kept)


def measure_loss(network: Network, codes: Codes) -> float:
    """Log loss of a network in other patients, over the loss of their own frequencies without any edge.

    sum over variables of mean -log P(variable | parents) / sum of mean -log f(variable), f the frequencies in these
    patients; each mean over the patients in whom the variable and its parents are known. Below 1 the edges foretell
    more than their errors cost. NaN where no variable varies.

    Args:
        codes: (variables, patients), -1 where missing.
    """
    levels = np.array([table.shape[1] for table in network.tables])
    loss = plain = 0.0
    for child, table in enumerate(network.tables):
        family = np.append(np.flatnonzero(network.edges[:, child]), child)
        known = codes[:, (codes[family] >= 0).all(axis=0)]
        if not known.shape[1]:
            continue
        loss -= float(np.log(table[_configuration(known, levels, network.edges, child), known[child]]).mean())
        shares = np.bincount(known[child], minlength=table.shape[1]) / known.shape[1]
        plain -= float((shares * np.log(np.where(shares > 0, shares, 1))).sum())
    return loss / plain if plain > 0 else float("nan")


def equivalence_class(edges: Flags, allowed: Flags | None = None) -> Flags:
    """The completed partially directed graph of a network: what all networks of equal likelihoods share.

    [i, j] and [j, i] are both True where the direction differs between them. Skeleton, colliders of unconnected
    parents, and Meek's rules 1 to 3 (Meek, UAI 1995). With `allowed`, (variables, variables), what those of them share
    whose edges are all allowed: rule 4 is then needed too.
    """
    linked = edges | edges.T
    apart = ~linked & ~np.eye(len(edges), dtype=bool)
    # i -> j is part of a collider when j has another parent that is not linked to i.
    directed = edges & ((apart.astype(int) @ edges.astype(int)) > 0)
    if allowed is not None:
        directed |= edges & ~allowed.T
    while True:
        open_pairs = linked & ~directed & ~directed.T
        d, a, o = directed.astype(int), apart.astype(int), open_pairs.astype(int)
        chain = (d.T @ a) > 0  # c -> i, c and j apart: i -> j, or there would be a new collider
        cycle = (d @ d) > 0  # i -> c -> j: i -> j, or there would be a cycle
        # i - c -> j and i - d -> j with c and d apart
        ways = open_pairs[:, :, None] & directed[None]
        kite = np.einsum("icj,cd,idj->ij", ways.astype(int), a, ways.astype(int)) > 0 if o.any() else cycle
        new = open_pairs & (chain | cycle | kite)
        if allowed is not None and o.any():
            # i - k -> l -> j with k and j apart and i and l linked: i -> j
            near = linked.astype(int)
            new |= open_pairs & (np.einsum("ik,kl,lj,kj,il->ij", o, d, d, a, near, optimize=True) > 0)
        if not new.any():
            return np.asarray(linked & ~directed.T)
        directed |= new


def structural_hamming_distance(first: Flags, second: Flags) -> int:
    """Pairs of variables that are linked differently in two equivalence classes (Tsamardinos et al., Mach Learn
    2006;65:31): absent, undirected, or directed either way."""
    different = (first != second) | (first != second).T
    return int(np.triu(different, 1).sum())


def as_pgmpy(network: Network) -> Any:
    """The network as a `pgmpy.models.DiscreteBayesianNetwork`, for queries such as the risk given what is known.

    pgmpy also computes interventions (`pgmpy.inference.CausalInference`). They mean something only where the
    directions do: where tiers and forbidden edges were chosen from knowledge and no common cause is left out.
    """
    from pgmpy.factors.discrete import TabularCPD
    from pgmpy.models import DiscreteBayesianNetwork

    model = DiscreteBayesianNetwork()
    model.add_nodes_from(network.names)
    model.add_edges_from((network.names[i], network.names[j]) for i, j in np.argwhere(network.edges))
    states = {name: list(known) for name, known in zip(network.names, network.states, strict=True)}
    for child, name in enumerate(network.names):
        parents = [network.names[i] for i in np.flatnonzero(network.edges[:, child])]
        model.add_cpds(
            TabularCPD(
                name,
                len(states[name]),
                network.tables[child].T,
                evidence=parents,
                evidence_card=[len(states[parent]) for parent in parents],
                state_names={variable: states[variable] for variable in (name, *parents)},
            )
        )
    model.check_model()
    return model


def _configuration(codes: Codes, levels: Codes, edges: Flags, child: int) -> Codes:
    """(patients,) number of the configuration of the child's parents, the last parent fastest."""
    number = np.zeros(codes.shape[1], dtype=np.int64)
    for parent in np.flatnonzero(edges[:, child]):
        number = number * int(levels[parent]) + codes[parent]
    return number


def _counts(codes: Codes, levels: Codes, edges: Flags, child: int) -> Matrix:
    """Patients by configuration of the child's parents and level of the child."""
    own, configurations = int(levels[child]), int(np.prod(levels[edges[:, child]], dtype=np.int64))
    cells = _configuration(codes, levels, edges, child) * own + codes[child]
    return np.bincount(cells, minlength=configurations * own).reshape(configurations, own).astype(np.float64)


@intrinsic  # type: ignore[untyped-decorator]
def _ones(_: Any, word: Any) -> Any:
    """Number of set bits of a word."""
    return word(word), lambda context, builder, signature, words: builder.ctpop(words[0])


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _bits(codes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(variables, levels, words): one bit for each patient, set where the variable has that level."""
    size, n = codes.shape
    bits = np.zeros((size, levels.max(), (n + 63) // 64), np.uint64)
    for j in range(size):
        for k in range(n):
            bits[j, codes[j, k], k // 64] |= np.uint64(1) << np.uint64(k % 64)
    return bits


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _divide(groups: np.ndarray, count: int, bits: np.ndarray, levels: int, keep_empty: bool, out: np.ndarray) -> int:
    """Divide each of the first `count` groups of patients by the levels of a variable; returns how many there are."""
    found = 0
    for g in range(count):
        for x in range(levels):
            some = np.uint64(0)
            for w in range(bits.shape[1]):
                out[found, w] = groups[g, w] & bits[x, w]
                some |= out[found, w]
            if some or keep_empty:
                found += 1
    return found


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _copy(source: np.ndarray, count: int, out: np.ndarray) -> None:
    """The first rows of one table into another: as a slice it takes seconds more to compile."""
    for g in range(count):
        for w in range(source.shape[1]):
            out[g, w] = source[g, w]


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _family(
    bits: np.ndarray,
    levels: np.ndarray,
    edges: np.ndarray,
    child: int,
    left_out: int,
    groups: np.ndarray,
    spare: np.ndarray,
    sizes: np.ndarray,
    xlogx: np.ndarray,
) -> tuple[int, float]:
    """Patients by configuration of the child's parents (without `left_out`, if that is one) and level of the child.

    Fills `groups` with the levels of the first configuration that anybody has, then of the second, and so on, and
    `sizes` with their numbers of patients.  -> number of such configurations, maximal log-likelihood
    """
    count = 1
    for w in range(bits.shape[2]):
        groups[0, w] = 0
        for x in range(levels[child]):
            groups[0, w] |= bits[child, x, w]
    for parent in range(bits.shape[0]):
        if edges[parent, child] and parent != left_out:
            count = _divide(groups, count, bits[parent], levels[parent], False, spare)
            _copy(spare, count, groups)
    total = _divide(groups, count, bits[child], levels[child], True, spare)
    _copy(spare, total, groups)
    value = 0.0
    for c in range(count):
        together = 0
        for x in range(levels[child]):
            g = c * levels[child] + x
            sizes[g] = 0
            for w in range(bits.shape[2]):
                sizes[g] += np.int64(_ones(groups[g, w]))
            value += xlogx[sizes[g]]
            together += sizes[g]
        value -= xlogx[together]
    return count, value


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _with_parent(
    groups: np.ndarray,
    sizes: np.ndarray,
    configurations: int,
    own: int,
    bits: np.ndarray,
    levels: int,
    rest: np.ndarray,
    xlogx: np.ndarray,
) -> float:
    """Maximal log-likelihood of the child of `_family` with one more parent."""
    value = 0.0
    for c in range(configurations):
        for x in range(own):
            rest[x] = sizes[c * own + x]
        for level in range(levels - 1):
            together = 0
            for x in range(own):
                count = np.int64(0)
                for w in range(bits.shape[1]):
                    count += np.int64(_ones(groups[c * own + x, w] & bits[level, w]))
                rest[x] -= count
                together += int(count)
                value += xlogx[count]
            value -= xlogx[together]
        together = 0
        for x in range(own):
            together += rest[x]
            value += xlogx[rest[x]]
        value -= xlogx[together]
    return value


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _reaches(edges: np.ndarray, start: int, goal: int, direct: bool) -> bool:
    """Whether a directed path leads from start to goal; with `direct` false, other than the edge between them."""
    size = edges.shape[0]
    seen = np.zeros(size, np.bool_)
    stack = np.empty(size, np.int64)
    height = 0
    for k in range(size):
        if edges[start, k] and (direct or k != goal):
            seen[k] = True
            stack[height] = k
            height += 1
    while height:
        height -= 1
        i = stack[height]
        if i == goal:
            return True
        for k in range(size):
            if edges[i, k] and not seen[k]:
                seen[k] = True
                stack[height] = k
                height += 1
    return False


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _best_change(
    edges: np.ndarray,
    allowed: np.ndarray,
    delta: np.ndarray,
    parents: np.ndarray,
    most: int,
    free: np.ndarray,
    enough: float,
) -> tuple[float, int, int, bool]:
    """The change that gains most: what it gains, the edge i -> j (i is -1 if there is none), whether to reverse it.

    A pair that is not free changes only for more than `enough`.
    """
    size = edges.shape[0]
    gain, first, second, reverse = -np.inf, -1, -1, False
    for i in range(size):
        for j in range(size):
            toggled = delta[i, j]
            if toggled == -np.inf:
                continue
            better = toggled > gain and (free[i, j] or toggled > enough)
            if better and (edges[i, j] or not _reaches(edges, j, i, True)):
                gain, first, second, reverse = toggled, i, j, False
            if edges[i, j] and allowed[j, i] and parents[i] < most:
                both = toggled + delta[j, i]
                better = both > gain and (free[i, j] or both > enough)
                if better and not _reaches(edges, i, j, False):
                    gain, first, second, reverse = both, i, j, True
    return gain, first, second, reverse


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _climb(
    codes: np.ndarray, levels: np.ndarray, allowed: np.ndarray, most: int, patience: int, tenure: int
) -> tuple[np.ndarray, float]:
    size, n = codes.shape

    half_log = 0.5 * log(max(n, 1))
    xlogx = np.zeros(n + 1)
    for k in range(2, n + 1):
        xlogx[k] = k * log(k)
    # A family whose penalty alone exceeds what its child could gain is never counted: so much space suffices.
    widest = levels.max()
    cells = float(widest) ** (most + 1)
    if n > 1:
        cells = min(cells, 2 * n * widest * log(widest) / half_log + widest)
    bits = _bits(codes, levels)
    groups = np.zeros((int(cells) + widest * widest, bits.shape[2]), np.uint64)
    spare = np.zeros_like(groups)
    sizes = np.zeros(len(groups), np.int64)
    rest = np.zeros(widest, np.int64)
    edges = np.zeros((size, size), np.bool_)
    parents = np.zeros(size, np.int64)
    delta = np.full((size, size), -np.inf)  # gained when i -> j is added, or deleted where it stands
    total = 0.0
    for j in range(size):
        count, likelihood = _family(bits, levels, edges, j, size, groups, spare, sizes, xlogx)
        total += likelihood - half_log * (levels[j] - 1)
        for i in range(j):  # what a first edge gains is the same in both directions
            if (allowed[i, j] or allowed[j, i]) and most > 0:
                gain = _with_parent(groups, sizes, count, levels[j], bits[i], levels[i], rest, xlogx) - likelihood
                gain -= half_log * (levels[i] - 1) * (levels[j] - 1)
                delta[i, j] = gain if allowed[i, j] else -np.inf
                delta[j, i] = gain if allowed[j, i] else -np.inf
    best_edges, best_total = edges.copy(), total
    changed = np.full((size, size), -tenure - 1, np.int64)  # the step at which a pair was last changed
    step = since = 0
    while True:
        gain, first, second, reverse = _best_change(
            edges, allowed, delta, parents, most, step - changed > tenure, best_total + GAIN - total
        )
        if first < 0 or (gain <= GAIN and since >= patience):
            return best_edges, best_total
        total += gain
        step += 1
        changed[first, second] = changed[second, first] = step
        edges[first, second] = not edges[first, second]
        edges[second, first] = reverse
        if total > best_total + GAIN:
            best_edges, best_total, since = edges.copy(), total, 0
        else:
            since += 1
            if since > patience:
                return best_edges, best_total
        for turn in range(2 if reverse else 1):
            j = second if turn == 0 else first
            own = levels[j]
            parents[j] = edges[:, j].sum()
            nominal = 1
            for i in range(size):
                if edges[i, j]:
                    nominal *= levels[i]
            count, likelihood = _family(bits, levels, edges, j, size, groups, spare, sizes, xlogx)
            for i in range(size):
                if i == j or not allowed[i, j] or edges[i, j]:
                    continue
                delta[i, j] = -np.inf
                penalty = half_log * nominal * (levels[i] - 1) * (own - 1)
                if parents[j] < most and penalty < -likelihood:
                    gained = _with_parent(groups, sizes, count, own, bits[i], levels[i], rest, xlogx) - likelihood
                    delta[i, j] = gained - penalty
            for i in range(size):
                if edges[i, j]:
                    _, without = _family(bits, levels, edges, j, i, groups, spare, sizes, xlogx)
                    saved = half_log * (nominal - nominal // levels[i]) * (own - 1)
                    delta[i, j] = without - likelihood + saved


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _redraw(
    codes: np.ndarray,
    levels: np.ndarray,
    edges: np.ndarray,
    logs: np.ndarray,
    cells: np.ndarray,
    uniform: np.ndarray,
) -> None:
    """One Gibbs sweep over the missing cells (variable, patient), in place: each given all others of its patient."""
    size = codes.shape[0]
    chance = np.empty(levels.max())
    for cell in range(cells.shape[0]):
        variable, patient = cells[cell, 0], cells[cell, 1]
        own = levels[variable]
        chance[:own] = 0.0
        for child in range(size):
            if child != variable and not edges[variable, child]:
                continue
            for x in range(own):
                codes[variable, patient] = x
                number = 0
                for k in range(size):
                    if edges[k, child]:
                        number = number * levels[k] + codes[k, patient]
                chance[x] += logs[child, number * levels[child] + codes[child, patient]]
        highest = chance[:own].max()
        total = 0.0
        for x in range(own):
            chance[x] = exp(chance[x] - highest)
            total += chance[x]
        left = uniform[cell] * total
        drawn = own - 1
        for x in range(own):
            left -= chance[x]
            if left < 0:
                drawn = x
                break
        codes[variable, patient] = drawn
