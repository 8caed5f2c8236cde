"""Translation between two styles: it reaches the other style, keeps masks, and is repeatable."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_pictures import pictured
from scipy.ndimage import gaussian_filter

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.modalities.images.generators import translation
from haemosynth.modalities.images.part import images_of

QUICK = translation.DEFAULTS | {"width": 12, "blocks": 1, "steps": 200, "batch": 6}


def styles():
    """One style as it is; the other, of other patients, blurred and brighter in CT."""
    first, second = images_of(pictured(60, 1)), images_of(pictured(60, 2))
    pixels = second.pixels.copy()
    pixels[:, 0] = gaussian_filter(pixels[:, 0], (0, 0.8, 0.8)) + 60
    return first, replace(second, pixels=pixels)


def test_images_take_on_the_other_style_and_come_back():
    first, second = styles()
    fitted = translation.fit(first, second, QUICK, stream(1))
    there = translation.translate(fitted, first, "forward", stream(2))
    here = translation.translate(fitted, second, "backward", stream(2))

    def level(images):
        return images.pixels[:, 0].mean()

    assert level(there) - level(first) > 0.5 * (level(second) - level(first))
    assert level(second) - level(here) > 0.5 * (level(second) - level(first))
    back = translation.translate(fitted, there, "backward", stream(2))
    distance = np.abs(back.pixels[:, 0] - first.pixels[:, 0]).mean()
    assert distance < 0.7 * np.abs(there.pixels[:, 0] - first.pixels[:, 0]).mean()
    np.testing.assert_array_equal(there.mask, first.mask)
    np.testing.assert_array_equal(there.patient_id, first.patient_id)


def test_the_same_stream_gives_the_same_images():
    first, second = styles()
    one, other = (
        translation.translate(
            translation.fit(first, second, QUICK | {"steps": 5}, stream(1)), first, "forward", stream(2)
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert np.abs(one.pixels - first.pixels).max() > 0.1  # something was learned


def test_an_untrained_translation_changes_nothing():
    first, second = styles()
    fitted = translation.fit(first, second, QUICK | {"steps": 0}, stream(1))
    there = translation.translate(fitted, first, "forward", stream(2))
    np.testing.assert_allclose(there.pixels, first.pixels, rtol=1e-4, atol=0.1)


def test_styles_that_cannot_be_translated_are_refused():
    first, second = styles()
    with pytest.raises(InputError, match="no image"):
        translation.fit(first, second.take([]), QUICK, stream(1))
    with pytest.raises(InputError, match="differ in size or channels"):
        translation.fit(first, replace(second, channels=("CT", "MR")), QUICK, stream(1))
    fitted = translation.fit(first, second, QUICK | {"steps": 0}, stream(1))
    with pytest.raises(InputError, match="expected the channels CT, PET"):
        translation.translate(fitted, replace(first, channels=("T1", "T2")), "forward", stream(1))
