"""Classes of patients by their alterations: a consensus of Dirichlet-process mixtures, and who belongs to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Labels = NDArray[np.intp]

# Prior patients behind the frequencies of an event in a class: few for events that define classes.
STRENGTHS = 2.0 ** np.arange(-2, 9)
CONCENTRATION = 1.0  # of the Dirichlet process
MOST_CLASSES = 40  # held at once by the sampler, and most that a consensus may have
DRAWS = 16  # partitions kept of each chain


@dataclass(frozen=True)
class Classes:
    """Classes learned from patients, largest first, and last the class that no patient has opened yet.

    frequency: (classes + 1, events) posterior mean; the last row is that of all patients, for who is like no class.
    weight: (classes + 1,) prior probability of a class. sizes: (classes,) patients learned from.
    tiny: classes that were too small to be kept, their patients given to the others.
    """

    frequency: Matrix
    weight: Vector
    sizes: NDArray[np.intp]
    tiny: int

    @property
    def count(self) -> int:
        """Number of classes, without the unopened one."""
        return len(self.sizes)

    def posterior(self, events: Matrix) -> Matrix:
        """Posterior predictive probability of each class: (patients, events) -> (patients, classes + 1).

        Unknown events (NaN) are integrated out: they say nothing.
        """
        score = np.log(self.weight) + (events == 1) @ np.log(self.frequency).T
        score += (events == 0) @ np.log1p(-self.frequency).T
        score = np.exp(score - score.max(axis=1, keepdims=True))
        return np.asarray(score / score.sum(axis=1, keepdims=True))

    def assigned(self, events: Matrix) -> Labels:
        """(patients,) the most probable class of each patient; `count` for who is like no class."""
        return np.asarray(self.posterior(events).argmax(axis=1))


def fit_classes(
    events: Matrix,
    rng: np.random.Generator,
    *,
    chains: int,
    sweeps: int,
    merge: float,
    smallest: int,
) -> Classes:
    """Learn classes: several short chains of the collapsed Gibbs sampler, one consensus partition of all their draws.

    The consensus is that cut of the average-linkage tree of co-clustering probabilities which has the lowest lower
    bound to the posterior expected variation of information (Wade and Ghahramani, Bayesian Anal 2018;13:559).
    Then classes whose profiles have a cosine of at least `merge` are joined, as done with such components of AML
    (Papaemmanuil et al., N Engl J Med 2016;374:2209), and classes of fewer than `smallest` patients are dissolved.

    Args:
        events: (patients, events) 0, 1 or NaN unknown; each patient with a known event, each event known in a patient.
        rng: random stream.
        chains: chains from different starts; the posterior has many modes.
        sweeps: sweeps of each chain, of which the first half is left out.
        merge: cosine.
        smallest: patients.
    """
    from haemosynth.modalities.genomic.generators.gibbs import collapsed_gibbs

    known = ~np.isnan(events)
    coded = np.where(known, events, -1)
    base = (np.nansum(events, axis=0) + 0.5) / (known.sum(axis=0) + 1.0)
    found = [
        collapsed_gibbs(
            coded, base, strengths=STRENGTHS, sweeps=sweeps, burn_in=sweeps - sweeps // 2,
            draws=min(DRAWS, sweeps // 2), max_classes=MOST_CLASSES, seed=int(rng.integers(2**31 - 1)),
            alpha=CONCENTRATION,
        )
        for _ in range(chains)
    ]  # fmt: skip
    partition = find_consensus(np.concatenate([part.assignment for part in found]))
    strength = np.exp(np.mean([np.log(part.strength).mean(axis=0) for part in found], axis=0))
    partition = _merge(partition, events, base, strength, merge)
    sizes = np.bincount(partition)
    order = np.argsort(-sizes, kind="stable")
    kept = order[sizes[order] >= smallest]
    if not len(kept):
        return _summary(np.zeros(len(events), dtype=np.intp), events, base, strength, len(sizes))
    placed = _renumber(partition, kept)
    if (placed < 0).any():
        nearest = _summary(placed, events, base, strength, 0).posterior(events)[:, :-1].argmax(axis=1)
        placed = np.where(placed < 0, nearest, placed)
    return _summary(placed, events, base, strength, len(sizes) - len(kept))


def _renumber(partition: Labels, kept: Labels) -> Labels:
    """Position of each label in `kept`, -1 where it is not kept."""
    place = np.full(partition.max() + 1, -1, dtype=np.intp)
    place[kept] = np.arange(len(kept))
    return place[partition]


def _counts(partition: Labels, events: Matrix) -> tuple[Matrix, Matrix]:
    """(classes, events): carriers, and patients in whom the event is known. Labels below 0 belong to no class."""
    member = (partition[:, None] == np.arange(partition.max() + 1)).astype(float)
    return member.T @ (events == 1), member.T @ ~np.isnan(events)


def _summary(partition: Labels, events: Matrix, base: Vector, strength: Vector, tiny: int) -> Classes:
    sizes = np.bincount(partition[partition >= 0])
    order = np.argsort(-sizes, kind="stable")
    ones, seen = (part[order] for part in _counts(partition, events))
    frequency = np.vstack([(ones + strength * base) / (seen + strength), base])
    weight = np.append(sizes[order], CONCENTRATION)
    return Classes(frequency, weight / weight.sum(), sizes[order], tiny)


def find_consensus(draws: NDArray[np.integer]) -> Labels:
    """The partition at the centre of posterior draws: (draws, patients) labels -> (patients,) labels from 0.

    Candidates are all cuts of an average-linkage tree of 1 - co-clustering probability into at most `MOST_CLASSES`.
    """
    from scipy.cluster.hierarchy import cut_tree, linkage
    from scipy.spatial.distance import squareform

    n = draws.shape[1]
    if n == 1:
        return np.zeros(1, dtype=np.intp)
    member = np.concatenate([draw[:, None] == np.unique(draw) for draw in draws], axis=1).astype(np.float32)
    together = (member @ member.T / np.float32(len(draws))).astype(np.float64)
    distance = np.clip(1.0 - together, 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    cuts = cut_tree(linkage(squareform(distance, checks=False), "average"), range(1, min(n, MOST_CLASSES) + 1)).T
    best = min(cuts, key=lambda cut: _information(cut, together))
    return np.asarray(np.unique(best, return_inverse=True)[1], dtype=np.intp)


def _information(cut: Labels, together: Matrix) -> float:
    """Lower bound to the expected variation of information of a partition, up to a constant."""
    member = (cut[:, None] == np.unique(cut)).astype(np.float64)
    own = np.arange(len(cut)), member.argmax(axis=1)
    return float((np.log(member.sum(axis=0))[own[1]] - 2 * np.log((together @ member)[own])).mean())


def _merge(partition: Labels, events: Matrix, base: Vector, strength: Vector, merge: float) -> Labels:
    """The partition after the most similar classes were joined until no cosine reaches `merge`."""
    while partition.max() > 0:
        ones, seen = _counts(partition, events)
        profile = (ones + strength * base) / (seen + strength)
        similar = cosine(profile, profile)
        np.fill_diagonal(similar, -1.0)
        first, second = divmod(int(similar.argmax()), len(similar))
        if similar[first, second] < merge:
            break
        partition = np.where(partition == second, first, partition)
        partition = np.unique(partition, return_inverse=True)[1]
    return partition


def cosine(profiles: Matrix, others: Matrix) -> Matrix:
    """Cosine of each profile with each other one: (classes, events), (others, events) -> (classes, others)."""
    norms = np.linalg.norm(profiles, axis=1)[:, None] * np.linalg.norm(others, axis=1)
    return np.asarray(np.divide(profiles @ others.T, norms, out=np.zeros_like(norms), where=norms > 0))


def name_classes(classes: Classes, events: Sequence[str]) -> list[str]:
    """A name for each class: the events that best distinguish it from all patients (expected log likelihood ratio)."""
    names = []
    for profile in classes.frequency[:-1]:
        base = classes.frequency[-1]
        gain = profile * np.log(profile / base) + (1 - profile) * np.log((1 - profile) / (1 - base))
        gain[(profile <= base) | (profile < 0.3)] = 0.0
        chosen = [i for i in np.argsort(-gain, kind="stable")[:3] if gain[i] > max(0.02, 0.15 * gain.max())]
        names.append(", ".join(str(events[i]) for i in chosen) or "no leading alteration")
    repeats = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if names.count(name) == 1 else f"{name} ({n})" for name, n in zip(names, repeats, strict=True)]
