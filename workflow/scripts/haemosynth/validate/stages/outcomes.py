"""What learners are asked to predict: outcomes that the training patients show to be predictable.

An outcome is fixed by the training patients and so the same for every candidate: death (or another endpoint) by a
horizon, a level of a clinical column, or an alteration. Each is predicted from all baseline covariates but its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.encode.baseline import Design, baseline_design
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.stats.cox import kaplan_meier
from haemosynth.stats.learners import Matrix, Vector, divide_stratified, fit_logistic
from haemosynth.stats.ranking import weighted_auc

DEFAULTS: dict[str, Any] = {
    "carriers": 10,  # training patients that a level, an alteration or an indicator of missingness needs as covariate
    "ridge": 10.0,  # penalty of the logistic regressions: log odds ratios ~ Normal(0, 1 / ridge)
    "outcomes": 4,  # at most so many of each kind (endpoints, clinical columns, alterations)
    "least_auc": 0.6,  # cross-validated in training patients
    "least_share": 0.1,  # of training patients with either answer
}
FOLDS = 5
MOST_LEVELS = 6
FEWEST_FOLLOWED = 0.25  # of training patients not yet censored at a horizon
HORIZONS = (1, 2, 3, 6, 9, 12, 18, 24, 36, 48, 60, 84, 120)  # months


@dataclass(frozen=True)
class Outcome:
    """A question with the answers yes and no. auc: cross-validated in training patients."""

    name: str
    kind: str  # "survival", or the modality of the column
    column: str  # the endpoint, the clinical column or the alteration
    level: str = ""
    horizon: float = np.nan  # months
    auc: float = np.nan

    @property
    def modality(self) -> str:
        """The modality that the outcome belongs to."""
        return ALTERED if self.kind == ALTERED else RECORD

    def answers(self, cohort: Cohort) -> tuple[Vector, Vector]:
        """(patients,) answer 0/1 and (patients,) weight, 0 where the answer is unknown and 1 on average elsewhere.

        Patients censored before the horizon are unknown, and the others weigh the inverse of the probability of not
        being censored until their event or the horizon (Graf et al., Stat Med 1999;18:2529).
        """
        if self.kind == "survival":
            return _by_horizon(cohort, self.column, self.horizon)
        if self.kind == RECORD:
            values = cohort.clinical[self.column]
            return (values == self.level).to_numpy().astype(float), values.notna().to_numpy().astype(float)
        assert cohort.alterations is not None
        present = cohort.alterations[self.column].to_numpy(float)
        return np.nan_to_num(present), np.isfinite(present).astype(float)


def _by_horizon(cohort: Cohort, endpoint: str, horizon: float) -> tuple[Vector, Vector]:
    time = cohort.clinical[f"{endpoint}_time"].to_numpy(float)
    event = cohort.clinical[f"{endpoint}_event"].to_numpy(float)
    known = np.isfinite(time) & np.isfinite(event)
    weight = np.zeros(len(time))
    answer = (known & (event == 1) & (time <= horizon)).astype(float)
    if not known.any():
        return answer, weight
    censoring = kaplan_meier(time[known], 1 - event[known])
    before = np.concatenate([[1.0], censoring.survival])[np.searchsorted(censoring.times, time[known], side="left")]
    free = np.where(answer[known] == 1, before, censoring.at(np.array([horizon])))
    usable = ((answer[known] == 1) | (time[known] > horizon)) & (free > 0)
    weight[known] = np.divide(1.0, free, out=np.zeros_like(free), where=usable)
    return answer, weight / weight[weight > 0].mean() if (weight > 0).any() else weight


@dataclass(frozen=True)
class Questions:
    """What is predicted, from what. sources: (covariates,) the column or alteration of each column of the design."""

    design: Design
    sources: NDArray[np.str_]
    outcomes: tuple[Outcome, ...]

    def predictors(self, outcome: Outcome) -> NDArray[np.bool_]:
        """(covariates,) whether a covariate may be used: it does not come from the outcome itself."""
        return np.asarray(self.sources != outcome.column)


def list_questions(train: Cohort, settings: Mapping[str, Any]) -> Questions:
    """The outcomes: of each kind the most predictable ones. Settings: see DEFAULTS.

    Asked are every endpoint by the horizon at which most nearly half of the patients have had the event, every
    recorded clinical column of two to six levels (its last level if there are two, else the most predictable one) that
    is not computed from others, and every alteration; kept are those that a logistic regression predicts in training
    patients it has not seen. The folds are always the same ones, so that stages agree on the outcomes.
    """
    design = baseline_design(train, int(settings["carriers"]))
    sources = np.array([
        *(name for name, *_ in design.numbers),
        *(name for name, _ in design.levels),
        *design.unknown,
        *design.alterations,
        *(["not sequenced"] if design.unsequenced else []),
        *(["karyotype incomplete"] if design.no_karyotype else []),
    ], dtype=str)  # fmt: skip
    matrix = design.matrix(train)
    found: dict[tuple[str, str], Outcome] = {}
    for outcome in _list_asked(train):
        answer, weight = outcome.answers(train)
        if weight.sum() == 0:
            continue
        share = weight @ answer / weight.sum()
        covariates = matrix[:, sources != outcome.column]
        if min(share, 1 - share) < settings["least_share"] or not covariates.shape[1]:
            continue
        auc = _cross_validated(covariates, answer, weight, float(settings["ridge"]))
        key = outcome.kind, outcome.column
        if auc >= settings["least_auc"] and (key not in found or auc > found[key].auc):
            found[key] = Outcome(outcome.name, outcome.kind, outcome.column, outcome.level, outcome.horizon, auc)
    chosen: list[Outcome] = []
    for kind in ("survival", RECORD, ALTERED):
        ranked = sorted((outcome for outcome in found.values() if outcome.kind == kind), key=lambda o: -o.auc)
        chosen += ranked[: int(settings["outcomes"])]
    return Questions(design, sources, tuple(chosen))


def _list_asked(train: Cohort) -> list[Outcome]:
    asked = []
    for endpoint in train.schema.endpoints:
        horizon = _horizon(train, endpoint)
        if horizon is not None:
            asked.append(Outcome(f"{endpoint} by {horizon:g} months", "survival", endpoint, horizon=horizon))
    for name, column in train.schema.recorded.items():
        if column.numeric or column.group == "outcome":
            continue
        values = train.clinical[name]
        levels = [str(level) for level in values.cat.categories if (values == level).any()]
        if 2 <= len(levels) <= MOST_LEVELS:
            levels = levels[-1:] if len(levels) == 2 else levels
            asked += [Outcome(f"{name}={level}", RECORD, name, level) for level in levels]
    if train.alterations is not None:
        asked += [Outcome(str(name), ALTERED, str(name)) for name in train.alterations]
    return asked


def _horizon(train: Cohort, endpoint: str) -> float | None:
    time = train.clinical[f"{endpoint}_time"].to_numpy(float)
    event = train.clinical[f"{endpoint}_event"].to_numpy(float)
    known = np.isfinite(time) & np.isfinite(event)
    if known.sum() < 2:
        return None
    months = np.array(HORIZONS, dtype=float)
    followed = kaplan_meier(time[known], 1 - event[known]).at(months) >= FEWEST_FOLLOWED
    months = months[followed & (months < time[known].max())]
    if not len(months):
        return None
    return float(months[np.abs(kaplan_meier(time[known], event[known]).at(months) - 0.5).argmin()])


def _cross_validated(covariates: Matrix, answer: Vector, weight: Vector, ridge: float) -> float:
    part = divide_stratified(answer, weight, stream(0, "outcomes"), FOLDS)
    areas = []
    for fold in range(FOLDS):
        inside = part != fold
        model = fit_logistic(covariates[inside], answer[inside], weight[inside], ridge)
        score = model.probability(covariates[~inside])
        areas.append(weighted_auc(answer[~inside], score, weight[~inside]))
    return float(np.mean(areas))
