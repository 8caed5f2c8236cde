"""The cohort in a few tables, and the figures that belong to no single stage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.cohort import Cohort
from haemosynth.figures import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, VERMILION, new_figure
from haemosynth.report.reading import FEWEST, category, count

PAGE = 10.9  # inches of the scorecard figure at most
COLOURS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE)
MARKERS = ("o", "s", "^", "D", "v")
PILLARS = {
    "fidelity": "Do synthetic patients look like real ones?",
    "diversity": "Do they cover the variety of real ones?",
    "utility": "Can one learn from them what one learns from real ones?",
    "privacy": "Do they give training patients away?",
}


@dataclass(frozen=True)
class Overview:
    """A cohort in plain tables, ready to be shown. Numbers are text where they may be withheld."""

    size: pd.DataFrame
    columns: pd.DataFrame
    alterations: pd.DataFrame
    excluded: pd.DataFrame


def median_follow_up(time: pd.Series, event: pd.Series) -> float:
    """Median follow-up in months by the reverse Kaplan-Meier method (Schemper and Smith, Control Clin Trials 1996)."""
    known = time.notna() & event.notna()
    # At equal times censoring, the event here, comes first: those with the endpoint are still at risk.
    order = np.lexsort((event[known].to_numpy(), time[known].to_numpy()))
    times, censored = time[known].to_numpy()[order], 1 - event[known].to_numpy()[order]
    at_risk = np.arange(len(times), 0, -1)
    curve = np.cumprod(1 - censored / at_risk)
    below = np.flatnonzero(curve <= 0.5)
    return float(times[below[0]]) if len(below) else float("nan")


def share(number: float, total: float, release: bool) -> str:
    """A part of patients in percent; in a release it does not give away a count under five that it stands for."""
    if not total:
        return "unknown"
    if release and 0 < number < FEWEST:
        return f"under {100 * FEWEST / total:.2g} %" if total >= 100 * FEWEST else "withheld"
    return f"{100 * number / total:.0f} %"


def level_counts(values: pd.Series, release: bool, shown: int = 6) -> str:
    """Levels with their counts, most frequent first, as text.

    In a release counts under five are withheld; where that is one level alone, so is the next smallest, since the
    number of patients would give it away. How the withheld levels are spelled is not shown either.
    """
    counts = values.value_counts()
    counts = counts[counts > 0]
    if not release:
        open_counts, withheld = counts, 0
    else:
        withheld = int((counts < FEWEST).sum())
        if withheld == 1 and len(counts) > 1:
            withheld = 2
        open_counts = counts.iloc[: len(counts) - withheld]
    parts = [f"{level} {number}" for level, number in open_counts.items()]
    text = parts[:shown] + ([f"and {len(parts) - shown} more levels"] if len(parts) > shown else [])
    if withheld:
        text.append(f"{withheld} rare level{'s' if withheld > 1 else ''} withheld")
    return ", ".join(text)


def overview(train: Cohort, holdout: Cohort, release: bool) -> Overview:
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
        rows.append((f"{endpoint}: events", "withheld" if release and 0 < fewest < FEWEST else f"{event.sum():.0f}"))
        median = median_follow_up(time, event)
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
            content = "withheld" if 0 < number < FEWEST else f"{share(events.sum(), len(events), False)} with the event"
        else:
            content = level_counts(values, release)
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


def scorecard_figure(stages: pd.DataFrame, scorecard: pd.DataFrame, generators: Sequence[str]) -> Figure:
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


def history_figure(history: pd.DataFrame, title: str) -> Figure:
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
