"""Times of Kaplan-Meier, log-rank, concordance and Cox regression beside lifelines and R survival, in one run.

    python benchmarks/survival.py

Simulated patients with 60 covariates, continuous times, about half of them censored. Each call is made once to warm up
and then timed; the fastest of the repeats counts. R survival takes part where `Rscript` and the package are installed.
It prints a table for docs/performance.md; ratios above 1 are how many times faster we are.
"""

import shutil
import subprocess
import sys
import tempfile
import time as clock
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

COVARIATES = 60
SIZES = {1_500: 5, 100_000: 2}  # patients: repeats

R = """
suppressMessages(library(survival))
a <- commandArgs(TRUE); d <- read.csv(a[1]); n <- as.integer(a[2])
y <- Surv(d$time, d$event); x <- as.matrix(d[, grep("^x", names(d))]); g <- d$group
cpu <- function(f, times) system.time(for (i in seq_len(times)) f())[["user.self"]] / times
best <- function(f) { # R's clock counts milliseconds: a fast call is made often enough to take a fifth of a second
    f(); times <- ceiling(0.2 / max(cpu(f, 1), 0.001)); min(sapply(seq_len(n), function(i) cpu(f, times)))
}
cat(best(function() survfit(y ~ 1)), best(function() survdiff(y ~ g)), best(function() concordance(y ~ d$risk)),
    best(function() coxph(y ~ x, ties = "efron")))
"""


def simulated(patients):
    rng = np.random.default_rng(0)
    covariates = rng.normal(size=(patients, COVARIATES))
    covariates[:, ::3] = covariates[:, ::3] > 1
    effects = rng.normal(scale=0.15, size=COVARIATES)
    death = rng.exponential(30 * np.exp(-covariates @ effects))
    censored = rng.exponential(30, size=patients)
    return covariates, np.minimum(death, censored), (death <= censored).astype(float), covariates @ effects


def seconds(call, repeats):
    call()
    found = []
    for _ in range(repeats):
        start = clock.process_time()
        call()
        found.append(clock.process_time() - start)
    return min(found)


def with_r(frame, repeats):
    """Seconds of R, or None where it is not installed."""
    if not shutil.which("Rscript"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        table, script = Path(folder) / "patients.csv", Path(folder) / "survival.R"
        frame.to_csv(table, index=False)
        script.write_text(R)
        done = subprocess.run(["Rscript", script, table, str(repeats)], capture_output=True, text=True)
    return [float(text) for text in done.stdout.split()] if done.returncode == 0 else None


def main():
    sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
    import lifelines
    from lifelines.statistics import logrank_test
    from lifelines.utils import concordance_index

    from haemosynth.stats.cox import concordance, fit_cox, kaplan_meier, log_rank

    warnings.filterwarnings("ignore")
    names = ["Kaplan-Meier with band", "log-rank", "C-index", "Cox regression"]
    print(
        "| patients | | this project, CPU s | lifelines | times as fast | R survival | times as fast |\n"
        "|---|---|---|---|---|---|---|"
    )
    r_present = False
    for patients, repeats in SIZES.items():
        x, time, event, risk = simulated(patients)
        group = x[:, 0]
        frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(COVARIATES)]).assign(time=time, event=event)
        one = group == 1
        ours = [
            lambda t=time, e=event: kaplan_meier(t, e).band(),
            lambda t=time, e=event, g=group: log_rank(t, e, g),
            lambda t=time, e=event, r=risk: concordance(r, t, e),
            lambda t=time, e=event, x=x: fit_cox(x, t, e),
        ]
        theirs = [
            lambda t=time, e=event: lifelines.KaplanMeierFitter().fit(t, e),
            lambda t=time, e=event, o=one: logrank_test(t[o], t[~o], e[o], e[~o]),
            lambda t=time, e=event, r=risk: concordance_index(t, -r, e),
            lambda f=frame: lifelines.CoxPHFitter().fit(f, "time", "event"),
        ]
        lines = [(seconds(a, repeats), seconds(b, repeats)) for a, b in zip(ours, theirs, strict=True)]
        fitted = lifelines.CoxPHFitter().fit(frame, "time", "event").params_.to_numpy()
        assert np.abs(fit_cox(x, time, event).log_hazard - fitted).max() < 1e-4, "the two disagree"
        in_r = with_r(frame.assign(risk=risk, group=group), repeats)
        r_present = r_present or in_r is not None
        for i, (name, (a, b)) in enumerate(zip(names, lines, strict=True)):
            beside = f"{in_r[i]:.4g} | {in_r[i] / a:.1f}" if in_r else "absent |"
            print(f"| {patients:,} | {name} | {a:.4g} | {b:.4g} | {b / a:.1f} | {beside} |", flush=True)
    if not r_present:
        print("\nR survival took no part: Rscript or the package `survival` is not installed on this machine.")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
