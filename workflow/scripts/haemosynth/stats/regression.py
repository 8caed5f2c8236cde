"""Regressions and factors of many numbers at once, shared by the generators of measured tables.

ridge    every gene on the record, its penalty chosen by its leave-one-out error (PRESS; Allen, Technometrics 1974;
         16:125), which the singular value decomposition of the record gives for all genes at once
factors  probabilistic principal components (Tipping & Bishop, J R Stat Soc B 1999;61:611) of what is left, their
         number chosen by the likelihood of patients left out
"""

from __future__ import annotations

import numpy as np

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # times the number of patients; beyond the last: no effect
NUMBERS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
CHUNK = 2000  # genes at once
FOLDS = 5


def ridge(features: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """(features, genes) float32 coefficients; features standardised (patients, features), outcomes centred.

    A gene keeps its regression only where leave-one-out error falls by more than chance gives (2 / patients).
    """
    n, genes = outcome.shape
    if features.shape[1] == 0 or n < 3:
        return np.zeros((features.shape[1], genes), dtype=np.float32)
    u, s, vt = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    real = s > 1e-8 * s[0]
    u, s, vt = u[:, real], s[real], vt[real]
    shrink = np.array([s**2 / (s**2 + n * penalty) for penalty in PENALTIES])
    left = np.array([1 - 1 / n - (u**2 * one).sum(axis=1) for one in shrink])
    found = np.zeros((features.shape[1], genes), dtype=np.float32)
    for start in range(0, genes, CHUNK):
        y = outcome[:, start : start + CHUNK].astype(np.float64)
        y -= y.mean(axis=0)
        along = u.T @ y
        errors = np.array(
            [
                (((y - u @ (one[:, None] * along)) / np.maximum(rest, 1e-3)[:, None]) ** 2).mean(axis=0)
                for one, rest in zip(shrink, left, strict=True)
            ]
        )
        alone = (y**2).mean(axis=0) / (1 - 1 / n) ** 2
        best = errors.argmin(axis=0)
        used = errors.min(axis=0) < alone * (1 - 2 / n)
        found[:, start : start + CHUNK] = vt.T @ (np.where(used, shrink[best].T, 0.0) / s[:, None] * along)
    return found


def factors(residual: np.ndarray, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Loadings (genes, number) and unit scores (patients, number) of the leading principal components, less noise.

    residual: (patients, genes), centred. A loading's square is the variance of its component less the mean of the rest.
    """
    n, genes = residual.shape
    if number == 0:
        return np.zeros((genes, 0), dtype=np.float32), np.zeros((n, 0), dtype=np.float32)
    from sklearn.utils.extmath import randomized_svd

    u, s, vt = randomized_svd(residual, number, n_iter=4, random_state=seed)
    total = float((residual.astype(np.float64) ** 2).sum()) / n
    rest = max(total - float((s**2).sum()) / n, 0.0) / max(min(n, genes) - number, 1)
    size = np.sqrt(np.maximum(s**2 / n - rest, 1e-8))
    sign = np.sign(vt[np.arange(number), np.abs(vt).argmax(axis=1)])
    return (vt.T * size * sign).astype(np.float32), (u * np.sqrt(n) * sign).astype(np.float32)


def choose_number_of_factors(residual: np.ndarray, rng: np.random.Generator, most: int) -> int:
    """The number of components under which patients left out are most likely.

    At most 600 patients and 3,000 genes, drawn, are looked at: the number is not sensitive to more.
    """
    rows = rng.permutation(len(residual))[:600]
    genes = np.sort(rng.permutation(residual.shape[1])[:3000])
    table = residual[np.ix_(rows, genes)].astype(np.float64)
    numbers = [k for k in NUMBERS if k <= min(most, len(rows) * (FOLDS - 1) // FOLDS // 2, len(genes) - 1)]
    score = np.zeros(len(numbers))
    for fold in range(FOLDS):
        out = np.arange(len(table)) % FOLDS == fold
        inside, held = table[~out], table[out]
        middle = inside.mean(axis=0)
        _, s, vt = np.linalg.svd(inside - middle, full_matrices=False)
        variance = s**2 / len(inside)
        along = ((held - middle) @ vt.T) ** 2
        whole = ((held - middle) ** 2).sum(axis=1)
        for i, k in enumerate(numbers):
            noise = variance[k:].sum() / (len(genes) - k)
            lead = variance[:k]
            inner = along[:, :k] / lead
            fit = inner.sum(axis=1) + (whole - along[:, :k].sum(axis=1)) / noise
            score[i] -= float((fit + np.log(lead).sum() + (len(genes) - k) * np.log(noise)).sum())
    return int(numbers[int(score.argmax())])
