"""Who has measurements, and which of them are missing: the same for every generator of measured tables.

Analytes that are missing together, such as those of one assay, are a block. Whether a block is missing is a ridge
logistic regression on the record and on the blocks before it; within a block each analyte is missing at its own rate,
one rate where the block is missing and one where it is not. So patterns are drawn anew and no patient's is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from haemosynth.encode import conditions
from haemosynth.encode.records import Matrix

ALIKE = 0.5  # correlation of two analytes' missing values from which they are one block
MOST_BLOCKS = 12  # whose regression on the record is learned, the most variable ones


def learn(features: Matrix, missing: np.ndarray, seed: int) -> dict[str, Any]:
    """How values are missing, as plain data.

    Args:
        features: (patients with measurements, features) of the record. missing: (those patients, analytes) bool.
        seed: of the folds that choose the penalties.
    """
    blocks = _blocks(missing)
    states = np.column_stack([missing[:, own].mean(axis=1) > 0.5 for own in blocks])
    share = states.mean(axis=0)
    learned = set(np.argsort(-share * (1 - share), kind="stable")[:MOST_BLOCKS].tolist())
    found = []
    for k, own in enumerate(blocks):
        given = np.hstack([features, states[:, :k]]) if k in learned else features[:, :0]
        rates = [
            [float((missing[rows][:, j].sum() + 0.5 * missing[:, j].mean()) / (rows.sum() + 0.5)) for j in own]
            for rows in (~states[:, k], states[:, k])
        ]
        chance = conditions.learn_presence(given, states[:, k], seed)
        found.append({"analytes": [int(j) for j in own], "chance": chance, "rates": rates})
    return {"blocks": found}


def draw(known: Mapping[str, Any], features: Matrix, analytes: int, rng: np.random.Generator) -> np.ndarray:
    """(patients, analytes) bool: which values are missing."""
    n = len(features)
    missing = np.zeros((n, analytes), dtype=bool)
    states = np.zeros((n, 0))
    for block in known["blocks"]:
        slope = len(block["chance"]["slope"])
        given = np.hstack([features, states])[:, :slope] if slope else features
        state = conditions.draw_presence(block["chance"], given, rng)
        rates = np.asarray(block["rates"])[state.astype(int)]
        missing[:, block["analytes"]] = rng.random(rates.shape) < rates
        states = np.column_stack([states, state])
    return missing


def _blocks(missing: np.ndarray) -> list[np.ndarray]:
    """Analytes by block, the most often missing first: connected by correlations of at least `ALIKE`."""
    from scipy.sparse.csgraph import connected_components

    centred = missing - missing.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    scaled = np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0)
    count, label = connected_components(scaled.T @ scaled >= ALIKE, directed=False)
    blocks = [np.flatnonzero(label == k) for k in range(count)]
    return sorted(blocks, key=lambda own: (-missing[:, own].mean(), int(own[0])))
