"""The record as covariates of a path: numbers at diagnosis and alterations, without any outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.encode import conditions

OUTCOMES = ("time", "event")


def without_outcomes(cohort: Cohort) -> Cohort:
    """The cohort without times and events: endpoints follow from the path, and are no covariates of it."""
    columns = {
        name: column
        for name, column in cohort.schema.columns.items()
        if column.kind not in OUTCOMES and column.group != "outcome"
    }
    schema = replace(cohort.schema, columns=columns, endpoints=())
    return replace(cohort, schema=schema, clinical=cohort.clinical[list(columns)])


def learn(train: Cohort) -> dict[str, Any]:
    """Features of the record (`encode.conditions`)."""
    return conditions.learn(without_outcomes(train))


def features(known: Mapping[str, Any], cohort: Cohort) -> np.ndarray:
    """(patients, features) standardised, unknown 0."""
    return conditions.transform(known, cohort)


def names(known: Mapping[str, Any]) -> list[str]:
    """A name of each feature."""
    return conditions.names(known)
