"""Translation of images from one style into another without pairs: between scanners, or contrasts.

A CycleGAN (Zhu et al., ICCV 2017): a network for each direction, each judged by a discriminator of patches of the style
it should meet (least squares: Mao et al., ICCV 2017), and both held together by the demand that there and back again is
the same image, and that an image that has the style already is left alone. The networks add to the image what changes;
they have a plane of noise to make grain from. Masks are kept: a structure stays where it is. Used to show images of one
scanner in the style of another when a segmentation network must work on both (Sandfort et al., Sci Rep 2019;9:16884).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.errors import InputError
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.imaging.coding import compressed, expanded
from haemosynth.images import Images
from haemosynth.progress import progress
from haemosynth.streams import torch_seed

if TYPE_CHECKING:
    import torch

DEFAULTS: dict[str, Any] = {
    "width": 24,  # channels of the networks
    "blocks": 3,  # residual blocks of a translating network
    "steps": 1200,
    "batch": 8,  # images of each style in a step
    "learning_rate": 4e-4,
    "cycle": 5.0,  # weight of there and back again
    "identity": 2.0,  # weight of leaving alone what has the style
    "ema": 0.995,
}
DIRECTIONS = ("forward", "backward")  # first style to second, second to first
CHUNK = 64  # images translated at once


def fit(first: Images, second: Images, settings: Mapping[str, Any], rng: np.random.Generator) -> Fitted:
    """Learn to translate between the styles of two sets of images, which need not be of the same patients.

    The history holds the losses: `cycle` in units of half a window, `critics` 0.25 where a style is not told from
    its imitation.

    Raises:
        InputError: the sets differ in size or channels, or one is empty.
    """
    import torch
    from torch.nn import functional as f

    if not len(first) or not len(second):
        raise InputError("translation: one of the two styles has no image")
    if first.pixels.shape[1:] != second.pixels.shape[1:] or first.channels != second.channels:
        raise InputError("translation: the images of the two styles differ in size or channels")
    seed, device = torch_seed(rng), _device()
    shape = {"planes": first.pixels.shape[1], "width": int(settings["width"]), "blocks": int(settings["blocks"])}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nets = [Translator(shape).to(device) for _ in DIRECTIONS]
        kept = [Translator(shape).to(device) for _ in DIRECTIONS]
        critics = [_critic(shape).to(device) for _ in DIRECTIONS]
    for net, average in zip(nets, kept, strict=True):
        average.load_state_dict(net.state_dict())
    # The windows of the first style code both, so that a value means the same in either.
    x, y = (torch.tensor(compressed(part.pixels, first.windows)) for part in (first, second))
    generator = torch.Generator().manual_seed(seed)
    rate, total = float(settings["learning_rate"]), int(settings["steps"])
    makers = torch.optim.Adam([p for net in nets for p in net.parameters()], lr=rate, betas=(0.5, 0.99))
    judges = torch.optim.Adam([p for net in critics for p in net.parameters()], lr=2 * rate, betas=(0.5, 0.99))
    history = []

    def some(images: torch.Tensor) -> torch.Tensor:
        rows = torch.randint(len(images), (int(settings["batch"]),), generator=generator)
        drawn = images[rows]
        flipped = torch.rand(len(rows), generator=generator) < 0.5
        return torch.where(flipped[:, None, None, None], drawn.flip(-1), drawn).to(device)

    def grain(images: torch.Tensor) -> torch.Tensor:
        size = (len(images), 1, *images.shape[2:])
        return torch.randn(size, generator=generator).to(device)

    for step in progress(range(1, total + 1), "translation", total):
        for optimiser, factor in ((makers, 1.0), (judges, 2.0)):
            for group in optimiser.param_groups:
                group["lr"] = factor * rate * min(1.0, 2 * (1 - (step - 1) / total))
        real = some(x), some(y)
        made = nets[1](real[1], grain(real[1])), nets[0](real[0], grain(real[0]))  # in the first, in the second style
        fooled = sum((critics[i](made[i]) - 1).square().mean() for i in range(2))
        back = nets[1](made[1], grain(made[1])), nets[0](made[0], grain(made[0]))
        cycle = f.l1_loss(back[0], real[0]) + f.l1_loss(back[1], real[1])
        same = sum(f.l1_loss(nets[1 - i](real[i], grain(real[i])), real[i]) for i in range(2))
        makers.zero_grad()
        (fooled + float(settings["cycle"]) * cycle + float(settings["identity"]) * same).backward()
        makers.step()
        judged = torch.stack(
            [(critics[i](real[i]) - 1).square().mean() + critics[i](made[i].detach()).square().mean() for i in range(2)]
        ).mean()
        judges.zero_grad()
        judged.backward()  # type: ignore[no-untyped-call]
        judges.step()
        with torch.no_grad():
            for net, average in zip(nets, kept, strict=True):
                for own, mean in zip(net.parameters(), average.parameters(), strict=True):
                    mean.lerp_(own, 1 - min(float(settings["ema"]), step / (step + 10)))
        if step % 50 == 0 or step == total:
            history.append([step, float(cycle.detach()) / 2, float(judged.detach()) / 2])
    arrays = {
        f"{direction}.{name}": tensor.cpu().numpy()
        for direction, net in zip(DIRECTIONS, kept, strict=True)
        for name, tensor in net.state_dict().items()
    }
    windows = [list(window) for window in first.windows]
    parameters = sum(p.numel() for net in kept for p in net.parameters())
    description = {"network": shape, "windows": windows, "channels": list(first.channels), "parameters": parameters}
    return Fitted(arrays, description, pd.DataFrame(history, columns=["step", "cycle", "critics"]))


def translate(
    fitted: Fitted, images: Images, direction: Literal["forward", "backward"], rng: np.random.Generator
) -> Images:
    """The same images, owners and masks in the other style.

    Raises:
        InputError: the images have other channels than those that were learned from.
    """
    import torch

    if list(images.channels) != list(fitted.description["channels"]):
        raise InputError(f"translation: expected the channels {', '.join(fitted.description['channels'])}")
    net = Translator(fitted.description["network"])
    prefix = f"{direction}."
    net.load_state_dict(
        {k.removeprefix(prefix): torch.tensor(v) for k, v in fitted.arrays.items() if k.startswith(prefix)}
    )
    windows = tuple((float(low), float(high)) for low, high in fitted.description["windows"])
    x, device = torch.tensor(compressed(images.pixels, windows)), _device()
    net = net.to(device).eval()
    generator = torch.Generator().manual_seed(torch_seed(rng))
    parts: list[npt.NDArray[np.float32]] = []
    with torch.no_grad():
        for part in torch.split(x, CHUNK):
            noise = torch.randn((len(part), 1, *part.shape[2:]), generator=generator)
            parts.append(net(part.to(device), noise.to(device)).cpu().numpy())
    pixels = expanded(np.concatenate(parts), windows) if len(images) else images.pixels
    return replace(images, pixels=pixels, info={**images.info, "translated": direction})


def Translator(shape: Mapping[str, Any]) -> Any:
    """Images (N, planes, H, W) and noise (N, 1, H, W) -> images, a torch module; it starts as the identity."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    planes, width = shape["planes"], shape["width"]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Conv2d(planes + 1, width, 5, padding=2, padding_mode="reflect")
            self.blocks: Any = nn.ModuleList(
                nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect") for _ in range(2))
                for _ in range(shape["blocks"])
            )
            self.leave = nn.Conv2d(width, planes, 3, padding=1, padding_mode="reflect")
            nn.init.zeros_(self.leave.weight)
            nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

        def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            h = f.silu(self.enter(torch.cat([x, noise], dim=1)))
            for first, second in self.blocks:
                h = h + second(f.silu(first(h)))
            changed: torch.Tensor = x + self.leave(f.silu(h))
            return changed

    return Net()


def _critic(shape: Mapping[str, Any]) -> Any:
    """Judges patches of about 20 pixels: texture, noise and sharpness more than anatomy."""
    from torch import nn

    planes, width = shape["planes"], shape["width"]
    return nn.Sequential(
        nn.Conv2d(planes, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.GroupNorm(4, 2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 3, padding=1),
    )  # fmt: skip


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
