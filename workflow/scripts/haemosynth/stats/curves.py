"""Survival curves of patients as they are drawn: with bands, with the patients at risk, no step for a single one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL
from haemosynth.stats.cox import steps_shown
from haemosynth.stats.estimates import break_ties, fit_incidence, fit_survival

Vector = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Curve:
    """A step function with its pointwise 95 % band, as it is drawn.

    start: its value before the first of `times`. times: (steps,) distinct observed times, ascending. estimate, low,
    high: (steps,) from each time on. at_risk: (steps,) patients at risk just before. patients, events: their numbers.
    """

    start: float
    times: Vector
    estimate: Vector
    low: Vector
    high: Vector
    at_risk: Vector
    patients: int
    events: int


def survival_curve(time: Vector, event: Vector) -> Curve:
    """Kaplan-Meier estimate with its band. time, event: (patients,)."""
    fitter = fit_survival(time, event)
    rows = fitter.event_table["removed"].to_numpy() > 0
    estimate = fitter.survival_function_.to_numpy(float)[rows, 0]
    low, high = _band(fitter.confidence_interval_, rows, estimate)
    times, at_risk = (np.asarray(part, dtype=float)[rows] for part in (fitter.timeline, fitter.event_table["at_risk"]))
    return Curve(1.0, times, estimate, low, high, at_risk, len(time), int(event.sum()))


def incidence_curve(time: Vector, state: Codes, cause: int) -> Curve:
    """Aalen-Johansen estimate of a cause's cumulative incidence with its band.

    Args:
        time: (patients,). state: (patients,) 0 censored, 1, 2, ... what happened then. cause: of the curve.
    """
    order, times = break_ties(time, state)
    fitter = fit_incidence(order, state, cause, variance=True)
    found = fitter.cumulative_density_.iloc[:, 0]
    known = fitter.event_table["removed"].to_numpy() > 0
    low, high = _band(fitter.confidence_interval_, known, found.to_numpy(float)[known])
    # The last row within each time; patients at risk are those of its first row.
    rank = np.ceil(found.index.to_numpy(float)[known]).astype(int)
    last, first = np.flatnonzero(np.diff(rank, append=rank[-1] + 1)), np.flatnonzero(np.diff(rank, prepend=rank[0] - 1))
    at_risk = fitter.event_table["at_risk"].to_numpy(float)[known][first]
    estimate = found.to_numpy(float)[known][last]
    return Curve(0.0, times, estimate, low[last], high[last], at_risk, len(time), int((state == cause).sum()))


def _band(interval: pd.DataFrame, rows: NDArray[np.bool_], estimate: Vector) -> tuple[Vector, Vector]:
    """Lower and upper limits; the estimate itself where it is 0 or 1, of which no interval is known."""
    limits = np.sort(interval.to_numpy(float)[rows], axis=1)
    uncertain = (estimate > 0) & (estimate < 1) & np.isfinite(limits).all(axis=1)
    low, high = (np.where(uncertain, limit, estimate) for limit in limits.T)
    return low, high


def numbers_at_risk(curve: Curve, ticks: Sequence[float]) -> list[int]:
    """Patients at risk just before each tick: those whose follow-up lasts until then or longer."""
    at_risk = np.append(curve.at_risk, 0)
    return [int(at_risk[np.searchsorted(curve.times, tick)]) for tick in ticks]


def draw_curve(axis: Any, curve: Curve, end: float, colour: str, label: str, line: Any = "-") -> None:
    """A curve with its 95 % band, one step for five patients at least, until `end` months."""
    mean, ends = steps_shown(curve.times, curve.at_risk, MIN_CELL_COUNT, end)
    times = np.concatenate([[0.0], mean])
    low, high, estimate = (
        np.concatenate([[curve.start], side[ends]]) for side in (curve.low, curve.high, curve.estimate)
    )
    axis.step(times, estimate, where="post", color=colour, ls=line, lw=1.6, label=label)
    axis.fill_between(times, low, high, step="post", color=colour, alpha=0.15, lw=0)


def draw_curves(axis: Any, curves: Sequence[tuple[str, str, Curve]], end: float) -> None:
    """Named and coloured survival curves with 95 % bands until `end` months."""
    for name, colour, curve in curves:
        draw_curve(axis, curve, end, colour, name)
    axis.set(xlim=(0, end), ylim=(0, 1.02))


def draw_at_risk(axis: Any, above: Any, curves: Sequence[tuple[str, str, Curve]], size: float = 8) -> None:
    """The table of patients at risk under the axis `above`, at its ticks; counts below five are marked as such."""
    end = above.get_xlim()[1]
    ticks = [tick for tick in above.get_xticks() if 0 <= tick <= end]
    axis.set(xticks=[], yticks=[], xlim=(0, end), ylim=(-0.6, len(curves) - 0.1))
    axis.axis("off")
    axis.text(0, len(curves) - 0.25, "patients at risk", fontsize=size, color=NEUTRAL, ha="left")
    for row, (_, colour, curve) in enumerate(reversed(curves)):
        for tick, count in zip(ticks, numbers_at_risk(curve, ticks), strict=True):
            text = f"{count:,}" if count == 0 or count >= MIN_CELL_COUNT else f"<{MIN_CELL_COUNT}"
            axis.text(tick, row - 0.35, text, color=colour, fontsize=size, ha="center" if tick else "left")


def format_p(p: float) -> str:
    """A p-value as in a figure: `p = 0.03`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
