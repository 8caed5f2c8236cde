"""The network of `diffusion`: a denoiser whose linear part needs no learning, and a U-Net that learns the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as f

from haemosynth.modalities.images.generators.coding import DEVIATION
from haemosynth.modalities.images.generators.principal_components import by_pixel

Window = tuple[slice, slice] | None  # rows and columns of a part of images


def copy_into(weights: Iterable[Tensor], flat: Tensor) -> None:
    """Fill weights from a flat vector.

    Each keeps its own memory: as parts of the vector, as torch's function leaves them, they would not be aligned.
    """
    at = 0
    with torch.no_grad():
        for weight in weights:
            weight.copy_(flat[at : at + weight.numel()].view_as(weight))
            at += weight.numel()


def weight_of(size: Tensor) -> Tensor:
    """(N, planes, 1, 1) the root of the mean square of deviations (N, planes, H, W): what errors are weighted by.

    By plane, not by pixel: where hardly any training image varies, a single one that does would outweigh all others.
    """
    return size.square().mean(dim=(2, 3), keepdim=True).sqrt()


class Block(nn.Module):
    """Residual block; the embedding, a vector of so many numbers, scales and shifts its second half."""

    def __init__(self, entering: int, leaving: int, embedding: int) -> None:
        super().__init__()
        self.first_norm, self.first = nn.GroupNorm(8, entering), nn.Conv2d(entering, leaving, 3, padding=1)
        self.second_norm, self.second = nn.GroupNorm(8, leaving), nn.Conv2d(leaving, leaving, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * leaving)
        self.skip = nn.Conv2d(entering, leaving, 1) if entering != leaving else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """x: (N, entering, H, W). e: (N, embedding). Returns (N, leaving, H, W)."""
        scale, shift = self.modulation(e)[:, :, None, None].chunk(2, dim=1)
        h = self.first(f.silu(self.first_norm(x)))
        h = self.second(f.silu(self.second_norm(h) * (1 + scale) + shift))
        summed: Tensor = self.skip(x) + h
        return summed


class Attention(nn.Module):
    """Self-attention over all positions of the coarsest resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.mix = nn.GroupNorm(8, channels), nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels, H, W)."""
        q, k, v = self.mix(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        seen = f.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        summed: Tensor = x + self.out(seen)
        return summed


class Denoiser(nn.Module):
    """The denoiser D(x; sigma, record, transformation).

    With s the scores of x - mean - slope * record on the principal axes, lambda their variances and r the variance left
    in a pixel, the linear part is mean + slope * record + sum_i lambda_i / (lambda_i + sigma^2) s_i axis_i
    + r / (r + sigma^2) (rest), the exact one where r is equal in a plane; the network F adds c(sigma) F, c^2 the
    variance of the linear part's error in the pixel. With equal variances this is EDM's c_skip and c_out.

    linear: arrays of the linear part. shape: `diffusion.network_shape`. transformation: numbers that describe one.
    """

    mean: Tensor
    axes: Tensor
    slope: Tensor
    residual: Tensor
    noise_variance: Tensor
    shares: Tensor
    spread: Tensor
    place: Tensor

    def __init__(self, linear: Mapping[str, np.ndarray], shape: Mapping[str, Any], transformation: int) -> None:
        super().__init__()
        widths, planes = shape["channels"], shape["planes"]
        self.patch = shape["patch"]
        # The blocks in a row must halve evenly.
        self.unit = self.patch * 2 ** (len(widths) - 1)
        self.padded = tuple(math.ceil(shape[side] / self.unit) * self.unit for side in ("height", "width"))
        for name, array in linear.items():
            kept = torch.tensor(np.asarray(by_pixel(array) if name == "noise" else array, dtype=np.float32))
            self.register_buffer("noise_variance" if name == "noise" else name, kept)
        # Share of each axis that lies in each pixel, for the error there.
        self.register_buffer("shares", self.axes.reshape(len(self.axes), planes, shape["height"], -1).square())
        self.register_buffer("spread", self.residual.square().sum(1))
        rows, columns = (torch.linspace(-1, 1, n) for n in self.padded)
        self.register_buffer("place", torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None])
        wide = 4 * widths[0]
        self.noise = nn.Sequential(nn.Linear(32, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.record = nn.Sequential(nn.Linear(shape["features"] + 1, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.transformation = nn.Linear(transformation, wide)
        self.enter = nn.Conv2d((2 * planes + 2) * self.patch**2, widths[0], 3, padding=1)
        steps = list(zip(widths, [*widths[1:], widths[-1]], strict=True))
        self.down = nn.ModuleList(Block(a, b, wide) for a, b in steps)
        self.middle: Any = nn.ModuleList([Block(widths[-1], widths[-1], wide), Attention(widths[-1])])
        self.up = nn.ModuleList(Block(2 * b, a, wide) for a, b in reversed(steps))
        self.leave_norm = nn.GroupNorm(8, widths[0])
        self.leave = nn.Conv2d(widths[0], planes * self.patch**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def put(self, flat: Tensor) -> None:
        """Take these weights."""
        copy_into(self.parameters(), flat)

    def linear_part(self, x: Tensor, sigma: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(N, planes, H, W) the linear denoiser, and as much the deviation of its error."""
        squared = sigma[:, None] ** 2
        expected = condition @ self.slope
        flat = x.flatten(1) - self.mean
        scores = flat @ self.axes.T
        rest = (flat - scores @ self.axes).reshape(x.shape)
        gain = self.spread / (self.spread + squared)
        found = self.mean + (expected + gain * (scores - expected)) @ self.axes
        level = squared[:, :, None, None]
        kept = self.noise_variance / (self.noise_variance + level)
        error = ((gain * squared) @ self.shares.flatten(1)).reshape(x.shape)
        error = error + (1 - self.shares.sum(0)).clamp_min(0) * kept * level
        return found.reshape(x.shape) + kept * rest, error.clamp_min(1e-8).sqrt()

    def forward(
        self, x: Tensor, sigma: Tensor, condition: Tensor, shown: Tensor, hidden: Tensor, transformation: Tensor,
        window: Window = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The denoised image, or a window of it, and the deviation by which its error is weighted (N, planes, 1, 1).

        x: (N, planes, H, W). sigma: (N,). condition: (N, features). shown: (N,) 0 where the record is left out.
        hidden: (N, features) 1 where the network sees a feature. transformation: (N, numbers that describe it).
        window: rows and columns, multiples of `unit` wide; the network sees them alone, and where they lie.
        """
        condition = condition * shown[:, None]
        base, size = self.linear_part(x, sigma, condition)
        angles = (sigma.log() / 4)[:, None] * (2.0 ** torch.arange(16, device=x.device)) * 0.25
        e = self.noise(torch.cat([angles.sin(), angles.cos()], dim=1))
        e = e + self.record(torch.cat([condition * hidden, shown[:, None]], dim=1))
        e = f.silu(e + self.transformation(transformation))
        scaled = x / (sigma**2 + DEVIATION**2).sqrt()[:, None, None, None]
        h = torch.cat([scaled, base / DEVIATION], dim=1)
        place, weight = self.place, weight_of(size)
        if window is None:
            h = f.pad(h, (0, self.padded[1] - x.shape[3], 0, self.padded[0] - x.shape[2]), mode="replicate")
        else:
            h, place, base, size = (part[..., window[0], window[1]] for part in (h, place, base, size))
        h = self.enter(f.pixel_unshuffle(torch.cat([h, place.expand(len(x), -1, -1, -1)], dim=1), self.patch))
        passed = []
        for level, block in enumerate(self.down):
            h = block(f.avg_pool2d(h, 2) if level else h, e)
            passed.append(h)
        h = self.middle[1](self.middle[0](h, e))
        for level, block in enumerate(self.up):
            h = block(torch.cat([f.interpolate(h, scale_factor=2.0) if level else h, passed.pop()], dim=1), e)
        h = f.pixel_shuffle(self.leave(f.silu(self.leave_norm(h))), self.patch)
        return base + size * h[:, :, : base.shape[2], : base.shape[3]], weight
