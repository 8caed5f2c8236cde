"""A release with courses: every form of them is written, and a portal accepts the folder."""

import pandas as pd
from course_cohorts import planted, simulated, some
from fixtures_cbioportal import judge

from haemosynth.modalities.history import explorer, part
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


def test_the_explorer_shows_single_courses_within_its_bytes():
    for cohort in (planted(200)[0], some(simulated()[0], range(60))):
        (shown,) = explorer.of_patients(cohort, 10**7)
        own = courses_of(cohort)
        assert set(shown["patients"]) == set(own.paths.owner)
        for patient, state, end in zip(own.paths.owner, own.paths.state, own.paths.end, strict=True):
            lines = shown["patients"][patient]
            entered = [text for _, text in lines if text in own.paths.states]
            assert entered == [own.paths.states[code] for code in state if code >= 0]
            assert [time for time, text in lines if text == "end of observation"] == [f"{end:.1f}"]
        (few,) = explorer.of_patients(cohort, 2_000)
        assert 0 < len(few["patients"]) < len(shown["patients"])
    measured = [text for lines in shown["patients"].values() for _, text in lines if text.startswith("M-protein: ")]
    assert len(measured) == 60
    assert explorer.of_patients(cohort.replace(history=None), 10**7) == []
