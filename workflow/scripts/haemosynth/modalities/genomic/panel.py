"""Alterations of single patients in the working dossier, each beside the archetype's carriers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLACK, NEUTRAL, SYNTHETIC, shorten
from haemosynth.encode.records import Vector
from haemosynth.modalities.genomic.precedence import compute_cell_fractions

WIDTH = 2.8  # inches
MOST_ALTERATIONS = 8


def prepare(synthetic: Cohort, train: Cohort) -> Callable[[Any, int, Cohort], None] | None:
    """What draws a patient's alterations: (axis, position of the patient, training patients of the archetype)."""
    if synthetic.alterations is None:
        return None
    return lambda axis, row, like: _draw(axis, synthetic.take([row]), like)


def _draw(axis: Any, patient: Cohort, like: Cohort) -> None:
    """The patient's alterations: bars as long as the share of cancer cells; dots: the archetype's carriers."""
    assert patient.alterations is not None
    fractions = [_fractions(cohort, patient.schema.genes) for cohort in (patient, like)]
    state, real = patient.alterations.iloc[0], like.alterations
    assert real is not None
    carried = [str(name) for name in state.index[state == 1]]
    carried.sort(key=lambda name: -fractions[0].get(name, np.array([2.0])).max())  # those without a fraction first
    more, carried = carried[MOST_ALTERATIONS:], carried[:MOST_ALTERATIONS]
    for y, name in enumerate(carried):
        own = fractions[0].get(name)
        if own is None:
            axis.barh(y, 1, height=0.6, color="none", edgecolor=SYNTHETIC, hatch="////", lw=0.8)
        else:
            axis.barh(y, own.max(), height=0.6, color=SYNTHETIC)
        others = fractions[1].get(name, np.empty(0))
        if len(others) >= MIN_CELL_COUNT:
            axis.plot(others.mean(), y, "o", color=BLACK, ms=4)
        share = real[name].mean() if real[name].notna().sum() >= MIN_CELL_COUNT else np.nan
        told = "" if np.isnan(share) else "few" if real[name].sum() < MIN_CELL_COUNT else f"{100 * share:.0f} %"
        axis.text(1.06, y, told, va="center", fontsize=7.5, color=NEUTRAL)
    axis.text(1.06, -1.05, "carriers in\narchetype", va="center", fontsize=6.5, color=NEUTRAL)
    axis.set_yticks(range(len(carried)), [shorten(name, 14) for name in carried], fontsize=8)
    axis.set(xlim=(0, 1.35), ylim=(max(len(carried), 5) - 0.4, -1.6), xticks=[0, 0.5, 1])
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("cancer cell fraction (hatched: unknown;\ndot: mean of the archetype's carriers)", fontsize=6.5)
    title = "alterations" if carried else "no alteration" if state.notna().any() else "alterations unknown"
    axis.set_title(title + (f" ({len(more)} more)" if more else ""), loc="left", fontsize=8)


def _fractions(cohort: Cohort, genes: list[str]) -> dict[str, Vector]:
    """Gene -> cancer cell fractions of its mutations."""
    found = compute_cell_fractions(cohort, genes)
    return {name: found.fraction[found.gene == g] for g, name in enumerate(genes) if (found.gene == g).any()}
