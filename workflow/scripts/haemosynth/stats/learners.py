"""Learners of the utility stages: a ridge logistic regression, and what its predictions are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LogisticModel:
    """A fitted logistic regression: logit P(answer = 1) = intercept + covariates @ log_odds."""

    intercept: float
    log_odds: Vector

    def probability(self, covariates: Matrix) -> Vector:
        """(patients,) predicted probability of the answer 1."""
        return np.asarray(expit(self.intercept + covariates @ self.log_odds))


def fit_logistic(covariates: Matrix, answer: Vector, weight: Vector, ridge: float, largest: int = 50) -> LogisticModel:
    """Weighted ridge logistic regression by Newton's method.

    Maximises sum w log P(answer) - ridge/2 sum(log_odds^2); the intercept is free. Where only one answer has weight
    nothing can be learned: the log odds are zero and the intercept is that of the rate with half a case on either side.

    Args:
        covariates: (patients, covariates). answer: (patients,) 0/1, any value where the weight is 0.
        weight: (patients,) not negative; unknown answers have weight 0.
    """
    used = weight > 0
    x, y, w = np.column_stack([np.ones(used.sum()), covariates[used]]), answer[used], weight[used]
    ones, zeros = float(w @ y), float(w @ (1 - y))
    beta = np.zeros(x.shape[1])
    beta[0] = np.log((ones + 0.5) / (zeros + 0.5))
    if ones == 0 or zeros == 0:
        return LogisticModel(float(beta[0]), beta[1:])
    penalty = np.full(len(beta), ridge)
    penalty[0] = 0.0

    def value(beta: Vector) -> float:
        linear = x @ beta
        return float(w @ (y * linear - np.logaddexp(0, linear)) - 0.5 * penalty @ beta**2)

    best = value(beta)
    for _ in range(largest):
        p = expit(x @ beta)
        gradient = x.T @ (w * (y - p)) - penalty * beta
        move = np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + np.diag(penalty), gradient)
        if gradient @ move < 1e-12 * max(1.0, abs(best)):
            break
        while (found := value(beta + move)) < best:
            move = move / 2
        beta, best = beta + move, found
    return LogisticModel(float(beta[0]), beta[1:])


def divide_stratified(answer: Vector, weight: Vector, rng: np.random.Generator, parts: int) -> NDArray[np.intp]:
    """(patients,) the part (0 ... parts - 1) that each patient falls in; ones and zeros are dealt evenly."""
    part = np.empty(len(answer), dtype=np.intp)
    group = np.where(weight > 0, answer > 0.5, 2)
    for value in np.unique(group):
        members = rng.permutation(np.flatnonzero(group == value))
        part[members] = np.arange(len(members)) % parts
    return part
