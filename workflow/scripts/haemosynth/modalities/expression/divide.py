"""Expression of training patients and holdout: normalisation and variable genes are learned from the former alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haemosynth.modalities.expression.part import Quantities, keep_profiles
from haemosynth.modalities.expression.profiles import learn


def divide(train: Quantities, holdout: Quantities, settings: Mapping[str, Any]) -> tuple[Quantities, Quantities]:
    """Both with library size, genes kept and genes that vary most, as training patients show them."""
    parts = learn(train.data.copy(), holdout.data.copy(), genes=settings["genes"], variable=settings["variable"])
    return keep_profiles(parts[0]), keep_profiles(parts[1])
