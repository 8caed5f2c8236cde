"""A release without memory gives the attacker nothing; copies give everything."""

import numpy as np
import pytest
from fixtures_candidates import compared, independent, renamed
from fixtures_small import small_cohort

from haemosynth.encode.records import fit_encoder
from haemosynth.privacy.membership_attacks import ATTACKS, attack
from haemosynth.privacy.planted_leaks import plant
from haemosynth.stats.null_distribution import RARE, USUAL, exchange_members, quantile, rank_statistics

RATES = (0.01, 0.1)


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(600, 2))


def measured(comparison, candidate, unseen, modality="joint", trees=30):
    """attack -> (area, true positives at 1 % false ones), of one modality."""
    encoder = fit_encoder(comparison.train)
    block = encoder.blocks[modality]
    points = np.concatenate([encoder.points(comparison.train), encoder.points(unseen)])[:, block]
    member = np.repeat([[True, False]], [len(comparison.train), len(unseen)], axis=1)
    scores = attack(points, encoder.points(candidate)[:, block], trees, np.random.default_rng(1))
    found = {name: rank_statistics(score, member, RATES) for name, score in scores.items()}
    return {name: (float(area[0]), float(rates[0, 0])) for name, (area, rates) in found.items()}


def test_training_patients_are_found_and_unseen_ones_are_not():
    cohort = small_cohort(600, 2)
    splits = [compared(cohort, seed) for seed in range(12)]
    fresh = [measured(split, split.candidate, split.control) for split in splits]
    for name in ATTACKS:
        areas = np.array([one[name][0] for one in fresh])
        assert abs(areas.mean() - 0.5) < 3 * areas.std() / np.sqrt(len(areas)), name
    real = measured(splits[0], renamed(splits[0].train), splits[0].real)
    assert max(area for area, _ in real.values()) > 0.99
    assert max(rate for _, rate in real.values()) > 0.99


@pytest.mark.parametrize("modality", ["clinical", "genomic", "joint"])
def test_every_modality_gives_training_patients_away(comparison, modality):
    real = measured(comparison, renamed(comparison.train), comparison.real, modality)
    # Many patients share their whole set of alterations with another one.
    assert max(area for area, _ in real.values()) > (0.9 if modality == "genomic" else 0.99)
    for name in ATTACKS:
        if (modality, name) != ("genomic", "matched"):
            assert real[name][0] > 0.6, name


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_planted_copies_show_at_low_false_positive_rates(comparison, noise):
    shuffled = independent(comparison.train)
    leak = plant(shuffled, comparison.train, 0.1, noise, np.random.default_rng(0))
    before, after = (measured(comparison, one, comparison.real) for one in (shuffled, leak))
    copied = 0.1 * len(shuffled) / len(comparison.train)
    # Eighty per cent of the copied tenth are found before the first unseen patients are.
    for name in ("matched", "relative_distance"):
        assert after[name][1] - before[name][1] > 0.8 * copied
        assert after[name][0] > before[name][0]


def test_the_null_of_one_attack_is_that_of_mann_and_whitney():
    """Quantiles of the exchanged area are those of the normal law with variance (m + n + 1) / (12 m n)."""
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    member = np.repeat([True, False], [300, 150])
    areas, _ = rank_statistics(rng.normal(size=450), exchange_members(member, 4000, rng), ())
    sd = np.sqrt(451 / (12 * 300 * 150))
    assert areas.std() == pytest.approx(sd, rel=0.05)
    for level in (USUAL, RARE):
        assert quantile(areas, level) == pytest.approx(0.5 + norm.ppf(level) * sd, abs=0.006)


def test_area_and_rates_equal_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores, rates = np.round(rng.normal(size=290), 1), (0.01, 0.1, 0.437, 1.0)
    labels = exchange_members(np.repeat([True, False], [200, 90]), 5, rng)
    areas, found = rank_statistics(scores, labels, rates)
    for label, area, row in zip(labels, areas, found, strict=True):
        assert area == pytest.approx(metrics.roc_auc_score(label, scores))
        false, true, _ = metrics.roc_curve(label, scores, drop_intermediate=False)
        np.testing.assert_allclose(row, np.interp(rates, false, true))


def test_guessing_finds_as_many_members_as_others():
    member = np.array([[True] * 5 + [False] * 7])
    areas, rates = rank_statistics(np.zeros(12), member, RATES)
    assert areas[0] == 0.5
    np.testing.assert_allclose(rates[0], RATES)
    assert rank_statistics(member[0] * 1.0, member, RATES)[1].tolist() == [[1, 1]]


def test_scores_treat_members_and_others_alike():
    """The scores of a shuffled table are the shuffled scores: nothing but membership tells the sides apart."""
    rng = np.random.default_rng(0)
    points, released = rng.normal(size=(60, 4)), rng.normal(size=(80, 4))
    scored, turned = (attack(table, released, 20, np.random.default_rng(0)) for table in (points, points[::-1]))
    for name in ATTACKS:
        if name != "classifier":  # grown from other bootstrap samples
            np.testing.assert_allclose(scored[name], turned[name][::-1])


def test_density_and_count_find_where_the_release_is_denser_than_the_population():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 2))
    released = rng.normal(size=(300, 2)) * 0.5 + np.array([1.5, 0])
    scored = attack(points, released, 60, rng)
    for name in ("density_ratio", "neighbour_count", "classifier"):
        assert np.corrcoef(scored[name], points[:, 0])[0, 1] > 0.6, name


def test_calibration_takes_typicality_out():
    """Central patients lie near to every release; among patients of like typicality that says nothing."""
    rng = np.random.default_rng(0)
    points, released = rng.normal(size=(600, 5)), rng.normal(size=(600, 5))
    scored = attack(points, released, 40, rng)
    centrality = -np.linalg.norm(points, axis=1)
    plain, calibrated = (np.corrcoef(scored[name], centrality)[0, 1] for name in ("distance", "calibrated_distance"))
    assert plain > 0.6
    assert abs(calibrated) < 0.25
