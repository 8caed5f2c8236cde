"""What stages ask of a comparison again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.validate.stage import Comparison


def unseen_side(comparison: Comparison) -> Cohort:
    """Real patients whom neither the generator nor the release has seen: the holdout.

    Where the release is itself taken from the holdout (`fresh`), the control half.
    """
    fresh = comparison.candidate.patients.isin(comparison.real.patients).any()
    return comparison.control if fresh else comparison.real


def train_as_shown(comparison: Comparison) -> Cohort:
    """Training patients with the modalities that the candidate has."""
    return comparison.train if comparison.candidate.alterations is not None else comparison.train.record()


def mean_or_reason(numbers: Sequence[float], reason: str) -> dict[str, Any]:
    """Mean of the known numbers as arguments of a `Value`; NaN with the reason where none is known."""
    known = [number for number in numbers if not np.isnan(number)]
    return {"value": float(np.mean(known)), "reason": ""} if known else {"value": float("nan"), "reason": reason}
