"""Endpoints that compete with death: references in order, spoiled courses caught, and what is not applicable said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.modalities.clinical.stages import competing_risks as stage

JOINT = [metric.name for metric in stage.METRICS]
SCORED = [metric.name for metric in stage.METRICS if metric.kind != "descriptive"]


@pytest.fixture(scope="module")
def splits():
    """Four splits of 1,200 patients; the candidate is the training half."""
    found = [compared(small_cohort(1200, 7), seed, train_fraction=0.5) for seed in range(4)]
    return [replace(split, candidate=split.train) for split in found]


@pytest.fixture(scope="module")
def split(splits):
    return splits[0]


def measured(comparison, **settings):
    values = stage.measure(comparison, stage.DEFAULTS | settings, np.random.default_rng(0))
    return {(value.metric, value.target): value for value in values}


def average(comparisons):
    return {metric: np.mean([measured(c)[metric, "all"].value for c in comparisons]) for metric in JOINT}


def changed(cohort, **columns):
    return replace(cohort, clinical=cohort.clinical.assign(**columns))


def only(cohort, endpoints):
    kept = {
        name: column
        for name, column in cohort.schema.columns.items()
        if name not in cohort.schema.survival or name.rsplit("_", 1)[0] in endpoints
    }
    schema = replace(cohort.schema, columns=kept, endpoints=tuple(endpoints))
    return replace(cohort, schema=schema, clinical=cohort.clinical[list(kept)])


def tabled(comparison):
    values = stage.measure(comparison, stage.DEFAULTS, np.random.default_rng(0))
    return pd.DataFrame([vars(v) | {"status": "not_applicable" if v.reason else "ok"} for v in values])


def test_a_candidate_that_is_the_holdout_is_perfect(split):
    found = measured(replace(split, candidate=split.real))
    assert all(value.value == pytest.approx(0, abs=1e-12) for value in found.values())
    assert {target for _, target in found} == {"PFS", "all", *(f"{t} months" for t in (12, 24, 36, 60))}


@pytest.fixture(scope="module")
def real(splits):
    return average(splits)


def test_real_patients_are_better_than_shuffled_columns(splits, real):
    floor = average([replace(c, candidate=independent(c.train, i)) for i, c in enumerate(splits)])
    for metric in SCORED:
        assert real[metric] < 0.8 * floor[metric], metric
    assert real["event_after_death"] == 0
    assert floor["event_after_death"] > 0.2


def test_progression_that_no_longer_shortens_life_is_caught(splits, real):
    """Every endpoint keeps its own curve, but who progresses early no longer dies early."""
    spoiled = []
    for i, c in enumerate(splits):
        order = np.random.default_rng(i).permutation(len(c.train))
        clinical = c.train.clinical
        other = {name: clinical[name].to_numpy()[order] for name in ("PFS_time", "PFS_event")}
        spoiled.append(replace(c, candidate=changed(c.train, **other)))
    after = average(spoiled)
    for metric in ("transition_error", "death_after_event_error", "state_distance"):
        assert after[metric] > 1.3 * real[metric], metric


def test_progression_that_comes_six_months_later_is_caught(splits, real):
    later = []
    for c in splits:
        clinical = c.train.clinical
        time = np.minimum(clinical["PFS_time"] + 6, clinical["OS_time"])
        later.append(replace(c, candidate=changed(c.train, PFS_time=time)))
    after = average(later)
    for metric in ("incidence_distance", "state_distance", "transition_error"):
        assert after[metric] > 1.2 * real[metric], metric


def test_a_candidate_without_any_progression_is_not_excused(split):
    clinical = split.train.clinical
    spared = changed(split.train, PFS_time=clinical["OS_time"], PFS_event=clinical["OS_event"])
    found = measured(replace(split, candidate=spared))
    assert found["transition_error", "all"].value > 1
    assert "lives on after the event" in found["death_after_event_error", "all"].reason


def test_a_patient_taken_twice_counts_twice(split):
    twice = split.train.take(np.repeat(np.arange(len(split.train)), 2))
    before, after = measured(split), measured(replace(split, candidate=twice))
    for metric in ("incidence_distance", "state_distance"):
        assert after[metric, "all"].value == pytest.approx(before[metric, "all"].value)


def test_a_cohort_with_death_alone_is_not_applicable(split):
    parts = {name: only(getattr(split, name), ["OS"]) for name in ("real", "candidate", "train", "control")}
    alone = replace(split, **parts)
    found = measured(alone)
    assert {metric for metric, _ in found} == set(JOINT)
    assert all(np.isnan(value.value) and "no endpoint other than death" in value.reason for value in found.values())
    assert stage.figure(alone, tabled(alone), stage.DEFAULTS, "real").axes


@pytest.mark.parametrize("column", ["PFS_time", "OS_event"])
def test_an_endpoint_that_nobody_has_is_said(split, column):
    lost = replace(split, candidate=changed(split.train, **{column: np.nan}))
    found = measured(lost)
    assert all(np.isnan(found[metric, "all"].value) and found[metric, "all"].reason for metric in JOINT)
    assert stage.figure(lost, tabled(lost), stage.DEFAULTS, "lost").axes


def test_a_value_and_a_resample_of_the_same_patients_agree(split):
    again = measured(replace(split, resampled=True))
    for key, value in measured(split).items():
        assert again[key].value == pytest.approx(value.value, abs=1e-12), key


def test_the_figure_tells_the_patients_at_risk_and_no_count_under_five(split):
    texts = [text.get_text() for text in stage.figure(split, tabled(split), stage.DEFAULTS, "real").axes[1].texts]
    known = split.real.clinical[["PFS_time", "PFS_event", "OS_time", "OS_event"]].notna().all(axis=1).sum()
    assert texts[0] == "patients at risk"
    assert f"{known:,}" in texts
    assert not {"1", "2", "3", "4"} & set(texts)


def test_values_stay_within_their_bounds(split):
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    for (metric, _), value in measured(split).items():
        assert bounds[metric][0] <= value.value <= bounds[metric][1]


def test_the_figure_is_readable_drawn_alike_and_hides_single_patients(split, tmp_path):
    def draw():
        return stage.figure(split, tabled(split), stage.DEFAULTS, "real")

    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
    steps = draw().axes[0].lines[0].get_xdata()
    assert len(steps) <= len(split.real) / MIN_CELL_COUNT + 1


def test_several_milestones_of_real_patients(real_data):
    """AMLSG: complete remission, relapse and transplant beside event-free survival."""
    from haemosynth.modalities.clinical.ingest import ingest

    source = {
        "format": "cbioportal",
        "path": str(real_data / "aml_amlsg"),
        "endpoint": ["OS", "EFS"],
        "milestones": {"CR": "CR_MONTHS", "RELAPSE": "RELAPSE_MONTHS", "HSCT": "HSCT_MONTHS"},
        "modalities": ["clinical"],
    }
    cohort = ingest("amlsg", source)
    half = compared(cohort.record(), 0, 0.5)
    real = measured(replace(half, candidate=half.train))
    assert {"EFS", "CR", "RELAPSE", "HSCT"} <= {target for _, target in real}
    rng = np.random.default_rng(0)
    parts = {
        name: half.train.clinical[name].to_numpy()[rng.permutation(len(half.train))]
        for name in half.train.schema.survival
    }
    shuffled = measured(replace(half, candidate=changed(half.train, **parts)))
    for metric in SCORED:
        assert real[metric, "all"].value < 0.5 * shuffled[metric, "all"].value, metric
