"""Memory of profiles: what every stage does that asks whether measured profiles reveal who was learned from.

Patients are points in one space and rows of recorded numbers; a modality says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Matrix, Vector, distinct, some_rows
from haemosynth.privacy.aggregate_attacks import attack_values
from haemosynth.privacy.membership_attacks import attack
from haemosynth.stats.neighbours import as_at_equal_n, nearer_share, neighbours
from haemosynth.stats.null_distribution import RARE, Labels, exchange_members, quantile, rank_statistics
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: Mapping[str, Any] = {
    "components": 20,  # principal components of training and unseen patients
    "rows": 3_000,  # training and unseen patients who are attacked, at most
    "trees": 400,  # of the attack `classifier`
    "exchanges": 1_000,  # of training and unseen patients, to see what chance shows
}
FEWEST = 10  # patients with profiles on a side


def declare_metrics(prefix: str, recorded: str) -> tuple[Metric, Metric, Metric]:
    """The metrics of nearness, of the worst attack, and of what chance shows.

    prefix: of their names. recorded: the numbers that the attacks `values` read.
    """
    return (
        Metric(
            f"{prefix}_nearer_to_train", "target", "share", (0, 1), PRIVACY, "bootstrap",
            "in principal components of real levels, s: share of synthetic profiles whose nearest real profile is a"
            " training patient's (ties half), p = n_train / (n_train + n_unseen); max(0, 1/2 + (s - p) / (2 (1 - p)))",
            "after Platzer and Reutterer, Front Big Data 2021;4:679939",
            target=0.5,
        ),
        Metric(
            f"{prefix}_membership_auc", "target", "", (0, 1), PRIVACY, "attack",
            "area under the ROC curve, training against unseen patients, of the worst attack: those on single records"
            f" of disclosure_auc, on the same components, and its values_2 and values_10 on {recorded}",
            "see disclosure_auc",
            target=0.5,
        ),
        Metric(
            f"{prefix}_memory_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
            "99.5 % quantile of the metric that is the target, with training and unseen patients exchanged at random",
            "Fisher, The Design of Experiments, 1935 (randomisation test)",
        ),
    )  # fmt: skip


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


def attack_profiles(
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
    labels = exchange_members(member, int(settings["exchanges"]), rngs[0])
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


def attack_sides(
    comparison: Comparison,
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    find: Callable[[Cohort], AnnData | None],
    space: Callable[..., Callable[[AnnData], Matrix]],
    numbers: Callable[[AnnData], Matrix],
) -> tuple[Attacked, Sequence[AnnData]] | None:
    """Attack every training and unseen patient of a modality once; None where a side has too few profiles.

    Args:
        settings: `components`, `rows` at most on a side, `exchanges` and `trees`.
        find: the profiles of a cohort. space: what makes places out of a number of components and tables of real
            profiles. numbers: (patients, columns) of profiles as recorded.

    Returns:
        What the attacks find, and the profiles: of training, of unseen and of synthetic patients.
    """
    choice, exchange, trees = rng.spawn(3)
    most = int(settings["rows"])
    sides = [some_rows(distinct(side), most, choice) for side in (comparison.train, unseen_side(comparison))]
    known = [data for side in sides if (data := find(side)) is not None and data.n_obs >= FEWEST]
    released = find(distinct(comparison.candidate))
    if released is None or released.n_obs < FEWEST or len(known) < len(sides):
        return None
    # Of training and unseen patients alike: axes fitted to training patients alone would set them apart.
    place = space(int(settings["components"]), *known)
    found = attack_profiles(
        pd.Index([name for part in known for name in part.obs_names]),
        np.repeat([True, False], [part.n_obs for part in known]),
        np.vstack([place(part) for part in known]),
        np.vstack([numbers(part) for part in known]),
        released.obs_names,
        place(released),
        numbers(released),
        settings,
        (exchange, trees),
    )
    return found, (*known, released)


def _to_sides(profiles: Matrix, points: Matrix, member: Labels) -> Matrix:
    """Distance of every profile to the nearest training and the nearest unseen patient.  (profiles, 2)"""
    return np.column_stack([neighbours(profiles, points[side], 1)[0][:, 0] for side in (member, ~member)])


def measure(
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
        return [Value(name, np.nan, modality=modality, reason="nobody left to distinguish") for name in names]
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
