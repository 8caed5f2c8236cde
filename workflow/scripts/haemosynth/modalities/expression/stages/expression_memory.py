"""Expression memory: do synthetic expression profiles give away whose expression was learned from?

Two questions: do synthetic profiles lie nearer to training than to unseen patients, and can an attacker who holds a
patient's profile tell whether the patient was in the training data? Patients are points in the space of the principal
components of all real patients' levels, where the attacks on single records look for them; the attack `values` asks
gene by gene how dense the release lies round a patient's level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.encode.records import Matrix, distinct, some_rows
from haemosynth.modalities.expression.components import component_space
from haemosynth.modalities.expression.part import find_expression
from haemosynth.modalities.expression.profiles import levels
from haemosynth.privacy import profile_memory
from haemosynth.privacy.profile_memory import Attacked
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "components": 20,  # principal components of training and unseen patients
    "rows": 3_000,  # training and unseen patients who are attacked, at most
    "trees": 400,  # of the attack `classifier`
    "exchanges": 1_000,  # of training and unseen patients, to see what chance shows
}
FEWEST = 10  # patients with expression on a side
STAGE = Stage("privacy", needs=("expression",), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "expression_nearer_to_train", "target", "share", (0, 1), PRIVACY, "bootstrap",
        "in principal components of real levels, s: share of synthetic profiles whose nearest real profile is a"
        " training patient's (ties half), p = n_train / (n_train + n_unseen); max(0, 1/2 + (s - p) / (2 (1 - p)))",
        "after Platzer and Reutterer, Front Big Data 2021;4:679939",
        target=0.5,
    ),
    Metric(
        "expression_membership_auc", "target", "", (0, 1), PRIVACY, "attack",
        "area under the ROC curve, training against unseen patients, of the worst attack: those on single records of"
        " disclosure_auc, on the same components, and its values_2 and values_10 on the levels of the variable genes"
        " and the library size",
        "see disclosure_auc",
        target=0.5,
    ),
    Metric(
        "expression_memory_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
        "99.5 % quantile of the metric that is the target, with training and unseen patients exchanged at random",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
)  # fmt: skip
NAMES = ("expression_nearer_to_train", "expression_membership_auc")
CHANCE = "expression_memory_chance"


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Attacked | str:
    """Attack every training and unseen patient once; a reason where there is nothing to attack."""
    choice, exchange, trees = rng.spawn(3)
    most = int(settings["rows"])
    sides = [some_rows(distinct(side), most, choice) for side in (comparison.train, unseen_side(comparison))]
    known = [part for side in sides if (part := find_expression(side)) is not None and part.n_obs >= FEWEST]
    released = find_expression(distinct(comparison.candidate))
    if released is None or released.n_obs < FEWEST or len(known) < len(sides):
        return f"fewer than {FEWEST} synthetic, training or unseen patients have expression"
    # Of training and unseen patients alike: axes fitted to training patients alone would set them apart.
    place = component_space(int(settings["components"]), *known)
    points, profiles = np.vstack([place(part) for part in known]), place(released)
    member = np.repeat([True, False], [part.n_obs for part in known])
    names = pd.Index([name for part in known for name in part.obs_names])
    numbers = np.vstack([_numbers(part) for part in known]), _numbers(released)
    return profile_memory.attacked(
        names, member, points, numbers[0], released.obs_names, profiles, numbers[1], settings, (exchange, trees)
    )


def _numbers(expression: AnnData) -> Matrix:
    """(patients, numbers) levels of the variable genes, and the library size of counts."""
    found = levels(expression)[:, expression.var["highly_variable"].to_numpy(dtype=bool)].astype(np.float64)
    if expression.uns["values"] != "counts":
        return found
    return np.column_stack([found, expression.obs["library_size"].to_numpy(dtype=np.float64)])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Nearness, and the worst attack, with what chance shows; the scores are those of `prepare`."""
    return profile_memory.measured(comparison.prepared, comparison, NAMES, CHANCE, "expression")


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How much nearer the nearest real patient is than the next, and both checks beside chance."""
    return profile_memory.figure(comparison.prepared, values, NAMES, CHANCE, label)
