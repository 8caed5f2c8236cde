"""Published study folders obey the rules of cBioPortal's importer, whatever the cohort's columns are called."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_cbioportal import judge
from fixtures_small import small_cohort

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.schema import Column, Schema
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.publish.cbioportal import write_study

AVOIDABLE = {"no DFS_MONTHS and DFS_STATUS", "no OS_MONTHS and OS_STATUS"}


def with_columns(cohort: Cohort, **more: tuple[Column, list]) -> Cohort:
    """The cohort with further columns, their values repeated over the patients."""
    columns = {**{name: column for name, (column, _) in more.items()}, **cohort.schema.columns}
    values = {name: np.resize(np.array(levels, dtype=object), len(cohort)) for name, (_, levels) in more.items()}
    schema = replace(cohort.schema, columns=columns)
    table = pd.concat([pd.DataFrame(values, index=cohort.patients), cohort.clinical], axis=1)
    return replace(cohort, schema=schema, clinical=set_types(table, schema))


def test_a_study_is_accepted_without_a_remark_that_could_be_avoided(tmp_path):
    write_study(small_cohort(150), tmp_path, "small", "Small")
    verdict = judge(tmp_path)
    assert verdict.problems == []
    assert set(verdict.remarks) <= AVOIDABLE


def levels(*names: str) -> tuple[Column, list]:
    return Column("categorical", categories=names), list(names)


NUMBERS = (Column("continuous"), [1.5, 2.25, np.nan])


@pytest.mark.parametrize(
    "more",
    [
        {"NA": NUMBERS},  # sodium: the title would be a word for missing
        {"AGE": levels("young", "old")},
        {"SEX": NUMBERS},
        {"SAMPLE_TYPE": levels("Blood", "Marrow")},
        {"MUTATION_COUNT": NUMBERS, "FRACTION_GENOME_ALTERED": NUMBERS},
        {"Del(5q)": levels("No", "Yes"), "DEL_5Q_": levels("No", "Yes"), "del 5q ": levels("No", "Yes")},
        {"2017": NUMBERS, "年齢": NUMBERS, "β2-microglobulin": NUMBERS},
        {"SEQUENCED": levels("No", "Yes"), "ALTERATION_T_4_14_": levels("No", "Yes")},
        {"OS_STATUS": levels("alive", "dead"), "PFS_STATUS": levels("stable", "worse"), "OS_MONTHS": NUMBERS},
        {"NOTE": levels('5" node', "tab\tbetween", "line\nbreak", "#first", "Mar-1", '"quoted"')},
        {"CANCER_TYPE": NUMBERS, "TUMOR_SITE": levels("a", "b")},
    ],
    ids=lambda more: ", ".join(more),
)
def test_names_and_values_that_a_portal_refuses_are_rewritten(more, tmp_path):
    cohort = small_cohort(60)
    clear = [name for name in more if name not in cohort.schema.columns]
    cohort = with_columns(cohort, **{name: more[name] for name in clear})
    write_study(cohort, tmp_path, "Hostile Cohort-2", "Title\nof two lines")
    verdict = judge(tmp_path)
    assert verdict.problems == []
    assert set(verdict.remarks) <= AVOIDABLE


def test_no_value_is_lost_by_the_rewriting(tmp_path):
    cohort = with_columns(small_cohort(60), NA=NUMBERS, SAMPLE_TYPE=levels("Blood", "Marrow"))
    write_study(cohort, tmp_path, "small", "Small")
    sample = pd.read_csv(tmp_path / "data_clinical_sample.txt", sep="\t", comment="#")
    patient = pd.read_csv(tmp_path / "data_clinical_patient.txt", sep="\t", comment="#", keep_default_na=False)
    assert list(sample["SAMPLE_TYPE"]) == list(cohort.clinical["SAMPLE_TYPE"])
    assert list(patient["NA"][:3]) == ["1.5", "2.25", ""]


def test_values_at_a_limit_of_detection_are_written_with_its_sign(tmp_path):
    crp = Column("continuous", detection={"low": (0.6,), "high": (90.0,)})
    write_study(with_columns(small_cohort(60), CRP=(crp, [0.6, 1.25, 90.0, np.nan])), tmp_path, "small", "Small")
    assert judge(tmp_path).problems == []
    patient = pd.read_csv(tmp_path / "data_clinical_patient.txt", sep="\t", comment="#", keep_default_na=False)
    assert list(patient["CRP"][:4]) == ["<0.6", "1.25", ">90", ""]


@pytest.mark.parametrize("kind", ["ITD", "PTD", "frameshift", None, "Missense_Mutation", "inframe thing"])
@pytest.mark.parametrize("change", [None, "p.R1H, p.R2H", "p.A1;p.B2", "p." + "A" * 400, "ITD"])
def test_every_mutation_is_written_as_a_portal_reads_it(kind, change, tmp_path):
    cohort = small_cohort(60)
    mutations = cohort.mutations.assign(variant_class=kind, hgvsp=change)
    write_study(cohort.replace(mutations=mutations), tmp_path, "small", "Small")
    verdict = judge(tmp_path)
    assert verdict.problems == []
    assert set(verdict.remarks) <= AVOIDABLE
    maf = pd.read_csv(tmp_path / "data_mutations.txt", sep="\t", keep_default_na=False)
    assert list(maf["Recorded_Classification"]) == [kind or ""] * len(mutations)


def test_an_alteration_named_after_its_gene_stands_under_the_gene(tmp_path):
    cohort = small_cohort(60)
    mutations = cohort.mutations.assign(gene="FLT3_ITD", hgvsp=None)
    write_study(cohort.replace(mutations=mutations), tmp_path, "small", "Small")
    maf = pd.read_csv(tmp_path / "data_mutations.txt", sep="\t")
    assert set(maf["Hugo_Symbol"]) == {"FLT3"}
    assert set(maf["HGVSp_Short"]) == {"ITD"}
    assert set(maf["Alteration"]) == {"FLT3_ITD"}


def test_a_cohort_that_nobody_was_sequenced_in_has_no_mutation_file(tmp_path):
    cohort = small_cohort(60)
    genes = cohort.schema.genes
    alterations = cohort.alterations.assign(**dict.fromkeys(genes, np.nan))
    nobody = cohort.replace(
        sequenced=cohort.sequenced & False, alterations=alterations, mutations=cohort.mutations.iloc[:0]
    )
    write_study(nobody, tmp_path, "small", "Small")
    assert judge(tmp_path).problems == []
    assert not (tmp_path / "data_mutations.txt").exists()


def test_a_cohort_of_records_alone_is_accepted(tmp_path):
    write_study(small_cohort(60).record(), tmp_path, "small", "Small")
    assert judge(tmp_path).problems == []


def test_a_cohort_without_mutations_is_accepted(tmp_path):
    cohort = small_cohort(60)
    write_study(cohort.replace(mutations=cohort.mutations.iloc[:0]), tmp_path, "small", "Small")
    assert judge(tmp_path).problems == []


def test_disease_free_survival_has_the_words_of_the_portal(tmp_path):
    columns = {"DFS_time": Column("time", unit="months"), "DFS_event": Column("event"), "AGE": Column("integer")}
    table = pd.DataFrame(
        {"DFS_time": [1.0, 2.0, np.nan], "DFS_event": [0.0, 1.0, np.nan], "AGE": [50.0, 60.0, 70.0]},
        index=pd.Index(["S1", "S2", "S3"], name="patient_id"),
    )
    write_study(Cohort(Schema("s", columns, endpoints=("DFS",)), table), tmp_path, "s", "S")
    assert judge(tmp_path).problems == []
    assert judge(tmp_path).remarks == ["no OS_MONTHS and OS_STATUS"]


def test_a_gene_unknown_of_some_sequenced_patients_is_told_so(tmp_path):
    """The mutation file alone would make it absent."""
    cohort = small_cohort(150)
    gene = max(cohort.schema.genes, key=lambda name: (cohort.alterations[name] == 0).sum())
    alterations = cohort.alterations.copy()
    known = cohort.sequenced & (alterations[gene] == 0)
    off = known[known].index[:20]
    alterations.loc[off, gene] = np.nan
    write_study(cohort.replace(alterations=alterations), tmp_path, "small", "Small")
    assert judge(tmp_path).problems == []
    sample = pd.read_csv(tmp_path / "data_clinical_sample.txt", sep="\t", comment="#", index_col="PATIENT_ID")
    told = sample[f"ALTERATION_{gene}"].map({"Yes": 1.0, "No": 0.0})
    pd.testing.assert_series_equal(told, alterations[gene], check_names=False)


def test_mutations_are_read_back_as_they_were_written(tmp_path):
    cohort = small_cohort(150)
    write_study(cohort, tmp_path, "small", "Small")
    entry = {"format": "cbioportal", "path": str(tmp_path), "endpoint": list(cohort.schema.endpoints)}
    panel = [gene for gene in cohort.schema.genes if cohort.alterations[gene].sum() > 0]
    back = ingest("small", {**entry, "panel": panel}).mutations
    order = ["patient_id", "gene", "alt_count"]
    expected = cohort.mutations.sort_values(order).reset_index(drop=True)
    for name in ("gene", "variant_class", "hgvsp", "alt_count"):
        found = back.sort_values(order).reset_index(drop=True)[name]
        pd.testing.assert_series_equal(found, expected[name], check_dtype=False)


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("meta_study.txt", "add_global_case_list: true\n", "", "no case list small_all"),
        ("meta_study.txt", "type_of_cancer: synthetic_heme", "type_of_cancer: heme", "heme is not the defined"),
        ("data_clinical_patient.txt", "0:LIVING", "0:NONE", "OS_STATUS: 0:NONE"),
        ("data_mutations.txt", "Hugo_Symbol", "gene", "MAF columns"),
        ("case_lists/cases_sequenced.txt", "small_sequenced", "sequenced", "stable id sequenced"),
    ],
)
def test_the_rules_see_what_a_portal_refuses(file, old, new, told, tmp_path):
    write_study(small_cohort(150), tmp_path, "small", "Small")
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    try:
        problems = judge(tmp_path).problems
    except KeyError:  # the rules go no further
        problems = ["MAF columns"]
    assert any(problem.startswith(told) for problem in problems)
