"""The references that every number is read against: real, independent, uniform and fresh patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.cohort import Cohort, typed
from haemosynth.errors import InputError
from haemosynth.generate.clinical.encoding import synthetic_ids


def reference(kind: str, train: Cohort, n: int, rng: np.random.Generator) -> Cohort:
    """A reference cohort.

    real         the training patients, all of them, as they are: the ceiling of fidelity, the worst case of privacy
    independent  n patients; every clinical column and every event drawn alone from training patients, time and event
                 of an endpoint too, missing values at each column's rate: the floor of joint metrics
    uniform      n patients; categories with equal chances, numbers uniform over their 1-99 % range, every column
                 missing half the time, events at rates drawn from Beta(1, 1): the floor of univariate metrics

    independent and uniform are controls: derived columns are drawn alone like all others and hard constraints between
    columns do not hold. `real` keeps its patient identifiers and disregards n. The fourth reference, `fresh`, is
    half of the holdout (`halves`): the best case of privacy.

    Raises:
        InputError: an unknown kind.
    """
    if kind == "real":
        return train
    if kind == "independent":
        return _independent(train, n, rng)
    if kind == "uniform":
        return _uniform(train, n, rng)
    raise InputError(f"no reference {kind!r}; expected one of real, independent, uniform")


def halves(holdout: Cohort, rng: np.random.Generator) -> tuple[Cohort, Cohort]:
    """The holdout in two random halves, (fresh, control), each in table order; an odd patient goes to control."""
    order = rng.permutation(len(holdout))
    half = len(holdout) // 2
    return holdout.take(np.sort(order[:half])), holdout.take(np.sort(order[half:]))


def _independent(train: Cohort, n: int, rng: np.random.Generator) -> Cohort:
    ids = synthetic_ids(n)
    size = len(train)
    clinical = pd.DataFrame(
        {name: train.clinical[name].array[rng.integers(size, size=n)] for name in train.clinical}, index=ids
    )
    cohort = Cohort(replace(train.schema, alterations={}), typed(clinical, train.schema))
    if train.alterations is None or train.sequenced is None or train.mutations is None:
        return cohort
    assayed = train.sequenced.to_numpy(dtype=bool)
    sequenced = pd.Series(assayed[rng.integers(size, size=n)], index=ids, name="sequenced")
    values = train.alterations.to_numpy()
    drawn = np.full((n, values.shape[1]), np.nan)
    for j, kind in enumerate(train.schema.alterations.values()):
        known = values[assayed, j] if kind == "gene" else values[:, j]
        if len(known):
            drawn[:, j] = known[rng.integers(len(known), size=n)]
        if kind == "gene":
            drawn[~sequenced.to_numpy(), j] = np.nan
    return _genomic(train, cohort, drawn, sequenced, rng)


def _uniform(train: Cohort, n: int, rng: np.random.Generator) -> Cohort:
    ids = synthetic_ids(n)
    columns: dict[str, pd.Series] = {}
    for name, column in train.schema.columns.items():
        observed = train.clinical[name].dropna()
        if column.kind == "event":
            values: np.ndarray = (rng.random(n) < rng.beta(1, 1)).astype("float64")
        elif column.numeric:
            low, high = observed.quantile([0.01, 0.99]) if len(observed) else (0.0, 0.0)
            values = rng.uniform(low, high, n)
            if column.grain:
                values = np.clip(np.rint(values / column.grain) * column.grain, observed.min(), observed.max())
        else:
            levels = np.array(column.categories or sorted(observed.astype(str).unique()), dtype=object)
            values = levels[rng.integers(len(levels), size=n)]
        columns[name] = pd.Series(values, index=ids).mask(rng.random(n) < 0.5)
    cohort = Cohort(replace(train.schema, alterations={}), typed(pd.DataFrame(columns, index=ids), train.schema))
    if train.alterations is None:
        return cohort
    sequenced = pd.Series(rng.random(n) < 0.5, index=ids, name="sequenced")
    drawn = np.full((n, len(train.schema.alterations)), np.nan)
    for j, kind in enumerate(train.schema.alterations.values()):
        present = (rng.random(n) < rng.beta(1, 1)).astype("float64")
        drawn[:, j] = np.where(sequenced if kind == "gene" else rng.random(n) < 0.5, present, np.nan)
    return _genomic(train, cohort, drawn, sequenced, rng)


def _genomic(
    train: Cohort, cohort: Cohort, drawn: np.ndarray, sequenced: pd.Series, rng: np.random.Generator
) -> Cohort:
    """The cohort with these alterations; every carrier of a gene takes the mutations of a training carrier of it."""
    assert train.mutations is not None
    alterations = pd.DataFrame(drawn, index=cohort.patients, columns=list(train.schema.alterations))
    rows: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    for gene in train.schema.genes:
        own = np.flatnonzero(train.mutations["gene"].to_numpy() == gene)
        givers = list(pd.Series(own).groupby(train.mutations["patient_id"].to_numpy()[own], sort=True).indices.values())
        carriers = np.flatnonzero(alterations[gene].to_numpy() == 1)
        if not givers or not len(carriers):
            continue
        for carrier, pick in zip(carriers, rng.integers(len(givers), size=len(carriers)), strict=True):
            rows.append(own[givers[pick]])
            owners.append(np.full(len(givers[pick]), carrier))
    order = np.concatenate(owners) if owners else np.empty(0, dtype=np.intp)
    mutations = train.mutations.iloc[np.concatenate(rows) if rows else order].assign(
        patient_id=cohort.patients.to_numpy()[order]
    )
    mutations = mutations.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
    return Cohort(train.schema, cohort.clinical, alterations, sequenced, mutations)
