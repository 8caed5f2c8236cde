"""The figures that a haematologist looks for first: oncoprint, co-mutation, and survival by molecular class.

In the release edition nothing of single real patients is drawn: in the oncoprint each row of real patients is sorted by
itself within each class, so that a column is no patient, and groups under five are hidden; curves are those of held-out
patients, as everywhere in a release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import (
    BLUE,
    DIVERGING,
    GREEN,
    NEUTRAL,
    ORANGE,
    PURPLE,
    REAL,
    SKY,
    SYNTHETIC,
    VERMILION,
    YELLOW,
    new_figure,
    shorten,
)  # fmt: skip
from haemosynth.encode.baseline import follow_up
from haemosynth.modalities.registry import ALTERED, load
from haemosynth.report.overview import share
from haemosynth.stats.curves import draw_at_risk, draw_curves, format_p, survival_curve
from haemosynth.stats.estimates import log_rank_p
from haemosynth.stats.pairs import discoveries, fisher_exact, log_odds_ratios, pair_counts

Codes = NDArray[np.int8]
Matrix = NDArray[np.float64]

EVENTS = 24  # alterations of the oncoprint at most
PAIRED = 20  # alterations of the co-mutation triangles at most
TRACKS = 4  # clinical rows at most
LEVELS = 5  # of a clinical row at most
TRACK_GROUPS = ("disease", "demographic", "treatment")
CURVE = 20  # patients of a class on both sides, for a curve
CLASS_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, YELLOW)
OTHER_COLOUR = "#9A9A9A"
SHADES = ("#F1E3C6", "#D9B77A", "#B07B2C", "#7A4B12", "#3F2406")  # levels of a clinical row, light to dark
CARRIED = {"gene": "#234F7D", "cytogenetic": "#8C2D19"}
ABSENT, UNKNOWN, HIDDEN = "#E9EBEE", "#FFFFFF", "#C9B8DC"
HIDDEN_CODE, UNKNOWN_CODE = -2, -1
ODDS = 3.0  # natural log odds ratio where the colours end
FOUND = 0.05  # false discovery rate of the pairs that are marked
LEAST_EXPECTED = 5.0  # patients with both alterations, expected by chance, for a pair that is coloured
LINE, GAP = 10, 2  # pixels of a row of the oncoprint, and between rows

ONCOPRINT = (
    "Real (left) and synthetic patients (right), with the same alterations in the same order, the most frequent among "
    "real patients first; percentages are of the patients in whom an alteration is known. Patients are sorted by "
    "molecular class, and within a class by their alterations; above them are the class and clinical columns, light to "
    "dark in the order of their levels; white is unknown. In a good release the two sides look alike: the classes are "
    "equally wide, the same rows are filled under the same class, and the same rows exclude each other."
)
ONCOPRINT_RELEASED = (
    " No single real patient is shown: each row is sorted by itself within each class, so that a column is not a "
    "patient, and groups of fewer than five are hidden (violet)."
)
CO_MUTATION = (
    "Log odds ratio of every pair of the most frequent alterations: real patients below the diagonal, synthetic ones "
    "above it. Red pairs occur together more often than by chance, blue ones less often; a dot marks pairs found at a "
    "false discovery rate of 5 % by Fisher's exact test. Pairs expected together in fewer than five patients are left "
    "white. In a good release the picture is symmetric. If there are more synthetic than real patients, more dots "
    "mean no more than that."
)
CO_MUTATION_RELEASED = (
    " Real pairs of which one to four patients have both alterations, or one alone, are hidden (violet)."
)
BY_CLASS = (
    "Kaplan-Meier estimates of the primary endpoint by molecular class with pointwise 95 % bands and the patients at "
    "risk, {who} (left) and synthetic ones (right); each step is of at least five patients, and a curve ends where "
    "fewer are at risk. Classes with fewer than 20 patients on a side have no curve. In a good release the classes "
    "have the same order and the same distances on both sides. The log-rank test asks on each side whether the classes "
    "differ."
)


@dataclass(frozen=True)
class Row:
    """One row of the oncoprint for one side.

    codes: (patients,) UNKNOWN_CODE, HIDDEN_CODE, or the position among `colours`. text: what is written at its end.
    """

    name: str
    codes: Codes
    colours: tuple[str, ...]
    text: str = ""


def draw_landscape(train: Cohort, holdout: Cohort, synthetic: Cohort, release: bool) -> list[tuple[str, str, Figure]]:
    """Title, caption and figure of what this cohort allows, for either edition of the dossier."""
    if train.alterations is None or holdout.alterations is None or synthetic.alterations is None:
        return []
    real = join_cohorts(train, holdout)
    classes: Mapping[str, list[str]] = load(ALTERED, "molecular_classes").find_molecular_classes(train)
    shown = find_frequent(train, EVENTS)
    found = []
    if shown:
        caption = ONCOPRINT + (ONCOPRINT_RELEASED if release else "")
        found.append(("Oncoprint", caption, draw_oncoprint(real, synthetic, shown, classes, release)))
    if len(shown) > 2:
        caption = CO_MUTATION + (CO_MUTATION_RELEASED if release else "")
        found.append(("Co-mutation", caption, draw_co_mutation(real, synthetic, shown[:PAIRED], release)))
    followed = draw_survival_by_class(holdout if release else real, synthetic, classes) if classes else None
    if followed is not None:
        caption = BY_CLASS.format(who="held-out real patients" if release else "all real patients")
        found.append(("Survival by molecular class", caption, followed))
    return found


def join_cohorts(train: Cohort, holdout: Cohort) -> Cohort:
    """Training patients and holdout as one cohort of record and alterations."""
    clinical = pd.concat([train.clinical.astype(object), holdout.clinical.astype(object)])
    if train.alterations is None or holdout.alterations is None:
        return Cohort(train.record().schema, set_types(clinical, train.schema))
    assert train.sequenced is not None
    assert holdout.sequenced is not None
    return Cohort.of(
        train.schema,
        set_types(clinical, train.schema),
        alterations=pd.concat([train.alterations, holdout.alterations]),
        sequenced=pd.concat([train.sequenced, holdout.sequenced]),
        mutations=pd.concat([part for part in (train.mutations, holdout.mutations) if part is not None]),
    )


def find_frequent(train: Cohort, most: int) -> list[str]:
    """The alterations with the most carriers among training patients, at least five, the most frequent first."""
    assert train.alterations is not None
    carriers = (train.alterations == 1).sum().sort_values(ascending=False, kind="stable")
    return [str(name) for name in carriers.index[carriers >= MIN_CELL_COUNT][:most]]


def assign_classes(cohort: Cohort, classes: Mapping[str, list[str]]) -> NDArray[np.intp]:
    """(patients,) position of each patient's class: the named ones, `other`, unknown; all 0 where there are none."""
    if not classes:
        return np.zeros(len(cohort), dtype=np.intp)
    codes = load(ALTERED, "molecular_classes").classify_patients(cohort, classes).cat.codes.to_numpy().astype(np.intp)
    return np.where(codes < 0, len(classes) + 1, codes)


def choose_tracks(train: Cohort) -> list[str]:
    """The clinical columns shown above the alterations: of few levels, best known, of the disease first."""
    schema = train.schema
    usable = [
        name
        for name, column in schema.columns.items()
        if not column.numeric and column.group in TRACK_GROUPS and 2 <= len(column.categories) <= LEVELS
    ]
    order = {group: place for place, group in enumerate(TRACK_GROUPS)}
    missing = train.clinical[usable].isna().mean()
    usable.sort(key=lambda name: (order[schema.columns[name].group], missing[name]))
    return usable[:TRACKS]


def rows_of(cohort: Cohort, like: Cohort, shown: Sequence[str], classes: Mapping[str, list[str]]) -> list[Row]:
    """The rows of one side, patients in the order in which they are drawn: class, then alterations from the top.

    Args:
        like: the real patients, who decide the levels of clinical columns.
    """
    assert cohort.alterations is not None
    group = assign_classes(cohort, classes)
    states = cohort.alterations[list(shown)].to_numpy(float)
    order = np.lexsort((*[-np.nan_to_num(column, nan=-1.0) for column in states.T[::-1]], group))
    found = []
    if classes:
        codes = np.where(group > len(classes), UNKNOWN_CODE, group).astype(np.int8)
        found.append(Row("molecular class", codes[order], (*CLASS_COLOURS[: len(classes)], OTHER_COLOUR)))
    for name in choose_tracks(like):
        levels = like.schema.columns[name].categories
        known = pd.Categorical(cohort.clinical[name].astype(object), categories=list(levels)).codes
        steps = np.linspace(0, len(SHADES) - 1, len(levels)).round().astype(int)
        found.append(Row(name, known.astype(np.int8)[order], tuple(SHADES[step] for step in steps)))
    for name, column in zip(shown, states.T, strict=True):
        codes = np.where(np.isnan(column), UNKNOWN_CODE, column).astype(np.int8)
        found.append(Row(name, codes[order], (ABSENT, CARRIED[cohort.schema.alterations[name]])))
    return found


def release_rows(rows: Sequence[Row], group: NDArray[np.intp]) -> list[Row]:
    """The rows of real patients as they may leave: each sorted by itself within each class, no group under five.

    Within a class a row shows how many patients have each of its values. A class of which one to four patients have
    some value is hidden in this row; so is, where hidden patients with a value are fewer than five in all, the class
    with the fewest others of that value, until the total of the row reveals nothing of one class.

    Args:
        group: (patients,) class of each, in the order of the rows, ascending.
    """
    borders = np.flatnonzero(np.diff(group, prepend=-1, append=-1))
    classes = list(pairwise(borders.tolist()))
    return [Row(row.name, release_codes(row.codes, classes), row.colours, row.text) for row in rows]


def release_codes(codes: Codes, classes: Sequence[tuple[int, int]]) -> Codes:
    """Codes of a row, sorted within each class (start, end); classes that must not be shown hold HIDDEN_CODE."""
    values = np.unique(codes)
    counts = np.array([[(codes[start:end] == value).sum() for value in values] for start, end in classes])
    hidden: NDArray[np.bool_] = np.asarray(((counts > 0) & (counts < MIN_CELL_COUNT)).any(axis=1), dtype=bool)
    while hidden.any() and not hidden.all():
        total = counts[hidden].sum(axis=0)
        short = (total > 0) & (total < MIN_CELL_COUNT)
        if not short.any() and hidden.sum() > 1:
            break
        # One class alone would follow from the row's total; so would few patients with one value.
        value = int(np.flatnonzero(short)[0]) if short.any() else int(counts.sum(axis=0).argmax())
        left = np.where(hidden | (counts[:, value] == 0), np.inf, counts[:, value])
        if not np.isfinite(left).any():
            left = np.where(hidden, np.inf, counts.sum(axis=1))
        hidden[int(left.argmin())] = True
    released = np.empty_like(codes)
    for (start, end), hide in zip(classes, hidden, strict=True):
        # The most telling value first, the unknown last.
        own = codes[start:end]
        released[start:end] = HIDDEN_CODE if hide else np.concatenate([np.sort(own[own >= 0])[::-1], own[own < 0]])
    return released


def draw_oncoprint(
    real: Cohort, synthetic: Cohort, shown: Sequence[str], classes: Mapping[str, list[str]], release: bool
) -> Figure:
    """Real and synthetic patients side by side: class, clinical columns and alterations, a column for each patient."""
    sides = []
    for cohort in (real, synthetic):
        rows = rows_of(cohort, real, shown, classes)
        if release and cohort is real:
            rows = release_rows(rows, np.sort(assign_classes(cohort, classes)))
        sides.append(rows)
    count = len(sides[0])
    figure, axes = new_figure(9.6, 0.175 * count + 1.75, ncols=2)
    for axis, cohort, rows, name in zip(axes, (real, synthetic), sides, ("real", "synthetic"), strict=True):
        axis.imshow(_pixels(rows), interpolation="none", aspect="auto", extent=(0, 1, count, 0))
        axis.set_yticks(np.arange(count) + 0.5, [shorten(row.name.replace("_", " "), 22) for row in rows], fontsize=7)
        axis.tick_params(length=0)
        axis.set_xticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
        axis.set_title(f"{len(cohort):,} {name} patients", loc="left", color=REAL if cohort is real else SYNTHETIC)
        assert cohort.alterations is not None
        first = count - len(shown)
        for y, event in enumerate(shown, start=first):
            known = cohort.alterations[event].dropna()
            text = share(float((known == 1).sum()), len(known), release and cohort is real)
            axis.text(1.015, y + 0.5, text, va="center", fontsize=7, color=NEUTRAL, transform=axis.transData)
        axis.axhline(first, color="white", lw=3)
    axes[1].set_yticklabels([])
    figure.legend(
        handles=_legend(classes, release), loc="outside lower center", ncols=5, fontsize=7, handlelength=1.1,
        columnspacing=1.2,
    )  # fmt: skip
    return figure


def _legend(classes: Mapping[str, list[str]], release: bool) -> list[Any]:
    from matplotlib.patches import Patch

    named = [*zip(classes, CLASS_COLOURS, strict=False), ("other class", OTHER_COLOUR)] if classes else []
    named += [("gene altered", CARRIED["gene"]), ("chromosome altered", CARRIED["cytogenetic"]), ("absent", ABSENT)]
    named += [("unknown", UNKNOWN)] + ([("under five, hidden", HIDDEN)] if release else [])
    return [Patch(facecolor=colour, edgecolor=NEUTRAL, linewidth=0.4, label=name) for name, colour in named]


def _pixels(rows: Sequence[Row]) -> NDArray[np.uint8]:
    """(lines, patients, 3) colours: LINE pixels for a row with a white line below it."""
    from matplotlib.colors import to_rgb

    patients = len(rows[0].codes)
    image = np.full((LINE * len(rows), patients, 3), 255, dtype=np.uint8)
    for y, row in enumerate(rows):
        # Codes from -2: hidden and unknown come before the colours.
        palette = np.array([to_rgb(colour) for colour in (HIDDEN, UNKNOWN, *row.colours)])
        image[LINE * y : LINE * (y + 1) - GAP] = (255 * palette[row.codes.astype(int) + 2]).round().astype(np.uint8)
    return image


def compute_pair_odds(alterations: Matrix, release: bool) -> tuple[Matrix, NDArray[np.bool_], NDArray[np.bool_]]:
    """(events, events) log odds ratios, NaN where they are not shown; which pairs are found; which are hidden.

    alterations: (patients, events) of 0/1/NaN. Shown are pairs expected together in at least five patients by chance,
    or seen in as many; in a release those of which no one to four patients have both, the first alone or the second
    alone.
    """
    counts = pair_counts(alterations)
    odds, _ = log_odds_ratios(counts)
    known = np.maximum(counts.both + counts.row + counts.column + counts.neither, 1)
    expected = (counts.both + counts.row) * (counts.both + counts.column) / known
    shown = (expected >= LEAST_EXPECTED) | (counts.both >= LEAST_EXPECTED)
    np.fill_diagonal(shown, False)
    hidden = np.zeros_like(shown)
    if release:
        for cell in (counts.both, counts.row, counts.column, counts.neither):
            hidden |= shown & (cell > 0) & (cell < MIN_CELL_COUNT)
        shown &= ~hidden
    return np.where(shown, odds, np.nan), discoveries(fisher_exact(counts), shown, FOUND), hidden


def draw_co_mutation(real: Cohort, synthetic: Cohort, shown: Sequence[str], release: bool) -> Figure:
    """Log odds ratios of all pairs: real patients below the diagonal, synthetic ones above it."""
    from matplotlib.colors import ListedColormap

    assert real.alterations is not None
    assert synthetic.alterations is not None
    below, found_below, hidden = compute_pair_odds(real.alterations[list(shown)].to_numpy(float), release)
    above, found_above, _ = compute_pair_odds(synthetic.alterations[list(shown)].to_numpy(float), False)
    count = len(shown)
    lower = np.tril(np.ones((count, count), dtype=bool), -1)
    values: Matrix = np.where(lower, below, above)
    found: NDArray[np.bool_] = np.where(lower, found_below, found_above)
    values[np.diag_indices(count)] = np.nan
    figure, axis = new_figure(1.9 + 0.255 * count, 1.5 + 0.255 * count)
    axis.set_facecolor("white")
    edges = np.arange(count + 1) - 0.5
    image = axis.pcolormesh(edges, edges, values, cmap=DIVERGING, vmin=-ODDS, vmax=ODDS)
    axis.pcolormesh(edges, edges, np.where(lower & hidden, 1.0, np.nan), cmap=ListedColormap([HIDDEN]))
    axis.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
    for y, x in zip(*np.nonzero(found), strict=True):
        axis.plot(x, y, "o", ms=2.4, color="black", mec="white", mew=0.3)
    for place in np.arange(-0.5, count):
        axis.axhline(place, color="#ECECEC", lw=0.5)
        axis.axvline(place, color="#ECECEC", lw=0.5)
    axis.plot([-0.5, count - 0.5], [-0.5, count - 0.5], color=NEUTRAL, lw=1)
    names = [shorten(name.replace("_", " "), 18) for name in shown]
    axis.set_xticks(range(count), names, rotation=90, fontsize=7)
    axis.set_yticks(range(count), names, fontsize=7)
    axis.tick_params(length=0)
    axis.set_title(f"synthetic, n = {len(synthetic):,} (above)", loc="right", color=SYNTHETIC, fontsize=9)
    axis.set_xlabel(f"real, n = {len(real):,} (below)", color=REAL, fontsize=9, fontweight="bold", loc="left")
    bar = figure.colorbar(image, ax=axis, shrink=0.6, extend="both")
    bar.set_label("log odds ratio", fontsize=8)
    return figure


def draw_survival_by_class(real: Cohort, synthetic: Cohort, classes: Mapping[str, list[str]]) -> Figure | None:
    """Kaplan-Meier curves of the primary endpoint by molecular class; None where fewer than two classes have curves."""
    if not real.schema.endpoints:
        return None
    endpoint = real.schema.endpoints[0]
    label: Callable[..., pd.Series] = load(ALTERED, "molecular_classes").classify_patients
    sides = []
    for cohort in (real, synthetic):
        known, time, event = follow_up(cohort, endpoint)
        own = label(cohort, classes).iloc[known].to_numpy()
        sides.append({name: (time[own == name], event[own == name]) for name in (*classes, "other")})
    drawn = [name for name in (*classes, "other") if all(len(side[name][0]) >= CURVE for side in sides)]
    if len(drawn) < 2:
        return None
    colours = dict(zip((*classes, "other"), (*CLASS_COLOURS[: len(classes)], OTHER_COLOUR), strict=True))
    figure, axes = new_figure(
        9.6, 3.4 + 0.19 * len(drawn), nrows=2, ncols=2, gridspec_kw={"height_ratios": [3.3, 0.19 * len(drawn) + 0.2]}
    )
    end = float(np.quantile(np.concatenate([time for side in sides for time, _ in side.values()]), 0.95))
    for axis, table, side, name in zip(axes[0], axes[1], sides, ("real", "synthetic"), strict=True):
        curves = [(group, colours[group], survival_curve(*side[group])) for group in drawn]
        draw_curves(axis, curves, end)
        draw_at_risk(table, axis, curves, 7.5)
        p = log_rank_p([side[group] for group in drawn])
        told = "no event" if np.isnan(p) else f"log-rank {format_p(p)}"
        axis.set_title(f"{name}: {told}", loc="left", color=REAL if name == "real" else SYNTHETIC)
        axis.set(xlabel="months", ylabel=f"share without event of {endpoint}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    return figure
