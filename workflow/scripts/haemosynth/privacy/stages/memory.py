"""Memory: does a released record belong to one training patient?

Averages cannot show that a generator remembers single patients. Record linkage asks of each released record whose it is
and how surely, and a cut on the certainty is set on real patients: blurred copies must be found, and real patients must
not belong to each other. What is then linked to training patients is held against what is linked to patients whom no
generator has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Vector, distinct
from haemosynth.modalities.registry import RECORD
from haemosynth.privacy import memory
from haemosynth.privacy.linkage import Links, link
from haemosynth.privacy.memory import (
    Calibrated,
    Found,
    by_chance,
    calibrate,
    counts,
    find,
    measure_exposed,
    measure_linked_copies,
    names,
    pool_links,
)
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS = memory.DEFAULTS


STAGE = Stage("privacy", needs=(RECORD,), memory=4000, runtime=30, pool=True)
METRICS = (
    Metric(
        "linked_copies", "error", "share", (0, 1), PRIVACY, "attack",
        "a released record names the patient whom record linkage finds best where the margin over the second best real"
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
        Value("linked_copies", measure_linked_copies(found, calibrated.member, rows), n=n),
        Value("exposed", measure_exposed(found.largest[rows], calibrated.member[rows], float(settings["rate"])), n=n),
        *(Value("memory_chance", limit, metric, n=n) for metric, limit in prepared.chance.items()),
        Value("named_patients", k, "train", n=found.released),
        Value("named_patients", others, "unseen", n=found.pooled),
        Value("linkage_cut", calibrated.cut, n=n),
        Value("linkage_power", float(names(calibrated.copies, calibrated.cut).mean()), n=len(calibrated.copies)),
    ]


def _places(known: pd.Index, wanted: pd.Index) -> NDArray[np.intp]:
    """Where each of `wanted` is in `known`, as often as it is wanted; those not there are left out."""
    places = known.get_indexer(wanted)
    return places[places >= 0]


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
        shown = reaching >= MIN_CELL_COUNT
        axis.plot(grid[shown], reaching[shown] / len(margins) if shown.any() else [], color=colour, lw=1.6,
                  label=f"{name} (n = {len(margins):,})")  # fmt: skip
    least = 0.5 * min(MIN_CELL_COUNT / max(MIN_CELL_COUNT, len(margins)) for _, _, margins in sides)
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
