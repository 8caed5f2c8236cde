"""Every patient's modalities in a few numbers each, so that modalities can be held against one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.cohort import Cohort
from haemosynth.images import Images
from haemosynth.validate.components import component_space
from haemosynth.validate.records import Matrix

FEWEST_CARRIERS = 10  # training patients with an alteration that is compared
FEWEST_PATIENTS = 20  # training patients with expression or images
COMPONENTS = 10  # of expression
Blocks = Mapping[str, tuple[list[str], Matrix]]


def summary(train: Cohort) -> Callable[[Cohort], Blocks]:
    """What gives the blocks of a cohort: modality -> (names, (patients, numbers)), NaN where a patient has none.

    clinical: numbers, levels as indicators, missing as NaN; derived columns are left out. genomic: alterations with at
    least ten carriers. transcriptomic: principal components of training patients. imaging: means over a patient's
    images of the masked share, of each channel, and of each channel's mean and maximum inside the mask.
    """
    numbers = [n for n, c in train.schema.columns.items() if c.derived is None and c.numeric]
    levels = [
        (name, level)
        for name, column in train.schema.columns.items()
        if column.derived is None and not column.numeric
        for level in train.clinical[name].cat.categories[1 if len(train.clinical[name].cat.categories) == 2 else 0 :]
    ]
    states = train.alterations
    counts = {} if states is None else {str(name): states[name].sum() for name in states}
    events = [name for name, count in counts.items() if count >= FEWEST_CARRIERS]
    place = None
    if train.expression is not None and train.expression.n_obs >= FEWEST_PATIENTS:
        place = component_space(COMPONENTS, train.expression)
    pictured = train.images is not None and len(set(train.images.patient_id.tolist())) >= FEWEST_PATIENTS

    def blocks(cohort: Cohort) -> Blocks:
        clinical = [cohort.clinical[name].to_numpy(float) for name in numbers]
        for name, level in levels:
            values = cohort.clinical[name].astype(object)
            clinical.append(np.where(values.isna(), np.nan, (values == level).to_numpy(float)))
        names = [*numbers, *(f"{name} {level}" for name, level in levels)]
        found: dict[str, tuple[list[str], Matrix]] = {"clinical": (names, np.column_stack(clinical))}
        if events and cohort.alterations is not None:
            found["genomic"] = (events, cohort.alterations[events].to_numpy(float))
        if place is not None and cohort.expression is not None:
            points = place(cohort.expression)
            table = by_patient(points, cohort.expression.obs_names, cohort.patients)
            found["transcriptomic"] = ([f"component {i + 1}" for i in range(points.shape[1])], table)
        if pictured and cohort.images is not None:
            kinds, measured = image_numbers(cohort.images)
            found["imaging"] = (kinds, by_patient(measured, pd.Index(cohort.images.patient_id), cohort.patients))
        return found

    return blocks


def by_patient(rows: Matrix, owners: pd.Index, patients: pd.Index) -> Matrix:
    """Means over the rows of each patient; NaN for a patient without one."""
    means = pd.DataFrame(rows).groupby(np.asarray(owners)).mean()
    return np.asarray(means.reindex(patients).to_numpy(float))


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
