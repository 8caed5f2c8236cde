"""Every patient's modalities in a few numbers each, so that modalities can be held against one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.modalities.registry import ALTERED, FURTHER, RECORD, load, offers

FEWEST_CARRIERS = 10  # training patients with an alteration that is compared
FEWEST_PATIENTS = 20  # training patients with a further modality
COMPONENTS = 10  # of a modality of many numbers
Blocks = Mapping[str, tuple[list[str], Matrix]]


def summary(train: Cohort) -> Callable[[Cohort], Blocks]:
    """What gives the blocks of a cohort: modality -> (names, (patients, numbers)), NaN where a patient has none.

    Of the record: numbers, levels as indicators, missing as NaN; derived columns are left out. Of alterations: those
    with at least ten carriers. Of a further modality: what its `summary.py` makes of it, learned from training
    patients.
    """
    numbers = [name for name, column in train.schema.recorded.items() if column.numeric]
    levels = [
        (name, level)
        for name, column in train.schema.recorded.items()
        if not column.numeric
        for level in train.clinical[name].cat.categories[1 if len(train.clinical[name].cat.categories) == 2 else 0 :]
    ]
    states = train.alterations
    counts = {} if states is None else {str(name): states[name].sum() for name in states}
    events = [name for name, count in counts.items() if count >= FEWEST_CARRIERS]
    further = {
        name: numbers_of
        for name in FURTHER
        if name in train.parts and offers(name, "summary")
        if (numbers_of := load(name, "summary").summarise([train], FEWEST_PATIENTS, COMPONENTS)) is not None
    }

    def blocks(cohort: Cohort) -> Blocks:
        clinical = [cohort.clinical[name].to_numpy(float) for name in numbers]
        for name, level in levels:
            values = cohort.clinical[name].astype(object)
            clinical.append(np.where(values.isna(), np.nan, (values == level).to_numpy(float)))
        names = [*numbers, *(f"{name} {level}" for name, level in levels)]
        found: dict[str, tuple[list[str], Matrix]] = {RECORD: (names, np.column_stack(clinical))}
        if events and cohort.alterations is not None:
            found[ALTERED] = (events, cohort.alterations[events].to_numpy(float))
        found.update({name: numbers_of(cohort) for name, numbers_of in further.items() if name in cohort.parts})
        return found

    return blocks
