"""Competing risks and states in plain numpy: who comes first, cumulative incidence, states at a time, transitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haemosynth.stats.cox import kaplan_meier

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Codes = NDArray[np.intp]
CENSORED, EVENT, DEATH = 0, 1, 2


@dataclass(frozen=True)
class Course:
    """Patients under two endpoints: one that can be survived, and death.

    time, event: (patients,) of the endpoint, 1 event, 0 censored. death_time, death: (patients,) of death. An event in
    the month and day of death is that death (as composite endpoints such as event-free survival have it), and nothing
    that is recorded after death counts.
    """

    time: Vector
    event: Vector
    death_time: Vector
    death: Vector

    @property
    def reached(self) -> NDArray[np.bool_]:
        """(patients,) whether the event came, before death and under follow-up."""
        before = (self.time < self.death_time) | ((self.time == self.death_time) & (self.death == 0))
        came: NDArray[np.bool_] = (self.event == 1) & before
        return came

    def first(self) -> tuple[Vector, Codes]:
        """(patients,) time and kind of what came first: CENSORED, EVENT, or DEATH without it."""
        died = (self.death == 1) & (self.death_time <= self.time)
        state = np.where(self.reached, EVENT, np.where(died, DEATH, CENSORED)).astype(np.intp)
        return np.minimum(self.time, self.death_time), state

    def transitions(self, end: float) -> tuple[Vector, Vector]:
        """Transitions until `end`: to the event, to death without it, and from the event to death.

        Returns:
            (3,) events; (3,) time at risk in the unit of the times.
        """
        time, state = self.first()
        until = np.minimum(time, end)
        after = np.clip(np.minimum(self.death_time, end) - self.time, 0, None)[self.reached]
        late = self.reached & (self.death == 1) & (self.death_time <= end)
        events = [(state == EVENT) & (time <= end), (state == DEATH) & (time <= end), late]
        return np.array([e.sum() for e in events], dtype=float), np.array([until.sum(), until.sum(), after.sum()])


@dataclass(frozen=True)
class CumulativeIncidence:
    """Step functions, 0 before the first of `times`.

    times: (steps,) distinct observed times, ascending. incidence: (causes, steps). at_risk: (steps,) before each time.
    """

    times: Vector
    incidence: Matrix
    at_risk: Vector

    def at(self, times: Vector) -> Matrix:
        """(causes, times) cumulative incidence; after the last observed time its last value."""
        padded = np.concatenate([np.zeros((len(self.incidence), 1)), self.incidence], axis=1)
        return padded[:, np.searchsorted(self.times, times, side="right")]


def aalen_johansen(time: Vector, state: Codes, causes: int = 2) -> CumulativeIncidence:
    """Cumulative incidence of each of several competing causes (Aalen and Johansen, Scand J Stat 1978;5:141).

    One minus Kaplan-Meier would be the incidence if the competing event could be abolished, and is always higher.

    Args:
        time: (patients,) follow-up. state: (patients,) 0 censored, 1 to `causes` what happened then.
    """
    curve = kaplan_meier(time, (state > 0).astype(float))
    where = np.searchsorted(curve.times, time)
    events = np.array([np.bincount(where[state == k], minlength=len(curve.times)) for k in range(1, causes + 1)])
    return CumulativeIncidence(
        curve.times, np.cumsum(curve.before(curve.times) * events / curve.at_risk, axis=1), curve.at_risk
    )


def incidence_distance(first: CumulativeIncidence, second: CumulativeIncidence, end: float) -> Vector:
    """(causes,) mean absolute difference of cumulative incidences over (0, end), exact for step functions."""
    inner = np.union1d(first.times, second.times)
    steps = np.concatenate([[0.0], inner[inner < end], [end]])
    distance: Vector = np.abs(first.at(steps[:-1]) - second.at(steps[:-1])) @ np.diff(steps) / end
    return distance


def find_states(courses: list[Course], horizon: float) -> tuple[Codes, Vector]:
    """The state of each patient at a time, and weights that replace those censored before.

    A state is which events have come so far, and whether the patient is alive; its code has bit j for the event of
    `courses[j]`, and bit `len(courses)` for death. Patients whose state is not known then have the weight 0, the
    others that of the inverse probability of censoring (Robins and Rotnitzky, in AIDS Epidemiology, 1992).

    Args:
        courses: the same patients under each endpoint.

    Returns:
        (patients,) codes; (patients,) weights.
    """
    death_time, death = courses[0].death_time, courses[0].death
    followed = death_time.copy()
    code = ((death == 1) & (death_time <= horizon)).astype(np.intp) << len(courses)
    for j, course in enumerate(courses):
        lost = (course.event == 0) & (course.time < death_time)
        followed = np.where(lost, np.minimum(followed, course.time), followed)
        code |= (course.reached & (course.time <= horizon)).astype(np.intp) << j
    ended = ((death == 1) & (followed == death_time)).astype(float)
    censoring = kaplan_meier(followed, 1 - ended)
    still = np.where(followed > horizon, censoring.at(np.full(len(followed), horizon)), censoring.before(followed))
    known = (followed > horizon) | (ended == 1)
    return code, np.divide(1.0, still, out=np.zeros_like(still), where=known & (still > 0))


def state_shares(code: Codes, weight: Vector, states: int) -> Vector:
    """(states,) share of patients by state, censored patients replaced by weights; NaN where no state is known."""
    total = weight.sum()
    return np.bincount(code, weights=weight, minlength=states) / (total if total > 0 else np.nan)
