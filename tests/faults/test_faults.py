"""A study that is killed, starved of disk, or damaged: the same command ends it with the bytes of an undisturbed run.

Long, hence run by name: `make test-faults`. Tests that mount a file system need root on Linux and are skipped without.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from test_workflow import STUDY, checksums, copy_tree

pytestmark = pytest.mark.faults
FAULTY = STUDY | {
    "stages": ["marginals", "distance", "memory", "disclosure", "audit"],
    "compare": ["real", "independent", "uniform", "default"],
    "baseline": None,
    "imputation": STUDY["imputation"] | {"assess": ["ensemble"]},
    # Training that is long enough to be interrupted between two checkpoints.
    "methods": STUDY["methods"] | {"clinical": {"vae": {"steps": 400, "decoders": 2, "checkpoint_every": 20}}},
}
TABLE = "results/small/raw/clinical.parquet"
CHECKPOINT = "results/small/seed-1/models/clinical/vae/checkpoint.safetensors"
# A run is killed while such a job is at work: each needs what the one before it makes. Training lasts and comes thrice.
MOMENTS = [
    "simulate", "split", "fit_clinical", "fit_clinical", "fit_clinical", "sample_clinical", "sample_genomic",
    "assemble", "validate_audit", "collect", "gate", "publish",
]  # fmt: skip
SEEDS = (1, 2)
# The same with images of the patients: folders as files, and a training that takes checkpoints of its own.
PICTURED = FAULTY | {
    "cohorts": {"small": FAULTY["cohorts"]["small"] | {"modalities": ["clinical", "images"]}},
    "stages": ["marginals", "texture", "distance", "memory", "disclosure", "audit", "image_memorisation"],
    "methods": {
        "clinical": STUDY["methods"]["clinical"],
        "images": {
            "diffusion": {"width": [8, 8], "patch": 8, "steps": 200, "sampling_steps": 4, "checkpoint_every": 20}
        },
    },
    "gate": FAULTY["gate"]
    | {"image_copies": 1.0, "image_nearer_to_train": 1.0, "image_copies_caught": 0.0, "image_membership_auc": 1.0},
}
PICTURED_MOMENTS = [
    "simulate_images", "split_images", "fit_images", "fit_images", "sample_images", "validate_image_memorisation",
    "publish",
]  # fmt: skip


def tree(place, study=FAULTY):
    copy_tree(place)
    (place / "study.yaml").write_text(yaml.safe_dump(study))
    return place


def start(place, *rest, cores=2):
    command = [sys.executable, "workflow/run.py", "--study", "study.yaml", "--cores", str(cores), *rest]
    return subprocess.Popen(
        command, cwd=place, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(place, *rest):
    process = start(place, *rest)
    output, _ = process.communicate(timeout=900)
    return process.returncode, output


def kill(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def at_work(logs, begun):
    """Whether a job of a rule runs or ran since then: it empties its log when it begins."""
    return any(log.stat().st_mtime > begun for log in logs.rglob("*.log"))


def wait_for(process, condition):
    """Wait until the condition holds or the run has ended: whether it is still at work."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.02)
    return False


def completes(place, undisturbed):
    code, output = run(place)
    assert code == 0, output[-3000:]
    assert checksums(place / "results/small/published") == undisturbed
    assert not [str(file) for file in (place / "results").rglob("*.part")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    place = tree(tmp_path_factory.mktemp("undisturbed"))
    code, output = run(place)
    assert code == 0, output[-3000:]
    return checksums(place / "results/small/published")


def killed(place, moments, seed):
    """How many runs were killed while a job of these rules was at work."""
    chance, kills = random.Random(seed), 0
    for rule in moments:
        process, begun = start(place), time.time()
        if wait_for(process, lambda rule=rule, begun=begun: at_work(place / "logs" / rule, begun)):
            time.sleep(chance.uniform(0, 1.5))
            kills += process.poll() is None
        kill(process)
    print(f"seed {seed}: {kills} runs killed")
    return kills


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_again_and_again(seed, undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    assert killed(place, MOMENTS, seed) >= 10
    completes(place, undisturbed)


def test_a_study_with_images_is_killed_again_and_again(tmp_path):
    whole = tree(tmp_path / "whole", PICTURED)
    code, output = run(whole)
    assert code == 0, output[-3000:]
    assert list((whole / "results/small/published").rglob("*.nii.gz"))
    place = tree(tmp_path / "tree", PICTURED)
    assert killed(place, PICTURED_MOMENTS, 3) >= 5
    completes(place, checksums(whole / "results/small/published"))


def test_one_job_is_killed(undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    process = start(place)
    jobs = []

    def training():
        listed = subprocess.run(
            ["pgrep", "-f", rf"{place}/.snakemake/scripts/\S*fit.py"], capture_output=True, text=True
        )
        jobs[:] = [int(word) for word in listed.stdout.split()]
        return bool(jobs) and (place / CHECKPOINT).is_file()

    assert wait_for(process, training)
    os.kill(jobs[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=900)
    assert process.returncode != 0
    assert "error: " in output
    completes(place, undisturbed)


def test_a_truncated_checkpoint_is_not_taken_for_one(undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    process = start(place)
    assert wait_for(process, (place / CHECKPOINT).is_file)
    kill(process)
    content = (place / CHECKPOINT).read_bytes()
    (place / CHECKPOINT).write_bytes(content[: len(content) // 2])
    completes(place, undisturbed)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_intermediate_file_is_made_again(damage, undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    code, output = run(place, "--", TABLE)
    assert code == 0, output[-3000:]
    content, times = bytearray((place / TABLE).read_bytes()), (place / TABLE).stat()
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    (place / TABLE).write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    os.utime(place / TABLE, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a failing disk would leave it
    completes(place, undisturbed)


def test_a_changed_published_file_is_made_again(undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    completes(place, undisturbed)
    card = place / "results/small/published/default/DATA_CARD.md"
    card.write_text(card.read_text() + "and more\n")
    assert checksums(place / "results/small/published") != undisturbed
    completes(place, undisturbed)


def test_a_second_run_in_the_folder_is_refused(undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    first = start(place)
    assert wait_for(first, lambda: any((place / "logs").rglob("*.log")))
    code, output = run(place)
    assert code == 3
    assert [line for line in output.splitlines() if line.startswith("error: ")] == [
        f"error: {place / 'results'}: another run is at work in this folder; wait for it"
    ]
    output, _ = first.communicate(timeout=900)
    assert first.returncode == 0, output[-3000:]
    assert checksums(place / "results/small/published") == undisturbed


@contextmanager
def file_system(folder, options):
    """A file system in memory over the folder."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [120, 900])
def test_a_full_disk(kilobytes, undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    with file_system(place / "results", f"size={kilobytes}k"):
        code, output = run(place)
        assert code != 0
        errors = [line for line in output.splitlines() if line.startswith("error: ")]
        assert any("No space left on device" in line for line in errors), output[-3000:]
        subprocess.run(["mount", "-o", "remount,size=500m", str(place / "results")], check=True)
        completes(place, undisturbed)


def test_a_folder_that_cannot_be_written(undisturbed, tmp_path):
    place = tree(tmp_path / "tree")
    with file_system(place / "results", "size=500m,ro"):
        code, output = run(place)
        assert code == 3
        assert output == (f"error: {place / 'results'}: Read-only file system; results cannot be written here\n")
        subprocess.run(["mount", "-o", "remount,rw", str(place / "results")], check=True)
        completes(place, undisturbed)
