"""Feature extraction: do models learned from synthetic patients find the features that matter in real ones?

The same model is learned from the candidate and from held-out real patients, for each outcome of
`validate/outcomes.py`: a Cox model for endpoints, a ridge logistic regression for the others. Each explains every
held-out patient: the Shapley value of a covariate in a linear model is its coefficient times the distance of the
patient's value from the mean (Strumbelj and Kononenko, Knowl Inf Syst 2014;41:647), exactly. The levels of a column
and its indicator of missingness are one feature. Importance is the mean absolute Shapley value.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.baseline import follow_up
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.stats.cox import fit_cox
from haemosynth.stats.learners import Matrix, Vector, fit_logistic
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value
from haemosynth.validate.stages import outcomes
from haemosynth.validate.stages.outcomes import Outcome, Questions, list_questions

DEFAULTS: dict[str, Any] = {
    **outcomes.DEFAULTS,
    "top": 5,  # features counted as the leading ones
    "events": 20,  # events of an endpoint, or patients with either answer, that either side needs
}
SHAPLEY = "Strumbelj and Kononenko, Knowl Inf Syst 2014;41:647"

STAGE = Stage("utility", needs=(RECORD,), memory=2000, runtime=60)
METRICS = (
    Metric(
        "attribution_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "2 sum x y / sum (x^2 + y^2) over held-out patients and features, x and y the Shapley values by the models"
        " learned from real patients and from the candidate: concordance about zero, so that direction and size count;"
        " mean over outcomes",
        f"{SHAPLEY}; Lin, Biometrics 1989;45:255",
    ),
    Metric(
        "importance_correlation", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "Vigna's weighted tau of the importances of the features, a feature of real rank r weighing 1/(r + 1), r from"
        " 0; mean over outcomes",
        "Vigna, A weighted correlation index for rankings with ties, WWW 2015",
    ),
    Metric(
        "top_overlap", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of the leading real features (`top` of them, at most half of all) that lead in the candidate too; mean"
        " over outcomes",
        "this project",
    ),
    Metric(
        "importance_difference", "descriptive", "share", (-1, 1), JOINT, "bootstrap",
        "share of a feature in the sum of importances, candidate minus real, mean over outcomes",
        f"{SHAPLEY}",
    ),
)  # fmt: skip
BY_OUTCOME = tuple(metric.name for metric in METRICS if metric.name != "importance_difference")
FEATURES_SHOWN = 8
OUTCOMES_SHOWN = 6


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Questions:
    """Outcomes and covariates, from training patients. `rng` is not used."""
    return list_questions(comparison.train, settings)


def _coefficients(
    asked: Questions, outcome: Outcome, cohort: Cohort, matrix: Matrix, settings: Mapping[str, Any]
) -> Vector | None:
    """(covariates,) of the model learned from these patients; None where they are too few. Unused ones are zero."""
    kept = asked.predictors(outcome)
    coefficients = np.zeros(matrix.shape[1])
    ridge = float(settings["ridge"])
    if outcome.kind == "survival":
        known, time, event = follow_up(cohort, outcome.column)
        if event.sum() < settings["events"]:
            return None
        coefficients[kept] = fit_cox(matrix[np.ix_(known, kept)], time, event, ridge).log_hazard
        return coefficients
    answer, weight = outcome.answers(cohort)
    if min(weight @ answer, weight @ (1 - answer)) < settings["events"]:
        return None
    coefficients[kept] = fit_logistic(matrix[:, kept], answer, weight, ridge).log_odds
    return coefficients


def compute_attributions(
    comparison: Comparison, asked: Questions, settings: Mapping[str, Any]
) -> tuple[list[str], dict[str, tuple[Matrix, Matrix] | None]]:
    """Shapley values of the held-out patients, for each outcome by the model of real patients and of the candidate.

    Returns:
        the features, and by outcome two matrices (patients, features), None where a side has too few patients.
    """
    real, candidate = asked.design.matrix(comparison.real), asked.design.matrix(comparison.candidate)
    centred = real - real.mean(axis=0)
    names = list(dict.fromkeys(asked.sources.tolist()))
    grouping = (asked.sources[:, None] == np.array(names)).astype(float)
    found: dict[str, tuple[Matrix, Matrix] | None] = {}
    for outcome in asked.outcomes:
        sides = [
            _coefficients(asked, outcome, cohort, matrix, settings)
            for cohort, matrix in ((comparison.real, real), (comparison.candidate, candidate))
        ]
        values = [(centred * side) @ grouping for side in sides if side is not None]
        found[outcome.name] = (values[0], values[1]) if len(values) == 2 else None
    return names, found


def measure_agreement(real: Matrix, candidate: Matrix, top: int) -> dict[str, float]:
    """The comparisons of two sets of Shapley values of the same patients and features (formulas in METRICS)."""
    from scipy.stats import weightedtau

    size = float((real**2).sum() + (candidate**2).sum())
    first, second = np.abs(real).mean(axis=0), np.abs(candidate).mean(axis=0)
    ranking, other = np.argsort(-first, kind="stable"), np.argsort(-second, kind="stable")
    rank = np.empty(len(first), dtype=np.intp)
    rank[ranking] = np.arange(len(first))
    leading = max(1, min(top, len(first) // 2))
    tau = float(weightedtau(first, second, rank=rank).statistic) if len(first) > 1 else float("nan")
    return {
        "attribution_agreement": 2 * float((real * candidate).sum()) / size if size > 0 else 0.0,
        "importance_correlation": tau if np.isfinite(tau) else 0.0,
        "top_overlap": len(set(ranking[:leading]) & set(other[:leading])) / leading,
    }


def _shares(attribution: Matrix) -> Vector:
    importance = np.abs(attribution).mean(axis=0)
    total = importance.sum()
    return np.asarray(importance / total if total > 0 else importance)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Agreement for each outcome, its means (`all`), and the difference of each feature. `rng` is not used."""
    asked: Questions = comparison.prepared or prepare(comparison, settings, rng)
    names, found = compute_attributions(comparison, asked, settings)
    n = min(len(comparison.real), len(comparison.candidate))
    modality = {outcome.name: outcome.modality for outcome in asked.outcomes}
    reason = f"fewer than {settings['events']} events, or patients with either answer, on one side"
    values: list[Value] = []
    parts: dict[str, list[dict[str, float]]] = {RECORD: []}
    if comparison.real.alterations is not None:
        parts[ALTERED] = []
    differences = []
    for name, pair in found.items():
        if pair is None:
            values += [Value(metric, np.nan, name, modality[name], n, reason) for metric in BY_OUTCOME]
            continue
        part = measure_agreement(*pair, int(settings["top"]))
        parts[modality[name]].append(part)
        values += [Value(metric, value, name, modality[name], n) for metric, value in part.items()]
        differences.append(_shares(pair[1]) - _shares(pair[0]))
    for group, numbers in parts.items():
        for metric in BY_OUTCOME:
            mean = float(np.mean([part[metric] for part in numbers])) if numbers else np.nan
            values.append(
                Value(metric, mean, "all", group, n, "" if numbers else "no predictable outcome with enough patients")
            )
    if differences:
        mean_difference = np.mean(differences, axis=0)
        values += [
            Value("importance_difference", float(value), name, n=n)
            for name, value in zip(names, mean_difference, strict=True)
        ]
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Importance of the leading features of each outcome, in real patients and in the candidate."""
    asked: Questions = comparison.prepared or prepare(comparison, settings, np.random.default_rng(0))
    names, found = compute_attributions(comparison, asked, settings)
    pairs = [(outcome, pair) for outcome in asked.outcomes if (pair := found[outcome.name]) is not None]
    # The best predicted outcome of every kind, then the second ones.
    place = {outcome.name: [o.kind for o, _ in pairs[:i]].count(outcome.kind) for i, (outcome, _) in enumerate(pairs)}
    chosen = sorted(pairs, key=lambda pair: place[pair[0].name])[:OUTCOMES_SHOWN]
    if not chosen:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, "no outcome that can be predicted", ha="center", va="center", color=NEUTRAL)
        return drawn
    rows = -(-len(chosen) // 3)
    drawn, grid = new_figure(11.5, 0.7 + 2.5 * rows, nrows=rows, ncols=min(3, len(chosen)), squeeze=False)
    scores = values[(values["metric"] == "attribution_agreement") & (values["status"] == "ok")]
    agreed = scores.set_index("target")["value"]
    for axis in grid.flat[len(chosen) :]:
        axis.axis("off")
    for axis, (outcome, pair) in zip(grid.flat, chosen, strict=False):
        real, candidate = _shares(pair[0]), _shares(pair[1])
        leading = np.argsort(-np.maximum(real, candidate), kind="stable")[:FEATURES_SHOWN]
        leading = leading[np.argsort(-real[leading], kind="stable")]
        bars = np.arange(len(leading))
        axis.barh(bars - 0.2, 100 * real[leading], 0.38, color=REAL, label="real, held out")
        axis.barh(bars + 0.2, 100 * candidate[leading], 0.38, color=SYNTHETIC, label=label)
        axis.set_yticks(bars, [textwrap.shorten(names[i], 22, placeholder=" ...") for i in leading])
        axis.tick_params(axis="y", labelsize=8)
        axis.set_ylim(len(leading) - 0.4, -0.6)
        axis.set_xlabel("importance, % of all features", fontsize=8)
        title = f"{outcome.column} (Cox)" if outcome.kind == "survival" else outcome.name
        axis.set_title(f"{title}: agreement {agreed.get(outcome.name, np.nan):.2f}", loc="left", fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=2)
    return drawn
