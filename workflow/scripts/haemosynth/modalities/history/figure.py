"""The dossier's picture of histories: a swimmer plot, series of some patients, and best responses."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import REAL, SYNTHETIC, new_figure
from haemosynth.modalities.history.drawing import choose_rows, colour_of, spaghetti, swimmers, waterfall
from haemosynth.modalities.history.features import GRID, first_nadirs, profile
from haemosynth.modalities.history.part import Courses, courses_of

SHOWN = 40  # synthetic patients in the swimmer plot
TITLE = "Event histories"
_SHOWN = (
    "First the courses of some synthetic patients, each a bar coloured by state; a cross is a final state such as"
    " death, an arrow the end of observation. Where something was measured repeatedly, the first such measurement of"
    " some patients follows, with the mean of all, and the best change of series under therapy, dashed at partial"
    " (-50 %) and very good partial response (-90 %). "
)
CAPTIONS = {
    "release": _SHOWN + "Only synthetic patients are shown.",
    "working": _SHOWN + "Means and best changes of training patients are black; no real course is shown.",
}


def draw(synthetic: Cohort, real: Cohort | None) -> Figure:
    """Swimmers, spaghetti and waterfall.

    real: training patients, whose aggregates are shown in the working edition; None for the release.
    """
    made = courses_of(synthetic)
    known = None if real is None else courses_of(real)
    measures = [name for name in made.design.measurements if len(made.series_of(name))]
    depth = first_nadirs(made)[0]
    panels = 1 + bool(measures) + bool(len(depth))
    figure, axes = new_figure(3.8 * panels + 2, 5, ncols=panels, squeeze=False)
    swimmers(axes[0, 0], made, choose_rows(made, SHOWN))
    axes[0, 0].set_title(
        f"{min(SHOWN, len(made.paths))} of {len(made.paths):,} synthetic patients", loc="left", fontsize=9
    )
    from matplotlib.patches import Patch

    handles = [
        Patch(color=colour_of(made, code), label=state)
        for code, state in enumerate(made.design.states)
        if state not in made.design.final
    ]
    axes[0, 0].legend(handles=handles, fontsize=6.5, loc="lower right")
    if measures:
        _series(axes[0, 1], made, known, measures[0])
    if len(depth):
        waterfall(axes[0, -1], depth, SYNTHETIC, "synthetic")
        if known is not None and len(first_nadirs(known)[0]):
            waterfall(axes[0, -1], first_nadirs(known)[0], REAL, "training")
        axes[0, -1].legend(fontsize=7, loc="upper right")
        axes[0, -1].set_title("best response of the first stay", loc="left", fontsize=9)
    return figure


def _series(axis: object, made: Courses, known: Courses | None, name: str) -> None:
    measure = made.design.measurements[name]
    log = measure.log or measure.limit > 0
    spaghetti(axis, made, name, SYNTHETIC)
    for side, colour, text in ((known, REAL, "training, mean"), (made, SYNTHETIC, "synthetic, mean")):
        if side is None:
            continue
        table = profile(side, name)
        many = (~np.isnan(table)).sum(axis=0) >= 10
        mean = np.nanmean(table[:, many], axis=0)
        axis.plot(GRID[many], np.exp(mean) if log else mean, color=colour, lw=2.2, label=text)  # type: ignore[attr-defined]
    axis.set(xlim=(0, GRID[-1] * 1.5), xlabel="months from diagnosis", ylabel=f"{name} ({measure.unit})")  # type: ignore[attr-defined]
    if log:
        axis.set_yscale("log")  # type: ignore[attr-defined]
    axis.legend(fontsize=7)  # type: ignore[attr-defined]
    axis.set_title(name, loc="left", fontsize=9)  # type: ignore[attr-defined]
