"""Texture: are neighbouring pixels related as in real images?

Thirteen features of the co-occurrence of grey levels within the window, of every image and channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, draw_reason, new_figure
from haemosynth.modalities.images.image_measures import HARALICK, NO_IMAGES, Owned, nothing, textures
from haemosynth.modalities.images.part import find_images
from haemosynth.stats.distributions import distances, rank_correlations, spread
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

Array = npt.NDArray[np.float64]
DEFAULTS: dict[str, Any] = {}
FEWEST = 8  # images on a side from which features are correlated
STAGE = Stage("fidelity", needs=("images",), environment="images", memory=4000, runtime=30)
METRICS = (
    Metric(
        "texture_distance", "error", "interquartile ranges", (0, np.inf), JOINT, "bootstrap",
        "integral |F_real - F_candidate| dx / interquartile range of training images, of each of 13 features (means"
        " over four directions, 32 grey levels of the window); mean over features and channels",
        "Haralick et al., IEEE Trans Syst Man Cybern 1973;3:610",
    ),
    Metric(
        "texture_association", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "mean over pairs of features of |r_candidate - r_real|, Spearman correlations over images",
        "Haralick et al., IEEE Trans Syst Man Cybern 1973;3:610",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Features of real and candidate images, the names of all, and the interquartile ranges of training images."""

    sides: tuple[Owned, Owned]
    names: tuple[str, ...]
    channels: tuple[str, ...]
    scale: Array


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Measured | None:
    """Texture of every image; None where a side has none. `rng` is not used."""
    train, real, candidate = (
        find_images(comparison.train),
        find_images(comparison.real),
        find_images(comparison.candidate),
    )
    if train is None or real is None or candidate is None or any(nothing(side) for side in (train, real, candidate)):
        return None
    learned = textures(train).values
    scale = np.array([spread(column) for column in learned.T])
    kept = scale > 1e-9
    names = np.array([f"{channel}: {feature}" for channel in real.channels for feature in HARALICK])
    sides = [textures(side) for side in (real, candidate)]
    first, second = (Owned(side.owners, side.values[:, kept]) for side in sides)
    return Measured((first, second), tuple(names[kept].tolist()), real.channels, scale[kept])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Distances of each feature, and of their correlations. `rng` is not used."""
    known: Measured | None = comparison.prepared
    if known is None:
        return [Value(metric.name, np.nan, modality="images", reason=NO_IMAGES) for metric in METRICS]
    real, candidate = (
        owned.of(cohort) for owned, cohort in zip(known.sides, (comparison.real, comparison.candidate), strict=True)
    )
    n = min(len(real), len(candidate))
    if n == 0 or not known.names:
        reason = NO_IMAGES if n == 0 else "training images have no texture"
        return [Value(metric.name, np.nan, modality="images", n=n, reason=reason) for metric in METRICS]
    found = np.array([distances(a, b)[0] for a, b in zip(real.T, candidate.T, strict=True)]) / known.scale
    values = [Value("texture_distance", float(found.mean()), modality="images", n=n)]
    values += [
        Value("texture_distance", float(value), name, "images", n)
        for name, value in zip(known.names, found, strict=True)
    ]
    if n < FEWEST:
        reason = f"fewer than {FEWEST} images on one side"
        values.append(Value("texture_association", np.nan, modality="images", n=n, reason=reason))
    else:
        upper = np.triu_indices(len(known.names), 1)
        gap = np.abs(rank_correlations(candidate) - rank_correlations(real))[upper]
        values.append(Value("texture_association", float(gap.mean()), modality="images", n=n))
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Middle half of every feature in real and candidate images, in interquartile ranges of training images."""
    known: Measured | None = comparison.prepared
    if known is None:
        return draw_reason(NO_IMAGES)
    fig, axes = new_figure(3.2 * len(known.channels) + 2.0, 4.2, ncols=len(known.channels), squeeze=False)
    sides = [
        owned.of(cohort) for owned, cohort in zip(known.sides, (comparison.real, comparison.candidate), strict=True)
    ]
    middle = np.median(sides[0], axis=0)
    for axis, channel in zip(axes[0], known.channels, strict=True):
        own = [k for k, name in enumerate(known.names) if name.startswith(f"{channel}: ")]
        place = np.arange(len(own), dtype=float)
        for side, colour, shift, name in zip(sides, (REAL, SYNTHETIC), (-0.17, 0.17), ("real", label), strict=True):
            low, half, high = np.quantile((side[:, own] - middle[own]) / known.scale[own], [0.25, 0.5, 0.75], axis=0)
            axis.hlines(place + shift, low.clip(-6, 6), high.clip(-6, 6), color=colour, lw=2)
            axis.plot(
                half.clip(-6, 6), place + shift, "o", color=colour, ms=4, label=f"{name} (n = {len(side)} images)"
            )
        axis.set_yticks(place, [HARALICK[HARALICK.index(known.names[k].split(": ")[1])] for k in own], fontsize=8)
        axis.invert_yaxis()
        axis.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
        axis.set_title(channel)
        axis.set_xlim(-6.3, 6.3)
        axis.set_xlabel("interquartile ranges from real median\n(at most 6 are shown)")
        if axis is not axes[0, 0]:
            axis.set_yticklabels([])
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return fig
