"""The distribution of latent points: a Gaussian mixture of as many components as the data distinguish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture


def best_mixture(points: np.ndarray, components: Iterable[int], seed: int, starts: int = 1) -> GaussianMixture:
    """The mixture of normal distributions of these points, (points, dimensions), with the lowest BIC.

    Args:
        components: numbers of components to choose from.
        starts: of the expectation maximisation, of which the likeliest is taken.
    """
    from sklearn.mixture import GaussianMixture

    fits = [
        GaussianMixture(k, covariance_type="full", reg_covar=1e-3, random_state=seed, n_init=starts).fit(points)
        for k in components
    ]
    return min(fits, key=lambda fitted: float(fitted.bic(points)))


def pack(mixture: GaussianMixture, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """The mixture as arrays that can be saved: weights, means, and Cholesky factors of these covariances."""
    return {
        "prior.weights": mixture.weights_,
        "prior.means": mixture.means_,
        "prior.factors": np.linalg.cholesky(covariances),
    }


def draw(arrays: Mapping[str, np.ndarray], n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, dimensions) points of a mixture that was packed into these arrays."""
    weights, means, factors = (arrays[f"prior.{name}"] for name in ("weights", "means", "factors"))
    component = rng.choice(len(weights), size=n, p=weights / weights.sum())
    noise = rng.standard_normal((n, means.shape[1]))
    return np.asarray(means[component] + np.einsum("nij,nj->ni", factors[component], noise))
