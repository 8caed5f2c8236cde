"""How often does the gate stop unseen patients, and how often a planted leak? The tables of docs/privacy.md.

Every replicate draws a cohort from a large simulated one and splits it. Held against the gate's default limits are:
half of the holdout as release, the other half as control (`unseen`); further patients of the same kind, as many as
training patients (`harmless`), the first of a pool of eight times as many; these with a share of copies of training
patients, exact or blurred as in `audit`.

    .venv/bin/python benchmarks/privacy_gate.py [replicates] [patients ...]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.privacy.planted_leaks import plant
from haemosynth.privacy.stages import audit, disclosure
from haemosynth.validate.stage import Comparison

LEAKS = {
    "copies, 5 %": (0.05, 0.0), "blurred copies, 5 %": (0.05, 0.03),
    "copies, 2 %": (0.02, 0.0), "blurred copies, 2 %": (0.02, 0.03),
}  # fmt: skip


def offers(cohort: Cohort, patients: int, rng: np.random.Generator) -> dict[str, Comparison]:
    """What is held against the gate in one replicate."""
    order = rng.permutation(len(cohort))
    trained = round(0.6 * patients)
    train, real, pool = (
        cohort.take(order[start:stop])
        for start, stop in ((0, trained), (trained, patients), (patients, patients + 8 * trained))
    )
    half, other = len(real) // 2, pool.take(np.arange(trained))
    sides = Comparison(
        real=real, candidate=other, train=train, control=real.take(np.arange(half, len(real))), pool=pool
    )
    made = {name: plant(other, train, share, noise, rng) for name, (share, noise) in LEAKS.items()}
    unseen = replace(sides, candidate=real.take(np.arange(half)), pool=None)
    return {"unseen": unseen} | {
        name: replace(sides, candidate=one) for name, one in ({"harmless": other} | made).items()
    }


def main(replicates: int, sizes: list[int]) -> None:
    """Print both tables as Markdown."""
    source = {"format": "simulated", "disease": "myeloma", "patients": 8000, "endpoint": ["OS", "PFS"]}
    cohort, _ = simulate_cohort("large", source, ROOT / "resources", stream(1, "privacy gate"))
    found, areas = [], []
    for patients in sizes:
        for number in range(replicates):
            rng = stream(1, "privacy gate", patients, number)
            for release, offered in offers(cohort, patients, rng).items():
                table = audit.judge_candidate(offered, audit.DEFAULTS, rng)
                found.append(table.assign(patients=patients, release=release, number=number))
                if release == "harmless":
                    seen = disclosure.prepare(offered, disclosure.DEFAULTS | {"exchanges": 1}, rng)
                    scored = disclosure.measure(replace(offered, prepared=seen), disclosure.DEFAULTS, rng)
                    areas += [
                        {"patients": patients, "attack": value.target, "area": value.value}
                        for value in scored
                        if value.metric == "disclosure_auc" and value.modality == "joint"
                    ]
    checks = pd.concat(found, ignore_index=True)
    checks["stopped"] = ~checks["passed"].astype(bool)
    any_check = checks.groupby(["patients", "release", "number"])["stopped"].any()
    by_check = checks.pivot_table("stopped", ["patients", "release"], "check", sort=False)
    by_check.insert(0, "any check", any_check.groupby(["patients", "release"]).mean())
    print(f"Share of {replicates} replicates that are stopped\n")
    print(_markdown(by_check.reset_index(), 2))
    spread = pd.DataFrame(areas).groupby(["patients", "attack"], sort=False)["area"].agg(["mean", "std"]).reset_index()
    m, n = np.round(0.6 * spread["patients"]), spread["patients"] - np.round(0.6 * spread["patients"])
    spread["std of any score"] = np.sqrt((m + n + 1) / (12 * m * n))
    print("\nArea under the curve of each attack on the whole record of harmless releases\n")
    print(_markdown(spread, 3))


def _markdown(table: pd.DataFrame, digits: int) -> str:
    rows = [
        [f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell) for cell in row] for row in table.to_numpy()
    ]
    head = [str(name) for name in table.columns]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]]
    main(arguments[0] if arguments else 60, arguments[1:] or [300, 700])
