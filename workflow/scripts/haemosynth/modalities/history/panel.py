"""Histories of single patients in the working dossier: the course as a bar, with its first series of measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLACK, SYNTHETIC
from haemosynth.modalities.history.drawing import swimmers
from haemosynth.modalities.history.part import find_courses
from haemosynth.modalities.history.summary import summarise

WIDTH = 2.8  # inches
COMPONENTS = 5  # in the space in which archetypes are found
LEAST_PATIENTS = 30


def space(train: Cohort) -> Callable[[Cohort], Matrix | None] | None:
    """What places patients by their courses, (patients, components); None where too few training patients have one."""
    place = None if find_courses(train) is None else summarise([train], LEAST_PATIENTS, COMPONENTS)
    if place is None:
        return None
    spread = np.maximum(np.nanstd(place(train)[1], axis=0), 1e-9)

    def points(cohort: Cohort) -> Matrix | None:
        if find_courses(cohort) is None:
            return None
        return np.asarray(np.nan_to_num(place(cohort)[1] / spread / 2))

    return points


def prepare(synthetic: Cohort, train: Cohort) -> Callable[[Any, int, Cohort], None] | None:
    """What draws a patient's course: (axis, position of the patient, training patients of the archetype)."""
    made, known = find_courses(synthetic), find_courses(train)
    if made is None or known is None:
        return None
    place = pd.Index(made.paths.owner)
    ends = pd.Series(known.paths.end, index=known.paths.owner)
    measures = [name for name in made.design.measurements if len(made.series_of(name))]
    values = made.series_of(measures[0]) if measures else None

    def draw(axis: Any, row: int, like: Cohort) -> None:
        patient = str(synthetic.patients[row])
        if patient not in place:
            axis.set_axis_off()
            axis.set_title("without history", loc="left", fontsize=8)
            return
        course = int(np.flatnonzero(place == patient)[0])
        swimmers(axis, made, np.array([course]))
        axis.set_title(made.paths.labels()[course].replace(" > ", "\n> "), loc="left", fontsize=5.5)
        own = ends.reindex(like.patients).dropna()
        if len(own) >= MIN_CELL_COUNT:
            axis.axvline(float(own.median()), color=BLACK, lw=0.8, ls="--")
        if values is not None:
            shown = values[values["course"] == course]
            twin = axis.twinx()
            twin.plot(shown["time"], shown["value"], ".-", color=SYNTHETIC, ms=2, lw=0.8)
            twin.set_ylabel(measures[0], fontsize=6)
            twin.tick_params(labelsize=6)
        axis.set_xlabel("months; dashed: median observation of the archetype", fontsize=6)

    return draw
