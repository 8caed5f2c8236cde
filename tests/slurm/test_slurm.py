"""A small study through a real SLURM, judged by its accounting. `make test-slurm` starts one; else it is skipped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from test_workflow import STUDY, checksums, copy_tree

pytestmark = pytest.mark.slurm
STAGES = ["marginals", "distance", "memory", "disclosure", "audit"]


@pytest.fixture(scope="module", autouse=True)
def controller():
    if shutil.which("scontrol") is None or subprocess.run(["scontrol", "ping"], capture_output=True).returncode:
        pytest.skip("no SLURM runs here; `make test-slurm` starts one")


def study(place, **changes):
    copy_tree(place)
    settings = STUDY | {"stages": STAGES, "compare": ["real", "independent", "uniform", "default"], "baseline": None}
    settings = settings | {"imputation": STUDY["imputation"] | {"assess": ["ensemble"]}, "gpus": 1} | changes
    (place / "study.yaml").write_text(yaml.safe_dump(settings))
    profile = place / "workflow/profiles/slurm/config.yaml"
    # One machine, one file system: nothing to wait for, and few submissions.
    profile.write_text(
        profile.read_text().replace("latency-wait: 60", "latency-wait: 5\nslurm-init-seconds-before-status-checks: 3")
    )
    return place


def command(profile, *rest):
    return [
        sys.executable, "workflow/run.py", "--study", "study.yaml", "--cores", "4",
        "--profile", f"workflow/profiles/{profile}", *rest,
    ]  # fmt: skip


def accounts(since):
    """The jobs in SLURM's accounting since a time: partition, granted resources, state, comment, asked memory."""
    fields = ["JobID", "Partition", "AllocTRES", "State", "Comment", "ReqMem", "JobName"]
    asked = ["sacct", "-a", "-X", "-n", "-P", "-S", since, "-o", ",".join(fields)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    return [dict(zip(fields, line.split("|"), strict=True)) for line in done.stdout.splitlines()]


def now():
    time.sleep(1)
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def test_a_study_through_slurm_gives_the_bytes_of_a_local_run(tmp_path):
    since = now()
    remote = study(tmp_path / "remote")
    done = subprocess.run(command("slurm"), cwd=remote, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    jobs = accounts(since)
    assert len(jobs) >= 8
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    fits = [job for job in jobs if "fit_clinical" in job["Comment"]]
    assert fits
    assert all(job["Partition"] == "gpu" and "gres/gpu=1" in job["AllocTRES"] for job in fits)
    assert all(job["Partition"] == "cpu" for job in jobs if job not in fits)
    local = study(tmp_path / "local")
    done = subprocess.run(command("default"), cwd=local, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert checksums(remote / "results/small/published") == checksums(local / "results/small/published")


def test_a_job_without_enough_memory_gets_more(tmp_path):
    since = now()
    place = study(tmp_path / "tree")
    profile = place / "workflow/profiles/slurm/config.yaml"
    asked = "set-resources:\n  simulate: {mem_mb: 60 * 20 ** (attempt - 1) * attempt}\n"
    profile.write_text(profile.read_text() + asked)
    done = subprocess.run(
        command("slurm", "--", "results/small/raw/clinical.parquet"), cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    jobs = accounts(since)
    assert len(jobs) >= 2
    assert "COMPLETED" not in jobs[0]["State"]
    assert jobs[-1]["State"] == "COMPLETED"
    assert jobs[0]["ReqMem"] != jobs[-1]["ReqMem"]


def test_an_interrupted_run_leaves_no_job_behind(tmp_path):
    since = now()
    place = study(tmp_path / "tree")
    run = subprocess.Popen(
        command("slurm"), cwd=place, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    deadline = time.time() + 90
    while not accounts(since) and time.time() < deadline:
        time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)
    run.wait(timeout=90)
    time.sleep(4)
    assert accounts(since)
    assert not [job for job in accounts(since) if job["State"] in ("PENDING", "RUNNING")]
