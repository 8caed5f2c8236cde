"""Nothing passes that was not measured, and every limit stops what lies above it."""

import numpy as np
import pandas as pd
import pytest

from haemosynth.errors import InputError
from haemosynth.publish.gate import CHECKS, COLUMNS, NOTHING_TO_COPY, gate, refusal, verdict

GOOD = {"exact_matches": 0.0, "copied_profiles": 0.01, "nearer_to_train": 0.52, "membership_auc": 0.53}


def metrics(values=GOOD, generator="default", seed=1, reason="why"):
    rows = [
        {
            "cohort": "demo", "generator": generator, "seed": seed, "pillar": "privacy", "stage": CHECKS[name].stage,
            "modality": "clinical", "metric": name, "target": target, "value": value, "low": value - 0.01,
            "high": value + 0.01, "n": 300, "status": "ok" if np.isfinite(value) else "not_applicable",
            "reason": "" if np.isfinite(value) else reason,
        }
        for name, value in values.items()
        for target in ("all", "distance")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_harmless_release_passes():
    checks = gate(metrics(), {})
    assert list(checks.columns) == COLUMNS
    assert list(checks["check"]) == list(CHECKS)
    assert checks["passed"].all()
    assert verdict(checks)
    assert refusal(checks) == ""


@pytest.mark.parametrize("name", CHECKS)
def test_each_limit_stops_what_lies_above_it_and_only_that(name):
    limit = CHECKS[name].limit
    assert verdict(gate(metrics({**GOOD, name: limit}), {}))
    checks = gate(metrics({**GOOD, name: limit + 0.001}), {})
    assert not verdict(checks)
    assert list(checks.loc[~checks["passed"], "check"]) == [name]
    line = refusal(checks)
    assert name in line
    assert "default is not published" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", CHECKS)
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

    from haemosynth.validate.privacy import distance

    sides = compared(small_cohort())
    bare = {name: getattr(sides, name).clinical_only() for name in ("real", "candidate", "train", "control")}
    values = distance.measure(replace(sides, **bare), distance.DEFAULTS, np.random.default_rng(0))
    assert NOTHING_TO_COPY in {value.reason for value in values if value.metric == "copied_profiles"}


def test_the_study_sets_the_limits():
    assert not verdict(gate(metrics(), {"membership_auc": 0.51}))
    assert verdict(gate(metrics({**GOOD, "membership_auc": 0.9}), {"membership_auc": 1.0}))
    assert gate(metrics(), {"membership_auc": 0.51}).set_index("check").loc["membership_auc", "limit"] == 0.51


@pytest.mark.parametrize("thresholds", [{"membership": 0.6}, {"membership_auc": "low"}, {"exact_matches": None},
                                        {"exact_matches": -1}, {"exact_matches": float("nan")}])  # fmt: skip
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
