"""Expression on the scale that a generator learns, and back: rates, normal scores of each gene, its distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from haemosynth.expression import dense

if TYPE_CHECKING:
    from anndata import AnnData

LEVELS = np.linspace(0.001, 0.999, 101)  # of the quantiles that describe a gene
CHUNK = 2000  # genes at once


def rates(expression: AnnData, rng: np.random.Generator) -> np.ndarray:
    """(patients, genes) float32: counts at the median library size of train; other values as they are.

    A count is spread evenly up to the next one, so that equal counts, such as zeros, are no ties.
    """
    values = dense(expression.X)
    if expression.uns["values"] != "counts":
        return values
    share = float(expression.uns["library"]) / expression.obs["library_size"].to_numpy(dtype=np.float32)
    return np.asarray((values + rng.random(values.shape, dtype=np.float32)) * share[:, None])


def counted(rate: np.ndarray, library: np.ndarray, median: float) -> np.ndarray:
    """Whole counts at these library sizes: the inverse of `rates`."""
    return np.asarray(np.floor(np.maximum(rate, 0) * (library / median)[:, None]), dtype=np.float32)


def normal_scores(values: np.ndarray) -> np.ndarray:
    """(patients, genes) float32 normal score of each value among its gene's."""
    n, genes = values.shape
    scored = np.empty((n, genes), dtype=np.float32)
    score = ndtri((np.arange(n) + 0.5) / n).astype(np.float32)
    for start in range(0, genes, CHUNK):
        order = values[:, start : start + CHUNK].argsort(axis=0, kind="stable")
        np.put_along_axis(scored[:, start : start + CHUNK], order, score[:, None], axis=0)
    return scored


def quantiles(values: np.ndarray) -> np.ndarray:
    """(levels, genes) float32 quantiles of each gene."""
    found = [np.quantile(values[:, s : s + CHUNK], LEVELS, axis=0) for s in range(0, values.shape[1], CHUNK)]
    return np.hstack(found).astype(np.float32)


def carried(values: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(patients, genes) values moved from each gene's quantiles `source` to `target`, straight on beyond the ends.

    source: (levels, genes), or (levels,) for all genes.
    """
    moved = np.empty(values.shape, dtype=np.float32)
    for gene in range(values.shape[1]):
        x, to = values[:, gene], target[:, gene]
        at = source if source.ndim == 1 else source[:, gene]
        y = np.interp(x, at, to)
        for end, inner, beyond in ((0, 1, np.minimum(x - at[0], 0)), (-1, -2, np.maximum(x - at[-1], 0))):
            y += beyond * (to[end] - to[inner]) / max(at[end] - at[inner], 1e-9, key=abs)
        moved[:, gene] = y
    return moved
