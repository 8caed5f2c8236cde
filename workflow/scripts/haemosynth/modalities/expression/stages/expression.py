"""Gene expression: distribution of every gene, co-expression, and what differs between molecular subgroups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.figures import BLACK, BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, SKY, SYNTHETIC, new_figure
from haemosynth.encode.records import Matrix, Vector
from haemosynth.modalities.expression import subgroups
from haemosynth.modalities.expression.part import expression_of, find_expression, has_expression
from haemosynth.modalities.expression.profiles import dense, levels
from haemosynth.modalities.expression.subgroups import FEWEST, choose_subgroups, difference, lacking, states
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    **subgroups.DEFAULTS,
    "correlated": 200,  # genes at most whose correlations are compared, those that vary most
    "top": 50,  # genes that change most
}
LEVEL = 0.05  # of the false discovery rate
STAGE = Stage("fidelity", needs=("expression",), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "gene_mean_error", "error", "SD", (0, np.inf), UNIVARIATE, "bootstrap",
        "mean over genes of |mean level of the candidate - of real patients| / standard deviation among training"
        " patients; levels on the log2 scale",
        "this project",
    ),
    Metric(
        "gene_spread_error", "error", "log ratio", (0, np.inf), UNIVARIATE, "bootstrap",
        "mean over genes of |log(s_candidate / s_real)|, s the standard deviation of the level, at least 0.01",
        "this project",
    ),
    Metric(
        "gene_zero_error", "error", "share", (0, 1), UNIVARIATE, "bootstrap",
        "mean over genes of |share of patients without a read in the candidate - in real patients|; counts only",
        "this project",
    ),
    Metric(
        "coexpression_error", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "sum w |r_candidate - r_real| / sum w over pairs of the most variable genes; r: Pearson correlation of levels,"
        " w its square among training patients",
        "this project",
    ),
    Metric(
        "fold_change_correlation", "agreement", "correlation", (-1, 1), JOINT, "bootstrap",
        "Pearson correlation over genes of the log2 fold change between carriers of an alteration and others, candidate"
        " against real patients; mean over subgroups; target: a subgroup",
        "this project",
    ),
    Metric(
        "top_genes_shared", "agreement", "share", (0, 1), JOINT, "bootstrap",
        "share of the genes with the largest |t| (Welch) between carriers and others in real patients that are among"
        " those of the candidate; mean over subgroups; target: a subgroup",
        "Welch, Biometrika 1947;34:28",
    ),
    Metric(
        "false_discoveries", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of the genes that differ between carriers and others in the candidate (Benjamini-Hochberg, 5 %) that do"
        " not differ in the same direction in real patients (p < 0.05); mean over subgroups; target: a subgroup",
        "Benjamini and Hochberg, J R Stat Soc B 1995;57:289",
    ),
)  # fmt: skip
GROUPED = ("fold_change_correlation", "top_genes_shared", "false_discoveries")


@dataclass(frozen=True)
class Prepared:
    """What training patients show: spread of genes, positions of variable genes, their correlations, the subgroups."""

    spread: Vector
    variable: NDArray[np.intp]
    weight: Matrix
    subgroups: tuple[str, ...]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | None:
    """Learn from training patients; None where expression cannot be read. Nothing is drawn."""
    train = comparison.train
    if lacking(comparison) or not has_expression(train):
        return None
    known = levels(expression_of(train)).astype(float)
    spread = known.std(axis=0)
    marked = np.flatnonzero(expression_of(train).var["highly_variable"].to_numpy(dtype=bool))
    most = int(settings["correlated"])
    variable = np.sort(marked[np.argsort(-spread[marked], kind="stable")[:most]])
    return Prepared(
        np.maximum(spread, 0.01), variable, _correlations(known[:, variable]) ** 2, choose_subgroups(train, settings)
    )


def _correlations(values: Matrix) -> Matrix:
    """Correlations of columns, 0 for a constant one; the diagonal is 0 and so counts for nothing."""
    centred = values - values.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    scaled = np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-9)
    found = np.clip(scaled.T @ scaled, -1, 1)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """All metrics. Nothing is drawn."""
    learned: Prepared | None = comparison.prepared
    reason = lacking(comparison)
    if reason or learned is None:
        return [Value(metric.name, np.nan, modality="expression", reason=reason) for metric in METRICS]
    sides = [find_expression(side) for side in (comparison.real, comparison.candidate)]
    n = min(part.n_obs for part in sides if part is not None)
    known, made = (levels(part).astype(float) for part in sides)
    spread = [np.maximum(part.std(axis=0), 0.01) for part in (known, made)]
    gap = np.abs(_correlations(made[:, learned.variable]) - _correlations(known[:, learned.variable]))
    total = learned.weight.sum()
    found = {
        "gene_mean_error": float((np.abs(made.mean(axis=0) - known.mean(axis=0)) / learned.spread).mean()),
        "gene_spread_error": float(np.abs(np.log(spread[1] / spread[0])).mean()),
        "coexpression_error": float((learned.weight * gap).sum() / total) if total > 0 else np.nan,
    }
    values = [
        Value(name, value, modality="expression", n=n, reason="" if np.isfinite(value) else "no correlated genes")
        for name, value in found.items()
    ]
    if sides[0] is not None and sides[0].uns["values"] == "counts":
        zeros = [(dense(part.X) == 0).mean(axis=0) for part in sides if part is not None]
        values.append(Value("gene_zero_error", float(np.abs(zeros[1] - zeros[0]).mean()), modality="expression", n=n))
    else:
        values.append(Value("gene_zero_error", np.nan, modality="expression", n=n, reason="no counts"))
    return values + _by_subgroup(learned, comparison, known, made, int(settings["top"]), n)


def _by_subgroup(
    learned: Prepared, comparison: Comparison, known: Matrix, made: Matrix, top: int, n: int
) -> list[Value]:
    """What differs between carriers and others, of each subgroup and on average."""
    kept: dict[str, list[float]] = {name: [] for name in GROUPED}
    values = []
    carried = (states(side, learned.subgroups).T for side in (comparison.real, comparison.candidate))
    for event, *carrier in zip(learned.subgroups, *carried, strict=True):
        real, own = difference(known, carrier[0]), difference(made, carrier[1])
        if real is None or own is None:
            reason = f"fewer than {FEWEST} carriers or others have expression"
            values += [Value(name, np.nan, event, "expression", n, reason) for name in GROUPED]
            continue
        number = min(top, len(real[0]) // 2)
        best = [set(np.argsort(-np.abs(t), kind="stable")[:number].tolist()) for t in (real[1], own[1])]
        discovered = _discoveries(own[2])
        confirmed = (real[2] < 0.05) & (np.sign(real[0]) == np.sign(own[0]))
        spread = real[0].std() * own[0].std()
        found = {
            "fold_change_correlation": float(np.corrcoef(real[0], own[0])[0, 1]) if spread > 0 else 0.0,
            "top_genes_shared": len(best[0] & best[1]) / max(number, 1),
            "false_discoveries": float((~confirmed)[discovered].mean()) if discovered.any() else np.nan,
        }
        for name, value in found.items():
            reason = "" if np.isfinite(value) else "no gene differs in the candidate"
            values.append(Value(name, value, event, "expression", n, reason))
            if np.isfinite(value):
                kept[name].append(value)
    for name, numbers in kept.items():
        mean = float(np.mean(numbers)) if numbers else np.nan
        reason = "" if numbers else "no subgroup with enough carriers on both sides"
        values.append(Value(name, mean, modality="expression", n=n, reason=reason))
    return values


def _discoveries(p: Vector) -> NDArray[np.bool_]:
    """Genes found at a false discovery rate of LEVEL (Benjamini and Hochberg, J R Stat Soc B 1995;57:289)."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p) <= LEVEL)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Mean and spread of every gene, and the fold changes of the subgroups, candidate against real patients."""
    drawn, axes = new_figure(11, 3.9, ncols=3)
    learned: Prepared | None = comparison.prepared
    real, candidate = find_expression(comparison.real), find_expression(comparison.candidate)
    if learned is None or real is None or candidate is None or lacking(comparison):
        for axis in axes:
            axis.set_axis_off()
        axes[0].text(0, 0.5, lacking(comparison), fontsize=9)
        return drawn
    known, made = levels(real).astype(float), levels(candidate).astype(float)
    for axis, name, pair in (
        (axes[0], f"mean log2 level of {known.shape[1]:,} genes", (known.mean(axis=0), made.mean(axis=0))),
        (axes[1], "standard deviation of the level", (known.std(axis=0), made.std(axis=0))),
    ):
        axis.plot(*pair, ".", ms=3, alpha=0.5, color=SYNTHETIC, rasterized=True)
        axis.set(xlabel=f"real patients, n = {real.n_obs:,}", ylabel=f"{label}, n = {candidate.n_obs:,}")
        axis.set_title(name, loc="left", fontsize=9)
    carried = (states(side, learned.subgroups).T for side in (comparison.real, comparison.candidate))
    for event, colour, *carrier in zip(learned.subgroups, (BLUE, ORANGE, GREEN, PURPLE, SKY), *carried, strict=False):
        own = difference(known, carrier[0]), difference(made, carrier[1])
        if own[0] is not None and own[1] is not None:
            axes[2].plot(own[0][0], own[1][0], ".", ms=3.5, alpha=0.5, color=colour, label=event, rasterized=True)
    axes[2].set(xlabel="real patients", ylabel=label)
    axes[2].set_title("log2 fold change, carriers to others", loc="left", fontsize=9)
    if axes[2].get_legend_handles_labels()[0]:
        axes[2].legend(frameon=False, fontsize=7, markerscale=2, loc="upper left")
    for axis in axes:
        axis.axline((0, 0), slope=1, color=BLACK, lw=0.8)
        axis.axhline(0, color=NEUTRAL, lw=0.6, ls=":")
    return drawn
