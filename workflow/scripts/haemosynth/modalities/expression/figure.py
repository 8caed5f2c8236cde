"""The dossier's picture of gene expression: a map of the patients and a heat map of variable genes, by scanpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import BLUE, DIVERGING, GREEN, NEUTRAL, ORANGE, PURPLE, REAL, SKY, SYNTHETIC, new_figure
from haemosynth.modalities.expression.part import expression_of, find_expression, has_expression
from haemosynth.modalities.expression.profiles import levels

if TYPE_CHECKING:
    from anndata import AnnData

COMPONENTS = 20
SHOWN = 40  # genes of the heat map
EVENTS = (BLUE, ORANGE, GREEN, PURPLE, SKY)
OTHER = "other or none"
MOST = 3000  # patients drawn
TITLE = "Gene expression"
_SHOWN = (
    "Left: each point is a patient, placed by the levels of the variable genes (UMAP of their principal "
    "components); distances between far groups mean little. Right: levels of the most variable genes, "
    "each scaled over all patients shown. "
)
CAPTIONS = {
    "release": _SHOWN + "Only synthetic patients are shown.",
    "working": _SHOWN + "Real patients are training patients. "
    "Where the two mix, the synthetic ones are like them; islands of one kind are what the model misses.",
}


def draw(synthetic: Cohort, real: Cohort | None) -> Figure:
    """The map (UMAP; McInnes et al., arXiv 2018;1802.03426) and a heat map.

    real: training patients, who are shown beside the synthetic ones in the working edition; None for the release,
    which shows synthetic patients alone, each of whom is published anyway.
    """
    shown = [("synthetic", synthetic)] + ([("real", real)] if real is not None else [])
    joint, events = _joint(shown)
    of = [f"{0 if not has_expression(c) else expression_of(c).n_obs} of {len(c)} {who}" for who, c in shown]
    genes = _genes(joint)
    figure, axes = new_figure(10, 4.2 if real is None else 8.2, nrows=len(shown), ncols=2, squeeze=False)
    for row, (who, _) in enumerate(shown):
        one = joint[joint.obs["who"] == who]
        place, heat = axes[row]
        if row == 0 and real is not None:
            _points(place, joint, "who", {"real": REAL, "synthetic": SYNTHETIC})
        else:
            _points(place, joint, "event", events)
        title = "with expression: " + ", ".join(of) if row == 0 else "the same map, by alteration"
        place.set_title(title, loc="left")
        _heat(figure, heat, one, genes, who)
    return figure


def _joint(shown: list[tuple[str, Cohort]]) -> tuple[AnnData, dict[str, str]]:
    """Levels of the variable genes of all patients shown, their map, and colours of the most frequent events."""
    import anndata
    import scanpy as sc

    tables, obs = [], []
    for who, cohort in shown:
        expression = find_expression(cohort)
        assert expression is not None
        part = expression[:MOST, expression.var["highly_variable"].to_numpy()]
        tables.append(levels(part))
        obs.append(pd.DataFrame({"who": who, "event": _events(cohort, part.obs_names)}, index=part.obs_names))
    genes = part.var_names
    joint = anndata.AnnData(np.vstack(tables), pd.concat(obs), pd.DataFrame(index=genes))
    joint.obs_names_make_unique()
    joint.layers["level"] = joint.X.copy()
    sc.pp.scale(joint, max_value=6)
    number = min(COMPONENTS, joint.n_obs - 1, joint.n_vars - 1)
    sc.pp.pca(joint, n_comps=number, random_state=0)
    sc.pp.neighbors(joint, n_neighbors=min(15, joint.n_obs - 1), random_state=0)
    sc.tl.umap(joint, random_state=0)
    sc.tl.leiden(joint, flavor="igraph", n_iterations=2, directed=False, random_state=0)
    names = joint.obs["event"].value_counts()
    named = [name for name in names.index if name != OTHER and names[name] >= MIN_CELL_COUNT][: len(EVENTS)]
    joint.obs["event"] = joint.obs["event"].where(joint.obs["event"].isin(named), OTHER)
    return joint, {**dict(zip(named, EVENTS, strict=False)), OTHER: NEUTRAL}


def _events(cohort: Cohort, patients: pd.Index) -> list[str]:
    """The translocation or ploidy of each patient: of the cytogenetic events that they carry the rarest common one."""
    if cohort.alterations is None:
        return [OTHER] * len(patients)
    kinds = cohort.schema.alterations
    found = cohort.alterations[[name for name, kind in kinds.items() if kind == "cytogenetic"]].reindex(patients)
    usable = [str(name) for name in found if MIN_CELL_COUNT <= found[name].sum() <= 0.4 * len(found)]
    usable.sort(key=lambda name: (not name.startswith(("t(", "inv")), found[name].sum()))
    told = pd.Series(OTHER, index=patients, dtype=object)
    for name in reversed(usable):
        told[(found[name] == 1).to_numpy()] = name
    return list(told)


def _points(axis: Any, joint: AnnData, key: str, colours: dict[str, str]) -> None:
    order = np.argsort(pd.util.hash_array(joint.obs_names.to_numpy(dtype=object)))  # neither group hides the other
    points = joint.obsm["X_umap"][order]
    values = joint.obs[key].to_numpy()[order]
    axis.scatter(
        points[:, 0], points[:, 1], s=8, c=[colours[v] for v in values], linewidths=0, alpha=0.7, rasterized=True
    )
    for name, colour in colours.items():
        axis.scatter([], [], s=18, c=colour, label=name)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2, fontsize=7)
    axis.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])


def _genes(joint: AnnData) -> np.ndarray:
    """Positions of the genes that vary most over all patients shown, in the order of their clustering."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    chosen = np.sort(np.argsort(-joint.layers["level"].std(axis=0), kind="stable")[:SHOWN])
    if len(chosen) < 3:
        return np.asarray(chosen)
    return np.asarray(chosen[leaves_list(linkage(np.asarray(joint.X)[:, chosen].T, "average"))])


def _heat(figure: Figure, axis: Any, one: AnnData, genes: np.ndarray, who: str) -> None:
    """Genes by patients in the order of their Leiden cluster; scaled over all patients shown."""
    cluster = one.obs["leiden"].astype(int).to_numpy()
    patients = np.lexsort((one.obsm["X_pca"][:, 0], cluster))
    image = axis.imshow(
        np.asarray(one.X)[np.ix_(patients, genes)].T, aspect="auto", cmap=DIVERGING, vmin=-3, vmax=3,
        interpolation="nearest",
    )  # fmt: skip
    axis.set_yticks(range(len(genes)), [str(g).split("|")[0] for g in one.var_names[genes]], fontsize=5)
    axis.set(xlabel=f"{who} patients, by cluster", xticks=[])
    axis.set_title(f"{len(genes)} most variable genes, {who} (n = {one.n_obs})", loc="left")
    figure.colorbar(image, ax=axis, label="standard deviations", shrink=0.7)
