"""Two unlike imputation models in turn: chained ridge regressions on normal scores, and MIWAE.

Half of the draws come from either, as in model averaging (Hoeting et al., Stat Sci 1999;14:382) with equal weights: the
draws then also carry the uncertainty between a linear model and a deep one, and the mean of the draws averages their
errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.impute import chained_ridge, miwae

DEFAULTS: dict[str, Any] = {
    "chained_ridge": {"scale": "normal_scores"},  # settings that differ from the defaults of either
    "miwae": {},
}
MEMBERS = {"chained_ridge": chained_ridge, "miwae": miwae}


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Fitted:
    """Fit both models on training patients.

    Raises:
        InputError: the cohort has no column to impute.
    """
    fitted = {name: module.fit(train, {**module.DEFAULTS, **settings[name]}, rng) for name, module in MEMBERS.items()}
    return Fitted(
        {f"{name}/{key}": array for name, model in fitted.items() for key, array in model.arrays.items()},
        {
            "algorithm": "ensemble",
            "members": {name: dict(model.description) for name, model in fitted.items()},
            "parameters": sum(int(model.description["parameters"]) for model in fitted.values()),
            "patients": len(train),
        },
        fitted["miwae"].history,
    )


def impute(fitted: Fitted, cohort: Cohort, draws: int, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Complete a cohort `draws` times: the first, third, ... by chained regressions, the others by MIWAE.

    Raises:
        InputError: the cohort lacks a column of the training patients.
    """
    completed: list[pd.DataFrame] = []
    shares = {"chained_ridge": (draws + 1) // 2, "miwae": draws // 2}
    found = {name: _draws(fitted, name, cohort, shares[name], rng) for name in MEMBERS}
    for i in range(draws):
        completed.append(found["miwae" if i % 2 else "chained_ridge"][i // 2])
    return completed


def _draws(fitted: Fitted, name: str, cohort: Cohort, draws: int, rng: np.random.Generator) -> list[pd.DataFrame]:
    arrays = {key.removeprefix(f"{name}/"): a for key, a in fitted.arrays.items() if key.startswith(f"{name}/")}
    model = Fitted(arrays, fitted.description["members"][name], pd.DataFrame())
    return MEMBERS[name].impute(model, cohort, draws, rng) if draws else []
