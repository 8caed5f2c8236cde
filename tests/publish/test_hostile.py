"""Input made to do harm does none: it is refused in one line, or loses its power before it is published."""

import json

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort
from fixtures_sources import cbioportal, clinical_table, mutation_table

from haemosynth.core.errors import InputError
from haemosynth.core.files import load_model, read_table, save_model, without_formulas, write_table
from haemosynth.modalities.clinical.ingest.cbioportal import read_source


def study(folder):
    clinical = clinical_table()
    samples = pd.DataFrame({"PATIENT_ID": clinical["PATIENT_ID"], "SAMPLE_ID": clinical["PATIENT_ID"]})
    return cbioportal(folder, clinical, samples, mutation_table(clinical))


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "sub/../../secret.txt"])
def test_a_meta_file_cannot_name_a_file_outside_its_study(tmp_path, name):
    source = study(tmp_path / "study")
    (tmp_path / "secret.txt").write_text("PATIENT_ID\nA\n")
    meta = f"cancer_study_identifier: x\ndatatype: PATIENT_ATTRIBUTES\ndata_filename: {name}\n"
    (tmp_path / "study" / "meta_clinical_patient.txt").write_text(meta)
    with pytest.raises(InputError, match="is not the name of a file in"):
        read_source(source, None)


def test_an_archive_is_not_opened(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("../outside.txt", "slipped")
    with pytest.raises(InputError, match=r"study\.zip: a file, not a folder; unpack an archive first"):
        read_source({"path": str(tmp_path / "study.zip")}, None)
    assert not (tmp_path.parent / "outside.txt").exists()


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_run_is_defused_in_cells_and_headers(cell):
    table = without_formulas(pd.DataFrame({"a": [cell, "plain"], cell: [1.0, 2.0]}))
    assert list(table["a"]) == [f"'{cell}", "plain"]
    assert list(table.columns) == ["a", f"'{cell}"]


def test_numbers_signs_and_missing_values_stay_as_they_are():
    table = pd.DataFrame({"x": [-1.5, np.nan], "text": ["-7", "+"], "none": [None, "-1e3"]})
    pd.testing.assert_frame_equal(without_formulas(table), table)


def test_no_published_text_table_holds_a_formula(tmp_path):

    from haemosynth.publish.cbioportal import write_study

    cohort = small_cohort(60)
    mutations = cohort.mutations.assign(gene="=HYPERLINK(1)")
    write_study(cohort.replace(mutations=mutations), tmp_path, "s", "S")
    cells = pd.read_csv(tmp_path / "data_mutations.txt", sep="\t")["Hugo_Symbol"]
    assert set(cells) == {"'=HYPERLINK(1)"}


@pytest.fixture
def model(tmp_path):
    paths = tmp_path / "model.safetensors", tmp_path / "model.json"
    save_model({"w": np.arange(64.0)}, {"parameters": 64, "levels": ["a", "b"]}, *paths)
    return paths


def test_a_model_comes_back_as_it_was_saved(model):
    arrays, settings = load_model(*model)
    np.testing.assert_array_equal(arrays["w"], np.arange(64.0))
    assert settings == {"parameters": 64, "levels": ["a", "b"]}


def test_a_model_whose_weights_were_changed_is_refused(model):
    content = bytearray(model[0].read_bytes())
    content[-3] ^= 1
    model[0].write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors: damaged \(not the model that model\.json describes"):
        load_model(*model)


def test_a_model_whose_description_was_changed_is_refused(model):
    model[1].write_text(json.dumps(json.loads(model[1].read_text()) | {"levels": ["b", "a"]}))
    with pytest.raises(InputError, match="its sha256 differs"):
        load_model(*model)


def test_every_flipped_byte_of_a_table_is_seen_or_harmless(tmp_path):
    table = pd.DataFrame({"x": np.random.default_rng(1).normal(size=400), "name": ["patient"] * 400})
    path = tmp_path / "table.parquet"
    write_table(table, path)
    whole, rng = path.read_bytes(), np.random.default_rng(2)
    for position in rng.integers(0, len(whole), 150):
        broken = bytearray(whole)
        broken[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            read = read_table(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: damaged (")  # noqa: PT017
        else:
            assert list(read.columns) != list(table.columns) or read.equals(table), position


def test_a_truncated_table_is_named(tmp_path):
    path = tmp_path / "table.parquet"
    write_table(pd.DataFrame({"x": np.arange(100.0)}), path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"table\.parquet: damaged"):
        read_table(path)
