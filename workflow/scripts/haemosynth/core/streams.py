"""Random streams: one study seed, one independent stream for every job, and draws that several jobs share."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: object) -> np.random.Generator:
    """The random stream of `names` (a rule and its wildcards, say) under a study seed.

    Streams of different names are independent; the same names give the same stream on every machine.
    """
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def torch_seed(rng: np.random.Generator) -> int:
    """A seed for `torch.manual_seed` or scikit-learn's `random_state`, drawn from the job's stream."""
    return int(rng.integers(2**31 - 1))


def one_of_each(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One choice in each row, in proportion to its weight: (rows, choices) -> (rows,) positions."""
    along = np.cumsum(weight, axis=1)
    return np.asarray((rng.random((len(weight), 1)) * along[:, -1:] >= along).sum(axis=1).clip(0, weight.shape[1] - 1))
