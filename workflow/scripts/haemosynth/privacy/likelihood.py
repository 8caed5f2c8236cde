"""Log-likelihood ratios of patients under two normal densities: one of a release, one of the other patients."""

from __future__ import annotations

import numpy as np

from haemosynth.encode.records import Matrix, Vector

RIDGE = 0.1  # of the mean variance of a column, added to every variance


def log_ratio(points: Matrix, released: Matrix) -> Vector:
    """Log density of each point under the release, less that under all the other points.

    Both densities are normal with a ridge on the covariance; a point's own density leaves it out in closed form
    (Sherman-Morrison). A release that keeps means and correlations of its training patients is likelier where they
    are, though it copies none (Homer et al., PLoS Genet 2008;4:e1000167; Sankararaman et al., Nat Genet 2009;41:965).

    Args:
        points: (points, columns), three at least. released: (records, columns).
    """
    ridge = RIDGE * float(points.var(axis=0).mean()) + 1e-12
    columns = points.shape[1]
    middle, scatter = _scatter(released, ridge)
    away = points - middle
    squared = np.einsum("ij,ij->i", away @ np.linalg.inv(scatter), away) * len(released)
    under_release = -(squared + np.linalg.slogdet(scatter)[1] - columns * np.log(len(released))) / 2
    n = len(points)
    middle, scatter = _scatter(points, ridge)
    away = points - middle
    leverage = np.einsum("ij,ij->i", away @ np.linalg.inv(scatter), away) * n / (n - 1)
    # Without the point the mean moves away from it by 1 / (n - 1), and the scatter loses its part.
    squared = leverage * n / (1 - leverage)
    log_determinant = np.linalg.slogdet(scatter)[1] + np.log1p(-leverage) - columns * np.log(n - 1)
    return np.asarray(under_release + (squared + log_determinant) / 2)


def _scatter(rows: Matrix, ridge: float) -> tuple[Vector, Matrix]:
    """Mean, and sum of outer products about it with a ridge for each row."""
    middle = rows.mean(axis=0)
    away = rows - middle
    return middle, away.T @ away + len(rows) * ridge * np.eye(rows.shape[1])
