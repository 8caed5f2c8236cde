"""Measurements of images against independent implementations and known answers."""

from dataclasses import replace

import mahotas
import numpy as np
import pytest
from fixtures_phantoms import imaged_cohort

from haemosynth.modalities.images.image_measures import (
    LEVELS,
    Owned,
    haralick,
    histograms,
    lesions,
    measure_shares,
    spectra,
    textures,
)
from haemosynth.modalities.images.part import Images, images_of


def images_with(pixels, mask=None, windows=((0.0, 1.0),), spacing=None):
    owners = np.array([f"P{i}" for i in range(len(pixels))])
    names = tuple("abc"[: pixels.shape[1]])
    return Images(owners, pixels.astype(np.float32), mask, names, ("1",) * len(names), windows, spacing)


def test_haralick_equals_mahotas_on_all_thirteen_features():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(6, 40, 30)), axis=1)
    grey = np.clip(16 + 3 * smooth, 0, LEVELS - 1).astype(np.uint8)
    grey[:, 0, 0] = LEVELS - 1  # mahotas takes the largest value for the number of levels
    ours = haralick(grey)
    theirs = np.array([mahotas.features.haralick(image, return_mean=True) for image in grey])
    assert np.allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_a_flat_image_has_no_texture():
    found = haralick(np.full((1, 8, 8), 5))[0]
    assert found[0] == 1  # angular second moment
    assert found[1] == found[8] == 0  # contrast, entropy
    assert np.isfinite(found).all()


def test_histograms_hold_every_pixel_once_and_masks_their_own():
    images = images_of(imaged_cohort()[0])
    whole, inside = histograms(images, 32), histograms(images, 32, inside=True)
    assert np.allclose(whole.values.sum(axis=2), 1)
    assert np.array_equal(inside.values.sum(axis=(1, 2)) > 0, images.mask.any(axis=(1, 2)))
    wanted = np.histogram(np.clip(images.pixels[0, 1], 0, 10 - 1e-6), 32, (0, 10))[0] / 64**2
    assert np.allclose(whole.values[0, 1], wanted, atol=2 / 64**2)  # single precision at the edge of a bin


def test_the_spectrum_of_white_noise_is_flat_and_a_wave_stands_in_its_band():
    rng = np.random.default_rng(1)
    flat = spectra(images_with(0.5 + 0.05 * rng.standard_normal((60, 1, 64, 64))), 16).values.mean(axis=0)[0]
    assert flat[1:] == pytest.approx(np.full(15, 0.05**2), rel=0.15)  # Parseval
    wave = 0.5 + 0.2 * np.cos(2 * np.pi * 0.25 * np.arange(64))
    band = spectra(images_with(np.broadcast_to(wave, (1, 1, 64, 64))), 16).values[0, 0].argmax()
    assert band in (7, 8)


def test_lesions_of_known_shape():
    mask = np.zeros((2, 20, 20), dtype=np.uint8)
    mask[0, 2:6, 3:11] = 1  # 4 x 8
    mask[0, 12:15, 12:15] = 1
    mask[1, 5, 5] = mask[1, 6, 6] = 1  # connected by a corner
    pixels = np.zeros((2, 1, 20, 20))
    pixels[0, 0, 2:6, 3:11] = np.arange(32).reshape(4, 8)
    table = lesions(images_with(pixels, mask, ((0.0, 32.0),), (2.0, 3.0)))
    assert list(table["image"]) == [0, 0, 1]
    assert list(table["area"]) == [32 * 6, 9 * 6, 2 * 6]
    assert table["a mean"][0] == np.arange(32).mean()
    assert table["a max"][0] == 31
    assert table["roundness"][0] == pytest.approx(0.5)
    assert table["roundness"][1] == pytest.approx(1.0)
    assert table["row"][0] == pytest.approx(3.5 / 19)
    assert lesions(images_with(pixels, np.zeros_like(mask))).empty


def test_values_follow_their_patients_however_often_they_stand():
    cohort = imaged_cohort()[0]
    owned = Owned(images_of(cohort).patient_id, np.arange(len(images_of(cohort)), dtype=float))
    positions = np.random.default_rng(2).integers(len(cohort), size=200)
    part = cohort.take(positions)
    assert list(owned.owners[owned.rows(part)]) == list(images_of(part).patient_id)
    assert np.array_equal(images_of(cohort).pixels[owned.rows(part)], images_of(part).pixels)


def test_bins_of_few_patients_are_not_shown():
    values, owners = np.array([0.1] * 6 + [0.9] * 6), np.array(["a"] * 6 + list("abcdef"))
    assert list(measure_shares(values, owners, np.array([0.0, 0.5, 1.0]), 5)) == [0, 0.5]


def test_texture_is_of_each_channel_alone():
    images = images_of(imaged_cohort()[0]).take(range(6))
    other = images.pixels.copy()
    other[:, 1] = 0
    first, second = textures(images).values, textures(replace(images, pixels=other)).values
    assert np.array_equal(first[:, :13], second[:, :13])
    assert not np.allclose(first[:, 13:], second[:, 13:])
