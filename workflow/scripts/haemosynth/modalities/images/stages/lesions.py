"""Lesions: do their number, size, uptake, shape and place agree with real images?

A lesion is a structure of the mask in one image (8-connected): for PET/CT a focus in an axial slice, for pictures a
cell or cells that touch. Volumes are not known from slices: areas stand in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.modalities.images import image_measures
from haemosynth.modalities.images.image_measures import NO_IMAGES, Owned, measure_shares, nothing
from haemosynth.modalities.images.part import Images, images_of
from haemosynth.stats.distributions import distances, rank_correlations, spread, total_variation
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

Array = npt.NDArray[np.float64]
DEFAULTS: dict[str, Any] = {
    "sites": 16,  # cells of a side of the map of sites
}
FEWEST = 5  # lesions of a side
STAGE = Stage("fidelity", needs=("images",), environment="images", memory=4000, runtime=30)
METRICS = (
    Metric(
        "lesion_feature_distance", "error", "interquartile ranges", (0, np.inf), JOINT, "bootstrap",
        "integral |F_real - F_candidate| dx / interquartile range of training lesions, of area, roundness, mean and"
        " maximum of each channel (SUVmean, SUVmax) and area times mean of the last (lesion glycolysis); mean over"
        " features",
        "Boellaard et al., Eur J Nucl Med Mol Imaging 2015;42:328; Zwanenburg et al., Radiology 2020;295:328",
    ),
    Metric(
        "lesion_count_distance", "error", "probability", (0, 1), JOINT, "bootstrap",
        "sup |F_real - F_candidate| of the number of lesions of an image",
        "Smirnov, Ann Math Stat 1948;19:279",
    ),
    Metric(
        "lesion_burden_distance", "error", "probability", (0, 1), JOINT, "bootstrap",
        "sup |F_real - F_candidate| of total lesion glycolysis (sum over lesions of area times mean of the last"
        " channel) per image, of patients with images",
        "Larson et al., Clin Positron Imaging 1999;2:159 (total lesion glycolysis)",
    ),
    Metric(
        "lesion_association", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "mean over pairs of these features of |r_candidate - r_real|, Spearman correlations over lesions",
        "this project",
    ),
    Metric(
        "lesion_site_distance", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "sum |p - q| / 2, p and q the shares of masked pixels in the cells of a map of 16 by 16, smoothed by a Gaussian"
        " of one cell",
        "Gibbs and Su, Int Stat Rev 2002;70:419",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One side: features of lesions, number of lesions of each image, map of each image, burden of each patient."""

    features: Owned
    counts: Owned
    maps: Owned
    burden: Owned


@dataclass(frozen=True)
class Measured:
    """Both sides, names of the features, and the interquartile ranges of training lesions."""

    real: Side
    candidate: Side
    names: tuple[str, ...]
    scale: Array


def _features(images: Images) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    table = image_measures.lesions(images)
    rows = table.pop("image").to_numpy(dtype=np.intp)
    last = images.channels[-1]
    table[f"area x {last} mean"] = table["area"] * table[f"{last} mean"]
    return table.drop(columns=["row", "column"]), rows


def _side(images: Images, cells: int) -> Side:
    assert images.mask is not None
    table, rows = _features(images)
    counts = np.bincount(rows, minlength=len(images)).astype(float)
    total = np.bincount(rows, table.iloc[:, -1].to_numpy(float), minlength=len(images))
    burden = pd.Series(total).groupby(images.patient_id, sort=True).mean()
    height, width = images.mask.shape[1:]
    down, across = (np.arange(size) * cells // size for size in (height, width))
    sums = np.zeros((len(images), cells, cells))
    n, y, x = np.nonzero(images.mask)
    np.add.at(sums, (n, down[y], across[x]), 1.0)
    return Side(
        Owned(images.patient_id[rows], table.to_numpy(float)),
        Owned(images.patient_id, counts),
        Owned(images.patient_id, sums),
        Owned(np.asarray(burden.index, dtype=str), burden.to_numpy(float)),
    )


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Measured | None:
    """Lesions of every image; None where a side has no masks. `rng` is not used."""
    sides = [images_of(cohort) for cohort in (comparison.train, comparison.real, comparison.candidate)]
    if any(side is None or nothing(side) or side.mask is None for side in sides):
        return None
    train, real, candidate = (side for side in sides if side is not None)
    table, _ = _features(train)
    if len(table) < FEWEST:
        return None
    scale = np.array([max(spread(column), 1e-9) for column in table.to_numpy(float).T])
    cells = int(settings["sites"])
    return Measured(_side(real, cells), _side(candidate, cells), tuple(map(str, table.columns)), scale)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """The metrics above, features one by one as well. `rng` is not used."""
    known: Measured | None = comparison.prepared
    if known is None:
        reason = "no images with masks on one side"
        return [Value(metric.name, np.nan, modality="images", reason=reason) for metric in METRICS]
    sides = ((known.real, comparison.real), (known.candidate, comparison.candidate))
    features, counts, maps, burden = (
        [getattr(side, part).of(cohort) for side, cohort in sides] for part in ("features", "counts", "maps", "burden")
    )
    n = min(len(part) for part in counts)
    if n == 0:
        return [Value(metric.name, np.nan, modality="images", reason=NO_IMAGES) for metric in METRICS]
    values = [
        Value("lesion_count_distance", distances(*counts)[1], modality="images", n=n),
        Value("lesion_burden_distance", distances(*burden)[1], modality="images", n=min(len(b) for b in burden)),
    ]
    fewest = min(len(part) for part in features)
    if fewest < FEWEST:
        reason = f"fewer than {FEWEST} lesions on one side"
        names = ("lesion_feature_distance", "lesion_association", "lesion_site_distance")
        return values + [Value(name, np.nan, modality="images", n=fewest, reason=reason) for name in names]
    found = np.array([distances(a, b)[0] for a, b in zip(*(part.T for part in features), strict=True)]) / known.scale
    values.append(Value("lesion_feature_distance", float(found.mean()), modality="images", n=fewest))
    values += [
        Value("lesion_feature_distance", float(value), name, "images", fewest)
        for name, value in zip(known.names, found, strict=True)
    ]
    upper = np.triu_indices(len(known.names), 1)
    first, second = (rank_correlations(part)[upper] for part in features)
    values.append(Value("lesion_association", float(np.abs(first - second).mean()), modality="images", n=fewest))
    p, q = (site_map(part) for part in maps)
    values.append(Value("lesion_site_distance", total_variation(p, q), modality="images", n=n))
    return values


def site_map(maps: Array) -> Array:
    """Shares of the masked pixels over the map, smoothed: it sums to one.  maps: (images, cells, cells)"""
    from scipy.ndimage import gaussian_filter

    total = gaussian_filter(maps.sum(axis=0), 1.0, mode="constant")
    return np.asarray(total / max(total.sum(), 1e-12))


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Features of lesions, number of lesions per image, and where they lie."""
    known: Measured | None = comparison.prepared
    if known is None or min(len(known.real.features.values), len(known.candidate.features.values)) < FEWEST:
        fig, axis = new_figure(5, 2)
        axis.axis("off")
        axis.text(0.5, 0.5, "too few lesions on one side", ha="center", va="center", color=NEUTRAL)
        return fig
    fig, axes = new_figure(10, 5.6, nrows=2, ncols=4)
    sides = ((known.real, comparison.real, REAL, "real"), (known.candidate, comparison.candidate, SYNTHETIC, label))
    chosen = [0, 1, len(known.names) - 3, len(known.names) - 2, len(known.names) - 1]
    for axis, k in zip(axes.flat[:5], chosen, strict=True):
        ends = [np.quantile(side.features.of(cohort)[:, k], [0.01, 0.99]) for side, cohort, *_ in sides]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        bins = np.linspace(low, max(high, low + 1e-9), 15)
        for number, (side, cohort, colour, name) in enumerate(sides):
            rows = side.features.rows(cohort)
            part = side.features.values[rows, k]
            shares = measure_shares(part, side.features.owners[rows], bins, MIN_CELL_COUNT if name == "real" else 1)
            axis.stairs(shares, bins, color=colour, lw=1.5, label=f"{name} (n = {len(part)} lesions)")
            # Median and middle half along the upper edge: they are there for few patients too.
            first, middle, third = np.quantile(part, [0.25, 0.5, 0.75]).clip(low, high)
            place, frame = 0.97 - 0.08 * number, axis.get_xaxis_transform()
            axis.plot([first, third], [place, place], color=colour, lw=2, transform=frame)
            axis.plot(middle, place, "o", color=colour, ms=4, transform=frame)
        axis.set_ylim(0, 1.25 * axis.get_ylim()[1])
        axis.set_xlabel(_name(known.names[k], comparison.real), fontsize=8)
        axis.tick_params(axis="x", labelsize=8)
        axis.locator_params(axis="x", nbins=4)
    axes[0, 0].set_ylabel("share of lesions")
    axes[1, 0].set_ylabel("share of lesions")
    most = int(max(side.counts.of(cohort).max() for side, cohort, *_ in sides))
    edges = np.arange(min(most, 12) + 2) - 0.5
    for side, cohort, colour, _ in sides:
        rows = side.counts.rows(cohort)
        shares = measure_shares(side.counts.values[rows].clip(0, 12), side.counts.owners[rows], edges, MIN_CELL_COUNT)
        axes[1, 1].stairs(shares, edges, color=colour, lw=1.5)
    axes[1, 1].set_xlabel("lesions in an image" + (" (12: or more)" if most > 12 else ""), fontsize=8)
    axes[1, 1].set_ylabel("share of images")
    drawn = [site_map(side.maps.of(cohort)) for side, cohort, *_ in sides]
    limit = max(float(part.max()) for part in drawn)
    for axis, part, name in zip(axes[1, 2:], drawn, ("real", label), strict=True):
        axis.imshow(part, cmap="cividis", vmin=0, vmax=limit)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(f"sites, {name}", fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return fig


def _name(feature: str, cohort: Cohort) -> str:
    """A feature as it is called, with its unit."""
    area = "mm²" if images_of(cohort).spacing else "pixels"
    if feature == "area":
        return f"area ({area})"
    if feature.startswith("area x "):
        channel = feature.removeprefix("area x ").removesuffix(" mean")
        return f"area x mean {channel} ({area})"
    for channel, unit in zip(images_of(cohort).channels, images_of(cohort).units, strict=True):
        if feature.startswith(f"{channel} ") and unit != "1":
            return f"{feature} ({unit})"
    return feature
