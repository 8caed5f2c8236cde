"""The networks of `translation`: what translates, and what judges the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f


class Translator(nn.Module):
    """Images (N, planes, H, W) and noise (N, 1, H, W) -> images; it starts as the identity."""

    def __init__(self, shape: Mapping[str, Any]) -> None:
        super().__init__()
        planes, width = shape["planes"], shape["width"]
        self.enter = nn.Conv2d(planes + 1, width, 5, padding=2, padding_mode="reflect")
        self.blocks: Any = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect") for _ in range(2))
            for _ in range(shape["blocks"])
        )
        self.leave = nn.Conv2d(width, planes, 3, padding=1, padding_mode="reflect")
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Add to the images what changes."""
        h = f.silu(self.enter(torch.cat([x, noise], dim=1)))
        for first, second in self.blocks:
            h = h + second(f.silu(first(h)))
        changed: Tensor = x + self.leave(f.silu(h))
        return changed


def critic(shape: Mapping[str, Any]) -> nn.Sequential:
    """Judges patches of about 20 pixels: texture, noise and sharpness more than anatomy."""
    planes, width = shape["planes"], shape["width"]
    return nn.Sequential(
        nn.Conv2d(planes, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.GroupNorm(4, 2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 3, padding=1),
    )  # fmt: skip
