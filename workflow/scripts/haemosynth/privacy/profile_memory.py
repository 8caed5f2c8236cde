"""Memory of profiles: what every stage does that asks whether measured profiles give away whom they were learned from.

Patients are points in one space and rows of recorded numbers; a modality says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Matrix, Vector
from haemosynth.privacy.aggregate_attacks import attack_values
from haemosynth.privacy.membership_attacks import attack
from haemosynth.privacy.nearness import as_at_equal_n, nearer_share
from haemosynth.stats.neighbours import neighbours
from haemosynth.stats.null_distribution import RARE, Labels, exchanged, quantile, rank_statistics
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import Comparison, Value


@dataclass(frozen=True)
class Attacked:
    """Patients once each, and what is found of them.

    member: (patients,). scores: attack -> (patients,). profiles: owners of the synthetic profiles. distances:
    (profiles, 2) to the nearest training and unseen patient. chance: of nearness and of the worst area. ratio:
    (profiles,) distance to the nearest over that to the second nearest patient; own: the same of real patients.
    """

    patients: pd.Index
    member: Labels
    scores: Mapping[str, Vector]
    profiles: pd.Index
    distances: Matrix
    chance: tuple[float, float]
    ratio: Vector
    own: Vector


def attacked(
    patients: pd.Index,
    member: Labels,
    points: Matrix,
    numbers: Matrix,
    owners: pd.Index,
    released: Matrix,
    released_numbers: Matrix,
    settings: Mapping[str, Any],
    rngs: tuple[np.random.Generator, np.random.Generator],
) -> Attacked:
    """Attack every training and unseen patient once.

    Args:
        patients: training and unseen ones, each once; member: (patients,) whether of training.
        points: (patients, dimensions); numbers: (patients, columns) as recorded, NaN where there is none.
        owners: of the synthetic profiles; released, released_numbers: their points and numbers.
        settings: `exchanges` and `trees`. rngs: of the exchanges and of the attack `classifier`.
    """
    labels = exchanged(member, int(settings["exchanges"]), rngs[0])
    scores = attack(points, released, int(settings["trees"]), rngs[1])
    scores |= attack_values(numbers, released_numbers)
    areas = np.max([rank_statistics(score, labels, ())[0] for score in scores.values()], axis=0)
    near, places = neighbours(released, points, 2)
    trained = int(member.sum())
    shares = np.array(
        [as_at_equal_n(float(row[places[:, 0]].mean()), trained, len(member) - trained) for row in labels]
    )
    among = neighbours(points, points, 3)[0][:, 1:]
    return Attacked(
        patients, member, scores, owners, _to_sides(released, points, member),
        (quantile(shares, RARE), quantile(areas, RARE)),
        near[:, 0] / np.maximum(near[:, 1], 1e-12), among[:, 0] / np.maximum(among[:, 1], 1e-12),
    )  # fmt: skip


def _to_sides(profiles: Matrix, points: Matrix, member: Labels) -> Matrix:
    """Distance of every profile to the nearest training and the nearest unseen patient.  (profiles, 2)"""
    return np.column_stack([neighbours(profiles, points[side], 1)[0][:, 0] for side in (member, ~member)])


def measured(
    found: Attacked | str, comparison: Comparison, names: tuple[str, str], chance: str, modality: str
) -> list[Value]:
    """Nearness, and the worst attack, with what chance shows.

    names: of the metrics of nearness and of the worst area; chance: of that which says what chance shows.
    """
    if isinstance(found, str):
        return [Value(name, np.nan, modality=modality, reason=found) for name in names]
    drawn = [found.patients.get_indexer(side.patients) for side in (comparison.train, unseen_side(comparison))]
    chosen = np.concatenate([rows[rows >= 0] for rows in drawn])
    member = found.member[chosen]
    trained = int(found.member.sum())
    shown = found.profiles.get_indexer(comparison.candidate.patients)
    distances = found.distances[shown[shown >= 0]]
    n = len(distances)
    if not n or member.all() or not member.any():
        return [Value(name, np.nan, modality=modality, reason="nobody left to tell apart") for name in names]
    nearer = nearer_share(distances[:, 0], distances[:, 1], trained, len(found.member) - trained)
    areas = {
        name: float(rank_statistics(score[chosen], member[None, :], ())[0][0]) for name, score in found.scores.items()
    }
    values = [
        Value(names[0], nearer, modality=modality, n=n),
        Value(names[1], max(areas.values()), modality=modality, n=n),
    ]
    values += [Value(names[1], area, name, modality, n) for name, area in areas.items()]
    return values + [
        Value(chance, by_chance, name, modality, n) for name, by_chance in zip(names, found.chance, strict=True)
    ]


def figure(found: Attacked | str, values: pd.DataFrame, names: tuple[str, str], chance: str, label: str) -> Figure:
    """How much nearer the nearest real patient is than the next, and both checks beside chance."""
    drawn, (left, right) = new_figure(10, 3.8, ncols=2)
    if isinstance(found, str):
        for axis in (left, right):
            axis.text(0.5, 0.5, found, ha="center", va="center", transform=axis.transAxes, wrap=True, fontsize=8)
            axis.set_axis_off()
        return drawn
    edges = np.linspace(0, 1, 26)
    for ratios, colour, text in ((found.own, REAL, "real"), (found.ratio, SYNTHETIC, label)):
        counts = np.histogram(ratios, edges)[0]
        shown = np.where(counts >= MIN_CELL_COUNT, counts, 0) / len(ratios)
        left.stairs(shown, edges, color=colour, lw=1.6, label=f"{text}, n = {len(ratios):,}")
    left.set(
        xlabel="distance to the nearest real patient / to the second nearest", ylabel="share of profiles", xlim=(0, 1)
    )
    left.legend(loc="upper left", frameon=False, fontsize=8)
    left.set_title("profiles near 0 single one patient out", loc="left", fontsize=10)
    keys = zip(values["metric"], values["target"], strict=True)
    numbers = dict(zip(keys, values[["value", "low", "high"]].to_numpy(float), strict=True))
    texts = ("share nearer\nto train", "worst attack,\narea")
    for place, name in enumerate(names):
        value, low, high = numbers[name, "all"]
        right.plot([low, high], [-place, -place], color=SYNTHETIC, lw=1.6)
        right.plot(value, -place, "o", color=SYNTHETIC, ms=6, label=None if place else label)
        right.plot(numbers[chance, name][0], -place, "|", color=NEUTRAL, ms=14, mew=2,
                   label=None if place else "by chance, 99.5 % quantile")  # fmt: skip
    right.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--")
    right.set(xlim=(0, 1), ylim=(-1.9, 0.6), xlabel="0.5: nothing is remembered")
    right.set_yticks([0, -1], texts)
    right.legend(loc="lower left", frameon=False, fontsize=8)
    members = int(found.member.sum())
    right.set_title(f"{members:,} training, {len(found.member) - members:,} unseen patients", loc="left", fontsize=10)
    return drawn
