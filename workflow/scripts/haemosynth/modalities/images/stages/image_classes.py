"""Image classes: does a classifier that learned from synthetic images recognise real ones, and the reverse?

Classes are images with and without a masked structure, or the levels of a column of the record that the study names
(`column`). The classifier is a ridge logistic regression on the features of a network trained on photographs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, interval_rows, new_figure
from haemosynth.modalities.images import image_features
from haemosynth.modalities.images.image_features import EXTRACTOR, Matrix, points
from haemosynth.modalities.images.part import find_images, images_of
from haemosynth.stats.ranking import weighted_auc
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    **image_features.DEFAULTS,
    "column": None,  # a clinical column whose levels are the classes; null: a masked structure, or none
    "directions": 32,  # leading directions of training images in the space of features
    "least": 10,  # images of a class that each side needs
}
STAGE = Stage("utility", needs=("images",), environment="images", memory=4000, runtime=60)
METRICS = (
    Metric(
        "class_auc_synthetic", "agreement", "", (0, 1), JOINT, "bootstrap",
        "area under the ROC curve of a classifier trained on synthetic images, in held-out images; mean over classes,"
        f" each against the others; features: 32 leading directions of {EXTRACTOR}",
        "Esteban et al., arXiv 2017;1706.02633 (train on synthetic, test on real)",
    ),
    Metric(
        "class_auc_real", "descriptive", "", (0, 1), JOINT, "bootstrap",
        "the same, trained on real training images",
        "Esteban et al., arXiv 2017;1706.02633",
    ),
    Metric(
        "class_auc_reverse", "descriptive", "", (0, 1), JOINT, "bootstrap",
        "the same, trained on held-out real images, in synthetic images",
        "Esteban et al., arXiv 2017;1706.02633 (train on real, test on synthetic)",
    ),
    Metric(
        "class_auc_gain", "descriptive", "", (-1, 1), JOINT, "bootstrap",
        "area of a classifier trained on real and synthetic images together less class_auc_real",
        "this project",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """Scores (images, classes) of images with known classes, and their owners."""

    owners: Any
    classes: Any
    scores: Matrix


@dataclass(frozen=True)
class Prepared:
    """Scores of held-out images by who trained the classifier (synthetic, real, both), and the reverse."""

    held: Mapping[str, Scores]
    reverse: Scores | None
    reason: str = ""


def classes(cohort: Cohort, column: str | None) -> Any:
    """(images,) class of each image, None where it is not known.

    Raises:
        InputError: no such clinical column, or one of numbers.
    """
    images = find_images(cohort)
    if images is None:
        return np.empty(0, dtype=object)
    if column is None:
        if images.mask is None:
            return np.full(len(images), None, dtype=object)
        return np.where(images.mask.any(axis=(1, 2)), "with structure", "without structure").astype(object)
    if column not in cohort.schema.columns or cohort.schema.columns[column].numeric:
        raise InputError(f"config: validation.image_classes.column: no column of levels {column!r} in the record")
    level = cohort.clinical[column].astype("object")
    known = dict(zip(level.index, level, strict=True))
    return np.array([None if pd.isna(known[owner]) else known[owner] for owner in images.patient_id], dtype=object)


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Train the classifiers and score the images they are tested on. `rng` is not used."""
    column, least = settings["column"], int(settings["least"])
    cohorts = comparison.train, comparison.candidate, comparison.real
    labels = [classes(cohort, column) for cohort in cohorts]
    counts = [pd.Series(part, dtype=object).value_counts() for part in labels]
    names = sorted(name for name in counts[0].index if min(int(c.get(name, 0)) for c in counts) >= least)
    if len(names) < 2:
        return Prepared({}, None, f"fewer than two classes with {least} images on every side")
    sides = [points(images_of(cohort), settings) for cohort in cohorts]
    center = sides[0].deep.mean(axis=0)
    axes = np.linalg.svd(sides[0].deep - center, full_matrices=False)[2][: int(settings["directions"])].T
    size = np.maximum(((sides[0].deep - center) @ axes).std(axis=0), 1e-9)
    x = [(side.deep - center) @ axes / size for side in sides]
    kept = [np.isin(part.astype(str), names) & np.array([v is not None for v in part]) for part in labels]
    x, y = [a[k] for a, k in zip(x, kept, strict=True)], [b[k] for b, k in zip(labels, kept, strict=True)]
    owners = [side.owners[k] for side, k in zip(sides, kept, strict=True)]
    learned = {
        "synthetic": (x[1], y[1]), "real": (x[0], y[0]),
        "both": (np.concatenate([x[0], x[1]]), np.concatenate([y[0], y[1]])),
    }  # fmt: skip
    held = {name: Scores(owners[2], y[2], _scores(*pair, x[2], names)) for name, pair in learned.items()}
    return Prepared(held, Scores(owners[1], y[1], _scores(x[2], y[2], x[1], names)))


def _scores(x: Matrix, y: Any, further: Matrix, names: list[str]) -> Matrix:
    """(further images, classes) log odds of each class against the others."""
    from sklearn.linear_model import LogisticRegression

    columns = []
    for name in names:
        model = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced").fit(x, y == name)
        columns.append(model.decision_function(further))
    return np.stack(columns, axis=1)


def _areas(found: Scores, times: pd.Series) -> dict[str, float]:
    """Area under the ROC curve of each class, images as often as their patient stands in the resample."""
    weight = times.reindex(found.owners, fill_value=0).to_numpy(dtype=float)
    areas = {}
    for j, name in enumerate(sorted(set(found.classes))):
        own = found.classes == name
        areas[name] = weighted_auc(own.astype(float), found.scores[:, j], weight)
    return areas


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Areas by class and in the mean. `rng` is not used."""
    known: Prepared = comparison.prepared
    n = min(len(comparison.real), len(comparison.candidate))
    if known.reason or known.reverse is None:
        return [Value(m.name, np.nan, modality="images", n=n, reason=known.reason) for m in METRICS]
    times = comparison.real.patients.value_counts()
    areas = {name: _areas(scores, times) for name, scores in known.held.items()}
    found = {
        "class_auc_synthetic": areas["synthetic"],
        "class_auc_real": areas["real"],
        "class_auc_reverse": _areas(known.reverse, comparison.candidate.patients.value_counts()),
        "class_auc_gain": {name: areas["both"][name] - areas["real"][name] for name in areas["real"]},
    }
    values = []
    reason = "one class alone among the resampled patients"
    for metric, by_class in found.items():
        rows = [(name, area) for name, area in by_class.items()] if len(by_class) > 2 else []
        rows.append(("all", float(np.mean(list(by_class.values())))))
        values += [Value(metric, v, name, "images", n, reason if np.isnan(v) else "") for name, v in rows]
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """The areas with their intervals."""
    fig, axis = new_figure(7, 2.9)
    if comparison.prepared.reason:
        axis.axis("off")
        axis.text(0.5, 0.5, comparison.prepared.reason, ha="center", va="center", color=NEUTRAL)
        return fig
    rows = [
        ("class_auc_real", "all", "trained on real,\ntested on held-out real", REAL),
        ("class_auc_synthetic", "all", f"trained on {label},\ntested on held-out real", SYNTHETIC),
        ("class_auc_reverse", "all", f"trained on held-out real,\ntested on {label}", SYNTHETIC),
    ]
    interval_rows(axis, values, rows)
    axis.axvline(0.5, color=NEUTRAL, lw=0.8, zorder=0)
    axis.set_xlabel("area under the ROC curve of the image's class; 95 % interval")
    axis.set_title(settings["column"] or "with or without a masked structure")
    return fig
