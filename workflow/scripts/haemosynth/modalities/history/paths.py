"""Paths: the states that patients entered and when, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.modalities.history.design import Design

Codes = NDArray[np.int64]
Times = NDArray[np.float64]
NONE = -1  # no further state


@dataclass(frozen=True)
class Paths:
    """Paths of n courses with at most k states.

    owner: (n,) patient of each course. state: (n, k) position in `states`, -1 after the last. entry: (n, k) months at
    which it was entered, NaN after the last. end: (n,) months until which the patient was observed; in a final state
    it is the entry of that state. states: names.
    """

    owner: NDArray[np.object_]
    state: Codes
    entry: Times
    end: Times
    states: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.end)

    @property
    def number(self) -> Codes:
        """(n,) how many states each course has."""
        return np.asarray((self.state != NONE).sum(axis=1))

    def take(self, rows: NDArray[np.intp]) -> Paths:
        """These courses."""
        return Paths(self.owner[rows], self.state[rows], self.entry[rows], self.end[rows], self.states)

    def at(self, times: Times) -> Codes:
        """(n, times) the state at each time; -1 after the end of observation, but in a final state (its own end)."""
        found = np.full((len(self), len(times)), NONE)
        for step in range(self.state.shape[1]):
            inside = self.entry[:, [step]] <= times
            found = np.where(inside & (self.state[:, [step]] != NONE), self.state[:, [step]], found)
        return found

    def sojourns(self) -> Sojourns:
        """Every stay in a state, one after the other."""
        k = self.state.shape[1]
        following = np.column_stack([self.state[:, 1:], np.full(len(self), NONE)])
        later = np.column_stack([self.entry[:, 1:], np.full(len(self), np.nan)])
        left = np.where(following == NONE, self.end[:, None], later)
        row, step = np.nonzero(self.state != NONE)
        before = np.where(step > 0, self.entry[row, step] - self.entry[row, np.maximum(step - 1, 0)], np.nan)
        assert k == following.shape[1]
        return Sojourns(
            row, step, self.state[row, step], following[row, step], self.entry[row, step],
            np.maximum(left[row, step] - self.entry[row, step], 0.0), before,
        )  # fmt: skip

    def labels(self) -> list[str]:
        """(n,) the path in words."""
        return [" > ".join(self.states[s] for s in row if s != NONE) for row in self.state]


@dataclass(frozen=True)
class Sojourns:
    """Stays: course, step in it, origin, target (-1 censored), entry and length in months, length of the stay before.

    All (m,); `before` is NaN for the first stay.
    """

    course: Codes
    step: Codes
    origin: Codes
    target: Codes
    entry: Times
    length: Times
    before: Times


def derive_endpoints(paths: Paths, design: Design) -> pd.DataFrame:
    """Time and event of every endpoint that follows from the path, a row for each course.

    The event is the first entry of one of the endpoint's states, the time is its entry; without one, it is censored at
    the end of observation.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    for name, entered in design.endpoints.items():
        codes = [design.states.index(state) for state in entered]
        times = np.where(np.isin(paths.state, codes), paths.entry, np.inf)
        first = times.min(axis=1) if times.shape[1] else np.full(len(paths), np.inf)
        event = np.isfinite(first)
        columns[f"{name}_time"] = np.where(event, first, paths.end)
        columns[f"{name}_event"] = event.astype(float)
    return pd.DataFrame(columns, index=pd.Index(paths.owner, name="patient_id"))
