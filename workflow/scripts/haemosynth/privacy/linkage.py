"""Record linkage: which real patient does a released record belong to, and how surely?

Fellegi and Sunter (J Am Stat Assoc 1969;64:1183) weigh every attribute by how often it agrees for two records of one
person (m) and of two (u): agreement adds log(m / u), disagreement log((1 - m) / (1 - u)). A rare value that agrees
therefore says much, a common one little. The margin of the best patient over the second best is the log odds,
attributes taken as independent, that the record belongs to the one and not to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Encoder, Vector

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
CHUNK = 250_000  # scores held at once: 1 MB, which stays in the processor's cache
ROUNDING = 1e-3  # margins below this are ties but for rounding in single precision


class Number(NamedTuple):
    """A number of the real patients, in their order.

    middle, width: of the scale (`Encoder.numbers`). ordered: known values, ascending. ranks: (patients,) place of each
    patient in this order; those without a value follow.
    """

    name: str
    middle: float
    width: float
    ordered: Vector
    ranks: NDArray[np.uint32]


@dataclass(frozen=True)
class Linkage:
    """Real patients, ready to be linked.

    levels: column -> number of the state of each level. alterations: their names. first: number of the first state of
    the alterations. states: (states, patients) who is in which state. shares: (states,) shares of patients in them.
    tolerance: difference up to which numbers agree, as a share of their 10-90 % range. agreement: m.
    """

    numbers: tuple[Number, ...]
    levels: tuple[tuple[str, pd.Index, int], ...]
    alterations: tuple[str, ...]
    first: int
    states: NDArray[np.float32]
    shares: Vector
    tolerance: float
    agreement: float


class Links(NamedTuple):
    """Of each record the patient whom it most likely belongs to, and the margin over the second; 0 for a tie."""

    best: Places
    margin: Vector


def weights(m: float, u: Vector, patients: int) -> tuple[Vector, Vector]:
    """Log likelihood ratios of agreement and of disagreement, that two records are of one person.

    Args:
        m: probability that the attribute agrees in two records of one person.
        u: probability that it agrees in records of two. At least half a patient's share, and at most m: agreement
            never speaks against a patient.
    """
    u = np.clip(u, min(m, 1 / (2 * patients)), m)
    return np.log(m / u), np.log((1 - m) / (1 - u))


def fit_linkage(real: Cohort, encoder: Encoder, tolerance: float, agreement: float) -> Linkage:
    """Ready `real` patients to be linked; how often an attribute agrees by chance is counted among them.

    Numbers agree within the tolerance, levels and states of an alteration where they are the same, and two missing
    values agree. Patients who were not sequenced have that state in place of their alterations. Derived columns say
    nothing new and are left out; endpoints with their times are attributes as all others.

    Args:
        encoder: the scale of numbers, and the attributes.
    """
    numbers = tuple(_number(real, *scale) for scale in encoder.numbers)
    levels, count = [], 0
    for name, known in encoder.levels:
        further = sorted({str(level) for level in real.clinical[name].dropna()} - set(known))
        states = pd.Index([*known, *further], dtype=object)
        levels.append((name, states, count))
        count += len(states) + 1  # and missing
    first = count
    count += 3 * len(encoder.alterations) + 2 * bool(encoder.alterations)
    empty = Linkage(numbers, tuple(levels), encoder.alterations, first, np.zeros((count, 0), np.float32),
                    np.zeros(count), tolerance, agreement)  # fmt: skip
    states_of = np.zeros((count + 1, len(real)), dtype=np.float32)
    codes = _states(empty, real)
    states_of[codes.T, np.arange(len(real))] = 1
    known_states = states_of[:count]
    return Linkage(numbers, tuple(levels), encoder.alterations, first, known_states, known_states.mean(axis=1),
                   tolerance, agreement)  # fmt: skip


def _number(real: Cohort, name: str, middle: float, width: float) -> Number:
    values = (real.clinical[name].to_numpy(float) - middle) / width
    order = np.argsort(values, kind="stable")  # values that are missing come last
    ranks = np.empty(len(values), dtype=np.uint32)
    ranks[order] = np.arange(len(values), dtype=np.uint32)
    return Number(name, middle, width, values[order][: int((~np.isnan(values)).sum())], ranks)


def _states(linkage: Linkage, records: Cohort) -> Places:
    """The states of each record; the number of states where it has one that no real patient has, or none."""
    nowhere, columns = len(linkage.states), []
    for name, known, first in linkage.levels:
        values = records.clinical[name].astype(object)
        codes = known.get_indexer(pd.Index(values))
        missing = values.isna().to_numpy()
        columns.append(np.where(missing, first + len(known), np.where(codes < 0, nowhere, first + codes)))
    if linkage.alterations and records.alterations is not None and records.sequenced is not None:
        carried = records.alterations[list(linkage.alterations)].to_numpy(float)
        sequenced = records.sequenced.to_numpy(bool)
        codes = linkage.first + 3 * np.arange(carried.shape[1]) + np.where(np.isnan(carried), 2, carried).astype(int)
        columns += list(np.where(sequenced[:, None], codes, nowhere).T)
        columns.append(linkage.first + 3 * carried.shape[1] + sequenced)
    return np.column_stack(columns).astype(np.intp) if columns else np.empty((len(records), 0), dtype=np.intp)


def link(linkage: Linkage, records: Cohort, apart: Places | None = None, among: Flags | None = None) -> Links:
    """Link every record with the patient whom it most likely belongs to, in bounded memory.

    Args:
        apart: (records,) a patient whom the record must not be linked with: himself.
        among: (patients,) those who may be linked.

    Raises:
        ValueError: fewer than two patients to choose from.
    """
    patients = linkage.states.shape[1]
    choice = (patients if among is None else int(among.sum())) - (apart is not None)
    if choice < 2:
        raise ValueError(f"a margin needs two patients to choose from, not {choice}")
    closed = None if among is None else np.where(among, 0, -np.inf).astype(np.float32)
    codes, stretches = _states(linkage, records), [_stretch(linkage, number, records) for number in linkage.numbers]
    gains = np.append(_gains(linkage, linkage.shares), np.float32(0))
    best, margin = np.empty(len(records), dtype=np.intp), np.empty(len(records))
    step = max(1, CHUNK // patients)
    for start in range(0, len(records), step):
        rows = slice(start, min(start + step, len(records)))
        each = np.arange(rows.stop - rows.start)
        own = np.zeros((len(each), len(gains)), dtype=np.float32)
        own[each[:, None], codes[rows]] = gains[codes[rows]]
        scores = own[:, :-1] @ linkage.states
        for number, (low, size, gain) in zip(linkage.numbers, stretches, strict=True):
            # Patients below the stretch wrap round to huge numbers: one comparison finds those within.
            within = (number.ranks - low[rows, None]) < size[rows, None]
            scores += within * gain[rows, None]
        if closed is not None:
            scores += closed
        if apart is not None:
            scores[each, apart[rows]] = -np.inf
        best[rows] = found = scores.argmax(axis=1)
        highest = scores[each, found]
        scores[each, found] = -np.inf
        margin[rows] = highest - scores.max(axis=1)
    margin[margin < ROUNDING] = 0.0
    return Links(best, margin)


def _stretch(
    linkage: Linkage, number: Number, records: Cohort
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]:
    """Who agrees with each record in a number: the first of their ranks, how many they are, and what it adds."""
    values = (records.clinical[number.name].to_numpy(float) - number.middle) / number.width
    apart = linkage.tolerance + 1e-9
    low = np.searchsorted(number.ordered, values - apart, side="left")
    high = np.searchsorted(number.ordered, values + apart, side="right")
    missing = np.isnan(values)
    low[missing], high[missing] = len(number.ordered), len(number.ranks)
    size = high - low
    return low.astype(np.uint32), size.astype(np.uint32), _gains(linkage, size / len(number.ranks))


def _gains(linkage: Linkage, shares: Vector) -> NDArray[np.float32]:
    """What agreement adds beyond disagreement, which itself adds the same to all patients: no margin needs it."""
    agree, differ = weights(linkage.agreement, shares, linkage.states.shape[1])
    return (agree - differ).astype(np.float32)
