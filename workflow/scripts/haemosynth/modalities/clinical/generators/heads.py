"""Coded patients for networks: what goes in, and one head of levels for each column.

A column's level goes in as the smooth functions of `Encoding.basis`, and a head moves the column's marginal
distribution along the same functions. So a network that says nothing draws every column on its own, as training
patients have it. Columns are padded to the widest one, so that all of them are computed at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Schema
from haemosynth.core.streams import one_of_each
from haemosynth.generate import at_most
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.rare import without_rare_levels
from haemosynth.modalities.clinical.generators.conditioning import Conditions, check_conditions
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, FollowUp, learn

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Heads:
    """Padded shapes of the columns of an encoding.

    columns, levels, functions: numbers of columns, and of levels and functions of the widest one. inputs: columns times
    functions. basis: (columns, levels, functions). there: (columns, levels), whether a column has this level.
    """

    def __init__(self, encoding: Encoding, order: int) -> None:
        import torch

        parts = [encoding.basis(i, order) for i in range(len(encoding.sizes))]
        self.columns, self.levels = len(parts), max(len(part) for part in parts)
        self.functions = max(part.shape[1] for part in parts)
        self.inputs = self.columns * self.functions
        padded = np.zeros((self.columns, self.levels, self.functions), dtype=np.float32)
        for i, part in enumerate(parts):
            padded[i, : part.shape[0], : part.shape[1]] = part
        self.basis = torch.tensor(padded)
        self.there = torch.tensor(np.arange(self.levels)[None] < encoding.sizes[:, None])

    def marginals(self, levels: np.ndarray) -> np.ndarray:
        """(columns, levels) log share of every level among patients, with half a patient added; -inf where there is
        no such level."""
        counts = np.stack([np.bincount(column, minlength=self.levels) for column in levels.T]) + 0.5
        counts = np.where(self.there.numpy(), counts, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)), dtype=np.float32)

    def features(self, levels: Tensor) -> Tensor:
        """(patients, columns) levels -> (patients, columns, functions)."""
        import torch

        return self.basis[torch.arange(self.columns), levels]

    def mixed(self, shares: Tensor) -> Tensor:
        """The features of levels in these shares: (patients, columns, levels) -> (patients, columns, functions)."""
        import torch

        return torch.bmm(shares.transpose(0, 1), self.basis).transpose(0, 1)

    def logits(self, tilt: Tensor, base: Tensor) -> Tensor:
        """The marginal log shares `base` moved along the functions: (patients, columns * functions) coefficients ->
        (patients, columns, levels), -inf where there is no such level."""
        import torch

        moved = tilt.reshape(len(tilt), self.columns, self.functions).transpose(0, 1)
        return torch.bmm(moved, self.basis.transpose(1, 2)).transpose(0, 1) + base


@dataclass(frozen=True)
class Training:
    """Training patients coded for a network.

    patients: their number. left_out: rare levels that nobody keeps. levels: (patients, columns). base: see
    `Heads.marginals`.
    """

    patients: int
    left_out: list[str]
    conditions: Conditions
    encoding: Encoding
    levels: np.ndarray
    heads: Heads
    base: np.ndarray

    def fitted(
        self, name: str, shapes: Mapping[str, Any], weights: Sequence[np.ndarray], settings: Mapping[str, Any],
        history: pd.DataFrame,
    ) -> Fitted:  # fmt: skip
        """What is saved of a network: `name`.weight for each of `shapes`, and the settings that its shapes follow."""
        arrays, description = self.encoding.save()
        arrays |= {f"{name}.{part}": weight for part, weight in zip(shapes, weights, strict=True)}
        arrays["base"] = self.base
        plain = {
            "encoding": description,
            "patients": self.patients,
            "left_out": self.left_out,
            "parameters": sum(int(np.prod(shape)) for shape in shapes.values()),
            "network": dict(settings),
            **self.conditions.plain(),
        }
        return Fitted(arrays, plain, history)


def code(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Training:
    """Code training patients, of whom `patients` are drawn where there are more; levels of few patients are left out.

    Raises:
        InputError: a setting that names an unknown column or level.
    """
    train = at_most(train, int(settings["patients"]), rng)
    train, left_out = without_rare_levels(train, int(settings["fewest"]), rng)
    conditions = check_conditions(settings, train)
    encoding = learn(train, int(settings["bins"]), conditions.first)
    levels = encoding.encode(train.clinical).levels
    heads = Heads(encoding, int(settings["order"]))
    return Training(len(train), left_out, conditions, encoding, levels, heads, heads.marginals(levels))


def collect(
    encoding: Encoding, conditions: Conditions, schema: Schema, n: int, draw: Callable[[int], Coded]
) -> pd.DataFrame:
    """n patients, decoded, of those that `draw` makes and that have the events which are asked for.

    Raises:
        InputError: the schema and the fitted generator name different columns, or hardly any sampled patient has an
            event that `where` asks for.
    """
    return conditions.exact(encoding.decode(conditions.collect(encoding, n, draw), schema))


def start(shapes: Mapping[str, tuple[int, ...]], generator: Generator, still: tuple[str, ...] = ()) -> list[Tensor]:
    """Starting weights in the order of `shapes`: normal, with the variance of one over the inputs of a layer.

    Biases (one dimension) and those named `still` start at 0.
    """
    import torch

    found = []
    for name, shape in shapes.items():
        if len(shape) == 1 or name in still:
            part = torch.zeros(shape)
        else:
            part = torch.randn(shape, generator=generator) / math.sqrt(shape[-2])
        found.append(part.requires_grad_(True))
    return found


class Drawing:
    """Levels and positions of n patients as columns are drawn one by one; endpoints in their order, and coupled.

    Positions are uniform: a number lies anywhere in its piece of the quantile function.
    """

    def __init__(self, encoding: Encoding, conditions: Conditions, n: int, rng: np.random.Generator) -> None:
        self.encoding, self.conditions, self.rng = encoding, conditions, rng
        self.levels = np.zeros((n, len(encoding.variables)), dtype=np.int64)
        self.positions = rng.random(self.levels.shape)
        self._follow_up = FollowUp(encoding, n)

    def draw(self, i: int, probability: Any) -> np.ndarray:
        """Draw column i from (patients, levels) probabilities, of the levels that are permitted; (patients,) levels."""
        variable, n = self.encoding.variables[i], len(self.levels)
        chance = np.asarray(probability, dtype=np.float64)[:, : len(variable.levels)]
        right = np.broadcast_to(self.conditions.permit(self.encoding, i), chance.shape)
        if variable.kind == "survival":
            both = right & self._follow_up.permit(i)
            right = np.where(both.any(axis=1, keepdims=True), both, right)
        # The tiny share keeps a draw possible where a network gives what is permitted no chance at all.
        self.levels[:, i] = one_of_each(np.where(right, chance + 1e-9, 0.0), self.rng)
        if n:
            self.conditions.clamp(self.encoding, i, self.levels, self.positions)
        if variable.kind == "survival":
            self._follow_up.add(i, self.levels[:, i], self.positions[:, i])
        return self.levels[:, i]
