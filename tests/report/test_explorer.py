"""The explorer's page: it holds the released patients, aggregates of at least five real ones, and no way out."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from fixtures_dossier import ROOT
from fixtures_small import small_cohort

from haemosynth.report import explorer as module
from haemosynth.report.explorer import bin_numbers, render_explorer

PLACES = ROOT / "workflow/report", ROOT / "resources/explorer"


def page(synthetic=None):
    real = small_cohort(300)
    made = small_cohort(200, 2) if synthetic is None else synthetic
    return render_explorer(real.take(range(180)), real.take(range(180, 300)), made, "small", "open", *PLACES)


def data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_holds_every_value_of_the_released_patients():
    made = small_cohort(200, 2)
    found = data(page(made))
    names = [column["name"] for column in found["columns"]]
    assert [row[0] for row in found["patients"]] == list(made.patients)
    for name in ("age", "ISS", "OS_time"):
        own = [row[1 + names.index(name)] for row in found["patients"]]
        expected = [None if pd.isna(value) else value for value in made.clinical[name]]
        assert own == expected
    carried = [row[1 + names.index("KRAS")] for row in found["patients"]]
    assert sum(value == 1 for value in carried) == (made.alterations["KRAS"] == 1).sum()
    assert sum(value is None for value in carried) == made.alterations["KRAS"].isna().sum()


def test_the_page_needs_no_network_and_is_small():
    text = page()
    assert len(text.encode()) < 5_000_000
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "fetch(" not in text
    assert "XMLHttpRequest" not in text
    assert "Permission is hereby granted" in text  # the licence of the library


def test_equal_cohorts_give_equal_pages():
    assert page() == page()


def test_a_value_cannot_end_the_script():
    made = small_cohort(60, 2)
    hostile = made.clinical.assign(centre=pd.Categorical(["</script><b>"] * 60, categories=["</script><b>"]))
    text = page(made.replace(clinical=hostile))
    assert "</script><b>" not in text
    names = [column["name"] for column in data(text)["columns"]]
    assert data(text)["patients"][0][1 + names.index("centre")] == "</script><b>"


def test_so_many_patients_are_shown_as_fit(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 120_000)
    found = data(page())
    assert 1 <= len(found["patients"]) < 200
    assert found["released"] == 200


@pytest.mark.parametrize("seed", range(20))
def test_a_bin_rests_on_five_real_patients_or_on_none(seed):
    rng = np.random.default_rng(seed)
    real, made = (pd.Series(rng.lognormal(2, 1, n).round(seed % 2)) for n in (rng.integers(20, 200), 150))
    found = bin_numbers(real, made, seed % 2 == 0)
    shares = np.array(found["shares"]) * len(real)
    assert shares.sum() == pytest.approx(len(real), abs=0.01)
    # Bins that were taken together share their patients evenly: runs of equal shares.
    runs = np.split(shares, np.flatnonzero(np.abs(np.diff(shares)) > 1e-3) + 1)
    assert all(run.sum() >= 4.99 for run in runs)


def test_real_curves_and_shares_are_those_of_groups():
    found = data(page())["real"]
    assert found["n"] == 300
    for curves in found["curves"].values():
        for curve in curves.values():
            assert curve["n"] >= 20
            assert len(curve["times"]) - 1 <= curve["n"] / 5
    carriers = small_cohort(300).alterations.sum()
    few = [name for name in carriers.index if 0 < carriers[name] < 5]
    assert few
    assert all(found["columns"][name]["share"] is None for name in few)
