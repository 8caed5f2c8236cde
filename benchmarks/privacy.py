"""The stages distance and disclosure beside the privacy metrics of SDMetrics and SynthEval: CPU time, same table.

Simulated myeloma, complete (missing numbers take the median, missing levels are a level of their own), clinical record
and alterations as one table; the release is another draw of patients. Peers that are not there are named and skipped:

    pip install --target PEERS --no-deps sdmetrics syntheval rdt copulas plotly rich lightgbm pcametric seaborn
    PYTHONPATH=PEERS .venv/bin/python benchmarks/privacy.py [patients ...]
"""

from __future__ import annotations

import os
import sys

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import contextlib
import io
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.privacy.stages import disclosure, distance
from haemosynth.validate.stage import Comparison


def timed(call: Callable[[], Any]) -> float:
    """CPU seconds of the second of two calls: nothing is compiled or imported any more."""
    for _ in range(2):
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    return time.process_time() - start


def plain(cohort: Cohort) -> pd.DataFrame:
    """One complete table: numbers, levels as text, alterations as 0 and 1."""
    columns = {}
    for name, column in cohort.schema.columns.items():
        values = cohort.clinical[name]
        if column.numeric:
            columns[name] = values.fillna(values.median()).to_numpy(float)
        else:
            columns[name] = values.astype(object).where(values.notna(), "missing").astype(str).to_numpy()
    for name in cohort.schema.alterations:
        columns[name] = cohort.alterations[name].fillna(0).astype(int).astype(str).to_numpy()
    return pd.DataFrame(columns)


def ours(stage: Any, comparison: Comparison) -> None:
    """All that one run of a stage computes, without resampling."""
    rng = np.random.default_rng(0)
    stage.measure(replace(comparison, prepared=stage.prepare(comparison, stage.DEFAULTS, rng)), stage.DEFAULTS, rng)


def peers(train: pd.DataFrame, holdout: pd.DataFrame, release: pd.DataFrame) -> Iterator[tuple[str, str, Any]]:
    """(the stage it is compared with, name, call), a line for each peer that is not there."""
    try:
        from sdmetrics.single_table import DCROverfittingProtection

        kinds = {name: "numerical" if train[name].dtype == float else "categorical" for name in train}
        metadata = {"tables": {"one": {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}}}
        yield (
            "distance", "SDMetrics DCROverfittingProtection",
            lambda: DCROverfittingProtection.compute(train, release, holdout, metadata, "one"),
        )  # fmt: skip
    except ImportError as error:
        print(f"SDMetrics is skipped: {error}")
    try:
        from syntheval import SynthEval

        levels = [name for name in train if train[name].dtype == object]
        quiet = {"verbose": False, "enable_plots": False, "console": "off"}
        evaluator = SynthEval(train, holdout_dataframe=holdout, cat_cols=levels, **quiet)
        for stage, name in (("distance", "dcr"), ("distance", "nndr"), ("distance", "hit_rate"), ("disclosure", "mia")):
            yield stage, f"SynthEval {name}", lambda name=name: evaluator.evaluate(release, **{name: {}})
    except ImportError as error:
        print(f"SynthEval is skipped: {error}")


def main(sizes: list[int]) -> None:
    """Print a Markdown table of times and ratios."""
    print("| patients | metric | CPU s | times ours |\n|---|---|---|---|")
    for patients in sizes:
        source = {"format": "simulated", "disease": "myeloma", "patients": 2 * patients, "endpoint": ["OS", "PFS"]}
        cohort, _ = simulate_cohort("benchmark", source, ROOT / "resources", stream(1, "benchmark", patients))
        trained = int(0.6 * patients)
        sides = np.split(np.arange(patients + trained), [trained, patients])
        train, holdout, release = (cohort.take(side) for side in sides)
        control = holdout.take(np.arange(len(holdout) // 2))
        comparison = Comparison(real=holdout, candidate=release, train=train, control=control)
        spent = {
            "distance": timed(partial(ours, distance, comparison)),
            "disclosure": timed(partial(ours, disclosure, comparison)),
        }
        for stage, seconds in spent.items():
            print(f"| {patients:,} | this project, {stage} | {seconds:.2f} | 1 |")
        for stage, name, call in peers(plain(train), plain(holdout), plain(release)):
            try:
                seconds = timed(call)
                print(f"| {patients:,} | {name} | {seconds:.2f} | {seconds / spent[stage]:.1f} of {stage} |")
            except Exception as error:  # a peer's failure is a result, not ours
                print(f"| {patients:,} | {name} | failed: {type(error).__name__} {str(error)[:80]} | |")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [700, 2000])
