"""Coverage: which part of the variety of real patients does a synthetic cohort reach?

Levels and combinations of states are counted (`haemosynth.stats.contingency_tables`); whole patients are compared by
their nearest neighbours on the scale of `haemosynth.encode.records.Encoder`, fitted on training patients: numbers in
units of their 10-90 % range, levels and alterations as indicators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLUE, GREEN, NEUTRAL, ORANGE, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Encoder, fit_encoder, some_rows
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.stats.contingency_tables import CellDesign, Vector, cell_counts, design_cells
from haemosynth.stats.neighbours import neighbourhoods
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import mean_or_reason, train_as_shown
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

Matrix = Vector
DEFAULTS: dict[str, Any] = {
    "bins": 3,  # parts of equal shares of training patients that a number is cut into
    "pairs": 30,  # triples of each modality
    "block_columns": 5,  # clinical columns of a block
    "block_events": 8,  # alterations of their block
    "rare": 0.05,  # levels and alterations with a smaller share of real patients are rare
    "neighbours": 5,  # of the balls around patients
    "rows": 5_000,  # patients of a side at most; larger sides are subsampled
}
STAGE = Stage("diversity", needs=(RECORD,), memory=2000, runtime=30)
METRICS = (
    Metric(
        "combination_support", "agreement", "share", (0, 1), JOINT, "subsample",
        "2ab / (a + b), a the share of real patients whose combination of states occurs in the candidate, b the share"
        " of the candidate whose combination occurs in real patients; mean over triples and blocks of columns (those of"
        " the stage variability). A candidate that scatters loses b, one that collapses loses a",
        "this project; after Sajjadi et al., NeurIPS 2018",
    ),
    Metric(
        "support_coverage", "descriptive", "share", (0, 1), JOINT, "subsample",
        "share of real patients whose state (of a column) or combination of states (of a triple or block) occurs in the"
        " candidate at equal n; a candidate that scatters evenly covers most: read it with combination_support",
        "this project",
    ),
    Metric(
        "range_coverage", "descriptive", "share", (0, 1), UNIVARIATE, "subsample",
        "part of the real 1-99 % range of a number that the candidate's 1-99 % range covers; a candidate that scatters"
        " evenly covers all",
        "this project",
    ),
    Metric(
        "rare_kept", "descriptive", "share", (0, 1), UNIVARIATE, "subsample",
        "share of the rare levels, or alterations, of real patients (under 5 % of those in whom it is known) that occur"
        " in the candidate at equal n",
        "this project",
    ),
    Metric(
        "rare_share_error", "error", "log ratio", (0, np.inf), UNIVARIATE, "subsample",
        "mean over rare levels, or alterations, of |ln p_candidate - ln p_real|, p = (carriers + 1/2) / (known + 1)",
        "this project",
    ),
    Metric(
        "precision", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of the candidate within the ball, to the 5th nearest real patient, of at least one real patient",
        "Kynkaanniemi et al., NeurIPS 2019 (improved precision and recall)",
    ),
    Metric(
        "recall", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of real patients within the ball, to the 5th nearest synthetic one, of at least one synthetic patient",
        "Kynkaanniemi et al., NeurIPS 2019 (improved precision and recall)",
    ),
    Metric(
        "density", "target", "ratio", (0, np.inf), JOINT, "subsample",
        "mean over the candidate of the sum of 1/k over the real balls that hold it, balls as of precision and k the"
        " other real patients in a ball (5 but for ties)",
        "Naeem et al., ICML 2020",
        target=1.0,
    ),
    Metric(
        "coverage", "agreement", "share", (0, 1), JOINT, "subsample",
        "share of real patients whose ball, to the 5th nearest real patient, holds a synthetic patient",
        "Naeem et al., ICML 2020",
    ),
)  # fmt: skip
NEIGHBOURS = ("precision", "recall", "density", "coverage")
MOST_SHOWN = 40  # rare categories in the figure
Rare = tuple[str, str, float, float, float, float]


@dataclass(frozen=True)
class Prepared:
    """What training patients fix."""

    cells: CellDesign
    encoder: Encoder


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Learn the coding, the combinations and the scale of distances from training patients. `rng` is not used."""
    return Prepared(design_cells(train_as_shown(comparison), settings), fit_encoder(train_as_shown(comparison)))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric by modality, with single columns and combinations beside. Needs `comparison.prepared`.

    Settings: see DEFAULTS. `rng` only chooses patients where a side exceeds `rows`.
    """
    return [
        *_supports(comparison),
        *_ranges(comparison),
        *_rare(comparison, float(settings["rare"])),
        *_neighbourhoods(comparison, settings, rng),
    ]


def _supports(comparison: Comparison) -> list[Value]:
    design: CellDesign = comparison.prepared.cells
    coding, n = design.coding, len(comparison.real)
    real, candidate = coding.codes(comparison.real), coding.codes(comparison.candidate)
    values = []
    shares: dict[tuple[str, str], list[float]] = {("combination_support", RECORD): []}
    combined = [(coding.format_name(chosen), chosen) for chosen in design.triples]
    combined += [(f"block {name}", chosen) for name, chosen in design.blocks.items()]
    for target, chosen in [*((name, (i,)) for i, name in enumerate(coding.columns)), *combined]:
        first, second = cell_counts(real, candidate, coding.sizes, chosen)
        reached = float(first[second > 0].sum() / first.sum())
        modality = coding.modality(chosen)
        values.append(Value("support_coverage", reached, target, modality, n))
        if len(chosen) > 1:
            plausible = float(second[first > 0].sum() / second.sum())
            both = 2 * reached * plausible / (reached + plausible) if reached > 0 else 0.0
            values.append(Value("combination_support", both, target, modality, n))
            shares.setdefault(("combination_support", modality), []).append(both)
            shares.setdefault(("support_coverage", modality), []).append(reached)
    reason = "no combination of columns"
    means = [Value(m, modality=k, n=n, **mean_or_reason(part, reason)) for (m, k), part in shares.items()]
    return [*means, *values]


def _ranges(comparison: Comparison) -> list[Value]:
    values = []
    for name in comparison.prepared.cells.ranges:
        real, candidate = (
            cohort.clinical[name].dropna().to_numpy(np.float64) for cohort in (comparison.real, comparison.candidate)
        )
        if len(real) < 2 or not len(candidate) or np.ptp(real) == 0:
            reason = "too few known values, or a constant column"
            values.append(Value("range_coverage", np.nan, name, reason=reason))
            continue
        (low, high), (from_, to) = np.quantile(real, [0.01, 0.99]), np.quantile(candidate, [0.01, 0.99])
        if high <= low:
            values.append(Value("range_coverage", np.nan, name, reason="the 1-99 % range of real patients is a point"))
            continue
        covered = max(0.0, min(high, to) - max(low, from_)) / (high - low)
        values.append(Value("range_coverage", float(covered), name, n=len(real)))
    mean = mean_or_reason([value.value for value in values], "no number")
    return [Value("range_coverage", n=len(comparison.real), **mean), *values]


def find_rare_categories(comparison: Comparison, rare: float) -> list[Rare]:
    """Levels and alterations that less than `rare` of real patients have, and at least one of them.

    Returns:
        (name, modality, carriers and known of real patients, carriers and known of the candidate) of each.
    """
    schema = comparison.real.schema
    found = []
    for name, column in schema.recorded.items():
        if column.numeric:
            continue
        sides = [cohort.clinical[name].astype(object) for cohort in (comparison.real, comparison.candidate)]
        counts = [side.dropna().value_counts() for side in sides]
        known = [float(count.sum()) for count in counts]
        for level in sorted(counts[0].index):
            carriers = [float(count.get(level, 0)) for count in counts]
            found.append((f"{name}={level}", RECORD, carriers[0], known[0], carriers[1], known[1]))
    if comparison.real.alterations is not None and comparison.candidate.alterations is not None:
        states = [
            side[list(schema.alterations)].to_numpy(np.float64)
            for side in (comparison.real.alterations, comparison.candidate.alterations)
        ]
        counts = [total for side in states for total in (np.nansum(side, axis=0), (~np.isnan(side)).sum(axis=0))]
        for j, name in enumerate(schema.alterations):
            count_real, known_real, count_other, known_other = (float(total[j]) for total in counts)
            found.append((name, ALTERED, count_real, known_real, count_other, known_other))
    return [row for row in found if 0 < row[2] < rare * row[3]]


def _rare(comparison: Comparison, rare: float) -> list[Value]:
    found = find_rare_categories(comparison, rare)
    values = []
    for modality in (RECORD, ALTERED) if comparison.real.schema.alterations else (RECORD,):
        own = np.array([row[2:] for row in found if row[1] == modality]).reshape(-1, 4)
        real, known, candidate, candidate_known = own.T
        kept = (candidate > 0).astype(float)
        error = np.abs(np.log((candidate + 0.5) / (candidate_known + 1)) - np.log((real + 0.5) / (known + 1)))
        for metric, numbers in (("rare_kept", kept), ("rare_share_error", error)):
            mean = mean_or_reason(numbers.tolist(), "no rare category")
            values.append(Value(metric, modality=modality, n=len(comparison.real), **mean))
    return values


def _neighbourhoods(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    encoder: Encoder = comparison.prepared.encoder
    count, most = int(settings["neighbours"]), int(settings["rows"])
    sides = [some_rows(cohort, most, rng) for cohort in (comparison.real, comparison.candidate)]
    real, candidate = (encoder.points(cohort) for cohort in sides)
    genomic = encoder.genomic
    parts = {RECORD: ~genomic}
    if genomic.any():
        parts |= {ALTERED: genomic, "joint": np.ones_like(genomic)}
    values = []
    for modality, columns in parts.items():
        n = min(len(real), len(candidate))
        if n <= count:
            reason = f"not more than {count} patients on one side"
            values += [Value(metric, np.nan, modality=modality, n=n, reason=reason) for metric in NEIGHBOURS]
            continue
        found = neighbourhoods(real[:, columns], candidate[:, columns], count)
        values += [Value(metric, value, modality=modality, n=n) for metric, value in found.items()]
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Neighbourhood metrics, the 1-99 % range of every number, and rare categories on both sides."""
    rare = find_rare_categories(comparison, float(settings["rare"]))
    shown = sorted((row for row in rare if row[2] >= MIN_CELL_COUNT), key=lambda row: -row[2] / row[3])[:MOST_SHOWN]
    hidden = [row for row in rare if row[2] < MIN_CELL_COUNT]
    longest = max(14, len(comparison.prepared.cells.ranges), len(shown))
    fig, axes = new_figure(13, 0.19 * longest + 1.7, ncols=3)
    _draw_neighbourhoods(axes[0], values, label)
    _draw_ranges(axes[1], comparison)
    _draw_rare(axes[2], shown, hidden)
    axes[2].set_title(f"rare categories (under {100 * float(settings['rare']):g} %)")
    handles = [
        _mark(REAL, f"real (n = {len(comparison.real)})"),
        _mark(SYNTHETIC, f"{label} (n = {len(comparison.candidate)})"),
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=9.5)
    return fig


def _mark(colour: str, text: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, lw=4, label=text)


def _draw_neighbourhoods(axis: Any, values: pd.DataFrame, label: str) -> None:
    table = values[(values.target == "all") & (values.status == "ok")].set_index(["metric", "modality"])
    names = ("coverage", "recall", "precision", "density", "combination_support", "support_coverage")
    marks = {RECORD: ("o", BLUE), ALTERED: ("s", ORANGE), "joint": ("D", GREEN)}
    for k, (modality, (marker, colour)) in enumerate(marks.items()):
        rows = [(i, table.loc[(name, modality)]) for i, name in enumerate(names) if (name, modality) in table.index]
        if not rows:
            continue
        y = np.array([i for i, _ in rows]) + 0.22 * (k - 1)
        value, low, high = pd.DataFrame([row for _, row in rows])[["value", "low", "high"]].to_numpy(np.float64).T
        axis.hlines(y, low, high, color=colour, lw=1.4)
        axis.plot(value, y, marker, color=colour, ms=5, ls="none", label=modality)
    axis.axvline(1, color=NEUTRAL, lw=0.8, zorder=0)
    axis.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=8.5)
    axis.set_ylim(len(names) - 0.5, -0.6)
    axis.set_xlim(left=0)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("share, or ratio of densities; 95 % interval")
    axis.set_title(f"{label}: real patients reached")
    axis.legend(loc="lower left", fontsize=8)


def _draw_ranges(axis: Any, comparison: Comparison) -> None:
    """The 1-99 % and 25-75 % ranges of both sides, from 0 to 1 of the real 1-99 % range."""
    names: list[str] = []
    for name in comparison.prepared.cells.ranges:
        sides = [cohort.clinical[name].dropna() for cohort in (comparison.real, comparison.candidate)]
        if not len(sides[0]) or not len(sides[1]):
            continue
        low, high = np.quantile(sides[0], [0.01, 0.99])
        if high <= low:
            continue
        for side, colour, shift in zip(sides, (REAL, SYNTHETIC), (-0.18, 0.18), strict=True):
            place = (np.quantile(side, [0.01, 0.25, 0.75, 0.99]) - low) / (high - low)
            place = np.clip(place, -0.5, 1.5)
            axis.hlines(len(names) + shift, place[0], place[3], color=colour, lw=1.2)
            axis.hlines(len(names) + shift, place[1], place[2], color=colour, lw=4)
        names.append(name if len(name) <= 22 else f"{name[:21]}…")
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(max(len(names), 6) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xticks([0, 1], ["1 %", "99 %"])
    axis.set_xlabel("quantiles of real patients, linear between")
    axis.set_title("1-99 % range (thick: 25-75 %)")


def _shorten(category: str) -> str:
    """`column=level` with what distinguishes levels."""
    column, equals, level = category.partition("=")
    if len(category) <= 32:
        return category
    level = level if len(level) <= 24 else f"{level[:11]}…{level[-12:]}"
    return f"{column[: 28 - len(level)]}…{equals}{level}"


def _draw_rare(axis: Any, shown: list[Rare], hidden: list[Rare]) -> None:
    """Shares of rare categories; of those of one to four real patients only how many were kept."""
    for i, (_, _, count, known, other, other_known) in enumerate(shown):
        shares = 100 * count / known, 100 * other / max(other_known, 1)
        axis.hlines(i, *shares, color=NEUTRAL, lw=1)
        axis.plot(shares[0], i, "o", ms=4, color=REAL)
        axis.plot(shares[1], i, "o", ms=4, mfc="white", color=SYNTHETIC)
    axis.set_yticks(range(len(shown)), [_shorten(row[0]) for row in shown], fontsize=7.5)
    axis.set_ylim(max(len(shown), 6) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xlim(left=0)
    kept = sum(row[4] > 0 for row in hidden)
    note = f"\n{len(hidden)} more in fewer than {MIN_CELL_COUNT} real\npatients, {kept} of them kept"
    axis.set_xlabel(f"% of patients{note if hidden else ''}")
