"""The workflow as a user meets it: run, rerun, edit, crash, mistake. Each test works in its own copy of the tree."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
# Every rule is at work, on few patients and with small models: they show the wiring, not the quality.
STUDY = {
    "cohorts": {"small": {"format": "simulated", "disease": "myeloma", "patients": 160, "endpoint": ["OS", "PFS"]}},
    "compare": ["real", "independent", "uniform", "default", "forest"],
    "stages": ["co_occurrence", "distance", "memory", "disclosure", "audit"],
    "release": {"most": 1},
    "validation": {
        "common": {"repeats": 1, "replicates": 3},
        "audit": {"trials": 1, "exchanges": 50},
        "disclosure": {"redraws": 2, "trees": 10, "local": 1, "exchanges": 50},
        "memory": {"exchanges": 100},
    },
    "imputation": {
        "draws": 2,
        "methods": {
            "ensemble": {"miwae": {"steps": 30, "members": 1, "imputation_samples": 20}},
            "chained_ridge": {"iterations": 1},
        },
        "assess": ["chained_ridge"],
    },
    "methods": {
        "clinical": {
            "vae": {"steps": 40, "decoders": 2, "width": 32, "refinement": None, "margins": None},
            "forest": {"trees": 4},
        },
        "genomic": {"mutation_model": {"sweeps": 30, "burn_in": 15, "draws": 3, "folds": 2}},
    },
    # The gate is opened for them.
    "gate": {
        **dict.fromkeys(
            ("linked_copies", "exposed", "disclosure_auc", "disclosure_tpr_1", "disclosure_outlying_auc"), 1.0
        ),
        **dict.fromkeys(("exact_matches", "copied_profiles"), 1.0),
        "audit_passed": 0.0,
    },
}


def copy_tree(place):
    """The tree, with what Python and numba have compiled, which is not compiled anew for each test."""
    half_written = ("*.pyc.*", "*.tmp.*")
    for name in ("workflow", "config", "resources", "envs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("cohorts", *half_written))
    shutil.copy(ROOT / "Snakefile", place)
    (place / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return place


def command(*arguments, cores=2):
    return [sys.executable, "workflow/run.py", "--study", "study.yaml", "--cores", str(cores), *arguments]


def run(place, *arguments, cores=2):
    return subprocess.run(command(*arguments, cores=cores), cwd=place, capture_output=True, text=True, check=False)


def planned(place):
    """The rules that a dry run would execute."""
    done = run(place, "--", "all", "--dry-run", "--quiet", "host")
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^ *(?:local)?rule (\w+):", done.stdout + done.stderr, flags=re.MULTILINE))


def checksums(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "run.json"
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    place = copy_tree(tmp_path_factory.mktemp("finished"))
    done = run(place)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "dossier.html" in done.stdout
    return place


def test_a_finished_study_has_nothing_to_do(finished):
    assert planned(finished) == set()


def test_the_published_folder_holds_no_model_and_no_real_patient(finished):
    published = finished / "results/small/published/default"
    names = set(checksums(published))
    assert {"dossier.html", "DATA_CARD.md", "metrics.tsv", "manifest.tsv", "config.yaml", "environment.txt"} <= names
    assert {"ro-crate-metadata.json", "explorer.html", "table_one.docx"} <= names
    assert not [name for name in names - {"ro-crate-metadata.json"} if name.endswith((".safetensors", ".json"))]
    import pandas as pd

    real = pd.read_parquet(finished / "results/small/raw/clinical.parquet")
    synthetic = pd.read_parquet(published / "cohort/clinical.parquet")
    values = [name for name in synthetic if name != "patient_id"]
    rows = set(map(tuple, real[values].astype(str).to_numpy()))
    assert not rows & set(map(tuple, synthetic[values].astype(str).to_numpy()))
    text = "".join(
        file.read_text()
        for file in published.rglob("*")
        if file.suffix in (".tsv", ".txt", ".md", ".yaml", ".html", ".svg")
    )
    found = [patient for patient in real["patient_id"] if patient in text]  # which is quick
    assert not [patient for patient in found if re.search(rf"\b{re.escape(patient)}\b", text)]


def test_one_core_and_a_crash_on_the_way_give_the_same_bytes(finished, tmp_path):
    place = copy_tree(tmp_path / "tree")
    crash = subprocess.Popen(
        command(cores=1), cwd=place, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 240
    while not list(place.glob("results/small/seed-1/models/genomic/*/model.json")) and time.time() < deadline:
        time.sleep(0.5)
    os.killpg(crash.pid, signal.SIGKILL)
    crash.wait()
    # What a killed writer may leave beside its result, a file or a folder.
    (place / "results/small/seed-1/models").mkdir(parents=True, exist_ok=True)
    (place / "results/small/seed-1/models/.table.tsv.1.part").write_text("half")
    (place / "results/small/seed-1/.images.zarr.1.part").mkdir()
    done = run(place, cores=1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert checksums(place / "results/small/published") == checksums(finished / "results/small/published")
    assert not list((place / "results").rglob("*.part"))


@pytest.fixture
def copied(finished, tmp_path):
    """A finished study whose files may be changed."""
    place = tmp_path / "tree"
    shutil.copytree(finished, place)  # copies times too
    return place


COLLECTORS = {"all", "collect", "gate", "dossier", "publish"}


def test_editing_a_stage_reruns_that_stage_and_the_collectors_only(copied):
    module = copied / "workflow/scripts/haemosynth/modalities/genomic/stages/co_occurrence.py"
    module.write_text(module.read_text() + "\n# changed\n")
    assert planned(copied) == {"validate_co_occurrence", "validate_co_occurrence_references"} | COLLECTORS


def test_changing_a_generator_reruns_only_what_depends_on_it(copied):
    methods = {**STUDY["methods"], "genomic": STUDY["methods"]["genomic"] | {"logistic_chain": {"event_ridge": [3.0]}}}
    (copied / "study.yaml").write_text(yaml.safe_dump(STUDY | {"methods": methods}))
    done = run(copied, "--", "all", "--dry-run", "--quiet", "host")
    jobs = re.findall(r"^ *rule (\w+):.*?(?=^ *rule |\Z)", done.stdout + done.stderr, flags=re.MULTILINE | re.DOTALL)
    assert {"fit_genomic", "sample_genomic", "assemble"} <= set(jobs)
    assert not {"simulate", "split", "fit_clinical", "impute", "reference", "halve"} & set(jobs)
    assert jobs.count("fit_genomic") == 1
    assert jobs.count("validate_co_occurrence") == 1
    assert "validate_co_occurrence_references" not in jobs


def test_a_second_run_in_the_same_folder_is_refused(finished):
    import fcntl

    with open(finished / "results/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(finished)
    assert done.returncode == 3
    assert done.stderr.strip().endswith("another run is at work in this folder; wait for it")


def test_a_killed_run_whose_jobs_go_on_keeps_others_out(tmp_path):
    place = copy_tree(tmp_path)
    slow = "import time\nfrom job import job\n\nwith job(snakemake):\n    time.sleep(60)\n"
    (place / "workflow/scripts/simulate.py").write_text(slow)
    asked = ("--", "results/small/raw/clinical.parquet")
    first = subprocess.Popen(
        command(*asked), cwd=place, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.time() + 60
        while not (place / "logs/simulate/small.log").exists() and time.time() < deadline:
            time.sleep(0.2)
        first.kill()  # alone
        first.wait()
        assert run(place, *asked).returncode == 3
    finally:
        os.killpg(first.pid, signal.SIGKILL)


def test_results_of_an_earlier_layout_are_refused_in_one_line(tmp_path):
    place = copy_tree(tmp_path)
    old = place / "results/tiny/seed-1/models/transcriptomic/factor/model.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    done = run(place)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "results of an earlier version" in done.stderr
    assert old.is_file()


def test_a_mistake_in_the_data_ends_with_one_line_and_nothing_half_written(tmp_path):
    place = copy_tree(tmp_path / "tree")
    (place / "cohort").mkdir()
    (place / "cohort" / "clinical.csv").write_text("PATIENT_ID,AGE,OS_MONTHS,OS_STATUS\nA,60,3,1\nA,61,4,0\n")
    entry = {"format": "tables", "path": "cohort", "clinical": "clinical.csv", "endpoint": "OS"}
    (place / "study.yaml").write_text(
        yaml.safe_dump(STUDY | {"cohorts": {"mine": entry | {"modalities": ["clinical"]}}})
    )
    done = run(place)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "clinical.csv" in last
    assert "patient A" in last
    assert "Traceback" not in done.stderr
    assert not list((place / "results").rglob("*.parquet"))


def test_a_mistake_in_the_settings_ends_before_anything_runs(tmp_path):
    place = copy_tree(tmp_path / "tree")
    (place / "study.yaml").write_text(yaml.safe_dump(STUDY | {"sedes": [1]}))
    done = run(place)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: config: unknown key 'sedes'; did you mean 'seeds'?"
    assert not (place / "results").exists()


def test_a_job_that_fails_and_a_misspelt_target_are_told_in_one_line(tmp_path):
    place = copy_tree(tmp_path)
    (place / "workflow/scripts/simulate.py").write_text(
        "from job import job\n\nwith job(snakemake):\n    raise ValueError('beyond all bounds')\n"
    )
    asked = {
        "results/small/raw/clinical.parquet": "error: a job failed; its log is logs/simulate/small.log; "
        "it ends with: ValueError: beyond all bounds",
        "results/small/scorecrad.tsv": "error: nothing is called 'results/small/scorecrad.tsv' in this study; "
        "did you mean 'results/small/scorecard.tsv'?",
    }
    for target, line in asked.items():
        done = run(place, "--", target)
        assert done.returncode != 0
        assert done.stderr.strip().splitlines()[-1] == line
        assert "Traceback" not in done.stderr


def test_checkout_study_and_cohort_lie_in_folders_with_spaces(tmp_path):
    import pandas as pd

    place = copy_tree(tmp_path / "my work (2)")
    shutil.copy(ROOT / "Makefile", place)
    (place / ".venv").symlink_to(sys.prefix)
    (place / "my cohort").mkdir()
    (place / "study.yaml").unlink()
    rows = [f"P {i},{40 + i % 37},{1.5 * i + 1},{i % 2}\n" for i in range(80)]
    (place / "my cohort" / "clinical data.csv").write_text("PATIENT_ID,AGE,OS_MONTHS,OS_STATUS\n" + "".join(rows))
    entry = {"format": "tables", "path": "my cohort", "clinical": "clinical data.csv", "endpoint": "OS"}
    study = STUDY | {"cohorts": {"mine": entry | {"modalities": ["clinical"]}}}
    (place / "my study.yaml").write_text(yaml.safe_dump(study))
    asked = ["STUDY=my study.yaml", "CORES=1", "ARGS=-- results/mine/seed-1/train/clinical.parquet"]
    # The environment is that of the tests, and must not be made anew.
    done = subprocess.run(
        ["make", "--assume-old=.venv/.ready", "run", *asked], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    raw = pd.read_parquet(place / "results/mine/raw/clinical.parquet")
    assert sorted(raw["patient_id"]) == sorted(f"P {i}" for i in range(80))


def test_alterations_before_the_record_or_after_it_is_a_setting(copied):
    """Both orders in one study; the patients of either are whole, and no part of them is drawn in a circle."""
    import pandas as pd

    place = copied
    methods = {
        "clinical": {"forest_given": {"algorithm": "forest", "given": ["genomic"], "trees": 4}},
        "genomic": {"chain_first": {"algorithm": "logistic_chain", "given": []}},
    }
    orders = {"first": {"clinical": "forest_given", "genomic": "chain_first"}}
    methods = {modality: STUDY["methods"][modality] | own for modality, own in methods.items()}
    study = STUDY | {"methods": methods, "generators": orders, "compare": [*STUDY["compare"], "first"]}
    (place / "study.yaml").write_text(yaml.safe_dump(study))
    tables = [f"results/small/seed-1/synthetic/{order}" for order in ("first", "forest")]
    done = run(place, "--", *(f"{folder}/clinical.parquet" for folder in tables))
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in tables:
        clinical, events = (pd.read_parquet(place / folder / f"{name}.parquet") for name in ("clinical", "alterations"))
        assert list(clinical["patient_id"]) == list(events["patient_id"])
        assert clinical.notna().mean().min() > 0
        assert not any(name.startswith("alteration ") for name in clinical)


def test_images_without_a_record_leave_clinical_stages_and_keep_to_their_side(tmp_path):
    """Twelve patients with a picture each: from their files to train and holdout; no clinical stage is planned."""
    import numpy as np
    from PIL import Image

    place = copy_tree(tmp_path)
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (place / "pictures" / part).mkdir(parents=True)
    for name in "abcdefghijkl":
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(place / f"pictures/images/{name}.png")
        Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(place / f"pictures/masks/{name}.png")
    entry = {
        "format": "pictures", "path": str(place / "pictures"), "modalities": ["images"],
        "images": {
            "size": [16, 16], "channels": {"grey": {"unit": "1", "window": [0, 1]}}, "mask": {"file": "masks"},
        },
    }  # fmt: skip
    study = {"cohorts": {"fields": entry}, "compare": STUDY["compare"], "stages": ["marginals", "distance", "texture"]}
    (place / "study.yaml").write_text(yaml.safe_dump(study))
    rules = planned(place)
    assert {"validate_texture", "ingest_images", "sample_images"} <= rules
    assert not {"validate_marginals", "validate_distance", "fit_clinical", "impute"} & rules
    sides = [f"results/fields/seed-1/{side}/images.zarr" for side in ("train", "holdout")]
    done = run(place, "--", *sides)
    assert done.returncode == 0, done.stdout + done.stderr
    owners = [yaml.safe_load((place / side / "zarr.json").read_text())["attributes"]["patient_id"] for side in sides]
    assert sorted(owners[0] + owners[1]) == list("abcdefghijkl")
    assert not set(owners[0]) & set(owners[1])
    again = run(place, "--", *sides)
    assert "Nothing to be done" in again.stdout + again.stderr


def reproduce(place, *arguments):
    command = [sys.executable, "workflow/reproduce.py", "results/small/published/default", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_published_folder_is_made_again_from_its_own_settings(copied):
    done = reproduce(copied)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    again = copied / "results/reproduced/small/results/small/published"
    assert checksums(again) == checksums(copied / "results/small/published")


def test_a_published_folder_that_was_changed_is_not_reproduced(copied):
    card = copied / "results/small/published/default/DATA_CARD.md"
    card.write_text(card.read_text() + "and more\n")
    done = reproduce(copied)
    assert done.returncode == 1
    assert done.stderr == "error: results/small/published/default/DATA_CARD.md: was changed\n"


def test_reproducing_needs_to_know_where_the_patients_lie(copied):
    published = copied / "results/small/published/default"
    config = yaml.safe_load((published / "config.yaml").read_text())
    config["cohorts"]["small"]["path"] = "withheld"
    (published / "config.yaml").write_text(yaml.safe_dump(config))
    from haemosynth.core.files import write_table
    from haemosynth.publish.release import make_manifest

    write_table(make_manifest(published), published / "manifest.tsv")
    done = reproduce(copied)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: results/small/published/default/config.yaml: the path of the cohort small is withheld; give a study"
    )
