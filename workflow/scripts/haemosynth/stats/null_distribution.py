"""What an attack finds by chance: training and unseen patients exchanged at random.

A release that remembers nobody cannot distinguish training from unseen patients: who is called a training patient is
then arbitrary, and every exchange of the labels is as likely as the true one (Fisher's randomisation test). Statistics
of scores that were computed without looking at the labels are therefore exact under this null, at any size of the
cohort and for the worst of any number of attacks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haemosynth.core.arrays import Matrix, Vector

Labels = NDArray[np.bool_]
USUAL, RARE = 0.95, 0.995  # quantiles of what chance shows: as reported, and as the gate allows it


def exchange_members(member: Labels, count: int, rng: np.random.Generator) -> Labels:
    """`count` random exchanges of the labels.  (count, patients)"""
    return rng.permuted(np.broadcast_to(member, (count, len(member))), axis=1)


def quantile(null: Vector, level: float) -> float:
    """The value that a share of at least `level` of the exchanges does not exceed."""
    return float(np.quantile(null, level, method="higher"))


def rank_statistics(scores: Vector, member: Labels, rates: tuple[float, ...]) -> tuple[Vector, Matrix]:
    """Area under the ROC curve and true positive rates of one attack, under each of several labellings.

    Args:
        scores: (patients,), higher says member; ties share a threshold and count half in the area.
        member: (labellings, patients).
        rates: false positive rates, at which the curve is interpolated linearly.

    Returns:
        (labellings,) areas and (labellings, rates) true positive rates.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last patient of each threshold
    labels = member[:, order]
    start = np.zeros((len(labels), 1))
    true = np.hstack([start, np.cumsum(labels, axis=1)[:, ends]])
    false = np.hstack([start, ends + 1 - true[:, 1:]])
    members, others = true[:, -1:], false[:, -1:]
    area = ((true[:, 1:] + true[:, :-1]) * np.diff(false, axis=1)).sum(axis=1) / (2 * members * others)[:, 0]
    found, rows = np.empty((len(labels), len(rates))), np.arange(len(labels))
    for column, rate in enumerate(rates):
        wanted = rate * others[:, 0]
        after = np.minimum((false <= wanted[:, None]).sum(axis=1), false.shape[1] - 1)
        before = after - 1
        step = false[rows, after] - false[rows, before]
        share = np.divide(wanted - false[rows, before], step, out=np.ones(len(rows)), where=step > 0)
        low, high = true[rows, before], true[rows, after]
        found[:, column] = (low + share * (high - low)) / members[:, 0]
    return area, found
