"""Each analyte's distribution: shares at its limits of detection, and smooth quantiles within them.

Quantiles are those of shapes that analytes share, or pieces with at least 48 training patients each (`stats.shapes`): a
curve through recorded values would name the training patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from haemosynth.core.arrays import Matrix
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.modalities.metabolomics.measured import (
    HIGH,
    LOW,
    format_texts,
    limits_of,
    round_as_recorded,
    scale_values,
    spread_evenly,
    take_logarithms,
    values_of,
)  # fmt: skip
from haemosynth.stats import shapes

if TYPE_CHECKING:
    from anndata import AnnData

SIDES = {"low": LOW, "high": HIGH}


def learn(train: AnnData, rng: np.random.Generator) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """(levels, analytes) quantiles within the limits, on the scale of comparison; and each analyte's limits.

    The latter are plain data: `share` and `at` ([limit, share among those at a limit]) of either side, `range`.
    """
    values, sides, log = values_of(train), limits_of(train), take_logarithms(train)
    columns, told = [], []
    steps = zip(train.var["grain"].to_numpy(float), train.var["digits"].to_numpy(int), strict=True)
    for j, ((grain, digits), unit) in enumerate(zip(steps, format_texts(train, "unit"), strict=True)):
        known = ~np.isnan(values[:, j])
        within = values[known & (sides[:, j] == 0), j]
        even = spread_evenly(within, float(grain), int(digits), rng)
        even = np.maximum(even, within.min() / 2) if log[j] else even
        columns.append(np.sort(np.log(even) if log[j] else even))
        at = {side: values[known & (sides[:, j] == code), j] for side, code in SIDES.items()}
        of = {side: {"share": len(own) / int(known.sum()), "at": _find_limits(own)} for side, own in at.items()}
        highest = 100.0 if unit == "%" and np.nanmax(values[:, j]) <= 100 else None
        lowest = 0.0 if np.nanmin(values[:, j]) >= 0 else None
        told.append({**of, "range": [lowest, highest]})
    middle = np.array([own.mean() for own in columns])
    spread = np.maximum([own.std() for own in columns], 1e-9)
    own = np.column_stack([np.quantile(column, shapes.LEVELS) for column in columns])
    patients = int(np.median([len(column) for column in columns]))
    return shapes.share_shapes(middle, spread, (own - middle) / spread, lambda j: columns[j], patients), told


def _find_limits(values: np.ndarray) -> list[list[float]]:
    """Limits with the share of each; those of few patients become the most frequent one."""
    if not len(values):
        return []
    found, counts = np.unique(values, return_counts=True)
    usual = counts >= MIN_CELL_COUNT
    usual[np.argmax(counts)] = True
    counts = np.where(usual, counts, 0)
    return [[float(at), float(n / counts.sum())] for at, n in zip(found[usual], counts[usual], strict=True)]


def scores(train: AnnData) -> tuple[Matrix, Matrix, Matrix]:
    """Normal scores of what was recorded, and between which bounds the others lie.  (patients, analytes) each

    A value is as high as its rank among its analyte's, values at a lower limit below and those at an upper one above
    all others. Scores are NaN for missing values and for those at a limit.
    """
    values, sides = scale_values(values_of(train), take_logarithms(train)), limits_of(train)
    found, low, high = (np.full(values.shape, fill) for fill in (np.nan, -np.inf, np.inf))
    for j in range(values.shape[1]):
        known = ~np.isnan(values[:, j])
        own = np.flatnonzero(known & (sides[:, j] == 0))
        n, below = int(known.sum()), int((known & (sides[:, j] == LOW)).sum())
        above = int((known & (sides[:, j] == HIGH)).sum())
        order = own[np.argsort(values[own, j], kind="stable")]
        rank = np.empty(len(values))
        rank[order] = below + np.arange(len(order)) + 0.5
        # Equal values share the middle of their ranks.
        _, of = np.unique(values[own, j], return_inverse=True)
        rank[own] = (np.bincount(of, rank[own]) / np.bincount(of))[of]
        found[own, j] = ndtri(rank[own] / n)
        high[known & (sides[:, j] == LOW), j] = ndtri(below / n)
        low[known & (sides[:, j] == HIGH), j] = ndtri(1 - above / n)
    return found, low, high


def carry(
    score: Matrix, quantiles: np.ndarray, known: Mapping[str, Any], rng: np.random.Generator
) -> tuple[Matrix, np.ndarray]:
    """Values as they would have been recorded, and on which side of a limit they are.  (patients, analytes) each

    Args:
        score: (patients, analytes) standard normal. quantiles: of `learn`. known: `limits` of `learn`, `log`, `grain`
            and `digits` of each analyte.
    """
    rank = ndtr(score)
    sides = np.zeros(score.shape, dtype=np.int8)
    within = np.empty(score.shape)
    for j, own in enumerate(known["limits"]):
        low, high = own["low"]["share"], own["high"]["share"]
        sides[rank[:, j] < low, j] = LOW
        sides[rank[:, j] > 1 - high, j] = HIGH
        inner = np.clip((rank[:, j] - low) / max(1 - low - high, 1e-9), 1e-6, 1 - 1e-6)
        within[:, j] = score[:, j] if not (low or high) else ndtri(inner)
    values = shapes.carry(within, ndtri(shapes.LEVELS), quantiles).astype(np.float64)
    for j, own in enumerate(known["limits"]):
        if known["log"][j]:
            values[:, j] = np.exp(values[:, j])
        column = round_as_recorded(values[:, j], known["grain"][j], known["digits"][j])
        if known["log"][j]:  # a step may carry the lowest values to 0
            column = np.maximum(column, known["grain"][j] or np.finfo(float).tiny)
        lowest, highest = own["range"]
        column = np.clip(column, lowest, highest) if lowest is not None or highest is not None else column
        for side, code in SIDES.items():
            if not own[side]["at"]:
                continue
            at, share = np.array(own[side]["at"]).T
            column = np.maximum(column, at.min()) if code == LOW else np.minimum(column, at.max())
            here = sides[:, j] == code
            column[here] = rng.choice(at, size=int(here.sum()), p=share)
        values[:, j] = column
    return values, sides
