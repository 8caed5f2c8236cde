"""The endpoints of a record, as the paths of its patients give them.

Where a study has histories, this is the only place that decides endpoints: of real patients before they are split, of
synthetic ones in the long draw that a release is taken from. Whatever a clinical generator drew for these endpoints is
replaced, so that no row of the record can contradict the path of its patient.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.derive import derive
from haemosynth.core.errors import InputError
from haemosynth.modalities.history.part import Courses
from haemosynth.modalities.history.paths import derive_endpoints

TOLERANCE = 0.5  # months by which a recorded time may differ and still agree


def settle(cohort: Cohort, courses: Courses) -> Cohort:
    """The cohort with every endpoint that the design names taken from the paths, and derived columns derived anew.

    A patient without a course keeps the endpoints of the record.

    Raises:
        InputError: an endpoint of the design is none of the record.
    """
    found = derive_endpoints(courses.paths, courses.design)
    _check(cohort, courses)
    clinical = cohort.clinical.copy()
    present = clinical.index.isin(found.index)
    for column in found:
        values = clinical[column].to_numpy(float).copy()
        values[present] = found[column].reindex(clinical.index[present]).to_numpy(float)
        clinical[column] = values
    settled = replace(cohort, clinical=clinical)
    return replace(settled, clinical=derive(settled).clinical)


def agreement(cohort: Cohort, courses: Courses) -> pd.DataFrame:
    """How far recorded endpoints agree with those of the paths.

    Returns:
        a row for each endpoint: `endpoint`, `patients` with both, `agree` (share with the same event and a time within
        half a month).
    """
    _check(cohort, courses)
    found = derive_endpoints(courses.paths, courses.design)
    own = cohort.clinical.reindex(found.index)
    rows = []
    for name in courses.design.endpoints:
        time, event = own[f"{name}_time"].to_numpy(float), own[f"{name}_event"].to_numpy(float)
        known = ~np.isnan(time) & ~np.isnan(event)
        near = np.abs(time - found[f"{name}_time"].to_numpy()) <= TOLERANCE
        same = near & (event == found[f"{name}_event"].to_numpy())
        rows.append((name, int(known.sum()), float(same[known].mean()) if known.any() else np.nan))
    return pd.DataFrame(rows, columns=["endpoint", "patients", "agree"])


def _check(cohort: Cohort, courses: Courses) -> None:
    for name in courses.design.endpoints:
        if name not in cohort.schema.endpoints:
            known = ", ".join(cohort.schema.endpoints) or "none"
            raise InputError(
                f"cohorts.{cohort.schema.cohort}.history.endpoints: {name} is no endpoint of the record ({known});"
                " name it under endpoint or milestones, or take it out"
            )
