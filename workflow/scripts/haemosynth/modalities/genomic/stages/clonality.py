"""Clonality: are genes mutated in the same order, and in as many of the cells, as in real patients?

Cancer cell fractions come from read counts and copies of the gene; within a patient they say which gene came first
(`precedence.py`), and over all patients a Bradley-Terry model ranks the genes (`bradley_terry.py`). Genes are chosen,
and pairs weighted, by real patients alone, so that every candidate answers the same question. A gene that a candidate
never orders has the ability 0 there: what was lost counts against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.modalities.genomic.precedence import CellFractions, Precedence, compute_cell_fractions, find_precedence
from haemosynth.stats.association import weighted_correlation
from haemosynth.stats.bradley_terry import BradleyTerry, Flags, Vector, fit_bradley_terry
from haemosynth.stats.distributions import total_variation
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "significance": 0.01,  # of the one-sided Fisher test that one gene is in more cells than the other
    "more_than_cases": 5,  # real patients in whom a gene is placed before or after another, for it to be ranked
    "ridge": 0.3,  # penalty of the Bradley-Terry model: abilities ~ Normal(0, 1 / ridge)
    "standard_errors": 1.96,  # beyond which a pair of genes is clearly ordered
    "clonal": 0.8,  # cancer cell fraction from which a mutation is called clonal
    "min_mutations": 10,  # mutations of a gene with allele fractions, on either side, for its distribution
    "unreliable": ["FLT3_ITD", "FLT3-ITD", "ITD"],  # genes and variant classes whose allele fractions are left out
}
FEWEST_PAIRS = 10  # linked pairs of genes that the agreement of order needs
FEWEST_CLEAR = 3  # clearly ordered pairs of genes that reversals need
FEWEST_PATIENTS = 10  # patients with two genes with read counts, on either side, that a burden needs

STAGE = Stage("fidelity", needs=("genomic",), memory=2000, runtime=30)
METRICS = (
    Metric(
        "order_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "sum w d_r d_c / sqrt(sum w d_r^2 sum w d_c^2) over pairs of genes linked in real patients, d the differences"
        " of Bradley-Terry abilities, w = 1/SE_r^2; taken about zero, since the sign of d is the order",
        "this project; Bradley and Terry, Biometrika 1952;39:324; order of mutations after Papaemmanuil et al.,"
        " N Engl J Med 2016;374:2209",
    ),
    Metric(
        "order_reversals", "error", "share", (0, 1), JOINT, "bootstrap",
        "share of the pairs of genes with |d_r| > 1.96 SE_r whose d_c has the other sign; d_c = 0 counts half",
        "this project",
    ),
    Metric(
        "cell_fraction_distance", "error", "cell fraction", (0, 1), UNIVARIATE, "bootstrap",
        "integral |F_real - F_candidate| of the cancer cell fractions of a gene; `all`: mean over genes with"
        " min_mutations on both sides, weighted by real mutations",
        "Kantorovich-Rubinstein; Ramdas et al., Entropy 2017;19:47",
    ),
    Metric(
        "clonal_share_error", "error", "share", (0, 1), UNIVARIATE, "bootstrap",
        "|s_real - s_candidate|, s the share of a gene's mutations with a cancer cell fraction of at least 0.8; `all`:"
        " as in cell_fraction_distance",
        "this project",
    ),
    # Not scored: patients without any clonal order may have as many precedences as real ones.
    Metric(
        "precedence_distance", "descriptive", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "total variation of the number of precedences per patient, among patients with read counts of two genes",
        "Gibbs and Su, Int Stat Rev 2002;70:419",
    ),
    Metric(
        "ordered_share_difference", "descriptive", "share", (-1, 1), JOINT, "bootstrap",
        "o_candidate - o_real, o the share of all pairs of genes within patients that are placed in order",
        "this project",
    ),
    Metric(
        "ability_difference", "descriptive", "log odds", (-np.inf, np.inf), JOINT, "bootstrap",
        "ability of a gene in the candidate less that in real patients, each about the mean of the linked genes",
        "this project",
    ),
    Metric(
        "linked_genes", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of the ranked genes that comparisons in the candidate link to each other (largest component)",
        "Ford, Am Math Mon 1957;64(8):28",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One cohort: its mutations, its precedences, and the abilities of the ranked genes."""

    mutations: CellFractions
    order: Precedence
    model: BradleyTerry


def _sides(comparison: Comparison, settings: Mapping[str, Any]) -> tuple[list[int], Side, Side]:
    """Positions of the ranked genes, and both sides."""
    genes = comparison.real.schema.genes
    unreliable, significance = settings["unreliable"], float(settings["significance"])
    mutations = [compute_cell_fractions(side, genes, unreliable) for side in (comparison.real, comparison.candidate)]
    orders = [find_precedence(side, len(genes), significance) for side in mutations]
    ranked = np.flatnonzero(orders[0].cases > settings["more_than_cases"])
    ridge = float(settings["ridge"])
    models = [fit_bradley_terry(order.wins[np.ix_(ranked, ranked)], ridge) for order in orders]
    real, candidate = (Side(*parts) for parts in zip(mutations, orders, models, strict=True))
    return [int(i) for i in ranked], real, candidate


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Order of mutations and cancer cell fractions. `rng` is not used."""
    genes, n = comparison.real.schema.genes, len(comparison.real)
    ranked, real, candidate = _sides(comparison, settings)
    values: list[Value] = []

    def add(metric: str, value: float, reason: str = "", target: str = "all", size: int = n) -> None:
        values.append(Value(metric, value, target, "genomic", size, reason))

    x, y, precision, clear = _compare_differences(real.model, candidate.model, float(settings["standard_errors"]))
    lost = "" if candidate.order.pairs else "no patient of the candidate has read counts of two genes"
    few = f"fewer than {FEWEST_PAIRS} pairs of genes are linked in real patients" if len(x) < FEWEST_PAIRS else lost
    add("order_agreement", np.nan if few else weighted_correlation(x, y, precision), few)
    few = f"fewer than {FEWEST_CLEAR} pairs of genes are clearly ordered in real patients"
    few = few if clear.sum() < FEWEST_CLEAR else lost
    add("order_reversals", np.nan if few else float(np.where(y == 0, 0.5, x * y < 0)[clear].mean()), few)
    for i, gene in enumerate(ranked):
        alone = [
            name for name, side in (("real patients", real), ("the candidate", candidate)) if not _find_linked(side)[i]
        ]
        reason = f"linked to no other ranked gene in {alone[0]}" if alone else ""
        difference = float(candidate.model.ability[i] - real.model.ability[i])
        add("ability_difference", np.nan if reason else difference, reason, genes[gene], int(real.order.cases[gene]))
    reason = "" if ranked else f"no gene is placed in more than {settings['more_than_cases']} real patients"
    add("linked_genes", float(_largest(candidate.model).mean()) if ranked else np.nan, reason)

    fewest = min(side.order.times.sum() for side in (real, candidate))
    if fewest >= FEWEST_PATIENTS:
        add("precedence_distance", _burden_distance(real.order, candidate.order))
        shares = [side.order.wins.sum() / side.order.pairs for side in (real, candidate)]
        add("ordered_share_difference", float(shares[1] - shares[0]))
    else:
        few = f"only {fewest:.0f} patients with read counts of two genes on one side"
        add("precedence_distance", np.nan, few)
        add("ordered_share_difference", np.nan, few)
    return values + _fraction_values(real.mutations, candidate.mutations, genes, settings, n)


def _compare_differences(
    real: BradleyTerry, candidate: BradleyTerry, standard_errors: float
) -> tuple[Vector, Vector, Vector, Flags]:
    """Of each pair of genes linked in real patients: real and candidate difference, precision, clearly ordered."""
    read = np.triu(real.linked, 1)
    x, error = real.difference[read], real.difference_error[read]
    return x, candidate.difference[read], 1 / error**2, np.asarray(np.abs(x) > standard_errors * error)


def _find_linked(side: Side) -> Flags:
    """Ranked genes that are linked to another one."""
    return np.asarray(side.model.linked.sum(axis=1) > 1)


def _largest(model: BradleyTerry) -> Flags:
    """Genes of the largest component, of the first among equals."""
    return np.asarray(model.component == np.bincount(model.component).argmax())


def _burden_distance(real: Precedence, candidate: Precedence) -> float:
    top = int(max(side.burden.max() for side in (real, candidate))) + 1
    p, q = (np.bincount(side.burden.astype(np.intp), side.times, top) / side.times.sum() for side in (real, candidate))
    return total_variation(p, q)


def _fraction_values(
    real: CellFractions, candidate: CellFractions, genes: list[str], settings: Mapping[str, Any], n: int
) -> list[Value]:
    fewest, clonal = int(settings["min_mutations"]), float(settings["clonal"])
    found: dict[str, list[Value]] = {"cell_fraction_distance": [], "clonal_share_error": []}
    for g, gene in enumerate(genes):
        first, second = real.fraction[real.gene == g], candidate.fraction[candidate.gene == g]
        if len(first) < fewest:
            continue
        reason = "" if len(second) >= fewest else f"only {len(second)} mutations with allele fractions in the candidate"
        distance = np.nan if reason else wasserstein(first, second)
        error = np.nan if reason else abs(float((first >= clonal).mean() - (second >= clonal).mean()))
        for metric, number in (("cell_fraction_distance", distance), ("clonal_share_error", error)):
            found[metric].append(Value(metric, number, gene, "genomic", len(first), reason))
    values: list[Value] = []
    for metric, details in found.items():
        known = [value for value in details if not value.reason]
        size = np.array([value.n for value in known], dtype=np.float64)
        reason = "" if known else f"no gene has {fewest} mutations with allele fractions on both sides"
        mean = float(np.average([value.value for value in known], weights=size)) if known else np.nan
        values += [Value(metric, mean, modality="genomic", n=n, reason=reason), *details]
    return values


def wasserstein(first: Vector, second: Vector) -> float:
    """Integral of the gap between the distribution functions of two samples."""
    points = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(np.sort(side), points[:-1], side="right") / len(side) for side in (first, second)]
    return float(np.sum(np.abs(below[0] - below[1]) * np.diff(points)))


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Bradley-Terry abilities with 95 % intervals, early genes on top; differences of all pairs of genes."""
    ranked, real, candidate = _sides(comparison, settings)
    names = np.array(comparison.real.schema.genes, dtype=object)[ranked]
    shown = np.flatnonzero(_find_linked(real) & (real.order.cases[ranked] >= MIN_CELL_COUNT))
    shown = shown[np.argsort(-real.model.ability[shown], kind="stable")]
    fig, (left, right) = new_figure(
        10.2, 1.6 + max(3.2, 0.2 * len(shown)), ncols=2, gridspec_kw={"width_ratios": [5.6, 4.6]}
    )
    place = np.arange(len(shown))
    cohorts = (comparison.real, comparison.candidate)
    looks = ((REAL, "real", -0.17), (SYNTHETIC, label, 0.17))
    for side, cohort, (colour, name, offset) in zip((real, candidate), cohorts, looks, strict=True):
        drawn = _find_linked(side)[shown] & (side.order.cases[ranked][shown] >= MIN_CELL_COUNT)
        ability, error, y = side.model.ability[shown][drawn], side.model.error[shown][drawn], (place + offset)[drawn]
        left.hlines(y, ability - 1.96 * error, ability + 1.96 * error, color=colour, lw=1.1)
        left.scatter(ability, y, s=14, c=colour, zorder=3, label=f"{name} (n = {len(cohort)})")
    left.axvline(0, c=NEUTRAL, lw=0.5)
    left.set_yticks(place, names[shown], fontsize=8)
    left.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    left.invert_xaxis()
    left.set_xlabel("Bradley-Terry ability, log odds of coming first (early left, late right)")
    count = f"{len(shown)} gene{'' if len(shown) == 1 else 's'}"
    left.set_title(f"Order of mutations, {count}" if len(shown) else "No gene is ordered often enough to be ranked")
    if len(shown):
        handles, texts = left.get_legend_handles_labels()
        fig.legend(handles, texts, loc="outside lower left", ncols=2, fontsize=8.5)
    _pairs_panel(right, real.model, candidate.model, values, settings, label)
    return fig


def _pairs_panel(
    axis: Any,
    real: BradleyTerry,
    candidate: BradleyTerry,
    values: pd.DataFrame,
    settings: Mapping[str, Any],
    label: str,
) -> None:
    x, y, precision, clear = _compare_differences(real, candidate, float(settings["standard_errors"]))
    # Whether a pair is read from one end or the other is arbitrary: the gene that is earlier in real patients first.
    y = np.where(x < 0, -y, y)
    x = np.abs(x)
    far = float(max(x.max(initial=1), np.abs(y).max(initial=1))) * 1.08
    axis.axhspan(-far, 0, color=NEUTRAL, alpha=0.12, lw=0)
    axis.plot([0, far], [0, far], c="black", lw=0.8)
    size = 42 * precision / precision.max(initial=1e-12)
    for part, colour, name in ((~clear, NEUTRAL, "others"), (clear, SYNTHETIC, "clearly ordered in real")):
        axis.scatter(x[part], y[part], s=size[part], c=colour, alpha=0.6, linewidths=0, label=f"{name} ({part.sum()})")
    axis.set(xlim=(0, far), ylim=(-far, far))
    axis.set_xlabel("difference of abilities, real")
    axis.set_ylabel(f"difference of abilities, {label}")
    axis.text(0.98 * far, -0.97 * far, "order reversed", ha="right", va="bottom", fontsize=8, color="#555555")
    row = values[(values.metric == "order_agreement") & (values.target == "all") & (values.status == "ok")]
    text = "" if row.empty else f"agreement {row.value.iloc[0]:.2f} ({row.low.iloc[0]:.2f} to {row.high.iloc[0]:.2f})"
    axis.set_title((f"{len(x)} pairs of genes" if len(x) else "No pairs of genes") + (f"\n{text}" if text else ""))
    if len(x):
        handles = axis.legend(loc="upper left", fontsize=8).legend_handles
        for handle in handles:
            handle.set_sizes([20])
