"""Synthetic images in the formats that others read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.files import replacing, write_json, write_table
from haemosynth.core.streams import stream
from haemosynth.modalities.images.description import DERIVED, fields_of, five_point
from haemosynth.modalities.images.gallery import COLOUR, colour, unit_of, views
from haemosynth.modalities.images.part import Images, has_images, images_of
from haemosynth.modalities.images.report import write_report
from haemosynth.privacy.tiers import stamp_name


def export_images(images: Images, folder: Path, tier: str = "open", balanced: bool = False) -> None:
    """Write images, their masks, and what is needed to read them.

    Those with a spacing leave as NIfTI, one file per image and channel (`nifti/`, masks beside), in the unit of the
    channel, with PNG previews in the windows (`previews/`); others as PNG pictures (`pictures/`, `masks/`).
    `images.tsv` lists every image with its patient, `images.json` channels, units, windows and spacing. Images that
    were drawn from descriptions leave with these, as numbers (`descriptions.tsv`, empty where a field is missing) and
    in words (`reports.tsv`). All names say to whom the release may go, where that is not everybody, and whether the
    cohort is balanced.
    """
    names = _names(images)
    views_of = views(images)
    rows = []
    for i, name in enumerate(names):
        files = {}
        if images.spacing is not None:
            for c, channel in enumerate(images.channels):
                files[channel] = f"nifti/{name}_{channel}.nii.gz"
                _write_nifti(images.pixels[i, c], images.spacing, folder / files[channel])
            if images.mask is not None:
                files["mask"] = f"nifti/{name}_mask.nii.gz"
                _write_nifti(images.mask[i], images.spacing, folder / files["mask"])
            files["preview"] = f"previews/{name}.png"
            one = images.take([i])
            _write_png(np.hstack([colour(one, view)[0] for view in views_of]), folder / files["preview"])
        else:
            files["picture"] = f"pictures/{name}.png"
            view = COLOUR if views_of == (COLOUR,) else views_of[0]
            _write_png(colour(images.take([i]), view)[0], folder / files["picture"])
            if images.mask is not None:
                files["mask"] = f"masks/{name}.png"
                _write_png(images.mask[i].astype(np.float32), folder / files["mask"])
        rows.append({"image": name, "patient_id": images.patient_id[i], **files})
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["image", "patient_id"])
    write_table(table, folder / stamp_name("images.tsv", tier, balanced))
    if images.descriptions is not None:
        _write_descriptions(images, names, folder, tier, balanced)
    write_json(
        {
            "channels": list(images.channels),
            "units": list(images.units),
            "windows": [list(window) for window in images.windows],
            "spacing_mm": None if images.spacing is None else list(images.spacing),
            "orientation": "rows from front to back, columns from the patient's right to left"
            if images.spacing
            else "",
            "synthetic": True,
        },
        folder / stamp_name("images.json", tier, balanced),
    )


def _write_descriptions(images: Images, names: list[str], folder: Path, tier: str, balanced: bool) -> None:
    """What images were drawn from, as a table and in words."""
    assert images.descriptions is not None
    fields = fields_of(images)
    known = images.descriptions[[field.name for field in fields]]
    table = pd.DataFrame({"image": names, "patient_id": images.patient_id})
    table = pd.concat([table, known.reset_index(drop=True)], axis=1)
    if "liver_suv" in table:
        table[DERIVED] = five_point(table, images.patient_id)
    write_table(table, folder / stamp_name("descriptions.tsv", tier, balanced))
    # Which phrasing is taken says nothing: the same for the same release.
    rng = stream(0, "reports")
    texts = [write_report(row, fields, rng) for _, row in known.iterrows()]
    write_table(pd.DataFrame({"image": names, "report": texts}), folder / stamp_name("reports.tsv", tier, balanced))


def _names(images: Images) -> list[str]:
    """patient_1, patient_2, ...: the images of each patient are counted."""
    count = pd.Series(images.patient_id).groupby(images.patient_id).cumcount() + 1
    return [f"{patient}_{number}" for patient, number in zip(images.patient_id.tolist(), count, strict=True)]


def _write_nifti(plane: np.ndarray, spacing: tuple[float, float], path: Path) -> None:
    """One slice, columns first as NIfTI has it; columns run to the patient's left and rows to the back."""
    import gzip

    import nibabel

    affine = np.diag([-spacing[1], -spacing[0], 1.0, 1.0])
    image = nibabel.Nifti1Image(np.ascontiguousarray(plane.T[:, :, None]), affine)  # type: ignore[attr-defined,no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    with replacing(path) as temporary:
        # No time in the header of the compression: equal images, equal bytes.
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def _write_png(colours: np.ndarray, path: Path) -> None:
    """Values from 0 to 1, grey or in colours, as eight bits."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(np.rint(colours * 255).astype(np.uint8)).save(temporary, format="PNG")


def describe(cohort: Cohort, tier: str = "open", balanced: bool = False) -> list[str]:
    """What is said of images, where there are any."""
    if not has_images(cohort):
        return []
    images = images_of(cohort)
    channels = ", ".join(f"{c} ({u})" if u != "1" else c for c, u in zip(images.channels, images.units, strict=True))
    size = " x ".join(map(str, images.pixels.shape[2:]))
    apart = f", {images.spacing[0]:g} x {images.spacing[1]:g} mm each" if images.spacing else ""
    owners = len(set(images.patient_id.tolist()))
    masks = "with masks" if images.mask is not None else "without masks"
    told = unit_of(images)
    return [
        f"- images: {len(images)} of {owners} patients, {size} pixels{apart}, {channels}, {masks} (`images/`)",
        *([f"- {told}"] if told else []),
    ]


def export(cohort: Cohort, folder: Path, tier: str = "open", balanced: bool = False) -> None:
    """Write the images of a released cohort in the formats that others read, under `images/`."""
    if has_images(cohort):
        export_images(images_of(cohort), folder / "images", tier, balanced)


def withhold(entry: Mapping[str, Any], word: str) -> dict[str, Any]:
    """The image entry of a cohort with this word in place of what tells of patients: weights, by name."""
    if not isinstance(channels := entry.get("channels"), Mapping):
        return dict(entry)
    hidden = {name: {**known, "weights": word} if "weights" in known else known for name, known in channels.items()}
    return {**entry, "channels": hidden}
