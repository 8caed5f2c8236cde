"""Memory: does a released record belong to one training patient?

Averages cannot show that a generator remembers single patients. Record linkage asks of each released record whose it is
and how surely, and a cut on the certainty is set on real patients: blurred copies must be found, and real patients must
not belong to each other. What is then linked to training patients is held against what is linked to patients whom no
generator has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binom

from haemosynth.cohort import Cohort
from haemosynth.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.validate.chance import RARE, Labels, exchanged, quantile
from haemosynth.validate.leaks import blurred
from haemosynth.validate.linkage import Linkage, Links, fit_linkage, link
from haemosynth.validate.records import Matrix, Vector, distinct, fit_encoder, some_rows, unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "tolerance": 0.08,  # difference up to which two numbers agree, as a share of their 10-90 % range
    "agreement": 0.9,  # probability that an attribute of a copy agrees
    "copies": 200,  # blurred copies of training patients, at most, that set the cut
    "noise": 0.03,  # of the blurred copies, as a share of a number's 10-90 % range
    "missed": 0.05,  # share of blurred copies that the cut may miss
    "coincidences": 0.01,  # share of real patients who may be linked to one another
    "rate": 0.02,  # false positive rate up to which `exposed` looks
    "exchanges": 4_000,  # of training and unseen patients, to see what chance shows
    "attacked": 5_000,  # training and unseen patients together, at most; every released record is linked with these
    "pool": 50_000,  # further records of the generator, at most
}

FEWEST_SHOWN = 5  # records behind a point of the figure

METRICS = (
    Metric(
        "linked_copies", "error", "share", (0, 1), PRIVACY, "attack",
        "a released record names the patient whom record linkage finds best where his margin over the second best real"
        " patient reaches linkage_cut; k: training patients named by the n released records, u: records among the N of"
        " the pool that name an unseen patient, over the number of unseen patients; (k - n_train u n / N) / min(n,"
        " n_train), at least 0",
        "this project; linkage after Fellegi and Sunter, J Am Stat Assoc 1969;64:1183",
    ),
    Metric(
        "exposed", "error", "share", (0, 1), PRIVACY, "attack",
        "score of a patient: the largest margin of the released records linked to him, 0 where none is; the largest"
        " difference of the shares of training and of unseen patients who reach a threshold that at most 2 % of unseen"
        " patients reach, at least 0",
        "this project; few false positives after Carlini et al., IEEE S&P 2022",
    ),
    Metric(
        "memory_chance", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "what chance explains of the metric that is the target; linked_copies: the value with the largest k that is"
        " reached with a probability of at least 0.005 if each of all who are named is a training patient with"
        " probability n n_train / (n n_train + N n_unseen); exposed: 99.5 % quantile with training and unseen patients"
        " exchanged at random",
        "Przyborowski and Wilenski, Biometrika 1940;31:313 (comparison of two rates); Fisher, The Design of"
        " Experiments, 1935 (randomisation test)",
    ),
    Metric(
        "named_patients", "descriptive", "", (0, np.inf), PRIVACY, "attack",
        "target train: training patients named by a released record; target unseen: records of the pool that name an"
        " unseen patient",
        "this project",
    ),
    Metric(
        "linkage_cut", "descriptive", "log odds", (0, np.inf), PRIVACY, "attack",
        "the larger of the 5 % quantile of the margins of blurred copies (0 where another patient is best) and the 99 %"
        " quantile of the margins of real patients, each linked with the others",
        "this project",
    ),
    Metric(
        "linkage_power", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "share of blurred copies of training patients (numbers moved by 3 % of their range, one level changed) that"
        " name their patient",
        "this project",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Calibrated:
    """Record linkage with real patients, and its cut: what does not depend on the release.

    patients: who is attacked. member: (patients,) who of them is a training patient. trained: number of all training
    patients. copies, others: margins of blurred copies, and of real patients among themselves.
    """

    linkage: Linkage
    patients: pd.Index
    member: Labels
    trained: int
    cut: float
    copies: Vector
    others: Vector


@dataclass(frozen=True)
class Found:
    """Which patients a release and its pool are linked with.

    largest: (patients,) largest margin of the released records. named: (patients,) how many records of the pool name
    each. cut: for a margin. released, pooled: numbers of records. trained: of training patients of the generator.
    """

    largest: Vector
    named: Vector
    cut: float
    released: int
    pooled: int
    trained: int


@dataclass(frozen=True)
class Prepared:
    """What is found once. links: of the released records. chance: metric -> see memory_chance."""

    calibrated: Calibrated
    found: Found
    links: Links
    chance: Mapping[str, float]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Set the cut and link the release. `rng` chooses whom to attack, blurs copies and exchanges labels."""
    own, thin, exchange = rng.spawn(3)
    calibrated = calibrate(comparison.train, distinct(unseen_side(comparison)), settings, own)
    links = link(calibrated.linkage, comparison.candidate)
    found = find(calibrated, links, pool_links(calibrated, comparison.pool, settings, thin))
    everyone = np.arange(len(calibrated.patients))
    return Prepared(calibrated, found, links, by_chance(found, calibrated.member, everyone, settings, exchange))


def calibrate(train: Cohort, unseen: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Calibrated:
    """Ready the linkage with real patients and set the cut.

    Of more than `attacked` patients so many are drawn, in the same proportion: every released record may be a copy, so
    that all of these are linked, with fewer patients.
    """
    choice, blur = rng.spawn(2)
    most, total = int(settings["attacked"]), len(train) + len(unseen)
    sides = [
        some_rows(side, max(2, most * len(side) // total) if total > most else len(side), choice)
        for side in (train, unseen)
    ]
    encoder = fit_encoder(train)
    real = _together(*sides)
    linkage = fit_linkage(real, encoder, float(settings["tolerance"]), float(settings["agreement"]))
    places = np.sort(blur.permutation(len(sides[0]))[: int(settings["copies"])])
    copied = sides[0].take(places)
    copies = replace(copied, clinical=blurred(copied, train, float(settings["noise"]), blur))
    again, others = link(linkage, copies), link(linkage, real, apart=np.arange(len(real))).margin
    margins = np.where(again.best == places, again.margin, 0.0)
    cut = max(
        float(np.quantile(margins, float(settings["missed"]))),
        float(np.quantile(others, 1 - float(settings["coincidences"]))),
    )
    member = np.repeat([True, False], [len(side) for side in sides])
    return Calibrated(linkage, real.patients, member, len(train), cut, margins, others)


def _together(train: Cohort, unseen: Cohort) -> Cohort:
    """The patients of both, without mutation table; levels that only the unseen patients have are kept."""
    clinical = pd.concat([train.clinical, unseen.clinical])
    if train.alterations is None or unseen.alterations is None:
        return replace(train.clinical_only(), clinical=clinical)
    assert train.sequenced is not None
    assert unseen.sequenced is not None
    assert train.mutations is not None
    return replace(
        train,
        clinical=clinical,
        alterations=pd.concat([train.alterations, unseen.alterations]),
        sequenced=pd.concat([train.sequenced, unseen.sequenced]),
        mutations=train.mutations.iloc[:0],
    )


def pool_links(
    calibrated: Calibrated, pool: Cohort | None, settings: Mapping[str, Any], rng: np.random.Generator
) -> Links | None:
    """Links of the records of the pool, of which at most `pool` are drawn; None where there is no pool."""
    return None if pool is None else link(calibrated.linkage, some_rows(pool, int(settings["pool"]), rng))


def find(calibrated: Calibrated, links: Links, pooled: Links | None) -> Found:
    """Which patients the released records are linked with, and those of the pool (None: the release is its own)."""
    pooled, patients = links if pooled is None else pooled, len(calibrated.patients)
    largest = np.zeros(patients)
    np.maximum.at(largest, links.best, links.margin)
    named = np.bincount(pooled.best[names(pooled.margin, calibrated.cut)], minlength=patients).astype(float)
    return Found(largest, named, calibrated.cut, len(links.best), len(pooled.best), calibrated.trained)


def names(margin: Vector, cut: float) -> Labels:
    """Whether a margin names a patient; a tie names nobody, whatever the cut."""
    reached: Labels = (margin >= cut) & (margin > 0)
    return reached


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """The metrics above, of these (resampled) training and unseen patients. Settings: see DEFAULTS."""
    prepared: Prepared = comparison.prepared
    calibrated, found = prepared.calibrated, prepared.found
    attacked = np.flatnonzero(calibrated.member), np.flatnonzero(~calibrated.member)
    sides = comparison.train, unseen_side(comparison)
    rows = np.concatenate([
        known[_places(calibrated.patients[known], side.patients)] for known, side in zip(attacked, sides, strict=True)
    ])  # fmt: skip
    n = len(rows)
    k, others = counts(found, calibrated.member, rows)
    return [
        Value("linked_copies", linked_copies(found, calibrated.member, rows), n=n),
        Value("exposed", exposed(found.largest[rows], calibrated.member[rows], float(settings["rate"])), n=n),
        *(Value("memory_chance", limit, metric, n=n) for metric, limit in prepared.chance.items()),
        Value("named_patients", k, "train", n=found.released),
        Value("named_patients", others, "unseen", n=found.pooled),
        Value("linkage_cut", calibrated.cut, n=n),
        Value("linkage_power", float(names(calibrated.copies, calibrated.cut).mean()), n=len(calibrated.copies)),
    ]


def _places(known: pd.Index, wanted: pd.Index) -> NDArray[np.intp]:
    """Where each of `wanted` stands in `known`, as often as it is wanted; those not there are left out."""
    places = known.get_indexer(wanted)
    return places[places >= 0]


def counts(found: Found, member: Labels, rows: NDArray[np.intp]) -> tuple[float, float]:
    """How many training patients among `rows` the release names, and how many records of the pool name the others."""
    trained, others = rows[member[rows]], rows[~member[rows]]
    return float(names(found.largest[trained], found.cut).sum()), float(found.named[others].sum())


def linked_copies(found: Found, member: Labels, rows: NDArray[np.intp]) -> float:
    """Excess of training patients named by the release, see METRICS; of the patients in `rows`."""
    return max(0.0, _excess(found, member, rows, *counts(found, member, rows)))


def _excess(found: Found, member: Labels, rows: NDArray[np.intp], k: float, others: float) -> float:
    trained = float(member[rows].sum())
    rest = len(rows) - trained
    excess = k - trained * others / rest * found.released / found.pooled
    return excess / (trained * min(1.0, found.released / found.trained))


def by_chance(
    found: Found, member: Labels, rows: NDArray[np.intp], settings: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, float]:
    """What chance explains of both metrics, for the patients in `rows`.

    If the release remembers nobody, every patient is named at the same rate by each of its records and of those of the
    pool: of all that are named, a binomial number are training patients.
    """
    k, others = counts(found, member, rows)
    total, trained = k + others, float(member[rows].sum())
    ours, theirs = found.released * trained, found.pooled * (len(rows) - trained)
    # The largest number that is reached or exceeded with a probability of at least 1 - RARE.
    most = float(binom.isf(1 - RARE, total, ours / (ours + theirs))) if total else 0.0
    explained = max(0.0, _excess(found, member, rows, most, total - most))
    labels = exchanged(member[rows], int(settings["exchanges"]), rng)
    null = exposed_of(found.largest[rows], labels, float(settings["rate"]))
    return {"linked_copies": explained, "exposed": quantile(null, RARE)}


def exposed(scores: Vector, member: Labels, rate: float) -> float:
    """Largest difference of true and false positive rates where the latter is at most `rate`, at least 0."""
    return float(exposed_of(scores, member[None, :], rate)[0])


def exposed_of(scores: Vector, member: Labels, rate: float) -> Vector:
    """The same under each of several labellings.

    Args:
        scores: (patients,), 0 for those whom no record is linked with, who are never above a threshold.
        member: (labellings, patients).
    """
    order = np.argsort(-scores, kind="stable")[: int((scores > 0).sum())]
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else order
    trained = member.sum(axis=1, keepdims=True)
    true = np.cumsum(member[:, order], axis=1, dtype=np.int32)[:, ends]
    false = (ends + 1 - true) / (member.shape[1] - trained)
    gain: Matrix = np.where(false <= rate, true / trained - false, 0.0)
    highest: Vector = gain.max(axis=1, initial=0.0)
    return highest


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How surely records of the release, real patients and blurred copies belong to a patient; what was found."""
    prepared: Prepared = comparison.prepared
    calibrated, links = prepared.calibrated, prepared.links
    drawn, (left, right) = new_figure(10.5, 3.8, ncols=2, gridspec_kw={"width_ratios": [1.25, 1]})
    to_train = calibrated.member[links.best]
    sides = [
        ("real patients, linked with the others", REAL, calibrated.others),
        ("blurred copies of training patients", BLUE, calibrated.copies),
        (f"{label}, linked with unseen patients", NEUTRAL, links.margin[~to_train]),
        (f"{label}, linked with training patients", SYNTHETIC, links.margin[to_train]),
    ]
    _draw_margins(left, sides, calibrated.cut)
    _draw_shares(right, values[values["status"] == "ok"])
    return drawn


def _draw_margins(axis: Any, sides: list[tuple[str, str, Vector]], cut: float) -> None:
    """Share of each side with at least a given margin, as long as five of its records have it."""
    end = max(2 * cut, 1.0)
    grid = np.linspace(0, end, 201)
    for name, colour, margins in sides:
        reaching = len(margins) - np.searchsorted(np.sort(margins), grid, side="left")
        shown = reaching >= FEWEST_SHOWN
        axis.plot(grid[shown], reaching[shown] / len(margins) if shown.any() else [], color=colour, lw=1.6,
                  label=f"{name} (n = {len(margins):,})")  # fmt: skip
    least = 0.5 * min(FEWEST_SHOWN / max(FEWEST_SHOWN, len(margins)) for _, _, margins in sides)
    axis.plot([cut, cut], [least, 1], color=NEUTRAL, lw=1, ls="--")
    axis.annotate("cut", (cut, least), (3, 6), textcoords="offset points", fontsize=8, color=NEUTRAL)
    axis.set(xlabel="margin of the best over the second best patient (log odds)", xlim=(0, end))
    axis.set(ylabel="share with at least this margin", yscale="log", ylim=(least, least**-0.45))  # room for the legend
    ticks = [tick for tick in (1e-4, 1e-3, 0.01, 0.1, 1.0) if tick >= least]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.legend(loc="upper left", frameon=False, fontsize=8)


def _draw_shares(axis: Any, found: pd.DataFrame) -> None:
    """Both scored metrics with their intervals, beside their value without memory and what chance explains."""
    texts = {
        "linked_copies": "training patients whom\na record names, excess",
        "exposed": "training patients more\nexposed than unseen ones",
    }
    ends = [0.02]
    for place, metric in enumerate(texts):
        row = found[(found["metric"] == metric) & (found["target"] == "all")].iloc[0]
        chance = float(found.loc[(found["metric"] == "memory_chance") & (found["target"] == metric), "value"].iloc[0])
        value, low, high = (float(row[key]) for key in ("value", "low", "high"))
        axis.plot([chance], [-place], "|", color=NEUTRAL, ms=24, mew=2)
        axis.plot([0.0], [-place], "|", color=REAL, ms=24, mew=1.5)
        axis.plot([value], [-place], "o", color=SYNTHETIC)
        if np.isfinite(low):
            axis.plot([low, high], [-place, -place], color=SYNTHETIC, lw=1.5)
        axis.annotate(f"{value:.3f}", (value, -place), (0, 8), textcoords="offset points", ha="center", fontsize=8)
        ends += [chance, value, high if np.isfinite(high) else 0.0]
    end = min(1.0, 1.25 * max(ends))
    axis.set(xlim=(-0.04 * end, 1.04 * end), ylim=(0.6 - len(texts), 0.6), xlabel="share of the training patients")
    axis.set_title("bars: black without memory, grey by chance", loc="left", fontsize=9, color=NEUTRAL)
    axis.set_yticks([-place for place in range(len(texts))], list(texts.values()))
