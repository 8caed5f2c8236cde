"""Segmentation: do networks that learn from synthetic images outline the structures of real ones?

A small U-Net is trained on synthetic images, on real ones, and on real and synthetic ones together, and outlines the
held-out images. Training is slow: it is done once, and resamples weigh the held-out images anew. Their intervals hold
the luck of the patients tested, not that of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, interval_rows, new_figure
from haemosynth.core.streams import torch_seed
from haemosynth.modalities.images.part import Images, find_images
from haemosynth.modalities.images.stages.segmenter import Masks, Vector, dice, hausdorff, join, learn, structures
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "steps": 500,  # of each training
    "batch": 12,
    "learning_rate": 3e-3,
    "shares": [0.25, 1.0],  # of the training patients that are joined with all synthetic ones
    "least": 10,  # images with a structure that each side needs
}
UNET = "Ronneberger et al., MICCAI 2015 (U-Net); Cardoso et al., arXiv 2022;2211.02701 (MONAI)"
STAGE = Stage("utility", needs=("images",), environment="images", memory=6000, runtime=120, gpu=True)
METRICS = (
    Metric(
        "dice_synthetic", "agreement", "", (0, 1), JOINT, "bootstrap",
        "mean over held-out images with a structure of 2 |A and B| / (|A| + |B|), A the true mask and B that of a U-Net"
        " trained on synthetic images",
        f"Dice, Ecology 1945;26:297; {UNET}",
    ),
    Metric(
        "hausdorff_synthetic", "error", "mm or pixels", (0, np.inf), JOINT, "bootstrap",
        "mean over the same images of the 95 % Hausdorff distance between the outlines, in mm where the spacing is"
        " known; the diagonal of the image where nothing was found",
        f"Huttenlocher et al., IEEE Trans Pattern Anal Mach Intell 1993;15:850; {UNET}",
    ),
    Metric(
        "dice_real", "descriptive", "", (0, 1), JOINT, "bootstrap",
        "the same with the U-Net trained on real training images; target share s: on those of a share s of patients",
        UNET,
    ),
    Metric(
        "dice_gain", "descriptive", "", (-1, 1), JOINT, "bootstrap",
        "Dice of the U-Net trained on real and synthetic images less that of the one trained on the real ones alone, as"
        " many training steps for either, mean over held-out images; target share s: real images of a share s of"
        " patients, all: of all",
        UNET,
    ),
    Metric(
        "structure_found", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of the pixels of a structure that the U-Net trained on synthetic images marks, mean over structures; by"
        " target: small, medium, large, thirds of the area of training structures; real~small and so on, by the U-Net"
        " trained on real images",
        "this project",
    ),
    Metric(
        "false_alarm", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of held-out images without a structure in which the U-Net trained on synthetic images marks one",
        "this project",
    ),
)  # fmt: skip
SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Prepared:
    """One row for each held-out image, and one for each of its structures, by who trained the U-Net.

    images: `patient_id`, `dice <trained on>`, `hausdorff`, `alarm`. lesions: `patient_id`, `size`, `synthetic`, `real`.
    reason: why nothing was learned.
    """

    images: pd.DataFrame
    lesions: pd.DataFrame
    reason: str = ""


def _usable(cohort: Cohort, least: int) -> Images | None:
    images = find_images(cohort)
    if images is None or images.mask is None or int(images.mask.any(axis=(1, 2)).sum()) < least:
        return None
    return images


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Train all U-Nets and outline the held-out images with each."""
    least = int(settings["least"])
    train, candidate, real = (_usable(c, least) for c in (comparison.train, comparison.candidate, comparison.real))
    if train is None or candidate is None or real is None:
        nothing = pd.DataFrame()
        return Prepared(nothing, nothing, f"fewer than {least} images with a masked structure on one side")
    seed = torch_seed(rng)
    patients = [str(name) for name in rng.permutation(np.unique(train.patient_id))]
    sets = {"synthetic": candidate}
    for share in settings["shares"]:
        part = train if share == 1 else train.of(patients[: max(1, round(share * len(patients)))])
        sets[f"real {share:g}"], sets[f"both {share:g}"] = part, join(part, candidate)
    sets.setdefault("real 1", train)
    chosen = int(settings["steps"]), int(settings["batch"]), float(settings["learning_rate"])
    found = {name: learn(images, *chosen, seed)(real) for name, images in sets.items()}
    assert real.mask is not None
    true: Masks = real.mask > 0
    table = pd.DataFrame({"patient_id": real.patient_id} | {f"dice {k}": dice(true, v) for k, v in found.items()})
    table["hausdorff"] = hausdorff(true, found["synthetic"], real.spacing or (1.0, 1.0))
    empty = ~true.any(axis=(1, 2))
    table["alarm"] = np.where(empty, found["synthetic"].any(axis=(1, 2)), np.nan)
    assert train.mask is not None
    areas = [part.sum() for mask in train.mask > 0 for part in structures(mask)]
    cuts = np.quantile(areas, [1 / 3, 2 / 3])
    lesions = [
        (real.patient_id[i], SIZES[int(np.searchsorted(cuts, part.sum()))],
         found["synthetic"][i][part].mean(), found["real 1"][i][part].mean())
        for i, mask in enumerate(true) for part in structures(mask)
    ]  # fmt: skip
    return Prepared(table, pd.DataFrame(lesions, columns=["patient_id", "size", "synthetic", "real"]))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Means over the held-out images of these patients. `rng` is not used."""
    known: Prepared = comparison.prepared
    n = len(comparison.real)
    if known.reason:
        return [Value(m.name, np.nan, modality="images", n=n, reason=known.reason) for m in METRICS[:4]]
    times = comparison.real.patients.value_counts()
    weight: Vector = np.asarray(times.reindex(known.images["patient_id"], fill_value=0), dtype=float)

    def mean(values: Any, weights: Vector) -> float:
        numbers = np.asarray(values, dtype=float)
        use = ~np.isnan(numbers) & (weights > 0)
        return float(np.average(numbers[use], weights=weights[use])) if use.any() else np.nan

    images, found = known.images, []
    found.append(("dice_synthetic", "all", mean(images["dice synthetic"], weight)))
    found.append(("hausdorff_synthetic", "all", mean(images["hausdorff"], weight)))
    found.append(("dice_real", "all", mean(images["dice real 1"], weight)))
    for share in settings["shares"]:
        real, both = images[f"dice real {share:g}"], images[f"dice both {share:g}"]
        target = "all" if share == 1 else f"share {share:g}"
        found.append(("dice_gain", target, mean(both - real, weight)))
        if share != 1:
            found.append(("dice_real", target, mean(real, weight)))
    owned = times.reindex(known.lesions["patient_id"], fill_value=0).to_numpy(dtype=float)
    for size in SIZES:
        part = (known.lesions["size"] == size).to_numpy()
        for prefix, column in (("", "synthetic"), ("real~", "real")):
            found.append(
                ("structure_found", prefix + size, mean(known.lesions[column].where(part), np.asarray(owned * part)))
            )
    found.append(("false_alarm", "all", mean(images["alarm"], weight)))
    reason = "no such image or structure among the held-out patients"
    return [Value(name, value, target, "images", n, reason if np.isnan(value) else "") for name, target, value in found]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Dice by what the U-Net was trained on, the gain of synthetic images, and structures found by size."""
    known: Prepared = comparison.prepared
    fig, axes = new_figure(12, 3.9, ncols=3, gridspec_kw={"width_ratios": [1, 1, 1.2]})
    if known.reason:
        for axis in axes:
            axis.axis("off")
        axes[1].text(0.5, 0.5, known.reason, ha="center", va="center", color=NEUTRAL)
        return fig
    shares = [share for share in settings["shares"] if share != 1]
    rows = [("dice_real", "all", "all real", REAL)]
    rows += [("dice_real", f"share {share:g}", f"{100 * share:g} % of real", BLUE) for share in shares]
    interval_rows(axes[0], values, [*rows, ("dice_synthetic", "all", label, SYNTHETIC)])
    axes[0].set_xlim(0, 1)
    axes[0].set_xlabel("Dice on held-out images; 95 % interval")
    axes[0].set_title("trained on")
    gains = [("dice_gain", "all", "all real", SYNTHETIC)]
    gains += [("dice_gain", f"share {share:g}", f"{100 * share:g} % of real", SYNTHETIC) for share in shares]
    interval_rows(axes[1], values, gains)
    axes[1].axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    axes[1].locator_params(axis="x", nbins=4)
    axes[1].set_xlabel("change of Dice; 95 % interval")
    axes[1].set_title(f"{label} added to")
    found = values[(values.metric == "structure_found") & (values.status == "ok")].set_index("target")
    for k, (prefix, name, colour) in enumerate((("real~", "all real", REAL), ("", label, SYNTHETIC))):
        present = [size for size in SIZES if prefix + size in found.index]
        value, low, high = found.loc[[prefix + size for size in present], ["value", "low", "high"]].to_numpy(float).T
        x = np.array([SIZES.index(size) for size in present]) + 0.16 * (2 * k - 1)
        axes[2].vlines(x, low, high, color=colour, lw=1.6)
        axes[2].plot(x, value, "o", color=colour, ms=6, label=f"trained on {name}")
    counts = known.lesions["size"].value_counts()
    axes[2].set_xticks(range(3), [f"{size}\n(n = {counts.get(size, 0)})" for size in SIZES])
    axes[2].set_ylim(0, 1.02)
    axes[2].set_ylabel("share of a structure found; 95 % interval")
    axes[2].set_title("structures by area")
    axes[2].legend(loc="lower right", fontsize=8)
    return fig
