"""Timeline files of a cBioPortal study: events, treatments and laboratory tests in days from diagnosis.

https://docs.cbioportal.org/file-formats/#timeline-data: PATIENT_ID, START_DATE, STOP_DATE, EVENT_TYPE, and columns of
the type: of treatments TREATMENT_TYPE and AGENT, of laboratory tests TEST and RESULT, of states STATUS.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.core.files import write_table, write_text
from haemosynth.modalities.history.design import Design
from haemosynth.modalities.history.kinetics import DAYS
from haemosynth.modalities.history.part import (
    BELOW,
    LINE,
    MEASUREMENT,
    RESPONSE,
    STATE,
    STOP,
    VISIT,
    Courses,
)  # fmt: skip
from haemosynth.reading.source import read

PER_MONTH = {"months": 1.0, "days": DAYS}
NEEDED = ("PATIENT_ID", "START_DATE", "EVENT_TYPE")


def read_timelines(folder: Path, events: Mapping[str, Any], design: Design) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events and further rows of the timeline files of a study folder.

    Args:
        events: event -> {COLUMN: value} that its rows show. design: whose measurements are read from laboratory tests.

    Returns:
        events (patient_id, time in months, event), and rows of lines, stops and measurements.

    Raises:
        InputError: no timeline file, a column that is missing, or a date that is no number.
    """
    files = sorted(folder.glob("data_timeline*.txt"))
    if not files:
        raise InputError(f"{folder}: no timeline file; expected data_timeline_*.txt")
    found, rows = [], []
    for path in files:
        table = _table(path)
        for event, shown in events.items():
            own = np.ones(len(table), dtype=bool)
            for column, value in dict(shown).items():
                own &= (table[column] == str(value)).to_numpy() if column in table else False
            found.append(table.loc[own, ["patient_id", "time"]].assign(event=event))
        rows += [_treatments(table), _tests(table, design)]
    return pd.concat(found, ignore_index=True), pd.concat([r for r in rows if len(r)] or rows[:1], ignore_index=True)


def _table(path: Path) -> pd.DataFrame:
    table = read(path).frame
    for column in NEEDED:
        if column not in table:
            raise InputError(f"{path}: column {column} is missing; a timeline file has {', '.join(NEEDED)}")
    table = table.fillna("").astype(str)
    for source, name in (("START_DATE", "time"), ("STOP_DATE", "stop")):
        text = table[source].str.strip() if source in table else pd.Series("", index=table.index)
        days = pd.to_numeric(text, errors="coerce")
        wrong = days.isna() & ((text != "") | (name == "time"))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"{path}: patient {table['PATIENT_ID'].iloc[row]}, column {source}: {text.iloc[row]!r}; expected days"
                " from diagnosis"
            )
        table[name] = days / DAYS
    return table.assign(patient_id=table["PATIENT_ID"].str.strip())


def _treatments(table: pd.DataFrame) -> pd.DataFrame:
    own = table[table["EVENT_TYPE"].str.upper() == "TREATMENT"]
    regimen = own["AGENT"] if "AGENT" in own else own.get("TREATMENT_TYPE", pd.Series("", index=own.index))
    line = own.groupby("patient_id")["time"].rank("dense")
    started = pd.DataFrame({"patient_id": own["patient_id"], "time": own["time"], "kind": LINE, "name": regimen,
                            "value": line})  # fmt: skip
    stopped = pd.DataFrame({"patient_id": own["patient_id"], "time": own["stop"], "kind": STOP, "name": regimen,
                            "value": line})  # fmt: skip
    return pd.concat([started, stopped[stopped["time"].notna()]], ignore_index=True)


def _tests(table: pd.DataFrame, design: Design) -> pd.DataFrame:
    own = table[(table["EVENT_TYPE"].str.upper() == "LAB_TEST")]
    if not len(own) or "TEST" not in own or "RESULT" not in own:
        return pd.DataFrame(columns=["patient_id", "time", "kind", "name", "value"])
    own = own[own["TEST"].isin(list(design.measurements))]
    text = own["RESULT"].str.strip()
    return pd.DataFrame({
        "patient_id": own["patient_id"], "time": own["time"], "kind": MEASUREMENT, "name": own["TEST"],
        "value": pd.to_numeric(text.str.lstrip("<"), errors="coerce"),
        "unit": own.get("UNIT", ""), "note": np.where(text.str.startswith("<"), BELOW, ""),
    })  # fmt: skip


def write_timelines(courses: Courses, folder: Path, study: str) -> list[str]:
    """Write `data_timeline_<what>.txt` with their meta files, as cBioPortal's validator accepts them.

    Returns:
        the names of the data files.
    """
    table = courses.table
    days = np.rint(table["time"].to_numpy(float) * DAYS).astype(int)
    base = pd.DataFrame({"PATIENT_ID": table["patient_id"].astype(str), "START_DATE": days, "STOP_DATE": ""})
    kind = table["kind"]
    status, response = base[kind == STATE].copy(), base[kind == RESPONSE].copy()
    status["EVENT_TYPE"], status["STATUS"] = "STATUS", table["name"][kind == STATE]
    response["EVENT_TYPE"], response["STATUS"] = "RESPONSE", table["name"][kind == RESPONSE]
    treatment = base[kind == LINE].copy()
    treatment["EVENT_TYPE"], treatment["TREATMENT_TYPE"] = "TREATMENT", "Medical Therapy"
    treatment["AGENT"] = table["name"][kind == LINE]
    treatment["LINE"] = table["value"][kind == LINE].map("{:.0f}".format)
    stopped = base[kind == STOP].assign(key=table["value"][kind == STOP])
    stops = dict(zip(zip(stopped["PATIENT_ID"], stopped["key"], strict=True), stopped["START_DATE"], strict=True))
    keys = zip(treatment["PATIENT_ID"], table["value"][kind == LINE], strict=True)
    treatment["STOP_DATE"] = [stops.get(key, "") for key in keys]
    tests = base[kind == MEASUREMENT].copy()
    tests["EVENT_TYPE"], tests["TEST"] = "LAB_TEST", table["name"][kind == MEASUREMENT]
    tests["RESULT"] = table["note"][kind == MEASUREMENT].where(table["note"] == BELOW, "") + table["value"][
        kind == MEASUREMENT
    ].map("{:.6g}".format)
    tests["UNIT"] = table["unit"][kind == MEASUREMENT]
    seen = base[kind == VISIT].copy()
    seen["EVENT_TYPE"] = "VISIT"
    written = []
    for name, own in (("status", status), ("response", response), ("treatment", treatment), ("lab_test", tests),
                      ("visit", seen)):  # fmt: skip
        if len(own):
            file = f"data_timeline_{name}.txt"
            _write(own, folder / file)
            write_text(
                f"cancer_study_identifier: {study}\ngenetic_alteration_type: CLINICAL\ndatatype: TIMELINE\n"
                f"data_filename: {file}\n",
                folder / f"meta_timeline_{name}.txt",
            )
            written.append(file)
    return written


def _write(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".tsv")
    write_table(table, temporary)
    temporary.replace(path)
