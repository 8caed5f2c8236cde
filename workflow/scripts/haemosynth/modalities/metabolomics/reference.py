"""The references of measurements: real, independent and uniform."""

from __future__ import annotations

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.metabolomics.measured import (
    limits_of,
    make,
    round_as_recorded,
    scale_values,
    take_logarithms,
    values_of,
)
from haemosynth.modalities.metabolomics.part import Quantities, keep_measurements, measured_of
from haemosynth.modalities.quantitative import choose_owners


def reference(kind: str, train: Cohort, given: Cohort, rng: np.random.Generator) -> Quantities:
    """A reference's measurements.

    real         the training patients' as they are
    independent  every analyte drawn alone from training patients, with its limits and its missing values, for as many
                 of the reference's patients as have measurements in train, whoever they are
    uniform      every analyte uniform over its 1-99 % range, nothing missing or at a limit, for every second patient

    given: the reference's clinical record, as `generate.reference` drew it.

    Raises:
        InputError: an unknown kind.
    """
    real = measured_of(train)
    if kind == "real":
        return keep_measurements(real)
    patients = choose_owners(kind, real, train, given, rng)
    n, values = len(patients), values_of(real)
    if kind == "independent":
        rows = rng.integers(real.n_obs, size=(n, real.n_vars))
        drawn, sides = (np.take_along_axis(table, rows, axis=0) for table in (values, limits_of(real)))
        return keep_measurements(make(drawn, sides, real, patients))
    log = take_logarithms(real)
    low, high = np.nanquantile(scale_values(values, log), [0.01, 0.99], axis=0)
    drawn_values = low + (high - low) * rng.random((n, real.n_vars))
    drawn_values[:, log] = np.exp(drawn_values[:, log])
    steps = zip(real.var["grain"].to_numpy(float), real.var["digits"].to_numpy(int), strict=True)
    for j, (grain, digits) in enumerate(steps):
        drawn_values[:, j] = round_as_recorded(drawn_values[:, j], float(grain), int(digits))
    # A step may carry the lowest values to 0, which has no logarithm.
    drawn_values[:, log] = np.maximum(drawn_values[:, log], np.nanmin(values[:, log], axis=0))
    return keep_measurements(make(drawn_values, np.zeros(drawn_values.shape, dtype=np.int8), real, patients))
