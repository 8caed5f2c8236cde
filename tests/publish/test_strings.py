"""Nothing that is published holds a string of a raw record, and what is no such string raises no alarm."""

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.core.strings import check_strings, collect_own_texts, find_runs, fingerprints, write_fingerprints
from haemosynth.publish.release import Papers, withhold_paths, write_release

ROOT = Path(__file__).resolve().parents[2]
RAW = {
    "identifier": {"TCGA-AB-2803", "PD4021a", "7001234", "17"},
    "date": {"2019-03-01", "1.3.19"},
    "text": {"moved to her sister in the north", "46,XX[20]", "Relapse", "record 00981277 lost"},
}
SALT = b"s" * 32


def planted(folder: Path, name: str, text: str) -> InputError | None:
    """What the search says of a folder with one file, or None."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        check_strings(folder, fingerprints(RAW, SALT), ["SEX", "Female"])
    except InputError as error:
        return error
    finally:
        path.unlink()
    return None


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("figures/marginals.svg", "<svg><text>TCGA-AB-2803</text></svg>", "identifier"),
        ("figures/marginals.svg", "<svg><!-- patient tcga_ab_2803 --></svg>", "identifier"),
        ("DATA_CARD.md", "The cohort holds (PD4021a), among others.", "identifier"),
        ("cohort/schema.yaml", "columns:\n  A:\n    categories: [x, 7001234]\n", "identifier"),
        ("cohort/schema.yaml", "notes: [seen on 2019-03-01]\n", "date"),
        ("dossier.html", "<p>she moved to her\nsister in the north</p>", "text"),
        ("tables/clinical.tsv", "patient_id\tNOTE\nS000001\trecord 00981277\n", "text"),
        ("metrics.tsv", "target\nPD4021A\n", "identifier"),
        ("PD4021a.svg", "<svg/>", "identifier"),
    ],
)
def test_a_planted_string_is_found_wherever_it_stands(tmp_path: Path, name: str, text: str, kind: str) -> None:
    found = planted(tmp_path / "out", name, text)
    assert found is not None
    assert name in str(found)
    assert kind in str(found)
    for every in RAW.values():  # the line itself quotes nothing
        assert not any(raw in str(found).replace(name, "") for raw in every if len(raw) > 2)


def test_a_figure_within_the_dossier_is_looked_into(tmp_path: Path) -> None:
    picture = base64.b64encode(b"<svg><text>PD4021a</text></svg>").decode()
    found = planted(tmp_path / "out", "dossier.html", f'<img src="data:image/svg+xml;base64,{picture}">')
    assert found is not None
    assert "figure 1" in str(found)


def test_tables_of_every_form_are_looked_into(tmp_path: Path) -> None:
    import anndata
    import numpy as np

    for name in ("clinical.parquet", "expression.h5ad"):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        if name.endswith("parquet"):
            pd.DataFrame({"LEVEL": pd.Categorical(["a", "PD4021a"])}).to_parquet(folder / name)
        else:
            made = anndata.AnnData(np.ones((2, 1), dtype=np.float32), pd.DataFrame(index=["S1", "TCGA-AB-2803"]))
            made.write_h5ad(folder / name)
        with pytest.raises(InputError, match=name):
            check_strings(folder, fingerprints(RAW, SALT), [])


@pytest.mark.parametrize(
    "text",
    [
        "17 patients, 2803 of them; AB of 12",  # a short number, and parts of an identifier
        "relative 0.7001234, 70012345",  # other numbers
        "March 2019; 2019 03",
        "Relapse was recorded; her sister lives in the south",  # words alone, and other words
        "46 patients, 20 of them",
    ],
)
def test_what_is_no_raw_string_raises_no_alarm(tmp_path: Path, text: str) -> None:
    assert planted(tmp_path / "out", "page.html", text) is None


def test_levels_and_names_of_the_schema_may_stand(tmp_path: Path) -> None:
    prints = fingerprints({"text": {"AML with mutated NPM1"}, "identifier": {"NORTH-1"}}, SALT)
    (tmp_path / "page.md").write_text("AML with mutated NPM1, in NORTH-1")
    with pytest.raises(InputError):
        check_strings(tmp_path, prints, [])
    check_strings(tmp_path, prints, ["AML with mutated NPM1", "NORTH-1"])


def test_hashes_tell_no_string_and_depend_on_their_salt(tmp_path: Path) -> None:
    write_fingerprints(RAW, SALT, tmp_path / "strings.json")
    text = (tmp_path / "strings.json").read_text()
    for every in RAW.values():
        for raw in every:
            for run in find_runs(raw, "identifier"):
                assert " ".join(run) not in text
    one, other = fingerprints(RAW, SALT), fingerprints(RAW, b"t" * 32)
    assert not set(one["starts"]) & set(other["starts"])
    assert fingerprints(RAW, SALT) == json.loads(text)


def release(folder: Path, strings: Path, root: Path, **changed: Any) -> None:
    parts: dict[str, Any] = {
        "tables": {"metrics.tsv": pd.DataFrame({"a": [1.0]})},
        "figures": {"marginals": "<svg/>"},
        "pages": {"dossier.html": "<html></html>", "DATA_CARD.md": "# card"},
        "config": {"cohorts": {"small": {"path": "/secret", "format": "tables"}}, "seed": 1,
                   "release": {"tier": "open", "most": 4}},
        **changed,
    }  # fmt: skip
    write_release(folder, small_cohort(60), Papers(study="small", run={}, **parts), root, strings=strings)


def test_a_release_with_a_raw_string_is_not_written(tmp_path: Path) -> None:
    write_fingerprints(RAW, SALT, tmp_path / "strings.json")
    release(tmp_path / "out", tmp_path / "strings.json", ROOT)
    assert (tmp_path / "out" / "manifest.tsv").is_file()
    for name, text in (
        ("figures/marginals.svg", {"figures": {"marginals": "<svg><text>PD4021a</text></svg>"}}),
        ("DATA_CARD.md", {"pages": {"DATA_CARD.md": "patient TCGA-AB-2803"}}),
    ):
        with pytest.raises(InputError, match=name):
            release(tmp_path / "again", tmp_path / "strings.json", ROOT, **text)
        assert not list(tmp_path.glob("again*"))
        assert not list(tmp_path.glob(".again*"))


def test_weights_of_patients_do_not_leave_with_the_settings() -> None:
    channels = {"PET": {"unit": "SUV", "window": [0, 10], "weights": {"PD4021a": 70}}}
    config = {"cohorts": {"a": {"format": "dicom", "images": {"path": "/x", "channels": channels}}}}
    assert "PD4021a" not in json.dumps(withhold_paths(config, "a"))


def test_the_project_itself_is_no_raw_string(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("How many patients are released")
    prints = fingerprints({"text": {"how many patients are released"}}, SALT)
    with pytest.raises(InputError):
        check_strings(tmp_path, prints, [])
    check_strings(tmp_path, prints, collect_own_texts(ROOT))


def test_a_word_document_is_looked_into_cell_by_cell(tmp_path: Path) -> None:
    def document(*cells: str) -> bool:
        path = tmp_path / "out" / "table_one.docx"
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("word/document.xml", "".join(f"<w:p><w:t>{cell}</w:t></w:p>" for cell in cells))
        try:
            check_strings(path.parent, fingerprints(RAW, SALT), [])
        except InputError:
            return True
        return False

    assert document("age", "PD4021a")
    assert not document("age", "PD4021")
    assert document("2019-03-01")
    assert not document("2019", "03", "01")  # three numbers of a table
