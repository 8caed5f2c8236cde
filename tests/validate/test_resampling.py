"""Intervals have the right width, and all candidates meet the same real patients."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import stream
from haemosynth.validate.resampling import evaluate, prepare_comparison, read_stage_settings
from haemosynth.validate.stage import JOINT, PRIVACY, Comparison, Metric, Value


def patients(n, seed, prefix="P"):
    schema = Schema("normal", {"x": Column("continuous")})
    index = pd.Index([f"{prefix}{seed}-{i}" for i in range(n)], name="patient_id")
    return Cohort(schema, pd.DataFrame({"x": np.random.default_rng(seed).normal(size=n)}, index=index))


def comparison(n=400, candidate=400):
    return Comparison(patients(n, 1), patients(candidate, 2), patients(n, 3), patients(n // 2, 4))


def metric(interval="bootstrap", references=JOINT, name="difference"):
    return Metric(name, "error", "", (-10, 10), references, interval, "", "")


def stage(measure, *metrics):
    return SimpleNamespace(METRICS=metrics or (metric(),), measure=measure, figure=None)


def streams(*names):
    return stream(7, *names)


def mean(cohort):
    return float(cohort.clinical["x"].mean())


def difference(compared, settings, rng):
    return [Value("difference", mean(compared.candidate) - mean(compared.real))]


SETTINGS = {"repeats": 1, "replicates": 400}


@pytest.mark.parametrize("interval", ["bootstrap", "subsample"])
def test_the_interval_of_a_difference_of_means_has_its_textbook_width(interval):
    """Halves without replacement need no rescaling: (1/(n/2)) (1 - 1/2) s^2 = s^2/n."""
    sides = comparison()
    values, replicates = evaluate(stage(difference, metric(interval)), sides, SETTINGS, streams)
    row = values.iloc[0]
    variances = [cohort.clinical["x"].var() / len(cohort) for cohort in (sides.real, sides.candidate)]
    error = np.sqrt(sum(variances))
    assert row["value"] == pytest.approx(mean(sides.candidate) - mean(sides.real))
    assert replicates["value"].std() == pytest.approx(error, rel=0.12)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_attack_resamples_the_attacked_and_leaves_the_release_alone():
    def attacked(compared, settings, rng):
        gap = mean(compared.train) - mean(compared.control)
        return [Value("difference", gap), Value("release", mean(compared.candidate))]

    metrics = metric("attack", PRIVACY), metric("attack", PRIVACY, "release")
    sides = comparison()
    values, replicates = evaluate(stage(attacked, *metrics), sides, SETTINGS, streams)
    spread = replicates.groupby("metric")["value"].std()
    variances = [cohort.clinical["x"].var() / len(cohort) for cohort in (sides.train, sides.control)]
    assert spread["release"] == pytest.approx(0, abs=1e-12)
    assert spread["difference"] == pytest.approx(np.sqrt(sum(variances)), rel=0.12)
    assert list(values["n"]) == [400, 400]


def test_replicates_are_centred_on_the_value():
    """|mean| is biased upward under resampling; the interval still stands around what was measured."""

    def folded(compared, settings, rng):
        return [Value("difference", abs(mean(compared.candidate) - mean(compared.real)))]

    values, replicates = evaluate(stage(folded), comparison(), SETTINGS, streams)
    assert replicates["value"].mean() == pytest.approx(values["value"].iloc[0])


def test_all_candidates_meet_the_same_real_patients():
    seen = {}

    def recorder(name):
        def measure(compared, settings, rng):
            seen.setdefault(name, []).append((list(compared.real.patients), rng.random()))
            return [Value("difference", 0.0)]

        return measure

    sides = comparison()
    for name, candidate in (("small", patients(400, 8)), ("large", patients(900, 9))):
        evaluate(stage(recorder(name)), replace(sides, candidate=candidate), {"repeats": 2, "replicates": 3}, streams)
    assert seen["small"] == seen["large"]


def test_fidelity_compares_equal_numbers_and_privacy_the_whole_release():
    def sizes(compared, settings, rng):
        return [Value("difference", 0.0, n=0), Value("sizes", float(len(compared.candidate) - len(compared.real)))]

    sides = comparison(n=300, candidate=500)
    common = {"repeats": 1, "replicates": 0}
    values, _ = evaluate(stage(sizes, metric(), metric(name="sizes")), sides, common, streams)
    assert values.set_index("metric").loc["sizes", "value"] == 0
    assert set(values["n"]) == {300}
    private = metric(references=PRIVACY), metric(references=PRIVACY, name="sizes")
    values, _ = evaluate(stage(sizes, *private), sides, common, streams)
    assert values.set_index("metric").loc["sizes", "value"] == 200
    assert set(values["n"]) == {500}


def test_the_ceiling_holds_for_the_size_of_the_release():
    """Training patients beside a release of 120 are compared at 120, and as often with the same real patients."""

    def sizes(compared, settings, rng):
        real = compared.real.patients
        seen.append((len(compared.candidate), len(real), tuple(sorted(set(real)))))
        return [Value("difference", float(len(compared.candidate)))]

    found = []
    for candidate in (120, 500):
        seen: list[tuple] = []
        sides = replace(comparison(n=300), candidate=patients(candidate, 9))
        values, _ = evaluate(stage(sizes), sides, {"repeats": 2, "replicates": 2, "released": 120}, streams)
        assert set(values["n"]) == {120}
        found.append(seen)
    assert found[0] == found[1]
    private = [metric(references=PRIVACY)]
    values, _ = evaluate(
        stage(sizes, *private), comparison(300, 500), {"repeats": 1, "replicates": 0, "released": 120}, streams
    )
    assert set(values["n"]) == {500}


def test_the_value_is_the_mean_over_repeats_and_needs_no_replicates():
    counter = iter(range(10))

    def counting(compared, settings, rng):
        return [Value("difference", float(next(counter)))]

    values, replicates = evaluate(stage(counting), comparison(), {"repeats": 4, "replicates": 0}, streams)
    assert values["value"].iloc[0] == 1.5
    assert values[["low", "high"]].isna().all(axis=None)
    assert replicates.empty


def test_what_is_not_applicable_says_why():
    def nothing(compared, settings, rng):
        return [Value("difference", float("nan"), reason="no such patients")]

    values, replicates = evaluate(stage(nothing), comparison(), {"repeats": 2, "replicates": 3}, streams)
    assert values.loc[0, "status"] == "not_applicable"
    assert values.loc[0, "reason"] == "no such patients"
    assert replicates.empty


def test_mistakes_of_a_stage_are_errors():
    with pytest.raises(ValueError, match="not declared"):
        evaluate(stage(lambda *_: [Value("other", 1.0)]), comparison(), SETTINGS, streams)
    with pytest.raises(ValueError, match="given twice"):
        evaluate(stage(lambda *_: [Value("difference", 1.0)] * 2), comparison(), SETTINGS, streams)
    with pytest.raises(ValueError, match="no reason"):
        Value("difference", float("nan"))


def test_the_same_streams_give_the_same_numbers():
    runs = [evaluate(stage(difference), comparison(), {"repeats": 2, "replicates": 20}, streams) for _ in range(2)]
    pd.testing.assert_frame_equal(runs[0][0], runs[1][0])
    pd.testing.assert_frame_equal(runs[0][1], runs[1][1])


def test_real_stages_give_the_same_patients_of_all_modalities():
    """A resampled cohort keeps each patient's clinical record, alterations and mutations together."""
    from fixtures_small import small_cohort

    sides = compared(small_cohort())

    def together(compared, settings, rng):
        cohort = compared.candidate
        assert cohort.alterations.index.equals(cohort.clinical.index)
        assert cohort.sequenced.index.equals(cohort.clinical.index)
        carriers = set(cohort.mutations["patient_id"])
        assert carriers <= set(cohort.patients)
        return [Value("difference", 0.0)]

    evaluate(stage(together), sides, {"repeats": 1, "replicates": 2}, streams)


def bounded(one, sides, most, streams=streams):
    settings = {"repeats": 2, "replicates": 8, "patients": most}
    compared = prepare_comparison(one, sides, settings, streams)
    return compared, *evaluate(one, compared, settings, streams)


def test_fewer_patients_than_the_bound_are_left_as_they_are():
    sides = comparison(n=300, candidate=400)
    assert prepare_comparison(stage(difference), sides, {"patients": 400}, streams) == sides
    free, at_bound = (bounded(stage(difference), sides, most)[1:] for most in (None, 400))
    for one, other in zip(free, at_bound, strict=True):
        assert one.to_csv() == other.to_csv()


def test_more_patients_than_the_bound_are_compared_at_the_bound():
    compared, values, _ = bounded(stage(difference), comparison(n=300, candidate=400), 120)
    assert [len(c) for c in (compared.real, compared.candidate, compared.train, compared.control)] == [120] * 4
    assert set(values["n"]) == {120}
    assert not compared.real.patients.has_duplicates


@pytest.mark.parametrize("interval", ["bootstrap", "subsample"])
def test_the_interval_under_the_bound_is_that_of_a_cohort_of_that_size(interval):
    one = stage(difference, metric(interval))
    settings = {"repeats": 1, "replicates": 400, "patients": 100}
    _, replicates = evaluate(one, prepare_comparison(one, comparison(2000, 2000), settings, streams), settings, streams)
    assert replicates["value"].std() == pytest.approx(np.sqrt(2 / 100), rel=0.25)


def test_all_candidates_meet_the_same_patients_under_the_bound():
    sides = comparison()
    chosen = [
        prepare_comparison(
            stage(difference), replace(sides, candidate=patients(n, 8)), {"patients": 50}, streams
        ).real.patients
        for n in (400, 900)
    ]
    assert list(chosen[0]) == list(chosen[1])


def test_privacy_stages_see_the_whole_release_and_all_training_patients():
    sides = comparison(n=300, candidate=500)
    private = stage(lambda *_: [Value("difference", 0.0)], metric(references=PRIVACY))
    compared, values, _ = bounded(private, sides, 120)
    assert compared == sides
    assert set(values["n"]) == {500}


def test_what_is_learned_once_is_learned_from_the_bounded_comparison():
    def prepare(compared, settings, rng):
        return len(compared.train)

    learning = SimpleNamespace(METRICS=(metric(),), DEFAULTS={}, measure=difference, figure=None, prepare=prepare)
    assert prepare_comparison(learning, comparison(), {"patients": 70}, streams).prepared == 70
    assert prepare_comparison(learning, comparison(), {}, streams).prepared == 400
    assert read_stage_settings(learning, {"patients": 70}, "learning")["patients"] == 70
