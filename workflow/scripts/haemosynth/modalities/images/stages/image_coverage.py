"""Image coverage: which part of the variety of real images do synthetic images reach?

Images are points in the leading directions of the features of a network trained on photographs; neighbours are counted
as in the stage coverage, and the spread of both sides is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, interval_rows, new_figure
from haemosynth.modalities.images import image_features
from haemosynth.modalities.images.image_features import EXTRACTOR, Matrix, Points, points
from haemosynth.modalities.images.part import images_of
from haemosynth.stats.neighbours import neighbourhoods
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    **image_features.DEFAULTS,
    "directions": 16,  # leading directions of training images in the space of features
    "neighbours": 5,
}
STAGE = Stage("diversity", needs=("images",), environment="images", memory=4000, runtime=60)
METRICS = (
    Metric(
        "image_precision", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of synthetic images within the ball, to the 5th nearest real image, of at least one real image;"
        f" distances in the 16 leading directions of the features of {EXTRACTOR}",
        "Kynkaanniemi et al., NeurIPS 2019 (improved precision and recall)",
    ),
    Metric(
        "image_recall", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of real images within the ball, to the 5th nearest synthetic one, of at least one synthetic image",
        "Kynkaanniemi et al., NeurIPS 2019 (improved precision and recall)",
    ),
    Metric(
        "image_density", "target", "ratio", (0, np.inf), JOINT, "subsample",
        "mean over synthetic images of the sum of 1/k over the real balls that hold it, k the other real images in a"
        " ball (5 but for ties)",
        "Naeem et al., ICML 2020",
        target=1.0,
    ),
    Metric(
        "image_coverage", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of real images whose ball, to the 5th nearest real image, holds a synthetic image",
        "Naeem et al., ICML 2020",
    ),
    Metric(
        "image_variability", "target", "ratio", (0, np.inf), JOINT, "subsample",
        "geometric mean over the 16 directions of the standard deviation of synthetic images over that of real ones",
        "this project",
        target=1.0,
    ),
)  # fmt: skip
NEIGHBOURS = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Prepared:
    """Points of both sides, and the coordinates (images, directions) of each."""

    real: Points
    candidate: Points
    coordinates: tuple[Matrix, Matrix]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Features of all images on the leading directions of training images. `rng` is not used."""
    train, real, candidate = (
        points(images_of(cohort), settings) for cohort in (comparison.train, comparison.real, comparison.candidate)
    )
    if not len(train.owners):
        return Prepared(real, candidate, (np.empty((0, 0)), np.empty((0, 0))))
    center = train.deep.mean(axis=0)
    axes = np.linalg.svd(train.deep - center, full_matrices=False)[2][: int(settings["directions"])].T
    return Prepared(real, candidate, ((real.deep - center) @ axes, (candidate.deep - center) @ axes))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Neighbours and spread. `rng` is not used."""
    known: Prepared = comparison.prepared
    count = int(settings["neighbours"])
    rows = known.real.rows(comparison.real), known.candidate.rows(comparison.candidate)
    n = min(len(part) for part in rows)
    if n <= count + 1:
        reason = f"not more than {count + 1} images on one side"
        return [Value(metric.name, np.nan, modality="images", n=n, reason=reason) for metric in METRICS]
    real, candidate = (side[part] for side, part in zip(known.coordinates, rows, strict=True))
    found = {f"image_{name}": value for name, value in neighbourhoods(real, candidate, count).items()}
    spread = np.maximum(candidate.std(axis=0), 1e-12) / np.maximum(real.std(axis=0), 1e-12)
    found["image_variability"] = float(np.exp(np.log(spread).mean()))
    return [Value(name, value, modality="images", n=n) for name, value in found.items()]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """The metrics with their intervals, and the spread of both sides along each direction."""
    known: Prepared = comparison.prepared
    fig, axes = new_figure(10.5, 3.9, ncols=2)
    if not (values.status == "ok").any():
        for axis in axes:
            axis.axis("off")
        axes[0].text(0.5, 0.5, "too few images on one side", ha="center", va="center", color=NEUTRAL)
        return fig
    rows = [(metric.name, "all", metric.name.removeprefix("image_"), SYNTHETIC) for metric in METRICS]
    interval_rows(axes[0], values, rows)
    axes[0].axvline(1, color=NEUTRAL, lw=0.8, zorder=0)
    axes[0].set_xlim(left=0)
    axes[0].set_xlabel("share or ratio, 1 is best; 95 % interval")
    axes[0].set_title(f"{label}: real images reached")
    shown = known.real.rows(comparison.real), known.candidate.rows(comparison.candidate)
    for part, coordinates, name, colour in zip(
        shown, known.coordinates, ("real", label), (REAL, SYNTHETIC), strict=True
    ):
        side = coordinates[part]
        axes[1].plot(
            np.arange(1, side.shape[1] + 1), side.std(axis=0), "o-", color=colour, ms=4, lw=1.2,
            label=f"{name} (n = {len(part)} images)",
        )  # fmt: skip
    axes[1].set_ylim(bottom=0)
    axes[1].set_xlabel("direction of training images, the leading one first")
    axes[1].set_ylabel("standard deviation of features")
    axes[1].set_title("spread")
    axes[1].legend()
    return fig
