"""The references stand in their order, and covariates are what is known at baseline."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent
from fixtures_small import small_cohort

from haemosynth.validate.cox import CoxModel
from haemosynth.validate.utility import survival


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(800, 3), train_fraction=0.5)


def measured(comparison, **settings):
    values = survival.measure(comparison, survival.DEFAULTS | settings, np.random.default_rng(0))
    return {(value.metric, value.target): value for value in values}


@pytest.fixture(scope="module")
def real(comparison):
    return measured(replace(comparison, candidate=comparison.train))


def test_a_candidate_that_is_the_holdout_is_perfect(comparison):
    found = measured(replace(comparison, candidate=comparison.real))
    for metric in ("km_distance", "censoring_distance", "rmst_difference", "log_hazard_difference"):
        assert found[metric, "all"].value == pytest.approx(0, abs=1e-12)
    for metric in ("log_hazard_correlation", "hazard_interval_overlap"):
        assert found[metric, "all"].value == pytest.approx(1)


def test_real_patients_are_better_than_shuffled_columns_on_every_joint_metric(comparison, real):
    shuffled = [measured(replace(comparison, candidate=independent(comparison.train, seed))) for seed in range(5)]
    for metric in survival.METRICS:
        if metric.name == "hazard_interval_overlap" or metric.name in survival.CURVES:
            continue
        mean = np.mean([found[metric.name, "all"].value for found in shuffled])
        better = real[metric.name, "all"].value - mean
        assert better > 0 if metric.kind == "agreement" else better < 0, metric.name


def test_shuffled_columns_rank_no_patient(comparison):
    found = [
        measured(replace(comparison, candidate=independent(comparison.train, seed)))["c_index_tstr", "all"].value
        for seed in range(8)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_longer_survival_moves_the_restricted_mean_by_as_much(comparison):
    clinical = comparison.real.clinical.copy()
    clinical["OS_time"] = clinical["OS_time"] + 3
    later = replace(comparison, candidate=replace(comparison.real, clinical=clinical))
    # Nobody dies in the first three months of the shifted curve, and the last three months of the other are cut off.
    horizon = 24
    from haemosynth.validate.cox import kaplan_meier

    curve = kaplan_meier(*survival.follow_up(comparison.real, "OS")[1:])
    expected = 3 + curve.mean_until(horizon - 3) - curve.mean_until(horizon)
    assert measured(later, horizon=horizon)["rmst_difference", "OS"].value == pytest.approx(expected)


def test_each_endpoint_has_its_row_and_all_is_the_primary_one(real):
    assert {target for _, target in real} == {"OS", "PFS", "all"}
    for metric in survival.METRICS:
        assert real[metric.name, "all"].value == real[metric.name, "OS"].value


def test_covariates_are_known_at_baseline(comparison):
    design = survival.baseline_design(comparison.train, 10)
    schema = comparison.train.schema
    later = {name for name, column in schema.columns.items() if column.group not in survival.BASELINE_GROUPS} | set(
        schema.survival
    )
    assert "transplant" in later
    used = {name.removeprefix("log ").split(", per SD")[0].split(":")[0] for name in design.names}
    assert not used & later
    assert not used & {name for name, column in schema.columns.items() if column.derived}
    assert {"age", "sex"} <= used


def test_the_design_is_complete_and_standardised_on_training_patients(comparison):
    design = survival.baseline_design(comparison.train, 10)
    matrix = design.matrix(comparison.train)
    assert matrix.shape == (len(comparison.train), len(design.names))
    assert np.isfinite(matrix).all()
    assert comparison.train.clinical.isna().any().any()
    age = [name.startswith("age") for name in design.names].index(True)
    assert abs(matrix[:, age].mean()) < 0.1
    assert matrix[:, age].std() == pytest.approx(1, abs=0.1)
    assert np.isfinite(design.matrix(comparison.real)).all()


def test_the_coding_of_a_covariate_does_not_change_the_agreement():
    rng = np.random.default_rng(0)
    truth, learned = (CoxModel(rng.normal(size=9), rng.uniform(0.1, 0.5, 9), 1) for _ in range(2))
    sign = np.where(rng.random(9) < 0.5, -1, 1)
    flipped = [replace(model, log_hazard=model.log_hazard * sign) for model in (truth, learned)]
    assert survival.agreement(*flipped) == pytest.approx(survival.agreement(truth, learned))


def test_too_few_events_are_said_and_not_scored(comparison):
    found = measured(comparison, events=10_000)
    assert np.isnan(found["c_index_tstr", "all"].value)
    assert "fewer than 10000 events" in found["c_index_tstr", "all"].reason
    assert np.isfinite(found["km_distance", "all"].value)


def test_a_cohort_without_endpoint_is_not_applicable(comparison):
    def without(cohort):
        kept = {name: column for name, column in cohort.schema.columns.items() if name not in cohort.schema.survival}
        schema = replace(cohort.schema, columns=kept, endpoints=())
        return replace(cohort, schema=schema, clinical=cohort.clinical[list(kept)])

    cohorts = {name: without(getattr(comparison, name)) for name in ("real", "candidate", "train", "control")}
    found = survival.measure(replace(comparison, **cohorts), survival.DEFAULTS, np.random.default_rng(0))
    assert {value.metric for value in found} == {metric.name for metric in survival.METRICS}
    assert all(np.isnan(value.value) and "no survival endpoint" in value.reason for value in found)


def test_every_metric_is_declared_once_and_stays_within_its_bounds(real):
    bounds = {metric.name: metric.bounds for metric in survival.METRICS}
    assert len(bounds) == len(survival.METRICS)
    assert {metric for metric, _ in real} == set(bounds)
    for (metric, _), value in real.items():
        assert bounds[metric][0] <= value.value <= bounds[metric][1]


def test_the_figure_hides_counts_under_five(comparison):
    values = pd.DataFrame(
        [
            vars(value) | {"status": "ok"}
            for value in survival.measure(comparison, survival.DEFAULTS, np.random.default_rng(0))
        ]
    )
    drawn = survival.figure(comparison, values, survival.DEFAULTS, "fresh")
    texts = [text.get_text() for axis in drawn.axes for text in axis.texts]
    assert "patients at risk" in texts
    assert not {"1", "2", "3", "4"} & set(texts)


def test_no_step_of_the_drawn_curve_is_one_patients(comparison):
    values = pd.DataFrame([vars(v) | {"status": "ok"} for v in survival.measure(
        comparison, survival.DEFAULTS, np.random.default_rng(0))])  # fmt: skip
    drawn = survival.figure(comparison, values, survival.DEFAULTS, "fresh")
    endpoint = comparison.real.schema.endpoints[0]
    times = set(comparison.real.clinical[f"{endpoint}_time"].dropna())
    steps = drawn.axes[0].lines[0].get_xdata()[1:]
    assert len(steps) <= len(comparison.real) / survival.FEWEST_SHOWN + 1
    assert np.mean([step in times for step in steps]) < 0.2
