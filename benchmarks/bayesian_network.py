"""Networks of 200 resamples, 1,500 patients by 40 binary variables: this project beside pgmpy's HillClimbSearch.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts .venv/bin/python benchmarks/bayesian_network.py

One process, CPU seconds. Both search by BIC with at most 4 parents on the same resamples; pgmpy takes seconds for each,
so that it is timed on two and scaled to 200. Compiling, once per installation, is shown apart.
"""

import logging
import time
import warnings

import numpy as np
import pandas as pd

from haemosynth.stats.networks import bic, edge_strengths, hill_climb

PATIENTS, VARIABLES, RESAMPLES, TIMED = 1500, 40, 200, 2


def simulated(rng):
    """Carriers of 40 alterations, 5 to 40 % of patients, each depending on up to two before it."""
    codes = np.zeros((VARIABLES, PATIENTS), int)
    for child in range(VARIABLES):
        logit = np.log(rng.uniform(0.05, 0.4)) * np.ones(PATIENTS)
        for parent in rng.choice(child, min(child, int(rng.integers(0, 3))), replace=False) if child else []:
            logit += rng.choice([-1.5, 1.0, 2.0]) * (codes[parent] - codes[parent].mean())
        codes[child] = rng.random(PATIENTS) < 1 / (1 + np.exp(-logit))
    return codes


def seconds(run):
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def main():
    rng = np.random.default_rng(0)
    codes, levels, allowed = simulated(rng), np.full(VARIABLES, 2), ~np.eye(VARIABLES, dtype=bool)
    rows = rng.integers(PATIENTS, size=(RESAMPLES, PATIENTS))

    def ours():
        return edge_strengths(codes[None], levels, allowed, rows)

    first, _ = seconds(lambda: edge_strengths(codes[None, :, :50], levels, allowed, rows[:1, :50] % 50))
    hill_climb(codes[:, :50], levels, allowed)
    own, strengths = seconds(ours)

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    from pgmpy.estimators import BIC, HillClimbSearch

    theirs, better = 0.0, []
    for row in rows[:TIMED]:
        table = codes[:, row]
        frame = pd.DataFrame({f"v{i}": pd.Categorical(values) for i, values in enumerate(table)})
        spent, found = seconds(
            lambda frame=frame: HillClimbSearch(frame).estimate(
                scoring_method=BIC(frame), max_indegree=4, show_progress=False
            )
        )
        theirs += spent
        edges = np.zeros((VARIABLES, VARIABLES), bool)
        for start, end in found.edges():
            edges[int(start[1:]), int(end[1:])] = True
        score = hill_climb(table, levels, allowed)[1]
        better.append(score - bic(table, levels, edges))
    scaled = theirs / TIMED * RESAMPLES
    print(f"this project, {RESAMPLES} resamples: {own:.2f} s ({own / RESAMPLES * 1000:.1f} ms each); loading or")
    print(f"compiling the code: {first:.1f} s; edges with a strength above 0.5: {(strengths > 0.5).sum()}")
    print(f"pgmpy HillClimbSearch, {TIMED} resamples: {theirs:.1f} s; scaled to {RESAMPLES}: {scaled:.0f} s")
    print(f"ratio {scaled / own:.0f}; BIC above pgmpy's, each resample: {', '.join(f'{b:.3f}' for b in better)}")
    if scaled < 200 * own or min(better) < -1e-6:
        raise SystemExit("not 200 times faster with no worse score")


if __name__ == "__main__":
    main()
