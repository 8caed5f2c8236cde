"""How a release is linked to single training patients, and what of that unseen patients show too.

The stage `memory`, the choice of the size of a release and the self-audit share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtrc

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Matrix, Vector, fit_encoder, some_rows
from haemosynth.privacy.linkage import Linkage, Links, fit_linkage, link
from haemosynth.privacy.planted_leaks import blur_records
from haemosynth.stats.null_distribution import RARE, Labels, exchange_members, quantile

DEFAULTS: dict[str, Any] = {
    "tolerance": 0.08,  # difference up to which two numbers agree, as a share of their 10-90 % range
    "agreement": 0.9,  # probability that an attribute of a copy agrees
    "copies": 200,  # blurred copies of training patients, at most, that set the cut
    "noise": 0.03,  # of the blurred copies, as a share of a number's 10-90 % range
    "missed": 0.05,  # share of blurred copies that the cut may miss
    "coincidences": 0.01,  # share of real patients who may be linked to one another
    "rate": 0.02,  # false positive rate up to which `exposed` looks
    "exchanges": 4_000,  # of training and unseen patients, to see what chance shows
    "attacked": 5_000,  # training and unseen patients together, at most; every released record is linked with these
    "pool": 50_000,  # further records of the generator, at most
}


@dataclass(frozen=True)
class Calibrated:
    """Record linkage with real patients, and its cut: what does not depend on the release.

    patients: who is attacked. member: (patients,) who of them is a training patient. trained: number of all training
    patients. copies, others: margins of blurred copies, and of real patients among themselves.
    """

    linkage: Linkage
    patients: pd.Index
    member: Labels
    trained: int
    cut: float
    copies: Vector
    others: Vector


@dataclass(frozen=True)
class Found:
    """Which patients a release and its pool are linked with.

    largest: (patients,) largest margin of the released records. named: (patients,) how many records of the pool name
    each. cut: for a margin. released, pooled: numbers of records. trained: of training patients of the generator.
    """

    largest: Vector
    named: Vector
    cut: float
    released: int
    pooled: int
    trained: int


def calibrate(train: Cohort, unseen: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Calibrated:
    """Ready the linkage with real patients and set the cut.

    Of more than `attacked` patients so many are drawn, in the same proportion: every released record may be a copy, so
    that all of these are linked, with fewer patients.
    """
    choice, blur = rng.spawn(2)
    most, total = int(settings["attacked"]), len(train) + len(unseen)
    sides = [
        some_rows(side, max(2, most * len(side) // total) if total > most else len(side), choice)
        for side in (train, unseen)
    ]
    encoder = fit_encoder(train)
    real = _together(*sides)
    linkage = fit_linkage(real, encoder, float(settings["tolerance"]), float(settings["agreement"]))
    places = np.sort(blur.permutation(len(sides[0]))[: int(settings["copies"])])
    copied = sides[0].take(places)
    copies = replace(copied, clinical=blur_records(copied, train, float(settings["noise"]), blur))
    again, others = link(linkage, copies), link(linkage, real, apart=np.arange(len(real))).margin
    margins = np.where(again.best == places, again.margin, 0.0)
    cut = max(
        float(np.quantile(margins, float(settings["missed"]))),
        float(np.quantile(others, 1 - float(settings["coincidences"]))),
    )
    member = np.repeat([True, False], [len(side) for side in sides])
    return Calibrated(linkage, real.patients, member, len(train), cut, margins, others)


def _together(train: Cohort, unseen: Cohort) -> Cohort:
    """The patients of both, without mutation table; levels that only the unseen patients have are kept."""
    clinical = pd.concat([train.clinical, unseen.clinical])
    if train.alterations is None or unseen.alterations is None:
        return replace(train.record(), clinical=clinical)
    assert train.sequenced is not None
    assert unseen.sequenced is not None
    assert train.mutations is not None
    return train.replace(
        clinical=clinical,
        alterations=pd.concat([train.alterations, unseen.alterations]),
        sequenced=pd.concat([train.sequenced, unseen.sequenced]),
        mutations=train.mutations.iloc[:0],
    )


def pool_links(
    calibrated: Calibrated, pool: Cohort | None, settings: Mapping[str, Any], rng: np.random.Generator
) -> Links | None:
    """Links of the records of the pool, of which at most `pool` are drawn; None where there is no pool."""
    return None if pool is None else link(calibrated.linkage, some_rows(pool, int(settings["pool"]), rng))


def find(calibrated: Calibrated, links: Links, pooled: Links | None) -> Found:
    """Which patients the released records are linked with, and those of the pool (None: the release is its own)."""
    pooled, patients = links if pooled is None else pooled, len(calibrated.patients)
    largest = np.zeros(patients)
    np.maximum.at(largest, links.best, links.margin)
    named = np.bincount(pooled.best[names(pooled.margin, calibrated.cut)], minlength=patients).astype(float)
    return Found(largest, named, calibrated.cut, len(links.best), len(pooled.best), calibrated.trained)


def names(margin: Vector, cut: float) -> Labels:
    """Whether a margin names a patient; a tie names nobody, whatever the cut."""
    reached: Labels = (margin >= cut) & (margin > 0)
    return reached


def counts(found: Found, member: Labels, rows: NDArray[np.intp]) -> tuple[float, float]:
    """How many training patients among `rows` the release names, and how many records of the pool name the others."""
    trained, others = rows[member[rows]], rows[~member[rows]]
    return float(names(found.largest[trained], found.cut).sum()), float(found.named[others].sum())


def measure_linked_copies(found: Found, member: Labels, rows: NDArray[np.intp]) -> float:
    """Excess of training patients named by the release, see METRICS; of the patients in `rows`."""
    return max(0.0, _excess(found, member, rows, *counts(found, member, rows)))


def _excess(found: Found, member: Labels, rows: NDArray[np.intp], k: float, others: float) -> float:
    trained = float(member[rows].sum())
    rest = len(rows) - trained
    excess = k - trained * others / rest * found.released / found.pooled
    return excess / (trained * min(1.0, found.released / found.trained))


def by_chance(
    found: Found, member: Labels, rows: NDArray[np.intp], settings: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, float]:
    """What chance explains of both metrics, for the patients in `rows`.

    If the release remembers nobody, every patient is named at the same rate by each of its records and of those of the
    pool: of all that are named, a binomial number are training patients.
    """
    k, others = counts(found, member, rows)
    total, trained = k + others, float(member[rows].sum())
    ours, theirs = found.released * trained, found.pooled * (len(rows) - trained)
    # The largest number that is reached or exceeded with a probability of at least 1 - RARE.
    beyond = bdtrc(np.arange(total + 1), int(total), ours / (ours + theirs)) if total else np.zeros(1)
    most = float(np.argmax(beyond <= 1 - RARE))
    explained = max(0.0, _excess(found, member, rows, most, total - most))
    labels = exchange_members(member[rows], int(settings["exchanges"]), rng)
    null = measure_exposed_of_each(found.largest[rows], labels, float(settings["rate"]))
    return {"linked_copies": explained, "exposed": quantile(null, RARE)}


def measure_exposed(scores: Vector, member: Labels, rate: float) -> float:
    """Largest difference of true and false positive rates where the latter is at most `rate`, at least 0."""
    return float(measure_exposed_of_each(scores, member[None, :], rate)[0])


def measure_exposed_of_each(scores: Vector, member: Labels, rate: float) -> Vector:
    """The same under each of several labellings.

    Args:
        scores: (patients,), 0 for those whom no record is linked with, who are never above a threshold.
        member: (labellings, patients).
    """
    order = np.argsort(-scores, kind="stable")[: int((scores > 0).sum())]
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else order
    trained = member.sum(axis=1, keepdims=True)
    true = np.cumsum(member[:, order], axis=1, dtype=np.int32)[:, ends]
    false = (ends + 1 - true) / (member.shape[1] - trained)
    gain: Matrix = np.where(false <= rate, true / trained - false, 0.0)
    highest: Vector = gain.max(axis=1, initial=0.0)
    return highest
