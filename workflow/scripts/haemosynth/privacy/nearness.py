"""Copies of training patients and nearness to them: what the stages `distance` and others, and the audit, share."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Encoder, Matrix, Vector, distinct
from haemosynth.stats.neighbours import squared_distances
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import Comparison

DEFAULTS: dict[str, Any] = {
    "rows": 3_000,  # patients, released or unseen, whose neighbours are searched, at most; all patients are searched
    "tolerance": 0.01,  # clinical records nearer than this share of a 10-90 % range count as the same
    "fewest": 3,  # alterations that a mutation profile needs to be told from another
    "exchanges": 1_000,  # of training and unseen patients, to see what chance shows
    "spare": 12,  # nearest unseen patients kept of each record beyond the first: resamples leave out some of them
}
Flags = NDArray[np.bool_]


def profile_excess(trained: Counter[bytes], shown: list[bytes], unseen: list[bytes]) -> float:
    """Share of shown mutation profiles that a training patient has, less that share among real patients.

    By chance: unseen patients beside the training patients, and each training patient beside the others.
    """
    repeated = sum(trained[profile] > 0 for profile in shown)
    expected = sum(trained[profile] > 0 for profile in unseen) + sum(k for k in trained.values() if k > 1)
    return repeated / max(1, len(shown)) - expected / max(1, len(unseen) + trained.total())


def exchange_profiles(
    trained: list[bytes], unseen: list[bytes], shown: list[bytes], count: int, rng: np.random.Generator
) -> Vector:
    """`profile_excess`, at least 0, with training and unseen patients exchanged `count` times."""
    codes, names = pd.factorize(np.array([*trained, *unseen, *shown], dtype=object))
    real, released = np.split(codes, [len(trained) + len(unseen)])
    found = np.empty(count)
    for i in range(count):
        train, other = np.split(rng.permutation(real), [len(trained)])
        times = np.bincount(train, minlength=len(names))
        expected = (times[other] > 0).sum() + times[times > 1].sum()
        found[i] = (times[released] > 0).sum() / max(1, len(released)) - expected / max(1, len(real))
    return np.maximum(found, 0.0)


def unseen_patients(comparison: Comparison) -> Cohort:
    """Real patients whom neither the generator nor the release has seen, each once (see `unseen_side`)."""
    return distinct(unseen_side(comparison))


def identical(points: Matrix, train: Matrix, encoder: Encoder, apart: float) -> Flags:
    """Whether a training point lies within `apart` in the baseline record; in the alterations too.  (points, 2)"""
    found = np.zeros((len(points), 2), dtype=bool)
    for rows, squared in squared_distances(points[:, encoder.baseline], train[:, encoder.baseline]):
        same = squared <= apart**2
        found[rows, 0] = same.any(axis=1)
        places = np.flatnonzero(found[rows, 0])
        blocks = (side[:, encoder.genomic] for side in (points[rows][places], train))
        for some, others in squared_distances(*blocks):
            found[rows.start + places[some], 1] = (same[places[some]] & (others <= apart**2)).any(axis=1)
    return found


def profiles(cohort: Cohort, fewest: int) -> list[bytes]:
    """The sets of alterations of sequenced patients who carry at least `fewest`."""
    assert cohort.alterations is not None
    assert cohort.sequenced is not None
    present = cohort.alterations.to_numpy(float)[cohort.sequenced.to_numpy(bool)] == 1
    return [row.tobytes() for row in np.packbits(present[present.sum(axis=1) >= fewest], axis=1)]
