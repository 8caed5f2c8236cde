"""What an image shows, in some twenty numbers measured from its pixels and its mask.

The description stands between record and image: it is a small table, learned and drawn given the record
(`generators/description_model.py`), and images are drawn given it. Which fields there are follows from the channels:
PET/CT (CT in HU and PET in SUV), pictures in colour, and any others. A field that an image cannot answer, such as the
SUV of lesions where there are none or of a liver outside the slice, is missing, never 0.

Nothing here knows an atlas. Liver, marrow and body are found by rules for axial slices (`_anatomy`), which name what
they could not find by leaving it missing; lesions are those of the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.modalities.images.image_measures import lesions
from haemosynth.modalities.images.part import Images

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Field:
    """A number of the description.

    name: its column. unit: as written. about: what it is, in words. digits: decimals that are written. of: the field
    that counts the structures it is measured on, without which it is missing; empty where it needs none. low: no value
    is lower. whole: it counts.
    """

    name: str
    unit: str
    about: str
    digits: int = 1
    of: str = ""
    low: float | None = 0.0
    whole: bool = False


PETCT = (
    Field("lesions", "", "focal lesions of the slice (8-connected structures of the mask)", 0, whole=True),
    Field("lesion_area", "cm2", "area of all lesions", 2, "lesions"),
    Field("suv_max", "SUV", "highest uptake of a lesion", 1, "lesions"),
    Field("suv_mean", "SUV", "mean uptake of all lesions", 1, "lesions"),
    Field("across", "mm", "middle of the hottest lesion, from the middle of the image to the patient's left", 0,
          "lesions", None),
    Field("behind", "mm", "middle of the hottest lesion, from the middle of the image to the patient's back", 0,
          "lesions", None),
    Field("marrow_suv", "SUV", "median uptake of marrow without lesions", 2),
    Field("liver_suv", "SUV", "median uptake of the liver", 2),
    Field("muscle_suv", "SUV", "median uptake of soft tissue", 2),
    Field("bone_hu", "HU", "median CT value of marrow spaces", 0, low=None),
    Field("body_width", "mm", "width of the body", 0),
    Field("body_depth", "mm", "depth of the body from front to back", 0),
    Field("fat", "%", "share of fat in the body", 1),
    Field("ct_grain", "HU", "noise of CT in soft tissue, beside the mean of the four neighbours", 1),
    Field("pet_grain", "%", "noise of PET in the body, over the root of the uptake", 1),
    Field("edge", "HU", "steepest tenth of the changes of CT from pixel to pixel in the body", 0),
)  # fmt: skip
COLOUR = (
    Field("cells", "", "outlined structures: cells, or cells that touch", 0, whole=True),
    Field("cell_area", "%", "mean area of a structure, in parts of the field", 2, "cells"),
    Field("masked", "%", "share of the field that is outlined", 1, "cells"),
    Field("gap", "diameters", "mean distance of a structure to the nearest other one, in mean diameters", 2, "cells"),
    Field("nucleus_ratio", "", "area of nuclei over cytoplasm in outlined cells (Otsu's threshold)", 2, "cells"),
    Field("cell_dark", "%", "darkness of outlined cells", 1, "cells"),
    Field("cell_blue", "%", "blue less red in outlined cells", 1, "cells", None),
    Field("field_dark", "%", "darkness of the rest of the field", 1),
    Field("field_blue", "%", "blue less red in the rest of the field", 1, low=None),
    Field("grain", "%", "noise beside the mean of the four neighbours", 2),
)  # fmt: skip
DERIVED = "five_point"  # follows from the lesions' SUVmax and the liver's SUV, and is never drawn
HOTTER = (1.1, 2.0)  # times the liver: above it, and much above it
FEWEST = 4  # pixels of a region whose median is given
SOFT_TISSUE, FAT, BONE = (20.0, 90.0), (-150.0, -30.0), 150.0  # HU
LIVER_SUV, LIVER_AREA = (1.2, 5.0), 2000.0  # SUV between which a liver is sought; square millimetres it has at least


def fields_of(images: Images) -> tuple[Field, ...]:
    """The fields of a description of such images."""
    units = dict(zip(images.channels, images.units, strict=True))
    if units.get("CT") == "HU" and units.get("PET") == "SUV":
        return PETCT
    if len(images.channels) == 3 and set(images.units) == {"1"}:
        return COLOUR
    plain = [Field("structures", "", "outlined structures", 0, whole=True)] if images.mask is not None else []
    if images.mask is not None:
        plain.append(Field("masked", "%", "share of the image that is outlined", 2, "structures"))
    for channel, unit in zip(images.channels, images.units, strict=True):
        said = unit if unit != "1" else ""
        plain.append(Field(f"{channel} mean", said, f"mean of {channel}", 3, low=None))
        plain.append(Field(f"{channel} spread", said, f"standard deviation of {channel}", 3))
        if images.mask is not None:
            plain.append(Field(f"{channel} inside", said, f"mean of {channel} inside the mask", 3, "structures", None))
    return tuple(plain)


def describe(images: Images) -> pd.DataFrame:
    """(images, fields) float64: the description of each image, NaN where a field does not apply or was not found."""
    fields = fields_of(images)
    measure = {PETCT: _petct, COLOUR: _colour}.get(fields, _plain)
    rows = measure(images) if len(images) else []
    return pd.DataFrame(rows, columns=[field.name for field in fields], dtype=float)


def five_point(table: pd.DataFrame, owners: Sequence[str] | npt.NDArray[np.str_]) -> pd.Series:
    """(images,) the lesions' score against the liver of the patient, as IMPeTUs asks (Nanni et al., Eur J Nucl Med Mol
    Imaging 2016;43:414): 1 without lesions, 4 above the liver (by a tenth), 5 above twice the liver.

    3 stands for 2 and 3, since the mediastinal blood pool, which tells them apart, is not outlined. Missing where a
    lesion is there and none of the patient's images shows a liver.
    """
    liver = table["liver_suv"].groupby(np.asarray(owners)).transform("median")
    ratio = table["suv_max"] / liver
    score = np.select([ratio > HOTTER[1], ratio > HOTTER[0], ratio.notna()], [5.0, 4.0, 3.0], np.nan)
    return pd.Series(np.where(table["lesions"] == 0, 1.0, score), index=table.index)


def _petct(images: Images) -> list[dict[str, float]]:
    ct, pet = (images.pixels[:, images.channels.index(name)].astype(np.float64) for name in ("CT", "PET"))
    down, right = images.spacing or (1.0, 1.0)
    height, width = ct.shape[1:]
    found = lesions(images)
    count = np.bincount(found["image"].astype(int), minlength=len(images))
    rows = []
    for i in range(len(images)):
        lesion = np.zeros(ct[i].shape, dtype=bool) if images.mask is None else images.mask[i] > 0
        regions = _anatomy(ct[i], pet[i], lesion, down * right)
        body, soft = regions["body"], regions["soft tissue"]
        row = dict.fromkeys((field.name for field in PETCT), np.nan)
        if images.mask is not None:
            row["lesions"] = float(count[i])
        if lesion.any():
            row |= {"lesion_area": lesion.sum() * down * right / 100, "suv_max": pet[i][lesion].max(),
                    "suv_mean": pet[i][lesion].mean()}  # fmt: skip
            own = found[found["image"] == i]
            hottest = own.iloc[int(own["PET max"].to_numpy().argmax())]
            row["across"] = (hottest["column"] - 0.5) * (width - 1) * right
            row["behind"] = (hottest["row"] - 0.5) * (height - 1) * down
        row["marrow_suv"], row["bone_hu"] = _median(pet[i], regions["marrow"]), _median(ct[i], regions["marrow"])
        row["liver_suv"], row["muscle_suv"] = _median(pet[i], regions["liver"]), _median(pet[i], soft)
        if body.any():
            row["body_width"], row["body_depth"] = body.any(axis=0).sum() * right, body.any(axis=1).sum() * down
            row["fat"] = 100 * float(((ct[i] >= FAT[0]) & (ct[i] <= FAT[1]) & body).sum() / body.sum())
            row["ct_grain"] = _grain(ct[i], soft)
            row["pet_grain"] = 100 * _grain(pet[i], soft, np.sqrt(np.maximum(pet[i], 0.05)))
            steps = np.concatenate([np.abs(np.diff(ct[i], axis=a))[_pairs(body, a)] for a in (0, 1)])
            row["edge"] = float(np.quantile(steps, 0.9)) if len(steps) else np.nan
        rows.append(row)
    return rows


def _anatomy(ct: Array, pet: Array, lesion: Mask, pixel: float) -> dict[str, Mask]:
    """Regions of an axial slice: body, soft tissue, marrow (inside cortical bone, without lesions and their rim), liver
    (the largest piece of soft tissue with uptake in the patient's right half).  pixel: square millimetres."""
    from scipy import ndimage

    body = _largest(ct > -300)
    body = ndimage.binary_fill_holes(body)
    near = ndimage.binary_dilation(lesion, iterations=2) if lesion.any() else lesion
    soft = ndimage.binary_erosion(body & (ct >= SOFT_TISSUE[0]) & (ct <= SOFT_TISSUE[1]) & ~near)
    bone = ndimage.binary_fill_holes(body & (ct > BONE))
    # Edges of two pixels and more hold cortical bone; what encloses a lesion counts without it.
    marrow = ndimage.binary_erosion(bone) & ~near
    liver = body & (ct >= SOFT_TISSUE[0]) & (ct <= SOFT_TISSUE[1] + 10) & ~near
    liver &= (pet >= LIVER_SUV[0]) & (pet <= LIVER_SUV[1])
    liver[:, liver.shape[1] // 2 :] = False
    liver = _largest(ndimage.binary_opening(liver, iterations=2))
    if liver.sum() * pixel < LIVER_AREA:
        liver = np.zeros_like(liver)
    return {"body": body, "soft tissue": soft, "marrow": marrow, "liver": liver}


def _colour(images: Images) -> list[dict[str, float]]:
    found = lesions(images)
    height, width = images.pixels.shape[2:]
    rows = []
    for i, pixels in enumerate(images.pixels.astype(np.float64)):
        dark, blue = 1 - pixels.mean(axis=0), pixels[2] - pixels[0]
        row = dict.fromkeys((field.name for field in COLOUR), np.nan)
        inside = np.zeros(dark.shape, dtype=bool) if images.mask is None else images.mask[i] > 0
        own = found[found["image"] == i]
        if images.mask is not None:
            row["cells"] = float(len(own))
        if inside.any():
            area = inside.sum() / len(own)
            row |= {"cell_area": 100 * area / inside.size, "masked": 100 * inside.mean(),
                    "cell_dark": 100 * dark[inside].mean(), "cell_blue": 100 * blue[inside].mean()}  # fmt: skip
            nucleus = dark[inside] > _otsu(dark[inside])
            row["nucleus_ratio"] = float(nucleus.sum() / max((~nucleus).sum(), 1))
            if len(own) > 1:
                middle = own[["row", "column"]].to_numpy() * [height - 1, width - 1]
                apart = np.linalg.norm(middle[:, None] - middle[None], axis=2) + 1e9 * np.eye(len(own))
                row["gap"] = float(apart.min(axis=1).mean() / (2 * np.sqrt(area / np.pi)))
        if not inside.all():
            row["field_dark"], row["field_blue"] = 100 * dark[~inside].mean(), 100 * blue[~inside].mean()
        row["grain"] = 100 * _grain(dark, np.ones(dark.shape, dtype=bool))
        rows.append(row)
    return rows


def _plain(images: Images) -> list[dict[str, float]]:
    found = lesions(images)
    count = np.bincount(found["image"].astype(int), minlength=len(images))
    rows = []
    for i, pixels in enumerate(images.pixels.astype(np.float64)):
        row: dict[str, float] = {}
        if images.mask is not None:
            row["structures"] = float(count[i])
            row["masked"] = 100 * float(images.mask[i].mean()) if count[i] else np.nan
        for c, channel in enumerate(images.channels):
            row[f"{channel} mean"], row[f"{channel} spread"] = pixels[c].mean(), pixels[c].std()
            if images.mask is not None:
                row[f"{channel} inside"] = pixels[c][images.mask[i] > 0].mean() if count[i] else np.nan
        rows.append(row)
    return rows


def _largest(region: Mask) -> Mask:
    """The largest connected piece of a region."""
    from scipy import ndimage

    labels, count = ndimage.label(region)
    if not count:
        return np.asarray(region)
    return np.asarray(labels == 1 + int(np.bincount(labels.ravel())[1:].argmax()))


def _median(plane: Array, region: Mask) -> float:
    return float(np.median(plane[region])) if region.sum() >= FEWEST else float("nan")


def _grain(plane: Array, region: Mask, size: Array | None = None) -> float:
    """Robust deviation of pixels from the mean of their four neighbours, over `size` where it is given."""
    if region.sum() < FEWEST:
        return float("nan")
    around = np.pad(plane, 1, mode="edge")
    rest = plane - (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) / 4
    rest = rest if size is None else rest / size
    return float(1.4826 * np.median(np.abs(rest[region])))


def _pairs(region: Mask, axis: int) -> Mask:
    """Pairs of neighbours along an axis that lie both inside a region."""
    return region[1:] & region[:-1] if axis == 0 else region[:, 1:] & region[:, :-1]


def _otsu(values: Array, bins: int = 64) -> float:
    """The threshold that parts values into the two classes of least variance (Otsu, IEEE Trans Syst Man Cybern
    1979;9:62)."""
    counts, edges = np.histogram(values, bins=bins)
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = len(values) - below
    sums = np.cumsum(counts * middle)
    means: Any = (sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1))
    return float(edges[1 + int((below * above * (means[0] - means[1]) ** 2).argmax())])
