"""Galleries show what they say, and the release shows no real pixel."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_figures import drawn_alike, overlapping
from fixtures_phantoms import imaged_cohort

from haemosynth.modalities.images.gallery import colour, galleries, gallery, nearest_rows, spread_rows, unit_of, views
from haemosynth.modalities.images.part import images_of


@pytest.fixture(scope="module")
def images():
    return images_of(imaged_cohort()[0])


def test_windows_and_fusion(images):
    assert views(images) == ("CT", "PET", "fused")
    ct, pet, fused = (colour(images.take([0]), view)[0] for view in views(images))
    low, high = images.windows[0]
    wanted = ((images.pixels[0, 0] - low) / (high - low)).clip(0, 1)
    assert np.allclose(ct[..., 0], wanted, atol=1 / 255)
    assert pet[0, 0].min() > 0.95  # no uptake is white
    assert np.allclose(fused[0, 0], 0, atol=0.05)  # and adds nothing to CT
    pictures = replace(
        images, pixels=np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32), mask=None, spacing=None,
        patient_id=images.patient_id[:4], channels=("red", "green", "blue"), units=("1",) * 3,
        windows=((0.0, 1.0),) * 3,
    )  # fmt: skip
    assert views(pictures) == ("colour",)
    assert np.allclose(colour(pictures, "colour"), pictures.pixels.transpose(0, 2, 3, 1))


def test_shown_images_are_of_different_patients_and_have_lesions(images):
    rows = spread_rows(images, 8)
    assert len(set(images.patient_id[rows])) == 8
    assert images.mask[rows].any(axis=(1, 2)).all()
    assert spread_rows(images.take([]), 8) == []


def test_the_nearest_training_image_of_itself_is_itself(images):
    assert nearest_rows(images.take([5, 9, 2]), images) == [5, 9, 2]


def test_a_release_shows_synthetic_images_alone(images):
    made = replace(images, pixels=images.pixels[::-1].copy())
    shown = {edition: galleries({"train": images, "default": made}, ["default"], edition) for edition in (True, False)}
    assert [title for title, *_ in shown[True]] == ["Synthetic images of default"]
    labels = [axis.get_ylabel() for _, _, figure in shown[True] for axis in figure.axes]
    assert not any("real" in label or "nearest" in label for label in labels)
    assert [title for title, *_ in shown[False]] == [
        "Real and synthetic images, default", "Nearest training images, default",
    ]  # fmt: skip
    assert galleries({"train": images}, ["default"], True) == []


def test_galleries_are_legible_and_drawn_alike(images, tmp_path):
    def draw():
        return gallery({"real": (images, spread_rows(images, 3)), "default": (images, spread_rows(images, 2))})

    figure = draw()
    assert overlapping(figure) == []
    assert any("bar 10 cm" in axis.get_xlabel() for axis in figure.axes)
    assert any("CT (HU)" in axis.get_ylabel() for axis in figure.axes)
    assert drawn_alike(draw, tmp_path)


def test_pictures_without_patients_are_told(images):
    assert unit_of(images) == ""
    assert "which pictures belong to one patient is not known" in unit_of(replace(images, info={"unit": "picture"}))


def test_the_explorer_shows_a_picture_for_each_imaged_patient_as_far_as_there_is_room():
    from haemosynth.modalities.images.explorer import of_patients

    cohort, _ = imaged_cohort(40)
    owners = set(map(str, images_of(cohort).patient_id))
    (part,) = of_patients(cohort, 10_000_000)
    assert part["kind"] == "pictures"
    assert set(part["patients"]) == owners
    assert all(source.startswith("data:image/png;base64,") for own in part["patients"].values() for source in own)
    size = len(next(iter(part["patients"].values()))[0])
    (few,) = of_patients(cohort, 3 * size)
    assert 1 <= len(few["patients"]) < len(owners)
    assert of_patients(cohort, 10) == []
    assert of_patients(cohort.replace(images=None), 10_000_000) == []
