"""The references of histories: real, independent and uniform."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.streams import one_of_each
from haemosynth.modalities.history.design import Design
from haemosynth.modalities.history.generators.multistate import finish, on_grid
from haemosynth.modalities.history.part import MEASUREMENT, VISIT, Courses, courses_of, make, path_rows
from haemosynth.modalities.history.paths import NONE, Paths


def reference(kind: str, train: Cohort, given: Cohort, rng: np.random.Generator) -> Courses:
    """A reference's histories.

    real         the training patients' as they are
    independent  every transition drawn alone: the length of each stay is that of any stay of training patients, what
                 follows is drawn from the allowed states as often as they are entered at all, the end of observation is
                 anybody's; times and values of measurements are anybody's
    uniform      lengths of stays, ends and values uniform over their 1-99 % range, every allowed state alike

    given: the reference's clinical record, as `generate.reference` drew it. Its endpoints are columns drawn alone, and
    need not agree with the path.

    Raises:
        InputError: an unknown kind.
    """
    courses = courses_of(train)
    if kind == "real":
        return courses
    if kind not in ("independent", "uniform"):
        raise InputError(f"no reference {kind!r}; expected one of real, independent, uniform")
    share = len(courses.paths) / len(train)
    patients = given.patients[rng.random(len(given)) < share]
    paths = on_grid(_paths(kind == "independent", courses, np.asarray(patients, dtype=object), rng), courses.grain)
    rows = pd.concat(
        [path_rows(paths), _draw_measurements(kind == "independent", courses, paths, rng)], ignore_index=True
    )
    return make(rows, patients, courses.design, courses.grain)


def _paths(alone: bool, courses: Courses, owner: np.ndarray, rng: np.random.Generator) -> Paths:
    design: Design = courses.design
    stays, n = courses.paths.sojourns(), len(owner)
    lengths, entered = stays.length[stays.target != NONE], stays.target[stays.target != NONE]
    if not len(lengths):
        lengths, entered = stays.length, np.full(len(stays.length), design.states.index(design.states[-1]))
    often = np.bincount(entered, minlength=len(design.states)) + 0.5
    ends = courses.paths.end
    end = ends[rng.integers(len(ends), size=n)] if alone else _uniform(ends, n, rng)
    state = np.full((n, len(design.states)), NONE)
    entry = np.full(state.shape, np.nan)
    now, when = np.full(n, design.states.index(design.start)), np.zeros(n)
    state[:, 0], entry[:, 0] = now, when
    ways = np.zeros((len(design.states), len(design.states)))
    for a, b in design.pairs:
        ways[design.states.index(a), design.states.index(b)] = often[design.states.index(b)] if alone else 1.0
    alive = np.ones(n, dtype=bool)
    for step in range(1, len(design.states)):
        stay = lengths[rng.integers(len(lengths), size=n)] if alone else _uniform(lengths, n, rng)  # fmt: skip
        target = one_of_each(ways[now], rng)
        alive = alive & (ways[now] > 0).any(axis=1) & (when + stay <= end)
        now, when = np.where(alive, target, now), np.where(alive, when + stay, when)
        state[alive, step], entry[alive, step] = now[alive], when[alive]
    return finish(Paths(owner, state, entry, end, design.states), design)


def _draw_measurements(alone: bool, courses: Courses, paths: Paths, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of measurements and visits: as many in a month as real ones, each at any time and of any value."""
    table, rows = courses.table, []
    months = max(float(courses.paths.end.sum()), 1e-9)
    kept = table[table["kind"].isin((MEASUREMENT, VISIT))]
    for (kind, name), own in kept.groupby(["kind", "name"], sort=True):
        number = rng.poisson(len(own) / months * paths.end)
        at = np.repeat(np.arange(len(paths)), number)
        source = own.iloc[rng.integers(len(own), size=len(at))]
        value = source["value"].to_numpy(float)
        if not alone and kind == MEASUREMENT:
            value = _uniform(own["value"].to_numpy(float), len(at), rng)
        rows.append(pd.DataFrame({
            "patient_id": paths.owner[at], "time": np.round(rng.random(len(at)) * paths.end[at], 3), "kind": kind,
            "name": name, "value": value, "unit": source["unit"].to_numpy(),
            "note": source["note"].to_numpy() if alone else "",
        }))  # fmt: skip
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _uniform(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers uniform over the 1-99 % range of values."""
    low, high = np.quantile(values, [0.01, 0.99])
    return rng.uniform(low, high, size=n)
