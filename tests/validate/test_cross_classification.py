"""What is learned holds where structure was kept; swapped labels, lost structure and unfair losses are seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stages import cross_classification as stage

SCORED = [metric.name for metric in stage.METRICS if metric.kind != "descriptive"]
SETTINGS = stage.DEFAULTS | {"trees": 10}


@pytest.fixture(scope="module")
def comparison():
    split = compared(small_cohort(900, 3), train_fraction=0.5)
    split = replace(split, candidate=split.train)
    return prepare_comparison(stage, split, SETTINGS, lambda *names: stream(1, *names))


def measured(comparison, seed=0):
    values = stage.measure(comparison, SETTINGS, np.random.default_rng(seed))
    return {(value.metric, value.target, value.modality): value for value in values}


@pytest.fixture(scope="module")
def real(comparison):
    return measured(comparison)


def with_clinical(comparison, **columns):
    candidate = comparison.candidate
    return replace(comparison, candidate=replace(candidate, clinical=candidate.clinical.assign(**columns)))


def test_training_patients_lose_nothing_against_training_patients(real):
    for modality in ("clinical", "genomic"):
        assert real["tstr_gap", "all", modality].value == pytest.approx(0, abs=1e-9)
    gaps = [value.value for (metric, *_), value in real.items() if metric == "subgroup_gap" and not value.reason]
    assert gaps == pytest.approx(np.zeros(len(gaps)), abs=1e-9)
    assert gaps


@pytest.fixture(scope="module")
def beside_shuffled(comparison):
    """Two measurements of real patients, and two of patients whose columns were shuffled."""
    spoiled = [replace(comparison, candidate=independent(comparison.candidate, seed)) for seed in range(2)]
    return [measured(comparison, s) for s in range(2)], [measured(candidate, s) for s, candidate in enumerate(spoiled)]


@pytest.mark.parametrize("modality", ["clinical", "genomic"])
def test_real_patients_teach_more_than_shuffled_columns(beside_shuffled, modality):
    keys = [(metric, "all", modality) for metric in SCORED]
    real, shuffled = ([[found[key].value for key in keys] for found in side] for side in beside_shuffled)
    kinds = {metric.name: metric.kind for metric in stage.METRICS}
    for name, better in zip(SCORED, np.mean(real, axis=0) - np.mean(shuffled, axis=0), strict=True):
        assert better > 0 if kinds[name] == "agreement" else better < 0, name


def test_swapped_labels_are_caught(comparison, real):
    answer = comparison.candidate.clinical["transplant"]
    swapped = answer.cat.rename_categories({"Yes": "No", "No": "Yes"}).cat.set_categories(answer.cat.categories)
    found = measured(with_clinical(comparison, transplant=swapped))
    key = "transplant=Yes", "clinical"
    assert real[("tstr_auc", *key)].value > 0.75
    assert found[("tstr_auc", *key)].value == pytest.approx(1 - real[("tstr_auc", *key)].value, abs=0.03)
    assert found[("trts_error", *key)].value > 0.4 > 5 * real[("trts_error", *key)].value
    assert found[("augmentation_gain", *key)].value < -0.1 < real[("augmentation_gain", *key)].value


def test_permuted_labels_are_caught(comparison, real):
    answer = comparison.candidate.clinical["transplant"]
    order = np.random.default_rng(0).permutation(len(answer))
    found = measured(with_clinical(comparison, transplant=answer.array[order]))
    key = "transplant=Yes", "clinical"
    assert found[("trts_auc", *key)].value == pytest.approx(0.5, abs=0.08)
    assert found[("tstr_auc", *key)].value < real[("tstr_auc", *key)].value - 0.15
    assert found[("tstr_brier", *key)].value > real[("tstr_brier", *key)].value + 0.04


def test_predictions_that_fail_one_subgroup_are_seen_there(comparison):
    candidate = comparison.candidate
    women = (candidate.clinical["sex"] == "Female").to_numpy()
    answer = candidate.clinical["transplant"].mask(women, "No")
    outcomes = tuple(o for o in comparison.prepared.questions.outcomes if o.column == "transplant")
    asked = replace(comparison.prepared, questions=replace(comparison.prepared.questions, outcomes=outcomes))
    found = measured(replace(with_clinical(comparison, transplant=answer), prepared=asked))
    off = {sex: found["subgroup_calibration", f"sex={sex}", "clinical"].value for sex in ("Female", "Male")}
    assert off["Female"] > 0.3 > 0.1 > abs(off["Male"])


def test_an_outcome_that_the_candidate_lost_teaches_nothing(comparison):
    answer = comparison.candidate.clinical["transplant"]
    never = pd.Categorical(["No"] * len(answer), categories=answer.cat.categories)
    found = measured(with_clinical(comparison, transplant=never))
    for metric in ("tstr_auc", "tstr_boosted_auc"):
        assert found[metric, "transplant=Yes", "clinical"].value == 0.5
    assert np.isnan(found["trts_error", "transplant=Yes", "clinical"].value)
    assert np.isfinite(found["trts_error", "all", "clinical"].value)


def test_subgroups_are_fixed_by_training_patients_and_apart(comparison):
    groups = stage.find_subgroups(comparison.train, None)
    assert {"sex=Female", "sex=Male", "ISS=III"} <= {group.name for group in groups}
    ages = [group.members(comparison.real) for group in groups if group.column == "age"]
    assert len(ages) == 3
    assert (np.sum(ages, axis=0) == 1).all()
    assert {group.column for group in stage.find_subgroups(comparison.train, ["sex"])} == {"sex"}


def test_metrics_stay_within_bounds(comparison, real):
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    assert {metric for metric, *_ in real} == set(bounds)
    for (metric, *_), value in real.items():
        assert np.isnan(value.value) or bounds[metric][0] <= value.value <= bounds[metric][1]


def test_a_cohort_of_few_patients_or_without_alterations_gives_reasons(comparison):
    tiny = replace(comparison, real=comparison.real.take(np.arange(8)), prepared=None)
    found = measured(tiny)
    assert any(np.isnan(value.value) and value.reason for value in found.values())
    cohorts = {name: getattr(comparison, name).record() for name in ("real", "candidate", "train", "control")}
    found = measured(replace(comparison, **cohorts, prepared=None))
    assert {modality for *_, modality in found} == {"clinical"}
    assert np.isfinite(found["tstr_auc", "all", "clinical"].value)
    few = {name: cohort.take(np.arange(9)) for name, cohort in cohorts.items()}
    found = measured(replace(comparison, **few, prepared=None))
    assert "no predictable outcome" in found["tstr_auc", "all", "clinical"].reason


def test_figure(comparison, tmp_path):
    settings = SETTINGS | {"repeats": 1, "replicates": 2}
    values, _ = evaluate(stage, comparison, settings, lambda *names: stream(1, *names))
    assert overlapping(stage.figure(comparison, values, SETTINGS, "candidate")) == []
    assert drawn_alike(lambda: stage.figure(comparison, values, SETTINGS, "candidate"), tmp_path)
    # Too few synthetic patients of a level: one metric has no value, the others stay.
    fewer = values.assign(status=values["status"].mask(values["metric"] == "trts_auc", "not_applicable"))
    assert len(stage.figure(comparison, fewer, SETTINGS, "candidate").axes[0].collections) > 0
    none = values.assign(status="not_applicable")
    assert "no outcome" in stage.figure(comparison, none, SETTINGS, "candidate").axes[0].texts[0].get_text()
