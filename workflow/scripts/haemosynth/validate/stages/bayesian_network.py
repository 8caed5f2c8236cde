"""Bayesian network: do alterations, clinical record, treatment and outcome depend on each other as in real patients?

Networks are learned on resampled patients of either side (`networks.py`): how often an edge is found is its strength.
A network is a structure of dependencies: an edge says that two variables inform about each other beyond the others,
not that one causes the other.

Averaged networks are also asked: how probable are outcome and alterations, given what is known of a patient? And, in
those variables whose parents the order in time and colliders fix, what would an alteration or a treatment change in the
outcome, adjusted for these parents? Such effects hold under stated assumptions: no common cause is left out, time runs
as `tiers` say, and levels of variables are fine enough to adjust for them (`queries.py`).

Variables and their levels are fixed by the training patients. Alterations and levels need enough carriers; rarer
levels are merged, ordinal ones with their neighbour. Numbers are cut at training quantiles. Derived columns are left
out, they depend on their parents by definition. The outcome is whether the event of the primary endpoint came within
a horizon, unknown in those censored before. Missing values are completed within each side, from its own network, in
several draws: as a level of their own they would make networks of who was not sequenced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.figures import BLACK, BLUE, NEUTRAL, VERMILION, new_figure
from haemosynth.core.files import write_table, write_text
from haemosynth.core.schema import GROUPS, Schema
from haemosynth.core.streams import stream
from haemosynth.modalities.registry import RECORD
from haemosynth.stats.association import weighted_concordance
from haemosynth.stats.networks import (
    Codes,
    Flags,
    Matrix,
    Network,
    completions,
    edge_strengths,
    equivalence_class,
    fit_tables,
    hill_climb,
    measure_loss,
    structural_hamming_distance,
)
from haemosynth.stats.queries import (
    Effect,
    Query,
    answer_by_elimination,
    average_edges,
    average_tables,
    conditional_probabilities,
    describe,
    find_known_parents,
    format_bif,
    intervene,
    joint_probability,
    make_effect_network,
    risk_difference,
    risk_difference_error,
)
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value
from haemosynth.validate.stages.outcomes import Outcome

ALTERATIONS = "alterations"
SHOWN = 30  # edges of the figure
MARKERS = {ALTERATIONS: ("o", "alteration"), "treatment": ("^", "treatment"), "outcome": ("D", "outcome")}
CLINICAL = ("s", RECORD)
LOOKS = {"both": (BLACK, "-", "o"), "real": (BLUE, "--", "s"), "candidate": (VERMILION, ":", "^")}
DEFAULTS: dict[str, Any] = {
    "carriers": 20,  # training patients that a level of a variable needs
    "levels": 3,  # into which numbers are cut, at quantiles of training patients
    "horizon": None,  # months within which the event counts; None is the median follow-up of training patients
    # No edge leads to an earlier tier, so that time goes forward. Groups of columns, `alterations`, or single names.
    "tiers": [
        ["demographic"],
        [ALTERATIONS, "disease", "laboratory", "comorbidity", "other"],
        ["treatment"],
        ["outcome"],
    ],
    "forbidden": [],  # further edges that may not stand, as [from, to]
    "parents": 4,  # of a variable, at most
    "patience": 50,  # steps of the search beyond a local optimum
    "resamples": 100,  # on which edges are found again or not
    "share": 0.5,  # of the patients in each resample, without replacement
    "completions": 5,  # draws of the missing values
    "strong": 0.5,  # strength of an edge of the averaged network
    "min_patients": 50,  # on either side
    "queried": 6,  # most frequent alterations that are asked about, beside the outcome
    "evidence": 4,  # clinical variables that are given, those most strongly linked to what is asked about
    "certain": 1.0,  # standard errors that an effect must be from none in training patients to be compared
    "shift": 0.05,  # by which evidence must change a probability in training patients for the query to be asked
}
STAGE = Stage(
    "utility",
    needs=(RECORD,),
    environment="network",
    memory=2000,
    runtime=30,
    beside=("real.bif", "candidate.bif", "answers.tsv"),
)
METRICS = (
    Metric(
        "edge_strength_agreement", "agreement", "", (0, 1), JOINT, "subsample",
        "2 sum x y / sum (x^2 + y^2) over all pairs of variables; x and y the strength of a pair in real and candidate,"
        " the share of resamples in whose network it is linked, in whatever direction",
        "Friedman, Goldszmidt and Wyner, UAI 1999; Lin, Biometrics 1989;45:255",
    ),
    Metric(
        "averaged_network_f1", "agreement", "", (0, 1), JOINT, "subsample",
        "2 |R and C| / (|R| + |C|), R and C the pairs linked with a strength above `strong` in real and candidate",
        "Scutari and Nagarajan, Artif Intell Med 2013;57:207 (averaged networks); van Rijsbergen 1979 (F measure)",
    ),
    Metric(
        "held_out_loss", "error", "share", (0, np.inf), JOINT, "subsample",
        "sum over variables of mean -log P(variable | parents) in the holdout, by structure and smoothed tables learned"
        " from the candidate, / the same of the holdout's own frequencies without edges; 1 is no better than"
        " independence",
        "this project; Balov, Electron J Stat 2013;7:1047 (mean over the patients in whom a family is known)",
    ),
    Metric(
        "structural_hamming_distance", "descriptive", "pairs", (0, np.inf), JOINT, "subsample",
        "pairs linked differently (absent, undirected, either direction) in the equivalence classes of the two networks"
        " learned from all patients; an empty network can be nearer than a real one",
        "Tsamardinos et al., Mach Learn 2006;65:31",
    ),
    Metric(
        "averaged_network_edges", "descriptive", "pairs", (0, np.inf), JOINT, "subsample",
        "number of pairs linked with a strength above `strong` in the candidate",
        "Scutari and Nagarajan, Artif Intell Med 2013;57:207",
    ),
    Metric(
        "edge_strength_difference", "descriptive", "share", (-1, 1), JOINT, "subsample",
        "strength in the candidate minus strength in real patients, for each pair linked with a strength above `strong`"
        " in the training patients",
        "Friedman, Goldszmidt and Wyner, UAI 1999",
    ),
    Metric(
        "query_error", "error", "share", (0, 1), JOINT, "subsample",
        "mean |P_real(a | e) - P_candidate(a | e)| in the averaged networks, over levels a of outcome and alterations"
        " and pieces of evidence e (an alteration, a level of a clinical variable) that change P(a) by `shift` or more"
        " in training patients",
        "Dechter, Artif Intell 1999;113:41 (variable elimination)",
    ),
    Metric(
        "effect_agreement", "agreement", "", (-1, 1), JOINT, "subsample",
        "2 sum w x y / sum w (x^2 + y^2), x and y the risk differences of the outcome in real and candidate, sum over z"
        " of P(z) [P(y | do(level), z) - P(y | do(reference), z)], z the parents of an alteration or treatment in the"
        " training patients' averaged network, of all whose parents are known and whose effect in training patients is"
        " `certain` standard errors from none; w = p q / (p + q), p and q the training shares of level and reference."
        " Effects under stated assumptions",
        "Pearl, Biometrika 1995;82:669 (back door); Lin, Biometrics 1989;45:255",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """A variable of the network, as fixed by training patients.

    name: as shown. source: the clinical column, alteration or endpoint. group: of the column, or `alterations`.
    states: names of its levels. cuts: between the levels of a number (for an outcome: its horizon, months).
    members: the categories merged into each level.
    """

    name: str
    source: str
    group: str
    states: tuple[str, ...]
    cuts: tuple[float, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()

    def codes(self, cohort: Cohort) -> Codes:
        """(patients,) level of each patient, -1 where unknown; a category that training patients lack is unknown."""
        if self.group == ALTERATIONS:
            assert cohort.alterations is not None
            return _round(cohort.alterations[self.source].to_numpy(np.float64))
        if self.source in cohort.schema.endpoints:
            return _round(_by_horizon(cohort, self.source, self.cuts[0]))
        values = cohort.clinical[self.source]
        if self.cuts:
            numbers = values.to_numpy(np.float64)
            return np.where(np.isnan(numbers), -1, np.searchsorted(self.cuts, numbers))
        place = {category: i for i, merged in enumerate(self.members) for category in merged}
        lookup = np.array([*(place.get(str(category), -1) for category in values.cat.categories), -1])
        return np.asarray(lookup[values.cat.codes.to_numpy()])


def _round(flags: Matrix) -> Codes:
    return np.where(np.isnan(flags), -1, flags).astype(np.int64)


def _by_horizon(cohort: Cohort, endpoint: str, horizon: float) -> Matrix:
    """1 where the event came within the horizon, 0 where the patient was followed beyond it without, NaN otherwise."""
    time = cohort.clinical[f"{endpoint}_time"].to_numpy(np.float64)
    event = cohort.clinical[f"{endpoint}_event"].to_numpy(np.float64)
    return np.where(time > horizon, 0.0, np.where((event == 1) & (time <= horizon), 1.0, np.nan))


@dataclass(frozen=True)
class Variables:
    """All variables. levels: (variables,) how many each has. allowed: (variables, variables), the allowed edges."""

    variables: tuple[Variable, ...]
    levels: Codes
    allowed: Flags

    def codes(self, cohort: Cohort) -> Codes:
        """(variables, patients), -1 where unknown."""
        found = [variable.codes(cohort) for variable in self.variables]
        return np.stack(found) if found else np.empty((0, len(cohort)), dtype=np.int64)


@dataclass(frozen=True)
class Side:
    """What is learned from one cohort. strength: (variables, variables), symmetric. networks: one per completion.

    averaged: the network of the pairs that are strongly linked, with tables averaged over completions.
    """

    strength: Matrix
    networks: tuple[Network, ...]
    averaged: Network


@dataclass(frozen=True)
class Prepared:
    """The variables, the strengths of training patients, and what is asked: variables, queries, effects.

    no_queries, no_effects: why there are none.
    """

    variables: Variables
    train: Matrix
    asked: tuple[int, ...] = ()
    queries: tuple[Query, ...] = ()
    effects: tuple[Effect, ...] = ()
    no_queries: str = ""
    no_effects: str = ""


def find_variables(train: Cohort, settings: Mapping[str, Any]) -> Variables:
    """The variables that training patients support, and the edges that tiers and forbidden edges leave.

    Raises:
        InputError: a tier or a forbidden edge names nothing that the cohort has.
    """
    least, schema = int(settings["carriers"]), train.schema
    found = []
    for name, column in schema.recorded.items():
        if column.kind in ("time", "event"):
            continue
        variable = (
            _number(train, name, least, int(settings["levels"])) if column.numeric else _level(train, name, least)
        )
        if variable is not None:
            found.append(variable)
    for name in schema.alterations:
        assert train.alterations is not None
        states = _round(train.alterations[name].to_numpy(np.float64))
        if min((states == 0).sum(), (states == 1).sum()) >= least:
            found.append(Variable(name, name, ALTERATIONS, ("absent", "present")))
    for endpoint in schema.endpoints[:1]:
        horizon = settings["horizon"]
        if horizon is None:
            horizon = float(np.round(train.clinical[f"{endpoint}_time"].median()))
        states = _round(_by_horizon(train, endpoint, float(horizon)))
        if min((states == 0).sum(), (states == 1).sum()) >= least:
            name = f"{endpoint} event by {float(horizon):g} months"
            found.append(Variable(name, endpoint, "outcome", ("no", "yes"), (float(horizon),)))
    levels = np.array([len(variable.states) for variable in found], dtype=np.int64)
    return Variables(tuple(found), levels, _allow(found, schema, settings["tiers"], settings["forbidden"]))


def _number(train: Cohort, name: str, least: int, levels: int) -> Variable | None:
    """A number cut between the recorded values nearest to its quantiles, so that ties stay together."""
    values, counts = np.unique(train.clinical[name].dropna().to_numpy(np.float64), return_counts=True)
    if len(values) < 2:
        return None
    reached = np.cumsum(counts[:-1]) / counts.sum()
    nearest = {int(np.argmin(np.abs(reached - i / levels))) for i in range(1, levels)}
    ends = [*sorted(nearest), len(values) - 1]
    sizes = np.diff(np.cumsum(counts)[ends], prepend=0)
    last = [group[-1] for group in _merge(sizes.tolist(), least, ordered=True)][:-1]
    cuts = tuple(float((values[ends[i]] + values[ends[i] + 1]) / 2) for i in last)
    if not cuts:
        return None
    middle = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(cuts)]
    states = (f"below {cuts[0]:.4g}", *middle, f"above {cuts[-1]:.4g}")
    return Variable(name, name, train.schema.columns[name].group, states, cuts)


def _level(train: Cohort, name: str, least: int) -> Variable | None:
    values, column = train.clinical[name], train.schema.columns[name]
    categories = [str(category) for category in values.cat.categories]
    counts = np.bincount(values.cat.codes.to_numpy()[values.notna()], minlength=len(categories))
    groups = _merge(counts.tolist(), least, column.kind == "ordinal")
    if len(groups) < 2:
        return None
    members = tuple(tuple(categories[i] for i in group) for group in groups)
    return Variable(name, name, column.group, tuple(" or ".join(merged) for merged in members), (), members)


def _merge(counts: Sequence[int], least: int, ordered: bool) -> list[list[int]]:
    """Groups of levels of at least `least` patients: the smallest joins the next smallest, if ordered its neighbour."""
    groups = [[i] for i in range(len(counts))]
    sizes = list(counts)
    while len(groups) > 1 and min(sizes) < least:
        small = int(np.argmin(sizes))
        others = [i for i in range(len(groups)) if i != small and (not ordered or abs(i - small) == 1)]
        into = min(others, key=lambda i: sizes[i])
        keep, gone = min(small, into), max(small, into)
        groups[keep] = sorted(groups[keep] + groups.pop(gone))
        sizes[keep] += sizes.pop(gone)
    return groups


def _allow(
    variables: Sequence[Variable], schema: Schema, tiers: Sequence[Sequence[str]], forbidden: Sequence[Sequence[str]]
) -> Flags:
    names = {*schema.columns, *schema.alterations, *schema.endpoints}
    where = "config: validation.bayesian_network"
    for name in (name for tier in tiers for name in tier):
        if name not in names | {*GROUPS, ALTERATIONS}:
            raise InputError(f"{where}.tiers: {name!r} is neither a group nor a variable of {schema.cohort}")
    for name in (name for edge in forbidden for name in edge):
        if name not in names:
            raise InputError(f"{where}.forbidden: {name!r} is no variable of {schema.cohort}")
    place = {name: float(i) for i, tier in enumerate(tiers) for name in tier}
    # A variable's own name goes before its group; NaN, in no tier, may stand anywhere.
    tier = np.array([place.get(v.source, place.get(v.group, np.nan)) for v in variables])
    allowed = ~(tier[:, None] > tier) & ~np.eye(len(variables), dtype=bool)
    position = {variable.source: i for i, variable in enumerate(variables)}
    for start, end in forbidden:
        if start in position and end in position:
            allowed[position[start], position[end]] = False
    return np.asarray(allowed)


def learn(variables: Variables, cohort: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Side:
    """Strengths of all edges in a cohort, and a network for each completion of its missing values.

    A resample holds half of the patients (`share`), each once (Meinshausen and Buhlmann, J R Stat Soc B 2010;72:417).
    In a bootstrap, patients occur twice or more, what they show by chance looks confirmed, and BIC lets spurious edges
    in (Steck and Jaakkola, NIPS 2003).
    """
    search = {"most_parents": int(settings["parents"]), "patience": int(settings["patience"])}
    missing, levels, allowed = variables.codes(cohort), variables.levels, variables.allowed
    tables = completions(missing, levels, allowed, rng, int(settings["completions"]), search["most_parents"])
    size = max(1, round(float(settings["share"]) * len(cohort)))
    rows = np.stack([rng.permutation(len(cohort))[:size] for _ in range(int(settings["resamples"]))])
    strength = edge_strengths(tables, levels, allowed, rows, **search)
    names = tuple(variable.name for variable in variables.variables)
    states = tuple(variable.states for variable in variables.variables)
    networks = []
    for table in tables:
        edges, _ = hill_climb(table, levels, allowed, **search)
        networks.append(Network(names, states, edges, fit_tables(table, levels, edges)))
    edges = average_edges(strength, float(settings["strong"]), search["most_parents"])
    averaged = Network(names, states, edges, average_tables(tables, levels, edges))
    return Side(strength + strength.T, tuple(networks), averaged)


def find_queries(
    variables: Variables, train: Cohort, side: Side, settings: Mapping[str, Any]
) -> tuple[tuple[int, ...], tuple[Query, ...]]:
    """Positions of the variables that are asked about or given, and the queries that training patients show to matter.

    Asked are the event of the outcome and the presence of the most frequent alterations (`queried`). Told are the
    presence of another of these alterations or a level of the clinical variables that are linked most strongly to what
    is asked (`evidence`).
    """
    kinds = [variable.group for variable in variables.variables]
    codes = variables.codes(train)
    carriers = [(-int((row == 1).sum()), i) for i, row in enumerate(codes) if kinds[i] == ALTERATIONS]
    altered = sorted(i for _, i in sorted(carriers)[: int(settings["queried"])])
    targets = [*altered, *(i for i, variable in enumerate(variables.variables) if _is_outcome(variable, train))]
    clinical = [i for i, kind in enumerate(kinds) if i not in targets and kind != ALTERATIONS]
    links = side.strength[:, targets].sum(axis=1)
    told = sorted(sorted(clinical, key=lambda i: (-links[i], i))[: int(settings["evidence"])])
    asked = (*told, *targets)
    levels = {i: [1] if kinds[i] == ALTERATIONS else list(range(int(variables.levels[i]))) for i in (*told, *altered)}
    every = [
        Query(target, 1, given, state) for target in targets for given in levels for state in levels[given]
        if target != given
    ]  # fmt: skip
    if not every:
        return asked, ()
    joint = joint_probability(side.averaged, asked)
    alone = {i: joint.sum(axis=tuple(k for k in range(joint.ndim) if asked[k] != i)) for i in targets}
    shifts = np.abs(
        conditional_probabilities(joint, asked, every) - [alone[query.target][query.level] for query in every]
    )
    least = float(settings["shift"])
    return asked, tuple(query for query, shift in zip(every, shifts, strict=True) if shift >= least)


def find_effects(variables: Variables, train: Cohort, side: Side, certain: float) -> tuple[Effect, ...]:
    """Effects on the outcome that `tiers` and colliders identify in the averaged network of training patients, and that
    are there at least `certain` standard errors from none.

    Causes are alterations (present instead of absent) and treatments (each level instead of the most frequent one)
    that may precede the outcome, and that it may not precede, whose parents are the same in every network that data
    cannot distinguish from this one (`find_known_parents`).
    """
    outcomes = [i for i, variable in enumerate(variables.variables) if _is_outcome(variable, train)]
    if not outcomes:
        return ()
    outcome, edges, allowed = outcomes[0], side.averaged.edges, variables.allowed
    known = find_known_parents(edges, allowed) & allowed[:, outcome] & ~allowed[outcome]
    codes = variables.codes(train)
    effects = []
    for cause in np.flatnonzero(known).tolist():
        group = variables.variables[cause].group
        if group not in (ALTERATIONS, "treatment"):
            continue
        counts = np.bincount(codes[cause][codes[cause] >= 0], minlength=int(variables.levels[cause]))
        shares = counts / counts.sum()
        reference = 0 if group == ALTERATIONS else int(np.argmax(shares))
        adjusted = tuple(np.flatnonzero(edges[:, cause]).tolist())
        for level, share in enumerate(shares.tolist()):
            if level != reference:
                weight = share * float(shares[reference]) / (share + float(shares[reference]))
                effects.append(Effect(cause, level, reference, adjusted, weight))
    networks = make_effect_networks(variables, train, side.averaged, effects)
    return tuple(
        effect
        for effect, network in zip(effects, networks, strict=True)
        if abs(risk_difference(network, effect.level, effect.reference))
        >= certain * risk_difference_error(network, codes, effect, outcome)
    )


def _is_outcome(variable: Variable, train: Cohort) -> bool:
    return variable.source in train.schema.endpoints


def make_effect_networks(
    variables: Variables, cohort: Cohort, network: Network, effects: Sequence[Effect]
) -> list[Network]:
    """For each effect the network of its variables in a cohort, outcome last (`queries.make_effect_network`).

    Patients censored before the horizon are left out and the others weighted by the inverse probability of that.
    """
    if not effects:
        return []
    codes = variables.codes(cohort)
    outcome = next(i for i, variable in enumerate(variables.variables) if _is_outcome(variable, cohort))
    asked = variables.variables[outcome]
    _, weights = Outcome(asked.name, "survival", asked.source, horizon=asked.cuts[0]).answers(cohort)
    return [make_effect_network(network, codes, effect, outcome, weights) for effect in effects]


def _effects(variables: Variables, cohort: Cohort, network: Network, effects: Sequence[Effect]) -> Matrix:
    """(effects,) risk differences in a cohort."""
    networks = make_effect_networks(variables, cohort, network, effects)
    return np.array([risk_difference(own, e.level, e.reference) for own, e in zip(networks, effects, strict=True)])


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Variables of the training patients, strengths of their edges, and what can be asked of their averaged network."""
    variables = find_variables(comparison.train, settings)
    few = _too_few(variables, comparison, settings)
    size = len(variables.variables)
    if few:
        return Prepared(variables, np.zeros((size, size)))
    side = learn(variables, comparison.train, settings, rng)
    asked, queries = find_queries(variables, comparison.train, side, settings)
    effects = find_effects(variables, comparison.train, side, float(settings["certain"]))
    ended = any(_is_outcome(variable, comparison.train) for variable in variables.variables)
    return Prepared(
        variables,
        side.strength,
        asked,
        queries,
        effects,
        f"no evidence changes the probability of outcome or alterations by {settings['shift']:g} in training patients",
        "no alteration or treatment whose parents are known has a clear effect in training patients"
        if ended
        else "no primary endpoint",
    )


def _too_few(variables: Variables, comparison: Comparison, settings: Mapping[str, Any]) -> str:
    least = int(settings["min_patients"])
    if len(variables.variables) < 3:
        return f"fewer than 3 variables with levels of {settings['carriers']} training patients"
    if min(len(comparison.real), len(comparison.candidate), len(comparison.train)) < least:
        return f"fewer than {least} patients on one side"
    return ""


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Strengths of edges, averaged networks, and the candidate's network in real patients. Settings: see DEFAULTS."""
    prepared: Prepared = comparison.prepared
    variables = prepared.variables
    modality = "joint" if any(v.group == ALTERATIONS for v in variables.variables) else RECORD
    n = min(len(comparison.real), len(comparison.candidate))
    values: list[Value] = []

    def add(metric: str, value: float, reason: str = "", target: str = "all") -> None:
        values.append(Value(metric, value, target, modality, n, reason if np.isnan(value) else ""))

    few = _too_few(variables, comparison, settings)
    if few:
        for metric in METRICS:
            add(metric.name, np.nan, few)
        return values
    # One stream for each side, both alike: equal cohorts give equal networks.
    seed = int(rng.integers(2**63))
    real, candidate = (
        learn(variables, cohort, settings, np.random.default_rng(seed))
        for cohort in (comparison.real, comparison.candidate)
    )
    strong = float(settings["strong"])
    pairs = np.triu_indices(len(variables.variables), 1)
    x, y = real.strength[pairs], candidate.strength[pairs]
    r, c = x > strong, y > strong
    none = f"no edge of a strength above {strong:g} in real patients"
    add("edge_strength_agreement", weighted_concordance(x, y, np.ones(len(x))) if x.any() else np.nan, none)
    add("averaged_network_f1", 2 * float((r & c).sum()) / float(r.sum() + c.sum()) if r.any() else np.nan, none)
    holdout = variables.codes(comparison.real)
    loss = [measure_loss(network, holdout) for network in candidate.networks]
    add("held_out_loss", float(np.mean(loss)), "no variable varies in real patients")
    # Completions differ in number; the shorter list is repeated.
    count = max(len(real.networks), len(candidate.networks))
    classes = [
        [equivalence_class(side.networks[i % len(side.networks)].edges) for i in range(count)]
        for side in (real, candidate)
    ]
    distance = [structural_hamming_distance(a, b) for a, b in zip(*classes, strict=True)]
    add("structural_hamming_distance", float(np.mean(distance)))
    add("averaged_network_edges", float(c.sum()))
    error, queries = np.nan, prepared.queries
    if queries:
        first, second = (
            conditional_probabilities(joint_probability(side.averaged, prepared.asked), prepared.asked, queries)
            for side in (real, candidate)
        )
        error = float(np.abs(first - second).mean())
    add("query_error", error, prepared.no_queries)
    agreement, effects = np.nan, prepared.effects
    if effects:
        first, second = (
            _effects(variables, cohort, candidate.averaged, effects)
            for cohort in (comparison.real, comparison.candidate)
        )
        agreement = weighted_concordance(first, second, np.array([effect.weight for effect in effects]))
    add("effect_agreement", agreement, prepared.no_effects)
    for i, j in zip(*pairs, strict=True):
        if prepared.train[i, j] > strong:
            pair = f"{variables.variables[i].source}~{variables.variables[j].source}"
            difference = float(candidate.strength[i, j] - real.strength[i, j])
            add("edge_strength_difference", difference, target=pair)
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """The averaged networks side by side, the same variable at the same place, and the strengths of all pairs.

    Learned once more, at equal numbers of patients.
    """
    variables = comparison.prepared.variables
    few = _too_few(variables, comparison, settings)
    if few:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, few, ha="center", va="center", color=NEUTRAL)
        return drawn
    n = min(len(comparison.real), len(comparison.candidate))
    real, candidate = (side.strength for _, side in _at_equal_numbers(comparison, settings))
    strong = float(settings["strong"])
    edges = [(i, j) for i, j in np.argwhere(np.triu(np.maximum(real, candidate) > strong, 1))]
    kinds = {(i, j): _kind(real[i, j] > strong, candidate[i, j] > strong) for i, j in edges}
    shown = sorted(edges, key=lambda edge: (-max(real[edge], candidate[edge]), edge))[:SHOWN]
    drawn, (left, middle, right) = new_figure(15.5, 6.3, ncols=3, gridspec_kw={"width_ratios": [1.25, 1.25, 0.85]})
    drawn.set_layout_engine("constrained", wspace=0.03)
    places = _circle(variables.variables, real + candidate, shown)
    for axis, strength, name, only in ((left, real, "real", "real"), (middle, candidate, label, "candidate")):
        own = [edge for edge in shown if kinds[edge] in ("both", only)]
        _draw_network(axis, variables.variables, places, {edge: (strength[edge], kinds[edge]) for edge in own})
        count = sum(kind in ("both", only) for kind in kinds.values())
        axis.set_title(f"{name} (n = {n:,}): {count} edges" + (f", {len(own)} drawn" if len(own) < count else ""))
    looks = {"both": "in both", "real": "in real patients alone", "candidate": f"in {label} alone"}
    handles = [left.plot([], [], c=LOOKS[k][0], ls=LOOKS[k][1], lw=2, label=text)[0] for k, text in looks.items()]
    present = {MARKERS.get(variables.variables[i].group, CLINICAL) for i in places}
    handles += [
        left.plot([], [], ls="", marker=marker, c=NEUTRAL, mec=BLACK, ms=6, label=text)[0]
        for marker, text in sorted(present, key=lambda look: look[1])
    ]
    drawn.legend(handles=handles, loc="outside lower left", ncols=len(handles), fontsize=8)
    _draw_strengths(right, real, candidate, strong, label)
    row = values[(values["metric"] == "edge_strength_agreement") & (values["target"] == "all")]
    if len(row) and row["status"].iloc[0] == "ok":
        value, low, high = (row[name].iloc[0] for name in ("value", "low", "high"))
        right.set_title(f"agreement {value:.2f} ({low:.2f} to {high:.2f})")
    return drawn


def _at_equal_numbers(comparison: Comparison, settings: Mapping[str, Any]) -> list[tuple[Cohort, Side]]:
    """The patients of real and candidate, the larger side drawn down to the smaller, and what is learned from them."""
    n = min(len(comparison.real), len(comparison.candidate))
    sides = []
    for cohort in (comparison.real, comparison.candidate):
        rng = stream(0, "bayesian_network", "figure")
        part = cohort if len(cohort) == n else cohort.take(rng.permutation(len(cohort))[:n])
        sides.append((part, learn(comparison.prepared.variables, part, settings, rng)))
    return sides


def write_beside(comparison: Comparison, settings: Mapping[str, Any], files: Sequence[str | Path]) -> None:
    """The averaged networks of the figure, for other programs, and what they answer, by pgmpy.

    For whoever holds the real patients: probabilities of the real network rest on few patients each, and are in no
    release.

    Args:
        files: the network of real patients and that of the candidate (BIF); a table of answers, one row for each query
            and effect: kind, asked, given, adjusted (for effects), real, candidate.
    """
    prepared: Prepared = comparison.prepared
    variables = prepared.variables
    few = _too_few(variables, comparison, settings)
    sides = [] if few else _at_equal_numbers(comparison, settings)
    nothing = Network((), (), np.zeros((0, 0), dtype=bool), ())
    notes = (
        "Averaged network of real patients: not for release.",
        "Averaged network of the candidate's patients.",
    )
    for k, (file, note) in enumerate(zip(files, notes, strict=False)):
        text = format_bif(nothing, [note, few]) if few else format_bif(sides[k][1].averaged, [note])
        write_text(text, file)
    columns: dict[str, list[Any]] = {}
    for name, (part, side) in zip(("real", "candidate"), sides, strict=False):
        network = side.averaged
        own = make_effect_networks(variables, part, network, prepared.effects)
        effects = [intervene(one, e.level, e.reference) for one, e in zip(own, prepared.effects, strict=True)]
        columns["kind"] = ["query"] * len(prepared.queries) + ["effect"] * len(effects)
        asked = [describe(query, network) for query in prepared.queries]
        asked += [_describe(effect, one) for effect, one in zip(prepared.effects, own, strict=True)]
        for column in ("asked", "given", "adjusted"):
            columns[column] = [row.get(column, "") for row in asked]
        columns[name] = [*answer_by_elimination(network, prepared.queries), *effects]
    write_table(pd.DataFrame(columns, columns=["kind", "asked", "given", "adjusted", "real", "candidate"]), files[2])


def _describe(effect: Effect, network: Network) -> dict[str, str]:
    """An effect in words, in the network of its variables."""
    *adjusted, cause, outcome = network.names
    states = network.states[-2]
    return {
        "asked": f"{outcome} = {network.states[-1][-1]}",
        "given": f"do({cause} = {states[effect.level]}) instead of do({cause} = {states[effect.reference]})",
        "adjusted": ", ".join(adjusted),
    }


def _kind(real: bool, candidate: bool) -> str:
    return "both" if real and candidate else "real" if real else "candidate"


def _circle(variables: Sequence[Variable], strength: Matrix, edges: Sequence[tuple[int, int]]) -> dict[int, float]:
    """Angle (radians) of every variable that has an edge, kinds together, neighbours near: by the Fiedler vector."""
    held = sorted({i for edge in edges for i in edge})
    if not held:
        return {}
    weight = strength[np.ix_(held, held)] + 1e-3
    vector = np.linalg.eigh(np.diag(weight.sum(axis=1)) - weight)[1][:, min(1, len(held) - 1)]
    vector = np.round(vector * np.sign(vector[np.argmax(np.abs(vector))]), 6)
    order = [RECORD, "alteration", "treatment", "outcome"]
    rank = [order.index(MARKERS.get(variables[i].group, CLINICAL)[1]) for i in held]
    turn = sorted(range(len(held)), key=lambda k: (rank[k], vector[k], held[k]))
    return {held[k]: np.pi / 2 - 2 * np.pi * position / len(held) for position, k in enumerate(turn)}


def _draw_network(
    axis: Any,
    variables: Sequence[Variable],
    places: Mapping[int, float],
    edges: Mapping[tuple[int, int], tuple[float, str]],
) -> None:
    axis.axis("off")
    axis.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
    axis.set_box_aspect(1)
    if not places:
        axis.text(0, 0, "no edge on either side", ha="center", color=NEUTRAL)
    along = np.linspace(0, 1, 30)
    for (i, j), (strength, kind) in edges.items():
        ends = np.array([[np.cos(places[k]), np.sin(places[k])] for k in (i, j)])
        # A quadratic curve, the more bent towards the centre the longer: it does not lie on variables in between.
        bent = (0.9 - 0.3 * np.linalg.norm(ends[0] - ends[1])) * ends.mean(axis=0)
        path = np.outer((1 - along) ** 2, ends[0]) + np.outer(2 * along * (1 - along), bent)
        path += np.outer(along**2, ends[1])
        colour, line, _ = LOOKS[kind]
        axis.plot(*path.T, c=colour, ls=line, lw=0.4 + 2.6 * strength, solid_capstyle="round", zorder=1)
    joined = {k for edge in edges for k in edge}
    for k, angle in places.items():
        marker, _ = MARKERS.get(variables[k].group, CLINICAL)
        x, y = np.cos(angle), np.sin(angle)
        axis.plot(x, y, marker=marker, ms=6, c=NEUTRAL if k in joined else "white", mec=BLACK, mew=0.7, zorder=2)
        left = x < -1e-9
        name = variables[k].name
        axis.text(
            1.08 * x, 1.08 * y, name if len(name) <= 23 else f"{name[:22]}…", fontsize=8, rotation_mode="anchor",
            rotation=np.degrees(angle) + (180 if left else 0), ha="right" if left else "left", va="center",
        ).set_in_layout(False)  # fmt: skip


def _draw_strengths(axis: Any, real: Matrix, candidate: Matrix, strong: float, label: str) -> None:
    pairs = np.triu_indices(len(real), 1)
    x, y = real[pairs], candidate[pairs]
    kinds = np.array([_kind(a, b) if a or b else "" for a, b in zip(x > strong, y > strong, strict=True)])
    axis.plot([0, 1], [0, 1], c=NEUTRAL, lw=0.8)
    axis.axhline(strong, c=NEUTRAL, lw=0.6, ls=":")
    axis.axvline(strong, c=NEUTRAL, lw=0.6, ls=":")
    for kind, (colour, marker) in {
        "": (NEUTRAL, "."), **{kind: (look[0], look[2]) for kind, look in LOOKS.items()}
    }.items():  # fmt: skip
        axis.scatter(x[kinds == kind], y[kinds == kind], s=22, c=colour, marker=marker, alpha=0.7, lw=0, clip_on=False)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="strength of a pair, real", ylabel=f"strength of a pair, {label}")
    axis.set_box_aspect(1)
