"""All pairs of alterations by both tests, beside scipy's loop over pairs (and R's fisher.test where R is there).

    .venv/bin/python benchmarks/co_occurrence.py [patients] [events] [unknown]

Random alterations, a share of them unknown. The peers are timed on a sample of pairs and scaled to all pairs.
"""

import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import resource
import shutil
import subprocess
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

import numpy as np
from scipy.stats import fisher_exact

from haemosynth.stats import pairs

SAMPLE = 300  # pairs on which the peers are timed


def alterations(patients, events, unknown, rng):
    """Rates like those of a gene panel, patients of differing burden; filled in blocks to keep memory low."""
    rates, matrix = rng.beta(0.5, 8, events), np.empty((patients, events))
    for start in range(0, patients, 1000):
        part = matrix[start : start + 1000]
        odds = rates / (1 - rates) * rng.lognormal(0, 0.5, (len(part), 1))
        part[:] = rng.random(part.shape) < odds / (1 + odds)
        part[rng.random(part.shape) < unknown] = np.nan
    return matrix


def timed(name, run):
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:52} {wall:8.2f} s   {cpu:8.2f} s of CPU", flush=True)
    return result, wall, cpu


def table(matrix, i, j):
    """The 2 x 2 table of one pair, as a loop over pairs makes it."""
    known = ~np.isnan(matrix[:, i]) & ~np.isnan(matrix[:, j])
    first, second = matrix[known, i] == 1, matrix[known, j] == 1
    both, one, other = (first & second).sum(), (first & ~second).sum(), (~first & second).sum()
    return [[both, one], [other, len(first) - both - one - other]]


def main(patients=50_000, events=500, unknown=0.05):
    rng = np.random.default_rng(1)
    matrix = alterations(patients, events, unknown, rng)
    number = events * (events - 1) // 2
    print(f"{patients:,} patients, {events} events, {unknown:.0%} unknown: {number:,} pairs")
    pairs.fisher_exact(pairs.pair_counts(matrix[:50]))  # compiled once per process, not timed
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    counts, *first = timed("counts of all 2 x 2 tables", lambda: pairs.pair_counts(matrix))
    p, *second = timed("Fisher's exact test, two-sided", lambda: pairs.fisher_exact(counts))
    test, *third = timed("load-matched test, both tails", lambda: pairs.load_matched(matrix, counts))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    wall, cpu = (a + b + c for a, b, c in zip(first, second, third, strict=True))
    print(f"{'both tests of all pairs':52} {wall:8.2f} s   {cpu:8.2f} s of CPU")
    print(f"peak memory {peak:.2f} GB, {before:.2f} GB of it before the tests (the alterations themselves among it)")
    tested = ~np.eye(events, dtype=bool)
    for tail in ("upper", "lower"):
        timed(
            f"discrete false discovery control, {tail} tail",
            lambda tail=tail: pairs.load_matched_discoveries(test, tail, tested, 0.05),
        )

    chosen = [sorted(rng.choice(events, 2, replace=False)) for _ in range(SAMPLE)]
    tables = [table(matrix, i, j) for i, j in chosen]
    found, loop, loop_cpu = timed(
        f"scipy, counts and Fisher, a loop over {SAMPLE} pairs",
        lambda: [fisher_exact(table(matrix, i, j)).pvalue for i, j in chosen],
    )
    ours = np.array([p[i, j] for i, j in chosen])
    print(f"largest difference of p from scipy's: {np.abs(ours - found).max():.1e}")
    fisher_wall, fisher_cpu = first[0] + second[0], first[1] + second[1]
    print(
        f"scipy for all pairs, scaled from the sample: {loop / SAMPLE * number:,.0f} s; ratio of CPU to Fisher alone "
        f"{loop_cpu / SAMPLE * number / fisher_cpu:,.0f}, of wall {loop / SAMPLE * number / fisher_wall:,.0f}"
    )
    if shutil.which("Rscript"):
        cells = ",".join(str(int(cell)) for found in tables for row in found for cell in row)
        code = (
            f"m <- matrix(c({cells}), ncol = 4, byrow = TRUE); t <- system.time(for (i in seq_len(nrow(m))) "
            "fisher.test(matrix(m[i, ], 2), conf.int = FALSE)); cat(t[['user.self']])"
        )
        spent = float(subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout)
        print(
            f"R fisher.test on tables already counted, scaled from {SAMPLE} pairs: {spent / SAMPLE * number:,.0f} s; "
            f"ratio to Fisher and counts together {spent / SAMPLE * number / fisher_cpu:,.0f}"
        )
    else:
        print("R is not installed: fisher.test was not timed")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, int, float), sys.argv[1:], strict=False)))
