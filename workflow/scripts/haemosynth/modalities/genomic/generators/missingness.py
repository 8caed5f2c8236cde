"""Who was sequenced, and which alterations are unknown: learned and reproduced given the clinical record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.streams import one_of_each
from haemosynth.modalities.genomic.generators.mixture import Mixture, choose_gate_ridge, fit_mixture

GATE_RIDGES = (10.0, 30.0, 100.0, 300.0, 1000.0)
MAX_CLASSES = 40


def fit_missingness(
    train: Cohort, design: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Learn the pattern of unknown alterations: a Dirichlet-process mixture of the missing-indicators.

    A gene's indicator is itself unknown where the patient was not sequenced. Indicators that never vary are kept as
    they are.

    Args:
        train: training patients with alterations.
        design: (patients, features) clinical record.
        rng: random stream.

    Returns:
        Arrays, and plain data: `varying`, the indicators that are modelled ("" is that of sequencing), and `always`,
        those that are never known.
    """
    table = _indicators(train)
    names = [str(name) for name in table]
    varying = [name for name in names if 0.0 < table[name].mean() < 1.0]
    always = [name for name in names if table[name].mean() == 1.0]
    plain = {"varying": varying, "always": always}
    if not varying:
        return {}, plain
    values = table[varying].to_numpy()
    ridge = choose_gate_ridge(values, design, rng, GATE_RIDGES, MAX_CLASSES)
    mixture, _ = fit_mixture(
        values, design, rng, sweeps=200, burn_in=100, draws=10, max_classes=MAX_CLASSES, gate_ridge=ridge
    )
    return mixture.arrays("missing"), plain


def _indicators(train: Cohort) -> pd.DataFrame:
    assert train.alterations is not None
    assert train.sequenced is not None
    table = train.alterations.isna().astype(float)
    genes = train.schema.genes
    table.loc[~train.sequenced.to_numpy(), genes] = np.nan
    table.insert(0, "", (~train.sequenced).astype(float))
    return table


def sample_missingness(
    arrays: Mapping[str, np.ndarray],
    plain: Mapping[str, list[str]],
    alterations: Mapping[str, str],
    design: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Sample (patients,) sequenced and (patients, alterations) unknown, both bool.

    Args:
        arrays: arrays of `fit_missingness`.
        plain: plain data of `fit_missingness`.
        alterations: name and kind of each alteration, in the order of the matrix.
        design: (patients, features) clinical record.
        rng: random stream.
    """
    n = len(design)
    names = list(alterations)
    unknown = np.zeros((n, len(names)), dtype=bool)
    sequenced = np.ones(n, dtype=bool)
    if plain["varying"]:
        mixture = Mixture.from_arrays(arrays, "missing")
        chosen = one_of_each(mixture.class_probability(design), rng)
        sampled = rng.random((n, len(plain["varying"]))) < mixture.frequency[chosen]
        for j, name in enumerate(plain["varying"]):
            if name:
                unknown[:, names.index(name)] = sampled[:, j]
            else:
                sequenced = ~sampled[:, j]
    for name in plain["always"]:
        if name:
            unknown[:, names.index(name)] = True
        else:
            sequenced[:] = False
    gene = np.array([kind == "gene" for kind in alterations.values()], dtype=bool)
    unknown[np.ix_(~sequenced, gene)] = True
    return sequenced, unknown
