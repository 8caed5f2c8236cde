"""Unit conversions against published factors; winsorising against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats.mstats import winsorize

from haemosynth.core.errors import InputError
from haemosynth.reading.preprocess import find_conversion_factor, find_winsorising_limits, unit, winsorise


@pytest.mark.parametrize(
    ("analyte", "source", "target", "factor"),
    [  # conventional to SI units: AMA Manual of Style, 11th edition, and clinical laboratories
        ("haemoglobin", "g/dL", "g/L", 10.0),
        ("haemoglobin", "g/dL", "mmol/L", 0.6206),
        ("creatinine", "mg/dL", "umol/L", 88.4),
        ("calcium", "mg/dL", "mmol/L", 0.25),
        ("albumin", "g/dL", "g/L", 10.0),
        (None, "U/L", "ukat/L", 0.0167),
        ("beta-2 microglobulin", "mg/L", "nmol/L", 84.7),
        ("bilirubin", "mg/dL", "umol/L", 17.1),
        ("urate", "mg/dL", "umol/L", 59.48),
        (None, "10^3/uL", "10^9/L", 1.0),
        (None, "/uL", "10^9/L", 0.001),
        (None, "years", "months", 12.0),
        (None, "days", "months", 1 / 30.4375),
        (None, "fraction", "%", 100.0),
    ],
)  # fmt: skip
def test_factors_are_the_published_ones(analyte: str | None, source: str, target: str, factor: float) -> None:
    found = find_conversion_factor(source, target, analyte, "here")
    assert found == pytest.approx(factor, rel=2.5e-3)
    assert find_conversion_factor(target, source, analyte, "here") * found == pytest.approx(1.0)


def test_spellings_of_a_unit_are_one() -> None:
    for text, canonical in (
        ("µmol/l", "umol/L"),
        ("IU/L", "U/L"),
        ("x10^9/L", "10^9/L"),
        ("K/uL", "10^3/uL"),
        ("Days", "days"),
    ):
        assert unit(text, "here") == canonical


def test_what_cannot_be_converted_is_told() -> None:
    with pytest.raises(InputError, match="here: unknown unit 'furlong'; expected one of g/L"):
        unit("furlong", "here")
    with pytest.raises(InputError, match=r"cannot convert g/L \(mass concentration\) to days \(time\)"):
        find_conversion_factor("g/L", "days", "albumin", "here")
    with pytest.raises(InputError, match="needs a molar mass"):
        find_conversion_factor("g/L", "mmol/L", None, "here")


def test_winsorising_clips_as_scipy_does() -> None:
    values = pd.Series(np.random.default_rng(1).permutation(201.0 * np.arange(101)))
    limits = find_winsorising_limits(values, [0.05, 0.95])
    np.testing.assert_allclose(winsorise(values, limits), np.asarray(winsorize(values.to_numpy(), (0.05, 0.05))))
    assert winsorise(pd.Series([np.nan, -1.0, 1e9]), limits).isna().tolist() == [True, False, False]
