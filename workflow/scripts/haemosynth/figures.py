"""One look for all figures: colour-blind safe, readable in print, the same bytes for the same data."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from haemosynth.files import replacing

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


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as SVG without a date and with fixed identifiers: equal data, equal bytes."""
    matplotlib.rcParams.update(STYLE)
    # The solver behind the constrained layout leaves other last digits from draw to draw: lay out once, and round.
    figure.savefig(BytesIO(), format="svg")
    figure.set_layout_engine("none")
    for axis in figure.axes:
        left, bottom, width, height = axis.get_position(original=True).bounds
        axis.set_position((round(left, 9), round(bottom, 9), round(width, 9), round(height, 9)))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
