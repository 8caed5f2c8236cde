"""A planted copy is caught, whatever was done to it; images of patients who were never seen pass."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_figures import drawn_alike, overlapping
from fixtures_phantoms import imaged_cohort
from scipy.ndimage import gaussian_filter

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Schema
from haemosynth.modalities.images.description import describe
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.stages import image_memorisation as stage
from haemosynth.privacy.release_check import gate, verdict
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

KEYS = [(name, "all", "images") for name in ("image_copies", "image_nearer_to_train", "image_copies_caught")]


@pytest.fixture(scope="module")
def cohort():
    return imaged_cohort(300, 3, 1.0)[0]


@pytest.fixture(scope="module")
def comparison(cohort):
    """train 120, unseen 100, and 80 others offered as the release."""
    order = np.random.default_rng(1).permutation(len(cohort))
    train, real, release = np.split(order, [120, 220])
    release = cohort.take(release)
    return Comparison(real=cohort.take(real), candidate=release, train=cohort.take(train), control=cohort.take(real))


def leaking(comparison, patients, change):
    """The release with the images of its first patients replaced by changed copies of training images."""
    images = images_of(comparison.candidate)
    owners = list(comparison.candidate.patients[:patients])
    stolen = images_of(comparison.train).of(list(comparison.train.patients[:patients])).pixels
    pixels = images.pixels.copy()
    rows = np.concatenate([np.flatnonzero(images.patient_id == owner) for owner in owners])
    pixels[rows] = change(stolen)
    return replace(comparison, candidate=comparison.candidate.replace(images=replace(images, pixels=pixels)))


def blurred(pixels):
    return gaussian_filter(pixels, (0, 0, 0.6, 0.6))


def test_unseen_patients_pass(comparison, measured):
    found = measured(stage, comparison)
    copies, nearer, caught = (found[key] for key in KEYS)
    assert copies <= 0.01
    assert nearer <= found["image_memorisation_chance", "image_nearer_to_train", "images"]
    assert caught > 0.8


@pytest.mark.parametrize(
    "change",
    [np.copy, blurred, lambda p: p[..., ::-1], lambda p: blurred(p) * 1.02],
    ids=["exact", "blur", "mirror", "gain"],
)
def test_a_planted_copy_is_caught(comparison, measured, change):
    """A tenth of the patients: about that share is found, and the gate shuts."""
    found = measured(stage, leaking(comparison, 8, change))
    assert found[KEYS[0]] == pytest.approx(0.1, abs=0.03)


def test_patients_are_the_unit_and_not_images(comparison, measured):
    """One copied patient counts as one of eighty, though his images are shown ten times over."""
    leak = leaking(comparison, 1, np.copy)
    images = images_of(leak.candidate)
    rows = np.flatnonzero(images.patient_id == leak.candidate.patients[0])
    many = images.take([*np.repeat(rows, 10), *np.setdiff1d(np.arange(len(images)), rows)])
    found = measured(stage, replace(leak, candidate=leak.candidate.replace(images=many)))
    assert found[KEYS[0]] == pytest.approx(1 / 80, abs=0.004)


def test_the_training_patients_themselves_are_the_worst_case(comparison, measured):
    found = measured(stage, replace(comparison, candidate=comparison.train))
    assert found[KEYS[0]] == pytest.approx(1)
    assert found[KEYS[1]] == pytest.approx(1)


def test_the_measurements_of_training_patients_give_them_away_and_those_of_others_do_not(comparison, measured):
    key = ("image_membership_auc", "all", "images")
    chance = ("image_memorisation_chance", "image_membership_auc", "images")
    fresh, real = measured(stage, comparison), measured(stage, replace(comparison, candidate=comparison.train))
    assert fresh[key] <= fresh[chance] < 0.9 < real[key]
    assert real[key] == max(real[key[0], name, "images"] for name in ("values_2", "values_10"))


def test_descriptions_of_training_patients_give_them_away_though_the_images_are_of_others(comparison, measured):
    """Descriptions are released as a table: those of training patients are found, those of unseen ones are not."""
    images = images_of(comparison.candidate)
    chance = ("image_memorisation_chance", "image_membership_auc", "images")
    area = {}
    for side, described in (("train", images_of(comparison.train)), ("own", images)):
        table = describe(described).iloc[np.arange(len(images)) % len(described)].reset_index(drop=True)
        candidate = comparison.candidate.replace(images=replace(images, descriptions=table))
        found = measured(stage, replace(comparison, candidate=candidate))
        area[side] = max(found["image_membership_auc", f"description values_{k}", "images"] for k in (2, 10))
        assert found["image_membership_auc", "all", "images"] >= area[side]
    assert area["train"] > 0.8
    assert area["own"] <= found[chance]


def bare(cohort, positions):
    part = cohort.take(positions)
    return Cohort.of(Schema("few", {}), pd.DataFrame(index=part.patients), images=images_of(part))


@pytest.mark.parametrize("copied", [0, 1, 3])
def test_the_gate_of_twelve_patients_without_a_record_shuts_on_one_copied_patient(cohort, copied):
    train, unseen, release = bare(cohort, range(7)), bare(cohort, range(7, 12)), bare(cohort, range(12, 19))
    comparison = Comparison(real=unseen, candidate=release, train=train, control=unseen)
    if copied:
        comparison = leaking(comparison, copied, blurred)
    settings = stage.DEFAULTS | {"repeats": 1, "replicates": 5}

    def streams(*names):
        return np.random.default_rng(4)

    table, _ = evaluate(stage, prepare_comparison(stage, comparison, settings, streams), settings, streams)
    table = table.assign(cohort="few", generator="default", seed=1, pillar="privacy", stage="image_memorisation")
    checks = gate(table, {}, modalities=["images"])
    assert len(checks) == 4
    assert verdict(checks) == (copied == 0)


def test_nothing_to_compare_is_told_and_does_not_pass(comparison):
    empty = comparison.candidate.replace(images=images_of(comparison.candidate).take([]))
    known = prepare_comparison(
        stage, replace(comparison, candidate=empty), stage.DEFAULTS, lambda *names: np.random.default_rng(0)
    )
    values = stage.measure(known, stage.DEFAULTS, np.random.default_rng(0))
    assert {value.metric for value in values} == {metric.name for metric in stage.METRICS}
    assert all(value.reason for value in values)


def test_the_figure_is_legible_and_drawn_alike(comparison, tmp_path):
    settings = stage.DEFAULTS | {"repeats": 1, "replicates": 3}

    def streams(*names):
        return np.random.default_rng(0)

    known = prepare_comparison(stage, comparison, settings, streams)
    table, _ = evaluate(stage, known, settings, streams)

    def draw():
        return stage.figure(known, table, settings, "default")

    assert overlapping(draw()) == []
    assert drawn_alike(draw, tmp_path)
