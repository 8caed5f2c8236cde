"""Dirichlet-process mixture of Bernoullis whose class weights depend on the clinical record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp

# prior patients behind the frequencies of an event in a class: small for events that define classes
STRENGTHS = 2.0 ** np.arange(-2, 9)
SMALLEST = 1e-300  # probability of a patient's events whose logarithm is taken


@dataclass(frozen=True)
class Mixture:
    """Classes of several posterior draws, side by side.

    draw: (classes,) the draw that a class belongs to, ascending. log_weight: (classes,) log weight of the class in
    its draw, up to a constant. frequency: (classes, events) frequency of each event.
    gate: (features, classes) log-linear effects of the clinical record on the weight of a class.
    """

    draw: np.ndarray
    log_weight: np.ndarray
    frequency: np.ndarray
    gate: np.ndarray

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """The mixture as named arrays."""
        return {
            f"{prefix}.draw": self.draw,
            f"{prefix}.log_weight": self.log_weight,
            f"{prefix}.frequency": self.frequency,
            f"{prefix}.gate": self.gate,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Mixture:
        """The mixture that `arrays` named."""
        return cls(*(arrays[f"{prefix}.{part}"] for part in ("draw", "log_weight", "frequency", "gate")))

    def class_probability(self, design: np.ndarray) -> np.ndarray:
        """(patients, features) -> (patients, classes): probability of each class given the record; draws alike."""
        score = design @ self.gate + self.log_weight
        starts = np.flatnonzero(np.diff(self.draw, prepend=-1))
        highest = np.maximum.reduceat(score, starts, axis=1)
        weight = np.exp(score - highest[:, self.draw])
        return np.asarray(weight / np.add.reduceat(weight, starts, axis=1)[:, self.draw] / len(starts))

    def posterior(self, design: np.ndarray, events: np.ndarray) -> np.ndarray:
        """(patients, classes): probability of each class given the record and the known events (NaN unknown)."""
        score = np.log(self.class_probability(design) + 1e-300) + self.log_likelihood(events)
        weight = np.exp(score - score.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def log_evidence(self, design: np.ndarray, events: np.ndarray) -> np.ndarray:
        """(patients,): log probability of the known events (NaN unknown) given the record, classes summed out."""
        weight = np.log(self.class_probability(design) + 1e-300)
        return np.asarray(logsumexp(weight + self.log_likelihood(events), axis=1))

    def log_likelihood(self, events: np.ndarray) -> np.ndarray:
        """(patients, events) with NaN unknown -> (patients, classes)."""
        return np.asarray(
            (events == 1).astype(float) @ np.log(self.frequency).T
            + (events == 0).astype(float) @ np.log1p(-self.frequency).T
        )


def choose_gate_ridge(
    events: np.ndarray, design: np.ndarray, rng: np.random.Generator, ridges: Sequence[float], max_classes: int
) -> float:
    """The gate ridge under which a fifth of the patients, kept out of the fit, has the highest likelihood.

    Args:
        events: (patients, events) 0, 1 or NaN.
        design: (patients, features) clinical record.
        rng: random stream.
        ridges: the values to choose from.
        max_classes: classes held at once.
    """
    kept_out = rng.permutation(len(events)) < len(events) // 5
    if len(ridges) == 1 or not design.shape[1] or kept_out.sum() < 5:
        return float(max(ridges))
    mixture, _ = fit_mixture(
        events[~kept_out], design[~kept_out, :0], rng,
        sweeps=200, burn_in=100, draws=10, max_classes=max_classes, gate_ridge=1.0,
    )  # fmt: skip
    scores = []
    for ridge in ridges:
        gated = _fit_gates(mixture, events[~kept_out], design[~kept_out], float(ridge))
        scores.append((float(gated.log_evidence(design[kept_out], events[kept_out]).sum()), float(ridge)))
    return max(scores)[1]


def fit_mixture(
    events: np.ndarray,
    design: np.ndarray,
    rng: np.random.Generator,
    *,
    sweeps: int,
    burn_in: int,
    draws: int,
    max_classes: int,
    gate_ridge: float,
) -> tuple[Mixture, pd.DataFrame]:
    """Fit the mixture: partitions by collapsed Gibbs, then the gates of each draw by penalised maximum likelihood.

    The partition is sampled without the gates, which are then fitted given the classes: the record says how
    likely a class is, never what a class is.

    Args:
        events: (patients, events) 0, 1 or NaN.
        design: (patients, features) clinical record; no features, no gates.
        rng: random stream.
        sweeps: Gibbs sweeps; burn_in of them before the first draw.
        burn_in: sweeps before the first draw.
        draws: posterior draws kept.
        max_classes: classes held at once.
        gate_ridge: prior precision of the gates' effects.

    Returns:
        The mixture, and one row per sweep: step, classes, log_joint.
    """
    from haemosynth.modalities.genomic.generators.gibbs import collapsed_gibbs

    known = ~np.isnan(events)
    base = (np.nansum(events, axis=0) + 0.5) / (known.sum(axis=0) + 1.0)
    found = collapsed_gibbs(
        np.where(known, events, -1),
        base,
        strengths=STRENGTHS,
        sweeps=sweeps,
        burn_in=burn_in,
        draws=draws,
        max_classes=max_classes,
        seed=int(rng.integers(2**31 - 1)),
    )
    parts = []
    for s in range(draws):
        used = found.sizes[s] > 0
        size = np.append(found.sizes[s][used], found.alpha[s])  # the last class is the one not opened yet
        strength = found.strength[s]
        frequency = (found.ones[s][used] + strength * base) / (found.seen[s][used] + strength)
        nothing = np.zeros((0, len(size)))
        parts.append(Mixture(np.full(len(size), s), np.log(size / size.sum()), np.vstack([frequency, base]), nothing))
    mixture = _join(parts)
    if design.shape[1]:
        mixture = _fit_gates(mixture, events, design, gate_ridge)
    history = pd.DataFrame(found.trace, columns=["classes", "log_joint"])
    history.insert(0, "step", np.arange(1, sweeps + 1))
    return mixture, history


def _join(parts: Sequence[Mixture]) -> Mixture:
    return Mixture(
        np.concatenate([part.draw for part in parts]),
        np.concatenate([part.log_weight for part in parts]),
        np.concatenate([part.frequency for part in parts]),
        np.concatenate([part.gate for part in parts], axis=1),
    )


def _fit_gates(mixture: Mixture, events: np.ndarray, design: np.ndarray, ridge: float) -> Mixture:
    """The mixture with the gates of each draw fitted."""
    parts = []
    for s in np.unique(mixture.draw):
        own = mixture.draw == s
        part = Mixture(mixture.draw[own], mixture.log_weight[own], mixture.frequency[own], mixture.gate[:, own])
        parts.append(_fit_gate(part, events, design, ridge))
    return _join(parts)


def _fit_gate(part: Mixture, events: np.ndarray, design: np.ndarray, ridge: float) -> Mixture:
    """One draw with gates that maximise sum_i log p(events_i | record_i) less the ridge penalty.

    A shift of each class's log weight, with a standard normal prior, keeps class shares as the patients have them.
    """
    likelihood = part.log_likelihood(events)
    features = np.column_stack([np.ones(len(design)), design])
    precision = np.r_[1.0, np.full(design.shape[1], ridge)][:, None]
    shape = (features.shape[1], len(part.log_weight))

    highest = likelihood.max(axis=1, keepdims=True)
    relative = np.exp(likelihood - highest)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        effect = flat.reshape(shape)
        prior = features @ effect + part.log_weight
        prior = np.exp(prior - prior.max(axis=1, keepdims=True))
        prior /= prior.sum(axis=1, keepdims=True)
        posterior = prior * relative
        total = np.maximum(posterior.sum(axis=1, keepdims=True), SMALLEST)
        gradient = features.T @ (posterior / total - prior)
        value = 0.5 * (precision * effect**2).sum() - np.log(total).sum() - highest.sum()
        return float(value), (precision * effect - gradient).ravel()

    best = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 40, "maxcor": 8})
    effect = best.x.reshape(shape)
    return Mixture(part.draw, part.log_weight + effect[0], part.frequency, effect[1:])
