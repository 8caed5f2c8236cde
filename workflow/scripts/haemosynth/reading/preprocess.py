"""Harmonising units, and winsorising where a study asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from haemosynth.core.errors import InputError

MONTH_DAYS = 365.25 / 12  # days of a mean month

# Each dimension: unit -> how much of the dimension's base unit one of it is.
DIMENSIONS: dict[str, dict[str, float]] = {
    "mass concentration": {
        "g/L": 1.0, "g/dL": 10.0, "mg/dL": 1e-2, "mg/L": 1e-3, "ug/mL": 1e-3, "ug/L": 1e-6, "ng/mL": 1e-6,
    },
    "amount concentration": {"mol/L": 1.0, "mmol/L": 1e-3, "umol/L": 1e-6, "nmol/L": 1e-9},
    "catalytic activity": {"U/L": 1.0, "ukat/L": 60.0},  # 1 U = 1 umol/min, 1 ukat = 1 umol/s
    "cell count": {"10^9/L": 1.0, "10^3/uL": 1.0, "/uL": 1e-3},
    "time": {"months": 1.0, "days": 1 / MONTH_DAYS, "weeks": 7 / MONTH_DAYS, "years": 12.0},
    "share": {"fraction": 1.0, "%": 1e-2},
}  # fmt: skip
SPELLINGS = {
    "iu/l": "U/L", "g/l": "g/L", "x10^9/l": "10^9/L", "10*9/l": "10^9/L", "10e9/l": "10^9/L", "10^3/mm3": "10^3/uL",
    "k/ul": "10^3/uL", "cells/ul": "/uL", "/mm3": "/uL", "percent": "%", "month": "months", "day": "days",
    "week": "weeks", "year": "years",
}  # fmt: skip
# g/mol. Haemoglobin: one chain with its haem, in which the mmol/L of clinical laboratories count (1 g/dL = 0.6206).
# Beta-2 microglobulin: 11.8 kDa, as converted in laboratories (1 mg/L = 84.7 nmol/L).
MOLAR_MASS = {
    "haemoglobin": 16_114.0, "creatinine": 113.12, "calcium": 40.078, "beta-2 microglobulin": 11_800.0,
    "bilirubin": 584.66, "urate": 168.11, "albumin": 66_437.0,
}  # fmt: skip


def unit(text: str, where: str) -> str:
    """The canonical spelling of a unit.

    Raises:
        InputError: the unit is not known.
    """
    units = [name for table in DIMENSIONS.values() for name in table]
    plain = str(text).strip().replace("µ", "u").replace("μ", "u").lower()
    known = {name.lower(): name for name in units} | SPELLINGS
    if plain not in known:
        raise InputError(f"{where}: unknown unit {text!r}; expected one of {', '.join(units)}")
    return known[plain]


def find_conversion_factor(source: str, target: str, analyte: str | None, where: str) -> float:
    """What a value in `source` is multiplied by to be in `target`.

    Args:
        analyte: a key of MOLAR_MASS; needed between mass and amount of substance, None if unknown.

    Raises:
        InputError: a unit is unknown, or the two measure different things.
    """
    source, target = unit(source, where), unit(target, where)
    dimension_of = {name: dimension for dimension, table in DIMENSIONS.items() for name in table}
    a, b = dimension_of[source], dimension_of[target]
    ratio = DIMENSIONS[a][source] / DIMENSIONS[b][target]
    if a == b:
        return ratio
    if {a, b} != {"mass concentration", "amount concentration"}:
        raise InputError(f"{where}: cannot convert {source} ({a}) to {target} ({b})")
    if analyte is None:
        raise InputError(
            f"{where}: {source} to {target} needs a molar mass, known for {', '.join(MOLAR_MASS)}; "
            f"the column's name is none of these: convert it before"
        )
    mass = MOLAR_MASS[analyte]
    return ratio / mass if a == "mass concentration" else ratio * mass


def find_winsorising_limits(values: pd.Series, quantiles: Sequence[float]) -> tuple[float, float]:
    """The two quantiles of the observed values (linear interpolation) that winsorising clips to."""
    low, high = values.quantile(list(quantiles))
    return float(low), float(high)


def winsorise(values: pd.Series, limits: tuple[float, float]) -> pd.Series:
    """Values beyond the limits moved to them (Dixon, Ann Math Stat 1960;31:385); missing stays missing."""
    return values.clip(*limits)
