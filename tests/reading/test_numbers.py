"""Numbers as people write them, and what is done where a sign could mean two things."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from haemosynth.reading.numbers import Plain, advice, advice_exclude, find_marks, numbers, plain, read_header_unit

POINT, COMMA, NEITHER = frozenset("."), frozenset(","), frozenset[str]()


def written(cells: list[str | None], file: frozenset[str] = POINT, name: str = "LDH", **declared: Any) -> Plain:
    return plain(name, pd.Series(cells, dtype="object"), file, declared, f"clinical.tsv: column {name}")


def read(cells: list[str | None], file: frozenset[str] = POINT, name: str = "LDH", **declared: Any) -> list[float]:
    made = written(cells, file, name, **declared)
    assert made.doubt is None, made.doubt
    return [float(value) for value in made.text]


@pytest.mark.parametrize(
    ("cells", "file", "expected"),
    [
        (["19,2", "8,6", "10,973"], NEITHER, [19.2, 8.6, 10.973]),
        (["1.234", "87", "356", "990"], COMMA, [1234, 87, 356, 990]),
        (["1,234", "87", "356", "990"], POINT, [1234, 87, 356, 990]),
        (["1,234", "87", "1500", "990"], POINT, [1234, 87, 1500, 990]),
        (["1.234,5", "87", "1.356"], NEITHER, [1234.5, 87, 1356]),
        (["1,234.5", "87", "1,356"], NEITHER, [1234.5, 87, 1356]),
        (["1.234.567", "1.234", "87"], NEITHER, [1234567, 1234, 87]),
        (["1 234", "1 234,5", "87"], NEITHER, [1234, 1234.5, 87]),
        (["1'234", "87", "3"], NEITHER, [1234, 87, 3]),
        (["0,123", "1,234", "2,345"], NEITHER, [0.123, 1.234, 2.345]),
        (["1.234", "2.345", "3.456"], POINT, [1.234, 2.345, 3.456]),
        (["1.234", "2.345", "3.456"], NEITHER, [1.234, 2.345, 3.456]),
        (["1,2E+03", "5,5", "\u22129"], NEITHER, [1200, 5.5, -9]),
        (["~5", "ca. 6", "7"], POINT, [5, 6, 7]),
    ],
)
def test_decimals_and_thousands(cells: list[str | None], file: frozenset[str], expected: list[float]) -> None:
    assert read(cells, file) == expected


@pytest.mark.parametrize(
    ("cells", "file"),
    [
        (["1.234", "87", "356", "990"], NEITHER),
        (["1.234", "87", "356", "990"], POINT),
        (["1,234", "87", "356", "990"], NEITHER),
        (["1,234", "2,345", "3,456"], NEITHER),
        (["1,234", "87", "356", "990"], POINT | COMMA),
    ],
)
def test_an_open_sign_gives_both_readings_and_advice_that_decides(
    cells: list[str | None], file: frozenset[str]
) -> None:
    doubt = written(cells, file, "LDH (U/L)").doubt
    assert doubt is not None
    assert "1.234 (" in doubt
    assert "1234 (" in doubt
    assert "column LDH" in doubt
    for reading in (part for part in doubt.split("`")[1::2]):
        declared = yaml.safe_load(reading)["columns"]["LDH (U/L)"]
        value = read(cells, file, "LDH (U/L)", **declared)[0]
        assert value == (1.234 if declared["decimal"] == str(cells[0])[1] else 1234)


def test_the_file_tells_its_decimal_sign_from_columns_of_numbers_alone() -> None:
    german = [pd.Series(["19,2", "8,6"]), pd.Series(["1.234", "87"]), pd.Series(["46,XX", "47,XY"])]
    assert find_marks(german) == COMMA
    assert find_marks([*german, pd.Series(["0.5", "0.6"])]) == COMMA | POINT
    assert find_marks([pd.Series(["01.02.2019", "3.2.2018"]), pd.Series([None, None], dtype="object")]) == NEITHER


def test_units_in_cells_are_read_and_converted_to_one() -> None:
    made = written(["11.7 g/dL", "117 g/L", "9.3 g/dl", "10.1"], name="HB")
    assert [float(value) for value in made.text] == [11.7, 11.7, 9.3, 10.1]
    assert made.unit == "g/dL"
    assert any("1 values in g/L converted" in note for note in made.notes)
    assert any("1 values without a unit" in note for note in made.notes)
    assert written(["117 g/L", "93 g/L"], name="Hb (g/dL)").text.astype(float).tolist() == [11.7, 9.3]
    assert written(["19,2 x10^9/L", "4 10^9/L"]).unit == "10^9/L"
    assert written(["5 g/dL", "6 U/L"]).doubt is not None


def test_percentages_are_per_cent_whether_or_not_each_cell_says_so() -> None:
    made = written(["45 %", "7%", "90", None], name="BLASTS")
    assert (made.text.dropna().astype(float).tolist(), made.unit) == ([45, 7, 90], "%")
    doubt = written(["0.45", "45%", "12%"], name="BLASTS").doubt
    assert doubt is not None
    assert "0.45 %" in doubt
    assert "45 %" in doubt


@pytest.mark.parametrize("sign", ["<", "< ", "\u2264", "<=", "&lt;", "less than "])
def test_a_lower_limit_of_detection_stands_at_the_limit(sign: str) -> None:
    made = written([f"{sign}0,6", "3,1", "9", "12", f"{sign}0,6", None], COMMA)
    assert made.text.tolist() == ["0.6", "3.1", "9", "12", "0.6", None]
    assert made.limits is not None
    assert made.limits.tolist() == ["low", None, None, None, "low", None]


@pytest.mark.parametrize("cell", [">89", "> 89", "\u226589", "89+", "89 or older", "89 years and older"])
def test_an_upper_limit_is_known_in_all_its_forms(cell: str) -> None:
    made = written([cell, "61 years", "48 years", "75 years"], name="AGE")
    assert made.text.tolist() == ["89", "61", "48", "75"]
    assert made.limits is not None
    assert made.limits.tolist() == ["high", None, None, None]


@pytest.mark.parametrize(
    "levels", [["<60", ">=60"], ["0", "1+", "2+", "3+"], ["<5", "5-10", ">10"], ["M0", "M1"], ["1st", "2nd"], ["46,XX"]]
)
def test_classes_are_no_numbers(levels: list[str | None]) -> None:
    made = written(levels * 10)
    assert made.text.tolist() == levels * 10
    assert made.limits is None


def test_advice_is_yaml_for_every_name_and_word() -> None:
    names = ["LDH", "Hb (g/dL)", "t(4;14)", "del(5q)", "+8", "no", "a: b", "CYTO_*", "#1", "1"]
    for name in names:
        declared: Mapping[str, Any] = {"missing": ["'--", ">89", "#N/A", "no", 999, "a, b", "[x]"], "decimal": ","}
        line = advice(name, **declared)
        assert "\n" not in line
        assert yaml.safe_load(line) == {"columns": {name: declared}}
    assert yaml.safe_load(advice_exclude(*names)) == {"exclude": names}
    assert yaml.safe_load(advice("LDH", decimal=".")) == {"columns": {"LDH": {"decimal": "."}}}


def test_a_number_alone_is_read_only_where_it_is_clear() -> None:
    found = numbers(pd.Series(["0,35", "12", "1,234", "x", None, "inf", "<5"], dtype="object"))
    np.testing.assert_array_equal(found, [0.35, 12, np.nan, np.nan, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("name", "unit"),
    [("Hb (g/dL)", "g/dL"), ("HB_G_DL", "g/dL"), ("LDH, U/L", "U/L"), ("BLASTS %", "%"), ("LDH", None), ("AGE", None)],
)
def test_units_in_headers(name: str, unit: str | None) -> None:
    assert read_header_unit(name) == unit
