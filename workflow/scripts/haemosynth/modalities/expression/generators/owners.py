"""Who has expression, at which library size and in which batch: the same for every expression generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.encode import conditions
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.expression.part import expression_of, has_expression
from haemosynth.modalities.expression.profiles import LEAST_PATIENTS
from haemosynth.stats import quantiles as smooth
from haemosynth.stats.regression import ridge

if TYPE_CHECKING:
    from anndata import AnnData

GRID = 101  # quantiles of what the record leaves of log library size


def learn(train: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the patients who have expression, in its order, and the features of all training patients.

    Raises:
        InputError: too few training patients have expression.
    """
    found = 0 if not has_expression(train) else expression_of(train).n_obs
    if found < LEAST_PATIENTS:
        raise InputError(f"{found} training patients have expression; a model needs {LEAST_PATIENTS} or more")
    return train.patients.get_indexer(expression_of(train).obs_names), conditions.transform(
        conditions.learn(train), train
    )


def description(train: Cohort, seed: int) -> dict[str, Any]:
    """What sampling must know of the training patients, as plain data: features, presence, genes, declarations."""
    known = conditions.learn(train)
    present = train.patients.isin(expression_of(train).obs_names)
    uns = expression_of(train).uns
    return {
        "record": known,
        "presence": conditions.learn_presence(conditions.transform(known, train), present, seed),
        "values": str(uns["values"]),
        "library": float(uns.get("library", 1.0)),
        "batch": str(uns.get("batch", "")),
        "genes": list(expression_of(train).var_names),
        "highly_variable": [bool(v) for v in expression_of(train).var["highly_variable"]],
    }


def learn_library(train: Cohort, features: np.ndarray) -> dict[str, np.ndarray]:
    """Log library size on the record, and the quantiles of what is left; nothing for values that are no counts."""
    if expression_of(train).uns["values"] != "counts":
        return {}
    size = np.log(expression_of(train).obs["library_size"].to_numpy(dtype=np.float64))
    slope = ridge(features, size[:, None])[:, 0]
    rest = size - (features - features.mean(axis=0)) @ slope
    return {
        "library.slope": slope, "library.middle": features.mean(axis=0),
        "library.rest": _quantiles(rest),
    }  # fmt: skip


def _quantiles(rest: np.ndarray) -> np.ndarray:
    """(GRID,) quantiles that give nobody's library size away; those of a normal distribution where patients are few."""
    share = np.linspace(0, 1, GRID)
    if len(rest) < 4 * smooth.LEAST_PIECE:
        return np.asarray(rest.mean() + rest.std() * ndtri(np.clip(share, 0.5 / GRID, 1 - 0.5 / GRID)))
    return smooth.quantiles(np.sort(rest), share)


def draw_owners(known: Mapping[str, Any], given: Cohort, rng: np.random.Generator) -> tuple[pd.Index, np.ndarray]:
    """The patients of `given` who get expression, and their features."""
    features = conditions.transform(known["record"], given)
    chosen = conditions.draw_presence(known["presence"], features, rng)
    return given.patients[chosen], features[chosen]


def draw_obs(
    fitted: Fitted, given: Cohort, patients: pd.Index, features: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Library size (counts) and batch of each patient."""
    obs = pd.DataFrame(index=patients)
    a, known = fitted.arrays, fitted.description
    if known["values"] == "counts":
        rest = np.interp(rng.random(len(patients)), np.linspace(0, 1, GRID), a["library.rest"])
        obs["library_size"] = np.rint(np.exp(rest + (features - a["library.middle"]) @ a["library.slope"]))
    if known["batch"]:
        obs["batch"] = batches(given, known["batch"], patients)
    return obs


def batches(given: Cohort, column: str, patients: pd.Index) -> pd.Categorical:
    """The batch of each patient: the clinical column that names it, unknown as `unknown`."""
    return pd.Categorical(given.clinical[column].reindex(patients).astype(object).fillna("unknown").astype(str))


def like(known: Mapping[str, Any]) -> AnnData:
    """An empty AnnData with the genes and declarations that a model was fitted with."""
    import anndata

    var = pd.DataFrame({"highly_variable": known["highly_variable"]}, index=pd.Index(known["genes"], dtype=object))
    uns = {key: known[key] for key in ("values", "library", "batch")}
    return anndata.AnnData(
        np.zeros((0, len(var)), dtype=np.float32), pd.DataFrame(index=pd.Index([], dtype=str)), var, uns=uns
    )
