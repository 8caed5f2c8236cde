"""One look for all figures: colour-blind safe, readable in print, the same bytes for the same data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from haemosynth.core.arrays import Vector
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.files import replacing

# Okabe and Ito's colours: distinguishable with every common form of colour blindness.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
REAL, SYNTHETIC, NEUTRAL = BLACK, VERMILION, "#8A8A8A"
DIVERGING = "RdBu_r"

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.dpi": 100,
    "legend.frameon": False,
    "svg.hashsalt": "haemosynth",
    "svg.fonttype": "path",
}


def new_figure(width: float, height: float, **subplots: Any) -> tuple[Figure, Any]:
    """A figure (inches) and its axes, in the project's style (which later legends take too), without pyplot's state.

    `subplots` goes to `Figure.subplots` (nrows, ncols, width_ratios through gridspec_kw, ...).
    """
    matplotlib.rcParams.update(STYLE)
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**subplots)


def draw_reason(reason: str) -> Figure:
    """A figure that says why there is none."""
    drawn, axis = new_figure(6, 1.2)
    axis.set_axis_off()
    axis.text(0, 0.5, reason, fontsize=9)
    return drawn


def make_swatch(colour: str, text: str) -> Any:
    """An entry of a legend: a coloured field with this text."""
    from matplotlib.patches import Patch

    return Patch(color=colour, label=text)


def compute_heights(counts: Any, real: bool) -> Vector:
    """Per cent of the patients in each bar; counts of one to four real patients are left out: figures are published.

    counts: (bars,) patients.
    """
    shown = np.where(real & (counts > 0) & (counts < MIN_CELL_COUNT), 0, counts)
    return np.asarray(100 * shown / max(counts.sum(), 1))


def interval_rows(axis: Any, values: pd.DataFrame, rows: Sequence[tuple[str, str, str, str]]) -> None:
    """Metrics as dots with their intervals, one row each, from the top.

    values: as a stage's results (metric, target, status, value, low, high). rows: (metric, target, text, colour); those
    without a value are left out.
    """
    known = values[values["status"] == "ok"]
    numbers = {
        (row.metric, row.target): (row.value, row.low, row.high) for row in known.itertuples(index=False, name="Row")
    }
    shown = [row for row in rows if (row[0], row[1]) in numbers]
    for y, (metric, target, _, colour) in enumerate(shown):
        value, low, high = numbers[metric, target]
        axis.hlines(y, low, high, color=colour, lw=1.6)
        axis.plot(value, y, "o", color=colour, ms=6)
    axis.set_yticks(range(len(shown)), [text for _, _, text, _ in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as SVG without a date and with fixed identifiers: equal data, equal bytes."""
    matplotlib.rcParams.update(STYLE)
    lay_out(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def lay_out(figure: Figure) -> None:
    """Settle where the axes are.

    The solver behind the constrained layout leaves other last digits from draw to draw: it runs once, and its result is
    rounded. Text is measured as it will be written, at the 72 points to an inch of an SVG.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    FigureCanvasSVG(figure)
    dpi = figure.dpi
    figure.dpi = 72
    engine.execute(figure)
    figure.dpi = dpi
    figure.set_layout_engine(None)
    for axis in figure.axes:
        left, bottom, width, height = axis.get_position(original=True).bounds
        axis.set_position((round(left, 9), round(bottom, 9), round(width, 9), round(height, 9)))


def shorten(text: str, most: int) -> str:
    """The text, cut to so many characters with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
