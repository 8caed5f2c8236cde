"""Classes learned by the stage `dirichlet` beside the published ones of AMLSG, in patients seen and unseen.

The published partition (Papaemmanuil et al., N Engl J Med 2016;374:2209) is a set of rules that its authors derived
from their own Dirichlet process and expert knowledge; it lies with the cohort as `published_classes.tsv`.

    HAEMOSYNTH_DATA=... python benchmarks/published_classes.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.genomic.stages.dirichlet import DEFAULTS, select_known
from haemosynth.modalities.genomic.stages.mutation_classes import fit_classes, name_classes
from haemosynth.stats.partitions import adjusted_rand
from haemosynth.study.settings import expand_paths
from haemosynth.study.split import split

UNCLASSIFIED = ("No_class", "No_drivers", "Ambiguous_classification")


def compared(data: Path, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Adjusted Rand index with the published classes, and the two partitions of held-out patients crossed.

    Args:
        data: folder that holds `aml_amlsg`.
        seed: of the split and the chains.

    Returns:
        one row for training and one for held-out patients: patients, classes, agreement in all, in those that the
        publication classifies, and the largest of 200 permuted partitions; and the crossed table.
    """
    entry = expand_paths(yaml.safe_load((ROOT / "config/studies/amlsg.yaml").read_text())["cohorts"]["amlsg"], "amlsg")
    cohort = ingest("amlsg", entry)
    published = pd.read_csv(data / "aml_amlsg" / "published_classes.tsv", sep="\t", index_col=0).iloc[:, 0]
    sides = split(cohort, 0.6, entry["stratify"], {"recurrent": {"min_carriers": 10}}, stream(seed, "split", "amlsg"))
    settings = {name: DEFAULTS[name] for name in ("chains", "sweeps", "merge", "smallest")}
    classes = fit_classes(select_known(sides[0])[1], stream(seed, "published classes"), **settings)
    names = name_classes(classes, list(sides[0].schema.alterations))
    rows, crossed = [], pd.DataFrame()
    for name, side in zip(("training", "held out"), sides, strict=True):
        kept, events = select_known(side)
        truth = published.reindex(kept.patients)
        assert truth.notna().all()
        assigned = classes.assign(events)
        codes = pd.factorize(truth)[0]
        classified = ~truth.isin(UNCLASSIFIED).to_numpy()
        rng = stream(seed, "permuted", name)
        chance = max(adjusted_rand(codes, rng.permutation(assigned)) for _ in range(200))
        rows.append((name, len(kept), classes.count, adjusted_rand(codes, assigned),
                     adjusted_rand(codes[classified], assigned[classified]), chance))  # fmt: skip
        crossed = pd.crosstab(truth, np.array([*names, "no class"])[assigned], rownames=[None], colnames=[None])
    columns = ["patients", "n", "classes", "agreement", "agreement_in_classified", "largest_by_chance"]
    return pd.DataFrame(rows, columns=columns), crossed


if __name__ == "__main__":
    table, crossed = compared(Path(os.environ["HAEMOSYNTH_DATA"]))
    print(table.to_string(index=False, float_format="{:.3f}".format))
    print()
    print(crossed.T.to_string())
