"""Detection: can a classifier distinguish synthetic from real patients, and by which columns?

A classifier two-sample test: cross-validated area under the ROC curve, 0.5 where they cannot be distinguished. Gradient
boosted trees see interactions and missing values; a logistic regression beside them sees only what
single columns reveal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.figures import BLACK, BLUE, NEUTRAL, ORANGE, new_figure
from haemosynth.core.streams import stream
from haemosynth.encode.design import code_levels
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.stats.ranking import auc
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

DEFAULTS: dict[str, Any] = {
    "folds": 5,
    "trees": 80,  # boosting iterations
    "leaves": 8,  # of each tree
    "learning_rate": 0.1,
    "min_leaf": 15,  # patients in a leaf
    "min_patients": 25,  # on either side
}
STAGE = Stage("fidelity", needs=(RECORD,), memory=4000, runtime=30)
METRICS = (
    Metric(
        "auc", "target", "", (0, 1), JOINT, "subsample",
        "cross-validated area under the ROC curve of gradient boosted trees that distinguish the candidate from real"
        " patients, mean over folds; missing values are seen as such. Modalities: clinical columns, alterations, both"
        " (joint)",
        "Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR 2017",
        target=0.5,
    ),
    Metric(
        "logistic_auc", "descriptive", "", (0, 1), JOINT, "subsample",
        "the same of a ridge logistic regression on standardised columns, levels and missingness indicators",
        "Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR 2017",
    ),
)  # fmt: skip
COLUMNS_SHOWN = 15


def make_tables(comparison: Comparison) -> tuple[dict[str, tuple[list[str], Matrix, NDArray[np.bool_]]], Vector]:
    """What the classifiers see.

    Returns:
        for each modality: names, (patients of both sides, columns), and which columns are nominal codes; and the
        answer, 1 for the candidate's patients.
    """
    schema = comparison.real.schema
    design = code_levels(schema, comparison.real.clinical, comparison.candidate.clinical)
    found = {RECORD: (list(design.columns), np.vstack(design.matrices), design.nominal)}
    real, candidate = comparison.real.alterations, comparison.candidate.alterations
    if real is not None and candidate is not None:
        events = list(schema.alterations)
        genomic = np.vstack([side[events].to_numpy(np.float64) for side in (real, candidate)])
        plain = np.zeros(len(events), dtype=bool)
        found[ALTERED] = (events, genomic, plain)
        names, clinical, nominal = found[RECORD]
        found["joint"] = (names + events, np.hstack([clinical, genomic]), np.concatenate([nominal, plain]))
    answer = np.repeat([0.0, 1.0], [len(comparison.real), len(comparison.candidate)])
    return found, answer


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Area under the ROC curve by modality. `rng` deals the folds."""
    found, answer = make_tables(comparison)
    n = min(len(comparison.real), len(comparison.candidate))
    folds = _folds(answer, int(settings["folds"]), rng)
    values = []
    for modality, (_, matrix, nominal) in found.items():
        if n < int(settings["min_patients"]) or not matrix.shape[1]:
            reason = f"fewer than {settings['min_patients']} patients on one side" if matrix.shape[1] else "no columns"
            values += [Value(m.name, np.nan, modality=modality, n=n, reason=reason) for m in METRICS]
            continue
        boosted = [
            auc(
                answer[test],
                _boost(matrix[train], answer[train], nominal, settings).predict_proba(matrix[test])[:, 1],
            )
            for train, test in folds
        ]
        plain = expand(matrix, nominal)
        linear = [auc(answer[test], _logistic(plain[train], answer[train], plain[test])) for train, test in folds]
        values.append(Value("auc", float(np.mean(boosted)), modality=modality, n=n))
        values.append(Value("logistic_auc", float(np.mean(linear)), modality=modality, n=n))
    return values


def _folds(answer: Vector, count: int, rng: np.random.Generator) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Stratified folds: each side is dealt evenly.  -> (train, test) positions"""
    fold = np.empty(len(answer), dtype=np.intp)
    for side in (0.0, 1.0):
        members = np.flatnonzero(answer == side)
        fold[rng.permutation(members)] = np.arange(len(members)) % count
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(count)]


def _boost(matrix: Matrix, answer: Vector, nominal: NDArray[np.bool_], settings: Mapping[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Trees read codes of many levels as categories; scikit-learn takes at most 255 of them.
    categories = nominal & (np.nan_to_num(matrix).max(axis=0, initial=0) < 255)
    model = HistGradientBoostingClassifier(
        max_iter=int(settings["trees"]),
        max_leaf_nodes=int(settings["leaves"]),
        learning_rate=float(settings["learning_rate"]),
        min_samples_leaf=int(settings["min_leaf"]),
        categorical_features=categories,
        early_stopping=False,
        random_state=0,  # nothing is drawn: no early stopping, no subsampling of features
    )
    return model.fit(matrix, answer)


def expand(matrix: Matrix, nominal: NDArray[np.bool_]) -> Matrix:
    """Columns for a linear model: standardised ranks of ordered columns, one column for each nominal level but the
    first, one for each pattern of missing values (missing is at the mean)."""
    missing = np.isnan(matrix)
    some = missing[:, missing.any(axis=0)].astype(np.float64)
    parts = [np.unique(some, axis=1)] if some.shape[1] else []
    ordered = matrix[:, ~nominal]
    if ordered.shape[1]:
        # Ranks keep a single extreme laboratory value from ruling the fit.
        parts.append(np.where(np.isnan(ordered), 0.5, pd.DataFrame(ordered).rank(pct=True).to_numpy(np.float64)))
    for column in matrix[:, nominal].T:
        levels = np.unique(column[~np.isnan(column)])[1:]
        parts.append((column[:, None] == levels).astype(np.float64))
    joined = np.hstack(parts) if parts else np.empty((len(matrix), 0))
    spread = joined.std(axis=0)
    return np.asarray((joined - joined.mean(axis=0))[:, spread > 0] / spread[spread > 0])


def _logistic(train: Matrix, answer: Vector, test: Matrix) -> Vector:
    from sklearn.linear_model import LogisticRegression

    if not train.shape[1]:
        return np.zeros(len(test))
    model = LogisticRegression(C=0.1, solver="newton-cholesky", max_iter=50).fit(train, answer)
    return np.asarray(model.decision_function(test))


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """ROC curves by modality, and the columns that distinguish the candidate's patients from real ones.

    The importance of a column is the fall of the area under the curve of the widest modality when its values are
    shuffled among the patients tested (Breiman, Mach Learn 2001;45:5).
    """
    found, answer = make_tables(comparison)
    fewest = min(len(comparison.real), len(comparison.candidate))
    fig, (left, right) = new_figure(10.4, 4.6, ncols=2, gridspec_kw={"width_ratios": [1, 1.15]})
    if fewest < int(settings["min_patients"]):
        for axis in (left, right):
            axis.text(0.5, 0.5, "too few patients", ha="center", transform=axis.transAxes)
        return fig
    folds = _folds(answer, int(settings["folds"]), stream(0, "detection", "figure"))
    left.plot([0, 1], [0, 1], c=NEUTRAL, lw=0.8, ls="--")
    shown = values[(values.metric == "auc") & (values.target == "all")].set_index("modality")
    looks = {RECORD: (BLUE, RECORD), ALTERED: (ORANGE, "alterations"), "joint": (BLACK, "both")}
    widest = "joint" if "joint" in found else RECORD
    falls = np.zeros(len(found[widest][0]))
    for modality, (_, matrix, nominal) in found.items():
        score = np.empty(len(answer))
        for i, (train, test) in enumerate(folds):
            model = _boost(matrix[train], answer[train], nominal, settings)
            score[test] = model.predict_proba(matrix[test])[:, 1]
            if modality == widest:
                falls += _falls(model, matrix[test], answer[test], stream(0, "detection", "shuffle", i)) / len(folds)
        order = np.argsort(-score, kind="stable")
        caught = np.concatenate([[0], np.cumsum(answer[order]) / answer.sum()])
        alarms = np.concatenate([[0], np.cumsum(1 - answer[order]) / (1 - answer).sum()])
        colour, name = looks[modality]
        if modality in shown.index and shown.loc[modality, "status"] == "ok":
            row = shown.loc[modality]
            name += f": AUC {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        left.plot(alarms, caught, c=colour, lw=1.5, label=name)
    left.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="real patients taken for synthetic", ylabel=f"{label} patients recognised"
    )
    left.set_box_aspect(1)
    left.legend(loc="lower right", fontsize=8, frameon=False)
    left.set_title(f"{len(comparison.real)} real, {len(comparison.candidate)} {label} patients")

    names = found[widest][0]
    order = np.argsort(-falls, kind="stable")[:COLUMNS_SHOWN]
    clinical = set(found[RECORD][0])
    colours = [BLUE if names[i] in clinical else ORANGE for i in order]
    right.barh(np.arange(len(order)), falls[order], 0.7, color=colours)
    right.set_yticks(np.arange(len(order)), [names[i] if len(names[i]) <= 24 else f"{names[i][:23]}…" for i in order])
    right.tick_params(axis="y", labelsize=8)
    right.set_ylim(len(order) - 0.4, -0.6)
    # The scale never shrinks to noise: a candidate that nothing gives away shows short bars.
    right.set_xlim(min(-0.005, 1.1 * falls[order].min()), max(0.05, 1.05 * falls.max()))
    right.axvline(0, c=NEUTRAL, lw=0.8)
    right.set_xlabel("fall of the AUC when the column is shuffled")
    right.set_title("What gives them away")
    return fig


def _falls(model: Any, matrix: Matrix, answer: Vector, rng: np.random.Generator) -> Vector:
    columns = matrix.shape[1]
    order = rng.permutation(len(matrix))
    tables = np.tile(matrix, (columns + 1, 1, 1))  # one for each column that is shuffled, and one with none
    for i in range(columns):
        tables[i, :, i] = matrix[order, i]
    scores = model.predict_proba(tables.reshape(-1, columns))[:, 1].reshape(columns + 1, -1)
    whole = auc(answer, scores[-1])
    return np.array([whole - auc(answer, score) for score in scores[:-1]])
