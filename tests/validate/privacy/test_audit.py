"""Planted leaks are stopped, unseen patients pass, and a blind battery is found out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.validate.leaks import planted
from haemosynth.validate.privacy import audit, distance, membership
from haemosynth.validate.resampling import evaluate, prepared
from haemosynth.validate.stage import Comparison

SHARE, NOISE = audit.DEFAULTS["share"], audit.DEFAULTS["noise"]


@pytest.fixture(scope="module")
def comparison():
    split = compared(small_cohort(700, 5))
    return replace(split, candidate=independent(split.train))


@pytest.fixture(autouse=True)
def fewer_trees(request, monkeypatch):
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setitem(membership.DEFAULTS, "trees", 240)  # a quarter of the time


def audited(comparison, **settings):
    chosen = audit.DEFAULTS | {"trials": 2, "exchanges": 200} | settings
    seen = prepared(audit, comparison, chosen, lambda *_: np.random.default_rng(0))
    values = audit.measure(seen, chosen, np.random.default_rng(0))
    return seen, {(value.metric, value.target): value.value for value in values}


def test_a_working_battery_passes_its_audit(comparison):
    _, found = audited(comparison)
    assert found["audit_passed", "all"] == 1
    assert found["audit_stopped", "copies"] == 1
    assert found["audit_stopped", "copies~exact_matches"] == 1
    assert found["audit_stopped", "blurred_copies"] == 1
    assert found["audit_stopped", "unseen_patients"] == 0


def test_of_large_sides_some_patients_are_drawn(comparison):
    chosen = audit.DEFAULTS | {"trials": 1, "exchanges": 200, "patients": 250}
    seen = prepared(audit, comparison, chosen, lambda *_: np.random.default_rng(0))
    assert len(comparison.train) > 250
    assert seen.prepared.records == 250
    found = {value.target: value for value in audit.measure(seen, chosen, np.random.default_rng(0))}
    assert found["all"].n == 250
    assert found["copies"].value == 1


def test_a_battery_that_sees_nothing_fails_its_audit(comparison):
    blind = {"exact_matches": 1, "near_matches": 1, "copied_profiles": 1, "nearer_to_train": 1, "membership_auc": 1,
             "membership_tpr_1": 1}  # fmt: skip
    _, found = audited(comparison, limits=blind, trials=1)
    assert found["audit_stopped", "copies"] == 0
    assert found["audit_passed", "all"] == 0


def test_checks_that_stop_unseen_patients_fail_the_audit(comparison):
    """A holdout that the generators have seen: its halves repeat training patients."""
    seen = renamed(comparison.train.take(np.arange(200)))
    split = replace(comparison, real=seen, candidate=comparison.control)
    _, found = audited(split, trials=1)
    assert found["audit_stopped", "unseen_patients"] == 1
    assert found["audit_passed", "all"] == 0


def test_the_same_limits_stop_planted_and_real_leaks(comparison):
    limits = {"exact_matches": 0.2, "override": {"by": "A", "reason": "B"}}
    leak = replace(
        comparison, candidate=planted(comparison.candidate, comparison.train, 0.1, 0, np.random.default_rng(0))
    )
    table = audit.judged(leak, audit.DEFAULTS | {"limits": limits, "exchanges": 100}, np.random.default_rng(0))
    table = table.set_index("check")
    assert table.loc["exact_matches", "limit"] == 0.2
    assert table.loc["exact_matches", "passed"]
    assert "override" not in table.index


def test_planting_replaces_the_share_and_nothing_else(comparison):
    rng = np.random.default_rng(0)
    exact, blurred = (planted(comparison.candidate, comparison.train, 0.1, noise, rng) for noise in (0, 0.05))
    for leak in (exact, blurred):
        copies = leak.patients.str.startswith("copy")
        assert len(leak) == len(comparison.candidate)
        assert copies.sum() == round(0.1 * len(leak))
        assert set(leak.patients[~copies]) <= set(comparison.candidate.patients)
        assert not leak.patients.duplicated().any()
        assert (leak.clinical.dtypes == comparison.candidate.clinical.dtypes).all()
    train = comparison.train.clinical.astype(object).apply(tuple, axis=1)
    copied = exact.clinical[exact.patients.str.startswith("copy")].astype(object).apply(tuple, axis=1)
    assert {str(row) for row in copied} <= {str(row) for row in train}


def test_blurring_moves_numbers_a_little_and_one_level(comparison):
    from haemosynth.validate.leaks import blurred

    train = comparison.train
    moved = blurred(train, train, 0.03, np.random.default_rng(0))
    changed = np.zeros(len(train), dtype=int)
    for name, column in train.schema.columns.items():
        before, after = train.clinical[name], moved[name]
        if column.derived is not None or name in train.schema.survival:
            assert before.equals(after)
        elif column.numeric:
            low, high = before.quantile([0.1, 0.9])
            assert before.isna().equals(after.isna())
            assert (before - after).abs().median() <= 0.03 * (high - low) + (0.5 if column.kind == "integer" else 0)
        else:
            changed += (before.astype(object).fillna("?") != after.astype(object).fillna("?")).to_numpy()
    assert set(changed) == {1}


def test_values_have_no_interval_and_the_figure_is_drawn_alike(comparison, tmp_path):
    chosen = audit.DEFAULTS | {"trials": 1, "exchanges": 50, "repeats": 1, "replicates": 0}
    seen = prepared(audit, comparison, chosen, lambda *_: np.random.default_rng(0))
    values, replicates = evaluate(audit, seen, chosen, lambda *_: np.random.default_rng(0))
    assert values["low"].isna().all()
    assert replicates.empty

    def draw():
        return audit.figure(seen, values, chosen, "default")

    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)


def replicate(cohort, seed, patients):
    """Whether the checks stop unseen patients, a harmless release, and a planted leak of either kind."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cohort))
    trained, held = int(0.6 * patients), patients - int(0.6 * patients)
    train, real = cohort.take(order[:trained]), cohort.take(order[trained:patients])
    harmless = cohort.take(order[patients : patients + trained])
    half = held // 2
    sides = Comparison(real=real, candidate=harmless, train=train, control=real.take(np.arange(half, held)))
    offered = {
        "unseen": real.take(np.arange(half)),
        "harmless": harmless,
        "copies": planted(harmless, train, SHARE, 0, rng),
        "blurred": planted(harmless, train, SHARE, NOISE, rng),
    }
    return {
        kind: not audit.judged(replace(sides, candidate=one), audit.DEFAULTS, rng)["passed"].all()
        for kind, one in offered.items()
    }


def test_leaks_are_stopped_and_unseen_patients_pass():
    stopped = pd.DataFrame([replicate(small_cohort(2000, 11), seed, 400) for seed in range(3)])
    assert stopped[["copies", "blurred"]].to_numpy().all()
    assert stopped[["unseen", "harmless"]].to_numpy().sum() <= 1


@pytest.mark.slow
def test_over_replicates_false_alarms_are_rare_and_leaks_are_caught():
    stopped = pd.DataFrame([replicate(small_cohort(8000, 11), seed, 700) for seed in range(60)])
    assert (stopped[["unseen", "harmless"]].mean() <= 0.05).all()
    assert (stopped[["copies", "blurred"]].mean() >= 0.95).all()


def test_the_battery_is_what_the_gate_reads():
    from haemosynth.publish.gate import CHECKS

    declared = {name: {metric.name for metric in stage.METRICS} for name, stage in audit.BATTERY.items()}
    assert {"distance": distance, "membership": membership} == audit.BATTERY
    for name, check in CHECKS.items():
        if check.stage in declared:
            assert name in declared[check.stage]
