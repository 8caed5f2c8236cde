"""Single synthetic patients whole, each beside the kind of real patient that it is nearest to. Working edition alone.

An archetype is the average of the training patients of one k-means cluster, at least five of them, in the mixed space
of clinical record, alterations and, where there is expression, its principal components: never one real patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, SYNTHETIC, new_figure, shorten
from haemosynth.encode.records import Matrix, fit_encoder
from haemosynth.modalities.registry import NAMES, load, offers
from haemosynth.stats.neighbours import neighbours

Rows = NDArray[np.intp]
SHOWN = 4  # synthetic patients
RECORD_WIDTH = 5.4  # inches
MOST_ARCHETYPES = 12
OFFERED = {"demographic": 3, "disease": 3, "laboratory": 5, "comorbidity": 2, "treatment": 3, "other": 1}


@dataclass(frozen=True)
class Archetypes:
    """members: positions of training patients, of each archetype. nearest: (synthetic patients,) the nearest one."""

    members: list[Rows]
    nearest: Rows


def _panels() -> list[ModuleType]:
    """What draws the modalities of a patient beside the record."""
    return [load(name, "panel") for name in NAMES if offers(name, "panel")]


def find_archetypes(synthetic: Cohort, train: Cohort) -> Archetypes:
    """Clusters of training patients, and the nearest centre of each synthetic patient.

    One cluster for 15 training patients, at most twelve; clusters of fewer than five patients are left out.
    """
    from sklearn.cluster import KMeans

    encoder = fit_encoder(train)
    spaces = [panel.space(train) for panel in _panels() if hasattr(panel, "space")]

    def points(cohort: Cohort) -> Matrix:
        further = [place(cohort) for place in spaces if place is not None]
        return np.hstack([encoder.points(cohort), *(table for table in further if table is not None)])

    known, made = points(train), points(synthetic)
    count = int(np.clip(len(train) // 15, 1, MOST_ARCHETYPES))
    labels = KMeans(count, n_init=4, random_state=0).fit_predict(known)
    members = [rows for rows in (np.flatnonzero(labels == c) for c in range(count)) if len(rows) >= MIN_CELL_COUNT]
    centres = np.array([known[rows].mean(axis=0) for rows in members])
    return Archetypes(members, neighbours(made, centres, 1)[1][:, 0])


def choose_patients(synthetic: Cohort, found: Archetypes) -> list[int]:
    """Positions of the patients shown: of those with the most modalities the first in the table that is nearest to each
    of the archetypes that most synthetic patients are nearest to. Nobody picks them by their looks."""
    whole = np.zeros(len(synthetic))
    for part in synthetic.parts.values():
        whole += synthetic.patients.isin(np.asarray(part.owners, dtype=object))
    sizes = np.bincount(found.nearest, minlength=len(found.members))
    near = [np.flatnonzero(found.nearest == c) for c in np.argsort(-sizes, kind="stable")[:SHOWN] if sizes[c]]
    best = [rows[np.argsort(-whole[rows], kind="stable")] for rows in near]
    # The first of each, and where there are fewer than four archetypes the second of each, and so on.
    turns = [int(rows[turn]) for turn in range(SHOWN) for rows in best if turn < len(rows)]
    return turns[:SHOWN]


def draw_patients(synthetic: Cohort, train: Cohort) -> Figure:
    """About four synthetic patients, a line each: record, alterations, programmes and image where there are any."""
    found = find_archetypes(synthetic, train)
    shown = choose_patients(synthetic, found)
    drawings = [(panel.WIDTH, draw) for panel in _panels() if (draw := panel.prepare(synthetic, train)) is not None]
    widths = [RECORD_WIDTH, *(width for width, _ in drawings)]
    columns = _columns(train)
    height = max(0.19 * (len(columns) + 2), 2.6)
    figure, axes = new_figure(
        sum(widths), height * len(shown) + 0.5, nrows=len(shown), ncols=len(widths), squeeze=False,
        gridspec_kw={"width_ratios": widths},
    )  # fmt: skip
    for line, row in zip(axes, shown, strict=True):
        like = train.take(found.members[found.nearest[row]])
        _draw_record(line[0], synthetic, int(row), like, columns)
        for axis, (_, draw) in zip(line[1:], drawings, strict=True):
            draw(axis, int(row), like)
    return figure


def _columns(train: Cohort) -> list[str]:
    """The columns of the record that are shown: of each group those most often known, and the endpoints."""
    schema = train.schema
    usable = [name for name in schema.columns if name not in schema.survival]
    kept: list[str] = []
    for group, most in OFFERED.items():
        own = [name for name in usable if schema.columns[name].group == group]
        kept += sorted(sorted(own, key=lambda name: train.clinical[name].isna().sum())[:most], key=own.index)
    return [*kept, *schema.endpoints]


def _draw_record(axis: Any, synthetic: Cohort, row: int, like: Cohort, columns: list[str]) -> None:
    axis.axis("off")
    axis.set(xlim=(0, 1), ylim=(len(columns) + 0.5, -1.6), xticks=[], yticks=[])
    axis.text(0, -1.35, f"Synthetic patient {synthetic.patients[row]}", fontweight="bold", fontsize=9, va="center")
    axis.text(0.43, -0.5, "synthetic", color=SYNTHETIC, fontsize=7.5, va="center")
    axis.text(0.71, -0.5, f"archetype, mean of {len(like)} real", color=NEUTRAL, fontsize=7.5, va="center")
    for y, name in enumerate(columns):
        if name in like.schema.endpoints:
            own, real = (_endpoint(side, name) for side in (synthetic.take([row]), like))
        else:
            own, real = _value(synthetic.clinical[name].iloc[row]), _typical(like.clinical[name])
        axis.text(0, y + 0.5, shorten(_name(like, name), 28), fontsize=7.5, va="center")
        axis.text(0.43, y + 0.5, shorten(own, 16), color=SYNTHETIC, fontsize=7.5, va="center")
        axis.text(0.71, y + 0.5, shorten(real, 22), color=NEUTRAL, fontsize=7.5, va="center")


def _name(cohort: Cohort, name: str) -> str:
    unit = cohort.schema.columns[name].unit if name in cohort.schema.columns else None
    return f"{name}, {unit}" if unit else name


def _value(value: Any) -> str:
    if pd.isna(value):
        return "unknown"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _typical(values: pd.Series) -> str:
    """Mean, or the most frequent level with its share; nothing from fewer than five patients."""
    known = values.dropna()
    if len(known) < MIN_CELL_COUNT:
        return "few known"
    if isinstance(values.dtype, pd.CategoricalDtype):
        shares = known.astype(object).value_counts(normalize=True)
        return f"{shares.index[0]} ({100 * shares.iloc[0]:.0f} %)"
    return _value(float(known.mean()))


def _endpoint(cohort: Cohort, endpoint: str) -> str:
    """Follow-up and event of one patient; the mean and the share with an event of several."""
    time, event = (cohort.clinical[f"{endpoint}_{part}"] for part in ("time", "event"))
    known = time.notna() & event.notna()
    if len(cohort) == 1:
        if not known.iloc[0]:
            return "unknown"
        return f"{time.iloc[0]:.0f} months, {'event' if event.iloc[0] == 1 else 'none'}"
    if known.sum() < MIN_CELL_COUNT:
        return "few known"
    count = event[known].sum()
    share = "few events" if count < MIN_CELL_COUNT else f"{100 * count / known.sum():.0f} % event"
    return f"{time[known].mean():.0f} months, {share}"
