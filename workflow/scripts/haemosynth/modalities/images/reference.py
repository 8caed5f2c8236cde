"""The images of the references that every image metric is read between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.modalities.images.part import Images, find_images


def reference(kind: str, train: Cohort, given: Cohort, rng: np.random.Generator) -> Images:
    """The images of the patients of a reference.

    real         the training images, as they are
    independent  every pixel, and every pixel of the mask, drawn alone from the training images at its place: means
                 and marginal distributions kept, all structure lost
    uniform      pixels uniform over the window of their channel, mask pixels set at a rate drawn for each image

    The patients of independent and uniform own as many images as training patients drawn at random.

    Raises:
        InputError: the training patients have no image, or an unknown kind.
    """
    images = find_images(train)
    if images is None or not len(images):
        raise InputError(f"cohort {train.schema.cohort}: no training patient has an image")
    if kind == "real":
        return images
    if kind not in ("independent", "uniform"):
        raise InputError(f"no reference {kind!r}; expected one of real, independent, uniform")
    counts = pd.Series(images.patient_id).value_counts().reindex(train.patients, fill_value=0).to_numpy()
    owners = np.repeat(np.asarray(given.patients, dtype=str), counts[rng.integers(len(train), size=len(given))])
    n, (channels, height, width) = len(owners), images.pixels.shape[1:]
    pixels = np.empty((n, channels, height, width), dtype=np.float32)
    mask = None if images.mask is None else np.empty((n, height, width), dtype=np.uint8)
    rows, columns = np.indices((height, width))
    low, high = np.array(images.windows, dtype=np.float32).T[:, :, None, None]
    for i in range(n):
        if kind == "independent":
            drawn = rng.integers(len(images), size=(channels + 1, height, width))
            for c in range(channels):
                pixels[i, c] = images.pixels[drawn[c], c, rows, columns]
            if mask is not None and images.mask is not None:
                mask[i] = images.mask[drawn[channels], rows, columns]
        else:
            pixels[i] = low + (high - low) * rng.random((channels, height, width), dtype=np.float32)
            if mask is not None:
                mask[i] = rng.random((height, width)) < rng.beta(1, 1)
    return replace(images, patient_id=owners, pixels=pixels, mask=mask, info={"reference": kind}, descriptions=None)
