"""Where the seconds of a study go: CPU by rule, imports by job, and what is not science; beside another commit.

    .venv/bin/python benchmarks/demo.py [--study config/studies/beataml.yaml] [--cores 2] [COMMIT ...]

The demonstration (or the study) is run from nothing in a fresh clone of each commit (default: HEAD), one after
another, with the installed packages of this checkout. Every Python process of a run writes down its CPU seconds and
those that went into its outermost imports; a process is named by its script and rule. "Not science" is what is no
computation of a job: the imports, the start of the interpreter, and Snakemake itself. Prints for each commit CPU and
wall seconds, jobs, and peak memory of the largest job, then the seconds by rule of all commits side by side.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Python runs a module of this name when it starts. It must import as little as it can: what it imports is counted.
WATCH = """
import atexit, builtins, os, sys, time

started, depth, spent, plain = time.process_time(), [0], [0.0], builtins.__import__

def timed(*args, **kwargs):
    if depth[0]:
        return plain(*args, **kwargs)
    depth[0], before = 1, time.process_time()
    try:
        return plain(*args, **kwargs)
    finally:
        depth[0] = 0
        spent[0] += time.process_time() - before

builtins.__import__ = timed

@atexit.register
def write():
    import json, resource
    main = sys.modules["__main__"]
    task = getattr(main, "snakemake", None)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "rule": getattr(task, "rule", None) or os.path.basename(sys.argv[0]),
        "job": task is not None,
        "seconds": used.ru_utime + used.ru_stime,
        "start": started,
        "imports": spent[0],
        "megabytes": used.ru_maxrss / 1024,
    }
    with open(os.path.join(os.environ["SECONDS_OF"], f"{os.getpid()}-{time.time_ns()}.json"), "w") as file:
        json.dump(told, file)
"""


def run(commit: str, study: str | None, cores: int, work: Path) -> tuple[dict, list[dict]]:
    """Run a study in a clone of a commit; what the whole took, and what each of its processes took."""
    clone, seconds, watch = work / "clone", work / "seconds", work / "watch"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "checkout", "--quiet", commit], check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    seconds.mkdir()
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    environment = os.environ | {"PYTHONPATH": str(watch), "SECONDS_OF": str(seconds)}
    environment.pop("OMP_NUM_THREADS", None)  # a job sets its own
    asked = ["--study", study] if study else []
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with open(work / "log", "w") as log:
        done = subprocess.run(
            [
                ".venv/bin/python",
                "workflow/run.py",
                "--cores",
                str(cores),
                "--profile",
                "workflow/profiles/default",
                *asked,
            ],
            cwd=clone,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{commit}: the run failed; its log is {work / 'log'}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    processes = [json.loads(file.read_text()) for file in seconds.glob("*.json")]
    jobs = [process for process in processes if process["job"]]
    science = sum(job["seconds"] - job["start"] - job["imports"] for job in jobs)
    whole = {
        "CPU s": cpu,
        "wall s": time.monotonic() - began,
        "jobs": len(jobs),
        "imports s": sum(job["imports"] for job in jobs),
        "imports of a job s": sum(job["imports"] for job in jobs) / len(jobs),
        "not science %": 100 * (1 - science / cpu),
        "peak MB": max(job["megabytes"] for job in jobs),
    }
    return whole, jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", default=["HEAD"])
    parser.add_argument("--study")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", help="keep clones and logs in this folder")
    chosen = parser.parse_args()
    by_rule: dict[str, dict[str, float]] = defaultdict(dict)
    numbers: dict[str, Counter] = {}
    for commit in chosen.commits:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(chosen.keep, commit) if chosen.keep else Path(folder)
            work.mkdir(parents=True, exist_ok=True)
            whole, jobs = run(commit, chosen.study, chosen.cores, work)
        print(commit, "  ".join(f"{name} {value:.1f}" for name, value in whole.items()), flush=True)
        numbers[commit] = Counter(job["rule"] for job in jobs)
        for job in jobs:
            by_rule[job["rule"]][commit] = by_rule[job["rule"]].get(commit, 0.0) + job["seconds"]
    print("\nCPU seconds (jobs) by rule:")
    for rule, seconds in sorted(by_rule.items(), key=lambda item: -max(item[1].values())):
        shown = [f"{seconds.get(commit, 0):8.1f} ({numbers[commit][rule]})" for commit in chosen.commits]
        print(f"{rule:40}" + "".join(shown))


if __name__ == "__main__":
    main()
