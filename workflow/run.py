"""One study from raw patients to the published folder: what `make run` calls.

It refuses a second run in the same folder, resumes after a crash, and ends with the scorecard in words, or with the
one line that says what to mend.
"""

from __future__ import annotations

import argparse
import fcntl
import re
import shutil
import subprocess
import sys
import time
from difflib import get_close_matches
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYOUT = "2"  # of results: where their files lie
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))


def settings(studies: list[str]) -> dict:
    """The study's settings over the defaults, checked before Snakemake starts."""
    import yaml

    from haemosynth.study.settings import check, expand_paths, fill_in, read_settings, source, update_names

    config = read_settings(Path(), studies)
    for line in update_names(config):
        print(f"note: {line}", file=sys.stderr)
    check(config, yaml.safe_load(Path("workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")))
    for cohort in config["cohorts"]:
        expand_paths(source(config, cohort), cohort)
    fill_in(config)
    return config


def list_failures(since: float) -> list[str]:
    """What the logs of jobs since then say of failures: their error lines, or where a log ends without one."""
    lines = []
    for log in sorted(log for log in Path("logs").rglob("*.log") if log.stat().st_mtime >= since):
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        told = [line for line in said if line.startswith("error: ")]
        lines += told
        if not told and not log.with_suffix(".sha256").exists():  # which is the last that a job writes
            why = f"it ends with: {said[-1].strip()}" if said else "it is empty: was the job killed, or out of memory?"
            lines.append(f"error: a job failed; its log is {log}; {why}")
    return list(dict.fromkeys(lines))


def print_what_was_read(config: dict) -> None:
    """Say of every cohort that was read what its files held, what was left out and what was guessed."""
    from haemosynth.core.errors import InputError
    from haemosynth.report.reading import read_summary

    for cohort in config["cohorts"]:
        try:
            lines = read_summary(Path("results") / cohort / "raw")
        except InputError:  # a file that was lost is made again by the next run
            continue
        if lines:
            print("\n" + "\n  ".join(lines))


def find_logged(pattern: str, since: float) -> list[str]:
    """The first group of a pattern, wherever it is in Snakemake's own logs since then."""
    logs = [log for log in Path(".snakemake/log").glob("*.snakemake.log") if log.stat().st_mtime >= since]
    return [match for log in logs for match in re.findall(pattern, log.read_text(), re.MULTILINE)]


def find_missing_target(since: float) -> str | None:
    """What Snakemake was asked for since then and has no rule for."""
    return next(iter(find_logged(r"^No rule to produce (.+?) \(if you use", since)), None)


def list_targets(config: dict, snakemake: list[str], file: bool) -> list[str]:
    """The files of a study, or its stages and pillars."""
    from haemosynth.validate import STAGES

    if not file:
        return ["all", "synthetic", *config["stages"], *dict.fromkeys(STAGES[s].pillar for s in config["stages"])]
    told = subprocess.run([*snakemake, "--summary", "--quiet"], capture_output=True, text=True, check=False)
    return [line.partition("\t")[0] for line in told.stdout.splitlines()[1:]]


def discard_damaged() -> None:
    """Remove what is no longer as its job wrote it, so that it is made again: a disk's fault, or somebody's edit."""
    from haemosynth.core.errors import InputError
    from haemosynth.core.files import find_changed
    from haemosynth.publish.release import find_differences

    def unlike(manifest: Path) -> bool:
        try:
            return bool(find_differences(manifest.parent))
        except InputError:  # no manifest any more
            return True

    found = {path for record in Path("logs").rglob("*.sha256") for path in find_changed(record)}
    found |= {path for path in Path("results").glob("*/published/*/manifest.tsv") if unlike(path)}
    for path in sorted(found):
        print(f"{path}: not as its job wrote it; it is made again where it is needed", file=sys.stderr)
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def refuse_former_layout() -> str | None:
    """The line that refuses results of an earlier version, whose files lay elsewhere; marks an empty folder as ours."""
    mark, results = Path("results/.layout"), Path("results")
    if mark.is_file() and mark.read_text(encoding="utf-8").strip() == LAYOUT:
        return None
    if mark.is_file() or any(results.glob("*/seed-*")):
        return (
            f"error: {results.resolve()}: results of an earlier version, which kept its files elsewhere; move the"
            " folder away and run again, or remove it with `make clean`"
        )
    mark.write_text(f"{LAYOUT}\n", encoding="utf-8")
    return None


def discard_half_written() -> None:
    """Remove what killed jobs left half-written under temporary names: no other run is at work here."""
    for path in sorted(Path("results").rglob(".*.part")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def wait_for(process: subprocess.Popen) -> tuple[int, bool]:
    """Wait for Snakemake: its exit status, and whether it was interrupted.

    At an interrupt, which it hears too, until it has cancelled what it started elsewhere.
    """
    interrupted = False
    while True:
        try:
            return process.wait(), interrupted
        except KeyboardInterrupt:
            interrupted = True
            print("interrupted: jobs are being cancelled", file=sys.stderr)


def cancel_what_is_left(since: float) -> None:
    """Cancel the run's jobs on a SLURM cluster, whose common name its log holds.

    A job that was on its way to the queue at the interrupt is not among those that Snakemake cancels.
    """
    for name in find_logged(r"^SLURM run ID: (\S+)$", since):
        subprocess.run(["scancel", "--me", f"--name={name}"], check=False)


def main() -> int:
    """Run the study; 0 when everything asked for is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", action="append", default=[], help="study file; the demo study when none is given")
    parser.add_argument("--cores", default="all")
    parser.add_argument("--profile", default="workflow/profiles/default")
    parser.add_argument("rest", nargs="*", help="targets and further options for snakemake (after --)")
    chosen = parser.parse_args()
    from haemosynth.core.errors import InputError

    try:
        config = settings(chosen.study)
    except InputError as error:
        for line in error.lines:
            print(f"error: {line}", file=sys.stderr)
        return 2
    try:
        Path("results").mkdir(exist_ok=True)
        lock = open("results/.lock", "w")  # noqa: SIM115 - held until the process ends, however it ends
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(
            f"error: {Path('results').resolve()}: another run is at work in this folder; wait for it", file=sys.stderr
        )
        return 3
    except OSError as error:
        print(f"error: {Path('results').resolve()}: {error.strerror}; results cannot be written here", file=sys.stderr)
        return 3
    if refused := refuse_former_layout():
        print(refused, file=sys.stderr)
        return 2
    discard_damaged()
    discard_half_written()
    study = ["--configfile", *chosen.study] if chosen.study else []
    snakemake = [sys.executable, "workflow/snakemake_cli.py", "--workflow-profile", chosen.profile, *study]
    shown = ["--logger", "rich"] if sys.stderr.isatty() else []  # a bar on a terminal, lines in a log
    # The lock above is the operating system's and ends with its holder: what Snakemake still holds is a crash's.
    if any(Path(".snakemake/locks").glob("*")):
        subprocess.run([*snakemake, "--unlock", "--quiet"], capture_output=True, check=False)
    started = time.time()
    command = [*snakemake, *shown, "--cores", chosen.cores, "--rerun-incomplete", *chosen.rest]
    # Snakemake holds the lock as well: it outlives this process if somebody kills this one alone.
    code, interrupted = wait_for(subprocess.Popen(command, pass_fds=(lock.fileno(),)))
    if interrupted:
        cancel_what_is_left(started)
    if code:
        found = [] if interrupted else list_failures(started)
        if not found and (target := find_missing_target(started)):
            near = get_close_matches(target, list_targets(config, snakemake, "/" in target), n=1)
            told = f"did you mean {near[0]!r}?" if near else "expected a stage, a pillar, or a file of the results"
            found = [f"error: nothing is called {target!r} in this study; {told}"]
        print_what_was_read(config)
        for line in found or ["error: the run ended early; the lines above say why, and finished results are kept"]:
            print(line, file=sys.stderr)
        return code
    from haemosynth.report.summary import sum_work, summarise_study

    print(sum_work(Path("logs/benchmarks"), started, time.time() - started), file=sys.stderr)
    print_what_was_read(config)
    if not chosen.rest:
        for cohort in config["cohorts"]:
            print(summarise_study(Path("results") / cohort, config["publish"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
