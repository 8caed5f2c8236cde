"""Image quality: do synthetic images have the distribution of real ones, in two spaces of features?

The kernel distance of Binkowski et al. in the features of a network trained on photographs, and the same distance in
radiomic measurements. The network's features are not those of the Inception network: values are comparable between
candidates of this project and with nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.modalities.images import image_features
from haemosynth.modalities.images.image_features import (
    EXTRACTOR,
    Matrix,
    Points,
    cubic_kernel,
    points,
    radiomic,
    squared_discrepancy,
    standardise,
)
from haemosynth.modalities.images.part import has_images, images_of
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    **image_features.DEFAULTS,
    "halvings": 200,  # of the holdout, for the distance that real images have from real ones by chance
}
KERNEL = "Binkowski et al., ICLR 2018 (kernel inception distance); Gretton et al., J Mach Learn Res 2012;13:723"
STAGE = Stage("fidelity", needs=("images",), environment="images", memory=6000, runtime=60)
METRICS = (
    Metric(
        "kernel_distance", "error", "", (-np.inf, np.inf), JOINT, "subsample",
        "unbiased squared maximum mean discrepancy, kernel (x . y / d + 1)^3, of the d = 1280 features of"
        f" {EXTRACTOR} (not Inception: not comparable with published values); pairs of images of one patient are left"
        " out. Below 0 by chance where the distributions are equal",
        KERNEL,
    ),
    Metric(
        "radiomic_distance", "error", "", (-np.inf, np.inf), JOINT, "subsample",
        "the same discrepancy of radiomic measurements (intensity, sharpness, texture, masked structures), each less"
        " the training mean, over the training standard deviation, at most 5 away",
        f"{KERNEL}; Haralick et al., IEEE Trans Syst Man Cybern 1973;3:610",
    ),
    Metric(
        "distance_by_chance", "descriptive", "", (-np.inf, np.inf), JOINT, "subsample",
        "95 % quantile of the distance between two random halves of the held-out patients; target: of kernel_distance"
        " or radiomic_distance",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
)  # fmt: skip
SHOWN = 14  # radiomic measurements in the figure
IMAGES_OF_DENSITY = 20  # images of a side that a density is drawn of


@dataclass(frozen=True)
class Prepared:
    """Points of both sides, and the kernels of all their images, real ones first."""

    real: Points
    candidate: Points
    kernels: Mapping[str, Matrix]
    chance: Mapping[str, float]

    @property
    def owners(self) -> Any:
        """(all images,) real patients and the candidate's never share a name here."""
        return np.array([f"r {o}" for o in self.real.owners] + [f"c {o}" for o in self.candidate.owners], dtype=object)


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Features of all images, their kernels, and the distances between halves of the holdout."""
    real, candidate = points(images_of(comparison.real), settings), points(images_of(comparison.candidate), settings)
    if not len(real.owners) or not len(candidate.owners) or not has_images(comparison.train):
        return Prepared(real, candidate, {}, {})
    measured = radiomic(images_of(comparison.train)).to_numpy()
    spaces = {
        "kernel_distance": np.concatenate([real.deep, candidate.deep]),
        "radiomic_distance": standardise(np.concatenate([real.radiomic, candidate.radiomic]), measured),
    }
    kernels = {name: cubic_kernel(space, space) for name, space in spaces.items()}
    return Prepared(real, candidate, kernels, _by_chance(real, kernels, int(settings["halvings"]), rng))


def _by_chance(
    real: Points, kernels: Mapping[str, Matrix], halvings: int, rng: np.random.Generator
) -> dict[str, float]:
    patients = np.unique(real.owners)
    if len(patients) < 4:
        return {}
    found: dict[str, list[float]] = {name: [] for name in kernels}
    for _ in range(halvings):
        first = np.isin(real.owners, rng.permutation(patients)[: len(patients) // 2])
        for name, kernel in kernels.items():
            halves = np.flatnonzero(first), np.flatnonzero(~first)
            found[name].append(squared_discrepancy(kernel, *halves, real.owners))
    return {name: float(np.quantile(values, 0.95)) for name, values in found.items()}


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Both distances, and what chance alone gives. `rng` is not used."""
    known: Prepared = comparison.prepared
    first, second = known.real.rows(comparison.real), known.candidate.rows(comparison.candidate)
    n = min(len(first), len(second))
    owners = known.owners
    values = []
    for metric in ("kernel_distance", "radiomic_distance"):
        if min(len(set(owners[first])), len(set(owners[len(known.real.owners) + second]))) < 2:
            reason = "fewer than two patients with images on one side"
            values.append(Value(metric, np.nan, modality="images", n=n, reason=reason))
            continue
        distance = squared_discrepancy(known.kernels[metric], first, len(known.real.owners) + second, owners)
        values.append(Value(metric, distance, modality="images", n=n))
    values += [Value("distance_by_chance", value, name, "images", n) for name, value in known.chance.items()]
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Both sides in the two leading directions of the network's features, and their radiomic measurements."""
    known: Prepared = comparison.prepared
    fig, axes = new_figure(11.5, 4.8, ncols=2, gridspec_kw={"width_ratios": [1, 1.15]})
    sides = (("real", known.real, comparison.real, REAL), (label, known.candidate, comparison.candidate, SYNTHETIC))
    if not known.kernels:
        for axis in axes:
            axis.axis("off")
        axes[0].text(0.5, 0.5, "no images on one side", ha="center", va="center", color=NEUTRAL)
        return fig
    center = known.real.deep.mean(axis=0)
    directions = np.linalg.svd(known.real.deep - center, full_matrices=False)[2][:2]
    shown = [(name, (side.deep[side.rows(cohort)] - center) @ directions.T, c) for name, side, cohort, c in sides]
    _densities(axes[0], shown)
    row = values[(values.metric == "kernel_distance") & (values.status == "ok")]
    text = (
        ""
        if row.empty
        else f"\nkernel distance {row.value.iloc[0]:.3g} ({row.low.iloc[0]:.3g} to {row.high.iloc[0]:.3g})"
    )
    axes[0].set_title("features of EfficientNet-Lite0" + text)
    train = radiomic(images_of(comparison.train))
    drawn = [standardise(side.radiomic[side.rows(cohort)], train.to_numpy()) for _, side, cohort, _ in sides]
    _measurements(axes[1], list(train.columns), drawn, label)
    return fig


def _densities(axis: Any, shown: list[tuple[str, Matrix, str]]) -> None:
    """The areas that hold 50 and 90 % of each side, by a kernel density; no single images."""
    from matplotlib.lines import Line2D
    from scipy.stats import gaussian_kde

    both = np.concatenate([points for _, points, _ in shown])
    low, high = np.quantile(both, [0.01, 0.99], axis=0)
    low, high = low - 0.3 * (high - low), high + 0.3 * (high - low)
    grid = np.meshgrid(*(np.linspace(low[i], high[i], 90) for i in range(2)))
    for _, found, colour in shown:
        if len(found) < IMAGES_OF_DENSITY or np.linalg.matrix_rank(np.cov(found.T)) < 2:
            continue
        density = gaussian_kde(found.T)
        height = density(np.stack([part.ravel() for part in grid])).reshape(grid[0].shape)
        levels = np.quantile(density(found.T), [0.1, 0.5])
        if levels[0] < levels[1]:
            axis.contour(*grid, height, levels=levels, colors=colour, linewidths=(0.9, 1.8))
    axis.set_xlabel("first direction of real images")
    axis.set_ylabel("second direction")
    handles = [Line2D([], [], color=c, lw=1.8, label=f"{name} (n = {len(found)} images)") for name, found, c in shown]
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.13), ncols=2, fontsize=8.5)


def _measurements(axis: Any, names: list[str], drawn: list[Matrix], label: str) -> None:
    """Mean and deviation of the measurements that differ most."""
    (real, candidate) = drawn
    if not len(real) or not len(candidate):
        axis.axis("off")
        return
    order = np.argsort(-np.abs(candidate.mean(axis=0) - real.mean(axis=0)), kind="stable")[:SHOWN]
    y = np.arange(len(order))
    for side, colour, shift in ((real, REAL, -0.17), (candidate, SYNTHETIC, 0.17)):
        mean, spread = side[:, order].mean(axis=0), side[:, order].std(axis=0)
        axis.hlines(y + shift, mean - spread, mean + spread, color=colour, lw=1.4)
        axis.plot(mean, y + shift, "o", color=colour, ms=4)
    axis.axvline(0, color=NEUTRAL, lw=0.7, zorder=0)
    axis.set_yticks(y, [names[i] for i in order], fontsize=8.5)
    axis.set_ylim(len(order) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("mean and standard deviation, in training standard deviations")
    axis.set_title(f"radiomic measurements of {label}\nthat differ most")
