"""Record and alterations drawn together: alterations are further columns of the table that a clinical algorithm learns.

Any algorithm can learn the longer table, and both parts of a patient then come from one distribution, in place of one
given the other. The table that is drawn holds the alterations beside the record; the genomic algorithm `joint` takes
them from there, and adds reads and allele fractions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Schema
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.joint_table import extend_table, lengthen_schema


def fit(
    algorithm: ModuleType, train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None
) -> Fitted:
    """Fit a clinical algorithm to record and alterations together.

    Raises:
        InputError: the cohort has no alterations.
    """
    if train.alterations is None or not train.schema.alterations:
        raise InputError(f"cohort {train.schema.cohort}: methods.clinical: joint: there are no alterations")
    model: Fitted = algorithm.fit(extend_table(train), settings, rng, checkpoint)
    return Fitted(model.arrays, {**model.description, "joint": list(train.schema.alterations)}, model.history)


def sample(algorithm: ModuleType, fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., with the columns of `extend_table`."""
    table: pd.DataFrame = algorithm.sample(fitted, lengthen_schema(schema, fitted.description["joint"]), n, rng)
    return table
