"""Marginals: is every clinical column distributed as in real patients?

Numbers are compared among known values (missingness has its own stage); for levels, missing is one level more. Ties
are kept as they are: distribution functions jump there on both sides. Numbers that a substantial share of patients
has in common (0 % blasts, a detection limit, a preferred digit) are compared by `mixed_distance` too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.figures import REAL, SYNTHETIC, compute_heights, make_swatch, new_figure
from haemosynth.encode.design import Design, code_levels
from haemosynth.stats.distributions import (
    distances,
    find_point_masses,
    hellinger,
    jensen_shannon,
    kullback_leibler,
    level_shares,
    measure_mixed_distance,
    spread,
    total_variation,
)
from haemosynth.validate import Stage
from haemosynth.validate.stage import UNIVARIATE, Comparison, Metric, Value

Vector = NDArray[np.float64]

DEFAULTS: dict[str, Any] = {
    "bins": 10,  # parts of equal shares of training patients, into which Kullback-Leibler divergence cuts numbers
    "point_mass": 0.05,  # share of training patients with the same number that makes it a point mass
}
STAGE = Stage("fidelity", needs=("clinical",), memory=2000, runtime=30)
METRICS = (
    Metric(
        "wasserstein", "error", "interquartile ranges", (0, np.inf), UNIVARIATE, "bootstrap",
        "integral |F_real - F_candidate| dx / interquartile range of the real values (their standard deviation where"
        " that range is 0); known values of numeric columns",
        "Kantorovich-Rubinstein; Ramdas et al., Entropy 2017;19:47",
    ),
    Metric(
        "kolmogorov_smirnov", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "sup |F_real - F_candidate|; known values of numeric columns",
        "Smirnov, Ann Math Stat 1948;19:279",
    ),
    Metric(
        "total_variation", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "sum |p - q| / 2 over levels and missing; events of endpoints count as levels",
        "Gibbs and Su, Int Stat Rev 2002;70:419",
    ),
    Metric(
        "jensen_shannon", "error", "", (0, 1), UNIVARIATE, "bootstrap",
        "sqrt((KL(p, m) + KL(q, m)) / 2), m = (p + q) / 2, logarithms to base 2; levels and missing",
        "Endres and Schindelin, IEEE Trans Inf Theory 2003;49:1858",
    ),
    Metric(
        "hellinger", "error", "", (0, 1), UNIVARIATE, "bootstrap",
        "sqrt(1 - sum sqrt(p q)); levels and missing",
        "Gibbs and Su, Int Stat Rev 2002;70:419",
    ),
    Metric(
        "kullback_leibler", "error", "bits", (0, np.inf), UNIVARIATE, "bootstrap",
        "sum p log2(p / q), p = (real patients + 1/2) / (n + k/2), q likewise of the candidate, over the k cells that"
        " either side has; the 1/2 (Jeffreys) keeps it finite where the candidate lost a level. Levels and missing;"
        " known numbers in tenths of training patients",
        "Kullback and Leibler, Ann Math Stat 1951;22:79; Jeffreys, Proc R Soc A 1946;186:453",
    ),
    Metric(
        "mixed_distance", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "numbers of which at least 5 % of training patients share one value: sum |p - q| / 2 over such point masses and"
        " the rest as one, plus the smaller rest times sup |F_real - F_candidate| of the rest; known values",
        "this project; Gibbs and Su, Int Stat Rev 2002;70:419",
    ),
)  # fmt: skip
NUMERIC = ("wasserstein", "kolmogorov_smirnov")
LEVELS = ("total_variation", "jensen_shannon", "hellinger")
BOTH = "kullback_leibler"
MIXED = "mixed_distance"


@dataclass(frozen=True)
class Marks:
    """Of a number among training patients: cut points into parts of equal shares, and point masses."""

    cuts: Vector
    masses: Vector


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Marks]:
    """Learn the cut points and point masses of every number from training patients. `rng` is not used."""
    found = {}
    for name in comparison.train.schema.columns:
        if not _has_levels(comparison, name):
            known = comparison.train.clinical[name].dropna().to_numpy(np.float64)
            parts = np.linspace(0, 1, int(settings["bins"]) + 1)[1:-1]
            cuts = np.unique(np.quantile(known, parts, method="inverted_cdf")) if len(known) else known
            found[name] = Marks(cuts, find_point_masses(known, float(settings["point_mass"])))
    return found


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric for each column it applies to, and `all`, the mean over columns. Needs `comparison.prepared`."""
    design = code_levels(comparison.real.schema, comparison.real.clinical, comparison.candidate.clinical)
    values: list[Value] = []
    for i, name in enumerate(design.columns):
        real, candidate = (matrix[:, i] for matrix in design.matrices)
        if _has_levels(comparison, name):
            p, q = level_shares(real, len(design.levels[i]) or 2), level_shares(candidate, len(design.levels[i]) or 2)
            found = dict(zip(LEVELS, (total_variation(p, q), jensen_shannon(p, q), hellinger(p, q)), strict=True))
            found[BOTH] = kullback_leibler(p * len(real), q * len(candidate))
            values += [Value(metric, value, name, n=len(real)) for metric, value in found.items()]
            continue
        real, candidate = real[~np.isnan(real)], candidate[~np.isnan(candidate)]
        if not len(real) or not len(candidate):
            side = "real patients" if not len(real) else "the candidate"
            reason = f"no value is known in {side}"
            values += [Value(metric, np.nan, name, reason=reason) for metric in (*NUMERIC, BOTH)]
            continue
        area, gap = distances(real, candidate)
        scale = spread(real)
        values.append(
            Value("wasserstein", area / scale, name, n=len(real))
            if scale > 0
            else Value("wasserstein", np.nan, name, n=len(real), reason="the column is constant in real patients")
        )
        values.append(Value("kolmogorov_smirnov", gap, name, n=len(real)))
        marks: Marks = comparison.prepared[name]
        parts = (np.searchsorted(marks.cuts, side) for side in (real, candidate))
        counts = [np.bincount(part, minlength=len(marks.cuts) + 1).astype(np.float64) for part in parts]
        values.append(Value(BOTH, kullback_leibler(counts[0], counts[1]), name, n=len(real)))
        if len(marks.masses):
            values.append(Value(MIXED, measure_mixed_distance(real, candidate, marks.masses), name, n=len(real)))
    return [*_means(values, len(comparison.real)), *values]


def _means(values: list[Value], n: int) -> list[Value]:
    means = []
    for metric in (*NUMERIC, *LEVELS, BOTH, MIXED):
        numbers = [value.value for value in values if value.metric == metric and not np.isnan(value.value)]
        reason = "" if numbers else "no column of this type"
        means.append(Value(metric, float(np.mean(numbers)) if numbers else np.nan, n=n, reason=reason))
    return means


def _has_levels(comparison: Comparison, name: str) -> bool:
    column = comparison.real.schema.columns[name]
    return not column.numeric or column.kind == "event"


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """One panel for each column: histograms of numbers, bars of levels, real beside candidate."""
    schema = comparison.real.schema
    design = code_levels(schema, comparison.real.clinical, comparison.candidate.clinical)
    across = min(5, max(1, len(design.columns)))
    down = -(-len(design.columns) // across)
    fig, axes = new_figure(2.5 * across, 2.05 * down + 0.5, nrows=down, ncols=across, squeeze=False)
    shown = values.set_index(["metric", "target"]).value
    panels = list(axes.flat)
    for i, (name, axis) in enumerate(zip(design.columns, panels, strict=False)):
        if _has_levels(comparison, name):
            _bars(axis, design, i)
            metric, short = "total_variation", "TV"
        else:
            _histogram(axis, [matrix[:, i] for matrix in design.matrices], schema.columns[name].unit)
            metric, short = "kolmogorov_smirnov", "KS"
        title = name if len(name) <= 24 else f"{name[:23]}…"
        axis.set_title(title, fontsize=9, loc="left", pad=14)
        value = shown.get((metric, name), np.nan)
        if not np.isnan(value):
            axis.text(0, 1.02, f"{short} {value:.2f}", transform=axis.transAxes, fontsize=7.5, va="bottom")
        axis.tick_params(labelsize=7.5)
    for axis in panels[len(design.columns) :]:
        axis.set_visible(False)
    handles = [
        make_swatch(REAL, f"real (n = {len(comparison.real)})"),
        make_swatch(SYNTHETIC, f"{label} (n = {len(comparison.candidate)})"),
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=10, frameon=False)
    return fig


def _histogram(axis: Any, both: list[Vector], unit: str | None) -> None:
    sides = [side[~np.isnan(side)] for side in both]
    everything = np.concatenate(sides)
    if not len(everything):
        axis.text(0.5, 0.5, "no value known", ha="center", transform=axis.transAxes, fontsize=8)
        return
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = np.quantile(everything, [0.01, 0.99])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    middle = np.median(everything)
    skewed = low > 0 and high / low > 20 and middle - low < 0.25 * (high - low)
    whole = bool(np.all(everything == np.round(everything)))
    if skewed:
        edges = np.geomspace(low, high, 21)
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_formatter("{x:g}")
        if np.floor(np.log10(high)) == np.floor(np.log10(low)) + 1:  # one power of ten between: too few to read
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    elif whole:
        # Whole numbers fall into bins of equal count of whole numbers, or the bins would show a comb.
        step = max(1.0, np.ceil((high - low + 1) / 20))
        edges = np.arange(np.floor(low) - 0.5, high + step + 0.5, step)
    else:
        edges = np.linspace(low, high, 21)
    for side, colour, filled in zip(sides, (REAL, SYNTHETIC), (True, False), strict=True):
        if not len(side):
            continue
        height = compute_heights(np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0], filled)
        style = {"fill": True, "color": colour, "alpha": 0.25, "lw": 0} if filled else {"color": colour, "lw": 1.3}
        axis.stairs(height, edges, **style)
        if filled:
            axis.stairs(height, edges, color=colour, lw=0.8)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("%", fontsize=7.5, labelpad=1)
    if unit:
        axis.set_xlabel(unit, fontsize=7.5, labelpad=1)


def _bars(axis: Any, design: Design, i: int) -> None:
    names = list(design.levels[i]) or ["0", "1"]
    shares = [
        compute_heights(np.rint(level_shares(matrix[:, i], len(names)) * len(matrix)), real)
        for matrix, real in zip(design.matrices, (True, False), strict=True)
    ]
    names.append("missing")
    keep = np.flatnonzero((shares[0] > 0) | (shares[1] > 0))
    if len(keep) > 8:  # the most frequent ones, in their order
        keep = np.sort(keep[np.argsort(-(shares[0] + shares[1])[keep], kind="stable")[:8]])
    y = np.arange(len(keep))
    axis.barh(y - 0.2, shares[0][keep], 0.38, color=REAL)
    axis.barh(y + 0.2, shares[1][keep], 0.38, color=SYNTHETIC)
    axis.set_yticks(y, [names[k] if len(names[k]) <= 14 else f"{names[k][:13]}…" for k in keep])
    axis.set_ylim(len(keep) - 0.4, -0.6)
    axis.set_xlabel("%", fontsize=7.5, labelpad=1)
