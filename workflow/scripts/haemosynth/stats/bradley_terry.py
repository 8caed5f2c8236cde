"""The Bradley-Terry model: abilities from who came before whom, with their covariance.

P(i before j) = 1 / (1 + exp(ability_j - ability_i)).  Bradley and Terry, Biometrika 1952;39:324.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit

Vector = np.ndarray[Any, np.dtype[np.float64]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class BradleyTerry:
    """Fitted abilities: high is early.

    ability: (items,), mean 0 in each component. covariance: (items, items) of the abilities; only differences within
    a component are known beyond the ridge. component: (items,), items that are linked by comparisons share a number.
    """

    ability: Vector
    covariance: Matrix
    component: np.ndarray[Any, np.dtype[np.int32]]

    @property
    def difference(self) -> Matrix:
        """ability_i - ability_j of every pair.  (items, items)"""
        return np.asarray(self.ability[:, None] - self.ability)

    @property
    def difference_error(self) -> Matrix:
        """Standard error of every difference; 0 on the diagonal.  (items, items)"""
        variance = np.diag(self.covariance)
        return np.asarray(np.sqrt(np.maximum(variance[:, None] + variance - 2 * self.covariance, 0)))

    @property
    def error(self) -> Vector:
        """Standard error of each ability less the mean of its component.  (items,)"""
        share = self.linked / self.linked.sum(axis=1)
        contrast = np.eye(len(share)) - share
        return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", contrast, self.covariance, contrast), 0)))

    @property
    def linked(self) -> Flags:
        """Pairs of one component: others cannot be ranked against each other.  (items, items)"""
        return np.asarray(self.component[:, None] == self.component)


def fit_bradley_terry(wins: Matrix, ridge: float, tolerance: float = 1e-10, iterations: int = 100) -> BradleyTerry:
    """Maximise sum_ij wins_ij log P(i before j) - ridge / 2 sum_i ability_i^2 by Newton steps.

    The ridge (abilities ~ Normal(0, 1 / ridge)) keeps the ability of an item finite that always or never came first,
    or that beat a group which never beat it; without it such an estimate does not exist (Ford, Am Math Mon
    1957;64(8):28). An item that was never compared has ability 0. Errors are from the inverse of the second derivative.

    Args:
        wins: (items, items), how often the row item came before the column item; the diagonal is not read.
        ridge: above 0.

    Raises:
        ValueError: `ridge` is not above 0.
    """
    if not ridge > 0:
        raise ValueError("the ridge must be above 0")
    wins = np.where(np.eye(len(wins), dtype=bool), 0.0, wins)
    compared = wins + wins.T

    def objective(ability: Vector) -> float:
        return float((wins * log_expit(ability[:, None] - ability)).sum() - ridge / 2 * ability @ ability)

    def curvature(chance: Matrix) -> Matrix:
        weight = compared * chance * (1 - chance)
        return np.asarray(np.diag(weight.sum(axis=1) + ridge) - weight)

    ability = np.zeros(len(wins))
    value = objective(ability)
    for _ in range(iterations):
        chance = expit(ability[:, None] - ability)
        gradient = (wins - compared * chance).sum(axis=1) - ridge * ability
        step = cho_solve(cho_factor(curvature(chance)), gradient)
        size = 1.0
        while size > 1e-8 and (reached := objective(ability + size * step)) < value:
            size /= 2  # far from the optimum a whole step may overshoot
        ability, value = ability + size * step, reached
        if np.abs(size * step).max(initial=0) < tolerance:
            break
    covariance = cho_solve(cho_factor(curvature(expit(ability[:, None] - ability))), np.eye(len(wins)))
    component = connected_components(compared > 0, directed=False)[1]
    for k in range(component.max(initial=-1) + 1):
        ability[component == k] -= ability[component == k].mean()
    return BradleyTerry(ability, np.asarray(covariance), component)
