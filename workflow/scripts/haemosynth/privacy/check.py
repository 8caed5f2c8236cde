"""A limit that a release is held to before it is published."""

from __future__ import annotations

from typing import NamedTuple

from haemosynth.modalities.registry import RECORD


class Check(NamedTuple):
    """A limit on one metric.

    stage: that measures it. limit: where the study sets none. meaning: for the reader of the gate's table.
    required: whether the gate stays shut where the stage was not run. least: the limit is the least allowed value.
    modality: that a cohort must have for the check to be asked. Limits of the stage `disclosure` are those of the tier.
    """

    stage: str
    limit: float
    meaning: str
    required: bool = True
    least: bool = False
    modality: str = RECORD
