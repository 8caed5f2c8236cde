"""The description of images: known answers of phantoms, and the table drawn given the record."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from fixtures_phantoms import imaged_cohort

from haemosynth.core.streams import stream
from haemosynth.modalities.images import part
from haemosynth.modalities.images.description import COLOUR, PETCT, describe, fields_of, five_point
from haemosynth.modalities.images.generators import description_model
from haemosynth.modalities.images.generators.coding import Coding, rows_of_owners
from haemosynth.modalities.images.part import Images, images_of

SIDE, PIXEL = 64, 5.0
Y, X = np.mgrid[:SIDE, :SIDE]


def box(rows, columns):
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    inside[rows, columns] = True
    return inside


BODY, LIVER = box(slice(8, 56), slice(4, 60)), box(slice(14, 30), slice(8, 24))
BONE, MARROW = box(slice(36, 48), slice(26, 38)), box(slice(37, 47), slice(27, 37))
SPOTS = {9.0: box(slice(41, 43), slice(30, 33)), 6.0: box(slice(18, 20), slice(48, 50))}


def phantom(spots=SPOTS, liver=True) -> Images:
    """One slice without noise, of which every field is known."""
    ct = np.where(BODY, 50.0, -1000.0)
    ct[BONE], ct[MARROW] = 500.0, 200.0
    ct[8:56, 4:8] = -100.0  # fat: 4 of 56 columns
    pet = np.where(BODY, 0.75, 0.0)
    pet[MARROW] = 1.5
    if liver:
        pet[LIVER] = 2.0
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for uptake, inside in spots.items():
        pet[inside], mask[inside] = uptake, 1
    pixels = np.stack([ct, pet])[None].astype(np.float32)
    windows = ((-200.0, 400.0), (0.0, 10.0))
    return Images(np.array(["P1"]), pixels, mask[None], ("CT", "PET"), ("HU", "SUV"), windows, (PIXEL, PIXEL))


def test_a_phantom_is_described_by_what_it_was_made_of():
    row = describe(phantom()).iloc[0]
    middle = (SIDE - 1) / 2
    assert row["lesions"] == 2
    assert row["lesion_area"] == pytest.approx(10 * PIXEL**2 / 100)
    assert row["suv_max"] == 9
    assert row["suv_mean"] == pytest.approx((6 * 9 + 4 * 6) / 10)
    assert row["across"] == pytest.approx((31 - middle) * PIXEL, abs=1e-6)
    assert row["behind"] == pytest.approx((41.5 - middle) * PIXEL, abs=1e-6)
    assert row["marrow_suv"] == 1.5
    assert row["bone_hu"] == 200
    assert row["liver_suv"] == 2
    assert row["muscle_suv"] == 0.75
    assert (row["body_width"], row["body_depth"]) == (56 * PIXEL, 48 * PIXEL)
    assert row["fat"] == pytest.approx(100 * 4 / 56)
    assert row["ct_grain"] == pytest.approx(0, abs=1e-6)


def test_what_an_image_cannot_answer_is_missing_and_never_zero():
    row = describe(phantom({}, liver=False)).iloc[0]
    assert row["lesions"] == 0
    assert row[[f.name for f in PETCT if f.of == "lesions"]].isna().all()
    assert np.isnan(row["liver_suv"])
    assert np.isnan(describe(replace(phantom(), mask=None)).iloc[0]["lesions"])


@pytest.mark.parametrize(("uptake", "score"), [(1.9, 3), (3.0, 4), (4.1, 5), (None, 1)])
def test_the_score_is_read_against_the_liver_of_the_patient(uptake, score):
    spots = {} if uptake is None else {uptake: SPOTS[9.0]}
    shown, elsewhere = phantom(spots), phantom({}, liver=True)
    shown = phantom(spots, liver=False)
    table = pd.concat([describe(shown), describe(elsewhere)], ignore_index=True)
    assert five_point(table, ["A", "A"])[0] == score
    alone = five_point(table, ["A", "B"])[0]
    assert alone == 1 if uptake is None else np.isnan(alone)


def test_grain_is_the_deviation_beside_the_neighbours():
    noise = np.random.default_rng(0).normal(0, 10, (1, 1, SIDE, SIDE))
    grainy = replace(phantom(), pixels=(phantom().pixels + np.concatenate([noise, 0 * noise], 1)).astype(np.float32))
    assert describe(grainy).iloc[0]["ct_grain"] == pytest.approx(10 * np.sqrt(1.25), rel=0.12)


def test_simulated_patients_are_described_as_the_simulator_drew_them():
    cohort, truth = imaged_cohort(300)
    images, known = images_of(cohort), truth["patients"]
    table = describe(images)
    owners = images.patient_id[::2]
    number = table["lesions"].to_numpy().reshape(-1, 2).sum(axis=1)
    drawn = np.array([known[o]["lesions"] for o in owners])
    assert (number <= drawn).all()  # lesions that overlap are one
    assert np.corrcoef(number, drawn)[0, 1] > 0.85
    marrow = np.array([known[o]["marrow_SUV"] for o in images.patient_id])
    assert np.corrcoef(marrow, table["marrow_suv"])[0, 1] > 0.9
    soft = np.array([known[o]["scanner"] == 2 for o in images.patient_id])
    assert table["edge"][soft].median() < table["edge"][~soft].median()
    assert table["liver_suv"][::2].notna().mean() > 0.95
    assert table["liver_suv"][1::2].isna().all()  # no liver in the pelvis


def test_fields_of_cells_are_counted_and_compared():
    y, x = np.mgrid[:48, :48]
    pixels, mask = np.full((1, 3, 48, 48), 0.9, dtype=np.float32), np.zeros((1, 48, 48), dtype=np.uint8)
    for row, column in ((12, 12), (12, 30)):
        far = np.hypot(y - row, x - column)
        pixels[0][:, far <= 6], mask[0][far <= 6] = 0.6, 1
        pixels[0][:, far <= 4] = 0.2
    images = Images(np.array(["F"]), pixels, mask, ("red", "green", "blue"), ("1",) * 3, ((0.0, 1.0),) * 3)
    assert fields_of(images) == COLOUR
    row = describe(images).iloc[0]
    cell, nucleus = (int((np.hypot(y - 12, x - 12) <= radius).sum()) for radius in (6, 4))
    assert row["cells"] == 2
    assert row["cell_area"] == pytest.approx(100 * cell / 48**2)
    assert row["nucleus_ratio"] == pytest.approx(nucleus / (cell - nucleus))
    assert row["gap"] == pytest.approx(18 / (2 * np.sqrt(cell / np.pi)))
    assert row["field_dark"] == pytest.approx(10, abs=0.01)


@cache
def drawn_again(seed=1, again=0):
    """Descriptions of the simulated patients, the model, and two drawn ones of every patient; `again` draws anew."""
    cohort, _ = imaged_cohort(300)
    images = images_of(cohort)
    coding, rows = Coding.learn(cohort), rows_of_owners(images, cohort)
    given, places = coding.conditions(cohort, rows), coding.places(rows)
    table = describe(images)
    arrays, plain = description_model.learn(table, fields_of(images), given, rows, places, stream(seed))
    many = np.repeat(np.arange(len(cohort)), 2)
    again = description_model.draw(
        arrays, plain, coding.conditions(cohort, many), many, coding.places(many), stream(seed + 1)
    )
    return table, plain, again


def test_drawn_descriptions_keep_distributions_pairs_and_what_is_missing():
    table, _, again = drawn_again()
    for name in table:
        for place in (0, 1):
            real, made = table[name][place::2], again[name][place::2]
            assert abs(real.isna().mean() - made.isna().mean()) < 0.12, name
            if real.notna().sum() > 50:
                spread = np.subtract(*np.nanquantile(real, [0.75, 0.25]))
                assert abs(real.median() - made.median()) < 0.35 * max(spread, 1), name
    assert again["suv_max"].isna().equals(again["lesions"] == 0)
    assert set(again["lesions"]) <= set(table["lesions"])
    pairs = [("suv_max", "suv_mean"), ("lesion_area", "lesions"), ("body_width", "fat")]
    for a, b in pairs:
        real, made = (side[[a, b]].corr(method="spearman").iloc[0, 1] for side in (table, again))
        assert abs(real - made) < 0.25, (a, b)
    # A patient's two images share the marrow, as real ones do.
    real, made = (np.corrcoef(side["marrow_suv"][::2], side["marrow_suv"][1::2])[0, 1] for side in (table, again))
    assert made > 0.5 * real > 0.2


def test_descriptions_are_the_same_for_the_same_stream_and_no_training_row_is_drawn():
    table, plain, first = drawn_again()
    pd.testing.assert_frame_equal(first, drawn_again(again=1)[2])
    told = description_model.features(plain, table)
    assert np.isfinite(told).all()
    assert (np.abs(told) <= description_model.FARTHEST).all()
    both = pd.concat([table.round(1), first.round(1)])
    assert not both.duplicated()[len(table) :].any()


def test_descriptions_are_stored_with_the_images(tmp_path):
    images = phantom()
    images = replace(images, descriptions=describe(images))
    part.write(images, tmp_path / "images.zarr")
    again = part.read(tmp_path / "images.zarr")
    pd.testing.assert_frame_equal(again.descriptions, images.descriptions)
    assert len(again.take([0, 0]).descriptions) == 2
    with pytest.raises(ValueError, match="descriptions"):
        replace(images, descriptions=images.descriptions.iloc[:0])
