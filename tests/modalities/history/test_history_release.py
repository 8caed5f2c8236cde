"""A release with courses: every form of them is written, and a portal accepts the folder."""

import pandas as pd
from course_cohorts import planted, simulated, some
from fixtures_cbioportal import judge

from haemosynth.modalities.history import part
from haemosynth.modalities.history.part import courses_of
from haemosynth.publish.multimodal import collect_annotated
from haemosynth.publish.release import Papers, write_release


def papers():
    return Papers(
        study="small", tables={"metrics.tsv": pd.DataFrame({"a": [1.0]})}, figures={"marginals": "<svg/>"},
        pages={"dossier.html": "<html></html>", "DATA_CARD.md": "# card"}, run={"finished": "now"},
        config={"cohorts": {"small": {"format": "tables"}}, "seed": 1, "release": {"tier": "agreement", "most": 4}},
    )  # fmt: skip


def test_a_release_with_courses_is_written_whole(tmp_path):
    for name, cohort in (("leukaemia", planted(200)[0]), ("myeloma", some(simulated()[0], range(60)))):
        folder = tmp_path / name
        write_release(folder, cohort, papers(), tmp_path)
        own = courses_of(cohort)
        again = part.read(folder / "cohort/history.parquet")
        assert again.table.equals(own.table)
        assert again.design == own.design
        table = pd.read_csv(folder / "tables/history.agreement.tsv", sep="\t")
        assert len(table) == len(own.table)
        assert judge(folder / "cbioportal").problems == []
        timelines = list((folder / "cbioportal").glob("data_timeline_*.txt"))
        assert timelines
        states = pd.concat([pd.read_csv(file, sep="\t", comment="#") for file in timelines])
        assert set(states["PATIENT_ID"]) <= set(cohort.patients)
        assert collect_annotated(cohort) == {}  # MuData holds one row for each patient, a course has many
