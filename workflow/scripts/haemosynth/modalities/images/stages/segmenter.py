"""A small U-Net that outlines structures, and how well its outlines agree with the true ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from haemosynth.modalities.images.generators.coding import compress
from haemosynth.modalities.images.part import Images

Masks = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]
CHUNK = 64  # images outlined at once


def learn(images: Images, steps: int, batch: int, rate: float, seed: int) -> Callable[[Images], Masks]:
    """Train MONAI's U-Net on images with masks; the function that is returned outlines further images.

    Dice loss plus cross entropy, Adam with a falling rate, half of the images mirrored. One network for each call: the
    same seed, images and settings give the same one (on a CPU).
    """
    import torch
    from monai.losses.dice import DiceLoss
    from monai.networks.nets.unet import UNet
    from torch.nn import functional as f

    from haemosynth.learn import loop

    assert images.mask is not None
    x, y = torch.tensor(compress(images.pixels, images.windows)), torch.tensor(images.mask[:, None]).float()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Batch normalisation keeps the level of intensities, which instance normalisation takes away.
        shape: dict[str, Any] = {
            "channels": (16, 32, 64, 96),
            "strides": (2, 2, 2),
            "num_res_units": 1,
            "norm": "BATCH",
        }
        net: Any = UNet(2, x.shape[1], 1, **shape).to(device)
    sides = [-n % 8 for n in x.shape[2:]]  # to sizes that halve three times
    generator = torch.Generator().manual_seed(seed)
    optimiser, overlap = torch.optim.Adam(net.parameters(), lr=rate), DiceLoss(sigmoid=True, batch=True)
    net.train()

    def take_step(step: int) -> Mapping[str, float]:
        rows = torch.randint(len(x), (batch,), generator=generator)
        mirrored = torch.rand(batch, generator=generator) < 0.5
        pair = torch.cat([x[rows], y[rows]], dim=1)
        pair = torch.where(mirrored[:, None, None, None], pair.flip(-1), pair)
        pair = f.pad(pair, (0, sides[1], 0, sides[0]), mode="replicate").to(device)
        found = net(pair[:, :-1])
        loss = overlap(found, pair[:, -1:]) + f.binary_cross_entropy_with_logits(found, pair[:, -1:])
        loop.descend(optimiser, loss, rate * min(1.0, step / 20) * (1 - (step - 1) / steps))
        return {}

    loop.train(net.parameters(), [optimiser], take_step, loop.Plan("segmentation", steps, steps), generator)
    net.eval()

    def outlined(further: Images) -> Masks:
        pixels = torch.tensor(compress(further.pixels, further.windows))
        with torch.no_grad():
            parts = [
                net(f.pad(part, (0, sides[1], 0, sides[0]), mode="replicate").to(device))[:, 0].cpu().numpy() > 0
                for part in torch.split(pixels, CHUNK)
            ]
        height, width = further.pixels.shape[2:]
        return np.concatenate(parts)[:, :height, :width] if parts else np.empty((0, height, width), dtype=bool)

    return outlined


def join(first: Images, second: Images) -> Images:
    """The images of both, with their masks."""
    assert first.mask is not None
    assert second.mask is not None
    return replace(
        first,
        patient_id=np.concatenate([first.patient_id, second.patient_id]),
        pixels=np.concatenate([first.pixels, second.pixels]),
        mask=np.concatenate([first.mask, second.mask]),
        descriptions=None,
    )


def dice(true: Masks, found: Masks) -> Vector:
    """(images,) 2 |A and B| / (|A| + |B|); NaN where the true mask is empty."""
    both, total = (true & found).sum(axis=(1, 2)), true.sum(axis=(1, 2)) + found.sum(axis=(1, 2))
    return np.where(true.any(axis=(1, 2)), 2 * both / np.maximum(total, 1), np.nan)


def hausdorff(true: Masks, found: Masks, spacing: tuple[float, float]) -> Vector:
    """(images,) 95 % Hausdorff distance of the outlines, by MONAI; the diagonal of the image where nothing was found,
    NaN where the true mask is empty.

    Args:
        spacing: distance of pixels along rows and columns, the unit of the result.
    """
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    diagonal = float(np.hypot(*(side * step for side, step in zip(true.shape[1:], spacing, strict=True))))
    distances = np.where(true.any(axis=(1, 2)), diagonal, np.nan)
    both = np.flatnonzero(true.any(axis=(1, 2)) & found.any(axis=(1, 2)))
    if len(both):
        first, second = (torch.tensor(side[both][:, None].astype(np.float32)) for side in (found, true))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of MONAI, about its own arguments
            result = compute_hausdorff_distance(first, second, True, percentile=95, spacing=list(spacing))
        distances[both] = result[:, 0].numpy()
    return distances


def structures(mask: Masks) -> list[Masks]:
    """The connected structures of one mask (H, W)."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    return [np.asarray(labels == i + 1) for i in range(count)]
