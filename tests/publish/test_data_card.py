"""The data card says how many patients a model learned from, and what it left out."""

import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.privacy.release_check import COLUMNS
from haemosynth.publish.data_card import Account, write_card


def card(model):
    composites = pd.DataFrame(columns=["pillar", "modality", "relative", "low", "high"])
    account = Account(
        "small", "default", {"clinical": "vae"}, {"clinical": model}, 1000, pd.DataFrame(columns=COLUMNS), composites
    )
    return write_card(small_cohort(60), account)


@pytest.mark.parametrize("patients", [1000, 400])
def test_a_model_of_some_of_the_patients_says_so(patients):
    text = card({"parameters": 200, "patients": patients})
    assert f"{patients / 200:.2g} training patients per parameter" in text
    assert ("learned from 400 of them drawn at random" in text) == (patients == 400)


def test_what_was_left_out_is_named():
    told = "Too few patients, neither learned nor released: FAB: M7, SF3B1"
    assert told in card({"parameters": 200, "left_out": ["FAB: M7", "SF3B1"]})
    assert "Too few" not in card({"parameters": 200, "left_out": []})


def test_classes_that_were_drawn_last_are_named():
    told = "Drawn last, given the whole patient, as nearly decided by the rest: ELN"
    assert told in card({"parameters": 200, "drawn_last": [{"name": "ELN"}]})
    assert "Drawn last" not in card({"parameters": 200})
