"""What a run says at its end."""

import os

from haemosynth.report.summary import work_done

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
    lines = work_done(tmp_path, 100, 180).splitlines()
    assert lines == [
        "2 jobs in 3.0 minutes, 0.5 minutes of processor, 1.5 GB at most in one job",
        "slowest: fit_clinical a vae seed-1 120 s, split a seed-1 60 s",
    ]


def test_a_run_without_jobs_says_nothing(tmp_path):
    assert work_done(tmp_path, 0, 1) == ""
