"""Images in a few numbers per patient: intensities, and what is inside the mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Matrix
from haemosynth.modalities.images.part import Images, has_images, images_of
from haemosynth.modalities.rows import mean_by_patient


def summarise(
    known: Sequence[Cohort], fewest: int, components: int
) -> Callable[[Cohort], tuple[list[str], Matrix]] | None:
    """What gives names and numbers of a cohort, (patients, numbers): means over a patient's images, NaN without one.

    Nothing is learned, and `components` is not needed; None where one of the cohorts in `known` has fewer than `fewest`
    patients with images.
    """
    owned = [images_of(cohort) for cohort in known if has_images(cohort)]
    if len(owned) < len(known) or min(len(set(own.patient_id.tolist())) for own in owned) < fewest:
        return None
    nothing = owned[0].take([])

    def numbers(cohort: Cohort) -> tuple[list[str], Matrix]:
        images = images_of(cohort) if has_images(cohort) else nothing
        names, measured = image_numbers(images)
        return names, mean_by_patient(measured, pd.Index(images.patient_id), cohort.patients)

    return numbers


def image_numbers(images: Images) -> tuple[list[str], Matrix]:
    """What the images of a patient are summed up in: names, and the numbers of each image.  (images, numbers)

    The mean of each channel; with masks the masked share, and each channel's mean and maximum inside the mask.
    """
    names = [f"mean {channel}" for channel in images.channels]
    columns: list[NDArray[np.float64]] = [images.pixels.mean(axis=(2, 3), dtype=np.float64)]
    if images.mask is not None:
        inside = images.mask[:, None].astype(bool)
        size = inside.sum(axis=(2, 3))
        total = np.where(inside, images.pixels, 0).sum(axis=(2, 3), dtype=np.float64)
        top = np.where(inside, images.pixels, -np.inf).max(axis=(2, 3))
        known = size > 0
        columns += [
            inside.mean(axis=(2, 3)),
            np.where(known, total / np.maximum(size, 1), np.nan),
            np.where(known, top, np.nan),
        ]
        names += ["masked share", *(f"{kind} {c} in mask" for kind in ("mean", "maximum") for c in images.channels)]
    return names, np.column_stack(columns)
