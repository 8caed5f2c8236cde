"""Volumes in the patient's space, and the images cut from them on a declared grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from haemosynth.core.errors import InputError

MOST_VOXELS = 2**28  # a whole-body CT has about 2**27
SPACINGS = (0.05, 25.0)  # millimetres between voxels
LEAST_COVERED = 0.5  # share of the chosen slices' grid that every channel must reach
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Volume:
    """Values on a lattice.

    values: (i, j, k). affine: (4, 4), voxel to millimetres, axes to the patient's right, front and head.
    path: the file, or the folder of the series, for messages.
    """

    values: npt.NDArray[Any]
    affine: Array
    path: Path

    @property
    def spacing(self) -> Array:
        """(3,) distances of voxels along i, j, k in millimetres."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


@dataclass(frozen=True)
class Grid:
    """What is cut from a volume.

    size: (rows, columns). spacing: (row, column) distance in millimetres. centre: `image` or `lesion`.
    With a mask: at most `lesion` slices that hold the lesion, `neighbours` next to it and `without` away from it;
    without one, `lesion` + `neighbours` + `without` slices. They lie evenly spaced among those there are.
    """

    size: tuple[int, int]
    spacing: tuple[float, float]
    centre: str
    lesion: int
    neighbours: int
    without: int


def check_header(shape: tuple[int, ...], affine: Array, where: str) -> None:
    """Refuse what is no volume of a patient, before its values are loaded.

    Raises:
        InputError: not three dimensions, too large, or spacings that no scanner has.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(
            f"{where}: {' x '.join(map(str, shape)) or 'no'} voxels; expected a volume of three dimensions"
        )
    if np.prod(shape, dtype=float) > MOST_VOXELS:
        raise InputError(f"{where}: {' x '.join(map(str, shape))} voxels are more than {MOST_VOXELS}; crop it first")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or spacing.min() < SPACINGS[0] or spacing.max() > SPACINGS[1]:
        told = " x ".join(f"{step:.3g}" for step in spacing)
        raise InputError(
            f"{where}: voxels of {told} mm; expected {SPACINGS[0]} to {SPACINGS[1]} mm (is the header in millimetres?)"
        )


def check_unit(volume: Volume, unit: str, where: str) -> None:
    """Refuse values that cannot be in this unit.

    Raises:
        InputError: not finite; HU without air or beyond metal; SUV below 0 or as large as an activity in Bq/mL.
    """
    low, high = float(volume.values.min()), float(volume.values.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"{where}: values that are not finite; mend the file")
    if unit == "HU" and (low >= -150 or low < -10000 or high > 40000):
        raise InputError(
            f"{where}: values from {low:.4g} to {high:.4g} are not Hounsfield units (air is -1000); apply the rescale"
        )
    if unit == "SUV" and (low < -1 or high > 500 or high <= 0):
        raise InputError(
            f"{where}: values from {low:.4g} to {high:.4g} are not standardised uptake values; divide the activity"
            " (Bq/mL) by the dose per body weight"
        )


def check_mask(mask: Volume, of: Volume, where: str) -> Volume:
    """A mask of 0 and 1 on the lattice of its channel, however the axes of the two files are ordered and directed.

    Raises:
        InputError: another geometry, other values, or nothing inside.
    """
    mask, of = canonical(mask), canonical(of)
    if mask.values.shape != of.values.shape or not np.allclose(mask.affine, of.affine, atol=1e-2):
        raise InputError(
            f"{where}: the geometry ({' x '.join(map(str, mask.values.shape))} voxels) differs from that of {of.path}"
            f" ({' x '.join(map(str, of.values.shape))}); resample the mask to its image"
        )
    found = np.unique(mask.values)
    if len(found) > 2 or found[0] != 0 or (len(found) == 2 and found[1] not in (1, 255)):
        told = ", ".join(f"{value:.4g}" for value in found[:5])
        raise InputError(f"{where}: mask values {told}{', ...' if len(found) > 5 else ''}; expected 0 and 1")
    if len(found) == 1:
        raise InputError(f"{where}: the mask is empty; outline the lesion, or take the patient out")
    return Volume((mask.values > 0).astype(np.uint8), mask.affine, mask.path)


def canonical(volume: Volume) -> Volume:
    """The same volume with axes that go, as nearly as they can, to the patient's right, front and head."""
    from nibabel import orientations

    turn = orientations.io_orientation(volume.affine)  # type: ignore[no-untyped-call]
    values = orientations.apply_orientation(volume.values, turn)  # type: ignore[no-untyped-call]
    back = orientations.inv_ornt_aff(turn, volume.values.shape)  # type: ignore[no-untyped-call]
    return Volume(values, np.asarray(volume.affine @ back, dtype=float), volume.path)


def choose_slices(holds: npt.NDArray[np.bool_], grid: Grid) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Slices by the rule of the grid: (chosen,) positions in order, and the kind of each.

    holds: (slices,) whether a slice holds the lesion; all False where there is no mask.
    """
    position = np.arange(len(holds))
    near = np.zeros_like(holds)
    near[1:] |= holds[:-1]
    near[:-1] |= holds[1:]
    groups = {
        "lesion": (position[holds], grid.lesion),
        "neighbour": (position[near & ~holds], grid.neighbours),
        "without": (position[~near & ~holds], grid.without),
    }
    if not holds.any():
        groups = {"unknown": (position, grid.lesion + grid.neighbours + grid.without)}
    chosen: dict[int, str] = {}
    for kind, (there, most) in groups.items():
        count = min(most, len(there))
        # The middle of each of `count` equal parts.
        steps = ((np.arange(count) + 0.5) * len(there) / max(count, 1)).astype(int)
        chosen |= {int(there[step]): kind for step in steps}
    rows = np.array(sorted(chosen), dtype=np.intp)
    return rows, [chosen[int(row)] for row in rows]


def cut(
    channels: Mapping[str, Volume], mask: Volume | None, grid: Grid, fill: Mapping[str, float], where: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8] | None]:
    """Axial images of one patient: (images, channels, rows, columns), and their masks.

    Slices lie at the heights of the first channel's voxels. Each is seen from below, as radiologists do: the patient's
    front above, the right side on the left. Values are linear between voxels, after a Gaussian as wide as the grid is
    coarser than the voxels (against aliasing); masks are linear too, and cut at a half. Outside a volume stands `fill`.

    Raises:
        InputError: volumes that do not overlap, or no slice with anything on the grid.
    """
    first = next(iter(channels.values()))
    lattice = mask or first
    corners = _corners(first)
    heights = np.arange(corners[:, 2].min(), corners[:, 2].max() + 1e-6, abs(_step(first)))
    centre = corners.mean(axis=0)
    holds = np.zeros(len(heights), dtype=bool)
    if mask is not None:
        inside = np.argwhere(mask.values > 0) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
        if grid.centre == "lesion":
            centre = inside.mean(axis=0)
        holds[
            np.unique(np.rint((inside[:, 2] - heights[0]) / abs(_step(first))).astype(int).clip(0, len(heights) - 1))
        ] = True
    # Where the axes are oblique, or the gantry was tilted, the outermost heights hold a corner alone.
    there = holds | _inside(first, np.stack([*np.broadcast_arrays(*centre[:2, None], heights)], axis=-1))
    heights, holds = heights[there], holds[there]
    rows, _ = choose_slices(holds, grid)
    points = _points(centre, heights[rows], grid)
    pixels = np.empty((len(rows), len(channels), *grid.size), dtype=np.float32)
    for c, (name, volume) in enumerate(channels.items()):
        values, covered = _sample(volume, points, grid, fill[name])
        if covered < LEAST_COVERED:
            raise InputError(
                f"{where}: {volume.path} covers {covered:.0%} of the grid of {grid.size[0]} x {grid.size[1]} pixels"
                f" round {lattice.path}; the channels do not lie in the same space, or the grid is too large"
            )
        pixels[:, c] = values
    if mask is None:
        return pixels, None
    drawn, _ = _sample(Volume(mask.values.astype(np.float32), mask.affine, mask.path), points, grid, 0.0)
    return pixels, (drawn >= 0.5).astype(np.uint8)


def _corners(volume: Volume) -> Array:
    """(8, 3) centres of the corner voxels in millimetres."""
    ends = np.array(volume.values.shape) - 1
    corners = np.array(np.meshgrid(*[(0, end) for end in ends])).reshape(3, -1).T
    return np.asarray(corners @ volume.affine[:3, :3].T + volume.affine[:3, 3])


def _step(volume: Volume) -> float:
    """Millimetres from slice to slice along the body."""
    return float(np.abs(volume.affine[2, :3]).max())


def _points(centre: Array, heights: Array, grid: Grid) -> Array:
    """(images, rows, columns, 3) in millimetres."""
    (rows, columns), (down, across) = grid.size, grid.spacing
    front = centre[1] - (np.arange(rows) - (rows - 1) / 2) * down
    right = centre[0] - (np.arange(columns) - (columns - 1) / 2) * across
    z, y, x = np.meshgrid(heights, front, right, indexing="ij")
    return np.stack([x, y, z], axis=-1)


def _sample(volume: Volume, points: Array, grid: Grid, fill: float) -> tuple[npt.NDArray[np.float32], float]:
    """Values at points, and the share of the points within the volume."""
    from scipy import ndimage

    # How far a pixel of the grid reaches along each axis of the volume, in voxels; none along the body.
    direction = np.abs(volume.affine[:3, :3] / volume.spacing)
    reach = direction[0] * grid.spacing[1] + direction[1] * grid.spacing[0]
    width = np.sqrt(np.maximum((reach / volume.spacing) ** 2 - 1, 0.0)) / 2.355
    smooth = ndimage.gaussian_filter(volume.values.astype(np.float32), width, mode="nearest", truncate=3.0)
    voxels = _voxels(volume, points)
    within = _inside(volume, points)
    ends = np.array(volume.values.shape) - 1
    values = ndimage.map_coordinates(smooth, np.moveaxis(np.clip(voxels, 0, ends), -1, 0), order=1)
    return np.where(within, values, np.float32(fill)), float(within.mean())


def _voxels(volume: Volume, points: Array) -> Array:
    """(..., 3) where points in millimetres lie on the lattice of a volume."""
    inverse = np.linalg.inv(volume.affine)
    return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])


def _inside(volume: Volume, points: Array) -> npt.NDArray[np.bool_]:
    """(...) whether points belong to a volume; half a voxel beyond the outermost centres still does."""
    voxels, ends = _voxels(volume, points), np.array(volume.values.shape) - 1
    return np.asarray(((voxels >= -0.51) & (voxels <= ends + 0.51)).all(axis=-1))
