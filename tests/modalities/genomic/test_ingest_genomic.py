"""Genes, fusions and copy number as people write them: one name, nothing lost without a word, unknown never absent."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures_sources import GENES, cbioportal, clinical_table, mutation_table, tables, write

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.modalities.clinical.ingest import cbioportal as folders
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.clinical.ingest import tables as plain_tables
from haemosynth.reading.genes import approve, no_symbol
from haemosynth.study.settings import expand_paths

FORMATS = ("tsv", "csv", "xlsx", "parquet")
ONE = {"panel": {"recurrent": {"min_carriers": 1}}}


def everyone() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clinical table without a column of who was sequenced, and mutations."""
    return clinical_table().drop(columns="SEQUENCED"), mutation_table(clinical_table())


def rows(maf: pd.DataFrame, n: int, **changes: Any) -> pd.DataFrame:
    """The first n rows changed, at positions of their own."""
    changed = maf.iloc[:n].assign(**changes)
    return changed.assign(Start_Position=[str(9000 + i) for i in range(n)])


def with_maf(folder: Path, maf: pd.DataFrame, ending: str = "tsv", **more: Any) -> dict[str, Any]:
    source = tables(folder, clinical=everyone()[0])
    (folder / "mutations.tsv").unlink()
    write(maf, folder / f"mutations.{ending}")
    return {**source, **more}


def with_matrix(folder: Path, matrix: pd.DataFrame, ending: str = "csv", **more: Any) -> dict[str, Any]:
    source = tables(folder, clinical=everyone()[0])
    (folder / "mutations.tsv").unlink()
    write(matrix, folder / f"alterations.{ending}")
    return {**source, **more}


def matrix_of(**columns: list[str]) -> pd.DataFrame:
    patients = clinical_table()["PATIENT_ID"]
    return pd.DataFrame({"patient_id": patients, **{n: np.resize(v, len(patients)) for n, v in columns.items()}})


def study(folder: Path, maf: pd.DataFrame | None = None, samples: pd.DataFrame | None = None) -> dict[str, Any]:
    """A study folder whose samples are named after their patients, P000-T."""
    table, mutations = everyone()
    if samples is None:
        samples = pd.DataFrame({"PATIENT_ID": table["PATIENT_ID"], "SAMPLE_ID": table["PATIENT_ID"] + "-T"})
    mutations = mutations.assign(Tumor_Sample_Barcode=mutations["Tumor_Sample_Barcode"] + "-T") if maf is None else maf
    return cbioportal(folder, table, samples, mutations)


def fails(source: dict[str, Any], *words: str) -> None:
    with pytest.raises(InputError) as caught:
        ingest("mine", source)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def noted(cohort: Cohort, *words: str) -> bool:
    return any(all(word in note for word in words) for note in cohort.schema.notes)


def case_list(folder: Path, name: str, ids: list[str]) -> None:
    (folder / "case_lists").mkdir(exist_ok=True)
    text = f"cancer_study_identifier: mine\nstable_id: mine_{name}\ncase_list_ids: " + "\t".join(ids) + "\n"
    (folder / "case_lists" / f"cases_{name}.txt").write_text(text)


# names of genes


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("NPM1", "NPM1"), ("npm1", "NPM1"), ("Npm1", "NPM1"), (" NPM1 ", "NPM1"), ("MLL", "KMT2A"), ("mll", "KMT2A"),
        ("SFRS2", "SRSF2"), ("FAM46C", "TENT5C"), ("WHSC1", "NSD2"), ("MMSET", "NSD2"), ("AML1", "RUNX1"),
        ("EVI1", "MECOM"), ("SEPT9", "SEPTIN9"), ("MARCH2", "MARCHF2"), ("HIST1H1E", "H1-4"), ("h1-4", "H1-4"),
        ("C6ORF165", "C6orf165"), ("C6orf165", "C6orf165"), ("CEBPAbi", "CEBPAbi"), ("FLT3_ITD", "FLT3_ITD"),
        ("MLL4", "MLL4"), ("RP11-181C3.1", "RP11-181C3.1"),
    ],
)  # fmt: skip
def test_a_gene_has_its_approved_symbol(name: str, symbol: str) -> None:
    assert approve(name) == symbol
    assert approve(symbol) == symbol


def test_no_earlier_symbol_is_that_of_two_genes_nor_an_approved_one() -> None:
    table = pd.read_csv(Path("resources/genes/symbols.tsv"), sep="\t", keep_default_na=False)
    old = [one for cells in (table["previous"], table["alias"]) for cell in cells for one in cell.split("|") if one]
    assert len(old) == len(set(old))
    assert not set(old) & set(table["symbol"])
    assert table["symbol"].is_unique
    assert {"KMT2A", "SRSF2", "TENT5C", "FLT3", "TP53"} <= set(table["symbol"])


@pytest.mark.parametrize(
    "name",
    ["1-Sep", "2-Mar", "01-Sep", "Sep-01", "1-SEPT", "1-Dec-24", "2024-09-01", "2024-03-02 00:00:00", "9/1/2024",
     "01.09.", "01.09.2024", "44075", "45536.0", "-", "--", "", None, "Unknown", "none", "N/A", "#N/A", "."],
)  # fmt: skip
def test_what_is_no_symbol_is_seen(name: str | None) -> None:
    assert no_symbol(name) is not None


@pytest.mark.parametrize(
    "name", ["SEPT1", "MARCH2", "NPM1", "H1-4", "SEPTIN9", "DEC1", "MARC1", "C6orf165", "NF1", "T"]
)
def test_symbols_that_look_like_dates_or_words_are_symbols(name: str) -> None:
    assert no_symbol(name) is None


@pytest.mark.parametrize("ending", FORMATS)
def test_rows_without_a_gene_are_left_out_and_counted_in_every_format(ending: str, tmp_path: Path) -> None:
    maf = everyone()[1]
    bad = [rows(maf, n, Hugo_Symbol=name) for n, name in ((3, "Unknown"), (2, "-"), (4, ""), (1, "#N/A"), (2, "1-Sep"))]
    whole = ingest("mine", with_maf(tmp_path / "good", maf, ending))
    cohort = ingest("mine", with_maf(tmp_path / "bad", pd.concat([maf, *bad]), ending))
    pd.testing.assert_frame_equal(cohort.alterations, whole.alterations)
    pd.testing.assert_frame_equal(cohort.mutations, whole.mutations)
    assert noted(cohort, f"mutations.{ending}: 10 rows left out: no gene symbol")
    assert noted(cohort, f"mutations.{ending}: 2 rows left out: a date in place of a gene symbol (1-Sep)")


def test_a_gene_that_a_workbook_stores_as_a_date_is_left_out(tmp_path: Path) -> None:
    import datetime

    maf = everyone()[1]
    strange = [datetime.datetime(2024, 9, 1, tzinfo=None), 44075, "2-Mar"]
    bad = rows(maf, 3).assign(Hugo_Symbol=strange)
    cohort = ingest("mine", with_maf(tmp_path, pd.concat([maf, bad]), "xlsx", **ONE))
    assert set(cohort.schema.genes) == set(GENES)
    assert noted(cohort, "2 rows left out: a date in place of a gene symbol")
    assert noted(cohort, "1 row left out: a number in place of a gene symbol (44075)")


@pytest.mark.parametrize("ending", FORMATS)
def test_spellings_and_earlier_symbols_of_a_gene_are_one_alteration(ending: str, tmp_path: Path) -> None:
    maf = everyone()[1]
    whole = ingest("mine", with_maf(tmp_path / "one", maf.replace({"DNMT3A": "KMT2A", "TP53": "SRSF2"}), ending))
    spelt = maf.assign(Hugo_Symbol=maf["Hugo_Symbol"].replace({"DNMT3A": "MLL", "TP53": "SFRS2"}))
    npm1 = np.flatnonzero(spelt["Hugo_Symbol"] == "NPM1")
    spelt.iloc[npm1[::3], 0], spelt.iloc[npm1[1::3], 0] = "npm1", "Npm1"
    cohort = ingest("mine", with_maf(tmp_path / "many", spelt, ending))
    pd.testing.assert_frame_equal(cohort.alterations, whole.alterations)
    assert noted(cohort, "MLL as KMT2A", "Npm1 and npm1 as NPM1", "SFRS2 as SRSF2")


def test_a_panel_and_variants_may_use_earlier_symbols(tmp_path: Path) -> None:
    maf = everyone()[1].replace({"TP53": "MLL"})
    named = {"panel": ["MLL", "NPM1"], "variants": {"MLL_R1H": {"gene": "MLL", "protein": "R1H"}}}
    cohort = ingest("mine", with_maf(tmp_path, maf, **named | {"panel": ["MLL_R1H", "NPM1"]}))
    assert cohort.schema.genes == ["MLL_R1H", "NPM1"]
    assert ingest("mine", with_maf(tmp_path, maf, panel=["MLL", "NPM1"])).schema.genes == ["KMT2A", "NPM1"]


@pytest.mark.parametrize("ending", FORMATS)
def test_columns_of_one_gene_are_one_and_dates_among_them_leave(ending: str, tmp_path: Path) -> None:
    matrix = matrix_of(npm1=["1", "0", "", ""], NPM1=["1", "", "0", ""], MLL=["0", "1"], **{"1-Sep": ["1", "0"]})
    cohort = ingest("mine", with_matrix(tmp_path, matrix, ending))
    assert list(cohort.schema.alterations) == ["NPM1", "KMT2A"]
    expected = np.resize([1.0, 0.0, 0.0, np.nan], len(cohort))
    np.testing.assert_array_equal(cohort.alterations["NPM1"], expected)
    assert noted(cohort, "npm1 as NPM1", "MLL as KMT2A")
    assert noted(cohort, "column 1-Sep left out", "date")


def test_columns_of_one_gene_that_differ_are_an_error(tmp_path: Path) -> None:
    matrix = matrix_of(MLL=["1", "0"], KMT2A=["1", "1"])
    fails(with_matrix(tmp_path, matrix), "alterations.csv, row 3, patient P001", "MLL and KMT2A", "differ (60 such")


def test_columns_that_are_no_known_genes_keep_their_names(tmp_path: Path) -> None:
    matrix = matrix_of(**{"t(4;14)": ["1", "0"], "trisomy 8": ["0", "1"], "Rare thing": ["0", "1"], "TP53": ["1", "0"]})
    cohort = ingest("mine", with_matrix(tmp_path, matrix))
    assert set(cohort.schema.alterations) == {"t(4;14)", "trisomy 8", "Rare thing", "TP53"}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("word", ["", "NA", "#N/A", "--", "'--", "n.a.", "Unknown"])
def test_words_for_missing_are_unknown_in_a_matrix(ending: str, word: str, tmp_path: Path) -> None:
    matrix = matrix_of(NPM1=["1", "0", word], TP53=["0", "1", "0"])
    cohort = ingest("mine", with_matrix(tmp_path, matrix, ending))
    np.testing.assert_array_equal(cohort.alterations["NPM1"], np.resize([1.0, 0.0, np.nan], len(cohort)))


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_a_stray_quote_loses_no_mutation_and_no_row(ending: str, tmp_path: Path) -> None:
    separator = "," if ending == "csv" else "\t"
    maf = everyone()[1].assign(Comment="seen")
    whole = ingest("mine", with_maf(tmp_path / "a", maf, ending))
    source = with_maf(tmp_path / "b", maf, ending)
    lines = (tmp_path / "b" / f"mutations.{ending}").read_text().splitlines()
    for at in (3, 20):
        lines[at] = separator.join([*lines[at].split(separator)[:-1], '"seen twice'])
    (tmp_path / "b" / f"mutations.{ending}").write_text("\n".join(lines) + "\n")
    pd.testing.assert_frame_equal(ingest("mine", source).mutations, whole.mutations)
    matrix = matrix_of(NPM1=["1", "0"], TP53=["0", "1"]).assign(Comment="")
    source = with_matrix(tmp_path / "c", matrix, ending)
    whole = ingest("mine", source)
    text = (tmp_path / "c" / f"alterations.{ending}").read_text().replace("P004", '"P004').replace("P006", '"P006')
    (tmp_path / "c" / f"alterations.{ending}").write_text(text)
    cohort = ingest("mine", source)
    pd.testing.assert_frame_equal(cohort.alterations, whole.alterations)
    assert cohort.schema.reading[-1].read == len(clinical_table())


def test_a_status_that_says_not_mutated_is_no_mutation(tmp_path: Path) -> None:
    maf = everyone()[1].assign(Mutation_Status="Somatic")
    whole = ingest("mine", with_maf(tmp_path / "a", maf))
    wild = rows(maf, 4, Hugo_Symbol="WT1", Mutation_Status=["Wildtype", "None", "LOH", "Somatic"])
    cohort = ingest("mine", with_maf(tmp_path / "b", pd.concat([maf, wild]), **ONE))
    assert cohort.alterations["WT1"].sum() == 1
    pd.testing.assert_frame_equal(cohort.alterations[list(GENES)], whole.alterations[list(GENES)], check_like=True)


# the account


def test_every_line_of_every_genomic_file_is_accounted_for(tmp_path: Path) -> None:
    """What is read and what is left out add up to the lines of the file, counted here on their own."""
    maf = everyone()[1].assign(Tumor_Sample_Barcode=lambda t: t["Tumor_Sample_Barcode"] + "-T")
    bad = [rows(maf, 3, Hugo_Symbol="-"), rows(maf, 2, Variant_Classification="Silent"), maf.iloc[:4]]
    source = study(tmp_path, pd.concat([maf, *bad]))
    sv(tmp_path, [("P001-T", "KMT2A", "MLLT3"), ("P002-T", "-", ""), ("P001-T", "KMT2A", "MLLT3")])
    cna(tmp_path, {"MYC": ["2", "0"], "1-Sep": ["0", "0"]})
    raw = folders.read_source(source, None)
    found = {reading.file: reading for reading in raw.readings}
    expected = {"data_mutations.txt": (len(maf), 9), "data_sv.txt": (1, 2), "data_cna.txt": (1, 1)}
    for name, (read, left) in expected.items():
        lines = len((tmp_path / name).read_text().splitlines())
        assert found[name].physical == lines
        assert found[name].read == read
        assert sum(found[name].left.values()) == left + 1  # the header is no record
        assert found[name].read + sum(found[name].left.values()) == lines
    assert found["data_mutations.txt"].read == len(raw.mutations)


def test_tables_account_for_mutations_and_matrix(tmp_path: Path) -> None:
    maf = everyone()[1]
    source = with_maf(tmp_path, pd.concat([maf, rows(maf, 3, Hugo_Symbol="Unknown")]))
    write(matrix_of(EZH2=["1", "0"]), tmp_path / "alterations.csv")
    found = {reading.file: reading for reading in plain_tables.read_source(source, None).readings}
    assert found["mutations.tsv"].read == len(maf)
    assert found["mutations.tsv"].left["no gene symbol"] == 3
    assert found["alterations.csv"].read == len(clinical_table())
    assert set(found) == {"clinical.tsv", "mutations.tsv", "alterations.csv"}


# samples


def two_samples(**columns: Any) -> pd.DataFrame:
    """A diagnostic and a later sample of every patient, the diagnostic one first; the later one ends in -T."""
    patients = clinical_table()["PATIENT_ID"]
    first = pd.DataFrame(
        {"PATIENT_ID": patients, "SAMPLE_ID": patients + "-D", **{n: v[0] for n, v in columns.items()}}
    )
    later = pd.DataFrame(
        {"PATIENT_ID": patients, "SAMPLE_ID": patients + "-T", **{n: v[1] for n, v in columns.items()}}
    )
    return pd.concat([first, later])


def test_the_sequenced_sample_is_taken(tmp_path: Path) -> None:
    source = study(tmp_path, samples=two_samples())
    listed = [f"P{i:03d}-{'T' if i % 2 else 'D'}" for i in range(120) if i % 10]
    maf = mutation_table(clinical_table())
    which = maf["Tumor_Sample_Barcode"].str[1:].astype(int) % 2
    write(maf.assign(Tumor_Sample_Barcode=maf["Tumor_Sample_Barcode"] + np.where(which, "-T", "-D")),
          tmp_path / "data_mutations.txt")  # fmt: skip
    case_list(tmp_path, "sequenced", listed)
    cohort = ingest("mine", source)
    assert list(cohort.patients[cohort.sequenced]) == [sample[:4] for sample in listed]
    assert len(cohort.mutations) == len(maf)
    assert noted(cohort, "120 patients have several samples (240)", "cases_sequenced.txt", "of 60 patients it is not")
    told = next(one for one in cohort.schema.reading if one.file == "data_clinical_sample.txt")
    assert (told.read, told.left["another sample of the patient"]) == (120, 120)


def test_without_a_list_the_sample_with_mutations_is_taken_and_it_is_said(tmp_path: Path) -> None:
    cohort = ingest("mine", study(tmp_path, samples=two_samples()))
    assert len(cohort.mutations) == len(mutation_table(clinical_table()))
    assert noted(cohort, "that of data_mutations.txt, nothing else says which was")


@pytest.mark.parametrize(
    ("times", "earlier"),
    [(("30", "10"), "T"), (("10", "30"), "D"), (("2019-05-01", "2018-12-24"), "T"), (("", "9"), "T")],
)
def test_of_two_sequenced_samples_the_earliest_is_taken(times: tuple[str, str], earlier: str, tmp_path: Path) -> None:
    patients = clinical_table()["PATIENT_ID"]
    source = study(tmp_path, samples=two_samples(COLLECTION_DAYS=times, WHICH=("D", "T")))
    case_list(tmp_path, "sequenced", [*(patients + "-D"), *(patients + "-T")])
    raw = folders.read_source(source, None)
    assert set(raw.clinical["WHICH"]) == {earlier}


def test_a_setting_chooses_the_sample(tmp_path: Path) -> None:
    source = study(tmp_path, samples=two_samples(WHICH=("Relapse", "Diagnosis"), COLLECTION_DAYS=("5", "9")))
    patients = clinical_table()["PATIENT_ID"]
    case_list(tmp_path, "sequenced", list(patients + "-T"))
    for choice, taken in (
        (None, "Diagnosis"), ("sequenced", "Diagnosis"), ("earliest", "Relapse"), ("first", "Relapse"),
        ({"WHICH": "Diagnosis"}, "Diagnosis"), ({"WHICH": ["Relapse", "Diagnosis"]}, "Relapse"),
    ):  # fmt: skip
        raw = folders.read_source({**source, "sample": choice}, None)
        assert set(raw.clinical["WHICH"]) == {taken}, choice
    fails({**source, "sample": "latest"}, "sample: 'latest' is unknown", "sequenced, earliest, first")
    fails({**source, "sample": {"WHICH": "Diagnose"}}, "no value 'Diagnose'", "Diagnosis, Relapse")


def test_patients_with_mutations_that_the_case_list_lacks_are_told_with_file_and_number(tmp_path: Path) -> None:
    source = study(tmp_path)
    case_list(tmp_path, "sequenced", [f"P{i:03d}-T" for i in range(40, 120)])
    maf = mutation_table(clinical_table())
    mutated = sorted({patient for patient in maf["Tumor_Sample_Barcode"] if patient < "P040"})
    fails(source, "cases_sequenced.txt", f"{len(mutated)} patients have mutations in data_mutations.txt", mutated[0])


# gene panels


def panels(folder: Path, of: list[str], **genes: list[str]) -> None:
    """A panel matrix, and a file for each panel."""
    table = pd.DataFrame({"SAMPLE_ID": clinical_table()["PATIENT_ID"] + "-T"})
    write(table.assign(mutations=np.resize(of, len(table))), folder / "data_gene_panel_matrix.txt")
    (folder / "gene_panels").mkdir(exist_ok=True)
    for name, members in genes.items():
        text = f"stable_id: {name}\ndescription: of some genes\ngene_list: " + "\t".join(members) + "\n"
        (folder / "gene_panels" / f"data_gene_panel_{name}.txt").write_text(text)


def test_genes_off_the_panel_of_a_patient_are_unknown(tmp_path: Path) -> None:
    maf = mutation_table(clinical_table())
    small = maf["Tumor_Sample_Barcode"].str[1:].astype(int) % 2 == 1
    maf = maf[~(small & maf["Hugo_Symbol"].isin(["TP53", "FLT3"]))]
    maf = maf.assign(Tumor_Sample_Barcode=maf["Tumor_Sample_Barcode"] + "-T")
    source = study(tmp_path, maf)
    panels(tmp_path, ["BIG", "SMALL"], BIG=list(GENES), SMALL=["NPM1", "DNMT3A"])
    cohort = ingest("mine", source)
    odd = np.arange(120) % 2 == 1
    assert cohort.sequenced.all()
    assert cohort.alterations.loc[odd, ["TP53", "FLT3"]].isna().all(axis=None)
    assert cohort.alterations.loc[~odd, ["TP53", "FLT3"]].notna().all(axis=None)
    assert cohort.alterations[["NPM1", "DNMT3A"]].notna().all(axis=None)
    assert noted(cohort, "BIG (4 genes, 60 patients), SMALL (2 genes, 60 patients)", "unknown")
    assert not noted(cohort, "not read", "gene_panels")
    named = ingest("mine", {**source, **ONE, "variants": {"FLT3_ITD": {"gene": "FLT3", "protein": "ITD"}}})
    assert named.alterations.loc[odd, "FLT3_ITD"].isna().all()  # as its gene


def test_a_mutation_off_the_panel_stays_a_mutation_and_is_told(tmp_path: Path) -> None:
    source = study(tmp_path)
    panels(tmp_path, ["BIG", "SMALL"], BIG=list(GENES), SMALL=["NPM1", "DNMT3A"])
    cohort = ingest("mine", source)
    whole = ingest("mine", study(tmp_path / "whole"))
    assert cohort.alterations.sum().equals(whole.alterations.sum())
    assert noted(cohort, "mutated in a patient whose panel lacks them are kept as mutated", "FLT3, TP53")


def test_a_panel_of_whole_exomes_leaves_no_gene_out_and_na_was_not_sequenced(tmp_path: Path) -> None:
    maf = mutation_table(clinical_table())
    maf = maf[maf["Tumor_Sample_Barcode"].str[1:].astype(int) % 3 == 0]
    source = study(tmp_path, maf.assign(Tumor_Sample_Barcode=maf["Tumor_Sample_Barcode"] + "-T"))
    panels(tmp_path, ["WXS", "NA", "SMALL"], SMALL=["NPM1", "DNMT3A"])
    cohort = ingest("mine", {**source, **ONE})
    third = np.arange(120) % 3
    assert list(cohort.sequenced) == list(third != 1)
    assert cohort.alterations.loc[third == 0].notna().all(axis=None)
    assert cohort.alterations.loc[third == 1].isna().all(axis=None)
    assert list(cohort.alterations.loc[third == 2].isna().all()) == [
        g not in ("NPM1", "DNMT3A") for g in cohort.alterations
    ]


def test_a_panel_whose_genes_nobody_says_is_a_line_whose_advice_works(tmp_path: Path) -> None:
    source = study(tmp_path)
    panels(tmp_path, ["BIG", "SMALL"], BIG=list(GENES))
    fails(source, "data_gene_panel_matrix.txt", "panel SMALL (60 patients)", "`gene_panels: {SMALL: all}`")
    everything = ingest("mine", {**source, "gene_panels": yaml.safe_load("{SMALL: all}")})
    assert everything.alterations.notna().all(axis=None)
    some = ingest("mine", {**source, "gene_panels": yaml.safe_load("{SMALL: [NPM1, FLT3]}")})
    assert some.alterations["TP53"].isna().any()


# fusions


def sv(folder: Path, variants: list[tuple[str, str, str]], **columns: Any) -> None:
    table = pd.DataFrame(variants, columns=["Sample_Id", "Site1_Hugo_Symbol", "Site2_Hugo_Symbol"])
    write(table.assign(**{"SV_Status": "SOMATIC", **columns}), folder / "data_sv.txt")


def carriers_of(gene: str, other: str, n: int, start: int = 0) -> list[tuple[str, str, str]]:
    return [(f"P{i:03d}-T", gene, other) for i in range(start, start + n)]


def test_fusions_become_alterations_in_the_commoner_order(tmp_path: Path) -> None:
    source = study(tmp_path)
    variants = [
        *carriers_of("MLL", "AF9", 20),
        *carriers_of("MLLT3", "KMT2A", 5, 15),
        *carriers_of("BCR", "ABL1", 9, 40),
    ]
    sv(tmp_path, variants)
    cohort = ingest("mine", source)
    fusions = [name for name in cohort.schema.alterations if "::" in name]
    assert fusions == ["KMT2A::MLLT3"]
    assert cohort.schema.alterations["KMT2A::MLLT3"] == "cytogenetic"
    assert list(cohort.alterations["KMT2A::MLLT3"]) == [1.0] * 20 + [0.0] * 100
    assert noted(cohort, "data_sv.txt", "KMT2A::MLLT3 (20); 1 rarer left out")
    assert noted(cohort, "nothing says who was looked at for structural variants")
    more = ingest("mine", {**source, "panel": ["NPM1", "BCR::ABL1"]})
    assert set(more.schema.alterations) == {"NPM1", "BCR::ABL1", "KMT2A::MLLT3"}
    fewer = ingest("mine", {**source, "exclude": ["KMT2A::MLLT3"]})
    assert "KMT2A::MLLT3" not in fewer.schema.alterations


def test_variants_within_a_gene_or_of_one_gene_are_named_and_others_left_out(tmp_path: Path) -> None:
    source = study(tmp_path)
    variants = [("P001-T", "KMT2A", "KMT2A"), ("P002-T", "MECOM", ""), ("P003-T", "", "MECOM"), ("P004-T", "-", "")]
    sv(tmp_path, [*variants, ("P005-T", "ETV6", "RUNX1"), ("P005-T", "ETV6", "RUNX1"), ("P006-T", "ETV6", "RUNX1")],
       SV_Status=["SOMATIC"] * 6 + ["GERMLINE"])  # fmt: skip
    cohort = ingest("mine", {**source, **ONE})
    counts = cohort.alterations[[name for name in cohort.alterations if "::" in name]].sum()
    assert dict(counts) == {"ETV6::RUNX1": 1, "KMT2A::intragenic": 1, "MECOM::unknown": 2}
    for reason in ("a germline variant", "no gene at either site", "a fusion of the patient once more"):
        assert noted(cohort, "data_sv.txt: 1 row left out", reason)


def test_who_was_not_looked_at_has_unknown_fusions(tmp_path: Path) -> None:
    source = study(tmp_path)
    sv(tmp_path, carriers_of("KMT2A", "MLLT3", 20))
    case_list(tmp_path, "sv", [f"P{i:03d}-T" for i in range(60)])
    cohort = ingest("mine", source)
    assert cohort.alterations["KMT2A::MLLT3"].isna().tolist() == [False] * 60 + [True] * 60
    case_list(tmp_path, "sv", [f"P{i:03d}-T" for i in range(10, 60)])
    fails(source, "data_sv.txt", "patient P000", "(10 such patients)")


def test_fusions_of_patients_not_sequenced_are_unknown_where_no_list_tells(tmp_path: Path) -> None:
    source = study(tmp_path)
    sequenced = [f"P{i:03d}-T" for i in range(120) if i % 10]
    case_list(tmp_path, "sequenced", sequenced)
    sv(tmp_path, carriers_of("KMT2A", "MLLT3", 20))  # P000 and P010 among them
    values = ingest("mine", source).alterations["KMT2A::MLLT3"]
    assert (values.iloc[:20] == 1).all()
    assert values.iloc[20::10].isna().all()
    assert (values.iloc[21:30] == 0).all()


def test_a_structural_variant_of_an_unknown_sample_is_an_error(tmp_path: Path) -> None:
    source = study(tmp_path)
    sv(tmp_path, [("X1", "KMT2A", "MLLT3")])
    fails(source, "data_sv.txt, row 2", "'X1' is not in the clinical table")


# copy number


def cna(folder: Path, genes: dict[str, list[str]], **first: Any) -> None:
    samples = list(clinical_table()["PATIENT_ID"] + "-T")
    table = pd.DataFrame([np.resize(states, len(samples)) for states in genes.values()], columns=samples)
    table.insert(0, "Hugo_Symbol", list(genes))
    write(table, folder / "data_cna.txt")


def test_deep_deletions_and_amplifications_become_alterations(tmp_path: Path) -> None:
    source = study(tmp_path)
    cna(tmp_path, {"TP53": ["-2", "-1", "0", "NA"], "MLL": ["0", "1", "2", "2"], "EZH2": ["-1.5", "1", "-1", "0"]})
    cohort = ingest("mine", source)
    events = {n: cohort.alterations[n] for n, kind in cohort.schema.alterations.items() if kind == "cytogenetic"}
    assert set(events) == {"del(TP53)", "amp(KMT2A)", "del(EZH2)"}
    np.testing.assert_array_equal(events["del(TP53)"], np.resize([1.0, 0.0, 0.0, np.nan], 120))
    np.testing.assert_array_equal(events["amp(KMT2A)"], np.resize([0.0, 0.0, 1.0, 1.0], 120))
    assert noted(cohort, "data_cna.txt: 120 losses and gains of a single copy are no events", "copy_number: all")
    every = ingest("mine", {**source, "copy_number": "all"})
    np.testing.assert_array_equal(every.alterations["loss(TP53)"], np.resize([1.0, 1.0, 0.0, np.nan], 120))
    np.testing.assert_array_equal(every.alterations["gain(KMT2A)"], np.resize([0.0, 1.0, 1.0, 1.0], 120))
    none = ingest("mine", {**source, "copy_number": "none"})
    assert set(none.schema.alterations.values()) == {"gene"}
    assert noted(none, "not read", "data_cna.txt")
    fails({**source, "copy_number": "deepest"}, "copy_number: 'deepest' is unknown", "deep, all, none")


def test_long_and_wide_tables_of_copy_number_give_the_same_alterations(tmp_path: Path) -> None:
    wide, long = study(tmp_path / "wide"), study(tmp_path / "long")
    genes = {"TP53": ["-2", "0", "NA"], "MYC": ["0", "2", "2"]}
    cna(tmp_path / "wide", genes)
    rows_of = [(f"P{i:03d}-T", gene, np.resize(s, 120)[i]) for i in range(120) for gene, s in genes.items()]
    write(pd.DataFrame(rows_of, columns=["Sample_Id", "Hugo_Symbol", "Value"]), tmp_path / "long" / "data_cna.txt")
    pd.testing.assert_frame_equal(ingest("a", wide).alterations, ingest("a", long).alterations, check_like=True)


def test_genes_that_are_amplified_together_are_one_event(tmp_path: Path) -> None:
    source = study(tmp_path)
    cna(tmp_path, {"AAA1": ["2", "0"], "BBB1": ["2", "0"], "MYC": ["2", "0"], "TP53": ["0", "2"]})
    cohort = ingest("mine", source)
    assert [name for name in cohort.alterations if "(" in name] == ["amp(MYC)", "amp(TP53)"]
    assert noted(cohort, "amp(MYC) stands for amp(AAA1), amp(BBB1) too")


@pytest.mark.parametrize(
    ("genes", "words"),
    [
        ({"TP53": ["0", "-0.37"]}, ("data_cna.txt, row 2", "column P001-T", "'-0.37' is no copy-number state")),
        ({"TP53": ["0", "3"]}, ("data_cna.txt, row 2", "'3'", "-2, -1.5, -1, 0, 1, 2 or NA")),
    ],
)
def test_what_is_no_copy_number_state_is_told(
    genes: dict[str, list[str]], words: tuple[str, ...], tmp_path: Path
) -> None:
    source = study(tmp_path)
    cna(tmp_path, genes)
    fails(source, *words)


def test_copy_number_of_an_unknown_sample_is_told(tmp_path: Path) -> None:
    source = study(tmp_path)
    cna(tmp_path, {"TP53": ["0", "2"]})
    table = pd.read_csv(tmp_path / "data_cna.txt", sep="\t").rename(columns={"P003-T": "Q003-T"})
    write(table, tmp_path / "data_cna.txt")
    fails(source, "data_cna.txt: column Q003-T is no sample of the clinical table (1 such)")


# what is not read


def test_every_file_that_is_not_read_is_listed(tmp_path: Path) -> None:
    source = study(tmp_path)
    (tmp_path / "data_timeline_treatment.txt").write_text("PATIENT_ID\tSTART_DATE\tSTOP_DATE\tEVENT_TYPE\n")
    (tmp_path / "meta_timeline_treatment.txt").write_text(
        "genetic_alteration_type: CLINICAL\ndatatype: TIMELINE\ndata_filename: data_timeline_treatment.txt\n"
    )
    (tmp_path / "data_log2_cna.txt").write_text("Hugo_Symbol\n")
    (tmp_path / "meta_log2_cna.txt").write_text(
        "genetic_alteration_type: COPY_NUMBER_ALTERATION\ndatatype: LOG2-VALUE\ndata_filename: data_log2_cna.txt\n"
    )
    (tmp_path / "notes.docx").write_bytes(b"PK")
    case_list(tmp_path, "all", ["P000-T"])
    note = next(note for note in ingest("mine", source).schema.notes if note.startswith("not read: "))
    assert note == (
        "not read: case_lists/cases_all.txt, data_log2_cna.txt (copy number alteration), "
        "data_timeline_treatment.txt (timeline), notes.docx"
    )
    clinical = ingest("mine", {**source, "modalities": ["clinical"]})
    assert noted(clinical, "not read", "data_mutations.txt")


# the shared cases


@pytest.fixture(scope="module")
def cases() -> Path:
    folder = os.environ.get("HAEMOSYNTH_CASES")
    if not folder:
        pytest.skip("HAEMOSYNTH_CASES is not set: it names a folder of messy cohorts")
    return Path(folder)


def case(cases: Path, name: str, **more: Any) -> Cohort:
    entry = yaml.safe_load((cases / name / "study.yaml").read_text())["cohorts"][name]
    return ingest(name, {**expand_paths(entry, name), **more})


def test_cases_of_genes(cases: Path) -> None:
    clear = case(cases, "c32_constant_depth")
    for name in ("c01_unknown_hugo", "c02_gene_case", "c03_second_sample"):
        found = case(cases, name)
        pd.testing.assert_frame_equal(found.alterations, clear.alterations)
        assert found.sequenced.all()
    dates = case(cases, "c33_date_genes")
    pd.testing.assert_frame_equal(dates.alterations, clear.alterations.drop(columns="RUNX1"))
    assert noted(dates, "46 rows left out: a date in place of a gene symbol")


def test_cases_of_study_folders(cases: Path) -> None:
    panel = case(cases, "c04_gene_panel")
    assert panel.alterations.isna().sum().to_dict() == {"DNMT3A": 0, "FLT3": 0, "NPM1": 0, "RUNX1": 70, "TP53": 70}
    fusions = case(cases, "c05_sv_ignored")
    assert fusions.alterations["KMT2A::MLLT3"].sum() == 30
    assert noted(fusions, "data_cna.txt", "single copy")
    with pytest.raises(InputError, match=r"cases_sequenced\.txt: 36 patients have mutations .*K000"):
        case(cases, "c06_short_case_list")
