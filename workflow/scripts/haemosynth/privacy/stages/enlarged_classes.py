"""Classes that quotas enlarge: are their few real members, whose like the release shows more often, safe too?

A quota shows the members of a rare class more often than they are met, so that the release says more of each of them
than of others, and an average over all patients hides it. The attacks of `disclosure` are made here on the whole
release and its redraws, and counted among the members of each class alone, training members against unseen ones; so
are the record linkage of `memory` and the exact repetitions of `distance`. What chance shows is taken for each class
with its members exchanged at random, so that a class of few is not stopped by luck, and can be distinguished only where
it is large enough: its interval says how far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, SYNTHETIC, new_figure
from haemosynth.encode.records import distinct
from haemosynth.generate.balance import Class, find_enlarged, read_quotas
from haemosynth.modalities.registry import RECORD
from haemosynth.privacy import memory, nearness
from haemosynth.privacy.linkage import link
from haemosynth.privacy.redraws import Scores, Targets, areas, attack_redraws, find_targets
from haemosynth.stats.null_distribution import RARE, Labels, exchange_members, quantile
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "balance": None,  # the quotas of the study
    "rows": 3_000,  # training and unseen patients of a side, at most; of more so many are drawn at random
    "redraws": 16,  # releases of the same generator whose attacks are averaged, at most
    "exchanges": 1_000,  # of training and unseen members, to see what chance shows
}
STAGE = Stage("privacy", needs=(RECORD,), memory=6000, runtime=60, pool=True, by_default=False, balanced=True)
SOURCE = "this project; after Stadler et al., USENIX Security 2022 (attacks on single groups of targets)"
METRICS = (
    Metric(
        "class_disclosure_auc", "descriptive", "", (0, 1), PRIVACY, "attack",
        "mean over releases of the area under the ROC curve of the worst attack on aggregates, training against unseen"
        " members of the class; 0.5 is guessing",
        SOURCE,
    ),
    Metric(
        "class_exact_matches", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "share of the class's released clinical records that repeat a training member, less the share of unseen members"
        " who do, at least 0",
        SOURCE,
    ),
    Metric(
        "class_linked_copies", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "linked_copies of the stage memory, among the members of the class", SOURCE,
    ),
    Metric(
        "class_exposed", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "exposed of the stage memory, among the members of the class", SOURCE,
    ),
    Metric(
        "enlarged_classes_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
        "99.5 % quantile of the metric and class that are the target, with training and unseen members exchanged",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
    Metric(
        "class_members", "descriptive", "patients", (0, np.inf), PRIVACY, "attack",
        "training patients of the class; classes of fewer than five are not counted", "this project",
    ),
)  # fmt: skip
NAMES = ("class_disclosure_auc", "class_exact_matches", "class_linked_copies", "class_exposed")


@dataclass(frozen=True)
class Prepared:
    """The attacks, made once. mine: (classes, patients attacked) who of them belongs to each class; the same of those
    whom records are linked with. repeated, repeats: shares of class_exact_matches."""

    classes: tuple[Class, ...]
    targets: Targets
    scores: Scores
    mine: Labels
    calibrated: memory.Calibrated
    found: memory.Found
    linked: Labels
    exact: NDArray[np.float64]
    chance: Mapping[tuple[str, str], float]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | None:
    """Attack the release and its redraws once; None where the study has no quotas or they enlarge no class."""
    if not settings["balance"]:
        return None
    train, unseen, candidate = comparison.train, distinct(unseen_side(comparison)), comparison.candidate
    classes = tuple(find_enlarged(read_quotas(settings["balance"], train, settings.get("released")), train))
    if not classes:
        return None
    choice, calibrate, trees, exchange, thin = rng.spawn(5)
    rows, exchanges, redraws = (int(settings[key]) for key in ("rows", "exchanges", "redraws"))
    targets = find_targets(train, unseen, rows, 1, choice)
    pool = candidate if comparison.pool is None else comparison.pool
    pool = pool.take(np.arange(min(len(pool), len(candidate) * redraws)))
    scores = attack_redraws(targets, targets.coder.code(pool), len(candidate), redraws, 0, 0, trees)
    calibrated = memory.calibrate(train, unseen, memory.DEFAULTS, calibrate)
    links = link(calibrated.linkage, candidate)
    further = None if comparison.pool is None else memory.pool_links(calibrated, pool, memory.DEFAULTS, thin)
    found = memory.find(calibrated, links, further)
    mine = np.array([_flags(targets.patients, targets.member, one, train, unseen) for one in classes])
    linked = np.array([_flags(calibrated.patients, calibrated.member, one, train, unseen) for one in classes])
    exact = np.array([_repeats(one, candidate, train, unseen, targets) for one in classes])
    chance: dict[tuple[str, str], float] = {}
    for i, one in enumerate(classes):
        member = targets.member[mine[i]]
        if not _enough(member):
            continue
        labels = exchange_members(member, exchanges, exchange)
        means = [
            areas(rankdata(of[:, mine[i]], axis=1).mean(axis=0)[None], labels)[0] for of in scores.of.values()
        ]  # fmt: skip
        chance["class_disclosure_auc", one.name] = quantile(np.max(means, axis=0), RARE)
        rows_ = np.flatnonzero(linked[i])
        if _enough(calibrated.member[rows_]):
            explained = memory.by_chance(found, calibrated.member, rows_, memory.DEFAULTS, exchange)
            chance["class_linked_copies", one.name] = explained["linked_copies"]
            chance["class_exposed", one.name] = explained["exposed"]
    return Prepared(classes, targets, scores, mine, calibrated, found, linked, exact, chance)


def _flags(patients: pd.Index, member: Labels, one: Class, train: Cohort, unseen: Cohort) -> Labels:
    """(patients,) who belongs to a class, of training patients and unseen ones."""
    sides = [side.patients[one.members(side)] for side in (train, unseen)]
    return np.where(member, patients.isin(sides[0]), patients.isin(sides[1]))


def _repeats(one: Class, candidate: Cohort, train: Cohort, unseen: Cohort, targets: Targets) -> tuple[float, float]:
    """Shares of released and of unseen records of the class whose clinical record is that of a training member."""
    encoder = targets.coder.encoder
    sides = [encoder.points(side.take(np.flatnonzero(one.members(side)))) for side in (candidate, unseen, train)]
    if not len(sides[2]):
        return 0.0, 0.0
    apart = float(nearness.DEFAULTS["tolerance"])
    found = [nearness.identical(side, sides[2], encoder, apart)[:, 0] for side in sides[:2]]
    shares = [float(same.mean()) if len(same) else 0.0 for same in found]
    return shares[0], shares[1]


def _enough(member: Labels) -> bool:
    return bool(min(member.sum(), (~member).sum()) >= MIN_CELL_COUNT)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every check of every class, on these (resampled) patients; the attacks are those of `prepare`."""
    prepared: Prepared | None = comparison.prepared
    if prepared is None:
        reason = "the study has no quotas that enlarge a class"
        return [Value(metric.name, np.nan, reason=reason) for metric in METRICS]
    values = []
    sides = (comparison.train, unseen_side(comparison))
    targets, calibrated = prepared.targets, prepared.calibrated
    drawn, linked = (_find_drawn(patients, sides) for patients in (targets.patients, calibrated.patients))
    for i, one in enumerate(prepared.classes):
        rows, among = drawn[prepared.mine[i][drawn]], linked[prepared.linked[i][linked]]
        member, known = targets.member[rows], calibrated.member[among]
        reason = f"fewer than {MIN_CELL_COUNT} training or unseen patients of the class"
        count = one.patients if one.patients >= MIN_CELL_COUNT else np.nan
        values.append(Value("class_members", count, one.name, n=len(rows), reason="" if count == count else reason))
        if not _enough(member) or not _enough(known):
            values += [Value(name, np.nan, one.name, n=len(rows), reason=reason) for name in NAMES]
            continue
        area = max(
            float(areas(rankdata(of[:, rows], axis=1), member[None, :])[:, 0].mean())
            for of in prepared.scores.of.values()
        )
        own = calibrated.member
        numbers = {
            "class_disclosure_auc": area,
            "class_exact_matches": max(0.0, float(prepared.exact[i, 0] - prepared.exact[i, 1])),
            "class_linked_copies": float(np.clip(memory.measure_linked_copies(prepared.found, own, among), 0, 1)),
            "class_exposed": memory.measure_exposed(
                prepared.found.largest[among], known, float(memory.DEFAULTS["rate"])
            ),
        }
        values += [Value(name, number, one.name, n=len(rows)) for name, number in numbers.items()]
        for name in NAMES:
            if (name, one.name) in prepared.chance:
                by = prepared.chance[name, one.name]
                values.append(Value("enlarged_classes_chance", by, f"{name}~{one.name}", n=len(rows)))
    return values


def _find_drawn(patients: pd.Index, sides: tuple[Cohort, Cohort]) -> NDArray[np.intp]:
    """Rows of the patients attacked who are among these (resampled) ones, once for each time."""
    found = np.concatenate([patients.get_indexer(side.patients) for side in sides])
    return found[found >= 0]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """The worst attack on each enlarged class, beside guessing and what chance shows among its members."""
    known = values[(values["metric"] == "class_disclosure_auc") & (values["status"] == "ok")]
    chance = values[values["metric"] == "enlarged_classes_chance"].set_index("target")["value"]
    drawn, axis = new_figure(7.5, 1.6 + 0.42 * max(1, len(known)))
    if known.empty:
        axis.axis("off")
        axis.text(0.5, 0.5, "no class of five or more patients is enlarged", ha="center", va="center", color=NEUTRAL)
        return drawn
    for place, row in enumerate(known.to_dict("records")):
        if np.isfinite(row["low"]):
            axis.hlines(place, row["low"], row["high"], color=SYNTHETIC, lw=1.6)
        axis.plot(row["value"], place, "o", color=SYNTHETIC, ms=6)
        by = chance.get(f"class_disclosure_auc~{row['target']}", np.nan)
        axis.plot(by, place, "|", color=NEUTRAL, ms=14, mew=2)
    axis.plot([], [], "o", color=SYNTHETIC, label="worst attack, 95 % interval")
    axis.plot([], [], "|", color=NEUTRAL, ms=12, mew=2, label="by chance, 99.5 % quantile")
    axis.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--", label="guessing")
    names = [f"{row['target']} (n = {row['n']})" for row in known.to_dict("records")]
    axis.set_yticks(range(len(names)), names)
    axis.set(xlim=(0.2, 1), ylim=(len(names) - 0.4, -0.7),
             xlabel="area under the ROC curve: training against unseen members")  # fmt: skip
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    axis.set_title(f"{label}: attacks on the members of enlarged classes", loc="left", fontsize=10)
    return drawn
