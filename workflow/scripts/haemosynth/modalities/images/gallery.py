"""Images as a radiologist or a haematologist looks at them: in their window, with scale bar, colour bar and outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from haemosynth.core.figures import VERMILION, new_figure
from haemosynth.modalities.images.part import Images

FUSED = "fused"
COLOUR = "colour"
MAPS = {"HU": "gray", "SUV": "gray_r"}
OVERLAY = "inferno"
PANEL = 1.15  # inches
BARS = (1, 2, 5, 10, 20, 50, 100, 200)  # millimetres


def views(images: Images) -> tuple[str, ...]:
    """How images are shown: a colour picture, or each channel by itself and PET laid over CT where there are both."""
    if images.channels == ("red", "green", "blue"):
        return (COLOUR,)
    return (*images.channels, FUSED) if {"HU", "SUV"} <= set(images.units) else images.channels


def apply_window(images: Images, channel: int) -> npt.NDArray[np.float32]:
    """(N, H, W) values of a channel from 0 to 1 within its window."""
    low, high = images.windows[channel]
    return np.asarray(((images.pixels[:, channel] - low) / (high - low)).clip(0, 1), dtype=np.float32)


def colour(images: Images, view: str) -> npt.NDArray[np.float32]:
    """(N, H, W, 3) colours from 0 to 1 of a view."""
    from matplotlib import colormaps

    if view == COLOUR:
        return np.stack([apply_window(images, c) for c in range(3)], axis=-1)
    if view == FUSED:
        under = apply_window(images, images.units.index("HU"))[..., None]
        uptake = apply_window(images, images.units.index("SUV"))
        weight = np.sqrt(uptake)[..., None] * 0.85
        return np.asarray(under * (1 - weight) + colormaps[OVERLAY](uptake)[..., :3] * weight, dtype=np.float32)
    channel = images.channels.index(view)
    shown = colormaps[MAPS.get(images.units[channel], "gray")](apply_window(images, channel))[..., :3]
    return np.asarray(shown, dtype=np.float32)


def show(axis: Any, images: Images, row: int, view: str, outline: bool = True) -> None:
    """Draw one image on an axis; the mask as an outline."""
    axis.imshow(colour(images.take([row]), view)[0], interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
    if outline and images.mask is not None and images.mask[row].any():
        axis.contour(images.mask[row], levels=[0.5], colors=[VERMILION], linewidths=0.8)


def scale_bar(axis: Any, images: Images) -> None:
    """A bar of a round length, about a third of the image's width; nothing where the spacing is not known."""
    if images.spacing is None:
        return
    rows, columns = images.pixels.shape[2:]
    wanted = columns * images.spacing[1] / 3
    length = max((bar for bar in BARS if bar <= wanted), default=BARS[0])
    across, y = length / images.spacing[1], rows * 0.93
    axis.plot([columns * 0.05, columns * 0.05 + across], [y, y], color="white", lw=2.2, solid_capstyle="butt")
    axis.plot([columns * 0.05, columns * 0.05 + across], [y, y], color="black", lw=0.8, solid_capstyle="butt")
    label = f"{length // 10} cm" if length >= 10 else f"{length} mm"
    axis.set_xlabel(f"bar {label}", fontsize=7, labelpad=2)


def gallery(groups: Mapping[str, tuple[Images, Sequence[int]]], title: str = "") -> Figure:
    """Rows of images, one block of views for each group, in the same windows.

    Args:
        groups: name -> (images, rows shown). All have the same channels, as many rows are shown of each.
    """
    first = next(iter(groups.values()))[0]
    shown = views(first)
    most = max(len(rows) for _, rows in groups.values())
    fig, grid = new_figure(
        PANEL * most + 1.3, PANEL * len(shown) * len(groups) + 0.45,
        nrows=len(shown) * len(groups), ncols=most + 1, squeeze=False,
        gridspec_kw={"width_ratios": [*[1] * most, 0.08]},
    )  # fmt: skip
    axes, bars = grid[:, :most], grid[:, most]
    for axis in grid.flat:
        axis.set_visible(False)
    for g, (name, (images, rows)) in enumerate(groups.items()):
        for v, view in enumerate(shown):
            line = axes[g * len(shown) + v]
            for column, row in enumerate(rows):
                line[column].set_visible(True)
                show(line[column], images, row, view)
            if len(rows):
                line[0].set_ylabel(f"{name}\n{view}" if view != COLOUR else name, fontsize=8)
                if v == len(shown) - 1 or view == COLOUR:
                    scale_bar(line[0], images)
    for v, view in enumerate(shown):
        if view in (FUSED, COLOUR):
            continue
        _colour_bar(fig, bars[v], first, first.channels.index(view))
    if title:
        fig.suptitle(title, fontsize=10, fontweight="bold")
    return fig


def _colour_bar(fig: Figure, axis: Any, images: Images, channel: int) -> None:
    """The values that the greys of a channel mean."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    unit = images.units[channel]
    axis.set_visible(True)
    bar = fig.colorbar(ScalarMappable(Normalize(*images.windows[channel]), MAPS.get(unit, "gray")), cax=axis)
    bar.set_label(f"{images.channels[channel]} ({unit})" if unit != "1" else images.channels[channel], fontsize=7)
    axis.tick_params(labelsize=6)


def spread_rows(images: Images, count: int, outlined: bool = True) -> list[int]:
    """Rows of `count` images, each of another patient as far as there are enough, evenly spaced; of each patient the
    image with the largest mask."""
    owners = list(dict.fromkeys(images.patient_id.tolist()))
    if not owners:
        return []
    area = np.zeros(len(images)) if images.mask is None else images.mask.sum(axis=(1, 2)).astype(float)
    best = {o: int(np.flatnonzero(images.patient_id == o)[area[images.patient_id == o].argmax()]) for o in owners}
    if outlined and images.mask is not None:
        owners = [owner for owner in owners if area[best[owner]] > 0] or owners
    steps = ((np.arange(min(count, len(owners))) + 0.5) * len(owners) / min(count, len(owners))).astype(int)
    return [best[owners[step]] for step in steps]


SHOWN = 8


def unit_of(images: Images) -> str:
    """What an image is, where a reader might take it for a patient; empty where patients are known."""
    if images.info.get("unit") != "picture":
        return ""
    return (
        "The picture is the unit: which pictures belong to one patient is not known, so that pictures of a patient may "
        "be on both sides of the split, and patients in this page are pictures."
    )


def galleries(images: Mapping[str, Images], generators: Sequence[str], release: bool) -> list[tuple[str, str, Figure]]:
    """Title, caption and figure of what a dossier shows of images.

    Real images, and training images that lie nearest to synthetic ones, stand in the working edition alone.

    Args:
        images: `train` and each generator.
    """
    found = []
    for generator in generators:
        if generator not in images or not len(images[generator]):
            continue
        made = images[generator]
        rows = spread_rows(made, SHOWN)
        end = "Masks are outlined. Of patients evenly spaced in the table, the image with the largest mask each."
        if release or "train" not in images:
            found.append((f"Synthetic images of {generator}", end, gallery({generator: (made, rows)})))
            continue
        train = images["train"]
        both = {"real": (train, spread_rows(train, SHOWN)), generator: (made, rows)}
        found.append((f"Real and synthetic images, {generator}", end, gallery(both)))
        near = {generator: (made, rows), "nearest": (train, nearest_rows(made.take(rows), train))}
        told = "Below each synthetic image the training image nearest to it in pixels within the windows."
        found.append((f"Nearest training images, {generator}", told, gallery(near)))
    return found


def nearest_rows(images: Images, train: Images) -> list[int]:
    """For each image the training image nearest in pixels within the windows."""
    first, second = (
        np.concatenate([apply_window(side, c).reshape(len(side), -1) for c in range(len(side.channels))], axis=1)
        for side in (images, train)
    )
    squared = (second**2).sum(axis=1) - 2 * first @ second.T
    return [int(row) for row in squared.argmin(axis=1)]
