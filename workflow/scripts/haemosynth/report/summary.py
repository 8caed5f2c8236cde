"""The end of a run in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from haemosynth.core.files import read_table
from haemosynth.privacy.release_check import overridden

SLOWEST = 5  # jobs that are named


def sum_work(benchmarks: Path, since: float, seconds: float) -> str:
    """What a run has done, in two lines: its jobs, time, memory, and the slowest jobs; empty where there was no job.

    Args:
        benchmarks: folder of the tables that Snakemake writes for each job (seconds, MB).
        since: when the run began (seconds since the epoch); older tables are of earlier runs.
        seconds: how long the run took.
    """
    tables = {path: read_table(path) for path in sorted(benchmarks.rglob("*.tsv")) if path.stat().st_mtime >= since}
    jobs = {path: table.iloc[0] for path, table in tables.items() if len(table)}
    if not jobs:
        return ""
    processor = sum(float(job["cpu_time"]) for job in jobs.values() if job["cpu_time"] == job["cpu_time"])
    memory = max(float(job["max_rss"]) for job in jobs.values())
    slowest = sorted(jobs, key=lambda path: -float(jobs[path]["s"]))[:SLOWEST]
    named = ", ".join(
        f"{' '.join(path.relative_to(benchmarks).with_suffix('').parts)} {jobs[path]['s']:.0f} s" for path in slowest
    )
    return (
        f"{len(jobs)} jobs in {seconds / 60:.1f} minutes, {processor / 60:.1f} minutes of processor,"
        f" {memory / 1000:.1f} GB at most in one job\nslowest: {named}"
    )


def summarise_study(folder: Path, published: Sequence[str]) -> str:
    """The scorecard of a cohort in a few lines, and where to read on.

    Args:
        folder: results of the cohort.
        published: generators that were released.
    """
    composites, gate = read_table(folder / "composites.tsv"), read_table(folder / "gate.tsv")
    lines = ["", f"{folder.name}: 1 is as near as other real patients, 0 is without structure (95 % interval)"]
    for generator in dict.fromkeys(composites["generator"]):
        lines.append(f"  {generator}")
        for row in composites[composites["generator"] == generator].itertuples():
            label = f"{row.pillar}, {row.modality}"
            lines.append(f"    {label:<24}{row.relative:6.2f}  ({row.low:.2f} to {row.high:.2f})")
    for generator in published:
        checks = gate[gate["generator"] == generator]
        passed = f"passed, {int(checks['value'].notna().sum())} checks" if checks["passed"].all() else "shut"
        passed = overridden(checks) or passed
        lines.append(f"  gate of {generator}: {passed}; published: {folder / 'published' / generator}")
    lines.append(f"  dossier: {folder / 'dossier.html'}")
    return "\n".join(lines)
