"""Clinical columns as codes, and back.

Every variable, a column or a survival endpoint, is coded as a *level* and a *position* in [0, 1] inside it:

number      levels are values of large mass (atoms, such as 0 or 100 %) and quantile bins of the rest; the position
            runs along the empirical quantile function of the bin. Missing is a level of its own.
level       the categories that training patients show, and missing.
survival    the primary endpoint: event x quantile bin of its time, one joint variable. Any other endpoint is coded
            by its place in the follow-up: at the end of the primary time, at the same time as an earlier endpoint,
            or between, in quantile bins of months before or after a reference endpoint. Times that are equal stay
            equal, no endpoint outlives the primary one, and only combinations of places and events that training
            patients show are decoded (`FollowUp`).

Numbers are decoded from a smooth quantile function, one simple piece for every `LEAST_PIECE` training patients, and the
recording grain is then put back. Only values that five patients share are repeated as such, and no number lies beyond
the five largest or smallest: a release that is denser round the recorded numbers of training patients than round those
of others reveals who the training patients were (stage `disclosure`, attack `values`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types, synthetic_ids
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Schema
from haemosynth.stats.quantiles import LEAST_PIECE, STEPS, quantiles, stands_out

Kind = Literal["number", "level", "survival"]

LEAST_BIN = 24  # training patients in a bin
MAX_KNOTS = 129  # of one bin
MAX_BINS_BETWEEN = 12  # bins of the time of a secondary endpoint, per place and event
LEAST_EQUAL = 5  # patients in whom two endpoints coincide before that counts as a rule
SAME_TIME = 1e-6  # relative difference below which two times are equal
LEAST_SHARED = 5  # patients who share a value that is repeated as such
LARGEST_EDGE = 1 / 60  # share of the patients beyond which extremes are kept even if they are fewer


@dataclass(frozen=True)
class Level:
    """One level of a variable.

    place: "missing", "category", "atom", "bin", "time" (primary), "end", "with:<endpoint>", "before", "after" or
        "between"; `event` is 1/0 for survival, `label` the category.
    """

    place: str
    event: int | None = None
    label: str | None = None

    @property
    def state(self) -> str:
        """Place and event: what legal combinations of endpoints are made of."""
        return self.place if self.event is None else f"{self.place}/{self.event}"


@dataclass(frozen=True)
class Variable:
    """A coded column or endpoint; `knots[l]` draw the quantile function of level l, in the column's unit.

    starts: of each level with knots the least value that is coded as it, by the ranks of training patients. Knots are
    parts of a smoother function, so that a bin may end elsewhere than it is decoded to.

    heaps: values that many more patients share than the values round them. For the place "after" knots are months since
    the reference endpoint, otherwise months since the start.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    levels: tuple[Level, ...]
    knots: tuple[np.ndarray, ...]
    grain: float | None = None
    digits: int | None = None
    heaps: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    reference: str | None = None
    points: tuple[float, ...] = ()  # values off the grain that stay as they are
    starts: tuple[float, ...] = ()

    def start(self, code: int) -> float:
        """The least value that is coded as this level; NaN where it holds no numbers."""
        if self.starts:
            return self.starts[code]
        return float(self.knots[code][0]) if len(self.knots[code]) else np.nan

    @property
    def missing(self) -> np.ndarray:
        """(levels,) which level means missing."""
        return np.array([level.place == "missing" for level in self.levels])

    def codes(self, values: pd.Series) -> np.ndarray:
        """(patients,) level of every category; an unknown one is missing where that is a level, else the first."""
        known = {level.label: code for code, level in enumerate(self.levels)}
        unknown = known.get(None, 0)
        return np.array([known.get(None if pd.isna(v) else str(v), unknown) for v in values], dtype=np.int64)

    def values(self, levels: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """What the positions stand for: the interpolated quantile function of each row's level (NaN if it has none)."""
        out = np.full(len(levels), np.nan)
        for code, knots in enumerate(self.knots):
            rows = np.flatnonzero(levels == code)
            if len(rows) and len(knots):
                found = np.interp(positions[rows] * (len(knots) - 1), np.arange(len(knots)), knots)
                distinct = np.unique(knots)
                if self.heaps and len(distinct) > 1:
                    right = np.searchsorted(distinct, found).clip(1, len(distinct) - 1)
                    nearer = found - distinct[right - 1] < distinct[right] - found
                    nearest = np.where(nearer, distinct[right - 1], distinct[right])
                    found = np.where(np.isin(nearest, self.heaps), nearest, found)
                out[rows] = found
        return out

    def shares(self, levels: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The positions of `low` and `high` in each row's level: the part of it that lies between them."""
        bottom, top = np.zeros(len(levels)), np.ones(len(levels))
        for code, knots in enumerate(self.knots):
            rows = np.flatnonzero(levels == code)
            if len(rows) and len(knots) > 1 and knots[-1] > knots[0]:
                along = np.linspace(0, 1, len(knots))
                bottom[rows], top[rows] = np.interp(low[rows], knots, along), np.interp(high[rows], knots, along)
        return bottom, np.maximum(bottom, top)

    def recorded(self, values: np.ndarray) -> np.ndarray:
        """Values with the recording grain, the recorded number of digits and the limits put back."""
        kept, values = values, np.rint(values / self.grain) * self.grain if self.grain else values
        if self.low is not None or self.high is not None:
            values = np.clip(values, self.low, self.high)
        return np.where(np.isin(kept, self.points), kept, significant(values, self.digits))


@dataclass(frozen=True)
class Coded:
    """Codes of patients: `levels` (patients, variables) int64 and `positions` (patients, variables) in [0, 1]."""

    levels: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class Encoding:
    """All variables in the order in which they are generated, endpoints last.

    states: the combinations of endpoint states that training patients show, (combinations, endpoints) of text.
    """

    variables: tuple[Variable, ...]
    states: tuple[tuple[str, ...], ...]

    @property
    def endpoints(self) -> list[int]:
        """Positions of the survival variables."""
        return [i for i, variable in enumerate(self.variables) if variable.kind == "survival"]

    @property
    def sizes(self) -> np.ndarray:
        """(variables,) number of levels."""
        return np.array([len(variable.levels) for variable in self.variables])

    # ---------------------------------------------------------------- coding

    def encode(self, clinical: pd.DataFrame) -> Coded:
        """Code patients. A category that the encoding does not know is coded as missing, or else as the first one."""
        shape = (len(clinical), len(self.variables))
        levels, positions = np.zeros(shape, dtype=np.int64), np.full(shape, 0.5)
        for i, variable in enumerate(self.variables):
            if variable.kind == "level":
                levels[:, i] = variable.codes(clinical[variable.name])
            elif variable.kind == "number":
                values = clinical[variable.name].to_numpy("float64")
                levels[:, i], positions[:, i] = encode_number(variable, values)
            else:
                coded = _encode_survival(variable, *_place(variable, self.variables, clinical))
                levels[:, i], positions[:, i] = coded
        return Coded(levels, positions)

    def decode(self, coded: Coded, schema: Schema) -> pd.DataFrame:
        """The clinical table of `coded`, index S000001...; columns that are not coded (derived ones) are missing.

        Raises:
            InputError: the schema lacks a column that the generator was fitted on.
        """
        n = len(coded.levels)
        ids = synthetic_ids(n)
        columns: dict[str, Any] = {}
        for variable, levels, positions in zip(self.variables, coded.levels.T, coded.positions.T, strict=True):
            for name in variable.columns:
                if name not in schema.columns:
                    raise InputError(
                        f"cohort {schema.cohort}: column {name} of the fitted generator is not in its schema"
                    )
            if variable.kind == "level":
                labels = np.array([level.label for level in variable.levels], dtype=object)
                columns[variable.name] = pd.Series(labels[levels], index=ids, dtype="object")
            elif variable.kind == "number":
                columns[variable.name] = variable.round_as_recorded(variable.values(levels, positions))
        follow_up = FollowUp(self, n)
        for i in self.endpoints:
            follow_up.add(i, coded.levels[:, i], coded.positions[:, i])
        columns |= follow_up.columns
        for name, column in schema.columns.items():
            if name not in columns:
                if column.derived is None:
                    raise InputError(
                        f"cohort {schema.cohort}: column {name} was not there when the generator was fitted"
                    )
                columns[name] = pd.Series(np.nan if column.numeric else None, index=ids, dtype="object")
        return set_types(pd.DataFrame(columns, index=ids), schema)

    # ------------------------------------------------- smooth functions of the levels

    def basis(self, i: int, order: int = 5) -> np.ndarray:
        """Smooth functions of the levels of variable i, (levels, functions).

        Levels that lie in an order (bins of a number, of a time) share cosines of their rank up to `order`; places,
        events, categories, missing and atoms of large mass have indicators of their own.
        """
        variable = self.variables[i]
        functions: list[np.ndarray] = []
        groups: dict[str, list[int]] = {}
        for code, level in enumerate(variable.levels):
            ordered = level.place in ("atom", "bin")
            name = "value" if ordered else f"{level.state}{level.label or ''}"
            groups.setdefault(name, []).append(code)
        size = len(variable.levels)
        for codes in groups.values():
            if len(groups) > 1:
                functions.append(np.isin(np.arange(size), codes).astype(float))
            rank = (np.arange(len(codes)) + 0.5) / len(codes)
            for k in range(1, min(order, len(codes) - 1) + 1):
                wave = np.zeros(size)
                wave[codes] = np.cos(np.pi * k * rank)
                functions.append(wave)
        for code, level in enumerate(variable.levels):
            if level.place == "atom" and size > order + 2:
                functions.append((np.arange(size) == code).astype(float))
        return np.stack(functions or [np.zeros(size)], axis=1)

    def features(self, i: int, coded: Coded) -> np.ndarray:
        """What trees see of variable i, (patients, features): indicators, ranks and events; missing is -1."""
        variable, levels, positions = self.variables[i], coded.levels[:, i], coded.positions[:, i]
        if variable.kind == "level":
            codes = range(len(variable.levels) - 1 if len(variable.levels) == 2 else len(variable.levels))
            return np.stack([levels == code for code in codes], axis=1).astype(float)
        if variable.kind == "number":
            return np.where(variable.missing[levels], -1.0, levels + positions)[:, None]
        places = list(dict.fromkeys(level.place for level in variable.levels))
        place = np.array([places.index(level.place) for level in variable.levels])[levels]
        value = variable.values(levels, positions)
        return np.stack([_events(variable, levels, -1.0), place, np.where(np.isnan(value), -1.0, value)], axis=1)

    def targets(self, i: int, coded: Coded) -> np.ndarray:
        """What trees that predict variable i part, (patients, targets): indicators, and ranks scaled to variance 1."""
        variable, levels, positions = self.variables[i], coded.levels[:, i], coded.positions[:, i]
        if variable.kind == "level":
            return np.stack([levels == code for code in range(len(variable.levels))], axis=1).astype(float)
        states = list(dict.fromkeys(level.state for level in variable.levels))
        if variable.kind == "number":
            states, rank = ["missing"], np.where(variable.missing[levels], np.nan, levels + positions)
        else:
            value = pd.Series(variable.values(levels, positions))
            rank = value.rank(pct=True).to_numpy()
        of_level = np.array([level.state for level in variable.levels])[levels]
        parts = [(of_level == state).astype(float) for state in states]
        spread = np.nanstd(rank)
        if spread > 0:
            parts.append(np.nan_to_num((rank - np.nanmean(rank)) / spread))
        return np.stack(parts, axis=1)

    # ---------------------------------------------------------------- files

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and plain data from which `Encoding.load` makes the same encoding."""
        knots = [k for variable in self.variables for k in variable.knots]
        arrays = {
            "encoding.knots": np.concatenate([*knots, np.empty(0)]),
            "encoding.knot_counts": np.array([len(k) for k in knots], dtype=np.int64),
            "encoding.starts": np.array([v.start(code) for v in self.variables for code in range(len(v.levels))]),
        }
        plain = []
        for variable in self.variables:
            entry = asdict(variable)
            del entry["knots"], entry["starts"]
            entry["columns"] = list(variable.columns)
            entry["heaps"] = list(variable.heaps)
            entry["points"] = list(variable.points)
            entry["levels"] = [[level.place, level.event, level.label] for level in variable.levels]
            plain.append(entry)
        return arrays, {"variables": plain, "states": [list(state) for state in self.states]}

    @staticmethod
    def load(arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> Encoding:
        """The encoding that `save` wrote."""
        counts = arrays["encoding.knot_counts"]
        knots = iter(np.split(arrays["encoding.knots"], np.cumsum(counts)[:-1]))
        starts = iter(arrays["encoding.starts"].tolist())
        variables = []
        for entry in plain["variables"]:
            levels = tuple(Level(*level) for level in entry["levels"])
            variables.append(
                Variable(
                    **{
                        **entry,
                        "columns": tuple(entry["columns"]),
                        "heaps": tuple(entry["heaps"]),
                        "points": tuple(entry["points"]),
                        "levels": levels,
                        "knots": tuple(next(knots) for _ in levels),
                        "starts": tuple(next(starts) for _ in levels),
                    }
                )
            )
        return Encoding(tuple(variables), tuple(tuple(state) for state in plain["states"]))


# -------------------------------------------------------------------- follow-up


class FollowUp:
    """Survival of n patients as it is decoded, endpoint by endpoint in the order of the encoding.

    `permitted` says which levels of the next endpoint go with what was added before it; `add` adds it.
    """

    def __init__(self, encoding: Encoding, n: int) -> None:
        self.encoding = encoding
        self.columns: dict[str, np.ndarray] = {}
        self._times: dict[str, np.ndarray] = {}
        self._alive = np.ones((n, len(encoding.states)), dtype=bool)

    def permitted(self, i: int) -> np.ndarray:
        """(patients, levels) which levels of endpoint i fit the times so far and states that training patients show."""
        variable = self.encoding.variables[i]
        own = np.array([level.state for level in variable.levels])
        of_state = self._states(i)[:, None] == own[None]
        fits = np.asarray((self._alive.astype(np.float32) @ of_state.astype(np.float32)) > 0)
        if i == self.encoding.endpoints[0]:
            return fits
        room = np.ones_like(fits)
        step = variable.grain or 0.0
        for code, level in enumerate(variable.levels):
            if level.place in ("before", "between", "after"):
                low, high = self._stretch(variable, level.place)
                first = np.maximum(variable.knots[code][0], step)
                room[:, code] = (high - low > 1.5 * step) & (first < high - low - 0.5 * step)
            elif level.place != "missing" and variable.high is not None:
                room[:, code] = self._at(level.place) <= variable.high
        strict = fits & room
        # A follow-up of a day or two may leave no room; times are then held inside it by `add`.
        return np.where(strict.any(axis=1, keepdims=True), strict, fits)

    def add(self, i: int, levels: np.ndarray, positions: np.ndarray) -> None:
        """Add endpoint i: its level and position for every patient."""
        variable = self.encoding.variables[i]
        step = variable.grain or 0.0
        own = np.array([level.state for level in variable.levels])[levels]
        self._alive &= self._states(i)[None] == own[:, None]
        place = np.array([level.place for level in variable.levels])[levels]
        if i == self.encoding.endpoints[0]:
            time = variable.round_as_recorded(variable.values(levels, positions))
            time = significant(np.maximum(time, step), variable.digits)
        else:
            end = self._times[self.encoding.variables[self.encoding.endpoints[0]].name]
            time = np.full(len(levels), np.nan)
            for where in ("before", "between", "after"):
                rows = place == where
                if not rows.any():
                    continue
                low, high = (side[rows] for side in self._stretch(variable, where))
                bottom, top = variable.shares(levels[rows], np.zeros_like(low), high - low)
                value = variable.values(levels[rows], bottom + positions[rows] * (top - bottom)) + low
                if step:
                    value = np.rint(value / step) * step
                value = np.maximum(np.minimum(value, high - step), low + step)
                time[rows] = np.clip(value, min(step, SAME_TIME), np.maximum(end[rows] - step, step))
            time = np.minimum(significant(time, variable.digits), end)
            for where in dict.fromkeys(level.place for level in variable.levels):
                if where == "end" or where.startswith("with:"):
                    time[place == where] = self._at(where)[place == where]
            if variable.high is not None:
                time = np.minimum(time, variable.high)
        self._times[variable.name] = time
        self.columns[f"{variable.name}_time"] = time
        self.columns[f"{variable.name}_event"] = _events(variable, levels)

    def _states(self, i: int) -> np.ndarray:
        column = self.encoding.endpoints.index(i)
        return np.array([combination[column] for combination in self.encoding.states])

    def _at(self, place: str) -> np.ndarray:
        name = self.encoding.variables[self.encoding.endpoints[0]].name if place == "end" else place[len("with:") :]
        return self._times[name]

    def _stretch(self, variable: Variable, place: str) -> tuple[np.ndarray, np.ndarray]:
        end = self._times[self.encoding.variables[self.encoding.endpoints[0]].name]
        reference = self._times[variable.reference] if variable.reference else end
        start = np.zeros_like(end)
        return {"before": (start, reference), "after": (reference, end), "between": (start, end)}[place]


# -------------------------------------------------------------------- learning


def learn(train: Cohort, bins: int, first: Sequence[str] = ()) -> Encoding:
    """Learn the encoding from training patients.

    Args:
        bins: quantile bins of a number or time, fewer where there are fewer than `LEAST_BIN` patients to a bin.
        first: columns that are generated before the others, in this order.

    Raises:
        InputError: there are no training patients.
    """
    if not len(train):
        raise InputError(f"cohort {train.schema.cohort}: no training patients; a generator needs some")
    schema, clinical = train.schema, train.clinical
    plain = [name for name in schema.recorded if name not in schema.survival]
    order = [name for name in first if name in plain] + [name for name in plain if name not in first]
    variables: list[Variable] = []
    for name in order:
        column, values = schema.columns[name], clinical[name]
        if column.numeric:
            variables.append(_learn_number(name, values.to_numpy("float64"), bins, train))
        else:
            present = [c for c in values.cat.categories if (values == c).any()]
            levels = [Level("missing")] * bool(values.isna().any()) + [Level("category", label=c) for c in present]
            variables.append(Variable(name, "level", (name,), tuple(levels), tuple(np.empty(0) for _ in levels)))
    survival: list[Variable] = []
    if schema.endpoints:
        survival.append(_learn_primary(schema.endpoints[0], bins, train))
        end = clinical[f"{schema.endpoints[0]}_time"]
        delay = {e: float((clinical[f"{e}_time"] / end).median()) for e in schema.endpoints[1:]}
        for endpoint in sorted(delay, key=lambda e: (np.nan_to_num(delay[e], nan=2.0), schema.endpoints.index(e))):
            survival.append(_learn_secondary(endpoint, tuple(survival), train, bins))
    encoding = Encoding((*variables, *survival), ())
    coded = encoding.encode(clinical).levels[:, len(variables) :]
    states = {tuple(v.levels[code].state for v, code in zip(survival, row, strict=True)) for row in coded if survival}
    return Encoding(encoding.variables, tuple(sorted(states)))


def significant(values: np.ndarray, digits: int | None) -> np.ndarray:
    """Values rounded to so many significant digits (None: as they are)."""
    if digits is None:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    places = digits - 1 - np.where(np.isfinite(exponent), exponent, 0)
    # Powers of ten with non-negative exponent are exact, so 0.1 comes back as 0.1.
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    return np.asarray(np.rint(values * up / down) / up * down)


def _digits(values: np.ndarray) -> int | None:
    for digits in range(1, 13):
        if np.allclose(values, significant(values, digits), rtol=1e-13, atol=0):
            return digits
    return None


def _knots(groups: Sequence[np.ndarray], heaps: np.ndarray) -> list[np.ndarray]:
    """Knots of the quantile function of each group of sorted values, parts of one smooth function of all of them.

    Where some values of a group are heaps, these stay, as wide as they are, and the others lie evenly between them.
    """
    if not groups:
        return []
    values = np.concatenate(groups)
    places = np.cumsum([0, *(len(group) for group in groups)]) / len(values)
    found = []
    for group, (low, high) in zip(groups, pairwise(places), strict=True):
        steps = int(np.clip(STEPS * len(group) // LEAST_PIECE, STEPS, MAX_KNOTS))
        curve = quantiles(values, np.linspace(low, high, steps + 1))
        kept = np.isin(group, heaps)
        if kept.any():
            rank = np.linspace(0, 1, len(group))
            level = np.where(kept, group, np.nan)
            level[0], level[-1] = (group[0] if kept[0] else curve[0]), (group[-1] if kept[-1] else curve[-1])
            level = np.maximum.accumulate(np.interp(rank, rank[~np.isnan(level)], level[~np.isnan(level)]))
            curve = np.interp(np.linspace(0, 1, min(len(group), MAX_KNOTS)), rank, level)
        found.append(np.asarray(curve))
    return found


def _starts(groups: Sequence[np.ndarray]) -> list[float]:
    """Where each group begins: half way from the one before."""
    return [-np.inf, *((left[-1] + right[0]) / 2 for left, right in pairwise(groups))][: len(groups)]


def _bin(values: np.ndarray, bins: int) -> list[np.ndarray]:
    """Values in quantile groups that do not overlap, in order."""
    if not len(values):
        return []
    bins = max(1, min(bins, len(values) // LEAST_BIN))
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    group = np.searchsorted(edges, values, side="right")
    return [np.sort(values[group == g]) for g in np.unique(group)]


def _learn_number(name: str, values: np.ndarray, bins: int, train: Cohort) -> Variable:
    column = train.schema.columns[name]
    observed = values[~np.isnan(values)]
    distinct, counts = np.unique(observed, return_counts=True)
    target = max(2, min(bins, len(observed) // 12))
    few = min(LEAST_SHARED, 1 + int(LARGEST_EDGE * len(observed)))
    apart = stands_out(distinct, counts, column.grain)
    large = counts >= max(3, 0.6 * len(observed) / target)
    # A limit of detection, or a value off the resolution such as an imputed mean, is one value and no part of a curve.
    masses = [*column.points, *(limit for limits in column.detection.values() for limit in limits)]
    told = np.isin(distinct, masses) & (counts >= few)
    atoms = distinct[told | (large & (apart | (counts >= LEAST_PIECE)))] if len(distinct) > 1 else distinct
    rest = observed[~np.isin(observed, atoms)]
    if len(observed) > 2 * few:
        ordered = np.sort(observed)
        rest = np.clip(rest, ordered[few - 1 : few + 1].mean(), ordered[-few - 1 :][:2].mean())
    heaps = distinct[(counts >= few) & (apart | told)]
    groups = _bin(rest, min(bins, round(bins * len(rest) / max(len(observed), 1))))
    parts = [("atom", float(atom), np.array([atom])) for atom in atoms]
    parts += [("bin", *part) for part in zip(_starts(groups), _knots(groups, heaps), strict=True)]
    parts.sort(key=lambda part: float(part[2].mean()))
    missing = bool(np.isnan(values).any())
    levels = [Level("missing")] * missing + [Level(place) for place, _, _ in parts]
    starts = [np.nan] * missing + [start for _, start, _ in parts]
    knots = [np.empty(0)] * missing + [knots for *_, knots in parts]
    return Variable(
        name, "number", (name,), tuple(levels), tuple(knots), column.grain,
        _digits(distinct) if len(distinct) else None,
        heaps=tuple(float(value) for value in heaps), low=column.low, high=column.high, points=column.points,
        starts=tuple(starts),
    )  # fmt: skip


def _learn_primary(endpoint: str, bins: int, train: Cohort) -> Variable:
    time, event = _pair(endpoint, train.clinical)
    column = train.schema.columns[f"{endpoint}_time"]
    levels = [Level("missing")] * bool(np.isnan(time).any())
    knots, starts = [np.empty(0)] * len(levels), [np.nan] * len(levels)
    for value in (0, 1):
        groups = _bin(time[event == value], bins)
        levels += [Level("time", event=value)] * len(groups)
        knots += _knots(groups, np.empty(0))
        starts += _starts(groups)
    known = time[~np.isnan(time)]
    return Variable(
        endpoint, "survival", (f"{endpoint}_time", f"{endpoint}_event"), tuple(levels), tuple(knots), column.grain,
        _digits(known), low=column.low, high=column.high, starts=tuple(starts),
    )  # fmt: skip


def _learn_secondary(endpoint: str, earlier: tuple[Variable, ...], train: Cohort, bins: int) -> Variable:
    clinical = train.clinical
    time, _ = _pair(endpoint, clinical)
    column = train.schema.columns[f"{endpoint}_time"]
    end, _ = _pair(earlier[0].name, clinical)
    reference, best = None, 0.0
    coincide = []
    for other in earlier[1:]:
        at, _ = _pair(other.name, clinical)
        both = (time < end * (1 - SAME_TIME)) & (at < end * (1 - SAME_TIME))
        same = both & (np.abs(time - at) <= SAME_TIME * end)
        if same.sum() >= LEAST_EQUAL:
            coincide.append(other.name)
        before, after = (both & ~same & (time < at)).sum(), (both & ~same & (time > at)).sum()
        # The most informative order: almost always before, or almost always after.
        if abs(before - after) > best:
            reference, best = other.name, float(abs(before - after))
    known = time[~np.isnan(time)]
    draft = Variable(
        endpoint, "survival", (f"{endpoint}_time", f"{endpoint}_event"),
        tuple(Level(f"with:{name}") for name in coincide), (), earlier[0].grain,
        _digits(known) if len(known) else None, low=column.low, high=column.high, reference=reference,
    )  # fmt: skip
    place, event, value, _ = _place(draft, earlier, clinical)
    levels: list[Level] = []
    knots: list[np.ndarray] = []
    starts: list[float] = []
    for where in ("missing", "end", *(f"with:{name}" for name in coincide), "before", "between", "after"):
        for happened in (0, 1) if where != "missing" else (None,):
            rows = (place == where) & (True if happened is None else event == happened)
            if not rows.any():
                continue
            if where in ("before", "between", "after"):
                groups = _bin(value[rows], min(bins, MAX_BINS_BETWEEN))
                levels += [Level(where, event=happened)] * len(groups)
                knots += _knots(groups, np.empty(0))
                starts += _starts(groups)
            else:
                levels.append(Level(where, event=happened))
                knots.append(np.empty(0))
                starts.append(np.nan)
    return Variable(
        endpoint, "survival", draft.columns, tuple(levels), tuple(knots), draft.grain, draft.digits, low=draft.low,
        high=draft.high, reference=reference, starts=tuple(starts),
    )  # fmt: skip


# -------------------------------------------------------------------- coding one variable


def _pair(endpoint: str, clinical: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Time and event of an endpoint; both missing where one is."""
    time = clinical[f"{endpoint}_time"].to_numpy("float64", copy=True)
    event = clinical[f"{endpoint}_event"].to_numpy("float64", copy=True)
    unknown = np.isnan(time) | np.isnan(event)
    time[unknown], event[unknown] = np.nan, np.nan
    return time, event


def _events(variable: Variable, levels: np.ndarray, missing: float = np.nan) -> np.ndarray:
    return np.asarray(
        np.array([missing if level.event is None else float(level.event) for level in variable.levels])[levels]
    )


def _position(knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    if len(knots) < 2:
        return np.full(len(values), 0.5)
    left, right = np.searchsorted(knots, values, "left"), np.searchsorted(knots, values, "right")
    between = np.interp(values, knots, np.arange(len(knots)))
    return np.where(right > left, (left + right - 1) / 2, between) / (len(knots) - 1)


def encode_number(variable: Variable, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    levels, positions = np.zeros(len(values), dtype=np.int64), np.full(len(values), 0.5)
    bins = [code for code, level in enumerate(variable.levels) if level.place == "bin"]
    atoms = [code for code, level in enumerate(variable.levels) if level.place == "atom"]
    known = ~np.isnan(values)
    if bins:
        starts = np.array([variable.start(code) for code in bins])
        levels[known] = np.array(bins)[(np.searchsorted(starts, values[known], "right") - 1).clip(0)]
    elif atoms:
        points = np.array([variable.knots[code][0] for code in atoms])
        nearest = np.abs(values[known][:, None] - points[None]).argmin(axis=1)
        levels[known] = np.array(atoms)[nearest]
    for code in atoms:
        levels[values == variable.knots[code][0]] = code
    for code in bins:
        rows = known & (levels == code)
        positions[rows] = _position(variable.knots[code], values[rows])
    # A patient without a value, where no training patient lacked it, gets the middle level.
    empty = np.flatnonzero(variable.missing)
    levels[~known] = empty[0] if len(empty) else len(variable.levels) // 2
    return levels, positions


def _place(
    variable: Variable, variables: Sequence[Variable], clinical: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where an endpoint lies in the follow-up: place, event, months inside its stretch, and that stretch's length."""
    time, event = _pair(variable.name, clinical)
    primary = next(v for v in variables if v.kind == "survival").name
    end, _ = _pair(primary, clinical)
    known = ~np.isnan(time) & ~np.isnan(end)
    place = np.where(known, "between", "missing").astype(object)
    if variable.name == primary:
        place[known] = "time"
        return place, event, time, np.full(len(time), np.inf)
    value, length = time.copy(), end.copy()
    if variable.reference is not None:
        at, _ = _pair(variable.reference, clinical)
        inside = known & (at < end * (1 - SAME_TIME))
        before, after = inside & (time <= at), inside & (time > at)
        place[before], place[after] = "before", "after"
        length[before], length[after] = at[before], (end - at)[after]
        value[after] = (time - at)[after]
    for level in variable.levels:
        if level.place.startswith("with:"):
            at, _ = _pair(level.place.removeprefix("with:"), clinical)
            same = known & (at < end * (1 - SAME_TIME)) & (np.abs(time - at) <= SAME_TIME * end)
            place[same] = level.place
    place[known & (time >= end * (1 - SAME_TIME))] = "end"
    return place, event, value, length


def _encode_survival(
    variable: Variable, place: np.ndarray, event: np.ndarray, value: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n = len(place)
    levels, positions = np.zeros(n, dtype=np.int64), np.full(n, 0.5)
    state = np.where(
        place == "missing",
        "missing",
        [f"{p}/{0 if np.isnan(e) else int(e)}" for p, e in zip(place, event, strict=True)],
    )
    names = [level.state for level in variable.levels]
    for name in dict.fromkeys(names):
        codes = np.array([code for code, other in enumerate(names) if other == name])
        rows = np.flatnonzero(state == name)
        levels[rows] = codes[0]
        if len(codes) and len(variable.knots[codes[0]]):
            starts = np.array([variable.start(code) for code in codes])
            levels[rows] = codes[(np.searchsorted(starts, value[rows], "right") - 1).clip(0)]
            for code in codes:
                own = rows[levels[rows] == code]
                bottom, top = variable.shares(levels[own], np.zeros(len(own)), length[own])
                share = (_position(variable.knots[code], value[own]) - bottom) / np.where(top > bottom, top - bottom, 1)
                positions[own] = share.clip(0, 1)
    return levels, positions
