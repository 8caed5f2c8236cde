"""Images as pictures (PNG, JPEG, TIFF), masks of the same name in a folder of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from haemosynth.core.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MOST_PIXELS = 2**26
LEAST_SIDE = 8
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}


def pictures_of(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by name without ending.

    Raises:
        InputError: no folder, no picture, or two of one name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
            if path.stem in found:
                raise InputError(f"{path}: picture {path.stem} occurs twice; the other file is {found[path.stem]}")
            found[path.stem] = path
    if not found:
        raise InputError(f"{folder}: no picture; expected files ending in {', '.join(ENDINGS)}")
    return found


def patients_of(folder: Path, entry: Mapping[str, Any], where: str) -> list[str]:
    """The pictures of the folder `images`: patients are not known, and each picture stands for itself.

    Raises:
        InputError: a mask is missing.
    """
    found = pictures_of(folder / str(entry.get("pictures", "images")))
    if entry.get("mask"):
        masks = pictures_of(folder / str(entry["mask"]["file"]))
        for name in found:
            if name not in masks:
                raise InputError(f"{found[name]}: no mask of this name in {folder / str(entry['mask']['file'])}")
    return list(found)


def read_picture(path: Path, patient: str) -> npt.NDArray[np.float32]:
    """(rows, columns, channels) values from 0 to 1; the size is judged before the pixels are loaded.

    A picture is turned and mirrored as its EXIF orientation says, which is how every viewer shows it.

    Raises:
        InputError: not to be read, absurdly large or small, or several pictures in one file.
    """
    from PIL import Image, ImageOps

    where = f"{path}, patient {patient}"
    try:
        # An open file, not its name: by name the library maps raw TIFF into memory, and mistakes a turned one's sides.
        with open(path, "rb") as opened, Image.open(opened) as file:
            width, height = file.size
            if width * height > MOST_PIXELS or min(width, height) < LEAST_SIDE:
                raise InputError(
                    f"{where}: {height} x {width} pixels; expected {LEAST_SIDE} a side or more, {MOST_PIXELS} at most"
                )
            if (count := getattr(file, "n_frames", 1)) > 1:
                raise InputError(f"{where}: {count} pictures in one file; expected one")
            turned = ImageOps.exif_transpose(file)
            kept = turned.mode in ("L", "RGB", "I", "F") or turned.mode.startswith("I;16")
            values = np.asarray(turned if kept else turned.convert("L" if turned.mode in ("1", "LA") else "RGB"))
    except InputError:
        raise
    except Exception as error:  # damaged files end in many kinds of errors
        raise InputError(f"{where}: cannot be read as a picture: {' '.join(str(error).split())}") from None
    most = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1.0
    if values.dtype == np.int32:  # sixteen bits, as the library holds them
        most = 65535
    scaled = (values if values.ndim == 3 else values[:, :, None]).astype(np.float32) / np.float32(most)
    return np.asarray(scaled, dtype=np.float32)


def read_patient(
    folder: Path, patient: str, entry: Mapping[str, Any], size: tuple[int, int], where: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]:
    """One picture as (channels, rows, columns) from 0 to 1, and its mask, both cropped as the entry says and brought to
    `size` by area averages.

    A mask pixel is inside where its average is at least a half: masks may be JPEG, whose edges are not sharp.

    Raises:
        InputError: a picture and its mask differ in size, other channels than declared, an empty mask.
    """
    path = pictures_of(folder / str(entry.get("pictures", "images")))[patient]
    values = read_picture(path, patient)
    names = tuple(entry["channels"])
    if values.shape[2] != len(names):
        raise InputError(
            f"{path}, patient {patient}: {values.shape[2]} channels; the study declares {', '.join(names)}"
        )
    down, across = (round(share * side) for share, side in zip(entry["crop"], values.shape[:2], strict=True))
    kept = (slice(down, values.shape[0] - down), slice(across, values.shape[1] - across))
    pixels = np.stack([resize(values[:, :, c][kept], size) for c in range(values.shape[2])])
    if not entry.get("mask"):
        return pixels, None
    mask_path = pictures_of(folder / str(entry["mask"]["file"]))[patient]
    mask = read_picture(mask_path, patient).mean(axis=2)
    if mask.shape != values.shape[:2]:
        told = [f"{rows} x {columns}" for rows, columns in (mask.shape, values.shape[:2])]
        raise InputError(f"{mask_path}, patient {patient}: {told[0]} pixels, its picture {told[1]}")
    if 0 < mask.max() <= 1.001 / 255:  # written as 0 and 1, which is black in a viewer
        mask = mask / mask.max()
    between = float(((mask > 0.15) & (mask < 0.85)).mean())
    if between > 0.1:
        raise InputError(
            f"{mask_path}, patient {patient}: {between:.0%} of the mask is neither 0 nor 1; a grey picture is no mask"
        )
    inside = mask[kept] >= 0.5
    if not inside.any():
        raise InputError(f"{mask_path}, patient {patient}: the mask is empty; outline a cell, or take the picture out")
    return pixels, (resize(inside.astype(np.float32), size) >= 0.5).astype(np.uint8)


def resize(plane: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A plane at another size: averages over the area of each new pixel, linear where it grows."""
    from PIL import Image

    rows, columns = size
    way = Image.Resampling.BOX if rows <= plane.shape[0] and columns <= plane.shape[1] else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((columns, rows), way), dtype=np.float32)
