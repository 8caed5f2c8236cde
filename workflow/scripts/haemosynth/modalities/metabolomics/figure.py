"""The dossier's picture of measurements: every analyte's distribution, and how analytes vary together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import DIVERGING, NEUTRAL, REAL, SYNTHETIC, new_figure, shorten
from haemosynth.encode.records import Matrix
from haemosynth.modalities.metabolomics.components import fill
from haemosynth.modalities.metabolomics.measured import format_texts, levels, limits_of, values_of
from haemosynth.modalities.metabolomics.part import measured_of

if TYPE_CHECKING:
    from anndata import AnnData

SHOWN = 40  # analytes, the most often known ones
TITLE = "Measurements"
_SHOWN = (
    "Left: 5, 25, 50, 75 and 95 % of every analyte, in standard deviations of training patients around their mean, "
    "with the share of synthetic patients in whom it is missing and that at a limit of detection. Right: correlations "
    "of analytes in the same order, with similar ones side by side. "
)
CAPTIONS = {
    "release": _SHOWN + "Only synthetic patients are shown.",
    "working": _SHOWN + "Real patients are training patients; of the map on the right, the lower triangle is real.",
}


def draw(synthetic: Cohort, real: Cohort | None) -> Figure:
    """Distributions and correlations of analytes.

    real: training patients, who are shown beside the synthetic ones in the working edition; None for the release.
    """
    made = measured_of(synthetic)
    known = None if real is None else measured_of(real)
    chosen = _choose(made if known is None else known)
    figure, (left, right) = new_figure(11, 1.2 + 0.17 * len(chosen), ncols=2, gridspec_kw={"width_ratios": (1.15, 1.0)})
    shown = [("synthetic", made, SYNTHETIC, -0.14)] + ([] if known is None else [("real", known, REAL, 0.14)])
    for who, data, colour, shift in shown:
        _spans(left, levels(data)[:, chosen], colour, shift if real is not None else 0.0, f"{who}, n = {data.n_obs:,}")
    names = [_name(made, j) for j in chosen]
    left.set_yticks(range(len(chosen)), names, fontsize=6)
    for row, j in enumerate(chosen):
        absent, limit = np.isnan(values_of(made)[:, j]).mean(), (limits_of(made)[:, j] != 0).mean()
        left.text(3.1, row, f"{absent:.0%}", fontsize=5.5, color=NEUTRAL, va="center", ha="right")
        left.text(3.7, row, f"{limit:.0%}", fontsize=5.5, color=NEUTRAL, va="center", ha="right")
    left.text(3.1, -1.0, "missing", fontsize=5.5, color=NEUTRAL, va="center", ha="right")
    left.text(3.7, -1.0, "at limit", fontsize=5.5, color=NEUTRAL, va="center", ha="right")
    left.set(xlim=(-3, 3.8), ylim=(len(chosen) - 0.4, -1.6), xlabel="standard deviations of training patients")
    left.axvline(0, color=NEUTRAL, lw=0.6, ls=":")
    left.legend(loc="upper left", bbox_to_anchor=(-0.55, 0.0), fontsize=7)
    left.set_title(f"{len(chosen)} analytes of {made.n_obs} of {len(synthetic)} synthetic patients", loc="left")
    _map(figure, right, made, known, chosen)
    return figure


def _name(data: AnnData, j: int) -> str:
    unit = format_texts(data, "unit")[j]
    return shorten(str(data.var_names[j]), 26) + (f", {unit}" if unit else "")


def _choose(data: AnnData) -> np.ndarray:
    """Positions of the analytes shown, in the order of their clustering."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    often = np.sort(np.argsort(np.isnan(values_of(data)).sum(axis=0), kind="stable")[:SHOWN])
    if len(often) < 3:
        return often
    return np.asarray(often[leaves_list(linkage(_distance(fill(data)[:, often]), "average"))])


def _distance(values: Matrix) -> Matrix:
    """Condensed 1 - correlation of columns."""
    apart = 1 - _correlations(values)
    return np.asarray(apart[np.triu_indices(len(apart), 1)])


def _correlations(values: Matrix) -> Matrix:
    centred = values - values.mean(axis=0)
    norm = np.maximum(np.sqrt((centred**2).sum(axis=0)), 1e-9)
    return np.asarray(np.clip((centred / norm).T @ (centred / norm), -1, 1))


def _spans(axis: Any, values: Matrix, colour: str, shift: float, label: str) -> None:
    for row, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        if len(known) < 4 * MIN_CELL_COUNT:
            continue
        low, first, middle, last, high = np.quantile(known, [0.05, 0.25, 0.5, 0.75, 0.95])
        axis.hlines(row + shift, low, high, color=colour, lw=0.8)
        axis.hlines(row + shift, first, last, color=colour, lw=2.6)
        axis.plot(middle, row + shift, "|", color=colour, ms=6, mew=1.4)
    axis.plot([], [], color=colour, lw=2.6, label=label)


def _map(figure: Figure, axis: Any, made: AnnData, known: AnnData | None, chosen: np.ndarray) -> None:
    """Correlations; with real patients, theirs below the diagonal."""
    shown = _correlations(fill(made)[:, chosen])
    if known is not None:
        below = np.tril_indices(len(chosen), -1)
        shown[below] = _correlations(fill(known)[:, chosen])[below]
    image = axis.imshow(shown, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel("synthetic" if known is None else "above the diagonal synthetic, below real")
    axis.set_title("correlation", loc="left")
    figure.colorbar(image, ax=axis, shrink=0.6)
