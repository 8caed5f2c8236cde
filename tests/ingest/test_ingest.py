"""What ingestion makes of a source: the same cohort from every format, nothing dropped without a word."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures_sources import GENES, cbioportal, clinical_table, mutation_table, tables, write

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.cohort_files import read_cohort, write_cohort
from haemosynth.reading.preprocess import MONTH_DAYS


def assert_same(a: Cohort, b: Cohort) -> None:
    assert replace(a.schema, reading=()) == replace(b.schema, reading=())  # the account of the files may differ
    pd.testing.assert_frame_equal(a.clinical, b.clinical)
    pd.testing.assert_frame_equal(a.alterations, b.alterations)
    pd.testing.assert_series_equal(a.sequenced, b.sequenced, check_names=False)
    pd.testing.assert_frame_equal(a.mutations, b.mutations)


def test_every_kind_of_table_gives_the_same_cohort(tmp_path: Path) -> None:
    cohorts = []
    for ending in ("csv", "tsv", "parquet", "xlsx"):
        source = tables(tmp_path / ending)
        for name, table in (("clinical", clinical_table()), ("mutations", mutation_table(clinical_table()))):
            (tmp_path / ending / f"{name}.tsv").unlink()
            write(table, tmp_path / ending / f"{name}.{ending}")
        cohorts.append(ingest("mine", source))
    for other in cohorts[1:]:
        assert_same(cohorts[0], other)


def test_numbers_stored_as_numbers_are_the_same_cohort_as_text(tmp_path: Path) -> None:
    source = tables(tmp_path / "text")
    stored = clinical_table()
    for name in ("AGE", "HEMOGLOBIN", "LDH", "OS_MONTHS"):
        stored[name] = pd.to_numeric(stored[name])
    numbers = tables(tmp_path / "numbers")
    (tmp_path / "numbers" / "clinical.tsv").unlink()
    write(stored, tmp_path / "numbers" / "clinical.parquet")
    assert_same(ingest("mine", source), ingest("mine", numbers))


def test_semicolons_with_decimal_commas_and_gzip_give_the_same_cohort(tmp_path: Path) -> None:
    source, other = tables(tmp_path / "a"), tables(tmp_path / "b")
    (tmp_path / "b" / "clinical.tsv").unlink()
    table = clinical_table()
    for name in ("HEMOGLOBIN", "OS_MONTHS", "PFS_MONTHS"):
        table[name] = table[name].str.replace(".", ",")
    table.to_csv(tmp_path / "b" / "clinical.csv.gz", sep=";", index=False)
    assert_same(ingest("mine", source), ingest("mine", other))


def test_a_cbioportal_study_gives_the_same_cohort_as_plain_tables(tmp_path: Path) -> None:
    table, maf = clinical_table(), mutation_table(clinical_table())
    of_patient = ["PATIENT_ID", "SEX", "AGE", "OS_MONTHS", "OS_STATUS", "PFS_MONTHS", "PFS_STATUS"]
    samples = table.drop(columns=of_patient[1:]).assign(SAMPLE_ID=table["PATIENT_ID"] + "-T")
    maf["Tumor_Sample_Barcode"] += "-T"
    study = ingest("mine", cbioportal(tmp_path / "study", table[of_patient], samples, maf))
    plain = ingest("mine", tables(tmp_path / "plain"))
    assert study.schema.excluded["SAMPLE_ID"] == "identifier"
    pd.testing.assert_frame_equal(study.clinical[list(plain.clinical)], plain.clinical)
    pd.testing.assert_frame_equal(study.alterations, plain.alterations)
    pd.testing.assert_frame_equal(study.mutations, plain.mutations)


def test_a_cohort_survives_writing_and_reading(tmp_path: Path) -> None:
    cohort = ingest("mine", {**tables(tmp_path / "in"), "alterations": ["CYTO_*"], "endpoint": ["OS", "PFS"]})
    write_cohort(cohort, tmp_path / "out")
    assert_same(cohort, read_cohort(tmp_path / "out"))
    assert cohort.schema == read_cohort(tmp_path / "out").schema


def test_a_canonical_cohort_is_a_source_too(tmp_path: Path) -> None:
    source = {"endpoint": ["OS", "PFS"], "alterations": ["CYTO_*"]}
    first = ingest("mine", {**tables(tmp_path / "in"), **source})
    write_cohort(first, tmp_path / "out")
    again = ingest("mine", {**source, "format": "tables", "path": str(tmp_path / "out")})
    pd.testing.assert_frame_equal(first.clinical, again.clinical)
    pd.testing.assert_frame_equal(first.alterations, again.alterations)
    pd.testing.assert_frame_equal(first.mutations, again.mutations)


def test_genes_of_patients_not_sequenced_are_unknown_not_absent(tmp_path: Path) -> None:
    cohort = ingest("mine", {**tables(tmp_path), "alterations": ["CYTO_*"]})
    not_sequenced = ~cohort.sequenced
    assert not_sequenced.sum() == 12
    genes = cohort.alterations[cohort.schema.genes]
    assert genes[not_sequenced].isna().all(axis=None)
    assert genes[cohort.sequenced].notna().all(axis=None)
    assert cohort.alterations.loc[not_sequenced, "CYTO_PLUS8"].notna().any()
    assert not cohort.mutations["patient_id"].isin(cohort.patients[not_sequenced]).any()


def test_the_matrix_says_exactly_what_the_mutations_say(tmp_path: Path) -> None:
    cohort = ingest("mine", tables(tmp_path))
    maf = mutation_table(clinical_table())
    assert cohort.schema.genes == sorted(GENES)
    for gene in GENES:
        carriers = set(cohort.patients[cohort.alterations[gene] == 1])
        assert carriers == set(maf.loc[maf["Hugo_Symbol"] == gene, "Tumor_Sample_Barcode"])
    reads = maf["t_alt_count"].astype(float)
    assert cohort.mutations["vaf"].sum() == pytest.approx((reads / 100).sum())


def test_a_variant_becomes_an_alteration_of_its_own(tmp_path: Path) -> None:
    whole = ingest("mine", tables(tmp_path))
    named = ingest("mine", {**tables(tmp_path), "variants": {"FLT3_ITD": {"gene": "FLT3", "protein": "ITD"}}})
    assert set(named.schema.genes) == {*GENES, "FLT3_ITD"}
    both = named.alterations["FLT3_ITD"] + named.alterations["FLT3"]
    pd.testing.assert_series_equal(both, whole.alterations["FLT3"], check_names=False)
    assert set(named.mutations.query("gene == 'FLT3_ITD'")["hgvsp"]) == {"ITD"}


def test_yes_no_columns_move_to_the_alterations_and_keep_their_gaps(tmp_path: Path) -> None:
    cohort = ingest("mine", {**tables(tmp_path), "alterations": ["CYTO_*"]})
    recorded = clinical_table().set_index("PATIENT_ID")["CYTO_PLUS8"]
    assert "CYTO_PLUS8" not in cohort.clinical
    assert cohort.schema.alterations["CYTO_PLUS8"] == "cytogenetic"
    expected = recorded.map({"Yes": 1.0, "No": 0.0, "": np.nan})
    pd.testing.assert_series_equal(cohort.alterations["CYTO_PLUS8"], expected, check_names=False)


def test_without_the_genomic_modality_nothing_moves(tmp_path: Path) -> None:
    cohort = ingest("mine", {**tables(tmp_path), "alterations": ["CYTO_*"], "modalities": ["clinical"]})
    assert cohort.alterations is None
    assert cohort.schema.columns["CYTO_PLUS8"].kind == "binary"


def test_a_listed_panel_stands_in_its_order(tmp_path: Path) -> None:
    cohort = ingest("mine", {**tables(tmp_path), "panel": ["TP53", "NPM1"]})
    assert cohort.schema.genes == ["TP53", "NPM1"]
    assert set(cohort.mutations["gene"]) == {"TP53", "NPM1"}
    assert any("rows of genes outside the panel" in note for note in cohort.schema.notes)


def test_a_recurrent_panel_counts_carriers_not_rows(tmp_path: Path) -> None:
    maf = mutation_table(clinical_table())
    patients = maf["Tumor_Sample_Barcode"].unique()[:9]
    rare = maf.iloc[[0] * 18].assign(
        Hugo_Symbol="EZH2", Tumor_Sample_Barcode=np.repeat(patients, 2), Start_Position=[str(i) for i in range(18)]
    )
    cohort = ingest("mine", tables(tmp_path, mutations=pd.concat([maf, rare])))
    assert "EZH2" not in cohort.schema.genes
    nine = ingest(
        "mine", {**tables(tmp_path, mutations=pd.concat([maf, rare])), "panel": {"recurrent": {"min_carriers": 9}}}
    )
    assert nine.alterations["EZH2"].sum() == 9


def test_silent_and_repeated_calls_are_left_out_with_a_note(tmp_path: Path) -> None:
    maf = mutation_table(clinical_table())
    silent = maf.iloc[:3].assign(Variant_Classification=["Silent", "Intron", "3'UTR"], Hugo_Symbol="EZH2")
    promoter = maf.iloc[:2].assign(Variant_Classification="5'Flank", Hugo_Symbol=["TERT", "EZH2"])
    deeper = maf.iloc[:4].assign(t_alt_count="300", t_ref_count="700")
    source = tables(tmp_path, mutations=pd.concat([maf, silent, promoter, deeper]))
    cohort = ingest("mine", {**source, "panel": {"recurrent": {"min_carriers": 1}}})
    assert "EZH2" not in cohort.schema.genes
    assert cohort.alterations["TERT"].sum() == 1
    assert len(cohort.mutations) == len(maf) + 1
    assert (cohort.mutations["alt_count"] == 300).sum() == 4  # of a repeated variant the deepest call
    assert (
        "mutations.tsv: 4 rows left out: a class that changes no protein (3'UTR, 5'Flank, Intron, Silent)"
        in cohort.schema.notes
    )
    assert any(note.startswith("mutations.tsv: 4 rows left out: a second call") for note in cohort.schema.notes)


def test_calls_without_position_are_never_taken_for_one(tmp_path: Path) -> None:
    maf = mutation_table(clinical_table()).assign(Start_Position="na")
    cohort = ingest("mine", tables(tmp_path, mutations=pd.concat([maf, maf.iloc[:5]])))
    assert len(cohort.mutations) == len(maf) + 5


def test_depth_and_given_frequency_replace_reference_reads(tmp_path: Path) -> None:
    maf = mutation_table(clinical_table())
    depth = maf.drop(columns="t_ref_count").assign(t_depth="100")
    with_depth = ingest("a", tables(tmp_path / "a", mutations=depth)).mutations
    pd.testing.assert_frame_equal(with_depth, ingest("a", tables(tmp_path / "b", mutations=maf)).mutations)
    given = maf.drop(columns=["t_ref_count", "t_alt_count"]).assign(VAF="0.25")
    vaf = ingest("a", tables(tmp_path / "c", mutations=given)).mutations
    assert (vaf["vaf"] == 0.25).all()
    assert vaf["alt_count"].isna().all()


def test_the_first_of_several_samples_is_kept_on_request_with_a_note(tmp_path: Path) -> None:
    table, maf = clinical_table(), mutation_table(clinical_table())
    first = pd.DataFrame({"PATIENT_ID": table["PATIENT_ID"], "SAMPLE_ID": table["PATIENT_ID"], "PURITY": "0.9"})
    relapse = first.iloc[:6].assign(SAMPLE_ID=lambda t: t["SAMPLE_ID"] + "-R", PURITY="0.1")
    later = maf.iloc[:1].assign(Hugo_Symbol="WT1", Tumor_Sample_Barcode="P000-R")
    source = cbioportal(tmp_path, table, pd.concat([first, relapse]), pd.concat([maf, later]))
    cohort = ingest("mine", {**source, "sample": "first", "panel": {"recurrent": {"min_carriers": 1}}})
    assert cohort.schema.excluded["PURITY"].startswith("constant: 0.9")
    assert "WT1" not in cohort.schema.genes
    assert (
        "samples: 6 patients have several samples (12); taken is the first of the file; of 0 patients it is not the "
        "first of data_clinical_sample.txt"
    ) in cohort.schema.notes
    assert "data_mutations.txt: 1 row left out: a sample that was not kept" in cohort.schema.notes


def test_a_case_list_says_who_was_sequenced(tmp_path: Path) -> None:
    table, maf = clinical_table().drop(columns="SEQUENCED"), mutation_table(clinical_table())
    samples = pd.DataFrame({"PATIENT_ID": table["PATIENT_ID"], "SAMPLE_ID": table["PATIENT_ID"]})
    source = cbioportal(tmp_path, table, samples, maf)
    everyone = ingest("mine", source)
    assert everyone.sequenced.all()
    assert any("nothing says who was sequenced" in note for note in everyone.schema.notes)
    listed = [f"P{i:03d}" for i in range(120) if i % 10]
    (tmp_path / "case_lists").mkdir()
    text = "cancer_study_identifier: mine\ncase_list_ids: " + "\t".join(listed) + "\n"
    (tmp_path / "case_lists" / "cases_sequenced.txt").write_text(text)
    assert list(ingest("mine", source).patients[ingest("mine", source).sequenced]) == listed


def test_meta_files_name_the_data_files(tmp_path: Path) -> None:
    table, maf = clinical_table(), mutation_table(clinical_table())
    samples = pd.DataFrame({"PATIENT_ID": table["PATIENT_ID"], "SAMPLE_ID": table["PATIENT_ID"]})
    source = cbioportal(tmp_path, table, samples, maf)
    expected = ingest("mine", source)
    (tmp_path / "data_mutations.txt").rename(tmp_path / "calls.txt")
    (tmp_path / "meta_mutations.txt").write_text(
        "genetic_alteration_type: MUTATION_EXTENDED\ndata_filename: calls.txt\n"
    )
    assert_same(expected, ingest("mine", source))


def test_a_matrix_of_events_is_read_with_its_unknowns(tmp_path: Path) -> None:
    source = tables(tmp_path, clinical=clinical_table().drop(columns="SEQUENCED"))
    (tmp_path / "mutations.tsv").unlink()
    rng = np.random.default_rng(3)
    matrix = pd.DataFrame(
        {
            "patient_id": [f"P{i:03d}" for i in range(110)],
            "TP53": rng.choice(["0", "1"], 110),
            "NPM1": rng.choice(["0", "1"], 110),
            "t(4;14)": rng.choice(["0", "1", ""], 110),
        }
    ).astype("object")
    matrix.loc[5, ["TP53", "NPM1"]] = ""
    write(matrix, tmp_path / "alterations.csv")
    cohort = ingest("mine", source)
    assert cohort.schema.alterations == {"TP53": "gene", "NPM1": "gene", "t(4;14)": "cytogenetic"}
    assert cohort.sequenced.sum() == 109
    assert cohort.alterations.loc["P110":].isna().all(axis=None)
    assert np.isnan(cohort.alterations.loc["P005", "TP53"])
    assert cohort.alterations["TP53"].sum() == (matrix["TP53"] == "1").sum()


def endpoints(tmp_path: Path, clinical: pd.DataFrame, **changes: object) -> Cohort:
    return ingest("mine", {**tables(tmp_path, clinical=clinical), "endpoint": ["OS", "PFS"], **changes})


def test_zero_times_are_raised_to_half_a_day_and_named(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[[3, 8], ["OS_MONTHS", "PFS_MONTHS"]] = "0"
    cohort = endpoints(tmp_path, table)
    assert cohort.clinical.loc["P003", "OS_time"] == pytest.approx(0.5 / MONTH_DAYS)
    assert (cohort.clinical[["OS_time", "PFS_time"]] > 0).all(axis=None)
    assert any(note.startswith("OS: time 0 raised") and note.endswith("P003, P008") for note in cohort.schema.notes)


def test_a_later_endpoint_ends_with_the_primary_one(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[5, "PFS_MONTHS"] = str(float(table.loc[5, "OS_MONTHS"]) + 0.05)
    cohort = endpoints(tmp_path, table)
    assert (cohort.clinical["PFS_time"] <= cohort.clinical["OS_time"]).all()
    assert "PFS: time later than OS, set to the time of OS: P005" in cohort.schema.notes
    table.loc[6, "PFS_MONTHS"] = "400"
    repaired = endpoints(tmp_path, table, repair=True)
    assert repaired.clinical.loc["P006", "PFS_time"] == repaired.clinical.loc["P006", "OS_time"]
    assert "PFS: time later than OS, set to the time of OS: P005, P006" in repaired.schema.notes


def test_half_an_endpoint_is_missing_and_the_patient_stays(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[5, "OS_STATUS"] = ""
    table.loc[6, ["OS_STATUS", "OS_MONTHS"]] = ""
    cohort = endpoints(tmp_path, table)
    assert len(cohort) == len(table)
    assert cohort.clinical.loc[["P005", "P006"], ["OS_time", "OS_event"]].isna().all(axis=None)
    assert "OS: only time or only event recorded, taken as missing: P005" in cohort.schema.notes


def test_days_and_years_become_months(tmp_path: Path) -> None:
    table = clinical_table()
    months = ingest("mine", tables(tmp_path / "m", clinical=table)).clinical["OS_time"]
    for unit, per_month in (("DAYS", MONTH_DAYS), ("YEARS", 1 / 12)):
        other = table.assign(OS_MONTHS=(table["OS_MONTHS"].astype(float) * per_month).astype(str))
        other = other.rename(columns={"OS_MONTHS": f"OS_{unit}"})
        cohort = ingest("mine", tables(tmp_path / unit, clinical=other))
        np.testing.assert_allclose(cohort.clinical["OS_time"], months, rtol=1e-12)
        assert cohort.schema.columns["OS_time"].unit == "months"
    days = table.assign(OS_MONTHS=(table["OS_MONTHS"].astype(float) * MONTH_DAYS).astype(str))
    convert = {"OS_MONTHS": {"convert": {"from": "days", "to": "months"}}}
    cohort = ingest("mine", {**tables(tmp_path / "told", clinical=days), "columns": convert})
    np.testing.assert_allclose(cohort.clinical["OS_time"], months, rtol=1e-12)


def test_spellings_of_a_level_are_one_with_a_note(tmp_path: Path) -> None:
    table = clinical_table()
    table.loc[[1, 2], "SEX"] = ["MALE", "female"]
    table.loc[[3, 4], "SEX"] = ["Unknown", "not available"]
    cohort = ingest("mine", tables(tmp_path, clinical=table))
    assert cohort.schema.columns["SEX"].categories == ("Female", "Male")
    assert cohort.clinical["SEX"].isna().sum() == 2
    assert "SEX: 2 values in another spelling (MALE, female) taken as one level" in cohort.schema.notes


@pytest.mark.parametrize(
    ("event", "none"), [("1", "0"), ("Dead", "Alive"), ("yes", "No"), ("1:Progressed", "0:CENSORED")]
)
def test_events_are_read_from_words_and_numbers(event: str, none: str, tmp_path: Path) -> None:
    table = clinical_table()
    died = table["OS_STATUS"] == "1:DECEASED"
    cohort = ingest("mine", tables(tmp_path, clinical=table.assign(OS_STATUS=np.where(died, event, none))))
    assert (cohort.clinical["OS_event"].to_numpy() == died.to_numpy()).all()


def test_a_milestone_is_censored_where_it_never_came(tmp_path: Path) -> None:
    table = clinical_table()
    table["CR_MONTHS"] = [f"{float(t) / 2:.4f}" if i % 3 else "" for i, t in enumerate(table["OS_MONTHS"])]
    cohort = ingest("mine", {**tables(tmp_path, clinical=table), "endpoint": ["OS"], "milestones": {"CR": "CR_MONTHS"}})
    reached = (table["CR_MONTHS"] != "").to_numpy()
    assert cohort.schema.endpoints == ("OS", "CR")
    assert (cohort.clinical["CR_event"].to_numpy() == reached).all()
    os = cohort.clinical["OS_time"]
    np.testing.assert_allclose(cohort.clinical["CR_time"], np.where(reached, os / 2, os), atol=1e-3)


def test_endpoints_that_are_not_listed_are_left_out_with_the_reason(tmp_path: Path) -> None:
    cohort = ingest("mine", {**tables(tmp_path), "endpoint": ["OS"]})
    assert "PFS_MONTHS" not in cohort.clinical
    assert "endpoint" in cohort.schema.excluded["PFS_MONTHS"]
    assert "endpoint" in cohort.schema.excluded["PFS_STATUS"]


def test_units_are_harmonised_with_range_and_grain(tmp_path: Path) -> None:
    declared = {"HEMOGLOBIN": {"convert": {"from": "g/dL", "to": "g/L"}}}
    plain = ingest("mine", tables(tmp_path))
    cohort = ingest("mine", {**tables(tmp_path), "columns": declared})
    np.testing.assert_allclose(cohort.clinical["HEMOGLOBIN"], plain.clinical["HEMOGLOBIN"] * 10)
    column = cohort.schema.columns["HEMOGLOBIN"]
    assert (column.unit, column.grain, column.declared) == ("g/L", pytest.approx(1.0), ("unit",))
    assert plain.schema.columns["HEMOGLOBIN"].unit == "g/dL"


def test_a_derived_column_is_computed_and_compared(tmp_path: Path) -> None:
    table = clinical_table()
    rule = "count_at_least(1, CYTO_PLUS8)"
    table["ADVERSE"] = table["CYTO_PLUS8"]
    table.loc[table.index[table["CYTO_PLUS8"] == "Yes"][:2], "ADVERSE"] = "No"
    source = {**tables(tmp_path, clinical=table), "endpoint": ["OS"], "alterations": ["CYTO_*"]}
    cohort = ingest("mine", {**source, "columns": {"ADVERSE": {"derived": rule, "group": "disease"}}})
    column = cohort.schema.columns["ADVERSE"]
    assert (column.kind, column.categories, column.derived, column.group) == ("binary", ("No", "Yes"), rule, "disease")
    assert ((cohort.clinical["ADVERSE"] == "Yes") == (cohort.alterations["CYTO_PLUS8"] == 1)).all()
    assert any("2 recorded values differ" in note for note in cohort.schema.notes)
    assert list(cohort.clinical)[-2:] == ["OS_time", "OS_event"]


def test_exclusion_gives_its_reason_and_prefers_the_clinical_column(tmp_path: Path) -> None:
    table = clinical_table().assign(NPM1=np.where(np.arange(120) % 2, "Yes", "No"))
    exclude = {"NPM1": "the mutations say so", "TP53": "another assay", "C*": "unused"}
    cohort = ingest("mine", {**tables(tmp_path, clinical=table), "exclude": exclude})
    assert "NPM1" in cohort.schema.genes
    assert "TP53" not in cohort.schema.genes
    assert {name: cohort.schema.excluded[name] for name in ("NPM1", "TP53", "CENTRE", "CYTO_PLUS8")} == {
        "NPM1": "the mutations say so", "TP53": "another assay", "CENTRE": "unused", "CYTO_PLUS8": "unused",
    }  # fmt: skip


def test_every_source_column_is_used_or_excluded_with_a_reason(tmp_path: Path) -> None:
    table = clinical_table().assign(
        DATE_OF_DIAGNOSIS="2019-03-01", NOTE=[f"seen by {i}" for i in range(120)], EMPTY="", SITE="Ulm",
        UPN=[str(9000 + i) for i in range(120)], LAB_ID=[f"L{i}" for i in range(120)],
    )  # fmt: skip
    cohort = ingest("mine", {**tables(tmp_path, clinical=table), "endpoint": ["OS", "PFS"], "alterations": ["CYTO_*"]})
    used = {"OS_MONTHS", "OS_STATUS", "PFS_MONTHS", "PFS_STATUS", "PATIENT_ID", *cohort.schema.alterations}
    for name in set(table.columns) - used:
        assert (name in cohort.schema.columns) != (name in cohort.schema.excluded), name
    reasons = cohort.schema.excluded
    assert reasons["DATE_OF_DIAGNOSIS"] == "date"
    assert reasons["EMPTY"] == "no value recorded"
    assert reasons["SITE"].startswith("constant")
    assert reasons["NOTE"].startswith("text")
    assert reasons["UPN"] == reasons["LAB_ID"] == "identifier"
