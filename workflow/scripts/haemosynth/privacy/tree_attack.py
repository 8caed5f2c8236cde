"""An attack made for releases of the private generators: the pairs that their tree of noisy marginals measured.

Such a release keeps the counts of some pairs of variables and nothing else, so that an attacker who knows which
(Golob et al., MAMA-MIA, arXiv:2402.09540, where the structure is guessed) need not look at anything else. Here the tree
and its groups of levels are given to him, as the published model gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Matrix, Vector
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.registry import load_algorithm
from haemosynth.privacy.aggregate_attacks import LEAST_SHARE, TRUST
from haemosynth.privacy.private_tree import Tree

ALGORITHM = "private_marginals"  # of either modality of the record
NOT_COUNTED = -1  # patients in whom a variable is not measured, such as a gene without sequencing


@dataclass(frozen=True)
class Pairs:
    """The pairs of the tree of a recipe. sizes: (pairs, 2) groups of parent and child."""

    models: Mapping[str, tuple[Fitted, Tree]]
    sizes: tuple[tuple[int, int], ...]

    def code(self, cohort: Cohort) -> NDArray[np.intp]:
        """(patients, pairs, 2) the groups that each patient has of parent and child, NOT_COUNTED where none."""
        found = []
        for modality, (fitted, tree) in self.models.items():
            levels = load_algorithm(modality, ALGORITHM).tree_levels(fitted, cohort)
            for i in _children(tree):
                both = [
                    np.where(levels[:, j] < 0, NOT_COUNTED, tree.coarse[j][levels[:, j]]) for j in (tree.parent[i], i)
                ]
                found.append(np.column_stack(both))
        return np.stack(found, axis=1).astype(np.intp)


def find_pairs(models: Mapping[str, Fitted]) -> Pairs | None:
    """The pairs that a recipe's models measured; None where none of them has a tree.

    Args:
        models: modality -> the fitted model of the candidate's recipe.
    """
    trees = {
        modality: (fitted, Tree.load(fitted.arrays, fitted.description["tree"]))
        for modality, fitted in models.items()
        if "tree" in fitted.description
    }
    sizes = tuple(
        (int(tree.coarse[tree.parent[i]].max()) + 1, int(tree.coarse[i].max()) + 1)
        for _, tree in trees.values()
        for i in _children(tree)
    )
    return Pairs(trees, sizes) if sizes else None


def _children(tree: Tree) -> list[int]:
    return [i for i in tree.order if tree.parent[i] >= 0]


def attack_pairs(pairs: Pairs, attacked: NDArray[np.intp], released: NDArray[np.intp]) -> Vector:
    """(patients,) log share of each pair's cell in the release less that in the other patients, over pairs of the tree.

    Both shares are drawn towards independence, as if that were TRUST further patients.

    Args:
        attacked: (patients, pairs, 2) and released: (records, pairs, 2), by `Pairs.code`.
    """
    scores = np.zeros(len(attacked))
    for pair, shape in enumerate(pairs.sizes):
        real, made = (_table(codes[:, pair], shape) for codes in (attacked, released))
        known = (attacked[:, pair] >= 0).all(axis=1)
        own = tuple(attacked[known, pair].T)
        of_others = np.log(np.maximum(real[own] - 1, 0) + TRUST * _alone(real)[own]) - np.log(real.sum() - 1 + TRUST)
        of_release = np.log(made[own] + TRUST * _alone(made)[own]) - np.log(made.sum() + TRUST)
        scores[known] += of_release - of_others
    return scores


def _table(codes: NDArray[np.intp], shape: tuple[int, int]) -> Matrix:
    """(groups of the parent, groups of the child) how many have both."""
    counts = np.zeros(shape)
    np.add.at(counts, tuple(codes[(codes >= 0).all(axis=1)].T), 1)
    return counts


def _alone(table: Matrix) -> Matrix:
    """Shares under independence, at least LEAST_SHARE."""
    total = max(float(table.sum()), 1.0)
    return np.asarray(np.maximum(np.outer(table.sum(axis=1), table.sum(axis=0)) / total**2, LEAST_SHARE))


def attack_tree(pairs: Pairs, patients: Sequence[Cohort], pool: Cohort, size: int, redraws: int) -> Matrix:
    """(releases, patients) the attack on the first blocks of `size` records of a long draw.

    Args:
        patients: training and unseen patients, all of whom are attacked. redraws: blocks at most.
    """
    attacked = np.concatenate([pairs.code(side) for side in patients])
    released = pairs.code(pool)
    blocks = max(1, min(redraws, len(released) // max(size, 1)))
    return np.array([attack_pairs(pairs, attacked, released[k * size : (k + 1) * size]) for k in range(blocks)])
