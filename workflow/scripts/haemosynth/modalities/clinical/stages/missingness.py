"""Missingness: are values missing as often, together, and in the same kinds of patients as in reality?

Missing is information: a test is done where somebody had a reason, and a karyotype is lacking more often in patients
who die early. Clinical columns, cytogenetic events, and whether a patient was sequenced (one indicator for all genes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import DIVERGING, REAL, SYNTHETIC, new_figure
from haemosynth.encode.design import Design, code_levels, make_indicators
from haemosynth.stats.association import Matrix, cross_correlation, rank_columns, weighted_concordance, weighted_error
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

NOT_SEQUENCED = "not sequenced"
SHOWN = 30  # indicators of the figure

DEFAULTS: dict[str, Any] = {
    "min_missing": 5,  # patients with and without the value, among real ones, that joint metrics need of an indicator
}
STAGE = Stage("fidelity", needs=("clinical",), memory=2000, runtime=30)
METRICS = (
    Metric(
        "missing_rate_error", "error", "share", (0, 1), UNIVARIATE, "bootstrap",
        "|share missing in real - share missing in candidate|, mean over columns with a missing value on either side",
        "this project",
    ),
    Metric(
        "missing_together_error", "error", "", (0, 2), JOINT, "bootstrap",
        "sum |phi_r| |phi_r - phi_c| / sum |phi_r|, phi the correlation of two indicators of missingness",
        "this project; Yule, J R Stat Soc 1912;75:579",
    ),
    Metric(
        "missing_together_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "2 sum w x y / sum w (x^2 + y^2), x and y the phi coefficients of real and candidate, w = |x|",
        "Lin, Biometrics 1989;45:255; Yule, J R Stat Soc 1912;75:579",
    ),
    Metric(
        "missing_by_value_error", "error", "", (0, 2), JOINT, "bootstrap",
        "sum |r_r| |r_r - r_c| / sum |r_r|, r the correlation of an indicator of missingness with the ranks of every"
        " other clinical column (nominal columns by level)",
        "this project; Rubin, Biometrika 1976;63:581",
    ),
    Metric(
        "missing_by_value_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "2 sum w x y / sum w (x^2 + y^2), x and y the correlations of indicators of missingness with clinical"
        " columns in real and candidate, w = |x|",
        "Lin, Biometrics 1989;45:255; Rubin, Biometrika 1976;63:581",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """Indicators of missingness.  names: one each; values: (patients, names), 1 where missing."""

    names: list[str]
    values: Matrix


def find_missing_clinical(design: Design, side: int) -> Missing:
    """One indicator for each clinical column."""
    return Missing(list(design.columns), np.isnan(design.matrices[side]).astype(np.float64))


def find_missing_genomic(cohort: Cohort, genes: list[str], cytogenetic: list[str]) -> Missing:
    """One indicator of not being sequenced, if there are genes, and one for each cytogenetic event."""
    if cohort.alterations is None or cohort.sequenced is None:
        raise ValueError("the cohort has no genomic modality")
    parts = [cohort.alterations[cytogenetic].isna().to_numpy(np.float64)]
    if genes:
        parts.insert(0, 1 - cohort.sequenced.to_numpy(np.float64)[:, None])
    return Missing([NOT_SEQUENCED] * bool(genes) + cytogenetic, np.hstack(parts))


def _both(comparison: Comparison) -> tuple[Design, dict[str, tuple[Missing, Missing]]]:
    schema = comparison.real.schema
    design = code_levels(schema, comparison.real.clinical, comparison.candidate.clinical)
    sides = {"clinical": (find_missing_clinical(design, 0), find_missing_clinical(design, 1))}
    if comparison.real.alterations is not None and comparison.candidate.alterations is not None:
        genes = schema.genes
        cytogenetic = [name for name, kind in schema.alterations.items() if kind != "gene"]
        sides["genomic"] = (
            find_missing_genomic(comparison.real, genes, cytogenetic),
            find_missing_genomic(comparison.candidate, genes, cytogenetic),
        )
    return design, sides


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Rates of missing values, which values are missing together, and in which patients.

    Joint metrics read indicators that vary among real patients (`min_missing`); modality clinical are clinical
    columns, genomic alterations, and `missing_by_value` of genomic indicators is modality joint. An indicator that
    does not vary in the candidate has lost its associations: they count as 0. `rng` is not used.
    """
    n = len(comparison.real)
    design, sides = _both(comparison)
    recorded = [make_indicators(design, side) for side in (0, 1)]
    values: list[Value] = []
    for modality, (real, candidate) in sides.items():
        rates = np.abs(real.values.mean(axis=0) - candidate.values.mean(axis=0))
        touched = (real.values.sum(axis=0) + candidate.values.sum(axis=0)) > 0
        reason = "" if touched.any() else "no value is missing on either side"
        error = float(rates[touched].mean()) if touched.any() else np.nan
        values.append(Value("missing_rate_error", error, modality=modality, n=n, reason=reason))
        for name, rate, is_touched in zip(real.names, rates, touched, strict=True):
            complete = "" if is_touched else "no value is missing on either side"
            values.append(
                Value("missing_rate_error", float(rate) if is_touched else np.nan, name, modality, n, complete)
            )

        count = real.values.sum(axis=0)
        varies = (count >= settings["min_missing"]) & (len(real.values) - count >= settings["min_missing"])
        x, y = (cross_correlation(side.values[:, varies], side.values[:, varies]) for side in (real, candidate))
        read = np.triu(~np.isnan(x), 1)
        values += _joint("missing_together", x[read], y[read], modality, n)

        x, y = (
            cross_correlation(side.values[:, varies], rank_columns(table))
            for side, (_, table) in zip((real, candidate), recorded, strict=True)
        )
        # A column says nothing about its own missingness: it is known wherever the indicator could vary.
        read = ~np.isnan(x)
        values += _joint("missing_by_value", x[read], y[read], "joint" if modality == "genomic" else modality, n)
    return values


def _joint(name: str, x: Matrix, y: Matrix, modality: str, n: int) -> list[Value]:
    metrics = (f"{name}_error", f"{name}_agreement")
    if not len(x) or not np.abs(x).sum():
        reason = "too few columns with missing values in real patients"
        return [Value(metric, np.nan, modality=modality, n=n, reason=reason) for metric in metrics]
    y, weight = np.nan_to_num(y), np.abs(x)
    numbers = (weighted_error(x, y, weight), weighted_concordance(x, y, weight))
    return [Value(metric, number, modality=modality, n=n) for metric, number in zip(metrics, numbers, strict=True)]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Share missing of each column, and which are missing together: real below, candidate above the diagonal."""
    _, sides = _both(comparison)
    names: list[str] = [name for real, _ in sides.values() for name in real.names]
    real, candidate = (np.hstack([pair[side].values for pair in sides.values()]) for side in (0, 1))
    rates = np.stack([real.mean(axis=0), candidate.mean(axis=0)])
    order = np.argsort(-rates.max(axis=0), kind="stable")
    order = order[rates[:, order].max(axis=0) > 0][:SHOWN]
    if not len(order):
        fig, axis = new_figure(6.0, 1.6)
        axis.text(0.5, 0.5, "No value is missing on either side.", ha="center", va="center")
        axis.set_axis_off()
        return fig
    kept = [names[i] if len(names[i]) <= 22 else f"{names[i][:21]}…" for i in order]
    height = max(3.2, 1.6 + 0.2 * len(kept))
    fig, (left, right) = new_figure(11.0, height + 0.6, ncols=2, gridspec_kw={"width_ratios": [1, 1.05]})
    y = np.arange(len(kept))
    rows = ((real, rates[0], REAL, "real", -0.17), (candidate, rates[1], SYNTHETIC, label, 0.17))
    for matrix, rate, colour, name, offset in rows:
        low, high = wilson(rate[order] * len(matrix), len(matrix))
        left.hlines(y + offset, 100 * low, 100 * high, color=colour, lw=1.2)
        left.scatter(100 * rate[order], y + offset, s=16, c=colour, zorder=3, label=f"{name} (n = {len(matrix)})")
    left.set_yticks(y, kept, fontsize=8)
    left.set_ylim(len(kept) - 0.4, -0.6)
    left.set_xlim(left=-1)
    left.set_xlabel("missing, % with 95 % interval")
    left.legend(loc="lower right", fontsize=9, frameon=False)
    left.set_title("Missing values")

    phi = [cross_correlation(matrix[:, order], matrix[:, order]) for matrix in (real, candidate)]
    lower = np.tril(np.ones((len(order),) * 2, dtype=bool), -1)
    both = np.where(lower, phi[0], phi[1])
    np.fill_diagonal(both, np.nan)
    image = right.imshow(np.ma.masked_invalid(both), cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    size = 8 if len(kept) <= 25 else 7
    right.set_xticks(range(len(kept)), kept, rotation=90, fontsize=size)
    right.set_yticks(range(len(kept)), kept, fontsize=size)
    right.tick_params(length=0)
    right.set_title(f"Missing together\n(below the diagonal real, above {label})")
    bar = fig.colorbar(image, ax=right, shrink=0.5, pad=0.02)
    bar.set_label("phi coefficient")
    return fig


def wilson(count: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % Wilson interval of a share (Wilson, J Am Stat Assoc 1927;22:209)."""
    z = 1.959963984540054
    n = max(n, 1)
    share = count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
