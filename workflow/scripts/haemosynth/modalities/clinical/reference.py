"""The references that every number is compared with: real, independent, uniform and fresh patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types, synthetic_ids
from haemosynth.core.errors import InputError
from haemosynth.modalities.genomic.cell_fraction import count_copies, is_male, is_x_linked


def reference(kind: str, train: Cohort, n: int, rng: np.random.Generator) -> Cohort:
    """A reference cohort.

    real         the training patients, all of them, as they are: the ceiling of fidelity, the worst case of privacy
    independent  n patients; every clinical column and every event drawn alone from training patients, time and event
                 of an endpoint too, missing values at each column's rate, and the cancer cell fraction of each
                 mutation whatever its gene, so that no gene comes early: the floor of joint metrics
    uniform      n patients; categories with equal chances, numbers uniform over their 1-99 % range, every column
                 missing half the time, events at rates drawn from Beta(1, 1), allele fractions and read depths
                 like numbers: the floor of univariate metrics

    independent and uniform are controls: derived columns are drawn alone like all others and hard constraints between
    columns do not hold. `real` keeps its patient identifiers and disregards n. The fourth reference, `fresh`, is
    half of the holdout (`study.split.halve`): the best case of privacy.

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


def _independent(train: Cohort, n: int, rng: np.random.Generator) -> Cohort:
    ids = synthetic_ids(n)
    size = len(train)
    clinical = pd.DataFrame(
        {name: train.clinical[name].array[rng.integers(size, size=n)] for name in train.clinical}, index=ids
    )
    cohort = Cohort(replace(train.schema, alterations={}), set_types(clinical, train.schema))
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
    made = _genomic(train, cohort, drawn, sequenced, rng)
    assert made.mutations is not None
    return made.replace(mutations=_with_reads(made.mutations, *_draw_reads(train, made, rng)))


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
    cohort = Cohort(replace(train.schema, alterations={}), set_types(pd.DataFrame(columns, index=ids), train.schema))
    if train.alterations is None:
        return cohort
    sequenced = pd.Series(rng.random(n) < 0.5, index=ids, name="sequenced")
    drawn = np.full((n, len(train.schema.alterations)), np.nan)
    for j, kind in enumerate(train.schema.alterations.values()):
        present = (rng.random(n) < rng.beta(1, 1)).astype("float64")
        drawn[:, j] = np.where(sequenced if kind == "gene" else rng.random(n) < 0.5, present, np.nan)
    made = _genomic(train, cohort, drawn, sequenced, rng)
    assert made.mutations is not None
    return made.replace(mutations=_with_reads(made.mutations, *_uniform_reads(train, len(made.mutations), rng)))


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
    return Cohort.of(train.schema, cohort.clinical, alterations, sequenced, mutations)


def _reads(mutations: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(mutations,) allele fraction and read depth, NaN where unknown."""
    alt, ref, vaf = (pd.to_numeric(mutations[name]).to_numpy(dtype=float) for name in ("alt_count", "ref_count", "vaf"))
    depth = np.where(alt + ref > 0, alt + ref, np.nan)
    return np.where(np.isnan(depth), vaf, alt / depth), depth


def _copies(cohort: Cohort) -> np.ndarray:
    """(mutations,) copies of the mutated gene in a cell of its patient."""
    assert cohort.mutations is not None
    table = cohort.mutations
    man = is_male(cohort.clinical)[cohort.patients.get_indexer(pd.Index(table["patient_id"]))]
    recorded = pd.to_numeric(table["copy_number"]).to_numpy(dtype=float)
    return count_copies(recorded, is_x_linked(table["gene"], table["chromosome"]) & man)


def _draw_reads(train: Cohort, made: Cohort, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Allele fractions and depths of `made`: a mutation with reads takes cell fraction and depth of any other one."""
    assert train.mutations is not None
    assert made.mutations is not None
    (vaf, depth), (own, reads) = _reads(train.mutations), _reads(made.mutations)
    fraction = vaf * _copies(train)
    both, alone = (np.flatnonzero(~np.isnan(vaf) & (np.isnan(depth) == missing)) for missing in (False, True))
    drawn = np.full(len(own), -1)
    for givers, takers in ((both, ~np.isnan(reads)), (alone, ~np.isnan(own) & np.isnan(reads))):
        if len(givers):
            drawn[takers] = givers[rng.integers(len(givers), size=int(takers.sum()))]
    taken = drawn >= 0
    return (
        np.where(taken, np.minimum(fraction[drawn] / _copies(made), 1.0), np.nan),
        np.where(taken, depth[drawn], np.nan),
    )


def _uniform_reads(train: Cohort, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Allele fractions and depths of n mutations, uniform over their 1-99 % range, missing half the time."""
    assert train.mutations is not None
    missing = rng.random(n) < 0.5
    sides = []
    for values in _reads(train.mutations):
        known = values[~np.isnan(values)]
        low, high = np.quantile(known, [0.01, 0.99]) if len(known) else (np.nan, np.nan)
        sides.append(np.where(missing, np.nan, low + (high - low) * rng.random(n)))
    return sides[0], np.rint(sides[1])


def _with_reads(mutations: pd.DataFrame, vaf: np.ndarray, depth: np.ndarray) -> pd.DataFrame:
    """The table with these allele fractions, in whole reads where a depth is known."""
    alt = np.maximum(np.rint(vaf * depth), 1)  # what was called was seen
    counts = {"alt_count": alt, "ref_count": depth - alt}
    if not np.isnan(alt).any():
        counts = {name: values.astype(np.int64) for name, values in counts.items()}
    return mutations.assign(**counts, vaf=np.where(np.isnan(alt), vaf, alt / np.where(depth > 0, depth, 1.0)))
