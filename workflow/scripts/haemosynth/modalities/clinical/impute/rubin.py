"""Rubin's rules: one answer from several completed tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def pool(estimates: ArrayLike, variances: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Pool estimates of the same quantities from m imputed tables.

    Rubin, Multiple Imputation for Nonresponse in Surveys, 1987: the mean of the estimates, with the variance
    W + (1 + 1/m) B of the mean within-imputation variance W and the variance B between the m estimates.

    Args:
        estimates: (m,) or (m, quantities), one row per imputed table, m at least 2.
        variances: same shape, the squared standard errors.

    Returns:
        The pooled estimates and their variances, (quantities,) or scalar arrays.
    """
    values, within = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    if values.shape != within.shape or values.ndim == 0 or len(values) < 2:
        raise ValueError("pooling needs the estimates and variances, of equal shape, of at least two imputed tables")
    between = values.var(axis=0, ddof=1)
    return values.mean(axis=0), within.mean(axis=0) + (1 + 1 / len(values)) * between
