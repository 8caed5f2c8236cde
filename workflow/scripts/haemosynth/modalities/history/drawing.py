"""Figures of histories: stacked occupation, swimmers, spaghetti, and the waterfall of responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from haemosynth.core.arrays import Matrix
from haemosynth.core.figures import (
    BLACK,
    BLUE,
    GREEN,
    NEUTRAL,
    ORANGE,
    PURPLE,
    REAL,
    SKY,
    SYNTHETIC,
    VERMILION,
    YELLOW,
    new_figure,
    shorten,
)  # fmt: skip
from haemosynth.modalities.history.part import Courses

COLOURS = (SKY, GREEN, YELLOW, BLUE, ORANGE, PURPLE, VERMILION, "#C8C8C8", "#44AA99", "#882255", "#DDCC77", "#117733")
HATCHES = ("", "", "", "", "", "", "", "", "//", "//", "//", "//")
FINAL = "#4D4D4D"


def colour_of(courses: Courses, state: int) -> str:
    """The colour of a state; final ones are dark."""
    if courses.design.states[state] in courses.design.final:
        return FINAL
    return COLOURS[state % len(COLOURS)]


def occupation_panels(
    pairs: Sequence[tuple[Courses, Matrix]], times: np.ndarray, label: str
) -> tuple[Figure, list[Any]]:
    """Stacked occupation of both sides; the figure and the two axes that are still empty."""
    panels = 4 if any(len(pairs[0][0].series_of(name)) for name in pairs[0][0].design.measurements) else 3
    drawn, axes = new_figure(3.3 * panels, 4.2, ncols=panels)
    for axis, (courses, shares), title in zip(axes, pairs, ("real", shorten(label, 24)), strict=False):
        stack(axis, courses, times, shares)
        axis.set_title(f"{title}, n = {len(courses.paths):,}", loc="left", fontsize=9)
    axes[0].set_ylabel("share of patients in the state")
    handles, names = axes[0].get_legend_handles_labels()
    drawn.legend(handles[::-1], names[::-1], loc="outside lower center", ncols=min(len(names), 5), fontsize=7)
    return drawn, list(axes[2:])


def stack(axis: Any, courses: Courses, times: np.ndarray, shares: Matrix) -> None:
    """Occupation of states, one over the other, in the order of the design."""
    colours = [colour_of(courses, state) for state in range(shares.shape[1])]
    bands = axis.stackplot(times, shares.T, colors=colours, labels=courses.design.states, lw=0)
    for state, band in enumerate(bands):
        band.set_hatch("" if courses.design.states[state] in courses.design.final else HATCHES[state % len(HATCHES)])
        band.set_edgecolor("white")
    axis.set(xlim=(0, times[-1]), ylim=(0, 1), xlabel="months from diagnosis")


def series_panels(
    axes: Sequence[Any],
    real: Courses,
    made: Courses,
    label: str,
    effects: tuple[Matrix, Matrix, Matrix],
    profile: Callable[[Courses, str], Matrix],
    grid: np.ndarray,
) -> None:
    """Log hazard ratios of both sides, and the mean of the first series of measurements.

    effects: (transitions, covariates) log hazard ratios of the candidate and of real patients, and their weights.
    """
    own, known, weights = effects
    size = 3 + 45 * np.sqrt(weights / max(weights.max(), 1e-12)) if weights.size else np.empty((0, 0))
    axes[0].scatter(known.ravel(), own.ravel(), s=size.ravel(), color=SYNTHETIC, alpha=0.5, lw=0, rasterized=True)
    axes[0].axline((0, 0), slope=1, color=BLACK, lw=0.8)
    most = float(np.quantile(np.abs(known), 0.99)) * 1.1 + 0.1 if known.size else 1.0
    axes[0].set(xlim=(-most, most), ylim=(-most, most), xlabel="log hazard ratio, real", ylabel="synthetic")
    axes[0].set_title("effects on transitions", loc="left", fontsize=9)
    measures = [name for name in real.design.measurements if len(real.series_of(name)) and len(made.series_of(name))]
    if not measures or len(axes) < 2:
        for axis in axes[1:]:
            axis.set_axis_off()
        return
    name = measures[0]
    measure = real.design.measurements[name]
    log = measure.log or measure.limit > 0
    for side, colour, text in ((real, REAL, "real"), (made, SYNTHETIC, shorten(label, 16))):
        table = profile(side, name)
        many = (~np.isnan(table)).sum(axis=0) >= 10
        if not many.any():
            continue
        rows = [np.nanmean(table[:, many], axis=0), *np.nanquantile(table[:, many], [0.1, 0.9], axis=0)]
        middle, low, high = np.exp(rows) if log else rows
        axes[1].plot(grid[many], middle, color=colour, lw=1.6, label=text)
        axes[1].fill_between(grid[many], low, high, color=colour, alpha=0.15, lw=0)
    if measure.limit > 0:
        axes[1].axhline(measure.limit, color=NEUTRAL, lw=0.8, ls="--")
    axes[1].set(xlabel="months from diagnosis", ylabel=f"{name} ({measure.unit})" if measure.unit else name)
    if log:
        axes[1].set_yscale("log")
    axes[1].legend(fontsize=7)
    axes[1].set_title(f"{name}: mean, 10-90 %", loc="left", fontsize=9)


def swimmers(axis: Any, courses: Courses, rows: np.ndarray) -> None:
    """A bar for each course, coloured by state; an arrow where observation goes on, a cross where a final state is."""
    paths = courses.paths
    final = [courses.design.states.index(s) for s in courses.design.final]
    for place, row in enumerate(rows):
        number = int(paths.number[row])
        for step in range(number):
            state = int(paths.state[row, step])
            stop = paths.entry[row, step + 1] if step + 1 < number else paths.end[row]
            if state not in final:
                axis.barh(place, stop - paths.entry[row, step], left=paths.entry[row, step], height=0.8,
                          color=colour_of(courses, state), edgecolor="white", lw=0.3,
                          hatch=HATCHES[state % len(HATCHES)])  # fmt: skip
        died = paths.state[row, number - 1] in final
        axis.plot(paths.end[row], place, "x" if died else ">", color=BLACK, ms=4)
    axis.set(xlabel="months from diagnosis", ylim=(len(rows) - 0.4, -0.6))
    axis.set_yticks([])


def choose_rows(courses: Courses, most: int) -> np.ndarray:
    """Courses in the order of their length, evenly over all of them."""
    order = np.argsort(-courses.paths.end, kind="stable")
    return np.asarray(order[np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).astype(int))])


def spaghetti(axis: Any, courses: Courses, name: str, colour: str, most: int = 60) -> None:
    """The series of some courses as thin lines."""
    values = courses.series_of(name)
    for row in choose_rows(courses, most):
        own = values[values["course"] == row]
        axis.plot(own["time"], own["value"], color=colour, lw=0.5, alpha=0.35)


def waterfall(axis: Any, depth: np.ndarray, colour: str, label: str) -> None:
    """Best change from baseline of every series of every course, the worst first."""
    change = np.clip(np.sort(depth)[::-1] * 100 - 100, -100, 100)
    axis.plot(np.linspace(0, 1, len(change)), change, color=colour, lw=1.6, label=f"{label}, n = {len(change):,}")
    for level in (-50, -90):
        axis.axhline(level, color=NEUTRAL, lw=0.7, ls="--")
    axis.set(xlabel="share of series", ylabel="best change from baseline, %", xlim=(0, 1))
