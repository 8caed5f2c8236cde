"""Expression memory: do synthetic expression profiles reveal whose expression was learned from?

Two questions: do synthetic profiles lie nearer to training than to unseen patients, and can an attacker who holds a
patient's profile decide whether the patient was in the training data? Patients are points in the space of the principal
components of all real patients' levels, where the attacks on single records look for them; the attack `values` asks
gene by gene how dense the release lies round a patient's level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.encode.records import Matrix
from haemosynth.modalities.expression.components import fit_component_space
from haemosynth.modalities.expression.part import find_expression
from haemosynth.modalities.expression.profiles import levels
from haemosynth.privacy import profile_memory
from haemosynth.privacy.profile_memory import Attacked
from haemosynth.validate import Stage
from haemosynth.validate.stage import Comparison, Value

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS = dict(profile_memory.DEFAULTS)
STAGE = Stage("privacy", needs=("expression",), environment="expression", memory=4000, runtime=30)
METRICS = profile_memory.declare_metrics("expression", "the levels of the variable genes and the library size")
NAMES = ("expression_nearer_to_train", "expression_membership_auc")
CHANCE = "expression_memory_chance"


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Attacked | str:
    """Attack every training and unseen patient once; a reason where there is nothing to attack."""
    found = profile_memory.attack_sides(comparison, settings, rng, find_expression, fit_component_space, _numbers)
    if found is None:
        return f"fewer than {profile_memory.FEWEST} synthetic, training or unseen patients have expression"
    return found[0]


def _numbers(expression: AnnData) -> Matrix:
    """(patients, numbers) levels of the variable genes, and the library size of counts."""
    found = levels(expression)[:, expression.var["highly_variable"].to_numpy(dtype=bool)].astype(np.float64)
    if expression.uns["values"] != "counts":
        return found
    return np.column_stack([found, expression.obs["library_size"].to_numpy(dtype=np.float64)])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Nearness, and the worst attack, with what chance shows; the scores are those of `prepare`."""
    return profile_memory.measure(comparison.prepared, comparison, NAMES, CHANCE, "expression")


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How much nearer the nearest real patient is than the next, and both checks beside chance."""
    return profile_memory.figure(comparison.prepared, values, NAMES, CHANCE, label)
