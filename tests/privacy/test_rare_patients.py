"""Outlying patients: remembered ones are caught, unseen ones are not, and no single one is shown."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from fixtures_candidates import compared, independent, joined, planted, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.streams import stream
from haemosynth.privacy.stages import rare_patients
from haemosynth.validate.resampling import evaluate, prepare_comparison

SETTINGS = rare_patients.DEFAULTS


def streams(*names):
    return stream(1, *map(str, names))


def ready(comparison, **more):
    return prepare_comparison(rare_patients, comparison, SETTINGS | more, streams)


def values_of(comparison, **more):
    return rare_patients.measure(ready(comparison, **more), SETTINGS | more, np.random.default_rng(0))


def measured(comparison, **more):
    return {(value.metric, value.target): value.value for value in values_of(comparison, **more)}


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(600, 2))


def test_training_patients_are_caught(comparison):
    found = measured(replace(comparison, candidate=renamed(comparison.train)))
    for kind in rare_patients.KINDS:
        assert found["outlier_membership_auc", kind] == 1
    assert found["rare_profile_matches", "all"] == 1


def test_unseen_patients_are_at_chance():
    found = [measured(compared(small_cohort(600, 2), seed)) for seed in range(12)]
    for kind in rare_patients.KINDS:
        areas = np.array([one["outlier_membership_auc", kind] for one in found])
        areas = areas[np.isfinite(areas)]
        assert abs(areas.mean() - 0.5) < 3 * areas.std() / np.sqrt(len(areas)), kind
    shares = np.array([[one[f"rare_profiles_{side}", "all"] for one in found] for side in ("train", "control")])
    gap = shares[0] - shares[1]
    assert abs(gap.mean()) < 3 * gap.std() / np.sqrt(len(gap))


def test_training_patients_are_beyond_chance_and_the_unseen_are_not(comparison):
    real = measured(replace(comparison, candidate=renamed(comparison.train)))
    assert real["rare_patients_chance", "outlier_membership_auc"] < real["outlier_membership_auc", "all"]
    found = [measured(compared(small_cohort(600, 2), seed)) for seed in range(12)]
    beyond = [one["outlier_membership_auc", "all"] > one["rare_patients_chance", "outlier_membership_auc"]
              for one in found]  # fmt: skip
    assert sum(beyond) <= 1  # of twelve, each with a chance of 1 in 200: two or more in 1 of 600 tests


def test_chance_is_exceeded_as_rarely_as_it_says(monkeypatch):
    monkeypatch.setattr(rare_patients.attacks, "EXCHANGES", 200)
    rng, beyond, trials = np.random.default_rng(1), 0, 150
    for _ in range(trials):
        rarity = rng.exponential(size=300)
        near, member = rarity + rng.normal(size=300), rng.permutation(300) < 180
        far = rarity > np.quantile(rarity, 0.8)
        chance = rare_patients._by_chance(rarity[far], near[far], member, far, SETTINGS, rng)
        sides = [(rarity[far & side], near[far & side]) for side in (member, ~member)]
        beyond += rare_patients.match_area(*sides, SETTINGS["strata"]) > chance
    assert beyond <= 5  # binomial with 150 trials of 1 in 200 to 100: six or more in 1 of 200 tests


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_copies_of_outlying_patients_alone_are_caught(comparison, share):
    """The corruption of this stage: a generator that remembers only those who stand out."""
    side = ready(comparison).prepared.train
    far = np.flatnonzero(side.kinds[:, 0])
    rest = independent(comparison.train)
    copies = comparison.train.take(far[: round(share * len(rest))])
    leaky = joined(rest.take(np.arange(len(rest) - len(copies))), copies)
    before, after = (measured(replace(comparison, candidate=release)) for release in (rest, leaky))
    gained = len(copies) / len(far) / 2
    assert after["outlier_membership_auc", "all"] > before["outlier_membership_auc", "all"] + 0.5 * gained
    assert after["rare_profile_matches", "all"] > before["rare_profile_matches", "all"] + 0.05


def test_planted_copies_raise_both_risks(comparison):
    rest = independent(comparison.train)
    before = measured(replace(comparison, candidate=rest))
    after = measured(replace(comparison, candidate=planted(rest, comparison.train, 0.1)))
    for metric in ("outlier_membership_auc", "rare_profile_matches"):
        assert after[metric, "all"] > before[metric, "all"], metric


def test_rare_combinations_equal_a_plain_count(comparison):
    sides, candidate = [comparison.train.take(range(80)), comparison.control.take(range(40))], comparison.candidate
    own, matched = rare_patients._combinations(sides, candidate, 3)
    tables = [cohort.alterations.to_numpy(float) == 1 for cohort in (*sides, candidate)]

    def carriers(table, which):
        return table[:, list(which)].all(axis=1).sum()

    for number, (table, others) in enumerate(zip(tables[:2], (1, 0), strict=True)):
        for i, row in enumerate(table):
            mine = []
            for size in (2, 3):
                for which in combinations(np.flatnonzero(row), size):
                    parts = any(carriers(tables[0], part) == others for part in combinations(which, 2)) and size == 3
                    if carriers(tables[0], which) == others and not parts:
                        mine.append(which)
            place = i + number * 80
            assert own[place] == len(mine)
            assert matched[place] == sum(carriers(tables[2], which) > 0 for which in mine)


def test_matching_by_rarity_removes_what_rarity_alone_explains():
    """Training patients who are rarer, and therefore farther from any release: guessing once they are matched."""
    rng = np.random.default_rng(0)
    rarity = rng.uniform(0, 1, 4000) ** 0.5, rng.uniform(0, 1, 2000)
    near = tuple(values + rng.normal(0, 0.05, len(values)) for values in rarity)
    sides = list(zip(rarity, near, strict=True))
    assert rare_patients.match_area(*sides, strata=1) < 0.4
    assert rare_patients.match_area(*sides, strata=40) == pytest.approx(0.5, abs=0.03)
    assert rare_patients.match_area((np.ones(3), np.zeros(3)), (np.ones(3), np.ones(3)), 4) == 1
    assert rare_patients.match_area((np.ones(3), np.ones(3)), (np.ones(3), np.ones(3)), 4) == 0.5


def test_intervals_hold_the_value(comparison):
    settings = SETTINGS | {"repeats": 1, "replicates": 30}
    values, _ = evaluate(rare_patients, ready(comparison), settings, streams)
    found = values[(values["metric"] == "outlier_membership_auc") & (values["status"] == "ok")]
    assert ((found["low"] < found["value"]) & (found["value"] < found["high"])).all()
    assert (found["high"] - found["low"] < 0.6).all()


def test_alterations_of_fewer_than_five_patients_are_counted(comparison):
    train = comparison.train
    few = train.alterations.sum()
    few = few.index[(few > 0) & (few < rare_patients.RAREST)]
    rest = independent(train)
    without = rest.replace(alterations=rest.alterations.assign(**dict.fromkeys(few, 0.0)))
    assert measured(replace(comparison, candidate=renamed(train)))["rarest_alterations", "all"] == len(few)
    assert measured(replace(comparison, candidate=without))["rarest_alterations", "all"] == 0


def test_degenerate_cohorts_give_reasons(comparison):
    names = ("real", "candidate", "train", "control")
    cases = [
        {name: getattr(comparison, name).record() for name in names},
        {name: getattr(comparison, name).take(range(6)) for name in names},
        {"candidate": renamed(comparison.train.take([0] * 20))},
    ]
    for case in cases:
        for value in values_of(replace(comparison, **case)):
            assert np.isfinite(value.value) or value.reason
    assert any(value.reason for value in values_of(replace(comparison, **cases[1])))


@pytest.mark.parametrize("name", ["fresh", "real"])
def test_the_figure_shows_groups_only(name, comparison, tmp_path):
    side = comparison if name == "fresh" else replace(comparison, candidate=renamed(comparison.train))
    one, settings = ready(side), SETTINGS | {"repeats": 1, "replicates": 4}
    values, _ = evaluate(rare_patients, one, settings, streams)
    drawn = rare_patients.figure(one, values, settings, name)
    assert overlapping(drawn) == []
    assert drawn_alike(lambda: rare_patients.figure(one, values, settings, name), tmp_path)
    outlying = [part.kinds[:, 0].sum() for part in (one.prepared.train, one.prepared.control)]
    for bars, count in zip(drawn.axes[0].containers, outlying, strict=True):
        heights = np.array([bar.get_height() for bar in bars]) * count
        assert ((heights == 0) | (heights >= MIN_CELL_COUNT - 1e-9)).all()


def test_two_thousand_patients_take_seconds():
    import time

    cohort = small_cohort(2000, 1)
    comparison = compared(cohort)
    start = time.process_time()
    values_of(replace(comparison, candidate=independent(comparison.train)))
    assert time.process_time() - start < 20
