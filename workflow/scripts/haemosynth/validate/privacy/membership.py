"""Membership inference: can an attacker who holds a patient's record tell that the patient was in the training data?

Three attacks give every attacked patient a score from the release alone, or from the release beside a sample of the
population; members are training patients, non-members control patients. The population sample is made of all attacked
patients but the one in question, so that members and non-members are treated alike and a release without memory
gives an area under the curve of one half. The worst attack counts. The worst of three lies a little above one half
even without memory: its size is what the reference `fresh` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.cohort import Cohort
from haemosynth.figures import BLUE, GREEN, NEUTRAL, SYNTHETIC, new_figure
from haemosynth.validate.records import Matrix, Vector, fit_encoder, nearest, some_rows, squared_distances
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "rows": 3_000,  # training and control patients who are attacked, at most; the release is searched whole
}
ATTACKS = ("distance", "relative_distance", "density_ratio")
FALSE_POSITIVE_RATES = (0.01, 0.1)
NEAR = 0.01  # added to distances before their logarithm: a copy is near, not infinitely so

_SCORES = (
    "scores: distance, minus the distance to the nearest released record; relative_distance, log of the distance to"
    " the nearest other real record over it; density_ratio, log of the Gaussian kernel density of the release over"
    " that of the other real records"
)
METRICS = (
    Metric(
        "membership_auc", "target", "", (0, 1), PRIVACY, "attack",
        f"area under the ROC curve, training against control patients, of the worst attack; {_SCORES}",
        "Chen et al., GAN-Leaks, CCS 2020; van Breugel et al., DOMIAS, AISTATS 2023",
        target=0.5,
    ),
    *(
        Metric(
            f"membership_tpr_{rate * 100:g}", "target", "share", (0, 1), PRIVACY, "attack",
            f"share of training patients found where {rate * 100:g} % of control patients are taken for members, of the"
            " worst attack",
            "Carlini et al., IEEE S&P 2022 (true positives at low false positives)",
            target=rate,
        )
        for rate in FALSE_POSITIVE_RATES
    ),
)  # fmt: skip


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Each attack, and `all`, the worst of them. Settings: see DEFAULTS; `rng` chooses whom to attack."""
    members, others = scores(comparison, settings, rng)
    n = len(members[ATTACKS[0]]) + len(others[ATTACKS[0]])
    values = []
    found = {"membership_auc": {name: area(members[name], others[name]) for name in ATTACKS}}
    for rate in FALSE_POSITIVE_RATES:
        found[f"membership_tpr_{rate * 100:g}"] = {
            name: true_positive_rate(members[name], others[name], rate) for name in ATTACKS
        }
    for metric, of_attack in found.items():
        values += [Value(metric, value, name, n=n) for name, value in of_attack.items()]
        values.append(Value(metric, max(of_attack.values()), n=n))
    return values


def scores(
    comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator
) -> tuple[dict[str, Vector], dict[str, Vector]]:
    """Scores of the training and of the control patients under each attack; a higher score says member."""
    most = int(settings["rows"])
    train, control = (some_rows(cohort, most, rng) for cohort in (comparison.train, comparison.control))
    # A bootstrap holds patients more than once: each is scored once, so that nobody is his own neighbour.
    sides = [cohort.take(np.flatnonzero(~cohort.patients.duplicated())) for cohort in (train, control)]
    encoder = fit_encoder(sides[0])
    points = np.concatenate([encoder.points(side) for side in sides])
    scored = attack(points, encoder.points(comparison.candidate))
    border = len(sides[0])
    found = []
    for cohort, side, part in ((train, sides[0], slice(0, border)), (control, sides[1], slice(border, None))):
        where = side.patients.get_indexer(cohort.patients)
        found.append({name: values[part][where] for name, values in scored.items()})
    return found[0], found[1]


def attack(points: Matrix, released: Matrix) -> dict[str, Vector]:
    """Score every point by the three attacks; each point's population sample is all the other points."""
    to_others = nearest(points, points, 2)[:, 1]
    width = max(float(np.median(to_others)), NEAR)  # the usual distance between neighbours
    to_released, density = _nearest_and_log_density(points, released, width)
    _, density_of_others = _nearest_and_log_density(points, points, width, without_self=True)
    return {
        "distance": -to_released,
        "relative_distance": np.log(to_others + NEAR) - np.log(to_released + NEAR),
        "density_ratio": density - density_of_others,
    }


def _nearest_and_log_density(
    points: Matrix, others: Matrix, width: float, without_self: bool = False
) -> tuple[Vector, Vector]:
    """Distance to the nearest other, and the log of the mean Gaussian kernel (up to the same constant for all)."""
    near, density = np.empty(len(points)), np.empty(len(points))
    for rows, squared in squared_distances(points, others):
        if without_self:
            squared[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
        least = squared.min(axis=1)
        squared -= least[:, None]
        squared *= -1 / (2 * width**2)
        near[rows] = np.sqrt(least)
        density[rows] = np.log(np.exp(squared, out=squared).sum(axis=1)) - least / (2 * width**2)
    return near, density - np.log(len(others) - without_self)


def area(members: Vector, others: Vector) -> float:
    """Area under the ROC curve: probability that a member scores higher than a non-member, ties half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, side="left") + np.searchsorted(ordered, members, side="right")
    return float(below.mean() / (2 * len(others)))


def true_positive_rate(members: Vector, others: Vector, false_positive_rate: float) -> float:
    """True positive rate where the linearly interpolated ROC curve meets a false positive rate."""
    return float(np.interp(false_positive_rate, *roc(members, others)))


def roc(members: Vector, others: Vector) -> tuple[Vector, Vector]:
    """(false positive rates, true positive rates) of all thresholds, from (0, 0) to (1, 1)."""
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    false = 1 - np.searchsorted(np.sort(others), thresholds, side="left") / len(others)
    true = 1 - np.searchsorted(np.sort(members), thresholds, side="left") / len(members)
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """ROC curves of the attacks, whole and at low false positive rates."""
    members, others = scores(comparison, settings, np.random.default_rng(0))
    drawn, (left, right) = new_figure(9, 4, ncols=2)
    areas = values[(values["metric"] == "membership_auc") & (values["status"] == "ok")].set_index("target")["value"]
    # Interpolated on a fixed grid: a curve with a step for each patient would show patients.
    whole, low = np.linspace(0, 1, 51), np.geomspace(0.01, 1, 31)
    for name, colour in zip(ATTACKS, (SYNTHETIC, BLUE, GREEN), strict=True):
        curve = roc(members[name], others[name])
        text = name.replace("_", " ") + (f", AUC {areas[name]:.2f}" if name in areas else "")
        left.plot(whole, np.interp(whole, *curve), color=colour, lw=1.5, label=text)
        right.plot(low, np.maximum(np.interp(low, *curve), 1e-3), color=colour, lw=1.5)
    left.plot([0, 1], [0, 1], color=NEUTRAL, lw=0.9, ls="--", label="guessing")
    right.plot(low, low, color=NEUTRAL, lw=0.9, ls="--")
    left.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="control patients taken for members (false positives)",
             ylabel="training patients found (true positives)")  # fmt: skip
    left.legend(loc="lower right", frameon=False, fontsize=8)
    left.set_title(
        f"{label}: {_count(comparison.train)} members, {_count(comparison.control)} others", loc="left", fontsize=10
    )
    right.set_xscale("log")
    right.set_yscale("log")
    right.set(
        xlim=(0.01, 1), ylim=(0.003, 1.1), xlabel="false positives, log scale", ylabel="true positives, log scale"
    )
    right.set_title("at low false positive rates", loc="left", fontsize=10)
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    return drawn


def _count(cohort: Cohort) -> str:
    return f"{len(cohort):,}"
