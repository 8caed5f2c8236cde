"""Intensity, texture and lesions: identity, order of the references, and corruptions made for each of them."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_figures import drawn_alike, overlapping
from fixtures_phantoms import imaged_cohort
from scipy.ndimage import gaussian_filter

from haemosynth.core.streams import stream
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.stages import intensity, lesions, texture
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

STAGES = [intensity, texture, lesions]


@pytest.fixture(scope="module")
def halves():
    cohort = imaged_cohort(400, 2, 1.0)[0]
    order = np.random.default_rng(0).permutation(len(cohort))
    real, candidate = cohort.take(order[:200]), cohort.take(order[200:])
    return Comparison(real=real, candidate=candidate, train=candidate, control=real)


def with_images(comparison, **changed):
    return replace(
        comparison, candidate=comparison.candidate.replace(images=replace(images_of(comparison.candidate), **changed))
    )


def structureless(comparison, uniform=False, seed=0):
    """Every pixel drawn alone from the images at its place, or evenly over the window."""
    images, rng = images_of(comparison.candidate), np.random.default_rng(seed)
    if uniform:
        low, high = np.array(images.windows).T[:, :, None, None]
        pixels = (low + (high - low) * rng.random(images.pixels.shape)).astype(np.float32)
        mask = (rng.random(images.mask.shape) < rng.beta(1, 1, (len(images), 1, 1))).astype(np.uint8)
    else:
        pixels, mask = rng.permuted(images.pixels, axis=0), rng.permuted(images.mask, axis=0)
    return with_images(comparison, pixels=pixels, mask=mask)


@pytest.mark.parametrize("stage", STAGES)
def test_identity_is_perfect(stage, halves, scored):
    found = scored(stage, replace(halves, candidate=halves.real, train=halves.real))
    assert len(found) >= 2
    assert all(value == pytest.approx(0, abs=1e-9) for value in found.values())


@pytest.mark.parametrize("stage", STAGES)
def test_real_images_are_far_better_than_structureless_ones(stage, halves, scored):
    floors = {metric.name: metric.references[1] for metric in stage.METRICS}
    real = scored(stage, halves)
    joint, even = scored(stage, structureless(halves)), scored(stage, structureless(halves, uniform=True))
    for key, value in real.items():
        assert value < 0.5 * (joint if floors[key[0]] == "independent" else even)[key], key


@pytest.mark.parametrize("stage", STAGES)
def test_intervals_cover_and_come_from_resampled_patients(stage, halves):
    settings = stage.DEFAULTS | {"repeats": 1, "replicates": 12}

    def streams(*names):
        return stream(1, *map(str, names))

    comparison = prepare_comparison(stage, halves, settings, streams)
    table, _ = evaluate(stage, comparison, settings, streams)
    ours = table[(table["target"] == "all") & (table["status"] == "ok")]
    assert len(ours) == len(stage.METRICS)
    assert (ours["low"] <= ours["high"]).all()
    assert (ours["high"] > ours["low"]).any()


def test_blur_is_seen_in_the_spectrum_and_in_texture_and_not_in_the_histogram(halves, scored):
    pixels = images_of(halves.candidate).pixels
    smooth = with_images(halves, pixels=gaussian_filter(pixels, (0, 0, 0.8, 0.8)))
    before, after = scored(intensity, halves), scored(intensity, smooth)
    key = ("noise_distance", "all", "images")
    assert after[key] > 5 * before[key]
    assert after["intensity_distance", "all", "images"] < 0.02
    key = ("texture_distance", "all", "images")
    assert scored(texture, smooth)[key] > 2 * scored(texture, halves)[key]


def test_a_wrong_rescale_is_seen(halves, scored):
    shifted = images_of(halves.candidate).pixels.copy()
    shifted[:, 0] += 100
    key = ("intensity_distance", "all", "images")
    assert scored(intensity, with_images(halves, pixels=shifted))[key] > 5 * scored(intensity, halves)[key]


def test_lesions_that_moved_grew_or_cooled_are_seen(halves, measured):
    images = images_of(halves.candidate)
    before = measured(lesions, halves)
    rolled = measured(lesions, with_images(halves, mask=np.roll(images.mask, 20, axis=1)))
    assert rolled["lesion_site_distance", "all", "images"] > 4 * before["lesion_site_distance", "all", "images"]
    cold = images.pixels.copy()
    cold[:, 1][images.mask > 0] *= 0.4
    cooled = measured(lesions, with_images(halves, pixels=cold))
    for key in (("lesion_feature_distance", "PET max", "images"), ("lesion_burden_distance", "all", "images")):
        assert cooled[key] > 2 * before[key]
    assert cooled["lesion_feature_distance", "area", "images"] == before["lesion_feature_distance", "area", "images"]
    emptied = images.mask.copy()
    emptied[::2] = 0
    fewer = measured(lesions, with_images(halves, mask=emptied))
    assert fewer["lesion_count_distance", "all", "images"] > before["lesion_count_distance", "all", "images"] + 0.1


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_to_compare_is_told(stage, halves, measured):
    for side in ("real", "candidate"):
        empty = getattr(halves, side).replace(images=images_of(halves.real).take([]))
        comparison = prepare_comparison(
            stage, replace(halves, **{side: empty}), stage.DEFAULTS, lambda *names: np.random.default_rng(0)
        )
        values = stage.measure(comparison, stage.DEFAULTS, np.random.default_rng(0))
        assert {value.metric for value in values} == {metric.name for metric in stage.METRICS}
        assert all(value.reason for value in values)
    bare = with_images(halves, mask=None)
    assert all(np.isnan(value) for value in measured(lesions, bare).values())


@pytest.mark.parametrize("stage", STAGES)
def test_the_figure_is_legible_and_drawn_alike(stage, halves, tmp_path):
    settings = stage.DEFAULTS | {"repeats": 1, "replicates": 3}

    def streams(*names):
        return np.random.default_rng(0)

    comparison = prepare_comparison(stage, halves, settings, streams)
    table, _ = evaluate(stage, comparison, settings, streams)

    def draw():
        return stage.figure(comparison, table, settings, "default")

    assert overlapping(draw()) == []
    assert drawn_alike(draw, tmp_path)
