"""What is kept of a fitted generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Fitted:
    """A fitted generator, ready to be saved by `haemosynth.files.save_model`.

    arrays: name -> array; written as safetensors.
    description: plain data for JSON; holds `parameters`, the number of fitted numbers, and whatever sampling needs.
    history: one row per recorded step of the fit (`step` and one column per curve); empty where nothing is iterated.
    """

    arrays: Mapping[str, np.ndarray]
    description: Mapping[str, Any]
    history: pd.DataFrame


@dataclass(frozen=True)
class Genomic:
    """The genomic modality of a cohort, as `Cohort` holds it."""

    alterations: pd.DataFrame
    sequenced: pd.Series
    mutations: pd.DataFrame
