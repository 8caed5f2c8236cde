"""Several completed tables of a cohort; where nothing can be completed, copies of its table as it is."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.impute.encoding import find_imputable

NOTHING = "the record has no column to impute"


def complete(
    method: ModuleType,
    train: Cohort,
    settings: Mapping[str, Any],
    draws: int,
    streams: tuple[np.random.Generator, np.random.Generator],
) -> tuple[Fitted, list[pd.DataFrame]]:
    """Fit a method on training patients and complete them `draws` times.

    Where the record has no column to impute, nothing is fitted: the model has no parameters and says why.

    Args:
        streams: of the fit and of the draws.
    """
    if not find_imputable(train):
        described = {"settings": dict(settings), "parameters": 0, "patients": len(train), "not_applicable": NOTHING}
        return Fitted({}, described, pd.DataFrame()), [train.clinical.copy() for _ in range(draws)]
    model: Fitted = method.fit(train, settings, streams[0])
    return model, method.impute(model, train, draws, streams[1])
