"""The dossier: what it says, what it withholds, and that it stands alone."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from fixtures_dossier import CONFIG, TEMPLATE, dossier_content
from fixtures_figures import drawn_alike, overlapping
from fixtures_phantoms import imaged_cohort
from fixtures_small import small_cohort

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.schema import FileRead, Schema
from haemosynth.modalities.images.part import images_of
from haemosynth.report.dossier import render
from haemosynth.report.overview import (
    count,
    count_levels,
    draw_scorecard,
    draw_survival,
    estimate_median_follow_up,
    share,
    summarise_cohort,
)
from haemosynth.stats.cox import kaplan_meier
from haemosynth.validate import STAGES

CAPTION = """**{stage} of {{{{ snakemake.wildcards.generator }}}}, {{{{ snakemake.wildcards.cohort }}}}
(seed {{{{ snakemake.wildcards.seed }}}}).** What is shown, with its
95 % intervals; ``{stage}`` is its name. Compare it with `real`.
"""


def small_content(**changes):
    content = dossier_content()
    captions = {stage: CAPTION.format(stage=stage) for stage in content.captions}
    return replace(content, **{"captions": captions, **changes})


def page(release=False, config=CONFIG, **changes):
    return render(small_content(**changes), config, ["default"], release, TEMPLATE)


def undrawn(**changes):
    """A page whose pictures are not drawn, which takes most of its time; as a part of it they could not be read."""
    with mock.patch("haemosynth.report.dossier._picture", return_value=""):
        return page(**changes)


def words_of(**changes):
    """The text of such a page."""
    return Outline(undrawn(**changes)).text


class Outline(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def working():
    return page()


def test_the_page_loads_nothing_from_elsewhere(working):
    for tag, attributes in Outline(working).tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/svg+xml;base64,"))
    css = working[working.index("<style>") : working.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css


def test_everything_a_committee_asks_for_is_there(working):
    text = Outline(working).text
    for stage in ("Survival", "Co occurrence", "Disclosure"):
        assert stage in text
    for part in (
        "180 real patients", "median follow-up", "fitted numbers", "Ceiling", "Floor", "Relative", "Limits", "Fit of",
        "Glossary", "not a proof of anonymity", "dirichlet_process", "torch", "One seed",
    ):  # fmt: skip
        assert part.lower() in text.lower(), part
    assert re.search(r"default against forest: \d+ better, \d+ equal within the interval, \d+ worse", text)
    assert text.index("release check is passed") < text.index("Warnings") < text.index("The real cohort")


def test_headings_descend_and_pictures_and_tables_are_named(working):
    tags = Outline(working).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert sum(tag == "table" for tag, _ in tags) == sum(tag == "caption" for tag, _ in tags)
    targets = {attributes["id"] for _, attributes in tags if "id" in attributes}
    assert {a["href"][1:] for tag, a in tags if tag == "a"} <= targets
    identifiers = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_captions_lose_their_markup_and_name_their_generator(working):
    text = Outline(working).text
    assert "snakemake" not in text.replace("snakemake 9", "")
    assert "**" not in text
    assert "``" not in text
    assert "`real`" not in text
    assert "survival of default, small (seed 1)." in text


def test_every_text_of_the_user_is_escaped():
    hostile = '<script>alert("x")</script>&<b onload=1>'
    content = small_content()
    schema = replace(content.train.schema, excluded={hostile: hostile}, notes=(hostile,))
    gate = content.gate.assign(meaning=hostile)
    html = undrawn(
        cohort=hostile,
        train=replace(content.train, schema=schema),
        gate=gate,
        dictionary=content.dictionary.assign(formula=hostile),
        captions=dict.fromkeys(content.captions, hostile),
    )
    assert "<script" not in html
    assert "<b onload" not in html
    assert html.count("&lt;script&gt;") > 5


def test_the_same_results_give_the_same_bytes(working):
    assert page() == working


def test_a_shut_gate_is_the_first_thing_said():
    gate = small_content().gate
    gate["passed"] = gate["check"] != "disclosure_auc"
    gate.loc[~gate["passed"], "value"] = 0.8
    html = undrawn(gate=gate)
    text = Outline(html).text
    assert "Not to be published: the release check failed (disclosure auc)" in text
    assert "release check is passed" not in text
    assert "A check of default failed: disclosure auc (clinical) 0.8 is above 0.65." in text
    assert 'class="verdict shut"' in html


def test_an_overruled_gate_names_who_overruled_it():
    gate = small_content().gate
    gate["passed"] = gate["check"] != "disclosure_auc"
    meaning = "released by A. Custodian against disclosure_auc: closed archive"
    gate.loc[len(gate)] = {"check": "override", "generator": "default", "passed": True, "meaning": meaning}
    html = undrawn(gate=gate)
    text = Outline(html).text
    assert f"The release check was overruled: {meaning}" in text
    assert "release check is passed" not in text
    assert "A check of default failed: disclosure auc" in text
    assert 'class="verdict shut"' in html


def test_a_recipe_that_was_never_checked_is_not_called_safe():
    text = words_of(gate=small_content().gate.iloc[:0])
    assert "release check is passed" not in text
    assert "no check of default was made" in text


def test_words_follow_the_interval():
    composites = small_content().composites
    ours = composites["generator"] == "default"

    def words(low, high):
        changed = composites.copy()
        changed.loc[ours, ["relative", "low", "high"]] = [(low + high) / 2, low, high]
        return words_of(composites=changed)

    assert "close to real patients" in words(0.85, 0.95)
    assert "like real patients in part" in words(0.55, 0.75)
    assert "far from real patients" in words(0.1, 0.3)
    assert "too uncertain to say" in words(0.1, 0.95)
    assert "a strong trace of the training patients" in words(0.0, 0.2)


def test_warnings_come_from_the_results():
    text = words_of()
    assert "9000 fitted numbers for 180 training patients" in text
    assert "mutation_model has 100 fitted numbers" not in text  # nearly two patients for each number
    assert "Too little signal" in text
    assert "Only 120 patients are held out" in text
    content = small_content()
    clinical = content.train.clinical.copy()
    name = content.train.schema.of_kind("continuous")[0]
    clinical.loc[clinical.index[:150], name] = np.nan
    sparse = words_of(train=replace(content.train, clinical=clinical))
    assert f"Missing in more than half of the training patients: {name}" in sparse


def rare(values):
    """The small cohort with one level and one alteration of `values` patients only."""
    cohort = small_cohort()
    clinical, alterations = cohort.clinical.copy(), cohort.alterations.copy()
    levels = next(n for n, c in cohort.schema.columns.items() if c.kind == "categorical" and c.derived is None)
    text = clinical[levels].astype("object")
    text.iloc[:] = "usual"
    text.iloc[:values] = "unusual"
    clinical[levels] = text
    gene = cohort.schema.genes[0]
    alterations[gene] = 0.0
    alterations.iloc[:values, alterations.columns.get_loc(gene)] = 1.0
    return cohort.replace(clinical=set_types(clinical, cohort.schema), alterations=alterations), levels, gene


def test_a_release_withholds_counts_under_five():
    cohort, levels, gene = rare(3)
    train, holdout = cohort.take(range(180)), cohort.take(range(180, 300))
    for release in (False, True):
        tables = summarise_cohort(train, holdout, release)
        row = tables.columns.set_index("column").loc[levels]
        event = tables.alterations.set_index("alteration").loc[gene]
        if release:
            assert "unusual" not in " ".join(row.astype(str))
            assert "297" not in " ".join(row.astype(str))  # from which 3 would follow
            assert event["carriers"] == "under 5"
            assert event["share of assayed"] in ("withheld", "under 1.7 %")
            numbers = tables.alterations["carriers"].str.fullmatch(r"\d+")
            counts = tables.alterations.loc[numbers, "carriers"].astype(int)
            assert not counts.between(1, 4).any()
        else:
            assert "unusual 3" in row.iloc[2]
            assert event["carriers"] == "3"


def test_a_release_shows_no_extreme_value_and_no_note_of_ingestion():
    content = small_content()
    name = content.train.schema.of_kind("continuous")[0]
    clinical = content.train.clinical.copy()
    clinical.iloc[0, clinical.columns.get_loc(name)] = 987654.0
    schema = replace(content.train.schema, notes=("patient P7 was odd",))
    train = replace(content.train, clinical=clinical, schema=schema)
    released = undrawn(release=True, train=train)
    assert "P7" not in released
    assert "987654" not in released
    assert "9.88e+05" not in released
    assert "P7" in undrawn(train=train)
    assert "Release edition" in released


def test_what_was_read_stands_first_and_its_release_edition_quotes_nothing():
    content = small_content()
    schema = replace(
        content.train.schema,
        excluded={"WARD": "constant: Saint Somewhere in every patient with a value", "MRN": "identifier"},
        reading=(FileRead("saint.tsv", 104, 100, {"header": 1, "no gene symbol (1-Sep)": 3}, {"unk": 2}, {}),),
    )
    train = replace(content.train, schema=schema)
    read = ["small: 100 patients", "OS: time 0 raised to 0.5 months: P0001"]
    shown = undrawn(train=train, read=read)
    assert shown.index("What was read") < shown.index('id="warnings"')
    assert shown.index("<h2") == shown.index('<h2 id="read"')
    assert "P0001" in shown
    left = undrawn(release=True, train=train, read=read)
    assert left.index("What was read") < left.index('id="warnings"')
    for word in ("P0001", "Saint", "saint.tsv", "1-Sep", "unk"):
        assert word not in Outline(left).text.split("Warnings")[0], word
    assert "no gene symbol (under 5)" in left
    assert "100 records" not in left  # which would tell how many are under five
    assert "Saint" not in left


def test_no_patient_identifier_is_printed(working):
    for patient in [*small_content().train.patients, *small_content().holdout.patients]:
        assert str(patient) not in working


@pytest.mark.parametrize(
    ("number", "release", "text"),
    [(0, True, "0"), (1, True, "under 5"), (4, True, "under 5"), (5, True, "5"), (4, False, "4")],
)
def test_counts(number, release, text):
    assert count(number, release) == text


def test_shares_and_levels():
    assert share(3, 60, False) == "5 %"
    assert share(3, 60, True) == "withheld"
    assert share(3, 1000, True) == "under 0.5 %"
    assert share(30, 60, True) == "50 %"
    assert share(0, 0, True) == "unknown"
    two_rare = pd.Series(["a"] * 50 + ["b"] * 2 + ["c"] * 3)
    assert count_levels(two_rare, True) == "a 50, 2 rare levels withheld"
    one_rare = pd.Series(["a"] * 50 + ["b"] * 20 + ["c"] * 3)
    assert count_levels(one_rare, True) == "a 50, 2 rare levels withheld"
    assert count_levels(one_rare, False) == "a 50, b 20, c 3"
    assert count_levels(pd.Series(list("abcdefgh") * 9), False).endswith("and 2 more levels")


def test_median_follow_up_is_the_reverse_kaplan_meier_estimate():
    rng = np.random.default_rng(3)
    for _ in range(20):
        time, event = rng.integers(1, 15, 80).astype(float), rng.integers(0, 2, 80).astype(float)
        time[:3] = np.nan
        # Those with the endpoint are at risk of being censored at that time, and leave after it.
        curve = kaplan_meier(time[3:], 1 - event[3:])
        below = curve.times[curve.survival <= 0.5 + 1e-9]
        expected = below[0] if len(below) else np.nan
        np.testing.assert_equal(estimate_median_follow_up(pd.Series(time), pd.Series(event)), expected)
    whole = pd.Series([3.0, 1.0, 2.0])
    assert estimate_median_follow_up(whole, 0 * whole) == 2
    for n in (2, 6, 8, 14, 24, 44):  # half of the patients exactly
        assert estimate_median_follow_up(pd.Series(np.arange(1.0, n + 1)), pd.Series(np.zeros(n))) == n / 2
    assert np.isnan(estimate_median_follow_up(whole, 0 * whole + 1))
    assert np.isnan(estimate_median_follow_up(whole * np.nan, whole))


def test_survival_of_the_real_cohort_stands_in_the_working_edition_alone(working):
    assert "Survival of the real cohort" in working
    assert "Survival of the real cohort" not in page(release=True)


def test_the_figure_of_the_real_cohort_is_readable_and_finds_an_unfair_split(tmp_path):
    content = small_content()
    train, holdout = content.train, content.holdout
    assert not overlapping(draw_survival(train, holdout))
    assert drawn_alike(lambda: draw_survival(train, holdout), tmp_path)
    texts = {text.get_text() for axis in draw_survival(train, holdout).axes for text in axis.texts}
    assert {"patients at risk", str(len(train)), str(len(holdout))} <= texts
    assert not {"1", "2", "3", "4"} & texts
    unfair = replace(holdout, clinical=holdout.clinical.assign(OS_time=holdout.clinical["OS_time"] / 3))
    assert "p < 0.001" in draw_survival(train, unfair).axes[0].get_title(loc="left")
    assert "p < 0.001" not in draw_survival(train, holdout).axes[0].get_title(loc="left")
    without = replace(train, schema=replace(train.schema, endpoints=()))
    assert draw_survival(without, holdout) is None


def test_a_column_without_a_value_is_said_to_have_none():
    cohort = small_cohort()
    name = cohort.schema.of_kind("continuous")[0]
    empty = replace(cohort, clinical=cohort.clinical.assign(**{name: np.nan}))
    row = (
        summarise_cohort(empty.take(range(100)), empty.take(range(100, 200)), True)
        .columns.set_index("column")
        .loc[name]
    )
    assert row.iloc[2] == "no value"
    assert row["missing"] == "100 %"


def test_the_scorecard_figure_places_every_stage_and_every_scored_metric():
    content = small_content()
    figure = draw_scorecard(content.stages, content.scorecard, ["default", "forest"])
    scored = content.scorecard[content.scorecard["status"] == "ok"]
    rows = content.stages[["pillar", "stage", "modality"]].drop_duplicates()
    assert sum(len(axis.get_yticklabels()) for axis in figure.axes) == len(rows)
    assert [axis.get_title(loc="left").split(":")[0].lower() for axis in figure.axes] == list(
        dict.fromkeys(rows["pillar"])
    )
    assert overlapping(figure) == []
    lines = [line for axis in figure.axes for line in axis.lines]
    for generator in ("default", "forest"):
        means = [line for line in lines if line.get_label() == generator]
        found = np.concatenate([line.get_xdata() for line in means])
        assert sorted(found) == pytest.approx(sorted(content.stages.query("generator == @generator")["relative"]))
        small = [x for line in lines for x in line.get_xdata() if line.get_markersize() == 3.5
                 and line.get_color() == means[0].get_color()]  # fmt: skip
        expected = scored.loc[scored["generator"] == generator, "relative"].clip(-0.25, 1.25)
        assert sorted(small) == pytest.approx(sorted(expected))


def test_the_scorecard_figure_of_all_stages_stays_on_a_page():
    content = small_content()
    assert set(content.stages["stage"]) == set(STAGES) - {
        "audit",
        "shadow",
        "enlarged_classes",
        "fairness",
    }  # which score nothing
    figure = draw_scorecard(content.stages, content.scorecard, ["default", "forest"])
    assert overlapping(figure) == []
    assert figure.get_figheight() < 11  # inches


def test_a_cohort_without_genomics_or_history_is_shown_too():
    content = small_content()
    config = {**CONFIG, "generators": {"default": {"clinical": "vae"}}, "baseline": None}
    text = Outline(
        page(
            config=config,
            train=content.train.record(),
            holdout=content.holdout.record(),
            models={("clinical", "forest"): {"parameters": 0}},
            histories={},
            scorecard=content.scorecard[content.scorecard["generator"] == "default"],
            stages=content.stages[content.stages["generator"] == "default"],
            baseline=content.baseline.iloc[:0],
        )
    ).text
    assert "carriers" not in text.split("Glossary")[0].split("Scorecard")[0]
    assert "Against the open baseline" not in text


def test_a_cohort_of_images_without_a_record_is_shown_with_its_note_and_its_pictures():
    content = small_content()
    bare = Cohort(Schema("pictures", {}), content.train.clinical[[]])
    images = images_of(imaged_cohort()[0])
    text = page(
        config={**CONFIG, "cohorts": {content.cohort: {"note": "It stands for the modality, not for myeloma."}}},
        train=bare, holdout=bare, assessment=pd.DataFrame(), models={}, histories={},
        parts={"images": {"train": replace(images, info={"unit": "picture"}), "default": images}},
    )  # fmt: skip
    outline = Outline(text)
    assert "It stands for the modality, not for myeloma." in outline.text
    assert "The picture is the unit" in outline.text
    assert "Imputation" not in outline.text
    assert "Clinical columns" not in outline.text
    assert text.count("data:image/png") == 2
    assert page(release=True, parts={"images": {"train": images, "default": images}}).count("data:image/png") == 1
