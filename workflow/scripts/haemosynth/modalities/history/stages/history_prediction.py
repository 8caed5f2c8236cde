"""Prediction of courses: is a multi-state model that learned from the candidate as good for unseen real patients?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, draw_reason, interval_rows, new_figure, shorten
from haemosynth.encode.records import distinct
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.history import record
from haemosynth.modalities.history.generators import hazards, multistate
from haemosynth.modalities.history.part import Courses, courses_of, find_courses
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {"rows": 4_000}  # patients at most from whom a model learns
MOST_LOSS = 5.0  # nats of one patient: of a mean over patients a few impossible paths would be all
FEWEST = 30  # patients with a history on a side
JUDGE = {"fewest": 5, "intervals": 8, "calibrate": False}  # of the models that are compared: the likeliest ones
LEAST_RATE = 1e-4  # a month, of a transition that the candidate never shows
STAGE = Stage("utility", needs=("history",), environment="pyro", memory=4000, runtime=30)
METRICS = (
    Metric(
        "path_likelihood_loss", "error", "nats", (0, 100), JOINT, "bootstrap",
        "mean log likelihood of the paths of unseen real patients under the multi-state model that learned from train,"
        " less that under the model that learned from the candidate, of each patient within 5 nats, at least 0",
        "this project; Kalbfleisch and Lawless, J Am Stat Assoc 1985;80:863",
    ),
    Metric(
        "transition_concordance", "agreement", "", (0, 1), JOINT, "bootstrap",
        "mean over transitions, weighted by their events, of the concordance of the linear predictor that was learned"
        " from the candidate with times to the transition of unseen real patients; 0.5 is guessing; target: a"
        " transition",
        "Harrell et al., JAMA 1982;247:2543",
    ),
)  # fmt: skip
NAMES = [metric.name for metric in METRICS]


@dataclass(frozen=True)
class Prepared:
    """Of every real patient with a history: patients; loss of log likelihood; and for each transition its name, the
    linear predictor, length of stay and event of each stay, and the owner's position."""

    patients: pd.Index
    loss: np.ndarray
    stays: tuple[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | str:
    """Fit both models and read the holdout with them, once; a reason where that cannot be."""
    sides = [distinct(side) for side in (comparison.train, comparison.candidate, comparison.real)]
    for side, who in zip(sides, ("training", "synthetic", "real"), strict=True):
        own = find_courses(side)
        if own is None or len(own.paths) < FEWEST:
            return f"fewer than {FEWEST} {who} patients have a history"
    most = int(settings["rows"])
    models = []
    for side in sides[:2]:
        kept = side if len(side) <= most else side.take(np.sort(rng.choice(len(side), most, replace=False)))
        models.append(_fit(kept, rng))
    if isinstance(models[0], str) or isinstance(models[1], str):
        return next(str(model) for model in models if isinstance(model, str))
    real = sides[2]
    courses = courses_of(real)
    first, second = (_likelihood(model, real, courses) for model in models if isinstance(model, Fitted))
    return Prepared(
        pd.Index(courses.paths.owner),
        np.clip(first - second, -MOST_LOSS, MOST_LOSS),
        tuple(_predictors(models[1], real, courses)),
    )


def _fit(cohort: Cohort, rng: np.random.Generator) -> Fitted | str:
    from haemosynth.core.errors import InputError

    bare = cohort.replace(history=_without_series(courses_of(cohort)))
    try:
        return multistate.fit(bare, {**multistate.DEFAULTS, **JUDGE}, rng, None)
    except InputError as error:
        return str(error)


def _without_series(courses: Courses) -> Courses:
    kept = courses.table["kind"].isin(("state", "end"))
    return Courses(courses.table[kept].reset_index(drop=True), courses.design, courses.grain)


def _covariates(model: Fitted, real: Cohort, courses: Courses) -> tuple[Any, np.ndarray]:
    known = model.description
    x = record.features(known["record"], real)[real.patients.get_indexer(pd.Index(courses.paths.owner))]
    stays = courses.paths.sojourns()
    return stays, multistate.with_own(x, stays.course, stays.entry, stays.before, known["scale"])


def _likelihood(model: Fitted, real: Cohort, courses: Courses) -> np.ndarray:
    """(courses,) log likelihood of each path."""
    stays, table = _covariates(model, real, courses)
    found = np.zeros(len(courses.paths))
    pairs = {tuple(pair): t for t, pair in enumerate(model.description["transitions"])}
    states = courses.design.states
    for a, b in courses.design.pairs:
        pair = (states.index(a), states.index(b))
        rows = np.flatnonzero(stays.origin == pair[0])
        event = stays.target[rows] == pair[1]
        length = np.maximum(stays.length[rows], 1e-3)
        if pair in pairs:
            own = multistate.unpack(model, f"transition.{pairs[pair]}")
            linear = np.clip(table[rows] @ own.beta, -8, 8)
            rate = own.rate[np.searchsorted(own.cuts, length, side="left").clip(1) - 1]
            value = event * (np.log(np.maximum(rate, LEAST_RATE)) + linear) - hazards.cumulative(own, length) * np.exp(
                linear
            )
        else:
            value = event * np.log(LEAST_RATE) - LEAST_RATE * length
        found += np.bincount(stays.course[rows], weights=value, minlength=len(found))
    return found


def _predictors(model: Fitted, real: Cohort, courses: Courses) -> list[tuple[str, Any, Any, Any, Any]]:
    stays, table = _covariates(model, real, courses)
    found, states = [], courses.design.states
    for t, (a, b) in enumerate(model.description["transitions"]):
        rows = np.flatnonzero(stays.origin == a)
        event = stays.target[rows] == b
        own = multistate.unpack(model, f"transition.{t}")
        found.append(
            (f"{states[a]}~{states[b]}", table[rows] @ own.beta, stays.length[rows], event, stays.course[rows])
        )
    return found


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Both metrics over the patients of this resample; the models were fitted by `prepare`."""
    known: Prepared | str = comparison.prepared
    if isinstance(known, str):
        return [Value(name, np.nan, modality="history", reason=known) for name in NAMES]
    place = known.patients.get_indexer(comparison.real.patients)
    weight = np.bincount(place[place >= 0], minlength=len(known.patients)).astype(float)
    n = int(weight.sum())
    if not n:
        return [Value(name, np.nan, modality="history", reason="no real patient has a history") for name in NAMES]
    values = [Value(NAMES[0], max(0.0, float(weight @ known.loss / n)), modality="history", n=n)]
    total, events, single = 0.0, 0.0, []
    for name, linear, length, event, course in known.stays:
        own = weight[course]
        number = float(own[event].sum())
        index = concordance(linear, length, event, own) if number >= 5 else np.nan
        if np.isfinite(index):
            total, events = total + number * index, events + number
            single.append(Value(NAMES[1], index, name, "history", int(number)))
        else:
            single.append(Value(NAMES[1], np.nan, name, "history", int(number), "fewer than 5 events"))
    reason = "" if events else "no transition has 5 events"
    return [
        *values,
        Value(NAMES[1], total / events if events else np.nan, modality="history", n=n, reason=reason),
        *single,
    ]


def concordance(linear: np.ndarray, length: np.ndarray, event: np.ndarray, weight: np.ndarray) -> float:
    """Harrell's concordance with weights of patients; ties of the predictor count half."""
    cases = np.flatnonzero(event & (weight > 0))
    above, pairs = 0.0, 0.0
    for case in cases:
        later = weight * (length > length[case])
        size = weight[case] * later.sum()
        if size:
            less = later @ (linear < linear[case]) + 0.5 * (later @ (linear == linear[case]))
            above, pairs = above + weight[case] * less, pairs + size
    return float(above / pairs) if pairs else float("nan")


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Concordance of every transition."""
    known: Prepared | str = comparison.prepared
    if isinstance(known, str):
        return draw_reason(known)
    rows = [(NAMES[1], "all", "all transitions", REAL)]
    rows += [(NAMES[1], name, name.replace("~", " to "), SYNTHETIC) for name, *_ in known.stays]
    drawn, axis = new_figure(7.5, 1.2 + 0.28 * len(rows))
    interval_rows(axis, values, rows)
    axis.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--")
    axis.set(xlabel=f"concordance in {len(known.patients):,} unseen real patients; 0.5 is guessing")
    axis.set_title(f"learned from {shorten(label, 24)}", loc="left", fontsize=9)
    return drawn
