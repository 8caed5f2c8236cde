"""Partitions of patients compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Labels = NDArray[np.intp]


def adjusted_rand(first: Labels, second: Labels) -> float:
    """Adjusted Rand index of two partitions of the same patients (Hubert and Arabie, J Classif 1985;2:193).

    1 for the same partition, 0 on average for partitions that have nothing in common but their sizes, and 0 where one
    of the two has a single part: it distinguishes no two patients, even if the other does not either.
    """
    from sklearn.metrics import adjusted_rand_score

    if len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return 0.0
    return float(adjusted_rand_score(first, second))


def adjusted_mutual_information(first: Labels, second: Labels) -> float:
    """Mutual information of two partitions adjusted for chance (Vinh et al., J Mach Learn Res 2010;11:2837).

    1 for the same partition, 0 on average for unrelated ones, and 0 where one of the two has a single part.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    if len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return 0.0
    return float(adjusted_mutual_info_score(first, second))


def match_clusters(similarity: Matrix) -> tuple[Labels, Labels]:
    """One-to-one pairs of rows and columns with the largest sum of similarity (Kuhn, Nav Res Logist Q 1955;2:83)."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return rows, columns
