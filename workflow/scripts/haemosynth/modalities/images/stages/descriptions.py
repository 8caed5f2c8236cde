"""Descriptions: are the numbers that images stand for right, do images keep to them, and do words?

Candidates whose images were drawn from descriptions are read by these; others, and real images, by what is measured on
them. Two round trips are asked: from a description to its image and back by measuring, and from a description to a
report in words and back by reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, draw_reason, new_figure
from haemosynth.modalities.images.description import Field, describe, fields_of
from haemosynth.modalities.images.image_measures import NO_IMAGES, Owned, nothing
from haemosynth.modalities.images.part import Images, find_images
from haemosynth.modalities.images.report import read_table, write_report
from haemosynth.stats.distributions import distances, spread
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

Array = npt.NDArray[np.float64]
DEFAULTS: dict[str, Any] = {
    "reports": 400,  # descriptions of a candidate that are written in words and read again, at most
}
FEWEST = 8  # images on a side in which a field is known
STAGE = Stage("fidelity", needs=("images",), environment="images", memory=4000, runtime=30)
METRICS = (
    Metric(
        "description_distance", "error", "interquartile ranges", (0, np.inf), JOINT, "bootstrap",
        "integral |F_real - F_candidate| dx / interquartile range of training images, of each field; mean over fields",
        "Villani, Optimal Transport, 2009 (Wasserstein distance)",
    ),
    Metric(
        "description_missing", "error", "share", (0, 1), JOINT, "bootstrap",
        "mean over fields of the difference of the shares in which it is missing",
        "this project",
    ),
    Metric(
        "description_association", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "mean over pairs of fields of |r_candidate - r_real|, Spearman correlations over images that have both",
        "this project",
    ),
    Metric(
        "drawn_as_described", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
        "Spearman correlation of the description that an image was drawn from with what is measured on it; mean over"
        " fields",
        "this project",
    ),
    Metric(
        "drawn_as_another", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
        "the same with the descriptions of other images: what chance gives",
        "this project",
    ),
    Metric(
        "report_read", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
        "Spearman correlation of the candidate's descriptions with what is read in their reports; mean over fields",
        "this project",
    ),
    Metric(
        "report_of_another", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
        "the same with the reports of other images",
        "this project",
    ),
    Metric(
        "report_coverage", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of known values of a field that are read in the report; mean over fields",
        "this project",
    ),
)  # fmt: skip
TRIPS = ("drawn_as_described", "drawn_as_another", "report_read", "report_of_another", "report_coverage")


@dataclass(frozen=True)
class Measured:
    """Descriptions of both sides; of the candidate also what is measured on its images, where these were drawn from
    descriptions, and what is read in reports.

    scale: interquartile range of each field in training images. reports: rows of the candidate with a report.
    """

    fields: tuple[Field, ...]
    real: Owned
    candidate: Owned
    again: Array | None
    read: Array
    reports: int
    scale: Array
    shuffled: npt.NDArray[np.intp]


def _find_descriptions(images: Images) -> pd.DataFrame:
    return describe(images) if images.descriptions is None else images.descriptions


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Measured | None:
    """Measure both sides, write reports and read them; None where a side has no image."""
    train, real, candidate = (find_images(side) for side in (comparison.train, comparison.real, comparison.candidate))
    if train is None or real is None or candidate is None or any(nothing(side) for side in (train, real, candidate)):
        return None
    fields = fields_of(real)
    names = [field.name for field in fields]
    learned = describe(train)[names].to_numpy(float)
    scale = np.array([max(spread(own), 1e-9) if len(own := c[~np.isnan(c)]) else np.nan for c in learned.T])
    # A field with a middle half of one value, such as a count, is read by its standard deviation.
    wide = np.array([np.nanstd(c) if (~np.isnan(c)).any() else np.nan for c in learned.T])
    scale = np.where(scale < 1e-6, np.maximum(wide, 1e-9), scale)
    table = _find_descriptions(candidate)[names]
    again = None if candidate.descriptions is None else describe(candidate)[names].to_numpy(float)
    reports = min(int(settings["reports"]), len(table))
    texts = [write_report(row, fields, rng) for _, row in table.iloc[:reports].iterrows()]
    return Measured(
        fields,
        Owned(real.patient_id, describe(real)[names].to_numpy(float)),
        Owned(candidate.patient_id, table.to_numpy(float)),
        again,
        read_table(texts, fields).to_numpy(float),
        reports,
        scale,
        np.roll(rng.permutation(len(table)), 1),
    )


def _correlation(first: Array, second: Array) -> float:
    """Spearman correlation where both are known; NaN where they are known in fewer than FEWEST, or one is constant."""
    known = ~np.isnan(first) & ~np.isnan(second)
    if known.sum() < FEWEST:
        return np.nan
    a, b = pd.Series(first[known]).rank(), pd.Series(second[known]).rank()
    if a.nunique() < 2 or b.nunique() < 2:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def _associations(table: Array) -> Array:
    """(pairs,) Spearman correlations of fields over the images in which both are known."""
    count = table.shape[1]
    found = pd.DataFrame(table).corr(method="spearman", min_periods=FEWEST).to_numpy()
    return np.asarray(found[np.triu_indices(count, 1)])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Fields one by one and in the mean. `rng` is not used."""
    known: Measured | None = comparison.prepared
    if known is None:
        return [Value(metric.name, np.nan, modality="images", reason=NO_IMAGES) for metric in METRICS]
    real, candidate = known.real.of(comparison.real), known.candidate.of(comparison.candidate)
    rows = known.candidate.rows(comparison.candidate)
    n = min(len(real), len(candidate))
    if n < FEWEST:
        reason = f"fewer than {FEWEST} images on one side"
        return [Value(metric.name, np.nan, modality="images", n=n, reason=reason) for metric in METRICS]
    values: list[Value] = []

    def add(metric: str, found: Mapping[str, float], reason: str) -> None:
        kept = {name: value for name, value in found.items() if not np.isnan(value)}
        if not kept:
            values.append(Value(metric, np.nan, modality="images", n=n, reason=reason))
            return
        values.append(Value(metric, float(np.mean(list(kept.values()))), modality="images", n=n))
        values.extend(Value(metric, float(value), name, "images", n) for name, value in kept.items())

    names = [field.name for field in known.fields]
    gaps = {}
    for j, name in enumerate(names):
        a, b = (side[:, j][~np.isnan(side[:, j])] for side in (real, candidate))
        enough = min(len(a), len(b)) >= FEWEST and not np.isnan(known.scale[j])
        gaps[name] = distances(a, b)[0] / known.scale[j] if enough else np.nan
    add("description_distance", gaps, f"no field is known in {FEWEST} images of both sides")
    missing = np.abs(np.isnan(real).mean(axis=0) - np.isnan(candidate).mean(axis=0))
    add("description_missing", dict(zip(names, missing.tolist(), strict=True)), "no field")
    gap = np.abs(_associations(candidate) - _associations(real))
    told = float(np.nanmean(gap)) if (~np.isnan(gap)).any() else np.nan
    reason = "" if not np.isnan(told) else "no two fields are known together often enough on both sides"
    values.append(Value("description_association", told, modality="images", n=n, reason=reason))
    trips = dict.fromkeys(TRIPS[:2], known.again)
    for metric, measured in trips.items():
        if measured is None:
            values.append(
                Value(metric, np.nan, modality="images", n=n, reason="images were not drawn from descriptions")
            )
            continue
        other = known.candidate.values[known.shuffled] if metric == "drawn_as_another" else known.candidate.values
        found = {name: _correlation(other[rows, j], measured[rows, j]) for j, name in enumerate(names)}
        add(metric, found, "no field is known often enough")
    own = rows[rows < known.reports]
    others = np.roll(own, 1)
    for metric, source in (("report_read", own), ("report_of_another", others)):
        found = {
            name: _correlation(known.candidate.values[source, j], known.read[own, j]) for j, name in enumerate(names)
        }
        add(metric, found, "too few reports")
    there = ~np.isnan(known.candidate.values[own])
    covered = {
        name: float((~np.isnan(known.read[own, j]))[there[:, j]].mean()) if there[:, j].any() else np.nan
        for j, name in enumerate(names)
    }
    add("report_coverage", covered, "too few reports")
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Middle half of each field on both sides, and how well images and reports keep to their descriptions."""
    known: Measured | None = comparison.prepared
    if known is None:
        return draw_reason(NO_IMAGES)
    fig, axes = new_figure(10.5, 1.6 + 0.3 * len(known.fields), ncols=2, sharey=True)
    sides = [known.real.of(comparison.real), known.candidate.of(comparison.candidate)]
    place = np.arange(len(known.fields), dtype=float)
    shown = [(REAL, -0.17, "real"), (SYNTHETIC, 0.17, label)]
    middle = np.array([np.nanmedian(c) if (~np.isnan(c)).any() else np.nan for c in sides[0].T])
    for side, (colour, shift, name) in zip(sides, shown, strict=True):
        for j in range(len(known.fields)):
            own = side[:, j][~np.isnan(side[:, j])]
            if len(own) < FEWEST or np.isnan(middle[j]):
                continue
            low, half, high = (np.quantile(own, [0.25, 0.5, 0.75]) - middle[j]) / known.scale[j]
            axes[0].hlines(place[j] + shift, max(low, -4), min(high, 4), color=colour, lw=2)
            axes[0].plot(np.clip(half, -4, 4), place[j] + shift, "o", color=colour, ms=4)
        axes[0].plot([], [], "o-", color=colour, ms=4, label=f"{name} (n = {len(side)} images)")
    units = [f"{f.name} ({f.unit})" if f.unit else f.name for f in known.fields]
    axes[0].set_yticks(place, units, fontsize=8)
    axes[0].set_ylim(len(place) - 0.4, -0.6)
    axes[0].axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    axes[0].set_xlim(-4.3, 4.3)
    axes[0].set_xlabel("interquartile ranges from real median\n(at most 4 are shown)")
    table = values[values.status == "ok"].set_index(["metric", "target"])["value"]
    marks = (
        ("drawn_as_described", "s", SYNTHETIC, "image as described"), ("drawn_as_another", "x", NEUTRAL, "as another"),
        ("report_read", "o", BLUE, "report as described"),
    )  # fmt: skip
    for metric, marker, colour, name in marks:
        at = [(table.get((metric, f.name), np.nan), y) for f, y in zip(known.fields, place, strict=True)]
        axes[1].plot([x for x, _ in at], [y for _, y in at], marker, color=colour, ms=5, ls="none", label=name)
    axes[1].axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    axes[1].set_xlim(-0.5, 1.08)
    axes[1].set_xlabel("rank correlation with the description")
    for axis in axes:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8)
    return fig
