"""Rare patients: are patients who differ from all others safe too?

An average attack hides the few patients whom a generator is most likely to remember: those far from all others, those
with rare alterations, those with extreme values. They are attacked here on their own, each beside control patients who
are as unusual. Leaving such a patient out and fitting every generator anew would measure the patient's influence
directly, but costs a fit for each; the difference between training and unseen patients of equal rarity replaces it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLACK, BLUE, NEUTRAL, ORANGE, SYNTHETIC, new_figure
from haemosynth.encode.records import Encoder, Vector, fit_encoder
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.privacy import attacks
from haemosynth.stats.neighbours import nearest
from haemosynth.stats.null_distribution import RARE, Labels, exchange_members, quantile
from haemosynth.validate import Stage
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "rows": 10_000,  # patients of a side at most; larger sides are subsampled
    "neighbour": 5,  # a patient stands out by the distance to this neighbour among the other real patients
    "outlying": 0.2,  # share of real patients who stand out most
    "strata": 4,  # groups of equally outlying patients, within which training and control patients are compared
    "rare": 0.05,  # alterations that at most this share of sequenced training patients carry are rare
    "extreme": 0.01,  # values beyond this quantile of training patients on either side are extreme
    "combination": 3,  # alterations in a rare combination at most
    "fewest": 8,  # patients of a kind on either side
}
STAGE = Stage("privacy", needs=(RECORD,), memory=4000, runtime=30)
METRICS = (
    Metric(
        "outlier_membership_auc", "target", "", (0, 1), PRIVACY, "attack",
        "probability that an outlying training patient lies nearer to the release than an equally outlying control"
        " patient (same stratum of distance to the fifth neighbour among all other real patients; ties half); all: the"
        " fifth of patients farthest from others; rare alterations, extreme values: those who have them",
        "this project; after Stadler et al., USENIX Security 2022 (outlying targets)",
        target=0.5,
    ),
    Metric(
        "rare_patients_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
        "99.5 % quantile of the metric that is the target, with training and control patients exchanged at random",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
    Metric(
        "rare_profile_matches", "error", "share", (0, 1), PRIVACY, "attack",
        "combinations of two or three alterations that no other training patient carries (and none of whose parts is"
        " such a combination): p_train - p_control, at least 0; p: mean over patients who have them of the"
        " share that some released record carries",
        "this project; after Elliot et al., Int J Uncertain Fuzz 2002;10:493 (special uniques)",
    ),
    Metric(
        "rare_profiles_train", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "p_train of rare_profile_matches", "this project",
    ),
    Metric(
        "rare_profiles_control", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "p_control of rare_profile_matches", "this project",
    ),
    Metric(
        "rarest_alterations", "descriptive", "alterations", (0, np.inf), PRIVACY, "attack",
        "number of alterations of the panel that one to four training patients carry and the release shows",
        "this project",
    ),
)  # fmt: skip
KINDS = ("all", "rare alterations", "extreme values")
RAREST = 5  # carriers below whom an alteration points to its carriers


@dataclass(frozen=True)
class Side:
    """Training or control patients as the attack sees them, each once.

    kinds: (patients, KINDS) whether a patient is so unusual. rarity: distance to the neighbour. near: distance to
    the nearest released record. combinations, matched: numbers of rare combinations and of those that are released.
    """

    patients: pd.Index
    kinds: NDArray[np.bool_]
    rarity: Vector
    near: Vector
    combinations: Vector
    matched: Vector


@dataclass(frozen=True)
class Prepared:
    """What the attack on the release found.

    rarest: number of the rarest alterations that are released. chance: see rare_patients_chance.
    """

    train: Side
    control: Side
    rarest: int
    chance: float


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Find the unusual patients and attack them once. Settings: see DEFAULTS; `rng` subsamples sides above `rows`."""
    most = int(settings["rows"])
    sides = [attacks.some_patients(side, most, rng) for side in (comparison.train, comparison.control)]
    train, control = sides
    encoder = fit_encoder(train)
    points = np.concatenate([encoder.points(side) for side in sides])
    released = encoder.points(attacks.some_patients(comparison.candidate, most, rng))
    border, order = len(train), min(int(settings["neighbour"]), len(points) - 1)
    near = nearest(points, released)[:, 0]
    # All real patients but oneself, on both sides: training and control patients are treated alike.
    rarity = nearest(points, points, order + 1)[:, order]
    far = rarity > np.quantile(rarity, 1 - float(settings["outlying"]))
    kinds = np.column_stack([
        far,
        np.concatenate([_carries_rare(side, train, float(settings["rare"])) for side in sides]),
        np.concatenate([_has_extreme(side, train, encoder, float(settings["extreme"])) for side in sides]),
    ])  # fmt: skip
    own, matched = _combinations(sides, comparison.candidate, int(settings["combination"]))

    def side(cohort: Cohort, rows: slice) -> Side:
        return Side(cohort.patients, kinds[rows], rarity[rows], near[rows], own[rows], matched[rows])

    rarest = 0
    if train.alterations is not None and comparison.candidate.alterations is not None:
        carriers = train.alterations.sum()
        few = carriers.index[(carriers > 0) & (carriers < RAREST)]
        rarest = int((comparison.candidate.alterations[few].sum() > 0).sum())
    member = np.arange(len(points)) < border
    chance = _by_chance(rarity[far], near[far], member, far, settings, rng)
    return Prepared(side(train, slice(0, border)), side(control, slice(border, None)), rarest, chance)


def _by_chance(
    rarity: Vector, near: Vector, member: Labels, far: Labels, settings: Mapping[str, Any], rng: np.random.Generator
) -> float:
    """What `outlier_membership_auc` of the outlying patients is by chance; rarity and near: of these.

    Neither depends on which side a patient is on.
    """
    null = []
    for labels in exchange_members(member, attacks.EXCHANGES, rng)[:, far]:
        if min(labels.sum(), (~labels).sum()) >= int(settings["fewest"]):
            sides = ((rarity[labels], near[labels]), (rarity[~labels], near[~labels]))
            null.append(match_area(*sides, int(settings["strata"])))
    return quantile(np.array(null), RARE) if null else np.nan


def _carries_rare(cohort: Cohort, train: Cohort, share: float) -> NDArray[np.bool_]:
    if cohort.alterations is None or train.alterations is None:
        return np.zeros(len(cohort), dtype=bool)
    frequency = train.alterations.mean()
    rare = frequency.index[frequency <= share]
    carries: NDArray[np.bool_] = (cohort.alterations[rare].to_numpy(float) == 1).any(axis=1)
    return carries


def _has_extreme(cohort: Cohort, train: Cohort, encoder: Encoder, tail: float) -> NDArray[np.bool_]:
    found = np.zeros(len(cohort), dtype=bool)
    for name, _, _ in encoder.numbers:
        known = train.clinical[name].dropna().to_numpy(float)
        if name not in train.schema.survival and len(known):
            low, high = np.quantile(known, [tail, 1 - tail])
            values = cohort.clinical[name].to_numpy(float)
            found |= (values < low) | (values > high)
    return found


def _combinations(sides: list[Cohort], candidate: Cohort, largest: int) -> tuple[Vector, Vector]:
    """Each patient's number of rare combinations, and how many of them some released record carries.

    A combination is a training patient's own where no other training patient carries it, a control patient's where none
    does: what it would be had he been a training patient. Combinations that contain a smaller such one are left out.
    """
    total = sum(len(side) for side in sides)
    own, matched = np.zeros(total), np.zeros(total)
    if sides[0].alterations is None or candidate.alterations is None:
        return own, matched
    carried = [_find_carried(side) for side in sides]
    counts = {size: Counter(_all_sets(carried[0], size)) for size in range(2, largest + 1)}
    rows: list[int] = []
    rare: list[tuple[int, ...]] = []
    for start, events, others in ((0, carried[0], 1), (len(carried[0]), carried[1], 0)):
        for row, carries in enumerate(events, start):
            found: list[tuple[int, ...]] = []
            for size, known in counts.items():
                found += [
                    which for which in combinations(carries, size)
                    if known[which] == others and not any(set(part) <= set(which) for part in found)
                ]  # fmt: skip
            rows += [row] * len(found)
            rare += found
    np.add.at(own, rows, 1)
    np.add.at(matched, rows, _find_released(rare, candidate))
    return own, matched


def _find_carried(cohort: Cohort) -> list[tuple[int, ...]]:
    assert cohort.alterations is not None
    return [tuple(np.flatnonzero(row)) for row in cohort.alterations.to_numpy(float) == 1]


def _all_sets(carried: Iterable[tuple[int, ...]], size: int) -> Iterable[tuple[int, ...]]:
    return (which for events in carried for which in combinations(events, size))


def _find_released(rare: list[tuple[int, ...]], candidate: Cohort) -> Vector:
    """1 for each combination that some released record carries."""
    assert candidate.alterations is not None
    packed = np.packbits(candidate.alterations.to_numpy(float) == 1, axis=0).T  # (events, released records / 8)
    found = np.zeros(len(rare))
    for size in {len(which) for which in rare}:
        places = np.flatnonzero([len(which) == size for which in rare])
        for part in np.array_split(places, 1 + len(places) * packed.shape[1] // 10**7):  # bounded memory
            events = np.array([rare[place] for place in part], dtype=int).reshape(len(part), size)
            found[part] = np.bitwise_and.reduce(packed[events], axis=1).any(axis=1)
    return found


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Compare these (resampled) training and control patients. Needs what `prepare` found."""
    prepared: Prepared = comparison.prepared
    rows = [side.patients.get_indexer(cohort.patients) for side, cohort in
            ((prepared.train, comparison.train), (prepared.control, comparison.control))]  # fmt: skip
    chosen = [where[where >= 0] for where in rows]
    values = []
    for kind, name in enumerate(KINDS):
        modality = ALTERED if name == "rare alterations" else RECORD
        ours = [where[side.kinds[where, kind]] for side, where in zip((prepared.train, prepared.control), chosen,
                strict=True)]  # fmt: skip
        n, fewest = sum(map(len, ours)), int(settings["fewest"])
        if modality == ALTERED and comparison.train.alterations is None:
            values.append(Value("outlier_membership_auc", np.nan, name, modality, n, attacks.NO_GENOMIC))
        elif min(map(len, ours)) < fewest:
            reason = f"fewer than {fewest} training or control patients stand out so"
            values.append(Value("outlier_membership_auc", np.nan, name, modality, n, reason))
        else:
            train, control = (
                (side.rarity[where], side.near[where])
                for side, where in zip((prepared.train, prepared.control), ours, strict=True)
            )
            area = match_area(train, control, int(settings["strata"]))
            values.append(Value("outlier_membership_auc", area, name, modality, n))
            if name == "all":
                values.append(Value("rare_patients_chance", prepared.chance, "outlier_membership_auc", modality, n))
    values += _profile_values(prepared, chosen, comparison, int(settings["fewest"]))
    return values


def _profile_values(prepared: Prepared, chosen: list[Any], comparison: Comparison, fewest: int) -> list[Value]:
    names = ("rare_profile_matches", "rare_profiles_train", "rare_profiles_control", "rarest_alterations")
    shares, counts = [], []
    for side, where in zip((prepared.train, prepared.control), chosen, strict=True):
        having = where[side.combinations[where] > 0]
        counts.append(len(having))
        shares.append(float((side.matched[having] / side.combinations[having]).mean()) if len(having) else np.nan)
    reason = ""
    if comparison.train.alterations is None:
        reason = attacks.NO_GENOMIC
    elif min(counts) < fewest:
        reason = f"fewer than {fewest} training or control patients carry a combination of their own"
    if reason:
        return [Value(name, np.nan, modality=ALTERED, n=sum(counts), reason=reason) for name in names]
    numbers = (max(attacks.least_risk(comparison), shares[0] - shares[1]), *shares, float(prepared.rarest))
    return [Value(name, number, modality=ALTERED, n=sum(counts)) for name, number in zip(names, numbers, strict=True)]


def match_area(train: tuple[Vector, Vector], control: tuple[Vector, Vector], strata: int) -> float:
    """Probability that a training patient lies nearer than a control patient of the same stratum of rarity; ties half.

    Strata are quantiles of the rarity of the control patients, so that each holds some; pairs count alike.

    Args:
        train, control: (rarity, distance to the nearest released record), each (patients,).
    """
    edges = np.unique(np.quantile(control[0], np.linspace(0, 1, strata + 1)[1:-1]))
    groups = [np.searchsorted(edges, side[0], side="right") for side in (train, control)]
    won = pairs = 0.0
    for group in range(len(edges) + 1):
        mine, theirs = train[1][groups[0] == group], control[1][groups[1] == group]
        won += float((mine[:, None] < theirs[None, :]).sum() + 0.5 * (mine[:, None] == theirs[None, :]).sum())
        pairs += len(mine) * len(theirs)
    return won / pairs if pairs else 0.5


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How near the release comes to outlying training and control patients, and what an attacker gains from it."""
    prepared: Prepared = comparison.prepared
    drawn, (left, right) = new_figure(9.5, 3.6, ncols=2, gridspec_kw={"width_ratios": [1.2, 1]})
    _draw_bins(left, prepared, label)
    found = values[values["status"] == "ok"]
    names = {"all": "far from all others", "rare alterations": "rare alterations", "extreme values": "extreme values"}
    places: list[int] = []
    texts: list[str] = []
    for target, text in names.items():
        row = found[(found["metric"] == "outlier_membership_auc") & (found["target"] == target)]
        if len(row):
            _draw_value(right, row.iloc[0], len(places), BLUE)
            places.append(len(places))
            texts.append(f"{text}\n(attack, area under the curve)")
    row = found[found["metric"] == "rare_profile_matches"]
    if len(row):
        _draw_value(right, row.iloc[0], len(places), ORANGE)
        places.append(len(places))
        texts.append("rare combinations of alterations\n(matches, excess)")
    right.set_yticks(places, texts)
    areas = sum("area" in text for text in texts)
    right.plot([0.5, 0.5], [-0.5, areas - 0.5], color=NEUTRAL, lw=0.9, ls="--")
    right.set(
        xlim=(-0.03, 1.03),
        ylim=(max(1, len(places)) - 0.4, -0.6),
        xlabel="0.5 is guessing in attacks, 0 best for matches",
    )
    return drawn


def _draw_value(axis: Any, row: pd.Series, place: int, colour: str) -> None:
    if np.isfinite(row["low"]):
        axis.plot([row["low"], row["high"]], [place, place], color=colour, lw=1.5)
    axis.plot(row["value"], place, "o", color=colour, ms=5)
    axis.annotate(f"{row['value']:.2f}", (row["value"], place), (0, 6), textcoords="offset points", ha="center",
                  fontsize=8)  # fmt: skip


def _draw_bins(axis: Any, prepared: Prepared, label: str) -> None:
    """Shares of both sides in bins of the distance to the release; bins with fewer than five patients are left out."""
    train, control = (side.near[side.kinds[:, 0]] for side in (prepared.train, prepared.control))
    bins = max(1, min(4, len(control) // (2 * MIN_CELL_COUNT)))
    pooled = np.concatenate([train, control])
    edges = np.unique(np.quantile(control, np.linspace(0, 1, bins + 1))) if len(control) else np.array([0.0])
    inner = edges[1:-1]
    width = 0.38
    texts = [f"below {inner[0]:.2f}"] if len(inner) else ["any"]
    texts += [f"{low:.2f} to {high:.2f}" for low, high in pairwise(inner)]
    texts += [f"above {inner[-1]:.2f}"] if len(inner) else []
    sides = (("training patients", SYNTHETIC, train, -width / 2), ("control patients", BLACK, control, width / 2))
    for name, colour, distances, shift in sides:
        counts = np.bincount(np.searchsorted(inner, distances, side="right"), minlength=len(texts))
        shown = counts >= MIN_CELL_COUNT
        shares = np.where(shown, counts / max(1, len(distances)), 0)
        size = f"{len(distances):,}" if len(distances) >= MIN_CELL_COUNT else f"<{MIN_CELL_COUNT}"
        axis.bar(np.arange(len(texts)) + shift, shares, width, color=colour, label=f"{name} (n = {size})")
        for place in np.flatnonzero(~shown & (len(pooled) > 0)):
            axis.annotate(f"<{MIN_CELL_COUNT}", (place + shift, 0), (0, 2), textcoords="offset points", ha="center",
                          fontsize=8, color=colour)  # fmt: skip
    axis.set_xticks(range(len(texts)), texts)
    axis.set(xlabel="distance to the nearest released record (1: another level)", ylabel="share of outlying patients")
    axis.set_ylim(0, 1.25 * max(0.4, axis.get_ylim()[1]))
    axis.legend(loc="upper right", frameon=False, fontsize=8)
    axis.set_title(f"{label}: patients far from all others", loc="left", fontsize=10)
