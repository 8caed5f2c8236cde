"""Aalen-Johansen against lifelines and R, and log hazard ratios against Cox regression."""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from haemosynth.core.streams import stream
from haemosynth.stats.multistate import aalen_johansen, estimate_leaving, join, one_step_effects


def test_two_states_are_one_minus_kaplan_meier():
    lifelines = pytest.importorskip("lifelines")
    rng = stream(1, "two states")
    time, event = np.round(rng.exponential(10, 200), 1) + 0.1, rng.random(200) < 0.7
    grid = np.linspace(0, 30, 40)
    target = np.where(event, 1, -1)
    found = aalen_johansen(np.zeros(200, int), target, np.zeros(200), time, 2, np.array([1.0, 0.0]), grid)
    known = lifelines.KaplanMeierFitter().fit(time, event).survival_function_at_times(grid)
    np.testing.assert_allclose(found[:, 0], known, atol=1e-12)


def test_competing_risks_are_those_of_lifelines():
    lifelines = pytest.importorskip("lifelines")
    rng = stream(2, "risks")
    time, cause = rng.exponential(10, 300), rng.integers(0, 3, 300)
    grid = np.linspace(0, 30, 40)
    for which in (1, 2):
        fitted = lifelines.AalenJohansenFitter(calculate_variance=False).fit(time, cause, which)
        steps = fitted.cumulative_density_.iloc[:, 0]
        known = steps.to_numpy()[np.searchsorted(steps.index.to_numpy(), grid, side="right") - 1]
        np.testing.assert_allclose(estimate_leaving(time, cause - 1, 2, grid)[which - 1], known, atol=1e-10)


def courses(n, rng):
    """Rows of a three-state course, start and stop: 0 to 1 to 2, 0 to 2, ties, late entry to state 1."""
    rows = []
    for i in range(n):
        end = float(rng.integers(3, 30))
        first, second = np.ceil(rng.exponential(9)), np.ceil(rng.exponential(15))
        if min(first, second) > end:
            rows.append((i, 0, -1, 0.0, end))
        elif second <= first:
            rows.append((i, 0, 2, 0.0, second))
        else:
            rows.append((i, 0, 1, 0.0, first))
            last = first + np.ceil(rng.exponential(6))
            if last <= end:
                rows.append((i, 1, 2, first, last))
            elif end > first:
                rows.append((i, 1, -1, first, end))
    return pd.DataFrame(rows, columns=["id", "origin", "target", "start", "stop"])


def test_occupation_equals_survfit_of_r(tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed: apt-get install r-base-core r-cran-survival")
    table = courses(200, stream(3, "survfit"))
    names = {-1: "censor", 1: "ill", 2: "dead"}
    table.assign(event=table["target"].map(names)).to_csv(tmp_path / "d.csv", index=False)
    script = """
    suppressMessages(library(survival)); d <- read.csv("d.csv")
    d$event <- factor(d$event, c("censor", "ill", "dead")); d$from <- c("(s0)", "ill")[d$origin + 1]
    f <- survfit(Surv(start, stop, event) ~ 1, data = d, id = id, istate = d$from)
    s <- summary(f, times = 0:25, extend = TRUE); options(digits = 17)
    p <- s$pstate; colnames(p) <- s$states; write.csv(p, "p.csv", row.names = FALSE)
    """
    done = subprocess.run(["Rscript", "-e", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"R's survival is missing: {done.stderr.strip()[-200:]}")
    known = pd.read_csv(tmp_path / "p.csv")
    order = [next(c for c in known if "s0" in c), "ill", "dead"]
    stays = [table[name].to_numpy() for name in ("origin", "target", "start", "stop")]
    found = aalen_johansen(*stays, 3, np.array([1.0, 0, 0]), np.arange(26.0))
    np.testing.assert_allclose(found, known[order].to_numpy(), atol=1e-8)


def test_a_stay_of_no_length_is_passed_through():
    origin, target, _start, stop = join(
        np.array([0, 1, 2]), np.array([1, 2, -1]), np.array([0.0, 3, 3]), np.array([3.0, 3, 9])
    )
    assert origin.tolist() == [0, 2]
    assert target.tolist() == [2, -1]
    assert stop.tolist() == [3, 9]


def test_small_effects_are_those_of_cox():
    lifelines = pytest.importorskip("lifelines")
    rng = stream(4, "cox")
    x = rng.standard_normal((800, 2))
    time = rng.exponential(np.exp(-x @ np.array([0.1, -0.1])))
    event = rng.random(800) < 0.8
    effect, information = one_step_effects(time, event, x)
    for j in range(2):
        table = pd.DataFrame({"t": time, "e": event, "x": x[:, j]})
        fitted = lifelines.CoxPHFitter().fit(table, "t", "e")
        assert effect[j] == pytest.approx(float(fitted.params_.iloc[0]), abs=0.02)
        assert information[j] ** -0.5 == pytest.approx(float(fitted.standard_errors_.iloc[0]), rel=0.1)
