"""Mutual exclusivity: are alterations that exclude each other in real patients exclusive here?

The same two comparisons as in co-occurrence, on the other side: negative log odds ratios, and overlaps below what
frequency of events and burden of patients alone would give (lower tail of a load-matched test).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.modalities.genomic.alterations import make_matrix
from haemosynth.modalities.genomic.interactions import DEFAULTS as DEFAULTS
from haemosynth.modalities.genomic.interactions import (
    compare_odds,
    declare_metrics,
    find_testable,
    measure_tail,
)
from haemosynth.stats.pairs import load_matched, load_matched_discoveries, pair_counts
from haemosynth.validate import Stage
from haemosynth.validate.stage import Comparison, Value

STAGE = Stage("fidelity", needs=("genomic",), memory=2000, runtime=30)
METRICS = declare_metrics(
    "pairs with negative log odds in real patients",
    "pairs frequent enough to be tested that real patients carry together less often than expected",
    "mutually exclusive",
)
SHOWN = 20  # pairs of the figure


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Negative odds ratios, and the exclusive pairs found by the load-matched test. `rng` is not used."""
    return measure_tail(comparison, settings, "lower")


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """The most exclusive pairs of real patients, observed and expected overlap on both sides; negative odds ratios."""
    events = list(comparison.real.schema.alterations)
    sides = [make_matrix(cohort, events) for cohort in (comparison.real, comparison.candidate)]
    test, other = (load_matched(side) for side in sides)
    tested = find_testable(test, "lower", settings["significance"])
    significant = load_matched_discoveries(test, "lower", tested, settings["false_discovery_rate"])
    rows, columns = np.nonzero(np.triu(tested, 1))
    order = np.argsort(test.lower[rows, columns], kind="stable")[:SHOWN]
    pairs = list(zip(rows[order], columns[order], strict=True))

    height = max(3.6, 1.4 + 0.24 * len(pairs))
    fig, (left, right) = new_figure(11.0, height, ncols=2, gridspec_kw={"width_ratios": [1.6, 1]})
    both = ((test, sides[0], REAL, "real", -0.17), (other, sides[1], SYNTHETIC, label, 0.17))
    for result, side, colour, name, offset in both:
        known = np.array([max(pair_counts(side).known[pair], 1) for pair in pairs])
        carriers = np.array([result.observed[pair] for pair in pairs])
        few = (carriers > 0) & (carriers < MIN_CELL_COUNT)
        observed = 100 * np.where(few, MIN_CELL_COUNT, carriers) / known
        expected = 100 * np.array([result.expected[pair] for pair in pairs]) / known
        y = np.arange(len(pairs)) + offset
        left.hlines(y, observed, expected, color=colour, lw=1)
        left.scatter(expected, y, marker="|", s=45, c=colour, label=f"{name}, expected")
        left.scatter(observed, y, s=20, c=np.where(few, "white", colour), edgecolors=colour, zorder=3)
        left.scatter([], [], s=20, c=colour, label=f"{name}, observed (n = {len(side)})")
    labels = [f"{events[i]} ~ {events[j]}" + (" *" if significant[i, j] else "") for i, j in pairs]
    left.set_yticks(range(len(pairs)), labels, fontsize=8)
    left.set_ylim(len(pairs) - 0.4, -0.6)
    left.set_xlim(left=min(-0.05, left.get_xlim()[0]))
    left.set_xlabel("carriers of both, % of patients in whom both are known")
    left.set_title("Most exclusive pairs of real patients")
    if pairs:
        left.scatter(
            [], [], s=20, c="white", edgecolors=NEUTRAL, label=f"open: fewer than {MIN_CELL_COUNT} carriers of both"
        )
        left.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="none")
    else:
        left.text(0.5, 0.5, "no pair is frequent enough", ha="center", transform=left.transAxes)

    x, y_odds, precision, read = compare_odds(pair_counts(sides[0]), pair_counts(sides[1]), settings["min_expected"])
    read = read & (x < 0)
    if read.any():
        weight = precision[read] / precision[read].max()
        right.scatter(x[read] / np.log(2), y_odds[read] / np.log(2), s=40 * weight, c=NEUTRAL, alpha=0.6, linewidths=0)
    low, high = right.get_xlim()[0], 0.0
    right.plot([low, high], [low, high], c="black", lw=0.8)
    right.axhline(0, c=NEUTRAL, lw=0.5)
    right.set_xlim(low, high)
    right.set(xlabel="log2 odds ratio, real", ylabel=f"log2 odds ratio, {label}")
    row = values[(values.metric == "log_odds_agreement") & (values.target == "all") & (values.status == "ok")]
    text = "" if row.empty else f"agreement {row.value.iloc[0]:.2f} ({row.low.iloc[0]:.2f} to {row.high.iloc[0]:.2f})"
    right.set_title(f"{int(read.sum())} negative pairs" + (f"\n{text}" if text else ""))
    return fig
