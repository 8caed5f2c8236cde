"""Rare categories, left out on request: what few training patients have is not learned, hence never released.

A level or an alteration that hardly anybody has identifies those who have it. Suppression of small cells is the oldest
disclosure control (Hundepool et al., Statistical Disclosure Control, Wiley 2012); what it costs in fidelity is seen
beside a recipe without it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from haemosynth.core.cohort import Cohort


def without_rare_levels(train: Cohort, fewest: int, rng: np.random.Generator) -> tuple[Cohort, list[str]]:
    """Patients with a level that fewer than `fewest` of them have get another's, drawn as the other patients have it.

    Numbers, times and missing values stay as they are, and so does a column without a level that is common enough.

    Returns:
        the training patients, and what was left out, as `column: level`.
    """
    clinical, left_out = train.clinical.copy(), []
    for name, column in train.schema.recorded.items():
        if column.numeric:
            continue
        values = clinical[name]
        counts = values.value_counts()
        rare = [level for level in values.cat.categories if 0 < counts[level] < fewest]
        common = np.flatnonzero(values.notna() & ~values.isin(rare))
        if rare and len(common):
            places = np.arange(len(values))
            gone = values.isin(rare).to_numpy()
            places[gone] = rng.choice(common, gone.sum())
            clinical[name] = values.iloc[places].set_axis(values.index)
            left_out += [f"{name}: {level}" for level in rare]
    return replace(train, clinical=clinical), left_out


def without_rare_alterations(train: Cohort, fewest: int) -> tuple[Cohort, list[str]]:
    """An alteration that fewer than `fewest` training patients carry is absent wherever it is known.

    Returns:
        the training patients, and the alterations that were left out.
    """
    if train.alterations is None or train.mutations is None:
        return train, []
    carriers = (train.alterations == 1).sum()
    rare = [name for name in train.schema.alterations if 0 < carriers[name] < fewest]
    alterations = train.alterations.copy()
    alterations[rare] = alterations[rare].where(alterations[rare] != 1, 0.0)
    mutations = train.mutations[~train.mutations["gene"].isin(rare)].reset_index(drop=True)
    return train.replace(alterations=alterations, mutations=mutations), rare
