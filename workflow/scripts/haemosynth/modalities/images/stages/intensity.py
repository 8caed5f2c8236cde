"""Intensity: do pixels take the values, and the noise, that they have in real images?

Values are read within the window of their channel: what lies beyond it stands at its ends, so that air outside the body
does not decide. Patients weigh as many times as they have images.
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
from haemosynth.modalities.images.image_measures import NO_IMAGES, Owned, histograms, nothing, spectra
from haemosynth.modalities.images.part import find_images
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

Array = npt.NDArray[np.float64]
DEFAULTS: dict[str, Any] = {
    "bins": 128,  # equal parts of a window
    "bands": 24,  # of spatial frequency, up to half a cycle per pixel
    "noise_from": 0.25,  # cycles per pixel from which power is taken for noise and fine detail
}
LEAST_POWER = 1e-9
STAGE = Stage("fidelity", needs=("images",), environment="images", memory=4000, runtime=30)
METRICS = (
    Metric(
        "intensity_distance", "error", "share of the window", (0, 1), UNIVARIATE, "bootstrap",
        "integral |F_real - F_candidate| dx / width of the window over all pixels, values beyond it at its ends; mean"
        " over channels",
        "Kantorovich-Rubinstein; Ramdas et al., Entropy 2017;19:47",
    ),
    Metric(
        "lesion_intensity_distance", "error", "share of the window", (0, 1), UNIVARIATE, "bootstrap",
        "the same of the pixels inside the mask, every image with a mask weighing alike",
        "Kantorovich-Rubinstein; Ramdas et al., Entropy 2017;19:47",
    ),
    Metric(
        "spectrum_distance", "error", "decades", (0, np.inf), JOINT, "bootstrap",
        "mean over bands of spatial frequency and channels of |log10 P_candidate - log10 P_real|, P the mean power of"
        " images less their mean, in parts of the window, tapered by a Hann window",
        "Durall et al., CVPR 2020 (spectra of generated images)",
    ),
    Metric(
        "noise_distance", "error", "decades", (0, np.inf), JOINT, "bootstrap",
        "the same over the bands above 0.25 cycles per pixel, which hold noise and fine detail",
        "ICRU Report 54, 1996 (noise power spectrum)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Of real and candidate images: histograms, histograms inside the masks of images that have one, spectra."""

    whole: tuple[Owned, Owned]
    inside: tuple[Owned, Owned] | None
    power: tuple[Owned, Owned]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    windows: tuple[tuple[float, float], ...]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Measured | None:
    """Histograms and spectra of every image; None where a side has none. `rng` is not used."""
    real, candidate = find_images(comparison.real), find_images(comparison.candidate)
    if real is None or candidate is None or nothing(real) or nothing(candidate):
        return None
    sides = (real, candidate)
    bins, bands = int(settings["bins"]), int(settings["bands"])
    masked = []
    for side in sides:
        if side.mask is not None:
            outlined = side.take(np.flatnonzero(side.mask.any(axis=(1, 2))))
            masked.append(histograms(outlined, bins, inside=True))
    return Measured(
        whole=(histograms(real, bins), histograms(candidate, bins)),
        inside=(masked[0], masked[1]) if len(masked) == 2 else None,
        power=(spectra(real, bands), spectra(candidate, bands)),
        channels=real.channels,
        units=real.units,
        windows=real.windows,
    )


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Distances of pooled histograms and mean spectra, of each channel and of all. `rng` is not used."""
    known: Measured | None = comparison.prepared
    names = [metric.name for metric in METRICS]
    if known is None:
        return [Value(name, np.nan, modality="images", reason=NO_IMAGES) for name in names]
    low = _frequencies(int(settings["bands"])) >= float(settings["noise_from"])
    values = []
    sides = (comparison.real, comparison.candidate)
    pairs: dict[str, tuple[Owned, Owned] | None] = {
        "intensity_distance": known.whole,
        "lesion_intensity_distance": known.inside,
        "spectrum_distance": known.power,
        "noise_distance": known.power,
    }
    for name, pair in pairs.items():
        parts = [] if pair is None else [owned.of(cohort) for owned, cohort in zip(pair, sides, strict=True)]
        n = min((len(part) for part in parts), default=0)
        if n == 0:
            reason = NO_IMAGES if name != "lesion_intensity_distance" else "no mask on one side"
            values.append(Value(name, np.nan, modality="images", n=n, reason=reason))
            continue
        real, candidate = (part.mean(axis=0) for part in parts)  # (channels, bins or bands)
        if pair is known.power:
            gap = np.abs(np.log10(candidate + LEAST_POWER) - np.log10(real + LEAST_POWER))
            found = (gap[:, low] if name == "noise_distance" else gap).mean(axis=1)
        else:
            found = np.abs(np.cumsum(candidate - real, axis=1)).mean(axis=1).clip(0, 1)
        values.append(Value(name, float(found.mean()), modality="images", n=n))
        values += [
            Value(name, float(value), channel, "images", n)
            for channel, value in zip(known.channels, found, strict=True)
        ]
    return values


def _frequencies(bands: int) -> Array:
    """Middle of each band in cycles per pixel."""
    return np.asarray((np.arange(bands) + 0.5) / bands * 0.5)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Pooled histogram and mean power spectrum of each channel, real and candidate."""
    known: Measured | None = comparison.prepared
    if known is None:
        return draw_reason(NO_IMAGES)
    fig, axes = new_figure(8.4, 2.5 * len(known.channels) + 0.5, nrows=len(known.channels), ncols=2, squeeze=False)
    sides = (comparison.real, comparison.candidate)
    whole = [owned.of(cohort) for owned, cohort in zip(known.whole, sides, strict=True)]
    power = [owned.of(cohort) for owned, cohort in zip(known.power, sides, strict=True)]
    table = values[values["status"] == "ok"].set_index(["metric", "target"])["value"]
    for c, channel in enumerate(known.channels):
        left, right = axes[c]
        edges = np.linspace(*known.windows[c], whole[0].shape[2] + 1)
        for part, spectrum, colour, name in zip(whole, power, (REAL, SYNTHETIC), ("real", label), strict=True):
            text = f"{name} (n = {len(part)} images)"
            left.stairs(np.cumsum(part.mean(axis=0)[c]), edges, color=colour, lw=1.5, label=text, baseline=None)
            frequency = _frequencies(spectrum.shape[2])
            right.plot(frequency, spectrum.mean(axis=0)[c] + LEAST_POWER, color=colour, lw=1.5)
        unit = f" ({known.units[c]})" if known.units[c] != "1" else ""
        left.set_xlabel(f"{channel}{unit}, within the window")
        left.set_ylabel("share of pixels at most")
        left.set_ylim(0, 1.02)
        right.set_yscale("log")
        right.axvspan(float(settings["noise_from"]), 0.5, color=NEUTRAL, alpha=0.12, lw=0)
        right.set_xlabel("spatial frequency (cycles per pixel)")
        right.set_ylabel("power")
        for axis, metric in ((left, "intensity_distance"), (right, "spectrum_distance")):
            if (metric, channel) in table.index:
                axis.set_title(f"{metric.replace('_', ' ')} {table[metric, channel]:.3f}", loc="left", fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return fig
