"""Linkability: does the release join two data sets that hold different attributes of the same patient?

The attacker holds two disjoint sets of attributes of a patient, as two registries or two laboratories would, and
looks up the nearest released records to each. He links them where both lead to the same released record. Modality
`clinical`: halves of the baseline record; `genomic`: the baseline record and the alterations; `expression` and
`images`: one of these and expression, or images, in a few numbers. Patients and released records who lack one of the
two are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import comb

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import fit_encoder
from haemosynth.modalities.registry import ALTERED, FURTHER, RECORD, load, offers
from haemosynth.privacy import attacks
from haemosynth.validate import Stage
from haemosynth.validate.stage import Comparison, Value

DEFAULTS: dict[str, Any] = {
    "attacks": 1000,  # patients of a side at most who are attacked
    "neighbours": 1,  # nearest released records that are looked up on either side
    "splits": 4,  # random halves of the clinical columns
    "components": 20,  # principal components of training and control patients that stand for expression
}
STAGE = Stage("privacy", needs=(RECORD,), environment="attacks", memory=4000, runtime=30, all_modalities=True)
METRICS = attacks.metrics(
    "linkability",
    "the nearest released records to two disjoint sets of attributes of the patient are the same",
    "two released records at random, in expectation",
    exchangeable=True,
)


@dataclass(frozen=True)
class Part:
    """What the attacker may hold of a patient: attributes, and who has them among training, control and released."""

    attributes: list[str]
    owned: tuple[NDArray[np.bool_], ...]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> attacks.Attacked:
    """Attack the release once. Settings: see DEFAULTS; `rng` chooses the halves and whom to attack."""
    most, count = int(settings["attacks"]), int(settings["neighbours"])
    train, control = (attacks.some_patients(side, most, rng) for side in (comparison.train, comparison.control))
    sides = (train, control, comparison.candidate)
    seen = attacks.attributes(fit_encoder(comparison.train), train.schema.survival, *sides)
    seen, parts = _parts(seen, sides, int(settings["components"]))
    # One drawing for all splits, whatever the number of patients: all candidates meet the same halves.
    record, everybody = parts[RECORD].attributes, parts[RECORD].owned
    orders = [rng.permutation(len(record)) for _ in range(int(settings["splits"]))]
    names: list[tuple[str, str]] = []
    pairs: list[tuple[Part, Part]] = []
    for i, order in enumerate(orders if len(record) > 1 else [], start=1):
        one, other = (Part([record[j] for j in half], everybody) for half in np.array_split(order, 2))
        names.append((f"halves {i}", RECORD))
        pairs.append((one, other))
    modalities = [modality for modality, part in parts.items() if part.attributes]
    for i, second in enumerate(modalities):
        for first in modalities[:i]:
            names.append((f"{first}~{second}", second))
            pairs.append((parts[first], parts[second]))
    found = [_link(seen, one, other, rng, count) for one, other in pairs]
    shape = (len(found), len(train) + len(control))
    right, tried, naive = (np.array([one[k] for one in found], dtype=float).reshape(shape).T for k in range(3))
    border = len(train)
    attacked = attacks.Attacked(
        tuple(names),
        attacks.Tally(train.patients, right[:border], tried[:border]),
        attacks.Tally(control.patients, right[border:], tried[border:]),
        attacks.Tally(train.patients, naive[:border], tried[:border]),
    )
    return attacks.with_chance(attacked, rng.spawn(1)[0])


def _parts(
    seen: attacks.Attributes, sides: Sequence[Cohort], components: int
) -> tuple[attacks.Attributes, dict[str, Part]]:
    """What the attacker may hold of each modality, and the attributes with those of the further modalities."""
    alterations = list(sides[0].schema.alterations)
    everybody = tuple(np.ones(len(side), dtype=bool) for side in sides)
    parts = {RECORD: Part([name for name in seen.of if name not in alterations], everybody)}
    if alterations:
        known = tuple(
            np.zeros(len(side), dtype=bool)
            if side.alterations is None
            else np.asarray(side.alterations.notna().any(axis=1), dtype=bool)
            for side in sides
        )
        parts[ALTERED] = Part(alterations, known)
    for modality in (name for name in FURTHER if offers(name, "summary")):
        # The scale is that of training and control patients alike, as are components.
        numbers_of = load(modality, "summary").summarise(sides[:2], attacks.FEWEST, components)
        if numbers_of is not None:
            tables = [numbers_of(side)[1] for side in sides]
            real = np.vstack(tables[:2])
            known_to_real = np.isfinite(real).any(axis=0)
            names = [f"{modality} {i}" for i in range(1, int(known_to_real.sum()) + 1)]
            own = [table[:, known_to_real] for table in tables]
            seen = seen.with_numbers(names, own, real[:, known_to_real])
            parts[modality] = Part(names, tuple(np.asarray(np.isfinite(table).any(axis=1)) for table in tables))
    return seen, parts


def _link(
    seen: attacks.Attributes, first: Part, second: Part, rng: np.random.Generator, count: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Training and control patients who are linked, who could be, and the chance of two records at random."""
    *attacked, released = both = [a & b for a, b in zip(first.owned, second.owned, strict=True)]
    tried = np.concatenate(attacked)
    right, n = np.zeros(len(tried), dtype=bool), int(released.sum())
    if not n:
        return right, np.zeros_like(tried), np.zeros(len(tried))
    own = seen.of_rows([*first.attributes, *second.attributes], both)
    mine = pd.concat(own.tables[:2], ignore_index=True)
    a, b = attacks.neighbours(own, mine, own.tables[2], [first.attributes, second.attributes], rng, count)
    right[tried] = (a[:, :, None] == b[:, None, :]).any(axis=(1, 2))
    chance = 1 - float(comb(n - count, count) / comb(n, count)) if n > count else 1.0
    return right, tried, np.where(tried, chance, 0.0)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Count the links of these patients. Needs what `prepare` found."""
    return attacks.measure_attack("linkability", comparison.prepared, comparison)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Success rates and risks of all pairs of attribute sets."""
    return attacks.figure("linkability", values, comparison, label)
