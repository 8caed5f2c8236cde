"""Files as people have them: every line is accounted for, and no cell swallows its neighbours."""

import gzip
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from haemosynth.core.errors import InputError
from haemosynth.reading.raw_tables import read

ROWS = [[f"P{i:03d}", str(40 + i), "stable"] for i in range(30)]
NAMES = ["PATIENT_ID", "AGE", "NOTE"]


def text(rows: list[list[str]], separator: str, names: list[str] = NAMES) -> str:
    return "".join(separator.join(row) + "\n" for row in [names, *rows])


def with_cell(row: int, value: str, column: int = 2) -> list[list[str]]:
    rows = [list(one) for one in ROWS]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(("ending", "separator"), [("tsv", "\t"), ("csv", ","), ("csv", ";"), ("maf", "\t")])
def test_stray_quotes_swallow_nothing(ending: str, separator: str, tmp_path: Path) -> None:
    rows = with_cell(4, '"seen twice')
    rows[15][2] = '"seen again'
    rows[16][2] = '5" scar'
    rows[17][2] = 'ends with "'
    path = tmp_path / f"clinical.{ending}"
    path.write_text(text(rows, separator))
    table = read(path)
    rows[4][2], rows[15][2] = "seen twice", "seen again"
    assert table.frame.to_numpy().tolist() == rows
    assert table.reading.read == 30 == table.reading.physical - 1
    assert table.reading.repaired == {"stray quote left out": 2}
    assert list(table.rows) == list(range(2, 32))


@pytest.mark.parametrize("column", [1, 2])
def test_a_stray_quote_may_stand_in_any_column_of_neighbouring_rows(column: int, tmp_path: Path) -> None:
    rows = with_cell(4, '"one', column)
    rows[5][column] = '"two'
    path = tmp_path / "clinical.tsv"
    path.write_text(text(rows, "\t"))
    rows[4][column], rows[5][column] = "one", "two"
    assert read(path).frame.to_numpy().tolist() == rows


def test_two_stray_quotes_of_a_row_do_not_join_its_cells(tmp_path: Path) -> None:
    rows = with_cell(4, '"odd', 1)
    rows[4][2] = 'end"'
    path = tmp_path / "clinical.tsv"
    path.write_text(text(rows, "\t"))
    rows[4][1] = "odd"
    assert read(path).frame.to_numpy().tolist() == rows


def test_where_quotes_have_no_meaning_a_spreadsheet_may_have_put_them_round_cells(tmp_path: Path) -> None:
    rows = with_cell(3, '"seen')
    rows[5] = ['"P005"', '"45"', '"stable"']
    path = tmp_path / "data_clinical_patient.txt"
    path.write_text(text(rows, "\t"))
    rows[5] = ROWS[5]
    assert read(path, quoted=False).frame.to_numpy().tolist() == rows


def test_quoted_cells_keep_separators_quotes_and_line_breaks_as_spaces(tmp_path: Path) -> None:
    rows = with_cell(3, '"pale, tired"')
    rows[4][2] = '"says ""fine"""'
    rows[5][2] = '"first\n\nsecond"'
    rows[6] = ['"P006"', '"46"', '"stable"']
    path = tmp_path / "clinical.csv"
    path.write_text(text(rows, ","))
    table = read(path)
    assert table.frame["NOTE"].tolist()[3:7] == ["pale, tired", 'says "fine"', "first second", "stable"]
    assert len(table.frame) == 30
    assert table.rows[6] == 10  # the two further lines of the cell above are counted
    assert table.reading.left == {"header": 1, "line of a cell that goes on": 2}
    assert table.reading.physical == 33


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet"])
def test_a_line_break_in_the_header_is_one_space(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"clinical.{ending}"
    table = pd.DataFrame(ROWS, columns=["PATIENT_ID", "Hb\n(g/dL)", "NO\tTE\r\n 2"])
    if ending == "xlsx":
        table.to_excel(path, index=False)
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
    found = read(path)
    assert list(found.frame) == ["PATIENT_ID", "Hb (g/dL)", "NO TE 2"]
    assert found.frame.to_numpy().tolist() == ROWS


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_no_value_holds_a_tab_a_line_break_or_an_invisible_character(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"clinical.{ending}"
    rows = with_cell(3, "a\tb\nc\u00a0d\u200b\ufeff")
    table = pd.DataFrame(rows, columns=NAMES)
    if ending == "xlsx":
        table.to_excel(path, index=False)
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    assert read(path).frame["NOTE"][3] == "a b c d"


def test_a_control_character_is_damage_and_named(tmp_path: Path) -> None:
    path = tmp_path / "clinical.tsv"
    path.write_text(text(with_cell(3, "sta\x05ble"), "\t"))
    with pytest.raises(InputError, match=r"clinical.tsv, row 5: column NOTE .* U\+0005"):
        read(path)


@pytest.mark.parametrize("line", ["P003\t43", "P003\t43\tstable\tmore", "P003,43,stable"])
def test_a_row_of_another_length_is_named_and_never_filled(line: str, tmp_path: Path) -> None:
    lines = text(ROWS, "\t").split("\n")
    lines[4] = line
    path = tmp_path / "clinical.tsv"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"clinical.tsv, line 5: \d fields?, but the header has 3"):
        read(path)


def test_the_same_text_in_every_encoding_and_with_every_line_end_is_one_table(tmp_path: Path) -> None:
    content = text(with_cell(3, "Köln"), "\t")
    files = {
        "a.tsv": content.encode(), "b.tsv": content.encode("utf-8-sig"), "c.tsv": content.encode("utf-16"),
        "d.tsv": content.replace("\n", "\r\n").encode(), "e.tsv": content.replace("\n", "\r").encode(),
        "f.tsv.gz": gzip.compress(content.encode()), "g.tsv": ("#made today\n\n" + content + "\n\n").encode(),
        "h.tsv": content.replace("\n", "\t\t\n").encode(),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        table = read(tmp_path / name)
        assert table.frame.to_numpy().tolist() == with_cell(3, "Köln"), name
        assert table.reading.read + sum(table.reading.left.values()) == table.reading.physical
    assert read(tmp_path / "g.tsv").reading.left == {"comment before the header": 1, "blank line": 3, "header": 1}


def test_a_file_that_may_have_been_cut_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(text(ROWS, "\t").removesuffix("\n"))
    assert read(tmp_path / "a.tsv").reading.repaired == {"last line without a line end": 1}


def test_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(text(with_cell(3, "Köln"), "\t").encode("latin-1"))
    with pytest.raises(InputError, match=r"a.tsv, line 5: not UTF-8"):
        read(tmp_path / "a.tsv")


def test_the_separator_is_the_one_that_rows_share_with_the_header(tmp_path: Path) -> None:
    names = ["PATIENT_ID", "Hb, g/dL, EDTA", "LDH, U/L, serum"]
    path = tmp_path / "clinical.csv"
    path.write_text(text([[row[0], "9,5", row[1]] for row in ROWS], ";", names))
    assert list(read(path).frame) == names


def test_words_for_missing_are_known_and_counted(tmp_path: Path) -> None:
    words = ["'--", "--", "#N/A", "N/A", "n.d.", "[Not Available]", "unknown", "", "<NA>", "[Not Applicable]", "k.A."]
    path = tmp_path / "clinical.tsv"
    path.write_text(text([[row[0], row[1], word] for row, word in zip(ROWS, words, strict=False)], "\t"))
    table = read(path)
    assert table.frame["NOTE"].isna().all()
    assert sum(table.reading.missing.values()) == len(words) - 1
    assert table.reading.missing["[Not Available]"] == 1


def test_a_sheet_is_read_as_it_shows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["ID", "VAF", "WBC", "SEEN", None], ["A", 0.455, 0.1 + 0.2, pd.Timestamp(2019, 3, 1), None],
                [None] * 5, ["B", 0.05, 12, None, None]):  # fmt: skip
        sheet.append(row)
    for cell in sheet["B"]:
        cell.number_format = "0%"
    book.create_sheet("Legend").append(["x"])
    book.save(tmp_path / "clinical.xlsx")
    table = read(tmp_path / "clinical.xlsx")
    assert table.frame.to_numpy().tolist() == [["A", "45.5%", "0.3", "2019-03-01"], ["B", "5%", "12", None]]
    assert list(table.rows) == [2, 4]
    assert (table.reading.physical, table.reading.read) == (4, 2)
    assert table.reading.repaired["sheet not read: Legend"] == 1


def test_a_formula_without_its_value_is_no_empty_cell(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["ID", "SUM"])
    book.active.append(["A", "=1+1"])
    book.save(tmp_path / "clinical.xlsx")
    with pytest.raises(InputError, match="row 2: column 2 holds a formula"):
        read(tmp_path / "clinical.xlsx")


def test_single_precision_keeps_the_digits_it_was_written_with(tmp_path: Path) -> None:
    pd.DataFrame({"ID": ["A", "B"], "HB": np.array([9.1, np.nan], dtype="float32")}).to_parquet(tmp_path / "c.parquet")
    assert read(tmp_path / "c.parquet").frame["HB"].tolist() == ["9.1", None]
