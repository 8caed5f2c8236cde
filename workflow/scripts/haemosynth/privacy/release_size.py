"""How many synthetic patients to release: the largest number that is under every limit, and what each number costs.

The more records are drawn, the better the averages of a small cohort are known and the more they reveal about who took
part; the more useful, too, is the release. Both are measured on one long draw of the fitted generator, cut into
disjoint releases of each size, and the largest size whose attacks stay two standard errors below the limits of the tier
is taken, if further draws confirm it. A release is the first part of the draw, so that a smaller one is a part of a
larger one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLACK, BLUE, GREEN, NEUTRAL, ORANGE, SYNTHETIC, new_figure
from haemosynth.core.progress import progress
from haemosynth.encode.baseline import baseline_design, follow_up
from haemosynth.encode.records import distinct
from haemosynth.generate.pool import CONFIRMING, REDRAWS, sizes
from haemosynth.privacy import memory
from haemosynth.privacy.linkage import Links, link
from haemosynth.privacy.redraws import Targets, attack_redraws, by_chance, find_targets, measure_told, table_area, worst
from haemosynth.privacy.release_check import CHECKS
from haemosynth.privacy.tiers import TIERS, disclosure_limits
from haemosynth.stats.cox import concordance, fit_cox
from haemosynth.stats.distributions import distances
from haemosynth.stats.null_distribution import RARE, quantile

METRICS = ("disclosure_auc", "disclosure_tpr_1", "disclosure_outlying_auc")
ROWS = 3_000  # training and unseen patients who are attacked, at most
EXCHANGES = 400
MOST_REDRAWS = 3 * REDRAWS  # of a size of which the draw holds more: of small releases each tells less for sure
COMPARED = 4  # releases of a size whose margins and survival are looked at
EVENTS = 20  # that a release and the unseen patients need for a Cox model
RIDGE = 10.0  # of the Cox models
CARRIERS = 10  # training patients that a covariate needs


def size_curve(
    train: Cohort, unseen: Cohort, pool: Cohort, candidates: Sequence[int], rng: np.random.Generator
) -> tuple[pd.DataFrame, Targets]:
    """What releases of several sizes reveal to attackers and are good for; a row for each size, smallest first.

    Columns: patients; for each of METRICS its value, `_error` over releases, and `_chance`; attack, the worst one;
    table_auc and told (see the stage `disclosure`); margin_distance, the mean Kolmogorov-Smirnov distance of numeric
    columns from the unseen patients; c_index, Harrell's C in these of a Cox model learned from the release; the same of
    training patients as margin_distance_real and c_index_real. The attacks on single records are not made here: they
    find less, and the release itself is judged by them too.
    """
    choice, trees = rng.spawn(2)
    targets = find_targets(train, unseen, ROWS, EXCHANGES, choice)
    coded = targets.coder.code(pool)
    table = table_area(targets)
    use = Usefulness(train, unseen)
    real = use.of(train)
    rows = []
    for size in progress(candidates, "sizes", len(candidates)):
        blocks = max(1, min(MOST_REDRAWS, len(pool) // size))
        scores = attack_redraws(targets, coded, size, blocks, 0, 0, trees)
        found = worst(scores.means(targets.member, targets.outlying))
        chance = [quantile(null, RARE) for null in by_chance(targets, scores).T]
        good = [use.of(pool.take(np.arange(k * size, (k + 1) * size))) for k in range(min(COMPARED, blocks))]
        row: dict[str, Any] = {"patients": size, "share": size / len(train), "attack": found.attack[0]}
        for column, metric in enumerate(METRICS):
            row |= {metric: found.value[column], f"{metric}_error": found.error[column],
                    f"{metric}_chance": chance[column]}  # fmt: skip
        row |= {"table_auc": table, "told": measure_told(float(found.value[0]), table)}
        row |= {name: float(np.mean([one[name] for one in good])) for name in real}
        row |= {f"{name}_real": value for name, value in real.items()}
        rows.append(row)
    return pd.DataFrame(rows), targets


class Usefulness:
    """What a release is good for: margins like those of unseen patients, and a Cox model that works in them."""

    def __init__(self, train: Cohort, unseen: Cohort) -> None:
        self.unseen = unseen
        self.numbers = [
            name for name, column in train.schema.columns.items()
            if column.numeric and column.derived is None and column.kind != "event"
        ]  # fmt: skip
        self.endpoint = train.schema.endpoints[0] if train.schema.endpoints else None
        self.design = baseline_design(train, CARRIERS) if self.endpoint else None

    def of(self, release: Cohort) -> dict[str, float]:
        """margin_distance and c_index of a release; NaN where a column or an event is missing."""
        gaps = []
        for name in self.numbers:
            sides = [side.clinical[name].dropna().to_numpy(float) for side in (release, self.unseen)]
            if all(len(side) for side in sides):
                gaps.append(distances(sides[0], sides[1])[1])
        return {
            "margin_distance": float(np.mean(gaps)) if gaps else np.nan,
            "c_index": self._concordance(release),
        }

    def _concordance(self, release: Cohort) -> float:
        if self.endpoint is None or self.design is None:
            return np.nan
        (known, time, event), (asked, later, died) = (follow_up(side, self.endpoint) for side in (release, self.unseen))
        if min(event.sum(), died.sum()) < EVENTS:
            return np.nan
        model = fit_cox(self.design.matrix(release)[known], time, event, RIDGE)
        return concordance(self.design.matrix(self.unseen)[asked] @ model.log_hazard, later, died)


def within(curve: pd.DataFrame, tier: str, limits: Mapping[str, float], errors: float = 2.0) -> pd.Series:
    """(sizes,) whether a size and all smaller ones stay `errors` standard errors below every limit of a tier.

    A value also passes where it is no larger than what chance shows.
    """
    own = disclosure_limits(tier, float(curve["table_auc"].iloc[0]), limits)
    good = pd.Series(True, index=curve.index)
    for metric in METRICS:
        value = (curve[metric] + errors * curve[f"{metric}_error"]).cummax()
        good &= value <= np.maximum(own[metric], curve[f"{metric}_chance"])
    return good


def confirm(
    targets: Targets, further: Cohort, size: int, tier: str, table_auc: float, limits: Mapping[str, float],
    rng: np.random.Generator,
) -> bool:  # fmt: skip
    """Whether further releases of a size, as many as these records make, stay below every limit, without a margin."""
    blocks = len(further) // size
    if not blocks:
        return False
    scores = attack_redraws(targets, targets.coder.code(further), size, min(MOST_REDRAWS, blocks), 0, 0, rng)
    found = worst(scores.means(targets.member, targets.outlying))
    chance = [quantile(null, RARE) for null in by_chance(targets, scores).T]
    own = disclosure_limits(tier, table_auc, limits)
    return all(
        value <= max(own[metric], by) for metric, value, by in zip(METRICS, found.value, chance, strict=True)
    )  # fmt: skip


def choose_size(
    train: Cohort,
    unseen: Cohort,
    pool: Cohort,
    asked: int | str | None,
    release: Mapping[str, Any],
    limits: Mapping[str, float],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The curve of `size_curve` with what was chosen.

    With `asked` "auto" the largest size is taken that the tier lets pass, that further draws confirm, and whose records
    single out no training patient (stage `memory`); none: as many as there are training patients, and the release is
    then refused. Otherwise the number asked for, or that of the training patients.

    Args:
        release: the study's `release:`, with tier and most. limits: the study's `gate:`, where it sets limits.

    Returns:
        the curve with the columns of each tier (whether a size passes), confirmed ("yes" or "no" where further draws
        were asked) and chosen.
    """
    tier, most = str(release["tier"]), float(release["most"])
    limits = _numbers(limits)
    grid = [size for size in sizes(len(train), most) if 2 * size <= len(pool)] or [min(len(train), len(pool))]
    number = asked if isinstance(asked, int) else len(train)
    if asked != "auto":
        grid = sorted({*grid, number})
    first = min(len(pool) * REDRAWS // (REDRAWS + CONFIRMING), REDRAWS * grid[-1])
    own, further = pool.take(np.arange(first)), pool.take(np.arange(first, len(pool)))
    draws, again = rng.spawn(2)
    curve, targets = size_curve(train, unseen, own, grid, draws)
    for name in TIERS:
        curve[name] = within(curve, name, limits)
    chosen = number
    curve["confirmed"] = ""
    if asked == "auto":
        table = float(curve["table_auc"].iloc[0])
        remembered = Memory(train, unseen, pool, grid[-1], limits, again)
        for size in reversed(curve.loc[curve[tier], "patients"].tolist()):
            below = confirm(targets, further, size, tier, table, limits, again)
            singled_out = below and remembered.of(size)
            good = below and not singled_out
            curve.loc[curve["patients"] == size, "confirmed"] = "yes" if good else "no"
            if good:
                chosen = size
                break
            # Who is singled out is so in every tier, and in every larger release.
            curve.loc[curve["patients"] >= size, list(TIERS) if singled_out else [tier]] = False
    curve["chosen"] = curve["patients"] == chosen
    return curve


def _numbers(limits: Mapping[str, Any]) -> dict[str, float]:
    """The limits that a study sets itself."""
    return {name: float(limit) for name, limit in limits.items() if isinstance(limit, int | float)}


def without_record(patients: int) -> pd.DataFrame:
    """The table of patients who have images alone: there is nothing to measure, and as many are released as drawn."""
    return pd.DataFrame({"patients": [patients], **{name: [True] for name in TIERS}, "chosen": [True]})


class Memory:
    """Whether the first records of a draw single out a training patient, as the stage `memory` finds it."""

    def __init__(
        self, train: Cohort, unseen: Cohort, pool: Cohort, largest: int, limits: Mapping[str, float],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        own, thin, self.exchange = rng.spawn(3)
        self.limits = {name: limits.get(name, CHECKS[name].limit) for name in ("linked_copies", "exposed")}
        self.calibrated = memory.calibrate(train, distinct(unseen), memory.DEFAULTS, own)
        self.links = link(self.calibrated.linkage, pool.take(np.arange(min(largest, len(pool)))))
        self.pooled = memory.pool_links(self.calibrated, pool, memory.DEFAULTS, thin)

    def of(self, size: int) -> bool:
        """Whether a release of this size fails a check of `memory`."""
        released = Links(self.links.best[:size], self.links.margin[:size])
        found, member = memory.find(self.calibrated, released, self.pooled), self.calibrated.member
        everyone = np.arange(len(member))
        chance = memory.by_chance(found, member, everyone, memory.DEFAULTS, self.exchange)
        value = {
            "linked_copies": memory.measure_linked_copies(found, member, everyone),
            "exposed": memory.measure_exposed(found.largest, member, float(memory.DEFAULTS["rate"])),
        }
        return any(value[name] > max(limit, chance[name]) for name, limit in self.limits.items())


def find_chosen_size(curve: pd.DataFrame) -> int:
    """The number of synthetic patients that `choose_size` took."""
    return int(curve.loc[curve["chosen"].astype(bool), "patients"].iloc[0])


def largest_sizes(curve: pd.DataFrame) -> dict[str, int]:
    """The largest size that each tier lets pass, 0 where it lets none."""
    return {
        name: int(curve.loc[curve[name].astype(bool), "patients"].max()) if curve[name].astype(bool).any() else 0
        for name in TIERS
    }


def advice(curve: pd.DataFrame, tier: str) -> str:
    """Which number of patients would pass, in words, with the line to put into the study."""
    found = largest_sizes(curve)
    order = list(TIERS)
    texts = [f"the largest size that passes in tier {tier} is {found[tier]} (synthetic_patients: {found[tier]})"]
    if not found[tier]:
        texts = [f"no size passes in tier {tier}"]
    for name in order[order.index(tier) + 1 : -1]:
        if found[name] > found[tier]:
            texts.append(f"{found[name]} patients pass in tier {name} (release: {{tier: {name}}})")
    return "; ".join(texts)


def figure(curve: pd.DataFrame, release: Mapping[str, Any], limits: Mapping[str, Any], label: str) -> Figure:
    """What attackers learn, and what a release is good for, against the number of patients released."""
    drawn, (left, right) = new_figure(10, 4, ncols=2)
    if "disclosure_auc" not in curve:
        for axis in (left, right):
            axis.set_axis_off()
        left.text(0.5, 0.5, "patients without a record: nothing to attack", ha="center", transform=left.transAxes)
        return drawn
    patients, taken = curve["patients"], find_chosen_size(curve)
    own = disclosure_limits(str(release["tier"]), float(curve["table_auc"].iloc[0]), _numbers(limits))
    looks = {"disclosure_auc": ("worst attack", SYNTHETIC, "o"),
             "disclosure_outlying_auc": ("worst attack, outlying fifth", ORANGE, "s")}  # fmt: skip
    for metric, (text, colour, marker) in looks.items():
        left.errorbar(patients, curve[metric], 2 * curve[f"{metric}_error"], color=colour, marker=marker, ms=5, lw=1.4,
                      capsize=3, label=f"{text} (two standard errors)")  # fmt: skip
        if own[metric] < 1:
            left.axhline(own[metric], color=colour, lw=1, ls=":")
    left.axhline(curve["table_auc"].iloc[0], color=GREEN, lw=1.4, label="printed table of the same patients")
    left.axhline(0.5, color=NEUTRAL, lw=0.9, ls="--", label="guessing")
    left.plot([], [], color=NEUTRAL, ls=":", label=f"limits of tier {release['tier']}")
    left.set(ylabel="expected area under the ROC curve", ylim=(0.48, None))
    left.legend(loc="upper left", fontsize=7.5)
    left.set_ylim(0.48, 0.5 + 1.6 * (left.get_ylim()[1] - 0.5))
    lines = {"c_index": ("C-index in unseen patients, learned on the release", BLUE, "o"),
             "margin_distance": ("distance of numbers from unseen patients (Kolmogorov-Smirnov)", BLACK,
                                 "s")}  # fmt: skip
    for name, (text, colour, marker) in lines.items():
        if curve[name].notna().any():
            right.plot(patients, curve[name], color=colour, marker=marker, ms=5, lw=1.4, label=text)
            right.axhline(curve[f"{name}_real"].iloc[0], color=colour, lw=1, ls=":")
    right.plot([], [], color=NEUTRAL, ls=":", label="training patients in place of the release")
    right.set(ylabel="C-index; distance", ylim=(0, 1.25))
    right.legend(loc="upper left", fontsize=7.5)
    for axis in (left, right):
        axis.axvline(taken, color=NEUTRAL, lw=6, alpha=0.25)
        axis.set_xscale("log")
        axis.set_xticks(patients, [f"{size:,}" for size in patients])
        axis.minorticks_off()
        axis.set_xlabel("synthetic patients released")
    left.set_title(f"{label}: {taken:,} patients (grey)", loc="left", fontsize=10)
    return drawn
