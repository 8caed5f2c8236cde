"""Images in NIfTI: a volume for each channel of a patient, and a mask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from haemosynth.core.errors import InputError
from haemosynth.modalities.images.formats.volumes import Volume, check_header

PATIENT = "{patient}"


def files_of(folder: Path, pattern: str, where: str) -> dict[str, Path]:
    """The file of each patient that a pattern such as `{patient}/CT_image.nii.gz` finds, in order of the patients.

    `*` stands for anything within a name.

    Raises:
        InputError: no such folder, no `{patient}` in the pattern, no file, or two of one patient.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if pattern.count(PATIENT) != 1:
        raise InputError(f"{where}: {pattern!r}; expected a pattern with {PATIENT} once, such as '{PATIENT}/CT.nii.gz'")
    text = re.escape(pattern).replace(re.escape(PATIENT), "([^/]+?)").replace(re.escape("*"), "[^/]*")
    shape = re.compile(text)
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern.replace(PATIENT, "*"))):
        match = shape.fullmatch(path.relative_to(folder).as_posix())
        if match is None or not path.is_file():
            continue
        patient = match[1].strip()
        twin = next((other for other in found if other.casefold() == patient.casefold()), None)
        if twin is not None:
            raise InputError(f"{path}: patient {patient} occurs twice; the other file is {found[twin]}")
        found[patient] = path
    if not found:
        raise InputError(f"{folder}: no file is like {pattern} ({where})")
    return dict(sorted(found.items()))


def read_volume(path: Path, patient: str) -> Volume:
    """Read a NIfTI file; the header is judged before the values are loaded.

    Raises:
        InputError: not to be read, or no volume in millimetres.
    """
    import nibabel

    where = f"{path}, patient {patient}"
    try:
        image: Any = nibabel.load(path)  # type: ignore[attr-defined]
        shape = tuple(int(size) for size in image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        unit = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "unknown"
        if unit not in ("mm", "unknown"):
            raise InputError(f"{where}: the header is in {unit}; expected millimetres")
        if "qform_code" in image.header and not (image.header["qform_code"] or image.header["sform_code"]):
            raise InputError(
                f"{where}: the header does not say how the volume lies in space (qform and sform are 0);"
                " convert the images again with a tool that keeps the orientation"
            )
        check_header(shape, np.asarray(image.affine, dtype=float), where)
        if len(image.shape) > 3:
            image = image.slicer[(..., *[0] * (len(image.shape) - 3))]
        image = nibabel.as_closest_canonical(image)  # type: ignore[attr-defined,no-untyped-call]
        values = np.asarray(image.dataobj, dtype=np.float32)
    except InputError:
        raise
    except Exception as error:  # damaged files end in many kinds of errors
        raise InputError(f"{where}: cannot be read as NIfTI: {' '.join(str(error).split())}") from None
    return Volume(values, np.asarray(image.affine, dtype=float), path)


def patients_of(folder: Path, entry: Mapping[str, Any], where: str) -> list[str]:
    """The patients who have every channel and the mask.

    Raises:
        InputError: a file of one of them is missing.
    """
    parts = {f"channels.{name}": channel["file"] for name, channel in entry["channels"].items()}
    if entry.get("mask"):
        parts["mask"] = entry["mask"]["file"]
    found = {part: files_of(folder, str(pattern), f"{where}.{part}.file") for part, pattern in parts.items()}
    everyone = sorted(set().union(*found.values()))
    for part, files in found.items():
        for patient in everyone:
            if patient not in files:
                raise InputError(f"{folder}, patient {patient}: no file of {part} (like {parts[part]})")
    return everyone


def read_patient(
    folder: Path, patient: str, entry: Mapping[str, Any], where: str
) -> tuple[dict[str, Volume], Volume | None, str]:
    """The channels and the mask of a patient, and the channel whose lattice the mask shares."""
    volumes = {
        name: read_volume(files_of(folder, str(channel["file"]), where)[patient], patient)
        for name, channel in entry["channels"].items()
    }
    return volumes, *read_mask(folder, patient, entry, where)


def read_mask(folder: Path, patient: str, entry: Mapping[str, Any], where: str) -> tuple[Volume | None, str]:
    """The mask of a patient, where the entry names one, and the channel whose lattice it shares."""
    first = next(iter(entry["channels"]))
    mask = entry.get("mask")
    if not mask:
        return None, first
    path = files_of(folder, str(mask["file"]), where)[patient]
    return read_volume(path, patient), str(mask.get("of", first))
