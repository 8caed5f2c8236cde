"""Generators of expression beside real patients and independent genes: the table of docs/results.md.

usage: python benchmarks/expression.py [path/to/aml_arrays]
"""

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import numpy as np
import pandas as pd
import yaml

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.expression.ingest import ingest_expression
from haemosynth.modalities.expression.part import expression_of, keep_profiles
from haemosynth.modalities.expression.profiles import learn, levels
from haemosynth.modalities.expression.reference import reference
from haemosynth.modalities.expression.simulate import simulate_expression
from haemosynth.modalities.registry import load_algorithm
from haemosynth.study.split import split

METHODS = ("factor", "negative_binomial_vae")


def simulated(seed: int) -> tuple[Cohort, Cohort]:
    """1,000 simulated patients, 1,500 genes."""
    source = {"format": "simulated", "disease": "myeloma", "patients": 1000, "endpoint": ["OS", "PFS"]}
    cohort, truth = simulate_cohort("myeloma", source, ROOT / "resources", stream(seed, "a"))
    expression, _ = simulate_expression(cohort, truth, 1500, ROOT / "resources" / "myeloma", stream(seed, "b"))
    return divided(cohort, expression, {"recurrent": {"min_carriers": 5}}, 300, seed)


def arrays(folder: str, seed: int) -> tuple[Cohort, Cohort]:
    """116 patients, 6,283 clones."""
    study = yaml.safe_load((ROOT / "config/studies/aml_arrays.yaml").read_text())
    source = study["cohorts"]["aml_arrays"] | {"path": folder}
    cohort = ingest("aml_arrays", source)
    expression, _ = ingest_expression("aml_arrays", source, cohort)
    return divided(cohort, expression, source["panel"], 500, seed)


def divided(cohort: Cohort, expression, panel, variable: int, seed: int) -> tuple[Cohort, Cohort]:
    """Train and holdout with their expression."""
    parts = split(cohort, train_fraction=0.6, stratify=None, panel=panel, rng=stream(seed, "s"))
    own = [expression[expression.obs_names.isin(part.patients)].copy() for part in parts]
    train, holdout = learn(*own, genes=None, variable=variable)
    return parts[0].replace(expression=keep_profiles(train)), parts[1].replace(expression=keep_profiles(holdout))


def measured(made, train: Cohort, holdout: Cohort, events: list[str], rng: np.random.Generator) -> dict[str, float]:
    """Expression drawn for the training patients' records, against the holdout."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    marked = expression_of(train).var["highly_variable"].to_numpy()
    seen, unseen, own = (levels(e)[:, marked] for e in (expression_of(train), expression_of(holdout), made))
    found = {
        "mean, in SD": np.abs((own.mean(axis=0) - unseen.mean(axis=0)) / unseen.std(axis=0)).mean(),
        "log SD": np.abs(np.log(own.std(axis=0) / unseen.std(axis=0))).mean(),
    }
    upper = np.triu_indices(int(marked.sum()), 1)
    found["correlations"] = np.corrcoef(np.corrcoef(own.T)[upper], np.corrcoef(unseen.T)[upper])[0, 1]
    for event in events:
        change = []
        for cohort, names, table in ((train, made.obs_names, own), (holdout, expression_of(holdout).obs_names, unseen)):
            carrier = cohort.alterations[event].reindex(names).to_numpy()
            change.append(table[carrier == 1].mean(axis=0) - table[carrier == 0].mean(axis=0))
        found[f"fold changes {event}"] = np.corrcoef(*change)[0, 1]
        found[f"their slope {event}"] = float(change[0] @ change[1] / (change[1] @ change[1]))
    n = min(len(own), len(unseen))
    both = np.vstack([own[rng.choice(len(own), n, False)], unseen[rng.choice(len(unseen), n, False)]])
    both = PCA(min(20, n // 2), random_state=0).fit_transform((both - both.mean(axis=0)) / both.std(axis=0))
    side = np.repeat([1, 0], n)
    trees = ExtraTreesClassifier(200, min_samples_leaf=3, random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    chance = cross_val_predict(trees, both, side, cv=folds, method="predict_proba")[:, 1]
    found["two-sample AUC"] = float(roc_auc_score(side, chance))
    spread = seen.std(axis=0) + 1e-6
    n = min(len(seen), len(unseen))
    near = [
        (((own[:, None] - table[rng.choice(len(table), n, False)][None]) / spread) ** 2).sum(axis=2).min(axis=1)
        for table in (seen, unseen)
    ]
    found["nearer to train"] = float((near[0] < near[1]).mean())
    return found


def main(name: str, cohorts: Callable[[int], tuple[Cohort, Cohort]], events: list[str], seeds: list[int]) -> None:
    """Print the mean over seeds."""
    tables = []
    for seed in seeds:
        train, holdout = cohorts(seed)
        given = train.replace(expression=None)
        candidates = {
            "real": expression_of(train),
            "independent": reference("independent", train, train, stream(seed, "i")),
        }
        for method in METHODS:
            module = load_algorithm("expression", method)
            model = module.fit(train, module.DEFAULTS, stream(seed, method), None)
            candidates[method] = module.sample(model, given, stream(seed, method, "sample"))
        tables.append(
            pd.DataFrame({c: measured(e, train, holdout, events, stream(seed, "m")) for c, e in candidates.items()})
        )
    print(name, f"mean of {len(seeds)} splits", sum(tables[1:], tables[0]) / len(seeds), sep="\n")


if __name__ == "__main__":
    pd.set_option("display.width", 200, "display.precision", 3)
    main("simulated myeloma", simulated, ["t(4;14)", "t(11;14)", "hyperdiploidy"], [1, 2, 3])
    if len(sys.argv) > 1:
        main("AML arrays", lambda seed: arrays(sys.argv[1], seed), ["CYTO_inv16", "CYTO_normal"], [1, 2, 3, 4])
