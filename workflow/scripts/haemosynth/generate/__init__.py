"""What all generators share: what a method is given, how many patients it learns from, its settings.

An algorithm is a module `modalities/<modality>/generators/<algorithm>.py` with
    DEFAULTS  its settings and their default values; a method of the study may change them
    fit       (train, settings, rng, checkpoint) -> Fitted; `checkpoint` is a path prefix to resume from, or None
    sample    the record: (fitted, schema, n, rng) -> its table, typed, derived columns still missing
              all others: (fitted, given, rng) -> their part, owned by patients of the cohort `given`
This file imports nothing heavy: the workflow reads it while it builds its graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from haemosynth.core.errors import InputError
from haemosynth.modalities.registry import ALTERED, MODALITIES, RECORD

if TYPE_CHECKING:
    import numpy as np

    from haemosynth.core.cohort import Cohort

REFERENCES = ("real", "independent", "uniform", "fresh")


def visible(train: Cohort, given: Collection[str], modality: str) -> Cohort:
    """The training patients with those modalities that a method is `given`, and its own.

    Raises:
        InputError: a modality that this one cannot be given.
    """
    from dataclasses import replace

    expected = MODALITIES[modality].given
    wrong = [name for name in given if name not in expected]
    if wrong:
        raise InputError(
            f"methods.{modality}: given: {wrong[0]!r} is unknown; expected {' and '.join(expected)}, or nothing"
        )
    schema, clinical = train.schema, train.clinical
    if RECORD not in given:
        schema, clinical = replace(schema, columns={}, endpoints=()), clinical[[]]
    if ALTERED not in (*given, modality):
        schema = replace(schema, alterations={})
        return train.replace(schema=schema, clinical=clinical, alterations=None, sequenced=None, mutations=None)
    return replace(train, schema=schema, clinical=clinical)


def at_most(train: Cohort, patients: int, rng: np.random.Generator) -> Cohort:
    """The training patients that a generator learns from: all, or `patients` of them drawn at random."""
    if len(train) <= patients:
        return train
    drawn = rng.choice(len(train), patients, replace=False)
    drawn.sort()
    return train.take(drawn)


def draws_classes_last(method: Mapping[str, Any]) -> bool:
    """Whether a method of the record draws classes last, as a study writes it.

    Its setting `classes_last` says so; a differentially private method never does, since its guarantee would be broken.
    """
    return bool(method.get("classes_last", True)) and not str(method.get("algorithm", "")).startswith("private_")


def settings_of(module: ModuleType, chosen: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The algorithm's defaults with the study's choices laid over them, key by key in groups of settings too.

    Raises:
        InputError: a choice that the algorithm does not know.
    """
    return _over(module.DEFAULTS, chosen, where)


def _over(defaults: Mapping[str, Any], chosen: Mapping[str, Any], where: str) -> dict[str, Any]:
    found = dict(defaults)
    for key, value in chosen.items():
        if key not in defaults:
            raise InputError(f"{where}: unknown setting {key!r}; expected {', '.join(sorted(defaults))}")
        group = isinstance(value, Mapping) and isinstance(defaults[key], Mapping) and defaults[key]
        found[key] = _over(defaults[key], value, f"{where}.{key}") if group else value
    return found
