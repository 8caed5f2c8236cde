"""Variational autoencoder of gene expression, given the record: negative binomial for counts, normal for arrays.

A patient has a latent point z (Kingma & Welling, ICLR 2014) and a record x. The log rate of gene g is
    b_g + x.B_g + z.W_g + h(z, x).V_g,
with h a layer of hidden units; its count is negative binomial with the patient's library size and the gene's
dispersion (as in scVI, Lopez et al., Nat Methods 2018;15:1053). Values that are no counts are learned as normal scores
with a normal error of each gene.

A cohort has few patients and many genes. So the network begins at the closed-form solution for log levels, ridge
regression on the record with probabilistic principal components of what is left (`regression`), and training moves it
by maximum a posteriori: normal priors of standard deviation `spread` centred on that start (starting-point
regularisation, Li et al., ICML 2018). The encoder sees the principal components, not the genes. Training stops where
the evidence lower bound of patients held back is best; small cohorts are then trained for as many steps on everybody.
Latent points are drawn from a Gaussian mixture fitted to the training patients' posteriors, shifted by the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop, prior
from haemosynth.learn.checkpoint import Checkpoint, identity_of
from haemosynth.modalities.expression.generators import owners, scores
from haemosynth.modalities.expression.part import expression_of
from haemosynth.modalities.expression.profiles import dense, make
from haemosynth.stats.regression import choose_number_of_factors, factors, ridge

if TYPE_CHECKING:
    import torch
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "latent": None,  # dimensions; null: as many components as make patients left out most likely
    "most_latent": 32,
    "hidden": 32,  # units of the encoder and of the decoder's hidden layer
    "spread": 0.03,  # standard deviation of the priors around the start, ten times it for a gene's mean and dispersion
    "steps": 600,  # at most
    "patience": 60,  # steps without a better bound of the patients held back
    "batch": 128,
    "learning_rate": 3e-3,  # of a gene's mean and dispersion; a tenth for the other weights
    "ema": 0.9,  # of the weights that are looked at and kept
    "held_back": 0.15,  # share of the patients that decide when to stop
    "refit_below": 1000,  # patients: smaller cohorts are trained again on everybody
    "mixture": [1, 2, 4],  # components of the latent distribution; the best BIC is taken
    "checkpoint_every": 100,  # steps
    "device": "cpu",  # or cuda: the same code; other last digits
}
EVALUATE_EVERY = 10  # steps
CHUNK = 512  # patients drawn at once
CALIBRATION = 2048  # patients drawn to learn what the network gets wrong of a gene alone
LEAST_NOISE = 0.05  # of a normal score's variance
# Step and prior of some weights against those of a gene's mean and dispersion; a tenth for all others. The record's
# linear effect is not trained: leave-one-out chose its penalty gene by gene, and training would undo that.
EASE = {"bias": 1.0, "last": 1.0, "out": 0.03}
FIXED = "slope"
PHASES = ("stopping", "everybody")  # where to stop is found on a part of the patients; then all are learned from


@dataclass(frozen=True)
class _Data:
    """What is learned from: values (patients, genes), offset (patients,) log library size over the median, features
    and coordinates on the principal components, (patients, .)."""

    values: Any
    offset: np.ndarray
    features: np.ndarray
    coordinates: np.ndarray
    counts: bool

    def rows(self, at: np.ndarray) -> tuple[torch.Tensor, ...]:
        import torch

        return tuple(
            torch.tensor(np.asarray(part, dtype=np.float32))
            for part in (dense(self.values[at]), self.offset[at], self.features[at], self.coordinates[at])
        )


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit the autoencoder to training patients who have expression; curves are bounds per patient and gene.

    Args:
        checkpoint: path prefix; an interrupted fit of the same patients and settings is taken up from there and gives
            the same bytes as an uninterrupted one. The files are removed on success.

    Raises:
        InputError: fewer than `expression.LEAST_PATIENTS` of them.
    """
    seed = torch_seed(rng)
    who, everybody = owners.learn(train)
    counts = expression_of(train).uns["values"] == "counts"
    middle = everybody[who].mean(axis=0)
    features = everybody[who] - middle
    rate = scores.rates(expression_of(train), rng)
    level = np.log(rate + 0.5) if counts else scores.normal_scores(rate)
    offset = np.zeros(len(who))
    if counts:
        offset = np.log(
            expression_of(train).obs["library_size"].to_numpy(dtype=float) / expression_of(train).uns["library"]
        )
    values = expression_of(train).X if counts else level
    latent = settings["latent"] or _latent_dimensions(level, features, rng, int(settings["most_latent"]))
    start, parameters, data, history = _train(
        level, rate, _Data(values, offset, features, np.empty((len(who), 0)), counts), int(latent), settings, seed,
        checkpoint,
    )  # fmt: skip
    arrays = {name: array for name, array in parameters.items() if not name.startswith("encoder.")}
    arrays |= _prior(parameters, data, [int(c) for c in settings["mixture"]], seed)
    arrays |= {"middle": middle, **owners.learn_library(train, everybody[who])}
    arrays["quantiles"] = scores.share_quantiles(rate, expression_of(train).uns["values"] != "log")
    chosen = rng.integers(len(who), size=CALIBRATION)
    arrays["drawn"] = scores.quantiles(_draw(arrays, counts, features[chosen], offset[chosen], rng))
    for phase in PHASES:
        Checkpoint(_of_phase(checkpoint, phase), "").remove()
    fitted = sum(parameters[name].size for name in parameters if name != "slope")
    plain = {
        "parameters": int(fitted + np.count_nonzero(start["slope"])),
        "latent": int(start["loading"].shape[0]),
        **owners.description(train, seed),
    }
    return Fitted(arrays, plain, history)


def _latent_dimensions(level: np.ndarray, features: np.ndarray, rng: np.random.Generator, most: int) -> int:
    """As many components of what the record leaves as make patients left out most likely, at least one."""
    middle = level.mean(axis=0)
    rest = level - middle - features.astype(np.float32) @ ridge(features, level - middle)
    return max(1, choose_number_of_factors(rest / np.maximum(rest.std(axis=0), 1e-3), rng, most))


def _start(
    level: np.ndarray, rate: np.ndarray, data: _Data, inside: np.ndarray, number: int, hidden: int, seed: int
) -> tuple[dict[str, np.ndarray], _Data]:
    """The closed-form solution of the patients `inside` as weights, and everybody's coordinates on its components."""
    middle, counts, features = level[inside].mean(axis=0), data.counts, data.features.astype(np.float32)
    slope = ridge(data.features[inside], level[inside] - middle)
    rest = level - middle - (features - features[inside].mean(axis=0)) @ slope
    scale = np.maximum(rest[inside].std(axis=0), 1e-3)
    rest /= scale
    genes = rest.shape[1]
    loading, _ = factors(rest[inside], number, seed)
    # The posterior mean of a factor model with equal noise: (W'W + s I)^-1 W' x.
    noise = max(1 - float((loading**2).sum()) / genes, LEAST_NOISE)
    gram = loading.T @ loading
    coordinates = rest @ loading @ np.linalg.inv(gram + noise * np.eye(number, dtype=np.float32))
    width, draw = features.shape[1], np.random.default_rng(seed)
    own = scale**2 * np.maximum(1 - (loading**2).sum(axis=1), LEAST_NOISE)
    if counts:
        mean, spread = np.maximum(rate[inside].mean(axis=0), 0.05), level[inside].var(axis=0)
        middle = np.log(mean) - 0.5 * (spread - np.minimum(own, spread))
        last = -np.log(np.clip(own - 1 / mean, 0.01, 10.0))  # log of the inverse dispersion
    else:
        last = 0.5 * np.log(own)
    posterior = np.log(noise / (np.diag(gram) + noise))

    def random(*shape: int) -> np.ndarray:
        return np.asarray(draw.standard_normal(shape) / np.sqrt(shape[0]))

    start = {
        "bias": middle - features[inside].mean(axis=0) @ slope, "slope": slope,
        "loading": (loading * scale[:, None]).T, "last": last,
        "enter": random(number + width, hidden), "enter_bias": np.zeros(hidden), "out": np.zeros((hidden, genes)),
        "encoder.enter": random(number + width, hidden), "encoder.enter_bias": np.zeros(hidden),
        "encoder.out": np.zeros((hidden, 2 * number)), "encoder.variance": posterior,
    }  # fmt: skip
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in start.items()}, replace(
        data, coordinates=coordinates
    )


def _encode(w: Mapping[str, torch.Tensor], x: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log variance of the latent points: the closed form, and what the network adds."""
    import torch

    h = torch.nn.functional.silu(torch.cat([c, x], dim=1) @ w["encoder.enter"] + w["encoder.enter_bias"])
    mean, variance = (h @ w["encoder.out"]).chunk(2, dim=1)
    return c + mean, (w["encoder.variance"] + variance).clamp(-10, 2)


def _decode(w: Mapping[str, torch.Tensor], z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(patients, genes) log rate, or mean of the normal score."""
    import torch

    h = torch.nn.functional.silu(torch.cat([z, x], dim=1) @ w["enter"] + w["enter_bias"])
    return w["bias"] + x @ w["slope"] + z @ w["loading"] + h @ w["out"]


def _bound(
    w: Mapping[str, torch.Tensor], rows: tuple[torch.Tensor, ...], counts: bool, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log likelihood and Kullback-Leibler divergence, mean per patient."""
    import torch

    y, offset, x, c = rows
    mean, variance = _encode(w, x, c)
    z = mean + noise * (0.5 * variance).exp()
    eta = _decode(w, z, x)
    if counts:
        eta = (eta + offset[:, None]).clamp(-12, 18)
        inverse = w["last"].clamp(-6, 8)
        both = torch.logaddexp(eta, inverse)
        size = inverse.exp()
        # lgamma(y + size) - lgamma(y + 1) in double precision: both are large where counts are.
        ways = torch.lgamma(y.double() + size.double()) - torch.lgamma(y.double() + 1)
        likelihood = ways.float() - torch.lgamma(size) + size * (inverse - both) + y * (eta - both)
    else:
        likelihood = -0.5 * ((y - eta) * (-w["last"]).exp()) ** 2 - w["last"]
    kl = 0.5 * (mean**2 + variance.exp() - 1 - variance).sum(1).mean()
    return likelihood.sum(1).mean(), kl


def _train(
    level: np.ndarray, rate: np.ndarray, data: _Data, latent: int, settings: Mapping[str, Any], seed: int,
    prefix: Path | None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], _Data, pd.DataFrame]:  # fmt: skip
    """Start, weights, data with coordinates, and history.

    A part of the patients is trained on, the others say when to stop; small cohorts then begin anew with everybody and
    take as many steps.
    """
    n, hidden = len(data.offset), int(settings["hidden"])
    order = np.random.default_rng(seed).permutation(n)
    out = max(1, round(float(settings["held_back"]) * n))
    inside, held = np.sort(order[out:]), np.sort(order[:out])
    start, seen = _start(level, rate, data, inside, latent, hidden, seed)
    taken = _take_steps(start, seen, inside, held, int(settings["steps"]), settings, seed, _of_phase(prefix, PHASES[0]))
    history = pd.DataFrame(taken.history, columns=["step", "train", "validation", "kl"])
    if n < int(settings["refit_below"]):
        start, seen = _start(level, rate, data, np.arange(n), latent, hidden, seed)
        place = _of_phase(prefix, PHASES[1])
        taken = _take_steps(start, seen, np.arange(n), None, taken.best_step, settings, seed, place)
    learned = {name: part.cpu().numpy() for name, part in zip(_list_trained(start), taken.weights, strict=True)}
    return start, {**start, **learned}, seen, history


def _of_phase(prefix: Path | None, phase: str) -> Path | None:
    return None if prefix is None else prefix.with_name(f"{prefix.name}_{phase}")


def _list_trained(start: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the weights that are trained."""
    return [name for name in start if name != FIXED]


def _take_steps(
    start: Mapping[str, np.ndarray], data: _Data, inside: np.ndarray, held: np.ndarray | None, steps: int,
    settings: Mapping[str, Any], seed: int, prefix: Path | None,
) -> loop.Trained:  # fmt: skip
    """Take steps on the patients `inside`; with patients held back, until their bound stops rising."""
    import torch

    generator, device = torch.Generator().manual_seed(seed), torch.device(str(settings["device"]))
    genes, batch = len(start["bias"]), min(int(settings["batch"]), len(inside))
    latent, names = start["loading"].shape[0], _list_trained(start)
    rate, spread = float(settings["learning_rate"]), float(settings["spread"])
    origin = {name: torch.tensor(array, device=device) for name, array in start.items()}
    w = {name: tensor.clone().requires_grad_(name != FIXED) for name, tensor in origin.items()}
    ease = {name: EASE.get(name, 0.1) for name in names}
    groups = [{"params": [w[name]], "ease": ease[name]} for name in names]
    # No more than 1e-10 beside the moments: gradients of a mean over many genes are small.
    adam = torch.optim.Adam(groups, rate, betas=(0.9, 0.99), eps=1e-10)

    def bound(weights: Mapping[str, torch.Tensor], at: np.ndarray, chance: torch.Generator) -> Any:
        noise = torch.randn(len(at), latent, generator=chance).to(device)
        return _bound(weights, tuple(part.to(device) for part in data.rows(at)), data.counts, noise)

    def take_step(step: int) -> Mapping[str, torch.Tensor]:
        chosen = torch.randint(len(inside), (batch,), generator=generator).numpy()
        fit_term, kl = bound(w, inside[chosen], generator)
        away = torch.stack([((w[name] - origin[name]) ** 2).sum() * ease[name] ** -2 for name in names]).sum()
        loss = (kl - fit_term + away / (2 * (10 * spread) ** 2 * len(inside))) / genes
        loop.descend(adam, loss, rate * min(1.0, step / 20))
        return {"train": (fit_term - kl).detach().double() / genes, "kl": kl.detach()}

    def evaluate(average: Sequence[torch.Tensor]) -> loop.Evaluation:
        assert held is not None
        total, alike = 0.0, torch.Generator().manual_seed(0)  # the same latent noise at every step
        weights = {FIXED: origin[FIXED], **dict(zip(names, average, strict=True))}
        for s in range(0, len(held), batch):
            fit_term, kl = bound(weights, held[s : s + batch], alike)
            total += (fit_term - kl).item() * len(held[s : s + batch])
        found = total / len(held) / genes
        return loop.Evaluation(-found, {"validation": found})

    identity = identity_of(settings, seed, *start.values(), data.offset, data.features, data.coordinates)
    plan = loop.Plan(
        "autoencoder", steps=steps, every=EVALUATE_EVERY, patience=int(settings["patience"]),
        ema=float(settings["ema"]), checkpoint_every=int(settings["checkpoint_every"]), start_counts=True,
    )  # fmt: skip
    return loop.train(
        [w[name] for name in names], [adam], take_step, plan, generator, None if held is None else evaluate,
        Checkpoint(prefix, identity),
    )  # fmt: skip


def _prior(parameters: Mapping[str, np.ndarray], data: _Data, sizes: list[int], seed: int) -> dict[str, np.ndarray]:
    """Where latent points lie: their regression on the record, and a Gaussian mixture of what is left.

    Each posterior's own variance is added to the mixture's, so that the points are spread as the posteriors are.
    """
    import torch

    with torch.no_grad():
        w = {name: torch.tensor(array) for name, array in parameters.items()}
        x, c = (torch.tensor(np.asarray(a, dtype=np.float32)) for a in (data.features, data.coordinates))
        mean, variance = (part.numpy().astype(float) for part in _encode(w, x, c))
    slope = ridge(data.features, mean - mean.mean(axis=0)).astype(float)
    rest = mean - data.features @ slope
    told_apart = [k for k in sizes if k == 1 or k * 10 * rest.shape[1] <= len(rest)]
    mixture = prior.best_mixture(rest, told_apart, seed, starts=2)
    packed = prior.pack(mixture, mixture.covariances_ + np.diag(np.exp(variance).mean(axis=0)))
    return {"prior.slope": slope, **packed}


def _latent(a: Mapping[str, np.ndarray], features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(patients, latent) latent points of patients with these centred features."""
    return np.asarray(prior.draw(a, len(features), rng) + features @ a["prior.slope"], dtype=np.float32)


def _eta(a: Mapping[str, np.ndarray], features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import torch

    names = ("bias", "slope", "loading", "enter", "enter_bias", "out")
    with torch.no_grad():
        w = {name: torch.tensor(a[name]) for name in names}
        z = torch.tensor(_latent(a, features, rng))
        return np.asarray(_decode(w, z, torch.tensor(np.asarray(features, dtype=np.float32))).numpy())


def _draw(
    a: Mapping[str, np.ndarray], counts: bool, features: np.ndarray, offset: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(patients, genes) rates at the median library size (`scores.rates`), or normal scores, as the network draws them.

    features: centred; offset: log library size over the median, 0 where values are no counts.
    """
    values = np.empty((len(features), len(a["bias"])), dtype=np.float32)
    size = np.exp(np.clip(a["last"], -6, 8))
    for s in range(0, len(features), CHUNK):
        rows = slice(s, s + CHUNK)
        eta = _eta(a, features[rows], rng)
        if counts:
            library = np.exp(offset[rows])[:, None]
            count = rng.poisson(rng.gamma(size, size=eta.shape) / size * np.exp(np.clip(eta, -12, 18)) * library)
            values[rows] = (count + rng.random(eta.shape)) / library
        else:
            values[rows] = eta + np.exp(a["last"]) * rng.standard_normal(eta.shape, dtype=np.float32)
    return values


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> AnnData:
    """Draw expression for those patients of `given` who get it, given the record.

    Each gene's draws are carried to the distribution of its training values: what the network gets wrong of a gene
    alone is put right, what it knows of genes together and of the record stays.
    """
    known, a = fitted.description, fitted.arrays
    patients, features = owners.draw_owners(known, given, rng)
    obs = owners.draw_obs(fitted, given, patients, features, rng)
    counts = known["values"] == "counts"
    offset = np.log(obs["library_size"].to_numpy() / known["library"]) if counts else np.zeros(len(patients))
    values = _draw(a, counts, features - a["middle"], offset, rng)
    values = scores.carried(values, a["drawn"], a["quantiles"])
    if counts:
        values = scores.count(values, obs["library_size"].to_numpy(), float(known["library"]))
    return make(values, owners.like(known), patients, obs)
