"""Synthetic images leave in formats that others read, with what is needed to read them."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
from fixtures_phantoms import imaged_cohort
from PIL import Image

from haemosynth.modalities.images.export import export_images
from haemosynth.modalities.images.ingest import ingest_images, patients_of
from haemosynth.modalities.images.part import images_of
from haemosynth.publish.release import withhold_paths


def test_nifti_holds_the_values_and_comes_back_through_ingestion(tmp_path):
    images = images_of(imaged_cohort()[0]).take(range(6))
    export_images(images, tmp_path)
    table = pd.read_csv(tmp_path / "images.tsv", sep="\t")
    assert list(table["patient_id"]) == list(images.patient_id)
    assert all((tmp_path / file).is_file() for name in ("CT", "PET", "mask", "preview") for file in table[name])
    found = nibabel.load(tmp_path / table["PET"][3])
    assert np.array_equal(np.asarray(found.dataobj)[:, :, 0].T, images.pixels[3, 1])
    assert np.allclose(found.header.get_zooms()[:2], images.spacing)
    told = json.loads((tmp_path / "images.json").read_text())
    assert told["units"] == ["HU", "SUV"]
    assert told["synthetic"]
    # The written orientation is the one that ingestion reads: the same pixels on the same grid.
    channels = {
        name: {"file": f"{{patient}}_{name}.nii.gz", "unit": unit, "window": [0, 1]}
        for name, unit in (("CT", "HU"), ("PET", "SUV"))
    }
    entry = {"size": [64, 64], "spacing": list(images.spacing), "channels": channels}
    source = {"format": "nifti", "path": str(tmp_path / "nifti"), "modalities": ["images"], "images": entry}
    again = ingest_images("again", source, patients_of("again", source))
    assert np.allclose(again.pixels, images.pixels, atol=1e-2)


def test_pictures_leave_as_pictures_with_masks(tmp_path):
    images = images_of(imaged_cohort()[0]).take(range(3))
    pixels = np.random.default_rng(0).random((3, 3, 64, 64), dtype=np.float32)
    colours = replace(
        images,
        pixels=pixels,
        channels=("red", "green", "blue"),
        units=("1",) * 3,
        windows=((0.0, 1.0),) * 3,
        spacing=None,
    )
    export_images(colours, tmp_path)
    table = pd.read_csv(tmp_path / "images.tsv", sep="\t")
    with Image.open(tmp_path / table["picture"][1]) as picture:
        assert np.allclose(np.asarray(picture) / 255, pixels[1].transpose(1, 2, 0), atol=1 / 255)
    with Image.open(tmp_path / table["mask"][1]) as mask:
        assert np.array_equal(np.asarray(mask) > 127, images.mask[1] > 0)


def test_equal_images_give_equal_bytes(tmp_path):
    images = images_of(imaged_cohort()[0]).take(range(2))
    for name in ("one", "two"):
        export_images(images, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 10
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_where_images_lie_is_withheld():
    entry = {"format": "tables", "path": "/secret/a", "images": {"path": "/secret/b", "size": [64, 64]}}
    assert "secret" not in str(withhold_paths({"cohorts": {"one": entry}}, "one"))
