"""A measured table as the pipeline holds it: an AnnData with one row per patient and one column per analyte.

X                float64 values as recorded, NaN where nothing was; a value beyond a limit of detection is at it
layers["limit"]  int8: -1 at or below a lower limit (<0.6), 1 at or above an upper one (>90), 0 a value or nothing
var["unit"]      as written, "" where none is known
var["scale"]     log or linear: on which scale patients are compared
var["grain"], var["digits"]   step, or else significant digits, in which training patients were recorded; 0: none
var["middle"], var["spread"]  mean and standard deviation among training patients, on that scale
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix, Vector
from haemosynth.core.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

SCALES = ("log", "linear")
LEAST_PATIENTS = 10  # with measurements in train, below which nothing is learned
LEAST_VALUES = 10  # of an analyte among training patients, within its limits
MOST_DIGITS = 4
RECORDED = 0.9  # share of values that show a step or a number of digits
LOW, HIGH = -1, 1
LEAST_SPREAD = 1e-9


def values_of(data: AnnData) -> Matrix:
    """(patients, analytes) values as recorded, NaN where there is none."""
    return np.asarray(data.X, dtype=np.float64)


def limits_of(data: AnnData) -> np.ndarray:
    """(patients, analytes) int8: on which side of a limit of detection a value is."""
    return np.asarray(data.layers["limit"], dtype=np.int8)


def take_logarithms(data: AnnData) -> np.ndarray:
    """(analytes,) whether an analyte is compared by its logarithm."""
    return np.asarray(data.var["scale"].astype(str) == "log")


def format_texts(data: AnnData, column: str) -> list[str]:
    """A column of var as texts."""
    return [str(text) for text in data.var[column]]


def scale_values(values: Matrix, log: np.ndarray) -> Matrix:
    """Values on the scale on which they are compared."""
    found = np.array(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found[:, log] = np.log(found[:, log])
    return found


def levels(data: AnnData) -> Matrix:
    """(patients, analytes) standard deviations of training patients from their mean, NaN where nothing was recorded."""
    middle, spread = (data.var[name].to_numpy(dtype=float) for name in ("middle", "spread"))
    return np.asarray((scale_values(values_of(data), take_logarithms(data)) - middle) / spread)


def learn(train: AnnData, holdout: AnnData) -> tuple[AnnData, AnnData]:
    """Train and holdout with what is learned from train alone: analytes kept, their scale, and how they were recorded.

    Analytes with fewer than `LEAST_VALUES` values within their limits, or with one value alone, are left out.

    Raises:
        InputError: too few training patients have measurements, or no analyte is left.
    """
    if train.n_obs < LEAST_PATIENTS:
        raise InputError(
            f"metabolomics: {train.n_obs} training patients have measurements; a model needs {LEAST_PATIENTS} or more"
        )
    within = np.where(limits_of(train) == 0, values_of(train), np.nan)
    known = (~np.isnan(within)).sum(axis=0)
    kept = [
        j for j in range(train.n_vars) if known[j] >= LEAST_VALUES and np.nanmin(within[:, j]) < np.nanmax(within[:, j])
    ]
    if not kept:
        raise InputError(
            f"metabolomics: no analyte has {LEAST_VALUES} values within its limits of detection among training patients"
        )
    parts = [part[:, kept].copy() for part in (train, holdout)]
    level = scale_values(values_of(parts[0]), take_logarithms(parts[0]))
    steps = [find_resolution(column[~np.isnan(column)]) for column in within[:, kept].T]
    for part in parts:
        part.var["middle"] = np.nanmean(level, axis=0)
        part.var["spread"] = np.maximum(np.nanstd(level, axis=0), LEAST_SPREAD)
        part.var["grain"] = np.array([grain for grain, _ in steps], dtype=float)
        part.var["digits"] = np.array([digits for _, digits in steps], dtype=np.int64)
    return parts[0], parts[1]


def find_resolution(values: Vector) -> tuple[float, int]:
    """The step of recorded values and their significant digits; 0 for what they do not show. values: without NaN."""
    from haemosynth.reading.resolution import find_grain

    step = find_grain(pd.Series(values), share=RECORDED)
    if step is not None:
        return step, 0
    for digits in range(1, MOST_DIGITS + 1):
        if (np.abs(_significant(values, digits) - values) <= 1e-9 * np.abs(values)).mean() >= RECORDED:
            return 0.0, digits
    return 0.0, 0


def round_as_recorded(values: Vector, grain: float, digits: int) -> Vector:
    """Values as they would have been recorded."""
    if grain:
        places = max(0, -int(np.floor(np.log10(grain) + 1e-9))) + 1
        return np.asarray(np.round(np.rint(values / grain) * grain, places))
    return _significant(values, digits) if digits else values


def spread_evenly(values: Vector, grain: float, digits: int, rng: np.random.Generator) -> Vector:
    """Values spread over the steps in which they were recorded, so that equal ones are no ties."""
    step = grain * np.ones(len(values))
    if not grain and digits:
        size = np.floor(np.log10(np.maximum(np.abs(values), 1e-300)))
        step = 10.0 ** (size - digits + 1)
    return np.asarray(values + step * (rng.random(len(values)) - 0.5) * 0.999)


def _significant(values: Vector, digits: int) -> Vector:
    return np.array([float(f"{value:.{digits - 1}e}") for value in values], dtype=np.float64)


def make(values: Matrix, limits: np.ndarray, like: AnnData | pd.DataFrame, patients: pd.Index) -> AnnData:
    """Measurements of these patients: analytes and declarations of `like`, no value of it."""
    import anndata

    var = (like if isinstance(like, pd.DataFrame) else like.var).copy()
    obs = pd.DataFrame(index=pd.Index(patients, dtype=object).rename(None))
    return anndata.AnnData(
        np.asarray(values, dtype=np.float64), obs, var, layers={"limit": np.asarray(limits, dtype=np.int8)}
    )
