"""Ways to enlarge a class without a generator: repetition, and SMOTE-NC of imbalanced-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haemosynth.core.arrays import Matrix
from haemosynth.encode.baseline import Design

NEIGHBOURS = 5  # of SMOTE-NC, or as many as there are
Rows = NDArray[np.intp]


def repeat_members(members: int, wanted: int, rng: np.random.Generator, rows: Rows | None = None) -> Rows:
    """(wanted,) members as often as one another, to one: as an integer weight would repeat them."""
    order = rng.permutation(members)
    found = order[np.arange(wanted) % members] if members else order
    return np.asarray(found if rows is None else rows[found], dtype=np.intp)


def draw_by_smote(
    table: Matrix, design: Design, keep: NDArray[np.bool_], members: Rows, wanted: int, rng: np.random.Generator
) -> Matrix:
    """(wanted, columns) further members by SMOTE-NC (Chawla et al., J Artif Intell Res 2002;16:321; imbalanced-learn).

    Numbers and times lie between a member and one of its nearest members; levels, alterations, membership and events
    are those that most of these have. A column of several levels is one nominal column.

    Args:
        table: (patients, covariates + 3), as the stage `balance` codes them. members: rows of the class. wanted:
            members that are added.
    """
    from imblearn.over_sampling import SMOTENC

    numbers, groups = _columns(design, keep)
    own = table[members]
    known = np.isfinite(own[:, -2:]).all(axis=1)
    if known.sum() < 2:
        return table[members[rng.integers(len(members), size=wanted)]]
    own = own[known]
    own = own if len(own) > 2 else np.vstack([own, own])
    codes = [np.where(own[:, group].any(axis=1), own[:, group].argmax(axis=1) + 1, 0) for group in groups]
    mixed = np.column_stack([own[:, numbers], own[:, -2], *codes, own[:, -1]])
    # The sampler asks for another class, which it never looks at.
    others = np.zeros((2, mixed.shape[1]))
    nominal = list(range(len(numbers) + 1, mixed.shape[1]))
    if not len(numbers) and not nominal:
        return own[rng.integers(len(own), size=wanted)]
    seed = int(rng.integers(2**31 - 1))
    sampler = SMOTENC(
        nominal, sampling_strategy={1: len(own) + wanted}, k_neighbors=min(NEIGHBOURS, len(own) - 1), random_state=seed
    )
    answer = np.repeat([1, 0], [len(own), len(others)])
    made = np.asarray(sampler.fit_resample(np.vstack([mixed, others]), answer)[0], dtype=float)[-wanted:]
    found = np.zeros((wanted, table.shape[1]))
    found[:, numbers] = made[:, : len(numbers)]
    for place, group in enumerate(groups):
        level = np.rint(made[:, len(numbers) + 1 + place]).astype(int)
        for at, column in enumerate(group, 1):
            found[:, column] = level == at
    found[:, -3] = 1
    found[:, -2] = np.maximum(made[:, len(numbers)], 1e-6)
    found[:, -1] = np.rint(made[:, -1])
    return found


def _columns(design: Design, keep: NDArray[np.bool_]) -> tuple[list[int], list[list[int]]]:
    """Positions of the numbers, and of each nominal column's indicators, among the covariates that are kept."""
    numbers: list[int] = []
    groups: list[list[int]] = []
    last, place = "", -1
    for i, name in enumerate(design.names):
        if not keep[i]:
            continue
        place += 1
        if i < len(design.numbers):
            numbers.append(place)
            continue
        column = name.split(": ")[0] if len(design.numbers) <= i < len(design.numbers) + len(design.levels) else ""
        if column and column == last:
            groups[-1].append(place)
        else:
            groups.append([place])
        last = column
    return numbers, groups
