"""What patients show of a column: range, recording resolution, categories, and values off the resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.schema import Column
from haemosynth.reading.preprocess import MONTH_DAYS

DAY = 1 / MONTH_DAYS
STEPS = (100.0, 50.0, 10.0, 5.0, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)
TIME_STEPS = (12.0, 6.0, 1.0, 0.5, 0.1, DAY, 0.01, 0.001)


def find_grain(values: pd.Series, steps: Sequence[float] = STEPS, share: float = 0.9) -> float | None:
    """The largest step that at least `share` of the observed values are multiples of; None where there is none to see.

    A step above one needs 20 values, so that chance does not make it. For times in months a day is a step too.
    """
    seen = values.dropna().to_numpy(dtype="float64")
    seen = seen[seen != 0]
    if len(seen) == 0:
        return None
    for step in steps:
        if step > 1 and len(seen) < 20:
            continue
        units = seen / step
        # Times in days went through months with few digits: a fiftieth of a day is forgiven.
        slack = 0.02 if step == DAY else 1e-6
        if (np.abs(units - np.rint(units)) <= slack).mean() >= share:
            return step
    return None


def observe(column: Column, values: pd.Series) -> Column:
    """The column with range, grain and categories as these values show them, the declared ones left as they are.

    Categories keep their order; levels that no patient has leave.
    """
    changes: dict[str, Any] = {}
    if column.kind == "event":
        return column
    if column.numeric:
        seen = values.dropna()
        changes["low"] = float(seen.min()) if len(seen) else None
        changes["high"] = float(seen.max()) if len(seen) else None
        steps = set(TIME_STEPS if column.kind == "time" else STEPS)
        if column.grain is not None:  # a step that a conversion of units has moved off the usual ones
            steps.add(column.grain)
        ordered_steps = sorted(steps, reverse=True)
        heavy = _off_resolution(values) if column.kind in ("continuous", "integer") else ()
        changes["grain"] = step = find_grain(seen[~seen.isin(list(heavy))], ordered_steps)
        limits = [at for side in column.detection.values() for at in side if step and not is_multiple(at, step)]
        changes["points"] = tuple(sorted({*heavy, *limits}))
    else:
        found = set(values.dropna().astype(str))
        ordered = [level for level in column.categories if level in found]
        changes["categories"] = (*ordered, *sort_levels(found - set(ordered)))
    return replace(column, **{name: value for name, value in changes.items() if name not in column.declared})


def _off_resolution(values: pd.Series) -> tuple[float, ...]:
    """Values that many patients share, off the step in which nearly all others were recorded, as an imputed mean is."""
    seen = values.dropna()
    counts = seen.value_counts()
    heavy = counts.index[counts.to_numpy() >= max(5.0, 0.02 * len(seen))]
    others = seen[~seen.isin(heavy)]
    step = find_grain(others, share=0.99) if len(others) >= 20 else None
    if step is None:
        return ()
    step = min(step, 1.0)  # a step above one is a preference for some digits
    return tuple(float(value) for value in heavy if not is_multiple(value, step))


def is_multiple(value: float, step: float) -> bool:
    return abs(value / step - round(value / step)) <= 1e-6


def sort_levels(levels: Iterable[str]) -> tuple[str, ...]:
    """Levels in their order: numbers by value, then words by letters."""

    def key(level: str) -> tuple[bool, float, str]:
        try:
            return False, float(level), level
        except ValueError:
            return True, 0.0, level

    return tuple(sorted(levels, key=key))
