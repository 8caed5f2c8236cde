"""Multiple imputation of the clinical table: one self-contained file per algorithm, loaded when needed.

An algorithm is a module `impute/<algorithm>.py` with
    DEFAULTS  its settings and their default values; a method of the study may change them
    fit       (train, settings, rng) -> Fitted, learned from training patients alone
    impute    (fitted, cohort, draws, rng) -> `draws` clinical tables, typed; observed values are unchanged
Derived columns are recomputed by the caller (`haemosynth.core.derive`); times and events of endpoints are never
imputed.
This file imports nothing heavy: the workflow reads the table while it builds its graph.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from haemosynth.core.errors import InputError

ALGORITHMS = ("ensemble", "miwae", "chained_ridge", "diffusion")


def load(algorithm: str) -> ModuleType:
    """The module of an algorithm.

    Raises:
        InputError: no such algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise InputError(f"imputation: no algorithm {algorithm!r}; expected one of {', '.join(ALGORITHMS)}")
    return import_module(f"haemosynth.modalities.clinical.impute.{algorithm}")
