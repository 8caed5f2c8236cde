"""Leaks made on purpose: copies of training patients, exact and blurred, hidden in a release."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort, set_types


def plant(candidate: Cohort, train: Cohort, share: float, noise: float, rng: np.random.Generator) -> Cohort:
    """`candidate`, of whose records a share is replaced by copies of training patients, each of another patient.

    Args:
        share: of the candidate's records; at least one is replaced.
        noise: 0 for exact copies. Otherwise every number is moved by a normal error of this share of its 10-90 % range
            (and kept within the range that the training patients span; whole numbers stay whole), and one of the
            levels of each copy is changed for another one. Times, events, alterations and derived columns are copied.

    Returns:
        a cohort without mutation table; the copies have identifiers of their own.
    """
    kept, copied = planting(len(candidate), train, share, noise, rng)
    rest = candidate.take(kept)
    tables = [rest.clinical.astype("object"), copied.clinical.astype("object")]
    clinical = set_types(pd.concat(tables), candidate.schema)
    if rest.alterations is None or copied.alterations is None:
        return replace(rest, clinical=clinical)
    assert rest.sequenced is not None
    assert copied.sequenced is not None
    assert rest.mutations is not None
    return rest.replace(
        clinical=clinical,
        alterations=pd.concat([rest.alterations, copied.alterations]),
        sequenced=pd.concat([rest.sequenced, copied.sequenced]),
        mutations=rest.mutations.iloc[:0],
    )


def planting(
    records: int, train: Cohort, share: float, noise: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], Cohort]:
    """Which of the records `planted` keeps, and the copies that take the place of the others.

    Returns:
        ascending places of the records that are kept; the copies, under identifiers of their own and without mutations.
    """
    copies = min(max(1, round(share * records)), len(train), records - 1)
    kept = np.sort(rng.permutation(records)[copies:])
    copied = train.take(rng.permutation(len(train))[:copies])
    clinical = blur_records(copied, train, noise, rng) if noise > 0 else copied.clinical
    ids = pd.Index([f"copy {i}" for i in range(1, copies + 1)], name="patient_id")
    if copied.alterations is None:
        return kept, replace(copied, clinical=clinical.set_axis(ids))
    assert copied.sequenced is not None
    assert copied.mutations is not None
    return kept, copied.replace(
        clinical=clinical.set_axis(ids),
        alterations=copied.alterations.set_axis(ids),
        sequenced=copied.sequenced.set_axis(ids),
        mutations=copied.mutations.iloc[:0],
    )


def blur_records(copied: Cohort, train: Cohort, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """The clinical records of `copied` with noise on every number and one level of each patient changed."""
    clinical, names = copied.clinical.copy(), []
    survival = set(copied.schema.survival)
    for name, column in copied.schema.columns.items():
        if column.derived is not None or name in survival:
            continue
        if not column.numeric:
            names.append(name)
            continue
        known = train.clinical[name].dropna()
        if known.empty:
            continue
        low, high = np.quantile(known, [0.1, 0.9])
        moved = clinical[name] + noise * (high - low) * rng.normal(size=len(clinical))
        moved = moved.clip(known.min(), known.max())
        clinical[name] = moved.round() if column.kind == "integer" else moved
    if names:
        chosen = rng.integers(len(names), size=len(clinical))
        for number, name in enumerate(names):
            values = clinical[name].astype("object").to_numpy(copy=True)
            for place in np.flatnonzero(chosen == number):
                others = [level for level in train.clinical[name].cat.categories if level != values[place]]
                if others:
                    values[place] = others[rng.integers(len(others))]
            clinical[name] = values
    return clinical
