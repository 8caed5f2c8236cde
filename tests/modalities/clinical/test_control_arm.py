"""Trials with real controls are honest; controls that live too long, or lost the structure of risk, mislead."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.stages import control_arm as stage
from haemosynth.validate.resampling import evaluate, prepare_comparison

SETTINGS = stage.DEFAULTS


@pytest.fixture(scope="module")
def comparison():
    split = compared(small_cohort(1200, 3), train_fraction=0.5)
    split = replace(split, candidate=split.train)
    return prepare_comparison(stage, split, SETTINGS, lambda *names: stream(1, *names))


def measured(comparison, seed=0, **settings):
    values = stage.measure(comparison, SETTINGS | settings, np.random.default_rng(seed))
    assert {value.metric for value in values} == {metric.name for metric in stage.METRICS}
    return {(value.metric, value.target): value for value in values}


@pytest.fixture(scope="module")
def real(comparison):
    return measured(comparison)


def changed(comparison, **columns):
    candidate = comparison.candidate
    return replace(comparison, candidate=replace(candidate, clinical=candidate.clinical.assign(**columns)))


@pytest.mark.parametrize("trial", [stage.HIGHER, stage.ADJUSTED])
def test_with_real_controls_errors_and_intervals_are_nominal(comparison, trial):
    many = SETTINGS | {"trials": 1000}
    estimates = stage.emulate(comparison, comparison.prepared, trial, many, np.random.default_rng(0))
    found = stage.summarise_trials(estimates, np.log(many["hazard_ratio"]))
    assert found["real_type_one_error"] == pytest.approx(0.05, abs=0.02)
    assert found["real_coverage"] == pytest.approx(0.95, abs=0.02)
    assert found["real_bias"] < 4 * found["real_rmse"] / np.sqrt(1000) + 0.01


def test_a_strong_effect_has_more_power_than_a_weak_one(comparison, real):
    strong = measured(comparison, hazard_ratio=0.3)
    for arm in stage.ARMS:
        assert strong[f"{arm}_power", stage.HIGHER].value > real[f"{arm}_power", stage.HIGHER].value


def test_controls_that_live_half_as_long_again_are_caught(comparison, real):
    longer = comparison.candidate.clinical["OS_time"] * 1.5
    found = measured(changed(comparison, OS_time=longer))
    for arm, least in (("replaced", 0.15), ("enlarged", 0.08)):
        assert found[f"{arm}_bias", "all"].value > real[f"{arm}_bias", "all"].value + least
        assert found[f"{arm}_type_one_error", "all"].value > real[f"{arm}_type_one_error", "all"].value + 0.1
        assert found[f"{arm}_coverage", "all"].value < real[f"{arm}_coverage", "all"].value - 0.1


def test_marginal_survival_passes_in_everyone_and_fails_in_groups_of_risk(comparison, real):
    shuffled = []
    for seed in range(3):
        spoiled = independent(comparison.candidate, seed)
        # Time and event stay together: marginal survival is right, and nothing else.
        order = np.random.default_rng(seed + 100).permutation(len(spoiled))
        both = {name: comparison.candidate.clinical[name].to_numpy()[order] for name in ("OS_time", "OS_event")}
        shuffled.append(measured(changed(replace(comparison, candidate=spoiled), **both)))

    def mean(metric, trial):
        return np.mean([found[metric, trial].value for found in shuffled])

    assert mean("replaced_bias", stage.EVERYONE) < 0.1
    assert mean("replaced_bias", "all") > 0.3
    for metric in stage.METRICS:
        if metric.kind == "error":
            assert real[metric.name, "all"].value < mean(metric.name, "all")
        if metric.kind == "target":
            best = metric.target
            assert abs(real[metric.name, "all"].value - best) < abs(mean(metric.name, "all") - best)


def test_counting_synthetic_patients_as_real_narrows_the_interval(real):
    for trial in (stage.HIGHER, stage.LOWER, stage.EVERYONE):
        assert real["naive_coverage", trial].value <= real["replaced_coverage", trial].value


def test_the_risk_model_is_no_better_in_its_own_patients_than_in_others(comparison):
    """Few covariates: else trials in groups of risk would be biased even with real controls."""
    from haemosynth.encode.baseline import follow_up
    from haemosynth.stats.cox import fit_cox

    ratios = []
    for cohort in (comparison.train, comparison.real):
        known, time, event = follow_up(cohort, "OS")
        higher = comparison.prepared.higher(cohort)[known][:, None].astype(float)
        model = fit_cox(higher, time, event)
        ratios.append((model.log_hazard[0], model.standard_error[0]))
    (own, own_error), (other, other_error) = ratios
    assert other > 0.5
    assert own - other < 2 * np.hypot(own_error, other_error)


def test_all_is_the_mean_over_groups_of_risk(real):
    for metric in stage.METRICS:
        parts = [real[metric.name, trial].value for trial in stage.SCORED]
        assert real[metric.name, "all"].value == pytest.approx(np.mean(parts))


def test_few_events_and_no_endpoint_give_reasons(comparison):
    found = measured(changed(comparison, OS_event=0.0))
    assert all("fewer than" in value.reason for value in found.values())

    def without(cohort):
        kept = {name: column for name, column in cohort.schema.columns.items() if name not in cohort.schema.survival}
        schema = replace(cohort.schema, columns=kept, endpoints=())
        return replace(cohort, schema=schema, clinical=cohort.clinical[list(kept)])

    cohorts = {name: without(getattr(comparison, name)) for name in ("real", "candidate", "train", "control")}
    nothing = replace(comparison, **cohorts, prepared=None)
    found = measured(nothing)
    assert all("no survival endpoint" in value.reason for value in found.values())
    values, _ = evaluate(stage, nothing, SETTINGS | {"repeats": 1, "replicates": 0}, lambda *names: stream(1, *names))
    assert "too few events" in stage.figure(nothing, values, SETTINGS, "candidate").axes[0].texts[0].get_text()


def test_figure(comparison, tmp_path):
    settings = SETTINGS | {"repeats": 1, "replicates": 2}
    values, _ = evaluate(stage, comparison, settings, lambda *names: stream(1, *names))
    assert overlapping(stage.figure(comparison, values, settings, "candidate")) == []
    assert drawn_alike(lambda: stage.figure(comparison, values, settings, "candidate"), tmp_path)
