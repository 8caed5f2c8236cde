"""Courses of simulated patients with known truth: two clones under lines of therapy, deaths, visits, and follow-up.

A line's M-protein follows two clones; at a visit that meets the criteria of progression the next line starts. Death has
a hazard that grows with age, alterations and lines. So response, progression and survival come from one model, and the
endpoints of the record are replaced by those of the course (`settle.py`). Nothing else of the record depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.modalities.history import kinetics, myeloma
from haemosynth.modalities.history.design import design_of
from haemosynth.modalities.history.generators.clones import NAMES
from haemosynth.modalities.history.ingest import settings
from haemosynth.modalities.history.kinetics import CATEGORIES, DAYS
from haemosynth.modalities.history.part import (
    BELOW,
    COLUMNS,
    END,
    LINE,
    MEASUREMENT,
    RESPONSE,
    STATE,
    STOP,
    VISIT,
    Courses,
    make,
)  # fmt: skip

Row = tuple[str, float, str, str, float, str, str]
PLANTED = {"myeloma": myeloma}
GRAIN = 0.001  # months


def simulate(
    name: str, entry: Mapping[str, Any], cohort: Cohort, truth: dict[str, Any], folder: Path, rng: np.random.Generator
) -> tuple[Courses, dict[str, Any]]:
    """The courses of all patients, and their truth as plain data for JSON.

    Args:
        name: of the cohort; entry: its entry of the study. cohort: the simulated cohort; truth: what is known of it.
        folder: `resources/<disease>`, whose name says what is planted.

    Raises:
        InputError: nothing is planted for the disease, or a setting that is not known.
    """
    settings(name, entry)
    if folder.name not in PLANTED:
        raise InputError(f"cohorts.{name}.disease: no courses are planted for {folder.name}; {', '.join(PLANTED)}")
    planted = PLANTED[folder.name]
    design = design_of({
        "states": planted.STATES, "transitions": planted.TRANSITIONS, "measurements": planted.MEASUREMENTS,
        "endpoints": {e: s for e, s in planted.ENDPOINTS.items() if e in cohort.schema.endpoints},
    }, f"cohorts.{name}.history")  # fmt: skip
    n = len(cohort)
    drivers = {d: _driver(d, cohort, truth, rng) for d in dict.fromkeys(
        [d for _, d, _ in planted.EFFECTS] + [d for d, _ in planted.DEATH_EFFECTS])}  # fmt: skip
    lines = list(planted.STATES[: planted.LINES])
    theta = np.asarray(planted.MEAN) + np.asarray(planted.SPREAD) * rng.standard_normal((n, len(lines), 4))
    theta += np.arange(len(lines))[None, :, None] * np.asarray(planted.BY_LINE)
    for parameter, driver, size in planted.EFFECTS:
        theta[:, :, NAMES.index(parameter)] += size * drivers[driver][:, None]
    risk = np.exp(sum(size * drivers[driver] for driver, size in planted.DEATH_EFFECTS))
    followed = rng.uniform(planted.FOLLOWED[0], planted.FOLLOWED[1], size=n)
    chain = np.log(planted.LIGHT_CHAIN_START) + planted.LIGHT_CHAIN_SPREAD * rng.standard_normal(n)
    rows: list[Row] = []
    for i, patient in enumerate(cohort.patients):
        rows += _course(str(patient), theta[i], float(risk[i]), float(followed[i]), float(chain[i]), planted, rng)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    part = make(table, cohort.patients, design, GRAIN)
    told = {
        "parameters": list(NAMES), "mean": list(planted.MEAN), "spread": list(planted.SPREAD),
        "by_line": list(planted.BY_LINE), "error": planted.ERROR,
        "effects": [dict(zip(("parameter", "driver", "size"), row, strict=True)) for row in planted.EFFECTS],
        "death": planted.DEATH, "death_by_line": planted.DEATH_BY_LINE,
        "death_effects": [dict(zip(("driver", "size"), row, strict=True)) for row in planted.DEATH_EFFECTS],
        "theta": np.round(theta, 4).tolist(),
    }  # fmt: skip
    return part, told


def _driver(driver: str, cohort: Cohort, truth: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """(patients,) a driver: age in decades over 65, or whether an alteration is there; unknown ones are drawn."""
    if driver == "age":
        age = cohort.clinical["age"].to_numpy(float)
        return np.where(np.isnan(age), rng.standard_normal(len(age)), (age - 65) / 10)
    share = truth["alterations"]["frequency"].get(driver, 0.1)
    drawn = (rng.random(len(cohort)) < share).astype(float)
    states = None if cohort.alterations is None else cohort.alterations.get(driver)
    return drawn if states is None else np.asarray(np.where(states.isna(), drawn, states), dtype=float)


def _course(
    patient: str, theta: np.ndarray, risk: float, followed: float, chain: float, planted: Any, rng: np.random.Generator
) -> list[Row]:
    """Rows of one patient. theta: (lines, 4); chain: log of the free light chain at diagnosis."""
    rows: list[Row] = []
    start, level, seen = 0.0, np.nan, True
    personal, deviation = planted.HAEMOGLOBIN_PATIENT * rng.standard_normal(), rng.standard_normal()
    for number, line in enumerate(planted.STATES[:-1]):
        hazard = planted.DEATH * risk * np.exp(planted.DEATH_BY_LINE * number)
        dies = start + rng.exponential(1 / hazard)
        until = min(dies, followed)
        if number == planted.LINES:
            rows.append((patient, start, STATE, line, np.nan, "", ""))
            rows += _ending(patient, start, dies, followed, planted)
            break
        gaps = planted.VISIT_DAYS + planted.JITTER_DAYS * rng.standard_normal(int((until - start) * DAYS / 20) + 2)
        time = np.append(0.0, np.cumsum(np.maximum(gaps, 14.0))) / DAYS
        lost = np.flatnonzero(rng.random(len(time)) < planted.DROP_OUT)
        if len(lost):
            time, seen_after = time[: lost[0] + 1], False
        else:
            seen_after = True
        time = np.round(time[start + time <= until], 3) if seen else np.zeros(1 if number == 0 else 0)
        own = theta[number].copy()
        if not np.isnan(level):
            own[0] = np.log(level)
        y0, p, r, s = np.exp(own[0]), 1 / (1 + np.exp(-own[1])), np.exp(own[2]), -np.exp(own[3])
        shape = kinetics.level(time * DAYS, np.float64(1.0), p, r, s)
        value = y0 * shape * np.exp(planted.ERROR * rng.standard_normal(len(time)))
        limit = planted.MEASUREMENTS[planted.M_PROTEIN]["limit"]
        value = np.maximum(np.round(value, 1), limit)
        if not np.isnan(level) and len(value):
            value[0] = level
        first = kinetics.responses(value, limit=limit)[1] if len(value) else None
        kept = len(time) if first is None else first + 1
        time, value, shape = time[:kept], value[:kept], shape[:kept]
        rows.append((patient, start, STATE, line, np.nan, "", ""))
        drugs = planted.REGIMENS[line]
        drug = str(drugs[int(rng.integers(len(drugs)))])
        rows.append((patient, start, LINE, drug, number + 1.0, "", "diagnosis" if number == 0 else "progression"))
        new = 1 if number else 0  # the value at a progression stands with the line that it ends
        rows += _values(patient, planted.M_PROTEIN, "g/l", start + time[new:], value[new:], limit)
        light = np.exp(chain) * shape * np.exp(planted.LIGHT_CHAIN_ERROR * rng.standard_normal(len(time)))
        least = planted.MEASUREMENTS[planted.LIGHT_CHAIN]["limit"]
        light = np.maximum(np.round(light), least)
        rows += _values(patient, planted.LIGHT_CHAIN, "mg/l", start + time[new:], light[new:], least)
        if len(time):
            memory = planted.HAEMOGLOBIN_MEMORY
            shocks = np.append(deviation, np.sqrt(1 - memory**2) * rng.standard_normal(len(time)))
            following = lfilter([1.0], [1.0, -memory], shocks)
            deviation = float(following[-1])
            middle = planted.HAEMOGLOBIN_MEAN[line] + personal
            blood = np.round(np.maximum(middle + planted.HAEMOGLOBIN_NOISE * following[:-1], 40.0))
        else:
            blood = np.empty(0)
        rows += _values(patient, planted.HAEMOGLOBIN, "g/l", start + time[new:], blood[new:], 0.0)
        rows += [(patient, start + t, VISIT, "", np.nan, "", "") for t in time[new:]]
        if len(time):
            category = kinetics.responses(value, limit=limit)[0]
            changed = np.flatnonzero(category[1:] != category[:-1]) + 1
            rows += [
                (patient, start + float(time[i]), RESPONSE, CATEGORIES[category[i]], np.nan, "", "") for i in changed
            ]
        if first is not None:
            start = round(start + float(time[-1]), 3)
            rows.append((patient, start, STOP, drug, number + 1.0, "", "progression"))
            level = float(value[-1])
            chain += np.log(max(float(shape[-1]), 1e-6))
            continue
        seen = seen and seen_after
        rows += _ending(patient, start + (float(time[-1]) if len(time) else 0.0), dies, followed, planted)
        break
    return rows


def _ending(patient: str, seen: float, dies: float, followed: float, planted: Any) -> list[Row]:
    """Death or the end of follow-up, not before the last time at which the patient was seen."""
    end = round(max(min(dies, followed), seen), 3)
    died: list[Row] = [(patient, end, STATE, planted.STATES[-1], np.nan, "", "")] if dies <= followed else []
    return [*died, (patient, end, END, "observed", np.nan, "", "")]


def _values(patient: str, name: str, unit: str, time: np.ndarray, value: np.ndarray, limit: float) -> list[Row]:
    return [
        (patient, float(t), MEASUREMENT, name, float(v), unit, BELOW if limit and v <= limit else "")
        for t, v in zip(time, value, strict=True)
    ]
