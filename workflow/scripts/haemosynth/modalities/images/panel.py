"""Images of single patients in the working dossier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import NEUTRAL
from haemosynth.modalities.images.gallery import scale_bar, show, spread_rows, views
from haemosynth.modalities.images.part import Images, has_images, images_of

WIDTH = 2.2  # inches


def prepare(synthetic: Cohort, train: Cohort) -> Callable[[Any, int, Cohort], None] | None:
    """What draws a patient's image: (axis, position of the patient, training patients of the archetype)."""
    if not has_images(synthetic):
        return None
    images = images_of(synthetic)
    return lambda axis, row, like: _draw(axis, images, str(synthetic.patients[row]))


def _draw(axis: Any, images: Images, patient: str) -> None:
    """The patient's image with the largest mask."""
    own = images.take(np.flatnonzero(images.patient_id == patient))
    if not len(own):
        axis.axis("off")
        axis.set(xticks=[], yticks=[])
        axis.text(0.5, 0.5, "no image", ha="center", va="center", color=NEUTRAL, fontsize=8)
        return
    row, view = spread_rows(own, 1)[0], views(own)[-1]
    show(axis, own, row, view)
    scale_bar(axis, own)
    axis.set_title(f"image, {view}", loc="left", fontsize=8)
