"""Disclosure: how well can an attacker infer, in expectation, who was learned from?

The attacker holds the full record of a patient, and a sample of the population that is made of all other attacked
patients. Eight attacks look for single records, the others read aggregates: means, shares, pairs, and how dense numbers
lie. All are averaged over releases drawn from the same fitted generator. They are compared with chance and with what a
printed summary table of the same training patients reveals to the same attacker: a release that reveals less than a
table which every paper prints is hard to call a danger, and one that reveals more should say so. Attackers who know
only what neighbours know (age, sex, centre, perhaps how long somebody lived) are asked too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.figures import BLUE, GREEN, NEUTRAL, ORANGE, SYNTHETIC, new_figure
from haemosynth.encode.records import distinct
from haemosynth.generate.fitted import Fitted, load
from haemosynth.modalities.registry import RECORD
from haemosynth.privacy import membership_attacks
from haemosynth.privacy.redraws import (
    RATE,
    Scores,
    Targets,
    attack_redraws,
    by_chance,
    find_targets,
    measure_told,
    restrict,
    table_area,
    worst,
)
from haemosynth.privacy.tree_attack import attack_tree, find_pairs
from haemosynth.stats.null_distribution import RARE, quantile, rank_statistics
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "rows": 3_000,  # training and unseen patients who are attacked, at most
    "redraws": 16,  # releases of the generator that are attacked, at most
    "local": 8,  # of them those that the attacks on single records see too
    "trees": 240,  # of the attack `classifier`, for each release
    "exchanges": 400,  # of training and unseen patients, to see what chance shows
    "identifiers": None,  # columns that others may know of a patient; None: those named age, sex, centre, trial, race
    "population": None,  # patients from whom the training patients were taken, if known: for predictive values
}
COMMON = re.compile(r"(^|_)(age|sex|gender|race|ethnicity|trial|site|cent(er|re)|institution|hospital)($|_)", re.I)
LOCAL = (
    "distance",
    "relative_distance",
    "calibrated_distance",
    "matched",
    "neighbour_count",
    "density_ratio",
    "classifier",
)
NAMES = ("disclosure_auc", "disclosure_tpr_1", "disclosure_outlying_auc")
TABLE = "disclosure_table_auc"

_SCORES = "; ".join(
    [f"{name}, {text}" for name, text in membership_attacks.ATTACKS.items()]
    + [
        "means, distance of the patient from the others along the difference of the release's means from theirs, over"
        " the covariance; columns, log share of the level of each column in the release over that in the other"
        " patients, numbers in quartiles; pairs, the same of every pair of columns, drawn towards independence;"
        " values_2 and values_10, as columns with numbers by how many released values lie in the window that holds the"
        " 2 or 10 nearest other patients' values, times within their event, allele fractions and read depths among"
        " carriers; edges, for a private recipe, as pairs over the pairs of its tree in the groups of its fitted model"
    ]
)
_SOURCE = (
    "Homer et al., PLoS Genet 2008;4:e1000167; Sankararaman et al., Nat Genet 2009;41:965; Carlini et al., IEEE S&P"
    " 2022; van Breugel et al., DOMIAS, AISTATS 2023; Chen et al., GAN-Leaks, CCS 2020; this project (values,"
    " expectation)"
)
STAGE = Stage("privacy", needs=(RECORD,), memory=4000, runtime=30, pool=True, models=True)
METRICS = (
    Metric(
        "disclosure_auc", "target", "", (0, 1), PRIVACY, "attack",
        "area under the ROC curve, training against unseen patients, mean over releases, of the worst attack;"
        f" {_SCORES}",
        _SOURCE, target=0.5,
    ),
    Metric(
        "disclosure_tpr_1", "target", "share", (0, 1), PRIVACY, "attack",
        "share of training patients found where 1 % of unseen patients are taken for one, mean over releases, of the"
        " worst attack", "Carlini et al., IEEE S&P 2022 (true positives at low false positives)", target=RATE,
    ),
    Metric(
        "disclosure_outlying_auc", "target", "", (0, 1), PRIVACY, "attack",
        "disclosure_auc among the fifth of training and unseen patients who lie farthest from their fifth neighbour",
        "this project; after Stadler et al., USENIX Security 2022 (outlying targets)", target=0.5,
    ),
    Metric(
        "disclosure_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
        "99.5 % quantile of the metric that is the target, with training and unseen patients exchanged at random, the"
        " same exchanges for all releases", "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
    Metric(
        TABLE, "descriptive", "", (0, 1), PRIVACY, "attack",
        "area under the ROC curve of the worst attack on a printed table of the training patients: means to the"
        " standard deviation over 20, standard deviations, and counts of five and more", "this project",
    ),
    Metric(
        "disclosure_told", "descriptive", "share", (0, np.inf), PRIVACY, "attack",
        "(d' / d'_table)^2, d' = sqrt(2) Phi^-1(AUC): information of the release as a share of that of the table",
        "this project; d' after Green and Swets, Signal Detection Theory and Psychophysics, 1966",
    ),
    Metric(
        "disclosure_error", "descriptive", "", (0, 1), PRIVACY, "attack",
        "standard error, over releases, of the metric that is the target", "this project",
    ),
    Metric(
        "identifiers_auc", "descriptive", "", (0, 1), PRIVACY, "attack",
        "disclosure_auc of an attacker who knows the target's columns alone", "this project",
    ),
    Metric(
        "identifiers_tpr_1", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "disclosure_tpr_1 of an attacker who knows the target's columns alone", "this project",
    ),
    Metric(
        "predictive_value", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "share of those whom the worst attack names at 1 % false positives who were training patients, if these were"
        " taken from the declared population: p TPR / (p TPR + (1 - p) 0.01), p = n_train / population",
        "Jayaraman et al., PoPETs 2021;2021(2):348 (predictive value of membership inference)",
    ),
    Metric(
        "relative_f1", "descriptive", "", (0, 1), PRIVACY, "attack",
        "(F1 - F0) / (1 - F0), F1 the best of the worst attack's thresholds in the declared population, F0 = 2 p / (1 +"
        " p) of calling everybody a training patient",
        "after El Emam et al., JAMIA Open 2022;5:ooac083 (F1 of membership disclosure)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Attackers:
    """Attackers who know some columns alone. columns: what they know."""

    targets: Targets
    scores: Scores
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """All attacks, made once. chance: (STATISTICS,). partial: name -> attackers who know a part of the record."""

    targets: Targets
    scores: Scores
    chance: np.ndarray
    partial: Mapping[str, Attackers]
    size: int


def read_models(files: Sequence[str]) -> dict[str, Fitted]:
    """The models that an attack is fitted to, by modality.

    Args:
        files: weights and description of one model after the other, in folders `<modality>/<method>`.
    """
    pairs = zip(files[::2], files[1::2], strict=True)
    return {Path(weights).parents[1].name: load(weights, description) for weights, description in pairs}


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Attack the release and its redraws. `rng` chooses whom to attack, exchanges labels, grows trees.

    Raises:
        InputError: `identifiers` names a column that the cohort lacks.
    """
    choice, trees, *partial = rng.spawn(4)
    train, unseen, size = comparison.train, unseen_side(comparison), len(comparison.candidate)
    pool = comparison.candidate if comparison.pool is None else comparison.pool
    rows, exchanges = int(settings["rows"]), int(settings["exchanges"])
    blocks = {key: int(settings[key]) for key in ("redraws", "local", "trees")}
    pool = pool.take(np.arange(min(len(pool), size * blocks["redraws"])))
    targets = find_targets(train, unseen, rows, exchanges, choice)
    scores = attack_redraws(targets, targets.coder.code(pool), size, **blocks, rng=trees)
    if (pairs := find_pairs(comparison.models)) is not None:
        sides = ((distinct(train), targets.member), (distinct(unseen), ~targets.member))
        attacked = [side.take(side.patients.get_indexer(targets.patients[rows])) for side, rows in sides]
        edges = attack_tree(pairs, attacked, pool, size, blocks["redraws"])
        scores = Scores({**scores.of, "edges": edges})
    found = {}
    for (name, columns), own in zip(_find_identifiers(train, settings).items(), partial, strict=False):
        who, draw = own.spawn(2)
        of = find_targets(train, unseen, rows, 1, who, columns)
        known = of.coder.code(restrict(pool, columns))
        found[name] = Attackers(of, attack_redraws(of, known, size, **blocks | {"local": 1}, rng=draw), columns)
    chance = np.array([quantile(null, RARE) for null in by_chance(targets, scores).T])
    return Prepared(targets, scores, chance, found, size)


def _find_identifiers(train: Cohort, settings: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What attackers know who do not hold the record: identifiers, and these with the time of the first endpoint."""
    chosen = settings["identifiers"]
    columns = [name for name, column in train.schema.columns.items() if column.derived is None]
    for name in chosen or ():
        if name not in columns:
            raise InputError(
                f"config: validation.disclosure.identifiers: cohort {train.schema.cohort} has no column {name!r};"
                f" expected some of {', '.join(columns)}"
            )
    known = tuple(chosen) if chosen is not None else tuple(name for name in columns if COMMON.search(name))
    found = {"identifiers": known} if known else {}
    for endpoint in train.schema.endpoints[:1]:
        found["identifiers and survival"] = (*known, f"{endpoint}_time", f"{endpoint}_event")
    return found


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every attack, and `all`, the worst, on these (resampled) patients; the scores are those of `prepare`."""
    prepared: Prepared = comparison.prepared
    targets = prepared.targets
    modality = RECORD if comparison.train.alterations is None else "joint"
    chosen, member = _choose_attacked(targets, comparison)
    n = len(chosen)
    if member.all() or not member.any():
        return [Value(name, np.nan, modality=modality, reason="nobody left to distinguish") for name in NAMES]
    found = _of(prepared.scores, chosen, member, targets.outlying[chosen])
    values = [
        Value(metric, float(rows[:, column].mean()), name, modality, n)
        for name, rows in found.items()
        for column, metric in enumerate(NAMES)
    ]
    top = worst(found)
    table = table_area(targets, member, chosen)
    for column, metric in enumerate(NAMES):
        values.append(Value(metric, float(top.value[column]), modality=modality, n=n))
        values.append(Value("disclosure_chance", float(prepared.chance[column]), metric, modality, n))
        values.append(Value("disclosure_error", float(top.error[column]), metric, modality, n))
    values.append(Value(TABLE, table, modality=modality, n=n))
    share = measure_told(float(top.value[0]), table)
    why = "" if np.isfinite(share) else "the table reveals nothing"
    values.append(Value("disclosure_told", share if not why else np.nan, modality=modality, n=n, reason=why))
    values += _in_population(prepared, settings, chosen, member, modality, len(comparison.train))
    for name, attackers in prepared.partial.items():
        rows, labels = _choose_attacked(attackers.targets, comparison)
        known = worst(_of(attackers.scores, rows, labels, attackers.targets.outlying[rows]))
        values.append(Value("identifiers_auc", float(known.value[0]), name, RECORD, len(rows)))
        values.append(Value("identifiers_tpr_1", float(known.value[1]), name, RECORD, len(rows)))
    return values


def _choose_attacked(targets: Targets, comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the attacked patients who were drawn, and who of them is a training patient."""
    drawn = [targets.patients.get_indexer(side.patients) for side in (comparison.train, unseen_side(comparison))]
    rows = np.concatenate(drawn)
    member = np.repeat([True, False], [len(side) for side in drawn])[rows >= 0]
    return rows[rows >= 0], member


def _of(scores: Scores, rows: np.ndarray, member: np.ndarray, outlying: np.ndarray) -> dict[str, np.ndarray]:
    return Scores({name: of[:, rows] for name, of in scores.of.items()}).means(member, outlying)


def _in_population(
    prepared: Prepared, settings: Mapping[str, Any], rows: np.ndarray, member: np.ndarray, modality: str, trained: int
) -> list[Value]:
    """Predictive value and relative F1 of the worst attack in the declared population."""
    if not settings["population"]:
        reason = "no population is declared (validation: disclosure: population)"
        return [Value(name, np.nan, modality=modality, reason=reason) for name in ("predictive_value", "relative_f1")]
    share = min(1.0, trained / float(settings["population"]))
    grid = tuple(np.geomspace(1e-3, 1, 60))
    precise, best = [], []
    for of in prepared.scores.of.values():
        curves = np.array([rank_statistics(score[rows], member[None, :], (RATE, *grid))[1][0] for score in of])
        curve = curves.mean(axis=0)
        precise.append(share * curve[0] / (share * curve[0] + (1 - share) * RATE))
        true, false = curve[1:], np.array(grid)
        precision = share * true / (share * true + (1 - share) * false)
        best.append(float((2 * precision * true / np.maximum(precision + true, 1e-12)).max()))
    everyone = 2 * share / (1 + share)
    gained = (max(best) - everyone) / (1 - everyone) if everyone < 1 else 0.0
    return [
        Value("predictive_value", max(precise), modality=modality, n=len(rows)),
        Value("relative_f1", float(np.clip(gained, 0, 1)), modality=modality, n=len(rows)),
    ]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Every attack in expectation with its redraws, beside chance and the printed table; and who else attacks."""
    prepared: Prepared = comparison.prepared
    targets = prepared.targets
    drawn, (left, right) = new_figure(11, 4.8, ncols=2, gridspec_kw={"width_ratios": [1.35, 1]})
    known = values[values["status"] == "ok"]
    keys = zip(known["metric"], known["target"], strict=True)
    number = dict(zip(keys, known[["value", "low", "high"]].to_numpy(float), strict=True))
    found = prepared.scores.means(targets.member, targets.outlying)
    order = sorted(found, key=lambda name: found[name][:, 0].mean())
    for place, name in enumerate(order):
        areas = found[name][:, 0]
        colour = BLUE if name in LOCAL else SYNTHETIC
        left.plot(areas, np.full(len(areas), place), "|", color=colour, alpha=0.4, ms=9)
        left.plot(areas.mean(), place, "o", color=colour, ms=5)
    left.set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
    left.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--", label="guessing")
    left.axvline(number["disclosure_chance", "disclosure_auc"][0], color=NEUTRAL, lw=1.2, ls=":",
                 label="worst attack by chance, 99.5 %")  # fmt: skip
    left.axvline(number[TABLE, "all"][0], color=GREEN, lw=1.4, label="printed table of the same patients")
    left.plot([], [], "o", color=BLUE, label="looks for single records")
    left.plot([], [], "o", color=SYNTHETIC, label="reads aggregates")
    members, blocks = int(targets.member.sum()), max(len(rows) for rows in found.values())
    left.set(xlabel="area under the ROC curve; ticks: single releases, dot: expected", xlim=(0.4, 1))
    left.legend(loc="lower right", fontsize=7.5)
    left.set_title(
        f"{label}: {blocks} release{'s' if blocks > 1 else ''} of {prepared.size:,}; {members:,} training,"
        f" {len(targets.member) - members:,} unseen",
        loc="left", fontsize=10,
    )  # fmt: skip
    rows = [
        ("disclosure_auc", "all", "worst attack,\nall patients", SYNTHETIC),
        ("disclosure_outlying_auc", "all", "worst attack,\noutlying fifth", ORANGE),
        *(("identifiers_auc", name, f"who knows\n{name}", BLUE) for name in prepared.partial),
    ]
    for place, (metric, target, _, colour) in enumerate(rows):
        value, low, high = number[metric, target]
        if np.isfinite(low):
            right.hlines(place, low, high, color=colour, lw=1.6)
        right.plot(value, place, "o", color=colour, ms=6)
        right.annotate(f"{value:.2f}", (value, place), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        if (chance := number.get(("disclosure_chance", metric))) is not None:
            right.plot(chance[0], place, "|", color=NEUTRAL, ms=14, mew=2)
    right.plot([], [], "|", color=NEUTRAL, ms=12, mew=2, label="by chance, 99.5 % quantile")
    right.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--")
    right.set_yticks(range(len(rows)), [text for *_, text, _ in rows])
    right.set(xlim=(0.4, 1), ylim=(len(rows) - 0.4, -0.7), xlabel="area under the ROC curve, 95 % interval")
    rate = number["disclosure_tpr_1", "all"][0]
    right.set_title(f"found at 1 % false positives: {100 * rate:.1f} %", loc="left", fontsize=10)
    right.legend(loc="lower right", fontsize=7.5)
    return drawn
