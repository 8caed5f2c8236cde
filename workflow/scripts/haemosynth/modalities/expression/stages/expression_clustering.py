"""Clusters of expression: would an analyst find the groups of real patients, and are they the molecular subgroups?

Patients are points in the principal components of training patients' variable genes. The Leiden algorithm divides the
graph of nearest neighbours, as is usual for expression (Wolf et al., Genome Biol 2018;19:15); a partition is carried to
other patients by the nearest centre.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Matrix, Vector
from haemosynth.modalities.expression import subgroups
from haemosynth.modalities.expression.components import fit_component_space
from haemosynth.modalities.expression.part import expression_of, has_expression
from haemosynth.modalities.expression.subgroups import choose_subgroups, lacking, states
from haemosynth.stats.distributions import total_variation
from haemosynth.stats.neighbours import neighbours, squared_distances
from haemosynth.stats.partitions import adjusted_mutual_information, adjusted_rand
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

Labels = NDArray[np.intp]
DEFAULTS: dict[str, Any] = {
    **subgroups.DEFAULTS,
    "components": 10,
    "neighbours": 15,  # of each patient in the graph; a quarter of the patients where these are fewer
    "resolutions": [0.5, 1.0, 2.0],  # of the modularity, over which metrics are averaged; more gives more clusters
}
ITERATIONS = 2  # of the Leiden algorithm, as scanpy advises
FEWEST_CARRIERS = 5  # on either side, of a subgroup whose clusters are compared
STAGE = Stage("fidelity", needs=("expression",), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "leiden_agreement", "agreement", "adjusted Rand index", (-1, 1), JOINT, "subsample",
        "adjusted Rand index, in the holdout, of the Leiden partition learned from training patients and that learned"
        " from the candidate, carried by the nearest centre; 10 principal components, 15 neighbours, mean over"
        " resolutions 0.5, 1 and 2",
        "Traag et al., Sci Rep 2019;9:5233; Hubert and Arabie, J Classif 1985;2:193",
    ),
    Metric(
        "leiden_size_distance", "error", "share of patients", (0, 1), JOINT, "subsample",
        "1/2 sum_c |share_real(c) - share_candidate(c)| over the Leiden clusters c of training patients, nearest"
        " centre; mean over resolutions",
        "this project; total variation",
    ),
    Metric(
        "subgroup_cluster_distance", "error", "share of carriers", (0, 1), JOINT, "subsample",
        "1/2 sum_c |P_real(c | carrier) - P_candidate(c | carrier)| over the same clusters; mean over subgroups and"
        " resolutions; target: a subgroup",
        "this project; total variation",
    ),
    Metric(
        "subgroup_visibility", "descriptive", "adjusted mutual information", (-1, 1), JOINT, "subsample",
        "adjusted mutual information, among patients of the candidate, of the same clusters and which of the subgroups"
        " a patient carries; mean over resolutions; target `real`: of held-out patients. Not scored: uncertain in few"
        " patients",
        "Vinh et al., J Mach Learn Res 2010;11:2837",
    ),
    Metric(
        "leiden_clusters", "descriptive", "clusters", (1, np.inf), JOINT, "subsample",
        "Leiden clusters of the candidate alone, mean over resolutions; target `real`: of held-out patients",
        "Traag et al., Sci Rep 2019;9:5233",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """The space, the centres (clusters, components) of training patients' clusters by resolution, the subgroups."""

    place: Callable[[AnnData], Matrix]
    centres: Mapping[float, Matrix]
    subgroups: tuple[str, ...]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | None:
    """Space, clusters and subgroups of training patients; None where expression cannot be read."""
    train = comparison.train
    if lacking(comparison) or not has_expression(train):
        return None
    place = fit_component_space(int(settings["components"]), expression_of(train))
    points = place(expression_of(train))
    found = {r: find_centres(points, labels) for r, labels in leiden(points, settings, rng).items()}
    return Prepared(place, found, choose_subgroups(train, settings))


def leiden(points: Matrix, settings: Mapping[str, Any], rng: np.random.Generator) -> dict[float, Labels]:
    """(patients,) clusters from 0, the largest first, of each resolution: scanpy's Leiden on a graph of neighbours."""
    import anndata
    import scanpy as sc

    graph = build_neighbour_graph(points, max(1, min(int(settings["neighbours"]), len(points) // 4)))
    patients, seed = anndata.AnnData(points), int(rng.integers(2**31 - 1))
    found = {}
    for resolution in map(float, settings["resolutions"]):
        sc.tl.leiden(
            patients, resolution, adjacency=graph, use_weights=False, directed=False, flavor="igraph",
            n_iterations=ITERATIONS, random_state=seed,
        )  # fmt: skip
        found[resolution] = _by_size(patients.obs["leiden"].astype(int).to_numpy())
    return found


def build_neighbour_graph(points: Matrix, count: int) -> csr_matrix:
    """(patients, patients), 1 above the diagonal where one of two patients is among the `count` nearest of the other.

    The pairs are those of scanpy's `pp.neighbors`, whose weights are not used: those of UMAP take each job ten seconds
    to compile, and Gaussian ones are 0 / 0 between profiles that were copied.
    """
    from scipy.sparse import csr_matrix

    n = len(points)
    found = neighbours(points, points, count + 1)[1]
    ends = np.column_stack([np.repeat(np.arange(n), count + 1), found.ravel()])
    # Each pair once, whoever is the other's neighbour; a patient is no neighbour of its own.
    pairs = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)
    return csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))


def _by_size(labels: Labels) -> Labels:
    """The same parts, numbered from the largest; of equal ones as they were numbered."""
    order = np.argsort(-np.bincount(labels), kind="stable")
    return np.argsort(order)[labels].astype(np.intp)


def find_centres(points: Matrix, labels: Labels) -> Matrix:
    """(clusters, components) means of the clusters."""
    return np.asarray([points[labels == c].mean(axis=0) for c in range(labels.max() + 1)])


def find_nearest(points: Matrix, to: Matrix) -> Labels:
    """(patients,) the nearest centre of each point."""
    return np.concatenate([squared.argmin(axis=1) for _, squared in squared_distances(points, to)]).astype(np.intp)


def _visibility(state: Matrix, labels: Labels) -> float:
    """Agreement of clusters with which of the events patients carry; NaN where all known patients carry the same."""
    known = ~np.isnan(state).any(axis=1)
    if not known.any() or not state.shape[1]:
        return float("nan")
    combined = np.unique(state[known], axis=0, return_inverse=True)[1].ravel()
    return adjusted_mutual_information(labels[known], combined) if combined.max() > 0 else float("nan")


def _shares(labels: Labels, count: int) -> Vector:
    return np.bincount(labels, minlength=count) / max(len(labels), 1)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """All metrics. `rng` gives the seeds of the Leiden algorithm."""
    learned: Prepared | None = comparison.prepared
    real, candidate, reason = comparison.real, comparison.candidate, lacking(comparison)
    if reason or learned is None or not has_expression(real) or not has_expression(candidate):
        return [Value(metric.name, np.nan, modality="expression", reason=reason) for metric in METRICS]
    n = min(expression_of(real).n_obs, expression_of(candidate).n_obs)
    points = [learned.place(side) for side in (expression_of(real), expression_of(candidate))]
    carriers = [states(side, learned.subgroups) for side in (real, candidate)]
    own = [leiden(part, settings, rng) for part in points]
    kept: dict[tuple[str, str], list[float]] = {}
    for resolution, known in learned.centres.items():
        here, there = (find_nearest(part, known) for part in points)
        other = find_nearest(points[0], find_centres(points[1], own[1][resolution]))
        seen = [_visibility(state, labels) for state, labels in zip(carriers, (here, there), strict=True)]
        found = {
            ("leiden_agreement", "all"): adjusted_rand(here, other),
            ("leiden_size_distance", "all"): total_variation(_shares(here, len(known)), _shares(there, len(known))),
            ("subgroup_visibility", "all"): seen[1],
            ("subgroup_visibility", "real"): seen[0],
            ("leiden_clusters", "all"): float(own[1][resolution].max() + 1),
            ("leiden_clusters", "real"): float(own[0][resolution].max() + 1),
        }
        for j, name in enumerate(learned.subgroups):
            members = here[carriers[0][:, j] == 1], there[carriers[1][:, j] == 1]
            few = min(map(len, members)) < FEWEST_CARRIERS
            shares = [_shares(side, len(known)) for side in members]
            found["subgroup_cluster_distance", name] = np.nan if few else total_variation(*shares)
        for key, value in found.items():
            kept.setdefault(key, []).append(value)
    means = {key: float(np.mean(numbers)) for key, numbers in kept.items()}
    apart = [value for (name, _), value in means.items() if name == "subgroup_cluster_distance" and np.isfinite(value)]
    means["subgroup_cluster_distance", "all"] = float(np.mean(apart)) if apart else np.nan
    none = "no subgroup that enough patients of both sides carry and others do not"
    return [
        Value(name, value, target, "expression", n, "" if np.isfinite(value) else none)
        for (name, target), value in means.items()
    ]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Share of both sides in each cluster of training patients, and the share of carriers in each."""
    learned: Prepared | None = comparison.prepared
    real, candidate = comparison.real, comparison.candidate
    if lacking(comparison) or learned is None or not has_expression(real) or not has_expression(candidate):
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, lacking(comparison), ha="center", va="center", color=NEUTRAL)
        return drawn
    # The resolution in the middle of those that are averaged.
    known = learned.centres[sorted(learned.centres)[len(learned.centres) // 2]]
    where = [find_nearest(learned.place(side), known) for side in (expression_of(real), expression_of(candidate))]
    count, names = len(known), learned.subgroups
    drawn, axes = new_figure(12, 1.9 + 0.34 * max(count, 4), ncols=3, gridspec_kw={"width_ratios": [1.1, 1, 1]})
    rows = np.arange(count)
    sizes = np.bincount(where[0], minlength=count)
    shown = np.where(sizes >= MIN_CELL_COUNT, sizes, 0) / len(where[0])
    axes[0].barh(rows - 0.19, shown, height=0.36, color=REAL, label=f"real, held out (n = {len(where[0]):,})")
    other = np.bincount(where[1], minlength=count) / len(where[1])
    axes[0].barh(rows + 0.19, other, height=0.36, color=SYNTHETIC, label=f"{label} (n = {len(where[1]):,})")
    for row in np.flatnonzero(sizes < MIN_CELL_COUNT):
        axes[0].text(0.002, row - 0.19, f"<{MIN_CELL_COUNT}", va="center", fontsize=8)
    axes[0].set(xlabel="share of patients in the Leiden clusters of training patients")
    axes[0].set_yticks(rows, [f"cluster {i + 1}" for i in rows])
    axes[0].set_ylim(count - 0.4, -0.6)
    drawn.legend(loc="outside upper center", ncols=2, fontsize=9)
    _title(axes[0], values, "leiden_size_distance", "distance of sizes")
    for axis, side, labels, text in zip(axes[1:], (real, candidate), where, ("real, held out", label), strict=True):
        _draw_carriers(axis, states(side, names), labels, count, names, text, hidden=side is real)
    _title(axes[2], values, "subgroup_visibility", f"{label}, visibility")
    _title(axes[1], values[values["target"] == "real"].assign(target="all"), "subgroup_visibility", "real, visibility")
    return drawn


def _title(axis: Any, values: pd.DataFrame, metric: str, text: str) -> None:
    found = values[(values["metric"] == metric) & (values["target"] == "all") & (values["status"] == "ok")]
    axis.set_title(f"{text} {found['value'].iloc[0]:.2f}" if len(found) else text.split(",")[0], loc="left")


def _draw_carriers(
    axis: Any, state: Matrix, labels: Labels, count: int, names: tuple[str, ...], text: str, *, hidden: bool
) -> None:
    """Share of carriers among the patients of each cluster in whom an event is known; none from fewer than five."""
    member = labels == np.arange(count)[:, None]
    carriers, known = member @ (state == 1).astype(float), member @ (~np.isnan(state)).astype(float)
    small = (known < MIN_CELL_COUNT) | (hidden & (np.minimum(carriers, known - carriers) < MIN_CELL_COUNT))
    share = carriers / np.maximum(known, 1)
    # Of fewer than five carriers, or others, only which side of the half they stand on.
    share = np.where(small, np.where(known < MIN_CELL_COUNT, np.nan, np.round(share)), share)
    axis.imshow(share, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*share.shape):
        value, dark = share[row, column], share[row, column] > 0.5
        written = "few" if small[row, column] and not dark else "most" if small[row, column] else f"{100 * value:.0f}"
        axis.text(column, row, "" if np.isnan(value) else written, ha="center", va="center", fontsize=8,
                  color="white" if dark else "black")  # fmt: skip
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axis.set_yticks([])
    axis.set_ylim(count - 0.4, -0.6)
    axis.tick_params(length=0)
    axis.set_xlabel(f"carriers in each cluster, %; {text}")
