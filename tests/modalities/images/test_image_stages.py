"""Stages of images: references stand in their order, planted faults are found, and small cohorts get reasons."""

import hashlib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from fixtures_figures import drawn_alike, overlapping
from fixtures_pictures import pictured
from monai.metrics import DiceMetric
from scipy.ndimage import gaussian_filter

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.modalities.images import image_features
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.reference import reference
from haemosynth.modalities.images.stages import (
    image_classes,
    image_coherence,
    image_coverage,
    image_quality,
    segmentation,
)
from haemosynth.modalities.images.stages.segmenter import dice, hausdorff, structures
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

QUICK = {"side": 32}
SEGMENTATION = {"steps": 60, "shares": [1.0]}
STAGES = {
    image_quality: QUICK | {"halvings": 20}, image_coverage: QUICK, image_coherence: QUICK,
    segmentation: SEGMENTATION, image_classes: QUICK | {"column": "arm"},
}  # fmt: skip


def once(features):
    """The features of the same images are computed once for all tests."""
    known = {}

    def looked_up(images, *settings):
        content = hashlib.sha256(images.pixels.tobytes())
        content.update(b"" if images.mask is None else images.mask.tobytes())
        key = content.digest(), images.pixels.shape, images.mask is None, settings
        if key not in known:
            known[key] = features(images, *settings)
        return known[key].copy()

    return looked_up


@pytest.fixture(scope="module", autouse=True)
def features_once():
    with pytest.MonkeyPatch.context() as patch:
        radiomic = once(image_features.radiomic)
        patch.setattr(image_features, "embed", once(image_features.embedded))
        patch.setattr(image_features, "radiomic", radiomic)
        patch.setattr(image_quality, "radiomic", radiomic)
        yield


@pytest.fixture(scope="module")
def pictures():
    """Held-out patients, training patients, and further real patients as the candidate."""
    real, train, other = (pictured(140, seed, 24) for seed in (1, 2, 3))
    return Comparison(real=real, candidate=other, train=train, control=real)


@pytest.fixture(scope="module")
def good(pictures, measured):
    """good(stage): what further real patients as the candidate measure, computed once."""
    return cache(lambda stage: of(measured, stage, pictures))


@pytest.fixture(scope="module")
def floor(structureless, measured):
    """floor(stage): what images without structure measure, computed once."""
    return cache(lambda stage: of(measured, stage, structureless))


def with_candidate(comparison, candidate, **images):
    return replace(comparison, candidate=candidate.replace(images=replace(images_of(candidate), **images)))


def of(measured, stage, comparison):
    found = measured(stage, comparison, **STAGES[stage])
    return {metric: value for (metric, target, _), value in found.items() if target == "all"}


@pytest.fixture(scope="module")
def structureless(pictures):
    other = pictures.candidate
    images = reference("independent", pictures.train, other.replace(images=None), np.random.default_rng(0))
    return replace(pictures, candidate=other.replace(images=images))


def test_blurred_images_are_found(pictures, good, measured):
    blurred = gaussian_filter(images_of(pictures.candidate).pixels, (0, 0, 1, 1))
    bad = of(measured, image_quality, with_candidate(pictures, pictures.candidate, pixels=blurred))
    for metric in ("kernel_distance", "radiomic_distance"):
        assert bad[metric] > 20 * abs(good(image_quality)[metric])


def test_quality_stands_between_its_references(pictures, floor, measured):
    found = measured(image_quality, pictures, **STAGES[image_quality])
    for metric in ("kernel_distance", "radiomic_distance"):
        chance = found["distance_by_chance", metric, "images"]
        assert found[metric, "all", "images"] < 2 * chance  # real images are as near as halves of the holdout are
        assert floor(image_quality)[metric] > 20 * chance


def test_a_candidate_that_repeats_few_images_is_found(pictures, good, measured):
    rows = np.arange(len(images_of(pictures.candidate))) % 6
    again = images_of(pictures.candidate).take(rows)
    collapsed = with_candidate(pictures, pictures.candidate, pixels=again.pixels, mask=again.mask)
    whole, bad = good(image_coverage), of(measured, image_coverage, collapsed)
    assert bad["image_recall"] < 0.5 * whole["image_recall"]
    assert bad["image_coverage"] < 0.5 * whole["image_coverage"]
    assert abs(whole["image_variability"] - 1) < 0.15


def test_coverage_stands_between_its_references(good, floor):
    high, low = good(image_coverage), floor(image_coverage)
    for metric in ("image_precision", "image_recall", "image_coverage"):
        assert high[metric] > low[metric] + 0.3
    assert abs(np.log(high["image_variability"])) < abs(np.log(low["image_variability"]))


def test_images_given_to_other_patients_are_found(pictures, good, floor, measured):
    owners = images_of(pictures.candidate).patient_id
    other = dict(zip(np.unique(owners), np.random.default_rng(0).permutation(np.unique(owners)), strict=True))
    shuffled = with_candidate(pictures, pictures.candidate, patient_id=np.array([other[o] for o in owners]))
    whole, bad = good(image_coherence), of(measured, image_coherence, shuffled)
    assert whole["reading_real"] > 0.6
    assert abs(whole["reading_shuffled"]) < 0.2
    assert whole["coherence_error"] < 0.15
    assert bad["coherence_error"] > 0.5
    assert floor(image_coherence)["coherence_error"] > 0.5


def test_training_patients_as_the_candidate_are_read_by_who_has_not_seen_them(pictures, measured):
    train = of(measured, image_coherence, replace(pictures, candidate=pictures.train))
    assert train["coherence_error"] < 0.15


def test_a_record_that_the_images_do_not_show_gets_a_reason(pictures, measured):
    rng = np.random.default_rng(0)
    noise = {
        side: cohort.replace(
            images=replace(images_of(cohort), pixels=rng.normal(size=images_of(cohort).pixels.shape).astype(np.float32))
        )
        for side, cohort in (("real", pictures.real), ("candidate", pictures.candidate), ("train", pictures.train))
    }
    blank = {k: c.replace(images=replace(images_of(c), mask=None)) for k, c in noise.items()}
    assert np.isnan(of(measured, image_coherence, replace(pictures, **blank))["coherence_error"])


def test_masks_beside_their_structures_are_found(pictures, good, measured):
    moved = np.roll(images_of(pictures.candidate).mask, (4, 4), axis=(1, 2))
    whole = good(segmentation)
    bad = of(measured, segmentation, with_candidate(pictures, pictures.candidate, mask=moved))
    assert whole["dice_synthetic"] > 0.6
    assert bad["dice_synthetic"] < whole["dice_synthetic"] - 0.2
    assert bad["hausdorff_synthetic"] > whole["hausdorff_synthetic"]
    assert bad["dice_gain"] < 0.05
    assert bad["dice_real"] == whole["dice_real"]  # what real images teach does not depend on the candidate


def test_images_without_structure_teach_less(good, floor):
    assert good(segmentation)["dice_synthetic"] > floor(segmentation)["dice_synthetic"] + 0.15


def test_dice_is_that_of_monai_and_hausdorff_of_known_outlines():
    rng = np.random.default_rng(0)
    true, found = rng.random((6, 16, 16)) < 0.3, rng.random((6, 16, 16)) < 0.3
    both = [torch.tensor(side[:, None].astype(np.float32)) for side in (found, true)]
    np.testing.assert_allclose(dice(true, found), DiceMetric()(*both)[:, 0].numpy(), rtol=1e-6)
    square, shifted = np.zeros((1, 20, 20), bool), np.zeros((1, 20, 20), bool)
    square[0, 5:10, 5:10], shifted[0, 5:10, 8:13] = True, True
    assert hausdorff(square, shifted, (1.0, 2.0))[0] == pytest.approx(6)
    assert hausdorff(square, square, (1.0, 1.0))[0] == 0
    nothing = np.zeros_like(square)
    assert hausdorff(square, nothing, (3.0, 4.0))[0] == pytest.approx(100)
    assert np.isnan(hausdorff(nothing, square, (1.0, 1.0))[0])
    assert np.isnan(dice(nothing, square)[0])
    assert [part.sum() for part in structures(square[0] | np.roll(square[0], 8, axis=1))] == [25, 25]


def test_classes_given_at_random_are_found(pictures, good, measured):
    whole = good(image_classes)
    candidate = pictures.candidate
    arms = candidate.clinical["arm"].sample(frac=1, random_state=0).array
    spoilt = replace(pictures, candidate=replace(candidate, clinical=candidate.clinical.assign(arm=arms)))
    bad = of(measured, image_classes, spoilt)
    for metric in ("class_auc_synthetic", "class_auc_reverse"):
        assert whole[metric] > 0.9
        assert bad[metric] < 0.7
    assert whole["class_auc_real"] > 0.9


def test_one_class_gets_a_reason_and_a_column_of_numbers_is_refused(pictures):
    settings = image_classes.DEFAULTS | QUICK
    whole = prepare_comparison(
        image_classes, pictures, settings, lambda *n: stream(1, *n)
    )  # every picture has a structure
    values = image_classes.measure(whole, settings, np.random.default_rng(0))
    assert all("fewer than two classes" in value.reason for value in values)
    with pytest.raises(InputError, match="no column of levels"):
        image_classes.classes(pictures.real, "burden")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__.split(".")[-1])
def test_few_or_no_images_get_a_reason(stage, pictures):
    settings = stage.DEFAULTS | STAGES[stage] | {"repeats": 1, "replicates": 0}
    few = pictures.candidate.replace(images=images_of(pictures.candidate).take([0]))
    none = pictures.candidate.replace(images=images_of(pictures.candidate).take([]))
    for candidate in (few, none):
        known = prepare_comparison(stage, replace(pictures, candidate=candidate), settings, lambda *n: stream(1, *n))
        values, _ = evaluate(stage, known, settings, lambda *n: stream(1, *n))
        assert (values.status == "not_applicable").any()
        stage.figure(known, values, settings, "synthetic")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__.split(".")[-1])
def test_figures_are_legible_and_drawn_alike_twice(stage, pictures, tmp_path):
    settings = stage.DEFAULTS | STAGES[stage] | {"repeats": 1, "replicates": 8}
    if stage is segmentation:
        settings |= {"steps": 5, "shares": [0.5, 1.0]}  # drawn alike, however little was learned
    known = prepare_comparison(stage, pictures, settings, lambda *n: stream(1, *n))
    values, _ = evaluate(stage, known, settings, lambda *n: stream(1, *n))
    again, _ = evaluate(stage, known, settings, lambda *n: stream(1, *n))
    assert values.equals(again)
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    for row in values[values.status == "ok"].itertuples():
        assert bounds[row.metric][0] <= row.value <= bounds[row.metric][1]
    assert not overlapping(stage.figure(known, values, settings, "default"))
    assert drawn_alike(lambda: stage.figure(known, values, settings, "default"), tmp_path)
