"""A study is checked whole before anything is run: every mistake of every file at once, with advice that works."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from fixtures_sources import cbioportal, clinical_table, mutation_table, tables, write

from haemosynth.core.errors import InputError
from haemosynth.modalities.clinical.ingest import ingest, ingest_with_strings
from haemosynth.report.reading import MOST, list_what_was_read, make_released_reading
from haemosynth.study.check import check_study, find_advice, format_entry, mend
from haemosynth.study.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))


def study(tmp_path: Path, entry: dict[str, Any], **settings: Any) -> Path:
    path = tmp_path / "my study.yaml"
    path.write_text(yaml.safe_dump({"cohorts": {"mine": entry}, **settings}, sort_keys=False), encoding="utf-8")
    return path


def command(path: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "workflow/check.py"), str(path)], capture_output=True, text=True, check=False
    )


def faulty(folder: Path) -> dict[str, Any]:
    """A cohort with five mistakes, of four files and columns and of the study."""
    clinical = clinical_table()
    clinical.loc[3, "AGE"] = "old"
    clinical.loc[4, "HEMOGLOBIN"] = "see letter"
    clinical.loc[5, "OS_STATUS"] = "lost"
    clinical.loc[6, "CYTO_PLUS8"] = "perhaps"
    entry = tables(folder, clinical)
    write(mutation_table(clinical_table()).assign(t_alt_count="many"), folder / "mutations.tsv")
    return {**entry, "path": str(folder), "id": "PATIENT_ID", "alterations": ["CYTO_PLUS8"]}


def test_five_mistakes_are_told_at_once_and_the_advice_mends_them(tmp_path: Path) -> None:
    entry = faulty(tmp_path / "a folder")
    path = study(tmp_path, entry)
    told = command(path)
    assert told.returncode == 1
    assert "Traceback" not in told.stdout + told.stderr
    lines = [line for line in told.stdout.splitlines() if line.startswith("error: ")]
    for word in ("AGE", "HEMOGLOBIN", "OS_STATUS", "CYTO_PLUS8", "t_alt_count"):
        assert sum(word in line for line in lines) == 1, word
    assert len(lines) == 5
    # The block at the end goes into the study file as it stands; what no setting mends is mended in its file.
    block = told.stdout.split("keys of cohorts.mine:\n")[1].split("\nerror")[0]
    block = "\n".join(line for line in block.splitlines() if line.startswith("    "))
    path.write_text(yaml.safe_dump({"cohorts": {"mine": {**entry, **yaml.safe_load(block)}}}), encoding="utf-8")
    write(mutation_table(clinical_table()), Path(entry["path"]) / "mutations.tsv")
    again = command(path)
    assert again.returncode == 0, again.stdout
    assert "no mistakes" in again.stdout


def test_ingestion_itself_holds_every_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        ingest("mine", faulty(tmp_path))
    assert len(caught.value.lines) == 5
    assert str(caught.value) == caught.value.lines[0]
    assert "\n" not in str(caught.value)


def test_one_damaged_file_hides_no_other(tmp_path: Path) -> None:
    clinical = clinical_table()
    samples = clinical[["PATIENT_ID"]].assign(SAMPLE_ID=clinical["PATIENT_ID"])
    maf = mutation_table(clinical)
    entry = cbioportal(
        tmp_path, clinical.assign(AGE="x", LDH=clinical["LDH"].mask(clinical.index == 2, "high")), samples, maf
    )
    (tmp_path / "data_mutations.txt").write_text("Hugo_Symbol\tTumor_Sample_Barcode\nNPM1\tP001\textra\n")
    (tmp_path / "data_cna.txt").write_text("Hugo_Symbol\tP001\nTP53\t7\n")
    with pytest.raises(InputError) as caught:
        ingest("mine", entry)
    assert sorted(
        word for line in caught.value.lines for word in ("data_mutations", "data_cna", "LDH") if word in line
    ) == [
        "LDH",
        "data_cna",
        "data_mutations",
    ]
    patients = (tmp_path / "data_clinical_patient.txt").read_text()
    (tmp_path / "data_clinical_patient.txt").write_text(patients + patients.splitlines()[-1] + "\n")  # occurs twice
    with pytest.raises(InputError) as caught:
        ingest("mine", entry)
    assert any("more than once" in line for line in caught.value.lines)
    assert any("data_mutations" in line for line in caught.value.lines)


def test_settings_and_entry_are_told_with_the_data(tmp_path: Path) -> None:
    entry = {**tables(tmp_path), "id": "PATIENT_ID", "stratify": ["SEX"], "modalities": "clinical"}
    config = read_settings(ROOT, [str(study(tmp_path, entry, stages=["marginal"], basline="forest"))])
    settings, [found] = check_study(config, RULES, ROOT)
    assert any("'basline'" in line and "'baseline'" in line for line in settings)
    [line] = [line for line in settings if "modalities" in line]
    assert find_advice(line) == [{"modalities": ["clinical"]}]
    assert any("stratify" in line for line in found.mistakes)
    entry = {**entry, "stratify": "SEX", **find_advice(line)[0]}
    config = read_settings(ROOT, [str(study(tmp_path, entry))])
    settings, [found] = check_study(config, RULES, ROOT)
    assert settings + found.mistakes == []


def test_a_split_that_will_not_do_is_foretold(tmp_path: Path) -> None:
    clinical = clinical_table()
    entry = {**tables(tmp_path, clinical[:30]), "id": "PATIENT_ID", "modalities": ["clinical"]}
    config = read_settings(ROOT, [str(study(tmp_path, entry))])
    _, [found] = check_study(config, RULES, ROOT)
    assert any("to holdout" in line and "30 patients" in line for line in found.mistakes)
    few = clinical.assign(OS_STATUS=["1:DECEASED"] * 2 + ["0:LIVING"] * (len(clinical) - 2), PFS_STATUS="")
    entry = {**tables(tmp_path, few), "id": "PATIENT_ID", "modalities": ["clinical"], "endpoint": ["OS"]}
    config = read_settings(ROOT, [str(study(tmp_path, entry))])
    _, [found] = check_study(config, RULES, ROOT)
    assert any("2 patients have an event" in line for line in found.mistakes)


def test_a_key_that_stands_twice_is_no_silent_loss(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("cohorts:\n  mine:\n    exclude: [A]\n    format: tables\n    exclude: [B]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"twice\.yaml, line 5: the key 'exclude' occurs twice"):
        read_settings(ROOT, [str(path)])
    told = command(path)
    assert told.returncode == 1
    assert "Traceback" not in told.stderr


def test_advice_joins_what_the_entry_says_already() -> None:
    entry = {"columns": {"AGE": {"kind": "integer", "missing": ["x"]}}, "exclude": {"ID": "no use"}}
    lines = ["AGE: `columns: {AGE: {missing: [y]}}` or `exclude: [AGE]`", "B: `exclude: [B]`", "no advice `here`"]
    changed = mend(entry, lines)
    assert changed == {
        "columns": {"AGE": {"kind": "integer", "missing": ["x", "y"]}},
        "exclude": {"ID": "no use", "B": "excluded by the study"},
    }
    assert yaml.safe_load("\n".join(format_entry(changed))) == changed


def test_the_account_is_short_and_says_what_was_read_and_left_out(tmp_path: Path) -> None:
    clinical = clinical_table()
    for number in range(60):  # a note each
        clinical[f"SCORE_{number}"] = ["999" if i == 0 else str(i % 40) for i in range(len(clinical))]
    clinical["HOSPITAL_NUMBER"] = [str(700000 + 37 * i) for i in range(len(clinical))]
    cohort = ingest("mine", {**tables(tmp_path, clinical), "id": "PATIENT_ID"})
    lines = list_what_was_read(cohort, place="results/mine/raw/schema.yaml")
    assert len(lines) <= MOST
    text = "\n".join(lines)
    assert f"clinical.tsv: {len(clinical) + 1} lines, {len(clinical)} records" in text
    assert f"sequenced: {int((clinical['SEQUENCED'] == 'Yes').sum())} of {len(clinical)} patients" in text
    assert "HOSPITAL_NUMBER" in text
    assert "OS (primary)" in text
    assert "PFS" in text
    assert lines[-1].endswith("schema.yaml")


def test_what_a_further_modality_left_out_is_named_or_counted(tmp_path):
    cohort = ingest("mine", tables(tmp_path, clinical_table()))
    left = pd.DataFrame(
        [("endpoint", "OS", "as the path says"), ("rows", "9 events", "they change nothing"),
         *[("patient", "one patient", "unknown")] * 3, *(("gene", f"G{i}", f"why {i}") for i in range(3))],
        columns=["what", "name", "reason"],
    )  # fmt: skip
    line = next(line for line in list_what_was_read(cohort, {"history": left}) if line.startswith("history: "))
    assert line == (
        "history: 3 x patient: unknown; endpoint OS: as the path says; 9 events: they change nothing; gene G0: why 0;"
        " and 2 reasons more"
    )


def test_what_leaves_of_the_account_names_nobody_and_no_value(tmp_path: Path) -> None:
    clinical = clinical_table().assign(WARD="Ward of Saint Somewhere")
    clinical["PFS_MONTHS"] = ["999" if i == 7 else value for i, value in enumerate(clinical["PFS_MONTHS"])]  # beyond OS
    maf = mutation_table(clinical_table())
    odd = maf.iloc[:3].assign(Hugo_Symbol=["1-Sep", "Unknown", "2-Mar"])
    entry = {**tables(tmp_path, clinical, pd.concat([maf, odd])), "id": "PATIENT_ID"}
    cohort = ingest("mine", entry)
    assert any("P007" in reason for reason in cohort.schema.excluded.values())
    text = "\n".join(make_released_reading(cohort.schema))
    for word in ("P007", "Saint", "1-Sep", "clinical.tsv", str(tmp_path)):
        assert word not in text
    assert "a date in place of a gene symbol (under 5)" in text
    assert "constant (1)" in text


def test_raw_strings_are_identifiers_and_what_was_left_out(tmp_path: Path) -> None:
    clinical = clinical_table()
    clinical["REMARK"] = [f"seen by doctor number {i} in the morning" for i in range(len(clinical))]
    clinical["BIRTH_DATE"] = [f"19{50 + i % 40}-03-{1 + i % 28:02d}" for i in range(len(clinical))]
    _, strings = ingest_with_strings("mine", {**tables(tmp_path, clinical), "id": "PATIENT_ID"})
    assert strings["identifier"] == set(clinical["PATIENT_ID"])
    assert strings["text"] == set(clinical["REMARK"])
    assert strings["date"] == set(clinical["BIRTH_DATE"])
    json.dumps({kind: sorted(found) for kind, found in strings.items()})


@pytest.mark.parametrize("name", ["beataml", "amlsg"])
def test_prepared_studies_hold_no_mistake(name: str, real_data: Path) -> None:
    told = subprocess.run(
        ["make", "-s", "-o", ".venv/.ready", "check-study", f"STUDY=config/studies/{name}.yaml"],
        cwd=ROOT, env={**os.environ, "HAEMOSYNTH_DATA": str(real_data)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{name}: " in told.stdout
    assert "no mistakes" in told.stdout
    assert len(told.stdout.splitlines()) <= MOST + 4


def test_plain_text_for_a_list_is_told_with_the_list(tmp_path: Path) -> None:
    entry = {**tables(tmp_path), "id": "PATIENT_ID"}
    for key, value, wanted in (("modalities", "clinical", ["clinical"]), ("exclude", "CENTRE", ["CENTRE"])):
        with pytest.raises(InputError, match=f"{key}: expected a list") as caught:
            ingest("mine", {**entry, key: value})
        assert find_advice(str(caught.value)) == [{key: wanted}]
        ingest("mine", {**entry, key: wanted})


def test_dates_that_a_spreadsheet_made_of_numbers_are_told_as_such(tmp_path: Path) -> None:
    clinical = clinical_table()
    clinical.loc[[3, 9], "HEMOGLOBIN"] = ["12-Mar", "Nov-09"]
    entry = {**tables(tmp_path, clinical), "id": "PATIENT_ID"}
    with pytest.raises(InputError, match="spreadsheet has made dates of 2") as caught:
        ingest("mine", entry)
    assert "row 5, patient P003" in str(caught.value)
    ingest("mine", {**entry, **find_advice(str(caught.value))[0]})


def test_a_header_of_r_that_lacks_its_first_name_is_told_as_such(tmp_path: Path) -> None:
    clinical = clinical_table()
    entry = {**tables(tmp_path, clinical), "id": "PATIENT_ID"}
    for ending, separator in ((".tsv", "\t"), (".csv", ",")):
        (tmp_path / "clinical.tsv").unlink(missing_ok=True)
        path = tmp_path / f"clinical{ending}"
        text = clinical.to_csv(sep=separator, index=False)
        path.write_text(text.split(separator, 1)[1], encoding="utf-8")
        with pytest.raises(InputError, match=r"line 2: 13 fields, but the header has 12, as in every row; R"):
            ingest("mine", entry)
        path.write_text(f"PATIENT_ID{separator}" + path.read_text(encoding="utf-8"), encoding="utf-8")
        assert len(ingest("mine", entry)) == len(clinical)


def test_the_chosen_sample_of_a_patient_decides_expression(tmp_path: Path) -> None:
    from haemosynth.modalities.expression.ingest import ingest_expression

    clinical = clinical_table()
    patients = clinical["PATIENT_ID"]
    samples = pd.concat(
        [
            pd.DataFrame({"PATIENT_ID": patients, "SAMPLE_ID": patients + "-R", "WHICH": "Relapse"}),
            pd.DataFrame({"PATIENT_ID": patients, "SAMPLE_ID": patients + "-D", "WHICH": "Diagnosis"}),
        ]
    )
    maf = mutation_table(clinical).assign(Tumor_Sample_Barcode=lambda t: t["Tumor_Sample_Barcode"] + "-D")
    entry = {**cbioportal(tmp_path, clinical, samples, maf), "modalities": ["clinical", "genomic", "expression"]}
    levels = {"Hugo_Symbol": [f"GENE{i}" for i in range(4)]}
    for number, patient in enumerate(patients):
        levels[f"{patient}-R"] = [str(1000 + number + i) for i in range(4)]
        if number != 5:  # who has the other sample alone keeps that
            levels[f"{patient}-D"] = [str(1 + number + i) for i in range(4)]
    write(pd.DataFrame(levels), tmp_path / "data_expression.txt")
    entry["expression"] = {"path": "data_expression.txt", "values": "normalised"}

    def levels_of(told: dict[str, Any]) -> pd.Series:
        found, _ = ingest_expression("mine", told, ingest("mine", told))
        return pd.Series(found.X[:, 0], index=found.obs_names)

    bare = {**entry, "modalities": ["clinical", "expression"]}
    values = levels_of({**bare, "sample": {"WHICH": "Diagnosis"}})
    assert (values.drop("P005") < 1000).all()
    assert values["P005"] >= 1000
    assert (levels_of({**bare, "sample": {"WHICH": "Relapse"}}) >= 1000).all()
    mutated = maf["Tumor_Sample_Barcode"].str.removesuffix("-D").unique()
    values = levels_of(entry)  # the sample with mutations is the sequenced one
    assert (values[[patient for patient in mutated if patient != "P005"]] < 1000).all()
    assert (values.drop(list(mutated)) >= 1000).all()


@pytest.mark.parametrize(
    ("column", "value", "entry"),
    [
        ("OS_MONTHS", "-3", {}),
        ("OS_MONTHS", "soon", {}),
        ("OS_STATUS", "lost", {}),
        ("PFS_MONTHS", "900", {"endpoint": ["OS", "PFS"]}),
        ("LDH", "high", {"columns": {"LDH": {"kind": "continuous"}}}),
        ("AGE", "130", {"columns": {"AGE": {"high": 120}}}),
        ("AGE", "61.5", {"columns": {"AGE": {"kind": "integer", "low": 18}}}),
        ("SEX", "X", {"columns": {"SEX": {"categories": ["Male", "Female"]}}}),
        ("CENTRE", "West", {"columns": {"CENTRE": {"kind": "ordinal"}}}),
        ("CENTRE", "West", {"columns": {"CENTRE": {"kind": "binary"}}}),
        ("CYTO_PLUS8", "perhaps", {"alterations": ["CYTO_PLUS8"]}),
    ],
)
def test_the_advice_of_every_mistake_works_when_pasted(
    column: str, value: str, entry: dict[str, Any], tmp_path: Path
) -> None:
    clinical = clinical_table()
    clinical.loc[3, column] = value
    source = {**tables(tmp_path, clinical), "id": "PATIENT_ID", **entry}
    with pytest.raises(InputError, match=column) as caught:
        ingest("mine", source)
    changed = mend(source, caught.value.lines)
    assert changed
    ingest("mine", {**source, **yaml.safe_load("\n".join(format_entry(changed)))})


@pytest.mark.parametrize(
    ("balance", "said"),
    [
        ({"class": {"NOBODY": 20}}, "NOBODY"),
        ({"SEX": {"Unheard": 0.5}}, "Unheard"),
        ({"SEX": "even"}, None),
    ],
)
def test_quotas_are_tried_on_the_training_patients(tmp_path: Path, balance: Any, said: str | None) -> None:
    entry = {**tables(tmp_path / "cohort"), "path": str(tmp_path / "cohort"), "id": "PATIENT_ID"}
    told = command(study(tmp_path, entry, balance=balance, synthetic_patients=100))
    lines = [line for line in told.stdout.splitlines() if line.startswith("error: balance")]
    assert bool(lines) == bool(said), told.stdout
    assert not said or said in lines[0]
