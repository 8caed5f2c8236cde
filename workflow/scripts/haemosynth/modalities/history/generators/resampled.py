"""Baseline: stays resampled from training patients by the state that they were in, without the record.

From each state the length of the stay and what followed are those of a training patient's stay in it, drawn with
replacement; a censored stay ends the observation. Nothing links one stay to the next but the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.encode import conditions
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.history import record
from haemosynth.modalities.history.design import from_plain
from haemosynth.modalities.history.generators import series
from haemosynth.modalities.history.generators.multistate import LEAST_PATIENTS, finish, on_grid
from haemosynth.modalities.history.part import Courses, find_courses, make, path_rows
from haemosynth.modalities.history.paths import NONE, Paths

DEFAULTS: dict[str, Any] = {}
JITTER = 0.05  # of the logarithm of a resampled stay, so that no length is a patient's own


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Keep the stays of training patients.

    Raises:
        InputError: too few patients with a history.
    """
    courses = find_courses(train)
    if courses is None or len(courses.paths) < LEAST_PATIENTS:
        raise InputError(f"fewer than {LEAST_PATIENTS} training patients have a history")
    stays = courses.paths.sojourns()
    none = np.zeros((len(courses.paths), 0))
    arrays = {"origin": stays.origin.astype(np.int64), "target": stays.target.astype(np.int64), "length": stays.length}
    everybody = record.features({"features": []}, train)
    plain = {
        "parameters": int(3 * len(stays.length)), "design": courses.design.plain(), "grain": courses.grain,
        "presence": conditions.learn_presence(everybody, train.patients.isin(courses.paths.owner), 0),
        "series": series.learn(courses, none),
    }  # fmt: skip
    return Fitted(arrays, plain, pd.DataFrame())


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Courses:
    """Draw histories for those patients of `given` who get one, whoever they are."""
    known, arrays = fitted.description, fitted.arrays
    design = from_plain(known["design"])
    chosen = np.flatnonzero(conditions.draw_presence(known["presence"], np.zeros((len(given), 0)), rng))
    patients = given.patients[chosen]
    n = len(patients)
    state = np.full((n, len(design.states)), NONE)
    entry = np.full(state.shape, np.nan)
    state[:, 0], entry[:, 0] = design.states.index(design.start), 0.0
    now, when, alive, end = state[:, 0].copy(), np.zeros(n), np.ones(n, dtype=bool), np.zeros(n)
    for step in range(1, len(design.states) + 1):
        moved = np.zeros(n, dtype=bool)
        current = now.copy()
        for origin in np.unique(current[alive]):
            rows, own = np.flatnonzero(alive & (current == origin)), np.flatnonzero(arrays["origin"] == origin)
            pick = own[rng.integers(len(own), size=len(rows))]
            when[rows] += arrays["length"][pick] * np.exp(JITTER * rng.standard_normal(len(rows)))
            target = arrays["target"][pick]
            goes = target != NONE
            end[rows] = when[rows]
            now[rows[goes]] = target[goes]
            moved[rows[goes]] = True
        if not moved.any() or step == len(design.states):
            break
        state[moved, step], entry[moved, step] = now[moved], when[moved]
        alive = moved & ~np.isin(now, [design.states.index(name) for name in design.final])
    paths = on_grid(finish(Paths(np.asarray(patients, dtype=object), state, entry, end, design.states), design),
                    float(known["grain"]))  # fmt: skip
    tables = [path_rows(paths), series.draw(known["series"], design, paths, np.zeros((n, 0)), rng)]
    return make(pd.concat([r for r in tables if len(r)], ignore_index=True), patients, design, float(known["grain"]))
