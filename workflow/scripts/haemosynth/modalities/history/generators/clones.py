"""Two-clone kinetics of many patients' series: a hierarchical fit, and how much the series add to the prior.

For stay i the parameters theta_i = (log Y0, logit p, log r, log -s) are normal round a linear function of covariates,
with a covariance that is learned; the logarithm of a value is that of the model plus normal assay error. Values at the
limit of quantification are known to lie below it alone. Modes and Laplace's approximation by Gauss-Newton steps, the
rest by expectation-maximisation (Lindstrom & Bates, Biometrics 1990;46:673). `declare` is the model in Pyro.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
NAMES = ("log Y0", "logit p", "log r", "log -s")
START = np.array([np.log(30.0), np.log(0.01 / 0.99), np.log(0.005), np.log(0.015)])
ROUNDS, STEPS = 15, 2
RIDGE = 5.0  # stays at the mean that hold the slopes back
LEAST_ERROR = 0.02


class Fit(NamedTuple):
    """slope: (1 + q, 4), the first row the mean; covariance: (4, 4) of the rest; error: SD of log values; mode: (n, 4);
    variance: (n, 4, 4) of each stay's parameters given its series; learned: (4,) mean share of the prior variance
    that the series take away, 0 where they show nothing."""

    slope: Matrix
    covariance: Matrix
    error: float
    mode: Matrix
    variance: Matrix
    learned: Vector


def log_level(theta: Matrix, time: Matrix) -> tuple[Matrix, NDArray[np.float64]]:
    """log Y of (n, visits) times in days, and its derivatives (n, visits, 4)."""
    a, logit, log_r, log_s = (theta[:, [j]] for j in range(4))
    p, r, s = expit(logit), np.exp(np.minimum(log_r, 0.0)), -np.exp(np.minimum(log_s, 1.0))
    up = np.log(np.maximum(p, 1e-300)) + r * time
    down = np.log(np.maximum(1 - p, 1e-300)) + s * time
    total = np.logaddexp(up, down)
    share = np.exp(up - total)
    jacobian = np.stack(
        [np.ones_like(time), (1 - p) * share - p * (1 - share), share * r * time, (1 - share) * s * time], axis=2
    )
    return a + total, jacobian


def learn(time: Matrix, value: Matrix, below: NDArray[np.bool_], covariates: Matrix) -> Fit:
    """Fit the series of n stays.

    Args:
        time: (n, visits) days since the stay began, NaN after the last visit. value: the same, above 0; at the limit
            where `below`. covariates: (n, q), standardised.
    """
    n = len(time)
    seen = ~np.isnan(time)
    days, logs = np.nan_to_num(time), np.log(np.where(seen, value, 1.0))
    design = np.column_stack([np.ones(n), covariates])
    slope = np.zeros((design.shape[1], 4))
    slope[0] = START
    slope[0, 0] = logs[:, 0].mean()
    theta = np.tile(slope[0], (n, 1))
    theta[:, 0] = logs[:, 0]
    covariance, error = np.diag([0.5, 1.0, 0.3, 0.3]), 0.15
    variance = np.tile(covariance, (n, 1, 1))
    penalty = np.eye(design.shape[1]) * RIDGE
    penalty[0, 0] = 1e-9
    for _ in range(ROUNDS):
        centre, precision = design @ slope, np.linalg.inv(covariance)
        for _ in range(STEPS):
            fitted, jacobian = log_level(theta, days)
            # A value known to lie below the limit pulls only where the model stands above it.
            used = seen & (~below | (fitted > logs))
            residual = np.where(used, logs - fitted, 0.0)
            weighted = jacobian * (used / error**2)[:, :, None]
            curve = np.einsum("nvi,nvj->nij", weighted, jacobian) + precision
            slant = np.einsum("nvi,nv->ni", weighted, residual) - (theta - centre) @ precision
            step = np.linalg.solve(curve, slant[:, :, None])[:, :, 0]
            theta = theta + step * np.minimum(1.0, 1.5 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-12))
        variance = np.linalg.inv(curve)
        slope = np.linalg.solve(design.T @ design + penalty, design.T @ theta)
        rest = theta - design @ slope
        covariance = (rest.T @ rest) / n + variance.mean(axis=0) + 1e-4 * np.eye(4)
        fitted, jacobian = log_level(theta, days)
        used = seen & (~below | (fitted > logs))
        spread = np.einsum("nvi,nij,nvj->nv", jacobian, variance, jacobian)
        error = max(float(np.sqrt(((logs - fitted) ** 2 + spread)[used].mean())), LEAST_ERROR)
    learned = 1 - np.diagonal(variance, axis1=1, axis2=2).mean(axis=0) / np.diag(covariance)
    return Fit(slope, covariance, error, theta, variance, np.clip(learned, 0.0, 1.0))


def declare(time: Matrix, value: Matrix, centre: Matrix, covariance: Matrix, error: float) -> None:
    """The model of the stays' parameters in Pyro, for series without values below a limit: sites `theta`, `series`."""
    import pyro
    import torch
    from pyro.distributions import MultivariateNormal, Normal

    days = torch.as_tensor(np.nan_to_num(time))
    seen = torch.as_tensor(~np.isnan(time))
    logs = torch.as_tensor(np.log(np.where(np.isnan(time), 1.0, value)))
    with pyro.plate("stays", len(time)):
        theta = pyro.sample("theta", MultivariateNormal(torch.as_tensor(centre), torch.as_tensor(covariance)))
        p, r, s = torch.sigmoid(theta[:, 1:2]), torch.exp(theta[:, 2:3]), -torch.exp(theta[:, 3:4])
        level = theta[:, :1] + torch.logaddexp(torch.log(p) + r * days, torch.log1p(-p) + s * days)
        density = Normal(level, error).log_prob(logs)
        pyro.factor("series", torch.where(seen, density, torch.zeros_like(density)).sum(-1))
