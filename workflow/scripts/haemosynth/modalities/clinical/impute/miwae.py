"""MIWAE: a deep latent-variable model fitted on the observed entries, sampled by importance resampling.

Mattei and Frellsen, ICML 2019: an importance-weighted autoencoder whose likelihood counts observed entries only.
Here an ensemble of small ones, each on its own Bayesian bootstrap of the patients (Rubin, Ann Stat 1981;9:130), so that
the draws also carry the uncertainty of the fit. The encoder sees each patient with further entries hidden at random,
which leaves the bound valid and teaches it to read incomplete records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop
from haemosynth.modalities.clinical.impute import encoding as coding

if TYPE_CHECKING:
    from torch import Generator, Tensor

DEFAULTS: dict[str, Any] = {
    "members": 5,  # models in the ensemble; draw i comes from member i modulo members
    "latent": 8,
    "hidden": 64,
    "steps": 1200,
    "batch": 128,  # patients
    "importance_samples": 5,  # in the bound
    "imputation_samples": 200,  # weighed against each other for each draw
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "hide": 0.3,  # largest share of a patient's observed entries that is hidden from the encoder
    "min_carriers": 10,  # alterations with fewer carriers are no predictors
}
WIDTHS = (-3.0, 1.0)  # bounds of the log standard deviation of a normal score


class _Model:
    """The ensemble: every weight has the member as its first axis."""

    def __init__(self, weights: Mapping[str, Tensor], groups: list[tuple[str, slice]]) -> None:
        import torch

        self.weights = weights
        self.levels = [features for kind, features in groups if kind == "levels"]
        self.plain = groups[len(groups) - len(self.levels)][1].start if self.levels else groups[-1][1].stop
        kinds = [kind for kind, _ in groups if kind != "levels"]
        self.normal = torch.tensor([kind == "normal" for kind in kinds], dtype=torch.bool)

    def _layer(self, name: str, x: Tensor) -> Tensor:
        import torch

        return torch.baddbmm(self.weights[f"{name}.bias"], x, self.weights[f"{name}.weight"])

    def decode(self, z: Tensor) -> Tensor:
        from torch.nn.functional import silu

        return self._layer("decoder.1", silu(self._layer("decoder.0", z)))

    def width(self) -> Tensor:
        """(members, 1, plain features) log standard deviation of each normal score."""
        return self.weights["log_width"].clamp(*WIDTHS)

    def _log_likelihood(self, predicted: Tensor, x: Tensor, present: Tensor) -> Tensor:
        from torch import where
        from torch.nn.functional import binary_cross_entropy_with_logits

        p, width = self.plain, self.width()
        mean, truth = predicted[..., :p], x[..., :p]
        normal = -0.5 * ((truth - mean) * (-width).exp()) ** 2 - width
        yes_no = -binary_cross_entropy_with_logits(mean, truth, reduction="none")
        result = (where(self.normal, normal, yes_no) * present[..., :p]).sum(-1)
        for features in self.levels:  # x is 0 throughout a missing column, so it adds nothing
            result = result + (predicted[..., features].log_softmax(-1) * x[..., features]).sum(-1)
        return result

    def weigh(
        self, x: Tensor, present: Tensor, seen: Tensor, samples: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Log importance weights (members, samples, patients) and the latent points (..., latent) they belong to.

        x, present, seen: (members, patients, features); the encoder reads `seen`, the likelihood counts `present`.
        """
        import torch
        from torch.nn.functional import silu

        hidden = silu(self._layer("encoder.0", torch.cat([x * seen, seen], -1)))
        mean, log_variance = self._layer("encoder.2", silu(self._layer("encoder.1", hidden))).chunk(2, -1)
        log_variance = log_variance.clamp(-6, 2)
        members, patients, latent = mean.shape
        noise = torch.randn(members, samples, patients, latent, generator=generator)
        z = mean[:, None] + noise * (0.5 * log_variance).exp()[:, None]
        predicted = self.decode(z.reshape(members, samples * patients, latent))
        likelihood = self._log_likelihood(predicted, x.repeat(1, samples, 1), present.repeat(1, samples, 1))
        prior_over_proposal = 0.5 * (noise**2 - z**2 + log_variance[:, None]).sum(-1)
        return likelihood.reshape(members, samples, patients) + prior_over_proposal, z


def _start(sizes: Mapping[str, tuple[int, int]], members: int, generator: Generator) -> dict[str, Tensor]:
    import torch

    weights = {}
    for name, (fan_in, fan_out) in sizes.items():
        spread = torch.rand(members, fan_in, fan_out, generator=generator) * 2 - 1
        weights[f"{name}.weight"] = spread / math.sqrt(fan_in)
        weights[f"{name}.bias"] = torch.zeros(members, 1, fan_out)
    return weights


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Fitted:
    """Fit the ensemble on the observed entries of training patients.

    Raises:
        InputError: the cohort has no column to impute.
    """
    import torch

    from haemosynth.learn.adam import AdamW

    generator = torch.Generator().manual_seed(torch_seed(rng))
    encoding = coding.fit_encoding(train, settings["min_carriers"])
    values, observed = coding.make_inputs(encoding, train)
    x, present = torch.tensor(values, dtype=torch.float32), torch.tensor(observed, dtype=torch.float32)
    groups = coding.group_features(encoding)
    column = torch.tensor([j for j, (_, features) in enumerate(groups) for _ in range(features.stop - features.start)])
    members, hidden, latent, features = settings["members"], settings["hidden"], settings["latent"], x.shape[1]
    weights = _start(
        {
            "encoder.0": (2 * features, hidden),
            "encoder.1": (hidden, hidden),
            "encoder.2": (hidden, 2 * latent),
            "decoder.0": (latent, hidden),
            "decoder.1": (hidden, features),
        },
        members,
        generator,
    )
    plain = sum(kind != "levels" for kind, _ in groups)
    weights["log_width"] = torch.zeros(members, 1, plain)
    for tensor in weights.values():
        tensor.requires_grad_(True)
    model = _Model(weights, groups)
    steps, samples, batch = settings["steps"], settings["importance_samples"], min(settings["batch"], len(x))
    optimiser = AdamW(list(weights.values()), lr=settings["learning_rate"], weight_decay=settings["weight_decay"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    importance = torch.tensor(rng.exponential(size=(members, len(x))), dtype=torch.float32)  # Bayesian bootstrap

    def take_step(_: int) -> Mapping[str, float | Tensor]:
        rows = torch.randint(len(x), (members, batch), generator=generator)
        rate = torch.rand(members, batch, 1, generator=generator) * settings["hide"]
        kept = torch.rand(members, batch, len(groups), generator=generator) >= rate
        there = present[rows]
        logs, _latent = model.weigh(x[rows], there, there * kept[..., column], samples, generator)
        bound = torch.logsumexp(logs, 1) - math.log(samples)
        loss = -(bound * importance.gather(1, rows)).mean(1)
        loop.descend(optimiser, loss.sum())
        schedule.step()
        return {"loss": loss.detach().mean()}

    trained = loop.train(weights.values(), [optimiser], take_step, loop.Plan("miwae", steps, 50), generator)
    arrays, plain_coding = coding.pack(encoding)
    arrays |= {f"network/{name}": tensor.detach().numpy() for name, tensor in weights.items()}
    description = {
        "algorithm": "miwae",
        "settings": dict(settings),
        "coding": plain_coding,
        "parameters": int(sum(tensor.numel() for tensor in weights.values())),
        "patients": len(train),
    }
    return Fitted(arrays, description, pd.DataFrame(trained.history, columns=["step", "loss"]))


def impute(fitted: Fitted, cohort: Cohort, draws: int, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Complete a cohort `draws` times.

    Each draw takes one latent point per patient, by its importance weight, and then every missing entry given it.

    Raises:
        InputError: the cohort lacks a column of the training patients.
    """
    import torch

    settings = fitted.description["settings"]
    encoding = coding.unpack(fitted.arrays, fitted.description["coding"])
    values, observed = coding.make_inputs(encoding, cohort)
    generator = torch.Generator().manual_seed(torch_seed(rng))
    weights = {
        name.removeprefix("network/"): torch.tensor(array)
        for name, array in fitted.arrays.items()
        if name.startswith("network/")
    }
    model = _Model(weights, coding.group_features(encoding))
    members = weights["log_width"].shape[0]
    x = torch.tensor(values, dtype=torch.float32).expand(members, -1, -1)
    present = torch.tensor(observed, dtype=torch.float32).expand(members, -1, -1)
    numbers: list[list[np.ndarray]] = [[] for _ in range(draws)]
    codes: list[list[np.ndarray]] = [[] for _ in range(draws)]
    with torch.no_grad():
        # In blocks of patients: samples x patients x members latent points would not fit for a large cohort.
        for start in range(0, len(cohort), 512):
            block = slice(start, start + 512)
            here = present[:, block]
            logs, z = model.weigh(x[:, block], here, here, settings["imputation_samples"], generator)
            chances = logs.softmax(1).transpose(1, 2)  # (members, patients, samples)
            for draw in range(draws):
                member = draw % members
                chosen = torch.multinomial(chances[member], 1, generator=generator)[:, 0]
                point = z[member, chosen, torch.arange(len(chosen))]
                predicted = model.decode(point.expand(members, -1, -1))[member]
                q = len(encoding.knots)
                spread = model.width()[member, :, :q].exp()
                noise = torch.randn(len(chosen), q, generator=generator)
                numbers[draw].append((predicted[:, :q] + spread * noise).numpy().astype("float64"))
                levels = [
                    torch.multinomial(predicted[:, features].softmax(-1), 1, generator=generator)[:, 0].numpy()
                    for features in model.levels
                ]
                codes[draw].append(np.stack(levels, axis=1) if levels else np.empty((len(chosen), 0), dtype=np.int64))
    return [
        coding.complete(encoding, cohort, np.concatenate(numbers[draw]), np.concatenate(codes[draw]))
        for draw in range(draws)
    ]
