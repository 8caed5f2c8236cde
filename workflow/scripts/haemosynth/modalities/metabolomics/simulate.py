"""Measurements of simulated patients, from what the table of their disease plants (`myeloma.py`).

The logarithm of an analyte is its own median, plus its standard deviation times: effects of the record and the
alterations, a hidden module that several analytes share, and noise. Values are recorded in steps, those beyond a limit
of detection as the limit. Only a part of the patients has measurements, more in some centres; whole panels are missing
more often in older patients, single values at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.modalities.metabolomics import myeloma
from haemosynth.modalities.metabolomics.ingest import settings
from haemosynth.modalities.metabolomics.measured import HIGH, LOW, make, round_as_recorded
from haemosynth.modalities.metabolomics.part import Quantities, keep_measurements

PLANTED = {"myeloma": myeloma}
FIELDS = ("name", "unit", "panel", "module", "loading", "median", "spread", "low", "high", "step")
LEAST_NOISE = 0.5  # of an analyte, in its standard deviations


def simulate(
    name: str, entry: Mapping[str, Any], cohort: Cohort, truth: dict[str, Any], folder: Path, rng: np.random.Generator
) -> tuple[Quantities, dict[str, Any]]:
    """The measurements of a part of the patients, and their truth as plain data for JSON.

    Args:
        name: of the cohort; entry: its entry of the study. cohort: the simulated cohort; truth: what is known of it.
        folder: `resources/<disease>`, whose name says which table is planted.

    Raises:
        InputError: no table for the disease, or a setting that is not known.
    """
    chosen = settings(name, entry)
    if folder.name not in PLANTED:
        raise InputError(f"cohorts.{name}.disease: no measurements are planted for {folder.name}; {', '.join(PLANTED)}")
    planted = PLANTED[folder.name]
    table = pd.DataFrame(planted.ANALYTES, columns=list(FIELDS)).set_index("name")
    n, p = len(cohort), len(table)

    centres = cohort.clinical["centre"].astype(object).fillna("unknown").astype(str).to_numpy()
    names, centre = np.unique(centres, return_inverse=True)
    lean = planted.CENTRES * rng.standard_normal(len(names))
    share = planted.MEASURED
    present = np.flatnonzero(rng.random(n) < expit(np.log(share / (1 - share)) + lean[centre]))

    drivers = {driver: _driver(driver, cohort, truth, planted.KAPPA, rng) for driver in _drivers(planted.EFFECTS)}
    effect = np.zeros((n, p))
    for analyte, driver, size, _ in planted.EFFECTS:
        effect[:, table.index.get_loc(analyte)] += size * drivers[driver]
    modules = sorted(set(table["module"]) - {""})
    hidden = rng.standard_normal((n, len(modules)))
    loading = table["loading"].to_numpy(float)
    common = np.column_stack([hidden[:, modules.index(m)] if m else np.zeros(n) for m in table["module"]]) * loading
    noise = np.sqrt(np.maximum(1 - loading**2, LEAST_NOISE**2)) * rng.standard_normal((n, p))
    middle, spread = table["median"].to_numpy(float), table["spread"].to_numpy(float)
    values = np.exp(np.log(middle) + spread * (effect - effect.mean(axis=0) + common + noise))

    sides = np.zeros((n, p), dtype=np.int8)
    for j, (low, high, step, unit) in enumerate(zip(*(table[k] for k in ("low", "high", "step", "unit")), strict=True)):
        column = np.maximum(round_as_recorded(values[:, j], float(step), 0), step)
        column = np.minimum(column, 100.0) if unit == "%" else column
        sides[:, j] = np.where(column < low, LOW, np.where((high > 0) & (column > high), HIGH, 0))
        values[:, j] = np.where(sides[:, j] == LOW, low, np.where(sides[:, j] == HIGH, high, column))
    missing = _missing(table, cohort, planted.PANELS, rng)
    values[missing], sides[missing] = np.nan, 0
    present = present[~missing[present].all(axis=1)]
    var = table[["unit"]].copy()
    var.index = pd.Index(list(map(str, var.index)), dtype=object)
    var["scale"] = ["linear" if analyte in chosen["linear"] else chosen["scale"] for analyte in var.index]
    told = {
        "analytes": table.reset_index().to_dict("records"),
        "effects": [dict(zip(("analyte", "driver", "size", "source"), row, strict=True)) for row in planted.EFFECTS],
        "modules": {
            m: dict(zip(cohort.patients[present], np.round(hidden[present, k], 4).tolist(), strict=True))
            for k, m in enumerate(modules)
        },
        "kappa": [str(p) for p in cohort.patients[present][drivers["kappa"][present] > 0]]
        if "kappa" in drivers
        else [],
        "presence_log_odds": dict(zip(names.tolist(), lean.tolist(), strict=True)),
        "missing": {panel: list(row) for panel, row in planted.PANELS.items()},
    }
    return keep_measurements(make(values[present], sides[present], var, cohort.patients[present])), told


def _drivers(effects: Any) -> list[str]:
    return list(dict.fromkeys(driver for _, driver, _, _ in effects))


def _driver(driver: str, cohort: Cohort, truth: dict[str, Any], kappa: float, rng: np.random.Generator) -> np.ndarray:
    """(patients,) a driver: 0/1 for an event or a level, a normal score for a number; unknown ones are drawn."""
    n = len(cohort)
    if driver == "kappa":
        return np.where(rng.random(n) < kappa, 0.5, -0.5)
    if driver in truth["alterations"]["frequency"]:
        # What a patient who was not tested carries is unknown to the table, not to nature.
        drawn = (rng.random(n) < truth["alterations"]["frequency"][driver]).astype(float)
        states = None if cohort.alterations is None else cohort.alterations.get(driver)
        return drawn if states is None else np.where(states.isna(), drawn, states)
    column, _, level = driver.partition("=")
    values = cohort.clinical[column]
    if level:
        drawn = rng.random(n) < (values.astype(object) == level).sum() / max(values.notna().sum(), 1)
        return np.where(values.isna(), drawn, values.astype(object) == level).astype(float)
    rank = values.rank()
    score = ndtri((rank.to_numpy(float) - 0.5) / rank.count())
    return np.where(np.isnan(score), rng.standard_normal(n), score)


def _missing(
    table: pd.DataFrame, cohort: Cohort, panels: Mapping[str, tuple[float, float, float]], rng: np.random.Generator
) -> np.ndarray:
    """(patients, analytes) bool: whole panels by age, and single values."""
    age = cohort.clinical["age"].astype(float)
    score = ((age - age.mean()) / age.std()).fillna(0.0).to_numpy()
    missing = np.zeros((len(cohort), len(table)), dtype=bool)
    for panel, (whole, slope, single) in panels.items():
        own = np.flatnonzero(table["panel"] == panel)
        lacks = rng.random(len(cohort)) < expit(np.log(whole / (1 - whole)) + slope * score)
        missing[:, own] = lacks[:, None] | (rng.random((len(cohort), len(own))) < single)
    return missing
