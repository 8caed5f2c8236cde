"""Fisher's exact test of many tables, compiled; `pairs.fisher_exact` says what is summed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)  # type: ignore[untyped-decorator]
def _log_chance(x: Any, first: Any, second: Any, total: Any, log_factorial: Any) -> Any:
    return (
        log_factorial[first] + log_factorial[total - first] + log_factorial[second] + log_factorial[total - second]
        - log_factorial[total] - log_factorial[x] - log_factorial[first - x] - log_factorial[second - x]
        - log_factorial[total - first - second + x]
    )  # fmt: skip


@njit(cache=True)  # type: ignore[untyped-decorator]
def _outwards(x: Any, up: Any, first: Any, second: Any, total: Any, log_factorial: Any) -> Any:
    # Each chance from the one before; the chances fall ever faster, so the rest is soon too small to count.
    term = np.exp(_log_chance(x, first, second, total, log_factorial))
    tail, rest = term, total - first - second
    while True:
        if up:
            term *= (first - x) * (second - x) / ((x + 1) * (rest + x + 1))
            x += 1
        else:
            term *= x * (rest + x) / ((first - x + 1) * (second - x + 1))
            x -= 1
        if term <= 1e-17 * tail:  # beyond the last table the factor is 0
            return tail
        tail += term


@njit(cache=True)  # type: ignore[untyped-decorator]
def two_sided(both: Any, row: Any, column: Any, neither: Any, log_factorial: Any) -> Any:
    """p of every pair; both, row, column, neither: (pairs,) counts; log_factorial: of 0 to more than their sum."""
    p = np.ones(both.size)
    for i in range(both.size):
        x, first, second = both[i], both[i] + row[i], both[i] + column[i]
        total = first + column[i] + neither[i]
        mode = (first + 1) * (second + 1) // (total + 2)
        # A relative tolerance of 1e-7, as in R, so that tables equally likely but for rounding count as such.
        limit = 1e-7 + _log_chance(x, first, second, total, log_factorial)
        if _log_chance(mode, first, second, total, log_factorial) <= limit:
            continue
        up = x > mode
        tail = _outwards(x, up, first, second, total, log_factorial)
        inside, beyond = mode, max(0, first + second - total) if up else min(first, second)
        if _log_chance(beyond, first, second, total, log_factorial) <= limit:
            while abs(beyond - inside) > 1:
                middle = (inside + beyond) // 2
                if _log_chance(middle, first, second, total, log_factorial) <= limit:
                    beyond = middle
                else:
                    inside = middle
            tail += _outwards(beyond, not up, first, second, total, log_factorial)
        p[i] = min(tail, 1.0)
    return p
