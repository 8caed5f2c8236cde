"""The mixture of latent points: as many components as are told apart, and draws with its moments."""

import numpy as np
import pytest

from haemosynth.learn import prior


@pytest.mark.parametrize("planted", [1, 2, 4])
def test_the_number_of_components_is_the_planted_one(planted):
    rng = np.random.default_rng(planted)
    middle = 8.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[:planted]
    points = middle[rng.integers(planted, size=1200)] + rng.normal(size=(1200, 2))
    mixture = prior.best_mixture(points, [1, 2, 4], 0)
    assert len(mixture.weights_) == planted
    found = mixture.means_[np.lexsort(np.rint(mixture.means_ / 8).T)]
    np.testing.assert_allclose(found, middle[np.lexsort((middle / 8).T)], atol=0.25)


def test_draws_have_the_moments_of_the_mixture_after_it_was_packed():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(700, 2)) @ [[1.0, 0.6], [0.0, 0.5]], rng.normal(5, 0.3, (300, 2))])
    mixture = prior.best_mixture(points, [2], 0)
    wider = mixture.covariances_ + 0.5 * np.eye(2)
    drawn = prior.draw(prior.pack(mixture, wider), 200_000, np.random.default_rng(2))
    mean = mixture.weights_ @ mixture.means_
    apart = mixture.means_ - mean
    covariance = np.einsum("k,kij->ij", mixture.weights_, wider + apart[:, :, None] * apart[:, None])
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.08)
