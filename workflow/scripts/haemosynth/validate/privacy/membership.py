"""Membership inference: can an attacker who holds a patient's record tell that the patient was in the training data?

Eight attacks give every attacked patient a score from the release and a sample of the population; members are
training patients, non-members unseen ones. The population sample is made of all attacked patients but the one in
question, and no score knows who is a member, so that members and non-members are treated alike: a release without
memory gives an area under the curve of one half on average over splits. On one split it lies above or below by chance,
and the worst of eight attacks lies above. How far is found by exchanging members and non-members at random (`chance`),
which costs no further attack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.figures import BLACK, BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, SKY, SYNTHETIC, new_figure
from haemosynth.neighbours import neighbours, squared_distances
from haemosynth.streams import torch_seed
from haemosynth.validate.chance import RARE, USUAL, Labels, exchanged, quantile, rank_statistics
from haemosynth.validate.likelihood import log_ratio
from haemosynth.validate.records import Matrix, Vector, distinct, fit_encoder, some_rows, unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "rows": 3_000,  # training and unseen patients who are attacked, at most; the release is searched whole
    "trees": 960,  # of the attack `classifier`; fewer trees find less
    "exchanges": 1_000,  # of members and non-members, to see what chance shows
}
ATTACKS = {
    "distance": BLACK,
    "relative_distance": BLUE,
    "calibrated_distance": SKY,
    "matched": SYNTHETIC,
    "neighbour_count": ORANGE,
    "density_ratio": GREEN,
    "classifier": PURPLE,
    "likelihood": BLUE,
}
RATES = (0.01, 0.1)
NEAR = 0.01  # added to distances before their logarithm: a copy is near, not infinitely so
COUNTED = 5  # other real patients within the radius of `neighbour_count`
TYPICAL = 30  # patients at least among whom `calibrated_distance` compares

_SCORES = (
    "scores: distance, minus that to the nearest released record; relative_distance, log of the distance to the nearest"
    " other real record over it; calibrated_distance, how far log distance lies below its mean among patients of like"
    " distance to other real records, in standard deviations; matched, log of the distance of a released record to its"
    " second nearest real patient over that to its nearest, of which the patient takes the largest; neighbour_count,"
    f" log of the number of released records nearer than the {COUNTED}th nearest other real record; density_ratio, log"
    " of the Gaussian kernel density of the release over that of the other real records; classifier, logit of"
    " extremely randomised trees that tell released from real records, of the trees that have not seen the patient;"
    " likelihood, log density of a normal distribution with the mean and covariance of the release over that of the"
    " other real records"
)
_CHANCE = "training and unseen patients exchanged at random"
METRICS = (
    Metric(
        "membership_auc", "target", "", (0, 1), PRIVACY, "attack",
        f"area under the ROC curve, training against unseen patients, of the worst attack; {_SCORES}",
        "Chen et al., GAN-Leaks, CCS 2020; Hilprecht et al., PoPETs 2019; Hayes et al., LOGAN, PoPETs 2019; van Breugel"
        " et al., DOMIAS, AISTATS 2023; Watson et al., ICLR 2022 (difficulty calibration); Homer et al., PLoS Genet"
        " 2008;4:e1000167 (likelihood)",
        target=0.5,
    ),
    *(
        Metric(
            f"membership_tpr_{rate * 100:g}", "target", "share", (0, 1), PRIVACY, "attack",
            f"share of training patients found where {rate * 100:g} % of unseen patients are taken for members, of the"
            " worst attack",
            "Carlini et al., IEEE S&P 2022 (true positives at low false positives)",
            target=rate,
        )
        for rate in RATES
    ),
    Metric(
        "membership_null_95", "descriptive", "", (0, 1), PRIVACY, "attack",
        f"95 % quantile of membership_auc with {_CHANCE}; target membership_tpr_1, membership_tpr_10: of these",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
    Metric(
        "membership_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
        f"99.5 % quantile of the metric that is the target, with {_CHANCE}",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
    Metric(
        "membership_excess", "descriptive", "", (-1, 1), PRIVACY, "attack",
        "membership_auc less membership_null_95; above 0 the worst attack is beyond chance on this very split",
        "this project",
    ),
)  # fmt: skip
NAMES = ("membership_auc", *(f"membership_tpr_{rate * 100:g}" for rate in RATES))


@dataclass(frozen=True)
class Attacked:
    """Patients once each, with what every attack says of them, and what the worst attack finds by chance.

    member: (patients,). scores: modality -> (patients, attacks). null: modality -> (exchanges, metrics of NAMES), the
    worst attack under exchanged labels.
    """

    patients: pd.Index
    member: Labels
    scores: Mapping[str, Matrix]
    null: Mapping[str, Matrix]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Attacked:
    """Attack every training and unseen patient once. `rng` chooses whom to attack, exchanges labels, grows trees."""
    most = int(settings["rows"])
    choice, exchange, trees = rng.spawn(3)
    sides = [some_rows(distinct(side), most, choice) for side in (comparison.train, unseen_side(comparison))]
    member = np.repeat([True, False], [len(side) for side in sides])
    encoder = fit_encoder(sides[0])
    points = np.concatenate([encoder.points(side) for side in sides])
    released = encoder.points(comparison.candidate)
    labels = exchanged(member, int(settings["exchanges"]), exchange)
    scores, null = {}, {}
    for modality, block in encoder.blocks.items():
        found = attack(points[:, block], released[:, block], int(settings["trees"]), trees)
        scores[modality] = np.column_stack([found[name] for name in ATTACKS])
        null[modality] = _found(scores[modality], labels).max(axis=1)
    patients = sides[0].patients.append(sides[1].patients)
    return Attacked(patients, member, scores, null)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Each attack, and `all`, the worst of them, by modality; the scores are those of `prepare`."""
    attacked: Attacked = comparison.prepared
    drawn = [attacked.patients.get_indexer(side.patients) for side in (comparison.train, unseen_side(comparison))]
    chosen = np.concatenate(drawn)
    member = np.repeat([True, False], [len(side) for side in drawn])[chosen >= 0]
    chosen = chosen[chosen >= 0]  # patients beyond `rows` were not attacked
    values, n = [], len(chosen)
    for modality, scores in attacked.scores.items():
        found = _found(scores[chosen], member[None, :])[0]
        null = attacked.null[modality]
        for column, metric in enumerate(NAMES):
            values += [Value(metric, float(found[row, column]), name, modality, n) for row, name in enumerate(ATTACKS)]
            usual, rare = (quantile(null[:, column], level) for level in (USUAL, RARE))
            worst = float(found[:, column].max())
            values.append(Value(metric, worst, modality=modality, n=n))
            values.append(Value("membership_chance", rare, metric, modality, n))
            values.append(Value("membership_null_95", usual, metric if column else "all", modality, n))
            if column == 0:
                values.append(Value("membership_excess", worst - usual, modality=modality, n=n))
    return values


def _found(scores: Matrix, labels: Labels) -> NDArray[np.float64]:
    """The metrics of NAMES for each attack under each labelling.  (labellings, attacks, metrics)"""
    found = np.empty((len(labels), scores.shape[1], len(NAMES)))
    for column, score in enumerate(scores.T):
        area, rates = rank_statistics(score, labels, RATES)
        found[:, column, 0], found[:, column, 1:] = area, rates
    return found


def attack(points: Matrix, released: Matrix, trees: int, rng: np.random.Generator) -> dict[str, Vector]:
    """Score every point by every attack; each point's population sample is all the other points.

    Args:
        points: (attacked patients, columns). released: (released records, columns).
        trees: of the classifier, grown from `rng`.
    """
    to_released = neighbours(points, released, 1)[0][:, 0]
    beyond = min(COUNTED, len(points) - 1)
    to_others = neighbours(points, points, beyond + 1)[0][:, 1:]
    near, log_released = to_others[:, 0], np.log(to_released + NEAR)
    width = max(float(np.median(near)), NEAR)  # the usual distance between neighbours
    density, within = _around(points, released, width, to_others[:, -1])
    return {
        "distance": -to_released,
        "relative_distance": np.log(near + NEAR) - log_released,
        "calibrated_distance": _calibrated(-log_released, np.log(to_others + NEAR).mean(axis=1)),
        "matched": _matched(points, released),
        "neighbour_count": np.log(within + 0.5),
        "density_ratio": density - _around(points, points, width, to_others[:, -1], without_self=True)[0],
        "classifier": _classified(points, released, trees, rng),
        "likelihood": log_ratio(points, released),
    }


def _around(
    points: Matrix, others: Matrix, width: float, radius: Vector, without_self: bool = False
) -> tuple[Vector, Vector]:
    """At each point: log of the mean Gaussian kernel (up to the same constant for all), and others within a radius."""
    from scipy.special import logsumexp

    density, within = np.empty(len(points)), np.empty(len(points))
    for rows, squared in squared_distances(points, others):
        if without_self:
            squared[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
        within[rows] = (squared < radius[rows, None] ** 2).sum(axis=1)
        squared /= -2 * width**2
        density[rows] = logsumexp(squared, axis=1)
    return density - np.log(len(others) - without_self), within


def _calibrated(scores: Vector, typicality: Vector) -> Vector:
    """Scores less their mean among patients of like typicality, over their standard deviation there."""
    groups = np.empty(len(scores), dtype=np.intp)
    count = max(1, min(20, len(scores) // TYPICAL))
    groups[np.argsort(typicality, kind="stable")] = np.arange(len(scores)) * count // len(scores)
    size = np.bincount(groups)
    mean = np.bincount(groups, scores) / size
    spread = np.sqrt(np.bincount(groups, (scores - mean[groups]) ** 2) / size)
    return (scores - mean[groups]) / np.maximum(spread[groups], NEAR)


def _matched(points: Matrix, released: Matrix) -> Vector:
    """How much nearer a released record lies to this patient than to any other; 0 for patients nearest to none."""
    distances, places = neighbours(released, points, 2)
    gaps = np.log(distances[:, 1] + NEAR) - np.log(distances[:, 0] + NEAR)
    found = np.zeros(len(points))
    np.maximum.at(found, places[:, 0], gaps)
    return found


def _classified(points: Matrix, released: Matrix, trees: int, rng: np.random.Generator) -> Vector:
    """Logit that a record is a released one, from the trees whose bootstrap sample the patient is not in."""
    from sklearn.ensemble import ExtraTreesClassifier

    released = released[rng.permutation(len(released))[: 2 * len(points)]]
    model = ExtraTreesClassifier(trees, bootstrap=True, oob_score=True, random_state=torch_seed(rng))
    model.fit(np.vstack([points, released]), np.repeat([0, 1], [len(points), len(released)]))
    votes: Vector = np.nan_to_num(model.oob_decision_function_[: len(points), 1], nan=0.5)
    share = np.clip(votes, 0.5 / trees, 1 - 0.5 / trees)
    return np.asarray(np.log(share) - np.log1p(-share))


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """ROC curves of the attacks on the whole record on logarithmic axes, and the worst attacks beside chance."""
    attacked: Attacked = comparison.prepared
    modality = list(attacked.scores)[-1]
    drawn, (left, right) = new_figure(10, 4.2, ncols=2)
    ours = values[values["status"] == "ok"]
    keys = zip(ours["metric"], ours["target"], ours["modality"], strict=True)
    found = dict(zip(keys, ours[["value", "low", "high"]].to_numpy(float), strict=True))
    # Interpolated on a fixed grid: a curve with a step for each patient would show patients.
    grid = np.geomspace(0.01, 1, 31)
    band = exchanged(attacked.member, 200, np.random.default_rng(0))
    clouds = []
    for score, (name, colour) in zip(attacked.scores[modality].T, ATTACKS.items(), strict=True):
        curve = rank_statistics(score, attacked.member[None, :], tuple(grid))[1][0]
        clouds.append(rank_statistics(score, band, tuple(grid))[1])
        look = "--" if name == "likelihood" else "-"  # there are no more colours that all readers tell apart
        text = f"{name.replace('_', ' ')}, {found['membership_auc', name, modality][0]:.2f}"
        left.plot(grid, np.maximum(curve, 1e-3), color=colour, lw=1.4, ls=look, label=text)
    left.plot(grid, np.quantile(np.max(clouds, axis=0), USUAL, axis=0), color=NEUTRAL, alpha=0.5, lw=4,
              label="worst attack by chance, 95 %", zorder=0)  # fmt: skip
    left.plot(grid, grid, color=NEUTRAL, lw=0.9, ls="--", label="guessing, 0.50")
    left.set_xscale("log")
    left.set_yscale("log")
    left.set(xlim=(0.01, 1), ylim=(0.003, 1.1), xlabel="unseen patients taken for members (false positives)",
             ylabel="training patients found (true positives)")  # fmt: skip
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    left.legend(loc="lower right", frameon=False, fontsize=7.5, title="attack, area under the curve", title_fontsize=8)
    members = int(attacked.member.sum())
    left.set_title(f"{label}: {members:,} members, {len(attacked.member) - members:,} others", loc="left", fontsize=10)
    _draw_worst(right, found, list(attacked.scores))
    return drawn


def _draw_worst(axis: Any, found: Mapping[tuple[str, str, str], Vector], modalities: list[str]) -> None:
    """The worst attack of every modality with its interval, beside what the worst attack shows by chance.

    found: (metric, target, modality) -> value, low, high.
    """
    texts = {"membership_auc": "area under\nthe curve", "membership_tpr_1": "found at 1 %\nfalse positives",
             "membership_tpr_10": "found at 10 %\nfalse positives"}  # fmt: skip
    looks = {"clinical": (BLUE, "o"), "genomic": (ORANGE, "s"), "joint": (BLACK, "D")}
    for row, metric in enumerate(NAMES):
        for column, modality in enumerate(modalities):
            place = -row - 0.22 * (column - (len(modalities) - 1) / 2)
            value, low, high = found[metric, "all", modality]
            null = found["membership_null_95", metric if row else "all", modality][0]
            colour, marker = looks[modality]
            axis.plot([low, high], [place, place], color=colour, lw=1.5)
            named = "joint record" if modality == "joint" else modality
            axis.plot(value, place, marker, color=colour, ms=5, label=None if row else f"worst attack, {named}")
            axis.plot(null, place, "|", color=NEUTRAL, ms=12, mew=2,
                      label=None if row or column else "by chance, 95 % quantile")  # fmt: skip
    axis.set(xlim=(-0.02, 1.02), ylim=(0.6 - len(NAMES) - 0.9, 0.6), xlabel="area, or share of training patients")
    axis.set_yticks([-row for row in range(len(NAMES))], [texts[metric] for metric in NAMES])
    axis.legend(loc="lower right", frameon=False, fontsize=8, ncols=2)
    axis.set_title("the worst of eight attacks", loc="left", fontsize=10)
