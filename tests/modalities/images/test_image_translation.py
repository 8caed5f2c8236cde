"""Image translation: styles that images show are learned and help, styles they do not show help nobody."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_figures import overlapping
from fixtures_pictures import pictured

from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column
from haemosynth.core.streams import stream
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.stages import image_translation
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

SETTINGS = {
    "column": "scanner", "first": ["A"], "steps": 60, "repeats": 1, "replicates": 8,
    "translation": {"steps": 60, "width": 8, "blocks": 1, "learning_rate": 3e-3},
}  # fmt: skip


def scanned(cohort, labels=None):
    """Every second patient was seen by scanner B, whose images are brighter; `labels` say otherwise in the record."""
    images, patients = images_of(cohort), cohort.patients
    scanner = np.where(np.arange(len(patients)) % 2, "B", "A")
    brighter = np.isin(images.patient_id, np.asarray(patients[scanner == "B"], dtype=str))
    pixels = images.pixels.copy()
    pixels[brighter] += np.array([120, 3], dtype=np.float32)[:, None, None]
    levels = pd.Categorical(scanner if labels is None else labels, categories=["A", "B"])
    schema = replace(
        cohort.schema, columns={**cohort.schema.columns, "scanner": Column("binary", categories=("A", "B"))}
    )
    other = replace(cohort, schema=schema, clinical=cohort.clinical.assign(scanner=levels))
    return other.replace(images=replace(images, pixels=pixels))


@pytest.fixture(scope="module")
def sides():
    return tuple(pictured(110, seed, 24) for seed in (1, 2, 3))


def compared(sides, labels=None):
    real, train, candidate = (scanned(side, own) for side, own in zip(sides, (None, None, labels), strict=True))
    return Comparison(real=real, candidate=candidate, train=train, control=real)


def found(comparison, **chosen):
    settings = image_translation.DEFAULTS | SETTINGS | chosen
    known = prepare_comparison(image_translation, comparison, settings, lambda *n: stream(1, *n))
    values, _ = evaluate(image_translation, known, settings, lambda *n: stream(1, *n))
    return known, values, settings


def test_a_style_that_images_show_is_translated_and_helps(sides):
    known, values, settings = found(compared(sides))
    own = values.set_index(["metric", "target"])
    assert own.loc[("untranslated_dice", "second"), "value"] > own.loc[("untranslated_dice", "alone"), "value"] + 0.3
    for other in ("alone", "augmented"):
        assert own.loc[("translation_gain", other), "low"] > 0.2
    assert not overlapping(image_translation.figure(known, values, settings, "default"))

    rng = np.random.default_rng(0)
    shuffled = found(compared(sides, rng.permutation(np.where(np.arange(110) % 2, "B", "A"))))[1]
    mixed = shuffled.set_index(["metric", "target"])
    gain = ("translation_gain", "alone")
    assert mixed.loc[gain, "value"] < 0.5 * own.loc[gain, "value"]
    same = ("untranslated_dice", "second")  # what real images teach does not depend on the candidate
    assert mixed.loc[same, "value"] == own.loc[same, "value"]


def test_what_is_missing_is_a_reason_or_one_line(sides):
    comparison = compared(sides)
    for chosen, reason in (({"column": None}, "name its column"), ({"least": 1000}, "fewer than 1000 images")):
        known, values, settings = found(comparison, **chosen)
        assert values["reason"].str.contains(reason).all()
        image_translation.figure(known, values, settings, "default")
    for chosen, line in (({"column": "burden"}, "no column of levels 'burden'"), ({"first": ["C"]}, "no level 'C'")):
        with pytest.raises(InputError, match=line):
            found(comparison, **chosen)
