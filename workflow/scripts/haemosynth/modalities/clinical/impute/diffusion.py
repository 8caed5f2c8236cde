"""Imputation by masked diffusion: missing values of a patient are drawn given all recorded ones.

The model of the clinical generator of this name, which has learned to draw any columns given any others
(`generators/diffusion.py`). Endpoints are among what is given, and so are alterations with enough carriers, as further
columns of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.errors import InputError
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities import joint_table
from haemosynth.modalities.clinical.generators import diffusion
from haemosynth.modalities.clinical.generators.conditioning import Conditions
from haemosynth.modalities.clinical.generators.encoding import Encoding
from haemosynth.modalities.clinical.impute.encoding import find_imputable

DEFAULTS: dict[str, Any] = {
    "model": {},  # settings of the generator that differ from its defaults
    "min_carriers": 10,  # alterations with fewer carriers are no predictors
}


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Fitted:
    """Fit the denoiser to training patients.

    Raises:
        InputError: the cohort has no column to impute, or the model has no such setting.
    """
    if not find_imputable(train):
        raise InputError(f"imputation of {train.schema.cohort}: the clinical table has no column that can be imputed")
    unknown = [key for key in settings["model"] if key not in diffusion.DEFAULTS]
    if unknown:
        raise InputError(f"imputation: model: unknown setting {unknown[0]!r}; expected {', '.join(diffusion.DEFAULTS)}")
    carried: list[str] = []
    if train.alterations is not None:
        count, absent = (train.alterations == 1).sum(), (train.alterations == 0).sum()
        least = int(settings["min_carriers"])
        carried = [str(name) for name in count.index[(count >= least) & (absent >= least)]]
    model = diffusion.fit(
        joint_table.extend_table(train, carried), {**diffusion.DEFAULTS, **settings["model"]}, rng, None
    )
    never = [name for name in find_imputable(train) if train.clinical[name].isna().all()]
    described = {"algorithm": "diffusion", "settings": dict(settings), "coding": {"impossible": never}}
    return Fitted(model.arrays, {**model.description, **described}, model.history)


def impute(fitted: Fitted, cohort: Cohort, draws: int, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Complete a cohort `draws` times.

    Raises:
        InputError: the cohort lacks a column of the training patients.
    """
    model = diffusion.Model(fitted)
    for variable in model.encoding.variables:
        lost = [c for c in variable.columns if c not in cohort.clinical and not c.startswith(joint_table.PREFIX)]
        if lost:
            raise InputError(
                f"imputation of {cohort.schema.cohort}: column {lost[0]} of the training patients is missing"
            )
    table = _as_learned(cohort, model.encoding)
    known, visible = model.encoding.encode(table.clinical), _visible(model.encoding, table.clinical)
    free = Conditions((), {}, completed=True)
    completed = []
    for _ in range(draws):
        drawn = model.encoding.decode(model.fill(known, visible, free, rng), table.schema)
        filled = cohort.clinical.copy()
        for name in find_imputable(cohort):
            missing = filled[name].isna().to_numpy()
            numeric = cohort.schema.columns[name].numeric
            own, new = (side[name] if numeric else side[name].astype("object") for side in (filled, drawn))
            filled[name] = own.where(~missing, new.set_axis(own.index))
        completed.append(set_types(filled, cohort.schema))
    return completed


def _as_learned(cohort: Cohort, encoding: Encoding) -> Cohort:
    """The record with the alterations that were learned as columns; those that the cohort lacks are empty."""
    names = [variable.name for variable in encoding.variables if variable.name.startswith(joint_table.PREFIX)]
    whole, empty = (
        joint_table.extend_table(cohort).clinical,
        pd.Categorical([None] * len(cohort), categories=list(joint_table.LEVELS)),
    )
    added = {name: whole.get(name, empty) for name in names}
    columns = {**cohort.schema.columns, **dict.fromkeys(names, joint_table.COLUMN)}
    return Cohort(replace(cohort.schema, columns=columns, alterations={}), cohort.clinical.assign(**added))


def _visible(encoding: Encoding, clinical: pd.DataFrame) -> np.ndarray:
    """(patients, columns) what is recorded; a level that no training patient has counts as not recorded."""
    found = []
    for variable in encoding.variables:
        there = clinical[list(variable.columns)].notna().all(axis=1)
        if variable.kind == "level":
            labels = [level.label for level in variable.levels if level.label is not None]
            there &= clinical[variable.name].astype("object").isin(labels)
        found.append(there.to_numpy())
    return np.stack(found, axis=1)
