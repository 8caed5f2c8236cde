"""Clustering: would an analyst who clusters synthetic patients find the groups of real ones?

Patients are points in a fixed embedding: the encoding of `records.py` without endpoints, clinical columns, alterations
and what is missing alike, on the first principal components of the training patients. k-means is run there on the
training patients and on the candidate, for every number of clusters from two to eight, and either partition is carried
to held-out real patients by the nearest centre. Everything is averaged over the numbers of clusters, since no cohort
of patients has one right number and silhouettes hardly distinguish them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.core.streams import stream
from haemosynth.encode.records import Encoder, fit_encoder, some_rows
from haemosynth.modalities.registry import RECORD
from haemosynth.stats.distributions import total_variation
from haemosynth.stats.neighbours import squared_distances
from haemosynth.stats.partitions import adjusted_rand, match_clusters
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Labels = NDArray[np.intp]

DEFAULTS: dict[str, Any] = {
    "components": 10,  # principal components of the embedding
    "largest": 8,  # number of clusters; the smallest is two
    "starts": 4,  # of each k-means
    "most": 1500,  # patients clustered on either side: silhouettes cost patients squared
    "min_patients": 40,  # on either side
}
STAGE = Stage("utility", needs=(RECORD,), memory=4000, runtime=30)
METRICS = (
    Metric(
        "cluster_agreement", "agreement", "adjusted Rand index", (-1, 1), JOINT, "subsample",
        "adjusted Rand index, in the holdout, of the k-means partition learned from training patients and that learned"
        " from the candidate, carried by the nearest centre; mean over k of 2 to 8",
        "Hubert and Arabie, J Classif 1985;2:193",
    ),
    Metric(
        "cluster_size_distance", "error", "share of patients", (0, 1), JOINT, "subsample",
        "1/2 sum_c |share_real(c) - share_candidate(c)| over the clusters of training patients, nearest centre; mean"
        " over k of 2 to 8",
        "this project; total variation",
    ),
    Metric(
        "silhouette_distance", "error", "silhouette", (0, 2), JOINT, "subsample",
        "Wasserstein distance of the distributions of silhouettes in real and candidate patients, each in the clusters"
        " of training patients; mean over k of 2 to 8",
        "Rousseeuw, J Comput Appl Math 1987;20:53 (silhouettes)",
    ),
    Metric(
        "mean_silhouette", "descriptive", "silhouette", (-1, 1), JOINT, "subsample",
        "mean silhouette of the candidate's own clusters; mean over k of 2 to 8; target `real`: of held-out patients",
        "Rousseeuw, J Comput Appl Math 1987;20:53",
    ),
    Metric(
        "clusters_chosen", "descriptive", "clusters", (2, np.inf), JOINT, "subsample",
        "k of 2 to 8 with the largest mean silhouette of the candidate's own clusters; target `real`: of held-out"
        " patients",
        "Rousseeuw, J Comput Appl Math 1987;20:53",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Embedding:
    """The space in which patients are clustered, and the clusters of the training patients.

    used: which encoded columns. mean: (used,), axes: (used, components). centres: k -> (k, components).
    """

    encoder: Encoder
    used: NDArray[np.bool_]
    mean: Vector
    axes: Matrix
    centres: Mapping[int, Matrix]

    def points(self, cohort: Cohort) -> Matrix:
        """(patients, components)."""
        return np.asarray((self.encoder.points(cohort)[:, self.used] - self.mean) @ self.axes)


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Embedding | str:
    """The embedding and the clusters of the training patients, or why there are none. Settings: see DEFAULTS."""
    train = some_rows(comparison.train, int(settings["most"]), rng)
    if len(train) < int(settings["min_patients"]):
        return f"fewer than {settings['min_patients']} training patients"
    genomic = all(
        cohort.alterations is not None for cohort in (comparison.train, comparison.real, comparison.candidate)
    )
    encoder = fit_encoder(comparison.train if genomic else comparison.train.record())
    used = encoder.baseline | encoder.genomic
    encoded = encoder.points(train)[:, used]
    mean = encoded.mean(axis=0)
    _, scale, axes = np.linalg.svd(encoded - mean, full_matrices=False)
    kept = min(int(settings["components"]), int((scale > 1e-9).sum()))
    if not kept:
        return "training patients do not differ"
    axes = axes[:kept].T
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(kept)])  # a component has no sign of its own
    centres = find_clusters((encoded - mean) @ axes, settings, rng)
    return Embedding(encoder, used, mean, axes, centres)


def find_clusters(points: Matrix, settings: Mapping[str, Any], rng: np.random.Generator) -> dict[int, Matrix]:
    """k-means of every size: (patients, components) -> {k: (k, components)}."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    seed = int(rng.integers(2**31 - 1))
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different patients than clusters
        for k in range(2, int(settings["largest"]) + 1):
            model = KMeans(k, n_init=int(settings["starts"]), random_state=seed).fit(points)
            found[k] = np.asarray(model.cluster_centers_, dtype=np.float64)
    return found


def find_nearest_centre(points: Matrix, centres: Matrix) -> Labels:
    """(patients,) the cluster of each point."""
    parts = [squared.argmin(axis=1) for _, squared in squared_distances(points, centres)]
    return np.asarray(np.concatenate(parts) if parts else np.empty(0), dtype=np.intp)


def distances(points: Matrix) -> Matrix:
    """(patients, patients) Euclidean."""
    squares = np.vstack([squared for _, squared in squared_distances(points, points)])
    return np.asarray(np.sqrt(squares), dtype=np.float64)


def compute_silhouettes(apart: Matrix, labels: Labels) -> Vector:
    """Silhouette of each patient, from distances (patients, patients) and clusters (patients,).

    0 for the only patient of a cluster, and for all where there is one cluster.
    """
    member = (labels[:, None] == np.unique(labels)).astype(np.float64)
    sizes = member.sum(axis=0)
    if len(sizes) < 2:
        return np.zeros(len(labels))
    rows, own = np.arange(len(labels)), member.argmax(axis=1)
    sums = apart @ member
    inside = sums[rows, own] / np.maximum(sizes[own] - 1, 1)
    outside = sums / sizes
    outside[rows, own] = np.inf
    beyond = outside.min(axis=1)
    widest = np.maximum(inside, beyond)
    value = np.divide(beyond - inside, widest, out=np.zeros(len(labels)), where=widest > 0)
    return np.asarray(np.where(sizes[own] == 1, 0.0, value))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Agreement, sizes and silhouettes, averaged over the numbers of clusters. Settings: see DEFAULTS."""
    from scipy.stats import wasserstein_distance

    learned: Embedding | str = comparison.prepared
    genomic = isinstance(learned, Embedding) and bool(learned.encoder.alterations)
    modality = "joint" if genomic else RECORD
    n, least = min(len(comparison.real), len(comparison.candidate)), int(settings["min_patients"])
    reason = learned if isinstance(learned, str) else f"fewer than {least} patients on one side" if n < least else ""
    if reason or isinstance(learned, str):
        return [Value(metric.name, np.nan, modality=modality, n=n, reason=reason) for metric in METRICS]
    most = int(settings["most"])
    real, candidate = (learned.points(some_rows(c, most, rng)) for c in (comparison.real, comparison.candidate))
    apart, candidate_apart = distances(real), distances(candidate)
    own, real_own = find_clusters(candidate, settings, rng), find_clusters(real, settings, rng)
    rows = []
    for k, centres in learned.centres.items():
        here, there = find_nearest_centre(real, centres), find_nearest_centre(candidate, centres)
        shares = [np.bincount(side, minlength=k) / len(side) for side in (here, there)]
        rows.append((
            adjusted_rand(here, find_nearest_centre(real, own[k])),
            total_variation(*shares),
            wasserstein_distance(compute_silhouettes(apart, here), compute_silhouettes(candidate_apart, there)),
            compute_silhouettes(candidate_apart, find_nearest_centre(candidate, own[k])).mean(),
            compute_silhouettes(apart, find_nearest_centre(real, real_own[k])).mean(),
        ))  # fmt: skip
    agreement, sizes, profile, silhouette, real_silhouette = np.array(rows).T
    numbers = list(learned.centres)
    return [
        Value("cluster_agreement", float(agreement.mean()), modality=modality, n=n),
        Value("cluster_size_distance", float(sizes.mean()), modality=modality, n=n),
        Value("silhouette_distance", float(profile.mean()), modality=modality, n=n),
        Value("mean_silhouette", float(silhouette.mean()), modality=modality, n=n),
        Value("mean_silhouette", float(real_silhouette.mean()), "real", modality, n),
        Value("clusters_chosen", float(numbers[silhouette.argmax()]), modality=modality, n=n),
        Value("clusters_chosen", float(numbers[real_silhouette.argmax()]), "real", modality, n),
        *(
            Value("cluster_agreement", float(agreed), f"{k} clusters", modality, n)
            for k, agreed in zip(numbers, agreement, strict=True)
        ),
    ]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Silhouettes by number of clusters, sizes of the clusters, and the two partitions of held-out patients.

    Sizes and partitions are those of the number of clusters of 3 to 8 with the largest silhouette in real patients:
    two clusters are mostly one frequent level against the rest.
    """
    learned: Embedding | str = comparison.prepared
    if isinstance(learned, str) or min(len(comparison.real), len(comparison.candidate)) < int(settings["min_patients"]):
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, learned if isinstance(learned, str) else "too few patients", ha="center", color=NEUTRAL)
        return drawn
    rng = stream(0, "clustering", "figure")
    most = int(settings["most"])
    real, candidate = (learned.points(some_rows(c, most, rng)) for c in (comparison.real, comparison.candidate))
    own = find_clusters(candidate, settings, rng)
    drawn, axes = new_figure(12.6, 4.0, ncols=3, gridspec_kw={"width_ratios": [1.05, 1, 1.1]})
    numbers = list(learned.centres)
    curves = []
    for name, colour, mark, points in (("real, held out", REAL, "o", real), (label, SYNTHETIC, "s", candidate)):
        apart = distances(points)
        spread = []
        for k in numbers:
            nearest = find_nearest_centre(points, learned.centres[k])
            spread.append(np.quantile(compute_silhouettes(apart, nearest), [0.25, 0.5, 0.75]))
        low, middle, high = np.array(spread).T
        curves.append(middle)
        axes[0].plot(numbers, middle, f"{mark}-", color=colour, lw=1.5, ms=5, label=f"{name} (n = {len(points):,})")
        axes[0].fill_between(numbers, low, high, color=colour, alpha=0.13, lw=0)
    axes[0].axhline(0, color=NEUTRAL, lw=0.6, zorder=0)
    axes[0].set(xlabel="number of clusters", ylabel="silhouette, median and quartiles", xticks=numbers)
    axes[0].set_ylim(top=axes[0].get_ylim()[1] * 1.35)
    axes[0].legend(loc="upper right", fontsize=9)
    scores = values[(values["target"] == "all") & (values["status"] == "ok")].set_index("metric")["value"]
    if "silhouette_distance" in scores:
        axes[0].set_title(f"distance of silhouettes {scores['silhouette_distance']:.3f}", loc="left")

    k = max((number for number in numbers if number > 2), key=lambda number: float(curves[0][number - 2]), default=2)
    here, there = find_nearest_centre(real, learned.centres[k]), find_nearest_centre(candidate, learned.centres[k])
    _draw_sizes(axes[1], k, here, there, label)
    if "cluster_size_distance" in scores:
        axes[1].set_title(f"distance of sizes {scores['cluster_size_distance']:.2f}", loc="left")
    _draw_partitions(axes[2], k, here, find_nearest_centre(real, own[k]), label)
    if "cluster_agreement" in scores:
        title = f"agreement {scores['cluster_agreement']:.2f}, mean over 2 to {numbers[-1]} clusters"
        axes[2].set_title(title, loc="left")
    return drawn


def _draw_sizes(axis: Any, k: int, here: Labels, there: Labels, label: str) -> None:
    counts = np.bincount(here, minlength=k)
    order = np.argsort(-counts, kind="stable")
    rows = np.arange(k)[::-1]
    other = np.bincount(there, minlength=k)[order] / len(there)
    counts = counts[order]
    share = np.where(counts >= MIN_CELL_COUNT, counts, 0) / len(here)
    axis.barh(rows + 0.19, share, height=0.36, color=REAL, label="real, held out")
    axis.barh(rows - 0.19, other, height=0.36, color=SYNTHETIC, label=label)
    for row, count in zip(rows, counts, strict=True):
        if count < MIN_CELL_COUNT:
            axis.text(0.002, row + 0.19, f"<{MIN_CELL_COUNT}", va="center", fontsize=8)
    axis.set_yticks(rows, [f"cluster {i + 1}" for i in range(k)])
    axis.set_ylim(-0.6, k + 0.25)
    axis.set_xlabel(f"share of patients, {k} clusters of training patients")
    axis.legend(loc="upper right", fontsize=9, ncols=2)


def _draw_partitions(axis: Any, k: int, here: Labels, own: Labels, label: str) -> None:
    table = np.zeros((k, k))
    np.add.at(table, (here, own), 1)
    order = np.argsort(-table.sum(axis=1), kind="stable")
    table = table[order]
    table = table[:, match_clusters(table)[1]]
    # Rounded to fives: sizes and the other counts of a row would else give away what is hidden.
    rounded = np.where(table < MIN_CELL_COUNT, 0, 5 * np.round(table / 5))
    shares = rounded / np.maximum(rounded.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(k, k):
        count = int(rounded[row, column])
        text = f"{count}" if count else f"<{MIN_CELL_COUNT}"
        colour = "white" if shares[row, column] > 0.5 else "black" if count else NEUTRAL
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axis.set_xticks(range(k), [f"{i + 1}" for i in range(k)])
    axis.set_yticks(range(k), [f"{i + 1}" for i in range(k)])
    axis.set(xlabel=f"cluster learned from {label}", ylabel="cluster learned from training patients")
    axis.tick_params(length=0)
