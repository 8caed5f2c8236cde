"""The histories of a cohort: a long table of what happened when, and the design that it keeps to.

A course is the rows of one patient: the state at time 0 first, the end of observation last, everything between in the
order of time. Kinds of rows:
    state        a state was entered: name
    line         a treatment line was started: name is the regimen, value its number, note the reason
    stop         it was stopped: name is the regimen, value its number, note the reason
    response     a response was assessed: name is the category
    measurement  name, value, unit; note `<` where the value is at the limit of quantification
    visit        the patient was seen
    end          until here the patient was observed
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.files import describe_damage, replacing
from haemosynth.modalities.history.design import Design, from_plain
from haemosynth.modalities.history.paths import NONE, Paths

NAME = "history"
COLUMNS = ("patient_id", "time", "kind", "name", "value", "unit", "note")
STATE, LINE, STOP, RESPONSE, MEASUREMENT, VISIT, END = (
    "state", "line", "stop", "response", "measurement", "visit", "end",
)  # fmt: skip
KINDS = (STATE, LINE, STOP, MEASUREMENT, RESPONSE, VISIT, END)  # those of one time in this order
KEY = b"haemosynth_history"
BELOW = "<"


@dataclass(frozen=True)
class Courses:
    """The histories of patients. table: COLUMNS. design: states and transitions. grain: months in which times are."""

    table: pd.DataFrame
    design: Design
    grain: float = 0.01

    @property
    def owners(self) -> pd.Series:
        """The patient of each row."""
        return self.table["patient_id"]

    def take(self, rows: np.ndarray, positions: np.ndarray) -> Courses:
        """These rows, in this order."""
        return Courses(self.table.iloc[rows].reset_index(drop=True), self.design, self.grain)

    @cached_property
    def course(self) -> np.ndarray:
        """(rows,) the number of the course that a row belongs to; a resampled patient has a course for each time."""
        ends = (self.table["kind"] == END).to_numpy()
        return np.asarray(np.cumsum(ends) - ends)

    @cached_property
    def paths(self) -> Paths:
        """The states of each course."""
        design, table = self.design, self.table
        number = int(self.course[-1]) + 1 if len(table) else 0
        kind = table["kind"].to_numpy()
        time = table["time"].to_numpy(float)
        ends = kind == END
        entered = np.flatnonzero(kind == STATE)
        course = self.course[entered]
        first = np.searchsorted(course, np.arange(number))
        step = np.arange(len(entered)) - first[course] if number else np.empty(0, dtype=int)
        wide = int(step.max()) + 1 if len(step) else 1
        code = pd.Index(design.states).get_indexer(pd.Index(table["name"].to_numpy()[entered]))
        state, entry = np.full((number, wide), NONE), np.full((number, wide), np.nan)
        state[course, step], entry[course, step] = code, time[entered]
        owner = table["patient_id"].to_numpy(object)[ends]
        return Paths(owner, state, entry, time[ends], design.states)

    def series_of(self, name: str) -> pd.DataFrame:
        """Values of a measurement: columns course, time, value, below (the limit of quantification)."""
        own = ((self.table["kind"] == MEASUREMENT) & (self.table["name"] == name)).to_numpy()
        rows = self.table[own]
        return pd.DataFrame({
            "course": self.course[own], "time": rows["time"].to_numpy(float), "value": rows["value"].to_numpy(float),
            "below": (rows["note"] == BELOW).to_numpy(),
        })  # fmt: skip


def find_courses(cohort: Cohort) -> Courses | None:
    """The histories of a cohort; None where it has none."""
    part = cohort.parts.get(NAME)
    assert part is None or isinstance(part, Courses)
    return part


def courses_of(cohort: Cohort) -> Courses:
    """The histories of a cohort that has some.

    Raises:
        KeyError: it has none.
    """
    found = find_courses(cohort)
    if found is None:
        raise KeyError(NAME)
    return found


def make(rows: pd.DataFrame, order: pd.Index, design: Design, grain: float) -> Courses:
    """Histories from rows in any order: patients as in `order`, then by time, kind and name."""
    # Sums of decimals differ in their last digit, and would put rows of one time in any order.
    rows = rows.assign(time=rows["time"].astype(float).round(6))
    place = order.get_indexer(pd.Index(rows["patient_id"]))
    rank = rows["kind"].map({kind: i for i, kind in enumerate(KINDS)}).to_numpy()
    # A patient dies once, and nothing is entered after; states of one time keep the order in which they were given.
    rank = np.where(rows["kind"] == END, len(KINDS), rank)
    sorted_rows = rows.iloc[np.lexsort((np.arange(len(rows)), rank, rows["time"].to_numpy(float), place))]
    table = sorted_rows.reindex(columns=list(COLUMNS)).reset_index(drop=True)
    for column in ("unit", "note", "name"):
        table[column] = table[column].fillna("").astype(object)
    return Courses(table.astype({"time": float, "value": float}), design, grain)


def path_rows(paths: Paths) -> pd.DataFrame:
    """Rows of states and ends of observation."""
    row, step = np.nonzero(paths.state != NONE)
    names = np.array(paths.states, dtype=object)
    states = pd.DataFrame({
        "patient_id": paths.owner[row], "time": paths.entry[row, step], "kind": STATE,
        "name": names[paths.state[row, step]],
    })  # fmt: skip
    ends = pd.DataFrame({"patient_id": paths.owner, "time": paths.end, "kind": END, "name": "observed"})
    return pd.concat([states, ends], ignore_index=True)


def read(path: str | Path) -> Courses:
    """Read histories.

    Raises:
        InputError: the file is missing, damaged, or holds no histories.
    """
    import pyarrow.parquet as parquet

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = parquet.read_table(path)
    except Exception as error:
        raise describe_damage(path, error) from None
    told = (content.schema.metadata or {}).get(KEY)
    if told is None:
        raise InputError(f"{path}: not a table of histories; expected the design of states in its metadata")
    known = json.loads(told)
    return Courses(content.to_pandas(), from_plain(known["design"]), float(known["grain"]))


def write(courses: Courses, path: str | Path) -> None:
    """Write histories as Parquet, with their design in the metadata."""
    import pyarrow
    import pyarrow.parquet as parquet

    table = pyarrow.Table.from_pandas(courses.table.reindex(columns=list(COLUMNS)), preserve_index=False)
    told = json.dumps({"design": courses.design.plain(), "grain": courses.grain}).encode()
    with replacing(path) as temporary:
        parquet.write_table(
            table.replace_schema_metadata({KEY: told}), temporary, compression="zstd", write_page_checksum=True
        )
