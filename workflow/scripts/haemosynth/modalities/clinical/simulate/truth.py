"""The planted model of alterations, and what it implies exactly.

A patient's subgroup is a primary event (hyperdiploidy, an immunoglobulin heavy chain translocation, or none), which
exclude one another, with or without genomic instability, which nobody observes. Given that state, the other events
follow one after the other, each by a logistic regression on the state and on earlier events. Intercepts are solved so
that every event has exactly its published frequency. The regressions link few events, so the joint distribution of
each linked set is enumerated: frequencies and marginal odds ratios are sums, not Monte Carlo estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from haemosynth.core.errors import InputError

Array = NDArray[np.float64]

INSTABILITY = "genomic instability"
NONE = "no primary event"
MOST_LINKED = 14


@dataclass(frozen=True)
class EventModel:
    """The planted distribution of alterations.

    subgroups: (states,) name of the primary event, or `no primary event`; unstable: (states,) 0/1; weights: (states,).
    events: names, primary events first, in the order in which they are drawn.
    intercepts: (events,), NaN for primary events, which the state decides.
    state_effects: (states, events) log odds; event_effects: (events, events), row given column, strictly lower.
    given_state: (states, events), probability of each event; joint: (events, events), probability of both.
    """

    subgroups: tuple[str, ...]
    unstable: Array
    weights: Array
    events: tuple[str, ...]
    intercepts: Array
    state_effects: Array
    event_effects: Array
    given_state: Array
    joint: Array

    @property
    def frequencies(self) -> Array:
        """Population frequency of every event."""
        return np.diag(self.joint).copy()

    def log_odds_ratios(self) -> Array:
        """Marginal log odds ratio of every pair in the population: (events, events), -inf for exclusive pairs."""
        p = self.frequencies
        both = self.joint
        only_row, only_column = p[:, None] - both, p[None, :] - both
        neither = 1 - p[:, None] - p[None, :] + both
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.log(both) + np.log(neither) - np.log(only_row) - np.log(only_column)
        np.fill_diagonal(ratios, np.nan)
        return ratios

    def sample(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], Array]:
        """Draw `n` patients: state of each, and (n, events) 0/1."""
        state = rng.choice(len(self.weights), size=n, p=self.weights)
        drawn = np.zeros((n, len(self.events)))
        for j, intercept in enumerate(self.intercepts):
            if np.isnan(intercept):
                drawn[:, j] = self.given_state[state, j]
            else:
                logit = intercept + self.state_effects[state, j] + drawn @ self.event_effects[j]
                drawn[:, j] = rng.random(n) < expit(logit)
        return state, drawn


def solve_event_model(alterations: pd.DataFrame, pairs: pd.DataFrame, instability: float) -> EventModel:
    """Solve the planted model.

    alterations: `alteration`, `kind` (primary, cytogenetic, gene), `frequency`; pairs: `first`, `second`, `log_odds` of
    the second event given the first. instability: share of patients with genomic instability.

    Raises:
        InputError: primary events are more frequent than all patients, a pair names an unknown event or one that comes
            later in the table, or too many events are linked to be enumerated.
    """
    events = tuple(alterations["alteration"])
    frequency = alterations["frequency"].to_numpy(float)
    primary = np.flatnonzero(alterations["kind"] == "primary")
    if list(primary) != list(range(len(primary))) or frequency[primary].sum() > 1:
        raise InputError("alterations.tsv: primary events must come first, and their frequencies add up to at most 1")
    names = (*(events[j] for j in primary), NONE)
    shares = np.append(frequency[primary], 1 - frequency[primary].sum())
    subgroups = tuple(name for name in names for _ in range(2))
    unstable = np.tile([0.0, 1.0], len(names))
    weights = np.repeat(shares, 2) * np.tile([1 - instability, instability], len(names))
    indicator = np.array([[float(subgroup == events[j]) for j in primary] for subgroup in subgroups])

    state_effects = np.zeros((len(weights), len(events)))
    event_effects = np.zeros((len(events), len(events)))
    for first, second, effect in zip(pairs["first"], pairs["second"], pairs["log_odds"], strict=True):
        if second not in events or (first != INSTABILITY and first not in events):
            raise InputError(f"pairs.tsv: pair {first} ~ {second} names an event that alterations.tsv lacks")
        j = events.index(second)
        if first == INSTABILITY:
            state_effects[:, j] += effect * unstable
        elif events.index(first) >= j or j in primary:
            raise InputError(f"pairs.tsv: pair {first} ~ {second}: the first event must come earlier in the table")
        elif first in names:
            state_effects[:, j] += effect * indicator[:, events.index(first)]
        else:
            event_effects[j, events.index(first)] += effect

    intercepts = np.full(len(events), np.nan)
    given_state = np.zeros((len(weights), len(events)))
    given_state[:, : len(primary)] = indicator
    linked_joint: dict[tuple[int, int], Array] = {}
    count, label = connected_components(event_effects != 0, directed=False)
    for component in range(count):
        members = [int(j) for j in np.flatnonzero(label == component) if j not in primary]
        if len(members) > MOST_LINKED:
            raise InputError(f"pairs.tsv: {len(members)} events are linked; at most {MOST_LINKED} can be enumerated")
        chance = np.ones((len(weights), 1))  # of each combination of the events so far, given the state
        combinations = np.zeros((1, 0))
        for position, j in enumerate(members):
            logit = state_effects[:, j, None] + combinations @ event_effects[j, members[:position]]
            mass = weights[:, None] * chance
            intercepts[j] = _intercept(frequency[j], mass, logit)
            present = expit(intercepts[j] + logit)
            chance = np.hstack([chance * (1 - present), chance * present])
            combinations = np.vstack(
                [np.column_stack([combinations, np.full(len(combinations), value)]) for value in (0.0, 1.0)]
            )
        for position, j in enumerate(members):
            given_state[:, j] = chance @ combinations[:, position]
            for earlier, k in enumerate(members[:position]):
                linked_joint[j, k] = chance @ (combinations[:, position] * combinations[:, earlier])

    joint = given_state.T @ (weights[:, None] * given_state)  # independent given the state ...
    np.fill_diagonal(joint, weights @ given_state)
    for (j, k), both in linked_joint.items():  # ... unless linked
        joint[j, k] = joint[k, j] = weights @ both
    return EventModel(
        subgroups, unstable, weights, events, intercepts, state_effects, event_effects, given_state, joint
    )


def _intercept(frequency: float, mass: Array, logit: Array) -> float:
    """The intercept at which the event has this frequency over all states and combinations."""
    return float(brentq(lambda a: float((mass * expit(a + logit)).sum()) - frequency, -40.0, 40.0, xtol=1e-12))


def describe_pairs(model: EventModel, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Every pair of events as plain data: probability of both, marginal odds ratio, its logarithm, whether planted.

    The logarithm is None where the events exclude each other.
    """
    ratios = model.log_odds_ratios()
    planted = {frozenset(pair) for pair in zip(pairs["first"], pairs["second"], strict=True)}
    return [
        {
            "first": model.events[k],
            "second": model.events[j],
            "both": float(model.joint[j, k]),
            "odds_ratio": float(np.exp(ratios[j, k])),
            "log_odds_ratio": float(ratios[j, k]) if np.isfinite(ratios[j, k]) else None,
            "planted": frozenset((model.events[j], model.events[k])) in planted,
        }
        for j in range(len(model.events))
        for k in range(j)
    ]
