"""Gene expression of simulated patients, from the published programmes in `resources/<disease>/`.

The log2 mean of a gene is its own mean, plus the fold changes of its programmes (`programmes.tsv`) times how active
each is in the patient (`programme_drivers.tsv`: events 0/1, laboratory values as normal scores, noise), plus hidden
modules of other genes, plus a shift of the patient's centre, plus the library size. Counts are negative binomial with
dispersion a0 + a1 / mean (Love et al., Genome Biol 2014;15:550). Only a part of the patients has expression; more in
some centres.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.files import read_table
from haemosynth.modalities.expression.ingest import settings
from haemosynth.modalities.expression.part import Quantities, keep_profiles

if TYPE_CHECKING:
    from anndata import AnnData

GENES = 1500  # where the study does not say how many
TABLES = {
    "programmes": ("programme", "gene", "log2_fold_change", "source"),
    "programme_drivers": ("programme", "driver", "coefficient", "source"),
    "expression": ("parameter", "value", "unit", "source"),
}
NOISE = "noise"
SILENT = 3.0  # log2 fold change from which a gene is silent without its programme
ALL_GENES = 20000  # to which the library size refers


def simulate_expression(
    cohort: Cohort, truth: dict[str, Any], genes: int, folder: Path, rng: np.random.Generator
) -> tuple[AnnData, dict[str, Any]]:
    """Expression of a part of the patients, and its truth as plain data for JSON.

    Args:
        cohort: the simulated cohort; truth: what `simulate_cohort` recorded of it (subgroups).
        genes: how many genes, those of the programmes among them.
        folder: `resources/<disease>`.

    Raises:
        InputError: a table lacks a column, a driver is unknown, or fewer genes are asked for than the programmes have.
    """
    import anndata

    tables = {name: _table(folder / f"{name}.tsv", columns) for name, columns in TABLES.items()}
    number = dict(zip(tables["expression"]["parameter"], tables["expression"]["value"].astype(float), strict=True))
    names, titles, change = _place_programmes(tables["programmes"], genes)
    own = np.any(change != 0, axis=0)

    centres = _centres(cohort)
    level_of = {level: k for k, level in enumerate(dict.fromkeys(sorted(centres)))}
    centre = np.array([level_of[c] for c in centres])
    lean = number["centre spread of presence"] * rng.standard_normal(len(level_of))
    share = number["share with expression"]
    present = np.flatnonzero(rng.random(len(cohort)) < expit(np.log(share / (1 - share)) + lean[centre]))
    activity = _activity(tables["programme_drivers"], titles, cohort, truth, number, rng)[present]
    centre, n = centre[present], len(present)

    mean = np.log2(number["library"] / ALL_GENES) - 2 + number["gene spread"] * rng.standard_normal(genes)
    mean[own] = number["programme mean"] + rng.standard_normal(int(own.sum()))
    mean[(change >= SILENT).any(axis=0)] = number["silent mean"]
    modules = int(number["modules"])
    belongs = np.where(own | (rng.random(genes) >= number["module share"]), -1, rng.integers(modules, size=genes))
    loading = np.where(belongs >= 0, number["module loading"] * rng.standard_normal(genes), 0.0)
    hidden = rng.standard_normal((n, modules))
    shifted = rng.random(genes) < number["centre share"]
    shift = number["centre effect"] * rng.standard_normal((len(level_of), genes)) * shifted
    size = number["library spread"] * rng.standard_normal(n)
    size += (number["centre spread of library"] * rng.standard_normal(len(level_of)))[centre]
    log2_mean = mean + activity @ change + shift[centre] + size[:, None] / np.log(2)
    log2_mean += np.where(belongs >= 0, hidden[:, belongs], 0.0) * loading
    expected = 2.0**log2_mean
    dispersion = (number["least dispersion"] + number["dispersion slope"] / 2.0**mean) * np.exp(
        number["dispersion spread"] * rng.standard_normal(genes)
    )
    counts = rng.poisson(rng.gamma(1 / dispersion, size=(n, genes)) * dispersion * expected)

    obs = pd.DataFrame(index=cohort.patients[present].rename(None))
    obs["library_size"] = counts.sum(axis=1).astype(float)
    obs["batch"] = pd.Categorical([centres[i] for i in present])
    made = anndata.AnnData(
        counts.astype(np.float32), obs, pd.DataFrame(index=names), uns={"values": "counts", "batch": "centre"}
    )
    told = {
        "programmes": {
            title: {names[j]: float(change[k, j]) for j in np.flatnonzero(change[k])} for k, title in enumerate(titles)
        },
        "activity": {
            title: dict(zip(made.obs_names, np.round(activity[:, k], 4).tolist(), strict=True))
            for k, title in enumerate(titles)
        },
        "log2_mean": dict(zip(names, mean.tolist(), strict=True)),
        "dispersion": dict(zip(names, dispersion.tolist(), strict=True)),
        "module": {gene: int(m) for gene, m in zip(names, belongs, strict=True) if m >= 0},
        "module_loading": {gene: float(x) for gene, x, m in zip(names, loading, belongs, strict=True) if m >= 0},
        "centre_log2_shift": {c: dict(zip(names, shift[k].tolist(), strict=True)) for c, k in level_of.items()},
        "presence_log_odds": {c: float(lean[k]) for c, k in level_of.items()},
    }
    return made, told


def _place_programmes(programmes: pd.DataFrame, genes: int) -> tuple[list[str], list[str], np.ndarray]:
    """Names of genes, those of the programmes first, names of programmes, and (programmes, genes) log2 fold changes."""
    names = list(dict.fromkeys(programmes["gene"]))
    if genes < len(names) + 1:
        raise InputError(f"expression.genes: {genes}; the programmes alone have {len(names)} genes")
    names += [f"OTHER{i:05d}" for i in range(1, genes - len(names) + 1)]
    position = {gene: j for j, gene in enumerate(names)}
    titles = list(dict.fromkeys(programmes["programme"]))
    change = np.zeros((len(titles), genes))
    for title, gene, size in zip(
        programmes["programme"], programmes["gene"], programmes["log2_fold_change"], strict=True
    ):
        change[titles.index(title), position[gene]] = size
    return names, titles, change


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(path)
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: column {column} is missing")
    if table["source"].isna().any():
        raise InputError(f"{path}: a row has no source; name the publication, or write assumption")
    return table


def _centres(cohort: Cohort) -> list[str]:
    return [str(c) for c in cohort.clinical["centre"].astype(object).fillna("unknown")]


def _activity(
    drivers: pd.DataFrame,
    titles: list[str],
    cohort: Cohort,
    truth: dict[str, Any],
    number: dict[str, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """(patients, programmes) how active each programme is: 0 in the average patient without its events."""
    n = len(cohort)
    subgroup = np.array([truth["subgroups"]["of_patient"][p] for p in cohort.patients])
    activity = np.zeros((n, len(titles)))
    for title, driver, size in zip(drivers["programme"], drivers["driver"], drivers["coefficient"], strict=True):
        if driver == NOISE:
            value = rng.standard_normal(n)
        elif driver in truth["subgroups"]["frequency"]:
            value = (subgroup == driver) * (1 + number["activity spread"] * rng.standard_normal(n))
        elif driver in truth["alterations"]["frequency"]:
            # What a patient who was not tested carries is unknown to the table, not to nature.
            drawn = (rng.random(n) < truth["alterations"]["frequency"][driver]).astype(float)
            known = None if cohort.alterations is None else cohort.alterations.get(driver)
            value = drawn if known is None else np.where(known.isna(), drawn, known)
            value = value * (1 + number["activity spread"] * rng.standard_normal(n))
        elif driver in cohort.clinical and cohort.schema.columns[driver].numeric:
            rank = cohort.clinical[driver].rank()
            score = ndtri((rank - 0.5) / rank.count())
            value = np.where(np.isnan(score), rng.standard_normal(n), score)
        else:
            raise InputError(f"programme_drivers.tsv: driver {driver} of {title} is no event and no clinical number")
        activity[:, titles.index(title)] += size * value
    return activity


def simulate(
    name: str, entry: Mapping[str, Any], cohort: Cohort, truth: dict[str, Any], folder: Path, rng: np.random.Generator
) -> tuple[Quantities, dict[str, Any]]:
    """The expression of a simulated cohort as its part, and its truth (see `simulate_expression`)."""
    genes = settings(name, entry)["genes"] or GENES
    expression, known = simulate_expression(cohort, truth, genes, folder, rng)
    return keep_profiles(expression), known
