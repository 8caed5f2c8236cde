"""Every command of README and tutorials is run by a test, and what the tutorial shows is what comes out."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("tutorial*.md"))]
# Commands, and the test that runs them or what they call.
RUN_BY = {
    r"make tutorial": "tests/test_tutorial.py::test_the_raw_folder_is_the_one_that_the_tutorial_shows",
    r"make check-study STUDY=\S+": "tests/test_tutorial.py::test_what_the_check_says_is_what_the_tutorial_shows",
    r"make run STUDY=\S+ .*--dry-run.*": "tests/test_tutorial.py::test_the_studies_of_the_tutorials_can_be_planned",
    r"make demo.*": "tests/workflow/test_workflow.py::test_a_finished_study_has_nothing_to_do",
    r"make run STUDY=\S+( +#.*)?": "tests/workflow/test_workflow.py::test_a_finished_study_has_nothing_to_do",
    r"make run STUDY=\S+ ARGS='-- .*'.*": "tests/test_tutorial.py::test_the_studies_of_the_tutorials_can_be_planned",
    r"make run STUDY=\S+ PROFILE=workflow/profiles/slurm CORES=1.*": "tests/slurm/test_slurm.py::",
    r"make verify FOLDER=\S+": "tests/publish/test_release.py::test_a_received_folder_is_checked_against_its_manifest",
    r"\.venv/bin/snakemake --list-target-rules": "tests/workflow/test_workflow.py::",
    r"\.venv/bin/python workflow/tutorial\.py --shuffled .*":
        "tests/test_tutorial.py::test_the_stand_in_for_another_tool_has_columns_and_no_associations",
}  # fmt: skip


def blocks(page):
    """The code blocks of a page with their language."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands():
    for page in PAGES:
        for language, text in blocks(page):
            for line in text.splitlines() if not language else ():
                if line.startswith(("make ", ".venv/")):
                    yield pytest.param(line.strip(), id=f"{page.name}: {line.strip()[:60]}")


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_is_run_by_a_test(command):
    tests = [test for pattern, test in RUN_BY.items() if re.fullmatch(pattern, command)]
    assert tests, "no test runs this command: RUN_BY"
    file, _, name = tests[0].partition("::")
    assert f"def {name or 'test_'}" in (ROOT / file).read_text()


def test_the_first_screen_of_the_readme_says_what_for_whom_and_how():
    first = (ROOT / "README.md").read_text().split("\n## ")[0]
    assert len(first.splitlines()) <= 45
    for words in ("For whom", "may not", "docs/pictures/dossier.png", "make demo", "cohorts:", "docs/tutorial.md"):
        assert words in first


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which `make tutorial` was called."""
    folder = tmp_path_factory.mktemp("tutorial")
    done = call(folder, "tutorial.py", "tutorial")
    assert done.returncode == 0, done.stderr
    return folder


def call(folder, script, *arguments):
    command = [sys.executable, str(ROOT / "workflow" / script), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_raw_folder_is_the_one_that_the_tutorial_shows(place):
    page = (ROOT / "docs/tutorial.md").read_text()
    shown = dict(re.findall(r"^(tutorial/\S+\w) {2,}(.*)$", page, flags=re.MULTILINE))
    assert {file.relative_to(place).as_posix() for file in place.rglob("*.*")} >= set(shown)
    assert f"{len((place / 'tutorial/raw/clinical.csv').read_text().splitlines()) - 1} patients" in page
    assert f"{len((place / 'tutorial/raw/mutations.tsv').read_text().splitlines()) - 1} mutation calls" in page
    three = next(text for language, text in blocks(ROOT / "docs/tutorial.md") if language == "yaml")
    assert yaml.safe_load(three) == yaml.safe_load((place / "tutorial/study.yaml").read_text())


@pytest.mark.parametrize("study", ["study", "study_mended"])
def test_what_the_check_says_is_what_the_tutorial_shows(place, study):
    done = call(place, "check.py", f"tutorial/{study}.yaml")
    assert done.returncode == 0, done.stdout
    page = ROOT / "docs/tutorial.md"
    start = {"study": "16 clinical columns", "study_mended": "10 clinical columns"}[study]
    shown = next(text for _, text in blocks(page) if start in text)
    for line in shown.splitlines():
        assert line.removesuffix(" ...") in done.stdout, line


def test_progression_after_the_last_follow_up_is_a_mistake_until_it_is_repaired(place):
    text = (place / "tutorial/study_mended.yaml").read_text()
    (place / "tutorial/unrepaired.yaml").write_text(re.sub(r"^ +repair: true.*\n", "", text, flags=re.MULTILINE))
    done = call(place, "check.py", "tutorial/unrepaired.yaml")
    assert done.returncode == 1
    assert "repair: true" in done.stdout


def test_the_stand_in_for_another_tool_has_columns_and_no_associations(place):
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(1)
    first = rng.normal(size=300)
    names = [f"P{i}" for i in range(300)]
    clinical = pd.DataFrame({"patient_id": names, "A": first, "B": first, "OS_time": first + 9, "OS_event": 1.0})
    matrix = pd.DataFrame({"patient_id": names, "sequenced": first > 0, "TP53": np.where(first > 0, first > 1, np.nan)})
    train = place / "train"
    train.mkdir()
    clinical.to_parquet(train / "clinical.parquet")
    matrix.to_parquet(train / "alterations.parquet")
    assert call(place, "tutorial.py", "--shuffled", "train", "other").returncode == 0
    made, events = (pd.read_csv(place / f"other/{name}.tsv", sep="\t") for name in ("clinical", "alterations"))
    assert np.allclose(np.sort(made["A"]), np.sort(first))
    assert abs(np.corrcoef(made["A"], made["B"])[0, 1]) < 0.2
    assert (events["TP53"].isna() == ~matrix["sequenced"]).all()
    assert events["TP53"].sum() == matrix["TP53"].sum()
    assert not set(made["patient_id"]) & set(names)


@pytest.mark.parametrize(
    ("study", "targets"),
    [
        ("study_mended", ["all", "results/tutorial/seed-1/train/clinical.parquet", "co_occurrence"]),
        ("study_refused", ["all"]),
        ("study_elsewhere", ["marginals"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_studies_of_the_tutorials_can_be_planned(place, study, targets):
    import shutil

    for name in ("workflow", "config", "resources", "envs"):
        if not (place / name).exists():
            ignored = shutil.ignore_patterns("cohorts", "*.pyc.*", "*.tmp.*")  # what is half-written by other tests
            shutil.copytree(ROOT / name, place / name, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", place)
    (place / "tutorial/elsewhere").mkdir(exist_ok=True)
    command = [
        sys.executable,
        "workflow/run.py",
        "--study",
        f"tutorial/{study}.yaml",
        "--cores",
        "2",
        "--",
        *targets,
        "--dry-run",
    ]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_refusal_that_the_tutorial_shows_is_what_the_release_check_says(place):
    from haemosynth.privacy.release_check import COLUMNS, refusal
    from haemosynth.privacy.release_size import advice

    page = (ROOT / "docs/tutorial.md").read_text()
    shown = " ".join(next(text for _, text in blocks(ROOT / "docs/tutorial.md") if "not published" in text).split())
    asked = yaml.safe_load((place / "tutorial/study_refused.yaml").read_text())["synthetic_patients"]
    assert f"asks for {asked} patients" in page
    # The sizes are those of the table on the page; the values that failed are those of the message.
    sizes = pd.DataFrame(
        [[int(row[0]), row[4] == "yes", row[5] == "yes", True] for row in rows_of_sizes(page)],
        columns=["patients", "open", "agreement", "internal"],
    )
    failed = pd.DataFrame(
        [
            ["disclosure_tpr_1", "default", "joint", 0.0559, 0.05, 0.0374, None, None, False, False, ""],
            ["disclosure_outlying_auc", "default", "joint", 0.723, 0.65, 0.654, None, None, False, False, ""],
        ],
        columns=COLUMNS,
    )
    assert shown == f"error: tutorial: {refusal(failed, advice(sizes, 'open'))}"


def rows_of_sizes(page):
    """The cells of the table of sizes in the tutorial."""
    found = re.findall(r"^\| (\d+ \|.*) \|$", page, flags=re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in found]
