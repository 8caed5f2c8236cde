"""Variability: is a synthetic cohort as varied as a real one, column by column and in combinations?

Columns are coded into few states (`haemosynth.stats.contingency_tables`): levels, numbers cut at training quantiles,
alterations present, absent or unknown; missing is a state. Pairs and triples are those most associated among training
patients, the same ones for every candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.stats.contingency_tables import (
    CellDesign,
    cell_counts,
    chao_shen,
    count_distance,
    design_cells,
    miller_madow,
)
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import mean_or_reason, train_as_shown
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "bins": 3,  # parts of equal shares of training patients that a number is cut into
    "pairs": 30,  # pairs, and as many triples, of each modality
    "block_columns": 5,  # clinical columns of a block
    "block_events": 8,  # alterations of their block
}
_CHOSEN = "the 30 most associated ones of each modality among training patients, no column in more than 5 of them"
STAGE = Stage("diversity", needs=("clinical",), memory=2000, runtime=30)
METRICS = (
    Metric(
        "column_variation", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "mean over columns of sum |p - q| / 2 over states: levels, thirds of numbers, alterations, missing",
        "Gibbs and Su, Int Stat Rev 2002;70:419",
    ),
    Metric(
        "pair_variation", "error", "probability", (0, 1), JOINT, "bootstrap",
        f"mean over pairs of columns of sum |p - q| / 2 over their combined states; {_CHOSEN} (Cramer's V)",
        "Gibbs and Su, Int Stat Rev 2002;70:419; Bergsma, J Korean Stat Soc 2013;42:323",
    ),
    Metric(
        "triple_variation", "error", "probability", (0, 1), JOINT, "bootstrap",
        f"mean over triples of columns of sum |p - q| / 2 over their combined states; {_CHOSEN} (sum of V)",
        "Gibbs and Su, Int Stat Rev 2002;70:419; Bergsma, J Korean Stat Soc 2013;42:323",
    ),
    Metric(
        "entropy_error", "error", "nats", (0, np.inf), UNIVARIATE, "bootstrap",
        "mean over columns of |H_candidate - H_real|, H = -sum p ln p + (occupied states - 1) / 2n (Miller-Madow)",
        "Miller, in Quastler (ed.), Information Theory in Psychology 1955",
    ),
    Metric(
        "joint_entropy_error", "error", "nats", (0, np.inf), JOINT, "subsample",
        "mean over blocks of |H_candidate - H_real|, H the joint entropy of a block's columns by Chao and Shen: shares"
        " shrunk by the estimated coverage, cells weighted by the inverse chance of being seen. Blocks: the most"
        " associated columns of each clinical group, the most frequent alterations",
        "Chao and Shen, Environ Ecol Stat 2003;10:429",
    ),
    Metric(
        "entropy_difference", "descriptive", "nats", (-np.inf, np.inf), UNIVARIATE, "subsample",
        "H_candidate - H_real of each column (Miller-Madow) and block (Chao-Shen); below 0: variety was lost",
        "Miller, in Quastler (ed.), Information Theory in Psychology 1955; Chao and Shen, Environ Ecol Stat"
        " 2003;10:429",
    ),
    Metric(
        "variance_ratio", "target", "ratio", (0, np.inf), UNIVARIATE, "bootstrap",
        "variance of the candidate / variance of real patients, known values winsorised at the 1-99 % range of training"
        " patients; all is the geometric mean over numbers",
        "this project",
        target=1.0,
    ),
    Metric(
        "variance_agreement", "agreement", "ratio", (0, 1), UNIVARIATE, "bootstrap",
        "mean over numbers of min(r, 1/r), r the variance ratio: narrow and wide columns do not make up for each other",
        "this project",
    ),
)  # fmt: skip
MOST_SHOWN = 60  # rows of a panel


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> CellDesign:
    """Learn the coding and choose pairs, triples and blocks from training patients. `rng` is not used."""
    return design_cells(train_as_shown(comparison), settings)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric for each column, pair, triple or block, and `all`, the mean over those of a modality.

    Needs `comparison.prepared`. Settings were used by `prepare`; `rng` is not used.
    """
    design: CellDesign = comparison.prepared
    coding, n = design.coding, len(comparison.real)
    real, candidate = coding.codes(comparison.real), coding.codes(comparison.candidate)
    columns = [(i,) for i in range(len(coding.columns))]
    values: list[Value] = []
    for metric, sets in (
        ("column_variation", columns), ("pair_variation", design.pairs), ("triple_variation", design.triples)
    ):  # fmt: skip
        for chosen in sets:
            distance = count_distance(*cell_counts(real, candidate, coding.sizes, chosen))
            values.append(Value(metric, distance, coding.format_name(chosen), coding.modality(chosen), n))
    differences = [
        *((coding.format_name(chosen), chosen, miller_madow, "entropy_error") for chosen in columns),
        *((f"block {name}", chosen, chao_shen, "joint_entropy_error") for name, chosen in design.blocks.items()),
    ]
    for target, chosen, entropy, metric in differences:
        first, second = (entropy(counts) for counts in cell_counts(real, candidate, coding.sizes, chosen))
        modality = coding.modality(chosen)
        values.append(Value("entropy_difference", second - first, target, modality, n))
        values.append(Value(metric, abs(second - first), target, modality, n))
    values += _variances(comparison, design)
    return [*_summaries(values, n), *values]


def _variances(comparison: Comparison, design: CellDesign) -> list[Value]:
    values = []
    for name, (low, high) in design.ranges.items():
        sides = [
            np.clip(cohort.clinical[name].dropna().to_numpy(np.float64), low, high)
            for cohort in (comparison.real, comparison.candidate)
        ]
        n, reason = min(map(len, sides)), ""
        if n < 2:
            reason = "fewer than two values are known on one side"
        elif np.ptp(sides[0]) == 0:
            reason = "the column is constant in real patients"
        ratio = float("nan") if reason else float(np.var(sides[1], ddof=1) / np.var(sides[0], ddof=1))
        values.append(Value("variance_ratio", ratio, name, n=n, reason=reason))
        folded = ratio if reason or ratio == 0 else min(ratio, 1 / ratio)
        values.append(Value("variance_agreement", folded, name, n=n, reason=reason))
    return values


def _summaries(values: list[Value], n: int) -> list[Value]:
    found: dict[tuple[str, str], list[float]] = {}
    for value in values:
        if value.metric != "entropy_difference":
            found.setdefault((value.metric, value.modality), []).append(value.value)
    for metric in METRICS:  # a metric without a target still says why
        if metric.kind != "descriptive" and all(name != metric.name for name, _ in found):
            found[metric.name, "clinical"] = []
    means = []
    for (name, modality), numbers in found.items():
        if name == "variance_ratio":
            # A constant column would make the geometric mean 0 whatever the others do.
            numbers = [np.log(max(number, 1e-3)) for number in numbers]
        mean = mean_or_reason(numbers, "no column, or no combination of columns, of this kind")
        if name == "variance_ratio":
            mean["value"] = float(np.exp(mean["value"]))
        means.append(Value(name, modality=modality, n=n, **mean))
    return means


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Entropy of every column on both sides, variance ratios, and total variation of columns, pairs and triples."""
    design: CellDesign = comparison.prepared
    coding = design.coding
    sides = [coding.codes(cohort) for cohort in (comparison.real, comparison.candidate)]
    entropies: dict[str, list[tuple[str, float, float]]] = {"clinical": [], "genomic": []}
    for i, name in enumerate(coding.columns):
        first, second = (miller_madow(counts) for counts in cell_counts(sides[0], sides[1], coding.sizes, (i,)))
        entropies[coding.modality((i,))].append((name, first, second))
    shown = [(kind, sorted(rows, key=lambda row: -row[1])[:MOST_SHOWN]) for kind, rows in entropies.items() if rows]
    longest = max([12, *(len(rows) for _, rows in shown), len(design.ranges)])
    fig, axes = new_figure(3.3 * (len(shown) + 2), 0.17 * longest + 1.9, ncols=len(shown) + 2)
    for axis, (kind, rows) in zip(axes, shown, strict=False):
        _draw_entropies(axis, rows, longest)
        axis.set_title("entropy of clinical columns" if kind == "clinical" else "entropy of alterations")
    axes[0].legend(
        [f"real (n = {len(comparison.real)})", f"{label} (n = {len(comparison.candidate)})"],
        loc="lower right", fontsize=7.5, handletextpad=0.3,
    )  # fmt: skip
    known = values[(values.status == "ok") & (values.modality == "clinical")].set_index(["metric", "target"])
    _draw_ratios(axes[-2], known, longest)
    _draw_variation(axes[-1], values[values.status == "ok"])
    return fig


def _shorten(name: str, most: int = 20) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _rows(axis: Any, names: list[str], longest: int) -> Any:
    y = np.arange(len(names))
    axis.set_yticks(y, [_shorten(name) for name in names], fontsize=7.5)
    axis.set_ylim(longest - 0.4, -0.6)  # rows of equal height in all panels
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", color="#EEEEEE", lw=0.6)
    return y


def _draw_entropies(axis: Any, rows: list[tuple[str, float, float]], longest: int) -> None:
    names, real, candidate = zip(*rows, strict=True)
    y = _rows(axis, list(names), longest)
    axis.plot(real, y, "o", ms=4, color=REAL, zorder=3)
    axis.plot(candidate, y, "o", ms=4, mfc="white", color=SYNTHETIC, zorder=4)
    axis.hlines(y, real, candidate, color=NEUTRAL, lw=1, zorder=2)
    axis.set_xlim(left=0)
    axis.set_xlabel("entropy, nats")


def _draw_ratios(axis: Any, known: pd.DataFrame, longest: int) -> None:
    axis.set_title("variance, candidate / real")
    if "variance_ratio" not in known.index.get_level_values("metric"):
        axis.axis("off")
        axis.text(0.5, 0.5, "no number", ha="center", color=NEUTRAL, transform=axis.transAxes)
        return
    table = known.loc["variance_ratio"]
    table = table[table.index != "all"].head(MOST_SHOWN)
    value, low, high = (table[name].to_numpy(np.float64).clip(0.05, 20) for name in ("value", "low", "high"))
    y = _rows(axis, list(table.index), longest)
    axis.hlines(y, low, high, color=SYNTHETIC, lw=1.2)
    axis.plot(value, y, "o", ms=4, mfc="white", color=SYNTHETIC)
    axis.axvline(1, color=REAL, lw=0.9, zorder=0)
    axis.set_xscale("log")
    edge = max(2.2, 1.1 * np.nanmax(np.concatenate([value, 1 / value, high, 1 / low])))
    axis.set_xlim(1 / edge, edge)
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if 1 / edge <= tick <= edge]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("ratio, 95 % interval")


def _draw_variation(axis: Any, values: pd.DataFrame) -> None:
    """Every column, pair and triple as a stroke; their mean as a point."""
    names, y = [], 0
    for metric, text in (("column_variation", "columns"), ("pair_variation", "pairs"), ("triple_variation", "triples")):
        for modality in ("clinical", "genomic", "joint"):
            table = values[(values.metric == metric) & (values.modality == modality)]
            single = table[table.target != "all"].value.to_numpy(np.float64)
            if not len(single):
                continue
            axis.vlines(single, y - 0.15, y + 0.15, color=SYNTHETIC, lw=0.8, alpha=0.6)
            axis.plot(table[table.target == "all"].value, [y], "D", ms=5, color=BLUE, zorder=3)
            names.append(f"{text}, {modality}")
            y += 1
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(left=0)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("total variation (mean: diamond)")
    axis.set_title("distance from real patients")
