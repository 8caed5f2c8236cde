"""Features: do features that are computed from whole records have the distribution of real patients?

Principal components of the whole record (clinical columns and alterations on the scale of
`haemosynth.encode.records.Encoder`), fitted on training patients; and scores that clinicians read: derived and
ordinal disease columns, alterations per patient, and a prognostic index, the linear predictor of a Cox model of the
primary endpoint learned from training patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, compute_heights, make_swatch, new_figure
from haemosynth.encode.records import Encoder, fit_encoder
from haemosynth.stats.contingency_tables import GROUPS
from haemosynth.stats.cox import fit_cox
from haemosynth.stats.distributions import distances, level_shares, total_variation
from haemosynth.stats.neighbours import squared_distances
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import mean_or_reason, train_as_shown
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
DEFAULTS: dict[str, Any] = {
    "components": 10,  # principal components that are compared
    "directions": 100,  # random directions of the sliced Wasserstein distance
    "ridge": 3.0,  # penalty of the prognostic index: log hazard ratios ~ Normal(0, 1 / ridge)
    "events": 20,  # training events it needs
    "rows": 2_000,  # patients of a side at most for pairwise distances; larger sides are subsampled
}
STAGE = Stage("diversity", needs=("clinical",), memory=2000, runtime=30)
METRICS = (
    Metric(
        "component_wasserstein", "error", "standard deviations", (0, np.inf), JOINT, "bootstrap",
        "integral |F_real - F_candidate| dx of every component / its standard deviation in training patients; all is"
        " the mean weighted by explained variance",
        "Kantorovich-Rubinstein; Jolliffe, Principal Component Analysis 2002",
    ),
    Metric(
        "sliced_wasserstein", "error", "standard deviations", (0, np.inf), JOINT, "bootstrap",
        "mean over 100 random directions of integral |F_real - F_candidate| dx of the components, each first divided by"
        " its standard deviation in training patients, along the direction",
        "Bonneel et al., J Math Imaging Vis 2015;51:22",
    ),
    Metric(
        "energy_distance", "error", "", (0, 1), JOINT, "subsample",
        "(2 E|X - Y| - E|X - X'| - E|Y - Y'|) / 2 E|X - Y| of real X and candidate Y in the space of the components",
        "Szekely and Rizzo, J Stat Plan Inference 2013;143:1249",
    ),
    Metric(
        "mmd", "target", "", (-2, 2), JOINT, "subsample",
        "unbiased squared maximum mean discrepancy in the space of the components, Gaussian kernel as wide as the"
        " median distance of training patients; may fall below 0",
        "Gretton et al., J Mach Learn Res 2012;13:723",
        target=0.0,
    ),
    Metric(
        "spectrum_agreement", "agreement", "", (0, 1), JOINT, "subsample",
        "1 - sum |l - m| / sum (l + m), l and m the descending variances of the principal components of real and"
        " candidate",
        "this project",
    ),
    Metric(
        "subspace_agreement", "agreement", "", (0, 1), JOINT, "subsample",
        "sum of squared cosines of the angles between the leading 10 principal axes of real and candidate, / 10",
        "Krzanowski, J Am Stat Assoc 1979;74:703",
    ),
    Metric(
        "score_wasserstein", "error", "standard deviations", (0, np.inf), UNIVARIATE, "bootstrap",
        "integral |F_real - F_candidate| dx / standard deviation of real patients, of each score: derived and ordinal"
        " disease columns (levels as 1, 2, ...; without an order, sum |p - q| / 2), alterations per patient, prognostic"
        " index (linear predictor of a Cox model learned from training patients)",
        "Kantorovich-Rubinstein; Cox, J R Stat Soc B 1972;34:187",
    ),
)  # fmt: skip
PROGNOSTIC, BURDEN = "prognostic index", "alterations per patient"


@dataclass(frozen=True)
class Space:
    """The principal components of training patients.

    axes: (encoded columns, components). deviation: (components,), standard deviation of training patients along each.
    share: (components,), part of the variance that each explains. directions: (components, directions), of length 1.
    width: of the kernel, in units of the encoded columns.
    """

    encoder: Encoder
    centre: Vector
    axes: Matrix
    deviation: Vector
    share: Vector
    directions: Matrix
    width: float

    def scores(self, points: Matrix) -> Matrix:
        """Encoded patients along the components.  (patients, encoded columns) -> (patients, components)"""
        return np.asarray((points - self.centre) @ self.axes)


@dataclass(frozen=True)
class Index:
    """A prognostic index: a linear predictor over encoded baseline columns; `reason` says why there is none."""

    encoder: Encoder | None
    log_hazard: Vector
    reason: str = ""


@dataclass(frozen=True)
class Prepared:
    """What training patients fix."""

    space: Space
    index: Index


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Learn the components and the prognostic index from training patients. `rng` chooses the random directions."""
    train = train_as_shown(comparison)
    return Prepared(_space(train, settings, rng), _index(train, settings))


def _space(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Space:
    encoder = fit_encoder(train)
    points = encoder.points(train)
    centre = points.mean(axis=0)
    variances, axes = find_principal_axes(points)
    kept = variances[: int(settings["components"])] > 1e-9
    variances_kept, axes = variances[: len(kept)][kept], axes[:, : len(kept)][:, kept]
    directions = rng.standard_normal((len(variances_kept), int(settings["directions"])))
    scores = (points - centre) @ axes
    some = scores[np.sort(rng.permutation(len(scores))[: int(settings["rows"])])]
    apart = np.concatenate([squared.ravel() for _, squared in squared_distances(some, some)])
    width = float(np.sqrt(np.median(apart[apart > 0]))) if (apart > 0).any() else 1.0
    return Space(
        encoder,
        centre,
        axes,
        np.sqrt(variances_kept),
        variances_kept / max(variances.sum(), 1e-12),
        directions / np.linalg.norm(directions, axis=0),
        width,
    )


def find_principal_axes(points: Matrix) -> tuple[Vector, Matrix]:
    """Variances along the principal axes, descending, and the axes.

    (patients, columns) -> (columns,), (columns, columns). The sign of an axis makes its largest entry positive.
    """
    variances, axes = np.linalg.eigh(np.cov(points, rowvar=False).reshape(points.shape[1], -1))
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return variances, axes * np.where(largest < 0, -1.0, 1.0)


def _index(train: Cohort, settings: Mapping[str, Any]) -> Index:
    schema = train.schema
    if not schema.endpoints:
        return Index(None, np.empty(0), "the cohort has no survival endpoint")
    time, event = (train.clinical[f"{schema.endpoints[0]}_{part}"].to_numpy(np.float64) for part in ("time", "event"))
    followed = np.isfinite(time) & np.isfinite(event)
    if event[followed].sum() < int(settings["events"]):
        return Index(None, np.empty(0), f"fewer than {settings['events']} training events of {schema.endpoints[0]}")
    # Known at baseline: neither treatment nor outcome.
    names = [name for name, column in schema.columns.items() if column.group in GROUPS and column.kind != "time"]
    baseline = replace(
        train,
        schema=replace(schema, columns={name: schema.columns[name] for name in names}, endpoints=()),
        clinical=train.clinical[names],
    )
    encoder = fit_encoder(baseline)
    model = fit_cox(encoder.points(baseline)[followed], time[followed], event[followed], ridge=float(settings["ridge"]))
    return Index(encoder, model.log_hazard)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric, with single components (PC1, ...) and scores beside. Needs `comparison.prepared`.

    `rng` only chooses patients where a side exceeds `rows`.
    """
    n = len(comparison.real)
    modality = "joint" if comparison.prepared.space.encoder.alterations else "clinical"
    return [*_components(comparison, settings, rng, modality, n), *_scores(comparison, modality, n)]


def _components(
    comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator, modality: str, n: int
) -> list[Value]:
    space: Space = comparison.prepared.space
    points = [space.encoder.points(cohort) for cohort in (comparison.real, comparison.candidate)]
    if min(map(len, points)) < 3 or not len(space.deviation):
        reason = "fewer than three patients on one side, or training patients who are all alike"
        return [Value(metric.name, np.nan, modality=modality, n=n, reason=reason) for metric in METRICS[:-1]]
    real, candidate = (space.scores(side) for side in points)
    single = [
        distances(a, b)[0] / deviation for a, b, deviation in zip(real.T, candidate.T, space.deviation, strict=True)
    ]
    values = [
        Value("component_wasserstein", float(np.average(single, weights=space.share)), modality=modality, n=n),
        *(Value("component_wasserstein", d, f"PC{i}", modality, n) for i, d in enumerate(single, start=1)),
    ]
    along = [(side / space.deviation) @ space.directions for side in (real, candidate)]
    sliced = [distances(a, b)[0] for a, b in zip(along[0].T, along[1].T, strict=True)]
    values.append(Value("sliced_wasserstein", float(np.mean(sliced)), modality=modality, n=n))
    most = int(settings["rows"])
    some = [
        side[np.sort(rng.permutation(len(side))[:most])] if len(side) > most else side for side in (real, candidate)
    ]
    energy, discrepancy = sample_distances(some[0], some[1], space.width)
    (first, first_axes), (second, second_axes) = (find_principal_axes(side) for side in points)
    total = float((first + second).sum())
    kept = len(space.deviation)
    angles = first_axes[:, :kept].T @ second_axes[:, :kept]
    found = {
        "energy_distance": energy,
        "mmd": discrepancy,
        "spectrum_agreement": 1 - float(np.abs(first - second).sum()) / total if total > 0 else 1.0,
        "subspace_agreement": min(1.0, float((angles**2).sum()) / kept),
    }
    return [*values, *(Value(metric, value, modality=modality, n=n) for metric, value in found.items())]


def sample_distances(first: Matrix, second: Matrix, width: float) -> tuple[float, float]:
    """Energy coefficient (0 to 1, with the pairs of a patient with itself) and unbiased squared maximum mean
    discrepancy (Gaussian kernel exp(-d^2 / 2 width^2)) of two samples.

    Args:
        first, second: (patients, dimensions), at least two patients each.
    """
    distance, kernel = np.zeros(3), np.zeros(3)
    for k, (a, b) in enumerate(((first, second), (first, first), (second, second))):
        same = k > 0
        for _, squared in squared_distances(a, b):
            distance[k] += np.sqrt(squared).sum()
            kernel[k] += np.exp(-squared / (2 * width**2)).sum()
        distance[k] /= len(a) * len(b)
        # Unbiased: a patient beside itself does not count.
        kernel[k] = (kernel[k] - len(a) * same) / (len(a) * (len(b) - same))
    energy = 1 - (distance[1] + distance[2]) / (2 * distance[0]) if distance[0] > 0 else 0.0
    return float(np.clip(energy, 0, 1)), float(kernel[1] + kernel[2] - 2 * kernel[0])


def compute_scores(cohort: Cohort, index: Index) -> dict[str, Vector]:
    """Every score of the patients in whom it is known. Levels are positions in the schema's order, from 0."""
    found: dict[str, Vector] = {}
    for name, column in cohort.schema.columns.items():
        if column.derived is None and not (column.kind == "ordinal" and column.group == "disease"):
            continue
        values = cohort.clinical[name]
        if not column.numeric:
            place = {level: i for i, level in enumerate(column.categories)}
            values = values.astype(object).map(place)
        found[name] = values.dropna().to_numpy(np.float64)
    if cohort.schema.alterations and cohort.alterations is not None:
        count = cohort.alterations.to_numpy(np.float64).sum(axis=1)
        found[BURDEN] = count[~np.isnan(count)]
    if index.encoder is not None:
        found[PROGNOSTIC] = index.encoder.points(cohort) @ index.log_hazard
    return found


def find_nominal(cohort: Cohort, score: str) -> bool:
    """Whether the order of a score's levels means nothing."""
    column = cohort.schema.columns.get(score)
    return column is not None and column.kind == "categorical" and len(column.categories) > 2


def _scores(comparison: Comparison, modality: str, n: int) -> list[Value]:
    real, candidate = (
        compute_scores(cohort, comparison.prepared.index) for cohort in (comparison.real, comparison.candidate)
    )
    values = []
    for name, known in real.items():
        other, reason, distance = candidate.get(name, np.empty(0)), "", np.nan
        if not len(known) or not len(other):
            reason = "the score is known in nobody on one side"
        elif find_nominal(comparison.real, name):
            count = len(comparison.real.schema.columns[name].categories)
            distance = total_variation(level_shares(known, count), level_shares(other, count))
        elif np.ptp(known) == 0:
            reason = "the score is constant in real patients"
        else:
            distance = distances(known, other)[0] / float(known.std())
        values.append(Value("score_wasserstein", float(distance), name, modality, min(len(known), len(other)), reason))
    if comparison.prepared.index.reason:
        reason = comparison.prepared.index.reason
        values.append(Value("score_wasserstein", np.nan, PROGNOSTIC, modality, reason=reason))
    mean = mean_or_reason([value.value for value in values], "no score")
    return [Value("score_wasserstein", modality=modality, n=n, **mean), *values]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Density of the first two components, variance along the components, and the distribution of every score."""
    prepared: Prepared = comparison.prepared
    cohorts = comparison.real, comparison.candidate
    found = [compute_scores(cohort, prepared.index) for cohort in cohorts]
    names = [name for name in found[0] if len(found[0][name]) and len(found[1].get(name, ()))]
    across = 4
    down = max(1, -(-len(names) // across))
    heights = {"height_ratios": [3.7] + [2.0] * down}
    fig, axes = new_figure(12, 4.1 + 2.0 * down, nrows=1 + down, ncols=across, gridspec_kw=heights, squeeze=False)
    grid = axes[0, 0].get_gridspec()
    for axis in (*axes[0], *list(axes[1:].flat)[len(names) :]):
        axis.remove()
    points = [prepared.space.encoder.points(cohort) for cohort in cohorts]
    _draw_density(fig.add_subplot(grid[0, :2]), prepared.space, points)
    _draw_spectrum(fig.add_subplot(grid[0, 2:]), prepared.space, points)
    shown = values[(values.metric == "score_wasserstein") & (values.status == "ok")].set_index("target").value
    for axis, name in zip(axes[1:].flat, names, strict=False):
        _draw_score(axis, comparison.real, name, found[0][name], found[1][name])
        axis.set_title(name if len(name) <= 24 else f"{name[:23]}…", fontsize=9, loc="left", pad=14)
        if name in shown:
            short = "TV" if find_nominal(comparison.real, name) else "W"
            axis.text(0, 1.02, f"{short} {shown[name]:.2f}", transform=axis.transAxes, fontsize=7.5, va="bottom")
        axis.tick_params(labelsize=7.5)
    handles = [
        make_swatch(REAL, f"real (n = {len(comparison.real)})"),
        make_swatch(SYNTHETIC, f"{label} (n = {len(comparison.candidate)})"),
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=9.5)
    return fig


def _draw_density(axis: Any, space: Space, points: list[Matrix]) -> None:
    """Contours that hold 25, 50 and 75 % of the patients: no contour surrounds a single one."""
    from scipy.stats import gaussian_kde

    axis.set_title("first two principal components")
    if len(space.deviation) < 2 or min(map(len, points)) < 20:
        axis.axis("off")
        axis.text(0.5, 0.5, "too few patients or components", ha="center", color=NEUTRAL, transform=axis.transAxes)
        return
    planes = [space.scores(side)[:, :2] for side in points]
    low, high = np.quantile(np.concatenate(planes), [0.02, 0.98], axis=0)
    margin = 0.3 * (high - low)
    x, y = (np.linspace(low[k] - margin[k], high[k] + margin[k], 80) for k in (0, 1))
    mesh = np.stack([side.ravel() for side in np.meshgrid(x, y)])
    for plane, colour, style, width in zip(planes, (REAL, SYNTHETIC), ("solid", "dashed"), (1.1, 1.4), strict=True):
        if np.linalg.matrix_rank(np.cov(plane.T)) < 2:
            continue
        density = gaussian_kde(plane.T)
        inside = np.quantile(density(plane.T), [0.25, 0.5, 0.75])
        height = density(mesh).reshape(len(y), len(x))
        if (np.diff(inside) > 0).all():
            axis.contour(x, y, height, levels=inside, colors=colour, linestyles=style, linewidths=width)
    for axis_name, part in zip("xy", space.share[:2], strict=True):
        text = f"PC{1 if axis_name == 'x' else 2} ({100 * part:.0f} % of training variance)"
        axis.set(**{f"{axis_name}label": text})
    axis.text(0.99, 0.01, "contours hold 25, 50 and 75 %", transform=axis.transAxes, fontsize=7.5, ha="right")


def _draw_spectrum(axis: Any, space: Space, points: list[Matrix]) -> None:
    kept = max(1, len(space.deviation))
    for side, colour, marker in zip(points, (REAL, SYNTHETIC), ("o", "s"), strict=True):
        if len(side) < 3:
            continue
        variances = find_principal_axes(side)[0]
        along = space.scores(side).var(axis=0, ddof=1)
        place = np.arange(1, kept + 1)
        axis.plot(place, variances[:kept], color=colour, marker=marker, ms=4, lw=1.3, label="own components")
        axis.plot(place[: len(along)], along, color=colour, lw=1, ls="dotted", label="training components")
    axis.set_ylim(bottom=0)
    axis.set_xticks(range(1, kept + 1))
    axis.set_xlabel("component")
    axis.set_ylabel("variance")
    axis.set_title("variance along components")
    handles, texts = axis.get_legend_handles_labels()
    axis.legend(handles[:2], texts[:2], fontsize=8, loc="upper right")


def _draw_score(axis: Any, real: Cohort, name: str, first: Vector, second: Vector) -> None:
    column = real.schema.columns.get(name)
    if name == PROGNOSTIC or (column is not None and column.numeric):
        low, high = np.quantile(np.concatenate([first, second]), [0.01, 0.99])
        edges = np.linspace(low, high, 16) if high > low else np.array([low - 0.5, low + 0.5])
        for side, colour, style in zip((first, second), (REAL, SYNTHETIC), ({"alpha": 0.25, "fill": True}, {"lw": 1.4}),
                                       strict=True):  # fmt: skip
            counts = np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0]
            axis.stairs(compute_heights(counts, colour == REAL), edges, color=colour, **style)
        if name == PROGNOSTIC:
            axis.set_xlabel("log hazard", fontsize=7.5, labelpad=1)
    else:
        levels = list(column.categories) if column is not None else None
        top = len(levels) if levels is not None else int(max(first.max(), second.max())) + 1
        for side, colour, shift in zip((first, second), (REAL, SYNTHETIC), (-0.2, 0.2), strict=True):
            counts = np.bincount(side.astype(np.intp), minlength=top)
            axis.bar(np.arange(top) + shift, compute_heights(counts, colour == REAL), 0.38, color=colour)
        if levels is not None:
            axis.set_xticks(range(top), [level if len(level) <= 9 else f"{level[:8]}…" for level in levels])
            if top > 4 or sum(map(len, levels)) > 20:
                axis.tick_params(axis="x", rotation=35)
    axis.set_ylabel("%", fontsize=7.5, labelpad=1)
