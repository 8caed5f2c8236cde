"""Multi-state model with clock reset: hazards of every transition given record, alterations and the path so far.

Each transition out of a state has a cause-specific, piecewise-constant hazard in the time since the state was entered;
the time since diagnosis and the length of the stay before are covariates beside the record (`hazards.py`). The end of
observation has a hazard of its own in the time since diagnosis. Series of measurements are drawn along the path
(`series.py`). Transitions with fewer than `fewest` events have what their target's other transitions have in common;
those without any do not happen, and the description says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.encode import conditions
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.history import record
from haemosynth.modalities.history.design import Design, from_plain
from haemosynth.modalities.history.generators import hazards, series
from haemosynth.modalities.history.generators.hazards import Hazard, Stays
from haemosynth.modalities.history.part import Courses, find_courses, make, path_rows
from haemosynth.modalities.history.paths import NONE, Paths, Sojourns

DEFAULTS: dict[str, Any] = {
    "fewest": 10,  # events of a transition, below which its baseline is constant
    "intervals": 16,  # of a baseline hazard at most
    "effects": True,  # false: hazards without covariates, a model to compare with
    "calibrate": True,  # baseline hazards, so that drawn courses have the hazards of the real ones
}
LEAST_PATIENTS = 30
OWN = ("time since diagnosis", "length of the stay before")  # covariates beside the record
CENSORING_INTERVALS = 16
CALIBRATION, ROUNDS = 20_000, 4  # courses drawn to calibrate the baseline hazards, and how often
PARTS = ("cuts", "rate", "beta", "variance", "estimate", "error")  # of a hazard, as it is saved


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit hazards, censoring, visits and series to training patients; it takes seconds and is not checkpointed.

    Raises:
        InputError: too few patients with a history, or no transition that was seen `fewest` times.
    """
    courses = find_courses(train)
    number = 0 if courses is None else len(courses.paths)
    if courses is None or number < LEAST_PATIENTS:
        raise InputError(f"{number} training patients have a history; a model needs {LEAST_PATIENTS} or more")
    design, paths = courses.design, courses.paths
    known = record.learn(train) if settings["effects"] else {"features": []}
    everybody = record.features(known, train)
    x = everybody[train.patients.get_indexer(pd.Index(paths.owner))]
    stays = paths.sojourns()
    scale = own_scale(stays)
    table = (
        with_own(x, stays.course, stays.entry, stays.before, scale)
        if settings["effects"]
        else np.zeros((len(stays.course), 0))
    )
    learned: list[Stays] = []
    kept: list[tuple[int, int]] = []
    notes = []
    targets = sorted({design.states.index(b) for _, b in design.pairs})
    for a, b in design.pairs:
        origin, target = design.states.index(a), design.states.index(b)
        rows = np.flatnonzero(stays.origin == origin)
        event = (stays.target[rows] == target).astype(float)
        if not event.any():
            notes.append(f"{a} to {b} was never seen in {len(rows)} stays: it does not happen")
            continue
        if event.sum() < int(settings["fewest"]):
            notes.append(f"{a} to {b} was seen {int(event.sum())} times: its effects are those of its target")
        learned.append(Stays(stays.length[rows], event, table[rows], targets.index(target)))
        kept.append((origin, target))
    if not learned or max(s.event.sum() for s in learned) < int(settings["fewest"]):
        raise InputError(
            f"no transition was seen {settings['fewest']} times in {number} training patients; pool states of"
            " history.states, or leave the modality out"
        )
    found, scales = hazards.learn(learned, len(targets), int(settings["intervals"]))
    final = [design.states.index(state) for state in design.final]
    last = paths.state[np.arange(number), paths.number - 1]
    censored = Stays(paths.end, (~np.isin(last, final)).astype(float), x, 0)
    limits, _ = hazards.learn([censored], 1, CENSORING_INTERVALS)
    plain = {
        "parameters": int(sum(h.rate.size + h.beta.size for h in [*found, *limits])),
        "design": design.plain(),
        "grain": courses.grain,
        "record": known,
        "names": record.names(known) + list(OWN) if settings["effects"] else [],
        "scale": scale,
        "transitions": [list(pair) for pair in kept],
        "events": [h.events for h in found],
        "scales": {"tau": scales["tau"], "omega": scales["omega"]},
        "longest": float(paths.end.max()),
        "notes": notes,
        "presence": conditions.learn_presence(
            everybody, train.patients.isin(paths.owner), int(rng.integers(2**31 - 1))
        ),
        "series": series.learn(courses, x),
    }
    model = Fitted(_pack(found, limits[0]), plain, pd.DataFrame())
    return calibrate(model, learned, x, rng) if settings["effects"] and settings["calibrate"] else model


def calibrate(fitted: Fitted, stays: Sequence[Stays], x: Matrix, rng: np.random.Generator) -> Fitted:
    """The model with baseline rates under which its own courses have the hazards of the real ones.

    Effects are shrunk, so that real patients who are still at risk late had lower hazards than their covariates say,
    and a baseline that makes up for it in these makes too many late events in drawn courses, of whom fewer were
    selected. So the rate of each interval is the real hazard of all patients in it, over the mean relative hazard of
    drawn courses that are at risk there; a few rounds do, since a rate changes who is at risk later.

    Args:
        stays: of each transition. x: (courses, features) of the training patients.
    """
    many = np.tile(x, (max(1, CALIBRATION // len(x)), 1))
    owner = np.arange(len(many)).astype(object)
    transitions = [(int(a), int(b)) for a, b in fitted.description["transitions"]]
    for _ in range(ROUNDS):
        drawn = draw_paths(fitted, many, owner, rng).sojourns()
        table = with_own(many, drawn.course, drawn.entry, drawn.before, fitted.description["scale"])
        arrays = dict(fitted.arrays)
        for t, (own, (origin, _)) in enumerate(zip(stays, transitions, strict=True)):
            hazard, rows = unpack(fitted, f"transition.{t}"), drawn.origin == origin
            spent = hazards.exposure(drawn.length[rows], hazard.cuts)
            relative = np.exp(np.clip(table[rows] @ hazard.beta, -12, 12))
            mean = (relative @ spent + 1.0) / (spent.sum(axis=0) + 1.0)
            arrays[f"transition.{t}.rate"] = hazards.overall_rates(own, hazard.cuts) / mean
        fitted = Fitted(arrays, fitted.description, fitted.history)
    return fitted


def own_scale(stays: Sojourns) -> list[float]:
    """Mean and standard deviation of log(1 + time since diagnosis), then of log(1 + length of the stay before)."""
    found = []
    for values in (stays.entry[stays.step > 0], stays.before[stays.step > 0]):
        logs = np.log1p(values)
        found += [float(logs.mean()), max(float(logs.std()), 1e-6)] if len(logs) else [0.0, 1.0]
    return found


def with_own(x: Matrix, course: np.ndarray, entry: np.ndarray, before: np.ndarray, scale: list[float]) -> Matrix:
    """(stays, features + 2) covariates of stays: those of the record, and of the path so far (0 for a first stay)."""
    first = np.isnan(before)
    since = np.where(first, 0.0, (np.log1p(entry) - scale[0]) / scale[1])
    length = np.where(first, 0.0, (np.log1p(np.nan_to_num(before)) - scale[2]) / scale[3])
    return np.column_stack([x[course], since, length])


def _pack(found: list[Hazard], limit: Hazard) -> dict[str, np.ndarray]:
    arrays = {}
    for name, hazard in [*((f"transition.{t}", h) for t, h in enumerate(found)), ("censoring", limit)]:
        for part in PARTS:
            arrays[f"{name}.{part}"] = np.ascontiguousarray(getattr(hazard, part), dtype=np.float64)
    return arrays


def unpack(fitted: Fitted, name: str) -> Hazard:
    """A learned hazard: `transition.<number>` or `censoring`."""
    return Hazard(**{part: np.asarray(fitted.arrays[f"{name}.{part}"]) for part in PARTS}, events=0)


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Courses:
    """Draw histories for those patients of `given` who get one, given record and alterations."""
    known = fitted.description
    design = from_plain(known["design"])
    everybody = record.features(known["record"], given)
    chosen = np.flatnonzero(conditions.draw_presence(known["presence"], everybody, rng))
    x, patients = everybody[chosen], given.patients[chosen]
    paths = draw_paths(fitted, x, np.asarray(patients, dtype=object), rng)
    paths = on_grid(paths, float(known["grain"]))
    rows = [path_rows(paths), series.draw(known["series"], design, paths, x, rng)]
    return make(pd.concat([r for r in rows if len(r)], ignore_index=True), patients, design, float(known["grain"]))


def draw_paths(fitted: Fitted, x: Matrix, owner: np.ndarray, rng: np.random.Generator) -> Paths:
    """Paths of patients with covariates x, (n, features), until a final state or the end of observation."""
    known = fitted.description
    design = from_plain(known["design"])
    transitions = [(int(a), int(b)) for a, b in known["transitions"]]
    found = [unpack(fitted, f"transition.{t}") for t in range(len(transitions))]
    n, effects = len(x), bool(known["names"])
    end = np.minimum(hazards.draw_months(unpack(fitted, "censoring"), x, rng), float(known["longest"]))
    state = np.full((n, len(design.states)), NONE)
    entry = np.full(state.shape, np.nan)
    state[:, 0], entry[:, 0] = design.states.index(design.start), 0.0
    now, when, before = state[:, 0].copy(), np.zeros(n), np.full(n, np.nan)
    alive = np.ones(n, dtype=bool)
    for step in range(1, len(design.states)):
        soonest, target = np.full(n, np.inf), np.full(n, NONE)
        table = with_own(x, np.arange(n), when, before, known["scale"]) if effects else np.zeros((n, 0))
        for (a, b), hazard in zip(transitions, found, strict=True):
            rows = np.flatnonzero(alive & (now == a))
            wait = hazards.draw_months(hazard, table[rows], rng)
            sooner = wait < soonest[rows]
            soonest[rows[sooner]], target[rows[sooner]] = wait[sooner], b
        moves = alive & (target != NONE) & (when + soonest <= end)
        alive = moves
        if not moves.any():
            break
        state[moves, step], entry[moves, step] = target[moves], (when + soonest)[moves]
        before[moves] = soonest[moves]
        now, when = np.where(moves, target, now), np.where(moves, when + soonest, when)
    return finish(Paths(owner, state, entry, end, design.states), design)


def finish(paths: Paths, design: Design) -> Paths:
    """The paths, observation ending where a final state is entered."""
    final = [design.states.index(name) for name in design.final]
    rows, last = np.arange(len(paths)), paths.number - 1
    over = np.isin(paths.state[rows, last], final)
    return Paths(
        paths.owner, paths.state, paths.entry, np.where(over, paths.entry[rows, last], paths.end), paths.states
    )


def on_grid(paths: Paths, grain: float) -> Paths:
    """Times in the steps in which real ones are recorded; what comes later stays no earlier."""
    entry = np.round(np.rint(paths.entry / grain) * grain, 6)
    end = np.round(np.rint(paths.end / grain) * grain, 6)
    return Paths(paths.owner, paths.state, entry, np.maximum(end, np.nanmax(entry, axis=1)), paths.states)
