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

from haemosynth.core.errors import InputError
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop
from haemosynth.modalities.images.generators.coding import compress, expand
from haemosynth.modalities.images.part import Images

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

    if not len(first) or not len(second):
        raise InputError("translation: one of the two styles has no image")
    if first.pixels.shape[1:] != second.pixels.shape[1:] or first.channels != second.channels:
        raise InputError("translation: the images of the two styles differ in size or channels")
    shape = {"planes": first.pixels.shape[1], "width": int(settings["width"]), "blocks": int(settings["blocks"])}
    # The windows of the first style code both, so that a value means the same in either.
    x, y = (torch.tensor(compress(part.pixels, first.windows)) for part in (first, second))
    nets, history = _train(x, y, shape, settings, torch_seed(rng))
    arrays = {
        f"{direction}.{name}": tensor.cpu().numpy()
        for direction, net in zip(DIRECTIONS, nets, strict=True)
        for name, tensor in net.state_dict().items()
    }
    windows = [list(window) for window in first.windows]
    parameters = sum(p.numel() for net in nets for p in net.parameters())
    description = {"network": shape, "windows": windows, "channels": list(first.channels), "parameters": parameters}
    return Fitted(arrays, description, history)


def _train(
    x: torch.Tensor, y: torch.Tensor, shape: Mapping[str, Any], settings: Mapping[str, Any], seed: int
) -> tuple[list[Any], pd.DataFrame]:
    """The averaged network of each direction, and the history. x, y: coded images of the two styles."""
    import torch

    from haemosynth.modalities.images.generators.translator import Translator, critic

    device, generator = _device(), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nets = [Translator(shape).to(device) for _ in DIRECTIONS]
        for _ in DIRECTIONS:
            Translator(shape)  # draws numbers: the critics start from those that come next
        critics = [critic(shape).to(device) for _ in DIRECTIONS]
    rate, total = float(settings["learning_rate"]), int(settings["steps"])
    weights = [p for net in nets for p in net.parameters()]
    makers = torch.optim.Adam(weights, lr=rate, betas=(0.5, 0.99))
    judges = torch.optim.Adam([p for net in critics for p in net.parameters()], lr=2 * rate, betas=(0.5, 0.99))

    def some(images: torch.Tensor) -> torch.Tensor:
        rows = torch.randint(len(images), (int(settings["batch"]),), generator=generator)
        drawn = images[rows]
        flipped = torch.rand(len(rows), generator=generator) < 0.5
        return torch.where(flipped[:, None, None, None], drawn.flip(-1), drawn).to(device)

    def take_step(step: int) -> Mapping[str, float | torch.Tensor]:
        now = rate * min(1.0, 2 * (1 - (step - 1) / total))
        real = some(x), some(y)
        made, loss, cycle = _translate(nets, critics, real, settings, generator)
        loop.descend(makers, loss, now)
        judged = _judge(critics, real, made)
        loop.descend(judges, judged, 2 * now)
        return {"cycle": cycle.detach() / 2, "critics": judged.detach() / 2}

    plan = loop.Plan("translation", total, 50, ema=float(settings["ema"]))
    trained = loop.train(weights, [makers, judges], take_step, plan, generator)
    with torch.no_grad():
        for own, mean in zip(weights, trained.weights, strict=True):
            own.copy_(mean)
    return nets, pd.DataFrame(trained.history, columns=["step", "cycle", "critics"])


def _translate(
    nets: list[Any], critics: list[Any], real: tuple[torch.Tensor, torch.Tensor], settings: Mapping[str, Any],
    generator: torch.Generator,
) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor, torch.Tensor]:  # fmt: skip
    """Images in the other style (the first, then the second), their makers' loss, and its part there and back."""
    import torch
    from torch.nn import functional as f

    def grain(images: torch.Tensor) -> torch.Tensor:
        return torch.randn((len(images), 1, *images.shape[2:]), generator=generator).to(images.device)

    made = nets[1](real[1], grain(real[1])), nets[0](real[0], grain(real[0]))
    fooled = sum((critics[i](made[i]) - 1).square().mean() for i in range(2))
    back = nets[1](made[1], grain(made[1])), nets[0](made[0], grain(made[0]))
    cycle = f.l1_loss(back[0], real[0]) + f.l1_loss(back[1], real[1])
    same = sum(f.l1_loss(nets[1 - i](real[i], grain(real[i])), real[i]) for i in range(2))
    loss: torch.Tensor = fooled + float(settings["cycle"]) * cycle + float(settings["identity"]) * same
    return made, loss, cycle


def _judge(critics: list[Any], real: tuple[torch.Tensor, ...], made: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The loss of the critics: real images are told by 1, made ones by 0."""
    import torch

    told = [(critics[i](real[i]) - 1).square().mean() + critics[i](made[i].detach()).square().mean() for i in range(2)]
    return torch.stack(told).mean()


def translate(
    fitted: Fitted, images: Images, direction: Literal["forward", "backward"], rng: np.random.Generator
) -> Images:
    """The same images, owners and masks in the other style.

    Raises:
        InputError: the images have other channels than those that were learned from.
    """
    import torch

    from haemosynth.modalities.images.generators.translator import Translator

    if list(images.channels) != list(fitted.description["channels"]):
        raise InputError(f"translation: expected the channels {', '.join(fitted.description['channels'])}")
    net = Translator(fitted.description["network"])
    prefix = f"{direction}."
    net.load_state_dict(
        {k.removeprefix(prefix): torch.tensor(v) for k, v in fitted.arrays.items() if k.startswith(prefix)}
    )
    windows = tuple((float(low), float(high)) for low, high in fitted.description["windows"])
    x, device = torch.tensor(compress(images.pixels, windows)), _device()
    net = net.to(device).eval()
    generator = torch.Generator().manual_seed(torch_seed(rng))
    parts: list[npt.NDArray[np.float32]] = []
    with torch.no_grad():
        for part in torch.split(x, CHUNK):
            noise = torch.randn((len(part), 1, *part.shape[2:]), generator=generator)
            parts.append(net(part.to(device), noise.to(device)).cpu().numpy())
    pixels = expand(np.concatenate(parts), windows) if len(images) else images.pixels
    return replace(images, pixels=pixels, info={**images.info, "translated": direction})


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
