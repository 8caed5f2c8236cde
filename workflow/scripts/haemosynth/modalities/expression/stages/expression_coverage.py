"""Coverage of expression: which part of the variety of real profiles do synthetic profiles reach?

Patients are points in the principal components of training patients' variable genes; neighbours are counted as in the
stage coverage, and the spread of both sides is compared along every component.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, interval_rows, new_figure
from haemosynth.encode.records import Matrix
from haemosynth.modalities.expression.components import fit_component_space
from haemosynth.modalities.expression.part import find_expression
from haemosynth.modalities.expression.subgroups import lacking
from haemosynth.stats.neighbours import neighbourhoods
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "components": 10,
    "neighbours": 5,
}
STAGE = Stage("diversity", needs=("expression",), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "expression_precision", "descriptive", "share", (0, 1), JOINT, "subsample",
        "share of synthetic profiles within the ball, to the 5th nearest real profile, of at least one real profile;"
        " distances in the 10 leading principal components of training patients. Not scored: profiles of genes drawn"
        " alone gather in the middle, where real balls are",
        "Kynkaanniemi et al., NeurIPS 2019 (improved precision and recall)",
    ),
    Metric(
        "expression_recall", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of real profiles within the ball, to the 5th nearest synthetic one, of at least one synthetic profile",
        "Kynkaanniemi et al., NeurIPS 2019 (improved precision and recall)",
    ),
    Metric(
        "expression_density", "target", "ratio", (0, np.inf), JOINT, "subsample",
        "mean over synthetic profiles of the sum of 1/k over the real balls that hold it, k the other real profiles in"
        " a ball (5 but for ties)",
        "Naeem et al., ICML 2020",
        target=1.0,
    ),
    Metric(
        "expression_coverage", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of real profiles whose ball, to the 5th nearest real profile, holds a synthetic profile",
        "Naeem et al., ICML 2020",
    ),
    Metric(
        "component_variance_error", "error", "log ratio", (0, np.inf), JOINT, "subsample",
        "mean over the 10 components of |log(v_candidate / v_real)|, v the variance of patients along a component",
        "this project",
    ),
    Metric(
        "variance_ratio", "descriptive", "ratio", (0, np.inf), JOINT, "subsample",
        "sum over the 10 components of the candidate's variance over the same sum of real patients; below 1: synthetic"
        " profiles are more alike",
        "this project",
    ),
)  # fmt: skip


def prepare(
    comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator
) -> Callable[[AnnData], Matrix] | None:
    """The principal components of training patients; None where expression cannot be read. `rng` is not used."""
    train = find_expression(comparison.train)
    return None if lacking(comparison) or train is None else fit_component_space(int(settings["components"]), train)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Neighbours and variances. `rng` is not used."""
    real, candidate, reason = (
        find_expression(comparison.real),
        find_expression(comparison.candidate),
        lacking(comparison),
    )
    if reason or real is None or candidate is None:
        return [Value(metric.name, np.nan, modality="expression", reason=reason) for metric in METRICS]
    known, made = comparison.prepared(real), comparison.prepared(candidate)
    around = neighbourhoods(known, made, int(settings["neighbours"]))
    found = {f"expression_{name}": value for name, value in around.items()}
    variance = known.var(axis=0), made.var(axis=0)
    gap = np.log(np.maximum(variance[1], 1e-12) / np.maximum(variance[0], 1e-12))
    found["component_variance_error"] = float(np.abs(gap).mean())
    found["variance_ratio"] = float(variance[1].sum() / max(variance[0].sum(), 1e-12))
    n = min(len(known), len(made))
    return [Value(name, value, modality="expression", n=n) for name, value in found.items()]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """The metrics with their intervals, and the spread of both sides along each component."""
    fig, axes = new_figure(10.5, 3.9, ncols=2)
    real, candidate = find_expression(comparison.real), find_expression(comparison.candidate)
    if lacking(comparison) or real is None or candidate is None:
        for axis in axes:
            axis.axis("off")
        axes[0].text(0, 0.5, lacking(comparison), color=NEUTRAL)
        return fig
    rows = [
        (metric.name, "all", metric.name.removeprefix("expression_").replace("_", " "), SYNTHETIC)
        for metric in METRICS
        if metric.name != "component_variance_error"
    ]
    interval_rows(axes[0], values, rows)
    axes[0].axvline(1, color=NEUTRAL, lw=0.8, zorder=0)
    axes[0].set_xlim(left=0)
    axes[0].set_xlabel("share or ratio, 1 is best; 95 % interval")
    axes[0].set_title(f"{label}: real profiles reached", loc="left")
    for side, name, colour, mark in ((real, "real, held out", REAL, "o"), (candidate, label, SYNTHETIC, "s")):
        spread = comparison.prepared(side).std(axis=0)
        axes[1].plot(
            np.arange(1, len(spread) + 1), spread, f"{mark}-", color=colour, ms=4, lw=1.2,
            label=f"{name} (n = {side.n_obs:,})",
        )  # fmt: skip
    axes[1].set_ylim(bottom=0)
    axes[1].set_xlabel("principal component of training patients, the leading one first")
    axes[1].set_ylabel("standard deviation of patients")
    axes[1].set_title("spread", loc="left")
    axes[1].legend()
    return fig
