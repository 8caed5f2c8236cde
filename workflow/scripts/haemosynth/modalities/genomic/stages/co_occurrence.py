"""Co-occurrence: do alterations occur together in one patient as often as in real patients?

All pairs of alterations are compared on the patients in whom both are known, in two ways: by log odds ratios, and by
the overlap beyond what frequency of events and burden of patients alone would give (upper tail of a load-matched test).
Patients with many alterations bias odds ratios towards co-occurrence; the load-matched test corrects for this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.figures import DIVERGING, NEUTRAL, new_figure
from haemosynth.modalities.genomic.alterations import make_matrix
from haemosynth.modalities.genomic.interactions import DEFAULTS as DEFAULTS
from haemosynth.modalities.genomic.interactions import (
    compare_odds,
    declare_metrics,
    find_testable,
    measure_tail,
)
from haemosynth.stats.pairs import (
    Matrix,
    discoveries,
    fisher_exact,
    load_matched,
    load_matched_discoveries,
    log_odds_ratios,
    pair_counts,
)
from haemosynth.validate import Stage
from haemosynth.validate.stage import Comparison, Value

STAGE = Stage("fidelity", needs=("genomic",), memory=2000, runtime=30)
METRICS = declare_metrics("all pairs", "all pairs frequent enough to be tested", "co-occurring")
SHOWN = 25  # alterations of the figure
LIMIT = 4.0  # log2 odds ratio at which the colours end


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Odds ratios of all pairs, and the pairs found by the load-matched test. `rng` is not used."""
    return measure_tail(comparison, settings, "upper")


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Log2 odds ratios of the most frequent alterations, real and candidate, and all pairs against each other."""
    everything = list(comparison.real.schema.alterations)
    real = make_matrix(comparison.real, everything)
    order = np.argsort(-np.nan_to_num(np.nanmean(real, axis=0)), kind="stable")[:SHOWN]
    events = [everything[i] for i in order]
    fig, axes = new_figure(14.2, 5.4, ncols=3, gridspec_kw={"width_ratios": [1.12, 1.12, 0.86]})
    image = None
    for axis, cohort, title in ((axes[0], comparison.real, "real"), (axes[1], comparison.candidate, label)):
        image = _matrix_panel(
            axis, make_matrix(cohort, everything), order, f"{title} (n = {len(cohort)})", events, settings
        )
    if image is not None:
        bar = fig.colorbar(image, ax=axes[1], shrink=0.6, pad=0.02, extend="both")
        bar.set_label("log2 odds ratio")
    _scatter(axes[2], comparison, values, everything, settings["min_expected"], label)
    return fig


def _matrix_panel(
    axis: Any, alterations: Matrix, order: Any, title: str, events: list[str], settings: Mapping[str, Any]
) -> Any:
    counts = pair_counts(alterations)
    odds = log_odds_ratios(counts)[0] / np.log(2)
    rate, significance = settings["false_discovery_rate"], settings["significance"]
    test = load_matched(alterations)
    matched = load_matched_discoveries(test, "upper", find_testable(test, "upper", significance), rate)
    matched |= load_matched_discoveries(test, "lower", find_testable(test, "lower", significance), rate)
    carried = np.diag(counts.both) > 0
    fisher = discoveries(
        fisher_exact(counts), np.asarray(carried[:, None] & carried & ~np.eye(len(odds), dtype=bool)), rate
    )
    part = np.ix_(order, order)
    shown = np.ma.masked_where(np.triu(np.ones((len(order), len(order)), dtype=bool)), odds[part])
    shown = np.ma.masked_where(~(carried[order][:, None] & carried[order]), shown)
    image = axis.imshow(shown, cmap=DIVERGING, vmin=-LIMIT, vmax=LIMIT, interpolation="nearest")
    for marks, style in (
        (matched, {"c": "black", "s": 9}),
        (fisher & ~matched, {"ec": "black", "fc": "none", "s": 12}),
    ):
        rows, columns = np.nonzero(np.tril(marks[part], -1))
        axis.scatter(columns, rows, linewidths=0.7, **style)
    size = 7 if len(events) > 15 else 8
    axis.set_xticks(range(len(events) - 1), events[:-1], rotation=90, fontsize=size)
    axis.set_yticks(range(1, len(events)), events[1:], fontsize=size)
    axis.tick_params(length=0)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.set_title(title)
    handles = [
        axis.scatter([], [], c="black", s=9, label="load-matched"),
        axis.scatter([], [], ec="black", fc="none", s=12, linewidths=0.7, label="Fisher only"),
    ]
    axis.legend(
        handles=handles,
        loc="upper right",
        title=f"false discovery rate {rate:.0%}",
        fontsize=8,
        title_fontsize=8,
        frameon=False,
    )
    return image


def _scatter(
    axis: Any, comparison: Comparison, values: pd.DataFrame, events: list[str], min_expected: float, label: str
) -> None:
    real, candidate = (pair_counts(make_matrix(cohort, events)) for cohort in (comparison.real, comparison.candidate))
    x, y, precision, read = compare_odds(real, candidate, min_expected)
    x, y, size = x[read] / np.log(2), y[read] / np.log(2), precision[read]
    # Odds ratios beyond 2^-7 and 2^7 rest on a cell of 0; they are drawn at the edge.
    x, y = np.clip(x, -7, 7), np.clip(y, -7, 7)
    if len(x):
        axis.scatter(x, y, s=40 * size / size.max(), c=NEUTRAL, alpha=0.6, linewidths=0)
    low, high = -7.4, 7.4
    axis.plot([low, high], [low, high], c="black", lw=0.8)
    axis.axhline(0, c=NEUTRAL, lw=0.5)
    axis.axvline(0, c=NEUTRAL, lw=0.5)
    axis.set(xlim=(low, high), ylim=(low, high), xlabel="log2 odds ratio, real", ylabel=f"log2 odds ratio, {label}")
    axis.set_box_aspect(1)
    row = values[(values.metric == "log_odds_agreement") & (values.target == "all") & (values.status == "ok")]
    text = "" if row.empty else f"agreement {row.value.iloc[0]:.2f} ({row.low.iloc[0]:.2f} to {row.high.iloc[0]:.2f})"
    axis.set_title(f"{len(x)} pairs" + (f"\n{text}" if text else ""))
