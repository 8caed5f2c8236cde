"""Partitions: no agreement beyond chance is zero, names of the parts do not matter."""

import numpy as np
import pytest

from haemosynth.stats.distributions import total_variation
from haemosynth.stats.partitions import adjusted_rand, match_clusters


def test_names_of_parts_do_not_matter_and_shuffled_partitions_agree_by_chance():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    assert adjusted_rand(labels, np.array([3, 0, 4, 1, 2])[labels]) == 1
    assert abs(np.mean([adjusted_rand(labels, rng.permutation(labels)) for _ in range(50)])) < 0.005


def test_adjusted_rand_is_that_of_all_pairs_counted():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 3, 30), rng.integers(0, 4, 30)
    above = np.triu_indices(30, 1)
    a, b = ((side[:, None] == side)[above] for side in (first, second))
    expected = a.sum() * b.sum() / len(a)
    by_hand = ((a & b).sum() - expected) / ((a.sum() + b.sum()) / 2 - expected)
    assert adjusted_rand(first, second) == pytest.approx(by_hand)


def test_a_single_part_agrees_with_nothing():
    one = np.zeros(10, dtype=int)
    assert adjusted_rand(one, one) == 0
    assert adjusted_rand(one, np.arange(10) % 2) == 0


def test_matching_maximises_the_sum():
    rows, columns = match_clusters(np.array([[0.9, 0.8], [0.85, 0.1], [0.2, 0.0]]))
    assert dict(zip(rows, columns, strict=True)) == {0: 1, 1: 0}


def test_total_variation_is_the_mass_that_must_move():
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0.2, 0.5, 0.3])) == pytest.approx(0.3)
