"""Stages, checks, figures and exports of measurements on candidates whose answer is known."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures_small import small_cohort
from measured_cohorts import halves, sides

from haemosynth.core.figures import new_figure, save_figure
from haemosynth.core.streams import stream
from haemosynth.modalities.metabolomics import export, figure, panel
from haemosynth.modalities.metabolomics.checks import CHECKS
from haemosynth.modalities.metabolomics.generators import factor
from haemosynth.modalities.metabolomics.ingest import ingest
from haemosynth.modalities.metabolomics.measured import levels, make, values_of
from haemosynth.modalities.metabolomics.part import keep_measurements, measured_of
from haemosynth.modalities.metabolomics.reference import reference
from haemosynth.modalities.metabolomics.stages import metabolomics, metabolomics_memory
from haemosynth.privacy.release_check import gate, verdict
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison
from haemosynth.validate.stages import coherence

ROOT = Path(__file__).resolve().parents[3]
STAGES = (metabolomics, metabolomics_memory)
QUICK = {"trees": 100, "exchanges": 300}


def streams(*name):
    return stream(1, *map(str, name))


def settings(stage):
    return {**stage.DEFAULTS, **{key: value for key, value in QUICK.items() if key in stage.DEFAULTS}}


@cache
def candidate(kind):
    train = sides()[0]
    if kind in ("real", "independent", "uniform"):
        return train.replace(metabolomics=reference(kind, train, train, stream(2, kind)))
    if kind == "fresh":
        return sides()[1]
    if kind == "factor":
        model = factor.fit(train, factor.DEFAULTS, stream(3), None)
        return train.replace(metabolomics=factor.sample(model, train.replace(metabolomics=None), stream(4)))
    data = measured_of(train)
    if kind == "unlimited":  # values at a limit are shown as values a little within them
        return train.replace(
            metabolomics=keep_measurements(make(values_of(data) * 1.0, np.zeros(data.shape), data, data.obs_names))
        )
    if kind == "moved":
        return train.replace(
            metabolomics=keep_measurements(make(values_of(data) * 2, data.layers["limit"], data, data.obs_names))
        )
    if kind == "complete":
        filled = np.where(np.isnan(values_of(data)), np.nanmedian(values_of(data), axis=0), values_of(data))
        return train.replace(metabolomics=keep_measurements(make(filled, data.layers["limit"], data, data.obs_names)))
    raise ValueError(kind)


@cache
def comparison(stage, kind):
    train, _, control = sides()
    whole = Comparison(real=halves()[1], candidate=candidate(kind), train=train, control=control)
    return prepare_comparison(stage, whole, settings(stage), streams)


@cache
def found(stage, kind, target="all"):
    values = stage.measure(comparison(stage, kind), settings(stage), streams("measure"))
    return {value.metric: value.value for value in values if value.target == target}


def test_every_metric_stands_between_its_references():
    real, alone, uniform = (found(metabolomics, kind) for kind in ("real", "independent", "uniform"))
    for name in ("analyte_distance", "analyte_limit_error", "analyte_missing_error"):
        assert real[name] < uniform[name] / 2
    for name in ("analyte_correlation_error", "analyte_missing_correlation_error"):
        assert real[name] < alone[name] / 2
    assert real["analyte_alteration_concordance"] > 0.5 > 0.3 > alone["analyte_alteration_concordance"]
    # What concerns single analytes alone is kept by analytes drawn alone.
    assert alone["analyte_distance"] == pytest.approx(real["analyte_distance"], abs=0.03)


def test_the_generator_keeps_what_the_independent_reference_loses():
    drawn, alone = found(metabolomics, "factor"), found(metabolomics, "independent")
    assert drawn["analyte_correlation_error"] < alone["analyte_correlation_error"] / 2
    assert drawn["analyte_alteration_concordance"] > alone["analyte_alteration_concordance"] + 0.3
    assert drawn["analyte_distance"] < found(metabolomics, "uniform")["analyte_distance"] / 2


@pytest.mark.parametrize(
    ("kind", "seen", "unseen"),
    [
        (
            "unlimited",
            ("analyte_limit_error", "analyte_distance"),
            ("analyte_missing_error", "analyte_correlation_error"),
        ),
        ("moved", ("analyte_distance",), ("analyte_limit_error", "analyte_missing_error", "analyte_correlation_error")),
        ("complete", ("analyte_missing_error",), ("analyte_limit_error",)),
    ],
)
def test_each_fault_moves_its_own_metric(kind, seen, unseen):
    real, spoilt = found(metabolomics, "real"), found(metabolomics, kind)
    for name in seen:
        assert spoilt[name] > real[name] + 0.005
    for name in unseen:
        assert spoilt[name] == pytest.approx(real[name], abs=0.01 if kind == "complete" else 1e-9)


def test_coherence_tells_measurements_of_other_patients():
    train = candidate("real")
    data = measured_of(train)
    order = np.random.default_rng(1).permutation(data.n_obs)
    others = make(values_of(data)[order], data.layers["limit"][order], data, data.obs_names)
    spoilt = Comparison(halves()[1], train.replace(metabolomics=keep_measurements(others)), sides()[0], sides()[2])
    spoilt = prepare_comparison(coherence, spoilt, coherence.DEFAULTS, streams)
    pair = "clinical~metabolomics"
    told = {
        value.metric: value.value
        for value in coherence.measure(spoilt, coherence.DEFAULTS, streams("measure"))
        if value.target == pair
    }
    assert told["reading_error"] > found(coherence, "real", pair)["reading_error"] + 0.15


def rows(kind):
    values, _ = evaluate(
        metabolomics_memory, comparison(metabolomics_memory, kind),
        settings(metabolomics_memory) | {"repeats": 1, "replicates": 2}, streams,
    )  # fmt: skip
    return values.assign(stage="metabolomics_memory", generator=kind, cohort="small", seed=1, pillar="privacy")


def judged(kind):
    return gate(rows(kind), {}, stages=("metabolomics_memory",), modalities=("clinical", "metabolomics"))


def test_copied_profiles_are_refused_and_fresh_and_drawn_ones_pass():
    copied, fresh, drawn = judged("real"), judged("fresh"), judged("factor")
    assert set(copied["check"]) == set(CHECKS)
    assert not copied["passed"].any()
    assert not verdict(copied)
    assert verdict(fresh), fresh
    assert fresh.set_index("check").loc["metabolomics_repeats", "value"] == 0
    assert drawn.set_index("check").loc["metabolomics_repeats", "passed"]
    assert drawn.set_index("check").loc["metabolomics_membership_auc", "value"] < 0.75


def test_values_of_training_patients_give_them_away_though_no_profile_is_a_copy():
    areas = {name: found(metabolomics_memory, "independent", name)["metabolomics_membership_auc"]
             for name in ("values_2", "values_10", "distance", "all")}  # fmt: skip
    assert areas["all"] > 0.65
    assert max(areas["values_2"], areas["values_10"]) > areas["distance"]
    assert found(metabolomics_memory, "independent")["metabolomics_repeats"] == 0


def test_a_few_copies_among_others_are_told():
    train, _, control = sides()
    data, own = measured_of(candidate("factor")).copy(), measured_of(train)
    data.X[:5], data.layers["limit"][:5] = own.X[:5], own.layers["limit"][:5]
    mixed = Comparison(halves()[1], candidate("factor").replace(metabolomics=keep_measurements(data)), train, control)
    mixed = prepare_comparison(metabolomics_memory, mixed, settings(metabolomics_memory), streams)
    told = {v.metric: v.value for v in metabolomics_memory.measure(mixed, {}, streams()) if v.target == "all"}
    assert told["metabolomics_repeats"] == pytest.approx(5 / data.n_obs)
    assert told["metabolomics_repeats"] > CHECKS["metabolomics_repeats"].limit


def test_repeats_are_those_of_counting():
    rng = np.random.default_rng(1)
    train, profiles = rng.integers(0, 4, (30, 8)).astype(float), rng.integers(0, 4, (20, 8)).astype(float)
    train[rng.random(train.shape) < 0.2] = np.nan
    profiles[:3] = train[:3]
    expected = [
        any(
            (known := ~np.isnan(one) & ~np.isnan(other)).sum() >= 5 and (one == other)[known].mean() > 0.5
            for other in train
        )
        for one in profiles
    ]
    assert metabolomics_memory.find_repeats(profiles, train).tolist() == expected


@pytest.mark.parametrize("stage", STAGES)
def test_without_measurements_a_reason_is_given(stage):
    cohort = small_cohort(120)
    whole = prepare_comparison(stage, Comparison(cohort, cohort, cohort, cohort), stage.DEFAULTS, streams)
    values = stage.measure(whole, stage.DEFAULTS, streams("measure"))
    assert values
    assert all(np.isnan(value.value) and "metabolomics" in value.reason for value in values)
    stage.figure(whole, pd.DataFrame(), stage.DEFAULTS, "none")


@pytest.mark.parametrize("stage", STAGES)
def test_figures_are_drawn_alike_and_values_lie_within_their_bounds(stage, tmp_path):
    whole = comparison(stage, "factor")
    values, _ = evaluate(stage, whole, settings(stage) | {"repeats": 1, "replicates": 3}, streams)
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    usable = values[values["status"] == "ok"]
    assert len(usable) > 3
    for row in usable.itertuples():
        assert bounds[row.metric][0] <= row.value <= bounds[row.metric][1]
    for name in ("a.svg", "b.svg"):
        save_figure(stage.figure(whole, values, stage.DEFAULTS, "factor"), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_pictures_of_the_dossier_are_the_same_twice_and_the_release_shows_nobody_real(tmp_path):
    train, made_ = sides()[0], candidate("factor")
    for name in ("a.svg", "b.svg"):
        save_figure(figure.draw(made_, train), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    labels = [text.get_text() for text in figure.draw(made_, None).axes[0].get_legend().get_texts()]
    assert len(labels) == 1
    assert labels[0].startswith("synthetic")
    draw = panel.prepare(made_, train)
    _, axis = new_figure(3, 3)
    owner = made_.patients.get_indexer(measured_of(made_).obs_names)[0]
    draw(axis, int(owner), train.take(np.arange(60)))
    assert len(axis.patches) > 0
    assert panel.space(train)(made_).shape == (len(made_), panel.COMPONENTS)


def test_a_release_holds_the_table_as_people_write_it(tmp_path):
    cohort = candidate("factor")
    export.export(cohort, tmp_path)
    export.export(cohort, tmp_path, "agreement", balanced=True)
    stamped = (tmp_path / "tables/metabolomics.balanced.agreement.tsv").read_text()
    text = (tmp_path / "tables/metabolomics.tsv").read_text()
    assert stamped == text
    assert "\t<" in text
    assert "Glucose (mmol/L)" in text
    entry = {"format": "tables", "path": str(tmp_path), "metabolomics": {"path": "tables/metabolomics.tsv"}}
    again = ingest("again", entry, cohort)[0].data
    data = measured_of(cohort)
    np.testing.assert_allclose(again.X, data[:, again.var_names].X, rtol=1e-9)
    np.testing.assert_array_equal(again.layers["limit"], data[:, again.var_names].layers["limit"])
    assert f"of {data.n_obs} patients" in export.describe(cohort)[0]
    assert "`tables/metabolomics.balanced.agreement.tsv`" in export.describe(cohort, "agreement", balanced=True)[0]
    assert export.describe(small_cohort(60)) == []
    export.export(small_cohort(60), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_one_folder_and_one_name_are_all_that_the_workflow_needs(tmp_path):
    study = {
        "cohorts": {"small": {
            "format": "simulated", "disease": "myeloma", "patients": 200, "endpoint": ["OS", "PFS"],
            "modalities": ["clinical", "genomic", "metabolomics"],
        }},
        "stages": ["metabolomics", "metabolomics_memory", "coherence"],
    }  # fmt: skip
    for name in ("workflow", "config", "resources", "envs", "Snakefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    command = [sys.executable, "workflow/run.py", "--study", "study.yaml", "--cores", "1", "--", "all", "--dry-run"]
    done = subprocess.run([*command, "--quiet", "host"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    steps = ("simulate", "split", "halve", "fit", "sample", "reference", "draw")
    for rule in (*(f"{step}_metabolomics" for step in steps), "validate_metabolomics", "validate_metabolomics_memory"):
        assert f"rule {rule}:" in done.stdout + done.stderr
    assert np.isfinite(levels(measured_of(halves()[0]))).any()
