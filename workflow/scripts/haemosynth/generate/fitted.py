"""What is kept of a fitted generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.files import load_model, save_model, write_table


@dataclass(frozen=True)
class Fitted:
    """A fitted generator, ready to be saved by `haemosynth.core.files.save_model`.

    arrays: name -> array; written as safetensors.
    description: plain data for JSON; holds `parameters`, the number of fitted numbers, and whatever sampling needs.
    history: one row per recorded step of the fit (`step` and one column per curve); empty where nothing is iterated.
    """

    arrays: Mapping[str, np.ndarray]
    description: Mapping[str, Any]
    history: pd.DataFrame


def save(model: Fitted, weights: str | Path, description: str | Path, history: str | Path) -> None:
    """Write a fitted generator: weights as safetensors, description as JSON, history as a table."""
    save_model(model.arrays, dict(model.description), weights, description)
    write_table(model.history, history)


def load(weights: str | Path, description: str | Path) -> Fitted:
    """Read a fitted generator; its history is not needed to sample and stays empty."""
    return Fitted(*load_model(weights, description), history=pd.DataFrame())
