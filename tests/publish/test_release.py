"""A release holds synthetic patients and nothing of a real one; its bytes depend on its content alone."""

import json

import numpy as np
import pandas as pd
from fixtures_cbioportal import judge
from fixtures_small import small_cohort

from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.publish.cbioportal import write_study
from haemosynth.publish.release import (
    Papers,
    find_differences,
    make_manifest,
    publish,
    restrict_schema,
    withhold_paths,
    write_release,
)
from haemosynth.validate import STAGES


def released(folder, cohort, tmp_path):
    """A release, whose study folder must be one that a portal accepts."""
    papers = Papers(
        study="small",
        tables={"metrics.tsv": pd.DataFrame({"a": [1.0]})},
        figures={"marginals": "<svg/>"},
        pages={"dossier.html": "<html></html>", "DATA_CARD.md": "# card"},
        config={
            "cohorts": {"small": {"path": "/secret/place", "format": "tables"}},
            "seed": 1,
            "release": {"tier": "open", "most": 4},
        },
        run={"finished": "now"},
    )
    write_release(folder, cohort, papers, tmp_path)
    assert judge(folder / "cbioportal").problems == []


def test_the_manifest_covers_every_file_with_its_checksum(tmp_path):
    released(tmp_path / "out", small_cohort(60), tmp_path)
    table = pd.read_csv(tmp_path / "out" / "manifest.tsv", sep="\t")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert set(table["file"]) == found - {"manifest.tsv", "run.json"}
    pd.testing.assert_frame_equal(table, make_manifest(tmp_path / "out"))


def test_equal_content_gives_equal_bytes_but_for_run_json(tmp_path):
    cohort = small_cohort(60)
    for name in ("a", "b"):
        released(tmp_path / name, cohort, tmp_path)
    assert (tmp_path / "a/manifest.tsv").read_bytes() == (tmp_path / "b/manifest.tsv").read_bytes()


def test_a_second_release_replaces_the_first_whole(tmp_path):
    released(tmp_path / "out", small_cohort(60), tmp_path)
    (tmp_path / "out" / "stale.txt").write_text("left over")
    released(tmp_path / "out", small_cohort(60), tmp_path)
    assert not (tmp_path / "out" / "stale.txt").exists()
    assert not list(tmp_path.glob(".out*"))


def test_neither_paths_nor_patients_nor_extremes_leave(tmp_path):
    cohort = small_cohort(200)
    schema = restrict_schema(cohort)
    assert schema.notes == ()
    assert schema.excluded == {}
    for name, column in schema.columns.items():
        if column.numeric and column.kind != "event":
            values = cohort.clinical[name].dropna()
            low, high = np.quantile(values, [0.01, 0.99])
            assert (column.low, column.high) == (low, high), name
    assert withhold_paths({"cohorts": {"c": {"path": "/secret"}, "d": {}}}, "c")["cohorts"] == {
        "c": {"path": "withheld"}
    }
    released(tmp_path / "out", cohort, tmp_path)
    for file in (tmp_path / "out").rglob("*"):
        assert not (file.is_file() and b"/secret" in file.read_bytes()), file
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    assert json.loads((tmp_path / "out/run.json").read_text()) == {"finished": "now"}


def test_single_patients_of_the_working_dossier_do_not_leave(tmp_path):
    """Even if the panel were handed to publication, nothing of it is in any file of the folder."""
    import base64
    from dataclasses import replace

    from fixtures_dossier import CONFIG, TEMPLATE, dossier_content

    svg = '<svg xmlns="http://www.w3.org/2000/svg"><text>one whole patient beside an average</text></svg>'
    study = {"cohorts": {"small": {"format": "simulated", "disease": "myeloma", "endpoint": "OS"}}}
    named = pd.DataFrame({"patient": ["REAL-PATIENT-7"], "attacks": [5], "stands_out_by": ["LDH 9876"]})
    content = replace(
        dossier_content(),
        patients={"default": svg}, at_risk={"default": named}, captions=dict.fromkeys(STAGES, "What is shown."),
    )  # fmt: skip
    publish(tmp_path / "out", small_cohort(60), "default", content, CONFIG | study, TEMPLATE)
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    pages = {"dossier.html", "explorer.html", "table_one.tsv", "table_one.html", "table_one.docx"}
    assert pages <= {file.name for file in files}
    for file in files:
        for trace in (
            svg.encode(),
            base64.b64encode(svg.encode()),
            b"Single synthetic patients",
            b"REAL-PATIENT-7",
            b"patients at risk",
        ):
            assert trace not in file.read_bytes(), file


def test_a_published_study_folder_is_read_back_as_the_same_cohort(tmp_path):
    cohort = small_cohort(150)
    write_study(cohort, tmp_path, "small", "Small")
    assert judge(tmp_path).problems == []
    entry = {"format": "cbioportal", "path": str(tmp_path), "endpoint": list(cohort.schema.endpoints)}
    genes = [gene for gene in cohort.schema.genes if cohort.alterations[gene].sum() > 0]
    back = ingest("small", entry | {"panel": genes, "alterations": ["ALTERATION_*"]})
    assert list(back.patients) == list(cohort.patients)
    pd.testing.assert_frame_equal(
        back.clinical[cohort.schema.survival], cohort.clinical[cohort.schema.survival], check_names=False, rtol=1e-6
    )
    pd.testing.assert_frame_equal(back.alterations[genes], cohort.alterations[genes], check_names=False)
    np.testing.assert_array_equal(back.sequenced, cohort.sequenced)


def test_a_received_folder_is_checked_against_its_manifest(tmp_path):
    folder = tmp_path / "out"
    released(folder, small_cohort(60), tmp_path)
    assert find_differences(folder) == []
    (folder / "added.txt").write_text("x")
    (folder / "DATA_CARD.md").write_text("another card")
    (folder / "dossier.html").unlink()
    words = ["DATA_CARD.md: was changed", "added.txt: is not in the manifest", "dossier.html: is missing"]
    assert find_differences(folder) == [f"{folder}/{line}" for line in words]
