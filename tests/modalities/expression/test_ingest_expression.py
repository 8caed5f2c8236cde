"""Expression from every source format gives the same patients and values; mistakes are told in one line."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.modalities.expression.ingest import ingest_expression, settings

GENES = ["TP53", "KRAS", "NPM1", "FLT3", "MYC"]


@pytest.fixture
def cohort():
    return small_cohort(60)


def counts(cohort, n: int = 20) -> pd.DataFrame:
    drawn = np.random.default_rng(1).poisson(200, size=(n, len(GENES)))
    return pd.DataFrame(drawn, index=pd.Index(cohort.patients[5 : 5 + n], name="patient_id"), columns=GENES)


def entry(folder, **expression):
    return {"format": "tables", "path": str(folder), "expression": expression}


def told(folder, cohort, match, **expression):
    with pytest.raises(InputError, match=match) as caught:
        ingest_expression("mine", entry(folder, **expression), cohort)
    assert "\n" not in str(caught.value)


def test_every_orientation_and_format_gives_the_same(tmp_path, cohort):
    table = counts(cohort)
    table.to_csv(tmp_path / "rows.csv")
    table.T.rename_axis("gene").to_csv(tmp_path / "columns.tsv", sep="\t")
    table.reset_index().to_parquet(tmp_path / "rows.parquet")
    sparse = anndata.AnnData(scipy.sparse.csr_matrix(table.to_numpy(dtype=float)), obs=table[[]], var=table.T[[]])
    sparse.write_h5ad(tmp_path / "whole.h5ad")
    found = [
        ingest_expression("mine", entry(tmp_path, path=name, values="counts"), cohort)[0]
        for name in ("rows.csv", "columns.tsv", "rows.parquet", "whole.h5ad")
    ]
    for one in found:
        assert list(one.obs_names) == list(table.index)
        np.testing.assert_array_equal(one.to_df()[GENES], table)
        np.testing.assert_array_equal(one.obs["library_size"], table.sum(axis=1))
        assert one.uns["values"] == "counts"


def test_patients_stand_in_the_order_of_the_clinical_table(tmp_path, cohort):
    counts(cohort)[::-1].to_csv(tmp_path / "e.csv")
    found, _ = ingest_expression("mine", entry(tmp_path, path="e.csv", values="counts"), cohort)
    assert list(found.obs_names) == list(cohort.patients[5:25])


def test_cells_are_summed_per_patient(tmp_path, cohort):
    table = counts(cohort)
    halves = [table // 3, table - table // 3]
    cells = anndata.AnnData(pd.concat(halves).to_numpy(dtype=float), var=table.T[[]])
    cells.obs["donor"] = list(table.index) * 2
    cells.write_h5ad(tmp_path / "cells.h5ad")
    found, left = ingest_expression(
        "mine", entry(tmp_path, path="cells.h5ad", values="counts", patient="donor"), cohort
    )
    np.testing.assert_array_equal(found.to_df()[GENES], table)
    assert (left["what"] == "cells").sum() == len(table)


def test_a_cbioportal_study_is_read_by_its_meta_file(tmp_path, cohort):
    table = np.log2(counts(cohort) + 1.0)
    patients = table.index
    samples = pd.DataFrame({"PATIENT_ID": [*patients, patients[0]], "SAMPLE_ID": [*(patients + "-01"), "second"]})
    samples.to_csv(tmp_path / "data_clinical_sample.txt", sep="\t", index=False)
    matrix = table.set_axis(patients + "-01").T.rename_axis("Hugo_Symbol")
    matrix["second"] = 0.0
    matrix.insert(0, "Entrez_Gene_Id", range(len(GENES)))
    matrix.to_csv(tmp_path / "data_mrna_seq_rpkm.txt", sep="\t")
    meta = "genetic_alteration_type: MRNA_EXPRESSION\ndatatype: {}\ndata_filename: {}\n"
    (tmp_path / "meta_a.txt").write_text(meta.format("LOG2-VALUE", "data_mrna_seq_rpkm.txt"))
    (tmp_path / "meta_b.txt").write_text(meta.format("Z-SCORE", "data_mrna_seq_rpkm_zscores.txt"))
    found, left = ingest_expression("mine", entry(tmp_path) | {"format": "cbioportal"}, cohort)
    assert found.uns["values"] == "log"
    np.testing.assert_allclose(found.to_df()[GENES], table, rtol=1e-6)
    assert left.to_dict("records")[0]["name"] == "second"


def test_what_leaves_is_listed_with_its_reason(tmp_path, cohort):
    table = counts(cohort)
    table["1-Mar"], table["2001-09-01"], table["CONSTANT"] = 5, table["MYC"] + 1, 0
    table.iloc[3] = table.iloc[3] // 100
    long = table.T.rename_axis("gene").reset_index()
    long.loc[len(long)] = ["KRAS", *([1] * len(table))]
    long.loc[len(long)] = ["", *range(len(table))]
    long.to_csv(tmp_path / "e.csv", index=False)
    found, left = ingest_expression("mine", entry(tmp_path, path="e.csv", values="counts"), cohort)
    assert list(found.var_names) == GENES
    np.testing.assert_array_equal(found[:, "KRAS"].X[:, 0], np.delete(table["KRAS"].to_numpy(), 3))
    reasons = dict(zip(left["name"], left["reason"], strict=True))
    assert "spreadsheet" in reasons["1-Mar"]
    assert "spreadsheet" in reasons["2001-09-01"]
    assert "more than once" in reasons["KRAS"]
    assert "same value" in reasons["CONSTANT"]
    assert "library size" in reasons[table.index[3]]
    assert "no name" in set(left["reason"])


def test_a_gene_with_missing_values_leaves(tmp_path, cohort):
    table = counts(cohort).astype(float)
    table.iloc[2, 1] = np.nan
    table.to_csv(tmp_path / "e.csv")
    found, left = ingest_expression("mine", entry(tmp_path, path="e.csv", values="counts"), cohort)
    assert "KRAS" not in found.var_names
    assert left["reason"].tolist() == ["missing in 1 patients"]


def test_the_batch_is_shown(tmp_path, cohort):
    counts(cohort).to_csv(tmp_path / "e.csv")
    found, _ = ingest_expression("mine", entry(tmp_path, path="e.csv", values="counts", batch="centre"), cohort)
    recorded = cohort.clinical.loc[found.obs_names, "centre"].astype(object).fillna("unknown")
    assert list(found.obs["batch"]) == list(recorded)
    told(tmp_path, cohort, "no clinical column 'center'", path="e.csv", values="counts", batch="center")


def test_mistakes_are_told_in_one_line(tmp_path, cohort):
    table = counts(cohort)
    table.to_csv(tmp_path / "e.csv")
    told(tmp_path, cohort, "values is missing", path="e.csv")
    told(tmp_path, cohort, "no such file", path="f.csv", values="counts")
    told(tmp_path, cohort, "unknown key 'value'", path="e.csv", value="counts")
    told(tmp_path, cohort, "whole number", path="e.csv", values="counts", genes=0)
    told(tmp_path, cohort, "no expression file", values="counts")
    table.rename(index={table.index[4]: "STRANGER"}).to_csv(tmp_path / "stranger.csv")
    told(tmp_path, cohort, "'STRANGER' is no patient", path="stranger.csv", values="counts")
    (table + 0.5).to_csv(tmp_path / "half.csv")
    told(tmp_path, cohort, "TP53.*no whole number", path="half.csv", values="counts")
    (table * -1).to_csv(tmp_path / "negative.csv")
    told(tmp_path, cohort, "negative", path="negative.csv", values="normalised")
    worded = table.astype(object)
    worded.iloc[1, 2] = "many"
    worded.to_csv(tmp_path / "text.csv")
    told(tmp_path, cohort, "NPM1: 'many' is no number", path="text.csv", values="counts")
    table.rename(index=lambda patient: f"X{patient}").to_csv(tmp_path / "nobody.csv")
    told(tmp_path, cohort, "holds a patient or sample", path="nobody.csv", values="counts")


def quoted(table, folder):
    import csv

    table.to_csv(folder / "e.csv", quoting=csv.QUOTE_ALL)


def stray(table, folder):
    """A lone quote at the beginning of a note: the rows after it must not vanish in it."""
    long = table.T.rename_axis("Gene_Symbol").reset_index()
    long.insert(0, "Gene_ID", ['"one', "two", '"three', "four", "five"])
    lines = ["\t".join(map(str, row)) for row in [long.columns, *long.itertuples(index=False)]]
    (folder / "e.tsv").write_text("\n".join(lines) + "\n")


def broken_header(table, folder):
    table.set_axis(["TP53", *table.columns[1:]], axis=1).to_csv(folder / "e.csv", index_label="patient\nidentifier")


def semicolons(table, folder):
    table.to_csv(folder / "e.csv", sep=";")


def old_mac(table, folder):
    (folder / "e.tsv").write_bytes(table.to_csv(sep="\t").replace("\n", "\r").encode())


def utf16(table, folder):
    (folder / "e.tsv").write_bytes(table.to_csv(sep="\t").encode("utf-16"))


def workbook(table, folder):
    table.T.rename_axis("Hugo_Symbol").to_excel(folder / "e.xlsx")


def parquet(table, folder):
    table.astype("float32").T.rename_axis("Hugo_Symbol").reset_index().to_parquet(folder / "e.parquet")


def commented(table, folder):
    (folder / "e.tsv").write_text("# made by hand\n\n" + table.to_csv(sep="\t") + "\n\n")


@pytest.mark.parametrize(
    "written", [quoted, stray, broken_header, semicolons, old_mac, utf16, workbook, parquet, commented]
)
def test_a_matrix_is_read_as_people_write_it(tmp_path, cohort, written):
    table = counts(cohort)
    written(table, tmp_path)
    file = next(tmp_path.iterdir()).name
    found, left = ingest_expression("mine", entry(tmp_path, path=file, values="counts"), cohort)
    same(found, table)
    assert set(left["what"]) <= {"file"}


@pytest.mark.parametrize("word", ["", "NA", "n/a", "--", "'--", "#N/A", "NaN", "null", "Not Available"])
def test_words_for_missing_take_their_gene_alone(tmp_path, cohort, word):
    table = counts(cohort).astype(object)
    table.iloc[2, 1] = word
    table.to_csv(tmp_path / "e.csv")
    table.reset_index().astype(str).to_parquet(tmp_path / "e.parquet")
    for name in ("e.csv", "e.parquet"):
        found, left = ingest_expression("mine", entry(tmp_path, path=name, values="counts"), cohort)
        np.testing.assert_array_equal(found.to_df(), table.drop(columns="KRAS").astype(float))
        assert dict(zip(left["name"], left["reason"], strict=True)) == {"KRAS": "missing in 1 patients"}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_and_what_is_open_or_no_number(tmp_path, cohort, separator):
    table = counts(cohort) / 8
    chosen = {"path": "e.tsv", "values": "normalised"}
    table.to_csv(tmp_path / "e.tsv", sep=separator, decimal=",")
    same(ingest_expression("mine", entry(tmp_path, **chosen), cohort)[0], table)
    thousands = table.astype(object)
    thousands[:] = "1,234"
    thousands.iloc[:, 0] = [f"1,{200 + i}" for i in range(len(table))]
    thousands.to_csv(tmp_path / "e.tsv", sep=separator)
    told(tmp_path, cohort, "could be 1.2.* or 12", **chosen)
    limited = table.round(1).astype(str).map(lambda text: text.replace(".", ","))
    limited.iloc[3, 1] = "<0,6"
    limited.to_csv(tmp_path / "e.tsv", sep=separator)
    told(tmp_path, cohort, f"{table.index[3]}.*column KRAS: '<0,6' is no number", **chosen)


def test_a_cut_row_is_told(tmp_path, cohort):
    lines = counts(cohort).to_csv().splitlines()
    lines[4] = lines[4].rsplit(",", 2)[0]
    (tmp_path / "e.csv").write_text("\n".join(lines))
    told(tmp_path, cohort, "e.csv, line 5: .*the header has 6", path="e.csv", values="counts")


def as_h5ad(table) -> anndata.AnnData:
    return anndata.AnnData(table.to_numpy(dtype=float), obs=table[[]], var=table.T[[]])


def same(found, table):
    assert list(found.obs_names) == list(table.index)
    np.testing.assert_array_equal(found.to_df()[GENES], table)


def test_values_of_h5ad_stand_in_x_in_a_layer_or_in_raw(tmp_path, cohort):
    table = counts(cohort)
    whole = as_h5ad(table)
    file, chosen = tmp_path / "e.h5ad", {"path": "e.h5ad", "values": "counts"}
    anndata.AnnData(obs=whole.obs, var=whole.var, layers={"counts": whole.X, "scaled": whole.X / 3}).write_h5ad(file)
    told(tmp_path, cohort, r"no X; .*`layer: counts` .there are counts, scaled", **chosen)
    told(tmp_path, cohort, "no layer 'count'; did you mean 'counts'", **chosen, layer="count")
    same(ingest_expression("mine", entry(tmp_path, **chosen, layer="counts"), cohort)[0], table)
    scaled = whole.copy()
    scaled.raw = whole
    scaled.X = np.log1p(scaled.X)
    scaled.write_h5ad(file)
    told(tmp_path, cohort, "no whole number", **chosen)
    same(ingest_expression("mine", entry(tmp_path, **chosen, layer="raw"), cohort)[0], table)
    only = anndata.AnnData(obs=whole.obs, var=whole.var)
    only.raw = whole
    only.write_h5ad(file)
    told(tmp_path, cohort, "`layer: raw`", **chosen)
    same(ingest_expression("mine", entry(tmp_path, **chosen, layer="raw"), cohort)[0], table)
    anndata.AnnData(obs=whole.obs, var=whole.var).write_h5ad(file)
    told(tmp_path, cohort, "holds no values", **chosen)


@pytest.mark.parametrize("made", ["csr_matrix", "csc_matrix", "integers", "transposed", "other rows"])
def test_h5ad_of_every_form_gives_the_same_patients(tmp_path, cohort, made):
    table = counts(cohort)
    whole = as_h5ad(table)
    if made.endswith("matrix"):
        whole.X = getattr(scipy.sparse, made)(whole.X)
    elif made == "integers":
        whole = anndata.AnnData(table.to_numpy(), obs=whole.obs, var=whole.var)
    elif made == "transposed":
        whole = whole.T.copy()
    else:  # rows named by sample, the patients in a column
        whole.obs["donor"] = whole.obs_names.to_numpy()
        whole.obs_names = [f"S{i}" for i in range(len(table))]
    whole.write_h5ad(tmp_path / "e.h5ad")
    named = {"patient": "donor"} if made == "other rows" else {}
    found, left = ingest_expression("mine", entry(tmp_path, path="e.h5ad", values="counts", **named), cohort)
    same(found, table)
    assert made != "transposed" or "the other way round" in left["reason"].iloc[0]


def test_mistakes_of_h5ad_are_told_in_one_line(tmp_path, cohort):
    table, chosen = counts(cohort), {"path": "e.h5ad", "values": "counts"}

    def spoilt(match, change, **more):
        whole = as_h5ad(table)
        other = change(whole)
        (whole if other is None else other).write_h5ad(tmp_path / "e.h5ad")
        told(tmp_path, cohort, match, **chosen, **more)

    def named(whole):
        whole.obs["donor"] = whole.obs_names.to_numpy()
        whole.obs_names = [f"S{i}" for i in range(len(table))]

    def twice(whole):
        whole.obs_names = [*whole.obs_names[:-1], whole.obs_names[0]]

    def without(whole):
        whole.obs["donor"] = [None, *whole.obs_names[1:]]

    def numbered(whole):
        whole.var_names = [str(j) for j in range(whole.n_vars)]

    def value(replaced):
        def change(whole):
            whole.X[3, 2] = replaced

        return change

    spoilt("'S0' is not in the clinical record .20 such.; the column donor of obs .*`patient: donor`", named)
    spoilt("stands 2 times in the index of obs", twice)
    spoilt("column donor of obs is empty in row 1", without, patient="donor")
    spoilt("index of var counts from 0 to 4", numbered)
    spoilt(f"patient {table.index[3]}, gene NPM1: -4 is negative", value(-4))
    spoilt("NPM1: inf is no finite number", value(np.inf))
    spoilt("NPM1: 4.5 is no whole number", value(4.5))
    spoilt("0 rows", lambda whole: whole[:0].copy())
    (tmp_path / "e.h5ad").write_bytes((tmp_path / "e.h5ad").read_bytes()[:3000])
    told(tmp_path, cohort, "cannot be read as h5ad", **chosen)


def test_missing_values_take_their_gene_and_a_patient_without_any_takes_none(tmp_path, cohort):
    table = counts(cohort).astype(float)
    table.iloc[4] = np.nan
    table.iloc[2, 1] = np.nan
    as_h5ad(table).write_h5ad(tmp_path / "e.h5ad")
    table.to_csv(tmp_path / "e.csv")
    for name in ("e.h5ad", "e.csv"):
        found, left = ingest_expression("mine", entry(tmp_path, path=name, values="counts"), cohort)
        pd.testing.assert_frame_equal(
            found.to_df(), table.drop(columns="KRAS", index=table.index[4]), check_names=False, check_dtype=False
        )
        assert dict(zip(left["name"], left["reason"], strict=True)) == {
            table.index[4]: "no value", "KRAS": "missing in 1 patients",
        }  # fmt: skip


def test_identifiers_stored_as_numbers(tmp_path):
    """Patients 1 to 20 of a text file are the floating-point numbers 1.0 to 20.0 of the h5ad."""
    from dataclasses import replace

    drawn = small_cohort(60).take(range(20))
    renamed = drawn.clinical.set_axis(pd.Index([str(i + 1) for i in range(20)], name="patient_id"))
    numbered = replace(drawn, clinical=renamed)
    whole = anndata.AnnData(
        np.arange(100.0).reshape(20, 5) + 50,
        obs=pd.DataFrame({"patient_id": np.arange(1.0, 21)}, index=list("abcdefghijklmnopqrst")),
    )
    whole.var_names = GENES
    whole.write_h5ad(tmp_path / "e.h5ad")
    found, _ = ingest_expression("mine", entry(tmp_path, path="e.h5ad", values="counts"), numbered)
    assert list(found.obs_names) == list(renamed.index)
    assert found.X[6, 0] == 80


def test_the_shared_case_of_counts_in_a_layer():
    import os

    import yaml

    from haemosynth.modalities.clinical.ingest import ingest
    from haemosynth.study.settings import expand_paths

    folder, name = os.environ.get("HAEMOSYNTH_CASES"), "c21_h5ad_no_x"
    if not folder:
        pytest.skip("HAEMOSYNTH_CASES is not set: it names a folder of inputs as people have them")
    with open(f"{folder}/{name}/study.yaml") as file:
        source = expand_paths(yaml.safe_load(file)["cohorts"][name], name)
    cohort = ingest(name, source)
    with pytest.raises(InputError, match="`layer: counts`"):
        ingest_expression(name, source, cohort)
    source["expression"]["layer"] = "counts"
    found, _ = ingest_expression(name, source, cohort)
    raw = anndata.read_h5ad(f"{folder}/{name}/data/cells.h5ad")
    np.testing.assert_array_equal(found.X, raw.to_df(layer="counts").loc[found.obs_names, found.var_names])
    assert found.n_obs > 50


def test_no_expression_key_means_the_defaults():
    assert settings("mine", {})["values"] is None


def test_the_arrays_of_aml(real_data):
    import yaml
    from fixtures_small import RESOURCES

    from haemosynth.modalities.clinical.ingest import ingest

    if not (real_data / "aml_arrays").is_dir():
        pytest.skip("$HAEMOSYNTH_DATA/aml_arrays is not there: see resources/README.md")
    study = yaml.safe_load((RESOURCES.parent / "config/studies/aml_arrays.yaml").read_text())
    source = study["cohorts"]["aml_arrays"] | {"path": str(real_data / "aml_arrays")}
    cohort = ingest("aml_arrays", source)
    found, left = ingest_expression("aml_arrays", source, cohort)
    assert found.shape == (116, 6283)
    assert left.empty
    inversion = cohort.alterations.loc[found.obs_names, "CYTO_inv16"].to_numpy() == 1
    assert inversion.sum() == 15
