"""One estimate with its variance out of several tables: completed ones, or synthetic ones.

What a generator knows is what its training patients know, however many patients it draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from haemosynth.core.arrays import Vector


def widen_variance(variance: ArrayLike, synthetic: int, trained: int, sets: int = 1) -> Vector:
    """Variance of the mean of estimates from `sets` synthetic data sets of a fitted generator.

    Raab, Nowok and Dibben, J Priv Confid 2016;7(3):67: T = v (k/n + 1/sets), with v the mean variance of a set of k
    patients as if they were real, and n patients that the generator learned from. For data synthesised in full from
    parameters that are estimated and not drawn.

    Args:
        variance: (estimates,) v. synthetic: k. trained: n.
    """
    return np.asarray(np.asarray(variance, dtype=float) * (synthetic / trained + 1 / sets))


def partially_synthetic(estimates: ArrayLike, variances: ArrayLike) -> tuple[Vector, Vector]:
    """Estimate and variance from m synthetic data sets, each as large as the real one.

    Reiter, Surv Methodol 2003;29:181: the mean of the estimates, with the variance V + B/m of the mean variance V and
    the variance B between the estimates.

    Args:
        estimates, variances: (m, quantities), at least two sets.

    Raises:
        ValueError: fewer than two sets.
    """
    values, within = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    if len(values) < 2:
        raise ValueError("combining needs at least two synthetic data sets")
    return values.mean(axis=0), within.mean(axis=0) + values.var(axis=0, ddof=1) / len(values)


def pool_completed(estimates: ArrayLike, variances: ArrayLike) -> tuple[Vector, Vector]:
    """Estimate and variance from m imputed tables of the same patients.

    Rubin, Multiple Imputation for Nonresponse in Surveys, 1987: the mean of the estimates, with the variance
    W + (1 + 1/m) B of the mean within-imputation variance W and the variance B between the estimates.

    Args:
        estimates, variances: (m,) or (m, quantities), at least two tables.

    Raises:
        ValueError: fewer than two tables, or two different shapes.
    """
    values, within = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    if values.shape != within.shape or values.ndim == 0 or len(values) < 2:
        raise ValueError("pooling needs the estimates and variances, of equal shape, of at least two imputed tables")
    return np.asarray(values.mean(axis=0)), within.mean(axis=0) + (1 + 1 / len(values)) * values.var(axis=0, ddof=1)


def naive_coverage(synthetic: int, trained: int, level: float = 0.95) -> float:
    """Coverage of an interval that takes k synthetic patients for real ones, in expectation.

    The estimate has the variance v/n + v/k, the interval that of v/k, so that it covers
    2 Phi(z / sqrt(1 + k/n)) - 1: 0.67 for three times as many synthetic patients as real ones.
    """
    z = norm.ppf((1 + level) / 2)
    return float(2 * norm.cdf(z / np.sqrt(1 + synthetic / trained)) - 1)
