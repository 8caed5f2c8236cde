"""Images come in on one grid, in their units; every mistake is told in one line that names file and patient."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Schema
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.images.formats.volumes import Grid, Volume, choose_slices, cut
from haemosynth.modalities.images.ingest import ingest_images, patients_of
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.part import read as read_images
from haemosynth.modalities.images.part import write as write_images
from haemosynth.study.settings import expand_paths
from haemosynth.study.split import split

CHANNELS = {
    "CT": {"file": "{patient}/CT.nii.gz", "unit": "HU", "window": [-160, 240]},
    "PET": {"file": "{patient}/PET.nii.gz", "unit": "SUV", "window": [0, 10]},
}


def save(path, values, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def patient(folder, name, rng):
    """A cylinder of water in air on a CT of 2 mm, a PET of 4 mm, and a hot box with its mask."""
    i, j = np.mgrid[:40, :40]
    ct = np.full((40, 40, 20), -1000, dtype=np.int16)
    ct[(i - 20) ** 2 + (j - 20) ** 2 < 300] = int(rng.integers(20, 60))
    mask = np.zeros(ct.shape, dtype=np.uint8)
    mask[24:30, 24:30, 8:12] = 1
    pet = np.full((20, 20, 20), 0.5, dtype=np.float32)
    pet[12:15, 12:15, 8:12] = 7.0
    save(folder / name / "CT.nii.gz", ct, np.diag([2.0, 2.0, 3.0, 1.0]))
    pet_affine = np.diag([4.0, 4.0, 3.0, 1.0])
    pet_affine[:2, 3] = 1.0  # the centre of a large pixel lies between those of four small ones
    save(folder / name / "PET.nii.gz", pet, pet_affine)
    save(folder / name / "mask.nii.gz", mask, np.diag([2.0, 2.0, 3.0, 1.0]))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("A1", "B2", "C3"):
        patient(tmp_path / "petct", name, rng)
    return tmp_path / "petct"


def source(folder, **changed):
    entry = {
        "size": [32, 32], "spacing": [2.5, 2.5], "channels": CHANNELS,
        "mask": {"file": "{patient}/mask.nii.gz", "of": "CT"},
        "slices": {"lesion": 3, "neighbours": 1, "without": 2},
    }  # fmt: skip
    return {"format": "nifti", "path": str(folder), "modalities": ["images"], "images": {**entry, **changed}}


def read(folder, **changed):
    chosen = source(folder, **changed)
    return ingest_images("petct", chosen, patients_of("petct", chosen))


def test_slices_come_by_rule_on_the_declared_grid(folder):
    images = read(folder)
    assert images.pixels.shape == (18, 2, 32, 32)
    assert list(np.unique(images.patient_id, return_counts=True)[1]) == [6, 6, 6]
    assert images.spacing == (2.5, 2.5)
    outlined = images.mask.any(axis=(1, 2)).reshape(3, 6).sum(axis=1)
    assert (outlined == 3).all()
    inside = images.mask.astype(bool)
    assert images.pixels[:, 1][inside].mean() > 4
    assert images.pixels[:, 0].min() == -1000
    assert images.pixels[:, 0].max() < 61  # in Hounsfield units, not scaled to the window


def test_writing_and_reading_give_the_same(folder, tmp_path):
    images = read(folder)
    write_images(images, tmp_path / "images.zarr")
    again = read_images(tmp_path / "images.zarr")
    assert (again.pixels == images.pixels).all()
    assert again.windows == images.windows


def test_a_point_keeps_its_place_whatever_the_orientation_of_the_file():
    """A hot voxel at known millimetres lands on its pixel; front is above, the patient's right on the left."""
    values = np.zeros((30, 30, 5), dtype=np.float32)
    values[20, 25, 2] = 100.0
    grid = Grid((15, 15), (2.0, 2.0), "image", 5, 0, 0)
    plain = Volume(values, np.diag([1.0, 1.0, 3.0, 1.0]), "plain")
    flipped = Volume(
        values[::-1, ::-1], np.array([[-1.0, 0, 0, 29], [0, -1.0, 0, 29], [0, 0, 3, 0], [0, 0, 0, 1]]), "f"
    )
    found = [cut({"CT": volume}, None, grid, {"CT": 0.0}, "here")[0] for volume in (plain, flipped)]
    assert np.allclose(found[0], found[1], atol=1e-3)
    row, column = np.unravel_index(found[0][2, 0].argmax(), (15, 15))
    # middle of the volume: 14.5 mm; the voxel lies 5.5 mm to the right of the patient and 10.5 mm in front of it
    assert (row, column) == (7 - 5, 7 - 3)


def test_an_oblique_volume_shows_what_an_upright_one_does():
    """The same ball on a lattice turned by 20 degrees round the left-right axis, and on a sheared one."""
    turn = np.deg2rad(20)
    rotated, sheared = np.eye(4), np.eye(4)
    rotated[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    sheared[1:3, 1] = [np.cos(turn), -np.sin(turn)]
    grid = Grid((15, 15), (2.0, 2.0), "image", 60, 0, 0)
    places = []
    for affine in (np.eye(4), rotated, sheared):
        affine[:3, 3] -= affine[:3, :3] @ [20.0, 20, 20]
        points = np.moveaxis(np.mgrid[:41, :41, :41], 0, -1) @ affine[:3, :3].T + affine[:3, 3]
        ball = (np.linalg.norm(points - [4, 6, 0], axis=-1) < 5).astype(np.float32)
        found = cut({"CT": Volume(ball, affine, "ball")}, None, grid, {"CT": 0.0}, "here")[0][:, 0]
        weight = found.sum(axis=0)
        places.append([(weight * axis).sum() / weight.sum() for axis in np.mgrid[:15, :15]])
        assert found.sum() * 4 == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.1)  # heights stand 1 mm apart
    assert np.allclose(places, [7 - 3, 7 - 2], atol=0.15)


@pytest.mark.parametrize("axes", [((0, 1), True), ((0, 2), False), ((1, 2), True)])
def test_a_mask_may_have_its_axes_in_another_order_than_its_image(folder, axes):
    """The same outline, stored with two axes swapped and one of them reversed, gives the same images."""
    wanted = read(folder)
    (one, other), reverse = axes

    def restored(values, affine):
        values, affine = values.swapaxes(one, other), affine.copy()
        affine[:, [one, other]] = affine[:, [other, one]]
        if reverse:
            affine[:3, 3] += affine[:3, one] * (values.shape[one] - 1)
            affine[:3, one] *= -1
            values = np.flip(values, one)
        return np.ascontiguousarray(values), affine

    rewrite("mask.nii.gz", restored)(folder)
    rewrite("CT.nii.gz", lambda v, a: (v, a))(folder)
    found = read(folder)
    assert np.array_equal(found.mask, wanted.mask)
    assert np.allclose(found.pixels, wanted.pixels, atol=1e-3)


def test_coarser_grids_keep_means():
    """Averages survive a grid of a quarter of the resolution: there is no aliasing of a fine pattern."""
    i, j = np.mgrid[:64, :64]
    stripes = np.repeat(((i + j) % 2 * 100.0)[:, :, None], 3, axis=2).astype(np.float32)
    grid = Grid((12, 12), (4.0, 4.0), "image", 3, 0, 0)
    found = cut({"CT": Volume(stripes, np.eye(4), "stripes")}, None, grid, {"CT": 0.0}, "here")[0]
    assert np.allclose(found, 50, atol=3)


def test_chosen_slices():
    holds = np.zeros(20, dtype=bool)
    holds[8:13] = True
    grid = Grid((8, 8), (1.0, 1.0), "image", 3, 2, 4)
    rows, kinds = choose_slices(holds, grid)
    assert kinds.count("lesion") == 3
    assert holds[rows[[kind == "lesion" for kind in kinds]]].all()
    assert set(rows[[kind == "neighbour" for kind in kinds]]) == {7, 13}
    assert kinds.count("without") == 4
    assert list(rows) == sorted(rows)
    assert choose_slices(np.zeros(4, dtype=bool), grid)[1] == ["unknown"] * 4


def spoil_mask(value):
    def spoil(folder):
        file = folder / "B2" / "mask.nii.gz"
        image = nibabel.load(file)
        save(file, (np.asarray(image.dataobj) * value).astype(np.int16), image.affine)

    return spoil


def rewrite(name, change):
    def spoil(folder):
        file = folder / "B2" / name
        image = nibabel.load(file)
        save(file, *change(np.asarray(image.dataobj), image.affine.copy()))

    return spoil


def shifted(values, affine):
    affine[0, 3] += 5000
    return values, affine


def without_place(file):
    image = nibabel.load(file)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), file)


MISTAKES = {
    "empty mask": (spoil_mask(0), ("the mask is empty",)),
    "mask values": (spoil_mask(3), ("mask values 0, 3", "expected 0 and 1")),
    "mask geometry": (rewrite("mask.nii.gz", lambda v, a: (v[:-1], a)), ("geometry", "differs")),
    "wrong unit CT": (rewrite("CT.nii.gz", lambda v, a: (v + np.int16(1024), a)), ("not Hounsfield units",)),
    "wrong unit PET": (rewrite("PET.nii.gz", lambda v, a: (v * 5000, a)), ("not standardised uptake values",)),
    "not finite": (rewrite("PET.nii.gz", lambda v, a: (v * np.float32("nan"), a)), ("not finite",)),
    "elsewhere": (rewrite("PET.nii.gz", shifted), ("covers 0%", "same space")),
    "metres": (rewrite("CT.nii.gz", lambda v, a: (v, np.diag([0.002, 0.002, 0.003, 1.0]))), ("millimetres",)),
    "four dimensions": (rewrite("CT.nii.gz", lambda v, a: (np.stack([v, v], -1), a)), ("three dimensions",)),
    "unreadable": (lambda folder: (folder / "B2" / "CT.nii.gz").write_bytes(b"none"), ("cannot be read as NIfTI",)),
    "no place": (lambda folder: without_place(folder / "B2" / "CT.nii.gz"), ("does not say how the volume lies",)),
    "missing channel": (lambda folder: (folder / "B2" / "PET.nii.gz").unlink(), ("no file of channels.PET",)),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_file_is_told_in_one_line_with_its_patient(folder, name):
    spoil, words = MISTAKES[name]
    spoil(folder)
    with pytest.raises(InputError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in (*words, "B2", str(folder)))


def test_absurd_sizes_are_refused_before_values_are_loaded(folder):
    """A header that promises 10^12 voxels, and a file that holds none of them."""
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), dtype=np.int16), np.eye(4))
    header = image.header.copy()
    header["dim"][1:4] = 10_000
    (folder / "B2" / "CT.nii.gz").unlink()
    (folder / "B2" / "CT.nii").write_bytes(header.binaryblock + bytes(4))
    channels = {**CHANNELS, "CT": {**CHANNELS["CT"], "file": "{patient}/CT.nii*"}}
    with pytest.raises(InputError, match=r"B2.*voxels are more than"):
        read(folder, channels=channels)


def test_one_patient_twice(folder):
    (folder / "a1").mkdir()
    for file in (folder / "A1").iterdir():
        (folder / "a1" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="occurs twice"):
        read(folder)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"size": [4, 4]}, "size"), ({"spacing": [0, 1]}, "spacing"), ({"slice": {}}, "did you mean 'slices'"),
        ({"channels": {"CT": {"unit": "HU", "window": [0, 1]}}}, "file"), ({"centre": "left"}, "centre"),
        ({"channels": {"CT": {**CHANNELS["CT"], "unit": "hounsfield"}}}, "unit"),
        ({"mask": {"file": "{patient}/mask.nii.gz", "of": "MR"}}, "mask.of"), ({"size": [640, 640]}, "too large"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_study_is_told(folder, changed, word):
    with pytest.raises(InputError, match=word):
        read(folder, **changed)


def test_images_without_a_record_are_refused_and_patients_without_images_are_not(folder):
    with pytest.raises(InputError, match="C3 has images and no clinical record"):
        ingest_images("petct", source(folder), ["A1", "B2"])
    images = ingest_images("petct", source(folder), ["A1", "B2", "C3", "D4"])
    assert set(images.patient_id) == {"A1", "B2", "C3"}


def test_a_cohort_of_images_alone_has_patients_and_no_columns(folder):
    cohort = ingest("petct", source(folder))
    assert list(cohort.patients) == ["A1", "B2", "C3"]
    assert cohort.clinical.shape == (3, 0)
    with pytest.raises(InputError, match="images alone"):
        ingest("petct", {**source(folder), "modalities": ["clinical", "images"]})


def test_a_cohort_of_tables_may_have_images_too(folder, tmp_path):
    rng = np.random.default_rng(3)
    names = ["A1", "B2", "C3", *(f"D{i}" for i in range(40))]
    table = pd.DataFrame({"patient_id": names, "age": rng.integers(40, 80, 43), "OS_MONTHS": rng.uniform(1, 60, 43)})
    table["OS_STATUS"] = rng.integers(0, 2, 43)
    (tmp_path / "tables").mkdir()
    table.to_csv(tmp_path / "tables" / "clinical.csv", index=False)
    entry = {"format": "nifti", "path": str(folder), **source(folder)["images"]}
    chosen = {
        "format": "tables", "path": str(tmp_path / "tables"), "endpoint": "OS", "modalities": ["clinical", "images"],
        "images": entry, "note": "told to every reader",
    }  # fmt: skip
    cohort = ingest("both", chosen)
    assert len(cohort) == 43
    assert cohort.alterations is None
    images = ingest_images("both", chosen, list(cohort.patients))
    assert set(images.patient_id) == {"A1", "B2", "C3"}
    assert len(images_of(cohort.replace(images=images).take([0, 0, 5]))) == 12  # a patient may stand twice, or own none


def test_paths_of_images_are_expanded_too(monkeypatch):
    monkeypatch.setenv("SCANS", "/there")
    assert expand_paths({"path": "$SCANS/a", "images": {"path": "$SCANS/b"}}, "one")["images"]["path"] == "/there/b"
    monkeypatch.delenv("SCANS")
    with pytest.raises(InputError, match="SCANS is not set"):
        expand_paths({"images": {"path": "$SCANS/b"}}, "one")


def test_twelve_patients_without_a_record_are_split_and_no_patient_stands_on_both_sides():
    names = pd.Index([f"P{i:02d}" for i in range(12)], name="patient_id")
    cohort = Cohort(Schema("few", {}), pd.DataFrame(index=names))
    train, holdout = split(cohort, 0.6, None, {"recurrent": {"min_carriers": 10}}, np.random.default_rng(0))
    assert (len(train), len(holdout)) == (7, 5)
    assert not set(train.patients) & set(holdout.patients)
    with pytest.raises(InputError, match="needs 3 on either side"):
        split(cohort.take(range(4)), 0.6, None, {"recurrent": {"min_carriers": 10}}, np.random.default_rng(0))


# ---- pictures


@pytest.fixture
def fields(tmp_path):
    rng = np.random.default_rng(1)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in ("7", "12"):
        pixels = rng.integers(0, 255, (64, 48, 3), dtype=np.uint8)
        mask = np.zeros((64, 48), dtype=np.uint8)
        mask[16:40, 8:32] = 255
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.jpg")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.jpg")
    return tmp_path


def fields_source(folder, **changed):
    channels = {c: {"unit": "1", "window": [0, 1]} for c in ("red", "green", "blue")}
    entry = {"size": [32, 24], "channels": channels, "mask": {"file": "masks"}, **changed}
    return {"format": "pictures", "path": str(folder), "modalities": ["images"], "images": entry}


def read_fields(folder, **changed):
    chosen = fields_source(folder, **changed)
    return ingest_images("cells", chosen, patients_of("cells", chosen))


def test_pictures_are_averaged_and_jpeg_masks_are_sharp(fields):
    images = read_fields(fields)
    assert images.pixels.shape == (2, 3, 32, 24)
    assert images.spacing is None
    wanted = np.zeros((32, 24), dtype=np.uint8)
    wanted[8:20, 4:16] = 1
    assert (images.mask == wanted).all()
    with Image.open(fields / "images" / "12.jpg") as picture:
        whole = np.asarray(picture, dtype=float) / 255
    assert np.allclose(images.pixels[0].mean(axis=(1, 2)), whole.mean(axis=(0, 1)), atol=1e-5)


def test_a_crop_cuts_both_ends(fields):
    images = read_fields(fields, crop=[0.25, 0], size=[16, 24])
    whole = read_fields(fields)
    assert np.array_equal(images.mask, whole.mask[:, 8:24])
    assert np.allclose(images.pixels, whole.pixels[:, :, 8:24], atol=1e-6)
    with pytest.raises(InputError, match="crop"):
        read_fields(fields, crop=[0.6, 0])


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda f: (f / "masks" / "7.jpg").unlink(), "no mask of this name"),
        (lambda f: (f / "images" / "7.jpg").write_bytes(b"no"), "cannot be read as a picture"),
        (lambda f: Image.new("L", (48, 64)).save(f / "masks" / "7.jpg"), "the mask is empty"),
        (lambda f: Image.new("L", (40, 64), 255).save(f / "masks" / "7.jpg"), "its picture"),
        (lambda f: Image.new("L", (48, 64), 120).save(f / "masks" / "7.jpg"), "neither 0 nor 1"),
        (lambda f: Image.new("L", (48, 64), 120).save(f / "images" / "7.jpg"), "channels"),
        (lambda f: Image.new("RGB", (4, 4)).save(f / "images" / "7.jpg"), "pixels; expected"),
        (lambda f: Image.new("RGB", (48, 64)).save(f / "images" / "7.png"), "occurs twice"),
    ],
)
def test_a_mistake_in_a_picture_is_told(fields, spoil, word):
    spoil(fields)
    with pytest.raises(InputError, match=word) as caught:
        read_fields(fields)
    assert "7" in str(caught.value)


STORED = {  # how a picture with this EXIF orientation lies in its file (EXIF 2.32, tag 274)
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1), 6: np.rot90, 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_and_its_mask_lie_as_every_viewer_shows_them(tmp_path, orientation, ending):
    """A bright cell on a dark field: the mask is on the cell, whichever of the two files was stored turned."""
    shown = np.full((64, 48, 3), 20, dtype=np.uint8)
    shown[8:24, 4:16] = 220
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    turned = Image.Exif()
    turned[274] = orientation
    mask = shown[:, :, 0] // 220 * 255
    stored = STORED[orientation]
    Image.fromarray(np.ascontiguousarray(stored(shown))).save(tmp_path / "images" / f"a.{ending}", exif=turned)
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    Image.fromarray(shown).save(tmp_path / "images" / "b.png")
    Image.fromarray(np.ascontiguousarray(stored(mask))).save(tmp_path / "masks" / f"b.{ending}", exif=turned)
    images = read_fields(tmp_path)
    assert images.mask[0].sum() == 8 * 6
    assert np.array_equal(images.mask[0], images.mask[1])
    inside = images.mask[0].astype(bool)
    assert images.pixels[:, :, inside].min() > 0.75
    assert images.pixels[:, :, ~inside].max() < 0.2


def test_masks_of_0_and_1_and_several_pictures_in_one_file(fields):
    wanted = read_fields(fields).mask
    with Image.open(fields / "masks" / "7.jpg") as file:
        mask = np.asarray(file) // 128
    (fields / "masks" / "7.jpg").unlink()
    Image.fromarray(mask.astype(np.uint8)).save(fields / "masks" / "7.png")
    assert np.array_equal(read_fields(fields).mask, wanted)
    page = Image.new("RGB", (48, 64))
    (fields / "images" / "7.jpg").unlink()
    page.save(fields / "images" / "7.tif", save_all=True, append_images=[page])
    with pytest.raises(InputError, match="7: 2 pictures in one file"):
        read_fields(fields)


# ---- shared cases


def shared_case(name):
    import yaml

    folder = os.environ.get("HAEMOSYNTH_CASES")
    if not folder or not Path(folder, name).is_dir():
        pytest.skip(f"HAEMOSYNTH_CASES is not set, or has no {name}: it names a folder of inputs as people have them")
    entry = yaml.safe_load(Path(folder, name, "study.yaml").read_text())["cohorts"][name]
    entry = expand_paths(entry, name)
    return ingest_images(name, entry, patients_of(name, entry))


def test_the_rod_of_a_tilted_gantry_is_upright():
    images = shared_case("c23_gantry_tilt")
    bright = [np.argwhere(plane > -500 + 1200) for plane in images.pixels[:, 0]]
    centres = np.array([found.mean(axis=0) for found in bright if len(found)])
    assert len(centres) > 3
    assert np.ptp(centres, axis=0).max() * 4 < 4  # millimetres


@pytest.mark.parametrize("name", ["c24_series_description", "c25_pet_acqdatetime"])
def test_uptake_of_the_shared_cases(name):
    """5000 Bq/mL x 70 kg over a dose that decayed for an hour."""
    images = shared_case(name)
    assert images.pixels.max() == pytest.approx(5000 * 70000 / (350e6 * 2 ** (-3600 / 6586.2)), rel=1e-4)


def test_the_masks_of_turned_pictures_lie_on_their_cells():
    images = shared_case("c26_exif")
    inside = images.mask.astype(bool)
    field = np.median(images.pixels, axis=(2, 3), keepdims=True)
    away = np.abs(images.pixels - field).max(axis=1)
    assert (away[inside] > 0.1).mean() > 0.9


# ---- public cohorts


def test_the_public_cohorts_are_read(real_data):
    import yaml
    from fixtures_small import RESOURCES

    shapes = {}
    for study in ("petct", "myeloma_cells"):
        entry = yaml.safe_load((RESOURCES.parent / f"config/studies/{study}.yaml").read_text())["cohorts"][study]
        entry["path"] = entry["path"].replace("$HAEMOSYNTH_DATA", str(real_data))
        patients = patients_of(study, entry)
        images = ingest_images(study, entry, patients)
        shapes[study] = (len(patients), images.pixels.shape[1:])
        assert set(images.patient_id) == set(patients)
        assert images.mask.any()
    assert shapes == {"petct": (12, (2, 64, 64)), "myeloma_cells": (150, (3, 64, 64))}
