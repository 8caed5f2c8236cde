"""Questions to Bayesian networks: averaged networks, probabilities given evidence, effects adjusted by the back door.

pgmpy holds networks for others to read (BIF), answers queries by variable elimination and computes interventions. What
resamples repeat a hundred times is computed here from the same tables, exactly and without building pgmpy's models:
tests hold the two together.

Effects are such under stated assumptions alone: the given order in time, directions that this order and colliders fix,
no common cause outside of the variables, and levels that are fine enough to adjust for a variable.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from haemosynth.stats.networks import Codes, Flags, Matrix, Network, as_pgmpy, equivalence_class, fit_tables

# A word that BIF keeps for itself is no name.
RESERVED = {"network", "variable", "probability", "property", "type", "discrete", "table", "default"}
DIGITS = 9  # of a probability in BIF: enough for every query, and stable in the last place
PRIOR = 1.0  # pseudo-patients of a smoothed table, as in `fit_tables`


@dataclass(frozen=True)
class Query:
    """The probability that variable `target` has `level`, given that variable `given` has `state` (all positions)."""

    target: int
    level: int
    given: int
    state: int


@dataclass(frozen=True)
class Effect:
    """What setting variable `cause` to `level` instead of `reference` does to an outcome, all else left to itself.

    adjusted: positions of the variables that are adjusted for. weight: of this effect among others.
    """

    cause: int
    level: int
    reference: int
    adjusted: tuple[int, ...]
    weight: float


def average_edges(strength: Matrix, strong: float, most_parents: int = 4) -> Flags:
    """The averaged network: pairs of variables that are linked in more than a share `strong` of the resamples.

    The strongest first, each in the direction that was found more often (the first variable first where both were as
    often), in the other one where that would close a cycle or give a variable too many parents, and left out where
    that direction was never found or does not fit either (Scutari and Nagarajan, Artif Intell Med 2013;57:207).

    Args:
        strength: (variables, variables), share of resamples with the edge [i, j], i -> j.
    """
    edges = np.zeros(strength.shape, dtype=bool)
    reached = np.eye(len(strength), dtype=bool)  # [i, j]: a directed path leads from i to j
    both = strength + strength.T
    pairs = [(int(i), int(j)) for i, j in np.argwhere(np.triu(both > strong, 1))]
    for i, j in sorted(pairs, key=lambda pair: (-both[pair], pair)):
        for start, end in ((i, j), (j, i)) if strength[i, j] >= strength[j, i] else ((j, i), (i, j)):
            if strength[start, end] > 0 and not reached[end, start] and edges[:, end].sum() < most_parents:
                edges[start, end] = True
                reached |= np.outer(reached[:, start], reached[end])
                break
    return edges


def average_tables(tables: Codes, levels: Codes, edges: Flags) -> tuple[Matrix, ...]:
    """Smoothed tables of a structure, averaged over completions (completions, variables, patients); see `Network`."""
    fitted = [fit_tables(table, levels, edges) for table in tables]
    return tuple(np.mean(each, axis=0) for each in zip(*fitted, strict=True))


def joint_probability(network: Network, asked: Sequence[int]) -> Matrix:
    """P of some variables together, one axis each in the order asked; exact, by contraction of the tables.

    Only the asked variables and their ancestors are read.
    """
    from opt_einsum import contract

    needed = np.zeros(len(network.names), dtype=bool)
    needed[list(asked)] = True
    while (grown := needed | network.edges[:, needed].any(axis=1)).sum() > needed.sum():
        needed = grown
    operands: list[Any] = []
    for child in np.flatnonzero(needed).tolist():
        family = [*np.flatnonzero(network.edges[:, child]).tolist(), child]
        operands += [network.tables[child].reshape([len(network.states[i]) for i in family]), family]
    return np.asarray(contract(*operands, list(asked), optimize="greedy"))


def conditional_probabilities(joint: Matrix, asked: Sequence[int], queries: Sequence[Query]) -> Matrix:
    """(queries,) answers, from the joint distribution of the variables that were asked about (`joint_probability`)."""
    axis = {variable: i for i, variable in enumerate(asked)}
    found: dict[tuple[int, int], Matrix] = {}
    answers = np.empty(len(queries))
    for i, query in enumerate(queries):
        pair = (query.target, query.given)
        if pair not in found:
            kept = (axis[query.target], axis[query.given])
            both = joint.sum(axis=tuple(k for k in range(joint.ndim) if k not in kept))
            both = both if kept[0] < kept[1] else both.T
            found[pair] = both / both.sum(axis=0)
        answers[i] = found[pair][query.level, query.state]
    return answers


def find_known_parents(edges: Flags, allowed: Flags) -> Flags:
    """(variables,) whether the parents of a variable are the same in every network that is equivalent for data.

    That is, colliders and the edges that are not allowed fix the direction of each of its edges. Adjustment for the
    parents then closes every back door (Pearl, Biometrika 1995;82:669; Maathuis, Kalisch and Buhlmann, Ann Stat
    2009;37:3133).
    """
    shared = equivalence_class(edges, allowed)
    return np.asarray(~(shared & shared.T).any(axis=1))


def make_effect_network(
    network: Network, codes: Codes, effect: Effect, outcome: int, weights: Matrix | None = None
) -> Network:
    """The network of one effect: what is adjusted for, all linked, leads to the cause, and both lead to the outcome.

    Each table is smoothed like all others, over the patients in whom its variables are known.

    Args:
        network: names and states of all variables.
        codes: (variables, patients), -1 where unknown.
        weights: (patients,) of the outcome, 1 on average, for patients whose outcome is known; None: equal.
    """
    family = [*effect.adjusted, effect.cause, outcome]
    size = len(family)
    edges = np.triu(np.ones((size, size), dtype=bool), 1)
    tables = []
    for child in range(size):
        part = codes[family[: child + 1]]
        known = (part >= 0).all(axis=0)
        shape = [len(network.states[i]) for i in family[: child + 1]]
        cells = np.ravel_multi_index(tuple(part[:, known]), shape)
        own = weights[known] if weights is not None and child == size - 1 else None
        counts = np.bincount(cells, own, minlength=int(np.prod(shape))).reshape(-1, shape[-1]).astype(np.float64)
        whole = counts.sum(axis=0) + PRIOR / shape[-1]
        tables.append((counts + PRIOR * whole / whole.sum()) / (counts.sum(axis=1, keepdims=True) + PRIOR))
    names, states = (tuple(every[i] for i in family) for every in (network.names, network.states))
    return Network(names, states, edges, tuple(tables))  # type: ignore[arg-type]


def risk_difference(network: Network, level: int, reference: int) -> float:
    """P(last level of the outcome | do(cause = level)) - the same of `reference`, in the network of one effect.

    The outcome is the last variable and the cause the one before. sum over z of P(z) [P(y | level, z) - P(y |
    reference, z)], z the levels of all variables before.
    """
    share, risk = _standardise(network)
    return float(share @ (risk[:, level] - risk[:, reference]))


def risk_difference_error(network: Network, codes: Codes, effect: Effect, outcome: int) -> float:
    """Standard error of `risk_difference` in the patients whose table it is, the shares of z taken as fixed.

    sqrt(sum over z of P(z)^2 [p (1 - p) / (n + 1) at level and at reference]), n the patients with z and that level and
    a known outcome, one more for the pseudo-patient of a smoothed table.
    """
    share, risk = _standardise(network)
    family = codes[[*effect.adjusted, effect.cause, outcome]]
    part = family[:-1, (family >= 0).all(axis=0)]
    shape = [len(states) for states in network.states[:-1]]
    counts = np.bincount(np.ravel_multi_index(tuple(part), shape), minlength=int(np.prod(shape))).reshape(risk.shape)
    variance = risk * (1 - risk) / (counts + PRIOR)
    return float(np.sqrt(share**2 @ (variance[:, effect.level] + variance[:, effect.reference])))


def _standardise(network: Network) -> tuple[Matrix, Matrix]:
    """(z,) shares of what is adjusted for and (z, levels of the cause) probability of the outcome's last level."""
    share = np.ones(1)
    for table in network.tables[:-2]:
        share = (share[:, None] * table).ravel()
    return share, network.tables[-1][:, -1].reshape(len(share), len(network.states[-2]))


@contextmanager
def _quiet() -> Iterator[None]:
    """pgmpy announces its own future changes at each import, and warns of what is done here on purpose."""
    logger = logging.getLogger("pgmpy")
    before = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            logger.setLevel(logging.ERROR)
            yield
        finally:
            logger.setLevel(before)


def answer_by_elimination(network: Network, queries: Sequence[Query]) -> Matrix:
    """(queries,) answers by pgmpy's variable elimination, one elimination for each piece of evidence."""
    with _quiet():
        from pgmpy.inference import VariableElimination

        inference = VariableElimination(as_pgmpy(network))
        answers = np.empty(len(queries))
        for given, state in sorted({(query.given, query.state) for query in queries}):
            own = [i for i, query in enumerate(queries) if (query.given, query.state) == (given, state)]
            targets = sorted({queries[i].target for i in own})
            found = inference.query(
                [network.names[target] for target in targets],
                evidence={network.names[given]: network.states[given][state]},
                joint=False,
                show_progress=False,
            )
            for i in own:
                answers[i] = found[network.names[queries[i].target]].values[queries[i].level]
    return answers


def intervene(network: Network, level: int, reference: int) -> float:
    """`risk_difference` by pgmpy's causal inference, adjusted for the parents of the cause."""
    with _quiet():
        from pgmpy.inference import CausalInference

        inference, (*adjusted, cause, outcome) = CausalInference(as_pgmpy(network)), network.names
        risks = [
            # A list keeps the order of summation; a set of names has another one in each process.
            inference.query(
                [outcome], do={cause: network.states[-2][state]}, adjustment_set=adjusted, show_progress=False
            ).values[-1]
            for state in (level, reference)
        ]
    return float(risks[0] - risks[1])


def make_legal_names(names: Sequence[str]) -> tuple[str, ...]:
    """Identifiers of BIF (a letter, then letters, digits, underscores) for names, different in more than case."""
    taken: set[str] = set()
    found = []
    for name in names:
        word = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
        if not word or not word[0].isalpha() or word.lower() in RESERVED:
            word = f"v_{word}".rstrip("_")
        number, unique = 2, word
        while unique.lower() in taken:
            number, unique = number + 1, f"{word}_{number}"
        taken.add(unique.lower())
        found.append(unique)
    return tuple(found)


def format_bif(network: Network, notes: Sequence[str] = ()) -> str:
    """The network in the Bayesian interchange format, as pgmpy writes it and other programs read it.

    Names and states become identifiers (`make_legal_names`); lines of comment ahead say which were changed, after
    `notes`. Equal networks give equal bytes.
    """
    with _quiet():
        from pgmpy.readwrite import BIFWriter

        names = make_legal_names(network.names)
        states = tuple(make_legal_names(own) for own in network.states)
        lines = list(notes)
        for name, legal, own, words in zip(network.names, names, network.states, states, strict=True):
            changed = [f"{word} = {state}" for state, word in zip(own, words, strict=True) if state != word]
            if name != legal or changed:
                lines.append(f"{legal} = {name}" + (f"; {'; '.join(changed)}" if changed else ""))
        comment = "".join(f"// {' '.join(line.split())}\n" for line in lines)
        if not names:
            return f"{comment}network unknown {{\n}}\n"
        model = as_pgmpy(replace(network, names=names, states=states))
        for node in model.nodes:
            model.nodes[node].clear()  # a weight of None, which pgmpy would write as a property
        return comment + str(BIFWriter(model, round_values=DIGITS))


def describe(query: Query, network: Network) -> Mapping[str, str]:
    """A query in words: `asked`, as target = level, and `given`, as variable = state."""
    return {
        "asked": f"{network.names[query.target]} = {network.states[query.target][query.level]}",
        "given": f"{network.names[query.given]} = {network.states[query.given][query.state]}",
    }
