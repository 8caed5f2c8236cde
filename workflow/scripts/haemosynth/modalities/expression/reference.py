"""The references of gene expression: real, independent and uniform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.expression.generators import scores
from haemosynth.modalities.expression.generators.owners import batches
from haemosynth.modalities.expression.part import find_expression
from haemosynth.modalities.expression.profiles import make
from haemosynth.modalities.quantitative import choose_owners

if TYPE_CHECKING:
    from anndata import AnnData


def reference(kind: str, train: Cohort, given: Cohort, rng: np.random.Generator) -> AnnData:
    """A reference's expression.

    real         the training patients' as it is
    independent  every gene drawn alone from training patients (counts: at the library size that was drawn), for as many
                 of the reference's patients as have expression in train, whoever they are
    uniform      every gene uniform over its 1-99 % range, for every second patient

    given: the reference's clinical record, as `generate.reference` drew it.

    Raises:
        InputError: an unknown kind.
    """
    real = find_expression(train)
    assert real is not None
    if kind == "real":
        return real
    patients = choose_owners(kind, real, train, given, rng)
    n, rate = len(patients), scores.rates(real, rng)
    if kind == "independent":
        values = np.take_along_axis(rate, rng.integers(real.n_obs, size=(n, real.n_vars)), axis=0)
    else:
        low, high = np.quantile(rate, [0.01, 0.99], axis=0)
        values = low + (high - low) * rng.random((n, real.n_vars), dtype=np.float32)
    obs = pd.DataFrame(index=patients)
    if real.uns["values"] == "counts":
        size = real.obs["library_size"].to_numpy()
        obs["library_size"] = size[rng.integers(real.n_obs, size=n)]
        values = scores.count(values, obs["library_size"].to_numpy(), float(real.uns["library"]))
    if real.uns["batch"]:
        obs["batch"] = batches(given, str(real.uns["batch"]), patients)
    return make(values, real, patients, obs)
