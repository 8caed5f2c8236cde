"""Clinical records with differential privacy by a variational autoencoder trained with noisy gradients (DP-SGD).

Columns are coded over public domains as in `private_marginals`. Half of the budget buys noisy counts of each column,
from which the decoder starts; the other half buys gradients: each patient's gradient is clipped to a fixed length,
clipped gradients are summed over all patients, and normal noise is added (Abadi et al., CCS 2016). Cohorts are small,
so every step takes all patients: nothing is gained from subsampling them, and a step is a Gaussian mechanism whose
cost adds up exactly in zCDP. Whatever Adam makes of the noisy gradients costs nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Schema
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop
from haemosynth.learn.checkpoint import Checkpoint, identity_of
from haemosynth.modalities.clinical.generators.encoding import Encoding
from haemosynth.modalities.clinical.generators.private_marginals import PUBLIC, domain, draw_coded, public_encoding
from haemosynth.privacy.accountant import Noise, divide_budget, secret, statement
from haemosynth.privacy.private_tree import one_way

if TYPE_CHECKING:
    import torch

DEFAULTS: dict[str, Any] = {
    "epsilon": 8.0,  # of the whole release, with the other modality; .inf for no privacy
    "delta": 1e-5,  # of the whole release
    "share": 0.6,  # of the release's zCDP budget that this modality spends
    "shares": {"marginals": 0.4, "gradients": 0.6},  # what it is spent on
    "cells": 32,  # of a number or a time, a power of two; fewer where the grain leaves fewer values
    "horizon": 120.0,  # months of follow-up that are public: longer times count as this
    "latent": 2,  # dimensions of the latent space
    "width": 8,  # hidden units: noise grows with the number of weights
    "order": 1,  # cosines along ordered cells
    "steps": 150,  # more steps, more noise in each
    "clip": 1.0,  # length to which a patient's gradient is cut
    "learning_rate": 0.02,
    "checkpoint_every": 50,  # steps
}
PARTS = ("marginals", "gradients")
CHUNK = 1024  # patients whose gradients are held at once
EMA = 0.95  # of the weights


class _Net:
    """A small autoencoder, its weights in one flat vector; heads move the columns' counts along smooth functions."""

    def __init__(self, encoding: Encoding, shares: list[np.ndarray], settings: Mapping[str, Any]) -> None:
        import torch

        bases = [encoding.basis(i, int(settings["order"])) for i in range(len(encoding.variables))]
        columns, functions = len(bases), max(b.shape[1] for b in bases)
        most = max(b.shape[0] for b in bases)
        basis, start = np.zeros((columns, most, functions)), np.full((columns, most), -1e9)
        for i, (b, share) in enumerate(zip(bases, shares, strict=True)):
            basis[i, : b.shape[0], : b.shape[1]] = b
            start[i, : len(share)] = np.log(np.maximum(share, 1e-6))
        self.basis, self.start = torch.tensor(basis, dtype=torch.float32), torch.tensor(start, dtype=torch.float32)
        latent, hidden, inputs = int(settings["latent"]), int(settings["width"]), columns * functions
        self.latent = latent
        self.shapes = {
            "enter": (inputs, hidden), "enter_bias": (hidden,), "code": (hidden, 2 * latent),
            "code_bias": (2 * latent,), "point": (latent, hidden), "point_bias": (hidden,), "out": (hidden, inputs),
        }  # fmt: skip
        self.size = sum(math.prod(shape) for shape in self.shapes.values())

    def first(self, generator: torch.Generator) -> torch.Tensor:
        """Starting weights; the decoder's last layer is small, so that it starts at the counts."""
        import torch

        parts = []
        for name, shape in self.shapes.items():
            scale = 0.0 if name.endswith("bias") else 0.1 if name == "out" else 1.0
            parts.append((torch.randn(shape, generator=generator) * scale / shape[0] ** 0.5).reshape(-1))
        return torch.cat(parts)

    def _weights(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        parts = torch.split(flat, [math.prod(shape) for shape in self.shapes.values()])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def logits(self, flat: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """(..., columns, levels) log probabilities but for a constant, given latent points (..., latent)."""
        import torch

        w = self._weights(flat)
        h = torch.nn.functional.silu(z @ w["point"] + w["point_bias"])
        tilt = (h @ w["out"]).reshape(*z.shape[:-1], len(self.basis), -1)
        return torch.einsum("...cf,clf->...cl", tilt, self.basis) + self.start

    def loss(self, flat: torch.Tensor, levels: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
        """Negative evidence lower bound of one patient. levels: (columns,); chance: (latent,) standard normal."""
        import torch

        w = self._weights(flat)
        seen = self.basis.gather(1, levels[:, None, None].expand(-1, 1, self.basis.shape[2])).reshape(-1)
        h = torch.nn.functional.silu(seen @ w["enter"] + w["enter_bias"])
        mean, log_variance = (h @ w["code"] + w["code_bias"]).chunk(2)
        log_variance = log_variance.clamp(-8, 4)
        z = mean + chance * (0.5 * log_variance).exp()
        told = torch.log_softmax(self.logits(flat, z), dim=-1).gather(1, levels[:, None]).sum()
        return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() - told


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit the autoencoder to training patients under the budget; the history is the length of each step's gradient.

    Args:
        checkpoint: path prefix; an interrupted fit of the same patients and settings is taken up from there and gives
            the same bytes as an uninterrupted one. The files, which are private too, are removed on success.

    Raises:
        InputError: no secret of the noise, a column that is not declared in full, or a setting out of its range.
    """
    where = f"cohort {train.schema.cohort}: private_vae"
    spent = divide_budget(settings, PARTS, where)
    for name in ("clip", "steps", "learning_rate"):
        if not float(settings[name]) > 0:
            raise InputError(f"{where}: {name} is {settings[name]}; expected a number above 0")
    key = secret()
    encoding = public_encoding(train.schema, int(settings["cells"]), float(settings["horizon"]))
    levels = encoding.encode(train.clinical).levels
    seed = torch_seed(rng)
    noise = Noise(key, {"modality": "clinical", "model": "private_vae", **settings}, levels, seed)
    counts = one_way(levels, [domain(v) for v in encoding.variables], spent["marginals"], noise)
    shares = [c / c.sum() for c in counts]
    net = _Net(encoding, shares, settings)
    kept = Checkpoint(checkpoint, identity_of(settings, seed, levels))
    weights, history = _train(net, levels, settings, spent["gradients"], noise, seed, kept)
    arrays, description = encoding.save()
    arrays |= {"weights": weights, **{f"shares.{i:03d}": share for i, share in enumerate(shares)}}
    plain = {
        "encoding": description,
        "network": {name: settings[name] for name in ("latent", "width", "order")},
        "parameters": int(net.size + sum(len(share) for share in shares)),
        "privacy": statement(settings, spent, PUBLIC),
    }
    return Fitted(arrays, plain, history)


def noise_multiplier(rho: float, steps: int) -> float:
    """Standard deviation of the noise over the clipping length, so that so many steps cost `rho` in zCDP.

    A step's sum changes by at most the clipping length C with a patient; noise of standard deviation s C costs
    1 / (2 s^2) (Bun and Steinke, TCC 2016, proposition 1.6), and costs add up.
    """
    return 0.0 if math.isinf(rho) else math.sqrt(steps / (2.0 * rho))


def sum_clipped(gradients: torch.Tensor, length: float) -> torch.Tensor:
    """(weights,) sum over patients of (patients, weights) gradients, each cut to that length where it is longer."""
    norm = gradients.norm(dim=1, keepdim=True).clamp(min=1e-12)
    total: torch.Tensor = (gradients.double() * (length / norm).clamp(max=1.0)).sum(dim=0)
    return total


def _train(
    net: _Net,
    levels: np.ndarray,
    settings: Mapping[str, Any],
    rho: float,
    noise: Noise,
    seed: int,
    checkpoint: Checkpoint,
) -> tuple[np.ndarray, pd.DataFrame]:
    import torch

    total, clip = int(settings["steps"]), float(settings["clip"])
    scale, rate = clip * noise_multiplier(rho, total), float(settings["learning_rate"])
    generator = torch.Generator().manual_seed(seed)
    flat = net.first(generator)
    # Of Adam all is post-processing, the running mean of the weights too.
    adam = torch.optim.Adam([flat], rate, betas=(0.9, 0.99))
    target = torch.tensor(levels)
    gradient_of = torch.func.vmap(torch.func.grad(net.loss), in_dims=(None, 0, 0))

    def take_step(step: int) -> Mapping[str, torch.Tensor]:
        chance = torch.randn((len(target), net.latent), generator=generator)
        gradient = torch.zeros(net.size, dtype=torch.float64)
        for at in range(0, len(target), CHUNK):
            rows = slice(at, at + CHUNK)
            gradient += sum_clipped(gradient_of(flat, target[rows], chance[rows]), clip)
        if scale:
            gradient += scale * torch.tensor(noise.normal(net.size, step))
        flat.grad = (gradient / len(target)).float()
        loop.move(adam, rate * min(1.0, 2.0 * (1.0 - step / total) + 0.05))
        return {"gradient": flat.grad.norm()}

    plan = loop.Plan("private vae", total, every=1, ema=EMA, checkpoint_every=int(settings["checkpoint_every"]))
    trained = loop.train([flat], [adam], take_step, plan, generator, checkpoint=checkpoint)
    checkpoint.remove()
    return trained.weights[0].numpy(), pd.DataFrame(trained.history, columns=["step", "gradient"])


def sample(fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., derived columns missing.

    Raises:
        InputError: the schema and the fitted generator name different columns.
    """
    import torch

    encoding = Encoding.load(fitted.arrays, fitted.description["encoding"])
    shares = [fitted.arrays[f"shares.{i:03d}"] for i in range(len(encoding.variables))]
    net = _Net(encoding, shares, fitted.description["network"])
    z = torch.tensor(rng.normal(size=(n, net.latent)), dtype=torch.float32)
    with torch.no_grad():
        chances = torch.softmax(net.logits(torch.tensor(fitted.arrays["weights"]), z), dim=-1).double().numpy()

    def probability(i: int, _: np.ndarray) -> np.ndarray:
        return np.asarray(chances[:, i, : len(shares[i])])

    order = [*(i for i in range(len(shares)) if i not in encoding.endpoints), *encoding.endpoints]
    return encoding.decode(draw_coded(encoding, order, probability, n, rng), schema)
