"""How near a recipe comes to unseen patients, and what it tells of those it learned from: fidelity and attacks at once.

A cohort is split in halves. The recipe learns one of them, and one long draw is cut into disjoint blocks, each as large
as that half. Every block is compared with the other half by statistics that share no code with the generators, and is
attacked by the attacks of the release check. Printed are means over blocks with their standard errors (given one fit
and one test half), the same of the training half itself, and how far margins of the whole draw lie from those of the
training half. `--without` leaves out steps of the fitted clinical generator, `--set` changes a setting.

    HAEMOSYNTH_DATA=... .venv/bin/python benchmarks/generators.py config/studies/beataml.yaml
    ... config/studies/amlsg.yaml --half --blocks 4 --seed 1 --set clinical.refinement=null genomic.event_ridge=16
"""

from __future__ import annotations

import argparse
import os
import sys

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.encode.baseline import baseline_design, follow_up
from haemosynth.encode.records import fit_encoder
from haemosynth.generate.constraints import enforce
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.registry import RECORD, load, load_algorithm
from haemosynth.privacy.redraws import attack_redraws, find_targets, worst
from haemosynth.stats.cox import concordance, curve_distance, fit_cox, kaplan_meier
from haemosynth.stats.neighbours import nearest
from haemosynth.stats.pairs import log_odds_ratios, pair_counts
from haemosynth.study.settings import expand_paths, merge, source
from haemosynth.study.split import split

CARRIERS = 10  # training patients that an alteration or a level needs to be compared
RIDGE = 10.0  # of the Cox models


def sides(name: str, seed: int, half: bool) -> tuple[dict[str, Any], Cohort, Cohort]:
    """Settings, training half and test half of a study file, or of a simulated cohort of so many patients."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    stratify, panel = None, {"recurrent": {"min_carriers": 5}}
    if name.isdigit():
        entry = {"format": "simulated", "disease": "myeloma", "patients": int(name), "endpoint": ["OS", "PFS"]}
        cohort, _ = simulate_cohort("simulated", entry, ROOT / "resources", stream(1, "generators", name))
    else:
        config = merge(config, yaml.safe_load(Path(name).read_text()))
        key = next(iter(config["cohorts"]))
        entry = expand_paths(source(config, key), key)
        cohort, stratify, panel = ingest(key, entry), entry.get("stratify"), entry["panel"]
    if half:
        rows = stream(seed, "generators", "half").permutation(len(cohort))[: len(cohort) // 2]
        cohort = cohort.take(np.sort(rows))
    return config, *split(cohort, 0.5, stratify, panel, stream(seed, "generators", "split"))


def fit(config: dict[str, Any], recipe: str, train: Cohort, changed: dict[str, Any], seed: int) -> dict[str, Any]:
    """Modality -> algorithm and model."""
    models = {}
    for modality in ("clinical", "genomic"):
        method = dict(config["methods"][modality][config["generators"][recipe][modality]])
        last = modality == RECORD and generate.draws_classes_last(method)
        method.pop("classes_last", None)
        algorithm, given = load_algorithm(modality, method.pop("algorithm")), method.pop("given", [])
        settings = generate.settings_of(algorithm, method | changed.get(modality, {}), recipe)
        seen = generate.visible(train, given, modality) if modality == "genomic" else train
        start = time.process_time()
        model = algorithm.fit(seen, settings, stream(seed, "fit", modality), None)
        if last:
            model = load(RECORD, "classes_last").fit(model, train, settings, stream(seed, "fit", "last"))
        models[modality] = algorithm, model
        print(f"fit {modality} {time.process_time() - start:.0f} s of processor time", flush=True)
    return models


def draw(models: dict[str, Any], train: Cohort, n: int, without: list[str], seed: int) -> Cohort:
    """n patients, with those classes drawn last that were found."""
    algorithm, model = models["clinical"]
    arrays = {name: part for name, part in model.arrays.items() if name.split(".")[0] not in without}
    start = time.process_time()
    model = Fitted(arrays, model.description, model.history)
    clinical = algorithm.sample(model, train.schema, n, stream(seed, "sample", "clinical"))
    record = Cohort(replace(train.schema, alterations={}), clinical)
    algorithm, model = models["genomic"]
    made = algorithm.sample(model, record, stream(seed, "sample", "genomic"))
    pool = Cohort.of(train.schema, clinical, made.alterations, made.sequenced, made.mutations)
    pool = enforce(pool)
    if "last" not in without:
        pool = load(RECORD, "classes_last").redraw(pool, models["clinical"][1], (), stream(seed, "sample", "last"))
    print(f"draw of {n:,} {time.process_time() - start:.0f} s of processor time", flush=True)
    return pool


def table(cohort: Cohort) -> dict[str, np.ndarray]:
    """What a judge sees: (patients, columns) of the record, of alterations with allele fractions, and of both."""
    record = []
    for name, column in cohort.schema.columns.items():
        if column.derived is None:
            values = cohort.clinical[name]
            record.append(values.to_numpy(float) if column.numeric else values.cat.codes.to_numpy(float))
    assert cohort.alterations is not None
    assert cohort.mutations is not None
    events = cohort.alterations.to_numpy(float)
    vaf = cohort.mutations.groupby("patient_id")["vaf"].agg(["max", "mean"]).reindex(cohort.patients)
    genomic = np.column_stack([events, np.nansum(events, axis=1), vaf.to_numpy(float)])
    clinical = np.column_stack(record)
    return {"clinical": clinical, "genomic": genomic, "all": np.column_stack([clinical, genomic])}


def two_sample(real: np.ndarray, synthetic: np.ndarray, seed: int) -> float:
    """Area under the ROC curve of boosted trees that tell both apart, over five folds; .5 is best."""
    rows, label = np.vstack([real, synthetic]), np.repeat([1, 0], [len(real), len(synthetic)])
    score = np.empty(len(label))
    for inside, outside in StratifiedKFold(5, shuffle=True, random_state=seed).split(rows, label):
        judge = HistGradientBoostingClassifier(
            max_iter=80, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=10, l2_regularization=1.0,
            early_stopping=False, random_state=seed,
        )  # fmt: skip
        score[outside] = judge.fit(rows[inside], label[inside]).predict_proba(rows[outside])[:, 1]
    return float(roc_auc_score(label, score))


class Judge:
    """What a block is compared with: the test half, and what the training half fixes."""

    def __init__(self, train: Cohort, test: Cohort) -> None:
        self.train, self.test = train, test
        assert train.alterations is not None
        assert test.alterations is not None
        self.common = [g for g in train.alterations if (train.alterations[g] == 1).sum() >= CARRIERS]
        self.design, self.endpoint = baseline_design(train, CARRIERS), train.schema.endpoints[0]
        self.encoder, self.views = fit_encoder(train), table(test)
        self.truth = self.log_odds(test)
        self.known, time_, event = follow_up(test, self.endpoint)
        self.hazards = fit_cox(self.design.matrix(test)[self.known], time_, event, RIDGE)
        self.later, self.died, self.curve = time_, event, kaplan_meier(time_, event)
        self.horizon = float(np.quantile(time_, 0.9))
        self.cross = self.correlations(test)

    def log_odds(self, cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
        """Log odds ratio and standard error of each pair of common alterations."""
        assert cohort.alterations is not None
        found, error = log_odds_ratios(pair_counts(cohort.alterations[self.common].to_numpy(float)))
        pairs = np.triu_indices(len(self.common), 1)
        return found[pairs], error[pairs]

    def correlations(self, cohort: Cohort) -> np.ndarray:
        """Of covariates at baseline with common alterations, where both are known."""
        assert cohort.alterations is not None
        x = self.design.matrix(cohort)[:, [name not in self.common for name in self.design.names]]
        y = cohort.alterations[self.common].fillna(0.0).to_numpy(float)
        x, y = ((v - v.mean(axis=0)) / np.maximum(v.std(axis=0), 1e-9) for v in (x, y))
        return np.asarray(x.T @ y / len(x)).ravel()

    def of(self, block: Cohort, seed: int) -> dict[str, float]:
        """The statistics of one block."""
        views = table(block)
        found = {f"auc_{name}": two_sample(self.views[name], view, seed) for name, view in views.items()}
        odds, _ = self.log_odds(block)
        weight = self.truth[1] ** -2.0
        found["pairwise"] = weighted_correlation(odds, self.truth[0], weight)
        assert block.alterations is not None
        assert self.test.alterations is not None
        burden = [np.nansum(side.alterations.to_numpy(float), axis=1) for side in (block, self.test)]
        grid = np.arange(max(b.max() for b in burden) + 1)
        below = [np.searchsorted(np.sort(b), grid, side="right") / len(b) for b in burden]
        found["burden"] = float(np.abs(below[0] - below[1]).max())
        found["cross"] = float(np.corrcoef(self.correlations(block), self.cross)[0, 1])
        known, time_, event = follow_up(block, self.endpoint)
        found["km"] = curve_distance(kaplan_meier(time_, event), self.curve, self.horizon)
        model = fit_cox(self.design.matrix(block)[known], time_, event, RIDGE)
        weight = self.hazards.standard_error**-2.0
        found["hazards"] = weighted_correlation(model.log_hazard, self.hazards.log_hazard, weight)
        risk = self.design.matrix(self.test)[self.known] @ model.log_hazard
        found["c_index"] = concordance(risk, self.later, self.died)
        own, train, test = (self.encoder.points(side) for side in (block, self.train, self.test))
        n = min(len(train), len(test))
        near = [nearest(own, points[:n])[:, 0] for points in (train, test)]
        found["nearer"] = float((near[0] < near[1]).mean() + (near[0] == near[1]).mean() / 2)
        return found | self.fractions(block)

    def fractions(self, block: Cohort) -> dict[str, float]:
        """Mean Kolmogorov-Smirnov distance of allele fractions over genes with so many fractions in the test half."""
        from scipy.stats import ks_2samp

        assert block.mutations is not None
        assert self.test.mutations is not None
        mine, theirs = block.mutations, self.test.mutations
        gaps = []
        for gene in self.train.schema.genes:
            a, b = (side.loc[side["gene"] == gene, "vaf"].dropna() for side in (mine, theirs))
            if min(len(a), len(b)) >= CARRIERS:
                gaps.append(ks_2samp(a, b).statistic)
        return {"fraction_ks": float(np.mean(gaps)) if gaps else np.nan}


def weighted_correlation(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Pearson's correlation with weights."""
    weight = weight / weight.sum()
    x, y = x - weight @ x, y - weight @ y
    return float(weight @ (x * y) / np.sqrt((weight @ x**2) * (weight @ y**2)))


def margins(train: Cohort, pool: Cohort) -> pd.DataFrame:
    """Of each number: mean and 95 % quantile in the draw over those in the training half, and the missing rates.

    `error` is the relative standard error of the training half's own mean.
    """
    rows = []
    for name, column in train.schema.columns.items():
        if column.derived is not None or column.kind == "event":
            continue
        a, b = train.clinical[name], pool.clinical[name]
        row = {"column": name, "missing_train": a.isna().mean(), "missing": b.isna().mean()}
        if column.numeric and a.std() > 0:
            row["error"] = a.std() / np.sqrt(a.notna().sum()) / abs(a.mean())
            row |= {"mean": b.mean() / a.mean(), "q95": b.quantile(0.95) / a.quantile(0.95), "skew": a.skew()}
        rows.append(row)
    return pd.DataFrame(rows).set_index("column")


def restricted_means(train: Cohort, pool: Cohort) -> dict[str, float]:
    """Endpoint -> restricted mean survival time of the draw over that of the training half, to 90 % of follow-up."""
    found = {}
    for endpoint in train.schema.endpoints:
        parts = [follow_up(side, endpoint)[1:] for side in (train, pool)]
        horizon = float(np.quantile(parts[0][0], 0.9))
        real, drawn = (kaplan_meier(*part).mean_until(horizon) for part in parts)
        found[endpoint] = drawn / real
    return found


def attacked(train: Cohort, test: Cohort, pool: Cohort, blocks: int) -> dict[str, tuple[float, float, str]]:
    """Size -> the worst attack in expectation, its standard error, and its name."""
    targets = find_targets(train, test, 3_000, 1, stream(1, "targets"))
    coded = targets.coder.code(pool)
    found = {}
    for size in (len(train), len(train) // 3):
        most = max(1, min(3 * blocks, len(pool) // size))
        scores = attack_redraws(targets, coded, size, most, min(3, most), 120, stream(1, "attack", size))
        expected = worst(scores.means(targets.member, targets.outlying))
        found[f"attack at {size}"] = (float(expected.value[0]), float(expected.error[0]), expected.attack[0])
    return found


def main() -> None:
    """Fit, draw, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="study file, or number of simulated patients")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", action="store_true", help="of half of the patients")
    parser.add_argument("--without", nargs="*", default=[], help="steps left out, such as critic refresh")
    parser.add_argument("--set", nargs="*", default=[], help="clinical.SETTING=VALUE or genomic.SETTING=VALUE")
    parser.add_argument("--margins", action="store_true", help="margins alone, of each column")
    chosen = parser.parse_args()
    changed: dict[str, Any] = {}
    for word in chosen.set:
        key, value = word.split("=", 1)
        modality, name = key.split(".", 1)
        changed.setdefault(modality, {})[name] = yaml.safe_load(value)
    config, train, test = sides(chosen.study, chosen.seed, chosen.half)
    print(f"{chosen.study}, {chosen.recipe}, seed {chosen.seed}: {len(train)} training, {len(test)} test patients")
    models = fit(config, chosen.recipe, train, changed, chosen.seed)
    pool = draw(models, train, chosen.blocks * len(train), chosen.without, chosen.seed)
    found = margins(train, pool)
    skewed = found["skew"].abs() > 1
    if chosen.margins:
        print(found.round(3).to_string())
    off = {name: abs(found[name] - 1).mean() for name in ("mean", "q95")}
    missing = [found[name].mean() for name in ("missing", "missing_train")]
    print("margins of the draw over those of the training half:")
    print(f"  mean {found['mean'].mean():.3f}, of skewed columns {found.loc[skewed, 'mean'].mean():.3f}", end="; ")
    print(f"absolute error {off['mean']:.3f}, ceiling {(found['error'] * np.sqrt(2 / np.pi)).mean():.3f}")
    print(f"  95 % quantile {found['q95'].mean():.3f}, absolute error {off['q95']:.3f}")
    print(f"  missing rate {missing[0]:.4f} for {missing[1]:.4f}")
    survival = restricted_means(train, pool).items()
    print("  restricted mean survival " + ", ".join(f"{name} {ratio:.3f}" for name, ratio in survival), flush=True)
    if chosen.margins:
        return
    judge = Judge(train, test)
    n = len(train)
    blocks = [judge.of(pool.take(np.arange(k * n, (k + 1) * n)), k) for k in range(chosen.blocks)]
    table_ = pd.DataFrame(blocks)
    ceiling = judge.of(train, 0)
    error = table_.std(ddof=1) / np.sqrt(len(table_))
    print(pd.DataFrame({"mean": table_.mean(), "error": error, "training half": ceiling}).round(3).to_string())
    for name, (value, own, attack) in attacked(train, test, pool, chosen.blocks).items():
        print(f"{name}: {value:.3f} (error {own:.3f}), {attack}")


if __name__ == "__main__":
    main()
