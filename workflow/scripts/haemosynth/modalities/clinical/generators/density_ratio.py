"""Refinement by density ratio: synthetic patients whom a classifier recognises are drawn less often.

Boosted trees (Friedman, Ann Stat 2001;29:1189) estimate the odds that a coded patient is real; patients are accepted
with a probability in proportion to these odds, which moves the generator towards the distribution of the patients
(discriminator rejection sampling: Azadi et al., ICLR 2019; likelihood-free importance weighting: Grover et al., NeurIPS
2019). Small trees with large leaves on random halves keep the odds from learning single patients; their number is the
one that is best for patients left out of each half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding
from haemosynth.modalities.clinical.generators.forest import apply, pack

PER_PATIENT = 8  # synthetic patients beside each training patient
MAX_BATCHES = 100
MISSING = -1e6  # below every value


def view(encoding: Encoding, clinical: pd.DataFrame) -> np.ndarray:
    """What the classifier sees of patients, as recorded: numbers, times and events, and the number of a category."""
    columns = []
    for variable in encoding.variables:
        for name in variable.columns:
            if variable.kind == "level":
                columns.append(variable.codes(clinical[name]).astype(float))
            else:
                columns.append(clinical[name].fillna(MISSING).to_numpy("float64"))
    return np.stack(columns, axis=1)


def learn(
    encoding: Encoding,
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, np.ndarray]:
    """Fit the odds; arrays for `odds`.

    `bound` among them is the largest odds that are distinguished: the 99 % quantile in synthetic patients `fresh` to
    the classifier.

    Args:
        settings: of the boosted trees: `trees`, how many at most, `depth`, learning `rate`, and patients in a `leaf`.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    rows = np.vstack([view(encoding, real), view(encoding, synthetic)])
    label = np.repeat([1, 0], [len(real), len(synthetic)])
    weight = np.where(label == 1, len(synthetic) / len(real), 1.0)
    rate = float(settings["rate"])
    boosted = GradientBoostingClassifier(
        n_estimators=int(settings["trees"]), learning_rate=rate, max_depth=int(settings["depth"]),
        min_samples_leaf=int(settings["leaf"]), subsample=0.5, max_features=0.5, random_state=seed,
    ).fit(rows, label, sample_weight=weight)  # fmt: skip
    best = int(np.argmax(np.cumsum(boosted.oob_improvement_))) + 1
    kept = [tree.tree_ for tree in boosted.estimators_[:best, 0]]
    arrays = pack(kept)
    arrays["value"] = rate * np.concatenate([tree.value[:, 0, 0] for tree in kept])
    arrays["bound"] = np.array([1.0])
    found = odds(arrays, encoding, fresh)
    arrays["bound"] = np.array([max(1.0, float(np.quantile(found, 0.99)))])
    return arrays


def odds(arrays: Mapping[str, np.ndarray], encoding: Encoding, clinical: pd.DataFrame) -> np.ndarray:
    """(patients,) odds that a patient is real, even odds being 1."""
    rows = view(encoding, clinical)
    total = np.zeros(len(rows))
    for tree in range(len(arrays["root"])):
        total += arrays["value"][apply(arrays, rows, np.full(len(rows), tree))]
    return np.exp(total)


def accept(
    bound: float,
    weigh: Callable[[Coded], np.ndarray],
    n: int,
    draw: Callable[[int], Coded],
    rng: np.random.Generator,
) -> Coded:
    """n patients from `draw`, each accepted with probability weight / bound."""
    kept: list[Coded] = []
    have = 0
    for _ in range(MAX_BATCHES):
        coded = draw(int((n - have) * bound * 1.2) + 32)
        chosen = rng.random(len(coded.levels)) * bound < weigh(coded)
        kept.append(Coded(coded.levels[chosen], coded.positions[chosen]))
        have += int(chosen.sum())
        if have >= n:
            break
    else:
        kept.append(draw(n - have))  # conditions under which hardly anybody is accepted
    return Coded(np.concatenate([p.levels for p in kept])[:n], np.concatenate([p.positions for p in kept])[:n])
