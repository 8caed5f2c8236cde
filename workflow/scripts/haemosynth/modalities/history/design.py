"""What a study says of its histories: states, allowed transitions, endpoints that follow, measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from haemosynth.core.errors import InputError, suggestion

TWO_CLONES, STATE_MEAN = "two_clones", "state_mean"
PROCESSES = (TWO_CLONES, STATE_MEAN)
MEASUREMENT_KEYS = ("unit", "process", "limit", "log", "progression")
KEYS = ("states", "start", "transitions", "endpoints", "measurements")


@dataclass(frozen=True)
class Measure:
    """A measurement: its unit, the process that a generator learns, the limit of quantification, a logarithmic scale.

    process: `two_clones` (a sensitive and a resistant clone under therapy) or `state_mean` (a first-order
    autoregression round a mean of the state). progression: of two clones, the states whose entry is the progression
    that the series shows by the rules of the IMWG.
    """

    unit: str = ""
    process: str = STATE_MEAN
    limit: float = 0.0
    log: bool = False
    progression: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """states: in the order of figures. start: the state at time 0. transitions: origin -> {event: target}.

    An event that leads back to its origin changes nothing. endpoints: name -> states whose entry is the event; times of
    patients without one are censored where their observation ends. A state without a way out is final.
    """

    states: tuple[str, ...]
    start: str
    transitions: Mapping[str, Mapping[str, str]]
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measurements: Mapping[str, Measure] = field(default_factory=dict)

    @property
    def final(self) -> tuple[str, ...]:
        """States that nobody leaves."""
        origins = {a for a, b in self.pairs}
        return tuple(state for state in self.states if state not in origins)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The allowed transitions (origin, target), in the order of the states."""
        found = []
        for origin in self.states:
            targets = set(self.transitions.get(origin, {}).values()) - {origin}
            found += [(origin, target) for target in self.states if target in targets]
        return found

    def plain(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "states": list(self.states),
            "start": self.start,
            "transitions": {origin: dict(targets) for origin, targets in self.transitions.items()},
            "endpoints": {name: list(states) for name, states in self.endpoints.items()},
            "measurements": {
                name: {**asdict(measure), "progression": list(measure.progression)}
                for name, measure in self.measurements.items()
            },
        }


def design_of(content: Mapping[str, Any], where: str) -> Design:
    """The design that a study's entry describes.

    Args:
        content: `states`, `start` (the first state where it is left out), `transitions` (origin -> list of targets, or
            {event: target}), `endpoints` (name -> states), `measurements` (name -> unit, process, limit, log).

    Raises:
        InputError: a state that is not listed, a state that nobody reaches, or a key that is not known.
    """
    states = tuple(str(state) for state in _list(content.get("states"), f"{where}.states"))
    if len(states) < 2 or len(set(states)) < len(states):
        raise InputError(f"{where}.states: expected two or more different states, found {list(states)}")
    start = str(content.get("start") or states[0])
    _check_known(start, states, f"{where}.start")
    given = _mapping(content.get("transitions"), f"{where}.transitions")
    transitions: dict[str, dict[str, str]] = {}
    for origin, targets in given.items():
        here = f"{where}.transitions.{origin}"
        _check_known(origin, states, here)
        pairs = targets.items() if isinstance(targets, Mapping) else ((t, t) for t in _list(targets, here))
        transitions[str(origin)] = {str(event): str(target) for event, target in pairs}
        for target in transitions[str(origin)].values():
            _check_known(target, states, here)
    reached = {start, *(t for targets in transitions.values() for t in targets.values())}
    for state in states:
        if state not in reached:
            raise InputError(f"{where}.transitions: no transition leads to {state}; add one, or leave the state out")
    _acyclic(start, transitions, where)
    endpoints = {}
    for name, entered in _mapping(content.get("endpoints") or {}, f"{where}.endpoints").items():
        endpoints[str(name)] = tuple(map(str, _list(entered, f"{where}.endpoints.{name}")))
        for state in endpoints[str(name)]:
            _check_known(state, states, f"{where}.endpoints.{name}")
    measures = _mapping(content.get("measurements") or {}, f"{where}.measurements")
    return Design(states, start, transitions, endpoints, {
        str(name): _measure(chosen or {}, f"{where}.measurements.{name}") for name, chosen in measures.items()
    })  # fmt: skip


def _acyclic(start: str, transitions: Mapping[str, Mapping[str, str]], where: str) -> None:
    """No state may be entered twice: a second relapse is a state of its own, so that every path ends."""

    def walk(state: str, before: tuple[str, ...]) -> None:
        for target in set(transitions.get(state, {}).values()) - {state}:
            if target in before:
                way = " -> ".join((*before[before.index(target) :], target))
                raise InputError(f"{where}.transitions: {way} goes round; name a later visit a state of its own")
            walk(target, (*before, target))

    walk(start, (start,))


def from_plain(content: Mapping[str, Any]) -> Design:
    """A design as `Design.plain` wrote it."""
    return design_of(content, "history")


def _measure(chosen: Any, where: str) -> Measure:
    for key in _mapping(chosen, where):
        if key not in MEASUREMENT_KEYS:
            raise InputError(f"{where}: unknown key {key!r}; {suggestion(str(key), MEASUREMENT_KEYS)}")
    measure = Measure(**{**chosen, "progression": tuple(map(str, chosen.get("progression") or ()))})
    if measure.process not in PROCESSES:
        raise InputError(f"{where}.process: {measure.process!r} is unknown; expected one of {', '.join(PROCESSES)}")
    if measure.process == TWO_CLONES and not measure.limit > 0:
        raise InputError(
            f"{where}.limit: {measure.limit}; a series of two clones needs a limit of quantification above 0"
        )
    return measure


def _check_known(state: str, states: tuple[str, ...], where: str) -> None:
    if state not in states:
        raise InputError(f"{where}: {state!r} is no state; {suggestion(state, states)}")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: expected a list, found {value!r}")
    return list(value)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected names and values, found {value!r}")
    return value
