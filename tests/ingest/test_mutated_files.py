"""Good files spoilt at random end with the right cohort or with one line; never with another cohort, never otherwise.

A change that makes one valid value of another (a digit for a digit, a whole row less) cannot be seen by anyone; all
others are drawn here by a seed, in the clinical table, the mutations, the matrix of alterations and the expression.
"""

import csv
import io
from functools import cache

import numpy as np
import pandas as pd
import pytest

from haemosynth.core.errors import InputError
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.expression.ingest import ingest_expression

PATIENTS = 60
GENES = ["NPM1", "FLT3", "DNMT3A", "TET2", "IDH2", "TP53"]


@cache
def good() -> dict[str, pd.DataFrame]:
    """The tables of a small cohort as text."""
    rng = np.random.default_rng(4)
    names = [f"MM-{i:03d}" for i in range(PATIENTS)]
    clinical = pd.DataFrame({
        "PATIENT_ID": names,
        "AGE": rng.integers(31, 90, PATIENTS),
        "SEX": rng.choice(["Female", "Male"], PATIENTS),
        "WBC": np.round(rng.lognormal(2, 0.8, PATIENTS), 2) + 0.13,
        "CENTRE": rng.choice(["Köln", "Tübingen", "Graz"], PATIENTS),
        "NOTE": [f"seen on ward {i}, then at home: {'well' * (i % 4 + 1)}" for i in range(PATIENTS)],
        "OS_MONTHS": np.round(rng.exponential(30, PATIENTS), 1) + 0.3,
        "OS_STATUS": rng.choice(["0:LIVING", "1:DECEASED"], PATIENTS),
    })  # fmt: skip
    calls = [
        (gene, name, "5", str(1000 * at + rng.integers(900)), "Missense_Mutation", f"p.R{rng.integers(20, 900)}H",
         rng.integers(5, 60), rng.integers(60, 200))
        for name in names for at, gene in enumerate(GENES) if rng.random() < 0.3
    ]  # fmt: skip
    title = [
        "Hugo_Symbol", "Tumor_Sample_Barcode", "Chromosome", "Start_Position", "Variant_Classification", "HGVSp_Short",
        "t_alt_count", "t_ref_count",
    ]  # fmt: skip
    matrix = pd.DataFrame(rng.integers(0, 2, (PATIENTS, len(GENES))), columns=GENES)
    levels = pd.DataFrame(np.round(rng.lognormal(3, 1, (PATIENTS, 7)), 2) + 0.017, columns=[*GENES, "KIT"])
    return {
        "clinical": clinical.astype(str),
        "mutations": pd.DataFrame(calls, columns=title).astype(str),
        "matrix": matrix.assign(PATIENT_ID=names)[["PATIENT_ID", *GENES]].astype(str),
        "expression": levels.assign(PATIENT_ID=names)[["PATIENT_ID", *levels.columns]].astype(str),
    }


def outcome(folder, files, with_expression=True):
    """The cohort that these files give, as tables to be compared cell by cell."""
    entry = {
        "format": "tables", "path": str(folder), "endpoint": "OS", "panel": {"recurrent": {"min_carriers": 3}},
        "clinical": files["clinical"], "modalities": ["clinical", "genomic", "expression"],
        "expression": {"path": files["expression"], "values": "normalised"},
        **{part: files[part] for part in ("mutations", "matrix") if part in files},
    }  # fmt: skip
    cohort = ingest("spoilt", entry)
    ordered = sorted(cohort.clinical.columns)
    found = {
        "clinical": cohort.clinical[ordered].astype("object"),
        "kinds": pd.Series({name: cohort.schema.columns[name].kind for name in ordered}),
        "alterations": cohort.alterations[sorted(cohort.alterations)],
        "sequenced": cohort.sequenced,
        "mutations": cohort.mutations.sort_values(["patient_id", "gene", "hgvsp"]).reset_index(drop=True),
    }
    if with_expression:
        levels, _ = ingest_expression("spoilt", entry, cohort)
        found["expression"] = levels.to_df()[sorted(levels.var_names)]
    return found


def written(folder, genomic, spoilt=None, ending=".tsv", data=None):
    """The files of a cohort, one of them with other bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for part in ("clinical", genomic, "expression"):
        files[part] = f"{part}{ending if part == spoilt else '.tsv'}"
        content = data if part == spoilt else text(part)
        (folder / files[part]).write_bytes(content)
    return files


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """What the files give untouched, with mutations and with a matrix."""
    found = {}
    for genomic in ("mutations", "matrix"):
        folder = tmp_path_factory.mktemp(genomic)
        found[genomic] = outcome(folder, written(folder, genomic))
    assert len(found["mutations"]["clinical"]) == PATIENTS
    return found


def text(part, separator="\t", end="\n", quoting=csv.QUOTE_MINIMAL, table=None):
    whole = good()[part] if table is None else table
    return whole.to_csv(sep=separator, lineterminator=end, quoting=quoting, index=False).encode()


# ---- changes that a careful person reads through: (part, rng) -> the ending of the file and its bytes


def other_separator(part, rng):
    return ".csv", text(part, rng.choice([",", ";"]))


def other_line_ends(part, rng):
    return ".tsv", text(part, end=str(rng.choice(["\r\n", "\r"])))


def mixed_line_ends(part, rng):
    lines = text(part).split(b"\n")
    return ".tsv", b"".join(line + (b"\r\n" if rng.random() < 0.5 else b"\n") for line in lines[:-1])


def all_quoted(part, rng):
    return str(rng.choice([".tsv", ".csv"])), text(part, str(rng.choice(["\t", ",", ";"])), quoting=csv.QUOTE_ALL)


def columns_in_another_order(part, rng):
    table = good()[part]
    return ".tsv", text(part, table=table[rng.permutation(table.columns)])


def key_first_others_in_another_order(part, rng):
    table = good()[part]
    return ".tsv", text(part, table=table[[table.columns[0], *rng.permutation(table.columns[1:])]])


def rows_in_another_order(part, rng):
    table = good()[part]
    return ".tsv", text(part, table=table.iloc[rng.permutation(len(table))])


def byte_order_mark(part, rng):
    return ".tsv", text(part).decode().encode(str(rng.choice(["utf-8-sig", "utf-16"])))


def blank_lines(part, rng):
    lines = text(part).split(b"\n")
    lines.insert(int(rng.integers(1, len(lines))), rng.choice([b"", b"\t" * text(part).split(b"\n")[0].count(b"\t")]))
    return ".tsv", b"\n".join(lines) + b"\n\n"


def no_last_line_end(part, rng):
    return ".tsv", text(part)[:-1]


def spaces_round_values(part, rng):
    table = good()[part].map(lambda value: f" {value}{'  ' if rng.random() < 0.5 else ''}")
    return ".tsv", text(part, table=table.rename(columns=lambda name: f" {name} "))


def trailing_separators(part, rng):
    return ".tsv", b"\n".join(line + b"\t" for line in text(part).split(b"\n")[:-1]) + b"\n"


def decimal_commas(part, rng):
    table = good()[part].apply(lambda column: column.str.replace(r"^(\d+)\.(\d+)$", r"\1,\2", regex=True))
    return ".tsv", text(part, str(rng.choice([";", "\t"])), table=table)


def workbook(part, rng):
    target = io.BytesIO()
    table = good()[part] if rng.random() < 0.5 else good()[part].apply(as_numbers)
    table.to_excel(target, index=False, startrow=int(rng.integers(0, 3)))
    return ".xlsx", target.getvalue()


def parquet(part, rng):
    target = io.BytesIO()
    good()[part].apply(as_numbers).to_parquet(target, index=False)
    return ".parquet", target.getvalue()


def as_numbers(column):
    numbers = pd.to_numeric(column, errors="coerce")
    return column if numbers.isna().any() else numbers


READ_THROUGH = [
    other_separator, other_line_ends, mixed_line_ends, all_quoted, key_first_others_in_another_order,
    rows_in_another_order, byte_order_mark, blank_lines, no_last_line_end, spaces_round_values, trailing_separators,
    decimal_commas, workbook, parquet,
]  # fmt: skip


# ---- changes that may be refused


def flipped_separator(part, rng):
    return ".tsv", flipped(text(part), rng, b"\t\n", range(8))


def flipped_to_no_text(part, rng):
    return ".tsv", flipped(text(part), rng, None, [7])


def control_character(part, rng):
    data = bytearray(text(part))
    data.insert(int(rng.integers(len(data))), int(rng.choice([0, 1, 7, 8, 0x1B, 0x7F])))
    return ".tsv", bytes(data)


def flipped(data, rng, among, bits):
    places = [i for i, byte in enumerate(data) if among is None or byte in among]
    changed = bytearray(data)
    changed[int(rng.choice(places))] ^= 1 << int(rng.choice(list(bits)))
    return bytes(changed)


def cut_within_a_row(part, rng):
    """The file ends before the last separator of a row."""
    lines = text(part).split(b"\n")[:-1]
    row = int(rng.integers(1, len(lines)))
    whole = b"\n".join(lines[:row]) + b"\n"
    return ".tsv", whole + lines[row][: int(rng.integers(1, lines[row].rindex(b"\t")))]


def hole_within_a_row(part, rng):
    lines = text(part).split(b"\n")
    row = int(rng.integers(1, len(lines) - 1))
    lines[row] = lines[row][: int(rng.integers(1, lines[row].rindex(b"\t")))]
    return ".tsv", b"\n".join(lines)


def two_rows_in_one(part, rng):
    lines = text(part).split(b"\n")
    row = int(rng.integers(1, len(lines) - 2))
    lines[row : row + 2] = [lines[row] + rng.choice([b"", b"\t", b" "]) + lines[row + 1]]
    return ".tsv", b"\n".join(lines)


def other_separator_in_a_row(part, rng):
    lines = text(part).split(b"\n")
    row = int(rng.integers(0, len(lines) - 1))
    lines[row] = lines[row].replace(b"\t", rng.choice([b",", b";", b"    ", b"|"]))
    return ".tsv", b"\n".join(lines)


def unknown_separator(part, rng):
    return ".tsv", text(part, str(rng.choice(["|", ":", "~"])))


def other_encoding(part, rng):
    return ".tsv", text(part).decode().encode(str(rng.choice(["latin-1", "cp1252", "utf-16-le", "utf-32"])))


def stray_quote(part, rng):
    """At the beginning of a cell, of the free text or of a number."""
    lines = text(part).split(b"\n")
    row = int(rng.integers(1, len(lines) - 1))
    cells = lines[row].split(b"\t")
    column = 5 if part == "clinical" else len(cells) - 1
    cells[column] = b'"' + cells[column]
    lines[row] = b"\t".join(cells)
    return ".tsv", b"\n".join(lines)


def header_again(part, rng):
    lines = text(part).split(b"\n")
    lines.insert(int(rng.integers(2, len(lines) - 1)), lines[0])
    return ".tsv", b"\n".join(lines)


def row_again(part, rng):
    lines = text(part).split(b"\n")
    lines.insert(int(rng.integers(2, len(lines) - 1)), lines[1])
    return ".tsv", b"\n".join(lines)


def without_header(part, rng):
    return ".tsv", text(part).partition(b"\n")[2]


def names_lost(part, rng):
    """A name of the header is empty, or occurs twice."""
    table = good()[part]
    names = list(table.columns)
    names[int(rng.integers(len(names)))] = str(rng.choice(["", names[0], names[-1]]))
    return ".tsv", text(part, table=table.set_axis(names, axis=1))


def shifted_row(part, rng):
    """A cell too many at the beginning of a row, and none at its end."""
    lines = text(part).split(b"\n")
    row = int(rng.integers(1, len(lines) - 1))
    lines[row] = b"\t" + lines[row].rpartition(b"\t")[0]
    return ".tsv", b"\n".join(lines)


def wrong_ending(part, rng):
    ending, data = (workbook, parquet)[int(rng.integers(2))](part, rng)
    return {".xlsx": ".parquet", ".parquet": ".xlsx"}[ending] if rng.random() < 0.5 else ".tsv", data


def damaged_container(part, rng):
    ending, data = (workbook, parquet)[int(rng.integers(2))](part, rng)
    return ending, data[: int(rng.integers(1, len(data)))]


def nothing(part, rng):
    return ".tsv", [b"", b"\n\n\n", text(part).partition(b"\n")[0]][int(rng.integers(3))]


MAY_BE_REFUSED = [
    flipped_separator, flipped_to_no_text, control_character, cut_within_a_row, hole_within_a_row, two_rows_in_one,
    other_separator_in_a_row, unknown_separator, other_encoding, stray_quote, header_again, row_again, without_header,
    names_lost, shifted_row, wrong_ending, damaged_container, nothing, columns_in_another_order,
]  # fmt: skip
CHANGES = [*READ_THROUGH, *MAY_BE_REFUSED]
PARTS = ["clinical", "mutations", "matrix", "expression"]


@pytest.mark.parametrize("seed", range(132))
def test_a_spoilt_file_gives_the_right_cohort_or_one_line(tmp_path, right, seed):
    """Every change meets every part, with a place and a form of its own."""
    change, part = CHANGES[seed // len(PARTS)], PARTS[seed % len(PARTS)]
    genomic = "matrix" if part == "matrix" else "mutations"
    ending, data = change(part, np.random.default_rng(seed))
    files = written(tmp_path, genomic, part, ending, data)
    try:
        found = outcome(tmp_path, files, part in ("clinical", "expression"))
    except InputError as error:
        told = str(error)
        assert "\n" not in told
        assert "\r" not in told
        assert told.isprintable()
        assert files[part] in told or part in told or "spoilt" in told
        assert change in MAY_BE_REFUSED, told
        return
    for name, table in ((name, right[genomic][name]) for name in found):
        compare = pd.testing.assert_series_equal if isinstance(table, pd.Series) else pd.testing.assert_frame_equal
        assert set(found[name].index) == set(table.index), name
        compare(found[name].loc[table.index], table, check_dtype=False, obj=f"{change.__name__}: {name}")
