"""Histories from milestones, tables and timelines: what is read, what is refused, and the way back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from course_cohorts import LEUKAEMIA, planted, simulated, some

from haemosynth.core.cohort import set_types
from haemosynth.core.errors import InputError, Mistakes
from haemosynth.core.schema import Column
from haemosynth.modalities.history import part, timeline
from haemosynth.modalities.history.design import design_of
from haemosynth.modalities.history.export import describe, export
from haemosynth.modalities.history.ingest import check, ingest, settings, walk
from haemosynth.modalities.history.paths import derive_endpoints
from haemosynth.modalities.history.settle import agreement, settle

ENTRY = {"format": "tables", "history": {**LEUKAEMIA, "observed": "OS"}}


def design(**changes):
    return design_of({**LEUKAEMIA, **changes}, "here")


def walked(events, end=50.0):
    table = pd.DataFrame(events, columns=["patient_id", "time", "event"])
    return walk(table, design(), pd.Series({"A": end}), pd.Index(["A"]))


def test_events_lead_through_the_allowed_transitions():
    states, refused, idle = walked([("A", 9.0, "relapse"), ("A", 1.0, "remission"), ("A", 20.0, "death")])
    assert states["name"].tolist() == ["diagnosis", "remission", "relapse", "death", "observed"]
    assert states["time"].tolist() == [0, 1, 9, 20, 20]  # observation ends with the patient
    assert not refused
    assert not idle


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([("A", 9.0, "relapse")], "relapse at 9 months in the state diagnosis"),
        ([("A", 1.0, "death"), ("A", 2.0, "remission")], "which allows nothing, it is final"),
        ([("A", 60.0, "remission")], "outside of the observation from 0 to 50"),
        ([("A", -1.0, "remission")], "outside of the observation"),
    ],
)
def test_impossible_orders_are_refused(events, words):
    states, refused, _ = walked(events)
    assert words in refused["A"]
    assert states.empty


def test_an_early_death_is_no_failure_before():
    states, _, idle = walked([("A", 1.0, "remission"), ("A", 7.0, "relapse"), ("A", 7.0, "death")])
    assert states["name"].tolist() == ["diagnosis", "remission", "death", "observed"]
    assert idle == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"states": ["diagnosis"]}, "two or more"),
        ({"transitions": {"diagnosis": ["cured"]}}, "'cured' is no state"),
        ({"transitions": {"diagnosis": ["remission", "relapse"]}}, "no transition leads to death"),
        ({"transitions": {**LEUKAEMIA["transitions"], "relapse": ["remission", "death"]}}, "goes round"),
        ({"measurements": {"M-protein": {"process": "two_clones"}}}, "limit of quantification above 0"),
        ({"measurements": {"M-protein": {"prozess": "x"}}}, "unknown key 'prozess'"),
    ],
)
def test_a_design_that_cannot_be_is_one_line(changes, words):
    with pytest.raises(InputError, match=words):
        design(**changes)


def table_of(cohort, folder):
    courses = cohort.parts["history"]
    rows = courses.table.assign(value=courses.table["value"].map(lambda v: "" if np.isnan(v) else f"{v:.9g}"))
    rows.loc[courses.table["note"] == part.BELOW, "value"] = "<" + rows["value"]
    rows.to_csv(folder / "history.tsv", sep="\t", index=False)


def test_a_table_comes_back_as_it_was(tmp_path):
    cohort = some(simulated()[0], range(30))
    known = cohort.parts["history"]
    table_of(cohort, tmp_path)
    entry = {"format": "tables", "path": str(tmp_path), "history": {**known.design.plain(), "path": "history.tsv"}}
    found, left = ingest("here", entry, cohort.replace(history=None))
    assert left.set_index("what").loc["endpoint", "reason"].str.contains("100.0%").all()
    compared = ["patient_id", "kind", "name", "unit"]
    assert found.table[compared].equals(known.table[compared])
    np.testing.assert_allclose(found.table["time"], known.table["time"], atol=1e-6)
    np.testing.assert_allclose(found.table["value"], known.table["value"])


def test_wrong_rows_of_a_table_are_told_with_their_line(tmp_path):
    cohort = some(planted()[0], range(25))
    entry = {**ENTRY, "path": str(tmp_path), "history": {**ENTRY["history"], "path": "h.tsv"}}
    rows = cohort.parts["history"].table.copy()
    for column, value, words in (("kind", "sate", "column kind: 'sate'"), ("time", "soon", "column time: 'soon'")):
        wrong = rows.astype({"time": object}).copy()
        wrong.loc[3, column] = value
        wrong.to_csv(tmp_path / "h.tsv", sep="\t", index=False)
        with pytest.raises(InputError, match=f"line 5, {words}"):
            ingest("here", entry, cohort)
        assert check("here", entry, cohort, Mistakes()) is None


def test_milestones_of_the_record_become_paths():
    cohort, _ = planted()
    entry = {**ENTRY, "path": ".", "history": {
        "states": ["alive", "failed", "death"], "transitions": {"alive": {"failure": "failed", "death": "death"},
        "failed": ["death"]}, "events": {"failure": "EFS", "death": "OS"}, "endpoints": {"OS": ["death"],
        "EFS": ["failed", "death"]}}}  # fmt: skip
    found, _ = ingest("here", entry, cohort.replace(history=None))
    assert (agreement(cohort, found)["agree"] == 1).all()


def test_a_missing_source_or_unknown_key_is_one_line():
    for chosen, words in (({}, "nothing to read"), ({"staets": []}, "unknown key 'staets'")):
        with pytest.raises(InputError, match=words):
            settings("here", {"format": "tables", "history": {**LEUKAEMIA, **chosen}})


def test_timelines_go_out_and_come_back(tmp_path):
    cohort = some(simulated()[0], range(40))
    known = cohort.parts["history"]
    files = timeline.write_timelines(known, tmp_path, "study")
    assert files == [f"data_timeline_{n}.txt" for n in ("status", "response", "treatment", "lab_test", "visit")]
    for file in files:
        meta = (tmp_path / file.replace("data_", "meta_")).read_text()
        assert f"data_filename: {file}" in meta
        assert "datatype: TIMELINE" in meta
        assert list(pd.read_csv(tmp_path / file, sep="\t", nrows=1))[:3] == ["PATIENT_ID", "START_DATE", "STOP_DATE"]
    events = {s: {"EVENT_TYPE": "STATUS", "STATUS": s} for s in known.design.states[1:]}
    entry = {"format": "cbioportal", "path": str(tmp_path), "history": {**known.design.plain(), "timeline": events}}
    longer = cohort.clinical.assign(OS_time=cohort.clinical["OS_time"] + 0.05)  # days are rounded
    found, _ = ingest("here", entry, some(cohort, range(40)).replace(clinical=longer, history=None))
    assert found.paths.labels() == known.paths.labels()
    np.testing.assert_allclose(np.nan_to_num(found.paths.entry), np.nan_to_num(known.paths.entry), atol=0.02)
    for name in known.design.measurements:
        np.testing.assert_allclose(np.sort(found.series_of(name)["value"]), np.sort(known.series_of(name)["value"]))


def test_files_keep_everything(tmp_path):
    known = simulated()[0].parts["history"]
    part.write(known, tmp_path / "h.parquet")
    found = part.read(tmp_path / "h.parquet")
    assert found.table.equals(known.table)
    assert found.design == known.design
    assert found.grain == known.grain
    (tmp_path / "h.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="damaged"):
        part.read(tmp_path / "h.parquet")


def test_a_resampled_patient_has_a_course_for_each_time():
    cohort = some(planted()[0], range(25))
    twice = cohort.take([3, 3, 5, 0])
    paths = twice.parts["history"].paths
    assert paths.owner.tolist() == ["P00003", "P00003", "P00005", "P00000"]
    assert paths.labels()[0] == paths.labels()[1]


def test_endpoints_of_a_path():
    cohort, _ = planted()
    found = derive_endpoints(cohort.parts["history"].paths, cohort.parts["history"].design)
    paths = cohort.parts["history"].paths
    died = np.array([label.endswith("death") for label in paths.labels()])
    assert (found["OS_event"].to_numpy() == died).all()
    assert (found["EFS_time"] <= found["OS_time"]).all()
    assert (found["OS_time"].to_numpy() == paths.end).all()


def test_an_endpoint_that_the_record_lacks_is_one_line():
    cohort, _ = planted()
    courses = cohort.parts["history"]
    wrong = part.Courses(courses.table, design(endpoints={"PFS": ["relapse"]}), 0.01)
    with pytest.raises(InputError, match="PFS is no endpoint of the record"):
        settle(cohort, wrong)


def test_what_is_derived_from_an_endpoint_follows_it():
    cohort, _ = planted()
    ever = Column("binary", categories=("No", "Yes"), derived="present(EFS_time)")
    schema = cohort.schema.with_columns({**cohort.schema.columns, "ever": ever})
    before = set_types(cohort.clinical.assign(EFS_time=np.nan, EFS_event=np.nan, ever="No"), schema)
    courses = cohort.parts["history"]
    after = settle(replace(cohort, schema=schema, clinical=before), courses)
    assert after.clinical["EFS_time"].equals(cohort.clinical["EFS_time"])
    assert (after.clinical["ever"] == "Yes").all()
    assert after.parts["history"] is courses


def test_a_release_has_the_table_and_says_what_it_is(tmp_path):
    cohort = some(simulated()[0], range(25))
    export(cohort, tmp_path)
    rows = pd.read_csv(tmp_path / "tables/history.tsv", sep="\t")
    assert len(rows) == len(cohort.parts["history"].table)
    assert "months from diagnosis" in describe(cohort)[0]
    assert "OS, PFS" in describe(cohort)[0]
    export(cohort, tmp_path, balanced=True)
    assert (tmp_path / "tables/history.balanced.tsv").read_text() == (tmp_path / "tables/history.tsv").read_text()
    assert "`tables/history.balanced.tsv`" in describe(cohort, balanced=True)[0]
