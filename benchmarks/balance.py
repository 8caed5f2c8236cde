"""Quotas on real classes: what is kept given the class, and the table of gains with all controls.

    HAEMOSYNTH_DATA=... python benchmarks/balance.py [recipe]

AMLSG, four classes of 4 to 10 % of the patients; the recipe (default: forest) is fitted to training patients once.
It prints the tables of docs/augmentation.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "benchmarks")]

from augmentation_claim import made, markdown, read

from haemosynth.core.streams import stream
from haemosynth.generate.balance import fill_quotas, find_enlarged, read_checked, to_draw, weights
from haemosynth.modalities.clinical.reference import reference
from haemosynth.modalities.clinical.stages import balance
from haemosynth.study.split import split
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

QUOTAS = {
    "class": {"CYTO_INV16_T16_16": 0.15, "CYTO_T_8_21": 0.15, "CYTO_T_15_17": 0.15, "CYTO_COMPLEX": 0.2},
}
REPLICATES = 20


def main(recipe: str) -> None:
    """Print the tables."""
    name, cohort, stratify = read(ROOT / "config/studies/amlsg.yaml", 0)
    key = (0, "balance", name, recipe)
    train, real = split(cohort, 0.6, stratify, {"recurrent": {"min_carriers": 10}}, stream(*key, "split"))
    quotas = read_checked(QUOTAS, train)
    classes = find_enlarged(quotas, train)
    draw = made(train, recipe, to_draw(quotas, train, len(train)), *key)
    candidate = fill_quotas(draw, quotas, len(train), len(train))
    labels = np.bincount(quotas.labels(candidate), minlength=len(quotas.cells))
    print(f"{name}: {len(train)} training, {len(real)} held-out patients; {len(draw)} drawn for {len(candidate)}; "
          f"cells {dict(zip(quotas.of[0].categories, labels.tolist(), strict=True))}, weights "
          f"{weights(candidate, quotas, train).round(2).unique().tolist()}\n")  # fmt: skip
    tables = {}
    settings = balance.DEFAULTS | {
        "balance": QUOTAS,
        "repeats": 1,
        "trainings": 6,
        "replicates": REPLICATES,
        "released": None,
    }
    for who, side in (
        (recipe, candidate), ("real", train),
        ("independent", reference("independent", train, len(train), stream(*key, "independent"))),
    ):  # fmt: skip
        comparison = Comparison(real=real, candidate=side, train=train, control=real)

        def streams(*names: object) -> np.random.Generator:
            return stream(*key, "stage", *names)

        comparison = prepare_comparison(balance, comparison, settings, streams)
        tables[who] = evaluate(balance, comparison, settings, streams)[0].set_index(["metric", "target"])

    def cell(who: str, metric: str, target: str, signed: bool = False) -> str:
        row = tables[who].loc[(metric, target)]
        if not np.isfinite(row["value"]):
            return "too few"
        form = "{:+.3f}" if signed else "{:.3f}"
        return f"{form.format(row['value'])} ({form.format(row['low'])} to {form.format(row['high'])})"

    rows = [
        (one.name, one.patients, metric.removeprefix("class_").replace("_", " "),
         *(cell(who, metric, one.name) for who in tables))
        for one in classes for metric in balance.KEPT
    ]  # fmt: skip
    print(markdown(pd.DataFrame(rows, columns=["class", "training patients", "within the class", *tables])), "\n")
    rows = []
    for one in classes:
        for measure in balance.MEASURES:
            row = [one.name, measure.replace("_", " "), cell(recipe, f"{measure}_real", one.name)]
            for arm in balance.ARMS:
                found = tables[recipe].loc[(f"{measure}_gain_{arm}", one.name)]
                word = balance.describe_gain(found["low"], found["high"]) if np.isfinite(found["value"]) else ""
                row.append(f"{cell(recipe, f'{measure}_gain_{arm}', one.name, True)} {word}")
            rows.append(row)
    columns = ["class", "measure", "training patients alone", *balance.ARMS.values()]
    print(markdown(pd.DataFrame(rows, columns=columns)))


if __name__ == "__main__":
    main((sys.argv[1:] or ["forest"])[0])
