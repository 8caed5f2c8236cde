"""Sequential forests: every column given those before it, by bagged trees that hand on donors.

The open baseline that is hard to beat on clinical tables. Sequential synthesis with trees is Reiter (J Off Stat
2005;21:441) and Nowok, Raab & Dibben (J Stat Softw 2016;74(11)); forests instead of one tree are Caiola & Reiter
(Trans Data Priv 2010;3:27). A new patient walks down one tree of the column's forest, chosen at random, and takes the
value of a training patient (donor) from the leaf; numbers then move within the `LEAST_PIECE` donors round it in rank.
Endpoints are coded as in `encoding`, so coupled endpoints stay coupled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Schema
from haemosynth.core.streams import torch_seed
from haemosynth.generate import at_most
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.rare import without_rare_levels
from haemosynth.modalities.clinical.generators.conditioning import Conditions, check_conditions
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, FollowUp, learn
from haemosynth.stats.quantiles import LEAST_PIECE

DEFAULTS: dict[str, Any] = {
    "patients": 20_000,  # training patients to learn from; of more so many are drawn at random
    "fewest": 0,  # training patients that a level must have to be learned, see `rare`
    "trees": 25,  # trees per column
    "leaf": 8,  # smallest number of training patients in a leaf
    "max_features": 0.5,  # share of the earlier columns offered at each split
    "bins": 20,  # quantile bins of numbers and times, see `encoding`
    "condition": [],  # columns generated first
    "where": {},  # column -> level or number: only such patients are sampled
    "missing": "learned",  # or "completed": no missing values are sampled
}
REDRAWS = 25  # other donors tried before any training patient with a permitted value is taken


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Grow one forest for every column, in order, on training patients; `checkpoint` is not used (seconds of work).

    Raises:
        InputError: a setting that names an unknown column or level.
    """
    train = at_most(train, int(settings["patients"]), rng)
    train, left_out = without_rare_levels(train, int(settings["fewest"]), rng)
    conditions = check_conditions(settings, train)
    encoding = learn(train, int(settings["bins"]), conditions.first)
    coded = encoding.encode(train.clinical)
    arrays, description = encoding.save()
    arrays |= {"donors.levels": coded.levels.astype(np.int32), "donors.positions": coded.positions}
    seen = np.zeros((len(train), 0))
    parameters = 0
    for i in range(len(encoding.variables)):
        if i:
            packed = grow(
                encoding, i, coded, seen, int(settings["trees"]), int(settings["leaf"]),
                float(settings["max_features"]), torch_seed(rng),
            )  # fmt: skip
            arrays |= {f"{i:03d}.{name}": array for name, array in packed.items()}
            parameters += size(packed)
        seen = np.hstack([seen, encoding.features(i, coded)])
    plain = {
        "encoding": description,
        "patients": len(train),
        "left_out": left_out,
        "parameters": parameters,
        **conditions.plain(),
    }
    return Fitted(arrays, plain, pd.DataFrame())


def sample(fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., derived columns missing.

    Raises:
        InputError: the schema and the fitted generator name different columns.
    """
    encoding = Encoding.load(fitted.arrays, fitted.description["encoding"])
    conditions = Conditions.load(fitted.description)
    coded = conditions.collect(encoding, n, lambda m: _sequence(encoding, fitted.arrays, conditions, m, rng))
    return conditions.exact(encoding.decode(coded, schema))


def _sequence(
    encoding: Encoding,
    arrays: Mapping[str, np.ndarray],
    conditions: Conditions,
    n: int,
    rng: np.random.Generator,
) -> Coded:
    """n patients, column by column."""
    source = Coded(arrays["donors.levels"].astype(np.int64), arrays["donors.positions"])
    levels = np.zeros((n, len(encoding.variables)), dtype=np.int64)
    positions = np.zeros(levels.shape)
    follow_up = FollowUp(encoding, n)
    seen = np.zeros((n, 0))
    for i, variable in enumerate(encoding.variables):
        permitted = np.broadcast_to(conditions.permit(encoding, i), (n, len(variable.levels)))
        if variable.kind == "survival":
            both = permitted & follow_up.permit(i)
            permitted = np.where(both.any(axis=1, keepdims=True), both, permitted)
        levels[:, i], positions[:, i] = draw_levels(i, of_column(arrays, i), seen, source, permitted, rng)
        conditions.clamp(encoding, i, levels, positions)
        if variable.kind == "survival":
            follow_up.add(i, levels[:, i], positions[:, i])
        seen = np.hstack([seen, encoding.features(i, Coded(levels, positions))])
    return Coded(levels, positions)


def grow(
    encoding: Encoding, i: int, coded: Coded, seen: np.ndarray, trees: int, leaf: int, max_features: float, seed: int
) -> dict[str, np.ndarray]:
    """The forest of column i given the features `seen` (patients, features), packed, with the donors of its leaves."""
    from sklearn.ensemble import RandomForestRegressor

    # Squared error on indicators is the Gini index: one kind of forest serves every kind of column.
    forest = RandomForestRegressor(
        trees,
        min_samples_leaf=min(leaf, max(1, len(seen) // 2)),
        max_features=max_features,
        random_state=seed,
    ).fit(seen, encoding.targets(i, coded))
    packed = pack([tree.tree_ for tree in forest.estimators_])
    return packed | donors(packed, seen)


def size(forest: Mapping[str, np.ndarray]) -> int:
    """Fitted numbers: a feature and a threshold for each split, and the donors."""
    return int((forest["feature"] >= 0).sum()) * 2 + len(forest["donor"])


def of_column(arrays: Mapping[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
    """The forest of column i, empty where it has none."""
    return {name.split(".", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{i:03d}.")}


def draw_levels(
    i: int,
    forest: Mapping[str, np.ndarray],
    seen: np.ndarray,
    source: Coded,
    permitted: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Levels and positions of column i given what is seen, of the levels permitted (patients, levels)."""
    n = len(seen)
    picks = np.zeros(n, dtype=np.int64)
    waiting = np.arange(n)
    for _ in range(REDRAWS):
        picks[waiting] = _draw(forest, seen[waiting], len(source.levels), rng)
        waiting = waiting[~permitted[waiting, source.levels[picks[waiting], i]]]
        if not len(waiting):
            break
    for row in waiting:
        picks[row] = rng.choice(np.flatnonzero(permitted[row, source.levels[:, i]]))
    levels = source.levels[picks, i]
    return levels, smooth(source.levels[:, i], levels, source.positions[picks, i], rng)


def _draw(forest: Mapping[str, np.ndarray], seen: np.ndarray, patients: int, rng: np.random.Generator) -> np.ndarray:
    """A donor for every row: from a leaf of a random tree, or any patient for the first column."""
    n = len(seen)
    if not forest:
        return rng.integers(patients, size=n)
    tree = rng.integers(len(forest["root"]), size=n)
    leaf = apply(forest, seen, tree)
    start, stop = forest["donor_start"][leaf], forest["donor_start"][leaf + 1]
    return np.asarray(forest["donor"][start + (rng.random(n) * (stop - start)).astype(np.int64)])


def smooth(donors: np.ndarray, levels: np.ndarray, positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions moved within the `LEAST_PIECE` donors round them, or by half of the level where it has fewer.

    At the ends they are turned back: clipped, they would repeat the values there.

    Args:
        donors: (training patients,) level of each. levels, positions: (patients,) as drawn.
    """
    width = LEAST_PIECE / np.maximum(np.bincount(donors, minlength=levels.max(initial=0) + 1), 1)
    moved = np.abs(positions + rng.uniform(-1, 1, len(levels)) * np.minimum(width / 2, 0.5)[levels])
    return np.asarray(1 - np.abs(1 - moved))


def pack(trees: list[Any]) -> dict[str, np.ndarray]:
    """Trees of scikit-learn laid end to end: roots, children (absolute node numbers), features, thresholds."""
    counts = np.array([tree.node_count for tree in trees])
    root = np.concatenate([[0], np.cumsum(counts)[:-1]])
    shift = np.repeat(root, counts)
    children = np.stack(
        [np.concatenate([t.children_left for t in trees]), np.concatenate([t.children_right for t in trees])]
    )
    feature = np.concatenate([tree.feature for tree in trees])
    return {
        "root": root.astype(np.int32),
        "children": np.where(children < 0, -1, children + shift).astype(np.int32),
        "feature": np.where(children[0] < 0, -1, feature).astype(np.int32),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
    }


def apply(forest: Mapping[str, np.ndarray], rows: np.ndarray, tree: np.ndarray) -> np.ndarray:
    """The leaf (absolute node number) that every row reaches in its tree.  (n, features), (n,) -> (n,)

    Features are compared in single precision, as scikit-learn compares them.
    """
    rows = rows.astype(np.float32)
    node: np.ndarray = forest["root"][tree].astype(np.int64)
    feature, threshold, children = forest["feature"], forest["threshold"], forest["children"]
    moving = np.flatnonzero(feature[node] >= 0)
    while len(moving):
        here = node[moving]
        right = rows[moving, feature[here]] > threshold[here]
        node[moving] = children[right.astype(np.intp), here]
        moving = moving[feature[node[moving]] >= 0]
    return node


def donors(forest: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Training patients in every leaf: the donors of node k are donor[donor_start[k]:donor_start[k + 1]]."""
    trees = len(forest["root"])
    leaf = np.concatenate([apply(forest, rows, np.full(len(rows), t)) for t in range(trees)])
    order = np.argsort(leaf, kind="stable")
    start = np.searchsorted(leaf[order], np.arange(len(forest["feature"]) + 1))
    return {"donor": (order % len(rows)).astype(np.int32), "donor_start": start.astype(np.int64)}
