"""Aggregates that are those of the training patients give them away, and only them."""

import numpy as np
import pytest
from fixtures_candidates import compared, independent, renamed
from fixtures_small import small_cohort

from haemosynth.encode.records import fit_encoder
from haemosynth.privacy.aggregate_attacks import (
    ATTACKS,
    Coded,
    attack_aggregates,
    learn_codes,
    prepare_attacks,
    values_scores,
    windows,
)
from haemosynth.privacy.redraws import areas, measure_told
from haemosynth.stats.ranking import area


def test_a_window_holds_the_nearest_other_values_and_no_more():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(200, 3))
    numbers[rng.random(numbers.shape) < 0.2] = np.nan
    for k in (1, 2, 10):
        for column, window in enumerate(windows(numbers, k).of):
            rows, low, high, others = window
            values = numbers[:, column]
            assert np.isfinite(values[rows]).all()
            inside = (values[None] >= low[:, None]) & (values[None] <= high[:, None])
            np.testing.assert_array_equal(inside.sum(axis=1) - 1, others)
            assert (others >= k).all()
            assert (others <= k + 1).all()  # continuous values: a tie of the two at the window's ends at most
    assert windows(numbers[:3, :1], 2).of == (None,)


def test_values_score_where_the_release_is_denser_than_the_others():
    rng = np.random.default_rng(0)
    real, released = rng.normal(size=(300, 1)), rng.normal(0, 0.3, size=(900, 1))
    scores = values_scores(windows(real, 5), released)
    assert np.corrcoef(scores, -np.abs(real[:, 0]))[0, 1] > 0.6
    assert abs(values_scores(windows(real, 5), np.repeat(real, 3, axis=0)).mean()) < 0.5


def coded(cohort, seed=0):
    split = compared(cohort, seed)
    coder = learn_codes(split.train, fit_encoder(split.train))
    train, unseen = coder.code(split.train), coder.code(split.real)
    sides = ((getattr(train, part), getattr(unseen, part)) for part in ("points", "levels", "numbers"))
    return split, coder, prepare_attacks(Coded(*(np.concatenate(pair) for pair in sides)), coder), len(train.points)


def test_exact_aggregates_of_training_patients_give_them_away():
    split, coder, attacked, trained = coded(small_cohort(600, 2))
    scores = attack_aggregates(attacked, coder.code(independent(split.train)))
    assert tuple(scores) == ATTACKS
    found = {name: area(score[:trained], score[trained:]) for name, score in scores.items()}
    assert min(found[name] for name in ("means", "columns")) > 0.6
    assert found["values_2"] > found["values_10"] > found["columns"]  # the finer the numbers, the more they tell
    fresh = [coded(small_cohort(600, 2), seed) for seed in range(8)]
    for name in ATTACKS:
        found = [
            area(score[:n], score[n:])
            for split, coder, attacked, n in fresh
            for score in [attack_aggregates(attacked, coder.code(small_cohort(600, 5)))[name]]
        ]
        assert abs(np.mean(found) - 0.5) < 0.05, name


def test_pairs_tell_what_single_columns_do_not():
    """Training patients and their shuffled columns have the same columns; only the former have the pairs."""
    split, coder, attacked, trained = coded(small_cohort(600, 2))
    found = []
    for release in (renamed(split.train), independent(split.train)):
        scores = attack_aggregates(attacked, coder.code(release))
        found.append({name: area(score[:trained], score[trained:]) for name, score in scores.items()})
    whole, shuffled = found
    assert whole["columns"] == pytest.approx(shuffled["columns"])
    assert whole["pairs"] > shuffled["pairs"] + 0.1


def test_areas_are_those_of_mann_and_whitney():
    from scipy.stats import mannwhitneyu, rankdata

    rng = np.random.default_rng(0)
    score = np.round(rng.normal(size=120), 1)
    member = rng.random((3, 120)) < 0.4
    found = areas(rankdata(score)[None], member)[0]
    for label, value in zip(member, found, strict=True):
        expected = mannwhitneyu(score[label], score[~label]).statistic / (label.sum() * (~label).sum())
        assert value == pytest.approx(expected)


def test_told_is_the_ratio_of_squared_distances_of_two_normal_scores():
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    base = rng.normal(size=200_000)
    found = [area(rng.normal(d, 1, 200_000), base) for d in (0.3, 0.6)]
    assert measure_told(*found) == pytest.approx(0.25, rel=0.05)
    assert measure_told(0.5, 0.7) == 0
    assert measure_told(0.4, 0.7) == 0
    assert measure_told(0.7, 0.5) == float("inf")
    assert measure_told(float(norm.cdf(0.5)), float(norm.cdf(0.5))) == pytest.approx(1)
