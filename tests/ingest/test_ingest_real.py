"""The two public cohorts come in and are split, with their study files and with three lines."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.cohort_files import read_cohort, write_cohort
from haemosynth.study.settings import expand_paths
from haemosynth.study.split import split

STUDIES = Path(__file__).resolve().parents[2] / "config" / "studies"
RECURRENT = {"recurrent": {"min_carriers": 10}}


def study(name: str) -> tuple[dict, Cohort]:
    entry = expand_paths(yaml.safe_load((STUDIES / f"{name}.yaml").read_text())["cohorts"][name], name)
    return entry, ingest(name, entry)


@pytest.mark.parametrize(("name", "patients"), [("beataml", 553), ("amlsg", 1540)])
def test_a_real_study_is_read_split_and_kept(name: str, patients: int, real_data: Path, tmp_path: Path) -> None:
    assert os.environ["HAEMOSYNTH_DATA"]
    entry, cohort = study(name)
    assert len(cohort) == patients
    for endpoint in cohort.schema.endpoints:
        time, event = cohort.clinical[f"{endpoint}_time"], cohort.clinical[f"{endpoint}_event"]
        assert (time.dropna() > 0).all()
        assert set(event.dropna()) == {0.0, 1.0}
        assert (time.isna() == event.isna()).all()
        assert not (time > cohort.clinical["OS_time"]).any()
    assert set(cohort.mutations["gene"]) == set(cohort.schema.genes)
    assert cohort.mutations["vaf"].dropna().between(0, 1).all()
    train, holdout = split(cohort, 0.6, entry["stratify"], RECURRENT, stream(1, "split", name))
    assert len(train) == round(0.6 * patients)
    assert sorted([*train.patients, *holdout.patients]) == sorted(cohort.patients)
    assert (train.alterations.sum() >= 10).all()
    for side in (train, holdout):
        write_cohort(side, tmp_path / "side")
        again = read_cohort(tmp_path / "side")
        assert again.schema == side.schema
        pd.testing.assert_frame_equal(again.clinical, side.clinical)
        pd.testing.assert_frame_equal(again.alterations, side.alterations)


@pytest.mark.parametrize("folder", ["aml_beataml2", "aml_amlsg"])
def test_three_lines_are_a_study(folder: str, real_data: Path) -> None:
    cohort = ingest("three", {"format": "cbioportal", "path": str(real_data / folder), "endpoint": "OS"})
    split(cohort, 0.6, None, RECURRENT, stream(1, "split"))
    known = {"AGE": "integer", "SEX": "binary", "HEMOGLOBIN": "continuous", "OS_time": "time", "OS_event": "event"}
    assert {name: cohort.schema.columns[name].kind for name in known} == known
    assert cohort.schema.columns["HEMOGLOBIN"].unit == "g/dL"
    assert {"NPM1", "DNMT3A", "TP53", "FLT3"} <= set(cohort.schema.genes)


def test_beataml_knows_who_was_not_sequenced(real_data: Path) -> None:
    _, cohort = study("beataml")
    assert (~cohort.sequenced).sum() == 30
    assert cohort.alterations.loc[~cohort.sequenced, cohort.schema.genes].isna().all(axis=None)
    assert cohort.alterations["FLT3_ITD"].notna().all()
    assert cohort.alterations["FLT3_ITD"].sum() == 126
    assert cohort.clinical["ELN_2017"].isna().sum() == 9


def test_amlsg_agrees_with_its_source(real_data: Path) -> None:
    _, cohort = study("amlsg")
    assert cohort.schema.endpoints == ("OS", "EFS", "CR", "RELAPSE", "HSCT")
    events = cohort.clinical[["CR_event", "RELAPSE_event", "HSCT_event"]].sum()
    assert events.tolist() == [1269, 619, 826]
    assert cohort.alterations["FLT3_ITD"].sum() == 341
    assert cohort.alterations["CYTO_MLL_PTD"].isna().sum() == 167
    assert np.isnan(cohort.clinical.loc["PD10961a", "EFS_time"])
    reads = cohort.mutations.dropna(subset="alt_count")
    np.testing.assert_allclose(reads["vaf"], reads["alt_count"] / (reads["alt_count"] + reads["ref_count"]))
