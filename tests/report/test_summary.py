"""What a run says at its end."""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

from fixtures_small import small_cohort

from haemosynth.modalities.cohort_files import write_cohort
from haemosynth.report.summary import sum_work

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(folder, name, seconds, memory, processor, at):
    path = folder / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t0\t{processor}\n")
    os.utime(path, (at, at))


def test_only_jobs_of_this_run_count_and_the_slowest_stand_first(tmp_path):
    benchmark(tmp_path, "split/a/seed-1", 60, 500, 30, at=200)
    benchmark(tmp_path, "fit_clinical/a/vae/seed-1", 120, 1500, "NA", at=200)
    benchmark(tmp_path, "simulate/a", 900, 9000, 900, at=50)
    lines = sum_work(tmp_path, 100, 180).splitlines()
    assert lines == [
        "2 jobs in 3.0 minutes, 0.5 minutes of processor, 1.5 GB at most in one job",
        "slowest: fit_clinical a vae seed-1 120 s, split a seed-1 60 s",
    ]


def test_a_run_without_jobs_says_nothing(tmp_path):
    assert sum_work(tmp_path, 0, 1) == ""


def test_what_was_read_is_told_for_every_cohort_that_was_read(tmp_path, monkeypatch, capsys):
    path = Path(__file__).resolve().parents[2] / "workflow" / "run.py"
    spec = importlib.util.spec_from_file_location("run_study", path)
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    cohort = small_cohort(60)
    cohort = replace(
        cohort, schema=replace(cohort.schema, excluded={"MRN": "identifier"}, notes=("AGE: 3 values odd",))
    )
    write_cohort(cohort, tmp_path / "results" / "mine" / "raw")
    monkeypatch.chdir(tmp_path)
    run.print_what_was_read({"cohorts": {"mine": {}, "not_yet": {}}})
    told = capsys.readouterr().out
    assert "60 patients" in told
    assert "left out: MRN (identifier)" in told
    assert "AGE: 3 values odd" in told
    assert "results/mine/raw/schema.yaml" in told
    assert "not_yet" not in told
