"""A Bayesian mutation model over genes and cytogenetic events given the clinical record, declared in Pyro.

Core: a Dirichlet-process mixture of Bernoullis (stick-breaking: Sethuraman, Stat Sin 1994;4:639) in which each event
has a prior strength of its own, so that the model learns which events define classes; the clinical record says how
likely each class is. In addition, each event has a logistic regression on the class probabilities, the commoner events
and the clinical record, with the mixture's own log odds as offset, to which it is shrunk; effects of the record have a
heavy-tailed prior, since a record may name its alterations. `model` declares the core; its partition is
sampled by collapsed Gibbs (`gibbs.py`), which integrates the same density and mixes far better than variational
inference at cohort size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

from haemosynth.core.cohort import Alterations, Cohort
from haemosynth.core.errors import InputError
from haemosynth.generate import at_most
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.rare import without_rare_alterations
from haemosynth.modalities.encode.predictors import describe_record, design_matrix
from haemosynth.modalities.genomic.generators.logistic_chain import (
    Chain,
    Priors,
    find_kinships,
    find_normal_karyotypes,
    fit_chain,
    order_events,
    read_training_events,
)
from haemosynth.modalities.genomic.generators.missingness import fit_missingness
from haemosynth.modalities.genomic.generators.mixture import Mixture, choose_gate_ridge, fit_mixture
from haemosynth.modalities.genomic.generators.variant_calls import complete, fit_clones

if TYPE_CHECKING:
    import torch

DEFAULTS: dict[str, Any] = {
    "patients": 20_000,  # training patients to learn from; of more so many are drawn at random
    "fewest": 0,  # training patients that an alteration must have to be learned, see `rare`
    "sweeps": 600,  # Gibbs sweeps over all patients
    "burn_in": 300,  # of them before the first posterior draw
    "draws": 30,  # posterior draws kept; synthetic patients come from their average
    "max_classes": 60,  # classes held at once
    "gate_ridge": [10.0, 30.0, 100.0],  # prior precision of the record's effects on class weights; validation chooses
    "chain": True,  # correct the mixture by logistic regressions on the commoner events and the record
    "event_ridge": 4.0,  # prior precision of their effects, of events
    "record_scale": 0.1,  # of the Cauchy priors of the record's effects
    "folds": 5,  # of the cross-fit from which the corrections are learned
    "prior_frequencies": {},  # published frequency of an event, {NPM1: 0.27, ...}
    "prior_strength": 0.0,  # patients that each published frequency counts for
    "min_carriers": 5,  # training patients that must share a protein change before it is ever written
}
CALIBRATION = 20_000  # simulated patients on which published frequencies are met


def model(
    events: torch.Tensor,
    known: torch.Tensor,
    design: torch.Tensor,
    base: torch.Tensor,
    *,
    classes: int,
    gate_ridge: float,
    strengths: torch.Tensor,
) -> None:
    """The core model, in Pyro: patients fall into classes, and events are independent within a class.

    The fit is modular: partitions are sampled with the gates at zero, where the sampler integrates this density
    exactly, and the gates are then their posterior mode given the classes.

    Args:
        events: (patients, events) 0 or 1; any value where unknown.
        known: (patients, events) bool; unknown entries are masked, that is marginalised.
        design: (patients, features) clinical record.
        base: (events,) prior mean of the class frequencies.
        classes: length at which the stick-breaking is cut off.
        gate_ridge: precision of the normal prior of the record's effects.
        strengths: (grid,) possible prior patients behind the class frequencies of an event.
    """
    import pyro
    import pyro.distributions as dist
    import torch

    n, n_events = events.shape
    alpha = pyro.sample("alpha", dist.Gamma(1.0, 1.0))
    with pyro.plate("sticks", classes - 1, dim=-1):
        stick = pyro.sample("stick", dist.Beta(1.0, alpha))
    log_rest = torch.cumsum(torch.log1p(-stick), 0)
    log_weight = torch.cat([torch.log(stick), torch.zeros(1)]) + torch.cat([torch.zeros(1), log_rest])
    # Plates, not `to_event`, over events: so Pyro can sum out the strength of each event by itself.
    with pyro.plate("alterations", n_events, dim=-1):
        strength = strengths[pyro.sample("strength", dist.Categorical(torch.ones(len(strengths))))]
        with pyro.plate("classes", classes, dim=-2):
            frequency = pyro.sample("frequency", dist.Beta(strength * base, strength * (1.0 - base)))
    if design.shape[1]:
        with pyro.plate("gates", classes, dim=-1):
            spread = torch.full((design.shape[1],), gate_ridge**-0.5)
            gate = pyro.sample("gate", dist.Normal(torch.zeros(design.shape[1]), spread).to_event(1))
            log_weight = log_weight + pyro.sample("shift", dist.Normal(0.0, 1.0))
    else:
        gate = torch.zeros(classes, 0)
    with pyro.plate("patients", n, dim=-1):
        z = pyro.sample("class", dist.Categorical(logits=log_weight + design @ gate.T))
        pyro.sample("events", dist.Bernoulli(frequency[z]).mask(known).to_event(1), obs=events)


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None = None) -> Fitted:
    """Fit the model.

    Args:
        train: training patients with alterations.
        settings: see DEFAULTS.
        rng: random stream.
        checkpoint: not used: the fit takes well under two minutes on a cohort of 1,500.

    Raises:
        InputError: the training patients have no alterations, or a published frequency is of an unknown event.
    """
    train = at_most(train, int(settings["patients"]), rng)
    train, left_out = without_rare_alterations(train, int(settings["fewest"]))
    events = read_training_events(train)
    names = list(train.schema.alterations)
    for name, frequency in settings["prior_frequencies"].items():
        if name not in names:
            raise InputError(f"prior_frequencies: {name} is not an alteration of cohort {train.schema.cohort}")
        if not 0.0 <= float(frequency) <= 1.0:
            raise InputError(f"prior_frequencies: {name} has the frequency {frequency}; expected 0 to 1")
    record = describe_record(train)
    design = design_matrix(record, train.clinical)
    gibbs = {key: settings[key] for key in ("sweeps", "burn_in", "draws", "max_classes")}
    gibbs["gate_ridge"] = choose_gate_ridge(events, design, rng, settings["gate_ridge"], settings["max_classes"])
    mixture, history = fit_mixture(events, design, rng, **gibbs)
    kin, normal = find_kinships(train), find_normal_karyotypes(train)
    corrected = bool(settings["chain"]) and len(events) >= 4 * settings["folds"]
    if corrected:
        # log odds of each patient under mixtures that have not seen the patient: else the corrections trust them
        # too much
        fold = rng.permutation(len(events)) % settings["folds"]
        odds, expected = np.empty_like(events), np.empty_like(events)
        brief = gibbs | {"sweeps": gibbs["sweeps"] // 2, "burn_in": gibbs["burn_in"] // 2}
        brief["draws"] = max(1, gibbs["draws"] // 3)
        order = order_events(events, normal)
        for f in range(settings["folds"]):
            left = fold == f
            part, _ = fit_mixture(events[~left], design[~left], rng, **brief)
            odds[left] = _sequential_log_odds(part, events[left], design[left], order)
            expected[left] = part.posterior(design[left], events[left]) @ part.frequency
        filled = np.where(np.isnan(events), expected, events)
        priors = Priors(float(settings["event_ridge"]), record_scale=float(settings["record_scale"]))
        chain = fit_chain(events, filled, design, kin, normal, priors, odds)
    else:
        chain = _identity(events, design, kin, normal)
    if settings["prior_strength"] > 0 and settings["prior_frequencies"]:
        chain = _calibrate(chain, mixture, design, events, settings, names, rng)
    missing, missing_plain = fit_missingness(train, design, rng)
    clones, clones_plain = fit_clones(train, design, int(settings["min_carriers"]))
    arrays = mixture.arrays("mixture") | chain.arrays() | missing | clones
    return Fitted(
        arrays,
        {
            "alterations": dict(train.schema.alterations),
            "record": record,
            "missing": missing_plain,
            "clones": clones_plain,
            "gate_ridge": gibbs["gate_ridge"],
            "classes": float(history["classes"].tail(gibbs["sweeps"] - gibbs["burn_in"]).mean()),
            "patients": len(train),
            "left_out": left_out,
            "parameters": int(sum(array.size for array in arrays.values())),
        },
        history,
    )


def _identity(events: np.ndarray, design: np.ndarray, kin: np.ndarray, normal: np.ndarray) -> Chain:
    """A chain that leaves the mixture as it is."""
    g = events.shape[1]
    order, nothing = order_events(events, normal), np.zeros((g, design.shape[1]))
    return Chain(order, np.zeros(g), np.ones(g), np.zeros(g), np.zeros((g, g)), nothing, kin, normal)


def _log_odds(weight: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(weight @ frequency, 1e-7, 1.0 - 1e-7)))


def _update(weight: np.ndarray, frequency: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Class probabilities after one more event was seen; an unknown one changes nothing."""
    start = np.where(value == 1, 0.0, 1.0)  # start + slope * frequency: frequency, 1 - frequency, or 1 where unknown
    slope = np.nan_to_num(2.0 * value - 1.0, nan=0.0)
    weight *= start[:, None] + slope[:, None] * frequency
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def _sequential_log_odds(mixture: Mixture, events: np.ndarray, design: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(patients, events) log odds of each event given the record and the events before it in `order`."""
    odds = np.empty(events.shape)
    weight = mixture.class_probability(design)
    for g in order:
        odds[:, g] = _log_odds(weight, mixture.frequency[:, g])
        weight = _update(weight, mixture.frequency[:, g], events[:, g])
    return odds


def _simulate(chain: Chain, mixture: Mixture, design: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(patients, events) complete alterations given the record."""
    events = np.zeros((len(design), len(chain.order)))
    for start in range(0, len(design), 256):  # patients x classes stay in the processor's cache
        rows = slice(start, start + 256)
        part, placed = design[rows], events[rows]
        weight = mixture.class_probability(part)
        for g in chain.order:
            p = chain.probability(g, placed, part, _log_odds(weight, mixture.frequency[:, g]))
            placed[:, g] = rng.random(len(part)) < p
            weight = _update(weight, mixture.frequency[:, g], placed[:, g])
    return events


def _calibrate(
    chain: Chain,
    mixture: Mixture,
    design: np.ndarray,
    events: np.ndarray,
    settings: Mapping[str, Any],
    names: list[str],
    rng: np.random.Generator,
) -> Chain:
    """Intercepts moved so that frequencies meet their Beta posterior under the published prior.

    Published frequency f with strength s is a Beta(s f, s (1 - f)) prior on the frequency of the event, which the
    patients in whom the event is known update; odds ratios stay those of the data.
    """
    patients = design[rng.integers(len(design), size=CALIBRATION)]
    known = (~np.isnan(events)).sum(axis=0)
    strength = float(settings["prior_strength"])
    placed = np.zeros((CALIBRATION, len(names)))
    weight = mixture.class_probability(patients)
    intercept = chain.intercept.copy()
    for g in chain.order:
        p = chain.probability(g, placed, patients, _log_odds(weight, mixture.frequency[:, g]))
        if names[g] in settings["prior_frequencies"]:
            target = known[g] * p.mean() + strength * float(settings["prior_frequencies"][names[g]])
            target = np.clip(target / (known[g] + strength), 1e-6, 1.0 - 1e-6)
            low, high = -30.0, 30.0
            odds = logit(np.clip(p, 1e-12, 1.0 - 1e-12))
            for _ in range(60):
                middle = (low + high) / 2.0
                low, high = (middle, high) if expit(odds + middle).mean() < target else (low, middle)
            intercept[g] += low
            p = np.where((p == 0) | (p == 1), p, expit(odds + low))
        placed[:, g] = rng.random(CALIBRATION) < p
        weight = _update(weight, mixture.frequency[:, g], placed[:, g])
    return replace(chain, intercept=intercept)


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Alterations:
    """Alterations, sequencing and mutations for every patient of `given`, whose clinical record is read."""
    design = design_matrix(fitted.description["record"], given.clinical)
    chain, mixture = Chain.from_arrays(fitted.arrays), Mixture.from_arrays(fitted.arrays, "mixture")
    return complete(fitted, given, _simulate(chain, mixture, design, rng), design, rng)


def log_likelihood(fitted: Fitted, cohort: Cohort) -> np.ndarray:
    """(patients,) log probability of the known alterations given the clinical record.

    Exact where a patient's alterations are all known; an unknown one enters the corrections by its expectation.
    """
    chain, mixture = Chain.from_arrays(fitted.arrays), Mixture.from_arrays(fitted.arrays, "mixture")
    design = design_matrix(fitted.description["record"], cohort.clinical)
    events = read_training_events(cohort)
    expected = np.where(np.isnan(events), mixture.posterior(design, events) @ mixture.frequency, events)
    odds = _sequential_log_odds(mixture, events, design, chain.order)
    total = np.zeros(len(events))
    for g in chain.order:
        p = np.clip(chain.probability(g, expected, design, odds[:, g]), 1e-9, 1.0 - 1e-9)
        total += np.where(np.isnan(events[:, g]), 0.0, np.log(np.where(events[:, g] == 1, p, 1.0 - p)))
    return total
