"""What a privacy budget costs: fidelity, utility and membership against epsilon, on simulated myeloma patients.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts .venv/bin/python benchmarks/privacy_budget.py

Each seed simulates its own 700 patients, 420 of whom are learned from. The private recipes are fitted at every epsilon
(delta 1e-5, one patient added or removed), the default recipe and the references once. It writes
docs/privacy-budget.svg and prints the table behind it. The patients are made up, so the noise needs no secret here.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth import validate
from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLACK, BLUE, GREEN, NEUTRAL, PURPLE, VERMILION, new_figure, save_figure
from haemosynth.core.streams import stream
from haemosynth.generate.constraints import enforce
from haemosynth.modalities.clinical.reference import reference
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.registry import load_algorithm
from haemosynth.privacy.accountant import KEY
from haemosynth.study.split import halve, split
from haemosynth.validate.resampling import evaluate, prepare_comparison, read_stage_settings
from haemosynth.validate.stage import Comparison

ROOT = Path(__file__).resolve().parents[1]
EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0, np.inf)
SEEDS = (1, 2)
PATIENTS = 700
RECIPES = {
    "private": ("private_marginals", "private_marginals"),
    "private_autoencoder": ("private_vae", "private_marginals"),
    "default": ("vae", "dirichlet_process"),
}
PRIVATE = {"private": ("private marginals", VERMILION), "private_autoencoder": ("private autoencoder", PURPLE)}
# stage, metric, modality, title, axis label, whether more is better
PANELS = (
    ("marginals", "jensen_shannon", "clinical", "Clinical columns, one by one", "Jensen-Shannon distance", False),
    ("correlations", "association_error", "clinical", "Associations of columns", "association error", False),
    ("co_occurrence", "log_odds_error", "genomic", "Pairs of alterations", "error of log odds ratios", False),
    ("detection", "auc", "clinical", "Told from real patients", "classifier AUC", False),
    ("survival", "c_index_tstr", "clinical", "Prognosis learned on synthetic", "C-index in real patients", True),
    ("disclosure", "disclosure_auc", "joint", "Membership attack", "AUC of the worst attack", False),
)


def sampled(recipe, train, seed, **chosen):
    """Synthetic patients of a recipe, as many as were learned from."""
    clinical, genomic = (
        load_algorithm(modality, name) for modality, name in zip(("clinical", "genomic"), RECIPES[recipe], strict=True)
    )
    names = (recipe, seed, *chosen.values())
    model = clinical.fit(train, {**clinical.DEFAULTS, **chosen}, stream(seed, "fit clinical", *names), None)
    table = clinical.sample(model, train.schema, len(train), stream(seed, "sample clinical", *names))
    model = genomic.fit(train, {**genomic.DEFAULTS, **chosen}, stream(seed, "fit genomic", *names), None)
    given = Cohort(replace(train.schema, alterations={}), table)
    drawn = genomic.sample(model, given, stream(seed, "sample genomic", *names))
    return enforce(Cohort.of(train.schema, table, drawn.alterations, drawn.sequenced, drawn.mutations))


def measured(seed):
    """(candidate, stage, metric) values of one seed."""
    source = {"format": "simulated", "disease": "myeloma", "patients": PATIENTS, "endpoint": ["OS", "PFS"]}
    cohort, _ = simulate_cohort("myeloma", source, ROOT / "resources", stream(seed, "simulate"))
    train, holdout = split(cohort, 0.6, None, list(cohort.schema.genes), stream(seed, "split"))
    fresh, control = halve(holdout, stream(seed, "halves"))
    candidates = {
        "real": train,
        "fresh": fresh,
        "independent": reference("independent", train, len(train), stream(seed, "independent")),
        "default": sampled("default", train, seed),
        **{
            f"{recipe} {epsilon:g}": sampled(recipe, train, seed, epsilon=float(epsilon))
            for recipe in PRIVATE
            for epsilon in EPSILONS
        },
    }
    rows = []
    for stage, metric, modality, *_ in PANELS:
        module = validate.load(stage)
        settings = read_stage_settings(module, {"repeats": 2, "replicates": 0}, stage)
        for name, candidate in candidates.items():
            comparison = Comparison(real=holdout, candidate=candidate, train=train, control=control)

            def streams(*names, stage=stage):
                return stream(seed, stage, *names)

            table, _ = evaluate(module, prepare_comparison(module, comparison, settings, streams), settings, streams)
            row = table[(table.metric == metric) & (table.target == "all") & (table.modality == modality)]
            rows.append((seed, name, stage, metric, float(row["value"].iloc[0])))
    return rows


def draw(table):
    """One panel a metric: mean and range over seeds against epsilon, references as lines."""
    figure, axes = new_figure(10, 6.5, nrows=2, ncols=3)
    at = np.arange(len(EPSILONS))
    for axis, (stage, _, _, title, label, higher) in zip(axes.flat, PANELS, strict=True):
        own = table[table.stage == stage].pivot_table(index="seed", columns="candidate", values="value")
        privacy = stage == "disclosure"
        lines = [
            ("fresh", GREEN, "--", "unseen real patients"),
            ("real", BLACK, "-", "the training patients themselves"),
            ("independent", NEUTRAL, "-.", "every column drawn alone"),
            ("default", BLUE, ":", "default generator, no guarantee"),
        ]
        for name, colour, dashes, text in lines:
            if name != "fresh" or privacy:
                axis.axhline(own[name].mean(), color=colour, linestyle=dashes, label=text)
        for (recipe, (text, colour)), marker in zip(PRIVATE.items(), "os", strict=True):
            private = own[[f"{recipe} {epsilon:g}" for epsilon in EPSILONS]]
            axis.fill_between(at, private.min(), private.max(), color=colour, alpha=0.2, linewidth=0)
            axis.plot(at, private.mean(), color=colour, marker=marker, label=f"{text}: mean, range over seeds")
        axis.set_xticks(at, [f"{e:g}" if np.isfinite(e) else "\u221e" for e in EPSILONS])
        axis.set_xlabel("epsilon of the release")
        axis.set_ylabel(label)
        axis.set_title(f"{title}\n({'higher' if higher else 'lower'} is better)")
    handles, labels = axes.flat[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def main():
    os.environ.setdefault(KEY, "simulated patients need no secret at all")
    rows = []
    for seed in SEEDS:
        rows += measured(seed)
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows, columns=["seed", "candidate", "stage", "metric", "value"])
    wide = table.groupby(["stage", "metric", "candidate"], sort=False)["value"].agg(["mean", "min", "max"])
    print(wide.round(3).to_string())
    save_figure(draw(table), ROOT / "docs/privacy-budget.svg")


if __name__ == "__main__":
    main()
