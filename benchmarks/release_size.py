"""What attackers learn from releases of each size, what is chosen, and whether the choice is stable.

One fit of each recipe on a cohort, one long draw. Printed are the curve of `publish.size`, the attack `values` at the
number of training patients and at four times it, how long the decision took, and, over repetitions with the records of
the draw in another order, which size is chosen and how often further draws confirm the first candidate.

    HAEMOSYNTH_DATA=... .venv/bin/python benchmarks/release_size.py config/studies/amlsg.yaml default forest
    .venv/bin/python benchmarks/release_size.py 330 default          # simulated myeloma with 330 training patients
"""

from __future__ import annotations

import os
import sys

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.generate.constraints import enforce
from haemosynth.generate.pool import pool_size
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.registry import load_algorithm
from haemosynth.privacy.redraws import attack_redraws, find_targets
from haemosynth.privacy.release_size import advice, choose_size, find_chosen_size
from haemosynth.study.settings import expand_paths, merge, source
from haemosynth.study.split import split

RELEASE = {"tier": "open", "most": 4}
REPETITIONS = 12


def sides(name: str) -> tuple[dict[str, Any], Cohort, Cohort]:
    """Settings, training patients and holdout of a study file, or of a simulated cohort of this size."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    if name.isdigit():
        entry = {
            "format": "simulated",
            "disease": "myeloma",
            "patients": round(int(name) / 0.6),
            "endpoint": ["OS", "PFS"],
        }
        cohort, _ = simulate_cohort("simulated", entry, ROOT / "resources", stream(1, "release size", name))
        stratify, panel = None, {"recurrent": {"min_carriers": 5}}
    else:
        config = merge(config, yaml.safe_load(Path(name).read_text()))
        key = next(iter(config["cohorts"]))
        entry = expand_paths(source(config, key), key)
        cohort, stratify, panel = ingest(key, entry), entry.get("stratify"), entry["panel"]
    return config, *split(
        cohort, config["split"]["train_fraction"], stratify, panel, stream(1, "release size", "split")
    )


def draw(config: dict[str, Any], recipe: str, train: Cohort) -> Cohort:
    """A long draw of a recipe fitted to the training patients; says how long fit and draw took."""
    models = {}
    start = time.process_time()
    for modality in ("clinical", "genomic"):
        chosen = dict(config["methods"][modality][config["generators"][recipe][modality]])
        algorithm, given = load_algorithm(modality, chosen.pop("algorithm")), chosen.pop("given", [])
        settings = generate.settings_of(algorithm, chosen, recipe)
        seen = generate.visible(train, given, modality) if modality == "genomic" else train
        models[modality] = algorithm, algorithm.fit(seen, settings, stream(1, "fit", recipe, modality), None)
    fitted = time.process_time()
    number = pool_size(len(train), "auto", RELEASE["most"], published=True)
    algorithm, model = models["clinical"]
    clinical = algorithm.sample(model, train.schema, number, stream(1, "sample", recipe))
    algorithm, model = models["genomic"]
    made = algorithm.sample(
        model, Cohort(replace(train.schema, alterations={}), clinical), stream(1, "genomic", recipe)
    )
    pool = enforce(Cohort.of(train.schema, clinical, made.alterations, made.sequenced, made.mutations))
    print(f"fit {fitted - start:.0f} s, draw of {number:,} {time.process_time() - fitted:.0f} s of processor time")
    return pool


def main(name: str, recipes: list[str]) -> None:
    """Print curves and repetitions."""
    config, train, unseen = sides(name)
    for recipe in recipes:
        print(f"\n{name}, {recipe}: {len(train)} training patients, {len(unseen)} unseen")
        pool = draw(config, recipe, train)
        start = time.process_time()
        curve = choose_size(train, unseen, pool, "auto", RELEASE, {}, stream(1, "choose"))
        print(f"decision {time.process_time() - start:.0f} s of processor time; {advice(curve, 'open')}")
        shown = ["patients", "attack", "disclosure_auc", "disclosure_tpr_1", "disclosure_outlying_auc", "table_auc",
                 "told", "c_index", "margin_distance", "open", "agreement", "chosen"]  # fmt: skip
        print(pd.DataFrame(curve[shown]).round(3).to_string(index=False))
        print("training patients:", curve[["c_index_real", "margin_distance_real"]].iloc[0].round(3).to_dict())
        targets = find_targets(train, unseen, 3_000, 1, stream(1, "targets"))
        coded = targets.coder.code(pool)
        for times in (1, 4):
            scores = attack_redraws(targets, coded, times * len(train), 16, 0, 0, stream(1, "values"))
            found = scores.means(targets.member, targets.outlying)["values_2"].mean(axis=0)
            print(f"values, {times} times the training patients: AUC {found[0]:.3f}, TPR at 1 % {found[1]:.3f}")
        chosen: Counter[int] = Counter()
        confirmed = 0
        for number in range(REPETITIONS):
            rng = stream(1, "repetition", number)
            again = choose_size(train, unseen, pool.take(rng.permutation(len(pool))), "auto", RELEASE, {}, rng)
            chosen[find_chosen_size(again)] += 1
            confirmed += bool((again["confirmed"] != "no").all())
        print(f"repetitions: {dict(sorted(chosen.items()))}; first candidate confirmed in {confirmed} of {REPETITIONS}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or ["default"])
