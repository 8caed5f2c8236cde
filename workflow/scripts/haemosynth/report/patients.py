"""Single synthetic patients whole, each beside the kind of real patient that it is nearest to. Working edition alone.

An archetype is the average of the training patients of one k-means cluster, at least five of them, in the mixed space
of clinical record, alterations and, where there is expression, its principal components: never one real patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.cohort import Cohort
from haemosynth.expression import LEAST_PATIENTS, levels
from haemosynth.figures import BLACK, NEUTRAL, SYNTHETIC, new_figure
from haemosynth.neighbours import neighbours
from haemosynth.report.images import scale_bar, show, spread_rows, views
from haemosynth.validate.components import LEAST, standard_components
from haemosynth.validate.precedence import cell_fractions
from haemosynth.validate.records import Matrix, Vector, fit_encoder

Rows = NDArray[np.intp]
SHOWN = 4  # synthetic patients
FEWEST = 5  # training patients of an archetype, and behind every number of it
MOST_ARCHETYPES = 12
COMPONENTS = 5  # of expression in the mixed space
PROGRAMMES = 6
OFFERED = {"demographic": 3, "disease": 3, "laboratory": 5, "comorbidity": 2, "treatment": 3, "other": 1}
MOST_ALTERATIONS = 8


@dataclass(frozen=True)
class Archetypes:
    """members: positions of training patients, of each archetype. nearest: (synthetic patients,) the nearest one."""

    members: list[Rows]
    nearest: Rows


def archetypes(synthetic: Cohort, train: Cohort) -> Archetypes:
    """Clusters of training patients, and the nearest centre of each synthetic patient.

    One cluster for 15 training patients, at most twelve; clusters of fewer than five patients are left out.
    """
    from sklearn.cluster import KMeans

    encoder = fit_encoder(train)
    place = None
    if train.expression is not None and train.expression.n_obs >= LEAST_PATIENTS:
        place = standard_components(COMPONENTS, train.expression)

    def points(cohort: Cohort) -> Matrix:
        found = [encoder.points(cohort)]
        if place is not None and cohort.expression is not None:
            # A patient without expression stands in the middle of it.
            own = pd.DataFrame(place(cohort.expression) / 2, index=cohort.expression.obs_names)
            found.append(own.reindex(cohort.patients).fillna(0.0).to_numpy())
        return np.hstack(found)

    known, made = points(train), points(synthetic)
    count = int(np.clip(len(train) // 15, 1, MOST_ARCHETYPES))
    labels = KMeans(count, n_init=4, random_state=0).fit_predict(known)
    members = [rows for rows in (np.flatnonzero(labels == c) for c in range(count)) if len(rows) >= FEWEST]
    centres = np.array([known[rows].mean(axis=0) for rows in members])
    return Archetypes(members, neighbours(made, centres, 1)[1][:, 0])


def chosen(synthetic: Cohort, found: Archetypes) -> list[int]:
    """Positions of the patients shown: of those with the most modalities the first in the table that is nearest to each
    of the archetypes that most synthetic patients are nearest to. Nobody picks them by their looks."""
    whole = np.zeros(len(synthetic))
    if synthetic.mutations is not None:
        whole += synthetic.patients.isin(synthetic.mutations["patient_id"])
    if synthetic.expression is not None:
        whole += synthetic.patients.isin(synthetic.expression.obs_names)
    if synthetic.images is not None:
        whole += synthetic.patients.isin(synthetic.images.patient_id)
    sizes = np.bincount(found.nearest, minlength=len(found.members))
    near = [np.flatnonzero(found.nearest == c) for c in np.argsort(-sizes, kind="stable")[:SHOWN] if sizes[c]]
    best = [rows[np.argsort(-whole[rows], kind="stable")] for rows in near]
    # The first of each, and where there are fewer than four archetypes the second of each, and so on.
    turns = [int(rows[turn]) for turn in range(SHOWN) for rows in best if turn < len(rows)]
    return turns[:SHOWN]


def patients_figure(synthetic: Cohort, train: Cohort) -> Figure:
    """About four synthetic patients, a line each: record, alterations, programmes and image where there are any."""
    found = archetypes(synthetic, train)
    shown = chosen(synthetic, found)
    parts = ["record"]
    parts += ["alterations"] if synthetic.alterations is not None else []
    programmes = _programmes(synthetic, train)
    parts += ["programmes"] if programmes else []
    parts += ["image"] if synthetic.images is not None else []
    widths = {"record": 5.4, "alterations": 2.8, "programmes": 2.8, "image": 2.2}
    columns = _columns(train)
    height = max(0.19 * (len(columns) + 2), 2.6)
    figure, axes = new_figure(
        sum(widths[part] for part in parts), height * len(shown) + 0.5, nrows=len(shown), ncols=len(parts),
        squeeze=False, gridspec_kw={"width_ratios": [widths[part] for part in parts]},
    )  # fmt: skip
    for line, row in zip(axes, shown, strict=True):
        like = train.take(found.members[found.nearest[row]])
        for axis, part in zip(line, parts, strict=True):
            if part == "record":
                _draw_record(axis, synthetic, int(row), like, columns)
            elif part == "alterations":
                _draw_alterations(axis, synthetic.take([row]), like)
            elif part == "programmes" and programmes:
                _draw_programmes(axis, programmes, synthetic.patients[row], like)
            else:
                _draw_image(axis, synthetic, synthetic.patients[row])
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
        axis.text(0, y + 0.5, _short(_named(like, name), 28), fontsize=7.5, va="center")
        axis.text(0.43, y + 0.5, _short(own, 16), color=SYNTHETIC, fontsize=7.5, va="center")
        axis.text(0.71, y + 0.5, _short(real, 22), color=NEUTRAL, fontsize=7.5, va="center")


def _named(cohort: Cohort, name: str) -> str:
    unit = cohort.schema.columns[name].unit if name in cohort.schema.columns else None
    return f"{name}, {unit}" if unit else name


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _value(value: Any) -> str:
    if pd.isna(value):
        return "unknown"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _typical(values: pd.Series) -> str:
    """Mean, or the most frequent level with its share; nothing from fewer than five patients."""
    known = values.dropna()
    if len(known) < FEWEST:
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
    if known.sum() < FEWEST:
        return "few known"
    count = event[known].sum()
    share = "few events" if count < FEWEST else f"{100 * count / known.sum():.0f} % event"
    return f"{time[known].mean():.0f} months, {share}"


def _draw_alterations(axis: Any, patient: Cohort, like: Cohort) -> None:
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
        if len(others) >= FEWEST:
            axis.plot(others.mean(), y, "o", color=BLACK, ms=4)
        share = real[name].mean() if real[name].notna().sum() >= FEWEST else np.nan
        told = "" if np.isnan(share) else "few" if real[name].sum() < FEWEST else f"{100 * share:.0f} %"
        axis.text(1.06, y, told, va="center", fontsize=7.5, color=NEUTRAL)
    axis.text(1.06, -1.05, "carriers in\narchetype", va="center", fontsize=6.5, color=NEUTRAL)
    axis.set_yticks(range(len(carried)), [_short(name, 14) for name in carried], fontsize=8)
    axis.set(xlim=(0, 1.35), ylim=(max(len(carried), 5) - 0.4, -1.6), xticks=[0, 0.5, 1])
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("cancer cell fraction (hatched: unknown;\ndot: mean of the archetype's carriers)", fontsize=6.5)
    title = "alterations" if carried else "no alteration" if state.notna().any() else "alterations unknown"
    axis.set_title(title + (f" ({len(more)} more)" if more else ""), loc="left", fontsize=8)


def _fractions(cohort: Cohort, genes: list[str]) -> dict[str, Vector]:
    """Gene -> cancer cell fractions of its mutations."""
    found = cell_fractions(cohort, genes)
    return {name: found.fraction[found.gene == g] for g, name in enumerate(genes) if (found.gene == g).any()}


@dataclass(frozen=True)
class _Programmes:
    """names: of the programmes. scores: (patients with expression, programmes) of either side, by patient."""

    names: list[str]
    synthetic: pd.DataFrame
    train: pd.DataFrame


def _programmes(synthetic: Cohort, train: Cohort) -> _Programmes | None:
    """Groups of variable genes that vary together in training patients, and every patient's mean over each.

    Average linkage by correlation; levels in standard deviations of training patients; the largest groups, each named
    by the two genes nearest to its mean.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if synthetic.expression is None or train.expression is None or train.expression.n_obs < LEAST_PATIENTS:
        return None
    kept = train.expression.var["highly_variable"].to_numpy(dtype=bool)
    known, made = (levels(side)[:, kept].astype(float) for side in (train.expression, synthetic.expression))
    middle, spread = known.mean(axis=0), np.maximum(known.std(axis=0), LEAST)
    known, made = (known - middle) / spread, (made - middle) / spread
    if known.shape[1] < 2 * PROGRAMMES:
        return None
    groups = fcluster(linkage(known.T, "average", metric="correlation"), 3 * PROGRAMMES, "maxclust")
    sizes = np.bincount(groups)
    largest = [g for g in np.argsort(-sizes, kind="stable")[:PROGRAMMES] if sizes[g] > 1]
    genes = np.array([str(name).split("|")[0] for name in train.expression.var_names[kept]])
    names: list[str] = []
    scores: tuple[list[Vector], list[Vector]] = ([], [])
    for g in largest:
        own = np.flatnonzero(groups == g)
        mean = known[:, own].mean(axis=1)
        like = (known[:, own] * (mean - mean.mean())[:, None]).sum(axis=0)
        # Clones without a symbol, such as IMAGE:123, come last.
        best = list(dict.fromkeys(genes[own[np.lexsort((-like, np.char.find(genes[own], ":") >= 0))]]))[:2]
        names.append(f"{', '.join(_short(name, 10) for name in best)} ({len(own)})")
        for side, values in zip(scores, (known, made), strict=True):
            side.append((values[:, own].mean(axis=1) - mean.mean()) / max(mean.std(), LEAST))
    tables = [
        pd.DataFrame(np.column_stack(part), index=side.obs_names)
        for part, side in zip(scores, (train.expression, synthetic.expression), strict=True)
    ]
    return _Programmes(names, tables[1], tables[0])


def _draw_programmes(axis: Any, programmes: _Programmes, patient: str, like: Cohort) -> None:
    """Programme scores of the patient as bars, the mean of the archetype's patients with expression as dots."""
    rows = np.arange(len(programmes.names))
    real = programmes.train.loc[programmes.train.index.intersection(like.patients)]
    if patient in programmes.synthetic.index:
        axis.barh(rows, programmes.synthetic.loc[patient].clip(-4, 4), height=0.6, color=SYNTHETIC)
    if len(real) >= FEWEST:
        axis.plot(real.mean().clip(-4, 4), rows, "o", color=BLACK, ms=4)
    axis.axvline(0, color=NEUTRAL, lw=0.6)
    axis.set_yticks(rows, programmes.names, fontsize=7)
    axis.set(xlim=(-4, 4), ylim=(len(rows) - 0.4, -0.6))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("score, standard deviations of training patients", fontsize=6.5)
    known = patient in programmes.synthetic.index
    axis.set_title("programmes (genes)" if known else "without expression", loc="left", fontsize=8)


def _draw_image(axis: Any, synthetic: Cohort, patient: str) -> None:
    """The patient's image with the largest mask."""
    assert synthetic.images is not None
    own = synthetic.images.take(np.flatnonzero(synthetic.images.patient_id == patient))
    if not len(own):
        axis.axis("off")
        axis.set(xticks=[], yticks=[])
        axis.text(0.5, 0.5, "no image", ha="center", va="center", color=NEUTRAL, fontsize=8)
        return
    row, view = spread_rows(own, 1)[0], views(own)[-1]
    show(axis, own, row, view)
    scale_bar(axis, own)
    axis.set_title(f"image, {view}", loc="left", fontsize=8)
