"""Dirichlet-process classes of mutations and cytogenetics: do synthetic patients fall into the classes of real ones?

Classes are learned from the alterations of the training patients (`classes.py`), clinical data unseen. Held-out real
patients and the candidate's are assigned by posterior predictive: how many fall into each class, which alterations
they carry there, how long they live, and how surely they belong. Then classes are learned anew from the candidate
alone, matched to the real ones, and both sets of classes are put to held-out real patients.

A patient without any known alteration belongs to no class and is left out; unknown alterations of others are
integrated out. Who is more probable under a class not yet opened is counted beside the classes as `no class`.
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

from haemosynth.cohort import Cohort
from haemosynth.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.validate.classes import Classes, Matrix, Vector, cosine, fit_classes, matched, named
from haemosynth.validate.cox import CoxModel, curve_distance, fit_cox, kaplan_meier
from haemosynth.validate.partitions import adjusted_rand, total_variation
from haemosynth.validate.records import some_rows
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "chains": 8,  # Gibbs chains for the classes of training patients
    "sweeps": 160,  # of each
    "candidate_chains": 4,  # for those of the candidate, which every resample learns anew
    "candidate_sweeps": 80,
    "merge": 0.95,  # classes whose profiles have this cosine are one
    "smallest": 10,  # patients of a class
    "most": 2000,  # patients that classes are learned from: the consensus costs patients squared
    "ridge": 1.0,  # penalty of the Cox models: log hazard ratios ~ Normal(0, 1 / ridge)
    "events": 20,  # events that either side needs for a Cox model
}
SOURCE = "Papaemmanuil et al., N Engl J Med 2016;374:2209 (Dirichlet-process classes)"
METRICS = (
    Metric(
        "class_frequency_distance", "error", "share of patients", (0, 1), JOINT, "subsample",
        "1/2 sum_k |f_real(k) - f_candidate(k)|, f the mean posterior probability of class k, `no class` among them",
        f"{SOURCE}; total variation",
    ),
    Metric(
        "profile_concordance", "agreement", "", (-1, 1), JOINT, "subsample",
        "Lin's concordance over classes k and alterations a of the log odds of a in k less those in all training"
        " patients, one patient of them added to each class; weights f(k) p(a) (1 - p(a)) of training patients",
        "Lin, Biometrics 1989;45:255",
    ),
    Metric(
        "certainty_distance", "error", "probability", (0, 1), JOINT, "subsample",
        "Wasserstein distance of the distributions over patients of the probability of their most probable class",
        "this project",
    ),
    Metric(
        "class_survival_distance", "error", "probability", (0, 1), JOINT, "subsample",
        "mean over classes with ten patients on both sides, weighted by training patients, of"
        " 1/t integral_0^t |S_real(u) - S_candidate(u)| du, Kaplan-Meier, t the 95 % quantile of real follow-up",
        "Norcliffe et al., SurvivalGAN, AISTATS 2023 (Kaplan-Meier divergence, absolute), by class",
    ),
    Metric(
        "class_hazard_difference", "error", "log hazard ratio", (0, np.inf), JOINT, "subsample",
        "sum w |b_r - b_s| / sum w over classes, b the log hazard of a class against all patients in a Cox model with"
        " ridge, w = 1/SE_r^2",
        "this project; Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "reclustered_profiles", "agreement", "cosine", (0, 1), JOINT, "subsample",
        "mean over classes of the training patients, weighted by their patients, of the cosine (0 if negative) with the"
        " class of the candidate matched to it, profiles less the frequencies in all patients; 0 if none is",
        "Kuhn, Nav Res Logist Q 1955;2:83 (matching)",
    ),
    Metric(
        "partition_agreement", "agreement", "adjusted Rand index", (-1, 1), JOINT, "subsample",
        "adjusted Rand index, in the holdout, of the classes learned from training patients and those learned from the"
        " candidate; a single class agrees with nothing and has 0",
        "Hubert and Arabie, J Classif 1985;2:193",
    ),
    Metric(
        "classes_found", "descriptive", "classes", (0, np.inf), JOINT, "subsample",
        "classes learned from the candidate; target `training`: from training patients", SOURCE,
    ),
    Metric(
        "without_alteration_known", "descriptive", "share of patients", (0, 1), JOINT, "subsample",
        "candidate patients in whom no alteration is known, who are left out; target `real`: held-out patients",
        "this project",
    ),
)  # fmt: skip
SURVIVAL = ("class_survival_distance", "class_hazard_difference")
FOLLOW_UP_QUANTILE = 0.95
FEWEST_COMPARED = 10  # patients of a class on either side for a survival curve
FEWEST_SHOWN = 5  # counts of real patients below this are not drawn
EVENTS_SHOWN = 24
NO_CLASS = "no class"


@dataclass(frozen=True)
class Learned:
    """What training patients tell: their classes, the names of these, or why there are none."""

    classes: Classes | None
    names: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Side:
    """The patients of one side in whom an alteration is known. events: (patients, events); posterior: (patients,
    classes + 1)."""

    cohort: Cohort
    events: Matrix
    posterior: Matrix
    left_out: float

    @property
    def assigned(self) -> NDArray[np.intp]:
        """(patients,) most probable class."""
        return np.asarray(self.posterior.argmax(axis=1))


def with_known(cohort: Cohort) -> tuple[Cohort, Matrix]:
    """The patients in whom an alteration is known, and their alterations (patients, events)."""
    assert cohort.alterations is not None
    events = cohort.alterations.to_numpy(float)
    known = np.flatnonzero(~np.isnan(events).all(axis=1))
    return cohort.take(known), events[known]


def _fit(events: Matrix, settings: Mapping[str, Any], rng: np.random.Generator, prefix: str = "") -> Classes:
    return fit_classes(
        events, rng, chains=int(settings[f"{prefix}chains"]), sweeps=int(settings[f"{prefix}sweeps"]),
        merge=float(settings["merge"]), smallest=int(settings["smallest"]),
    )  # fmt: skip


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Learned:
    """Learn the classes of the training patients. Settings: see DEFAULTS."""
    if comparison.train.alterations is None or not comparison.train.schema.alterations:
        return Learned(None, reason="the cohort has no alterations")
    train, events = with_known(some_rows(comparison.train, int(settings["most"]), rng))
    if len(train) < 2 * int(settings["smallest"]):
        return Learned(None, reason=f"fewer than {2 * settings['smallest']} training patients with known alterations")
    classes = _fit(events, settings, rng)
    return Learned(classes, tuple(named(classes, list(train.schema.alterations))))


def side_of(cohort: Cohort, classes: Classes) -> Side:
    """The patients of a cohort, assigned to classes."""
    kept, events = with_known(cohort)
    return Side(kept, events, classes.posterior(events), 1 - len(kept) / max(1, len(cohort)))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric, and the comparisons by class as further targets. Settings: see DEFAULTS."""
    learned: Learned = comparison.prepared
    modality = {metric.name: "joint" if metric.name in SURVIVAL else "genomic" for metric in METRICS}
    if learned.classes is None:
        return [Value(m.name, np.nan, modality=modality[m.name], reason=learned.reason) for m in METRICS]
    classes, names = learned.classes, learned.names
    real, candidate = side_of(comparison.real, classes), side_of(comparison.candidate, classes)
    n = min(len(real.events), len(candidate.events))
    values = [
        Value("classes_found", float(classes.count), "training", "genomic", int(classes.sizes.sum())),
        Value("without_alteration_known", candidate.left_out, modality="genomic", n=len(comparison.candidate)),
        Value("without_alteration_known", real.left_out, "real", "genomic", len(comparison.real)),
    ]
    if n < 2:
        reason = "fewer than two patients with known alterations"
        told = {value.metric for value in values if value.target == "all"}
        return values + [
            Value(m.name, np.nan, modality=modality[m.name], n=n, reason=reason) for m in METRICS if m.name not in told
        ]
    shares, other = real.posterior.mean(axis=0), candidate.posterior.mean(axis=0)
    values.append(Value("class_frequency_distance", total_variation(shares, other), modality="genomic", n=n))
    for name, difference in zip((*names, NO_CLASS), np.abs(shares - other), strict=True):
        values.append(Value("class_frequency_distance", float(difference), name, "genomic", n))
    values.append(_concordance(classes, real, candidate, n))
    values.append(Value("certainty_distance", _certainty(real, candidate), modality="genomic", n=n))
    values += _survival(classes, names, real, candidate, settings)
    return values + _reclustered(classes, real, candidate, settings, rng)


def profiles(side: Side, base: Vector) -> Matrix:
    """Frequency of each alteration in each class, one patient of frequency `base` added.  (classes, events)"""
    member = side.posterior[:, :-1].T
    return np.asarray((member @ (side.events == 1) + base) / (member @ ~np.isnan(side.events) + 1.0))


def _concordance(classes: Classes, real: Side, candidate: Side, n: int) -> Value:
    base = classes.frequency[-1]
    x, y = (
        (np.log(p / (1 - p)) - np.log(base / (1 - base))).ravel() for p in (profiles(s, base) for s in (real, candidate))
    )
    weight = np.outer(classes.sizes, base * (1 - base)).ravel()
    weight = weight / weight.sum()
    x_mean, y_mean = weight @ x, weight @ y
    spread = weight @ (x - x_mean) ** 2 + weight @ (y - y_mean) ** 2 + (x_mean - y_mean) ** 2
    if classes.count < 2 or spread == 0:
        return Value("profile_concordance", np.nan, modality="genomic", n=n, reason="training patients have one class")
    return Value("profile_concordance", float(2 * (weight @ ((x - x_mean) * (y - y_mean))) / spread), "all", "genomic", n)


def _certainty(real: Side, candidate: Side) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(real.posterior.max(axis=1), candidate.posterior.max(axis=1)))


def class_follow_up(side: Side) -> tuple[NDArray[np.intp], Vector, Vector]:
    """(class, months, event) of the patients whose follow-up for the primary endpoint is known."""
    endpoint = side.cohort.schema.endpoints[0]
    time = side.cohort.clinical[f"{endpoint}_time"].to_numpy(float)
    event = side.cohort.clinical[f"{endpoint}_event"].to_numpy(float)
    known = np.isfinite(time) & np.isfinite(event)
    return side.assigned[known], time[known], event[known]


def _survival(
    classes: Classes, names: tuple[str, ...], real: Side, candidate: Side, settings: Mapping[str, Any]
) -> list[Value]:
    if not real.cohort.schema.endpoints:
        reason = "the cohort has no survival endpoint"
        return [Value(name, np.nan, modality="joint", reason=reason) for name in SURVIVAL]
    if classes.count < 2:
        return [Value(name, np.nan, modality="joint", reason="training patients have one class") for name in SURVIVAL]
    of, time, event = class_follow_up(real)
    candidate_of, candidate_time, candidate_event = class_follow_up(candidate)
    n = min(len(time), len(candidate_time))
    values, distances = [], np.full(classes.count, np.nan)
    for k, name in enumerate(names):
        ours, theirs = of == k, candidate_of == k
        fewest = int(min(ours.sum(), theirs.sum()))
        reason = f"fewer than {FEWEST_COMPARED} patients of the class on one side" if fewest < FEWEST_COMPARED else ""
        if not reason:
            curves = kaplan_meier(time[ours], event[ours]), kaplan_meier(candidate_time[theirs], candidate_event[theirs])
            distances[k] = curve_distance(*curves, float(np.quantile(time, FOLLOW_UP_QUANTILE)))
        values.append(Value("class_survival_distance", distances[k], name, "joint", fewest, reason))
    compared = np.isfinite(distances)
    if compared.any():
        mean = float(np.average(distances[compared], weights=classes.sizes[compared]))
        values.append(Value("class_survival_distance", mean, modality="joint", n=n))
    else:
        reason = f"no class with {FEWEST_COMPARED} patients on both sides"
        values.append(Value("class_survival_distance", np.nan, modality="joint", n=n, reason=reason))
    least = int(settings["events"])
    if min(event.sum(), candidate_event.sum()) < least:
        reason = f"fewer than {least} events on one side"
        return [*values, Value("class_hazard_difference", np.nan, modality="joint", n=n, reason=reason)]
    truth, learned = (
        class_hazards(classes.count, *followed, float(settings["ridge"]))
        for followed in ((of, time, event), (candidate_of, candidate_time, candidate_event))
    )
    weight = truth.standard_error**-2
    difference = float(weight @ np.abs(truth.log_hazard - learned.log_hazard) / weight.sum())
    return [*values, Value("class_hazard_difference", difference, modality="joint", n=n)]


def class_hazards(count: int, of: NDArray[np.intp], time: Vector, event: Vector, ridge: float) -> CoxModel:
    """Log hazard of each class against all patients: one indicator for each class, identified by the ridge."""
    return fit_cox((of[:, None] == np.arange(count)).astype(float), time, event, ridge)


def _reclustered(
    classes: Classes, real: Side, candidate: Side, settings: Mapping[str, Any], rng: np.random.Generator
) -> list[Value]:
    n, names = len(real.events), ("classes_found", "reclustered_profiles", "partition_agreement")
    chosen = rng.permutation(len(candidate.events))[: int(settings["most"])]
    if len(chosen) < 2 * int(settings["smallest"]):
        reason = f"fewer than {2 * settings['smallest']} patients with known alterations"
        return [Value(name, np.nan, modality="genomic", n=n, reason=reason) for name in names]
    own = _fit(candidate.events[np.sort(chosen)], settings, rng, "candidate_")
    found = Value("classes_found", float(own.count), modality="genomic", n=len(chosen))
    if classes.count < 2:
        reason = "training patients have one class"
        return [found, *(Value(name, np.nan, modality="genomic", n=n, reason=reason) for name in names[1:])]
    similar = np.clip(cosine(*(part.frequency[:-1] - part.frequency[-1] for part in (classes, own))), 0, 1)
    weighted = similar * (classes.sizes / classes.sizes.sum())[:, None]
    # A single class has the profile of all patients and so resembles none.
    alike = float(weighted[matched(weighted)].sum()) if own.count > 1 else 0.0
    return [
        found,
        Value("reclustered_profiles", alike, modality="genomic", n=n),
        Value("partition_agreement", adjusted_rand(real.assigned, own.assigned(real.events)), "all", "genomic", n),
    ]
