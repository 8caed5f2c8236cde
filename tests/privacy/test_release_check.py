"""Nothing passes that was not measured, and every limit stops what lies above it."""

import numpy as np
import pandas as pd
import pytest

from haemosynth.core.errors import InputError
from haemosynth.privacy.release_check import (
    CHECKS,
    COLUMNS,
    NOTHING_TO_COPY,
    OVERRIDE,
    gate,
    overridden,
    refusal,
    settings,
    verdict,
)
from haemosynth.privacy.tiers import TIERS

GOOD = {
    "exact_matches": 0.0, "linked_copies": 0.0, "exposed": 0.005, "copied_profiles": 0.01, "disclosure_auc": 0.53,
    "disclosure_tpr_1": 0.015, "disclosure_outlying_auc": 0.55, "audit_passed": 1.0,
}  # fmt: skip
CLINICAL = {name: check for name, check in CHECKS.items() if check.modality == "clinical"}
PICTURED = {
    "image_copies": 0.0,
    "image_nearer_to_train": 0.52,
    "image_copies_caught": 0.95,
    "image_membership_auc": 0.52,
}
REQUIRED = [name for name, check in CLINICAL.items() if check.required]
OPTIONAL = [name for name, check in CLINICAL.items() if not check.required]
RISKS = dict.fromkeys(OPTIONAL, 0.01)


def row(stage, metric, value, target="all", modality="clinical", reason="why"):
    measured = np.isfinite(value)
    return {
        "cohort": "demo", "generator": "default", "seed": 1, "pillar": "privacy", "stage": stage, "modality": modality,
        "metric": metric, "target": target, "value": value, "low": value - 0.01, "high": value + 0.01, "n": 300,
        "status": "ok" if measured else "not_applicable", "reason": "" if measured else reason,
    }  # fmt: skip


def metrics(values=GOOD, generator="default", seed=1, reason="why", table=0.9):
    rows = [
        row(CHECKS[name].stage, name, value, target, reason=reason)
        for name, value in values.items()
        for target in ("all", "distance")
    ]
    rows.append(row("disclosure", "disclosure_table_auc", table))
    return pd.DataFrame(rows).assign(generator=generator, seed=seed)


def test_a_harmless_release_passes():
    checks = gate(metrics(), {})
    assert list(checks.columns) == COLUMNS
    assert list(checks["check"]) == list(CLINICAL)
    assert checks["passed"].all()
    assert verdict(checks)
    assert refusal(checks) == ""


@pytest.mark.parametrize("name", CLINICAL)
def test_each_limit_stops_what_lies_above_it_and_only_that(name):
    limit, beyond = CHECKS[name].limit, -0.001 if CHECKS[name].least else 0.001
    assert verdict(gate(metrics({**GOOD, **RISKS, name: limit}), {}))
    checks = gate(metrics({**GOOD, **RISKS, name: limit + beyond}), {})
    assert not verdict(checks)
    assert list(checks.loc[~checks["passed"], "check"]) == [name]
    line = refusal(checks)
    assert name in line
    assert "default is not published" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_or_unmeasured_metric_does_not_pass(name):
    kept = {check: value for check, value in GOOD.items() if check != name}
    for table in (metrics(kept), metrics({**GOOD, name: np.nan})):
        checks = gate(table, {})
        assert not verdict(checks)
        assert "not measured" in refusal(checks)


def test_a_cohort_without_genomic_data_says_that_there_is_nothing_to_copy():
    checks = gate(metrics({**GOOD, "copied_profiles": np.nan}, reason=NOTHING_TO_COPY), {})
    assert verdict(checks)
    assert checks.set_index("check").loc["copied_profiles", "meaning"] == f"not measured: {NOTHING_TO_COPY}"


def test_the_reason_is_the_one_that_the_stage_gives():
    from dataclasses import replace

    from fixtures_candidates import compared
    from fixtures_small import small_cohort

    from haemosynth.privacy.stages import distance
    from haemosynth.validate.resampling import prepare_comparison

    sides = compared(small_cohort())
    bare = {name: getattr(sides, name).record() for name in ("real", "candidate", "train", "control")}
    seen = prepare_comparison(distance, replace(sides, **bare), distance.DEFAULTS, lambda *_: np.random.default_rng(0))
    values = distance.measure(seen, distance.DEFAULTS, np.random.default_rng(0))
    assert NOTHING_TO_COPY in {value.reason for value in values if value.metric == "copied_profiles"}


def test_the_study_sets_the_limits():
    assert not verdict(gate(metrics(), {"disclosure_auc": 0.51}))
    assert verdict(gate(metrics({**GOOD, "disclosure_auc": 0.9}), {"disclosure_auc": 1.0}))
    assert gate(metrics(), {"disclosure_auc": 0.51}).set_index("check").loc["disclosure_auc", "limit"] == 0.51


@pytest.mark.parametrize("thresholds", [{"disclosure": 0.6}, {"disclosure_auc": "low"}, {"exact_matches": None},
                                        {"exact_matches": -1}, {"exact_matches": float("nan")},
                                        {"override": True}, {"override": {"by": "A. Nobody"}},
                                        {"override": {"by": " ", "reason": "because"}}])  # fmt: skip
def test_a_limit_that_is_none_is_refused(thresholds):
    with pytest.raises(InputError, match="gate"):
        gate(metrics(), thresholds)


def test_only_one_release_is_judged_at_a_time():
    with pytest.raises(ValueError, match="one release"):
        gate(pd.concat([metrics(), metrics(seed=2)]), {})
    with pytest.raises(ValueError, match="one release"):
        gate(pd.concat([metrics(), metrics(generator="forest")]), {})


def test_no_metrics_at_all_do_not_pass():
    checks = gate(metrics().iloc[:0], {})
    assert not verdict(checks)
    assert not verdict(checks.iloc[:0])
    assert refusal(checks.iloc[:0]).startswith("not published: no privacy check was made")


def test_what_chance_shows_passes_and_what_lies_above_it_does_not():
    """Beyond the limit a value passes only up to the chance of its own metric, stage and modality."""
    table = metrics({**GOOD, "disclosure_tpr_1": 0.06})
    assert not verdict(gate(table, {}))

    def with_chance(value, target="disclosure_tpr_1", modality="clinical", metric="disclosure_chance"):
        extra = pd.DataFrame([row("disclosure", metric, value, target, modality)])
        return gate(pd.concat([table, extra], ignore_index=True), {})

    assert verdict(with_chance(0.06))
    assert with_chance(0.06).set_index("check").loc["disclosure_tpr_1", "chance"] == 0.06
    assert not verdict(with_chance(0.059))
    assert "chance shows at most 0.059" in refusal(with_chance(0.059))
    assert not verdict(with_chance(0.07, target="disclosure_auc"))
    assert not verdict(with_chance(0.07, modality="joint"))
    assert not verdict(with_chance(0.07, metric="disclosure_error"))


def test_an_open_release_may_tell_what_a_printed_table_tells_within_its_cap():
    """0.6 in any case, what the table tells beyond it, and never more than the cap of the tier."""
    for table, limit in ((0.52, 0.6), (0.62, 0.62), (0.72, 0.65), (np.nan, 0.65)):
        checks = gate(metrics(table=table), {}).set_index("check")
        assert checks.loc["disclosure_auc", "limit"] == limit
    assert gate(metrics(table=0.69), {}, tier="agreement").set_index("check").loc["disclosure_auc", "limit"] == 0.69


def test_tiers_differ_in_what_aggregates_may_tell_and_never_in_memory():
    telling = metrics({**GOOD, "disclosure_auc": 0.68, "disclosure_tpr_1": 0.08, "disclosure_outlying_auc": 0.7})
    passed = {tier: verdict(gate(telling, {}, tier=tier)) for tier in TIERS}
    assert passed == {"open": False, "agreement": True, "internal": True}
    kept = gate(telling, {}, tier="agreement").set_index("check")
    assert not kept.loc["disclosure_auc", "open"]  # what failed for an open release stays visible
    assert kept.loc["exposed", "open"]
    for name in ("linked_copies", "exposed", "exact_matches", "copied_profiles"):
        for tier in TIERS:
            assert not verdict(gate(metrics({**GOOD, name: 0.2}), {}, tier=tier)), (name, tier)
    worst = metrics({**GOOD, "disclosure_auc": 0.99, "disclosure_tpr_1": 0.9, "disclosure_outlying_auc": 1.0})
    assert verdict(gate(worst, {}, tier="internal"))


def test_a_cautious_board_sets_its_own_cap_in_any_tier():
    for tier in ("open", "agreement"):
        limits = gate(metrics(table=0.7), {"disclosure_auc": 0.6}, tier=tier).set_index("check")["limit"]
        assert limits["disclosure_auc"] == 0.6


def test_a_refusal_names_the_size_that_would_pass_only_where_size_is_the_matter():
    smaller = "the largest size that passes in tier open is 165 (synthetic_patients: 165)"
    assert "165" in refusal(gate(metrics({**GOOD, "disclosure_auc": 0.9}), {}), smaller)
    copies = refusal(gate(metrics({**GOOD, "disclosure_auc": 0.9, "linked_copies": 0.1}), {}), smaller)
    assert "165" not in copies
    assert "Regularise" in copies


def test_the_worst_modality_decides():
    worse = pd.concat([metrics(), pd.DataFrame([row("disclosure", "disclosure_auc", 0.7, modality="joint")])])
    failed = gate(worse, {}).set_index("check").loc["disclosure_auc"]
    assert (failed["modality"], failed["value"], failed["passed"]) == ("joint", 0.7, False)
    unmeasured = pd.concat([metrics(), pd.DataFrame([row("disclosure", "disclosure_auc", np.nan, modality="joint")])])
    assert not verdict(gate(unmeasured, {}))


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_stage_that_was_left_out_is_named_and_one_that_ran_is_judged(name):
    checks = gate(metrics(), {}).set_index("check")
    assert checks.loc[name, "meaning"].startswith("not run: the study leaves out")
    assert "does not shut the gate" in checks.loc[name, "meaning"]
    assert not verdict(gate(metrics({**GOOD, name: 0.99}), {}))
    unmeasured = gate(metrics({**GOOD, name: np.nan}), {})
    assert verdict(unmeasured)
    assert unmeasured.set_index("check").loc[name, "meaning"] == "not measured: why"


def test_a_failed_audit_shuts_the_gate_and_says_why():
    line = refusal(gate(metrics({**GOOD, "audit_passed": 0.0}), {}))
    assert "copies that were planted" in line
    assert "audit_passed 0 is below 1" in line


def test_an_override_is_recorded_with_what_it_overrules():
    chosen = {OVERRIDE: {"by": "A. Custodian", "reason": "leaves to a closed archive"}}
    checks = gate(metrics({**GOOD, "disclosure_auc": 0.9}), chosen)
    assert verdict(checks)
    assert refusal(checks) == ""
    for part in ("A. Custodian", "disclosure_auc", "closed archive"):
        assert part in overridden(checks)
    assert not checks.set_index("check").loc["disclosure_auc", "passed"]
    assert overridden(gate(metrics(), chosen)) == ""  # nothing to overrule


def test_the_settings_list_every_check_with_its_limit():
    import yaml
    from fixtures_small import RESOURCES

    chosen = yaml.safe_load((RESOURCES.parent / "config/config.yaml").read_text())["gate"]
    assert list(chosen) == [*CHECKS, OVERRIDE]
    assert settings(chosen) == settings({})
    explained = (RESOURCES.parent / "docs/privacy.md").read_text()
    assert all(f"`{name}`" in explained for name in CHECKS)


@pytest.mark.parametrize(("modalities", "values"), [(["images"], PICTURED), (["clinical", "images"], GOOD | PICTURED)])
def test_images_are_judged_where_a_cohort_has_them(modalities, values):
    assert set(PICTURED) == {name for name, check in CHECKS.items() if check.modality == "images"}
    checks = gate(metrics(values), {}, modalities=modalities)
    assert set(checks["check"]) >= set(PICTURED)
    assert verdict(checks)
    leaks = {"image_copies": 0.1, "image_nearer_to_train": 0.8, "image_copies_caught": 0.1, "image_membership_auc": 0.8}
    for name, value in leaks.items():
        assert not verdict(gate(metrics(values | {name: value}), {}, modalities=modalities))
        assert not verdict(gate(metrics(values | {name: np.nan}), {}, modalities=modalities))
    without = {name: value for name, value in values.items() if name not in PICTURED}
    assert not verdict(gate(metrics(without or GOOD), {}, modalities=modalities))


def test_a_cohort_that_no_check_is_made_for_does_not_pass():
    checks = gate(metrics(), {}, modalities=["nothing"])
    assert checks.empty
    assert not verdict(checks)
