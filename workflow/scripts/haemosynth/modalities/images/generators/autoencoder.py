"""A convolutional variational autoencoder of images and masks, given the patient's record: a baseline.

Kingma and Welling (ICLR 2014) with normal pixels: each plane has one noise variance, learned with the rest (sigma-VAE,
Rybkin et al., ICML 2021). The latent point of a synthetic image is a ridge regression of the posterior means on the
record plus a normal residual that also holds the posterior's variance, so that draws fill the aggregate posterior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop
from haemosynth.modalities.images.generators.coding import Coding, leave_out, rows_of_owners
from haemosynth.modalities.images.generators.principal_components import regression
from haemosynth.modalities.images.part import Images, images_of

if TYPE_CHECKING:
    import torch

DEFAULTS: dict[str, Any] = {
    "latent": 32,  # dimensions of the latent space
    "width": [16, 32, 64, 96],  # channels after each halving of the image
    "steps": 2000,  # at most; training stops earlier on patients left out
    "patience": 500,  # steps without a better bound of patients left out
    "batch": 32,
    "learning_rate": 1e-3,
    "left_out": 0.1,  # share of training patients that stopping is decided on
}
EVALUATE_EVERY = 50  # steps


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit to the images of training patients; the history holds the evidence lower bound per pixel and plane.

    It takes minutes at most: `checkpoint` is not used.

    Raises:
        InputError: the cohort has no images.
    """
    import torch

    coding = Coding.learn(train)
    planes, rows = coding.encode(images_of(train)), rows_of_owners(images_of(train), train)
    out = leave_out(rows, float(settings["left_out"]), rng)
    shape = {
        "planes": planes.shape[1], "size": list(planes.shape[2:]), "latent": int(settings["latent"]),
        "channels": [int(c) for c in settings["width"]],
    }  # fmt: skip
    net, history = _train(planes, out, shape, settings, torch_seed(rng))
    with torch.no_grad():
        means, log_variances = (torch.cat(part).double().numpy() for part in zip(*_encode(net, planes), strict=True))
    arrays = regression(means, coding.conditions(train, rows), rows)
    spread = arrays["residual"] @ arrays["residual"].T + np.diag(np.exp(log_variances).mean(axis=0))
    arrays["residual"] = np.linalg.cholesky(spread).astype(np.float32)
    arrays["center"] = means.mean(axis=0).astype(np.float32)
    arrays |= {f"net.{name}": tensor.numpy() for name, tensor in net.state_dict().items()}
    parameters = sum(tensor.numel() for tensor in net.parameters())
    return Fitted(arrays, {"coding": dict(coding.plain), "network": shape, "parameters": parameters}, history)


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Images:
    """Draw the images of these patients."""
    import torch

    from haemosynth.modalities.images.generators.convolutional import Autoencoder

    coding = Coding(fitted.description["coding"])
    rows = coding.owners(given, rng)
    arrays = fitted.arrays
    normal = rng.normal(size=(len(rows), len(arrays["residual"])))
    z = arrays["center"] + coding.conditions(given, rows) @ arrays["slope"] + normal @ arrays["residual"].T
    net = Autoencoder(fitted.description["network"])
    net.load_state_dict({k.removeprefix("net."): torch.tensor(v) for k, v in arrays.items() if k.startswith("net.")})
    with torch.no_grad():
        parts = [net.decode(part) for part in torch.split(torch.tensor(z, dtype=torch.float32), 64)]
        size = (len(rows), coding.planes, *coding.plain["size"])
        planes = torch.cat(parts).numpy() if len(rows) else np.empty(size, dtype=np.float32)
        deviation = (0.5 * net.log_noise).exp().numpy()[:, None, None]
    noise = deviation * rng.normal(size=planes.shape).astype(np.float32)
    noise[:, len(coding.plain["channels"]) :] = 0.0  # a mask has edges, not noise
    owners = np.asarray(given.patients, dtype=str)[rows]
    return coding.decode((planes + noise).astype(np.float32), owners, "autoencoder")


def _encode(net: Any, planes: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    import torch

    for at in range(0, len(planes), 64):
        yield net.encode(torch.tensor(planes[at : at + 64]))


def _bound(net: Any, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Minus the evidence lower bound, per pixel and plane, without its constant."""
    import torch

    mean, log_variance = net.encode(x)
    z = mean + torch.randn(mean.shape, generator=generator) * (0.5 * log_variance).exp()
    noise = net.log_noise[:, None, None].clamp(-9, 3)
    fit_term = 0.5 * ((x - net.decode(z)) ** 2 / noise.exp() + noise).mean()
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
    bound: torch.Tensor = fit_term + kl / x.numel()
    return bound


def _train(
    planes: np.ndarray, out: np.ndarray, shape: Mapping[str, Any], settings: Mapping[str, Any], seed: int
) -> tuple[Any, pd.DataFrame]:
    import torch

    from haemosynth.modalities.images.generators.convolutional import Autoencoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Autoencoder(shape)
    generator = torch.Generator().manual_seed(seed)
    x, held = torch.tensor(planes[~out]), torch.tensor(planes[out] if out.any() else planes)
    optimiser = torch.optim.AdamW(net.parameters(), lr=float(settings["learning_rate"]), weight_decay=1e-4)
    batch = min(int(settings["batch"]), len(x))

    def take_step(_: int) -> Mapping[str, float]:
        rows = torch.randint(len(x), (batch,), generator=generator)
        loop.descend(optimiser, _bound(net, x[rows], generator), clip=1.0)
        return {}

    def evaluate(_: Sequence[torch.Tensor]) -> loop.Evaluation:
        again = torch.Generator().manual_seed(seed)
        losses = [float(_bound(net, part, again)) for part in (x[: len(held)], held)]
        return loop.Evaluation(losses[1], {"train": -losses[0], "validation": -losses[1]})

    plan = loop.Plan("autoencoder", int(settings["steps"]), EVALUATE_EVERY, patience=int(settings["patience"]))
    trained = loop.train(net.parameters(), [optimiser], take_step, plan, generator, evaluate)
    with torch.no_grad():
        for own, best in zip(net.parameters(), trained.weights, strict=True):
            own.copy_(best)
    return net, pd.DataFrame(trained.history, columns=["step", "train", "validation"])
