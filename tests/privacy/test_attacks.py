"""Singling out, linkability, inference: copies are caught, unseen patients are not, nothing crashes at the edges."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, planted, renamed
from fixtures_expression import simulated
from fixtures_figures import drawn_alike, overlapping
from fixtures_phantoms import imaged_cohort
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.encode.records import fit_encoder
from haemosynth.modalities.expression.part import expression_of, keep_profiles
from haemosynth.modalities.expression.profiles import learn
from haemosynth.modalities.images.part import images_of
from haemosynth.privacy import attacks
from haemosynth.privacy.stages import inference, linkability, singling_out
from haemosynth.validate.resampling import evaluate, prepare_comparison

STAGES = {"singling_out": singling_out, "linkability": linkability, "inference": inference}
SMALL = {
    "singling_out": {"queries": 400},
    "linkability": {"splits": 2},
    "inference": {"trees": 15, "rare": 1, "learners": 2, "attacks": 250},
}
RISKS = ["singling_out_risk", "rare_value_risk", "linkability_risk", "inference_risk", "disclosure_excess"]


def streams(*names):
    return stream(1, *map(str, names))


def settings_of(name, **more):
    return STAGES[name].DEFAULTS | SMALL[name] | more


def values_of(name, comparison, seed=0, **more):
    stage, settings = STAGES[name], settings_of(name, **more)
    ready = prepare_comparison(stage, comparison, settings, lambda *names: stream(seed, *map(str, names)))
    values = stage.measure(ready, settings, np.random.default_rng(0))
    assert {value.metric for value in values} == {metric.name for metric in stage.METRICS}
    return values


def measured(name, comparison, seed=0, **more):
    return {(v.metric, v.target, v.modality): v.value for v in values_of(name, comparison, seed, **more)}


def risks(name, comparison, seed=0, **more):
    found = measured(name, comparison, seed, **more)
    return {key[::2]: value for key, value in found.items() if key[0] in RISKS and key[1] == "all"}


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(500, 2))


@pytest.fixture(scope="module")
def of_fresh():
    """Risks of unseen patients over several splits; every (metric, modality) with its values."""
    found = {}
    for name in STAGES:
        for seed in range(3):
            for key, value in risks(name, compared(small_cohort(500, 2), seed), seed).items():
                found.setdefault(key, []).append(value)
    return {key: np.array(values) for key, values in found.items()}


@pytest.mark.parametrize("name", STAGES)
def test_training_patients_are_caught(name, comparison):
    for key, value in risks(name, replace(comparison, candidate=renamed(comparison.train))).items():
        # Patients with the same alterations, or none, cannot be told apart by these alone.
        assert value > (0.7 if key == ("linkability_risk", "genomic") else 0.95), key


def test_unseen_patients_give_next_to_nothing_away(of_fresh):
    limits = {"linkability_risk": 0.03, "singling_out_risk": 0.08, "inference_risk": 0.12, "rare_value_risk": 0.2}
    for (metric, modality), values in of_fresh.items():
        known = values[np.isfinite(values)]
        if metric in limits:
            assert len(known)
            assert known.mean() < limits[metric], (metric, modality)


@pytest.mark.parametrize("name", STAGES)
def test_planted_copies_raise_every_risk(name, comparison, of_fresh):
    """Copies of 30 of 300 training patients among patients from elsewhere: a tenth can be found."""
    rest = renamed(small_cohort(301, 7).take(range(300)))
    before = risks(name, replace(comparison, candidate=rest))
    after = risks(name, replace(comparison, candidate=planted(rest, comparison.train, 0.1)))
    for key, value in after.items():
        if key[0] != "disclosure_excess":  # of few carriers: a tenth of them is one patient
            assert value > before[key] + 0.03, key
            assert value > np.nanmean(of_fresh[key]) + 0.02, key


def test_a_generator_that_repeats_values_repeats_those_of_one_patient(comparison):
    """Shuffled columns keep every value and no combination: only single values give anyone away."""
    found = risks("singling_out", replace(comparison, candidate=independent(comparison.train)))
    assert found["rare_value_risk", "clinical"] > 0.3
    assert found["singling_out_risk", "clinical"] < 0.1


@pytest.mark.parametrize("name", STAGES)
def test_intervals_hold_the_value_and_are_the_same_twice(name, comparison):
    settings = settings_of(name, repeats=1, replicates=12)
    candidate = planted(independent(comparison.train), comparison.train, 0.3)
    tables = []
    for _ in range(2):
        ready = prepare_comparison(STAGES[name], replace(comparison, candidate=candidate), settings, streams)
        tables.append(evaluate(STAGES[name], ready, settings, streams)[0])
    pd.testing.assert_frame_equal(*tables)
    found = tables[0][(tables[0]["status"] == "ok") & tables[0]["metric"].isin(RISKS)]
    assert (found["low"] <= found["value"] + 1e-9).all()
    assert (found["value"] <= found["high"] + 1e-9).all()
    pooled = found[(found["target"] == "all") & (found["metric"] == f"{name}_risk")]
    assert (pooled["high"] - pooled["low"] < 0.5).all()
    assert (pooled["high"] > pooled["low"]).all()


def test_intervals_are_not_lifted_by_the_cut_at_zero():
    """An attack with equal success on both sides: the interval reaches 0 and is wide enough."""
    ids = [pd.Index([f"{side}{i}" for i in range(300)]) for side in "mc"]
    won = (np.arange(300) % 3 == 0).astype(float)[:, None]
    tally = [attacks.Tally(patients, won, np.ones((300, 1))) for patients in ids]
    rng = np.random.default_rng(0)
    cohort = small_cohort(300, 2).record()
    split = compared(cohort)
    found = attacks.Attacked((("x", "clinical"),), *tally, tally[0])
    drawn = []
    for _ in range(300):
        sides = [replace(cohort, clinical=cohort.clinical.set_axis(i[rng.integers(300, size=300)])) for i in ids]
        one = attacks.measure_attack("some", found, replace(split, train=sides[0], control=sides[1]))
        drawn += [v.value for v in one if v.metric == "some_risk" and v.target == "all" and v.modality == "clinical"]
    assert abs(np.mean(drawn)) < 0.02
    # Standard error of (a - b) / (1 - b) for two shares of a third among 300.
    assert np.std(drawn) == pytest.approx(np.sqrt(2 * (1 / 3) * (2 / 3) / 300) / (2 / 3), rel=0.2)


@pytest.mark.filterwarnings("ignore:Attack is as good")
def test_risk_and_interval_are_those_of_the_library():
    from anonymeter.stats.confidence import EvaluationResults

    for main, control, n, m in [(30, 10, 100, 80), (100, 3, 100, 80), (0, 80, 100, 80), (5, 0, 100, 80)]:
        results = EvaluationResults(n_attacks=(n, n, m), n_success=main, n_baseline=1, n_control=control)
        ours = attacks.risk(main / n, control / m)
        assert attacks.risk_upper([(main, n), (control, m), (1, n)]) == pytest.approx(results.risk().ci[1])
        if control < m:  # the library pulls both shares towards one half by Wilson's 1.92 patients of either kind
            assert ours == pytest.approx(results.risk().value, abs=0.04)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("main", "control"), [(50, 50), (50, 0), (0, 50), (0, 0)])
def test_attacks_that_always_or_never_succeed_do_not_crash(main, control):
    won = {"main": main, "control": control, "baseline": 0}
    ids = {side: pd.Index([f"{side[0]}{i}" for i in range(50)]) for side in won}
    ids["baseline"] = ids["main"]
    tallies = {
        side: attacks.Tally(ids[side], (np.arange(50)[:, None] < n).astype(float), np.ones((50, 1)))
        for side, n in won.items()
    }
    cohort = small_cohort(50, 2)
    sides = {
        "train": replace(cohort, clinical=cohort.clinical.set_axis(ids["main"])),
        "control": replace(cohort, clinical=cohort.clinical.set_axis(ids["control"])),
    }
    comparison = replace(compared(cohort), **sides)
    found = attacks.Attacked((("x", "clinical"),), **tallies)
    values = {
        (v.metric, v.target): v for v in attacks.measure_attack("some", found, comparison) if v.modality == "clinical"
    }
    risk = values["some_risk", "all"]
    assert 0 <= values["some_risk_upper", "all"].value <= 1
    if control == 50:
        assert np.isnan(risk.value)
        assert "always succeeds" in risk.reason
    else:
        assert risk.value == main / 50


@pytest.mark.parametrize("chunk", [10**7, 9000])
def test_neighbours_are_those_of_the_library(comparison, chunk, monkeypatch):
    import anonymeter.evaluators  # noqa: F401 - first, since its modules import each other in a circle
    from anonymeter.neighbors.mixed_types_kneighbors import MixedTypeKNeighbors

    monkeypatch.setattr(attacks, "CHUNK", chunk)
    cohort = comparison.train
    outcomes = cohort.schema.survival
    seen = attacks.attributes(fit_encoder(cohort), outcomes, cohort.take(range(25)), comparison.control)
    names = list(seen.of)
    sets = [names[:9], names[1:], names]
    found = attacks.neighbours(seen, *seen.tables, sets, np.random.default_rng(0), 3)
    for known, rows in zip(sets, found, strict=True):
        columns = [column for name in known for column in seen.of[name]]
        kinds = {"num": [c for c in columns if c in seen.numbers], "cat": [c for c in columns if c not in seen.numbers]}
        mine, released = (table[columns] for table in seen.tables)
        search = MixedTypeKNeighbors(n_neighbors=len(released), n_jobs=1).fit(released, ctypes=kinds)
        distances, order = search.kneighbors(mine, return_distance=True)
        unsorted = np.take_along_axis(distances, order.argsort(axis=1), axis=1)
        np.testing.assert_allclose(np.take_along_axis(unsorted, rows, axis=1), distances[:, :3])


def test_guesses_follow_the_librarys_rule_where_that_is_defined():
    from anonymeter.evaluators.inference_evaluator import evaluate_inference_guesses

    rng = np.random.default_rng(0)
    truth, guess = rng.uniform(1, 2, 200), rng.uniform(1, 2, 200)
    library = evaluate_inference_guesses(pd.Series(guess), pd.Series(truth), regression=True, tolerance=0.05)
    np.testing.assert_array_equal(inference.score_guesses(guess, truth, 0.05), library)
    assert inference.score_guesses(np.array([-1.0]), np.array([5.0]), 0.05)[0] == 0  # the library takes this for right
    missing = np.array([np.nan]), np.array(["a", np.nan], dtype=object)
    assert inference.score_guesses(missing[0], missing[0], 0.05)[0] == 0
    np.testing.assert_array_equal(inference.score_guesses(missing[1], missing[1], 0.05), [1, 0])


def test_naive_guesses_are_the_expectation_of_random_ones():
    rng = np.random.default_rng(0)
    offered = np.round(rng.normal(10, 1, 300), 1)
    truth = np.array([10.0, 12.0, np.nan])
    drawn = offered[rng.integers(300, size=(20_000, 1))]
    often = [inference.score_guesses(drawn[:, 0], np.full(20_000, value), 0.05).mean() for value in truth]
    np.testing.assert_allclose(inference._naive(offered, truth, 0.05), often, atol=0.015)


def test_success_is_carried_to_the_size_of_the_training_cohort():
    """Queries of known frequency: the share answered once among 400 is foretold from 130 patients, and from all."""
    rng = np.random.default_rng(0)
    frequency = rng.beta(0.6, 150, 4000)
    once = [np.mean(rng.binomial(n, frequency) == 1) for n in (130, 400)]
    factor = singling_out.carry_over(rng.binomial(130, frequency), 130, 400)
    assert once[0] * factor == pytest.approx(once[1], abs=0.02)
    assert singling_out.carry_over(np.array([0, 1, 2]), 400, 400) == 1
    assert singling_out.carry_over(np.zeros(9, dtype=int), 130, 400) == 1


def test_a_query_belongs_to_the_one_patient_who_answers_it():
    answers = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(singling_out.alone(answers), [1, 0, 0])


@pytest.mark.parametrize("name", STAGES)
def test_without_genomic_data_the_genomic_part_has_a_reason(name, comparison):
    cohorts = {side: getattr(comparison, side).record() for side in ("real", "candidate", "train", "control")}
    for value in values_of(name, replace(comparison, **cohorts)):
        if value.modality == "genomic":
            assert np.isnan(value.value)
            assert value.reason == attacks.NO_GENOMIC


def with_everything(seed=0):
    """A comparison of patients of whom a part have images, and another part have expression."""
    cohort, expression, _ = simulated(400)
    expression = learn(expression, expression, genes=None, variable=100)[0]
    images = images_of(imaged_cohort(400, 2, 0.7)[0])
    owners = dict(zip(small_cohort(400, 2).patients, cohort.patients, strict=True))
    images = replace(images, patient_id=np.array([owners[owner] for owner in images.patient_id.tolist()], dtype=str))
    return compared(cohort.replace(expression=keep_profiles(expression), images=images), seed)


FURTHER = {
    ("clinical~expression", "expression"),
    ("genomic~expression", "expression"),
    ("clinical~images", "images"),
    ("genomic~images", "images"),
    ("expression~images", "images"),
}


def test_expression_and_images_are_linked_where_the_release_holds_training_patients():
    comparison = with_everything()
    copied = measured("linkability", replace(comparison, candidate=renamed(comparison.train)))
    fresh = measured("linkability", comparison)
    for target, modality in FURTHER:
        assert copied["linkability_risk", target, modality] > 0.7
        assert fresh["main_success", target, modality] < 0.1
    for modality in ("expression", "images"):
        key, bound = ("linkability_risk", "all", modality), ("linkability_chance", "linkability_risk", modality)
        assert copied[key] > copied[bound] > 0
        assert fresh[key] <= max(fresh[bound], 0.05)


def test_only_patients_who_have_both_are_linked():
    comparison = with_everything()
    settings = settings_of("linkability")
    found = prepare_comparison(linkability, comparison, settings, streams).prepared
    train = comparison.train
    has = {
        "clinical": set(train.patients),
        "genomic": set(train.patients[train.alterations.notna().any(axis=1)]),
        "expression": set(expression_of(train).obs_names),
        "images": set(images_of(train).patient_id.tolist()),
    }
    assert {len(owners) for owners in has.values()} != {len(train)}
    pairs = {name for name, _ in found.attacks if "~" in name}
    assert pairs == {name for name, _ in FURTHER} | {"clinical~genomic"}
    for column, (name, _) in enumerate(found.attacks):
        if name in pairs:
            first, second = (has[modality] for modality in name.split("~"))
            assert set(found.main.patients[found.main.tried[:, column] == 1]) == first & second
            assert found.main.right[found.main.tried[:, column] == 0, column].sum() == 0


def test_a_release_without_images_gives_a_reason():
    comparison = with_everything()
    bare = comparison.candidate.replace(images=None)
    values = values_of("linkability", replace(comparison, candidate=bare))
    ours = [value for value in values if value.modality == "images"]
    assert ours
    assert all(np.isnan(value.value) and value.reason == attacks.TOO_FEW for value in ours)


@pytest.mark.parametrize("name", STAGES)
def test_degenerate_cohorts_give_reasons(name, comparison):
    """A handful of patients; a release of one and the same patient; a number that nobody has."""
    tiny = {side: getattr(comparison, side).take(range(7)) for side in ("real", "candidate", "train", "control")}
    for value in values_of(name, replace(comparison, **tiny)):
        assert np.isfinite(value.value) or value.reason
    same = renamed(comparison.train.take([0] * 30))
    assert all(np.isfinite(v.value) or v.reason for v in values_of(name, replace(comparison, candidate=same)))
    empty = {}
    for side in ("real", "candidate", "train", "control"):
        cohort = getattr(comparison, side).take(range(60))
        empty[side] = replace(cohort, clinical=cohort.clinical.assign(LDH=np.nan))
    assert all(np.isfinite(v.value) or v.reason for v in values_of(name, replace(comparison, **empty)))


def test_a_sensitive_attribute_that_is_none_is_refused(comparison):
    for chosen in (["nothing"], ["age"]):
        with pytest.raises(InputError, match="sensitive"):
            values_of("inference", comparison, sensitive=chosen)
    chosen = {"sensitive": ["diabetes"], "fewest": 5, "rare": 2}
    assert inference.sensitive(comparison, chosen) == ["diabetes"]
    usual = inference.sensitive(comparison, chosen | {"sensitive": None})
    assert usual[:2] == ["OS_event", "diabetes"]
    assert len(usual) == 6
    assert comparison.train.alterations[usual[-2:]].sum().min() >= 5


@pytest.mark.parametrize("name", STAGES)
def test_figure(name, comparison, tmp_path):
    stage, settings = STAGES[name], settings_of(name, repeats=1, replicates=4)
    ready = prepare_comparison(stage, replace(comparison, candidate=renamed(comparison.train)), settings, streams)
    values, _ = evaluate(stage, ready, settings, streams)
    assert overlapping(stage.figure(ready, values, settings, "real")) == []
    assert drawn_alike(lambda: stage.figure(ready, values, settings, "real"), tmp_path)
    nothing = values.assign(status="not_applicable", value=np.nan, low=np.nan, high=np.nan)
    assert overlapping(stage.figure(ready, nothing, settings, "real")) == []


@pytest.mark.parametrize("name", ["linkability", "inference"])
def test_copies_lie_beyond_chance(name, comparison):
    found = measured(name, replace(comparison, candidate=renamed(comparison.train)))
    for modality in ("clinical", "genomic"):
        assert found[f"{name}_risk", "all", modality] > found[f"{name}_chance", f"{name}_risk", modality] > 0


def test_chance_is_the_quantile_of_the_risk_of_exchangeable_patients():
    """Patients of whom a third are hit, whichever side they stand on: the risk passes the bound once in 200 times."""
    rng = np.random.default_rng(4)
    sizes, beyond, bounds = (120, 80), 0, []
    for _ in range(400):
        hit = [(rng.random((n, 2)) < 1 / 3).astype(float) for n in sizes]
        main, control = (
            attacks.Tally(pd.Index([f"{side}{i}" for i in range(len(h))]), h, np.ones_like(h))
            for side, h in zip("mc", hit, strict=True)
        )
        found = attacks.Attacked((("a", "clinical"), ("b", "clinical")), main, control, main)
        bound = attacks.with_chance(found, rng).chance["clinical"]
        beyond += attacks.risk(hit[0].mean(), hit[1].mean()) > bound
        bounds.append(bound)
    assert beyond <= 7  # expected 2
    # A difference of two shares of 240 and 160 attacks, over 1 - 1/3: 2.58 standard errors.
    expected = 2.576 * np.sqrt(2 / 9 * (1 / 240 + 1 / 160)) * 1.5
    assert np.mean(bounds) == pytest.approx(expected, rel=0.15)
