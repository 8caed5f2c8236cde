"""Gaussian copula with few factors, given the record: the open baseline.

Normal scores of each gene (a Gaussian copula; Nelsen, An Introduction to Copulas, 2006) are a ridge regression on the
clinical record and the alterations plus probabilistic principal components of what is left (Tipping & Bishop, J R Stat
Soc B 1999;61:611) plus noise of each gene's own. Drawn scores go back to values by each gene's quantiles, so that a
gene keeps its distribution. Counts are taken at a common library size and go back to whole counts at a drawn one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.expression.generators import owners, scores
from haemosynth.modalities.expression.part import expression_of
from haemosynth.modalities.expression.profiles import make
from haemosynth.stats.regression import choose_number_of_factors, factors, ridge

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "factors": None,  # how many; null: as many as make patients left out most likely
    "most_factors": 32,
}
LEAST_NOISE = 0.05  # of a gene's variance


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit the factor model to training patients who have expression; nothing is iterated, so nothing is checkpointed.

    Raises:
        InputError: fewer than `expression.LEAST_PATIENTS` of them.
    """
    seed = torch_seed(rng)
    who, given = owners.learn(train)
    features = given[who]
    values = scores.rates(expression_of(train), rng)
    score = scores.normal_scores(values)
    slope = ridge(features, score)
    middle = features.mean(axis=0)
    explained = (features - middle) @ slope
    rest = score - explained
    rest -= rest.mean(axis=0)
    # The record explains part of a gene's variance, the rest must make up one.
    left = np.sqrt(np.maximum(1 - explained.var(axis=0), LEAST_NOISE))
    rest /= np.maximum(rest.std(axis=0), 1e-6)
    wanted = settings["factors"]
    number = int(wanted if wanted is not None else choose_number_of_factors(rest, rng, int(settings["most_factors"])))
    loading, _ = factors(rest, number, seed)
    common = (loading**2).sum(axis=1)
    loading *= np.sqrt(np.minimum(1.0, (1 - LEAST_NOISE) / np.maximum(common, 1e-9)))[:, None]
    noise = np.sqrt(1 - (loading**2).sum(axis=1))
    arrays = {
        "slope": slope.astype(np.float32), "middle": middle, "loading": loading * left[:, None].astype(np.float32),
        "noise": (noise * left).astype(np.float32),
        "quantiles": scores.share_quantiles(values, expression_of(train).uns["values"] != "log"),
    }  # fmt: skip
    fitted = int((np.abs(slope) > 0).sum()) + loading.size + 2 * loading.shape[0]
    plain = {"parameters": fitted, "factors": number, **owners.description(train, seed)}
    return Fitted(arrays | owners.learn_library(train, features), plain, pd.DataFrame())


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> AnnData:
    """Draw expression for those patients of `given` who get it, given the record."""
    known = fitted.description
    patients, features = owners.draw_owners(known, given, rng)
    a = fitted.arrays
    score = ((features - a["middle"]) @ a["slope"]).astype(np.float32)
    score += rng.standard_normal((len(features), a["loading"].shape[1]), dtype=np.float32) @ a["loading"].T
    score += rng.standard_normal(score.shape, dtype=np.float32) * a["noise"]
    values = scores.carried(score, ndtri(scores.LEVELS), a["quantiles"])
    obs = owners.draw_obs(fitted, given, patients, features, rng)
    if known["values"] == "counts":
        values = scores.count(values, obs["library_size"].to_numpy(), float(known["library"]))
    return make(values, owners.like(known), patients, obs)
