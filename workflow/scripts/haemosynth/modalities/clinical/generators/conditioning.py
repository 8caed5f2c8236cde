"""What a study may ask of every clinical generator: columns to condition on, only such patients, no missing values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, Variable, encode_number

BATCHES = 200  # of patients, drawn at most while events that are asked for are collected


@dataclass(frozen=True)
class Conditions:
    """`first`: columns generated before the others; `where`: column -> level, number or event; `completed`."""

    first: tuple[str, ...]
    where: Mapping[str, str | float]
    completed: bool

    def plain(self) -> dict[str, Any]:
        """Plain data from which `load` makes the same conditions."""
        return {"first": list(self.first), "where": dict(self.where), "completed": self.completed}

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Conditions:
        """The conditions that `plain` wrote."""
        return Conditions(tuple(plain["first"]), dict(plain["where"]), bool(plain["completed"]))

    def permit(self, encoding: Encoding, i: int) -> np.ndarray:
        """(levels,) which levels of variable i may be sampled."""
        variable = encoding.variables[i]
        missing = variable.missing
        good = ~missing if self.completed and not missing.all() else np.ones(len(missing), dtype=bool)
        for column, wanted in self.where.items():
            if column not in variable.columns:
                continue
            if variable.kind == "level":
                good &= np.array([level.label == wanted for level in variable.levels])
            elif variable.kind == "number":
                code = encode_number(variable, np.array([float(wanted)]))[0][0]
                good = np.arange(len(missing)) == code
        return good

    def asks(self, variable: Variable) -> bool:
        """Whether a level or number of this column is asked for."""
        return variable.kind != "survival" and variable.name in self.where

    def collect(self, encoding: Encoding, n: int, draw: Callable[[int], Coded]) -> Coded:
        """n patients from `draw` with the events that are asked for: others are rejected.

        Raises:
            InputError: after `BATCHES` batches of n (at least 200) there are still too few.
        """
        events = {
            i: np.array(
                [
                    level.event == self.where[f"{encoding.variables[i].name}_event"]
                    for level in encoding.variables[i].levels
                ]
            )
            for i in encoding.endpoints
            if f"{encoding.variables[i].name}_event" in self.where
        }
        if not events:
            return draw(n)
        kept: list[Coded] = []
        for _ in range(BATCHES):
            coded = draw(max(n, 200))
            good = np.all([right[coded.levels[:, i]] for i, right in events.items()], axis=0)
            kept.append(Coded(coded.levels[good], coded.positions[good]))
            if sum(len(part.levels) for part in kept) >= n:
                return Coded(
                    np.concatenate([part.levels for part in kept])[:n],
                    np.concatenate([part.positions for part in kept])[:n],
                )
        raise InputError(f"where: {dict(self.where)}: hardly any sampled patient has these events; ask for fewer")

    def clamp(self, encoding: Encoding, i: int, levels: np.ndarray, positions: np.ndarray) -> None:
        """Set the position of a number that is asked for (its level is already permitted alone)."""
        variable = encoding.variables[i]
        if variable.kind == "number" and variable.name in self.where:
            level, position = encode_number(variable, np.array([float(self.where[variable.name])]))
            levels[:, i], positions[:, i] = level[0], position[0]

    def exact(self, clinical: pd.DataFrame) -> pd.DataFrame:
        """The table with the very numbers that were asked for."""
        numbers = {
            name: float(value)
            for name, value in self.where.items()
            if not isinstance(clinical[name].dtype, pd.CategoricalDtype)
        }
        return clinical.assign(**{name: value for name, value in numbers.items() if not name.endswith("_event")})


def check_conditions(settings: Mapping[str, Any], train: Cohort) -> Conditions:
    """Check the settings `condition`, `where` and `missing` against the cohort.

    Raises:
        InputError: an unknown or derived column, a level that no training patient has, a number outside the range of
            training patients, a time, or a word for `missing` other than learned and completed.
    """
    schema, name = train.schema, train.schema.cohort
    if settings["missing"] not in ("learned", "completed"):
        raise InputError(f"cohort {name}: missing is {settings['missing']!r}; expected learned or completed")
    where: dict[str, str | float] = {}
    for key in ("where", "condition"):
        for column in settings[key]:
            if column not in schema.columns:
                raise InputError(
                    f"cohort {name}: {key} names the column {column}, which is not in the table; "
                    f"expected one of {', '.join(schema.columns)}"
                )
            if schema.columns[column].derived is not None:
                raise InputError(
                    f"cohort {name}: {key} names the derived column {column}; name the columns it is derived from"
                )
            if key == "condition" and column in schema.survival:
                raise InputError(
                    f"cohort {name}: condition names {column}; outcomes follow the record, not the reverse"
                )
    for column, wanted in settings["where"].items():
        values, kind = train.clinical[column], schema.columns[column]
        if column in schema.survival and kind.kind == "time":
            raise InputError(f"cohort {name}: where names the time {column}; expected an event or another column")
        if kind.numeric:
            try:
                number = float(wanted)
            except (TypeError, ValueError):
                raise InputError(f"cohort {name}: where: {column}: {wanted!r} is not a number") from None
            if not values.min() <= number <= values.max():
                raise InputError(
                    f"cohort {name}: where: {column}: {number:g} is outside the range of training patients, "
                    f"{values.min():g} to {values.max():g}"
                )
            if kind.kind == "event" and not (values == number).any():
                raise InputError(f"cohort {name}: where: {column}: no training patient has the event {wanted}")
            where[column] = number
        else:
            levels = [level for level in values.cat.categories if (values == level).any()]
            if str(wanted) not in levels:
                raise InputError(
                    f"cohort {name}: where: {column}: no training patient learned from has the level {wanted!r}; "
                    f"expected one of {', '.join(levels)}"
                )
            where[column] = str(wanted)
    fixed = [column for column in where if column not in schema.survival]
    first = tuple(dict.fromkeys([*fixed, *settings["condition"]]))
    return Conditions(first, where, settings["missing"] == "completed")
