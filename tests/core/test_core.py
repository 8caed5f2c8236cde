"""The canonical cohort survives writing and reading; streams and files are the same everywhere."""

import numpy as np
import pandas as pd
import pytest
from fixtures_tiny import tiny

from haemosynth.core.cohort import set_types
from haemosynth.core.errors import InputError
from haemosynth.core.files import load_model, read_table, replacing, save_model, write_table
from haemosynth.core.schema import Schema, read_column, read_schema, write_schema
from haemosynth.core.streams import stream
from haemosynth.modalities.cohort_files import read_cohort, write_cohort


@pytest.mark.parametrize("genomic", [True, False])
def test_round_trip_keeps_everything_missing_included(tmp_path, genomic):
    cohort = tiny(genomic)
    write_cohort(cohort, tmp_path)
    back = read_cohort(tmp_path)
    assert back.schema == cohort.schema
    pd.testing.assert_frame_equal(back.clinical, cohort.clinical)
    if genomic:
        pd.testing.assert_frame_equal(back.alterations, cohort.alterations)
        assert back.alterations.isna().sum().sum() == 2


def test_a_cohort_without_a_modality_says_that_nobody_was_sequenced(tmp_path):
    write_cohort(tiny(genomic=False), tmp_path, ["clinical", "genomic"])
    matrix = pd.read_parquet(tmp_path / "alterations.parquet")
    assert list(matrix.columns) == ["patient_id", "sequenced"]
    assert not matrix["sequenced"].any()
    assert read_cohort(tmp_path).alterations is None


def test_taking_a_patient_twice_takes_the_mutations_twice():
    taken = tiny().take([0, 2, 0])
    assert list(taken.patients) == ["P1", "P3", "P1"]
    assert list(taken.mutations["patient_id"]) == ["P1", "P1"]
    assert len(taken.alterations) == len(taken.sequenced) == 3


def test_patients_taken_from_a_large_cohort_keep_their_own_mutations():
    from fixtures_small import small_cohort

    cohort = small_cohort()
    cohort = cohort.replace(mutations=cohort.mutations.sample(frac=1, random_state=1).reset_index(drop=True))
    positions = np.random.default_rng(2).integers(len(cohort), size=400)
    taken = cohort.take(positions)
    own = dict(list(cohort.mutations.groupby("patient_id")))
    expected = pd.concat([own[p] for p in cohort.patients[positions] if p in own], ignore_index=True)
    pd.testing.assert_frame_equal(taken.mutations, expected)
    assert cohort.take([]).mutations.empty


def test_an_unseen_level_is_kept():
    schema = tiny().schema
    raw = tiny().clinical.astype({"SEX": "object"})
    raw.loc["P3", "SEX"] = "Other"
    assert list(set_types(raw, schema)["SEX"].cat.categories) == ["Female", "Male", "Other"]


def test_duplicate_patients_are_named(tmp_path):
    write_cohort(tiny(), tmp_path)
    table = pd.read_parquet(tmp_path / "clinical.parquet")
    write_table(pd.concat([table, table.tail(1)]), tmp_path / "clinical.parquet")
    with pytest.raises(InputError, match=r"clinical\.parquet: patient P3 occurs more than once"):
        read_cohort(tmp_path)


def test_schema_mistakes_name_the_column(tmp_path):
    with pytest.raises(InputError, match="column AGE: unknown attribute 'units'"):
        read_column("AGE", {"kind": "integer", "units": "years"}, "schema.yaml")
    with pytest.raises(InputError, match="column AGE: column kind 'number' is unknown"):
        read_column("AGE", {"kind": "number"}, "schema.yaml")
    with pytest.raises(InputError, match="endpoint PFS needs a column PFS_time"):
        Schema("x", tiny().schema.columns, endpoints=("PFS",))
    write_schema(tiny().schema, tmp_path / "schema.yaml")
    assert read_schema(tmp_path / "schema.yaml") == tiny().schema


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.tsv"]


def test_models_are_safetensors_and_json(tmp_path):
    arrays = {"weights": np.arange(6.0).reshape(2, 3)[:, ::-1], "count": np.array([3])}
    save_model(arrays, {"levels": ["a", "b"]}, tmp_path / "m.safetensors", tmp_path / "m.json")
    back, settings = load_model(tmp_path / "m.safetensors", tmp_path / "m.json")
    assert settings == {"levels": ["a", "b"]}
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)


def test_streams_are_reproducible_and_independent():
    assert stream(1, "fit", "seed=1").random() == stream(1, "fit", "seed=1").random()
    draws = np.array([stream(s, *names).random(2000) for s in (1, 2) for names in (("fit",), ("fit", "a"), ("fita",))])
    correlation = np.corrcoef(draws)
    assert np.abs(correlation[~np.eye(len(draws), dtype=bool)]).max() < 0.1


@pytest.mark.parametrize("ending", ["tsv", "csv", "parquet"])
def test_a_table_without_columns_is_read_back(tmp_path, ending):
    write_table(pd.DataFrame(), tmp_path / f"history.{ending}")
    assert read_table(tmp_path / f"history.{ending}").empty


def test_what_was_changed_since_it_was_written_is_told(tmp_path):
    from haemosynth.core.files import find_changed, write_checksums

    file, folder, gone = tmp_path / "a.tsv", tmp_path / "images.zarr", tmp_path / "b.tsv"
    folder.mkdir()
    for path in (file, folder / "chunk", gone):
        path.write_text("content")
    write_checksums([file, folder, gone], tmp_path / "record.sha256")
    (folder / ".snakemake_timestamp").touch()  # Snakemake's, once the job has ended
    assert find_changed(tmp_path / "record.sha256") == []
    gone.unlink()
    (folder / "chunk").write_text("kontent")
    assert find_changed(tmp_path / "record.sha256") == [folder]
    file.write_text("conten")
    assert find_changed(tmp_path / "record.sha256") == [file, folder]
    (tmp_path / "record.sha256").write_text("a damaged record\n")
    assert find_changed(tmp_path / "record.sha256") == []
