"""The references stand in their order, and covariates are what is known at baseline."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.errors import InputError
from haemosynth.encode.baseline import BASELINE_GROUPS, baseline_design, follow_up
from haemosynth.modalities.clinical.stages import survival
from haemosynth.stats.cox import CoxModel, kaplan_meier
from haemosynth.stats.prognosis import hazard_agreement
from haemosynth.validate.scorecard import compute_distance_from_best


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
    for metric in (*survival.CURVES, "log_hazard_difference", "hazard_trend_difference"):
        assert found[metric, "all"].value == pytest.approx(0, abs=1e-12)
    for metric in (
        "log_hazard_correlation",
        "hazard_interval_overlap",
        "sign_concordance",
        "significance_concordance",
        "hazard_trend_agreement",
    ):
        assert found[metric, "all"].value == pytest.approx(1)


def distance(metric, found):
    return float(compute_distance_from_best(np.array(found[metric.name, "all"].value), metric))


def test_real_patients_are_better_than_shuffled_columns_on_every_joint_metric(comparison, real):
    shuffled = [measured(replace(comparison, candidate=independent(comparison.train, seed))) for seed in range(5)]
    for metric in survival.METRICS:
        if metric.name == "hazard_interval_overlap" or metric.kind == "descriptive" or metric.name in survival.CURVES:
            continue
        floor = np.mean([distance(metric, found) for found in shuffled])
        assert distance(metric, real) < floor, metric.name


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
    curve = kaplan_meier(*follow_up(comparison.real, "OS")[1:])
    expected = 3 + curve.mean_until(horizon - 3) - curve.mean_until(horizon)
    assert measured(later, horizon=horizon)["rmst_difference", "OS"].value == pytest.approx(expected)


def test_each_endpoint_has_its_row_and_all_is_the_primary_one(real, comparison):
    names = baseline_design(comparison.train, survival.DEFAULTS["carriers"]).names
    horizons = {f"{endpoint} at {months} months" for endpoint in ("OS", "PFS") for months in (12, 24, 36, 60)}
    assert {target for _, target in real} == {"OS", "PFS", "all", *names, *horizons}
    for metric in survival.METRICS:
        if metric.name != survival.BY_COVARIATE:
            assert real[metric.name, "all"].value == real[metric.name, "OS"].value


def test_horizons_beyond_follow_up_are_left_out(comparison):
    found = measured(comparison, horizons=[24, 1000])
    assert ("rmst_difference", "OS at 24 months") in found
    assert ("auc_tstr", "OS at 1000 months") not in found
    assert "reaches no clinical horizon" in measured(comparison, horizons=[1000])["auc_tstr", "all"].reason


def test_covariates_are_known_at_baseline(comparison):
    design = baseline_design(comparison.train, 10)
    schema = comparison.train.schema
    later = {name for name, column in schema.columns.items() if column.group not in BASELINE_GROUPS} | set(
        schema.survival
    )
    assert "transplant" in later
    used = {name.removeprefix("log ").split(", per SD")[0].split(":")[0] for name in design.names}
    assert not used & later
    assert not used & {name for name, column in schema.columns.items() if column.derived}
    assert {"age", "sex"} <= used


def test_the_design_is_complete_and_standardised_on_training_patients(comparison):
    design = baseline_design(comparison.train, 10)
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
    truth, learned = (CoxModel(rng.normal(size=9), np.diag(rng.uniform(0.01, 0.3, 9)), 1) for _ in range(2))
    sign = np.where(rng.random(9) < 0.5, -1, 1)
    flipped = [replace(model, log_hazard=model.log_hazard * sign) for model in (truth, learned)]
    for (name, value, _), (_, expected, _) in zip(
        hazard_agreement(*flipped), hazard_agreement(truth, learned), strict=True
    ):
        assert value == pytest.approx(expected), name


def test_too_few_events_are_said_and_not_scored(comparison):
    found = measured(comparison, events=10_000)
    assert np.isnan(found["c_index_tstr", "all"].value)
    assert "fewer than 10000 events" in found["c_index_tstr", "all"].reason
    assert np.isfinite(found["km_distance", "all"].value)


def test_events_that_all_come_at_one_time_leave_no_change_to_be_seen(comparison):
    clinical = comparison.candidate.clinical
    time = clinical["OS_time"].where(clinical["OS_event"] != 1, 12.0)
    same = replace(comparison, candidate=changed(comparison.candidate, OS_time=time))
    values = survival.measure(same, survival.DEFAULTS, np.random.default_rng(0))
    found = {(value.metric, value.target): value for value in values}
    for name in ("hazard_trend_agreement", "hazard_trend_difference"):
        assert np.isnan(found[name, "all"].value)
        assert "at one time" in found[name, "all"].reason
    assert np.isfinite(found["c_index_tstr", "all"].value)
    table = pd.DataFrame({key: [getattr(value, key) for value in values] for key in ("metric", "target", "value")})
    table["status"] = np.where(table["value"].notna(), "ok", "not_applicable")
    survival.figure(same, table.assign(low=np.nan, high=np.nan), survival.DEFAULTS, "the same time")


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
    assert len(steps) <= len(comparison.real) / MIN_CELL_COUNT + 1
    assert np.mean([step in times for step in steps]) < 0.2


def changed(cohort, **columns):
    return replace(cohort, clinical=cohort.clinical.assign(**columns))


def test_survival_that_is_six_months_longer_is_caught():
    # Myeloma patients live long: in one small split six months are within the noise, over several they are not.
    metrics = ("km_distance", "censoring_distance", "rmst_difference", "log_rank_effect")
    distances = []
    for seed in range(6):
        split = compared(small_cohort(800, 3), seed, train_fraction=0.5)
        split = replace(split, candidate=split.train)
        later = changed(split.train, OS_time=split.train.clinical["OS_time"] + 6)
        pair = measured(split), measured(replace(split, candidate=later))
        distances.append([[found[metric, "all"].value for metric in metrics] for found in pair])
    before, after = np.mean(distances, axis=0)
    assert (after > 1.1 * before).all(), dict(zip(metrics, zip(before, after, strict=True), strict=True))


def test_a_reversed_hazard_is_caught_by_every_model_metric(comparison, real):
    # Who lived longest now dies first; how long patients live and who is censored stays, in rank order.
    clinical = comparison.train.clinical
    order = np.argsort(clinical["OS_time"].to_numpy())
    time, event = clinical["OS_time"].to_numpy(copy=True), clinical["OS_event"].to_numpy(copy=True)
    time[order], event[order] = time[order][::-1], event[order][::-1]
    found = measured(replace(comparison, candidate=changed(comparison.train, OS_time=time, OS_event=event)))
    assert found["km_distance", "all"].value == pytest.approx(real["km_distance", "all"].value)
    for metric in survival.METRICS:
        if metric.name in survival.MODELS and metric.kind != "descriptive":
            assert distance(metric, found) > distance(metric, real), metric.name
    for metric in ("c_index_tstr", "auc_tstr"):
        assert found[metric, "all"].value < 0.5
    assert found["calibration_slope", "all"].value < 0
    assert found["log_hazard_correlation", "all"].value < 0


def randomised(cohort, seed):
    """The cohort with `transplant` drawn by lot, and half the hazard of death with it."""
    given = np.random.default_rng(seed).random(len(cohort)) < 0.5
    arm = pd.Categorical.from_codes(given.astype(int), dtype=cohort.clinical["transplant"].dtype)
    return changed(cohort, transplant=arm, OS_time=cohort.clinical["OS_time"] * np.where(given, 2.0, 1.0))


def test_swapped_treatment_labels_are_caught_in_their_row(comparison):
    train, real = randomised(comparison.train, 1), randomised(comparison.real, 2)
    arm = train.clinical["transplant"]
    swapped = changed(train, transplant=pd.Categorical.from_codes(1 - arm.cat.codes, dtype=arm.dtype))
    trial = replace(comparison, train=train, real=real)
    before, found = (
        measured(replace(trial, candidate=candidate), covariates=["transplant"]) for candidate in (train, swapped)
    )
    [name] = {target for metric, target in found if target.startswith("transplant: ")}
    assert abs(before["log_hazard_gap", name].value) < 0.4
    assert abs(found["log_hazard_gap", name].value) > 0.8
    assert found["log_hazard_difference", "all"].value > before["log_hazard_difference", "all"].value
    assert found["c_index_tstr", "all"].value < before["c_index_tstr", "all"].value - 0.02


def test_an_effect_that_fades_in_one_side_alone_stands_in_its_row():
    """Age acts in the first year alone in real patients and all the time in the candidate; no other covariate acts."""
    rng = np.random.default_rng(6)
    split = compared(small_cohort(3000, 3), train_fraction=0.5)
    split = replace(split, candidate=split.train)

    def lived(cohort, until):
        age = cohort.clinical["age"].to_numpy(float)
        age = np.nan_to_num((age - np.nanmean(age)) / np.nanstd(age))
        time = rng.exponential(24 * np.exp(-age))
        time = np.where(time < until, time, until + rng.exponential(24, len(time)))
        return changed(cohort, OS_time=time, OS_event=np.ones(len(time)))

    found = measured(replace(split, real=lived(split.real, 12.0), candidate=lived(split.candidate, np.inf)))
    alike = measured(replace(split, real=lived(split.real, np.inf), candidate=lived(split.candidate, np.inf)))
    rows = {t: v.value for (m, t), v in found.items() if m == survival.TRENDS and t not in ("OS", "PFS", "all")}
    assert max(rows, key=rows.get) == "age, per SD"
    assert rows["age, per SD"] > 5 * np.median(list(rows.values()))
    assert alike[survival.TRENDS, "age, per SD"].value < 0.3 * rows["age, per SD"]
    assert found[survival.TRENDS, "all"].value == pytest.approx(np.mean(list(rows.values())))


def test_a_value_and_a_resample_of_the_same_patients_agree(comparison, real):
    again = measured(replace(comparison, candidate=comparison.train, resampled=True))
    assert again.keys() == real.keys()
    for key, value in real.items():
        assert again[key].value == pytest.approx(value.value, abs=1e-12, rel=1e-12), key


def test_an_unknown_covariate_is_refused(comparison):
    for name in ("no such column", "OS_time"):
        with pytest.raises(InputError, match="no column"):
            baseline_design(comparison.train, 10, [name])


def test_the_figure_is_readable_and_drawn_alike(comparison, tmp_path):
    values = pd.DataFrame([vars(v) | {"status": "ok"} for v in survival.measure(
        comparison, survival.DEFAULTS, np.random.default_rng(0))])  # fmt: skip

    def draw():
        return survival.figure(comparison, values, survival.DEFAULTS, "fresh")

    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
