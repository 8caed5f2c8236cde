"""Kinds, groups, units, grains and orders that a column's name and values tell."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from haemosynth.core.schema import Column
from haemosynth.modalities.clinical.ingest.infer import find_group, infer, order_levels
from haemosynth.reading.resolution import DAY, TIME_STEPS, find_grain, observe
from haemosynth.reading.source import Raw


def column(name: str, values: list[str | None], **declared: Any) -> tuple[Column, pd.Series]:
    index = pd.Index([f"P{i}" for i in range(len(values))])
    raw = Raw(
        pd.DataFrame({name: pd.Series(values, index=index, dtype="object")}),
        {name: Path("clinical.tsv")},
        {Path("clinical.tsv"): pd.Series(range(2, len(values) + 2), index=index)},
    )
    found = infer(name, raw, declared, f"columns.{name}")
    assert not isinstance(found, str), found
    return found


@pytest.mark.parametrize(
    ("name", "values", "kind", "categories"),
    [
        ("AGE", ["61", "48", "75"], "integer", ()),
        ("HB", ["9.1", "10", "7.5"], "continuous", ()),
        ("SEX", ["Male", "Female", "Male"], "binary", ("Female", "Male")),
        ("TRANSPLANT", ["1.0", "0", "1"], "binary", ("0", "1")),
        ("RACE", ["White", "Asian", "Black"], "categorical", ("Asian", "Black", "White")),
        ("ECOG", ["E2", "E0", "E1"], "ordinal", ("E0", "E1", "E2")),
        ("ECOG", ["2", "0", "1"], "ordinal", ("0", "1", "2")),
        ("ISS", ["III", "I", "II"], "ordinal", ("I", "II", "III")),
        ("STAGE", ["Stage II", "Stage IV", "Stage I"], "ordinal", ("Stage I", "Stage II", "Stage IV")),
        ("IPSSR", ["High", "Very low", "Intermediate"], "ordinal", ("Very low", "Intermediate", "High")),
        ("IPSS", ["Int-2", "Low", "Int-1"], "ordinal", ("Low", "Int-1", "Int-2")),
        ("FIBROSIS", ["Grade 3", "Grade 1", "Grade 2"], "ordinal", ("Grade 1", "Grade 2", "Grade 3")),
        ("FAB", ["M2", "M0", "M4"], "categorical", ("M0", "M2", "M4")),
        ("CENTRE", ["C10", "C2", "C1"], "categorical", ("C1", "C10", "C2")),
        ("SITE", ["Ulm ", "ulm", "Ulm", "Rome"], "binary", ("Rome", "Ulm")),
    ],
)
def test_kinds_and_levels(name: str, values: list[str | None], kind: str, categories: tuple[str, ...]) -> None:
    found, _ = column(name, [value.strip() if value else value for value in values])
    assert (found.kind, found.categories) == (kind, categories)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AGE_AT_DIAGNOSIS", "demographic"), ("Beta-2 microglobulin", "laboratory"), ("BM_BLASTS", "laboratory"),
        ("INDUCTION_RESPONSE", "outcome"), ("INDUCTION_REGIMEN", "treatment"), ("R_ISS", "disease"),
        ("HCT_CI", "comorbidity"), ("ELN_2017", "disease"), ("AVERAGE", "other"), ("STRANGE", "other"),
    ],
)  # fmt: skip
def test_groups_go_by_whole_words(name: str, expected: str) -> None:
    assert find_group(name) == expected


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("HEMOGLOBIN", ["9.5", "10.1", "8.8"], "g/dL"),
        ("Haemoglobin", ["95", "101", "88"], "g/L"),
        ("HB", ["27", "28", "29"], None),  # neither range: not told
        ("CREATININE", ["88", "101", "140"], "umol/L"),
        ("CREATININE", ["0.9", "1.1", "2"], "mg/dL"),
        ("ALBUMIN", ["38", "41", "30"], "g/L"),
        ("FERRITIN [ug/L]", ["300", "410", "30"], "ug/L"),
        ("CRP_MG_L", ["3.5", "41", "30"], "mg/L"),
    ],
)
def test_units_are_told_by_name_and_range(name: str, values: list[str | None], unit: str | None) -> None:
    assert column(name, values)[0].unit == unit


def test_declarations_stand_above_inference_and_are_listed() -> None:
    found, values = column(
        "ECOG", ["0", "1", "9", "2"], kind="ordinal", categories=[2, 1, 0], missing=[9], group="other"
    )
    assert found == Column(
        "ordinal", group="other", categories=("2", "1", "0"), declared=("kind", "group", "categories")
    )
    assert values.isna().tolist() == [False, False, True, False]
    limits, _ = column("BM_BLASTS", ["5", "40"], low=0, high=100)
    assert (limits.low, limits.high, limits.declared) == (0.0, 100.0, ("low", "high"))


def test_grain_is_the_step_of_most_values() -> None:
    rng = np.random.default_rng(1)
    for step in (10.0, 5.0, 1.0, 0.5, 0.1, 0.01):
        assert find_grain(pd.Series(np.rint(rng.uniform(20, 400, 500) / step) * step)) == step
    assert find_grain(pd.Series(rng.normal(size=500))) is None
    assert find_grain(pd.Series([50.0, 100.0, 20.0])) == 1.0  # three values do not make a step of ten
    assert find_grain(pd.Series([np.nan])) is None


def test_times_in_days_show_the_day_as_their_grain() -> None:
    days = np.random.default_rng(2).integers(1, 5000, 400)
    written = pd.Series([float(f"{d * 12 / 365.25:.6g}") for d in days])
    assert find_grain(written, TIME_STEPS) == DAY
    assert find_grain(written.round(1), TIME_STEPS) == 0.1
    assert find_grain(written.round(), TIME_STEPS) == 1.0


def test_observing_other_patients_keeps_what_is_declared() -> None:
    before = Column("continuous", low=0.0, high=99.0, grain=0.1, declared=("low",))
    after = observe(before, pd.Series([3.0, 7.0, np.nan]))
    assert (after.low, after.high, after.grain) == (0.0, 7.0, 1.0)
    levels = observe(Column("ordinal", categories=("I", "II", "III")), pd.Series(["III", "I"]))
    assert levels.categories == ("I", "III")


def test_an_order_is_never_invented() -> None:
    assert order_levels("COLOUR", ["red", "green", "blue"]) is None
    assert order_levels("ARM", ["A1", "A2", "A3"]) is None
    assert order_levels("RISK", ["Low", "High"]) is None  # two levels are binary
