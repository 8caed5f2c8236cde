"""The generators: one self-contained file per algorithm, loaded when needed.

An algorithm is a module `generate/<modality>/<algorithm>.py` with
    DEFAULTS  its settings and their default values; a method of the study may change them
    fit       (train, settings, rng, checkpoint) -> Fitted; `checkpoint` is a path prefix to resume from, or None
    sample    clinical: (fitted, schema, n, rng) -> clinical table, typed, derived columns still missing; a record given
              alterations: see `clinical/given.py`
              genomic:  (fitted, given, rng) -> Genomic, one patient for each patient of the cohort `given`
              transcriptomic: (fitted, given, rng) -> AnnData, of those patients of `given` who get expression
              imaging:  (fitted, given, rng) -> Images, owned by patients of the cohort `given`
This file imports nothing heavy: the workflow reads the tables while it builds its graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from haemosynth.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from haemosynth.cohort import Cohort

ALGORITHMS = {
    "clinical": ("vae", "forest", "private_marginals", "private_vae"),
    "genomic": ("dirichlet_process", "logistic_chain", "private_marginals"),
    "transcriptomic": ("negative_binomial_vae", "factor"),
    "imaging": ("diffusion", "autoencoder", "principal_components"),
}
GIVEN_ALTERATIONS = ("vae", "forest")  # the private ones would be private no more
REFERENCES = ("real", "independent", "uniform", "fresh")


def load(modality: str, algorithm: str) -> ModuleType:
    """The module of an algorithm.

    Raises:
        InputError: no such algorithm for this modality.
    """
    if algorithm not in ALGORITHMS.get(modality, ()):
        known = ", ".join(ALGORITHMS.get(modality, ()))
        raise InputError(f"methods.{modality}: no algorithm {algorithm!r}; expected one of {known}")
    return import_module(f"haemosynth.generate.{modality}.{algorithm}")


def given_alterations() -> ModuleType:
    """How a record is drawn given alterations. Not imported: no other method depends on its code."""
    return import_module("haemosynth.generate.clinical.given")


def visible(train: Cohort, given: Collection[str], modality: str) -> Cohort:
    """The training patients with those modalities that a method is `given`, and its own.

    Raises:
        InputError: a modality that this one cannot be given.
    """
    from dataclasses import replace

    expected = {"genomic": ("clinical",), "transcriptomic": ("clinical", "genomic")}[modality]
    wrong = [name for name in given if name not in expected]
    if wrong:
        raise InputError(
            f"methods.{modality}: given: {wrong[0]!r} is unknown; expected {' and '.join(expected)}, or nothing"
        )
    schema, clinical = train.schema, train.clinical
    if "clinical" not in given:
        schema, clinical = replace(schema, columns={}, endpoints=()), clinical[[]]
    if "genomic" not in (*given, modality):
        return replace(
            train,
            schema=replace(schema, alterations={}),
            clinical=clinical,
            alterations=None,
            sequenced=None,
            mutations=None,
        )
    return replace(train, schema=schema, clinical=clinical)


def at_most(train: Cohort, patients: int, rng: np.random.Generator) -> Cohort:
    """The training patients that a generator learns from: all, or of more than `patients` so many drawn at random."""
    if len(train) <= patients:
        return train
    drawn = rng.choice(len(train), patients, replace=False)
    drawn.sort()
    return train.take(drawn)


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
