"""What another tool made is read as a candidate; a bad table ends in one line that names it."""

import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.modalities.cohort_files import write_cohort
from haemosynth.study.external import read_external


@pytest.fixture(scope="module")
def train():
    return small_cohort(80)


@pytest.fixture
def folder(train, tmp_path):
    write_cohort(train, tmp_path / "other")
    return tmp_path / "other"


def test_a_canonical_folder_comes_back_as_it_is(train, folder):
    read = read_external(folder, train)
    pd.testing.assert_frame_equal(read.clinical, train.clinical, check_index_type=False)
    pd.testing.assert_frame_equal(read.alterations, train.alterations, check_index_type=False)
    assert (read.sequenced.to_numpy() == train.sequenced.to_numpy()).all()


def test_a_table_alone_is_patients_who_were_not_sequenced(train, tmp_path):
    train.clinical.to_csv(tmp_path / "made.csv", index=False)
    read = read_external(tmp_path / "made.csv", train)
    assert len(read) == len(train)
    assert read.patients[0] == "S000001"
    assert not read.sequenced.any()
    assert read.alterations.isna().all(axis=None)


def spoil(folder, change):
    table = change(pd.read_parquet(folder / "clinical.parquet"))
    (folder / "clinical.parquet").unlink()
    table.to_csv(folder / "clinical.tsv", sep="\t", index=False)


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t.drop(columns="OS_time"), "column OS_time is missing"),
    (lambda t: t.assign(OS_time="soon"), "column OS_time, patient .*: 'soon' is no number"),
    (lambda t: pd.concat([t, t.head(1)]), "occurs more than once"),
    (lambda t: t.assign(patient_id=[f"X{i}" for i in range(len(t))]), "alterations.parquet: patients differ"),
])  # fmt: skip
def test_a_bad_table_is_told_in_one_line(train, folder, change, words):
    spoil(folder, change)
    with pytest.raises(InputError, match=words) as error:
        read_external(folder, train)
    assert "\n" not in str(error.value)


def test_a_place_without_a_table_is_named(train, tmp_path):
    with pytest.raises(InputError, match="nowhere: expected a table, or a folder"):
        read_external(tmp_path / "nowhere", train)
