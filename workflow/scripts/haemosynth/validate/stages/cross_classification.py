"""Cross-classification: do models learned from synthetic patients hold in all groups of real ones?

For each of several outcomes (see `validate/outcomes.py`) learners are trained on one side and tested on the other:
on synthetic and tested on real patients, on real and tested on synthetic ones, on real and tested on other real ones,
and on both together. Real patients are never tested by what learned from them: models of the candidate and of training
patients are tested in the holdout, models of one half of the holdout in its other half and in the candidate.

The learner is a ridge logistic regression of all baseline covariates but the outcome's own; boosted trees beside it see
interactions too. A candidate in which an outcome never (or always) occurs teaches nothing, and its area is 0.5.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.stats.learners import Matrix, Vector, divide_stratified, fit_logistic
from haemosynth.stats.ranking import weighted_auc
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value
from haemosynth.validate.stages import outcomes
from haemosynth.validate.stages.outcomes import Questions, list_questions

DEFAULTS: dict[str, Any] = {
    **outcomes.DEFAULTS,
    "cases": 5,  # patients with either answer that a test needs
    "subgroups": None,  # clinical columns; None: demographic ones and ordinal ones of the disease
    "trees": 40,  # boosting iterations
    "leaves": 6,  # of each tree
    "learning_rate": 0.1,
    "min_leaf": 10,  # patients in a leaf
}
Subset = NDArray[np.bool_]
SUBGROUP_SHARE = 0.1  # of training patients, at least, in each subgroup
MOST_SUBGROUPS = 6  # levels of a column that is divided
ESTEBAN = "Esteban et al., arXiv 1706.02633"

STAGE = Stage("utility", needs=(RECORD,), memory=2000, runtime=60)
METRICS = (
    Metric(
        "tstr_auc", "agreement", "", (0, 1), JOINT, "subsample",
        "area under the ROC curve in the holdout of the logistic regression learned from the candidate, mean over"
        " outcomes; outcomes by a horizon weighted by the inverse probability of censoring",
        f"{ESTEBAN} (train synthetic, test real); Hung and Chiang, Can J Stat 2010;38:8",
    ),
    Metric(
        "tstr_boosted_auc", "agreement", "", (0, 1), JOINT, "subsample",
        "the same of gradient boosted trees, which see interactions",
        f"{ESTEBAN}; Friedman, Ann Stat 2001;29:1189",
    ),
    Metric(
        "tstr_brier", "error", "squared probability", (0, 1), JOINT, "subsample",
        "sum w (y - p)^2 / sum w in the holdout, p predicted by the logistic regression learned from the candidate, w"
        " as in tstr_auc; mean over outcomes",
        "Brier, Mon Weather Rev 1950;78:1; Graf et al., Stat Med 1999;18:2529",
    ),
    Metric(
        "trts_error", "error", "area under the ROC curve", (0, 1), JOINT, "subsample",
        "|AUC in the candidate - AUC in the other half of the holdout| of a logistic regression learned from one half"
        " of the holdout, both areas averaged over the two halves; mean over outcomes. Too regular patients are as"
        " wrong as too random ones",
        f"this project, after {ESTEBAN} (train real, test synthetic)",
    ),
    Metric(
        "augmentation_gain", "agreement", "area under the ROC curve", (-1, 1), JOINT, "subsample",
        "AUC(half of the holdout + candidate) - AUC(half of the holdout), both tested in the other half; mean over the"
        " two halves and over outcomes",
        "this project",
    ),
    Metric(
        "replacement_gain", "agreement", "area under the ROC curve", (-1, 1), JOINT, "subsample",
        "as augmentation_gain at equal n: half of the learner's real patients replaced by as many of the candidate,"
        " less all of them real",
        "this project",
    ),
    Metric(
        "trtr_auc", "descriptive", "", (0, 1), JOINT, "subsample",
        "as tstr_auc, learned from as many training patients",
        f"{ESTEBAN}",
    ),
    Metric(
        "trts_auc", "descriptive", "", (0, 1), JOINT, "subsample",
        "area under the ROC curve in the candidate of the logistic regression learned from one half of the holdout",
        f"{ESTEBAN} (train real, test synthetic)",
    ),
    Metric(
        "tstr_gap", "descriptive", "area under the ROC curve", (-1, 1), JOINT, "subsample",
        "trtr_auc - tstr_auc: what is lost by learning from the candidate instead of as many training patients",
        "this project",
    ),
    Metric(
        "subgroup_auc", "descriptive", "", (0, 1), JOINT, "subsample",
        "tstr_auc among the holdout's patients of a subgroup, mean over outcomes that are not the subgroup's column",
        "Chen et al., Nat Biomed Eng 2021;5:493 (synthetic data and fairness)",
    ),
    Metric(
        "subgroup_gap", "descriptive", "area under the ROC curve", (-1, 1), JOINT, "subsample",
        "trtr_auc - tstr_auc among the holdout's patients of a subgroup",
        "this project",
    ),
    Metric(
        "subgroup_calibration", "descriptive", "probability", (-1, 1), JOINT, "subsample",
        "|mean predicted - observed share| in a subgroup of the holdout, learned from the candidate, less the same"
        " learned from training patients; mean over outcomes",
        "this project; Van Calster et al., BMC Med 2019;17:230 (calibration in the large)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Subgroup:
    """Patients with a level of a column, or with a number in [low, high)."""

    name: str
    column: str
    level: str = ""
    low: float = -np.inf
    high: float = np.inf

    def members(self, cohort: Cohort) -> Subset:
        """(patients,) who belongs to it; patients with a missing value do not."""
        values = cohort.clinical[self.column]
        if self.level:
            return (values == self.level).to_numpy(bool)
        return ((values >= self.low) & (values < self.high)).to_numpy(bool)


def find_subgroups(train: Cohort, columns: list[str] | None) -> list[Subgroup]:
    """Subgroups that each hold a tenth of training patients: levels, and numbers in thirds of training patients.

    Args:
        columns: None is every demographic column, and every ordinal column of the disease such as a stage.
    """
    schema = train.schema
    if columns is None:
        columns = [
            name for name, column in schema.columns.items()
            if column.group == "demographic" or (column.group == "disease" and column.kind == "ordinal")
        ]  # fmt: skip
    asked: list[Subgroup] = []
    for name in columns:
        values = train.clinical[name].dropna()
        if schema.columns[name].numeric:
            if values.nunique() < 3:
                continue
            low, high = np.unique(np.ceil(np.quantile(values, [1 / 3, 2 / 3])))[[0, -1]]
            asked += [
                Subgroup(f"{name}<{low:g}", name, high=low),
                Subgroup(f"{name}={low:g} to <{high:g}", name, low=low, high=high),
                Subgroup(f"{name}>={high:g}", name, low=high),
            ]
        elif 2 <= values.nunique() <= MOST_SUBGROUPS:
            asked += [Subgroup(f"{name}={level}", name, level=str(level)) for level in values.cat.categories]
    return [group for group in asked if group.members(train).mean() >= SUBGROUP_SHARE]


@dataclass(frozen=True)
class Prepared:
    """What training patients fix for every candidate."""

    questions: Questions
    subgroups: list[Subgroup]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Outcomes, covariates and subgroups, from training patients. `rng` is not used."""
    return Prepared(list_questions(comparison.train, settings), find_subgroups(comparison.train, settings["subgroups"]))


@dataclass(frozen=True)
class _Side:
    """Patients as a learner sees them: covariates, answers and weights."""

    covariates: Matrix
    answer: Vector
    weight: Vector

    def take(self, rows: Subset | NDArray[np.intp]) -> _Side:
        return _Side(self.covariates[rows], self.answer[rows], self.weight[rows])

    def cases(self) -> int:
        known = self.weight > 0
        return int(min((self.answer[known] == 1).sum(), (self.answer[known] == 0).sum()))


def _together(first: _Side, second: _Side) -> _Side:
    return _Side(
        np.vstack([first.covariates, second.covariates]),
        np.concatenate([first.answer, second.answer]),
        np.concatenate([first.weight, second.weight]),
    )


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric for each outcome and subgroup, and their means by modality (`all`). `rng` deals halves."""
    prepared: Prepared = comparison.prepared or prepare(comparison, settings, rng)
    asked = prepared.questions
    n = min(len(comparison.real), len(comparison.candidate))
    modalities = [RECORD, ALTERED] if comparison.real.alterations is not None else [RECORD]
    overall = [metric.name for metric in METRICS if not metric.name.startswith("subgroup")]
    # As many training patients as the candidate has, where there are as many.
    order = rng.permutation(len(comparison.train))[: len(comparison.candidate)]
    cohorts = comparison.real, comparison.candidate, comparison.train.take(order)
    matrices = [asked.design.matrix(cohort) for cohort in cohorts]
    members = [group.members(comparison.real) for group in prepared.subgroups]
    values: list[Value] = []
    found: dict[str, list[dict[str, float]]] = {modality: [] for modality in modalities}
    inside: list[list[dict[str, float]]] = [[] for _ in members]
    for outcome in asked.outcomes:
        kept = asked.predictors(outcome)
        real, candidate, train = (
            _Side(matrix[:, kept], *outcome.answers(cohort)) for matrix, cohort in zip(matrices, cohorts, strict=True)
        )
        if min(real.cases(), train.cases()) < settings["cases"]:
            reason = f"fewer than {settings['cases']} held-out or training patients with either answer"
            values += [Value(name, np.nan, outcome.name, outcome.modality, n, reason) for name in overall]
            continue
        learned, predicted, reference = _predictions(real, candidate, train, settings)
        learned |= _halves(real, candidate, settings, rng)
        values += [
            Value(name, value, outcome.name, outcome.modality, n,
                  "" if np.isfinite(value) else "the candidate has too few patients with either answer")
            for name, value in learned.items()
        ]  # fmt: skip
        found[outcome.modality].append(learned)
        for group, rows, parts in zip(prepared.subgroups, members, inside, strict=True):
            if group.column != outcome.column and real.take(rows).cases() >= settings["cases"]:
                parts.append(_in_subgroup(real.take(rows), predicted[rows], reference[rows]))
    for modality in modalities:
        for name in overall:
            numbers = [part[name] for part in found[modality] if np.isfinite(part[name])]
            reason = "" if numbers else "no predictable outcome with enough patients"
            values.append(Value(name, float(np.mean(numbers)) if numbers else np.nan, "all", modality, n, reason))
    for group, rows, parts in zip(prepared.subgroups, members, inside, strict=True):
        for name in ("subgroup_auc", "subgroup_gap", "subgroup_calibration"):
            reason = "" if parts else "no outcome with enough patients of the subgroup"
            mean = float(np.mean([part[name] for part in parts])) if parts else np.nan
            values.append(Value(name, mean, group.name, RECORD, int(rows.sum()), reason))
    return values


def _predictions(
    real: _Side, candidate: _Side, train: _Side, settings: Mapping[str, Any]
) -> tuple[dict[str, float], Vector, Vector]:
    """Tests in the holdout; and its patients' probabilities learned from the candidate and from training patients."""
    ridge = float(settings["ridge"])
    predicted, reference = (
        fit_logistic(side.covariates, side.answer, side.weight, ridge).probability(real.covariates)
        for side in (candidate, train)
    )
    auc, trtr = (weighted_auc(real.answer, score, real.weight) for score in (predicted, reference))
    boosted = weighted_auc(real.answer, _boost(candidate, real.covariates, settings), real.weight)
    brier = float(real.weight @ (real.answer - predicted) ** 2 / real.weight.sum())
    found = {"tstr_auc": auc, "tstr_boosted_auc": boosted, "tstr_brier": brier, "trtr_auc": trtr}
    return {**found, "tstr_gap": trtr - auc}, predicted, reference


def _boost(side: _Side, patients: Matrix, settings: Mapping[str, Any]) -> Vector:
    from sklearn.ensemble import HistGradientBoostingClassifier

    if side.cases() == 0:
        return np.zeros(len(patients))
    model = HistGradientBoostingClassifier(
        max_iter=int(settings["trees"]),
        max_leaf_nodes=int(settings["leaves"]),
        learning_rate=float(settings["learning_rate"]),
        min_samples_leaf=int(settings["min_leaf"]),
        early_stopping=False,
        random_state=0,  # nothing is drawn: no early stopping, no subsampling of features
    )
    known = side.weight > 0
    model.fit(side.covariates[known], side.answer[known], sample_weight=side.weight[known])
    return np.asarray(model.predict_proba(patients)[:, 1])


def _halves(real: _Side, candidate: _Side, settings: Mapping[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """What learns from one half of the holdout, alone or with the candidate, tested in the other half."""
    ridge = float(settings["ridge"])
    areas: dict[str, list[float]] = {name: [] for name in ("alone", "synthetic", "added", "replaced")}
    part = divide_stratified(real.answer, real.weight, rng, 2)
    enough = candidate.cases() >= settings["cases"]
    for half in (0, 1):
        own, other = real.take(part == half), real.take(part != half)
        kept = divide_stratified(own.answer, own.weight, rng, 2) == 0
        drawn = rng.permutation(len(candidate.answer))[: int((~kept).sum())]
        alone = fit_logistic(own.covariates, own.answer, own.weight, ridge)
        for name, side in (
            ("added", _together(own, candidate)),
            ("replaced", _together(own.take(kept), candidate.take(drawn))),
        ):
            score = fit_logistic(side.covariates, side.answer, side.weight, ridge).probability(other.covariates)
            areas[name].append(weighted_auc(other.answer, score, other.weight))
        areas["alone"].append(weighted_auc(other.answer, alone.probability(other.covariates), other.weight))
        score = alone.probability(candidate.covariates)
        areas["synthetic"].append(weighted_auc(candidate.answer, score, candidate.weight) if enough else np.nan)
    mean = {name: float(np.mean(numbers)) for name, numbers in areas.items()}
    return {
        "trts_auc": mean["synthetic"],
        "trts_error": abs(mean["synthetic"] - mean["alone"]),
        "augmentation_gain": mean["added"] - mean["alone"],
        "replacement_gain": mean["replaced"] - mean["alone"],
    }


def _in_subgroup(real: _Side, predicted: Vector, reference: Vector) -> dict[str, float]:
    observed = real.weight @ real.answer / real.weight.sum()
    auc, trtr = (weighted_auc(real.answer, score, real.weight) for score in (predicted, reference))
    off, usual = (abs(real.weight @ score / real.weight.sum() - observed) for score in (predicted, reference))
    return {"subgroup_auc": auc, "subgroup_gap": trtr - auc, "subgroup_calibration": float(off - usual)}


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Areas under the ROC curve by outcome and, learned from the candidate or from real patients, by subgroup."""
    ok = values[values["status"] == "ok"]
    table = ok[ok["target"] != "all"].set_index(["metric", "target"])[["value", "low", "high", "n"]]

    def of(metric: str) -> pd.DataFrame:
        """By target; empty where the metric has no value, as of few patients."""
        return table[table.index.get_level_values("metric") == metric].droplevel("metric")

    outcomes_shown = list(of("tstr_auc").index)
    if not outcomes_shown:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, "no outcome that can be predicted", ha="center", va="center", color=NEUTRAL)
        return drawn
    groups = list(of("subgroup_auc").index)
    drawn, (left, right) = new_figure(11.5, 2.0 + 0.3 * max(len(outcomes_shown), len(groups), 4), ncols=2)
    looks = (
        ("trtr_auc", REAL, "o", "real, tested on real"),
        ("tstr_auc", SYNTHETIC, "D", f"{label}, tested on real"),
        ("trts_auc", BLUE, "s", f"real, tested on {label}"),
    )
    for shift, (metric, colour, marker, text) in zip((-0.22, 0, 0.22), looks, strict=True):
        _dots(left, of(metric).reindex(outcomes_shown), shift, colour, marker, f"learned from {text}")
    _rows(left, [textwrap.shorten(name, 34, placeholder=" ...") for name in outcomes_shown])
    drawn.legend(loc="outside lower center", ncols=3, fontsize=8)
    means = ok[(ok["target"] == "all") & (ok["metric"] == "augmentation_gain")]
    gains = ", ".join(f"{row.modality} {row.value:+.3f}" for row in means.itertuples())
    left.set_title(f"Outcomes (AUC gained by adding: {gains})", loc="left", fontsize=9)
    if not groups:
        right.axis("off")
        right.text(0.5, 0.5, "no subgroup with enough patients", ha="center", color=NEUTRAL)
        return drawn
    learned = of("subgroup_auc").reindex(groups)
    gap = of("subgroup_gap").reindex(groups)["value"]
    off = of("subgroup_calibration").reindex(groups)["value"]
    reference = pd.DataFrame({"value": learned["value"] + gap, "low": np.nan, "high": np.nan})
    _dots(right, reference, -0.12, REAL, "o", "")
    _dots(right, learned, 0.12, SYNTHETIC, "D", "")
    counts = [f"{int(n):,}" if n >= MIN_CELL_COUNT else f"<{MIN_CELL_COUNT}" for n in learned["n"]]
    _rows(right, [f"{name} (n = {n})" for name, n in zip(groups, counts, strict=True)])
    for row, value in enumerate(off):
        text = f"{100 * value:+.1f}"
        right.text(1.08, row, text, transform=right.get_yaxis_transform(), va="center", ha="center", fontsize=8)
    right.text(
        1.08, 1, "calibration error\nadded, % points", transform=right.transAxes, ha="center", va="bottom", fontsize=8
    )
    right.set_title("Subgroups, mean over outcomes", loc="left", fontsize=9)
    return drawn


def _dots(axis: Any, found: pd.DataFrame, shift: float, colour: str, marker: str, label: str) -> None:
    rows = np.arange(len(found)) + shift
    axis.hlines(rows, found["low"], found["high"], color=colour, lw=1.2)
    axis.plot(found["value"], rows, marker, color=colour, ms=5, label=label or None)


def _rows(axis: Any, names: list[str]) -> None:
    axis.set_yticks(np.arange(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(min(axis.get_xlim()[0], 0.45), 1.01)
    axis.axvline(0.5, color=NEUTRAL, lw=0.8, ls="--", zorder=0)
    axis.set_xlabel("area under the ROC curve, 95 % interval")
