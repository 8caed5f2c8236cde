"""The closed form equals the density without the point, and shared correlations give members away without copies."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from haemosynth.privacy.likelihood import RIDGE, log_ratio
from haemosynth.stats.ranking import area


def test_it_is_the_density_of_the_release_over_that_of_the_other_points():
    rng = np.random.default_rng(1)
    points, released = rng.normal(size=(12, 4)) * [1, 2, 3, 0.5], rng.normal(size=(30, 4))
    ridge = RIDGE * points.var(axis=0).mean()

    def log_density(rows, of, weight):
        covariance = np.cov(rows.T, ddof=0) + weight * ridge * np.eye(4)
        return multivariate_normal(rows.mean(axis=0), covariance).logpdf(of)

    expected = [
        log_density(released, point, 1) - log_density(np.delete(points, i, axis=0), point, 12 / 11)
        for i, point in enumerate(points)
    ]
    np.testing.assert_allclose(log_ratio(points, released), expected, rtol=1e-9)


def samples(seed, members, others, columns):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(columns, columns)) * 0.2 + np.eye(columns)
    return rng.normal(size=(members, columns)) @ mixing, rng.normal(size=(others, columns)) @ mixing, rng


def test_a_release_of_other_patients_tells_nobody_apart():
    areas = []
    for seed in range(40):
        members, others, rng = samples(seed, 100, 80, 20)
        score = log_ratio(np.vstack([members, others]), rng.normal(size=(150, 20)))
        areas.append(area(score[:100], score[100:]))
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * np.std(areas) / np.sqrt(len(areas)))


def test_means_and_correlations_alone_give_members_away():
    members, others, rng = samples(1, 150, 150, 40)
    released = rng.multivariate_normal(members.mean(axis=0), np.cov(members.T), size=3000)
    score = log_ratio(np.vstack([members, others]), released)
    assert area(score[:150], score[150:]) > 0.75


def test_constant_columns_and_fewer_points_than_columns_are_no_obstacle():
    rng = np.random.default_rng(1)
    points = np.hstack([rng.normal(size=(15, 30)), np.ones((15, 2))])
    assert np.isfinite(log_ratio(points, points[:5] + 0.1)).all()
