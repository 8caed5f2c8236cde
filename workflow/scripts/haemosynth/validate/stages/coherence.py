"""Coherence: do all modalities of a synthetic patient belong together?

For each pair of modalities: how well does one predict the other, by models learned on real training patients; are the
associations between them those of real patients; and does a classifier that sees all modalities together distinguish
synthetic from real patients more easily than one that sees a single modality? Modalities drawn independently of one
another may be faultless each, and fail here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.figures import BLACK, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Matrix, Vector
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.modalities.summaries import Blocks, summary
from haemosynth.stats.ranking import auc, ranks_of
from haemosynth.stats.trees import out_of_bag_votes
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "folds": 5,  # of the training patients: a training patient is predicted by models that have not seen the patient
    "ridge": 30.0,  # prior precision of the effects of standardised numbers
    "trees": 60,  # of the classifier
}
FEWEST = 20  # patients who have both modalities
SIGNAL = 0.1  # cross-validated correlation below which a number is not predicted by the other modality
SURE = 4.0  # standard errors by which an association of training patients counts for the sign
STAGE = Stage(
    "fidelity", needs=(RECORD, ALTERED), environment="coherence", memory=6000, runtime=60, all_modalities=True
)
METRICS = (
    Metric(
        "reading_error", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "|skill of the candidate - skill of real patients|, mean over pairs of modalities; skill: correlation of each"
        " number of a modality with its prediction from the other, by ridge regressions learned on training patients"
        " who are not predicted, mean over numbers weighted by their squared cross-validated correlation in train"
        " (those above 0.1), and over both directions",
        "Hoerl and Kennard, Technometrics 1970;12:55 (ridge regression); this project",
    ),
    *(
        Metric(
            f"reading_{whose}", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
            f"the skill of reading_error, of {text}; target: pair of modalities, or all, their mean",
            "this project",
        )
        for whose, text in (
            ("candidate", "the candidate"), ("real", "real patients"),
            ("shuffled", "the candidate with one modality exchanged between patients"),
        )
    ),
    Metric(
        "cross_association_error", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "sum w |r_candidate - r_real| / sum w over numbers of one modality and of the other, mean over pairs of"
        " modalities; r: Spearman correlation of patients with both known, w its square among training patients",
        "Spearman, Am J Psychol 1904;15:72; this project",
    ),
    Metric(
        "cross_sign_concordance", "agreement", "share", (0, 1), JOINT, "bootstrap",
        "share of associations between modalities, four standard errors from 0 in training patients, that have their"
        " sign in the candidate; mean over pairs of modalities",
        "this project",
    ),
    Metric(
        "joint_auc", "target", "", (0, 1), JOINT, "subsample",
        "out-of-bag area under the ROC curve of extremely randomised trees that distinguish the candidate from real"
        " patients by the numbers of all modalities; target: of one modality",
        "Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR 2017; Geurts et al., Mach Learn 2006;63:3",
        target=0.5,
    ),
)  # fmt: skip
SCORED = ("reading_error", "cross_association_error", "cross_sign_concordance")


@dataclass(frozen=True)
class Reader:
    """Ridge regressions from one modality to another, one for each fold of training patients.

    effects: (folds, numbers read, numbers predicted). weight: (numbers predicted,), 0 where nothing is predicted.
    """

    effects: NDArray[np.float64]
    weight: Vector

    def skill(self, seen: Matrix, told: Matrix, fold: NDArray[np.intp]) -> float:
        """Weighted mean correlation of standardised numbers and their prediction; NaN where none is possible."""
        guess = np.einsum("ij,ijk->ik", np.nan_to_num(seen), self.effects[fold])
        found = correlations(guess, told)
        known = np.isfinite(found) & (self.weight > 0)
        return float(np.average(found[known], weights=self.weight[known])) if known.any() else np.nan


@dataclass(frozen=True)
class Prepared:
    """What is learned from training patients.

    scale: modality -> (mean, standard deviation). readers: (from, to) -> Reader. association: pair ->
    (numbers, numbers) Spearman correlations and their standard errors. fold: training patient -> fold.
    """

    blocks: Callable[[Any], Blocks]
    scale: Mapping[str, tuple[Vector, Vector]]
    readers: Mapping[tuple[str, str], Reader]
    association: Mapping[tuple[str, str], tuple[Matrix, Matrix]]
    fold: pd.Series
    folds: int


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Learn on training patients what each modality says of the others. `rng` deals the folds."""
    train = comparison.train
    blocks, folds = summary(train), int(settings["folds"])
    found = blocks(train)
    fold = rng.permutation(len(train)) % folds
    scale = {modality: _scale(matrix) for modality, (_, matrix) in found.items()}
    standard = {modality: _standard(matrix, scale[modality]) for modality, (_, matrix) in found.items()}
    readers, association = {}, {}
    for pair in combinations(found, 2):
        both = _both(found[pair[0]][1], found[pair[1]][1])
        if both.sum() < 2 * FEWEST:
            continue
        for seen, told in (pair, pair[::-1]):
            readers[seen, told] = _reader(
                standard[seen][both], standard[told][both], fold[both], folds, float(settings["ridge"])
            )
        association[pair] = rank_correlations(found[pair[0]][1][both], found[pair[1]][1][both])
    return Prepared(blocks, scale, readers, association, pd.Series(fold, index=train.patients), folds)


def _scale(matrix: Matrix) -> tuple[Vector, Vector]:
    known = np.isfinite(matrix)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, matrix, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (matrix - mean) ** 2, 0).sum(axis=0) / count)
    return mean, np.where(spread > 0, spread, 1.0)


def _standard(matrix: Matrix, scale: tuple[Vector, Vector]) -> Matrix:
    return np.clip((matrix - scale[0]) / scale[1], -10, 10)


def _both(first: Matrix, second: Matrix) -> NDArray[np.bool_]:
    """Patients of whom something is known in both modalities."""
    return np.asarray(np.isfinite(first).any(axis=1) & np.isfinite(second).any(axis=1))


def _reader(seen: Matrix, told: Matrix, fold: NDArray[np.intp], folds: int, ridge: float) -> Reader:
    inputs, answers = np.nan_to_num(seen), np.nan_to_num(told)
    penalty = ridge * np.eye(inputs.shape[1])
    effects = np.empty((folds, inputs.shape[1], answers.shape[1]))
    for k in range(folds):
        kept = fold != k
        effects[k] = np.linalg.solve(inputs[kept].T @ inputs[kept] + penalty, inputs[kept].T @ answers[kept])
    found = np.nan_to_num(correlations(np.einsum("ij,ijk->ik", inputs, effects[fold]), told))
    return Reader(effects, np.where(found > SIGNAL, found**2, 0.0))


def correlations(guess: Matrix, truth: Matrix) -> Vector:
    """Pearson correlation of each column with its own partner, over rows where the truth is known."""
    known = np.isfinite(truth)
    count = np.maximum(known.sum(axis=0), 1)
    a, b = np.where(known, guess, 0.0), np.where(known, truth, 0.0)
    a, b = np.where(known, a - a.sum(axis=0) / count, 0), np.where(known, b - b.sum(axis=0) / count, 0)
    spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    found: Vector = np.divide((a * b).sum(axis=0), spread, out=np.full(a.shape[1], np.nan), where=spread > 1e-12)
    return found


def rank_correlations(first: Matrix, second: Matrix) -> tuple[Matrix, Matrix]:
    """Spearman correlation of each column of the first with each of the second, and its standard error by chance.

    Ranks are those among all known values of a column; a pair uses the patients who have both.
    """
    (a, known_a), (b, known_b) = ((ranks_of(m), np.isfinite(m)) for m in (first, second))
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    one_a, one_b = known_a.astype(float), known_b.astype(float)
    n = np.maximum(one_a.T @ one_b, 1.0)
    sum_a, sum_b = a.T @ one_b, one_a.T @ b
    cross = a.T @ b - sum_a * sum_b / n
    square_a, square_b = (a**2).T @ one_b - sum_a**2 / n, one_a.T @ (b**2) - sum_b**2 / n
    spread = np.sqrt(np.maximum(square_a, 0) * np.maximum(square_b, 0))
    found = np.divide(cross, spread, out=np.full(n.shape, np.nan), where=spread > 1e-9)
    return np.clip(found, -1, 1), 1 / np.sqrt(np.maximum(n - 1, 1))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Skill, associations and classifier. `rng` shuffles pairs and grows trees."""
    learned: Prepared = comparison.prepared
    real, candidate = learned.blocks(comparison.real), learned.blocks(comparison.candidate)
    values: list[Value] = []
    kept: dict[str, list[float]] = {m.name: [] for m in METRICS if m.name != "joint_auc"}
    n = min(len(comparison.real), len(comparison.candidate))
    for pair in learned.association:
        target = "~".join(pair)
        numbers = _pair(learned, pair, comparison, real, candidate, rng)
        for name, value in numbers.items():
            reason = "" if np.isfinite(value) else f"{target}: too few patients with both, or no prediction in train"
            values.append(Value(name, value, target, "joint", n, reason))
            if np.isfinite(value):
                kept[name].append(value)
    for name, found in kept.items():
        mean = float(np.mean(found)) if found else np.nan
        values.append(Value(name, mean, "all", "joint", n, "" if found else "no modality predicts another"))
    for target, area in _measure_areas(real, candidate, int(settings["trees"]), rng).items():
        values.append(Value("joint_auc", area, target, "joint", n))
    return values


def _pair(
    learned: Prepared, pair: tuple[str, str], comparison: Comparison, real: Blocks, candidate: Blocks,
    rng: np.random.Generator,
) -> dict[str, float]:  # fmt: skip
    """The numbers of one pair of modalities."""
    sides = {}
    for name, side, cohort in (("real", real, comparison.real), ("candidate", candidate, comparison.candidate)):
        if not set(pair) <= set(side):
            return dict.fromkeys(SCORED, np.nan)
        both = _both(side[pair[0]][1], side[pair[1]][1])
        fold = learned.fold[~learned.fold.index.duplicated()].reindex(cohort.patients).to_numpy(float)
        dealt = np.where(np.isfinite(fold), fold, np.arange(len(fold)) % learned.folds).astype(np.intp)
        sides[name] = tuple(side[modality][1][both] for modality in pair), dealt[both]
    if min(len(dealt) for _, dealt in sides.values()) < FEWEST:
        return dict.fromkeys(SCORED, np.nan)
    skill = {}
    for name, ((first, second), dealt) in sides.items():
        skill[name] = _skill(learned, pair, first, second, dealt)
    (first, second), dealt = sides["candidate"]
    skill["shuffled"] = _skill(learned, pair, first, second[rng.permutation(len(second))], dealt)
    strength, error = learned.association[pair]
    found = {name: rank_correlations(*matrices)[0] for name, (matrices, _) in sides.items()}
    known = np.isfinite(strength) & np.isfinite(found["real"]) & np.isfinite(found["candidate"])
    weight = np.where(known, np.nan_to_num(strength) ** 2, 0.0)
    gap = np.abs(np.nan_to_num(found["candidate"]) - np.nan_to_num(found["real"]))
    sure = known & (np.abs(np.nan_to_num(strength)) > SURE * error)
    same = np.sign(np.nan_to_num(found["candidate"])) == np.sign(np.nan_to_num(strength))
    return {
        "reading_error": abs(skill["candidate"] - skill["real"]),
        **{f"reading_{name}": value for name, value in skill.items()},
        "cross_association_error": float((weight * gap).sum() / weight.sum()) if weight.sum() > 0 else np.nan,
        "cross_sign_concordance": float(same[sure].mean()) if sure.any() else np.nan,
    }


def _skill(learned: Prepared, pair: tuple[str, str], first: Matrix, second: Matrix, fold: NDArray[np.intp]) -> float:
    """Mean over the directions in which something is predicted."""
    standard = [_standard(m, learned.scale[modality]) for m, modality in zip((first, second), pair, strict=True)]
    there = learned.readers[pair].skill(standard[0], standard[1], fold)
    back = learned.readers[pair[::-1]].skill(standard[1], standard[0], fold)
    found = [value for value in (there, back) if np.isfinite(value)]
    return float(np.mean(found)) if found else np.nan


def _measure_areas(real: Blocks, candidate: Blocks, trees: int, rng: np.random.Generator) -> dict[str, float]:
    """Area under the ROC curve of all modalities together (`all`) and of each alone."""
    shared = [modality for modality in real if modality in candidate]
    parts = {modality: np.vstack([real[modality][1], candidate[modality][1]]) for modality in shared}
    answer = np.repeat([0.0, 1.0], [len(real[RECORD][1]), len(candidate[RECORD][1])])
    areas = {}
    for target, matrix in {"all": np.hstack(list(parts.values())), **parts}.items():
        # A value that is not there is far from all that are.
        filled = np.nan_to_num(matrix, nan=float(np.nanmin(matrix, initial=0.0)) - 1e3)
        areas[target] = auc(answer, out_of_bag_votes(filled, answer, trees, rng, min_samples_leaf=3))
    return areas


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Skill of each pair between shuffled and real patients, and the associations between modalities."""
    learned: Prepared = comparison.prepared
    drawn, (left, right) = new_figure(10, 4.4, ncols=2)
    pairs = ["~".join(pair) for pair in learned.association]
    usable = values[values["status"] == "ok"]
    keys = zip(usable["metric"], usable["target"], strict=True)
    table = dict(zip(keys, usable[["value", "low", "high"]].to_numpy(float), strict=True))
    looks = (("real", REAL, "o", "real patients"), ("candidate", SYNTHETIC, "D", label),
             ("shuffled", NEUTRAL, "s", f"{label}, shuffled"))  # fmt: skip
    for row, pair in enumerate(pairs):
        for shift, (name, colour, marker, text) in zip((0.18, 0.0, -0.18), looks, strict=True):
            if (f"reading_{name}", pair) not in table:
                continue
            value, low, high = table[f"reading_{name}", pair]
            left.plot([low, high], [-row + shift] * 2, color=colour, lw=1.6)
            left.plot(value, -row + shift, marker, color=colour, ms=6, label=None if row else text)
    left.axvline(0, color=NEUTRAL, lw=0.8, ls=":")
    left.set_yticks([-row for row in range(len(pairs))], [pair.replace("~", "\nand ") for pair in pairs])
    left.set(ylim=(-len(pairs) + 0.2, 1.1), xlabel="correlation of prediction and value, mean of both directions")
    left.legend(loc="upper right", frameon=False, fontsize=8, ncols=3)
    left.set_title("one modality predicted from another", loc="left", fontsize=10)
    real, candidate = learned.blocks(comparison.real), learned.blocks(comparison.candidate)
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    for (first, second), colour in zip(learned.association, colours, strict=False):
        if not {first, second} <= set(real) & set(candidate):
            continue
        strength, error = learned.association[first, second]
        sure = np.abs(np.nan_to_num(strength)) > SURE * error
        found = [rank_correlations(side[first][1], side[second][1])[0][sure] for side in (real, candidate)]
        if sure.any():
            text = f"{first} and {second}, {int(sure.sum())}"
            right.plot(*found, "o", ms=3.5, alpha=0.7, color=colour, label=text)
    right.axline((0, 0), slope=1, color=BLACK, lw=0.8)
    right.axhline(0, color=NEUTRAL, lw=0.8, ls=":")
    right.axvline(0, color=NEUTRAL, lw=0.8, ls=":")
    right.set(xlabel=f"correlation, real patients (n = {len(comparison.real):,})",
              ylabel=f"correlation, {label} (n = {len(comparison.candidate):,})")  # fmt: skip
    if right.get_legend_handles_labels()[0]:
        right.legend(
            loc="upper left", frameon=False, fontsize=7.5, title="associations clear in train", title_fontsize=8
        )
    return drawn
