"""A small convolutional denoiser for little noise, where texture and grain are decided.

It sees some fifteen pixels round each pixel and nothing of where that is, so that every image is thousands of examples
and there is no whole image that it could learn by heart: denoisers of limited receptive field are what lets diffusion
models draw new images (Kamb and Ganguli, ICML 2025). As in `unet.Denoiser` the linear part is not learned, and the
network adds what is left in units of the linear part's error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from haemosynth.modalities.images.generators.coding import DEVIATION
from haemosynth.modalities.images.generators.unet import Denoiser, copy_into, weight_of

BLOCK = 2  # pixels of a side that are worked on together
EMBEDDING = 16
LINEAR, NETWORK, LOCAL = "linear", "network", "local"


class Local(nn.Module):
    """Three convolutions of 3 x 3 blocks of 2 x 2 pixels, 14 pixels wide together, modulated by the level of noise.

    whole: the denoiser whose linear part is used; its weights are not this module's. width: channels.
    """

    whole: Denoiser

    def __init__(self, whole: Denoiser, planes: int, width: int) -> None:
        super().__init__()
        object.__setattr__(self, "whole", whole)  # no submodule: its weights are trained elsewhere
        inner = BLOCK**2
        self.enter = nn.Conv2d(3 * planes * inner, width, 3, padding=1)
        self.mix = nn.Conv2d(width, width, 1)
        self.second, self.second_mix = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)
        self.leave = nn.Conv2d(width, planes * inner, 3, padding=1)
        self.noise = nn.Sequential(nn.Linear(EMBEDDING, width), nn.SiLU(), nn.Linear(width, 4 * width))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def put(self, flat: Tensor) -> None:
        """Take these weights."""
        copy_into(self.parameters(), flat)

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        """The denoised image and the deviation by which its error is weighted, as `Denoiser` gives them.

        x: (N, planes, H, W). sigma: (N,). condition: (N, features), for the linear part alone.
        """
        base, size = self.whole.linear_part(x, sigma, condition)
        level = sigma[:, None, None, None]
        seen = torch.cat([x / (level**2 + DEVIATION**2).sqrt(), (base - x) / level, (size / level).log()], dim=1)
        below, right = (-side % BLOCK for side in x.shape[2:])
        h = f.pixel_unshuffle(f.pad(seen, (0, right, 0, below), mode="replicate"), BLOCK)
        angles = (sigma.log() / 4)[:, None] * (2.0 ** torch.arange(EMBEDDING // 2, device=x.device)) * 0.25
        first, shift, scale, move = self.noise(torch.cat([angles.sin(), angles.cos()], 1))[:, :, None, None].chunk(4, 1)
        h = f.silu(self.enter(h) * (1 + first) + shift)
        h = f.silu(self.mix(h))
        h = h + self.second_mix(f.silu(self.second(h) * (1 + scale) + move))
        h = f.pixel_shuffle(self.leave(f.silu(h)), BLOCK)[:, :, : x.shape[2], : x.shape[3]]
        return base + size * h, weight_of(size)


class Ranged:
    """The denoiser of each level of noise: the linear part alone, the network, or the local denoiser.

    ranges: [level of noise, name] of levels in rising order; a level takes the nearest one's, on a logarithmic scale.
    """

    def __init__(self, network: Denoiser, local: Local | None, ranges: Sequence[Sequence[Any]]) -> None:
        self.network, self.local = network, local
        self.levels = torch.tensor([float(level) for level, *_ in ranges]).log()
        self.names = [str(name) for _, name, *_ in ranges]

    def eval(self) -> Ranged:
        """No layer behaves otherwise while training; for the sampler."""
        return self

    def __call__(self, x: Tensor, sigma: Tensor, condition: Tensor, shown: Tensor, *rest: Tensor) -> Any:
        """As `Denoiser`; all images of a call have one level of noise."""
        name = NETWORK
        if self.names:
            name = self.names[int((self.levels - float(sigma[0].log())).abs().argmin())]
        if name == LINEAR:
            return self.network.linear_part(x, sigma, condition * shown[:, None])
        if name == LOCAL and self.local is not None:
            return self.local(x, sigma, condition * shown[:, None])
        return self.network(x, sigma, condition, shown, *rest)


def best_of(losses: Mapping[str, Sequence[float]]) -> list[str]:
    """The denoiser of the lowest held-out loss at each level; of equal ones the first."""
    names = list(losses)
    return [min(names, key=lambda name: losses[name][level]) for level in range(len(losses[names[0]]))]
