"""Variational autoencoder with an autoregressive, bagged decoder: the study's clinical generator.

Every column is coded by `encoding` (categorical heads on quantile bins, missing as a level, survival time and event as
one joint head). An encoder (Kingma & Welling, ICLR 2014) gives each patient a latent normal distribution; the decoder
draws the columns one after the other given the latent point and the columns before (masked layers as in MADE, Germain
et al., ICML 2015). Three things keep it from learning patients by heart: heads move the marginal distribution only
along smooth functions of the ordered bins (`Encoding.basis`); the decoder is an ensemble on bootstrap samples whose
predictions are averaged (Breiman, Mach Learn 1996;24:123); and training stops where the predicted likelihood of
out-of-bag patients is best, for an exponential moving average of the weights. The prior is a Gaussian mixture fitted
to the aggregate posterior (cf. Tomczak & Welling, AISTATS 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Schema
from haemosynth.core.streams import one_of_each, torch_seed
from haemosynth.generate import at_most
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.rare import without_rare_levels
from haemosynth.learn import loop, prior
from haemosynth.learn.checkpoint import Checkpoint, identity_of
from haemosynth.modalities.clinical.generators import density_ratio, factors, forest, gibbs_sweeps, margins
from haemosynth.modalities.clinical.generators.conditioning import Conditions, check_conditions
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, FollowUp, learn

if TYPE_CHECKING:
    import torch

DEFAULTS: dict[str, Any] = {
    "patients": 20_000,  # training patients to learn from; of more so many are drawn at random
    "fewest": 0,  # training patients that a level must have to be learned, see `rare`
    "latent": 8,  # dimensions of the latent space
    "width": 128,  # hidden units of the encoder and of each decoder
    "decoders": 6,  # decoders, each on its own bootstrap sample
    "bins": 20,  # quantile bins of numbers and times
    "order": 5,  # cosines along ordered bins
    "steps": 1500,  # at most; training stops earlier on out-of-bag patients
    "patience": 300,  # steps without a better out-of-bag likelihood
    "batch": 128,
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    "dropout": 0.2,  # of hidden units
    "conditioning_dropout": 0.1,  # of whole columns among those that a column is given
    "kl_weight": 1.0,
    "ema": 0.98,
    "mixture": [1, 4, 8],  # components of the prior; the best BIC is taken
    "refresh": {"trees": 25, "leaf": 24, "max_features": 0.5},  # redraw of each column given the others; null for none
    "refinement": {"trees": 150, "depth": 4, "rate": 0.05, "leaf": 15},  # density-ratio refinement; null for none
    "margins": {"ridge": 50.0},  # weights under which margins are those of training patients; null for none
    "factors": None,  # {columns: [...], latent: 2, weight: 30}: latent space in two parts, see `factors`; null for none
    "checkpoint_every": 100,  # steps
    "condition": [],  # columns generated first: all others are conditioned on them
    "where": {},  # column -> level or number: only such patients are sampled
    "missing": "learned",  # or "completed": no missing values are sampled
}
EVALUATE_EVERY = 50  # steps
CHUNK = 512  # patients decoded at once: what is kept for them stays in the processor's cache


class _Net:
    """Shapes, masks and the forward pass; all weights lie in one flat vector."""

    def __init__(self, encoding: Encoding, settings: Mapping[str, Any]) -> None:
        import torch

        self.basis = [encoding.basis(i, int(settings["order"])).astype(np.float32) for i in range(len(encoding.sizes))]
        widths = [b.shape[1] for b in self.basis]
        self.blocks = [slice(int(a), int(b)) for a, b in zip(np.cumsum([0, *widths]), np.cumsum(widths), strict=False)]
        inputs, k = int(sum(widths)), int(settings["decoders"])
        hidden, latent, columns = int(settings["width"]), int(settings["latent"]), len(widths)
        self.latent, self.members, self.inputs = latent, k, inputs
        self.shapes: dict[str, tuple[int, ...]] = {
            "enter": (inputs, hidden), "enter_bias": (hidden,), "code": (hidden, 2 * latent),
            "code_bias": (2 * latent,),
            "seen": (inputs, k, hidden), "point": (latent, k, hidden), "hidden_bias": (k, hidden),
            "out": (k, hidden, inputs), "direct": (k, inputs, inputs), "direct_point": (k, latent, inputs),
            "out_bias": (k, inputs),
        }  # fmt: skip
        self.size = sum(int(np.prod(shape)) for shape in self.shapes.values())
        column = np.repeat(np.arange(columns), widths)
        self.column = torch.tensor(column)
        # A hidden unit of degree g sees columns before g and speaks for columns from g on.
        degree = np.rint(np.linspace(0, columns - 1, hidden)).astype(int)
        self.first_unit = np.searchsorted(degree, np.arange(1, columns + 1))  # units of degree <= i
        self.sees = torch.tensor((column[:, None] < degree[None]).astype(np.float32))
        self.speaks = torch.tensor((degree[:, None] <= column[None]).astype(np.float32))
        self.before = torch.tensor((column[:, None] < column[None]).astype(np.float32))
        self.phi = [torch.tensor(b) for b in self.basis]

    def start(self, generator: torch.Generator) -> torch.Tensor:
        """Starting weights: small where the output would move, He-scaled elsewhere."""
        import torch

        parts = []
        for name, shape in self.shapes.items():
            if name in ("enter", "code", "seen", "point"):
                fan = shape[0]
                part = torch.randn(shape, generator=generator) * (1.0 / fan) ** 0.5
            elif name == "out":
                part = torch.randn(shape, generator=generator) * 0.1 / shape[1] ** 0.5
            else:
                part = torch.zeros(shape)
            parts.append(part.reshape(-1))
        return torch.cat(parts)

    def mark_decaying(self) -> torch.Tensor:
        """1 for weights that decay, 0 for biases and for what the latent point says."""
        import torch

        parts = [
            torch.full((int(np.prod(shape)),), float(name in ("enter", "seen", "out", "direct")))
            for name, shape in self.shapes.items()
        ]
        return torch.cat(parts)

    def weights(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """The named weights inside the flat vector, masks applied."""
        import torch

        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        named = {
            name: part.reshape(shape)
            for (name, shape), part in zip(self.shapes.items(), torch.split(flat, sizes), strict=True)
        }
        named["seen"] = named["seen"] * self.sees[:, None, :]
        named["out"] = named["out"] * self.speaks
        named["direct"] = named["direct"] * self.before
        return named

    def features(self, levels: np.ndarray) -> torch.Tensor:
        """(patients, inputs) basis functions of every column's level."""
        import torch

        return torch.tensor(np.hstack([b[levels[:, i]] for i, b in enumerate(self.basis)]))

    def encode(self, w: Mapping[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of the latent point, (patients, latent) each."""
        import torch

        h = torch.nn.functional.silu(x @ w["enter"] + w["enter_bias"])
        mean, log_variance = (h @ w["code"] + w["code_bias"]).chunk(2, dim=-1)
        return mean, log_variance.clamp(-8, 4)

    def tilt(
        self, w: Mapping[str, torch.Tensor], x: torch.Tensor, z: torch.Tensor, keep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(decoders, patients, inputs) coefficients of the basis; `keep` (patients, hidden) masks hidden units."""
        import torch

        n, (k, hidden) = len(x), w["hidden_bias"].shape
        a = x @ w["seen"].reshape(self.inputs, -1) + z @ w["point"].reshape(self.latent, -1)
        h = torch.nn.functional.silu(a.reshape(n, k, hidden) + w["hidden_bias"]).permute(1, 0, 2)
        if keep is not None:
            h = h * keep
        linear = torch.einsum("nd,kde->kne", x, w["direct"]) + torch.einsum("nl,kle->kne", z, w["direct_point"])
        return torch.bmm(h, w["out"]) + linear + w["out_bias"][:, None, :]

    def log_likelihood(self, tilt: torch.Tensor, levels: torch.Tensor, base: list[torch.Tensor]) -> torch.Tensor:
        """(decoders, patients, columns) log probability of every patient's levels."""
        import torch

        found = []
        for i, block in enumerate(self.blocks):
            logits = tilt[..., block] @ self.phi[i].T + base[i]
            index = levels[:, i].expand(len(tilt), -1).unsqueeze(-1)
            found.append(torch.log_softmax(logits, dim=-1).gather(-1, index).squeeze(-1))
        return torch.stack(found, dim=-1)


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit the autoencoder to training patients; columns of the history are mean log likelihoods per patient.

    Args:
        checkpoint: path prefix; an interrupted fit of the same patients and settings is taken up from there and gives
            the same bytes as an uninterrupted one. The files are removed on success.

    Raises:
        InputError: a setting that names an unknown column or level.
    """
    import torch

    train = at_most(train, int(settings["patients"]), rng)
    train, left_out = without_rare_levels(train, int(settings["fewest"]), rng)
    split = factors.check(settings, train)
    if split is not None:
        settings = {**settings, "condition": list(dict.fromkeys([*split.columns, *settings["condition"]]))}
    conditions = check_conditions(settings, train)
    encoding = learn(train, int(settings["bins"]), conditions.first)
    coded = encoding.encode(train.clinical)
    net = _Net(encoding, settings)
    base = _marginals(encoding, coded.levels)
    seed = torch_seed(rng)
    prior_seed, ratio_seed = torch_seed(rng), torch_seed(rng)
    kept = Checkpoint(checkpoint, identity_of(settings, seed, coded.levels, *base))
    weights, history = _train(net, coded.levels, base, settings, seed, kept, split)
    with torch.no_grad():
        w = net.weights(torch.tensor(weights))
        mean, log_variance = (part.numpy() for part in net.encode(w, net.features(coded.levels)))
    arrays, description = encoding.save()
    arrays["weights"] = weights
    arrays |= {f"base.{i:03d}": b for i, b in enumerate(base)}
    if split is not None:
        arrays["factors.means"] = split.means(mean, split.classes(encoding, coded.levels))
    arrays |= _prior(mean, log_variance, [int(c) for c in settings["mixture"]], prior_seed)
    plain = {
        "encoding": description,
        "patients": len(train),
        "left_out": left_out,
        "parameters": int(net.size),
        "network": {key: settings[key] for key in ("latent", "width", "decoders", "order")},
        **conditions.plain(),
        **(split.plain() if split else {}),
    }
    if settings["refresh"]:
        forests = gibbs_sweeps.learn(encoding, coded, seed=ratio_seed, **settings["refresh"])
        arrays |= {f"gibbs_sweep.{name}": array for name, array in forests.items()}
        plain["parameters"] += sum(forest.size(forest.of_column(forests, i)) for i in range(len(encoding.variables)))
    refinement, calibration = settings["refinement"], settings["margins"]
    if refinement or calibration:
        free = Conditions((), {}, completed=False)
        chance = np.random.default_rng(ratio_seed)
        many = density_ratio.PER_PATIENT * len(train)
        pool = [_draw(encoding, net, arrays, free, many, chance)] if refinement else []
        fresh = _draw(encoding, net, arrays, free, max(many, margins.LEAST_DRAWN if calibration else 0), chance)
        weight = np.ones(len(fresh.levels))
        if refinement:
            told, unseen = (encoding.decode(drawn, train.schema) for drawn in (*pool, fresh))
            odds = density_ratio.learn(encoding, train.clinical, told, unseen, refinement, ratio_seed)
            arrays |= {f"density_ratio.{name}": array for name, array in odds.items()}
            plain["parameters"] += 2 * len(odds["value"])
            weight = np.minimum(density_ratio.odds(odds, encoding, unseen), odds["bound"][0])
        if calibration:
            tilt = margins.learn(encoding, coded, fresh, weight, float(calibration["ridge"]))
            arrays |= {f"margins.{name}": array for name, array in tilt.items()}
            plain["parameters"] += len(tilt["tilt"])
    kept.remove()
    return Fitted(arrays, plain, history)


def _marginals(encoding: Encoding, levels: np.ndarray) -> list[np.ndarray]:
    """Log share of every level, with half a patient added."""
    counts = [np.bincount(levels[:, i], minlength=size) + 0.5 for i, size in enumerate(encoding.sizes)]
    return [np.log(c / c.sum()).astype(np.float32) for c in counts]


def _train(
    net: _Net,
    levels: np.ndarray,
    base: list[np.ndarray],
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: Checkpoint,
    split: factors.Factors | None = None,
) -> tuple[np.ndarray, pd.DataFrame]:
    import torch

    from haemosynth.learn.adam import Adam

    generator = torch.Generator().manual_seed(seed)
    n, k = len(levels), net.members
    x, target, bias = net.features(levels), torch.tensor(levels), [torch.tensor(b) for b in base]
    drawn = torch.randint(n, (k, n), generator=generator)
    counts = torch.zeros(k, n).scatter_add_(1, drawn, torch.ones(k, n))
    outside = (counts == 0).float()
    flat = net.start(generator).requires_grad_(True)
    rate = float(settings["learning_rate"])
    adam = Adam([flat], rate, decay=net.mark_decaying() * float(settings["weight_decay"]))
    batch, hidden = min(int(settings["batch"]), n), net.shapes["enter"][1]

    def take_step(step: int) -> Mapping[str, torch.Tensor]:
        rows = torch.randint(n, (batch,), generator=generator)
        w = net.weights(flat)
        shown = x[rows]
        mean, log_variance = net.encode(w, shown * _drop_out(shown.shape, settings["conditioning_dropout"], generator))
        z = mean + torch.randn(mean.shape, generator=generator) * (0.5 * log_variance).exp()
        columns = _drop_out((batch, len(net.blocks)), settings["conditioning_dropout"], generator)[:, net.column]
        tilt = net.tilt(w, shown * columns, z, _drop_out((batch, hidden), settings["dropout"], generator))
        fit_term = (net.log_likelihood(tilt, target[rows], bias).sum(-1) * counts[:, rows]).mean()
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1).mean()
        loss = float(settings["kl_weight"]) * min(1.0, step / 200) * kl - fit_term
        if split is not None:
            told = target[rows][:, : len(split.columns)]
            loss = loss + split.weight * factors.dependence(mean[:, split.latent :], told)
        loop.descend(adam, loss, rate * min(1.0, step / 50))
        return {"kl": kl.detach()}

    def evaluate(average: Sequence[torch.Tensor]) -> loop.Evaluation:
        inside, held = _bag_scores(net, average[0], x, target, bias, counts, outside)
        return loop.Evaluation(-held, {"train": inside, "validation": held})

    plan = loop.Plan(
        "vae", steps=int(settings["steps"]), every=EVALUATE_EVERY, patience=int(settings["patience"]),
        ema=float(settings["ema"]), checkpoint_every=int(settings["checkpoint_every"]),
    )  # fmt: skip
    trained = loop.train([flat], [adam], take_step, plan, generator, evaluate, checkpoint)
    return trained.weights[0].numpy(), pd.DataFrame(trained.history, columns=["step", "train", "validation", "kl"])


def _drop_out(shape: tuple[int, ...], dropout: float, generator: torch.Generator) -> torch.Tensor:
    """Inverted dropout: 0 with probability `dropout`, else 1 / (1 - dropout)."""
    import torch

    return (torch.rand(shape, generator=generator) >= float(dropout)).float() / (1 - float(dropout))


def _bag_scores(
    net: _Net, flat: torch.Tensor, x: torch.Tensor, target: torch.Tensor, base: list[torch.Tensor],
    counts: torch.Tensor, outside: torch.Tensor,
) -> tuple[float, float]:  # fmt: skip
    """Mean evidence lower bound per patient under averaged predictions of decoders that saw, or did not see, them.

    The expected log likelihood is taken at the posterior mean.
    """
    import torch

    w = net.weights(flat)
    mean, log_variance = net.encode(w, x)
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)
    found = net.log_likelihood(net.tilt(w, x, mean), target, base)
    scores = []
    for mask in ((counts > 0).float(), outside):
        some = mask.sum(0) > 0
        log_mask = torch.where(mask > 0, 0.0, -torch.inf)[:, :, None]
        mixed = torch.logsumexp(found + log_mask, dim=0) - mask.sum(0).clamp(min=1).log()[:, None]
        scores.append(float((mixed.sum(-1) - kl)[some].mean()) if bool(some.any()) else 0.0)
    return scores[0], scores[1]


def _prior(mean: np.ndarray, log_variance: np.ndarray, components: list[int], seed: int) -> dict[str, np.ndarray]:
    """Gaussian mixture on draws from the patients' posteriors: weights, means and Cholesky factors."""
    noise = np.random.default_rng(seed)
    draws = np.concatenate([mean + np.exp(log_variance / 2) * noise.normal(size=mean.shape) for _ in range(4)])
    told_apart = [c for c in components if c * 10 <= len(mean) or c == min(components)]
    mixture = prior.best_mixture(draws, told_apart, seed)
    return prior.pack(mixture, mixture.covariances_)


def sample(fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., derived columns missing.

    Raises:
        InputError: the schema and the fitted generator name different columns, or hardly any sampled patient has an
            event that `where` asks for.
    """
    encoding = Encoding.load(fitted.arrays, fitted.description["encoding"])
    conditions = Conditions.load(fitted.description)
    net = _Net(encoding, fitted.description["network"])
    odds, tilt = _part(fitted.arrays, "density_ratio."), _part(fitted.arrays, "margins.")

    def draw(m: int) -> Coded:
        return _draw(encoding, net, fitted.arrays, conditions, m, rng)

    def weigh(coded: Coded) -> np.ndarray:
        weight = np.ones(len(coded.levels))
        if odds:
            weight = density_ratio.odds(odds, encoding, encoding.decode(coded, schema))
        return margins.weights(tilt, encoding, coded, weight) if tilt else weight

    def refine(m: int) -> Coded:
        last = tilt or odds
        return density_ratio.accept(float(last["bound"][0]), weigh, m, draw, rng) if last else draw(m)

    return conditions.exact(encoding.decode(conditions.collect(encoding, n, refine), schema))


def _draw(
    encoding: Encoding,
    net: _Net,
    arrays: Mapping[str, np.ndarray],
    conditions: Conditions,
    n: int,
    rng: np.random.Generator,
) -> Coded:
    forests = _part(arrays, "gibbs_sweep.")
    parts = []
    for at in range(0, n, CHUNK):
        part = _decode(encoding, net, arrays, conditions, min(CHUNK, n - at), rng)
        parts.append(gibbs_sweeps.sweep(forests, encoding, conditions, part, rng) if forests else part)
    return _join(parts)


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _join(parts: list[Coded]) -> Coded:
    return Coded(np.concatenate([p.levels for p in parts]), np.concatenate([p.positions for p in parts]))


def _latent(arrays: Mapping[str, np.ndarray], n: int, rng: np.random.Generator) -> np.ndarray:
    return prior.draw(arrays, n, rng).astype(np.float32)


def _decode(
    encoding: Encoding,
    net: _Net,
    arrays: Mapping[str, np.ndarray],
    conditions: Conditions,
    n: int,
    rng: np.random.Generator,
) -> Coded:
    """n patients, column by column."""
    import torch

    asked = [i for i, variable in enumerate(encoding.variables) if conditions.asks(variable)]
    # Where levels are asked for, the latent points are drawn given them: candidates weighted by their probability.
    candidates = n * 10 if asked else n
    z = _latent(arrays, candidates, rng)
    with torch.no_grad():
        w = net.weights(torch.tensor(arrays["weights"]))
        if asked:
            weight = np.zeros(candidates)
            walk = _Walk(net, w, z, arrays)
            for i in range(max(asked) + 1):
                p = walk.probabilities(i)
                right = conditions.permit(encoding, i)
                weight += np.log((p * right).sum(axis=1) + 1e-300) if i in asked else 0.0
                walk.add(i, one_of_each(p * right, rng))
            share = np.exp(weight - weight.max())
            z = z[rng.choice(candidates, size=n, p=share / share.sum())]
        walk = _Walk(net, w, z, arrays)
        levels = np.zeros((n, len(encoding.variables)), dtype=np.int64)
        positions = rng.random(levels.shape)
        follow_up = FollowUp(encoding, n)
        for i, variable in enumerate(encoding.variables):
            right = np.broadcast_to(conditions.permit(encoding, i), (n, len(variable.levels)))
            if variable.kind == "survival":
                both = right & follow_up.permit(i)
                right = np.where(both.any(axis=1, keepdims=True), both, right)
            levels[:, i] = one_of_each(walk.probabilities(i) * right, rng)
            conditions.clamp(encoding, i, levels, positions)
            if variable.kind == "survival":
                follow_up.add(i, levels[:, i], positions[:, i])
            walk.add(i, levels[:, i])
    return Coded(levels, positions)


class _Walk:
    """The decoder column by column: hidden sums grow with every column that is added."""

    def __init__(
        self, net: _Net, w: Mapping[str, torch.Tensor], z: np.ndarray, arrays: Mapping[str, np.ndarray]
    ) -> None:
        import torch

        self.net, self.w, self.arrays, self.z = net, w, arrays, torch.tensor(z)
        n, (k, hidden) = len(z), w["hidden_bias"].shape
        self.sums = (self.z @ w["point"].reshape(net.latent, -1)).reshape(n, k, hidden) + w["hidden_bias"]
        self.linear = torch.einsum("nl,kle->kne", self.z, w["direct_point"]) + w["out_bias"][:, None, :]

    def probabilities(self, i: int) -> np.ndarray:
        """(patients, levels) mean of the decoders' predictions for column i."""
        import torch

        units, block = slice(0, int(self.net.first_unit[i])), self.net.blocks[i]
        h = torch.nn.functional.silu(self.sums[:, :, units]).permute(1, 0, 2)
        tilt = torch.bmm(h, self.w["out"][:, units, block]) + self.linear[..., block]
        logits = tilt @ self.net.phi[i].T + torch.tensor(self.arrays[f"base.{i:03d}"])
        return np.asarray(torch.softmax(logits, dim=-1).mean(0).numpy(), dtype=np.float64)

    def add(self, i: int, levels: np.ndarray) -> None:
        """Give the later columns the levels of column i."""
        import torch

        x, block = self.net.phi[i][torch.tensor(levels)], self.net.blocks[i]
        n, (k, hidden) = len(x), self.w["hidden_bias"].shape
        last = block.stop
        self.sums += (x @ self.w["seen"][block].reshape(x.shape[1], -1)).reshape(n, k, hidden)
        # Only later columns read what is added.
        self.linear[..., last:] += torch.matmul(x, self.w["direct"][:, block, last:])
