"""Competing risks: do remission, relapse, progression and transplant occur as often, as early and as fatally?

Endpoints that patients survive compete with death: they are compared by cumulative incidence (Aalen-Johansen), not by
one minus Kaplan-Meier. The primary endpoint is taken as death. In addition to the curves the stage compares the states
in which patients are at clinical horizons, and the transitions between event and death: whether patients die sooner
after a relapse, or later after a remission, is lost where each endpoint is right alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, REAL, SKY, SYNTHETIC, YELLOW, new_figure
from haemosynth.stats.competing_risks import (
    DEATH,
    EVENT,
    Course,
    aalen_johansen,
    find_states,
    incidence_distance,
    state_shares,
)
from haemosynth.stats.curves import Curve, draw_at_risk, draw_curve, incidence_curve
from haemosynth.stats.distributions import total_variation
from haemosynth.stats.estimates import estimate_incidence
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

Vector = NDArray[np.float64]

DEFAULTS: dict[str, Any] = {
    "horizon": None,  # months compared; None is the 95 % quantile of real follow-up for death
    "horizons": [12, 24, 36, 60],  # months at which states are compared, as far as a tenth of training patients go
    "fewest": 20,  # patients with a known endpoint, that either side needs
}
FOLLOW_UP_QUANTILE = 0.95
STILL_FOLLOWED = 0.1
SETS = (BLUE, SKY, GREEN, YELLOW, ORANGE, PURPLE, "#5A5A5A")  # colours of sets of events
OTHER = "#DDDDDD"

STAGE = Stage("utility", needs=("clinical",), environment="survival", memory=2000, runtime=30)
METRICS = (
    Metric(
        "incidence_distance", "error", "probability", (0, 1), JOINT, "bootstrap",
        "1/t integral_0^t |F_real(u) - F_candidate(u)| du, F the Aalen-Johansen cumulative incidence, mean of the event"
        " and of death without it; `all`: mean over endpoints, t the 95 % quantile of real follow-up",
        "Aalen and Johansen, Scand J Stat 1978;5:141",
    ),
    Metric(
        "state_distance", "error", "share", (0, 1), JOINT, "bootstrap",
        "sum |p - q| / 2 over states, p and q the shares of patients in each at a clinical horizon, weighted by the"
        " inverse probability of censoring; a state is which events have come so far, and alive or dead; `all`: mean"
        " over horizons",
        "Gibbs and Su, Int Stat Rev 2002;70:419; Robins and Rotnitzky, in AIDS Epidemiology, 1992",
    ),
    Metric(
        "transition_error", "error", "log rate ratio", (0, np.inf), JOINT, "bootstrap",
        "|log(r_real / r_candidate)|, r = (events + 1/2) / months at risk until t, mean of the transitions to the"
        " event, to death without it, to death after it; `all`: mean over endpoints",
        "occurrence/exposure rates: Andersen and Keiding, Stat Methods Med Res 2002;11:91",
    ),
    Metric(
        "death_after_event_error", "error", "log rate ratio", (0, np.inf), JOINT, "bootstrap",
        "|g_real - g_candidate|, g the log ratio of the rates of death after and without the event; `all`: mean over"
        " endpoints",
        "occurrence/exposure rates: Andersen and Keiding, Stat Methods Med Res 2002;11:91",
    ),
    Metric(
        "event_after_death", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of the candidate's patients whose follow-up of an endpoint ends later than that of death: none in real"
        " patients",
        "this project",
    ),
)  # fmt: skip


def collect_courses(cohort: Cohort) -> tuple[dict[str, Course], NDArray[np.bool_]]:
    """Each endpoint beside death, and which patients have all of them known; all patients are in every course."""
    death, *others = cohort.schema.endpoints

    def read(endpoint: str) -> tuple[Vector, Vector]:
        return tuple(cohort.clinical[f"{endpoint}_{part}"].to_numpy(float) for part in ("time", "event"))  # type: ignore[return-value]

    found = {endpoint: Course(*read(endpoint), *read(death)) for endpoint in others}
    complete = np.ones(len(cohort), dtype=np.bool_)
    for course in found.values():
        complete = complete & _find_known(course)
    return found, complete


def _find_known(course: Course) -> NDArray[np.bool_]:
    return np.isfinite(course.time + course.event + course.death_time + course.death)


def _of(course: Course, patients: NDArray[np.bool_]) -> Course:
    return Course(course.time[patients], course.event[patients], course.death_time[patients], course.death[patients])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric by endpoint or horizon, and over all of them. Settings: see DEFAULTS. `rng` is not used."""
    endpoints = comparison.real.schema.endpoints
    if len(endpoints) < 2:
        reason = "the cohort has no endpoint other than death"
        return [Value(metric.name, np.nan, reason=reason) for metric in METRICS]
    (real, real_complete), (candidate, candidate_complete) = (
        collect_courses(comparison.real),
        collect_courses(comparison.candidate),
    )
    end = _end(comparison.real, settings)
    values: list[Value] = []
    means: dict[str, list[float]] = {metric.name: [] for metric in METRICS}

    def add(metric: str, value: float, target: str, n: int, reason: str = "") -> None:
        values.append(Value(metric, value, target, n=n, reason=reason))
        means[metric].append(value)

    few = f"fewer than {settings['fewest']} patients with a known endpoint on one side"
    for endpoint in real:
        ours, theirs = (_of(course, _find_known(course)) for course in (real[endpoint], candidate[endpoint]))
        n = min(len(ours.time), len(theirs.time))
        if n < int(settings["fewest"]):
            for metric in METRICS:
                if metric.name != "state_distance":
                    add(metric.name, np.nan, endpoint, n, few)
            continue
        estimate = aalen_johansen if comparison.resampled else estimate_incidence
        distance = incidence_distance(estimate(*ours.first()), estimate(*theirs.first()), end)
        add("incidence_distance", float(distance.mean()), endpoint, n)
        rates = [course.transitions(end) for course in (ours, theirs)]
        log_rates = [np.log((events + 0.5) / np.where(months > 0, months, np.nan)) for events, months in rates]
        gap = log_rates[1] - log_rates[0]  # NaN for death after the event where nobody on a side has the event
        add("transition_error", float(np.nanmean(np.abs(gap))), endpoint, n)
        after = float(abs(gap[2] - gap[1]))
        nobody = "" if np.isfinite(after) else "nobody on one side lives on after the event"
        add("death_after_event_error", after, endpoint, n, nobody)
        add("event_after_death", float((theirs.time > theirs.death_time).mean()), endpoint, n)

    n = int(min(real_complete.sum(), candidate_complete.sum()))
    horizons = _horizons(comparison.train, settings)
    for horizon in horizons if n >= int(settings["fewest"]) else ():
        ours_at, theirs_at = (
            _shares(found, complete, horizon)[0] for found, complete in
            ((real, real_complete), (candidate, candidate_complete))
        )  # fmt: skip
        distance_of_states = total_variation(ours_at, theirs_at)
        lost = "" if np.isfinite(distance_of_states) else "nobody's state is known then"
        add("state_distance", distance_of_states, f"{horizon:g} months", n, lost)
    for metric in METRICS:
        known = [value for value in means[metric.name] if np.isfinite(value)]
        reason = "" if known else next((v.reason for v in values if v.metric == metric.name), "")
        if not known and not reason:
            reason = few if horizons else "follow-up reaches no clinical horizon"
        values.append(Value(metric.name, float(np.mean(known)) if known else np.nan, n=n, reason=reason))
    return values


def _end(real: Cohort, settings: Mapping[str, Any]) -> float:
    if settings["horizon"] is not None:
        return float(settings["horizon"])
    time = real.clinical[f"{real.schema.endpoints[0]}_time"].to_numpy(float)
    return float(np.nanquantile(time, FOLLOW_UP_QUANTILE))


def _horizons(train: Cohort, settings: Mapping[str, Any]) -> list[float]:
    time = train.clinical[f"{train.schema.endpoints[0]}_time"].dropna().to_numpy(float)
    return [float(t) for t in settings["horizons"] if len(time) and (time > t).mean() >= STILL_FOLLOWED]


def _shares(found: dict[str, Course], complete: NDArray[np.bool_], horizon: float) -> tuple[Vector, Vector]:
    """(states,) share of patients in each state at a time, and how many were seen in it."""
    code, weight = find_states([_of(course, complete) for course in found.values()], horizon)
    states = 2 ** (len(found) + 1)
    return state_shares(code, weight, states), np.bincount(code[weight > 0], minlength=states).astype(float)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Cumulative incidence of every endpoint beside death without it, with 95 % bands and patients at risk, and the
    states at clinical horizons."""
    endpoints = comparison.real.schema.endpoints
    if len(endpoints) < 2:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, "no endpoint other than death", ha="center", va="center", color=NEUTRAL)
        return drawn
    rows = 1 if len(endpoints) == 2 else 2
    columns = -(-(len(endpoints) - 1) // rows)
    drawn, axes = new_figure(
        3.4 * columns + 5.4, 4.5 * rows, nrows=2 * rows, ncols=columns + 1, squeeze=False,
        gridspec_kw={"width_ratios": [1.0] * columns + [1.35], "height_ratios": [5, 0.8] * rows},
    )  # fmt: skip
    (real, real_complete), (candidate, candidate_complete) = (
        collect_courses(comparison.real),
        collect_courses(comparison.candidate),
    )
    end = _end(comparison.real, settings)
    scores = values[values["status"] == "ok"].set_index(["metric", "target"])["value"]
    panels, tables = list(axes[::2, :columns].flat), list(axes[1::2, :columns].flat)
    for axis, table, endpoint in zip(panels, tables, real, strict=False):
        followed = []
        for name, colour, course in (("real, held out", REAL, real), (label, SYNTHETIC, candidate)):
            drawn_curve = _draw_incidence(axis, _of(course[endpoint], _find_known(course[endpoint])), name, colour, end)
            if drawn_curve is not None:
                followed.append((name, colour, drawn_curve))
        distance = scores.get(("incidence_distance", endpoint))
        axis.set_title(f"{endpoint}: distance {distance:.3f}" if distance is not None else endpoint, loc="left")
        axis.set(xlim=(0, end), ylim=(0, 1), xlabel="months", ylabel="cumulative incidence")
        draw_at_risk(table, axis, followed)
    for axis in (*panels[len(real) :], *tables[len(real) :]):
        axis.axis("off")
    panels[0].legend(fontsize=8, loc="upper right")
    for axis in axes[:, columns]:
        axis.remove()
    bars = drawn.add_subplot(axes[0, columns].get_subplotspec().get_gridspec()[:, columns])
    _draw_states(
        bars, (real, real_complete), (candidate, candidate_complete), _horizons(comparison.train, settings), label
    )
    if ("state_distance", "all") in scores:
        bars.set_title(f"states: distance {scores['state_distance', 'all']:.3f}", loc="left")
    return drawn


def _draw_incidence(axis: Any, course: Course, name: str, colour: str, end: float) -> Curve | None:
    """Both incidences of a side; the first of them, whose patients at risk are those of both. None without patients."""
    if not len(course.time):
        return None
    curves = [incidence_curve(*course.first(), cause) for cause in (EVENT, DEATH)]
    for curve, line, what in zip(curves, ("-", (0, (4, 2))), ("event", "death without it"), strict=True):
        draw_curve(axis, curve, end, colour, f"{name}: {what}", line)
    return curves[0]


def _draw_states(
    axis: Any,
    real: tuple[dict[str, Course], NDArray[np.bool_]],
    candidate: tuple[dict[str, Course], NDArray[np.bool_]],
    horizons: list[float],
    label: str,
) -> None:
    if not horizons or min(real[1].sum(), candidate[1].sum()) < MIN_CELL_COUNT:
        axis.axis("off")
        axis.text(0.5, 0.5, "too short a follow-up for states", ha="center", va="center", color=NEUTRAL)
        return
    names = list(real[0])
    states = [[_shares(*side, horizon) for horizon in horizons] for side in (real, candidate)]
    ours, theirs = (np.array([share for share, _ in side]) for side in states)
    # A state that fewer than five real patients were seen in at any horizon is counted among the others.
    seen = np.min([np.where(count > 0, count, np.inf) for _, count in states[0]], axis=0)
    shown = (seen >= MIN_CELL_COUNT) & np.isfinite(seen)
    sets = 1 << len(names)
    weight = (ours.mean(axis=0) * shown).reshape(2, sets).sum(axis=0)  # alive or dead, by the events so far
    chosen = np.sort([i for i in np.argsort(-weight, kind="stable")[: len(SETS)] if weight[i] > 0]).astype(int)
    order = [state for dead in (0, sets) for state in chosen + dead if shown[state]]
    at = np.arange(len(horizons)) * 2.6
    for offset, shares in ((0.0, ours), (1.05, theirs)):
        base = np.zeros(len(horizons))
        for state in order:
            colour = SETS[int(np.flatnonzero(chosen == state % sets)[0])]
            hatch = "////" if state >= sets else ""
            axis.bar(at + offset, shares[:, state], bottom=base, color=colour, hatch=hatch, edgecolor="white", lw=0.5)
            base = base + shares[:, state]
        axis.bar(at + offset, 1 - base, bottom=base, color=OTHER, edgecolor="white", lw=0.5)
    ticks = np.concatenate([at, at + 1.05])
    places = np.argsort(ticks)
    axis.set_xticks(ticks[places], np.array(["real"] * len(at) + [label] * len(at))[places], rotation=90, fontsize=8)
    for place, horizon in zip(at, horizons, strict=True):
        axis.text(place + 0.52, 1.01, f"{horizon:g} months", ha="center", va="bottom", fontsize=8)
    axis.set(ylim=(0, 1.08), yticks=np.linspace(0, 1, 6), ylabel="share of patients")
    keys = [Patch(color=OTHER, label="other"), Patch(facecolor="white", edgecolor=NEUTRAL, hatch="////", label="dead")]
    keys += [Patch(color=SETS[i], label=_set_name(int(chosen[i]), names)) for i in reversed(range(len(chosen)))]
    axis.legend(
        handles=keys, title="events so far", alignment="left", fontsize=8, title_fontsize=8, loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )  # fmt: skip


def _set_name(state: int, names: list[str]) -> str:
    return " + ".join(name for j, name in enumerate(names) if state >> j & 1) or "none"
