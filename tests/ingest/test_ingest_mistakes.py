"""Every mistake of a user gives one line that names the place."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fixtures_sources import cbioportal, clinical_table, mutation_table, tables, write

from haemosynth.core.errors import InputError
from haemosynth.modalities.clinical.ingest import ingest


def fails(source: dict[str, Any], *words: str) -> str:
    with pytest.raises(InputError) as caught:
        ingest("mine", source)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line, f"{word!r} is not in: {line}"
    return line


def changed(position: int, column: str, value: str | None) -> pd.DataFrame:
    table = clinical_table()
    table.loc[position, column] = value
    return table


# Mistakes in the entry of the study: (changes of the entry, what the line must say).
ENTRIES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown key": ({"endpoints": "OS"}, ("cohorts.mine", "'endpoints'", "did you mean 'endpoint'")),
    "no endpoint": ({"endpoint": None}, ("cohorts.mine", "'endpoint' is missing")),
    "empty path": ({"path": ""}, ("'path' is missing or empty",)),
    "variable not set": ({"path": "$NOT_SET/x"}, ("$NOT_SET/x", "environment variable")),
    "missing folder": ({"path": "/nowhere/at/all"}, ("/nowhere/at/all", "no such file or folder")),
    "unknown format": ({"format": "redcap"}, ("unknown format 'redcap'", "cbioportal, tables")),
    "unknown modality": ({"modalities": ["clinical", "proteomic"]}, ("modalities", "'proteomic'")),
    "no clinical modality": ({"modalities": ["genomic"]}, ("clinical is missing",)),
    "unknown endpoint": ({"endpoint": "EFS"}, ("EFS needs the column EFS_MONTHS", "PFS")),
    "unknown secondary": ({"endpoint": ["OS", "TTP"]}, ("TTP needs the column TTP_MONTHS",)),
    "unknown milestone": ({"milestones": {"CR": "CR_MONTHS"}}, ("milestones: CR", "no column CR_MONTHS")),
    "exclude unknown": ({"exclude": ["CENTER"]}, ("exclude", "no column CENTER", "did you mean 'CENTRE'")),
    "exclude endpoint": ({"exclude": ["OS_STATUS"]}, ("OS_STATUS", "OS_event")),
    "declare unknown": ({"columns": {"AGES": {"low": 0}}}, ("columns", "no column AGES", "did you mean 'AGE'")),
    "unknown attribute": ({"columns": {"AGE": {"units": "y"}}}, ("columns.AGE", "'units'", "did you mean 'unit'")),
    "unknown kind": ({"columns": {"AGE": {"kind": "number"}}}, ("columns.AGE", "kind 'number'", "continuous")),
    "unknown group": ({"columns": {"AGE": {"group": "patient"}}}, ("columns.AGE", "group 'patient'", "demographic")),
    "limit is text": ({"columns": {"AGE": {"low": "zero"}}}, ("columns.AGE", "low is 'zero'", "a number")),
    "unknown unit": (
        {"columns": {"HEMOGLOBIN": {"convert": {"from": "g/dL", "to": "stone"}}}},
        ("columns.HEMOGLOBIN", "unknown unit 'stone'"),
    ),
    "no molar mass": ({"columns": {"AGE": {"convert": {"from": "g/L", "to": "mol/L"}}}}, ("columns.AGE", "molar mass")),
    "other dimension": ({"columns": {"LDH": {"convert": {"from": "U/L", "to": "g/L"}}}}, ("U/L", "cannot convert")),
    "unknown rule": (
        {"columns": {"RISK": {"derived": "ipss(AGE)"}}},
        ("columns.RISK", "unknown rule 'ipss'", "count_at_least"),
    ),
    "rule of nothing": ({"columns": {"RISK": {"derived": "present(NOTHING)"}}}, ("RISK", "NOTHING")),
    "below the limit": ({"columns": {"AGE": {"low": 60}}}, ("column AGE", "patient P", "beyond the declared low 60")),
    "not whole": (
        {"columns": {"HEMOGLOBIN": {"kind": "integer"}}},
        ("column HEMOGLOBIN", "patient P", "not a whole number"),
    ),
    "text declared a number": (
        {"columns": {"SEX": {"kind": "continuous"}}},
        ("clinical.tsv, row 2, patient P000", "column SEX", "is not a number"),
    ),
    "binary of three": ({"columns": {"CENTRE": {"kind": "binary"}}}, ("column CENTRE", "East, North, South")),
    "ordinal without order": ({"columns": {"CENTRE": {"kind": "ordinal"}}}, ("column CENTRE", "declare `categories`")),
    "level not declared": (
        {"columns": {"CENTRE": {"categories": ["North", "South"]}}},
        ("column CENTRE", "'East'", "North, South"),
    ),
    "alterations unknown": ({"alterations": ["CYTO_MINUS7"]}, ("alterations", "CYTO_MINUS7", "'CYTO_PLUS8'")),
    "alteration of words": ({"alterations": ["CENTRE"]}, ("column CENTRE", "patient P000", "neither yes nor no")),
    "alteration twice": (
        {"alterations": ["CYTO_PLUS8"], "variants": {"CYTO_PLUS8": {"gene": "FLT3", "protein": "ITD"}}},
        ("CYTO_PLUS8", "both of the clinical table and of the mutations"),
    ),
    "sequenced unknown": ({"sequenced": "WES"}, ("sequenced", "no column WES")),
    "sequenced of words": ({"sequenced": "CENTRE"}, ("column CENTRE", "neither yes nor no")),
    "stratify unknown": ({"stratify": "TRIAL"}, ("stratify", "column TRIAL is not there")),
    "stratify excluded": ({"stratify": "SEX", "exclude": ["SEX"]}, ("column SEX is left out",)),
    "winsorise levels": ({"winsorise": {"SEX": [0.01, 0.99]}}, ("winsorise", "SEX is no column of numbers")),
    "winsorise reversed": ({"winsorise": {"LDH": [0.99, 0.01]}}, ("winsorise.LDH", "[0.99, 0.01]")),
    "gene without carrier": ({"panel": ["TP53", "NPM2"]}, ("panel", "NPM2", "did you mean 'NPM1'")),
    "panel of nothing": ({"panel": {"recurrent": {"min_carriers": 10_000}}}, ("panel", "no gene is left")),
    "panel misspelt": ({"panel": {"recurring": 10}}, ("panel", "recurring")),
    "variant without row": (
        {"variants": {"X": {"gene": "TP53", "protein": "ITD"}}},
        ("variants.X", "no mutation of TP53"),
    ),
    "endpoint twice": ({"endpoint": ["OS", "OS"]}, ("cohorts.mine", "endpoint OS is named twice")),
    "variant without gene": ({"variants": {"X": "ITD"}}, ("variants.X", "regular expression")),
    "patient column": ({"id": "UPN"}, ("clinical.tsv", "patient column UPN is missing")),
    "file not there": ({"mutations": "calls.maf"}, ("calls.maf", "no such file")),
}  # fmt: skip


@pytest.mark.parametrize("case", ENTRIES)
def test_a_mistake_in_the_study_is_told_in_one_line(case: str, tmp_path: Path) -> None:
    changes, words = ENTRIES[case]
    fails({**tables(tmp_path), **changes}, *words)


# Mistakes in the clinical table: (table, changes of the entry, what the line must say).
TABLES: dict[str, tuple[Callable[[], pd.DataFrame], dict[str, Any], tuple[str, ...]]] = {
    "duplicate patient": (
        lambda: changed(7, "PATIENT_ID", "P003"),
        {},
        ("clinical.tsv, row 9", "patient P003 occurs more than once"),
    ),
    "patient without id": (lambda: changed(7, "PATIENT_ID", ""), {}, ("clinical.tsv, row 9", "PATIENT_ID is empty")),
    "negative time": (
        lambda: changed(4, "OS_MONTHS", "-3"),
        {},
        ("clinical.tsv, row 6, patient P004", "column OS_MONTHS", "-3 is negative"),
    ),
    "time of words": (lambda: changed(4, "OS_MONTHS", "long"), {}, ("patient P004", "OS_MONTHS", "'long'")),
    "event of words": (lambda: changed(4, "OS_STATUS", "moved"), {}, ("patient P004", "OS_STATUS", "'moved'")),
    "event of two": (lambda: changed(4, "OS_STATUS", "2"), {}, ("patient P004", "OS_STATUS", "'2' is no event")),
    "all censored": (lambda: clinical_table().assign(OS_STATUS="0:LIVING"), {}, ("OS_STATUS", "none of 120 patients")),
    "no patient": (lambda: clinical_table().iloc[:0], {}, ("clinical.tsv", "no patient")),
    "declared column empty": (
        lambda: clinical_table().assign(LDH=""),
        {"columns": {"LDH": {"unit": "U/L"}}},
        ("clinical.tsv: column LDH", "no patient has a value"),
    ),
    "number column with a word": (
        lambda: changed(11, "HEMOGLOBIN", "clotted"),
        {},
        ("clinical.tsv, row 13, patient P011", "HEMOGLOBIN", "'clotted'", "missing: [clotted]"),
    ),
    "second endpoint too late": (
        lambda: changed(5, "PFS_MONTHS", "500"),
        {"endpoint": ["OS", "PFS"]},
        ("patient P005", "PFS_MONTHS", "500 months", "repair: true"),
    ),
    "sequenced unclear": (lambda: changed(5, "SEQUENCED", "partly"), {}, ("patient P005", "SEQUENCED", "'partly'")),
    "column twice": (
        lambda: clinical_table().rename(columns={"LDH": "AGE"}),
        {},
        ("clinical.tsv", "column AGE occurs twice"),
    ),
    "empty alteration": (
        lambda: clinical_table().assign(CYTO_PLUS8=""),
        {"alterations": ["CYTO_*"]},
        ("CYTO_PLUS8", "no patient has a value"),
    ),
    "carrier not sequenced": (
        lambda: clinical_table().assign(SEQUENCED="No"),
        {},
        ("clinical.tsv: column SEQUENCED", "has mutations", "not sequenced", "such patients"),
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_mistake_in_the_clinical_table_is_told_in_one_line(case: str, tmp_path: Path) -> None:
    table, changes, words = TABLES[case]
    fails({**tables(tmp_path, clinical=table()), **changes}, *words)


def with_row(**values: str) -> pd.DataFrame:
    table = mutation_table(clinical_table())
    for column, value in values.items():
        table[column] = table.get(column, pd.Series("", index=table.index))
        table.loc[2, column] = value
    return table


MUTATIONS: dict[str, tuple[Callable[[], pd.DataFrame], tuple[str, ...]]] = {
    "unknown patient": (
        lambda: with_row(Tumor_Sample_Barcode="P999"),
        ("mutations.tsv, row 4", "'P999' is not in the clinical table"),
    ),
    "no gene column": (
        lambda: mutation_table(clinical_table()).drop(columns="Hugo_Symbol"),
        ("mutations.tsv", "Hugo_Symbol is missing"),
    ),
    "no sample column": (
        lambda: mutation_table(clinical_table()).drop(columns="Tumor_Sample_Barcode"),
        ("mutations.tsv", "Tumor_Sample_Barcode is missing"),
    ),
    "no gene at all": (
        lambda: mutation_table(clinical_table()).assign(Hugo_Symbol="Unknown"),
        ("mutations.tsv, row 2", "column Hugo_Symbol", "no gene symbols", "such as NPM1"),
    ),
    "row without sample": (
        lambda: with_row(Tumor_Sample_Barcode=""),
        ("mutations.tsv, row 4", "Tumor_Sample_Barcode is empty"),
    ),
    "negative reads": (lambda: with_row(t_alt_count="-5"), ("row 4", "t_alt_count", "'-5' is negative")),
    "reads of words": (lambda: with_row(t_ref_count="many"), ("row 4", "t_ref_count", "'many' is not a number")),
    "half a read": (lambda: with_row(t_ref_count="7.5"), ("row 4", "t_ref_count", "'7.5' is not a whole number")),
    "frequency in per cent": (lambda: with_row(VAF="35"), ("row 4", "column VAF", "'35'", "0 to 1")),
    "reads above depth": (lambda: with_row(t_depth="1"), ("row 4", "t_alt_count", "above t_depth 1")),
}


@pytest.mark.parametrize("case", MUTATIONS)
def test_a_mistake_in_the_mutations_is_told_in_one_line(case: str, tmp_path: Path) -> None:
    table, words = MUTATIONS[case]
    fails(tables(tmp_path, mutations=table()), *words)


def test_an_unreadable_kind_of_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "clinical.sav").write_text("x")
    fails(
        {"format": "tables", "path": str(tmp_path / "clinical.sav"), "endpoint": "OS"}, "clinical.sav", "'.sav'", ".csv"
    )


@pytest.mark.parametrize("ending", ["parquet", "xlsx"])
def test_a_damaged_file_is_named(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"clinical.{ending}"
    path.write_text("not what the ending says")
    fails(
        {"format": "tables", "path": str(path), "endpoint": "OS"}, f"clinical.{ending}", f"cannot be read as {ending}"
    )


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    path.write_bytes("patient_id,OS_MONTHS,OS_STATUS,CITY\nA,1,1,Köln\n".encode("latin-1"))
    fails({"format": "tables", "path": str(path), "endpoint": "OS"}, "clinical.csv", "UTF-8")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    path.write_text("")
    fails({"format": "tables", "path": str(path), "endpoint": "OS"}, "clinical.csv", "empty")


def test_a_row_with_too_many_fields_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    path.write_text("patient_id,OS_MONTHS,OS_STATUS\nA,1,1\nB,2,0,9\n")
    fails({"format": "tables", "path": str(path), "endpoint": "OS"}, "clinical.csv", "line 3")


def test_two_clinical_tables_are_not_guessed_between(tmp_path: Path) -> None:
    source = tables(tmp_path)
    write(clinical_table(), tmp_path / "clinical.csv")
    fails(source, "clinical.csv", "clinical.tsv", "clinical:")


def test_a_genomic_cohort_needs_mutations(tmp_path: Path) -> None:
    source = tables(tmp_path)
    (tmp_path / "mutations.tsv").unlink()
    fails({**source, "modalities": ["clinical", "genomic"]}, "no mutations", "modalities: [clinical]")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"patient_id": "P999", "TP53": "1"}, ("alterations.csv, row 4", "'P999' is not in the clinical table")),
        ({"patient_id": "P005", "TP53": "2"}, ("alterations.csv, row 4", "patient P005", "column TP53", "'2'")),
        ({"patient_id": "P001", "TP53": "1"}, ("alterations.csv, row 4", "patient P001 occurs more than once")),
    ],
)
def test_a_mistake_in_the_matrix_is_told_in_one_line(
    row: dict[str, str], words: tuple[str, ...], tmp_path: Path
) -> None:
    source = tables(tmp_path)
    (tmp_path / "mutations.tsv").unlink()
    rows = [{"patient_id": "P001", "TP53": "1"}, {"patient_id": "P002", "TP53": "0"}, row]
    write(pd.DataFrame(rows), tmp_path / "alterations.csv")
    fails(source, *words)


def test_a_matrix_must_not_deny_a_mutation(tmp_path: Path) -> None:
    source = tables(tmp_path)
    carrier = mutation_table(clinical_table()).query("Hugo_Symbol == 'TP53'")["Tumor_Sample_Barcode"].iloc[0]
    write(pd.DataFrame({"patient_id": [carrier], "TP53": ["0"]}), tmp_path / "alterations.csv")
    fails({**source, "exclude": ["CYTO_PLUS8"]}, carrier, "TP53", "denies")


def study(tmp_path: Path) -> dict[str, Any]:
    table = clinical_table()
    samples = pd.DataFrame({"PATIENT_ID": table["PATIENT_ID"], "SAMPLE_ID": table["PATIENT_ID"], "PURITY": "0.9"})
    return cbioportal(tmp_path, table, samples, mutation_table(table))


def test_a_folder_that_is_no_study_is_named(tmp_path: Path) -> None:
    source = {"format": "cbioportal", "path": str(tmp_path), "endpoint": "OS"}
    fails(source, str(tmp_path), "data_clinical_patient.txt")
    fails({**source, "path": str(tmp_path / "absent")}, "absent", "no such folder")


def test_a_meta_file_that_points_nowhere_is_named(tmp_path: Path) -> None:
    source = study(tmp_path)
    (tmp_path / "meta_mutations.txt").write_text(
        "genetic_alteration_type: MUTATION_EXTENDED\ndata_filename: data_calls.txt\n"
    )
    fails(source, "meta_mutations.txt", "data_calls.txt")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("PATIENT_ID", "P999", ("data_clinical_sample.txt, row 8", "'P999' is not in the patient file")),
        ("SAMPLE_ID", "P001", ("data_clinical_sample.txt, row 8", "sample P001 occurs more than once")),
        ("SAMPLE_ID", "", ("data_clinical_sample.txt, row 8", "SAMPLE_ID is empty")),
    ],
)
def test_a_mistake_in_the_sample_file_is_told(column: str, value: str, words: tuple[str, ...], tmp_path: Path) -> None:
    source = study(tmp_path)
    path = tmp_path / "data_clinical_sample.txt"
    lines = path.read_text().splitlines()
    fields = lines[7].split("\t")
    fields[lines[4].split("\t").index(column)] = value
    path.write_text("\n".join([*lines[:7], "\t".join(fields), *lines[8:]]) + "\n")
    fails(source, *words)


def test_patient_and_sample_files_must_agree(tmp_path: Path) -> None:
    table = clinical_table()
    samples = pd.DataFrame({"PATIENT_ID": table["PATIENT_ID"], "SAMPLE_ID": table["PATIENT_ID"], "SEX": "Other"})
    source = cbioportal(tmp_path, table, samples, mutation_table(table))
    fails(source, "data_clinical_sample.txt, row 6, patient P000", "column SEX", "'Other'", "data_clinical_patient.txt")


def test_files_of_tables_are_unknown_to_a_study_folder(tmp_path: Path) -> None:
    fails({**study(tmp_path), "clinical": "x.tsv"}, "unknown key 'clinical'")


def test_bad_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    from haemosynth.core.files import read_yaml

    path = tmp_path / "study.yaml"
    path.write_text("cohorts:\n  mine: {format: tables\n  endpoint: OS\n")
    with pytest.raises(InputError, match=re.escape(str(path)) + r", line 3: not valid YAML"):
        read_yaml(path)
