"""Do synthetic patients made from some patients of a cohort anticipate what the others show?

A published claim, with the controls that decide it: some patients are drawn, a generator learns from them, three times
as many are drawn from it, and what is then found is compared with what patients who were not drawn show. Beside it are
the same patients drawn with replacement, real and synthetic ones together, and what is learned from everybody.

    HAEMOSYNTH_DATA=... python benchmarks/augmentation_claim.py --study config/studies/amlsg.yaml --patients 400
    python benchmarks/augmentation_claim.py --study config/studies/demo.yaml --simulated 6000 --patients 400

Every draw writes a table of its own under results/augmentation/; a second call goes on after the last one. It prints
the tables for docs/augmentation.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.encode.baseline import baseline_design, follow_up
from haemosynth.generate.constraints import enforce
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.genomic.stages.dirichlet import select_known
from haemosynth.modalities.genomic.stages.mutation_classes import Classes, fit_classes
from haemosynth.modalities.registry import load_algorithm
from haemosynth.stats.combining import naive_coverage, partially_synthetic, widen_variance
from haemosynth.stats.cox import concordance, fit_cox
from haemosynth.stats.partitions import adjusted_rand
from haemosynth.study.settings import expand_paths, read_settings, source
from haemosynth.study.split import split

TIMES = 3  # synthetic patients for each real one, as in the claim (944 and 2,832)
MAIN = 0.05  # share of carriers above which a gene is one of the main genes
LEAST = 5  # carriers that an arm needs for an estimate
RIDGE = 10.0  # of the learned score; the hazard ratios themselves are not shrunk
FDR = 0.05
Z = norm.ppf(0.975)
CLASSES = {"chains": 3, "sweeps": 80, "merge": 0.95, "smallest": 10}
MOST_CLUSTERED = 1200
ARMS = {
    "real": "the drawn patients",
    "bootstrap": "the drawn patients, three times as many with replacement",
    "synthetic": "three times as many synthetic patients",
    "both": "the drawn patients and twice as many synthetic ones",
    "raab": "synthetic, intervals widened (Raab)",
    "reiter": "three synthetic sets of the drawn size (Reiter)",
    "everybody": "all patients (ceiling, learned on those it is tested in)",
}


def read(study: Path, simulated: int) -> tuple[str, Cohort, str | None]:
    """Name, cohort and stratum of the first cohort of a study; `simulated` patients of one that is simulated."""
    config = read_settings(ROOT, [str(study)])
    name = next(iter(config["cohorts"]))
    entry = expand_paths(source(config, name), name)
    if entry["format"] == "simulated":
        entry = {**entry, "patients": simulated}
        return name, simulate_cohort(name, entry, ROOT / "resources", stream(0, "augmentation", name))[0], None
    return name, ingest(name, entry), entry.get("stratify")


def made(train: Cohort, recipe: str, number: int, *streams: Any) -> Cohort:
    """Synthetic patients of a recipe of the default settings that is fitted to these patients."""
    config = read_settings(ROOT, [])
    models = {}
    for modality, method in config["generators"][recipe].items():
        if modality not in ("clinical", "genomic"):
            continue
        chosen = dict(config["methods"][modality][method])
        algorithm, given = load_algorithm(modality, chosen.pop("algorithm")), chosen.pop("given", [])
        settings = generate.settings_of(algorithm, chosen, recipe)
        seen = generate.visible(train, given, modality) if modality == "genomic" else train
        models[modality] = algorithm, algorithm.fit(seen, settings, stream(*streams, "fit", modality), None)
    algorithm, model = models["clinical"]
    clinical = algorithm.sample(model, train.schema, number, stream(*streams, "sample"))
    algorithm, model = models["genomic"]
    record = Cohort(replace(train.schema, alterations={}), clinical)
    drawn = algorithm.sample(model, record, stream(*streams, "alterations"))
    return enforce(Cohort.of(train.schema, clinical, drawn.alterations, drawn.sequenced, drawn.mutations))


def together(first: Cohort, second: Cohort) -> Cohort:
    """The patients of both, without the table of mutations."""
    return first.replace(
        clinical=pd.concat([first.clinical, second.clinical.astype(first.clinical.dtypes)]),
        alterations=pd.concat([first.alterations, second.alterations]),
        sequenced=pd.concat([first.sequenced, second.sequenced]),
        mutations=first.mutations.iloc[:0],
    )


class Questions:
    """The targets, fixed on the patients who were not drawn before anything is learned from the others."""

    def __init__(self, drawn: Cohort, rest: Cohort, genes: list[str], rng: np.random.Generator) -> None:
        self.rest, self.genes, self.rng = rest, genes, rng
        self.endpoint = rest.schema.endpoints[0]
        self.ages = [n for n, c in rest.schema.columns.items() if c.group == "demographic" and c.numeric][:1]
        self.design = baseline_design(drawn, 10)
        self.classes = self.partition(rest)
        self.hazard, self.variance = self.hazards(rest)
        self.z, _ = self.called(rest)

    def partition(self, cohort: Cohort) -> Classes:
        """The genomic groups of a cohort, by the one rule."""
        known, events = select_known(cohort)
        rows = self.rng.permutation(len(known))[:MOST_CLUSTERED]
        return fit_classes(events[rows], self.rng, **CLASSES)

    def matrix(self, cohort: Cohort) -> np.ndarray:
        """(patients, genes and age)"""
        genes = np.nan_to_num(cohort.alterations[self.genes].to_numpy(float))
        ages = [cohort.clinical[name].fillna(cohort.clinical[name].median()).to_numpy(float) / 10 for name in self.ages]
        return np.column_stack([genes, *ages])

    def hazards(self, cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
        """(genes,) log hazard ratios of the main genes, adjusted for one another and age, and their variances."""
        known, time_, event = follow_up(cohort, self.endpoint)
        x = self.matrix(cohort)[known]
        enough = (x[:, : len(self.genes)][event == 1].sum(axis=0) >= LEAST).tolist()
        kept = np.flatnonzero([*enough, *[True] * len(self.ages)])
        model = fit_cox(x[:, kept], time_, event, 1e-3)
        found, variance = np.full(x.shape[1], np.nan), np.full(x.shape[1], np.nan)
        found[kept], variance[kept] = model.log_hazard, model.standard_error**2
        return found[: len(self.genes)], variance[: len(self.genes)]

    def called(self, cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
        """(alterations,) z of each alteration alone, and which are called at the false discovery rate."""
        from scipy.stats import false_discovery_control

        known, time_, event = follow_up(cohort, self.endpoint)
        x = np.nan_to_num(cohort.alterations.to_numpy(float))[known]
        z = np.full(x.shape[1], np.nan)
        for column in np.flatnonzero(x.sum(axis=0) >= LEAST):
            if x[event == 1, column].sum():
                model = fit_cox(x[:, [column]], time_, event, 1e-3)
                z[column] = model.log_hazard[0] / model.standard_error[0]
        p = 2 * norm.sf(np.abs(z))
        some = np.isfinite(p)
        found = np.zeros(len(z), dtype=bool)
        found[some] = false_discovery_control(p[some]) <= FDR
        return z, found

    def answers(self, arm: str, cohort: Cohort, hazard: tuple[np.ndarray, np.ndarray] | None = None) -> list[Any]:
        """Rows (arm, measure, target, value) of what an arm says of the patients who were not drawn."""
        rows: list[Any] = []
        estimate, variance = hazard or self.hazards(cohort)
        for gene, value, own, truth, error in zip(
            self.genes, estimate, variance, self.hazard, self.variance, strict=True
        ):
            difference = value - truth
            covers = abs(difference) <= Z * np.sqrt(own + error)
            rows += [
                (arm, "error", gene, difference),
                (arm, "width", gene, 2 * Z * np.sqrt(own)),
                (arm, "covers", gene, float(covers) if np.isfinite(value) else np.nan),
                (arm, "target_variance", gene, error),
            ]  # fmt: skip
        if hazard is not None:
            return rows
        classes = self.partition(cohort)
        _, events = select_known(self.rest)
        rows.append((arm, "groups", "all", classes.count))
        rows.append((arm, "agreement", "all", adjusted_rand(self.classes.assign(events), classes.assign(events))))
        known, time_, event = follow_up(cohort, self.endpoint)
        score = fit_cox(self.design.matrix(cohort)[known], time_, event, RIDGE).log_hazard
        asked, later, died = follow_up(self.rest, self.endpoint)
        rows.append((arm, "c_index", "all", concordance(self.design.matrix(self.rest)[asked] @ score, later, died)))
        z, called = self.called(cohort)
        right = called & (np.sign(z) == np.sign(self.z)) & (np.abs(self.z) > Z)
        rows += [(arm, "called", "all", called.sum()), (arm, "confirmed", "all", right.sum())]
        return rows


def one_draw(
    cohort: Cohort, stratify: str | None, patients: int, recipe: str, genes: list[str], draw: int
) -> pd.DataFrame:
    """Every arm of one draw."""
    key = (0, "augmentation claim", cohort.schema.cohort, recipe, patients, draw)
    drawn, rest = split(
        cohort, patients / len(cohort), stratify, {"recurrent": {"min_carriers": 10}}, stream(*key, "split")
    )
    genes = [gene for gene in genes if gene in drawn.schema.alterations]
    questions = Questions(drawn, rest, genes, stream(*key, "classes"))
    k = TIMES * len(drawn)
    synthetic = made(drawn, recipe, k, *key)
    rng = stream(*key, "arms")
    arms = {
        "real": drawn,
        "bootstrap": drawn.take(rng.integers(len(drawn), size=k)),
        "synthetic": synthetic,
        "both": together(drawn, synthetic.take(np.arange(k - len(drawn)))),
        "everybody": together(drawn, rest),
    }
    rows = [row for arm, members in arms.items() for row in questions.answers(arm, members)]
    value, variance = questions.hazards(synthetic)
    rows += questions.answers("raab", synthetic, (value, widen_variance(variance, k, len(drawn))))
    sets = [questions.hazards(synthetic.take(np.arange(i * len(drawn), (i + 1) * len(drawn)))) for i in range(TIMES)]
    rows += questions.answers(
        "reiter", synthetic, partially_synthetic(*(np.array(part) for part in zip(*sets, strict=True)))
    )
    rows.append(("rest", "groups", "all", questions.classes.count))
    return pd.DataFrame(rows, columns=["arm", "measure", "target", "value"]).assign(
        draw=draw, drawn=len(drawn), rest=len(rest)
    )


def interval(values: pd.Series) -> str:
    """Mean over draws and the 95 % interval of the mean (normal)."""
    values = values.dropna()
    half = Z * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.3f} ({values.mean() - half:.3f} to {values.mean() + half:.3f})"


def wide(results: pd.DataFrame, measure: str, columns: str) -> pd.DataFrame:
    """A measure, one row for each draw; a value stands once, so that no mean is taken."""
    return results[results["measure"] == measure].pivot_table(index="draw", columns=columns, values="value")


def of_the_truth(error: pd.DataFrame, width: pd.DataFrame, target: pd.DataFrame) -> float:
    """Coverage of the truth itself: the target's own variance is taken off the mean squared error (normal errors)."""
    missed, stated = np.nanmean(error**2 - target), np.nanmean((width / (2 * Z)) ** 2)
    return float(2 * norm.cdf(Z * np.sqrt(stated / missed)) - 1) if missed > 0 else 1.0


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """One row for each arm, every number a mean over draws with its interval."""
    rows = []
    for arm, text in ARMS.items():
        ours = results[results["arm"] == arm]

        def of(measure: str, ours: pd.DataFrame = ours) -> pd.DataFrame:
            return wide(ours, measure, "target")

        error, covers, width = of("error"), of("covers"), of("width")
        row = {
            "arm": text,
            "bias": interval(error.mean(axis=1)),
            "RMSE": interval(np.sqrt((error**2).mean(axis=1))),
            "coverage": interval(covers.mean(axis=1)),
            "of the truth": f"{of_the_truth(error, width, of('target_variance')):.3f}" if arm != "everybody" else "",
            "width": f"{np.nanmean(width):.2f}",
        }
        if len(agreement := of("agreement")):
            row |= {
                "agreement": interval(agreement["all"]),
                "groups": interval(of("groups")["all"]),
                "C-index": interval(of("c_index")["all"]),
                "called": f"{of('called')['all'].mean():.1f}",
                "confirmed": f"{of('confirmed')['all'].mean():.1f}",
            }
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def against_real(results: pd.DataFrame) -> pd.DataFrame:
    """Each arm less the drawn patients alone, draw by draw: positive is better; no gain where the interval holds 0."""
    rows = []
    for measure in ("agreement", "c_index"):
        table = wide(results, measure, "arm")
        for arm in ("bootstrap", "synthetic", "both"):
            gain = (table[arm] - table["real"]).dropna()
            half = Z * gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
            low, high = gain.mean() - half, gain.mean() + half
            verdict = "gain" if low > 0 else "loss" if high < 0 else "no gain"
            rows.append((measure, ARMS[arm], f"{gain.mean():+.3f} ({low:+.3f} to {high:+.3f})", verdict))
    return pd.DataFrame(rows, columns=["measure", "arm", "difference from the drawn patients alone", "verdict"])


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    lines = [" | ".join(map(str, row)) for row in (table.columns, ["---"] * table.shape[1], *table.to_numpy())]
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--study", type=Path, default=ROOT / "config/studies/amlsg.yaml")
    asked.add_argument("--patients", type=int, default=400, help="real patients that are drawn")
    asked.add_argument("--simulated", type=int, default=6000, help="patients of a cohort that is simulated")
    asked.add_argument("--draws", type=int, default=20)
    asked.add_argument("--recipe", default="default")
    asked.add_argument("--minutes", type=float, default=np.inf, help="after which no further draw is begun")
    chosen = asked.parse_args()
    start = time.time()
    name, cohort, stratify = read(chosen.study, chosen.simulated)
    frequency = cohort.alterations.mean()
    genes = [gene for gene in frequency.index if frequency[gene] >= MAIN]
    folder = ROOT / "results/augmentation" / f"{name}-{chosen.recipe}-{chosen.patients}"
    folder.mkdir(parents=True, exist_ok=True)
    for draw in range(chosen.draws):
        path = folder / f"draw-{draw:02d}.tsv"
        if not path.is_file() and time.time() - start < 60 * chosen.minutes:
            table = one_draw(cohort, stratify, chosen.patients, chosen.recipe, genes, draw)
            table.to_csv(path, sep="\t", index=False)
            print(f"draw {draw + 1} of {chosen.draws}: {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    files = sorted(folder.glob("draw-*.tsv"))
    results = pd.concat([pd.read_csv(file, sep="\t") for file in files], ignore_index=True)
    drawn, rest = int(results["drawn"].iloc[0]), int(results["rest"].iloc[0])
    print(f"{name}: {len(files)} draws of {drawn} patients, {rest} not drawn, recipe {chosen.recipe}, "
          f"{len(genes)} genes")  # fmt: skip
    print(f"expected coverage of intervals that take {TIMES * drawn} synthetic patients for real ones, of the truth "
          f"itself: {naive_coverage(TIMES * drawn, drawn):.3f}\n")  # fmt: skip
    print(markdown(summary(results)), "\n")
    print(markdown(against_real(results)))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
