"""Bradley-Terry: our Newton steps beside regressions that fit the same model, on counts like those of AMLSG.

    python benchmarks/bradley_terry.py

42 genes and about 1,700 precedences, planted abilities, half a precedence added each way to every pair that was
compared, so that every peer has a finite optimum. Peers: statsmodels' binomial GLM without intercept, scikit-learn's
logistic regression, and BradleyTerry2 if Rscript is there. CPU seconds of the fit alone, the best of several runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))
from haemosynth.stats.bradley_terry import fit_bradley_terry

GENES, PRECEDENCES = 42, 1700
R_SCRIPT = """
wins <- read.csv("{folder}/wins.csv"); genes <- sort(unique(c(wins$first, wins$second)))
library(BradleyTerry2)
first <- factor(wins$first, levels = genes); second <- factor(wins$second, levels = genes)
fit <- function() BTm(cbind(wins$there, wins$back), first, second)
seconds <- min(sapply(1:5, function(i) sum(system.time(fit())[1:2])))
write.csv(data.frame(ability = BTabilities(fit())[, "ability"], seconds = seconds), "{folder}/fit.csv")
"""


def counts(rng: np.random.Generator) -> np.ndarray:
    ability = rng.normal(0, 1.3, GENES)
    chosen = rng.choice(GENES, (PRECEDENCES, 2), p=rng.permutation(np.arange(1, GENES + 1)) / (GENES * (GENES + 1) / 2))
    wins = np.zeros((GENES, GENES))
    for i, j in chosen[chosen[:, 0] != chosen[:, 1]]:
        first, second = (i, j) if rng.random() < expit(ability[i] - ability[j]) else (j, i)
        wins[first, second] += 1
    return wins + 0.5 * ((wins + wins.T) > 0)


def best(function, runs):
    times = []
    for _ in range(runs):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return np.asarray(result), min(times)


def main() -> None:
    wins = counts(np.random.default_rng(1))
    i, j = np.nonzero(np.triu(wins + wins.T, 1))
    design = np.zeros((len(i), GENES))
    design[np.arange(len(i)), i], design[np.arange(len(i)), j] = 1, -1
    there, back = wins[i, j], wins[j, i]
    ours, reference = best(lambda: fit_bradley_terry(wins, 1e-8).ability, 20)
    print(f"{GENES} genes, {wins.sum() - len(i):.0f} precedences in {len(i)} pairs, half of one added each way")
    print(f"{'this project':34s} {1e3 * reference:8.1f} ms      1.0   with standard errors")

    def report(name, found, seconds, remark):
        gap = np.abs((found - found.mean()) - (ours - ours.mean())).max()
        print(f"{name:34s} {1e3 * seconds:8.1f} ms {seconds / reference:8.1f}   {remark}; largest difference {gap:.1e}")

    try:
        from statsmodels.api import GLM, families
    except ImportError:
        print("statsmodels GLM: not installed")
    else:
        outcome = np.column_stack([there, back])
        fit = best(lambda: np.append(0, GLM(outcome, design[:, 1:], family=families.Binomial()).fit().params), 5)
        report("statsmodels GLM", *fit, "with standard errors")
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        print("scikit-learn LogisticRegression: not installed")
    else:
        rows, outcome = np.vstack([design, design]), np.repeat([1, 0], len(i))
        weight = np.concatenate([there, back])

        def logistic():
            model = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-8, max_iter=10_000, solver="newton-cholesky")
            return model.fit(rows, outcome, weight).coef_[0]

        report("scikit-learn LogisticRegression", *best(logistic, 5), "no standard errors")
    in_r(i, j, there, back, report)


def in_r(i, j, there, back, report) -> None:
    if shutil.which("Rscript") is None:
        print("R BradleyTerry2: not run, Rscript is not on this machine")
        return
    with tempfile.TemporaryDirectory() as folder:
        names = np.array([f"G{k:03d}" for k in range(GENES)])
        lines = [f"{names[a]},{names[b]},{x},{y}" for a, b, x, y in zip(i, j, there, back, strict=True)]
        Path(folder, "wins.csv").write_text("\n".join(["first,second,there,back", *lines]) + "\n")
        Path(folder, "fit.R").write_text(R_SCRIPT.format(folder=folder))
        done = subprocess.run(["Rscript", f"{folder}/fit.R"], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"R BradleyTerry2: not run, {(done.stderr.strip().splitlines() or ['Rscript failed'])[-1]}")
            return
        table = np.genfromtxt(f"{folder}/fit.csv", delimiter=",", skip_header=1, usecols=(1, 2))
    report("R BradleyTerry2", table[:, 0], table[0, 1], "with standard errors")


if __name__ == "__main__":
    main()
