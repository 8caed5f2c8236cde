"""A release without memory gives the attacker nothing; copies give everything."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, planted, renamed
from fixtures_small import small_cohort

from haemosynth.validate.privacy import membership
from haemosynth.validate.resampling import _with_replacement


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(600, 2))


def measured(comparison, **settings):
    values = membership.measure(comparison, membership.DEFAULTS | settings, np.random.default_rng(0))
    return {(value.metric, value.target): value.value for value in values}


def test_training_patients_are_found_and_unseen_ones_are_not():
    cohort = small_cohort(600, 2)
    fresh = [measured(compared(cohort, seed)) for seed in range(12)]
    for name in membership.ATTACKS:
        areas = np.array([one["membership_auc", name] for one in fresh])
        assert abs(areas.mean() - 0.5) < 3 * areas.std() / np.sqrt(len(areas)), name
    split = compared(cohort, 0)
    real = measured(replace(split, candidate=renamed(split.train)))
    assert real["membership_auc", "all"] > 0.99
    assert real["membership_tpr_1", "all"] > 0.99


def test_whoever_is_attacked_the_whole_release_is_searched(comparison):
    copied = replace(comparison, candidate=renamed(comparison.train))
    assert measured(copied, rows=80)["membership_auc", "all"] > 0.99


def test_planted_copies_show_at_low_false_positive_rates(comparison):
    shuffled = independent(comparison.train)
    before = measured(replace(comparison, candidate=shuffled))
    after = measured(replace(comparison, candidate=planted(shuffled, comparison.train, 0.1)))
    # Ninety per cent of the copied tenth are found before the first unseen patient is.
    assert after["membership_tpr_1", "distance"] - before["membership_tpr_1", "distance"] > 0.08
    assert after["membership_auc", "distance"] > before["membership_auc", "distance"]


def test_all_is_the_worst_attack(comparison):
    found = measured(comparison)
    for metric in membership.METRICS:
        assert found[metric.name, "all"] == max(found[metric.name, name] for name in membership.ATTACKS)


def test_area_and_roc_equal_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    members, others = np.round(rng.normal(0.4, 1, 200), 1), np.round(rng.normal(0, 1, 90), 1)
    truth, score = np.repeat([1, 0], [200, 90]), np.concatenate([members, others])
    assert membership.area(members, others) == pytest.approx(metrics.roc_auc_score(truth, score))
    false, true, _ = metrics.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(membership.roc(members, others), (false, true))


def test_true_positive_rate_of_guessing_is_the_false_positive_rate():
    scores = np.random.default_rng(0).normal(size=2000)
    for rate in membership.FALSE_POSITIVE_RATES:
        assert membership.true_positive_rate(scores, scores, rate) == pytest.approx(rate)
        assert membership.true_positive_rate(np.zeros(5), np.zeros(7), rate) == pytest.approx(rate)
        assert membership.true_positive_rate(scores + 100, scores, rate) == 1


def test_a_patient_drawn_twice_is_not_his_own_neighbour(comparison):
    """Scores of the attacked do not change with how often they, or others, were drawn."""
    settings = dict(membership.DEFAULTS)
    rng = np.random.default_rng(4)
    drawn = replace(comparison, train=_with_replacement(comparison.train, len(comparison.train), rng))
    members, _ = membership.scores(drawn, settings, rng)
    twice = drawn.train.patients.duplicated(keep=False)
    assert twice.any()
    for name in membership.ATTACKS:
        scores = pd.Series(members[name], index=drawn.train.patients)
        assert np.isfinite(scores).all()
        assert scores.groupby(level=0).nunique().max() == 1


def test_scores_treat_members_and_others_alike():
    """Swapping who is called a member mirrors the area exactly: nothing but membership tells the sides apart."""
    rng = np.random.default_rng(0)
    points, released = rng.normal(size=(60, 4)), rng.normal(size=(80, 4))
    scored, turned = membership.attack(points, released), membership.attack(points[::-1], released)
    for name in membership.ATTACKS:
        np.testing.assert_allclose(scored[name], turned[name][::-1])


def test_density_ratio_finds_where_the_release_is_denser_than_the_population():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 2))
    released = rng.normal(size=(300, 2)) * 0.5 + np.array([1.5, 0])
    scored = membership.attack(points, released)["density_ratio"]
    assert np.corrcoef(scored, points[:, 0])[0, 1] > 0.7


def test_the_figure_draws_each_attack(comparison):
    values = pd.DataFrame(
        [vars(v) for v in membership.measure(comparison, membership.DEFAULTS, np.random.default_rng(0))]
    )
    drawn = membership.figure(comparison, values.assign(status="ok"), membership.DEFAULTS, "fresh")
    labels = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    assert [label.split(",")[0] for label in labels[:3]] == ["distance", "relative distance", "density ratio"]
