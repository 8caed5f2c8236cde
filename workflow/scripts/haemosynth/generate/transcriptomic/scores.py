"""Expression on the scale that a generator learns, and back: normal scores of each gene, library sizes, whole counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from haemosynth.expression import dense

if TYPE_CHECKING:
    from anndata import AnnData

GRID = 101  # quantiles that describe a gene
CHUNK = 2000  # genes at once


def rates(expression: AnnData) -> np.ndarray:
    """(patients, genes) float32: counts at the median library size of train; other values as they are."""
    values = dense(expression.X)
    if expression.uns["values"] != "counts":
        return values
    share = float(expression.uns["library"]) / expression.obs["library_size"].to_numpy(dtype=np.float32)
    return np.asarray(values * share[:, None])


def counted(rate: np.ndarray, library: np.ndarray, median: float, rng: np.random.Generator) -> np.ndarray:
    """Whole counts at these library sizes, rounded up or down by chance, so that means stay."""
    expected = rate * (library / median)[:, None].astype(np.float32)
    return np.asarray(np.floor(expected + rng.random(expected.shape, dtype=np.float32)), dtype=np.float32)


def normal_scores(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(patients, genes) float32 normal score of each value among its gene's; ties, such as zeros, broken by chance."""
    n, genes = values.shape
    scored = np.empty((n, genes), dtype=np.float32)
    score = ndtri((np.arange(n) + 0.5) / n).astype(np.float32)
    for start in range(0, genes, CHUNK):
        block = values[:, start : start + CHUNK].astype(np.float64)
        block += rng.random(block.shape) * 1e-7 * (block.std(axis=0) + 1e-12)
        np.put_along_axis(scored[:, start : start + CHUNK], block.argsort(axis=0), score[:, None], axis=0)
    return scored


def quantiles(values: np.ndarray) -> np.ndarray:
    """(GRID, genes) float32 quantiles of each gene."""
    at = np.linspace(0, 1, GRID)
    found = [np.quantile(values[:, s : s + CHUNK], at, axis=0) for s in range(0, values.shape[1], CHUNK)]
    return np.hstack(found).astype(np.float32)


def restored(score: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(patients, genes) float32 values with these normal scores, by linear interpolation between quantiles."""
    at = ndtr(score) * (GRID - 1)
    below = np.minimum(at.astype(np.intp), GRID - 2)
    low = np.take_along_axis(grid, below, axis=0)
    high = np.take_along_axis(grid, below + 1, axis=0)
    return np.asarray(low + (at - below).astype(np.float32) * (high - low), dtype=np.float32)
