"""Association between columns of any type, and how far two sets of associations agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.stats.ranking import ranks_of

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]
PAIRS = 100_000  # of patients, compared at once
FEWEST = 10  # patients in whom both columns are known that an association needs


def association_matrix(values: Matrix, nominal: Flags) -> Matrix:
    """Association of every pair of columns, each on the patients in whom both are known.  -> (columns, columns)

    Ordered with ordered: Spearman's rho. Nominal with nominal: Cramér's V, bias-corrected. Nominal with ordered: the
    correlation ratio of the ranks, bias-corrected. NaN where fewer than 10 patients are known or a column is constant.

    Args:
        values: (patients, columns); levels as codes, missing as NaN.
        nominal: (columns,), whether the order of the codes means nothing.
    """
    result = np.full((values.shape[1],) * 2, np.nan)
    ordered = np.flatnonzero(~nominal)
    rho = pd.DataFrame(values[:, ordered]).corr(method="spearman", min_periods=FEWEST).to_numpy(np.float64)
    result[np.ix_(ordered, ordered)] = rho
    known = ~np.isnan(values)
    ranks = ranks_of(values)
    for i in np.flatnonzero(nominal):
        for j in range(values.shape[1]):
            if j == i or (nominal[j] and j < i):
                continue
            both = known[:, i] & known[:, j]
            if both.sum() < FEWEST:
                continue
            if nominal[j]:
                found = cramers_v(values[both, i], values[both, j])
            elif known[known[:, j], i].all():  # the ranks among all who are known in j are those of the pair
                found = _ratio_of_ranks(values[both, i], ranks[both, j])
            else:
                found = correlation_ratio(values[both, i], values[both, j])
            result[i, j] = result[j, i] = found
    np.fill_diagonal(result, 1.0)
    return result


def cramers_v(first: Matrix, second: Matrix) -> float:
    """Bias-corrected Cramér's V of two nominal columns without missing values; NaN where one is constant.

    Bergsma, J Korean Stat Soc 2013;42:323.
    """
    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    rows, columns, n = int(a.max()) + 1, int(b.max()) + 1, len(a)
    if rows < 2 or columns < 2:
        return float("nan")
    table = np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns)
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi_squared = float(((table - expected) ** 2 / expected).sum()) / n
    corrected = max(0.0, phi_squared - (rows - 1) * (columns - 1) / (n - 1))
    smaller = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1))
    return float(min(1.0, np.sqrt(corrected / (smaller - 1)))) if smaller > 1 else float("nan")


def correlation_ratio(groups: Matrix, values: Matrix) -> float:
    """Correlation ratio of the ranks of `values` in nominal `groups`, no missing values; NaN where one is constant.

    The root of epsilon squared = 1 - (1 - eta^2)(n - 1)/(n - k), the bias-corrected share of the variance of the
    ranks that lies between the k groups (Kelley, PNAS 1935;21:554), 0 where that is negative.
    """
    return _ratio_of_ranks(groups, ranks_of(values))


def _ratio_of_ranks(groups: Matrix, ranks: Matrix) -> float:
    _, group = np.unique(groups, return_inverse=True)
    k, n = int(group.max()) + 1, len(group)
    ranks = ranks - ranks.mean()
    total = float(ranks @ ranks)
    if k < 2 or k >= n or total == 0:
        return float("nan")
    between = float((np.bincount(group, ranks) ** 2 / np.bincount(group)).sum())
    return float(np.sqrt(max(0.0, 1 - (1 - between / total) * (n - 1) / (n - k))))


def rank_columns(values: Matrix) -> Matrix:
    """Ranks within each column, from 0 to 1, among the patients in whom it is known."""
    return np.asarray(pd.DataFrame(values).rank(pct=True).to_numpy(np.float64))


def cross_correlation(first: Matrix, second: Matrix) -> Matrix:
    """Pearson correlation of every column of `first` with every column of `second`, pairwise complete.

    (patients, p), (patients, q) with NaN -> (p, q); NaN where fewer than 10 patients are known or a column is
    constant among them. All by matrix products of zero-filled values and masks.
    """
    # Centring by the column mean leaves the correlation as it is and keeps the sums of squares exact.
    first, second = first - _means(first), second - _means(second)
    m, k = (~np.isnan(first)).astype(np.float64), (~np.isnan(second)).astype(np.float64)
    x, y = np.nan_to_num(first), np.nan_to_num(second)
    n = m.T @ k
    safe = np.maximum(n, 1)
    sum_x, sum_y = x.T @ k, m.T @ y
    covariance = x.T @ y - sum_x * sum_y / safe
    spread_x = (x * x).T @ k - sum_x**2 / safe
    spread_y = m.T @ (y * y) - sum_y**2 / safe
    valid = (n >= FEWEST) & (spread_x > 1e-9) & (spread_y > 1e-9)
    return np.where(valid, covariance / np.sqrt(np.where(valid, spread_x * spread_y, 1.0)), np.nan)


def _means(values: Matrix) -> Matrix:
    known = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    return np.asarray(np.nansum(values, axis=0) / known)


def kendall_tau(values: Matrix) -> Matrix:
    """Kendall's tau-b of every pair of columns, each on the patients in whom both are known.  -> (columns, columns)

    Concordant less discordant pairs of patients, over the root of the product of the pairs untied in either column.
    Who is above whom is a bit for each pair of patients, so that 64 pairs are counted at once. NaN where fewer than 10
    patients are known or a column is constant.

    Kendall, Biometrika 1945;33:239.
    """
    n, columns = values.shape
    concordant, untied = np.zeros((columns, columns)), np.zeros((columns, columns))
    by_column = np.ascontiguousarray(values.T)
    known = ~np.isnan(by_column)
    step = max(1, PAIRS // max(1, n))
    for start in range(0, n, step):
        # Each pair of patients is met in both orders, and once with the first one above.
        some = slice(start, start + step)
        above = _pack(by_column[:, some, None] > by_column[:, None])
        below = _pack(by_column[:, some, None] < by_column[:, None])
        told = _pack(known[:, some, None] & known[:, None])
        for i in range(columns):
            concordant[i] += _count_shared(above[i], above) - _count_shared(above[i], below)
            untied[i] += _count_shared(above[i], told)
    product = untied * untied.T
    both = known.astype(np.float64)
    readable = (both @ both.T >= FEWEST) & (product > 0)
    return np.where(readable, concordant / np.sqrt(np.where(readable, product, 1.0)), np.nan)


def _pack(flags: Flags) -> NDArray[np.uint64]:
    """The flags of each column as bits of words.  (columns, ...) -> (columns, words)"""
    packed = np.packbits(flags.reshape(len(flags), -1), axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)


def _count_shared(column: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.asarray(np.bitwise_count(column & others).sum(axis=1, dtype=np.int64))


def weighted_error(x: Matrix, y: Matrix, weight: Matrix) -> float:
    """sum w |x - y| / sum w."""
    return float(np.sum(weight * np.abs(x - y)) / np.sum(weight))


def weighted_correlation(x: Matrix, y: Matrix, weight: Matrix) -> float:
    """sum w x y / sqrt(sum w x^2 sum w y^2): a correlation about zero, since zero means no association.

    0 where one side is zero throughout.
    """
    norm = np.sqrt(np.sum(weight * x * x) * np.sum(weight * y * y))
    return float(np.clip(np.sum(weight * x * y) / norm, -1, 1)) if norm > 0 else 0.0


def weighted_concordance(x: Matrix, y: Matrix, weight: Matrix) -> float:
    """2 sum w x y / sum w (x^2 + y^2): Lin's concordance taken about zero, since zero means no association.

    1 only where x and y are equal; near 0 where y has lost the associations, however its noise falls (a correlation
    would rise to that noise). Lin, Biometrics 1989;45:255.
    """
    norm = np.sum(weight * (x * x + y * y))
    return float(2 * np.sum(weight * x * y) / norm) if norm > 0 else 0.0
