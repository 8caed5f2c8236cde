"""The cohort in a few tables, and the figures that belong to no single stage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, REAL, VERMILION, new_figure
from haemosynth.encode.baseline import follow_up
from haemosynth.report.reading import category, count
from haemosynth.stats.curves import draw_at_risk, draw_curves, format_p, survival_curve
from haemosynth.stats.estimates import fit_survival, log_rank_p

PAGE = 10.9  # inches of the scorecard figure at most
COLOURS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE)
MARKERS = ("o", "s", "^", "D", "v")
PILLARS = {
    "fidelity": "Do synthetic patients look like real ones?",
    "diversity": "Do they cover the variety of real ones?",
    "utility": "Does an analysis of them lead to the same conclusions?",
    "privacy": "Do they reveal training patients?",
}


@dataclass(frozen=True)
class Overview:
    """A cohort in plain tables, ready to be shown. Numbers are text where they may be withheld."""

    size: pd.DataFrame
    columns: pd.DataFrame
    alterations: pd.DataFrame
    excluded: pd.DataFrame


def estimate_median_follow_up(time: pd.Series, event: pd.Series) -> float:
    """Median follow-up in months by the reverse Kaplan-Meier method (Schemper and Smith, Control Clin Trials 1996)."""
    known = time.notna() & event.notna()
    if not known.any():
        return float("nan")
    from lifelines.utils import qth_survival_time

    reverse = fit_survival(time[known].to_numpy(), 1 - event[known].to_numpy())
    # A product of fractions is seldom one half to the last digit.
    median = float(qth_survival_time(0.5 + 1e-9, reverse.survival_function_))
    return median if np.isfinite(median) else float("nan")


def share(number: float, total: float, release: bool) -> str:
    """A part of patients in percent; in a release it does not reveal the count under five behind it."""
    if not total:
        return "unknown"
    if release and 0 < number < MIN_CELL_COUNT:
        return f"under {100 * MIN_CELL_COUNT / total:.2g} %" if total >= 100 * MIN_CELL_COUNT else "withheld"
    return f"{100 * number / total:.0f} %"


def count_levels(values: pd.Series, release: bool, shown: int = 6) -> str:
    """Levels with their counts, most frequent first, as text.

    In a release counts under five are withheld; where that is one level alone, so is the next smallest, since the
    number of patients would give it away. How the withheld levels are spelled is not shown either.
    """
    counts = values.value_counts()
    counts = counts[counts > 0]
    if not release:
        open_counts, withheld = counts, 0
    else:
        withheld = int((counts < MIN_CELL_COUNT).sum())
        if withheld == 1 and len(counts) > 1:
            withheld = 2
        open_counts = counts.iloc[: len(counts) - withheld]
    parts = [f"{level} {number}" for level, number in open_counts.items()]
    text = parts[:shown] + ([f"and {len(parts) - shown} more levels"] if len(parts) > shown else [])
    if withheld:
        text.append(f"{withheld} rare level{'s' if withheld > 1 else ''} withheld")
    return ", ".join(text)


def summarise_cohort(train: Cohort, holdout: Cohort, release: bool) -> Overview:
    """Patients, endpoints, columns and alterations of the real cohort (train and holdout together).

    Args:
        release: counts under five are withheld, ranges are always the 1-99 % range, and notes on patients are left out.
    """
    clinical = pd.concat([train.clinical.astype("object"), holdout.clinical.astype("object")])
    rows = [("real patients", str(len(clinical))), ("for training", str(len(train))), ("held out", str(len(holdout)))]
    for endpoint in train.schema.endpoints:
        time = clinical[f"{endpoint}_time"].astype(float)
        event = clinical[f"{endpoint}_event"].astype(float)
        fewest = min(event.sum(), (event == 0).sum())  # the few who had no event can be counted too
        rows.append(
            (f"{endpoint}: events", "withheld" if release and 0 < fewest < MIN_CELL_COUNT else f"{event.sum():.0f}")
        )
        median = estimate_median_follow_up(time, event)
        rows.append((f"{endpoint}: median follow-up", "not reached" if np.isnan(median) else f"{median:.1f} months"))
    alterations = pd.DataFrame(columns=["alteration", "kind", "carriers", "share of assayed"])
    if train.alterations is not None and holdout.alterations is not None:
        assert train.sequenced is not None
        assert holdout.sequenced is not None
        both = pd.concat([train.alterations, holdout.alterations])
        rows.append(("sequenced", count(train.sequenced.sum() + holdout.sequenced.sum(), release)))
        carriers = both.sum().sort_values(ascending=False, kind="stable")
        alterations = pd.DataFrame(
            [
                (
                    name,
                    train.schema.alterations[str(name)],
                    count(carriers[name], release),
                    share(carriers[name], both[name].notna().sum(), release),
                )
                for name in carriers.index
            ],
            columns=alterations.columns,
        )
    columns = []
    for name, column in train.schema.columns.items():
        values = clinical[name]
        if not values.notna().any():
            content = "no value"
        elif column.numeric and column.kind != "event":
            low, middle, high = np.quantile(values.dropna().astype(float), [0.01, 0.5, 0.99])
            content = f"{middle:.3g} ({low:.3g} to {high:.3g})" + (f" {column.unit}" if column.unit else "")
        elif column.kind == "event":
            events = values.dropna().astype(float)
            number = min(events.sum(), (events == 0).sum()) if release else np.inf
            content = (
                "withheld"
                if 0 < number < MIN_CELL_COUNT
                else f"{share(events.sum(), len(events), False)} with the event"
            )
        else:
            content = count_levels(values, release)
        columns.append((name, column.kind, column.group, content, share(values.isna().sum(), len(values), release)))
    excluded = [(name, _reason(reason, release)) for name, reason in train.schema.excluded.items()]
    return Overview(
        pd.DataFrame(rows, columns=["", "value"]),
        pd.DataFrame(columns, columns=["column", "kind", "group", "median (1-99 % range) or counts", "missing"]),
        alterations,
        pd.DataFrame(excluded, columns=["left out", "reason"]),
    )


def _reason(reason: str, release: bool) -> str:
    """Reasons count carriers and quote values; a release does neither."""
    if not release:
        return reason
    return re.sub(r"^\d+ carriers in train, fewer", "fewer carriers in train", category(reason))


def draw_survival(train: Cohort, holdout: Cohort) -> Figure | None:
    """Kaplan-Meier curves of every endpoint in training and held-out patients, with the log-rank test that they are the
    same: whether the split is fair to outcomes. None where no endpoint is known on both sides.

    For the working edition alone: a release shows curves of held-out patients, of training patients none.
    """
    panels = []
    for endpoint in train.schema.endpoints:
        sides = [follow_up(cohort, endpoint)[1:] for cohort in (train, holdout)]
        if all(len(time) for time, _ in sides):
            panels.append((endpoint, sides))
    if not panels:
        return None
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(
        4.4 * columns, 3.9 * rows, nrows=2 * rows, ncols=columns, squeeze=False,
        gridspec_kw={"height_ratios": [4, 0.9] * rows},
    )  # fmt: skip
    places = list(zip(axes[::2].flat, axes[1::2].flat, strict=True))
    for (axis, table), (endpoint, sides) in zip(places, panels, strict=False):
        curves = [
            (f"{name} (n = {len(time):,})", colour, survival_curve(time, event))
            for name, colour, (time, event) in zip(("training", "held out"), (BLUE, REAL), sides, strict=True)
        ]
        draw_curves(axis, curves, float(np.quantile(np.concatenate([time for time, _ in sides]), 0.95)))
        draw_at_risk(table, axis, curves)
        p = log_rank_p(sides)
        axis.set(xlabel="months", ylabel=f"share without event of {endpoint}")
        axis.set_title(f"{endpoint}: " + ("no event" if np.isnan(p) else f"log-rank {format_p(p)}"), loc="left")
        axis.legend(loc="lower left", fontsize=8)
    for axis, table in places[len(panels) :]:
        axis.axis("off")
        table.axis("off")
    return figure


def draw_scorecard(stages: pd.DataFrame, scorecard: pd.DataFrame, generators: Sequence[str]) -> Figure:
    """Every stage of these generators between floor (0) and ceiling (1): mean with 95 % interval, and its metrics.

    One panel for each pillar, one row for each stage and modality. Metrics are the small pale marks, each drawn at the
    edge where it lies outside -0.25 to 1.25; the mean takes each of them between 0 and 1.

    Args:
        stages, scorecard: of `stage_scores` and `scorecard`.
    """
    low, high = -0.25, 1.25
    means = stages[stages["generator"].isin(generators)]
    single = scorecard[scorecard["generator"].isin(generators) & (scorecard["status"] == "ok")]
    pillars = [name for name in PILLARS if name in set(means["pillar"])]
    order = list(dict.fromkeys(scorecard["stage"]))
    rows = {}
    for pillar in pillars:
        found = dict.fromkeys(means.loc[means["pillar"] == pillar, ["stage", "modality"]].itertuples(index=False))
        rows[pillar] = sorted(found, key=lambda row: order.index(row.stage))
    sizes = [len(rows[pillar]) + 0.7 for pillar in pillars] or [1]
    rest = 0.9 + 0.35 * len(sizes)
    figure, axes = new_figure(
        8.6, rest + min(0.27, (PAGE - rest) / sum(sizes)) * sum(sizes), nrows=len(sizes), squeeze=False, sharex=True,
        gridspec_kw={"height_ratios": sizes},
    )  # fmt: skip
    for pillar, axis in zip(pillars, axes[:, 0], strict=False):
        places = {row: i for i, row in enumerate(rows[pillar])}
        axis.axvspan(low, 0, color="#F2F2F2", zorder=0)
        for edge in (0, 1):
            axis.axvline(edge, color=NEUTRAL, linewidth=1, linestyle="--", zorder=1)
        for row in range(1, len(places)):
            axis.axhline(row - 0.5, color="#E4E4E4", linewidth=0.6, zorder=0)
        for g, generator in enumerate(generators):
            colour, marker = COLOURS[g % len(COLOURS)], MARKERS[g % len(MARKERS)]
            aside = (g - (len(generators) - 1) / 2) * 0.3
            for table, look in ((single, {"ms": 3.5, "alpha": 0.4}), (means, {"ms": 6.5, "label": generator})):
                ours = table[(table["generator"] == generator) & (table["pillar"] == pillar)]
                keys = list(ours[["stage", "modality"]].itertuples(index=False))
                y = np.array([places[key] for key in keys], dtype=float) + aside
                axis.plot(ours["relative"].clip(low, high), y, marker, color=colour, markeredgewidth=0, **look)
            ends = ours[["low", "high"]].to_numpy(dtype=float)
            axis.hlines(y, ends[:, 0], ends[:, 1], color=colour, linewidth=1.6, zorder=2)
        names = [f"{stage} ({modality})".replace("_", " ") for stage, modality in places]
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlim(low, high)
        axis.tick_params(axis="y", length=0)
        axis.set_title(f"{pillar.capitalize()}: {PILLARS[pillar][0].lower()}{PILLARS[pillar][1:]}", loc="left")
    last, seeds = axes[-1, 0], int(means["seeds"].max()) if len(means) else 0
    last.set_xticks([0, 0.5, 1], ["0\nno structure", "0.5", "1\nreal patients"])
    last.set_xlabel(f"relative to the references; bars: 95 % interval ({seeds} seed{'s' if seeds != 1 else ''})")
    if len(means):
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=len(generators))
    return figure


def draw_history(history: pd.DataFrame, title: str) -> Figure:
    """The curves of a fit over its steps."""
    curves = [name for name in history.columns if name != "step" and history[name].notna().any()]
    figure, axes = new_figure(3.2 * max(1, len(curves)), 2.4, ncols=max(1, len(curves)), squeeze=False)
    for axis, name in zip(axes[0], curves, strict=False):
        known = history[["step", name]].dropna()
        # A line of one point, of a fit that stopped at once, is not seen.
        axis.plot(known["step"], known[name], color=BLUE, linewidth=1.2, marker="o" if len(known) == 1 else "")
        axis.set_xlabel("step")
        axis.set_ylabel(name.replace("_", " "))
    axes[0][0].set_title(title, loc="left")
    return figure
