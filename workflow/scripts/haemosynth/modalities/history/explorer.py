"""The courses of single synthetic patients in the explorer of a release, as lines of what happened when."""

from __future__ import annotations

from typing import Any

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.history.part import (
    BELOW,
    END,
    LINE,
    MEASUREMENT,
    RESPONSE,
    STATE,
    STOP,
    VISIT,
    find_courses,
)

WORDS = {LINE: "line {value:g}: {name}", STOP: "line {value:g} stopped: {name}", RESPONSE: "response: {name}",
         STATE: "{name}"}  # fmt: skip
SHOWN = 12  # values of one measurement at most


def of_patients(cohort: Cohort, most: int) -> list[dict[str, Any]]:
    """Title and, for each patient, rows of time and event; as many patients as `most` bytes hold, in table order.

    States, lines, stops, responses and the end of observation have a row each, with months from diagnosis; of every
    measurement there is one row with its first values. Visits are left out.
    """
    courses = find_courses(cohort)
    if courses is None or not len(courses.table):
        return []
    found: dict[str, list[list[str]]] = {}
    for patient, own in courses.table.groupby("patient_id", sort=False):
        lines = [
            [f"{row.time:.1f}", _event(row)] for row in own.itertuples() if row.kind not in (VISIT, MEASUREMENT)
        ]  # fmt: skip
        measured = own[own["kind"] == MEASUREMENT]
        for name, series in measured.groupby(measured["name"].astype(str), sort=False):
            values = [f"{BELOW if row.note == BELOW else ''}{row.value:.3g}" for row in series.itertuples()]
            more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
            unit = str(series["unit"].iloc[0])
            when = f"{series['time'].iloc[0]:.1f} to {series['time'].iloc[-1]:.1f}"
            lines.append([when, f"{name}: {', '.join(values[:SHOWN])}{more} {unit}".rstrip()])
        most -= sum(len(cell) + 4 for line in lines for cell in line)
        if most < 0:
            break
        found[str(patient)] = lines
    return [{"title": "history (months from diagnosis)", "kind": "table", "patients": found}] if found else []


def _event(row: Any) -> str:
    if row.kind == END:
        return "end of observation"
    value = row.value if np.isfinite(row.value) else 0
    reason = f" ({row.note})" if row.note and row.kind in (LINE, STOP) else ""
    return WORDS[row.kind].format(name=row.name, value=value) + reason
