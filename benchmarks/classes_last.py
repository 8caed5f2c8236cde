"""What drawing classes last does: how well they fit the rest of a patient, what a judge tells, and what attacks tell.

A cohort is split in halves, and a recipe learns one of them (see `benchmarks/generators.py`). One long draw is taken as
it is, and with the classes that were found drawn last, so that both are compared on the same patients. Of each class, a
judge that learned the other half (boosted trees; no code of the generators) gives the log probability of the drawn
level given the rest of the patient, in nats above that of the other half's marginal distribution, and the share of
contradictory patients, to whose level it gives less than 5 %. The training half has the same as a ceiling; `learned` is
what real patients of the other half have whose class is drawn by the same trees (low, since the judge knows them). Then
the statistics of `benchmarks/generators.py` before and after with their paired difference, and the worst attack.

    HAEMOSYNTH_DATA=... .venv/bin/python benchmarks/classes_last.py config/studies/amlsg.yaml --seeds 0 1
    ... config/studies/beataml.yaml --explained 0.3 --gain 0.05   # with a lower bar than the product's
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from generators import Judge, attacked, draw, fit, sides, table  # isort: skip - it sets threads and paths
from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.registry import RECORD, load

CONTRADICTORY = 0.05
SHOWN = (
    "auc_clinical", "auc_genomic", "auc_all", "pairwise", "cross", "km", "hazards", "c_index", "nearer",
)  # fmt: skip


class Reader:
    """Who tells a class from the rest of a patient, having learned the test half."""

    def __init__(self, name: str, train: Cohort, test: Cohort) -> None:
        self.name = name
        own = [key for key, column in train.schema.columns.items() if column.derived is None]
        self.place = own.index(name)
        self.levels = list(train.clinical[name].cat.categories)
        rows, label = self.parts(test)
        self.judge = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.05,
            max_leaf_nodes=8,
            min_samples_leaf=10,
            early_stopping=False,
            random_state=0,
        ).fit(rows, label)
        shares = np.bincount(label, minlength=len(self.levels)) / len(label)
        self.marginal = np.maximum(shares, 0.5 / len(label))

    def parts(self, cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
        """The rest of the patients whose level is known, and their level."""
        values = cohort.clinical[self.name].astype(object)
        known = values.notna().to_numpy()
        codes = pd.Index(self.levels).get_indexer(pd.Index(values[known]))
        return np.delete(table(cohort)["all"], self.place, axis=1)[known], codes

    def of(self, cohort: Cohort) -> dict[str, float]:
        """Log probability of the levels above that of their marginal distribution, and the contradictory share."""
        rows, codes = self.parts(cohort)
        given = np.full((len(rows), len(self.levels)), 1e-3)
        given[:, self.judge.classes_] = np.maximum(self.judge.predict_proba(rows), 1e-3)
        own = given[np.arange(len(codes)), codes]
        score = np.log(own) - np.log(self.marginal[codes])
        return {"score": float(score.mean()), "contradictory": float((own < CONTRADICTORY).mean())}


def main() -> None:
    """Fit, draw, draw classes last, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="study file, or number of simulated patients")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--explained", type=float, help="share of the entropy, in place of the product's")
    parser.add_argument("--gain", type=float, help="share of the entropy by alterations, in place of the product's")
    parser.add_argument("--no-attack", action="store_true")
    chosen = parser.parse_args()
    last = load(RECORD, "classes_last")
    for name in ("explained", "gain"):
        if getattr(chosen, name) is not None:
            setattr(last, name.upper(), getattr(chosen, name))
    for seed in chosen.seeds:
        config, train, test = sides(chosen.study, seed, False)
        print(f"{chosen.study}, {chosen.recipe}, seed {seed}: {len(train)} training, {len(test)} test patients")
        empty = Fitted({}, {"parameters": 0}, pd.DataFrame())
        model = last.fit(empty, train, {}, stream(seed, "fit", "last"))
        for one in model.description.get("drawn_last", []):
            shares = f"{one['explained']:.2f} of the entropy explained, {one['by_record']:.2f} by the record alone"
            print(f"{one['name']}: {shares}; leaves of {one['leaf']}", flush=True)
        names = [one["name"] for one in model.description.get("drawn_last", [])]
        if not names:
            print("no class is drawn last")
            continue
        method = config["generators"][chosen.recipe][RECORD]
        config["methods"][RECORD][method]["classes_last"] = False  # fitted above
        before = draw(fit(config, chosen.recipe, train, {}, seed), train, chosen.blocks * len(train), [], seed)
        after = last.redraw(before, model, [], stream(seed, "redraw"))
        n, judge, readers = len(train), Judge(train, test), [Reader(name, train, test) for name in names]
        blocks = [np.arange(k * n, (k + 1) * n) for k in range(chosen.blocks)]
        for reader in readers:
            learned = last.redraw(test, model, [], stream(seed, "learned"))
            rows = {"training half": pd.Series(reader.of(train)), "learned": pd.Series(reader.of(learned))}
            for label, pool in (("before", before), ("after", after)):
                told = pd.DataFrame([reader.of(pool.take(block)) for block in blocks])
                rows |= {label: told.mean(), f"{label}, error": told.std(ddof=1) / np.sqrt(len(told))}
            print(reader.name, pd.DataFrame(rows).T.round(3).to_string(), sep="\n", flush=True)
        measured = {
            label: pd.DataFrame([judge.of(pool.take(block), k) for k, block in enumerate(blocks)])
            for label, pool in (("before", before), ("after", after))
        }
        change = measured["after"] - measured["before"]
        shown = pd.DataFrame(
            {
                "before": measured["before"].mean(), "after": measured["after"].mean(), "change": change.mean(),
                "error": change.std(ddof=1) / np.sqrt(len(blocks)),
            }
        )  # fmt: skip
        print(shown.loc[list(SHOWN)].round(3).to_string(), flush=True)
        for label, pool in () if chosen.no_attack else (("before", before), ("after", after)):
            for size, (value, error, attack) in attacked(train, test, pool, chosen.blocks).items():
                print(f"{label}, {size}: {value:.3f} (error {error:.3f}), {attack}", flush=True)


if __name__ == "__main__":
    main()
