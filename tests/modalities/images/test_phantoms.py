"""Phantoms keep their anatomy and the truth that ties them to the record."""

import numpy as np
import pandas as pd
import pytest
from fixtures_phantoms import imaged_cohort
from fixtures_small import RESOURCES, small_cohort

from haemosynth.core.errors import InputError
from haemosynth.modalities.images import simulate
from haemosynth.modalities.images.image_measures import lesions
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.simulate import simulate_images


def test_a_part_of_the_patients_has_a_trunk_and_a_pelvis_each():
    cohort, truth = imaged_cohort()
    images = images_of(cohort)
    owners, counts = np.unique(images.patient_id, return_counts=True)
    assert len(owners) == 150
    assert set(counts) == {2}
    assert set(owners) == set(truth["patients"]) <= set(cohort.patients)
    assert (images.channels, images.units) == (("CT", "PET"), ("HU", "SUV"))
    assert images.pixels.shape[1:] == (2, 64, 64)


def test_pixels_are_those_of_bodies():
    images = images_of(imaged_cohort()[0])
    ct, pet = images.pixels[:, 0], images.pixels[:, 1]
    assert np.median(ct[:, :3, :3]) == pytest.approx(-1000, abs=10)  # air in the corner
    assert ct.max(axis=(1, 2)).min() > 200  # bone in every image
    body = ct > -300
    assert 0.2 < body.mean() < 0.6
    assert pet[body].mean() > 5 * pet[~body].mean()
    assert (pet >= 0).all()
    # The bladder is the hottest place of a pelvis, in front of the middle.
    row = pet[1::2].mean(axis=0).argmax() // 64
    assert row < 32


def test_lesions_are_hot_and_lie_in_the_mask():
    cohort, truth = imaged_cohort()
    images = images_of(cohort)
    outlined = images.mask.astype(bool)
    assert (
        images.pixels[:, 1][outlined].mean()
        > 2.5 * images.pixels[:, 1][(images.pixels[:, 0] > -300) & ~outlined].mean()
    )
    with_lesion = pd.Series(images.mask.any(axis=(1, 2))).groupby(images.patient_id).any()
    known = pd.Series({patient: told["lesions"] > 0 for patient, told in truth["patients"].items()})
    assert (with_lesion == known.reindex(with_lesion.index)).all()
    hottest = lesions(images).groupby("image")["PET max"].max()
    told = [max(truth["patients"][images.patient_id[int(i)]]["SUVmax"]) for i in hottest.index]
    assert np.corrcoef(hottest, told)[0, 1] > 0.5


def test_number_of_lesions_follows_the_planted_coefficients(monkeypatch):
    """Poisson regression on the record, by statsmodels' Newton steps written out, finds the coefficients."""
    blank = np.zeros((4000, 2, 1, 1), np.float32), np.zeros((4000, 1, 1), np.uint8)
    # Lesions are counted before they are drawn, which is what takes long.
    monkeypatch.setattr(simulate, "_draw", lambda *_: blank)
    cohort = small_cohort(2000, 4)
    _, truth = simulate_images(cohort, {}, {"images": {"imaged": 1.0}}, RESOURCES / "myeloma", np.random.default_rng(0))
    table = cohort.clinical
    patients = list(truth["patients"])
    design = pd.DataFrame(
        {
            "one": 1.0,
            "II": (table["ISS"].astype(object) == "II") * 1.0,
            "III": (table["ISS"].astype(object) == "III") * 1.0,
            "plasma": ((table["plasma_cells"] - 40) / 10).fillna(0),
            "LDH": (table["LDH"] > 250) * 1.0,
            "bone": (table["bone_lesions"].astype(object) == "Yes") * 1.0,
            **{e: cohort.alterations[e].fillna(0) for e in ("del(17p)", "t(4;14)", "gain(1q)")},
        }
    ).loc[patients]
    x = design.to_numpy(float)
    y = np.array([truth["patients"][p]["lesions"] for p in patients], dtype=float)
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        mean = np.exp(x @ beta)
        beta += np.linalg.solve(x.T @ (mean[:, None] * x), x.T @ (y - mean))
    error = np.sqrt(np.diag(np.linalg.inv(x.T @ (np.exp(x @ beta)[:, None] * x))))
    planted = {(e["covariate"], e["level"]): e["coefficient"] for e in truth["effects"] if e["target"] == "lesions"}
    wanted = [
        np.log(truth["parameters"]["lesions"]), planted["ISS", "II"], planted["ISS", "III"],
        planted["plasma_cells", "per 10 % from 40 %"], planted["LDH", "above limit"], planted["bone_lesions", "Yes"],
        *(planted[e, "present"] for e in ("del(17p)", "t(4;14)", "gain(1q)")),
    ]  # fmt: skip
    assert (np.abs(beta - wanted) < 4 * error).all()


def test_the_second_scanner_is_softer():
    cohort, truth = imaged_cohort()
    second = np.array([truth["patients"][owner]["scanner"] == 2 for owner in images_of(cohort).patient_id])
    edges = np.abs(np.diff(images_of(cohort).pixels[:, 0], axis=2)).max(axis=(1, 2))
    assert np.median(edges[~second]) > 1.2 * np.median(edges[second])


def test_the_same_stream_gives_the_same_bytes_and_a_wrong_share_is_refused():
    cohort = small_cohort(20)
    draw = [simulate_images(cohort, {}, {}, RESOURCES / "myeloma", np.random.default_rng(5)) for _ in range(2)]
    assert draw[0][0].pixels.tobytes() == draw[1][0].pixels.tobytes()
    assert draw[0][1] == draw[1][1]
    with pytest.raises(InputError, match="imaged"):
        simulate_images(cohort, {}, {"images": {"imaged": 2}}, RESOURCES / "myeloma", np.random.default_rng(5))
