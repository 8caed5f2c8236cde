"""A record given alterations: they stand as columns before those of the record, and are not drawn.

The method learns record and alterations together, alterations first; for a patient whose alterations are known, the
columns that follow are drawn given them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.cohort import Cohort, typed
from haemosynth.errors import InputError
from haemosynth.generate.clinical.encoding import Encoding
from haemosynth.schema import Column

LEVELS = ("absent", "present")
PER_PATIENT = 8  # records drawn for a patient, of which one is kept


def beside(cohort: Cohort, given: Collection[str]) -> tuple[Cohort, list[str]]:
    """The cohort with alterations as columns before the record, and their names; unknown ones are missing.

    Args:
        given: "genomic" for all alterations, or the names of some.

    Raises:
        InputError: the cohort has no alterations, or none of this name.
    """
    if cohort.alterations is None:
        raise InputError(
            f"cohort {cohort.schema.cohort}: methods.clinical: given names alterations, and there are none"
        )
    names = list(cohort.schema.alterations)
    wrong = [name for name in given if name not in ("genomic", *names)]
    if wrong:
        raise InputError(
            f"cohort {cohort.schema.cohort}: methods.clinical: given: {wrong[0]!r} is unknown; "
            f"expected genomic, or one of {', '.join(names)}"
        )
    chosen = names if "genomic" in given else [name for name in names if name in given]
    columns = {f"alteration {name}": Column("categorical", categories=LEVELS) for name in chosen}
    words = np.array([*LEVELS, None], dtype=object)
    states = cohort.alterations[chosen].to_numpy(float)
    table = pd.DataFrame(
        words[np.where(np.isnan(states), 2, states == 1).astype(int)], index=cohort.patients, columns=list(columns)
    )
    schema = replace(cohort.schema, columns={**columns, **cohort.schema.columns}, alterations={})
    return Cohort(schema, typed(table.join(cohort.clinical), schema)), list(columns)


def known_levels(encoding: Encoding, given: pd.DataFrame) -> np.ndarray:
    """(patients, columns of `given`) levels of the first variables of the encoding, which are these columns."""
    first = encoding.variables[: given.shape[1]]
    if [variable.name for variable in first] != list(given.columns):
        raise InputError("the fitted generator was given other alterations; fit it anew")
    return np.stack([variable.codes(given[variable.name]) for variable in first], axis=1)


def one_of_each(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of each patient's choices, in proportion to its weight: (patients, choices) -> (patients,) positions."""
    along = np.cumsum(weight, axis=1)
    return np.asarray((rng.random((len(weight), 1)) * along[:, -1:] >= along).sum(axis=1).clip(0, weight.shape[1] - 1))
