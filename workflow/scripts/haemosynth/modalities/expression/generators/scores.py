"""Expression on the scale that a generator learns, and back: rates, normal scores of each gene, its distribution.

A distribution through the recorded levels of every gene names its training patients: one gene reveals little, many
together reveal nearly all (stage `expression_memory`, attack `values`). A gene's distribution is therefore its mean,
its standard deviation and a shape, and shapes are combinations of a few that all genes share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from haemosynth.modalities.expression.profiles import dense
from haemosynth.stats import shapes
from haemosynth.stats.shapes import LEVELS as LEVELS

if TYPE_CHECKING:
    from anndata import AnnData

CHUNK = 2000  # genes at once
OFFSET = 0.5  # added to values of at least 0 before their logarithm


def rates(expression: AnnData, rng: np.random.Generator) -> np.ndarray:
    """(patients, genes) float32: counts at the median library size of train; other values as they are.

    A count is spread evenly up to the next one, so that equal counts, such as zeros, are no ties.
    """
    values = dense(expression.X)
    if expression.uns["values"] != "counts":
        return values
    share = float(expression.uns["library"]) / expression.obs["library_size"].to_numpy(dtype=np.float32)
    return np.asarray((values + rng.random(values.shape, dtype=np.float32)) * share[:, None])


def count(rate: np.ndarray, library: np.ndarray, median: float) -> np.ndarray:
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


def share_quantiles(values: np.ndarray, positive: bool) -> np.ndarray:
    """(levels, genes) float32 quantiles of each gene: its mean and standard deviation, and shapes that genes share.

    See `stats.shapes`.

    Args:
        values: (patients, genes). positive: values are at least 0 and compared by their logarithm.
    """
    n, genes = values.shape
    middle, spread, own = np.empty(genes), np.empty(genes), np.empty((len(LEVELS), genes))
    for start in range(0, genes, CHUNK):
        part = slice(start, start + CHUNK)
        logged = _take_logarithm(values[:, part], positive)
        middle[part], spread[part] = logged.mean(axis=0), np.maximum(logged.std(axis=0), 1e-9)
        own[:, part] = (np.quantile(logged, LEVELS, axis=0) - middle[part]) / spread[part]

    def ordered(gene: int) -> np.ndarray:
        return np.sort(_take_logarithm(values[:, gene], positive))

    found = shapes.share_shapes(middle, spread, own, ordered, n)
    return np.asarray(np.maximum(np.exp(found) - OFFSET, 0) if positive else found, dtype=np.float32)


def _take_logarithm(values: np.ndarray, positive: bool) -> np.ndarray:
    return np.log(values.astype(np.float64) + OFFSET) if positive else values.astype(np.float64)
