"""What attackers learn from a release in expectation: every attack on many releases of one generator.

One release is one draw: by chance it reveals a little more or less about who took part, as much as the distance to any
sensible limit. The attacks are therefore made on disjoint blocks of one long draw, each as large as the release, which
is the first block itself, and their success is averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.encode.records import Matrix, Vector, distinct, fit_encoder, some_rows
from haemosynth.privacy.aggregate_attacks import (
    Attacked,
    Coded,
    Coder,
    attack_aggregates,
    learn_codes,
    prepare_attacks,
)
from haemosynth.privacy.likelihood import log_ratio
from haemosynth.privacy.membership_attacks import attack
from haemosynth.stats.neighbours import neighbours
from haemosynth.stats.null_distribution import Labels, exchange_members, rank_statistics
from haemosynth.stats.ranking import ranks_of

RATE = 0.01  # false positives at which true ones are counted
OUTLYING = 0.2  # share of real patients, the farthest from their fifth neighbour, who stand out
NEIGHBOUR = 5
PRECISION = 20  # means of the printed table are given to the standard deviation over this
STATISTICS = ("auc", "tpr", "outlying")


@dataclass(frozen=True)
class Targets:
    """The patients who are attacked, once each, training patients first, with all that no release changes.

    member: (patients,) who was learned from. outlying: (patients,) who is far from all others. labels:
    (exchanges, patients) members exchanged at random.
    """

    patients: pd.Index
    member: Labels
    outlying: Labels
    attacked: Attacked
    coder: Coder
    labels: Labels


def find_targets(
    train: Cohort, unseen: Cohort, rows: int, exchanges: int, rng: np.random.Generator, alone: Sequence[str] = ()
) -> Targets:
    """Code the patients who are attacked: of each side at most `rows`, drawn by `rng`.

    Args:
        alone: the only columns that the attacker knows; alterations are then unknown to him. Empty: he knows all.
    """
    choice, exchange = rng.spawn(2)
    sides = [some_rows(distinct(side), rows, choice) for side in (train, unseen)]
    if alone:
        sides = [restrict(side, alone) for side in sides]
    member = np.repeat([True, False], [len(side) for side in sides])
    coder = learn_codes(sides[0], fit_encoder(sides[0]))
    first, second = (coder.code(side) for side in sides)
    real = Coded(
        np.concatenate([first.points, second.points]), np.concatenate([first.levels, second.levels]),
        np.concatenate([first.numbers, second.numbers]),
    )  # fmt: skip
    order = min(NEIGHBOUR, len(member) - 1)
    far = neighbours(real.points, real.points, order + 1)[0][:, order]
    return Targets(
        sides[0].patients.append(sides[1].patients), member, far > np.quantile(far, 1 - OUTLYING),
        prepare_attacks(real, coder), coder, exchange_members(member, exchanges, exchange),
    )  # fmt: skip


def restrict(cohort: Cohort, columns: Sequence[str]) -> Cohort:
    """The cohort with these clinical columns alone."""
    kept = {name: cohort.schema.columns[name] for name in columns}
    endpoints = tuple(e for e in cohort.schema.endpoints if {f"{e}_time", f"{e}_event"} <= set(columns))
    schema = replace(cohort.schema, columns=kept, endpoints=endpoints, alterations={})
    clinical = cohort.clinical[list(kept)]
    return Cohort(schema, clinical)


@dataclass(frozen=True)
class Scores:
    """What each attack says of each patient, for several releases.  attack -> (releases, patients)"""

    of: Mapping[str, Matrix]

    def means(self, member: Labels, outlying: Labels) -> dict[str, Matrix]:
        """attack -> (releases, STATISTICS) under one labelling of the patients."""
        return {name: _statistics(scores, member, outlying) for name, scores in self.of.items()}


def attack_redraws(
    targets: Targets, pool: Coded, size: int, redraws: int, local: int, trees: int, rng: np.random.Generator
) -> Scores:
    """Attack the first blocks of `size` records of a long draw.

    Args:
        pool: the draw, coded. redraws: blocks at most. local: of them those that the attacks on single records see
            too, which cost most and vary least with the block.
        trees: of the attack `classifier`, grown from `rng`.
    """
    found: dict[str, list[Vector]] = {}
    blocks = max(1, min(redraws, len(pool.points) // max(size, 1)))
    for block in range(blocks):
        released = pool.rows(slice(block * size, (block + 1) * size))
        scores = attack_aggregates(targets.attacked, released)
        if block < local:
            scores |= attack(targets.attacked.real.points, released.points, trees, rng)
        else:
            scores["likelihood"] = log_ratio(targets.attacked.real.points, released.points)
        for name, score in scores.items():
            found.setdefault(name, []).append(score)
    return Scores({name: np.array(scores) for name, scores in found.items()})


def _statistics(scores: Matrix, member: Labels, outlying: Labels) -> Matrix:
    """(releases, STATISTICS)"""
    found = np.empty((len(scores), len(STATISTICS)))
    found[:, 0] = areas(ranks_of(scores, axis=1), member[None, :])[:, 0]
    for row, score in enumerate(scores):
        found[row, 1] = rank_statistics(score, member[None, :], (RATE,))[1][0, 0]
    found[:, 2] = 0.5
    if 0 < member[outlying].sum() < outlying.sum():
        found[:, 2] = areas(ranks_of(scores[:, outlying], axis=1), member[None, outlying])[:, 0]
    return found


def areas(ranks: Matrix, labels: Labels) -> Matrix:
    """Areas under the ROC curve, (scores, labellings), from ranks (scores, patients) and labels (labellings, patients).

    Mann and Whitney, Ann Math Stat 1947;18:50: the area is the mean rank of the members, shifted and scaled.
    """
    members = labels.sum(axis=1)
    others = labels.shape[1] - members
    total = ranks @ labels.T.astype(float)
    return np.asarray((total - members * (members + 1) / 2) / np.maximum(members * others, 1))


def by_chance(targets: Targets, scores: Scores) -> Matrix:
    """(exchanges, STATISTICS) of the worst attack in expectation, with members exchanged at random."""
    labels, outlying = targets.labels, targets.outlying
    worst = np.full((len(labels), len(STATISTICS)), -np.inf)
    for of_attack in scores.of.values():
        whole = areas(ranks_of(of_attack, axis=1).mean(axis=0)[None], labels)[0]
        rate = np.mean([rank_statistics(score, labels, (RATE,))[1][:, 0] for score in of_attack], axis=0)
        inside = labels[:, outlying]
        far = areas(ranks_of(of_attack[:, outlying], axis=1).mean(axis=0)[None], inside)[0]
        some = (inside.sum(axis=1) > 0) & (inside.sum(axis=1) < inside.shape[1])
        worst = np.maximum(worst, np.column_stack([whole, rate, np.where(some, far, 0.5)]))
    return worst


@dataclass(frozen=True)
class Expected:
    """The worst attack in expectation for each of STATISTICS: its value, standard error, and name."""

    value: Vector
    error: Vector
    attack: tuple[str, ...]


def worst(found: Mapping[str, Matrix]) -> Expected:
    """The worst attack by each statistic.  found: attack -> (releases, STATISTICS)"""
    names = list(found)
    mean = np.array([found[name].mean(axis=0) for name in names])
    error = np.array([_standard_error(found[name]) for name in names])
    row = mean.argmax(axis=0)
    column = np.arange(len(STATISTICS))
    return Expected(mean[row, column], error[row, column], tuple(names[place] for place in row))


def _standard_error(values: Matrix) -> Vector:
    if len(values) < 2:
        return np.zeros(values.shape[1])
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def table_scores(targets: Targets) -> dict[str, Vector]:
    """The attacks on a table that any paper would print of the training patients: means, standard deviations, counts.

    Counts below MIN_CELL_COUNT are withheld, and means are given to the standard deviation over PRECISION. Attacked
    are the means of the encoded record as in `means`, the shares of levels and alterations as in `columns`, and both
    together with numbers as independent normal variables.
    """
    attacked, coder, member = targets.attacked, targets.coder, targets.member
    points, trained = attacked.real.points, int(member.sum())
    encoder = coder.encoder
    mean, everyone = points[member].mean(axis=0), points.mean(axis=0)
    spread = points[member].std(axis=0)
    number = np.zeros(points.shape[1], dtype=bool)
    number[: 2 * len(encoder.numbers) : 2] = True
    step = np.where(spread > 0, spread / PRECISION, 1.0)
    told = np.where(number, np.round(mean / step) * step, mean)
    scale = np.where(number, 1.0, np.maximum(np.abs(points).max(axis=0), 1e-12))  # a level weighs the root of one half
    few = ~number & (np.rint(mean / scale * trained) < MIN_CELL_COUNT)
    told = np.where(few, everyone, told)
    means = np.einsum("ij,ij->i", attacked.away, told - attacked.others_mean)
    counts = np.bincount(attacked.real.levels[member].ravel(), minlength=len(coder.owner)).astype(float)
    pooled = np.bincount(attacked.real.levels.ravel(), minlength=len(coder.owner)) / len(member)
    share = np.where(counts < MIN_CELL_COUNT, pooled, counts / trained)
    by_column = np.log(share + 1e-4)[attacked.real.levels] - attacked.log_share
    columns = (by_column * coder.plain[attacked.real.levels]).sum(axis=1)
    return {"means": means, "columns": columns, "normal": columns + _normal(points, number, told, spread)}


def _normal(points: Matrix, number: Labels, mean: Vector, spread: Vector) -> Vector:
    """Log density of the numbers under means and standard deviations of the table, less that under the other points."""
    own, n = points[:, number], len(points)
    middle = own.mean(axis=0)
    others = (n * middle - own) / (n - 1)
    width = np.maximum(own.std(axis=0), 1e-6)
    table = _log_normal(own, mean[number], np.maximum(spread[number], 1e-6))
    return np.asarray((table - _log_normal(own, others, width)).sum(axis=1))


def _log_normal(values: Matrix, mean: Matrix, spread: Vector) -> Matrix:
    return np.asarray(-(((values - mean) / spread) ** 2) / 2 - np.log(spread) - np.log(2 * np.pi) / 2)


def table_area(targets: Targets, member: Labels | None = None, rows: Any = slice(None)) -> float:
    """Area under the ROC curve of the worst attack on the printed table."""
    labels = targets.member if member is None else member
    found = [areas(ranks_of(score[rows])[None], labels[None, :])[0, 0] for score in table_scores(targets).values()]
    return float(max(found))


def measure_told(auc: float, table: float) -> float:
    """The information that a release gives an attacker, as a share of what the table gives.

    (d' of the release / d' of the table)^2 with d' = sqrt(2) Phi^-1(AUC), the distance of two normal scores that have
    this area; 0 where the attack finds nothing, infinite where the table reveals nothing.
    """
    release, printed = (float(ndtri(min(max(area, 0.5), 1 - 1e-9))) for area in (auc, table))
    if release == 0:
        return 0.0
    return float((release / printed) ** 2) if printed > 0 else float("inf")
