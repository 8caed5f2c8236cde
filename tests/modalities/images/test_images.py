"""Expression and images stay with their patients, and are the same after writing and reading."""

import numpy as np
import pytest
from fixtures_tiny import tiny

from haemosynth.core.errors import InputError
from haemosynth.modalities.cohort_files import read_cohort, write_cohort
from haemosynth.modalities.expression.part import expression_of, keep_profiles
from haemosynth.modalities.expression.part import read as read_expression
from haemosynth.modalities.expression.part import write as write_expression
from haemosynth.modalities.images.part import Images, find_images, images_of
from haemosynth.modalities.images.part import read as read_images
from haemosynth.modalities.images.part import write as write_images


def pictures(owners=("P3", "P1", "P3"), masks=True, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(len(owners), 2, 8, 6)).astype(np.float32)
    mask = (rng.random((len(owners), 8, 6)) < 0.2).astype(np.uint8) if masks else None
    windows = ((-1000.0, 400.0), (0.0, 10.0))
    return Images(
        np.array(owners), pixels, mask, ("CT", "PET"), ("HU", "SUV"), windows, (2.0, 3.0), {"note": "phantoms"}
    )


def measured(owners=("P1", "P3")):
    anndata = pytest.importorskip("anndata")
    counts = np.arange(len(owners) * 3, dtype=np.float32).reshape(-1, 3)
    expression = anndata.AnnData(counts)
    expression.obs_names = list(owners)
    expression.var_names = ["CCND1", "MAF", "FGFR3"]
    expression.uns["values"] = "counts"
    return expression


@pytest.mark.parametrize("masks", [True, False])
def test_images_survive_writing_and_reading(tmp_path, masks):
    images = pictures(masks=masks)
    write_images(images, tmp_path / "images.zarr")
    again = read_images(tmp_path / "images.zarr")
    np.testing.assert_array_equal(again.pixels, images.pixels)
    assert (again.mask is None) == (not masks)
    if masks:
        np.testing.assert_array_equal(again.mask, images.mask)
    assert list(again.patient_id) == list(images.patient_id)
    for name in ("channels", "units", "windows", "spacing", "info"):
        assert getattr(again, name) == getattr(images, name)


def test_no_image_at_all_is_a_store_too(tmp_path):
    write_images(pictures().take([]), tmp_path / "images.zarr")
    assert len(read_images(tmp_path / "images.zarr")) == 0


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_images(pictures(), tmp_path / name / "images.zarr")
        write_expression(measured(), tmp_path / name / "expression.h5ad")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) > 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_patients_take_their_images_and_expression_along():
    cohort = tiny().replace(images=pictures(), expression=keep_profiles(measured()))
    taken = cohort.take([2, 1, 2])  # P3, P2 (who has neither), P3 again
    assert list(images_of(taken).patient_id) == ["P3"] * 4
    np.testing.assert_array_equal(images_of(taken).pixels, pictures().pixels[[0, 2, 0, 2]])
    assert list(expression_of(taken).obs_names) == ["P3", "P3"]
    np.testing.assert_array_equal(expression_of(taken).X, measured().X[[1, 1]])
    assert find_images(cohort.record()) is None


def test_a_folder_holds_them_and_they_are_read_when_asked_for(tmp_path):
    write_cohort(tiny(), tmp_path)
    write_images(pictures(), tmp_path / "images.zarr")
    write_expression(measured(), tmp_path / "expression.h5ad")
    assert find_images(read_cohort(tmp_path)) is None
    cohort = read_cohort(tmp_path, ("expression", "images"))
    assert len(images_of(cohort)) == 3
    assert list(expression_of(cohort).obs_names) == ["P1", "P3"]
    assert expression_of(cohort).uns["values"] == "counts"


def test_what_is_missing_or_doubled_is_said_in_a_line(tmp_path):
    with pytest.raises(InputError, match=r"images\.zarr: no such store"):
        read_images(tmp_path / "images.zarr")
    with pytest.raises(InputError, match=r"expression\.h5ad: no such file"):
        read_expression(tmp_path / "expression.h5ad")
    write_expression(measured(("P1", "P1")), tmp_path / "expression.h5ad")
    with pytest.raises(InputError, match="patient P1 occurs more than once"):
        read_expression(tmp_path / "expression.h5ad")
