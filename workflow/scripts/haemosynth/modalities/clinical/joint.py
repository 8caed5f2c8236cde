"""Record and alterations drawn together: alterations are further columns of the table that a clinical algorithm learns.

Any algorithm can learn the longer table, and both parts of a patient then come from one distribution, in place of one
given the other. The table that is drawn holds the alterations beside the record; the genomic algorithm `joint` takes
them up there, and adds reads and allele fractions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema
from haemosynth.generate.fitted import Fitted

PREFIX = "alterations: "  # no column of a cohort begins so
SEQUENCED = f"{PREFIX}sequenced"
LEVELS = ("no", "yes")
COLUMN = Column("binary", categories=LEVELS)


def extended(cohort: Cohort, kept: Collection[str] | None = None) -> Cohort:
    """The record with a column for who was sequenced and one for each alteration; a cohort without any as it is.

    kept: the alterations that are taken; None: all.
    """
    if cohort.alterations is None or cohort.sequenced is None:
        return cohort.record()
    names = [name for name in cohort.schema.alterations if kept is None or name in kept]
    table = {SEQUENCED: cohort.sequenced.astype(float)} | {PREFIX + name: cohort.alterations[name] for name in names}
    clinical = cohort.clinical.copy()
    for name, values in table.items():
        texts = (values == 1).map({False: LEVELS[0], True: LEVELS[1]}).where(values.notna())
        clinical[name] = pd.Categorical(texts, categories=list(LEVELS))
    return Cohort(longer(cohort.schema, names), clinical)


def longer(schema: Schema, names: Collection[str]) -> Schema:
    """The schema of a record with columns for these alterations."""
    added = dict.fromkeys((SEQUENCED, *(PREFIX + name for name in names)), COLUMN)
    return replace(schema, columns={**schema.columns, **added}, alterations={})


def fit(
    algorithm: ModuleType, train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None
) -> Fitted:
    """Fit a clinical algorithm to record and alterations together.

    Raises:
        InputError: the cohort has no alterations.
    """
    if train.alterations is None or not train.schema.alterations:
        raise InputError(f"cohort {train.schema.cohort}: methods.clinical: joint: there are no alterations")
    model: Fitted = algorithm.fit(extended(train), settings, rng, checkpoint)
    return Fitted(model.arrays, {**model.description, "joint": list(train.schema.alterations)}, model.history)


def sample(algorithm: ModuleType, fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., with the columns of `extended`."""
    table: pd.DataFrame = algorithm.sample(fitted, longer(schema, fitted.description["joint"]), n, rng)
    return table


def taken_up(record: Cohort, table: pd.DataFrame, kinds: Mapping[str, str]) -> Cohort:
    """The record with the alterations that `table`, which `sample` drew, holds; nobody has mutations yet.

    Args:
        kinds: name and kind of each alteration.

    Raises:
        InputError: the table holds no such alteration; its record was drawn alone.
    """
    for name in (SEQUENCED, *(PREFIX + name for name in kinds)):
        if name not in table:
            raise InputError(
                f"generators: the genomic method is joint, and its record was drawn without "
                f"{name.removeprefix(PREFIX)}; the clinical method needs joint: true"
            )

    def numbers(column: str) -> pd.Series:
        values = table[column].astype("object")
        return (values == LEVELS[1]).astype(float).where(values.notna())

    matrix = pd.DataFrame({name: numbers(PREFIX + name) for name in kinds}, index=table.index)
    none = pd.DataFrame({name: [] for name in MUTATION_COLUMNS})
    schema = replace(record.schema, alterations=dict(kinds))
    return Cohort.of(schema, record.clinical, matrix, numbers(SEQUENCED) == 1, none)
