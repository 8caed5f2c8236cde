"""What leaves of a balanced cohort says so everywhere, with weights that restore the real prevalence."""

import json

import numpy as np
import pandas as pd
import pytest
from fixtures_dossier import CONFIG, TEMPLATE, dossier_content
from fixtures_small import small_cohort

from haemosynth.generate.balance import fill_quotas, read_quotas
from haemosynth.privacy.tiers import stamp_name
from haemosynth.publish.crate import NAME
from haemosynth.publish.release import publish
from haemosynth.validate import STAGES

BALANCE = {"class": {"t(4;14)": 0.4}, "declared": {"by": "A. Person", "reason": "teaching"}}
STUDY = {"cohorts": {"small": {"format": "simulated", "disease": "myeloma", "endpoint": "OS"}}}


def content():
    from dataclasses import replace

    return replace(dossier_content(), captions=dict.fromkeys(STAGES, "What is shown."))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    train = content().train
    cohort = fill_quotas(small_cohort(1500, 6), read_quotas(BALANCE, train, 60), 60, 60)
    folder = tmp_path_factory.mktemp("balanced") / "out"
    config = CONFIG | STUDY | {"balance": BALANCE, "synthetic_patients": 60}
    publish(folder, cohort, "default", content(), config, TEMPLATE)
    return folder


def test_names_say_that_the_cohort_is_balanced(folder):
    names = {file.name for file in folder.rglob("*")}
    expected = {
        f"{name}.balanced" for name in ("clinical", "alterations", "mutations", "weights", "dossier", "DATA_CARD")
    }
    assert expected <= {name.rpartition(".")[0].removesuffix(f".{CONFIG['release']['tier']}") for name in names}
    assert not {"clinical.tsv", "dossier.html", "DATA_CARD.md"} & names
    study = (folder / "cbioportal/meta_study.txt").read_text()
    assert "small_synthetic_balanced" in study
    assert "balanced cohort" in study


def test_pages_say_what_was_asked_for_and_who_answers_for_it(folder):
    card = next(folder.glob("DATA_CARD*")).read_text()
    assert card.splitlines()[0].endswith(", balanced")
    assert "This cohort is balanced" in card
    assert "t(4;14) 40.0 % (real: " in card
    names = [file.name for pattern in ("dossier*", "explorer*") for file in folder.glob(pattern)]
    assert all(f"`{name}`" in card for name in names)
    for name in names:
        head = (folder / name).read_text().partition("<h2")[0]
        assert "This cohort is balanced" in head
        assert "t(4;14) 40.0 % (real: " in head
    graph = json.loads((folder / NAME).read_text())["@graph"]
    root = next(entity for entity in graph if entity["@id"] == "./")
    assert "balanced" in root["name"]
    assert "weights restore" in root["description"]
    assert any(entity["@id"] == "#setting-balance" for entity in graph)


def test_weights_restore_the_prevalence_of_training_patients(folder):
    weight = pd.read_csv(next((folder / "tables").glob("weights*")), sep="\t", index_col=0)["weight"]
    states = pd.read_csv(next((folder / "tables").glob("alterations*")), sep="\t", index_col=0)["t(4;14)"]
    assert (states == 1).mean() == 0.4
    real = (content().train.alterations["t(4;14)"] == 1).mean()
    assert np.average(states == 1, weights=weight) == pytest.approx(real, abs=2e-3)
    assert (
        next((folder / "cohort").glob("weights*")).read_text() == next((folder / "tables").glob("weights*")).read_text()
    )


def test_a_study_without_quotas_has_the_names_it_had(tmp_path):
    publish(tmp_path / "out", small_cohort(60), "default", content(), CONFIG | STUDY, TEMPLATE)
    text = b"".join(file.read_bytes() for file in (tmp_path / "out").glob("*.md"))
    assert b"balanced" not in text
    assert not [file for file in (tmp_path / "out").rglob("*") if "balanced" in file.name or "weights" in file.name]
    assert 'id="balance"' not in next((tmp_path / "out").glob("explorer*")).read_text()
    assert stamp_name("clinical.tsv", "open") == "clinical.tsv"
    assert stamp_name("clinical.tsv", "agreement", True) == "clinical.balanced.agreement.tsv"
