"""Refresh: every column of a drawn patient is drawn anew, one after the other, given all the others.

One round of Gibbs sampling with bagged trees (`forest.py`) as conditional distributions, as in chained equations (van
Buuren and Groothuis-Oudshoorn, J Stat Softw 2011;45(3)). It mends what the first generator got wrong between
columns, and leaves less of any single training patient, since hardly a value remains where it was. Endpoints come
last, in their order, and stay coupled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from haemosynth.modalities.clinical.generators.conditioning import Conditions
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, FollowUp
from haemosynth.modalities.clinical.generators.forest import draw_levels, grow, of_column


def learn(
    encoding: Encoding, coded: Coded, trees: int, leaf: int, max_features: float, seed: int
) -> dict[str, np.ndarray]:
    """One forest for each column given all others (an endpoint: given all but the endpoints after it)."""
    features = [encoding.features(i, coded) for i in range(len(encoding.variables))]
    arrays = {"donors.levels": coded.levels.astype(np.int32), "donors.positions": coded.positions}
    if len(features) > 1:
        for i in range(len(features)):
            packed = grow(encoding, i, coded, _others(encoding, i, features), trees, leaf, max_features, seed + i)
            arrays |= {f"{i:03d}.{name}": array for name, array in packed.items()}
    return arrays


def _others(encoding: Encoding, i: int, features: list[np.ndarray]) -> np.ndarray:
    last = i if i in encoding.endpoints else len(features)
    return np.hstack([part for j, part in enumerate(features) if j != i and j < last])


def sweep(
    arrays: Mapping[str, np.ndarray],
    encoding: Encoding,
    conditions: Conditions,
    coded: Coded,
    rng: np.random.Generator,
) -> Coded:
    """The patients after one round; what `conditions` ask for is kept."""
    source = Coded(arrays["donors.levels"].astype(np.int64), arrays["donors.positions"])
    levels, positions = coded.levels.copy(), coded.positions.copy()
    features = [encoding.features(i, coded) for i in range(len(encoding.variables))]
    n = len(levels)
    follow_up = FollowUp(encoding, n)
    for i, variable in enumerate(encoding.variables):
        forest = of_column(arrays, i)
        permitted = np.broadcast_to(conditions.permit(encoding, i), (n, len(variable.levels)))
        if variable.kind == "survival":
            both = permitted & follow_up.permit(i)
            permitted = np.where(both.any(axis=1, keepdims=True), both, permitted)
        if forest:
            seen = _others(encoding, i, features)
            levels[:, i], positions[:, i] = draw_levels(i, forest, seen, source, permitted, rng)
            conditions.clamp(encoding, i, levels, positions)
            features[i] = encoding.features(i, Coded(levels, positions))
        if variable.kind == "survival":
            follow_up.add(i, levels[:, i], positions[:, i])
    return Coded(levels, positions)
