"""Record and alterations as one table: alterations are further columns of the record, and are taken out again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pandas as pd

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema

PREFIX = "alterations: "  # no column of a cohort begins so
SEQUENCED = f"{PREFIX}sequenced"
LEVELS = ("no", "yes")
COLUMN = Column("binary", categories=LEVELS)


def extend_table(cohort: Cohort, kept: Collection[str] | None = None) -> Cohort:
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
    return Cohort(lengthen_schema(cohort.schema, names), clinical)


def lengthen_schema(schema: Schema, names: Collection[str]) -> Schema:
    """The schema of a record with columns for these alterations."""
    added = dict.fromkeys((SEQUENCED, *(PREFIX + name for name in names)), COLUMN)
    return replace(schema, columns={**schema.columns, **added}, alterations={})


def take_up(record: Cohort, table: pd.DataFrame, kinds: Mapping[str, str]) -> Cohort:
    """The record with the alterations that `table`, which a joint recipe drew, holds; nobody has mutations yet.

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
