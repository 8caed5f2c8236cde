"""Memory of measurements: do synthetic measurements reveal whose measurements were learned from?

Three questions: do synthetic profiles repeat the recorded values of a training patient, do they lie nearer to training
than to unseen patients, and can an attacker who holds a patient's values decide whether the patient was in the training
data? Patients are points in the space of the principal components of all real patients' levels, where the attacks on
single records look for them; the attack `values` asks analyte by analyte how dense the release lies round a patient's
value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.encode.records import Matrix
from haemosynth.modalities.metabolomics.components import fit_component_space
from haemosynth.modalities.metabolomics.measured import levels, limits_of, values_of
from haemosynth.modalities.metabolomics.part import find_measured
from haemosynth.privacy import profile_memory
from haemosynth.privacy.profile_memory import Attacked
from haemosynth.validate import Stage
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS = dict(profile_memory.DEFAULTS)
FEWEST_SHARED = 5  # values that two profiles must both have to be called the same
SAME = 0.5  # share of these values above which they are
CHUNK = 20_000_000  # comparisons at once
STAGE = Stage("privacy", needs=("metabolomics",), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "metabolomics_repeats", "error", "share", (0, 1), PRIVACY, "bootstrap",
        "share of synthetic profiles that have more than half of their recorded values, of at least five, in common"
        " with one training patient, less the same share of unseen patients, at least 0; values at a limit do not"
        " count",
        "this project",
    ),
    *profile_memory.declare_metrics("metabolomics", "the recorded values"),
)  # fmt: skip
REPEATS, *PAIR, CHANCE = (metric.name for metric in METRICS)
NAMES = (PAIR[0], PAIR[1])


@dataclass(frozen=True)
class Known:
    """attacked: what the attacks find. repeated: (synthetic profiles,) whether each repeats a training patient's.
    coincidence: the same share of unseen patients."""

    attacked: Attacked
    repeated: pd.Series
    coincidence: float


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Known | str:
    """Attack every training and unseen patient once; a reason where there is nothing to attack."""
    found = profile_memory.attack_sides(comparison, settings, rng, find_measured, fit_component_space, levels)
    if found is None:
        few = profile_memory.FEWEST
        return f"fewer than {few} synthetic, training or unseen patients have measurements (metabolomics)"
    attacked, profiles = found
    train, unseen, made = (np.where(limits_of(part) == 0, values_of(part), np.nan) for part in profiles)
    owners = profiles[-1].obs_names
    return Known(attacked, pd.Series(find_repeats(made, train), owners), float(find_repeats(unseen, train).mean()))


def find_repeats(profiles: Matrix, train: Matrix) -> np.ndarray:
    """(profiles,) whether more than `SAME` of the values that a profile and a training patient both have are equal.

    profiles, train: (patients, analytes) values as recorded within the limits, NaN for all others.
    """
    found = np.zeros(len(profiles), dtype=bool)
    step = max(1, CHUNK // max(1, train.size))
    known = (~np.isnan(train)).astype(np.float32)
    for start in range(0, len(profiles), step):
        part = profiles[start : start + step]
        equal = (part[:, None, :] == train[None, :, :]).sum(axis=2)
        both = (~np.isnan(part)).astype(np.float32) @ known.T
        found[start : start + step] = ((both >= FEWEST_SHARED) & (equal > SAME * both)).any(axis=1)
    return found


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Repeated profiles, nearness, and the worst attack with what chance shows; all found by `prepare`."""
    known: Known | str = comparison.prepared
    modality = "metabolomics"
    if isinstance(known, str):
        return [Value(name, np.nan, modality=modality, reason=known) for name in (REPEATS, *NAMES)]
    shown = known.repeated.index.get_indexer(comparison.candidate.patients)
    own = known.repeated.to_numpy()[shown[shown >= 0]]
    values = profile_memory.measure(known.attacked, comparison, NAMES, CHANCE, modality)
    if not len(own):
        return [Value(REPEATS, np.nan, modality=modality, reason="no synthetic patient has measurements"), *values]
    return [Value(REPEATS, max(0.0, float(own.mean()) - known.coincidence), modality=modality, n=len(own)), *values]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How much nearer the nearest real patient is than the next, and both checks beside chance."""
    known: Known | str = comparison.prepared
    return profile_memory.figure(known if isinstance(known, str) else known.attacked, values, NAMES, CHANCE, label)
