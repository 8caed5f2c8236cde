"""A Gaussian in principal components: what images look like if only means and covariances matter.

Probabilistic principal components (Tipping and Bishop, J R Stat Soc B 1999;61:611): the scores of an image are a ridge
regression on the patient's record plus a normal residual, pixels get white noise of the variance that is left at their
place. The same model is the linear part of `diffusion`, which therefore starts from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.images.generators.coding import Coding, Matrix, Planes, rows_of_owners
from haemosynth.modalities.images.part import Images, images_of

DEFAULTS: dict[str, Any] = {
    "components": 64,  # at most; a third of the training images where they are fewer
}
PENALTIES = (0.01, 0.1, 0.3, 1.0, 3.0, 1e9)  # of the regression on the record, for each image
FOLDS = 5
LEAST_NOISE = 1e-5  # of a pixel, beside DEVIATION squared


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit to training patients. Nothing is iterated or random: `rng` and `checkpoint` are not used.

    Raises:
        InputError: the cohort has no images.
    """
    coding = Coding.learn(train)
    rows = rows_of_owners(images_of(train), train)
    arrays = components(coding.encode(images_of(train)), rows, int(settings["components"]))
    arrays |= regression(arrays.pop("scores"), coding.conditions(train, rows), rows)
    parameters = sum(array.size for array in arrays.values())
    return Fitted(arrays, {"coding": dict(coding.plain), "parameters": int(parameters)}, pd.DataFrame())


def components(planes: Planes, owners: npt.NDArray[np.intp], most: int) -> dict[str, np.ndarray]:
    """Principal components of coded images.

    Args:
        planes: (images, planes, H, W).
        owners: (images,) patient of each image.
        most: components at most; never more than a third of the images, so that none is a single image.

    Returns:
        `mean` (pixels,), `axes` (components, pixels) orthonormal, `variance` (components,), `scores`
        (images, components), and `noise` (planes, H, W), the variance of each pixel that the components of other
        patients do not explain: those of the same patients explain much of the noise, too. By pixel, so that air
        outside the body gets none of the grain of tissue.
    """
    flat = planes.reshape(len(planes), -1).astype(np.float64)
    count = min(most, len(flat) // 3)
    mean, axes = _axes(flat, count)
    scores = (flat - mean) @ axes.T
    left = np.zeros_like(flat)
    _, order = np.unique(owners, return_inverse=True)
    for part in range(FOLDS):
        out = order % FOLDS == part
        if out.any() and not out.all():
            center, other = _axes(flat[~out], count)
            left[out] = flat[out] - center
            left[out] -= left[out] @ other.T @ other
    # As if one more image had shown the mean variance of its plane everywhere: no pixel is taken for constant.
    squared = (left.reshape(planes.shape) ** 2).sum(axis=0)
    mean_of_plane = squared.mean(axis=(1, 2), keepdims=True) / len(flat)
    noise = np.maximum((squared + mean_of_plane) / (len(flat) + 1), LEAST_NOISE)
    return {
        "mean": mean.astype(np.float32),
        "axes": axes.astype(np.float32),
        "variance": scores.var(axis=0).astype(np.float32),
        "scores": scores,
        "noise": noise.astype(np.float32),
    }


def by_pixel(noise: np.ndarray) -> np.ndarray:
    """(planes, H, W), or (planes, 1, 1) of a model that was fitted with one variance for a whole plane."""
    return noise[:, None, None] if noise.ndim == 1 else noise


def _axes(flat: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """Mean (pixels,) and leading principal axes (components, pixels) of images (images, pixels)."""
    mean = flat.mean(axis=0)
    centred = flat - mean
    # Of the images' Gram matrix, which is the smaller one.
    values, vectors = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(-values)[:count]
    axes = (vectors[:, order] / np.sqrt(np.maximum(values[order], 1e-9))).T @ centred
    # The sign that an eigenvector comes with is arbitrary: the largest entry is positive.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return mean, np.asarray(axes * np.where(largest < 0, -1.0, 1.0))


def regression(scores: Matrix, condition: Matrix, owners: npt.NDArray[np.intp]) -> dict[str, np.ndarray]:
    """Scores as linear functions of the record, by ridge regression.

    The penalty of each score is the one that predicts patients left out best, in five parts; one penalty is so large
    that nothing depends on the record.

    Args:
        scores: (images, components). condition: (images, features). owners: (images,) patient of each image.

    Returns:
        `slope` (features, components), and `residual` (components, components), a factor L with L L' the covariance
        of what is left.
    """
    features, count = condition.shape[1], scores.shape[1]
    slope = np.zeros((features, count))
    if features:
        error = np.zeros((len(PENALTIES), count))
        for part in range(FOLDS):
            out = owners % FOLDS == part
            for i, one in enumerate(_slopes(scores[~out], condition[~out])):
                error[i] += ((scores[out] - condition[out] @ one) ** 2).sum(axis=0)
        whole = np.stack(_slopes(scores, condition))
        slope = whole[error.argmin(axis=0), :, np.arange(count)].T
    left = scores - condition @ slope
    left = left - left.mean(axis=0)
    covariance = left.T @ left / max(len(scores), 1) + 1e-9 * np.eye(count)
    return {"slope": slope.astype(np.float32), "residual": np.linalg.cholesky(covariance).astype(np.float32)}


def _slopes(scores: Matrix, condition: Matrix) -> list[Matrix]:
    values, vectors = np.linalg.eigh(condition.T @ condition)
    target = vectors.T @ (condition.T @ scores)
    return [vectors @ (target / (np.maximum(values, 0) + penalty * len(scores))[:, None]) for penalty in PENALTIES]


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Images:
    """Draw the images of these patients."""
    coding = Coding(fitted.description["coding"])
    rows = coding.owners(given, rng)
    arrays = fitted.arrays
    normal = rng.normal(size=(len(rows), len(arrays["residual"])))
    scores = coding.conditions(given, rows) @ arrays["slope"] + normal @ arrays["residual"].T
    size = (len(rows), coding.planes, *coding.plain["size"])
    planes = (arrays["mean"] + scores.astype(np.float32) @ arrays["axes"]).reshape(size)
    deviation = np.sqrt(by_pixel(arrays["noise"]))
    noise = deviation * rng.normal(size=size).astype(np.float32)
    noise[:, len(coding.plain["channels"]) :] = 0.0  # a mask has edges, not noise
    owners = np.asarray(given.patients, dtype=str)[rows]
    return coding.decode((planes + noise).astype(np.float32), owners, "principal_components")
