"""Leaks made on purpose: copies of training patients, exact and blurred, hidden in a release."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.cohort import Cohort, typed


def planted(candidate: Cohort, train: Cohort, share: float, noise: float, rng: np.random.Generator) -> Cohort:
    """`candidate`, of whose records a share is replaced by copies of training patients, each of another patient.

    Args:
        share: of the candidate's records; at least one is replaced.
        noise: 0 for exact copies. Otherwise every number is moved by a normal error of this share of its 10-90 % range
            (and kept within the range that the training patients span; whole numbers stay whole), and one of the
            levels of each copy is changed for another one. Times, events, alterations and derived columns are copied.

    Returns:
        a cohort without mutation table; the copies have identifiers of their own.
    """
    copies = min(max(1, round(share * len(candidate))), len(train), len(candidate) - 1)
    kept = candidate.take(np.sort(rng.permutation(len(candidate))[copies:]))
    copied = train.take(rng.permutation(len(train))[:copies])
    records = blurred(copied, train, noise, rng) if noise > 0 else copied.clinical
    names = pd.Index([f"copy {i}" for i in range(1, copies + 1)], name="patient_id")
    patients = kept.patients.append(names)
    tables = [kept.clinical.astype("object"), records.set_axis(names).astype("object")]
    clinical = typed(pd.concat(tables), candidate.schema)
    if kept.alterations is None or copied.alterations is None:
        return replace(kept, clinical=clinical)
    assert kept.sequenced is not None
    assert copied.sequenced is not None
    assert kept.mutations is not None
    return replace(
        kept,
        clinical=clinical,
        alterations=pd.concat([kept.alterations, copied.alterations]).set_axis(patients),
        sequenced=pd.concat([kept.sequenced, copied.sequenced]).set_axis(patients),
        mutations=kept.mutations.iloc[:0],
    )


def blurred(copied: Cohort, train: Cohort, noise: float, rng: np.random.Generator) -> pd.DataFrame:
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
