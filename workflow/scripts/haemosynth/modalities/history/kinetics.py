"""The M-protein under therapy as two clones, and response and progression by the rules of the IMWG.

A sensitive clone shrinks at a rate s < 0, a resistant one grows at r > 0, of which a share p is there at the start:
    Y(t) = Y0 [p exp(r t) + (1 - p) exp(s t)]
as in Tang et al., Cancer Res 2016;76:3756 (bi-exponential M-protein under bortezomib); rates are per day, t is in days
since the line started. Response: Kumar et al., Lancet Oncol 2016;17:e328.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Numbers = Vector | np.float64 | float
DAYS = 30.4375  # of a month
PARTIAL, VERY_GOOD = 0.5, 0.9  # reduction from baseline
RISE, LEAST_RISE = 0.25, 5.0  # progression: a quarter over the nadir, and g/l
CATEGORIES = ("progression", "stable disease", "partial response", "very good partial response", "complete response")


def level(time: Numbers, start: Numbers, p: Numbers, r: Numbers, s: Numbers) -> Vector:
    """Y(t) in the unit of `start`; arguments are broadcast. time: days; r, s: per day; p: share of resistant cells."""
    return np.asarray(start * (p * np.exp(r * time) + (1 - p) * np.exp(s * time)))


def nadir(p: Vector, r: Vector, s: Vector) -> tuple[Vector, Vector]:
    """Time (days) and depth (share of Y0) of the lowest level; time 0 where the level rises from the start."""
    p, r, s = (np.asarray(x, dtype=float) for x in (p, r, s))
    with np.errstate(divide="ignore", invalid="ignore"):
        time = np.log((1 - p) * -s / (p * r)) / (r - s)
    time = np.where(time > 0, time, 0.0)
    return time, level(time, np.ones_like(time), p, r, s)


def rise_time(
    start: Vector, p: Vector, r: Vector, s: Vector, *, rise: float = RISE, least: float = LEAST_RISE
) -> Vector:
    """Days at which the level first is `rise` over its nadir, and `least` (unit of `start`) over it.

    Bisection after the nadir, where the level rises for ever; inf where r is not above 0.
    """
    start, p, r, s = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (start, p, r, s)))
    lowest, depth = nadir(p, r, s)
    bound = np.maximum((1 + rise) * depth * start, depth * start + least)
    grows = (r > 0) & (p > 0)
    safe = np.where(grows, r, 1.0)
    low, high = lowest.copy(), np.maximum(lowest, np.log(bound / (start * np.where(grows, p, 1.0)) + 1) / safe) + 1.0
    for _ in range(100):
        middle = (low + high) / 2
        above = level(middle, start, p, np.where(grows, r, 0.0), s) >= bound
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.where(grows, high, np.inf)


def responses(
    value: Vector, rise: float = RISE, least: float = LEAST_RISE, limit: float = 0.0
) -> tuple[NDArray[np.int64], int | None]:
    """Category of every value of one line, the first being the baseline, and where progression is first met.

    value: (visits,) in g/l, ascending in time. Complete response means values at or below `limit` (the limit of
    quantification), since immunofixation is not modelled. Progression needs both rises over the lowest value so far and
    is not confirmed by a second value here.

    Returns:
        (visits,) positions in CATEGORIES, and the position of the first progression or None.
    """
    value = np.asarray(value, dtype=float)
    lowest = np.minimum.accumulate(value)
    before = np.concatenate([value[:1], lowest[:-1]])
    worse = (value >= (1 + rise) * before) & (value - before >= least) & (np.arange(len(value)) > 0)
    drop = 1 - value / value[0] if len(value) and value[0] > 0 else np.zeros_like(value)
    found = np.select([worse, (value <= limit) & (value[0] > limit), drop >= VERY_GOOD, drop >= PARTIAL],
                      [0, 4, 3, 2], 1) if len(value) else np.zeros(0, dtype=int)  # fmt: skip
    first = int(np.flatnonzero(worse)[0]) if worse.any() else None
    return found.astype(np.int64), first
