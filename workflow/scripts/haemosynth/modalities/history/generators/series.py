"""What is measured along a path: visits, treatment lines, series of two clones, and other measurements.

A series of two clones and the path are one: where a stay ends in progression, the parameters are those under which the
level first meets the criteria of the IMWG when the path says so, and no earlier value meets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix
from haemosynth.modalities.history import kinetics
from haemosynth.modalities.history.design import TWO_CLONES, Design, Measure
from haemosynth.modalities.history.generators import clones
from haemosynth.modalities.history.kinetics import CATEGORIES, DAYS, LEAST_RISE, RISE
from haemosynth.modalities.history.part import BELOW, LINE, MEASUREMENT, RESPONSE, STOP, VISIT, Courses
from haemosynth.modalities.history.paths import NONE, Paths
from haemosynth.stats.regression import ridge

GRID = np.linspace(0.5, 99.5, 41) / 100  # quantiles of gaps
CANDIDATES = 40  # parameters that are drawn for a stay, of which one that fits its length is taken
NEARNESS = 0.3  # of the logarithm of the time to progression
MOST_VISITS = 400
RARELY = 0.05  # share of stays with values, below which nothing is measured in a state
FEWEST_STAYS = 20  # with a series of two clones
STEPS = (1.0, 0.1, 0.01)
COLUMNS = ["patient_id", "time", "kind", "name", "value", "unit", "note"]


def learn(courses: Courses, x: Matrix) -> dict[str, Any]:
    """What is measured along the paths of training patients, as plain data; x: (courses, features)."""
    table, design = courses.table, courses.design
    found: dict[str, Any] = {"visits": _visits(courses), "lines": _lines(courses), "measures": {}}
    found["responses"] = bool((table["kind"] == RESPONSE).any())
    for name, measure in design.measurements.items():
        values = courses.series_of(name)
        if len(values) < FEWEST_STAYS:
            continue
        own = (
            _two_clones(courses, values, x)
            if measure.process == TWO_CLONES
            else _state_mean(courses, values, measure, x)
        )
        if own:
            own["step"] = next(
                (s for s in STEPS if (np.abs(values["value"] / s - np.rint(values["value"] / s)) < 1e-6).mean() > 0.95),
                0.01,
            )
            own["states"] = _by_state(courses, values)
            own["share"] = min(1.0, len(values) / max(found["visits"]["number"], 1)) if found["visits"] else 1.0
            found["measures"][name] = own
    return found


def _by_state(courses: Courses, values: pd.DataFrame) -> list[float]:
    """The share of stays in each state during which anything was measured after the entry; 1 for states of no stay."""
    stays = courses.paths.sojourns()
    long = stays.length > 2.0
    course = values["course"].to_numpy()
    time = values["time"].to_numpy(float)
    step = (courses.paths.entry[course] < time[:, None] - 1e-9).sum(axis=1) - 1
    seen = set(zip(course.tolist(), step.tolist(), strict=True))
    was = np.array([(c, s) in seen for c, s in zip(stays.course.tolist(), stays.step.tolist(), strict=True)])
    found = []
    for code in range(len(courses.paths.states)):
        own = long & (stays.origin == code)
        found.append(float(was[own].mean()) if own.any() else 1.0)
    return found


def visit_times(courses: Courses) -> pd.DataFrame:
    """Distinct times at which a patient was seen or measured: columns course, time."""
    kind = courses.table["kind"]
    own = kind.isin((VISIT, MEASUREMENT)).to_numpy()
    seen = pd.DataFrame({"course": courses.course[own], "time": courses.table["time"].to_numpy(float)[own]})
    return seen.drop_duplicates().sort_values(["course", "time"], kind="stable").reset_index(drop=True)


def _visits(courses: Courses) -> dict[str, Any]:
    seen = visit_times(courses)
    if len(seen) < FEWEST_STAYS:
        return {}
    course, time = seen["course"].to_numpy(), seen["time"].to_numpy()
    same = course[1:] == course[:-1]
    gap = np.diff(time)[same]
    last = np.flatnonzero(np.append(course[1:] != course[:-1], True))
    rest = courses.paths.end[course[last]] - time[last]
    typical = float(np.median(gap)) if len(gap) else 1.0
    return {
        "number": len(seen),
        "rows": bool((courses.table["kind"] == VISIT).any()),
        "gaps": np.quantile(gap, GRID).tolist() if len(gap) else [typical] * len(GRID),
        "first": np.quantile(time[np.append(True, ~same)], GRID).tolist(),
        "stop": float((rest > 3 * typical).sum() / len(seen)),  # drop-out, for each visit
    }


def _lines(courses: Courses) -> dict[str, Any]:
    """By state: the share of stays with a treatment line, its names with their numbers, and how many are stopped."""
    paths, table = courses.paths, courses.table
    found: dict[str, Any] = {}
    own = (table["kind"] == LINE).to_numpy()
    if not own.any():
        return found
    course, time = courses.course[own], table["time"].to_numpy(float)[own]
    step = (paths.entry[course] <= time[:, None] + 1e-9).sum(axis=1) - 1
    state = paths.state[course, step]
    stopped = (table["kind"] == STOP).to_numpy()
    for code, name in enumerate(paths.states):
        inside = state == code
        stays = int((paths.state == code).sum())
        if inside.any():
            names = table["name"][own][inside].value_counts().sort_index()
            # A regimen that hardly anyone had is not learned: it would name its patient.
            common = names[names >= 5]
            found[name] = {
                "share": min(1.0, inside.sum() / max(stays, 1)),
                "names": list(map(str, common.index)), "counts": common.astype(int).tolist(),
                "stopped": bool(stopped.any()),
            }  # fmt: skip
    return found


def stays_with(courses: Courses, values: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, Matrix, Matrix, np.ndarray]:
    """Series by stay: course and step of each, days since entry, values and which are below the limit, padded by NaN.

    A value at the time of a transition belongs to the stay that ends there and begins the next one.
    """
    stays = courses.paths.sojourns()
    order = np.lexsort((values["time"].to_numpy(), values["course"].to_numpy()))
    course, time, value, below = (values[c].to_numpy()[order] for c in ("course", "time", "value", "below"))
    far = float(max(courses.paths.end.max(), time.max() if len(time) else 0) + 10)
    key = course * far + time
    low = np.searchsorted(key, stays.course * far + stays.entry - 1e-9)
    high = np.searchsorted(key, stays.course * far + stays.entry + stays.length + 1e-9)
    kept = np.flatnonzero((high > low) & (stays.length > 0))
    most = int((high - low)[kept].max()) if len(kept) else 1
    place = low[kept][:, None] + np.arange(most)
    inside = place < high[kept][:, None]
    place = np.minimum(place, max(len(key) - 1, 0))
    days = np.where(inside, (time[place] - stays.entry[kept][:, None]) * DAYS, np.nan)
    return stays.course[kept], stays.step[kept], days, np.where(inside, value[place], np.nan), inside & below[place]


def _two_clones(courses: Courses, values: pd.DataFrame, x: Matrix) -> dict[str, Any]:
    course, step, days, value, below = stays_with(courses, values)
    enough = (~np.isnan(days)).sum(axis=1) >= 2
    if enough.sum() < FEWEST_STAYS:
        return {}
    course, step, days, value, below = (a[enough] for a in (course, step, days, value, below))
    covariates = np.column_stack([x[course], _of_step(step)])
    fit = clones.learn(days, np.maximum(value, 1e-6), below, covariates)
    return {
        "process": TWO_CLONES, "slope": fit.slope.tolist(), "covariance": fit.covariance.tolist(), "error": fit.error,
        "learned": dict(zip(clones.NAMES, fit.learned.tolist(), strict=True)), "stays": int(enough.sum()),
        "visits": float((~np.isnan(days)).sum() / enough.sum()),
    }  # fmt: skip


def _state_mean(courses: Courses, values: pd.DataFrame, measure: Measure, x: Matrix) -> dict[str, Any]:
    y = values["value"].to_numpy(float)
    y = np.log(np.maximum(y, 1e-6)) if measure.log else y
    course, time = values["course"].to_numpy(), values["time"].to_numpy(float)
    paths = courses.paths
    state = paths.state[course, (paths.entry[course] <= time[:, None] + 1e-9).sum(axis=1) - 1]
    codes = range(len(paths.states))
    overall = float(y.mean())
    mean = [float((y[state == c].sum() + overall) / ((state == c).sum() + 1)) for c in codes]
    rest = y - np.array(mean)[state]
    slope = np.asarray(ridge(x[course], rest[:, None]), dtype=float)[:, 0] if x.shape[1] else np.zeros(0)
    rest = rest - (x[course] - x.mean(axis=0)) @ slope if x.shape[1] else rest
    number = np.bincount(course, minlength=len(paths))
    middle = np.bincount(course, weights=rest, minlength=len(paths)) / np.maximum(number, 1)
    many = number >= 2
    within = rest - middle[course]
    freedom = max(float((number[many] - 1).sum()), 1.0)
    noise = float((within[many[course]] ** 2).sum() / freedom) if many.any() else float(rest.var()) / 2
    between = max(float((middle[number > 0] ** 2).mean() - noise / number[number > 0].mean()), 0.0)
    order = np.lexsort((time, course))
    same = course[order][1:] == course[order][:-1]
    first, second = within[order][:-1][same], within[order][1:][same]
    gap = np.diff(time[order])[same]
    typical = float(np.median(gap)) if len(gap) else 1.0
    n = float(number[many].mean()) if many.any() else 2.0
    # Deviations from a patient's own mean are correlated by -1 / (n - 1) even where nothing is: put back.
    raw = float((first * second).mean() / max(noise, 1e-12)) if len(first) else 0.0
    memory = float(np.clip(raw * (n - 1) / n + 1 / n, 0.0, 0.98))
    return {
        "process": "state_mean", "mean": mean, "slope": slope.tolist(), "middle": x.mean(axis=0).tolist(),
        "between": between**0.5, "noise": noise**0.5, "memory": memory ** (1 / max(typical, 1e-6)),
        "limits": [float(np.quantile(values["value"], 0.001)), float(np.quantile(values["value"], 0.999))],
    }  # fmt: skip


def draw(known: Mapping[str, Any], design: Design, paths: Paths, x: Matrix, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of treatment lines, visits, measurements and responses along the paths; x: (courses, features)."""
    rows = [pd.DataFrame(columns=COLUMNS)]
    if known["lines"]:
        rows.append(_draw_lines(known["lines"], paths, rng))
    if known["visits"] and known["measures"]:
        times = _draw_visits(known["visits"], paths, rng)
        for name, own in known["measures"].items():
            measure = design.measurements[name]
            if own["process"] == TWO_CLONES:
                rows += _draw_clones(name, own, design, paths, x, times, known["responses"], rng)
            else:
                rows.append(_draw_around_mean(name, own, measure, paths, x, times, rng))
        if known["visits"]["rows"]:
            values = pd.concat([r for r in rows if len(r)], ignore_index=True)
            seen = values.loc[values["kind"] == MEASUREMENT, ["patient_id", "time"]].drop_duplicates()
            rows.append(seen.assign(kind=VISIT, name="", value=np.nan, unit="", note=""))
    return pd.concat([r for r in rows if len(r)] or rows, ignore_index=True)


def _draw_lines(known: Mapping[str, Any], paths: Paths, rng: np.random.Generator) -> pd.DataFrame:
    found, number = [], np.zeros(len(paths), dtype=int)
    for step in range(paths.state.shape[1]):
        for name, own in known.items():
            rows = np.flatnonzero(paths.state[:, step] == paths.states.index(name))
            rows = rows[rng.random(len(rows)) < own["share"]]
            if not len(rows) or not own["names"]:
                continue
            counts = np.asarray(own["counts"], dtype=float)
            drug = np.array(own["names"], dtype=object)[rng.choice(len(counts), len(rows), p=counts / counts.sum())]
            number[rows] += 1
            frame = pd.DataFrame({
                "patient_id": paths.owner[rows], "time": paths.entry[rows, step], "kind": LINE, "name": drug,
                "value": number[rows].astype(float), "unit": "", "note": "",
            })  # fmt: skip
            found.append(frame)
            if own["stopped"] and step + 1 < paths.state.shape[1]:
                over = paths.state[rows, step + 1] != NONE
                following = np.array(paths.states, dtype=object)[paths.state[rows[over], step + 1]]
                found.append(frame[over].assign(kind=STOP, time=paths.entry[rows[over], step + 1], note=following))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _draw_visits(known: Mapping[str, Any], paths: Paths, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Course and time of every visit within observation, in order."""
    time = np.interp(rng.random(len(paths)), GRID, known["first"]).clip(0)
    alive, course, found = np.ones(len(paths), dtype=bool), [], []
    for _ in range(MOST_VISITS):
        alive &= time <= paths.end
        rows = np.flatnonzero(alive)
        if not len(rows):
            break
        course.append(rows)
        found.append(time[rows])
        alive[rows] = rng.random(len(rows)) >= known["stop"]
        time = time + np.maximum(np.interp(rng.random(len(paths)), GRID, known["gaps"]), 0.03)
    owner, when = (np.concatenate(a) if a else np.empty(0) for a in (course, found))
    order = np.lexsort((when, owner))
    return owner[order].astype(int), np.round(when[order], 3)


def _of_step(step: np.ndarray) -> np.ndarray:
    """(n, 2) whether a stay is not the first, and how many stays came before."""
    return np.column_stack([step > 0, np.minimum(step, 3) / 2]).astype(float)


def parameters(own: Mapping[str, Any], x: Matrix, step: int, rng: np.random.Generator, copies: int) -> np.ndarray:
    """(n, copies, 4) parameters of stays drawn given covariates."""
    table = np.column_stack([np.ones(len(x)), x, _of_step(np.full(len(x), step))])
    centre = table @ np.asarray(own["slope"])
    half = np.linalg.cholesky(np.asarray(own["covariance"]))
    return np.asarray(centre[:, None, :] + rng.standard_normal((len(x), copies, 4)) @ half.T)


def _plain(theta: np.ndarray) -> tuple[np.ndarray, ...]:
    return (
        np.exp(theta[..., 0]), 1 / (1 + np.exp(-theta[..., 1])), np.exp(np.minimum(theta[..., 2], -1.0)),
        -np.exp(np.minimum(theta[..., 3], 1.0)),
    )  # fmt: skip


def fitting(theta: np.ndarray, length: np.ndarray, ends: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of the candidates for each stay one that fits its length, its growth moved so that it fits exactly.

    Args:
        theta: (n, copies, 4). length: (n,) days of the stay. ends: (n,) whether it ends in progression; if not, the
            criteria are not met before its end.

    Returns:
        (n, 4)
    """
    rise = kinetics.rise_time(*_plain(theta))
    gap = np.log(np.maximum(rise, 1.0)) - np.log(np.maximum(length, 1.0))[:, None]
    weight = np.where(ends[:, None], -0.5 * (gap / NEARNESS) ** 2, np.where(gap > 0, 0.0, 30 * gap))
    best = np.argmax(weight + rng.gumbel(size=weight.shape), axis=1)
    chosen = theta[np.arange(len(theta)), best].copy()
    # The time of progression falls as the growth rises: bisection on log r.
    start, p, _, s = _plain(chosen)
    low, high = np.full(len(chosen), np.log(1e-6)), np.full(len(chosen), -1.0)
    for _ in range(50):
        middle = (low + high) / 2
        late = kinetics.rise_time(start, p, np.exp(middle), s) > length
        low, high = np.where(late, middle, low), np.where(late, high, middle)
    moved = ends | (kinetics.rise_time(*_plain(chosen)) <= length)
    chosen[:, 2] = np.where(moved, np.where(ends, high, np.minimum(low, chosen[:, 2])), chosen[:, 2])
    return np.asarray(chosen)


def _draw_clones(
    name: str,
    own: Mapping[str, Any],
    design: Design,
    paths: Paths,
    x: Matrix,
    visits: tuple[np.ndarray, np.ndarray],
    with_responses: bool,
    rng: np.random.Generator,
) -> list[pd.DataFrame]:
    """Rows of a series of two clones, stay after stay: each begins where the last value of the one before is."""
    found: list[pd.DataFrame] = []
    measure = design.measurements[name]
    final = [design.states.index(state) for state in design.final]
    ending = [design.states.index(state) for state in measure.progression]
    level = np.full(len(paths), np.nan)  # the value at which the present stay begins
    for step in range(paths.state.shape[1]):
        state = paths.state[:, step]
        rows = np.flatnonzero((state != NONE) & ~np.isin(state, final))
        if not len(rows):
            break
        often = np.asarray(own["states"])[state[rows]]
        rows = rows[often >= RARELY]
        if not len(rows):
            continue
        entry = paths.entry[rows, step]
        following = paths.state[rows, step + 1] if step + 1 < paths.state.shape[1] else np.full(len(rows), NONE)
        leave = np.where(following != NONE, paths.entry[rows, min(step + 1, paths.state.shape[1] - 1)], paths.end[rows])
        ends = np.isin(following, ending) if ending else np.zeros(len(rows), dtype=bool)
        theta = parameters(own, x[rows], step, rng, CANDIDATES if ending else 1)
        fixed = ~np.isnan(level[rows]) & bool(ending)
        theta[fixed, :, 0] = np.log(np.maximum(level[rows][fixed], measure.limit))[:, None]
        days = np.maximum(leave - entry, 0) * DAYS
        chosen = fitting(theta, days, ends, rng) if ending else theta[:, 0]
        at, time = _find_seen(visits, rows, entry, leave, ends, bool(ending), own["share"], rng)
        clean = kinetics.level((time - entry[at]) * DAYS, *(a[at] for a in _plain(chosen)))
        noisy = clean * np.exp(own["error"] * rng.standard_normal(len(clean)))
        if ending:
            noisy = coherent(at, time, noisy, leave, ends, level[rows], measure.limit, own["step"])
        noisy = np.rint(noisy / own["step"]) * own["step"]
        below = noisy < measure.limit + own["step"] / 2
        noisy = np.round(np.where(below, measure.limit, noisy), 6)
        last = np.full(len(rows), np.nan)
        last[at] = noisy  # rows are in order of time: the latest stays
        level[rows] = np.where(ends, last, np.nan)
        # The value at a progression stands once, as the last of the stay that it ends.
        shown = np.ones(len(at), dtype=bool)
        if step:
            shown = ~(fixed[at] & (time <= entry[at] + 1e-9))
        found.append(pd.DataFrame({
            "patient_id": paths.owner[rows[at]], "time": time, "kind": MEASUREMENT, "name": name, "value": noisy,
            "unit": measure.unit, "note": np.where(below, BELOW, ""),
        })[shown])  # fmt: skip
        if with_responses and ending:
            found.append(response_rows(at, time, noisy, measure.limit, paths.owner[rows]))
    return found


def _find_seen(
    visits: tuple[np.ndarray, np.ndarray], rows: np.ndarray, entry: np.ndarray, leave: np.ndarray, ends: np.ndarray,
    first: bool, share: float, rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Position among `rows` and time of each visit of their stays, with one at the entry and one at a progression."""
    owner, when = visits
    place = np.full(int(max(owner.max(initial=0), rows.max(initial=0))) + 1, -1)
    place[rows] = np.arange(len(rows))
    at = place[owner]
    inside = (at >= 0) & (rng.random(len(owner)) < share)
    inside &= (when > entry[at] + 0.1) & (when < leave[at] - 0.1) if first else (when >= entry[at]) & (when < leave[at])
    every = [at[inside]]
    times = [when[inside]]
    if first:
        every += [np.arange(len(rows)), np.flatnonzero(ends)]
        times += [entry, leave[ends]]
    at, time = np.concatenate(every), np.concatenate(times)
    order = np.lexsort((time, at))
    return at[order].astype(int), time[order]


def coherent(
    at: np.ndarray, time: np.ndarray, value: np.ndarray, leave: np.ndarray, ends: np.ndarray, level: np.ndarray,
    limit: float, step: float,
) -> np.ndarray:  # fmt: skip
    """Values that meet the criteria of progression where the path says so, and nowhere before.

    at: (values,) stay of each value, in order of time; leave, ends, level: of each stay, its end, whether in
    progression, and the value at which it begins (NaN: its own first).
    """
    value = np.maximum(np.rint(value / step) * step, limit)
    first = np.append(True, at[1:] != at[:-1])
    position = np.arange(len(at)) - np.maximum.accumulate(np.where(first, np.arange(len(at)), 0))
    number = int(position.max()) + 1 if len(at) else 0
    lowest = np.full(len(leave), np.inf)
    for place in range(number):
        rows = np.flatnonzero(position == place)
        own = at[rows]
        now = value[rows]
        if place == 0:
            now = np.where(np.isnan(level[own]), now, level[own])
        else:
            bound = np.maximum((1 + RISE) * lowest[own], lowest[own] + LEAST_RISE)
            over = ends[own] & (time[rows] >= leave[own] - 1e-9)
            reached = np.ceil(bound / step + 0.5) * step
            short = np.maximum(np.floor(bound / step - 0.5) * step, limit)
            now = np.where(over, np.maximum(now, reached), np.minimum(now, short))
        value[rows] = np.round(now, 6)
        lowest[own] = np.minimum(lowest[own], value[rows])
    return value


def response_rows(at: np.ndarray, time: np.ndarray, value: np.ndarray, limit: float, owner: np.ndarray) -> pd.DataFrame:
    """A row whenever the category of response changes, by the rules of the IMWG."""
    found = []
    starts = np.flatnonzero(np.append(True, at[1:] != at[:-1])) if len(at) else np.empty(0, dtype=int)
    for low, high in zip(starts, np.append(starts[1:], len(at)), strict=True):
        category, _ = kinetics.responses(value[low:high], limit=limit)
        changed = np.flatnonzero(np.append(False, category[1:] != category[:-1]))
        found += [(owner[at[low]], time[low + i], CATEGORIES[category[i]]) for i in changed]
    frame = pd.DataFrame(found, columns=["patient_id", "time", "name"])
    return frame.assign(kind=RESPONSE, value=np.nan, unit="", note="")[COLUMNS]


def _draw_around_mean(
    name: str, own: Mapping[str, Any], measure: Measure, paths: Paths, x: Matrix, visits: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """Rows of an autoregression round the mean of the state."""
    owner, when = visits
    kept = rng.random(len(owner)) < own["share"]
    owner, when = owner[kept], when[kept]
    state = paths.state[owner, (paths.entry[owner] <= when[:, None] + 1e-9).sum(axis=1) - 1]
    often = np.asarray(own["states"])[state] >= RARELY
    owner, when, state = owner[often], when[often], state[often]
    slope = np.asarray(own["slope"])
    patient = own["between"] * rng.standard_normal(len(paths))
    if len(slope):
        patient = patient + (x - np.asarray(own["middle"])) @ slope
    value = np.asarray(own["mean"])[state] + patient[owner]
    first = np.append(True, owner[1:] != owner[:-1]) if len(owner) else np.zeros(0, dtype=bool)
    position = np.arange(len(owner)) - np.maximum.accumulate(np.where(first, np.arange(len(owner)), 0))
    memory = np.where(first, 0.0, own["memory"] ** np.append(0.0, np.diff(when)).clip(0))
    noise = own["noise"] * rng.standard_normal(len(owner))
    deviation = noise.copy()
    for place in range(1, int(position.max(initial=0)) + 1):
        rows = np.flatnonzero(position == place)
        deviation[rows] = memory[rows] * deviation[rows - 1] + np.sqrt(1 - memory[rows] ** 2) * noise[rows]
    value = value + deviation
    value = np.exp(value) if measure.log else value
    value = np.clip(value, *own["limits"])
    value = np.rint(value / own["step"]) * own["step"]
    below = (value < measure.limit + own["step"] / 2) & (measure.limit > 0)
    return pd.DataFrame({
        "patient_id": paths.owner[owner], "time": when, "kind": MEASUREMENT, "name": name,
        "value": np.round(np.where(below, measure.limit, value), 6), "unit": measure.unit,
        "note": np.where(below, BELOW, ""),
    })  # fmt: skip
