"""Synthetic images of single patients in the explorer of a release, as small pictures."""

from __future__ import annotations

import base64
import io
from typing import Any, cast

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.images.gallery import COLOUR, FUSED, colour, views
from haemosynth.modalities.images.part import Images

VIEWS = 2  # of an image at most, those that tell most


def of_patients(cohort: Cohort, most: int) -> list[dict[str, Any]]:
    """Title and, for each patient, pictures as data URIs; as many patients as `most` bytes hold, in table order.

    Of each patient the image with the largest mask is shown, in its window: fused where there are PET and CT.
    """
    images = cast(Images | None, cohort.parts.get("images"))
    if images is None or not len(images):
        return []
    offered = views(images)
    shown = [view for view in (FUSED, COLOUR) if view in offered] or list(offered[:VIEWS])
    area = np.zeros(len(images)) if images.mask is None else images.mask.sum(axis=(1, 2)).astype(float)
    owners = np.asarray(images.patient_id, dtype=object)
    found: dict[str, list[str]] = {}
    for patient in dict.fromkeys(owners.tolist()):
        rows = np.flatnonzero(owners == patient)
        one = images.take(rows[[int(area[rows].argmax())]])
        pictures = [_picture(colour(one, view)[0]) for view in shown]
        most -= sum(map(len, pictures))
        if most < 0:
            break
        found[str(patient)] = pictures
    return [{"title": f"image ({', '.join(shown)})", "kind": "pictures", "patients": found}] if found else []


def _picture(colours: Any) -> str:
    """A PNG as a data URI.  (H, W, 3) from 0 to 1"""
    from PIL import Image

    raw = io.BytesIO()
    Image.fromarray((255 * np.asarray(colours)).round().astype(np.uint8)).save(raw, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()
