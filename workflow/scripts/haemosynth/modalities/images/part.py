"""The images of a cohort: pixels and masks, each owned by a patient."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError

NAME = "images"


@dataclass(frozen=True)
class Images:
    """Images of the same size and channels. A patient may own several, or none.

    patient_id: (N,) owner of each image.
    pixels: (N, C, H, W) float32, in the unit of the channel.
    mask: (N, H, W) uint8, 0 outside and 1 inside the outlined structure (lesion, plasma cell); None without masks.
    channels, units: C names (`CT`, `PET`, `red`, ...) and their units (`HU`, `SUV`, `1`).
    spacing: (row, column) distance of pixels in millimetres; None where it is not known.
    windows: (low, high) of each channel, for display and for scaling; values may lie outside.
    info: plain data about how the images were made.
    descriptions: (N, fields) the descriptions that the images were drawn from (`description.py`), NaN where missing;
        None for images that were not.
    """

    patient_id: npt.NDArray[np.str_]
    pixels: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8] | None
    channels: tuple[str, ...]
    units: tuple[str, ...]
    windows: tuple[tuple[float, float], ...]
    spacing: tuple[float, float] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    descriptions: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        n, channels, height, width = self.pixels.shape
        if len(self.patient_id) != n or (self.mask is not None and self.mask.shape != (n, height, width)):
            raise ValueError("owners, pixels and masks differ in number or size")
        if not len(self.channels) == len(self.units) == len(self.windows) == channels:
            raise ValueError("channels, units, windows and pixels differ in number")
        if self.descriptions is not None and len(self.descriptions) != n:
            raise ValueError("descriptions and pixels differ in number")

    def __len__(self) -> int:
        return len(self.patient_id)

    @property
    def owners(self) -> npt.NDArray[np.str_]:
        """(N,) the patient of each image."""
        return self.patient_id

    def take(
        self, rows: Sequence[int] | npt.NDArray[np.integer], positions: npt.NDArray[np.integer] | None = None
    ) -> Images:
        """The images at these positions, in this order; a position may stand more than once.

        `positions` of their patients are not needed: an image knows its owner.
        """
        rows = np.asarray(rows, dtype=np.intp)
        mask = None if self.mask is None else self.mask[rows]
        table = None if self.descriptions is None else self.descriptions.iloc[rows].reset_index(drop=True)
        return replace(self, patient_id=self.patient_id[rows], pixels=self.pixels[rows], mask=mask, descriptions=table)

    def of(self, patients: Sequence[str]) -> Images:
        """The images of these patients, in the order they stand in."""
        return self.take(np.flatnonzero(np.isin(self.patient_id, np.asarray(patients, dtype=str))))


def has_images(cohort: Cohort) -> bool:
    """Whether a cohort has images."""
    return NAME in cohort.parts


def images_of(cohort: Cohort) -> Images:
    """The images of a cohort that has some.

    Raises:
        KeyError: it has none.
    """
    part = cohort.parts[NAME]
    assert isinstance(part, Images)
    return part


def find_images(cohort: Cohort) -> Images | None:
    """The images of a cohort; None where it has none."""
    return images_of(cohort) if has_images(cohort) else None


def write(images: Images, path: str | Path) -> None:
    """Write images as a zarr store, in one piece: it is built beside its place and moved there when it is whole."""
    import zarr

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        store = zarr.create_group(str(part), overwrite=True)
        arrays = {"image": images.pixels.astype(np.float32)}
        if images.mask is not None:
            arrays["mask"] = images.mask.astype(np.uint8)
        if images.descriptions is not None:
            arrays["description"] = images.descriptions.to_numpy(dtype=np.float64)
        for name, array in arrays.items():
            chunk = (max(1, min(64, len(array))), *(max(1, size) for size in array.shape[1:]))
            store.create_array(name, data=np.ascontiguousarray(array), chunks=chunk)
        store.attrs.update(
            {
                "patient_id": [str(owner) for owner in images.patient_id],
                "channels": list(images.channels),
                "units": list(images.units),
                "windows": [list(window) for window in images.windows],
                "spacing": None if images.spacing is None else list(images.spacing),
                "info": dict(images.info),
                **({} if images.descriptions is None else {"description": list(map(str, images.descriptions))}),
            }
        )
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def read(path: str | Path) -> Images:
    """Read what `write` wrote.

    Raises:
        InputError: there is no such store.
    """
    import zarr

    if not Path(path).is_dir():
        raise InputError(f"{path}: no such store of images")
    store = zarr.open_group(str(path), mode="r")
    known: Mapping[str, Any] = dict(store.attrs)
    return Images(
        patient_id=np.array(known["patient_id"], dtype=str),
        pixels=np.asarray(store["image"][:], dtype=np.float32),  # type: ignore[index]
        mask=np.asarray(store["mask"][:], dtype=np.uint8) if "mask" in store else None,  # type: ignore[index]
        channels=tuple(known["channels"]),
        units=tuple(known["units"]),
        windows=tuple((low, high) for low, high in known["windows"]),
        spacing=None if known["spacing"] is None else (known["spacing"][0], known["spacing"][1]),
        info=known["info"],
        descriptions=(
            pd.DataFrame(np.asarray(store["description"][:]), columns=known["description"])  # type: ignore[index]
            if "description" in store
            else None
        ),
    )
