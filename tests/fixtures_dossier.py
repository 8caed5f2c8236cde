"""A dossier's content made by hand around a simulated cohort."""

from functools import cache

import numpy as np
import pandas as pd
import yaml
from fixtures_small import RESOURCES, small_cohort

from haemosynth.privacy.release_check import CHECKS, COLUMNS
from haemosynth.report.content import Content, StageFigure
from haemosynth.study.split import split
from haemosynth.validate import STAGES
from haemosynth.validate.scorecard import make_dictionary

ROOT = RESOURCES.parent
TEMPLATE = ROOT / "workflow/report/dossier.html.j2"
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"><rect id="a" width="90" height="30"/></svg>'


@cache
def halves():
    return split(small_cohort(300), 0.6, None, {"recurrent": {"min_carriers": 10}}, np.random.default_rng(1))


def dossier_content(shut=False, name="small", beside=False):
    """`beside`: with synthetic patients beside the real ones, which takes seconds to draw."""
    train, holdout = halves()
    words = make_dictionary()
    scored = words[words["kind"] != "descriptive"]
    rng = np.random.default_rng(2)
    card = pd.concat([
        pd.DataFrame({
            "cohort": name, "generator": generator, "pillar": scored["pillar"], "stage": scored["stage"],
            "modality": "clinical", "metric": scored["name"], "value": 0.1, "ceiling": 0.05, "floor": 0.5,
            "relative": (relative := rng.uniform(0.4, 1.05, len(scored))), "low": relative - 0.1,
            "high": relative + 0.1, "seeds": 1, "status": "ok",
        })
        for generator in ("forest", "default")
    ], ignore_index=True)  # fmt: skip
    silent = card["metric"] == card["metric"][0]
    card.loc[silent, ["relative", "low", "high"]] = np.nan
    card.loc[silent, "status"] = "no_signal"
    composites = pd.DataFrame(
        [
            (name, generator, pillar, "clinical", 0.82, 0.7, 0.9, 1, "parts")
            for generator in ("forest", "default")
            for pillar in ("fidelity", "privacy")
        ],
        columns=["cohort", "generator", "pillar", "modality", "relative", "low", "high", "seeds", "parts"],
    )  # fmt: skip
    stages = card[card["status"] == "ok"].groupby(
        ["cohort", "generator", "pillar", "stage", "modality"], sort=False, as_index=False
    ).agg(relative=("relative", "mean"), low=("low", "mean"), high=("high", "mean"), seeds=("seeds", "max"),
          metrics=("metric", "size"))  # fmt: skip
    baseline = pd.DataFrame({
        "cohort": [name], "pillar": ["fidelity"], "stage": ["marginals"], "modality": ["clinical"], "metric": ["all"],
        "generator": ["default"], "against": ["forest"], "distance": [0.1], "distance_against": [0.2],
        "difference": [0.1], "low": [0.05], "high": [0.15], "verdict": ["win"],
    })  # fmt: skip
    gate = pd.DataFrame(
        [
            (
                check,
                "default",
                "clinical",
                0.7 if shut else c.limit,
                c.limit,
                0.03,
                0.0,
                0.1,
                *[not shut] * 2,
                c.meaning,
            )
            for check, c in CHECKS.items()
        ],
        columns=COLUMNS,
    )
    history = pd.DataFrame({"step": [0, 10, 20], "train": [3.0, 2.0, 1.5], "validation": [3.1, 2.4, 2.3]})
    assessment = pd.DataFrame(
        [(mechanism, method, metric, value, 90, "ok", "")
         for mechanism in ("MCAR", "MAR") for method in ("miwae", "chained_ridge")
         for metric, value in (("nrmse", 0.9), ("wasserstein", 0.2))],
        columns=["mechanism", "method", "metric", "value", "n", "status", "reason"],
    )  # fmt: skip
    return Content(
        cohort=name,
        train=train,
        holdout=holdout,
        figures=[StageFigure("default", STAGES[stage].pillar, stage, SVG) for stage in STAGES],
        captions=dict.fromkeys(STAGES, "What is shown. What good looks like."),
        models={("clinical", "vae"): {"parameters": 9000}, ("genomic", "mutation_model"): {"parameters": 100}},
        histories={("clinical", "vae"): history, ("genomic", "mutation_model"): history.iloc[:0]},
        assessment=assessment,
        metrics=_disclosed(),
        dictionary=words,
        scorecard=card,
        stages=stages,
        composites=composites,
        baseline=baseline,
        gate=gate,
        sizes={"default": _curve()},
        made={"default": train.take(range(150))} if beside else {},
        size_figures={"default": SVG},
    )


def _disclosed():
    """What the stages disclosure and memory found, as far as the sentences of the dossier read it."""
    found = {
        ("disclosure", "disclosure_auc", "all"): 0.59, ("disclosure", "disclosure_table_auc", "all"): 0.62,
        ("disclosure", "disclosure_tpr_1", "all"): 0.03, ("memory", "named_patients", "train"): 0.0,
    }  # fmt: skip
    rows = [(1, "default", *key, value, value - 0.03, value + 0.03, "ok") for key, value in found.items()]
    return pd.DataFrame(
        rows, columns=["seed", "generator", "stage", "metric", "target", "value", "low", "high", "status"]
    )


def _curve():
    """Three numbers of patients, of which the second is released."""
    areas = np.array([0.56, 0.59, 0.66])
    return pd.DataFrame({
        "patients": [90, 180, 360], "attack": "pairs", "table_auc": 0.62, "told": [0.3, 0.6, 1.2],
        "disclosure_auc": areas, "disclosure_auc_error": 0.004, "disclosure_auc_chance": 0.55, "disclosure_tpr_1": 0.03,
        "disclosure_tpr_1_error": 0.004, "disclosure_tpr_1_chance": 0.03, "disclosure_outlying_auc": areas,
        "disclosure_outlying_auc_error": 0.01, "disclosure_outlying_auc_chance": 0.57, "c_index": [0.6, 0.64, 0.66],
        "c_index_real": 0.67, "margin_distance": [0.12, 0.1, 0.09], "margin_distance_real": 0.08,
        "open": [True, True, False], "agreement": True, "internal": True, "chosen": [False, True, False],
    })  # fmt: skip
