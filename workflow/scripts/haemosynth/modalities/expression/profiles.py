"""Gene expression as the pipeline holds it: an AnnData with one row per patient.

uns["values"]   counts (non-negative whole numbers), normalised (non-negative, linear, such as TPM) or log (as they are)
uns["library"]  counts: the median library size of the training patients, to which levels refer
uns["batch"]    the clinical column that names the batch, "" where none is known; obs["batch"] holds it
obs["library_size"]  counts: reads of a patient over all genes of the source, also those that were left out
var["highly_variable"]  genes whose levels vary most among training patients
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

VALUES = ("counts", "normalised", "log")
LEAST_PATIENTS = 10  # with expression in train, below which nothing is learned


def dense(matrix: Any) -> np.ndarray:
    """(patients, genes) float32, whether the matrix was sparse or not."""
    full = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    return np.asarray(full, dtype=np.float32)


def levels(expression: AnnData) -> np.ndarray:
    """(patients, genes) float32 levels on which patients are compared.

    counts: log2(1 + count / library size x median library size of train); normalised: log2(1 + value); log: the value.
    """
    values = dense(expression.X)
    if expression.uns["values"] == "counts":
        share = float(expression.uns["library"]) / expression.obs["library_size"].to_numpy(dtype=np.float32)
        return np.asarray(np.log2(1 + values * share[:, None]), dtype=np.float32)
    return np.asarray(np.log2(1 + values), dtype=np.float32) if expression.uns["values"] == "normalised" else values


def learn(train: AnnData, holdout: AnnData, genes: int | None, variable: int) -> tuple[AnnData, AnnData]:
    """Train and holdout with what is learned from train alone: library size, genes kept, genes that vary most.

    Args:
        genes: how many genes are kept, those that vary most; None for all that are not constant.
        variable: how many of them are marked in var["highly_variable"].

    Raises:
        InputError: too few training patients have expression.
    """
    if train.n_obs < LEAST_PATIENTS:
        raise InputError(
            f"expression: {train.n_obs} training patients have expression; a model needs {LEAST_PATIENTS} or more"
        )
    if train.uns["values"] == "counts":
        library = float(np.median(train.obs["library_size"]))
        for part in (train, holdout):
            part.uns["library"] = library
    spread = _spread(levels(train), counts=train.uns["values"] == "counts")
    order = np.argsort(-spread, kind="stable")
    kept = np.sort(order[: genes or None])
    kept = kept[spread[kept] > 0]
    marked = np.isin(kept, order[:variable])
    parts = []
    for part in (train, holdout):
        one = part[:, kept].copy()
        one.var["highly_variable"] = marked
        parts.append(one)
    return parts[0], parts[1]


def _spread(level: np.ndarray, counts: bool) -> np.ndarray:
    """(genes,) how much a gene varies: the standard deviation of its levels, for counts beyond what its mean explains.

    Counts vary more where they are few; the deviation of log levels is taken against its running median over genes
    ordered by mean (the idea of Brennecke et al., Nat Methods 2013;10:1093). scanpy's `pp.highly_variable_genes` ranks
    genes much alike, but by variances of levels that are no logarithms: one patient with odd values then decides.
    """
    deviation = level.std(axis=0, dtype=np.float64)
    if not counts or len(deviation) < 50:
        return np.asarray(deviation)
    order = np.argsort(level.mean(axis=0), kind="stable")
    width = max(len(order) // 20, 11)
    trend = pd.Series(deviation[order]).rolling(width, center=True, min_periods=1).median().to_numpy()
    expected = np.empty_like(deviation)
    expected[order] = trend
    return np.asarray(deviation / np.where(expected > 0, expected, 1.0))


def make(values: np.ndarray, like: AnnData, patients: pd.Index, obs: pd.DataFrame) -> AnnData:
    """Synthetic expression of these patients: genes and declarations of `like`, no value of it."""
    import anndata

    kept = {key: like.uns[key] for key in ("values", "library", "batch") if key in like.uns}
    var = like.var[["highly_variable"]].copy()
    return anndata.AnnData(np.asarray(values, dtype=np.float32), obs.set_index(patients), var, uns=kept)
