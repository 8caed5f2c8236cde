"""The network of the `autoencoder`: strided convolutions down to a latent point, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f


class Autoencoder(nn.Module):
    """Encoder and decoder. shape: `planes`, `size` (H, W), `latent`, and `channels` after each halving."""

    def __init__(self, shape: Mapping[str, Any]) -> None:
        super().__init__()
        widths, latent, planes = shape["channels"], shape["latent"], shape["planes"]
        self.size = tuple(shape["size"])
        self.unit = 2 ** len(widths)
        self.inner = tuple(math.ceil(side / self.unit) for side in self.size)
        self.coarsest = (widths[-1], *self.inner)
        flat = math.prod(self.coarsest)
        steps = list(zip([planes, *widths[:-1]], widths, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in steps)
        self.code, self.point = nn.Linear(flat, 2 * latent), nn.Linear(latent, flat)
        back = list(zip(widths[::-1], [*widths[-2::-1], widths[0]], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in back)
        self.leave = nn.Conv2d(widths[0], planes, 3, padding=1)
        self.log_noise = nn.Parameter(torch.full((planes,), -1.4))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (N, latent) each, of the latent points of images (N, planes, H, W)."""
        below, right = (n * self.unit - side for n, side in zip(self.inner, self.size, strict=True))
        h = f.pad(x, (0, right, 0, below), mode="replicate")
        for layer in self.down:
            h = f.silu(layer(h))
        mean, log_variance = self.code(h.flatten(1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 2)

    def decode(self, z: Tensor) -> Tensor:
        """Images (N, planes, H, W) of latent points (N, latent)."""
        h = f.silu(self.point(z)).reshape(-1, *self.coarsest)
        for layer in self.up:
            h = f.silu(layer(h))
        decoded: Tensor = self.leave(h)[:, :, : self.size[0], : self.size[1]]
        return decoded
