"""A chain of ridge logistic regressions: each alteration given the clinical record and the commoner alterations.

The open baseline. It is a full Bayesian network over the alterations, commonest first, with logistic nodes
(sequential synthesis; ridge: le Cessie and van Houwelingen, Appl Stat 1992;41:191).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from haemosynth.core.cohort import Alterations, Cohort
from haemosynth.core.errors import InputError
from haemosynth.generate import at_most
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.rare import without_rare_alterations
from haemosynth.modalities.encode.predictors import describe_record, design_matrix
from haemosynth.modalities.genomic.generators.missingness import fit_missingness
from haemosynth.modalities.genomic.generators.variant_calls import complete, fit_clones

DEFAULTS: dict[str, Any] = {
    "patients": 20_000,  # training patients to learn from; of more so many are drawn at random
    "fewest": 0,  # training patients that an alteration must have to be learned, see `rare`
    "event_ridge": [
        1.0,
        2.0,
        4.0,
        8.0,
    ],  # prior precision of other alterations' effects; validation chooses
    "record_ridge": [16.0, 32.0, 64.0, 128.0],  # the same, of the clinical record
    "min_carriers": 5,  # training patients that must share a protein change before it is ever written
}
STALE = 0.02  # change of p (1 - p) in any patient after which the curvature is computed anew
WIDE = 3.0  # scale of Cauchy priors under which an effect of a level that decides an outcome is hardly shrunk


@dataclass(frozen=True)
class Chain:
    """Logistic regressions, one for each alteration.

    order: (events,) alterations in the order of sampling. intercept, slope: (events,); slope multiplies an offset.
    centre: (events,) subtracted from predictors. effect: (events, events), row g holds the effects on g.
    record: (events, features). kin: (pairs, 2) child, parent: the child is never present without its parent.
    normal: (pairs, 2) normal karyotype, cytogenetic event: never present together, and the event is drawn first.
    """

    order: np.ndarray
    intercept: np.ndarray
    slope: np.ndarray
    centre: np.ndarray
    effect: np.ndarray
    record: np.ndarray
    kin: np.ndarray
    normal: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The chain as named arrays."""
        return {f"chain.{name}": np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Chain:
        """The chain that `arrays` named."""
        return cls(
            **{name.removeprefix("chain."): value for name, value in arrays.items() if name.startswith("chain.")}
        )

    def probability(
        self, g: int, placed: np.ndarray, design: np.ndarray, offset: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """(patients,) probability of alteration g.

        Args:
            g: the alteration.
            placed: (patients, events) values of the alterations before g; those after it do not matter.
            design: (patients, features) clinical record.
            offset: (patients,) log odds that another model gives.
        """
        score = self.intercept[g] + self.slope[g] * offset + (placed - self.centre) @ self.effect[g]
        p = expit(score + design @ self.record[g])
        position = np.empty(len(self.order), dtype=int)
        position[self.order] = np.arange(len(self.order))
        for child, parent in self.kin:
            if g == child and position[parent] < position[g]:
                p = np.where(placed[:, parent] == 0, 0.0, p)
            elif g == parent and position[child] < position[g]:
                p = np.where(placed[:, child] == 1, 1.0, p)
        for karyotype, event in self.normal:
            if g == karyotype:
                p = np.where(placed[:, event] == 1, 0.0, p)
        return np.asarray(p)


def find_kinships(train: Cohort) -> np.ndarray:
    """(pairs, 2) child, parent: events named after a gene (FLT3_ITD of FLT3), never without it in five carriers."""
    assert train.alterations is not None
    names = list(train.schema.alterations)
    values = train.alterations.to_numpy()
    pairs = []
    for child, name in enumerate(names):
        for parent, gene in enumerate(names):
            if name.startswith((f"{gene}_", f"{gene}-", f"{gene} ")):
                carriers = (values[:, child] == 1) & ~np.isnan(values[:, parent])
                if carriers.sum() >= 5 and (values[carriers, parent] == 1).all():
                    pairs.append((child, parent))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def find_normal_karyotypes(train: Cohort) -> np.ndarray:
    """(pairs, 2) cytogenetic event named normal (NORMAL_KARYOTYPE), and each other that none of its carriers has."""
    assert train.alterations is not None
    values = train.alterations.to_numpy()
    cytogenetic = [i for i, kind in enumerate(train.schema.alterations.values()) if kind == "cytogenetic"]
    pairs = []
    for g in cytogenetic:
        carriers = values[:, g] == 1
        if re.search(r"(^|[^a-z])normal", list(train.schema.alterations)[g].lower()) and carriers.sum() >= 5:
            together = (values[carriers] == 1).any(axis=0)
            pairs += [(g, other) for other in cytogenetic if other != g and not together[other]]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def order_events(events: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(events,) commonest first, but a normal karyotype last, since it is the absence of others."""
    known = (~np.isnan(events)).sum(axis=0)
    # an alteration that every patient shows or lacks still gets finite log odds
    frequency = (np.nansum(events, axis=0) + 0.5) / (known + 1.0)
    frequency[normal[:, 0]] = -1.0
    return np.argsort(-frequency, kind="stable")


def fit_ridge_logistic(
    features: np.ndarray,
    outcome: np.ndarray,
    offset: np.ndarray,
    precision: np.ndarray,
    scale: np.ndarray | None = None,
) -> np.ndarray:
    """The most probable coefficients of a logistic regression under normal or Cauchy priors.

    Newton's method with halved steps. A Cauchy prior shrinks small effects as a normal one does and leaves large ones
    as they are (Gelman et al., Ann Appl Stat 2008;2:1360); each step replaces it by the normal one that lies above it
    and touches it (Lange et al., J Comput Graph Stat 2000;9:1), so that the posterior density never falls. The density
    then has several modes, and an ascent from 0 ends at the mode next to 0 even where a level of the record decides the
    outcome. A second ascent therefore starts from the mode under wide priors, and the better mode is taken.

    Args:
        features: (patients, features), with a column of ones where an intercept is wanted.
        outcome: (patients,) 0 or 1.
        offset: (patients,) fixed part of the log odds.
        precision: (features,) of the normal priors, above 0.
        scale: (features,) of Cauchy priors, in place of the normal one where it is above 0.
    """
    nothing = np.zeros_like(precision)
    if scale is None or not (scale > 0).any():
        return _climb(features, outcome, offset, precision, nothing, nothing)[0]
    wide, _ = _climb(features, outcome, offset, precision, np.where(scale > 0, WIDE, 0.0), nothing)
    found = [_climb(features, outcome, offset, precision, scale, start) for start in (nothing, wide)]
    return max(found, key=lambda mode: mode[1])[0]


def _climb(
    features: np.ndarray, outcome: np.ndarray, offset: np.ndarray, precision: np.ndarray, scale: np.ndarray,
    start: np.ndarray,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """The mode of the posterior density of `fit_ridge_logistic` that `start` leads to, and its logarithm."""
    beta, heavy = start, scale > 0
    width = np.where(heavy, scale, 1.0)
    # Under Cauchy priors steps are many and small. The product of the features is the dear part of one: it is taken
    # again only after the curvature has changed; any positive definite matrix in its place still leads upwards.
    slack = STALE if heavy.any() else 0.0
    curvature, product = np.full(len(outcome), np.inf), np.zeros((len(precision), len(precision)))

    def objective(b: np.ndarray) -> float:
        score = offset + features @ b
        prior = np.where(heavy, np.log1p((b / width) ** 2), 0.5 * precision * b**2)
        return float(outcome @ score - np.logaddexp(0.0, score).sum() - prior.sum())

    value = objective(beta)
    for _ in range(200 if heavy.any() else 50):
        weight = np.where(heavy, 2.0 / (width**2 + beta**2), precision)
        p = expit(offset + features @ beta)
        gradient = features.T @ (outcome - p) - weight * beta
        now = p * (1.0 - p)
        if not np.abs(now - curvature).max() <= slack:
            curvature, product = now, (features * now[:, None]).T @ features
        step = np.linalg.solve(product + np.diag(weight), gradient)
        size = 1.0
        while (new := objective(beta + size * step)) < value and size > 1e-6:
            size /= 2.0
        if new < value:
            break
        beta, gain, value = beta + size * step, new - value, new
        if gain < 1e-8 * (1.0 + abs(value)):
            break
    return beta, value


class Priors(NamedTuple):
    """Priors of the effects of a chain.

    event_ridge: precision of the effects of alterations. record_ridge: precision of the effects of the record, where
    they have normal priors. record_scale: scale of Cauchy priors in their place, where above 0. slope_ridge: precision
    of the slope of an offset about 1.
    """

    event_ridge: float
    record_ridge: float = 1.0
    record_scale: float = 0.0
    slope_ridge: float = 10.0


def fit_chain(
    events: np.ndarray,
    expected: np.ndarray,
    design: np.ndarray,
    kin: np.ndarray,
    normal: np.ndarray,
    priors: Priors,
    offset: np.ndarray | None = None,
) -> Chain:
    """Fit the regressions, commonest alteration first (`order_events`).

    Args:
        events: (patients, events) 0, 1 or NaN: a regression learns from patients in whom its alteration is known.
        expected: (patients, events) the same, unknown entries filled with their expectation.
        design: (patients, features) clinical record.
        kin: pairs of `find_kinships`.
        normal: pairs of `find_normal_karyotypes`; its regression learns from patients without the others.
        priors: of the effects.
        offset: (patients, events) log odds under another model, to be corrected; None to start from the frequency.
    """
    n_events = events.shape[1]
    known = ~np.isnan(events)
    carriers = np.nansum(events, axis=0)
    frequency = (carriers + 0.5) / (known.sum(axis=0) + 1.0)
    order = order_events(events, normal)
    intercept = np.zeros(n_events)
    slope = np.ones(n_events) if offset is not None else np.zeros(n_events)
    effect = np.zeros((n_events, n_events))
    record = np.zeros((n_events, design.shape[1]))
    for j, g in enumerate(order):
        rows = known[:, g] & ~(events[:, normal[normal[:, 0] == g, 1]] == 1).any(axis=1)
        start = logit(frequency[g])
        intercept[g] = 0.0 if offset is not None else start
        if not 0 < carriers[g] < known[:, g].sum():
            continue
        before = order[:j]
        blocks = [np.ones((rows.sum(), 1)), expected[np.ix_(rows, before)] - frequency[before], design[rows]]
        precision = np.r_[
            1e-3 if offset is None else 1.0,
            np.full(j, priors.event_ridge),
            np.full(design.shape[1], priors.record_ridge),
        ]
        base = np.full(rows.sum(), start) if offset is None else offset[rows, g]
        if offset is not None:
            blocks.append(base[:, None])
            precision = np.append(precision, priors.slope_ridge)
        scale = np.zeros(len(precision))
        scale[1 + j : 1 + j + design.shape[1]] = priors.record_scale
        beta = fit_ridge_logistic(np.column_stack(blocks), events[rows, g], base, precision, scale)
        intercept[g] += beta[0]
        effect[g, before] = beta[1 : j + 1]
        record[g] = beta[j + 1 : j + 1 + design.shape[1]]
        if offset is not None:
            slope[g] += beta[-1]
    return Chain(order, intercept, slope, frequency, effect, record, kin, normal)


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None = None) -> Fitted:
    """Fit the chain; the two ridges are those with the best log-likelihood on a fifth of the training patients.

    Args:
        train: training patients with alterations.
        settings: see DEFAULTS.
        rng: random stream.
        checkpoint: not used: the fit takes seconds.

    Raises:
        InputError: the training patients have no alterations.
    """
    train = at_most(train, int(settings["patients"]), rng)
    train, left_out = without_rare_alterations(train, int(settings["fewest"]))
    events = read_training_events(train)
    record = describe_record(train)
    design = design_matrix(record, train.clinical)
    kin, normal = find_kinships(train), find_normal_karyotypes(train)
    expected = fill_with_frequency(events)
    inner = rng.permutation(len(events)) < len(events) // 5
    trials = []
    for event_ridge in settings["event_ridge"]:
        for record_ridge in settings["record_ridge"]:
            chain = fit_chain(
                events[~inner], expected[~inner], design[~inner], kin, normal, Priors(event_ridge, record_ridge)
            )
            score = (
                float(_log_likelihood(chain, events[inner], expected[inner], design[inner]).mean())
                if inner.any()
                else 0.0
            )
            trials.append((score, float(event_ridge), float(record_ridge)))
    _, event_ridge, record_ridge = max(trials)
    chain = fit_chain(events, expected, design, kin, normal, Priors(event_ridge, record_ridge))
    missing, missing_plain = fit_missingness(train, design, rng)
    clones, clones_plain = fit_clones(train, design, int(settings["min_carriers"]))
    arrays = chain.arrays() | missing | clones
    return Fitted(
        arrays,
        {
            "alterations": dict(train.schema.alterations),
            "record": record,
            "missing": missing_plain,
            "clones": clones_plain,
            "event_ridge": event_ridge,
            "record_ridge": record_ridge,
            "patients": len(train), "left_out": left_out,
            "parameters": int(sum(array.size for array in arrays.values())),
        },
        pd.DataFrame([(i + 1, *trial) for i, trial in enumerate(trials)],
                     columns=["step", "inner_log_likelihood", "event_ridge", "record_ridge"]),
    )  # fmt: skip


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Alterations:
    """Alterations, sequencing and mutations for every patient of `given`, whose clinical record is read."""
    chain = Chain.from_arrays(fitted.arrays)
    design = design_matrix(fitted.description["record"], given.clinical)
    events = np.zeros((len(design), len(chain.order)))
    for g in chain.order:
        events[:, g] = rng.random(len(design)) < chain.probability(g, events, design)
    return complete(fitted, given, events, design, rng)


def log_likelihood(fitted: Fitted, cohort: Cohort) -> np.ndarray:
    """(patients,) log probability of the known alterations given the clinical record.

    Exact where a patient's alterations are all known; an unknown one enters later regressions by its frequency.
    """
    chain = Chain.from_arrays(fitted.arrays)
    design = design_matrix(fitted.description["record"], cohort.clinical)
    events = read_training_events(cohort)
    return _log_likelihood(chain, events, np.where(np.isnan(events), chain.centre, events), design)


def _log_likelihood(chain: Chain, events: np.ndarray, expected: np.ndarray, design: np.ndarray) -> np.ndarray:
    total = np.zeros(len(events))
    for g in chain.order:
        p = np.clip(chain.probability(g, expected, design), 1e-9, 1.0 - 1e-9)
        total += np.where(np.isnan(events[:, g]), 0.0, np.log(np.where(events[:, g] == 1, p, 1.0 - p)))
    return total


def read_training_events(train: Cohort) -> np.ndarray:
    """(patients, events) alterations as numbers.

    Raises:
        InputError: there are none.
    """
    if train.alterations is None or train.alterations.shape[1] == 0 or len(train) == 0:
        raise InputError(f"cohort {train.schema.cohort}: a genomic generator needs patients with alterations")
    return np.asarray(train.alterations.to_numpy(dtype=float))


def fill_with_frequency(events: np.ndarray) -> np.ndarray:
    """The alterations with unknown entries at their frequency among patients in whom they are known."""
    known = ~np.isnan(events)
    frequency = (np.nansum(events, axis=0) + 0.5) / (known.sum(axis=0) + 1.0)
    return np.where(known, events, frequency)
