"""Shadow attack: what can somebody find who knows the recipe and all training patients but one?

The recipe is fitted again and again to the training patients, some targets among them now in and now out: each in half
of the refits, everybody else always. The attacker sees how the scores of a target differ between releases that learned
from him and releases that did not, and judges each release by that. This is an upper bound of what the attacks of
`disclosure` could find in other hands (Stadler et al., USENIX Security 2022; Carlini et al., IEEE S&P 2022), and costs
as many fits. It is therefore not in the usual list of stages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.figures import NEUTRAL, ORANGE, REAL, SYNTHETIC, new_figure
from haemosynth.core.progress import progress
from haemosynth.encode.records import Matrix, distinct
from haemosynth.generate.constraints import enforce
from haemosynth.modalities.registry import ALTERED, RECORD, load, load_algorithm
from haemosynth.privacy.aggregate_attacks import attack_aggregates
from haemosynth.privacy.membership_attacks import attack
from haemosynth.privacy.redraws import NEIGHBOUR, RATE, find_targets
from haemosynth.stats.neighbours import neighbours
from haemosynth.stats.null_distribution import Labels, rank_statistics
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "refits": 24,  # of the recipe, an even number
    "targets": 40,  # training patients who are attacked: half who stand far from all others, half any others
    "rows": 3_000,  # training and unseen patients who serve as the population, at most
    "trees": 60,  # of the attack `classifier`, for each refit
    "methods": {},  # of the recipe, modality -> settings; the workflow passes those of the study
}
LEAST_REFITS = 4
Make = Callable[[Cohort, int, np.random.Generator], Cohort]
GROUPS = ("outlying", "ordinary")
STAGE = Stage(
    "privacy",
    needs=(RECORD,),
    environment="pyro",
    memory=6000,
    runtime=720,
    refits=True,
    of_published=True,
    by_default=False,
)
METRICS = (
    Metric(
        "shadow_auc", "descriptive", "", (0, 1), PRIVACY, "attack",
        "area under the ROC curve over targets and refits, refits that learned from the target against those that did"
        " not; score of each attack of disclosure_auc less its mean over the target's other refits without him; all:"
        " the worst attack; target outlying or ordinary: the worst among these targets",
        "Stadler et al., USENIX Security 2022; Carlini et al., IEEE S&P 2022 (calibration for each target)",
    ),
    Metric(
        "shadow_tpr_1", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "share of refits that learned from the target which the attack names where it names 1 % of the others",
        "Carlini et al., IEEE S&P 2022 (true positives at low false positives)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Shadowed:
    """What became of the targets.

    patients: targets. outlying: (targets,). inside: (refits, targets) who was learned from. scores: attack -> (refits,
    targets), calibrated for each target. size: records of each release.
    """

    patients: pd.Index
    outlying: Labels
    inside: Labels
    scores: Mapping[str, Matrix]
    size: int


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Shadowed:
    """Refit the recipe and attack every release. `rng` chooses targets, fits, samples and grows trees.

    Raises:
        InputError: no recipe, one whose record is not drawn first and alone, or an impossible number.
    """
    make = recipe(settings["methods"])
    train, unseen = distinct(comparison.train), distinct(unseen_side(comparison))
    return attack_refits(train, unseen, make, len(comparison.candidate), settings, rng)


def recipe(methods: Mapping[str, Mapping[str, Any]]) -> Make:
    """What fits a recipe's record and alterations to patients and draws so many new ones.

    Args:
        methods: modality -> `algorithm`, `given`, and the algorithm's settings, as in a study.

    Raises:
        InputError: no record, or a record that is drawn given alterations or together with them.
    """
    if RECORD not in methods or methods[RECORD].get("given") or methods[RECORD].get("joint"):
        raise InputError(
            "config: stages: shadow refits recipes whose record comes first and alone; publish such a recipe, or leave"
            " the stage out"
        )
    known = {}
    for modality in (RECORD, ALTERED):
        if modality in methods:
            chosen = dict(methods[modality])
            if modality == RECORD:
                chosen.pop("classes_last", None)
            module = load_algorithm(modality, chosen.pop("algorithm"))
            given = chosen.pop("given", [])
            known[modality] = module, given, generate.settings_of(module, chosen, f"config: methods.{modality}")

    last = load(RECORD, "classes_last") if generate.draws_classes_last(methods[RECORD]) else None

    def make(train: Cohort, n: int, rng: np.random.Generator) -> Cohort:
        fitting, drawing = rng.spawn(2)
        module, _, own = known[RECORD]
        learned = module.fit(train.record(), own, fitting, None)
        record = Cohort(replace(train.schema, alterations={}), module.sample(learned, train.schema, n, drawing))
        if train.alterations is None or ALTERED not in known:
            return enforce(record)
        module, given, settings = known[ALTERED]
        model = module.fit(generate.visible(train, given, ALTERED), settings, fitting, None)
        drawn = module.sample(model, record, drawing)
        whole = Cohort.of(train.schema, record.clinical, drawn.alterations, drawn.sequenced, drawn.mutations)
        if last is None:
            return enforce(whole)
        made: Cohort = last.redraw(enforce(whole), last.fit(learned, train, own, fitting), (), drawing)
        return made

    return make


def attack_refits(
    train: Cohort, unseen: Cohort, make: Make, size: int, settings: Mapping[str, Any], rng: np.random.Generator
) -> Shadowed:
    """Attack releases of `size` records, each of a generator that has learned from half of the targets.

    Args:
        make: (training patients, number, rng) -> that many patients of a generator fitted to them.

    Raises:
        InputError: an odd or too small number of refits, or fewer training patients than targets.
    """
    refits, wanted = int(settings["refits"]), int(settings["targets"])
    if refits < LEAST_REFITS or refits % 2:
        raise InputError(
            f"config: validation.shadow.refits is {refits}; expected an even number, {LEAST_REFITS} or more"
        )
    if not 2 <= wanted < len(train):
        told = f"expected 2 or more, below the {len(train)} training patients"
        raise InputError(f"config: validation.shadow.targets is {wanted}; {told}")
    choice, order, trees, *own = rng.spawn(3 + refits)
    population = find_targets(train, unseen, int(settings["rows"]), 1, choice)
    points = population.attacked.real.points
    members = np.flatnonzero(population.member)
    order_of = min(NEIGHBOUR, len(points) - 1)
    far = neighbours(points[members], points, order_of + 1)[0][:, order_of]
    ranked = members[np.argsort(-far, kind="stable")]
    half = min(wanted, len(members)) // 2
    rows = np.concatenate([ranked[:half], choice.permutation(ranked[half:])[: wanted - half]])
    column = np.repeat(np.arange(refits)[:, None] < refits // 2, len(rows), axis=1)
    inside = order.permuted(column, axis=0)
    places = train.patients.get_indexer(population.patients[rows])
    found: dict[str, list[np.ndarray]] = {}
    for turn, draw in zip(progress(range(refits), "refits", refits), own, strict=True):
        kept = np.setdiff1d(np.arange(len(train)), places[~inside[turn]])
        released = population.coder.code(make(train.take(kept), size, draw))
        scores = attack_aggregates(population.attacked, released)
        scores |= attack(points, released.points, int(settings["trees"]), trees)
        for name, score in scores.items():
            found.setdefault(name, []).append(score[rows])
    calibrated = {name: calibrate(np.array(scores), inside) for name, scores in found.items()}
    outlying = np.arange(len(rows)) < half
    return Shadowed(population.patients[rows], outlying, inside, calibrated, size)


def calibrate(scores: Matrix, inside: Labels) -> Matrix:
    """Each score less the mean of the same target's scores in the other refits that did not learn from him.

    Args:
        scores: (refits, targets). inside: (refits, targets) who was learned from; two refits at least without each.
    """
    without = ~inside
    total = (scores * without).sum(axis=0) - scores * without
    return np.asarray(scores - total / (without.sum(axis=0) - without))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every attack, the worst of them, and the worst among outlying and among ordinary targets; `rng` is not used."""
    known: Shadowed = comparison.prepared
    modality = RECORD if comparison.train.alterations is None else "joint"
    drawn = known.patients.get_indexer(comparison.train.patients)
    drawn = drawn[drawn >= 0]
    values = []
    sides = {"all": drawn, "outlying": drawn[known.outlying[drawn]], "ordinary": drawn[~known.outlying[drawn]]}
    for side, rows in sides.items():
        if not len(rows):
            values += [Value(m.name, np.nan, side, modality, reason="no target") for m in METRICS]
            continue
        of = {name: _measure_attack(score[:, rows], known.inside[:, rows]) for name, score in known.scores.items()}
        for column, metric in enumerate(METRICS):
            values.append(Value(metric.name, max(one[column] for one in of.values()), side, modality, len(rows)))
            if side == "all":
                values += [Value(metric.name, one[column], name, modality, len(rows)) for name, one in of.items()]
    return values


def _measure_attack(scores: Matrix, inside: Labels) -> tuple[float, float]:
    """Area under the ROC curve, and true positives at RATE, over refits and targets."""
    area, rates = rank_statistics(scores.ravel(), inside.ravel()[None], (RATE,))
    return float(area[0]), float(rates[0, 0])


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Every attack, and the scores of the worst one with and without the target."""
    known: Shadowed = comparison.prepared
    drawn, (left, right) = new_figure(10, 4.2, ncols=2)
    areas = {name: _measure_attack(score, known.inside)[0] for name, score in known.scores.items()}
    order = sorted(areas, key=lambda name: areas[name])
    left.plot([areas[name] for name in order], range(len(order)), "o", color=SYNTHETIC)
    found = values[(values["metric"] == "shadow_auc") & values["target"].isin(GROUPS)]
    for row, colour in zip(found.itertuples(), (ORANGE, REAL), strict=False):
        left.axvline(row.value, color=colour, lw=1.2, label=f"worst, {row.target} targets")
    left.axvline(0.5, color=NEUTRAL, ls="--", lw=0.9, label="guessing")
    left.set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
    left.set(xlim=(0.3, 1), xlabel="area under the ROC curve")
    left.legend(loc="lower right", fontsize=7.5)
    left.set_title(f"{label}: {len(known.inside)} refits, releases of {known.size:,}", loc="left", fontsize=10)
    scores = known.scores[order[-1]]
    low, high = np.quantile(scores, [0.005, 0.995])
    edges = np.linspace(float(low), float(high), 25)
    for side, colour, text in ((known.inside, SYNTHETIC, "learned from"), (~known.inside, NEUTRAL, "left out")):
        right.stairs(np.histogram(scores[side], edges)[0], edges, color=colour, lw=1.6, label=text)
    right.set(xlabel=f"score of {order[-1].replace('_', ' ')}, less that without the target", ylabel="targets x refits")
    right.legend(fontsize=8)
    return drawn
