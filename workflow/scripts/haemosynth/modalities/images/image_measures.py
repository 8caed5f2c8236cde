"""What is measured on every image once: histograms, spectra, texture, lesions; and whose image it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.images.part import Images

Array = npt.NDArray[np.float64]
NO_IMAGES = "no image on one side"
LEVELS = 32  # grey levels of the texture
OFFSETS = ((0, 1), (1, 1), (1, 0), (1, -1))  # neighbours along four directions
HARALICK = (
    "angular second moment", "contrast", "correlation", "variance", "inverse difference moment", "sum average",
    "sum variance", "sum entropy", "entropy", "difference variance", "difference entropy",
    "information correlation 1", "information correlation 2",
)  # fmt: skip
BATCH = 128


@dataclass(frozen=True)
class Owned:
    """Something measured on each of N images, or of N lesions, and the patient each belongs to.

    values: (N, ...).
    """

    owners: npt.NDArray[np.str_]
    values: Array

    def of(self, cohort: Cohort) -> Array:
        """The values of these patients; again for each time that a patient stands there."""
        return np.asarray(self.values[self.rows(cohort)])

    def rows(self, cohort: Cohort) -> npt.NDArray[np.intp]:
        """Their positions."""
        places = pd.Series(np.arange(len(self.owners))).groupby(self.owners).indices
        found = [places[patient] for patient in cohort.patients if patient in places]
        return np.concatenate(found) if found else np.empty(0, dtype=np.intp)


def measure_shares(values: Array, owners: npt.NDArray[Any], bins: npt.NDArray[Any], fewest: int) -> Array:
    """Share of values in each bin; 0 where they come from fewer than `fewest` patients."""
    inside = np.clip(values, bins[0], bins[-1])
    place = np.clip(np.searchsorted(bins, inside, side="right") - 1, 0, len(bins) - 2)
    patients = pd.Series(owners).groupby(place).nunique().reindex(range(len(bins) - 1), fill_value=0).to_numpy()
    counts = np.bincount(place, minlength=len(bins) - 1)
    return np.asarray(np.where(patients < fewest, 0, counts) / max(len(values), 1))


def nothing(images: Images | None) -> bool:
    """Whether there is no image."""
    return images is None or len(images) == 0


def scale(images: Images) -> npt.NDArray[np.float32]:
    """(N, C, H, W) pixels from 0 to 1 within the windows; beyond them, their ends."""
    low, high = np.array(images.windows, dtype=np.float32).T[:, :, None, None]
    return np.asarray(((images.pixels - low) / (high - low)).clip(0, 1))


def histograms(images: Images, bins: int, inside: bool = False) -> Owned:
    """(N, C, bins) share of the pixels of an image in equal parts of each window; `inside` the mask alone (zeros where
    an image has none)."""
    n, channels = images.pixels.shape[:2]
    part = np.minimum((scale(images) * bins).astype(np.int64), bins - 1)
    code = (np.arange(n)[:, None, None, None] * channels + np.arange(channels)[:, None, None]) * bins + part
    weight = None
    if inside and images.mask is not None:
        weight = np.broadcast_to(images.mask[:, None] > 0, code.shape).ravel().astype(float)
    counts = np.bincount(code.ravel(), weights=weight, minlength=n * channels * bins).reshape(n, channels, bins)
    return Owned(images.patient_id, counts / np.maximum(counts.sum(axis=2, keepdims=True), 1))


def spectra(images: Images, bands: int) -> Owned:
    """(N, C, bands) mean power at each distance from the middle of the frequency plane, from 0 to half a cycle per
    pixel; pixels in parts of the window, less their mean, tapered by a Hann window."""
    pixels = scale(images).astype(np.float64)
    height, width = pixels.shape[2:]
    taper = np.outer(np.hanning(height), np.hanning(width))
    pixels -= pixels.mean(axis=(2, 3), keepdims=True)
    power = np.abs(np.fft.rfft2(pixels * taper)) ** 2 / (taper**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    band = np.minimum((radius / 0.5 * bands).astype(int), bands)  # the last: corners of the plane, left out
    sums = np.zeros((*pixels.shape[:2], bands + 1))
    for k in range(bands):
        sums[:, :, k] = power[:, :, band == k].mean(axis=2) if (band == k).any() else 0.0
    return Owned(images.patient_id, sums[:, :, :bands])


def haralick(grey: npt.NDArray[np.integer[Any]], levels: int = LEVELS) -> Array:
    """The thirteen texture features of each image, mean over four directions.  (N, 13), in the order of HARALICK

    Co-occurrence matrices are symmetric, so that both of their margins are p, with entropy h: the two cross entropies
    of the information measures are then 2 h. Haralick et al., IEEE Trans Syst Man Cybern 1973;3:610; the sum variance
    is taken about the sum average, as the paper's text says.

    Args:
        grey: (N, H, W) levels 0 to levels - 1.
    """
    n, height, width = grey.shape
    codes = grey.astype(np.int64)
    i, j = np.divmod(np.arange(levels * levels), levels)
    total = np.eye(2 * levels - 1)[i + j]
    apart = np.eye(levels)[np.abs(i - j)]
    k, s = np.arange(levels), np.arange(2 * levels - 1)
    found = np.zeros((n, 13))
    for down, right in OFFSETS:
        first = codes[:, : height - down, max(0, -right) : width - max(0, right)]
        second = codes[:, down:, max(0, right) : width + min(0, right)]
        pair = (np.arange(n)[:, None, None] * levels + first) * levels + second
        counts = np.bincount(pair.ravel(), minlength=n * levels * levels).reshape(n, levels, levels)
        both = (counts + counts.transpose(0, 2, 1)).reshape(n, -1) / (2.0 * first[0].size)
        margin = both.reshape(n, levels, levels).sum(axis=2)
        sums, gaps = both @ total, both @ apart
        mean = margin @ k
        variance = margin @ k**2 - mean**2
        h, joint, sum_entropy, gap_entropy = (_entropy(p) for p in (margin, both, sums, gaps))
        sum_average = sums @ s
        covariance = both @ (i * j) - mean**2
        flat = variance <= 1e-12
        found += np.stack(
            [
                (both**2).sum(axis=1), gaps @ k**2,
                np.where(flat, 1.0, covariance / np.where(flat, 1.0, variance)), variance,
                both @ (1 / (1 + (i - j) ** 2)), sum_average, sums @ s**2 - sum_average**2, sum_entropy, joint,
                gaps.var(axis=1), gap_entropy, (joint - 2 * h) / np.where(h > 0, h, 1.0),
                np.sqrt((1 - np.exp(-2 * (2 * h - joint))).clip(0)),
            ],
            axis=1,
        )  # fmt: skip
    return found / len(OFFSETS)


def _entropy(p: Array) -> Array:
    """Entropy in bits along the last axis."""
    return np.asarray(-(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=1))


def textures(images: Images) -> Owned:
    """(N, C * 13) texture of every channel within its window."""
    n, channels = images.pixels.shape[:2]
    grey = np.minimum((scale(images) * LEVELS).astype(np.int64), LEVELS - 1)
    found = np.empty((n, channels, len(HARALICK)))
    for start in range(0, n, BATCH):
        for c in range(channels):
            found[start : start + BATCH, c] = haralick(grey[start : start + BATCH, c])
    return Owned(images.patient_id, found.reshape(n, -1))


def lesions(images: Images) -> pd.DataFrame:
    """One row for each structure of the mask (8-connected) in an image.

    Columns: image (its position), row and column of its middle (shares of the side), area (mm^2 where the spacing is
    known, else pixels), roundness (shorter over longer axis of the ellipse with the same moments), and of each channel
    its mean and maximum. For a channel in SUV these are SUVmean and
    SUVmax, `area` is the metabolic tumour volume and `area * SUVmean` the lesion glycolysis, per slice.
    """
    from scipy import ndimage

    names = ["image", "row", "column", "area", "roundness"]
    names += [f"{channel} {kind}" for channel in images.channels for kind in ("mean", "max")]
    if images.mask is None or not images.mask.any():
        return pd.DataFrame(columns=names, dtype=float)
    height, width = images.mask.shape[1:]
    # All images in one labelling: structures do not connect from image to image.
    shape = np.zeros((3, 3, 3), dtype=int)
    shape[1] = 1
    labels, count = ndimage.label(images.mask > 0, structure=shape)
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count + 1)[1:].astype(float)
    where = np.nonzero(labels)
    at = labels[where]
    owner = np.zeros(count + 1, dtype=int)
    owner[at] = where[0]
    down, right = images.spacing or (1.0, 1.0)
    columns: dict[str, Any] = {
        "image": owner[1:],
        "row": np.bincount(at, where[1], minlength=count + 1)[1:] / area / (height - 1),
        "column": np.bincount(at, where[2], minlength=count + 1)[1:] / area / (width - 1),
        "area": area * down * right,
        "roundness": _roundness(where[1].astype(float), where[2].astype(float), at.astype(np.intp), count),
    }
    for c, channel in enumerate(images.channels):
        values = images.pixels[:, c][where].astype(np.float64)
        most = np.full(count + 1, -np.inf)
        np.maximum.at(most, at, values)
        columns[f"{channel} mean"] = np.bincount(at, values, minlength=count + 1)[1:] / area
        columns[f"{channel} max"] = most[1:]
    return pd.DataFrame(columns, columns=names)


def _roundness(rows: Array, columns: Array, at: npt.NDArray[np.intp], count: int) -> Array:
    """(count,) shorter over longer axis of the ellipse with the moments of each structure; a pixel is a square, whose
    own moment is 1/12."""
    area = np.bincount(at, minlength=count + 1)

    def mean(values: Array) -> Array:
        return np.asarray(np.bincount(at, values, minlength=count + 1) / np.maximum(area, 1))

    y, x = mean(rows), mean(columns)
    down, across = mean(rows**2) - y**2 + 1 / 12, mean(columns**2) - x**2 + 1 / 12
    both = mean(rows * columns) - x * y
    middle, apart = (down + across) / 2, np.hypot((down - across) / 2, both)
    return np.asarray(np.sqrt((middle - apart).clip(0) / (middle + apart)))[1:]
