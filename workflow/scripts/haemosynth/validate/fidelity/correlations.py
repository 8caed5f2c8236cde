"""Correlations: do clinical columns go together as in real patients, with each other and with alterations?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.cohort import Cohort
from haemosynth.figures import DIVERGING, new_figure
from haemosynth.validate.association import (
    Matrix,
    association_matrix,
    cross_correlation,
    ranked,
    weighted_concordance,
    weighted_error,
)
from haemosynth.validate.design import Design, coded, indicators
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "min_carriers": 10,  # carriers among real patients that an alteration needs to be read beside clinical columns
}
_ASSOCIATION = (
    "association of each pair of columns, pairwise complete: Spearman's rho (numbers, ordinal and two-level columns),"
    " bias-corrected Cramer's V (nominal), bias-corrected correlation ratio of ranks (nominal with ordered). Modality"
    " joint: clinical column with alteration, correlation of ranks with carrier status, nominal columns by level"
)
METRICS = (
    Metric(
        "association_error", "error", "", (0, 2), JOINT, "bootstrap",
        f"sum |a_real| |a_real - a_candidate| / sum |a_real|, a the {_ASSOCIATION}; weighted, so that pairs without"
        " association cannot hide what was lost",
        "Bergsma, J Korean Stat Soc 2013;42:323; Kelley, PNAS 1935;21:554",
    ),
    Metric(
        "association_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "2 sum w x y / sum w (x^2 + y^2), x and y the associations of real and candidate, w = |x|: concordance about"
        " zero, which is no association",
        "Lin, Biometrics 1989;45:255; Bergsma, J Korean Stat Soc 2013;42:323",
    ),
    Metric(
        "association_difference", "descriptive", "", (-2, 2), JOINT, "bootstrap",
        "candidate minus real, for each pair of clinical columns", "Bergsma, J Korean Stat Soc 2013;42:323",
    ),
)  # fmt: skip


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Associations among clinical columns, and (modality joint) of clinical columns with alterations.

    A pair that cannot be read in the candidate (a constant column, nobody in whom both are known) has lost its
    association: it counts as 0. `rng` is not used.
    """
    n = len(comparison.real)
    design = coded(comparison.real.schema, comparison.real.clinical, comparison.candidate.clinical)
    real, candidate = (association_matrix(matrix, design.nominal) for matrix in design.matrices)
    read = np.triu(~np.isnan(real), 1)
    values = _summary(real[read], np.nan_to_num(candidate[read]), "clinical", n)
    for i, j in zip(*np.nonzero(read & ~np.isnan(candidate)), strict=True):
        pair = f"{design.columns[i]}~{design.columns[j]}"
        values.append(Value("association_difference", float(candidate[i, j] - real[i, j]), pair, n=n))

    if comparison.real.alterations is None or comparison.candidate.alterations is None:
        return values
    events = list(comparison.real.schema.alterations)
    real = clinical_by_alteration(design, 0, comparison.real, events)
    candidate = clinical_by_alteration(design, 1, comparison.candidate, events)
    frequent = comparison.real.alterations[events].sum().to_numpy() >= float(settings["min_carriers"])
    read = ~np.isnan(real) & frequent
    return values + _summary(real[read], np.nan_to_num(candidate[read]), "joint", n)


def _summary(real: Matrix, candidate: Matrix, modality: str, n: int) -> list[Value]:
    weight = np.abs(real)
    if len(real) < 3 or weight.sum() == 0:
        reason = "fewer than 3 pairs can be read in real patients"
        metrics = ("association_error", "association_agreement")
        return [Value(metric, np.nan, modality=modality, n=n, reason=reason) for metric in metrics]
    return [
        Value("association_error", weighted_error(real, candidate, weight), modality=modality, n=n),
        Value("association_agreement", weighted_concordance(real, candidate, weight), modality=modality, n=n),
    ]


def clinical_by_alteration(design: Design, side: int, cohort: Cohort, events: list[str]) -> Matrix:
    """Correlation of every clinical column (ranks; nominal columns by level) with carrying each alteration.

    (columns and levels, events); NaN where it cannot be read.
    """
    if cohort.alterations is None:
        raise ValueError("the cohort has no genomic modality")
    _, values = indicators(design, side)
    return cross_correlation(ranked(values), cohort.alterations[events].to_numpy(np.float64))


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Associations of all clinical columns: real, candidate, and candidate minus real."""
    design = coded(comparison.real.schema, comparison.real.clinical, comparison.candidate.clinical)
    real, candidate = (association_matrix(matrix, design.nominal) for matrix in design.matrices)
    names = [name if len(name) <= 22 else f"{name[:21]}…" for name in design.columns]
    side = max(3.4, 0.17 * len(names))
    fig, axes = new_figure(3 * side + 2.9, side + 2.5, ncols=3, sharey=True)
    for axis, content in zip(axes, (real, candidate, candidate - real), strict=True):
        shown = np.ma.masked_invalid(content)
        shown = np.ma.masked_where(np.triu(np.ones(content.shape, dtype=bool)), shown)
        image = axis.imshow(shown, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
        axis.set_xticks(range(len(names) - 1), names[:-1], rotation=90, fontsize=8)
        axis.set_yticks(range(1, len(names)), names[1:], fontsize=8)
        axis.set_ylim(len(names) - 0.5, 0.5)
        axis.set_xlim(-0.5, len(names) - 1.5)
        axis.tick_params(length=0)
        axis.spines[["left", "bottom"]].set_visible(False)
    axes[0].set_title(f"real (n = {len(comparison.real)})")
    axes[1].set_title(f"{label} (n = {len(comparison.candidate)})")
    row = values[(values.metric == "association_error") & (values.target == "all") & (values.modality == "clinical")]
    text = "" if row.empty or np.isnan(row.value.iloc[0]) else f"\nweighted error {row.value.iloc[0]:.2f}"
    axes[2].set_title(f"{label} minus real{text}")
    bar = fig.colorbar(image, ax=axes[2], shrink=0.7, pad=0.02)
    bar.set_label("association (or difference)")
    return fig
