"""Bayesian proportional hazards with a piecewise constant baseline, declared in Pyro.

Pyro approximates the posterior by a normal at the mode of the declared density (Laplace: Tierney and Kadane, J Am Stat
Assoc 1986;81:82), or samples it by the No-U-Turn Sampler (Hoffman and Gelman, J Mach Learn Res 2014;15:1593).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """What is believed before the patients are seen.

    cuts: (intervals - 1,) months at which the baseline hazard may change. log_rate: centre of the log baseline
    hazards, per month. ratio_deviation, rate_deviation: standard deviations of the normal priors of the log hazard
    ratios (about 0) and of the log baseline hazards (about log_rate).
    """

    cuts: Vector
    log_rate: float
    ratio_deviation: float = 1.0
    rate_deviation: float = 2.0

    def exposure(self, time: Vector) -> Matrix:
        """(patients, intervals) months spent in each interval of the baseline hazard."""
        edges = np.concatenate([[0.0], self.cuts, [np.inf]])
        spent: Matrix = np.clip(time[:, None] - edges[:-1], 0, np.diff(edges))
        return spent


@dataclass(frozen=True)
class Posterior:
    """A normal approximation, or the moments of draws. First the log hazard ratios, then the log baseline hazards.

    mean: (covariates + intervals,). covariance: of the same. covariates: how many.
    """

    mean: Vector
    covariance: Matrix
    covariates: int

    @property
    def deviation(self) -> Vector:
        """(covariates + intervals,) posterior standard deviations."""
        return np.sqrt(np.diag(self.covariance))

    def draws(self, count: int, rng: np.random.Generator) -> Matrix:
        """(count, covariates + intervals) draws from the normal distribution with these moments."""
        root = np.linalg.cholesky(self.covariance)
        return self.mean + rng.standard_normal((count, len(self.mean))) @ root.T


def model(
    design: torch.Tensor, exposure: torch.Tensor, interval: torch.Tensor, event: torch.Tensor, prior: Prior
) -> None:
    """Log hazard of a patient in an interval = log baseline hazard + design @ log hazard ratios, in Pyro.

    Args:
        design: (patients, covariates). exposure: (patients, intervals) months. interval: (patients,) where follow-up
            ends. event: (patients,) 1 event, 0 censored.
    """
    import pyro
    import pyro.distributions as dist

    nothing, centre = design.new_zeros(design.shape[1]), design.new_full((exposure.shape[1],), prior.log_rate)
    log_ratio = pyro.sample("log_hazard_ratio", dist.Normal(nothing, prior.ratio_deviation).to_event(1))
    log_hazard = pyro.sample("log_baseline_hazard", dist.Normal(centre, prior.rate_deviation).to_event(1))
    score = design @ log_ratio
    cumulative = (exposure @ log_hazard.exp()) * score.exp()
    # One factor for all patients: the likelihood of censored survival times.
    pyro.factor("survival", (event * (log_hazard[interval] + score) - cumulative).sum())


def _tensors(design: Matrix, time: Vector, event: Vector, prior: Prior) -> tuple[Any, ...]:
    import torch

    place = np.searchsorted(prior.cuts, time, side="left")
    arrays = (design, prior.exposure(time), place, event.astype(float))
    return *(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays), prior


def laplace(design: Matrix, time: Vector, event: Vector, prior: Prior, largest: int = 50) -> Posterior:
    """The normal approximation at the mode of the density that `model` declares, by Pyro's Laplace guide.

    The mode is found by a trust region (Conn, Gould and Toint, SIAM 2000): a few steps with exact curvature take half
    the time of many without.

    Args:
        design: (patients, covariates). time: (patients,) months. event: (patients,) 1 event, 0 censored.
        largest: steps at most.

    Raises:
        ValueError: no convergence.
    """
    import pyro
    import torch
    from pyro.infer import Trace_ELBO
    from pyro.infer.autoguide import AutoLaplaceApproximation, init_to_value
    from pyro.ops.hessian import hessian
    from scipy.optimize import minimize

    data = _tensors(design, time, event, prior)
    covariates = design.shape[1]
    start = np.concatenate([np.zeros(covariates), np.full(len(prior.cuts) + 1, prior.log_rate)])
    values = {
        "log_hazard_ratio": torch.from_numpy(start[:covariates]),
        "log_baseline_hazard": torch.from_numpy(start[covariates:]),
    }
    # The guide's parameters are those of this fit alone, not of the process.
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        guide = AutoLaplaceApproximation(model, init_loc_fn=init_to_value(values=values))
        guide(*data)
        elbo = Trace_ELBO()

        def evaluate(theta: Vector) -> torch.Tensor:
            with torch.no_grad():
                guide.loc.copy_(torch.from_numpy(theta))
            return elbo.differentiable_loss(model, guide, *data)  # type: ignore[no-any-return]

        def with_slope(theta: Vector) -> tuple[float, Vector]:
            value = evaluate(theta)
            return float(value.detach()), torch.autograd.grad(value, guide.loc)[0].numpy()

        def curvature(theta: Vector) -> Matrix:
            return hessian(evaluate(theta), guide.loc).numpy()  # type: ignore[no-any-return]

        best = minimize(
            with_slope, start, jac=True, hess=curvature, method="trust-exact",
            options={"gtol": 1e-5, "maxiter": largest},
        )  # fmt: skip
        if not best.success:
            raise ValueError(f"the posterior mode was not found in {largest} steps")
        evaluate(best.x)
        normal = guide.laplace_approximation(*data)
        root = normal.scale[:, None] * normal.scale_tril
        return Posterior(normal.loc.numpy().copy(), (root @ root.T).numpy(), covariates)


def nuts(
    design: Matrix, time: Vector, event: Vector, prior: Prior, rng: np.random.Generator, warmup: int, draws: int
) -> Posterior:
    """Posterior moments from the No-U-Turn Sampler on the density that `model` declares; arguments as `laplace`."""
    import pyro
    import torch
    from pyro.infer import MCMC, NUTS
    from pyro.infer.autoguide import init_to_value

    start = laplace(design, time, event, prior)
    covariates = design.shape[1]
    values = {
        "log_hazard_ratio": torch.from_numpy(start.mean[:covariates]),
        "log_baseline_hazard": torch.from_numpy(start.mean[covariates:]),
    }
    pyro.set_rng_seed(int(rng.integers(2**31)))
    kernel = NUTS(model, init_strategy=init_to_value(values=values), full_mass=True)
    chain = MCMC(kernel, num_samples=draws, warmup_steps=warmup, disable_progbar=True)
    chain.run(*_tensors(design, time, event, prior))
    found = chain.get_samples()
    sample = torch.cat([found["log_hazard_ratio"], found["log_baseline_hazard"]], dim=1).numpy()
    return Posterior(sample.mean(axis=0), np.cov(sample.T), covariates)


def predict_survival(posterior: Posterior, design: Matrix, prior: Prior, grid: Vector, draws: Matrix) -> Matrix:
    """Mean survival of these patients at the times of `grid` under each posterior draw.

    Averaging over the same patients whichever side the posterior is from (standardisation) leaves only what was
    learned to differ.

    Args:
        design: (patients, covariates). grid: (times,) months. draws: (draws, covariates + intervals).

    Returns:
        (draws, times).
    """
    ratios = np.exp(draws[:, : posterior.covariates] @ design.T)  # (draws, patients)
    hazard = np.exp(draws[:, posterior.covariates :]) @ prior.exposure(grid).T  # (draws, times)
    return np.stack([np.exp(-ratios * h[:, None]).mean(axis=1) for h in hazard.T], axis=1)


def normal_overlap(first: tuple[Vector, Vector], second: tuple[Vector, Vector]) -> Vector:
    """Overlap coefficients of normal densities, integral of min(p, q): 1 the same, 0 apart.

    Exact, from the points where the densities cross (Inman and Bradley, Commun Stat Theory Methods 1989;18:3851).

    Args:
        first, second: (mean, standard deviation), each (n,).
    """
    from scipy.special import ndtr

    (m, s), (k, r) = first, second
    # The narrower density is the smaller one outside its two crossings with the wider, and the wider inside.
    swap = s > r
    m, k, s, r = np.where(swap, k, m), np.where(swap, m, k), np.where(swap, r, s), np.where(swap, s, r)
    equal = r - s < 1e-9 * r
    gap = np.where(equal, 1.0, r**2 - s**2)
    root = s * r * np.sqrt((m - k) ** 2 + 2 * gap * np.log(r / s))
    centre = m * r**2 - k * s**2
    low, high = (centre - root) / gap, (centre + root) / gap
    apart = ndtr((low - m) / s) + ndtr((m - high) / s) + ndtr((high - k) / r) - ndtr((low - k) / r)
    alike = 2 * ndtr(-np.abs(m - k) / (2 * r))
    return np.clip(np.where(equal, alike, apart), 0, 1)
