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

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import some_rows
from haemosynth.modalities.genomic.stages.mutation_classes import (
    Classes,
    Matrix,
    Vector,
    cosine,
    fit_classes,
    name_classes,
)
from haemosynth.stats.cox import curve_distance, kaplan_meier
from haemosynth.stats.distributions import total_variation
from haemosynth.stats.partitions import adjusted_rand, match_clusters
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "chains": 8,  # Gibbs chains for the classes of training patients
    "sweeps": 160,  # of each
    "candidate_chains": 4,  # for those of the candidate, which every resample learns anew
    "candidate_sweeps": 80,
    "merge": 0.95,  # classes whose profiles have this cosine are one
    "smallest": 10,  # patients of a class
    "most": 2000,  # patients that classes are learned from: the consensus costs patients squared
}
SOURCE = "Papaemmanuil et al., N Engl J Med 2016;374:2209 (Dirichlet-process classes)"
STAGE = Stage("utility", needs=("genomic",), memory=4000, runtime=30)
METRICS = (
    Metric(
        "class_frequency_distance", "error", "share of patients", (0, 1), UNIVARIATE, "subsample",
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
        "classes learned from the candidate; targets `training`: from training patients, `dissolved`: of these too"
        " small to be kept", SOURCE,
    ),
    Metric(
        "without_alteration_known", "descriptive", "share of patients", (0, 1), JOINT, "subsample",
        "candidate patients in whom no alteration is known, who are left out; target `real`: held-out patients",
        "this project",
    ),
)  # fmt: skip
SURVIVAL = "class_survival_distance"
FOLLOW_UP_QUANTILE = 0.95
FEWEST_COMPARED = 10  # patients of a class on either side for a survival curve
EVENTS_SHOWN = 24
LANDMARKS = (6, 12, 24, 36, 60)  # months: the last that half of the real patients were followed for is drawn
NO_CLASS = "no class"


@dataclass(frozen=True)
class Learned:
    """What training patients give: their classes, the names of these, or why there are none."""

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


def select_known(cohort: Cohort) -> tuple[Cohort, Matrix]:
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
    if any(not side.schema.alterations for side in (comparison.train, comparison.real, comparison.candidate)):
        return Learned(None, reason="no alterations in real or in candidate patients")
    train, events = select_known(some_rows(comparison.train, int(settings["most"]), rng))
    if len(train) < 2 * int(settings["smallest"]):
        return Learned(None, reason=f"fewer than {2 * settings['smallest']} training patients with known alterations")
    classes = _fit(events, settings, rng)
    return Learned(classes, tuple(name_classes(classes, list(train.schema.alterations))))


def assign_side(cohort: Cohort, classes: Classes) -> Side:
    """The patients of a cohort, assigned to classes."""
    kept, events = select_known(cohort)
    return Side(kept, events, classes.posterior(events), 1 - len(kept) / max(1, len(cohort)))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric, and the comparisons by class as further targets. Settings: see DEFAULTS."""
    learned: Learned = comparison.prepared
    modality = {metric.name: "joint" if metric.name == SURVIVAL else "genomic" for metric in METRICS}
    if learned.classes is None:
        return [Value(m.name, np.nan, modality=modality[m.name], reason=learned.reason) for m in METRICS]
    classes, names = learned.classes, learned.names
    real, candidate = assign_side(comparison.real, classes), assign_side(comparison.candidate, classes)
    n = min(len(real.events), len(candidate.events))
    values = [
        Value("classes_found", float(classes.count), "training", "genomic", int(classes.sizes.sum())),
        Value("classes_found", float(classes.tiny), "dissolved", "genomic", int(classes.sizes.sum())),
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
    values += _survival(classes, names, real, candidate)
    return values + _recluster(classes, real, candidate, settings, rng)


def compute_profiles(side: Side, base: Vector) -> Matrix:
    """Frequency of each alteration in each class, one patient of frequency `base` added.  (classes, events)"""
    member = side.posterior[:, :-1].T
    return np.asarray((member @ (side.events == 1) + base) / (member @ ~np.isnan(side.events) + 1.0))


def _concordance(classes: Classes, real: Side, candidate: Side, n: int) -> Value:
    base = classes.frequency[-1]
    x, y = (
        (np.log(p / (1 - p)) - np.log(base / (1 - base))).ravel()
        for p in (compute_profiles(s, base) for s in (real, candidate))
    )
    weight = np.outer(classes.sizes, base * (1 - base)).ravel()
    weight = weight / weight.sum()
    x_mean, y_mean = weight @ x, weight @ y
    spread = weight @ (x - x_mean) ** 2 + weight @ (y - y_mean) ** 2 + (x_mean - y_mean) ** 2
    if classes.count < 2 or spread == 0:
        return Value("profile_concordance", np.nan, modality="genomic", n=n, reason="training patients have one class")
    return Value(
        "profile_concordance", float(2 * (weight @ ((x - x_mean) * (y - y_mean))) / spread), "all", "genomic", n
    )


def _certainty(real: Side, candidate: Side) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(real.posterior.max(axis=1), candidate.posterior.max(axis=1)))


def read_class_follow_up(side: Side) -> tuple[NDArray[np.intp], Vector, Vector]:
    """(class, months, event) of the patients whose follow-up for the primary endpoint is known."""
    endpoint = side.cohort.schema.endpoints[0]
    time = side.cohort.clinical[f"{endpoint}_time"].to_numpy(float)
    event = side.cohort.clinical[f"{endpoint}_event"].to_numpy(float)
    known = np.isfinite(time) & np.isfinite(event)
    return side.assigned[known], time[known], event[known]


def _survival(classes: Classes, names: tuple[str, ...], real: Side, candidate: Side) -> list[Value]:
    """Distance of the curves by class, and their mean."""
    if not real.cohort.schema.endpoints:
        return [Value(SURVIVAL, np.nan, modality="joint", reason="the cohort has no survival endpoint")]
    of, time, event = read_class_follow_up(real)
    candidate_of, candidate_time, candidate_event = read_class_follow_up(candidate)
    end = float(np.quantile(time, FOLLOW_UP_QUANTILE)) if len(time) else 0.0
    values, distances = [], np.full(classes.count, np.nan)
    for k, name in enumerate(names):
        ours, theirs = of == k, candidate_of == k
        fewest = int(min(ours.sum(), theirs.sum()))
        reason = f"fewer than {FEWEST_COMPARED} patients of the class on one side" if fewest < FEWEST_COMPARED else ""
        if not reason:
            first = kaplan_meier(time[ours], event[ours])
            distances[k] = curve_distance(first, kaplan_meier(candidate_time[theirs], candidate_event[theirs]), end)
        values.append(Value(SURVIVAL, distances[k], name, "joint", fewest, reason))
    n, compared = min(len(time), len(candidate_time)), np.isfinite(distances)
    if not compared.any():
        reason = f"no class with {FEWEST_COMPARED} patients on both sides"
        return [*values, Value(SURVIVAL, np.nan, modality="joint", n=n, reason=reason)]
    mean = float(np.average(distances[compared], weights=classes.sizes[compared]))
    return [*values, Value(SURVIVAL, mean, modality="joint", n=n)]


def _recluster(
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
    alike = float(weighted[match_clusters(weighted)].sum()) if own.count > 1 else 0.0
    return [
        found,
        Value("reclustered_profiles", alike, modality="genomic", n=n),
        Value("partition_agreement", adjusted_rand(real.assigned, own.assigned(real.events)), "all", "genomic", n),
    ]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Shares of the classes, what real and candidate patients carry in each, and the survival of each class."""
    learned: Learned = comparison.prepared
    if learned.classes is None or not (len(comparison.real) and len(comparison.candidate)):
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, learned.reason or "no patients", ha="center", va="center", color=NEUTRAL)
        return drawn
    classes = learned.classes
    real, candidate = assign_side(comparison.real, classes), assign_side(comparison.candidate, classes)
    rows = classes.count
    drawn, axes = new_figure(
        15.5, 1.9 + 0.34 * max(rows, 6), ncols=4, gridspec_kw={"width_ratios": [0.85, 1.35, 1.35, 0.85]}, sharey=True
    )
    scores = values[(values["target"] == "all") & (values["status"] == "ok")].set_index("metric")["value"]
    counts = np.bincount(real.assigned, minlength=rows + 1)
    _draw_shares(axes[0], counts, np.bincount(candidate.assigned, minlength=rows + 1), label)
    wrapped = ["\n".join(textwrap.wrap(name, 26)[:3]) for name in learned.names]
    axes[0].set_yticks(range(rows + 1), [*wrapped, NO_CLASS])
    axes[0].set_ylim(rows + 0.5, -0.5)
    axes[0].tick_params(axis="y", labelsize=8, length=0)
    events = _events_shown(classes)
    image = None
    for axis, side, title in ((axes[1], real, "real, held out"), (axes[2], candidate, label)):
        image = _draw_profiles(axis, side, events, rows)
        axis.set_title(f"{title} (n = {len(side.events):,})", loc="left")
    if image is not None:
        bar = drawn.colorbar(image, ax=axes[2], shrink=0.8, pad=0.02)
        bar.set_label("carriers in the class, share")
    _draw_survival(axes[3], real, candidate, rows)
    axes[3].tick_params(axis="y", length=0)
    for axis, metric, text in (
        (axes[0], "class_frequency_distance", "distance of shares"),
        (axes[3], "class_survival_distance", "distance of curves"),
    ):
        if metric in scores:
            axis.set_title(f"{text} {scores[metric]:.2f}", loc="left")
    return drawn


def _draw_shares(axis: Any, counts: NDArray[np.intp], other: NDArray[np.intp], label: str) -> None:
    rows = np.arange(len(counts))
    drawn = np.where(counts >= MIN_CELL_COUNT, counts, 0) / counts.sum()
    axis.barh(rows - 0.19, 100 * drawn, height=0.36, color=REAL, label="real, held out")
    axis.barh(rows + 0.19, 100 * other / other.sum(), height=0.36, color=SYNTHETIC, label=label)
    for row, count in zip(rows, counts, strict=True):
        if count < MIN_CELL_COUNT:
            axis.text(0.3, row - 0.19, f"<{MIN_CELL_COUNT} patients", va="center", fontsize=7, color=REAL)
    axis.set_xlabel("% of patients in the class")
    axis.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")


def _events_shown(classes: Classes) -> list[int]:
    """The alterations whose frequency differs most between classes, in the order of the class that leads in them."""
    profile, base = classes.frequency[:-1], classes.frequency[-1]
    spread = (classes.sizes @ (profile - base) ** 2) / np.sqrt(base)
    chosen = np.sort(np.argsort(-spread, kind="stable")[:EVENTS_SHOWN])
    return [int(i) for i in sorted(chosen, key=lambda i: (int(profile[:, i].argmax()), -float(profile[:, i].max())))]


def _draw_profiles(axis: Any, side: Side, events: list[int], rows: int) -> Any:
    """Shares of carriers in each class, blank where there are fewer than five."""
    member = (side.assigned[:, None] == np.arange(rows)).astype(float)
    part = side.events[:, events]
    carriers, known = member.T @ (part == 1), member.T @ ~np.isnan(part)
    share = np.divide(carriers, known, out=np.full(carriers.shape, np.nan), where=known > 0)
    share[carriers < MIN_CELL_COUNT] = np.nan
    axis.set_facecolor("#f0f0f0")
    image = axis.imshow(np.ma.masked_invalid(share), cmap="viridis_r", vmin=0, vmax=1, aspect="auto")
    names = list(side.cohort.schema.alterations)
    axis.set_xticks(range(len(events)), [names[i] for i in events], rotation=90, fontsize=7)
    axis.set_xticks(np.arange(len(events) + 1) - 0.5, minor=True)
    axis.grid(which="minor", axis="x", color="white", lw=0.8)
    axis.hlines(np.arange(rows + 1) - 0.5, -0.5, len(events) - 0.5, color="white", lw=0.8)
    axis.tick_params(which="both", length=0)
    axis.spines[["left", "bottom"]].set_visible(False)
    return image


def _draw_survival(axis: Any, real: Side, candidate: Side, rows: int) -> None:
    """Kaplan-Meier estimates of each class at one time, where five patients of the class are still at risk."""
    endpoints = real.cohort.schema.endpoints
    followed = [read_class_follow_up(side) for side in (real, candidate)] if endpoints else []
    if not followed or not min(len(time) for _, time, _ in followed):
        axis.text(0.5, 0.5, "no survival endpoint", ha="center", transform=axis.transAxes, color=NEUTRAL)
        axis.set_xticks([])
        return
    median = float(np.median(followed[0][1]))
    landmark = max((months for months in LANDMARKS if months <= median), default=LANDMARKS[0])
    for (of, time, event), offset, colour in zip(followed, (-0.15, 0.15), (REAL, SYNTHETIC), strict=True):
        for k in range(rows):
            own = of == k
            if (own & (time > landmark)).sum() < MIN_CELL_COUNT:
                continue
            curve = kaplan_meier(time[own], event[own])
            last = int(np.searchsorted(curve.times, landmark, side="right")) - 1
            value = 100 * float(curve.at(np.array([landmark]))[0])
            low, high = (100 * float(side[last]) if last >= 0 else value for side in curve.band())
            axis.plot([low, high], [k + offset] * 2, "-", lw=1.3, color=colour)
            axis.plot([value], [k + offset], "o", ms=4, color=colour)
    axis.set(xlim=(0, 100), xlabel=f"{endpoints[0]} at {landmark} months, %\n(95 % interval)")
