"""Measurements of training patients and holdout: scales and recording steps are learned from the former alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haemosynth.modalities.metabolomics.measured import learn
from haemosynth.modalities.metabolomics.part import Quantities, keep_measurements


def divide(train: Quantities, holdout: Quantities, settings: Mapping[str, Any]) -> tuple[Quantities, Quantities]:
    """Both with the analytes that are kept, their scale and their recording steps, as training patients show them."""
    parts = learn(train.data.copy(), holdout.data.copy())
    return keep_measurements(parts[0]), keep_measurements(parts[1])
