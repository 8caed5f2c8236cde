"""Planted leaks are stopped, unseen patients pass, and a blind battery is found out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort
from scipy.stats import binom

from haemosynth.privacy.planted_leaks import plant, planting
from haemosynth.privacy.release_check import CHECKS
from haemosynth.privacy.stages import audit, distance, memory
from haemosynth.validate import load
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

LARGE, SMALL = audit.DEFAULTS["shares"]
NOISE = audit.DEFAULTS["noise"]
KINDS = ("copies_5", "blurred_copies_5", "copies_2", "blurred_copies_2")


@pytest.fixture(scope="module")
def comparison():
    """700 patients, and as a generator that remembers nobody further ones whose columns are shuffled."""
    cohort = small_cohort(3500, 5)
    split, pool = compared(cohort.take(np.arange(700))), independent(cohort.take(np.arange(700, 3500)))
    return replace(split, candidate=pool.take(np.arange(len(split.train))), pool=pool)


def audited(comparison, **settings):
    chosen = audit.DEFAULTS | {"trials": 2, "exchanges": 200} | settings
    seen = prepare_comparison(audit, comparison, chosen, lambda *_: np.random.default_rng(0))
    values = audit.measure(seen, chosen, np.random.default_rng(0))
    return seen, {(value.metric, value.target): value.value for value in values}


def test_working_checks_pass_their_audit(comparison):
    _, found = audited(comparison)
    assert found["audit_passed", "all"] == 1
    for kind in KINDS:
        assert found["audit_stopped", kind] == 1
    assert found["audit_stopped", "copies_5~exact_matches"] == 1
    assert found["audit_stopped", "blurred_copies_2~exact_matches"] == 0
    assert found["audit_stopped", "blurred_copies_2~linked_copies"] == 1
    assert found["audit_stopped", "unseen_patients"] == 0


def test_each_kind_is_planted_in_its_share_of_the_records(comparison):
    _, found = audited(comparison, trials=1)
    n = len(comparison.candidate)
    assert [found["audit_copies", kind] for kind in KINDS] == [round(LARGE * n)] * 2 + [round(SMALL * n)] * 2


def test_a_share_of_too_few_copies_is_reported_and_does_not_decide(comparison):
    """Of 80 records 2 % are two: whether these are stopped says little. Those of 5 % decide at any number."""
    small = replace(comparison, candidate=comparison.candidate.take(np.arange(80)))
    seen, found = audited(small, trials=1)
    assert found["audit_copies", "copies_2"] == 2
    assert found["audit_copies", "copies_5"] == 4
    blind = {
        kind: np.full_like(stopped, kind in ("copies_5", "blurred_copies_5"))
        for kind, stopped in seen.prepared.stopped.items()
    }
    chosen = audit.DEFAULTS | {"trials": 1}

    def passed(stopped, **changes):
        changed = replace(seen, prepared=replace(seen.prepared, stopped=stopped, **changes))
        return audit.measure(changed, chosen, np.random.default_rng(0))[0].value

    assert found["audit_copies", "enough"] == 3
    assert passed(blind) == 1
    assert passed(blind, enough=2) == 0
    assert passed(blind | {"copies_5": np.zeros_like(blind["copies_5"])}) == 0


def test_without_further_records_of_the_generator_it_takes_more_copies_to_decide(comparison):
    """With 420 training and 280 unseen patients, links by coincidence are with training patients in three of five."""
    _, found = audited(replace(comparison, pool=None), trials=1)
    assert 0.6**11 < 0.005 < 0.6**10
    assert found["audit_copies", "enough"] == 14
    assert binom.sf(10, 14, 0.95) > 0.99 > binom.sf(10, 13, 0.95)
    assert found["audit_passed", "all"] == 1


@pytest.mark.parametrize(("missed", "passes"), [(0, 1.0), (1, 1.0), (2, 0.0)])
@pytest.mark.parametrize("kind", [*KINDS, audit.UNSEEN])
def test_nine_trials_of_ten_must_come_out_right(comparison, kind, missed, passes):
    right = {name: np.ones((10, 4), dtype=bool) for name in KINDS} | {audit.UNSEEN: np.zeros((10, 4), dtype=bool)}
    right[kind][:missed] ^= True
    found = audit.Audited(right, dict.fromkeys(KINDS, 9), 3, ("a", "b", "c", "d"), 400)
    value = audit.measure(replace(comparison, prepared=found), audit.DEFAULTS, np.random.default_rng(0))[0]
    assert (value.metric, value.value) == ("audit_passed", passes)


def test_of_large_sides_some_patients_are_drawn(comparison):
    chosen = audit.DEFAULTS | {"trials": 1, "exchanges": 200, "patients": 250}
    seen = prepare_comparison(audit, comparison, chosen, lambda *_: np.random.default_rng(0))
    assert len(comparison.train) > 250
    assert seen.prepared.records == 250
    found = {value.target: value for value in audit.measure(seen, chosen, np.random.default_rng(0))}
    assert found["all"].n == 250
    assert found["copies_5~exact_matches"].value == 1


def test_checks_that_see_nothing_fail_their_audit(comparison):
    blind = {"exact_matches": 1, "linked_copies": 1, "exposed": 1, "copied_profiles": 1}
    _, found = audited(comparison, limits=blind, trials=1)
    assert found["audit_stopped", "copies_5"] == 0
    assert found["audit_passed", "all"] == 0


def test_checks_that_stop_unseen_patients_fail_the_audit(comparison):
    """A holdout that the generators have seen: its halves repeat training patients."""
    seen = renamed(comparison.train.take(np.arange(200)))
    split = replace(comparison, real=seen, candidate=comparison.control)
    _, found = audited(split, trials=1)
    assert found["audit_stopped", "unseen_patients"] == 1
    assert found["audit_passed", "all"] == 0


def test_a_trial_that_reuses_the_candidates_links_is_a_release_judged_anew(comparison):
    """The shortcut of the audit and the stages themselves say the same of the same planted release."""
    ground = audit.ground_of(comparison, audit.DEFAULTS, np.random.default_rng(1))
    base = audit.offer(ground, comparison.candidate, None, audit.DEFAULTS, np.random.default_rng(2))
    kept, copied = planting(len(comparison.candidate), comparison.train, LARGE, NOISE, np.random.default_rng(3))
    whole = plant(comparison.candidate, comparison.train, LARGE, NOISE, np.random.default_rng(3))
    short = audit.leaking(ground, base, comparison.candidate, kept, copied)
    long = audit.offer(ground, whole, None, audit.DEFAULTS, np.random.default_rng(2))
    tables = [
        audit.judge(ground, offered._replace(pooled=base.links), audit.DEFAULTS, np.random.default_rng(4))
        for offered in (short, long)
    ]
    pd.testing.assert_frame_equal(*tables)
    seen = replace(comparison, candidate=whole)
    for stage in (memory, distance):
        chosen = stage.DEFAULTS | {"exchanges": 100}
        prepared = prepare_comparison(stage, seen, chosen, lambda *_: np.random.default_rng(1))
        measured = stage.measure(prepared, chosen, np.random.default_rng(1))
        found = {value.metric: value.value for value in measured if value.target == "all"}
        for name, value in tables[1].set_index("check")["value"].items():
            if name in found and name != "linked_copies":
                assert value == pytest.approx(found[name], abs=1e-9)


def test_the_same_limits_stop_planted_and_real_leaks(comparison):
    limits = {"exact_matches": 0.2, "override": {"by": "A", "reason": "B"}}
    leak = replace(
        comparison, candidate=plant(comparison.candidate, comparison.train, 0.1, 0, np.random.default_rng(0))
    )
    table = audit.judge_candidate(leak, audit.DEFAULTS | {"limits": limits, "exchanges": 100}, np.random.default_rng(0))
    table = table.set_index("check")
    assert table.loc["exact_matches", "limit"] == 0.2
    assert table.loc["exact_matches", "passed"]
    assert "override" not in table.index


def test_planting_replaces_the_share_and_nothing_else(comparison):
    rng = np.random.default_rng(0)
    exact, blurred = (plant(comparison.candidate, comparison.train, 0.1, noise, rng) for noise in (0, 0.05))
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
    from haemosynth.privacy.planted_leaks import blur_records

    train = comparison.train
    moved = blur_records(train, train, 0.03, np.random.default_rng(0))
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
    seen = prepare_comparison(audit, comparison, chosen, lambda *_: np.random.default_rng(0))
    values, replicates = evaluate(audit, seen, chosen, lambda *_: np.random.default_rng(0))
    assert values["low"].isna().all()
    assert replicates.empty

    def draw():
        return audit.figure(seen, values, chosen, "default")

    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)


def test_the_checks_are_those_of_the_gate():
    declared = {name: {metric.name for metric in load(name).METRICS} for name in audit.STAGES}
    checks = {name: check.stage for name, check in CHECKS.items() if check.stage in audit.STAGES}
    assert set(checks.values()) == set(audit.STAGES)
    for name, stage in checks.items():
        assert name in declared[stage]


@pytest.mark.slow
@pytest.mark.parametrize("patients", [550, 1200])
def test_over_replicates_false_alarms_are_rare_and_leaks_are_caught(patients):
    """Further patients of the same kind, as many as there are training patients, stand for a generated release."""
    cohort, rows = small_cohort(9000, 11), []
    trained, held = round(0.6 * patients), round(0.4 * patients)
    for seed in range(120):  # of forty, three would be too many, which is luck where one in forty is refused
        order = np.random.default_rng(seed).permutation(len(cohort))
        train, real, pool = np.split(order[: trained + held + 8 * trained], [trained, trained + held])
        sides = Comparison(
            real=cohort.take(real), candidate=cohort.take(pool[:trained]), train=cohort.take(train),
            control=cohort.take(real[held // 2 :]), pool=cohort.take(pool),
        )  # fmt: skip
        chosen = audit.DEFAULTS | {"trials": 1}
        seen = audit.prepare(sides, chosen, np.random.default_rng(seed))
        harmless = not audit.judge_candidate(sides, chosen, np.random.default_rng(seed))["passed"].all()
        rows.append({kind: stopped.any() for kind, stopped in seen.stopped.items()} | {"harmless": harmless})
    stopped = pd.DataFrame(rows)
    assert (stopped[["unseen_patients", "harmless"]].mean() <= 0.05).all()
    assert stopped[list(KINDS)].all(axis=None)
