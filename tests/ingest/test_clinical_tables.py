"""Clinical tables as people have them: the right value, or a reason, or one line."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures_sources import clinical_table, mutation_table, tables, write

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.generate.constraints import check, enforce
from haemosynth.modalities.clinical.generators import forest
from haemosynth.modalities.clinical.generators.encoding import encode_number, learn
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.cohort_files import read_cohort, write_cohort
from haemosynth.study.settings import expand_paths
from haemosynth.study.split import split

N = 120


def cohort(folder: Path, table: pd.DataFrame, ending: str = "tsv", **entry: Any) -> Cohort:
    write(table, folder / f"clinical.{ending}")
    return ingest(
        "mine",
        {"format": "tables", "path": str(folder), "endpoint": ["OS"], "modalities": ["clinical"], **entry},
    )


def with_columns(**columns: Any) -> pd.DataFrame:
    return clinical_table().assign(**columns)


def counts(seed: int = 1, low: int = 10, high: int = 1500) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, N)


# ------------------------------------------------------------------ numbers


def in_style(numbers: np.ndarray, style: str) -> list[str]:
    """Whole numbers with the sign of thousands of a style."""
    return [f"{number:,}".replace(",", style) for number in numbers]


@pytest.mark.parametrize(("separator", "decimal", "thousands"), [(";", ",", "."), ("\t", ",", "."), (",", ".", ",")])
def test_the_style_of_the_file_decides_what_a_sign_means(
    separator: str, decimal: str, thousands: str, tmp_path: Path
) -> None:
    platelets = counts()
    table = with_columns(PLATELETS=in_style(platelets, thousands))
    for name in ("HEMOGLOBIN", "OS_MONTHS", "PFS_MONTHS"):
        table[name] = table[name].str.replace(".", decimal)
    table.to_csv(tmp_path / "clinical.csv", sep=separator, index=False)
    found = ingest("mine", {"format": "tables", "path": str(tmp_path), "endpoint": "OS", "modalities": ["clinical"]})
    plain = ingest("mine", {**tables(tmp_path / "plain"), "modalities": ["clinical"]})
    np.testing.assert_array_equal(found.clinical["PLATELETS"], platelets)
    pd.testing.assert_frame_equal(found.clinical[list(plain.clinical)], plain.clinical)


@pytest.mark.parametrize("ending", ["tsv", "xlsx", "parquet"])
def test_an_ambiguous_column_ends_the_run_and_each_advice_mends_it(ending: str, tmp_path: Path) -> None:
    platelets = counts()
    table = with_columns(PLATELETS=in_style(platelets, "."))
    with pytest.raises(InputError) as caught:
        cohort(tmp_path, table, ending)
    line = str(caught.value)
    assert f"clinical.{ending}: column PLATELETS" in line
    assert "\n" not in line
    for advice in line.split("`")[1::2]:
        found = cohort(tmp_path, table, ending, **yaml.safe_load(advice)).clinical["PLATELETS"]
        thousands = yaml.safe_load(advice)["columns"]["PLATELETS"]["decimal"] == ","
        expected = platelets if thousands else np.where(platelets > 999, platelets / 1000, platelets)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(cohort(tmp_path, table, ending, exclude=["PLATELETS"]).clinical["AGE"].size, N)


def test_an_ambiguous_time_is_told_too(tmp_path: Path) -> None:
    table = with_columns(OS_DAYS=in_style(counts(), ",")).drop(columns=["OS_MONTHS", "HEMOGLOBIN", "PFS_MONTHS"])
    with pytest.raises(InputError, match=r"column OS_DAYS: '1,[0-9]{3}' could be"):
        cohort(tmp_path, table)


def censored(low: float = 5, high: float = 60) -> tuple[np.ndarray, list[str]]:
    values = np.round(np.random.default_rng(3).gamma(1, 20, N), 1).clip(0.1)
    cells = [f"<{low:g}" if x < low else (f"> {high:g}" if x > high else f"{x:g}") for x in values]
    return np.clip(values, low, high), cells


@pytest.mark.parametrize("ending", ["tsv", "csv", "xlsx", "parquet"])
def test_limits_of_detection_are_kept_as_limits(ending: str, tmp_path: Path) -> None:
    values, cells = censored()
    found = cohort(tmp_path, with_columns(CRP=cells), ending)
    column = found.schema.columns["CRP"]
    np.testing.assert_array_equal(found.clinical["CRP"], values)
    assert column.kind == "continuous"
    assert column.detection == {"low": (5.0,), "high": (60.0,)}
    assert (column.low, column.high) == (5.0, 60.0)
    below = int((values == 5).sum())
    assert any(
        note.startswith(f"CRP: {below} patients") and "limit of detection of 5" in note for note in found.schema.notes
    )
    write_cohort(found, tmp_path / "out")
    assert read_cohort(tmp_path / "out").schema == found.schema
    assert yaml.safe_load((tmp_path / "out/schema.yaml").read_text())["columns"]["CRP"]["detection"] == {
        "low": 5.0,
        "high": 60.0,
    }


@pytest.mark.parametrize("entry", [{"detection": "half"}, {"columns": {"CRP": {"detection": "half"}}}])
def test_half_of_a_limit_replaces_it_where_the_study_asks(entry: dict[str, Any], tmp_path: Path) -> None:
    values, cells = censored()
    found = cohort(tmp_path, with_columns(CRP=cells), **entry)
    np.testing.assert_array_equal(found.clinical["CRP"], np.where(values == 5, 2.5, values))
    assert found.schema.columns["CRP"].detection == {"high": (60.0,)}
    assert any("half of it, as the study asks" in note for note in found.schema.notes)


@pytest.mark.parametrize("limit", [0.6, 5.0])
def test_values_at_a_limit_and_off_the_grain_come_back_from_the_codes(limit: float, tmp_path: Path) -> None:
    whole = counts(4, 6, 90)
    cells = [f"<{limit:g}" if i % 6 == 0 else ("58.745" if i % 17 == 1 else str(x)) for i, x in enumerate(whole)]
    found = cohort(tmp_path, with_columns(BLASTS=cells))
    column = found.schema.columns["BLASTS"]
    assert column.grain == 1.0
    assert column.points == tuple({0.6: (0.6, 58.745), 5.0: (58.745,)}[limit])
    train, _ = split(found, 0.7, None, {"recurrent": {"min_carriers": 10}}, stream(1, "split"))
    assert check(train) == []
    pd.testing.assert_series_equal(enforce(train).clinical["BLASTS"], train.clinical["BLASTS"])
    coding = learn(train, 20)
    variable = next(variable for variable in coding.variables if variable.name == "BLASTS")
    values = train.clinical["BLASTS"].dropna().to_numpy()
    decoded = variable.round_as_recorded(variable.values(*encode_number(variable, values)))
    for point in (limit, 58.745):
        assert ((decoded == point) == (values == point)).all()
    settings = {**forest.DEFAULTS, "trees": 10}
    fitted = forest.fit(train, settings, np.random.default_rng(1), None)
    made = forest.sample(fitted, train.schema, 400, np.random.default_rng(2))["BLASTS"]
    assert (made >= limit).all()
    for point in (limit, 58.745):
        assert abs((made == point).mean() - (values == point).mean()) < 0.08
        assert (made == point).mean() > 0.01


def test_a_time_beyond_a_limit_is_no_time(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[4, "OS_MONTHS"] = ">60"
    with pytest.raises(InputError, match="row 6, patient P004: column OS_MONTHS: a time with a sign"):
        cohort(tmp_path, table)


def test_an_imputed_constant_is_kept_and_warned_about(tmp_path: Path) -> None:
    cells = ["58.745" if i % 17 == 0 else str(x) for i, x in enumerate(counts(4, 0, 100))]
    found = cohort(tmp_path, with_columns(BM_BLASTS=cells))
    assert (found.clinical["BM_BLASTS"] == 58.745).sum() == 8
    note = next(note for note in found.schema.notes if "58.745" in note)
    assert note.startswith("BM_BLASTS: 58.745 in 8 patients (6.7 %)")
    without = cohort(tmp_path, with_columns(BM_BLASTS=cells), **yaml.safe_load(note.split("`")[1]))
    assert without.clinical["BM_BLASTS"].isna().sum() == 8


def test_values_of_the_recording_step_are_no_imputed_constant(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    blasts = np.where(rng.random(N) < 0.4, rng.choice([80, 90, 95], N), rng.integers(0, 100, N))
    halves = np.where(rng.random(N) < 0.1, 0.5, rng.integers(0, 40, N) / 2)
    found = cohort(tmp_path, with_columns(BM_BLASTS=blasts.astype(str), PB_BLASTS=halves.astype(str)))
    assert not [note for note in found.schema.notes if "imputed" in note]
    assert found.schema.columns["PB_BLASTS"].points == ()


@pytest.mark.parametrize(
    ("name", "code", "others"),
    [("AGE", "999", ["61", "48", "75"]), ("WBC", "-9", ["19.2", "8.6"]), ("ECOG", "9", ["0", "1", "2", "3"]),
     ("SITE", "99", ["Ulm", "Rome"]), ("DIABETES", "9", ["0", "1"])],
)  # fmt: skip
def test_a_code_for_missing_is_warned_about_and_the_advice_removes_it(
    name: str, code: str, others: list[str], tmp_path: Path
) -> None:
    cells = [code if i % 20 == 0 else others[i % len(others)] for i in range(N)]
    found = cohort(tmp_path, with_columns(**{name: cells}))
    note = next(note for note in found.schema.notes if note.startswith(f"{name}: {code} in 6 patients"))
    assert found.clinical[name].notna().all()
    mended = cohort(tmp_path, with_columns(**{name: cells}), **yaml.safe_load(note.split("`")[1]))
    assert mended.clinical[name].isna().sum() == 6
    assert not [note for note in mended.schema.notes if "code for not recorded" in note]


def test_plausible_values_are_no_codes(tmp_path: Path) -> None:
    table = with_columns(
        AGE=[str(18 + i % 82) for i in range(N)], LDH=[str(100 + 10 * i) for i in range(N - 1)] + ["999"]
    )
    assert not [note for note in cohort(tmp_path, table).schema.notes if "code for" in note]


# ------------------------------------------------------------------ words for missing


def test_words_for_missing_hold_for_all_columns_or_for_one(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[:5, ["CENTRE", "HEMOGLOBIN", "SEX"]] = "Not Asked"
    whole = cohort(tmp_path, table, missing=["not asked"])
    assert whole.clinical[["CENTRE", "HEMOGLOBIN", "SEX"]].isna().sum().tolist() == [6, 6, 6]
    with pytest.raises(InputError, match="column HEMOGLOBIN: 'Not Asked' is not a number") as caught:
        cohort(tmp_path, table)
    advice = yaml.safe_load(str(caught.value).split("`")[1])
    one = cohort(tmp_path, table, **advice)
    assert one.clinical[["CENTRE", "HEMOGLOBIN"]].isna().sum().tolist() == [0, 6]


def test_a_dash_is_missing_unless_it_stands_beside_a_plus(tmp_path: Path) -> None:
    cells = ["-" if i % 3 == 0 else "3.5" for i in range(N - 1)] + ["4"]
    signs = ["-" if i % 3 == 0 else "+" for i in range(N)]
    found = cohort(tmp_path, with_columns(CRP=cells, CD34=signs))
    assert found.clinical["CRP"].isna().sum() == 40
    assert found.schema.columns["CD34"].categories == ("+", "-")


# ------------------------------------------------------------------ what a column is

SPREAD = np.random.default_rng(6)
DATES = pd.Timestamp("2012-01-01") + pd.to_timedelta(SPREAD.integers(0, 3000, N), unit="D")
IDENTIFIERS: dict[str, list[str]] = {
    "CASE_NO": [str(10_000 + i) for i in SPREAD.permutation(N)],
    "caseNumber": [str(10_000 + i) for i in SPREAD.permutation(N)],
    "HOSPITAL_NUMBER": [str(i) for i in SPREAD.integers(1_000_000, 9_000_000, N)],
    "MRN": [str(i) for i in SPREAD.integers(1, 60, N)],
    "POSTCODE": [str(i) for i in SPREAD.choice(["01069", "80331", "01097"], N)],
    "Zip": [str(i) for i in SPREAD.choice(["2138", "2139"], N)],
    "Sample No.": [str(i) for i in range(N)],
    "REGNR": [str(7 * i + 3) for i in range(N)],
    "EMAIL": [f"p{i}@x.org" for i in range(N)],
}


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_identifiers_of_any_spelling_are_left_out(name: str, tmp_path: Path) -> None:
    found = cohort(tmp_path, with_columns(**{name: IDENTIFIERS[name]}))
    assert "identifier" in found.schema.excluded[name]
    declared = cohort(tmp_path, with_columns(**{name: IDENTIFIERS[name]}), columns={name: {"kind": "categorical"}})
    assert name in declared.clinical


def test_counts_and_laboratory_values_are_no_identifiers(tmp_path: Path) -> None:
    table = with_columns(
        NUMBER_OF_LESIONS=counts(2, 0, 9).astype(str),
        FERRITIN=counts(3, 10, 6000).astype(str),
        TRIAL_NO=counts(5, 1, 4).astype(str),
        CENTRE_CODE=SPREAD.choice(["01", "02", "10"], N),
    )
    schema = cohort(tmp_path, table).schema
    assert {"NUMBER_OF_LESIONS", "FERRITIN", "TRIAL_NO"} <= set(schema.columns)
    assert schema.columns["CENTRE_CODE"].categories == ("01", "02", "10")


def test_the_grain_is_no_looser_for_large_numbers(tmp_path: Path) -> None:
    large = SPREAD.integers(1_000_000, 9_000_000, N).astype(str)
    found = cohort(tmp_path, with_columns(COST=large), columns={"COST": {"kind": "integer"}})
    assert found.schema.columns["COST"].grain == 1.0


@pytest.mark.parametrize(
    "form",
    ["%Y%m%d", "%d%b%Y", "%Y/%m/%d", "%Y-%m", "%d.%m.%Y", "%d %B %Y", "%b %Y", "%B %d, %Y", "%d-%m-%y", "%m/%Y",
     "%Y-%m-%dT%H:%M", "%d-%b-%Y", "%Y%m%d%H%M", "%Y", "%m/%d/%Y %H:%M"],
)  # fmt: skip
def test_dates_in_any_form_are_left_out(form: str, tmp_path: Path) -> None:
    found = cohort(tmp_path, with_columns(WHEN=[day.strftime(form) for day in DATES]))
    assert found.schema.excluded["WHEN"].startswith("date")


@pytest.mark.parametrize("origin", ["1899-12-30", "1960-01-01"])
def test_dates_counted_in_days_are_left_out(origin: str, tmp_path: Path) -> None:
    days = [str((day - pd.Timestamp(origin)).days) for day in DATES]
    assert cohort(tmp_path, with_columns(SEEN=days)).schema.excluded["SEEN"].startswith("date")


def test_a_date_of_a_sheet_is_a_date(tmp_path: Path) -> None:
    assert cohort(tmp_path, with_columns(SEEN=DATES), "xlsx").schema.excluded["SEEN"] == "date"


DIED = (clinical_table()["OS_STATUS"] == "1:DECEASED").to_numpy()
DAYS = (clinical_table()["OS_MONTHS"].astype(float) * 30.4375).round().astype(int).astype(str).to_numpy()
OUTCOMES: dict[str, Any] = {
    "VITAL_STATUS": np.where(DIED, "Dead", "Alive"),
    "vitalStatus": np.where(DIED, "1", "2"),
    "DAYS_TO_DEATH": np.where(DIED, DAYS, ""),
    "days_to_last_followup": np.where(DIED, "", DAYS),
    "LAST_CONTACT": DAYS,
    "CAUSE_OF_DEATH": np.where(DIED, np.where(np.arange(N) % 2, "AML", "infection"), ""),
    "DATE_OF_DEATH": np.where(DIED, "2019-03-01", ""),
    "RELAPSE_DATE": np.where(np.arange(N) % 2, "2018-03-01", ""),
    "ZUSTAND": np.where(DIED, "2", "1"),
    "T_DAYS": DAYS,
    "WHY": np.where(DIED, np.where(np.arange(N) % 2, "leukaemia", "infection"), ""),
    "STATUS": np.where(np.arange(N) % 2, "dead", "alive"),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_outcome_in_other_words_is_left_out_unless_declared(name: str, tmp_path: Path) -> None:
    table = with_columns(**{name: OUTCOMES[name]})
    reason = cohort(tmp_path, table).schema.excluded[name]
    assert reason.startswith("the outcome in other words")
    kind = "integer" if name in ("T_DAYS", "LAST_CONTACT") else "categorical"
    assert name in cohort(tmp_path, table, columns={name: {"kind": kind}}).clinical


def test_what_is_known_at_diagnosis_is_not_taken_for_the_outcome(tmp_path: Path) -> None:
    table = with_columns(
        PRIOR_RELAPSE=SPREAD.choice(["Yes", "No"], N), RESPONSE=SPREAD.choice(["CR", "PR"], N),
        VITAL_SIGNS=SPREAD.choice(["good", "poor"], N), REGIMEN_5_FU=SPREAD.choice(["Yes", "No"], N),
    )  # fmt: skip
    assert {"PRIOR_RELAPSE", "RESPONSE", "VITAL_SIGNS", "REGIMEN_5_FU"} <= set(cohort(tmp_path, table).clinical)


@pytest.mark.parametrize("stem", ["LFS", "PFS", "EFS", "TTP", "DFS", "RFS", "Event_Free_Survival"])
def test_further_pairs_are_secondary_endpoints_unless_the_study_lists_its_own(stem: str, tmp_path: Path) -> None:
    table = clinical_table().rename(columns={"PFS_MONTHS": f"{stem}_MONTHS", "PFS_STATUS": f"{stem}_STATUS"})
    found = cohort(tmp_path, table, endpoint="OS")
    assert found.schema.endpoints == ("OS", stem)
    named = ingest("mine", {**tables(tmp_path / "pfs"), "endpoint": ["OS", "PFS"], "modalities": ["clinical"]})
    for part in ("time", "event"):
        np.testing.assert_array_equal(found.clinical[f"{stem}_{part}"], named.clinical[f"PFS_{part}"])
    note = next(note for note in found.schema.notes if note.startswith("endpoints:"))
    assert cohort(tmp_path, table, **yaml.safe_load(note.split("`")[1])).schema.endpoints == ("OS",)


def test_a_pair_that_cannot_be_read_is_left_out_with_the_reason(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[5, "PFS_MONTHS"] = "500"
    found = cohort(tmp_path, table, endpoint="OS")
    assert found.schema.endpoints == ("OS",)
    assert "later than the end of OS" in found.schema.excluded["PFS_MONTHS"]
    assert "PFS_STATUS" in found.schema.excluded


def test_events_are_proposed_as_alterations_and_the_advice_works(tmp_path: Path) -> None:
    columns = {
        "FLT3_ITD": SPREAD.choice(["0", "1"], N), "TP53_STATUS": SPREAD.choice(["mutated", "wt"], N),
        "del(5q)": SPREAD.choice(["0", "1", ""], N), "+8": SPREAD.choice(["yes", "no"], N),
    }  # fmt: skip
    source = tables(tmp_path, clinical=with_columns(**columns, NPM1=SPREAD.choice(["0", "1"], N)))
    found = ingest("mine", source)
    note = next(note for note in found.schema.notes if "yes or no of a gene" in note)
    advice = yaml.safe_load(note.split("`")[1])
    assert set(advice["alterations"]) == {*columns, "CYTO_PLUS8"}
    moved = ingest("mine", {**source, **advice})
    assert set(advice["alterations"]) <= set(moved.schema.alterations)
    twice = next(note for note in found.schema.notes if "among the alterations too" in note)
    assert yaml.safe_load(twice.split("`")[1]) == {"exclude": ["NPM1"]}


def test_a_level_one_letter_away_is_told(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[3, "SEX"] = "Femcle"
    assert any(note.startswith("SEX: 'Femcle' in 1 patient") for note in cohort(tmp_path, table).schema.notes)
    assert not [note for note in cohort(tmp_path, clinical_table()).schema.notes if "one letter" in note]


def test_a_stray_quote_loses_no_mutation_and_no_row_of_a_matrix(tmp_path: Path) -> None:
    calls = mutation_table(clinical_table())
    calls.loc[[5, 40], "HGVSp_Short"] = '"p.R1H'
    text = "\n".join("\t".join(row) for row in [list(calls), *calls.to_numpy().tolist()]) + "\n"
    source = tables(tmp_path)
    (tmp_path / "mutations.tsv").write_text(text)
    assert len(ingest("mine", source).mutations) == len(calls)
    (tmp_path / "mutations.tsv").unlink()
    rows = [[f"P{i:03d}", '"0' if i in (3, 90) else "1"] for i in range(N)]
    (tmp_path / "alterations.tsv").write_text("\n".join("\t".join(row) for row in [["PATIENT_ID", "TP53"], *rows]))
    table = clinical_table().drop(columns="SEQUENCED")
    write(table, tmp_path / "clinical.tsv")
    found = ingest("mine", {**source, "id": "PATIENT_ID"})
    assert found.alterations is not None
    assert found.alterations["TP53"].sum() == N - 2


def test_an_identifier_unlike_all_others_is_told(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[7, "PATIENT_ID"] = "P0)7"
    assert any(note.startswith("patients: P0)7 written unlike") for note in cohort(tmp_path, table).schema.notes)
    assert not [note for note in cohort(tmp_path, clinical_table()).schema.notes if note.startswith("patients:")]


def test_the_account_of_every_file_travels_with_the_schema(tmp_path: Path) -> None:
    found = ingest("mine", tables(tmp_path))
    assert [(file.file, file.read) for file in found.schema.reading] == [("clinical.tsv", N), ("mutations.tsv", 134)]
    for file in found.schema.reading:
        assert file.read + sum(file.left.values()) == file.physical
    write_cohort(found, tmp_path / "out")
    assert read_cohort(tmp_path / "out").schema.reading == found.schema.reading


# ------------------------------------------------------------------ the collected cases


def numbers_of(found: Cohort, *names: str) -> None:
    for name in names:
        assert found.schema.columns[name].numeric, name
        assert found.clinical[name].notna().mean() > 0.7


def thousands(name: str) -> Callable[[Cohort], None]:
    def whole(found: Cohort) -> None:
        values = found.clinical[name]
        assert (values % 1 == 0).all()
        assert values.max() > 999

    return whole


def left_out(*names: str) -> Callable[[Cohort], None]:
    return lambda found: None if set(names) <= set(found.schema.excluded) else pytest.fail(str(found.schema.excluded))


def limit(name: str, side: str, at: float) -> Callable[[Cohort], None]:
    def holds(found: Cohort) -> None:
        assert at in found.schema.columns[name].detection[side]
        assert (found.clinical[name] == at).any()

    return holds


CASES: dict[str, Callable[[Cohort], None]] = {
    "c07_age_89": limit("AGE", "high", 89),
    "c08_stray_quote": lambda found: numbers_of(found, "AGE", "LDH"),
    "c09_de_thousands": thousands("PLATELETS"),
    "c10_us_thousands": thousands("LDH"),
    "c11_tsv_comma": lambda found: numbers_of(found, "WBC", "HEMOGLOBIN", "CRP"),
    "c12_below_limit": limit("CRP", "low", 0.6),
    "c13_gdc_dashes": lambda found: numbers_of(found, "AGE", "WBC", "LDH", "CRP"),
    "c13b_dashes": lambda found: numbers_of(found, "AGE", "WBC", "LDH", "CRP"),
    "c14_excel_na": lambda found: numbers_of(found, "AGE", "WBC", "LDH", "CRP"),
    "c15_dates": left_out("DX", "DIAGNOSED", "DX_SAS", "DX_SLASH", "DX_MONTH"),
    "c16_number_id": left_out("CASE_NO", "HOSPITAL_NUMBER", "POSTCODE"),
    "c17_header_newline": lambda found: numbers_of(found, "Hb (g/dL)"),
    "c18_sentinel": lambda found: numbers_of(found, "AGE", "WBC"),
    "c62_tcga_followup": left_out("VITAL_STATUS", "DAYS_TO_DEATH", "DAYS_TO_LAST_FOLLOWUP"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_collected_case_is_read_rightly(case: str) -> None:
    folder = os.environ.get("HAEMOSYNTH_CASES")
    if not folder:
        pytest.skip("HAEMOSYNTH_CASES is not set: it names the folder of messy cohorts")
    entry = yaml.safe_load((Path(folder) / case / "study.yaml").read_text())["cohorts"][case]
    found = ingest(case, expand_paths(entry, case))
    assert len(found) == 140
    for text in (
        *found.schema.columns,
        *found.patients,
        *(c for v in found.schema.columns.values() for c in v.categories),
    ):
        assert text.isprintable(), text
    if case == "c18_sentinel":
        assert sum("code for not recorded" in note for note in found.schema.notes) == 3
    CASES[case](found)
