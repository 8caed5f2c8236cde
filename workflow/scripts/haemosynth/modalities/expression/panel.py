"""Expression of single patients in the working dossier: programmes of genes, each beside the archetype's mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLACK, NEUTRAL, SYNTHETIC, shorten
from haemosynth.encode.records import Matrix, Vector
from haemosynth.modalities.expression.components import standard_components
from haemosynth.modalities.expression.part import NAME, expression_of, has_expression
from haemosynth.modalities.expression.profiles import LEAST_PATIENTS, levels
from haemosynth.modalities.quantitative import LEAST, place_for_archetypes

WIDTH = 2.8  # inches
COMPONENTS = 5  # in the space in which archetypes are found
PROGRAMMES = 6


def space(train: Cohort) -> Callable[[Cohort], Matrix | None] | None:
    """What places patients by expression, (patients, components), half of the weight of a number of the record each.

    None where too few training patients have expression. A patient without expression is in the middle.
    """
    return place_for_archetypes(NAME, train, LEAST_PATIENTS, partial(standard_components, COMPONENTS))


def prepare(synthetic: Cohort, train: Cohort) -> Callable[[Any, int, Cohort], None] | None:
    """What draws a patient's programmes: (axis, position of the patient, training patients of the archetype)."""
    programmes = _programmes(synthetic, train)
    if programmes is None:
        return None
    return lambda axis, row, like: _draw(axis, programmes, str(synthetic.patients[row]), like)


@dataclass(frozen=True)
class _Programmes:
    """names: of the programmes. scores: (patients with expression, programmes) of either side, by patient."""

    names: list[str]
    synthetic: pd.DataFrame
    train: pd.DataFrame


def _programmes(synthetic: Cohort, train: Cohort) -> _Programmes | None:
    """Groups of variable genes that vary together in training patients, and every patient's mean over each.

    Average linkage by correlation; levels in standard deviations of training patients; the largest groups, each named
    by the two genes nearest to its mean.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if not has_expression(synthetic) or not has_expression(train) or expression_of(train).n_obs < LEAST_PATIENTS:
        return None
    kept = expression_of(train).var["highly_variable"].to_numpy(dtype=bool)
    known, made = (levels(side)[:, kept].astype(float) for side in (expression_of(train), expression_of(synthetic)))
    middle, spread = known.mean(axis=0), np.maximum(known.std(axis=0), LEAST)
    known, made = (known - middle) / spread, (made - middle) / spread
    if known.shape[1] < 2 * PROGRAMMES:
        return None
    groups = fcluster(linkage(known.T, "average", metric="correlation"), 3 * PROGRAMMES, "maxclust")
    sizes = np.bincount(groups)
    largest = [g for g in np.argsort(-sizes, kind="stable")[:PROGRAMMES] if sizes[g] > 1]
    genes = np.array([str(name).split("|")[0] for name in expression_of(train).var_names[kept]])
    names: list[str] = []
    scores: tuple[list[Vector], list[Vector]] = ([], [])
    for g in largest:
        own = np.flatnonzero(groups == g)
        mean = known[:, own].mean(axis=1)
        like = (known[:, own] * (mean - mean.mean())[:, None]).sum(axis=0)
        # Clones without a symbol, such as IMAGE:123, come last.
        best = list(dict.fromkeys(genes[own[np.lexsort((-like, np.char.find(genes[own], ":") >= 0))]]))[:2]
        names.append(f"{', '.join(shorten(name, 10) for name in best)} ({len(own)})")
        for side, values in zip(scores, (known, made), strict=True):
            side.append((values[:, own].mean(axis=1) - mean.mean()) / max(mean.std(), LEAST))
    tables = [
        pd.DataFrame(np.column_stack(part), index=side.obs_names)
        for part, side in zip(scores, (expression_of(train), expression_of(synthetic)), strict=True)
    ]
    return _Programmes(names, tables[1], tables[0])


def _draw(axis: Any, programmes: _Programmes, patient: str, like: Cohort) -> None:
    """Programme scores of the patient as bars, the mean of the archetype's patients with expression as dots."""
    rows = np.arange(len(programmes.names))
    real = programmes.train.loc[programmes.train.index.intersection(like.patients)]
    if patient in programmes.synthetic.index:
        axis.barh(rows, programmes.synthetic.loc[patient].clip(-4, 4), height=0.6, color=SYNTHETIC)
    if len(real) >= MIN_CELL_COUNT:
        axis.plot(real.mean().clip(-4, 4), rows, "o", color=BLACK, ms=4)
    axis.axvline(0, color=NEUTRAL, lw=0.6)
    axis.set_yticks(rows, programmes.names, fontsize=7)
    axis.set(xlim=(-4, 4), ylim=(len(rows) - 0.4, -0.6))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("score, standard deviations of training patients", fontsize=6.5)
    known = patient in programmes.synthetic.index
    axis.set_title("programmes (genes)" if known else "without expression", loc="left", fontsize=8)
