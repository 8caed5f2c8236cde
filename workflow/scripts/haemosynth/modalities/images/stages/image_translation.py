"""Image translation: do synthetic images teach how to show one scanner's images in the style of another?

A segmentation network that learned from the images of one scanner, centre or contrast outlines those of another less
well. A translation network without pairs (CycleGAN) learns both styles from the candidate's images and shows the masked
training images of the first style in the second one; a U-Net that learns from both is tested on held-out images of the
second style. Beside it are U-Nets that learn from the same images as they are, from these with plain changes of
contrast, sharpness and noise, and, as the best that could be had, from masked images of the second style itself.
Training is slow: it is done once, and resamples weigh the held-out images anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.figures import BLUE, GREEN, NEUTRAL, REAL, SYNTHETIC, draw_reason, interval_rows, new_figure
from haemosynth.core.streams import torch_seed
from haemosynth.modalities.images.generators import translation
from haemosynth.modalities.images.part import Images, find_images
from haemosynth.modalities.images.stages.segmenter import dice, join, learn
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "column": None,  # the clinical column that tells the style: scanner, centre, contrast
    "first": [],  # its levels of the first style, whose images have masks; none: the commonest level
    "second": [],  # those of the second style; none: all others
    "steps": 500,  # of each U-Net
    "batch": 12,
    "learning_rate": 3e-3,
    "translation": {"width": 12, "blocks": 2, "batch": 6, "steps": 400},  # of the CycleGAN: minutes on a processor
    "least": 20,  # images of a style that each side needs
}
STAGE = Stage(
    "utility", needs=("images",), environment="images", memory=6000, runtime=180, gpu=True, by_default=False
)  # fmt: skip
CYCLEGAN = "Zhu et al., ICCV 2017 (CycleGAN); Sandfort et al., Sci Rep 2019;9:16884 (its use for segmentation of CT)"
METRICS = (
    Metric(
        "translated_dice", "agreement", "", (0, 1), JOINT, "bootstrap",
        "mean over held-out images of the second style with a structure of the Dice coefficient of a U-Net that is"
        " trained on real training images of the first style and on the same in the second style, as translated by a"
        " CycleGAN that learned from the candidate's images of both styles",
        CYCLEGAN,
    ),
    Metric(
        "translation_gain", "descriptive", "", (-1, 1), JOINT, "bootstrap",
        "translated_dice less the same of a U-Net that is trained on; target alone: the training images of the first"
        " style as they are; target augmented: these with a copy that is changed at random in contrast, sharpness and"
        " noise",
        CYCLEGAN,
    ),
    Metric(
        "untranslated_dice", "descriptive", "", (0, 1), JOINT, "bootstrap",
        "Dice coefficient on the same images of U-Nets that are trained without the candidate; target alone, target"
        " augmented: as in translation_gain; target second: on masked training images of the second style",
        CYCLEGAN,
    ),
)  # fmt: skip
SIDES = {"alone": "first style as it is", "augmented": "with plain changes", "second": "second style itself"}


@dataclass(frozen=True)
class Prepared:
    """Dice of each held-out image of the second style, by what the U-Net learned from.

    images: `patient_id`, `translated`, and one column for each of SIDES. styles: in words. reason: why nothing was
    learned.
    """

    images: pd.DataFrame
    styles: tuple[str, str] = ("", "")
    reason: str = ""


def find_styles(train: Cohort, settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The levels of the first and the second style.

    Raises:
        InputError: no such clinical column, one of numbers, or a level that it does not have.
    """
    where, column = "config: validation.image_translation", settings["column"]
    if column not in train.schema.columns or train.schema.columns[column].numeric:
        raise InputError(f"{where}.column: no column of levels {column!r} in the record; name the one that tells the"
                         " scanner, the centre or the contrast")  # fmt: skip
    counts = train.clinical[column].astype("object").dropna().astype(str).value_counts()
    levels = sorted(counts.index, key=lambda level: (-counts[level], level))
    first, second = (list(map(str, settings[key])) for key in ("first", "second"))
    for key, chosen in (("first", first), ("second", second)):
        for level in chosen:
            if level not in levels:
                raise InputError(f"{where}.{key}: {column} has no level {level!r}; it has {', '.join(levels)}")
    first = first or [level for level in levels if level not in second][:1]
    return first, second or [level for level in levels if level not in first]


def of_style(cohort: Cohort, column: str, levels: Sequence[str]) -> Images | None:
    """The images of patients with one of these levels; None where the cohort has no images with masks."""
    images = find_images(cohort)
    if images is None or images.mask is None:
        return None
    chosen = cohort.clinical[column].astype("object").astype(str).isin(levels).to_numpy()
    return images.of([str(patient) for patient in cohort.patients[chosen]])


def change_plainly(images: Images, rng: np.random.Generator) -> Images:
    """The images with random contrast, sharpness and noise, by MONAI; masks stay."""
    from monai.transforms.compose import Compose
    from monai.transforms.intensity.array import RandAdjustContrast, RandGaussianNoise, RandGaussianSmooth

    change = Compose([
        RandAdjustContrast(prob=0.8, gamma=(0.7, 1.4)),
        RandGaussianSmooth(sigma_x=(0.2, 1.2), sigma_y=(0.2, 1.2), prob=0.6),
        RandGaussianNoise(prob=0.6, std=0.08, sample_std=True),
    ])  # fmt: skip
    change.set_random_state(seed=torch_seed(rng))
    low, high = (np.array([window[side] for window in images.windows])[:, None, None] for side in (0, 1))
    changed = [np.asarray(change(((pixels - low) / (high - low)).astype(np.float32))) for pixels in images.pixels]
    pixels = np.stack(changed) * (high - low) + low if changed else images.pixels
    return replace(images, pixels=pixels.astype(np.float32))


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Train the translation and all U-Nets, and outline the held-out images of the second style with each."""
    if settings["column"] is None:
        return Prepared(pd.DataFrame(), reason="no style: name its column under validation.image_translation.column")
    column, least = str(settings["column"]), int(settings["least"])
    first, second = find_styles(comparison.train, settings)
    own = of_style(comparison.train, column, first)
    beside = of_style(comparison.train, column, second)
    styles = [of_style(comparison.candidate, column, levels) for levels in (first, second)]
    held = of_style(comparison.real, column, second)
    if own is None or beside is None or held is None or styles[0] is None or styles[1] is None:
        return Prepared(pd.DataFrame(), reason="a side has no images with masks")
    if min(len(own), len(beside), len(held), *(len(part) for part in styles if part is not None)) < least:
        return Prepared(pd.DataFrame(), reason=f"fewer than {least} images of a style on one side")
    assert held.mask is not None
    # Real patients come first: what they teach must not depend on the candidate.
    plain, seeds, network, noise = rng.spawn(4)
    seed = torch_seed(seeds)
    chosen = {**translation.DEFAULTS, **settings["translation"]}
    model = translation.fit(styles[0], styles[1], chosen, network)
    sets = {
        "translated": join(own, translation.translate(model, own, "forward", noise)),
        "alone": own, "augmented": join(own, change_plainly(own, plain)), "second": beside,
    }  # fmt: skip
    training = int(settings["steps"]), int(settings["batch"]), float(settings["learning_rate"]), seed
    found = {name: dice(held.mask > 0, learn(part, *training)(held)) for name, part in sets.items()}
    return Prepared(pd.DataFrame({"patient_id": held.patient_id, **found}), (", ".join(first), ", ".join(second)))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Means over the held-out images of these patients. `rng` is not used."""
    known: Prepared = comparison.prepared
    if known.reason:
        return [Value(m.name, np.nan, modality="images", n=len(comparison.real), reason=known.reason) for m in METRICS]
    times = comparison.real.patients.value_counts().reindex(known.images["patient_id"], fill_value=0).to_numpy(float)
    table = known.images.drop(columns="patient_id")
    use = table["translated"].notna().to_numpy() & (times > 0)
    if not use.any():
        reason = "no held-out image of the second style has a structure"
        return [Value(m.name, np.nan, modality="images", n=0, reason=reason) for m in METRICS]
    mean = {name: float(np.average(table[name][use], weights=times[use])) for name in table}
    n = int(use.sum())
    return [
        Value("translated_dice", mean["translated"], modality="images", n=n),
        *(
            Value("translation_gain", mean["translated"] - mean[name], name, "images", n)
            for name in ("alone", "augmented")
        ),
        *(Value("untranslated_dice", mean[name], name, "images", n) for name in SIDES),
    ]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Dice in the second style by what the U-Net learned from, and what the translation adds."""
    known: Prepared = comparison.prepared
    if not (values["status"] == "ok").any():
        return draw_reason(str(values["reason"].iloc[0]))
    fig, axes = new_figure(9, 3.4, ncols=2, gridspec_kw={"width_ratios": [1.4, 1]})
    colours = {"alone": REAL, "augmented": BLUE, "second": GREEN}
    rows = [("untranslated_dice", name, SIDES[name], colours[name]) for name in ("alone", "augmented")]
    rows += [("translated_dice", "all", f"translated by {label}", SYNTHETIC)]
    rows += [("untranslated_dice", "second", SIDES["second"], colours["second"])]
    interval_rows(axes[0], values, rows)
    n = int(values.loc[values["metric"] == "translated_dice", "n"].iloc[0])
    axes[0].set_xlim(0, 1)
    axes[0].set_xlabel(f"Dice on {n:,} held-out images of {known.styles[1]}; 95 % interval")
    axes[0].set_title(f"by training images (first style: {known.styles[0]})", fontsize=10)
    gains = [("translation_gain", name, SIDES[name], SYNTHETIC) for name in ("alone", "augmented")]
    interval_rows(axes[1], values, gains)
    axes[1].axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    axes[1].locator_params(axis="x", nbins=4)
    axes[1].set_xlabel("change of Dice; 95 % interval")
    axes[1].set_title("translation against", fontsize=10)
    return fig
