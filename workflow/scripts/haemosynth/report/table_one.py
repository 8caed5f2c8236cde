"""Table 1: real against synthetic patients with standardised differences, ready to be pasted into a paper.

The standardised difference is that of Austin (Stat Med 2009;28:3083): of numbers the difference of means by the root of
the mean variance, of shares by that of the binomial variance, and of several levels the Mahalanobis distance of their
shares (Yang and Dalton, SAS Global Forum 2012, 335). It does not depend on the number of patients; 0.1 is commonly
taken as the border of what matters.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.files import replacing, without_formulas, write_table, write_text
from haemosynth.encode.baseline import follow_up
from haemosynth.report.overview import estimate_median_follow_up

Vector = NDArray[np.float64]
HEAD = ("characteristic", "real", "synthetic", "standardised difference")
ORDER = ("demographic", "disease", "laboratory", "comorbidity", "treatment", "outcome", "other")
MISSING = "not recorded"
FEW = f"fewer than {MIN_CELL_COUNT}"
RARE = "rare levels"
LEVELS = 12  # of a column; the rarer ones are one
NOTE = (
    "Numbers: median (quartiles); levels, alterations and events: patients (%), of those in whom the value is known. "
    "Standardised difference: of means, shares, or the distribution over all levels (Austin, Stat Med 2009; Yang and "
    "Dalton, SAS Global Forum 2012); below 0.1 is commonly taken as balanced."
)
NOTE_RELEASED = " Counts under five of real patients are withheld, and rare levels are combined."


def make_table_one(real: Cohort, synthetic: Cohort, release: bool) -> pd.DataFrame:
    """One row for each number, level, alteration and endpoint: HEAD as columns, all of them text.

    The name of a column with levels has a row of its own; the rows of its levels follow and begin with two spaces.

    Args:
        real: training patients and holdout together. release: no count of one to four real patients follows from it.
    """
    rows: list[tuple[str, str, str, str]] = [("patients", f"{len(real):,}", f"{len(synthetic):,}", "")]
    schema = real.schema
    names = [name for name in schema.columns if name not in schema.survival]
    for name in sorted(names, key=lambda name: ORDER.index(schema.columns[name].group)):
        column = schema.columns[name]
        sides = real.clinical[name], synthetic.clinical[name]
        if not sides[0].notna().any():
            continue
        label = f"{name.replace('_', ' ')}{f' ({column.unit})' if column.unit else ''}"
        rows += _number_rows(label, *sides, release) if column.numeric else _level_rows(label, *sides, release)
    for endpoint in schema.endpoints:
        rows += _endpoint_rows(endpoint, real, synthetic, release)
    if real.alterations is not None and synthetic.alterations is not None:
        carriers = real.alterations.sum().sort_values(ascending=False, kind="stable")
        rows.append(("alterations", "", "", ""))
        for name in carriers.index:
            rows.append(_alteration_row(str(name), real.alterations[name], synthetic.alterations[name], release))
    return pd.DataFrame(rows, columns=list(HEAD))


def _number_rows(label: str, real: pd.Series, made: pd.Series, release: bool) -> list[tuple[str, str, str, str]]:
    known = [side.dropna().to_numpy(float) for side in (real, made)]
    texts = []
    for values, hide in zip(known, (release, False), strict=True):
        if len(values) < (MIN_CELL_COUNT if hide else 1):
            texts.append(FEW if hide and len(values) else "")
            continue
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        texts.append(f"{middle:.3g} ({low:.3g} to {high:.3g})")
    shown = (
        f"{compute_difference_of_means(*known):.2f}" if all(len(values) >= MIN_CELL_COUNT for values in known) else ""
    )
    return [(label, texts[0], texts[1], shown), *_missing_row(real, made, release)]


def _missing_row(real: pd.Series, made: pd.Series, release: bool) -> list[tuple[str, str, str, str]]:
    counts = [int(side.isna().sum()) for side in (real, made)]
    if not any(counts):
        return []
    totals = len(real), len(made)
    few = release and min(counts[0] or totals[0], totals[0] - counts[0] or totals[0]) < MIN_CELL_COUNT
    shown = "" if few else f"{compute_difference_of_shares(counts[0] / totals[0], counts[1] / totals[1]):.2f}"
    return [(f"  {MISSING}", FEW if few else _part(counts[0], totals[0]), _part(counts[1], totals[1]), shown)]


def _level_rows(label: str, real: pd.Series, made: pd.Series, release: bool) -> list[tuple[str, str, str, str]]:
    """A row for the column, one for each level, and one for what is not recorded."""
    counts = count_levels(real, made, release)
    totals = [sum(number[side] for name, number in counts.items() if name != MISSING) for side in (0, 1)]
    shares = [np.array([n[s] / max(totals[s], 1) for name, n in counts.items() if name != MISSING]) for s in (0, 1)]
    shown = f"{compute_difference_of_levels(*shares):.2f}" if all(totals) and len(shares[0]) > 1 else ""
    whole = len(real), len(made)
    found = [(label, "", "", shown)]
    for level, number in counts.items():
        of = whole if level == MISSING else totals
        between = compute_difference_of_shares(*(number[s] / whole[s] for s in (0, 1))) if level == MISSING else None
        texts = [_part(number[side], of[side]) for side in (0, 1)]
        found.append((f"  {level}", texts[0], texts[1], "" if between is None else f"{between:.2f}"))
    return found


def count_levels(real: pd.Series, made: pd.Series, release: bool) -> dict[str, list[int]]:
    """Level -> real and synthetic patients; rare levels as one, and last those in whom it is not recorded."""
    sides = [side.astype(object) for side in (real, made)]
    levels = [str(level) for level in real.cat.categories]
    levels = [level for level in levels if any((side == level).any() for side in sides)]
    counts = {level: [int((side == level).sum()) for side in sides] for level in levels}
    return _together(counts, [int(side.isna().sum()) for side in sides], release)


def _together(counts: dict[str, list[int]], unknown: list[int], release: bool) -> dict[str, list[int]]:
    """The levels with rare ones taken together, at the end; what is not recorded counts as a level that may be rare.

    In a release as many of the rarest among real patients are taken together as hold five at least and two in number:
    no count of one to four follows from the others and the number of patients.
    """
    ordered = sorted(counts, key=lambda level: -counts[level][0])
    rare = ordered[LEVELS - 1 :] if len(ordered) > LEVELS else []
    small = [level for level in counts if counts[level][0] < MIN_CELL_COUNT] if release else []
    small = [level for level in small if counts[level][0] or counts[level][1]]
    rare += [level for level in small if level not in rare]
    with_unknown = release and 0 < unknown[0] < MIN_CELL_COUNT
    while (rare or with_unknown) and release:
        held = sum(counts[level][0] for level in rare) + (unknown[0] if with_unknown else 0)
        if (held == 0 or held >= MIN_CELL_COUNT) and len(rare) + with_unknown > 1:
            break
        left = [level for level in reversed(ordered) if level not in rare]
        if not left:
            break
        rare.append(left[0])
    found = {level: number for level, number in counts.items() if level not in rare}
    if rare:
        name = f"{RARE}{' or not recorded' if with_unknown else ''} ({len(rare)})" if len(rare) > 1 else rare[0]
        if with_unknown and len(rare) == 1:
            name = f"{rare[0]} or {MISSING}"
        extra = unknown if with_unknown else [0, 0]
        found[name] = [sum(counts[level][side] for level in rare) + extra[side] for side in (0, 1)]
    if any(unknown) and not with_unknown:
        found[MISSING] = unknown
    return found


def _endpoint_rows(endpoint: str, real: Cohort, synthetic: Cohort, release: bool) -> list[tuple[str, str, str, str]]:
    sides = [follow_up(cohort, endpoint)[1:] for cohort in (real, synthetic)]
    if not all(len(time) for time, _ in sides):
        return []
    from haemosynth.stats.estimates import fit_survival

    events, medians, followed = [], [], []
    for (time, event), hide in zip(sides, (release, False), strict=True):
        fewest = min(event.sum(), (event == 0).sum())
        few = hide and (0 < fewest < MIN_CELL_COUNT or len(time) < MIN_CELL_COUNT)
        events.append("withheld" if few else _part(int(event.sum()), len(time)))
        middle = float("nan") if few else float(fit_survival(time, event).median_survival_time_)
        medians.append(f"{middle:.1f}" if np.isfinite(middle) else "withheld" if few else "not reached")
        median = estimate_median_follow_up(pd.Series(time), pd.Series(event))
        followed.append(f"{median:.1f}" if np.isfinite(median) and not few else "withheld" if few else "not reached")
    shares = [float(event.mean()) for _, event in sides]
    shown = "" if "withheld" in events else f"{compute_difference_of_shares(*shares):.2f}"
    return [
        (f"{endpoint}: events", events[0], events[1], shown),
        (f"{endpoint}: median (months)", medians[0], medians[1], ""),
        (f"{endpoint}: median follow-up (months)", followed[0], followed[1], ""),
    ]


def _alteration_row(name: str, real: pd.Series, made: pd.Series, release: bool) -> tuple[str, str, str, str]:
    known = [side.dropna().to_numpy(float) for side in (real, made)]
    carriers = [int((side == 1).sum()) for side in known]
    fewest = min(carriers[0] or MIN_CELL_COUNT, len(known[0]) - carriers[0] or MIN_CELL_COUNT)
    few = release and fewest < MIN_CELL_COUNT
    shown = (
        ""
        if few or not all(map(len, known))
        else f"{compute_difference_of_shares(*(side.mean() for side in known)):.2f}"
    )
    return (
        f"  {name}", FEW if few else _part(carriers[0], len(known[0])), _part(carriers[1], len(known[1])), shown,
    )  # fmt: skip


def _part(number: int, total: int) -> str:
    return f"{number:,} ({100 * number / total:.1f})" if total else ""


def compute_difference_of_means(first: Vector, second: Vector) -> float:
    """Standardised difference of two samples of numbers; 0 where neither varies and both are equal."""
    gap = abs(float(first.mean() - second.mean()))
    scale = float(np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2))
    return gap / scale if scale else 0.0 if gap == 0 else float("inf")


def compute_difference_of_shares(first: float, second: float) -> float:
    """Standardised difference of two shares."""
    gap, scale = abs(first - second), float(np.sqrt((first * (1 - first) + second * (1 - second)) / 2))
    return gap / scale if scale else 0.0 if gap == 0 else float("inf")


def compute_difference_of_levels(first: Vector, second: Vector) -> float:
    """Mahalanobis distance of two distributions over the same levels; of two levels that of their shares."""
    gap = (first - second)[1:]
    spread = [np.diag(side[1:]) - np.outer(side[1:], side[1:]) for side in (first, second)]
    squared = float(gap @ np.linalg.pinv((spread[0] + spread[1]) / 2) @ gap)
    return float(np.sqrt(max(squared, 0.0)))


def format_as_html(table: pd.DataFrame, title: str, note: str) -> str:
    """The table as a page that a word processor takes over."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    body = "\n".join(f"<tr>{''.join(_cell(text) for text in row)}</tr>" for row in table.itertuples(index=False))
    style = "table{border-collapse:collapse;font:10pt sans-serif}th,td{padding:2pt 8pt;text-align:left}"
    style += "thead th{border-top:1.5pt solid;border-bottom:1pt solid}tbody tr:last-child td{border-bottom:1.5pt solid}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style></head>\n<body>\n<table>\n<caption>{escape(title)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<p>{escape(note)}</p>\n</body></html>\n"
    )


def _cell(text: str) -> str:
    indent = ' style="padding-left:20pt"' if text.startswith("  ") else ""
    return f"<td{indent}>{escape(text.strip())}</td>"


def format_as_docx(table: pd.DataFrame, title: str, note: str) -> bytes:
    """The table as a Word document; equal tables give equal bytes."""
    from docx import Document
    from docx.shared import Pt

    document: Any = Document()
    document.styles["Normal"].font.size = Pt(9)
    document.add_paragraph(title).runs[0].bold = True
    grid = document.add_table(rows=1 + len(table), cols=len(table.columns), style="Light List")
    lines: Sequence[Sequence[str]] = [list(table.columns), *table.to_numpy(str).tolist()]
    for row, line in zip(grid.rows, lines, strict=True):
        for cell, text in zip(row.cells, line, strict=True):
            cell.text = text.strip()
            if text.startswith("  "):
                cell.paragraphs[0].paragraph_format.left_indent = Pt(12)
    document.add_paragraph(note)
    raw = io.BytesIO()
    document.save(raw)
    return _remove_dates(raw.getvalue())


def _remove_dates(archive: bytes) -> bytes:
    """A zip archive with the dates of its members taken away."""
    settled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(settled, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(zipfile.ZipInfo(member.filename), source.read(member), zipfile.ZIP_DEFLATED)
    return settled.getvalue()


def write_table_one(table: pd.DataFrame, folder: Path, study: str, stamp: Callable[[str], str]) -> None:
    """Write the released table as TSV, HTML and DOCX.

    Args:
        stamp: from a file name to the one that says to whom it may go.
    """
    title, note = f"Table 1. Real and synthetic patients, {study}", NOTE + NOTE_RELEASED
    write_table(without_formulas(table), folder / stamp("table_one.tsv"))
    write_text(format_as_html(table, title, note), folder / stamp("table_one.html"))
    with replacing(folder / stamp("table_one.docx")) as temporary:
        temporary.write_bytes(format_as_docx(table, title, note))
