"""Linkability: does the release join two data sets that hold different attributes of the same patient?

The attacker holds two disjoint sets of attributes of a patient, as two registries or two laboratories would, and
looks up the nearest released records to each. He links them where both lead to the same released record. Modality
`clinical`: halves of the baseline record; `genomic`: the baseline record and the alterations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import comb

from haemosynth.validate import attacks
from haemosynth.validate.records import Matrix, fit_encoder
from haemosynth.validate.stage import Comparison, Value

DEFAULTS: dict[str, Any] = {
    "attacks": 1000,  # patients of a side at most who are attacked
    "neighbours": 1,  # nearest released records that are looked up on either side
    "splits": 4,  # random halves of the clinical columns
}
METRICS = attacks.metrics(
    "linkability",
    "the nearest released records to two disjoint sets of attributes of the patient are the same",
    "two released records at random, in expectation",
    exchangeable=True,
)


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> attacks.Attacked:
    """Attack the release once. Settings: see DEFAULTS; `rng` chooses the halves and whom to attack."""
    most, count = int(settings["attacks"]), int(settings["neighbours"])
    train, control = (attacks.some_patients(side, most, rng) for side in (comparison.train, comparison.control))
    released, schema = comparison.candidate, comparison.train.schema
    encoder = fit_encoder(comparison.train)
    seen = attacks.attributes(encoder, schema.survival, train, control, released)
    clinical = [name for name in seen.of if name not in schema.alterations]
    # One drawing for all splits, whatever the number of patients: all candidates meet the same halves.
    orders = [rng.permutation(len(clinical)) for _ in range(int(settings["splits"]))]
    pairs = []
    if len(clinical) > 1:
        for i, order in enumerate(orders, start=1):
            halves = np.array_split(order, 2)
            pairs.append((f"halves {i}", "clinical", [[clinical[j] for j in half] for half in halves]))
    if schema.alterations and clinical:
        pairs.append(("clinical~genomic", "genomic", [clinical, list(schema.alterations)]))
    both = pd.concat(seen.tables[:2], ignore_index=True)
    sets = [known for _, _, pair in pairs for known in pair]
    near = attacks.neighbours(seen, both, seen.tables[2], sets, rng, count)
    linked = [
        (first[:, :, None] == second[:, None, :]).any(axis=(1, 2))
        for first, second in zip(near[::2], near[1::2], strict=True)
    ]
    right = np.array(linked, dtype=float).T.reshape(len(both), len(pairs))
    border, n = len(train), len(released)
    chance = 1 - float(comb(n - count, count) / comb(n, count)) if n > count else 1.0

    def tally(patients: pd.Index, won: Matrix) -> attacks.Tally:
        return attacks.Tally(patients, won, np.ones_like(won))

    found = attacks.Attacked(
        tuple((name, modality) for name, modality, _ in pairs),
        tally(train.patients, right[:border]),
        tally(control.patients, right[border:]),
        tally(train.patients, np.full_like(right[:border], chance)),
    )
    return attacks.with_chance(found, rng.spawn(1)[0])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Count the links of these patients. Needs what `prepare` found."""
    return attacks.measured("linkability", comparison.prepared, comparison)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Success rates and risks of all pairs of attribute sets."""
    return attacks.figure("linkability", values, comparison, label)
