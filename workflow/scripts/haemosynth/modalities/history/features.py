"""Courses in numbers, a row for each: which states were entered and when, and what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix
from haemosynth.modalities.history.design import TWO_CLONES
from haemosynth.modalities.history.generators.series import stays_with
from haemosynth.modalities.history.part import Courses
from haemosynth.modalities.history.paths import NONE

GRID = np.arange(0.0, 25.0, 3.0)  # months at which series are compared
WIDTH = 1.5  # months round them
EARLY = 12.0  # months whose measurements are averaged


def entry_times(courses: Courses) -> Matrix:
    """(courses, states + 1) months at which each state but the first was entered, NaN where it was not; the last
    column is the end of observation."""
    paths = courses.paths
    found = np.full((len(paths), len(paths.states)), np.nan)
    row, step = np.nonzero(paths.state != NONE)
    found[row, paths.state[row, step]] = paths.entry[row, step]
    start = paths.states.index(courses.design.start)
    return np.column_stack([np.delete(found, start, axis=1), paths.end])


def early_means(courses: Courses) -> Matrix:
    """(courses, measurements) mean of the logarithm, or of the value, in the first year; NaN where there is none."""
    columns = []
    for name, measure in courses.design.measurements.items():
        values = courses.series_of(name)
        own = values[values["time"] <= EARLY]
        y = own["value"].to_numpy(float)
        y = np.log(np.maximum(y, 1e-6)) if measure.log or measure.limit > 0 else y
        mean = pd.Series(y).groupby(own["course"].to_numpy()).mean()
        columns.append(mean.reindex(range(len(courses.paths))).to_numpy(float))
    return np.column_stack(columns) if columns else np.empty((len(courses.paths), 0))


def names(courses: Courses) -> list[str]:
    """Names of the columns of `numbers`."""
    states = [s for s in courses.design.states if s != courses.design.start]
    return [
        *(f"entered {s}" for s in states), *(f"months to {s}" for s in states), "months observed",
        *(f"early {m}" for m in courses.design.measurements),
    ]  # fmt: skip


def numbers(courses: Courses) -> Matrix:
    """(courses, columns of `names`): states entered 0/1, logarithms of times (NaN where not entered), early means."""
    times = entry_times(courses)
    entered = (~np.isnan(times[:, :-1])).astype(float)
    return np.column_stack([entered, np.log1p(np.maximum(times, 0)), early_means(courses)])


def profile(courses: Courses, name: str) -> Matrix:
    """(courses, GRID) the value nearest to each month, within six weeks; logarithms where there is a limit."""
    measure = courses.design.measurements[name]
    values = courses.series_of(name)
    found = np.full((len(courses.paths), len(GRID)), np.nan)
    time = values["time"].to_numpy(float)
    place = np.rint(time / (GRID[1] - GRID[0])).astype(int)
    near = (place >= 0) & (place < len(GRID))
    near[near] &= np.abs(time[near] - GRID[place[near]]) <= WIDTH
    own = values[near]
    y = own["value"].to_numpy(float)
    y = np.log(np.maximum(y, 1e-6)) if measure.log or measure.limit > 0 else y
    gap = np.abs(time[near] - GRID[place[near]])
    order = np.argsort(-gap, kind="stable")  # the nearest is written last
    found[own["course"].to_numpy()[order], place[near][order]] = y[order]
    return found


def first_nadirs(courses: Courses) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the nadir over the baseline, and days to it, of first stays with series of two clones."""
    depth, days = [], []
    for name, measure in courses.design.measurements.items():
        values = courses.series_of(name)
        if measure.process != TWO_CLONES or not len(values):
            continue
        _, step, time, value, _ = stays_with(courses, values)
        many = (step == 0) & ((~np.isnan(time)).sum(axis=1) >= 3)
        if many.any():
            lowest = np.nanargmin(value[many], axis=1)
            rows = np.arange(int(many.sum()))
            depth.append(value[many][rows, lowest] / value[many][:, 0])
            days.append(time[many][rows, lowest])
    empty = np.empty(0)
    return (np.concatenate(depth), np.concatenate(days)) if depth else (empty, empty)
