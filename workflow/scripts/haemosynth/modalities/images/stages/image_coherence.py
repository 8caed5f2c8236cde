"""Image coherence: do images and records belong together as they do in real patients?

A ridge regression reads the variables of the record from the images of a patient. It is learned from training patients,
and applied to held-out patients, to the candidate, and to held-out patients with images of other patients. Coherent
synthetic patients are read as well as real ones: neither worse, as if image and record were drawn apart, nor better, as
if the image were drawn from the record alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.modalities.images import image_features
from haemosynth.modalities.images.image_features import EXTRACTOR, Matrix, Points, points, standardise
from haemosynth.modalities.images.part import images_of
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    **image_features.DEFAULTS,
    "directions": 24,  # leading directions of the network's features that the reader sees beside the measurements
    "folds": 5,
    "least": 15,  # training patients that a level, or an alteration, needs on either side
    "evidence": 3.0,  # r sqrt(n) in training patients left out from which on a variable counts as readable
}
STAGE = Stage("fidelity", needs=("images",), environment="images", memory=4000, runtime=60)
METRICS = (
    Metric(
        "coherence_error", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "mean over readable variables of |r_candidate - r_real|, r the correlation of the variable (numbers by their"
        " normal scores, levels and alterations as 0 and 1) with its reading from the patient's images; readable:"
        " r sqrt(n) at least 3 in training patients left out of the reader",
        f"this project; features of {EXTRACTOR} and radiomic measurements, ridge regression",
    ),
    Metric(
        "reading", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
        "r_candidate; all: mean over readable variables",
        "this project",
    ),
    Metric(
        "reading_real", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
        "r_real, in held-out patients",
        "this project",
    ),
    Metric(
        "reading_shuffled", "descriptive", "correlation", (-1, 1), JOINT, "bootstrap",
        "r of held-out patients with each one's images given to another patient",
        "this project",
    ),
)  # fmt: skip
PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # of the ridge regression
SHOWN = 14  # variables in the figure


@dataclass(frozen=True)
class Prepared:
    """Readable variables, and for each side the table (patients) of truths and readings by variable.

    modality: of each variable.
    """

    variables: tuple[str, ...]
    modality: Mapping[str, str]
    real: tuple[pd.DataFrame, pd.DataFrame]
    candidate: tuple[pd.DataFrame, pd.DataFrame]


def variables(cohort: Cohort, train: Cohort, least: int) -> pd.DataFrame:
    """(patients, variables) of the record, as numbers: normal scores by the ranks of training patients, levels and
    alterations as 0 and 1, missing values missing. A level needs `least` training patients with it and without."""
    from scipy.stats import norm

    found: dict[str, Any] = {}
    for name, column in train.schema.columns.items():
        values, learned = cohort.clinical[name], train.clinical[name].dropna()
        if column.kind in ("time", "event") or len(learned) < 2 * least or learned.nunique() < 2:
            continue
        if column.numeric:
            known = np.sort(learned.to_numpy(dtype=float))
            middle = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
            scores = norm.ppf((middle / 2 + 0.5) / (len(known) + 1))
            found[name] = np.where(values.isna(), np.nan, scores)
            continue
        counts = learned.astype(str).value_counts()
        kept = [level for level in sorted(counts.index) if least <= counts[level] <= len(learned) - least]
        for level in kept[1:] if len(counts) == 2 else kept:
            found[f"{name} {level}"] = np.where(values.isna(), np.nan, values.astype(str) == level)
    if train.alterations is not None and cohort.alterations is not None:
        carried, told = train.alterations.sum(), train.alterations.notna().sum()
        for name in train.alterations.columns[(carried >= least) & (told - carried >= least)]:
            found[str(name)] = cohort.alterations[name].to_numpy(dtype=float)
    return pd.DataFrame(found, index=cohort.patients, dtype=float)


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Learn the reader in folds of training patients, choose what it can read, and read both sides.

    Each fold's reader has not seen a fifth of the patients. Training patients, also where they are the candidate, are
    read by the one that has not seen them; all others by the mean of the readers.
    """
    train = comparison.train
    empty = pd.DataFrame()
    known = points(images_of(train), settings)
    truth = variables(train, train, int(settings["least"]))
    if len(known.owners) < 2 * int(settings["least"]) or truth.empty:
        return Prepared((), {}, (empty, empty), (empty, empty))
    center = known.deep.mean(axis=0)
    axes = np.linalg.svd(known.deep - center, full_matrices=False)[2][: int(settings["directions"])].T
    size = np.maximum(((known.deep - center) @ axes).std(axis=0), 1e-9)

    def described(side: Points, cohort: Cohort) -> pd.DataFrame:
        measured = np.hstack([(side.deep - center) @ axes / size, standardise(side.radiomic, known.radiomic)])
        table = pd.DataFrame(measured).groupby(side.owners).mean()
        return table.loc[[patient for patient in cohort.patients if patient in table.index]]

    features = described(known, train)
    fold = pd.Series(rng.permutation(len(features)) % int(settings["folds"]), index=features.index)
    readers, held = _readers(features, truth.loc[features.index], fold)
    n = truth.loc[features.index].notna().sum()
    skill = _correlations(truth.loc[features.index], held)
    readable = tuple(v for v in map(str, truth) if skill[v] * np.sqrt(n[v]) >= float(settings["evidence"]))

    def read(cohort: Cohort) -> tuple[pd.DataFrame, pd.DataFrame]:
        side = points(images_of(cohort), settings)
        if not len(side.owners):
            return empty, empty
        table = described(side, cohort)
        readings = np.mean([reader(table) for reader in readers], axis=0)
        found = pd.DataFrame(readings, index=table.index, columns=truth.columns)
        seen = found.index.intersection(held.index)
        found.loc[seen] = held.loc[seen]
        return variables(cohort, train, int(settings["least"])).reindex(found.index)[list(readable)], found[
            list(readable)
        ]

    events = set(train.schema.alterations)
    modality = {v: "genomic" if v in events else "clinical" for v in readable}
    return Prepared(readable, modality, read(comparison.real), read(comparison.candidate))


def _readers(features: pd.DataFrame, truth: pd.DataFrame, fold: pd.Series) -> tuple[list[Any], pd.DataFrame]:
    """Ridge regressions by fold, and the readings of the patients that each has not seen; one penalty for each
    variable, which reads best."""
    x, y, parts = features.to_numpy(), truth.to_numpy(), fold.to_numpy()
    held = np.full((len(PENALTIES), *y.shape), np.nan)
    fitted = {}
    for part in np.unique(parts):
        for i, penalty in enumerate(PENALTIES):
            weights, offset = _ridge(x[parts != part], y[parts != part], penalty)
            fitted[part, i] = weights, offset
            held[i][parts == part] = x[parts == part] @ weights + offset
    error = np.nanmean((held - y) ** 2, axis=1)
    best = np.nan_to_num(error, nan=np.inf).argmin(axis=0)
    columns = np.arange(y.shape[1])

    def reader(part: int) -> Any:
        weights = np.stack([fitted[part, i][0] for i in range(len(PENALTIES))])[best, :, columns].T
        offset = np.stack([fitted[part, i][1] for i in range(len(PENALTIES))])[best, columns]
        return lambda table: table.to_numpy() @ weights + offset

    chosen = pd.DataFrame(held[best, :, columns].T, index=features.index, columns=truth.columns)
    return [reader(part) for part in np.unique(parts)], chosen


def _ridge(x: Matrix, y: Matrix, penalty: float) -> tuple[Matrix, Matrix]:
    """Weights (features, variables) and offsets of each variable, from the patients in whom it is known."""
    weights, offset = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for j in range(y.shape[1]):
        known = ~np.isnan(y[:, j])
        if not known.any():
            continue
        center, mean = x[known].mean(axis=0), y[known, j].mean()
        part = x[known] - center
        weights[:, j] = np.linalg.solve(part.T @ part + penalty * np.eye(x.shape[1]), part.T @ (y[known, j] - mean))
        offset[j] = mean - center @ weights[:, j]
    return weights, offset


def _correlations(truth: pd.DataFrame, readings: pd.DataFrame) -> dict[str, float]:
    """Correlation of each variable with its reading; 0 where either does not vary."""
    found = {}
    for name in truth:
        known = truth[name].notna().to_numpy()
        x, y = truth[name].to_numpy()[known], readings[name].to_numpy()[known]
        varies = len(x) > 2 and x.std() > 0 and y.std() > 0
        found[str(name)] = float(np.corrcoef(x, y)[0, 1]) if varies else 0.0
    return found


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Readings of both sides and of shuffled pairs, for each readable variable and in the mean."""
    known: Prepared = comparison.prepared
    n = min(len(comparison.real), len(comparison.candidate))
    if not known.variables:
        reason = "no variable of the record can be read from the images of training patients"
        return [Value(metric.name, np.nan, modality="images", n=n, reason=reason) for metric in METRICS]

    def shown(side: tuple[pd.DataFrame, pd.DataFrame], cohort: Cohort) -> tuple[pd.DataFrame, pd.DataFrame]:
        present = [patient for patient in cohort.patients if patient in side[0].index]
        return side[0].loc[present], side[1].loc[present]

    real, candidate = shown(known.real, comparison.real), shown(known.candidate, comparison.candidate)
    if min(len(real[0]), len(candidate[0])) < 3:
        reason = "fewer than three patients with images on one side"
        return [Value(metric.name, np.nan, modality="images", n=n, reason=reason) for metric in METRICS]
    others = np.roll(rng.permutation(len(real[0])), 1)
    skills = {
        "reading": _correlations(*candidate),
        "reading_real": _correlations(*real),
        "reading_shuffled": _correlations(real[0], real[1].iloc[others].set_axis(real[0].index)),
    }
    values = []
    for metric, found in skills.items():
        values += [Value(metric, r, name, known.modality[name], n) for name, r in found.items()]
        values.append(Value(metric, float(np.mean(list(found.values()))), modality="images", n=n))
    error = np.mean([abs(skills["reading"][v] - skills["reading_real"][v]) for v in known.variables])
    return [*values, Value("coherence_error", float(error), modality="images", n=n)]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How well each readable variable is read: held-out patients, the candidate, and shuffled pairs."""
    table = values[(values.status == "ok") & (values.target != "all")]
    real = table[table.metric == "reading_real"].sort_values("value", ascending=False, kind="stable")
    names = list(real.target)[:SHOWN]
    fig, axis = new_figure(7.5, 1.7 + 0.34 * max(len(names), 2))
    if not names:
        axis.axis("off")
        axis.text(0.5, 0.5, "nothing in the record can be read from the images", ha="center", color=NEUTRAL)
        return fig
    marks = (("reading_real", "real", REAL, "o"), ("reading", label, SYNTHETIC, "s"),
             ("reading_shuffled", "real, pairs shuffled", BLUE, "x"))  # fmt: skip
    for k, (metric, name, colour, marker) in enumerate(marks):
        part = table[table.metric == metric].set_index("target").loc[names]
        y = np.arange(len(names)) + 0.2 * (k - 1)
        axis.hlines(y, part.low, part.high, color=colour, lw=1.3)
        axis.plot(part.value, y, marker, color=colour, ms=5, ls="none", label=name)
    axis.axvline(0, color=NEUTRAL, lw=0.7, zorder=0)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("correlation of the record with its reading from the images; 95 % interval")
    fig.legend(loc="outside upper center", ncols=3)
    return fig
