"""Beliefs from candidates: references in order, spoiled candidates caught, and what is not applicable said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.modalities.clinical.stages import bayesian_survival as stage
from haemosynth.validate.scorecard import compute_distance_from_best

METRICS = {metric.name: metric for metric in stage.METRICS}
SCORED = [name for name, metric in METRICS.items() if metric.kind != "descriptive"]
BELIEFS = ("posterior_overlap", "posterior_mean_agreement", "sign_probability")


@pytest.fixture(scope="module")
def splits():
    """Four splits of 1,000 patients; the candidate is the training half."""
    found = [compared(small_cohort(1000, 5), seed, train_fraction=0.5) for seed in range(4)]
    return [replace(split, candidate=split.train) for split in found]


@pytest.fixture(scope="module")
def split(splits):
    return splits[0]


@pytest.fixture(scope="module")
def real(splits):
    return average(splits)


def measured(comparison, **settings):
    values = stage.measure(comparison, stage.DEFAULTS | settings, np.random.default_rng(0))
    return {(value.metric, value.target): value for value in values}


def average(comparisons, **settings):
    """The mean distance from the best value of each metric that is scored."""
    found = [measured(comparison, **settings) for comparison in comparisons]
    return {
        name: np.mean([compute_distance_from_best(np.array(f[name, "all"].value), METRICS[name]) for f in found])
        for name in SCORED
    }


def changed(cohort, **columns):
    return replace(cohort, clinical=cohort.clinical.assign(**columns))


def tabled(comparison):
    values = stage.measure(comparison, stage.DEFAULTS, np.random.default_rng(0))
    return pd.DataFrame([vars(v) | {"status": "not_applicable" if v.reason else "ok"} for v in values])


def test_a_candidate_that_is_the_holdout_leads_to_the_same_beliefs(split):
    found = measured(replace(split, candidate=split.real))
    assert found["posterior_overlap", "all"].value == pytest.approx(1)
    assert found["posterior_mean_agreement", "all"].value == pytest.approx(1)
    assert found["baseline_hazard_error", "all"].value == pytest.approx(0, abs=1e-9)
    assert found["predicted_survival_distance", "all"].value < 0.01  # draws of the two posteriors differ
    assert found["sign_probability", "all"].value > 0.85  # a posterior is not sure of its own sign


def test_real_patients_are_better_than_shuffled_columns(splits, real):
    floor = average([replace(c, candidate=independent(c.train, i)) for i, c in enumerate(splits)])
    for name in BELIEFS:
        assert real[name] < 0.8 * floor[name], name


def test_real_patients_are_better_than_even_columns(splits, real):
    def even(cohort, seed):
        rng = np.random.default_rng(seed)
        time = cohort.clinical["OS_time"]
        return changed(
            cohort,
            OS_time=rng.uniform(*np.quantile(time, [0.01, 0.99]), len(cohort)),
            OS_event=(rng.random(len(cohort)) < 0.5).astype(float),
        )

    floor = average([replace(c, candidate=even(c.train, i)) for i, c in enumerate(splits)])
    for name in SCORED:
        assert real[name] < floor[name], name


def test_a_reversed_hazard_is_caught(splits, real):
    """Who lived longest now dies first; how long patients live and who is censored stays, in rank order."""

    def reverse(cohort):
        order = np.argsort(cohort.clinical["OS_time"].to_numpy())
        time, event = (cohort.clinical[f"OS_{part}"].to_numpy(copy=True) for part in ("time", "event"))
        time[order], event[order] = time[order][::-1], event[order][::-1]
        return changed(cohort, OS_time=time, OS_event=event)

    found = average([replace(c, candidate=reverse(c.train)) for c in splits])
    for name in BELIEFS:
        assert found[name] > 1.4 * real[name], name
    assert found["sign_probability"] > 0.5
    assert found["posterior_mean_agreement"] > 1


def test_survival_that_is_six_months_longer_is_caught(splits, real):
    later = [replace(c, candidate=changed(c.train, OS_time=c.train.clinical["OS_time"] + 6)) for c in splits]
    found = average(later)
    assert found["baseline_hazard_error"] > 1.3 * real["baseline_hazard_error"]


def test_survival_that_is_halved_is_caught(splits, real):
    shorter = [replace(c, candidate=changed(c.train, OS_time=c.train.clinical["OS_time"] / 2)) for c in splits]
    found = average(shorter)
    for name in ("baseline_hazard_error", "predicted_survival_distance"):
        assert found[name] > 1.5 * real[name], name


def test_swapped_treatment_labels_are_caught_in_their_row(split):
    def randomised(cohort, seed):
        given = np.random.default_rng(seed).random(len(cohort)) < 0.5
        arm = pd.Categorical.from_codes(given.astype(int), dtype=cohort.clinical["transplant"].dtype)
        return changed(cohort, transplant=arm, OS_time=cohort.clinical["OS_time"] * np.where(given, 2.0, 1.0))

    trial = replace(split, train=randomised(split.train, 1), real=randomised(split.real, 2))
    arm = trial.train.clinical["transplant"]
    swapped = changed(trial.train, transplant=pd.Categorical.from_codes(1 - arm.cat.codes, dtype=arm.dtype))
    before, found = (
        measured(replace(trial, candidate=candidate), covariates=["transplant"]) for candidate in (trial.train, swapped)
    )
    [name] = {target for _, target in found if target.startswith("transplant: ")}
    assert before["sign_probability", name].value > 0.95
    assert found["sign_probability", name].value < 0.05
    assert found["posterior_overlap", name].value < 0.05 < before["posterior_overlap", name].value
    for metric in BELIEFS:
        assert found[metric, "all"].value < before[metric, "all"].value


def test_what_training_patients_fix_is_the_same_for_every_candidate(split):
    plan = stage.prepare(split, stage.DEFAULTS, np.random.default_rng(0))
    other = stage.prepare(
        replace(split, candidate=split.real, real=split.control), stage.DEFAULTS, np.random.default_rng(1)
    )
    assert plan.names == other.names
    assert len(plan.names) == stage.DEFAULTS["most"]
    np.testing.assert_array_equal(plan.prior.cuts, other.prior.cuts)
    assert plan.names[:5] == stage.prepare(split, stage.DEFAULTS | {"most": 5}, np.random.default_rng(0)).names


def test_the_sampler_can_be_asked_for(split):
    settings = {"most": 3, "intervals": 2, "warmup": 50, "draws": 100}
    small = replace(split, real=split.real.take(np.arange(150)), candidate=split.train.take(np.arange(150)))
    ours, theirs = measured(small, **settings), measured(small, **settings, inference="nuts")
    for metric in ("posterior_overlap", "sign_probability"):
        assert theirs[metric, "all"].value == pytest.approx(ours[metric, "all"].value, abs=0.15)
    with pytest.raises(InputError, match="expected laplace or nuts"):
        measured(split, inference="exact")


def test_too_few_events_are_said(split):
    found = measured(split, events=10_000)
    assert all(np.isnan(value.value) and "fewer than 10000 events" in value.reason for value in found.values())
    censored = replace(split, candidate=changed(split.train, OS_event=0.0))
    reasons = {value.reason for value in measured(censored).values()}
    assert reasons == {"fewer than 20 events of OS on one side"}
    assert stage.figure(censored, tabled(censored), stage.DEFAULTS, "censored").axes


def test_a_cohort_without_endpoint_or_genomic_modality(split):
    def without(cohort, names):
        kept = {name: column for name, column in cohort.schema.columns.items() if name not in names}
        schema = replace(cohort.schema, columns=kept, endpoints=() if names else cohort.schema.endpoints)
        return replace(cohort, schema=schema, clinical=cohort.clinical[list(kept)]).record()

    def of(names):
        parts = {name: without(getattr(split, name), names) for name in ("real", "candidate", "train", "control")}
        return replace(split, **parts)

    found = measured(of(split.real.schema.survival))
    assert all(np.isnan(value.value) and "no survival endpoint" in value.reason for value in found.values())
    assert np.isfinite(measured(of([]))["posterior_overlap", "all"].value)


def test_values_are_declared_and_within_bounds(split):
    for (metric, _), value in measured(split).items():
        low, high = METRICS[metric].bounds
        assert np.isnan(value.value) or low <= value.value <= high


def test_the_figure_is_readable_and_drawn_alike(split, tmp_path):
    def draw():
        return stage.figure(split, tabled(split), stage.DEFAULTS, "real")

    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
