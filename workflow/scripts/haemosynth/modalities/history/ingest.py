"""Histories from milestones of the record, long tables, and timeline files of cBioPortal.

Whatever the source, it becomes events of patients (time, event) that are led through the allowed transitions of the
study, and further rows (treatment lines, measurements, visits). An event that a patient's state does not allow, and a
time beyond the end of observation, is refused with a line that names the patient.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError, Mistakes, suggestion
from haemosynth.modalities.history import timeline
from haemosynth.modalities.history.design import KEYS, Design, design_of
from haemosynth.modalities.history.part import END, KINDS, MEASUREMENT, STATE, VISIT, Courses, make
from haemosynth.modalities.history.settle import agreement
from haemosynth.modalities.history.timeline import PER_MONTH
from haemosynth.reading.source import read

DEFAULTS: dict[str, Any] = {
    "states": None, "start": None, "transitions": None, "endpoints": {}, "measurements": {},
    "events": {},  # event -> the endpoint of the record whose event it is (milestones)
    "observed": None,  # the endpoint whose time ends the observation; null: the first of the record
    "path": None,  # a long table, relative to the cohort's path
    "timeline": {},  # of a cBioPortal folder: event -> {COLUMN: value} of a row of a timeline file
    "unit": "months",  # of the times of a long table: months or days
    "impossible": "refuse",  # or leave_out: patients whose events the transitions do not allow
    "simulate": {},  # of a simulated cohort (simulate.py)
}  # fmt: skip
LEFT = ("what", "name", "reason")
MOST_LINES = 10  # of mistakes of one kind
Left = list[tuple[str, str, str]]


def settings(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The key `history` of a cohort's entry, with its defaults.

    Raises:
        InputError: a key or value that is not known, or no states and transitions.
    """
    where = f"cohorts.{name}.history"
    chosen = entry.get("history") or {}
    if not isinstance(chosen, Mapping):
        raise InputError(f"{where}: expected a mapping such as {{states: [...], transitions: {{...}}}}")
    for key in chosen:
        if key not in DEFAULTS:
            raise InputError(f"{where}: unknown key {key!r}; {suggestion(str(key), list(DEFAULTS))}")
    result = {**DEFAULTS, **chosen}
    for key, words in (("unit", tuple(PER_MONTH)), ("impossible", ("refuse", "leave_out"))):
        if result[key] not in words:
            raise InputError(f"{where}.{key}: {result[key]!r}; expected {' or '.join(words)}")
    if entry.get("format") != "simulated":
        design = design_of({key: result[key] for key in KEYS}, where)
        events = {event for targets in design.transitions.values() for event in targets}
        for key in ("events", "timeline"):
            for event in result[key]:
                if event not in events:
                    raise InputError(
                        f"{where}.{key}: {event!r} is no event of a transition; {suggestion(event, sorted(events))}"
                    )
        if not (result["events"] or result["path"] or result["timeline"]):
            raise InputError(f"{where}: nothing to read; give events (of the record), path (a long table) or timeline")
    return result


def ingest(name: str, entry: Mapping[str, Any], cohort: Cohort) -> tuple[Courses, pd.DataFrame]:
    """Histories of the cohort's patients, in table order, and what left with its reason.

    Args:
        name: of the cohort; entry: its entry of the study; cohort: its ingested record.

    Raises:
        InputError: the files or the entry hold mistakes; a line for each.
    """
    mistakes = Mistakes()
    found = _read(name, entry, cohort, mistakes)
    mistakes.tell()
    return found


def check(name: str, entry: Mapping[str, Any], cohort: Cohort, mistakes: Mistakes) -> pd.DataFrame | None:
    """Read the histories of a cohort and keep all mistakes; what was left out, or None where they are wrong."""
    with mistakes.keep():
        return ingest(name, entry, cohort)[1]
    return None


def _read(name: str, entry: Mapping[str, Any], cohort: Cohort, mistakes: Mistakes) -> tuple[Courses, pd.DataFrame]:
    chosen, where = settings(name, entry), f"cohorts.{name}.history"
    design = design_of({key: chosen[key] for key in KEYS}, where)
    left: Left = []
    events, rows, ends = [_milestones(chosen, cohort, where)], [], _find_observed(chosen, cohort, where)
    if chosen["timeline"] or chosen["path"]:
        if chosen["path"]:
            own, others = _table(_file(entry, chosen, where), chosen, design, left)
            ends = ends.combine_first(own[own["event"] == END].groupby("patient_id")["time"].max())
            own = own[own["event"] != END]
        else:
            own, others = timeline.read_timelines(Path(entry["path"]), chosen["timeline"], design)
        known = own["patient_id"].isin(cohort.patients)
        if not known.all():
            left.append(("rows", f"{int((~known).sum())} events", "patients who are not in the record"))
        events.append(own[known])
        rows.append(others[others["patient_id"].isin(cohort.patients)])
    table = pd.concat(events, ignore_index=True)
    states, refused, idle = walk(table, design, ends, cohort.patients)
    for patient, line in refused.items():
        left.append(("patient", "one patient", line.split(": ", 1)[1]))
        if chosen["impossible"] == "refuse" and len(mistakes.lines) < MOST_LINES:
            mistakes.add([f"{where}: patient {patient}: {line.split(': ', 1)[1]}"])
    if idle:
        left.append(("rows", f"{idle} events", "they change nothing in the state that the patient is in"))
    kept = pd.Index([p for p in cohort.patients if p in set(states["patient_id"])])
    for patient in cohort.patients.difference(kept, sort=False):
        if patient not in refused:
            left.append(("patient", "one patient", "how far the patient was observed is unknown"))
    further = [table[_inside(table, ends, where, mistakes)] for table in rows]
    whole = pd.concat([states, *(t[t["patient_id"].isin(kept)] for t in further)], ignore_index=True)
    part = make(whole, kept, design, grain_of(table["time"].to_numpy(float)))
    for row in agreement(cohort, part).itertuples():
        left.append(("endpoint", str(row.endpoint), f"as recorded in {row.agree:.1%} of {row.patients} patients, else "
                     "as the path says"))  # fmt: skip
    return part, pd.DataFrame(left, columns=list(LEFT))


def grain_of(times: np.ndarray) -> float:
    """The step in which times are recorded: months, days or hundredths of a month, whichever fits first."""
    known = times[np.isfinite(times)]
    for grain in (1.0, 1 / PER_MONTH["days"]):
        if len(known) and (np.abs(known / grain - np.rint(known / grain)) < 0.02).mean() > 0.95:
            return grain
    return 0.01


def _milestones(chosen: Mapping[str, Any], cohort: Cohort, where: str) -> pd.DataFrame:
    """Events of the record: those of its endpoints that the entry names, one listed first coming first at one time."""
    found = []
    for event, endpoint in chosen["events"].items():
        if f"{endpoint}_time" not in cohort.clinical:
            raise InputError(
                f"{where}.events.{event}: {endpoint} is no endpoint of the record; "
                f"{suggestion(endpoint, cohort.schema.endpoints)}"
            )
        own = cohort.clinical[cohort.clinical[f"{endpoint}_event"] == 1]
        found.append(pd.DataFrame({"patient_id": own.index, "time": own[f"{endpoint}_time"].to_numpy(float),
                                   "event": event}))  # fmt: skip
    empty = pd.DataFrame({"patient_id": [], "time": [], "event": []})
    return pd.concat(found, ignore_index=True) if found else empty


def _find_observed(chosen: Mapping[str, Any], cohort: Cohort, where: str) -> pd.Series:
    """Months until which each patient was observed, as the record says."""
    name = chosen["observed"] or next(iter(cohort.schema.endpoints), None)
    if name is None or f"{name}_time" not in cohort.clinical:
        raise InputError(f"{where}.observed: {name} is no endpoint of the record; name the one that ends observation")
    return cohort.clinical[f"{name}_time"].dropna().astype(float)


def walk(
    events: pd.DataFrame, design: Design, ends: pd.Series, patients: pd.Index
) -> tuple[pd.DataFrame, dict[str, str], int]:
    """Lead patients through their events.

    Args:
        events: patient_id, time, event; at one time those listed first come first, but what leads to a final state
            takes the place of the others (an early death is the event of composite endpoints too). ends:
            patient -> months until which the patient was observed.

    Returns:
        rows of states and ends of observation; patient -> line, of those whose events cannot be; how many events
        changed nothing.
    """
    last = {event for targets in design.transitions.values() for event, to in targets.items() if to in design.final}
    order = np.lexsort((np.arange(len(events)), events["event"].isin(last).to_numpy(), events["time"].to_numpy(float)))
    own: dict[str, list[tuple[float, str]]] = {}
    for patient, time, event in zip(
        *(events[c].to_numpy()[order] for c in ("patient_id", "time", "event")), strict=True
    ):
        own.setdefault(str(patient), []).append((float(time), str(event)))
    rows: list[tuple[str, float, str, str]] = []
    refused, idle = {}, 0
    for patient in map(str, patients):
        if patient not in ends.index:
            continue
        over = {time for time, event in own.get(patient, []) if event in last}
        before = own.get(patient, [])
        own[patient] = [(time, event) for time, event in before if event in last or time not in over]
        idle += len(before) - len(own[patient])
        end, state = float(ends[patient]), design.start
        path = [(patient, 0.0, STATE, state)]
        wrong = ""
        for time, event in own.get(patient, []):
            allowed = design.transitions.get(state, {})
            if event not in allowed:
                ways = ", ".join(allowed) or "nothing, it is final"
                wrong = f"history: {event} at {time:.6g} months in the state {state}, which allows {ways}"
            elif not 0 <= time <= end + 1e-6:
                wrong = f"history: {event} at {time:.6g} months, outside of the observation from 0 to {end:.6g}"
            if wrong:
                break
            if allowed[event] == state:
                idle += 1
            else:
                state = allowed[event]
                path.append((patient, min(time, end), STATE, state))
        if wrong:
            refused[patient] = wrong
            continue
        end = path[-1][1] if state in design.final else end
        rows += [*path, (patient, end, END, "observed")]
    return pd.DataFrame(rows, columns=["patient_id", "time", "kind", "name"]), refused, idle


def _inside(rows: pd.DataFrame, ends: pd.Series, where: str, mistakes: Mistakes) -> np.ndarray:
    """Which further rows lie within the observation; those after it are mistakes, those before diagnosis too."""
    end = rows["patient_id"].map(ends).to_numpy(float)
    time = rows["time"].to_numpy(float)
    beyond = (time > end + 1e-6) | (time < 0)
    for row in rows[beyond].head(MOST_LINES).itertuples():
        mistakes.add([
            f"{where}: patient {row.patient_id}: {row.kind} {row.name} at {row.time:.6g} months, outside of the "
            f"observation from 0 to {float(ends.get(row.patient_id, np.nan)):.6g}"
        ])  # fmt: skip
    return np.asarray(~beyond)


def _file(entry: Mapping[str, Any], chosen: Mapping[str, Any], where: str) -> Path:
    folder = Path(entry["path"]) if Path(entry["path"]).is_dir() else Path(entry["path"]).parent
    path = folder / os.path.expanduser(os.path.expandvars(str(chosen["path"])))
    if not path.is_file():
        raise InputError(f"{where}.path: {path}: no such file; expected a table of patient_id, time, kind, name")
    return path


def _table(path: Path, chosen: Mapping[str, Any], design: Design, left: Left) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events (with `end` among them) and further rows of a long table."""
    table = read(path).frame.rename(columns=lambda name: str(name).strip().lower())
    for column in ("patient_id", "time", "kind", "name"):
        if column not in table:
            raise InputError(f"{path}: column {column} is missing; expected patient_id, time, kind, name, value, unit")
    table = table.assign(patient_id=table["patient_id"].astype(str).str.strip(), line=np.arange(len(table)) + 2)
    kind = table["kind"].astype(str).str.strip().str.lower()
    for line, word in zip(table["line"][~kind.isin(KINDS)], kind[~kind.isin(KINDS)], strict=True):
        raise InputError(f"{path}: line {line}, column kind: {word!r}; expected one of {', '.join(KINDS)}")
    numbers = {}
    for column in ("time", "value"):
        given = table[column] if column in table else pd.Series(np.nan, index=table.index)
        text = given.astype(object).where(given.notna(), "").astype(str).str.strip().str.lstrip("<")
        numbers[column] = pd.to_numeric(text, errors="coerce")
        wrong = (numbers[column].isna() & (text != "")) | ((column == "time") & (text == ""))
        for line, word in zip(table["line"][wrong], text[wrong], strict=True):
            raise InputError(f"{path}: line {line}, column {column}: {word!r} is no number")
    values = table.get("value", pd.Series("", index=table.index)).astype(str).str.strip()
    rows = pd.DataFrame({
        "patient_id": table["patient_id"], "time": numbers["time"] / PER_MONTH[chosen["unit"]], "kind": kind,
        "name": table["name"].fillna("").astype(str).str.strip(), "value": numbers["value"],
        "unit": table["unit"].fillna("").astype(str) if "unit" in table else "",
        "note": np.where(values.str.startswith("<"), "<",
                         table["note"].fillna("").astype(str) if "note" in table else ""),
    })  # fmt: skip
    start = (rows["kind"] == STATE) & (rows["name"] == design.start) & (rows["time"] == 0)
    moves = rows[((rows["kind"] == STATE) & ~start) | (rows["kind"] == END)]
    events = moves.assign(event=np.where(moves["kind"] == END, END, moves["name"]))[["patient_id", "time", "event"]]
    rest = rows[~rows["kind"].isin((STATE, END))]
    unknown = (rest["kind"] == MEASUREMENT) & ~rest["name"].isin(list(design.measurements))
    for measure, own in rest[unknown].groupby("name"):
        left.append(("measurement", str(measure), f"{len(own)} rows; the entry does not name it under measurements"))
    rest = rest[~unknown]
    rest = rest.assign(name=np.where(rest["kind"] == VISIT, "", rest["name"]))
    return events, rest
