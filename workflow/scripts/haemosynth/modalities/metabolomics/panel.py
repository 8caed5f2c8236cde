"""Measurements of single patients in the working dossier: a dozen analytes, each beside the archetype's mean."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLACK, NEUTRAL, SYNTHETIC, shorten
from haemosynth.encode.records import Matrix
from haemosynth.modalities.metabolomics.components import fill, standard_components
from haemosynth.modalities.metabolomics.measured import HIGH, LEAST_PATIENTS, LOW, levels, limits_of
from haemosynth.modalities.metabolomics.part import NAME, find_measured
from haemosynth.modalities.quantitative import LEAST, place_for_archetypes

WIDTH = 2.8  # inches
COMPONENTS = 5  # in the space in which archetypes are found
ANALYTES = 12
FARTHEST = 4.0  # standard deviations that are drawn


def space(train: Cohort) -> Callable[[Cohort], Matrix | None] | None:
    """What places patients by measurements, (patients, components), half of the weight of a number of the record each.

    None where too few training patients have measurements. A patient without any is in the middle.
    """
    return place_for_archetypes(NAME, train, LEAST_PATIENTS, partial(standard_components, COMPONENTS))


def prepare(synthetic: Cohort, train: Cohort) -> Callable[[Any, int, Cohort], None] | None:
    """What draws a patient's analytes: (axis, position of the patient, training patients of the archetype).

    Analytes are those nearest to the middle of each of a dozen groups that vary together in training patients.
    """
    made, known = find_measured(synthetic), find_measured(train)
    if made is None or known is None or known.n_obs < LEAST_PATIENTS:
        return None
    chosen = _choose(fill(known))
    names = [str(name) for name in known.var_names[chosen]]
    tables = [pd.DataFrame(levels(data)[:, chosen], index=data.obs_names) for data in (made, known)]
    sides = pd.DataFrame(limits_of(made)[:, chosen], index=made.obs_names)

    def draw(axis: Any, row: int, like: Cohort) -> None:
        _draw(axis, names, tables, sides, str(synthetic.patients[row]), like)

    return draw


def _choose(values: Matrix) -> np.ndarray:
    from scipy.cluster.hierarchy import fcluster, linkage

    if values.shape[1] <= ANALYTES:
        return np.arange(values.shape[1])
    standard = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), LEAST)
    groups = fcluster(linkage(standard.T, "average"), ANALYTES, "maxclust")
    found = []
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        found.append(own[int(np.argmax(standard[:, own].T @ standard[:, own].mean(axis=1)))])
    return np.sort(np.array(found))


def _draw(
    axis: Any, names: list[str], tables: list[pd.DataFrame], sides: pd.DataFrame, patient: str, like: Cohort
) -> None:
    """Levels of the patient as bars, the mean of the archetype's patients with measurements as dots."""
    rows = np.arange(len(names))
    made, known = tables
    real = known.loc[known.index.intersection(like.patients)]
    there = patient in made.index
    if there:
        own = made.loc[patient].clip(-FARTHEST, FARTHEST)
        axis.barh(rows, own, height=0.6, color=SYNTHETIC)
        for row, side in zip(rows, sides.loc[patient], strict=True):
            if side in (LOW, HIGH):
                axis.text(own.iloc[row], row, "<" if side == LOW else ">", fontsize=7, va="center", ha="center")
    mean = real.mean().where(real.notna().sum() >= MIN_CELL_COUNT)
    axis.plot(mean.clip(-FARTHEST, FARTHEST), rows, "o", color=BLACK, ms=4)
    axis.axvline(0, color=NEUTRAL, lw=0.6)
    axis.set_yticks(rows, [shorten(name, 18) for name in names], fontsize=6.5)
    axis.set(xlim=(-FARTHEST, FARTHEST), ylim=(len(rows) - 0.4, -0.6))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("level, standard deviations of training patients", fontsize=6.5)
    axis.set_title("analytes" if there else "without measurements", loc="left", fontsize=8)
