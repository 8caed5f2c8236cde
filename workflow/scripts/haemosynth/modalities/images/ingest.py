"""From a cohort's image files to its `Images`: what all formats share.

An entry of a study under `images:` (or of a cohort that has images alone) names
    format    nifti, dicom or pictures          path      the folder
    size      pixels (rows, columns)            spacing   millimetres between them (not for pictures)
    channels  name -> {unit, window, file (nifti), series (dicom)}
    mask      {file, of: the channel whose lattice it shares}
    slices    {lesion, neighbours, without}: how many of a patient at most
    centre    image or lesion: what the grid is laid round
    pictures  the folder of the pictures (images)
    crop      of pictures: share of the rows and of the columns that is cut off at either end, such as [0.1, 0]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError, Mistakes
from haemosynth.modalities.images.formats import dicom, nifti, pictures
from haemosynth.modalities.images.formats.volumes import Grid, check_mask, check_unit, cut
from haemosynth.modalities.images.part import Images
from haemosynth.reading.source import suggestion

READERS: Mapping[str, ModuleType] = {"nifti": nifti, "dicom": dicom, "pictures": pictures}
KEYS = ("format", "path", "size", "spacing", "channels", "mask", "slices", "centre", "pictures", "crop")
CHANNEL_KEYS = ("unit", "window", "fill", "file", "modality", "series", "weights")
SLICES = {"lesion": 10, "neighbours": 2, "without": 2}
FILL = {"HU": -1000.0}
UNITS = ("HU", "SUV", "1")
SIDES = (8, 1024)


def image_entry(name: str, source: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The image entry of a cohort, checked, and where it stands.

    Raises:
        InputError: a key is unknown, missing or of the wrong shape.
    """
    alone = source.get("format") in READERS
    where = f"cohorts.{name}.images"
    entry = dict(source.get("images") or {})
    if not entry:
        raise InputError(f"{where}: missing; the modality images needs it")
    if alone:
        entry = {"format": source["format"], "path": source["path"], **entry}
    for key in entry:
        if key not in KEYS:
            raise InputError(f"{where}: unknown key {key!r}; {suggestion(str(key), list(KEYS))}")
    if entry.get("format") not in READERS:
        raise InputError(f"{where}.format: {entry.get('format')!r}; expected one of {', '.join(READERS)}")
    if not entry.get("path"):
        raise InputError(f"{where}.path: missing")
    if "$" in str(entry["path"]):
        raise InputError(f"{where}.path: {entry['path']} names an environment variable that is not set")
    size = entry.get("size")
    sides = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size)
    if not sides or not all(SIDES[0] <= side <= SIDES[1] for side in size or []):
        raise InputError(f"{where}.size: {size!r}; expected [rows, columns], each from {SIDES[0]} to {SIDES[1]}")
    spaced = entry["format"] != "pictures"
    spacing = entry.get("spacing")
    if spaced and not _pair(spacing, low=0):
        raise InputError(f"{where}.spacing: {spacing!r}; expected [row, column] distances in millimetres")
    if entry.setdefault("centre", "image") not in ("image", "lesion"):
        raise InputError(f"{where}.centre: {entry['centre']!r}; expected image or lesion")
    crop = entry.setdefault("crop", [0.0, 0.0])
    if not _pair(crop) or not all(0 <= share <= 0.45 for share in crop):
        raise InputError(f"{where}.crop: {crop!r}; expected shares of rows and columns from 0 to 0.45")
    slices = {**SLICES, **(entry.get("slices") or {})}
    if set(slices) != set(SLICES) or not all(isinstance(n, int) and n >= 0 for n in slices.values()):
        raise InputError(f"{where}.slices: {entry.get('slices')!r}; expected numbers of {', '.join(SLICES)}")
    entry["slices"] = slices
    _check_channels(entry, where)
    mask = entry.get("mask")
    if mask is not None:
        if not isinstance(mask, Mapping) or "file" not in mask or set(mask) - {"file", "of"}:
            raise InputError(f"{where}.mask: {mask!r}; expected {{file: ..., of: a channel}}")
        if mask.get("of") not in (None, *entry["channels"]):
            raise InputError(f"{where}.mask.of: {suggestion(str(mask['of']), list(entry['channels']))}")
    return entry, where


def _check_channels(entry: dict[str, Any], where: str) -> None:
    channels = entry.get("channels")
    if not isinstance(channels, Mapping) or not channels:
        raise InputError(f"{where}.channels: missing; expected NAME: {{unit: ..., window: [low, high]}}")
    for channel, told in channels.items():
        here = f"{where}.channels.{channel}"
        if not isinstance(told, Mapping):
            raise InputError(f"{here}: {told!r}; expected {{unit: ..., window: [low, high]}}")
        for key in told:
            if key not in CHANNEL_KEYS:
                raise InputError(f"{here}: unknown key {key!r}; {suggestion(str(key), list(CHANNEL_KEYS))}")
        if str(told.get("unit")) not in UNITS:
            raise InputError(f"{here}.unit: {told.get('unit')!r}; expected one of {', '.join(UNITS)}")
        window = told.get("window")
        if not isinstance(window, list) or not _pair(window) or window[0] >= window[1]:
            raise InputError(f"{here}.window: {window!r}; expected [low, high]")
        if entry["format"] == "nifti" and "file" not in told:
            raise InputError(f"{here}.file: missing; expected a pattern such as '{{patient}}/{channel}.nii.gz'")


def _pair(found: Any, low: float = -np.inf) -> bool:
    numbers = isinstance(found, list) and len(found) == 2
    return numbers and all(isinstance(x, int | float) and not isinstance(x, bool) and x > low for x in found)


def patients_of(name: str, source: Mapping[str, Any]) -> list[str]:
    """The patients who have images, from names and headers alone."""
    entry, where = image_entry(name, source)
    found: list[str] = READERS[entry["format"]].patients_of(Path(entry["path"]), entry, where)
    return found


def check_owners(folder: Path, owners: Sequence[str], patients: Sequence[str]) -> None:
    """Raise an InputError where somebody has images and no clinical record."""
    strangers = sorted(set(owners) - set(map(str, patients)))
    if strangers:
        near = suggestion(strangers[0], list(map(str, patients))) if len(patients) < 2000 else ""
        raise InputError(f"{folder}: patient {strangers[0]} has images and no clinical record; {near}")


def ingest_images(
    name: str, source: Mapping[str, Any], patients: Sequence[str], only: Sequence[str] | None = None
) -> Images:
    """Read the images of a cohort.

    patients: of the clinical table. Everyone with images must be one of them; not everyone of them needs to have any.
    only: those whose images are read, who have some; everyone's where it is left out.

    Raises:
        InputError: a mistake in the entry or a file; the line names the file and the patient.
    """
    entry, where = image_entry(name, source)
    folder = Path(entry["path"])
    owners = patients_of(name, source) if only is None else list(only)
    check_owners(folder, owners, patients)
    channels: Mapping[str, Mapping[str, Any]] = entry["channels"]

    def whole(
        ids: Sequence[str],
        parts: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]],
        spacing: tuple[float, float] | None,
        info: Mapping[str, Any],
    ) -> Images:
        return Images(
            np.array(ids, dtype=str),
            np.concatenate([pixels for pixels, _ in parts]),
            None if parts[0][1] is None else np.concatenate([mask for _, mask in parts if mask is not None]),
            channels=tuple(map(str, channels)),
            units=tuple(str(channel["unit"]) for channel in channels.values()),
            windows=tuple((float(c["window"][0]), float(c["window"][1])) for c in channels.values()),
            spacing=spacing,
            info=info,
        )

    size = (int(entry["size"][0]), int(entry["size"][1]))
    if entry["format"] == "pictures":
        read = [pictures.read_patient(folder, owner, entry, size, where) for owner in owners]
        one = [(pixels[None], None if mask is None else mask[None]) for pixels, mask in read]
        return whole(owners, one, None, {"format": "pictures", "unit": "picture"})
    spacing = (float(entry["spacing"][0]), float(entry["spacing"][1]))
    grid = Grid(size, spacing, entry["centre"], *(entry["slices"][kind] for kind in SLICES))
    fill = {n: float(c.get("fill", FILL.get(str(c["unit"]), 0.0))) for n, c in channels.items()}
    reader = READERS[entry["format"]]
    parts, ids = [], []
    for owner in owners:  # one patient in memory at a time
        volumes, mask, of = reader.read_patient(folder, owner, entry, where)
        for channel, volume in volumes.items():
            check_unit(volume, str(channels[channel]["unit"]), f"{volume.path}, patient {owner}")
        if mask is not None:
            mask = check_mask(mask, volumes[of], f"{mask.path}, patient {owner}")
        pixels, outlined = cut(volumes, mask, grid, fill, f"{folder}, patient {owner}")
        parts.append((pixels, outlined))
        ids += [owner] * len(pixels)
    told = {"format": entry["format"], "unit": "axial slice", "slices": dict(entry["slices"])}
    return whole(ids, parts, spacing, told)


def settings(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The image entry of a cohort, checked (see `image_entry`)."""
    return image_entry(name, entry)[0]


def ingest(name: str, entry: Mapping[str, Any], cohort: Cohort) -> tuple[Images, pd.DataFrame]:
    """The images of a cohort, and the patients who have none (see `ingest_images`)."""
    images = ingest_images(name, entry, cohort.patients.tolist())
    without = [str(patient) for patient in cohort.patients if str(patient) not in set(images.patient_id.tolist())]
    left = pd.DataFrame({"what": "patient", "name": without, "reason": "no image"}, columns=["what", "name", "reason"])
    return images, left


def check(name: str, entry: Mapping[str, Any], cohort: Cohort, mistakes: Mistakes) -> None:
    """Read every patient's images on their own, so that one's mistakes do not hide another's."""
    owners: Sequence[str] = []
    patients = list(map(str, cohort.patients))
    with mistakes.keep():
        owners = patients_of(name, entry)
        check_owners(Path(image_entry(name, entry)[0]["path"]), owners, patients)
    for owner in (owner for owner in owners if owner in patients):
        with mistakes.keep():
            ingest_images(name, entry, patients, only=[owner])
