"""A record given alterations: of several records drawn for a patient, one is taken by how likely it makes them.

Records are drawn as if nothing were given, and one of them is taken in proportion to the probability of the patient's
alterations given the record, under the mutation model of the same training patients (sampling importance resampling:
Rubin, J Am Stat Assoc 1987;82:543; Smith and Gelfand, Am Stat 1992;46:84). Record and alterations then belong together
as in a recipe in which alterations are drawn given the record.
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
from haemosynth.core.schema import Schema
from haemosynth.core.streams import one_of_each
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.genomic.generators import dirichlet_process

PER_PATIENT = 32  # records drawn for a patient, of which one is taken
CHUNK = 256  # patients at once
PREFIX = "alterations."


def fit(
    algorithm: ModuleType, train: Cohort, given: Collection[str], settings: Mapping[str, Any],
    rng: np.random.Generator, checkpoint: Path | None,
) -> Fitted:  # fmt: skip
    """Fit a clinical algorithm, and the mutation model that says which records go with given alterations.

    Args:
        given: "genomic" for all alterations, or the names of some.
        settings: of the clinical algorithm; the mutation model has its defaults, but for `fewest`.

    Raises:
        InputError: the cohort has no alterations, or none of this name.
    """
    of_alterations = dirichlet_process.fit(
        only(train, given), dirichlet_process.DEFAULTS | {"fewest": settings["fewest"]}, rng
    )
    record = algorithm.fit(train, settings, rng, checkpoint)
    arrays = {PREFIX + name: array for name, array in of_alterations.arrays.items()}
    parameters = record.description["parameters"] + of_alterations.description["parameters"]
    return Fitted(
        {**record.arrays, **arrays},
        {**record.description, "parameters": parameters, "given": of_alterations.description},
        record.history,
    )


def only(cohort: Cohort, given: Collection[str]) -> Cohort:
    """The cohort with those alterations that are `given`: "genomic" for all of them, or the names of some.

    Raises:
        InputError: the cohort has no alterations, or none of this name.
    """
    if cohort.alterations is None or cohort.mutations is None:
        raise InputError(
            f"cohort {cohort.schema.cohort}: methods.clinical: given names alterations, and there are none"
        )
    kinds = cohort.schema.alterations
    wrong = [name for name in given if name not in ("genomic", *kinds)]
    if wrong:
        raise InputError(
            f"cohort {cohort.schema.cohort}: methods.clinical: given: {wrong[0]!r} is unknown; "
            f"expected genomic, or one of {', '.join(kinds)}"
        )
    kept = {name: kind for name, kind in kinds.items() if "genomic" in given or name in given}
    mutations = cohort.mutations[cohort.mutations["gene"].isin(list(kept))].reset_index(drop=True)
    schema = replace(cohort.schema, alterations=kept)
    return cohort.replace(schema=schema, alterations=cohort.alterations[list(kept)], mutations=mutations)


def sample(
    algorithm: ModuleType, fitted: Fitted, schema: Schema, given: Cohort, rng: np.random.Generator
) -> pd.DataFrame:
    """A record for every patient of `given`, whose alterations are read: clinical table, typed, indexed by patient.

    Raises:
        InputError: an alteration that the fitted generator was given is not there.
    """
    description = fitted.description["given"]
    lost = [name for name in description["alterations"] if name not in given.schema.alterations]
    if lost:
        raise InputError(f"the fitted generator was given {lost[0]}, which the patients lack; fit it anew")
    own = only(given, description["alterations"])
    arrays = {name.removeprefix(PREFIX): part for name, part in fitted.arrays.items() if name.startswith(PREFIX)}
    model = Fitted(arrays, description, pd.DataFrame())
    taken: list[pd.DataFrame] = []
    for start in range(0, len(own), CHUNK):
        part = own.take(np.arange(start, min(start + CHUNK, len(own))))
        records = algorithm.sample(fitted, schema, PER_PATIENT * len(part), rng)
        likely = dirichlet_process.log_likelihood(model, _with_alterations(records, part))
        likely = likely.reshape(len(part), PER_PATIENT)
        weight = np.exp(likely - likely.max(axis=1, keepdims=True))
        rows = np.arange(len(part)) * PER_PATIENT + one_of_each(weight, rng)
        taken.append(records.iloc[rows].set_axis(part.patients))
    return pd.concat(taken)


def _with_alterations(records: pd.DataFrame, patients: Cohort) -> Cohort:
    """The records, `PER_PATIENT` for each patient in turn, with the patients' alterations and no mutations."""
    own, sequenced = patients.alterations, patients.sequenced
    assert own is not None
    assert sequenced is not None
    rows = np.repeat(np.arange(len(own)), PER_PATIENT)
    none = pd.DataFrame({name: [] for name in MUTATION_COLUMNS})
    return Cohort.of(
        patients.schema,
        records,
        own.iloc[rows].set_axis(records.index),
        sequenced.iloc[rows].set_axis(records.index),
        none,
    )
