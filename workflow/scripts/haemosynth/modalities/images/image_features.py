"""Images as points: features of a network trained on photographs, and radiomic measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.images.embedding import embed
from haemosynth.modalities.images.part import Images

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
DEFAULTS: dict[str, Any] = {
    "side": 128,  # pixels to which images are resized for EfficientNet-Lite0
    "weights": None,  # a file of your own weights for it (safetensors); null: those of ImageNet
}
LEVELS = 32  # grey levels of the texture
FARTHEST = 5.0  # standard deviations at which radiomic measurements end
EXTRACTOR = "EfficientNet-Lite0 trained on ImageNet"


@dataclass(frozen=True)
class Points:
    """The images of one side: owners (N,), deep (N, 1280) and radiomic features (N, measurements)."""

    owners: npt.NDArray[np.str_]
    deep: Matrix
    radiomic: Matrix

    def rows(self, cohort: Cohort) -> Rows:
        """Rows of the images of these patients; again for each time that a patient stands there."""
        own = pd.Series(np.arange(len(self.owners))).groupby(self.owners).indices
        found = [own[patient] for patient in cohort.patients if patient in own]
        return np.concatenate(found) if found else np.empty(0, dtype=np.intp)


def points(images: Images | None, settings: Mapping[str, Any]) -> Points:
    """Both kinds of features of every image."""
    if images is None or not len(images):
        return Points(np.empty(0, dtype=str), np.empty((0, 1280)), np.empty((0, 0)))
    return Points(
        images.patient_id, embed(images, int(settings["side"]), settings["weights"]), radiomic(images).to_numpy()
    )


def standardise(side: Matrix, train: Matrix) -> Matrix:
    """Measurements less the training mean, over the training standard deviation, at most FARTHEST away."""
    if not len(side):
        return np.empty((0, train.shape[1]))
    center, spread = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-9)
    return np.asarray(((side - center) / spread).clip(-FARTHEST, FARTHEST))


def radiomic(images: Images) -> pd.DataFrame:
    """(images, measurements) in the units of the channels: intensity (mean, deviation, quantiles), sharpness (mean
    length of the gradient), texture (Haralick et al., IEEE Trans Syst Man Cybern 1973;3:610: contrast, correlation,
    entropy and inverse difference moment over LEVELS levels of the window, by mahotas), and of the masked structures
    their number, area (pixels), roundness 4 pi area / perimeter^2 of all together, and mean and maximum of each
    channel, 0 without any."""
    import mahotas
    from scipy import ndimage

    low, high = np.array(images.windows, dtype=np.float32).T[:, :, None, None]
    grey = ((images.pixels - low) / (high - low) * LEVELS).clip(0, LEVELS - 1).astype(np.uint8)
    rows = []
    for i, pixels in enumerate(images.pixels.astype(np.float64)):
        row: dict[str, float] = {}
        inside = None if images.mask is None else images.mask[i] > 0
        for c, name in enumerate(images.channels):
            plane = pixels[c]
            row[f"{name} mean"], row[f"{name} deviation"] = plane.mean(), plane.std()
            for share in (1, 25, 50, 75, 99):
                row[f"{name} {share} %"] = np.percentile(plane, share)
            row[f"{name} sharpness"] = np.hypot(*np.gradient(plane)).mean()
            texture = mahotas.features.haralick(grey[i, c], return_mean=True)
            names = ("contrast", "correlation", "homogeneity", "entropy")
            row |= {f"{name} {n}": float(texture[k]) for n, k in zip(names, (1, 2, 4, 8), strict=True)}
            if inside is not None:
                row[f"{name} in mask"] = plane[inside].mean() if inside.any() else 0.0
                row[f"{name} peak in mask"] = plane[inside].max() if inside.any() else 0.0
        if inside is not None:
            row["structures"] = float(ndimage.label(inside)[1])
            row["masked area"] = float(inside.sum())
            edge = float((inside & ~ndimage.binary_erosion(inside)).sum())
            row["roundness"] = 4 * np.pi * row["masked area"] / edge**2 if edge else 0.0
        rows.append(row)
    return pd.DataFrame(rows)


def cubic_kernel(first: Matrix, second: Matrix) -> Matrix:
    """(x . y / d + 1)^3 of every pair, d the number of features."""
    return np.asarray((first @ second.T / first.shape[1] + 1) ** 3)


def squared_discrepancy(kernel: Matrix, first: Rows, second: Rows, owners: npt.NDArray[Any]) -> float:
    """Unbiased squared maximum mean discrepancy of two sets of images.

    Mean kernel of pairs within each set, less twice that between the sets. Pairs of images of one patient are left
    out, within a set: they are alike because the patient is the same (with one image each, these are the pairs of an
    image with itself).

    Args:
        kernel: (all, all). first, second: rows of the two sets. owners: (all,) patient of each row.
    """

    def within(rows: Rows) -> float:
        others = owners[rows][:, None] != owners[rows][None, :]
        return float((kernel[np.ix_(rows, rows)] * others).sum() / others.sum())

    return within(first) + within(second) - 2 * float(kernel[np.ix_(first, second)].mean())
