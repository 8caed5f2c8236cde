"""Fairness: do models serve groups of patients alike, and does balancing the synthetic cohort change it?

A Cox model and a classifier of an outcome class (the first endpoint's event within a horizon, or a level that is named)
are learned on training patients, on synthetic patients as frequent as real ones, and on the balanced synthetic cohort,
and used in held-out patients of every group: of each sex, age band, and centre or trial. What is reported is the
largest difference between groups, and what the models are worth in everybody, so that what balance costs stands beside
what it gives. A difference is not an injustice by itself: groups differ in risk, and where they do, equal shares of
positive predictions and equal error rates cannot both be had (Kleinberg et al., ITCS 2017).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.arrays import Matrix, Vector
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.figures import BLACK, BLUE, NEUTRAL, SYNTHETIC, new_figure
from haemosynth.encode.baseline import Design, baseline_design, follow_up
from haemosynth.generate.balance import at_real_prevalence, read_quotas
from haemosynth.stats.cox import concordance, fit_cox
from haemosynth.stats.learners import LogisticModel, fit_logistic
from haemosynth.stats.ranking import auc
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "balance": None,  # the quotas of the study
    "groups": None,  # columns whose levels are compared; null: sex, age and centre or trial, by their names
    "age_bands": [60],  # years that divide a column of numbers
    "outcome": None,  # COLUMN=LEVEL that is predicted; null: the event of the first endpoint within the horizon
    "horizon": 24.0,  # months
    "members": 25,  # held-out patients of a group, at least
    "carriers": 10,  # training patients that a level or an alteration needs to be a covariate
    "ridge": 10.0,  # penalty of classifier and Cox model
}
STAGE = Stage(
    "utility", needs=("clinical",), environment="tabular", memory=2000, runtime=30, pool=True, by_default=False,
    balanced=True,
)  # fmt: skip
SOURCES = {
    "real": "training patients",
    "synthetic": "synthetic patients, classes as frequent as in training patients",
    "balanced": "synthetic patients as the quotas ask",
}
GAPS = {
    "c_index_gap": ("Harrell's C of the Cox model", "Harrell et al., JAMA 1982;247:2543"),
    "auc_gap": ("area under the ROC curve of the classifier", "Hanley and McNeil, Radiology 1982;143:29"),
    "calibration_gap": ("mean predicted less observed probability", "Van Calster et al., BMC Med 2019;17:230"),
    "false_negative_gap": ("false negative rate", "Hardt et al., NeurIPS 2016"),
    "false_positive_gap": ("false positive rate", "Hardt et al., NeurIPS 2016"),
    "demographic_parity": ("share of positive predictions", "Agarwal et al., ICML 2018"),
}
WORTH = {"c_index": "Harrell's C of the Cox model", "auc": "area under the ROC curve of the classifier"}
METRICS = (
    *(
        Metric(
            f"{name}_{origin}", "descriptive", "", (0, 2 if name == "calibration_gap" else 1), JOINT, "bootstrap",
            f"largest difference between held-out groups of the {formula} learned on {text}; predicted positive:"
            " a probability above the rate of the outcome in training patients",
            source,
        )
        for name, (formula, source) in GAPS.items()
        for origin, text in SOURCES.items()
    ),
    *(
        Metric(
            f"equalised_odds_{origin}", "descriptive", "", (0, 1), JOINT, "bootstrap",
            f"the larger one of the gaps of false negatives and of false positives, learned on {text}",
            "Hardt et al., NeurIPS 2016",
        )
        for origin, text in SOURCES.items()
    ),
    *(
        Metric(
            f"{name}_{origin}", "descriptive", "", (0, 1), JOINT, "bootstrap",
            f"{formula} learned on {text}, in all held-out patients", "this project",
        )
        for name, formula in WORTH.items()
        for origin, text in SOURCES.items()
    ),
    *(
        Metric(
            f"{name}_cost", "descriptive", "", (-1, 1), JOINT, "bootstrap",
            f"{formula} learned on synthetic patients as frequent as real ones, less that learned on balanced ones, in"
            " all held-out patients: what balance costs",
            "this project",
        )
        for name, formula in WORTH.items()
    ),
)  # fmt: skip
BY_NAME = {"sex": r"^(sex|gender)$", "age": r"^age", "place": r"^(cent(re|er)|site|hospital|trial)"}


@dataclass(frozen=True)
class Models:
    """Learned on one kind of patients. log_hazard: None where there are no events; classifier: where no outcome."""

    log_hazard: Vector | None
    classifier: LogisticModel | None


@dataclass(frozen=True)
class Prepared:
    """models: of each of SOURCES that is there. groups: columns. threshold: rate of the outcome in training."""

    design: Design
    models: Mapping[str, Models]
    groups: tuple[str, ...]
    threshold: float


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Learn the models once. `rng` is not used.

    Raises:
        InputError: `groups` or `outcome` names what is not there.
    """
    train, candidate = comparison.train, comparison.candidate
    design = baseline_design(train, int(settings["carriers"]))
    sides = {"real": train, "synthetic": candidate}
    if settings["balance"] and comparison.pool is not None:
        quotas = read_quotas(settings["balance"], train, settings.get("released"))
        sides["synthetic"] = at_real_prevalence(comparison.pool, quotas, train, most=len(candidate))
        sides["balanced"] = candidate
    _, answer = find_outcome(train, settings)
    models = {name: _learn(side, design, settings) for name, side in sides.items()}
    return Prepared(design, models, _groups(train, settings), float(answer.mean()) if len(answer) else np.nan)


def _groups(train: Cohort, settings: Mapping[str, Any]) -> tuple[str, ...]:
    columns = train.schema.columns
    if settings["groups"] is not None:
        for name in settings["groups"]:
            if name not in columns:
                raise InputError(
                    f"config: validation.fairness.groups: cohort {train.schema.cohort} has no column {name!r}; expected"
                    f" some of {', '.join(columns)}"
                )
        return tuple(settings["groups"])
    found = [
        next((name for name in columns if re.match(pattern, name, re.IGNORECASE)), None) for pattern in BY_NAME.values()
    ]
    return tuple(name for name in found if name is not None)


def find_outcome(cohort: Cohort, settings: Mapping[str, Any]) -> tuple[NDArray[np.intp], Vector]:
    """(positions of patients in whom the outcome is known, 1 where they have it)

    Raises:
        InputError: the outcome that is named is not there.
    """
    if settings["outcome"]:
        column, _, level = str(settings["outcome"]).partition("=")
        if column not in cohort.schema.columns or not level:
            raise InputError(
                f"config: validation.fairness.outcome: {settings['outcome']!r}: expected COLUMN=LEVEL of cohort "
                f"{cohort.schema.cohort}"
            )
        values = cohort.clinical[column]
        known = np.flatnonzero(values.notna())
        return known, (values.astype(str).to_numpy()[known] == level).astype(float)
    if not cohort.schema.endpoints:
        return np.empty(0, dtype=np.intp), np.empty(0)
    followed, time, event = follow_up(cohort, cohort.schema.endpoints[0])
    horizon = float(settings["horizon"])
    told = (time >= horizon) | (event == 1)
    return followed[told], ((time <= horizon) & (event == 1))[told].astype(float)


def _learn(side: Cohort, design: Design, settings: Mapping[str, Any]) -> Models:
    x, ridge = design.matrix(side), float(settings["ridge"])
    log_hazard = classifier = None
    if side.schema.endpoints:
        known, time, event = follow_up(side, side.schema.endpoints[0])
        if event.sum() >= 5:
            log_hazard = fit_cox(x[known], time, event, ridge).log_hazard
    told, answer = find_outcome(side, settings)
    if 5 <= answer.sum() <= len(answer) - 5:
        classifier = fit_logistic(x[told], answer, np.ones(len(told)), ridge)
    return Models(log_hazard, classifier)


def label_groups(cohort: Cohort, column: str, settings: Mapping[str, Any]) -> pd.Series:
    """(patients,) the group of each patient, missing where it is not known: a level, or a band of numbers."""
    values = cohort.clinical[column]
    if not cohort.schema.columns[column].numeric:
        return values.astype(object)
    bounds = sorted(float(bound) for bound in settings["age_bands"])
    names = np.array([
        f"below {bounds[0]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(bounds)),
        f"{bounds[-1]:g} and above",
    ], dtype=object)  # fmt: skip
    found = pd.Series(names[np.searchsorted(bounds, values.fillna(0), side="right")], index=values.index)
    return found.where(values.notna())


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every difference between groups, of every source of patients; `all` is the mean over columns. No `rng`."""
    prepared: Prepared = comparison.prepared or prepare(comparison, settings, rng)
    real = comparison.real
    x = prepared.design.matrix(real)
    told, answer = find_outcome(real, settings)
    values, worth = [], {}
    for origin in SOURCES:
        models = prepared.models.get(origin)
        found: dict[str, list[float]] = {}
        why = "the study has no quotas" if models is None else "too few events, or groups of enough held-out patients"
        scores = _scores(models, x) if models else (None, None)
        for column in prepared.groups:
            labels = label_groups(real, column, settings).to_numpy()
            gaps = _gaps(real, labels, scores, told, answer, prepared.threshold, int(settings["members"]))
            for name, number in gaps.items():
                values.append(Value(f"{name}_{origin}", number, column, n=len(real),
                                    reason="" if np.isfinite(number) else why))  # fmt: skip
                found.setdefault(name, []).extend([number] if np.isfinite(number) else [])
        for name in (*GAPS, "equalised_odds"):
            known = found.get(name) or []
            values.append(Value(f"{name}_{origin}", float(np.mean(known)) if known else np.nan, n=len(real),
                                reason="" if known else why))  # fmt: skip
        for name, number in _worth(real, scores, told, answer).items():
            worth[name, origin] = number
            values.append(Value(f"{name}_{origin}", number, n=len(real), reason="" if np.isfinite(number) else why))
    for name in WORTH:
        cost = worth[name, "synthetic"] - worth[name, "balanced"]
        why = "the study has no quotas, or there are too few events"
        values.append(Value(f"{name}_cost", cost, n=len(real), reason="" if np.isfinite(cost) else why))
    return values


def _scores(models: Models, x: Matrix) -> tuple[Vector | None, Vector | None]:
    """(patients,) log hazard and probability of the outcome."""
    risk = None if models.log_hazard is None else x @ models.log_hazard
    return risk, None if models.classifier is None else models.classifier.probability(x)


def _worth(
    real: Cohort, scores: tuple[Vector | None, Vector | None], told: NDArray[np.intp], answer: Vector
) -> dict[str, float]:
    risk, probability = scores
    found = dict.fromkeys(WORTH, np.nan)
    if risk is not None:
        known, time, event = follow_up(real, real.schema.endpoints[0])
        found["c_index"] = concordance(risk[known], time, event)
    if probability is not None and 0 < answer.sum() < len(answer):
        found["auc"] = auc(answer, probability[told])
    return found


def _gaps(
    real: Cohort, labels: NDArray[Any], scores: tuple[Vector | None, Vector | None], told: NDArray[np.intp],
    answer: Vector, threshold: float, members: int,
) -> dict[str, float]:  # fmt: skip
    """Largest difference between the groups of one column, for each of GAPS and equalised odds."""
    risk, probability = scores
    of: dict[str, list[float]] = {name: [] for name in GAPS}
    if risk is not None:
        known, time, event = follow_up(real, real.schema.endpoints[0])
    for group in [name for name in pd.unique(labels) if isinstance(name, str)]:
        if risk is not None:
            inside = labels[known] == group
            if inside.sum() >= members and event[inside].any():
                of["c_index_gap"].append(concordance(risk[known][inside], time[inside], event[inside]))
        mine = labels[told] == group
        if probability is None or mine.sum() < members or not 0 < answer[mine].sum() < mine.sum():
            continue
        predicted, truth = probability[told][mine], answer[mine]
        positive = predicted > threshold
        of["auc_gap"].append(auc(truth, predicted))
        of["calibration_gap"].append(float(predicted.mean() - truth.mean()))
        of["false_negative_gap"].append(float((~positive)[truth == 1].mean()))
        of["false_positive_gap"].append(float(positive[truth == 0].mean()))
        of["demographic_parity"].append(float(positive.mean()))
    found = {name: max(each) - min(each) if len(each) > 1 else np.nan for name, each in of.items()}
    found["equalised_odds"] = max(found["false_negative_gap"], found["false_positive_gap"])
    return found


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Differences between groups by where the models learned, and what the models are worth in everybody."""
    known = values[values["status"] == "ok"]
    names = [*GAPS, "equalised_odds"]
    drawn, (left, right) = new_figure(11, 4.6, ncols=2, gridspec_kw={"width_ratios": [2, 1]})
    looks = dict(zip(SOURCES, ((BLACK, "s"), (SYNTHETIC, "o"), (BLUE, "D")), strict=True))
    for shift, origin in enumerate(SOURCES):
        colour, marker = looks[origin]
        for axis, metrics in ((left, names), (right, [*WORTH])):
            for place, name in enumerate(metrics):
                row = known[(known["metric"] == f"{name}_{origin}") & (known["target"] == "all")]
                if len(row):
                    at, first = place + 0.24 * (shift - 1), row.iloc[0]
                    if np.isfinite(first["low"]):
                        axis.hlines(at, first["low"], first["high"], color=colour, lw=1.5)
                    axis.plot(first["value"], at, marker, color=colour, ms=5)
        left.plot([], [], marker, color=colour, label=f"learned on {SOURCES[origin]}")
    left.set_yticks(
        range(len(names)),
        [name.replace("c_index", "C-index").replace("auc", "AUC").replace("_", " ") for name in names],
    )
    left.set(xlabel="largest difference between groups, mean over columns (0 is best)", ylim=(len(names) - 0.4, -0.7))
    left.axvline(0, color=NEUTRAL, lw=0.9, ls="--")
    right.set_yticks(range(len(WORTH)), ["C-index", "area under the\nROC curve"])
    right.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--")
    right.set(xlabel="in all held-out patients (0.5 is guessing)", ylim=(len(WORTH) - 0.4, -0.7), xlim=(0.4, 1))
    left.legend(loc="upper center", bbox_to_anchor=(0.7, -0.14), fontsize=8)
    left.set_title(f"{label}: groups of {len(comparison.real):,} held-out patients", loc="left", fontsize=10)
    return drawn
