"""Expression memory: do synthetic expression profiles give away whose expression was learned from?

Two questions: do synthetic profiles lie nearer to training than to unseen patients, and can an attacker who holds a
patient's profile tell whether the patient was in the training data? Patients are points in the space of the principal
components of all real patients' levels, where the attacks on single records look for them; the attack `values` asks
gene by gene how dense the release lies round a patient's level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Matrix, Vector, distinct, some_rows
from haemosynth.modalities.expression.components import component_space
from haemosynth.modalities.expression.part import find_expression
from haemosynth.modalities.expression.profiles import levels
from haemosynth.privacy.aggregate_attacks import attack_values
from haemosynth.privacy.membership_attacks import attack
from haemosynth.privacy.nearness import as_at_equal_n, nearer_share
from haemosynth.stats.neighbours import neighbours
from haemosynth.stats.null_distribution import RARE, Labels, exchanged, quantile, rank_statistics
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "components": 20,  # principal components of training and unseen patients
    "rows": 3_000,  # training and unseen patients who are attacked, at most
    "trees": 400,  # of the attack `classifier`
    "exchanges": 1_000,  # of training and unseen patients, to see what chance shows
}
FEWEST = 10  # patients with expression on a side
STAGE = Stage("privacy", needs=("expression",), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "expression_nearer_to_train", "target", "share", (0, 1), PRIVACY, "bootstrap",
        "in principal components of real levels, s: share of synthetic profiles whose nearest real profile is a"
        " training patient's (ties half), p = n_train / (n_train + n_unseen); max(0, 1/2 + (s - p) / (2 (1 - p)))",
        "after Platzer and Reutterer, Front Big Data 2021;4:679939",
        target=0.5,
    ),
    Metric(
        "expression_membership_auc", "target", "", (0, 1), PRIVACY, "attack",
        "area under the ROC curve, training against unseen patients, of the worst attack: those on single records of"
        " disclosure_auc, on the same components, and its values_2 and values_10 on the levels of the variable genes"
        " and the library size",
        "see disclosure_auc",
        target=0.5,
    ),
    Metric(
        "expression_memory_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
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


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Attacked | str:
    """Attack every training and unseen patient once; a reason where there is nothing to attack."""
    choice, exchange, trees = rng.spawn(3)
    most = int(settings["rows"])
    sides = [some_rows(distinct(side), most, choice) for side in (comparison.train, unseen_side(comparison))]
    known = [part for side in sides if (part := find_expression(side)) is not None and part.n_obs >= FEWEST]
    released = find_expression(distinct(comparison.candidate))
    if released is None or released.n_obs < FEWEST or len(known) < len(sides):
        return f"fewer than {FEWEST} synthetic, training or unseen patients have expression"
    # Of training and unseen patients alike: axes fitted to training patients alone would set them apart.
    place = component_space(int(settings["components"]), *known)
    points, profiles = np.vstack([place(part) for part in known]), place(released)
    member = np.repeat([True, False], [part.n_obs for part in known])
    names = pd.Index([name for part in known for name in part.obs_names])
    labels = exchanged(member, int(settings["exchanges"]), exchange)
    scores = attack(points, profiles, int(settings["trees"]), trees)
    scores |= attack_values(np.vstack([_numbers(part) for part in known]), _numbers(released))
    areas = np.max([rank_statistics(score, labels, ())[0] for score in scores.values()], axis=0)
    near, places = neighbours(profiles, points, 2)
    trained = int(member.sum())
    shares = np.array(
        [as_at_equal_n(float(row[places[:, 0]].mean()), trained, len(member) - trained) for row in labels]
    )
    among = neighbours(points, points, 3)[0][:, 1:]
    return Attacked(
        names, member, scores, released.obs_names, _to_sides(profiles, points, member),
        (quantile(shares, RARE), quantile(areas, RARE)),
        near[:, 0] / np.maximum(near[:, 1], 1e-12), among[:, 0] / np.maximum(among[:, 1], 1e-12),
    )  # fmt: skip


def _numbers(expression: AnnData) -> Matrix:
    """(patients, numbers) levels of the variable genes, and the library size of counts."""
    found = levels(expression)[:, expression.var["highly_variable"].to_numpy(dtype=bool)].astype(np.float64)
    if expression.uns["values"] != "counts":
        return found
    return np.column_stack([found, expression.obs["library_size"].to_numpy(dtype=np.float64)])


def _to_sides(profiles: Matrix, points: Matrix, member: Labels) -> Matrix:
    """Distance of every profile to the nearest training and the nearest unseen patient.  (profiles, 2)"""
    return np.column_stack([neighbours(profiles, points[side], 1)[0][:, 0] for side in (member, ~member)])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Nearness, and the worst attack, with what chance shows; the scores are those of `prepare`."""
    attacked: Attacked | str = comparison.prepared
    names = ("expression_nearer_to_train", "expression_membership_auc")
    if isinstance(attacked, str):
        return [Value(name, np.nan, modality="expression", reason=attacked) for name in names]
    drawn = [attacked.patients.get_indexer(side.patients) for side in (comparison.train, unseen_side(comparison))]
    chosen = np.concatenate([rows[rows >= 0] for rows in drawn])
    member = attacked.member[chosen]
    trained = int(attacked.member.sum())
    shown = attacked.profiles.get_indexer(comparison.candidate.patients)
    distances = attacked.distances[shown[shown >= 0]]
    n = len(distances)
    if not n or member.all() or not member.any():
        return [Value(name, np.nan, modality="expression", reason="nobody left to tell apart") for name in names]
    nearer = nearer_share(distances[:, 0], distances[:, 1], trained, len(attacked.member) - trained)
    areas = {
        name: float(rank_statistics(score[chosen], member[None, :], ())[0][0])
        for name, score in attacked.scores.items()
    }
    values = [
        Value(names[0], nearer, modality="expression", n=n),
        Value(names[1], max(areas.values()), modality="expression", n=n),
    ]
    values += [Value(names[1], area, name, "expression", n) for name, area in areas.items()]
    return values + [
        Value("expression_memory_chance", chance, name, "expression", n)
        for name, chance in zip(names, attacked.chance, strict=True)
    ]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How much nearer the nearest real patient is than the next, and both checks beside chance."""
    drawn, (left, right) = new_figure(10, 3.8, ncols=2)
    attacked: Attacked | str = comparison.prepared
    if isinstance(attacked, str):
        for axis in (left, right):
            axis.text(0.5, 0.5, attacked, ha="center", va="center", transform=axis.transAxes, wrap=True, fontsize=8)
            axis.set_axis_off()
        return drawn
    edges = np.linspace(0, 1, 26)
    for ratios, colour, text in ((attacked.own, REAL, "real"), (attacked.ratio, SYNTHETIC, label)):
        counts = np.histogram(ratios, edges)[0]
        shown = np.where(counts >= MIN_CELL_COUNT, counts, 0) / len(ratios)
        left.stairs(shown, edges, color=colour, lw=1.6, label=f"{text}, n = {len(ratios):,}")
    left.set(
        xlabel="distance to the nearest real patient / to the second nearest", ylabel="share of profiles", xlim=(0, 1)
    )
    left.legend(loc="upper left", frameon=False, fontsize=8)
    left.set_title("profiles near 0 single one patient out", loc="left", fontsize=10)
    keys = zip(values["metric"], values["target"], strict=True)
    found = dict(zip(keys, values[["value", "low", "high"]].to_numpy(float), strict=True))
    texts = {"expression_nearer_to_train": "share nearer\nto train", "expression_membership_auc": "worst attack,\narea"}
    for place, name in enumerate(texts):
        value, low, high = found[name, "all"]
        right.plot([low, high], [-place, -place], color=SYNTHETIC, lw=1.6)
        right.plot(value, -place, "o", color=SYNTHETIC, ms=6, label=None if place else label)
        right.plot(found["expression_memory_chance", name][0], -place, "|", color=NEUTRAL, ms=14, mew=2,
                   label=None if place else "by chance, 99.5 % quantile")  # fmt: skip
    right.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--")
    right.set(xlim=(0, 1), ylim=(-1.9, 0.6), xlabel="0.5: nothing is remembered")
    right.set_yticks([0, -1], list(texts.values()))
    right.legend(loc="lower left", frameon=False, fontsize=8)
    members = int(attacked.member.sum())
    right.set_title(
        f"{members:,} training, {len(attacked.member) - members:,} unseen patients", loc="left", fontsize=10
    )
    return drawn
