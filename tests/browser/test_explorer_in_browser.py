"""The explorer in a real browser: after a filter its curves are those that lifelines computes for the same patients."""

import html
import json
import re
import shutil
from urllib.parse import urlencode

import numpy as np
import pytest
from fixtures_dossier import ROOT
from fixtures_small import small_cohort
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from test_dossier_in_browser import chromium

from haemosynth.modalities.genomic.molecular_classes import classify_patients, find_molecular_classes
from haemosynth.report.explorer import render_explorer

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed: apt-get install chromium"
)
REAL, MADE = small_cohort(300), small_cohort(400, 2)
# The frame asks for one view after the other, and writes down what the page then holds.
FRAME = """<!DOCTYPE html><title>frame</title>
<iframe id="f" style="width:{width}px;height:3000px;border:0"></iframe><pre id="found"></pre>
<script>
const views = {views}, told = [];
f.src = "explorer.html#" + views[0];
f.onload = async () => {{
  const page = f.contentDocument, root = page.documentElement;
  for (const view of views) {{
    f.contentWindow.location.hash = view;
    await new Promise(done => setTimeout(done, 300));
    const cells = row => [...row.children].map(cell => cell.textContent);
    const outside = e => !e.closest('.scroll') && e.getBoundingClientRect().right > root.clientWidth + 1;
    told.push({{
      count: page.getElementById("count").textContent,
      steps: [...page.querySelectorAll("#steps tr")].slice(1).map(cells),
      atrisk: [...page.querySelectorAll("#atrisk tr")].map(cells),
      statistic: page.getElementById("logrank").dataset.statistic,
      p: page.getElementById("logrank").dataset.p,
      charts: page.querySelectorAll("canvas").length,
      single: page.getElementById("single").textContent,
      bars: page.querySelectorAll(".levels .bar").length,
      width: root.clientWidth, page: root.scrollWidth,
      wide: [...page.querySelectorAll("main *")].filter(outside).map(e => e.tagName),
    }});
    page.getElementById("logrank").removeAttribute("data-p");
  }}
  found.textContent = JSON.stringify(told);
}}
</script>"""
VIEWS = [
    [],
    [("f", "age:60.."), ("f", "ISS:II|III"), ("endpoint", "PFS")],
    [("f", "KRAS:present"), ("endpoint", "OS"), ("show", "isotype"), ("patient", MADE.patients[6])],
    [("f", "sex:Male"), ("by", "molecular class"), ("endpoint", "OS")],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    train, holdout = REAL.take(range(180)), REAL.take(range(180, 300))
    places = ROOT / "workflow/report", ROOT / "resources/explorer"
    (place / "explorer.html").write_text(render_explorer(train, holdout, MADE, "small", "open", *places))
    return place


def seen(folder, width):
    """What the page holds in each view."""
    (folder / "frame.html").write_text(FRAME.format(width=width, views=json.dumps([urlencode(v) for v in VIEWS])))
    url = (folder / "frame.html").as_uri()
    text = chromium(folder, "--allow-file-access-from-files", "--virtual-time-budget=15000", "--dump-dom", url)
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', text, flags=re.DOTALL)[1]))


@pytest.fixture(scope="module")
def wide(folder):
    return seen(folder, 1280)


def selections():
    """The patients of each view, by pandas: groups in the order in which the page compares them."""
    clinical, carried = MADE.clinical, MADE.alterations["KRAS"] == 1
    everybody = np.ones(len(MADE), dtype=bool)
    older = ((clinical["age"] >= 60) & clinical["ISS"].isin(["II", "III"])).to_numpy()
    classes = find_molecular_classes(REAL.take(range(180)))
    label = classify_patients(MADE, classes)
    men = (clinical["sex"] == "Male").to_numpy()
    yield "OS", [everybody]
    yield "PFS", [older, ~older]
    yield "OS", [carried.to_numpy(), ~carried.to_numpy()]
    yield "OS", [men & (label == name).to_numpy() for name in [*classes, "other"]]


def test_curves_after_a_filter_are_those_of_lifelines(wide):
    for view, (endpoint, groups) in zip(wide, selections(), strict=True):
        time, event = (MADE.clinical[f"{endpoint}_{part}"].to_numpy(float) for part in ("time", "event"))
        known = np.isfinite(time) & np.isfinite(event)
        names = list(dict.fromkeys(row[0] for row in view["steps"]))
        assert len(names) == len(groups)
        for name, group in zip(names, groups, strict=True):
            own = np.array([row[1:] for row in view["steps"] if row[0] == name], dtype=float)
            fitted = KaplanMeierFitter().fit(time[known & group], event[known & group])
            table = fitted.event_table[fitted.event_table["removed"] > 0]
            assert own[:, 0] == pytest.approx(table.index.to_numpy())
            assert own[:, 1] == pytest.approx(table["at_risk"].to_numpy())
            assert own[:, 2] == pytest.approx(table["observed"].to_numpy())
            survival = fitted.survival_function_.loc[table.index].iloc[:, 0].to_numpy()
            assert own[:, 3] == pytest.approx(survival, abs=1e-6)
            band = fitted.confidence_interval_.loc[table.index].to_numpy()
            inside = (survival > 0) & (survival < 1)
            assert own[inside, 4:] == pytest.approx(band[inside], abs=2e-6)


def test_the_log_rank_test_is_that_of_lifelines(wide):
    assert "p" not in wide[0]  # one group
    for view, (endpoint, groups) in list(zip(wide, selections(), strict=True))[1:]:
        time, event = (MADE.clinical[f"{endpoint}_{part}"].to_numpy(float) for part in ("time", "event"))
        member = np.full(len(MADE), -1)
        for number, group in enumerate(groups):
            member[group] = number
        known = np.isfinite(time) & np.isfinite(event) & (member >= 0)
        test = multivariate_logrank_test(time[known], member[known], event[known])
        assert float(view["statistic"]) == pytest.approx(test.test_statistic, rel=1e-6)
        assert float(view["p"]) == pytest.approx(test.p_value, rel=1e-4)


def test_numbers_at_risk_and_of_patients_are_those_of_the_selection(wide):
    for view, (endpoint, groups) in zip(wide, selections(), strict=True):
        time = MADE.clinical[f"{endpoint}_time"].to_numpy(float)
        ticks = [int(cell) for cell in view["atrisk"][0][1:-2]]
        for row, group in zip(view["atrisk"][1:], groups, strict=True):
            assert [int(cell) for cell in row[1:-2]] == [(time[group] >= tick).sum() for tick in ticks]
    everybody = [view["count"] for view in wide]
    assert everybody[0] == "400 of 400 synthetic patients"
    assert everybody[2] == f"{int((MADE.alterations['KRAS'] == 1).sum())} of 400 synthetic patients"


def test_a_patient_is_shown_whole(wide):
    assert str(MADE.patients[6]) in wide[2]["single"]
    for value in MADE.clinical.iloc[6][["isotype", "sex"]].dropna():
        assert value in wide[2]["single"]
    assert wide[2]["bars"] > 3
    assert all(view["charts"] >= 2 for view in wide)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(folder, wide, width):
    for view in wide if width == 1280 else seen(folder, width):
        assert view["width"] == width
        assert view["page"] <= width
        assert view["wide"] == []
