"""Denoising diffusion of images and their masks, given the patient's record.

Preconditioning and noise levels follow Karras et al. (EDM, NeurIPS 2022), the deterministic sampler Lu et al.
(DPM-Solver++, 2022), with one change: the part of the denoiser that needs no learning is not a multiple of the noisy
image but the best linear denoiser of the training images, a Gaussian in principal components whose mean depends on the
record (for much noise, denoisers are linear: Wang and Vastola, TMLR 2024). The network learns what is left, so that a
few minutes on a CPU start from the linear model's images instead of from nothing. It works on blocks of `patch` x
`patch` pixels as channels.

The record conditions network and linear part; it is left out now and then, which classifier-free guidance needs (Ho
and Salimans, 2022). Augmented images are told apart by their transformation as a further condition, so that samples,
drawn without it, show none (Karras et al., NeurIPS 2020 and 2022). Training stops where patients that are left out are
denoised best, and at the first copies of training images among images drawn on the way: a network may learn images by
heart while it still denoises others better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.cohort import Cohort
from haemosynth.generate.checkpoint import Checkpoint, identity_of
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.imaging.coding import DEVIATION, Coding, left_out, rows_of_owners
from haemosynth.generate.imaging.copies import CopySearch
from haemosynth.generate.imaging.principal_components import components, regression
from haemosynth.images import Images
from haemosynth.progress import progress
from haemosynth.streams import torch_seed

if TYPE_CHECKING:
    import torch

DEFAULTS: dict[str, Any] = {
    "components": 64,  # principal components of the linear part, at most
    "patch": None,  # pixels of a block's side; null: so that 32 blocks or fewer stand in a row
    "width": [32, 64, 96],  # channels at each resolution, the finest first
    "steps": 3000,  # at most; training stops earlier on patients left out
    "patience": 800,  # steps without better denoising of patients left out
    "batch": 32,
    "learning_rate": 2e-3,
    "weight_decay": 1e-3,
    "ema": 0.995,
    "left_out": 0.1,  # share of training patients that stopping is decided on
    "copies": 0.01,  # share of copies among drawn images, beyond which training stops unless chance explains it
    "augmentation": 0.3,  # share of images with each transformation: mirrored, and shifted, turned and scaled
    "unconditional": 0.1,  # share of images shown without their record
    "column_dropout": 0.1,  # share of the record's features that is hidden from the network
    "guidance": 1.0,  # of the record: 1 draws from the learned distribution, more exaggerates what the record says
    "sampling_steps": 28,  # evaluations of the network for an image
    "checkpoint_every": 200,  # steps
}
EVALUATE_EVERY = 200  # steps
DRAWN = 96  # images in which copies are sought at each evaluation
LEVELS = 6  # noise levels at which each image left out is denoised
# Of the logarithm of the noise in training: its mean falls from the first to the second value. Whether and where a
# small structure lies is decided at much noise, grain and edges at little; EDM's -1.2 and 1.2 hardly sees the first.
SIGMA_MEANS, SIGMA_DEVIATION = (0.4, -1.3), 1.4
SIGMA_LOW, SIGMA_HIGH, RHO = 0.01, 40.0, 7.0  # of the sampler
CHUNK = 64  # images sampled at once
TRANSFORMATION = 5  # numbers that describe an augmentation: mirrored, shift (2), turn, scale


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit to the images of training patients.

    The history holds the denoising loss, 1 for the linear part alone, and the share of copies among drawn images.

    Args:
        checkpoint: path prefix; an interrupted fit of the same patients and settings is taken up from there and gives
            the same bytes as an uninterrupted one (on a CPU). The files are removed on success.

    Raises:
        InputError: the cohort has no images.
    """
    coding = Coding.learn(train)
    assert train.images is not None
    planes, rows = coding.encode(train.images), rows_of_owners(train.images, train)
    condition = coding.conditions(train, rows).astype(np.float32)
    out = left_out(rows, float(settings["left_out"]), rng)
    seed = torch_seed(rng)
    linear = components(planes[~out], rows[~out], int(settings["components"]))
    linear |= regression(linear.pop("scores"), condition[~out].astype(float), rows[~out])
    shape = network_shape(planes.shape[1:], condition.shape[1], settings)
    search = CopySearch.learn(planes[:, : len(coding.plain["channels"])], rows)
    weights, history = _train(linear, shape, planes, condition, out, search, settings, seed, checkpoint)
    description = {
        "coding": dict(coding.plain),
        "parameters": int(len(weights) + sum(array.size for array in linear.values())),
        "network": shape,
        "guidance": float(settings["guidance"]),
        "sampling_steps": int(settings["sampling_steps"]),
    }
    return Fitted({"weights": weights, **{f"linear.{k}": v for k, v in linear.items()}}, description, history)


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Images:
    """Draw the images of these patients."""
    import torch

    coding = Coding(fitted.description["coding"])
    rows = coding.owners(given, rng)
    condition = torch.tensor(coding.conditions(given, rows).astype(np.float32))
    linear = {k.removeprefix("linear."): v for k, v in fitted.arrays.items() if k.startswith("linear.")}
    device = _device()
    model = Denoiser(linear, fitted.description["network"]).to(device)
    model.put(torch.tensor(fitted.arrays["weights"]))
    generator = torch.Generator().manual_seed(torch_seed(rng))
    size = (coding.planes, *coding.plain["size"])
    drawn = [np.empty((0, *size), dtype=np.float32)]
    for at in progress(range(0, len(rows), CHUNK), "images", math.ceil(len(rows) / CHUNK)):
        part = condition[at : at + CHUNK].to(device)
        noise = torch.randn((len(part), *size), generator=generator).to(device)
        steps, guidance = int(fitted.description["sampling_steps"]), float(fitted.description["guidance"])
        drawn.append(solve(model, noise, part, steps, guidance).float().cpu().numpy())
    return coding.decode(np.concatenate(drawn), np.asarray(given.patients, dtype=str)[rows], "diffusion")


def network_shape(size: tuple[int, ...], features: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Plain description of the network for images of this size (planes, H, W) and a record of so many features."""
    planes, height, width = size
    patch = settings["patch"] or max(1, math.ceil(max(height, width) / 32))
    return {
        "planes": planes, "height": height, "width": width, "features": features, "patch": int(patch),
        "channels": [int(c) for c in settings["width"]],
    }  # fmt: skip


def Denoiser(linear: Mapping[str, np.ndarray], shape: Mapping[str, Any]) -> Any:
    """The denoiser D(x; sigma, record, transformation), a torch module.

    With s the scores of x - mean - slope * record on the principal axes, lambda their variances and r the variance left
    in a plane, the linear part is mean + slope * record + sum_i lambda_i / (lambda_i + sigma^2) s_i axis_i
    + r / (r + sigma^2) (rest); the network F adds c(sigma) F, c^2 the mean variance of the linear part's error. With
    equal variances this is EDM's c_skip and c_out.
    """
    import torch
    from torch import nn
    from torch.nn import functional as f

    patch, widths, planes = shape["patch"], shape["channels"], shape["planes"]
    # The blocks in a row must halve evenly.
    unit = patch * 2 ** (len(widths) - 1)
    padded = tuple(math.ceil(shape[side] / unit) * unit for side in ("height", "width"))
    embedding = 4 * widths[0]

    class Block(nn.Module):
        """Residual block; the embedding scales and shifts its second half."""

        def __init__(self, entering: int, leaving: int) -> None:
            super().__init__()
            self.first_norm, self.first = nn.GroupNorm(8, entering), nn.Conv2d(entering, leaving, 3, padding=1)
            self.second_norm, self.second = nn.GroupNorm(8, leaving), nn.Conv2d(leaving, leaving, 3, padding=1)
            self.modulation = nn.Linear(embedding, 2 * leaving)
            self.skip = nn.Conv2d(entering, leaving, 1) if entering != leaving else nn.Identity()
            nn.init.zeros_(self.second.weight)

        def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
            scale, shift = self.modulation(e)[:, :, None, None].chunk(2, dim=1)
            h = self.first(f.silu(self.first_norm(x)))
            h = self.second(f.silu(self.second_norm(h) * (1 + scale) + shift))
            summed: torch.Tensor = self.skip(x) + h
            return summed

    class Attention(nn.Module):
        """Self-attention over all positions of the coarsest resolution."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.norm, self.mix = nn.GroupNorm(8, channels), nn.Conv2d(channels, 3 * channels, 1)
            self.out = nn.Conv2d(channels, channels, 1)
            nn.init.zeros_(self.out.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.mix(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
            seen = f.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
            summed: torch.Tensor = x + self.out(seen)
            return summed

    class Net(nn.Module):
        mean: torch.Tensor
        axes: torch.Tensor
        slope: torch.Tensor
        residual: torch.Tensor
        noise_variance: torch.Tensor
        shares: torch.Tensor
        spread: torch.Tensor
        place: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            for name, array in linear.items():
                self.register_buffer(name, torch.tensor(np.asarray(array, dtype=np.float32)))
            # Share of each axis that lies in each plane, for the mean error of a plane.
            shares = self.axes.reshape(len(self.axes), planes, -1).square().sum(-1)
            pixels = shape["height"] * shape["width"]
            self.register_buffer("shares", shares / pixels)
            self.register_buffer("spread", self.residual.square().sum(1))
            rows, columns = (torch.linspace(-1, 1, n) for n in padded)
            self.register_buffer("place", torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None])
            self.noise = nn.Sequential(nn.Linear(32, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
            self.record = nn.Sequential(
                nn.Linear(shape["features"] + 1, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
            )
            self.transformation = nn.Linear(TRANSFORMATION, embedding)
            self.enter = nn.Conv2d((2 * planes + 2) * patch**2, widths[0], 3, padding=1)
            steps = list(zip(widths, [*widths[1:], widths[-1]], strict=True))
            self.down = nn.ModuleList(Block(a, b) for a, b in steps)
            self.middle: Any = nn.ModuleList([Block(widths[-1], widths[-1]), Attention(widths[-1])])
            self.up = nn.ModuleList(Block(2 * b, a) for a, b in reversed(steps))
            self.leave_norm = nn.GroupNorm(8, widths[0])
            self.leave = nn.Conv2d(widths[0], planes * patch**2, 3, padding=1)
            nn.init.zeros_(self.leave.weight)
            nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

        def put(self, flat: torch.Tensor) -> None:
            """Take these weights."""
            nn.utils.vector_to_parameters(flat.to(self.mean.device), self.parameters())

        def linear_part(
            self, x: torch.Tensor, sigma: torch.Tensor, condition: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            """(N, planes, H, W) the linear denoiser, and (N, planes, 1, 1) the deviation of its error."""
            squared = sigma[:, None] ** 2
            expected = condition @ self.slope
            flat = x.flatten(1) - self.mean
            scores = flat @ self.axes.T
            rest = (flat - scores @ self.axes).reshape(x.shape)
            gain = self.spread / (self.spread + squared)
            found = self.mean + (expected + gain * (scores - expected)) @ self.axes
            kept = self.noise_variance / (self.noise_variance + squared)
            error = (gain * squared) @ self.shares + (1 - self.shares.sum(0)) * kept * squared
            return found.reshape(x.shape) + kept[:, :, None, None] * rest, error.sqrt()[:, :, None, None]

        def forward(
            self, x: torch.Tensor, sigma: torch.Tensor, condition: torch.Tensor, shown: torch.Tensor,
            hidden: torch.Tensor, transformation: torch.Tensor,
        ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
            """The denoised image, and the deviation by which its error is weighted.

            x: (N, planes, H, W). sigma: (N,). condition: (N, features). shown: (N,) 0 where the record is left out.
            hidden: (N, features) 1 where the network sees a feature. transformation: (N, TRANSFORMATION).
            """
            condition = condition * shown[:, None]
            base, size = self.linear_part(x, sigma, condition)
            angles = (sigma.log() / 4)[:, None] * (2.0 ** torch.arange(16, device=x.device)) * 0.25
            e = self.noise(torch.cat([angles.sin(), angles.cos()], dim=1))
            e = e + self.record(torch.cat([condition * hidden, shown[:, None]], dim=1))
            e = f.silu(e + self.transformation(transformation))
            scaled = x / (sigma**2 + DEVIATION**2).sqrt()[:, None, None, None]
            h = torch.cat([scaled, base / DEVIATION], dim=1)
            h = f.pad(h, (0, padded[1] - x.shape[3], 0, padded[0] - x.shape[2]), mode="replicate")
            h = self.enter(f.pixel_unshuffle(torch.cat([h, self.place.expand(len(x), -1, -1, -1)], dim=1), patch))
            passed = []
            for level, block in enumerate(self.down):
                h = block(f.avg_pool2d(h, 2) if level else h, e)
                passed.append(h)
            h = self.middle[1](self.middle[0](h, e))
            for level, block in enumerate(self.up):
                h = block(torch.cat([f.interpolate(h, scale_factor=2.0) if level else h, passed.pop()], dim=1), e)
            h = f.pixel_shuffle(self.leave(f.silu(self.leave_norm(h))), patch)
            return base + size * h[:, :, : x.shape[2], : x.shape[3]], size

    linear = dict(linear)
    linear["noise_variance"] = linear.pop("noise")
    return Net()


def solve(model: Any, noise: torch.Tensor, condition: torch.Tensor, steps: int, guidance: float) -> torch.Tensor:
    """Images from noise (N, planes, H, W) by DPM-Solver++ (2M) on EDM's noise levels, `steps` evaluations of the model.

    In units of log noise the solution between two levels is an average of denoised images; the solver extrapolates
    them linearly from the last two levels. For a normal distribution it has half the error of Heun's method at 20
    steps, with less than the 39 evaluations that takes.
    """
    import torch

    count, device = len(noise), noise.device
    shown, hidden = torch.ones(count, device=device), torch.ones_like(condition)
    plain = torch.zeros(count, TRANSFORMATION, device=device)
    ramp = np.linspace(0, 1, steps)
    sigmas = (SIGMA_HIGH ** (1 / RHO) + ramp * (SIGMA_LOW ** (1 / RHO) - SIGMA_HIGH ** (1 / RHO))) ** RHO
    model.eval()
    with torch.no_grad(), _mixed(device):
        x = noise * sigmas[0]
        earlier, h, before = None, 0.0, 0.0
        for step, sigma in enumerate(sigmas.tolist()):
            level = torch.full((count,), sigma, device=device)
            found = model(x, level, condition, shown, hidden, plain)[0]
            if guidance != 1.0:
                without = model(x, level, condition, torch.zeros_like(shown), hidden, plain)[0]
                found = without + guidance * (found - without)
            if step + 1 == steps:
                return torch.as_tensor(found)
            kept = float(sigmas[step + 1]) / sigma
            h, before = -math.log(kept), h
            ahead = found if earlier is None else found + h / (2 * before) * (found - earlier)
            x, earlier = kept * x + (1 - kept) * ahead, found
    raise ValueError("a sampler needs at least one step")


def transformed(planes: torch.Tensor, share: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Some images mirrored, some shifted, turned and scaled; with the transformation of each (N, TRANSFORMATION)."""
    import torch
    from torch.nn import functional as f

    n = len(planes)
    mirrored = torch.rand(n, generator=generator) < share / 2
    moved = torch.rand(n, generator=generator) < share
    draws = torch.rand((n, 4), generator=generator) * 2 - 1
    labels = torch.cat([mirrored[:, None].float(), draws * moved[:, None]], dim=1)
    planes = torch.where(mirrored[:, None, None, None], planes.flip(-1), planes)
    if bool(moved.any()):
        shift, turn, scale = 0.15 * draws[moved, :2], 0.2 * draws[moved, 2], torch.exp(0.15 * draws[moved, 3])
        cosine, sine = scale * turn.cos(), scale * turn.sin()
        top, low = torch.stack([cosine, -sine, shift[:, 0]], dim=1), torch.stack([sine, cosine, shift[:, 1]], dim=1)
        grid = f.affine_grid(torch.stack([top, low], dim=1), list(planes[moved].shape), align_corners=False)
        planes = planes.clone()
        planes[moved] = f.grid_sample(planes[moved], grid, padding_mode="border", align_corners=False)
    return planes, labels


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _mixed(device: torch.device) -> AbstractContextManager[Any]:
    """Half precision (bfloat16) on a GPU, full precision on a CPU."""
    import torch

    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()


def _train(
    linear: Mapping[str, np.ndarray], shape: Mapping[str, Any], planes: np.ndarray, condition: np.ndarray,
    out: np.ndarray, search: CopySearch | None, settings: Mapping[str, Any], seed: int, prefix: Path | None,
) -> tuple[np.ndarray, pd.DataFrame]:  # fmt: skip
    import torch

    device = _device()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Denoiser(linear, shape).to(device)
    generator = torch.Generator().manual_seed(seed)
    x, record = torch.tensor(planes), torch.tensor(condition)
    inside, outside = (torch.tensor(np.flatnonzero(rows)) for rows in (~out, out))
    held = _fixed_noise(x[outside if len(outside) else inside], record[outside if len(outside) else inside], seed)
    shown_again = _fixed_noise(x[inside][: len(held[0])], record[inside][: len(held[0])], seed + 1)
    flat = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    state = {
        "flat": flat, "first": torch.zeros_like(flat), "second": torch.zeros_like(flat), "average": flat.clone(),
        "best": flat.clone(),
    }  # fmt: skip
    step, best, best_step, history = 0, math.inf, 0, []
    checkpoint = Checkpoint(prefix, identity_of(settings, seed, planes, condition))
    found = checkpoint.load()
    if found is not None:
        arrays, plain = found
        generator.set_state(torch.tensor(arrays.pop("generator")))
        step, best, best_step, history = plain["step"], plain["best"], plain["best_step"], plain["history"]
        state = {name: torch.tensor(arrays[name]).to(device) for name in state}
    total, batch = int(settings["steps"]), min(int(settings["batch"]), len(inside))
    decay, ema = float(settings["weight_decay"]), float(settings["ema"])

    def remaining() -> Iterator[int]:
        while step < total and step - best_step < int(settings["patience"]) and not copied():
            yield step

    def copies() -> float:
        """The share of copies among images drawn for training patients, with the same noise at every evaluation."""
        if search is None:
            return math.nan
        fixed = torch.Generator().manual_seed(seed + 2)
        given = record[inside[torch.randint(len(inside), (DRAWN,), generator=fixed)]].to(device)
        noise = torch.randn((DRAWN, *x.shape[1:]), generator=fixed).to(device)
        drawn = solve(model, noise, given, int(settings["sampling_steps"]), float(settings["guidance"]))
        return search.share(drawn[:, : search.channels].float().cpu().numpy())

    def copied() -> bool:
        """Whether the images drawn last held more copies than may be, and than chance explains."""
        share = history[-1][3] if history else 0.0
        return search is not None and share > float(settings["copies"]) and not search.is_chance(share, DRAWN)

    for _ in progress(remaining(), "diffusion", total - step):
        rows = inside[torch.randint(len(inside), (batch,), generator=generator)]
        shown_planes, labels = transformed(x[rows], float(settings["augmentation"]), generator)
        center = SIGMA_MEANS[0] + (SIGMA_MEANS[1] - SIGMA_MEANS[0]) * step / total
        sigma = (torch.randn(batch, generator=generator) * SIGMA_DEVIATION + center).exp()
        noise = torch.randn(shown_planes.shape, generator=generator) * sigma[:, None, None, None]
        shown = (torch.rand(batch, generator=generator) >= float(settings["unconditional"])).float()
        kept = torch.rand(record[rows].shape, generator=generator) >= float(settings["column_dropout"])
        model.train()
        model.put(state["flat"])
        given = [part.to(device) for part in (shown_planes, noise, sigma, record[rows], shown, kept.float(), labels)]
        with _mixed(device):
            loss = _loss(model, *given)
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        step += 1
        with torch.no_grad():
            # AdamW (Loshchilov and Hutter, ICLR 2019) on the flat vector; the gradient's length is bounded.
            gradient = gradient * (1.0 / gradient.norm().clamp(min=1.0))
            state["first"].mul_(0.9).add_(gradient, alpha=0.1)
            state["second"].mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            rate = float(settings["learning_rate"]) * min(1.0, step / 100) * max(0.05, 1 - step / total)
            size = (state["second"] / (1 - 0.99**step)).sqrt_().add_(1e-8)
            state["flat"].mul_(1 - rate * decay).sub_(rate / (1 - 0.9**step) * state["first"] / size)
            state["average"].lerp_(state["flat"], 1 - min(ema, step / (step + 10)))
            if step % EVALUATE_EVERY == 0 or step == total:
                model.eval()
                model.put(state["average"])
                scores = [_held_loss(model, part, device) for part in (shown_again, held)]
                history.append([step, *scores, copies()])
                if scores[1] < best and not copied():
                    best, best_step = scores[1], step
                    state["best"] = state["average"].clone()
            if step % int(settings["checkpoint_every"]) == 0:
                arrays = {name: tensor.cpu().numpy() for name, tensor in state.items()}
                arrays["generator"] = generator.get_state().numpy()
                checkpoint.save(arrays, {"step": step, "best": best, "best_step": best_step, "history": history})
    checkpoint.remove()
    return state["best"].cpu().numpy(), pd.DataFrame(history, columns=["step", "train", "validation", "copies"])


def _loss(
    model: Any, planes: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, record: torch.Tensor,
    shown: torch.Tensor, kept: torch.Tensor, labels: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    found, size = model(planes + noise, sigma, record, shown, kept, labels)
    squared: torch.Tensor = ((found - planes) / size).square().mean()
    return squared


def _fixed_noise(planes: torch.Tensor, record: torch.Tensor, seed: int) -> list[torch.Tensor]:
    """Images with the same noise at every evaluation: at LEVELS levels, quantiles of those in mid training."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    quantiles = torch.special.ndtri((torch.arange(LEVELS) + 0.5) / LEVELS)
    sigma = (quantiles * SIGMA_DEVIATION + sum(SIGMA_MEANS) / 2).exp().repeat_interleave(len(planes))
    noise = torch.randn((len(sigma), *planes.shape[1:]), generator=generator) * sigma[:, None, None, None]
    return [planes.repeat(LEVELS, 1, 1, 1), noise, sigma, record.repeat(LEVELS, 1)]


def _held_loss(model: Any, part: list[torch.Tensor], device: torch.device) -> float:
    import torch

    total, count = 0.0, len(part[0])
    for at in range(0, count, CHUNK):
        planes, noise, sigma, record = (tensor[at : at + CHUNK].to(device) for tensor in part)
        shown, plain = torch.ones(len(sigma), device=device), torch.zeros(len(sigma), TRANSFORMATION, device=device)
        with _mixed(device):
            total += float(_loss(model, planes, noise, sigma, record, shown, torch.ones_like(record), plain)) * len(
                planes
            )
    return total / count
