"""Measured tables of every shape: what is read, what is left out, what is a mistake."""

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError, Mistakes
from haemosynth.modalities.metabolomics.export import as_text
from haemosynth.modalities.metabolomics.ingest import check, ingest
from haemosynth.modalities.metabolomics.sources import source_files

HEADERS = {"Glucose (mmol/L)": "Glucose", "LDH [U/l]": "LDH", "CRP (mg/L)": "CRP", "PC(34:1)": "PC(34:1)"}


@pytest.fixture
def cohort():
    return small_cohort(60)


def entry(folder, **chosen):
    return {"format": "tables", "path": str(folder), "endpoint": "OS", "metabolomics": {"path": "m.csv", **chosen}}


def table(cohort, n=30):
    """Values as people write them, of the last 30 patients but for the first of these, in another order."""
    rng = np.random.default_rng(1)
    patients = list(cohort.patients[-n:][::-1])
    frame = pd.DataFrame({
        "Glucose (mmol/L)": [f"{v:.1f}" for v in rng.lognormal(1.7, 0.2, n)],
        "LDH [U/l]": [f"{v:.0f}" for v in rng.lognormal(5.3, 0.3, n)],
        "CRP (mg/L)": [f"{v:.1f}" for v in rng.lognormal(1, 1, n)],
        "PC(34:1)": [f"{v:.0f}" for v in rng.lognormal(5.3, 0.3, n)],
    }, index=pd.Index(patients, name="patient"))  # fmt: skip
    frame.iloc[:6, 2], frame.iloc[6, 2], frame.iloc[7, 1] = "<0.6", ">90", "\u2265900"
    frame.iloc[[3, 9], 0] = "n.d."
    return frame


def read(folder, cohort, frame, name="m.csv", **chosen):
    path = folder / name
    if name.endswith(".parquet"):
        frame.reset_index().to_parquet(path)
    elif name.endswith(".xlsx"):
        frame.to_excel(path)
    else:
        frame.to_csv(path, sep="\t" if name.endswith("tsv") else ",")
    return ingest("mine", entry(folder, **{"path": name, **chosen}), cohort)


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.xlsx", "m.parquet"])
@pytest.mark.parametrize("across", [False, True])
def test_every_shape_and_format_gives_the_same_measurements(tmp_path, cohort, name, across):
    frame = table(cohort)
    written = frame.T.rename_axis("analyte") if across else frame
    part, left = read(tmp_path, cohort, written, name)
    data = part.data
    assert list(data.obs_names) == list(cohort.patients[-30:])
    assert list(data.var_names) == list(HEADERS.values())
    assert list(data.var["unit"]) == ["mmol/L", "U/L", "mg/L", ""]
    own = frame.loc[data.obs_names]
    sides = pd.DataFrame(data.layers["limit"], index=data.obs_names, columns=list(HEADERS))
    assert ((own == "<0.6") == (sides == -1)).all().all()
    assert (own.isin([">90", "\u2265900"]) == (sides == 1)).all().all()
    numbers = own.replace({"<0.6": "0.6", ">90": "90", "\u2265900": "900", "n.d.": None}).astype(float)
    np.testing.assert_array_equal(data.X, numbers.to_numpy())
    assert np.isnan(data.X).sum() == 2
    assert left.empty


def test_what_is_exported_is_read_again_as_it_was(tmp_path, cohort):
    part, _ = read(tmp_path, cohort, table(cohort))
    as_text(part.data).to_csv(tmp_path / "again.tsv", sep="\t", index=False)
    again, left = ingest("mine", entry(tmp_path, path="again.tsv"), cohort)
    np.testing.assert_array_equal(again.data.X, part.data.X)
    np.testing.assert_array_equal(again.data.layers["limit"], part.data.layers["limit"])
    pd.testing.assert_frame_equal(again.data.var, part.data.var)
    assert left.empty
    assert "<0.6" in (tmp_path / "again.tsv").read_text()
    assert "Glucose (mmol/L)" in (tmp_path / "again.tsv").read_text()


def test_h5ad_keeps_units_and_limits_whichever_side_holds_the_patients(tmp_path, cohort):
    part, _ = read(tmp_path, cohort, table(cohort))
    for name, data in (("a.h5ad", part.data), ("b.h5ad", part.data.T)):
        data.write_h5ad(tmp_path / name)
    one, two = (ingest("mine", entry(tmp_path, path=name), cohort)[0].data for name in ("a.h5ad", "b.h5ad"))
    np.testing.assert_array_equal(one.X, part.data.X)
    np.testing.assert_array_equal(one.layers["limit"], part.data.layers["limit"])
    assert list(one.var["unit"]) == list(part.data.var["unit"])
    np.testing.assert_array_equal(two.X, part.data.X)


def test_decimal_commas_and_words_for_missing_of_the_study(tmp_path, cohort):
    frame = table(cohort)
    commas = frame.apply(lambda column: column.str.replace(".", ",", regex=False)).replace({"n,d,": "haemolytic"})
    commas.to_csv(tmp_path / "m.csv", sep=";")
    part, _ = ingest("mine", entry(tmp_path, missing=["haemolytic"]), cohort)
    plain, _ = read(tmp_path, cohort, frame)
    np.testing.assert_array_equal(part.data.X, plain.data.X)


def test_what_leaves_is_listed_with_its_reason(tmp_path, cohort):
    frame = table(cohort)
    frame["Empty"], frame["Same"], frame["Kit"], frame["Below"] = "", "4", "kit A", "<0.1"
    frame["Rare"] = ["3", *[""] * 29]
    frame["1-Mar"] = "5"
    frame.iloc[4] = ""
    part, left = read(tmp_path, cohort, frame)
    assert list(part.data.var_names) == list(HEADERS.values())
    reasons = dict(zip(left["name"], left["reason"], strict=True))
    assert reasons["Empty"] == "no value"
    assert reasons["Same"] == "the same value in every patient"
    assert reasons["Kit"] == "words, and no numbers"
    assert reasons["Below"] == "29 of 29 values are at a limit of detection"
    assert reasons["Rare"] == "known in 1 of 30 patients"
    assert "spreadsheet" in reasons["1-Mar"]
    assert reasons[frame.index[4]] == "no value"
    assert frame.index[4] not in part.data.obs_names


def test_all_mistakes_of_a_table_are_told_together_each_with_its_place(tmp_path, cohort):
    frame = table(cohort)
    frame.iloc[2, 0], frame.iloc[5, 1], frame.iloc[8, 3] = "high", "0", "twelve"
    frame.to_csv(tmp_path / "m.csv")
    mistakes = Mistakes()
    assert check("mine", entry(tmp_path), cohort, mistakes) is None
    lines = "\n".join(mistakes.lines)
    assert len(mistakes.lines) == 3
    assert f"row 4 ({frame.index[2]}), column Glucose (mmol/L): 'high' is no number" in lines
    assert f"row 10 ({frame.index[8]}), column PC(34:1): 'twelve' is no number" in lines
    assert f"patient {frame.index[5]}, LDH: 0 has no logarithm" in lines
    assert "`metabolomics: {missing: [high]}`" in lines
    with pytest.raises(InputError) as told:
        ingest("mine", entry(tmp_path), cohort)
    assert list(told.value.lines) == mistakes.lines
    frame = frame.replace({"high": "", "twelve": ""})
    part, _ = read(tmp_path, cohort, frame, linear=["LDH"])
    assert list(part.data.var["scale"]) == ["log", "linear", "log", "log"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame.rename(index={frame.index[3]: "STRANGER"}), "'STRANGER' is no patient of the cohort"),
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "occurs more than once in column patient"),
        (lambda frame: frame.set_axis([f"X{i}" for i in range(30)]), "neither its header nor its column"),
        (lambda frame: frame.rename(columns={"PC(34:1)": "LDH"}), "LDH"),
    ],
)
def test_mistakes_in_who_and_what_are_told_in_one_line(tmp_path, cohort, change, told):
    frame = change(table(cohort)).rename_axis("patient")
    if told == "LDH":  # one name with two units is two analytes
        assert {"LDH", "LDH [U/l]"} & set(read(tmp_path, cohort, frame)[0].data.var_names)
        return
    with pytest.raises(InputError, match=told) as error:
        read(tmp_path, cohort, frame)
    assert len(error.value.lines) == 1


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"scales": "log"}, "unknown key 'scales'; did you mean 'scale'"),
        ({"scale": "root"}, "expected one of log, linear"),
        ({"path": "none.csv"}, "no such file"),
        ({"path": None}, "path is missing"),
        ({"patient": "who"}, "no column 'who'"),
        ({"linear": ["Sugar"]}, "no analyte 'Sugar'"),
        ({"missing": "high"}, "expected a list"),
        ({"min_known": 2}, "expected a share"),
    ],
)
def test_mistakes_of_the_settings_are_told(tmp_path, cohort, chosen, told):
    table(cohort).to_csv(tmp_path / "m.csv")
    with pytest.raises(InputError, match=told):
        ingest("mine", entry(tmp_path, **chosen), cohort)


def test_the_named_file_is_what_the_workflow_watches(tmp_path, cohort):
    table(cohort).to_csv(tmp_path / "m.csv")
    assert source_files(entry(tmp_path)) == [str(tmp_path / "m.csv")]
    assert source_files({**entry(tmp_path), "metabolomics": None}) == [str(tmp_path / "m.csv")]


def test_an_infinite_value_of_a_file_is_a_mistake(tmp_path, cohort):
    values = np.random.default_rng(1).lognormal(size=(20, 2))
    values[3, 1] = np.inf
    anndata.AnnData(values, pd.DataFrame(index=list(cohort.patients[:20])), pd.DataFrame(index=["A", "B"])).write_h5ad(
        tmp_path / "m.h5ad"
    )
    with pytest.raises(InputError, match=f"patient {cohort.patients[3]}, B: an infinite value"):
        ingest("mine", entry(tmp_path, path="m.h5ad"), cohort)
