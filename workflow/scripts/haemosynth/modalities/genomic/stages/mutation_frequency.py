"""Mutation frequency: is every alteration as common, and does a patient carry as many, as in reality?

Frequencies are carriers among patients in whom the alteration is known: unknown is not absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import REAL, SYNTHETIC, new_figure
from haemosynth.modalities.genomic.alterations import make_matrix
from haemosynth.stats.distributions import total_variation
from haemosynth.validate import Stage
from haemosynth.validate.stage import UNIVARIATE, Comparison, Metric, Value

Vector = NDArray[np.float64]
SHOWN = 60  # alterations of the figure
BURDEN_SHOWN = 12  # the last bar holds this burden and all above
FEWEST = 10  # completely assayed patients on either side that a burden needs

DEFAULTS: dict[str, Any] = {
    "min_mutations": 10,  # mutations of a gene with read counts, on either side, that its VAF distance needs
}
STAGE = Stage("fidelity", needs=("genomic",), memory=2000, runtime=30)
METRICS = (
    Metric(
        "frequency_error", "error", "share", (0, 1), UNIVARIATE, "bootstrap",
        "mean over alterations of |f_real - f_candidate|, f = carriers / patients in whom it is known",
        "this project",
    ),
    Metric(
        "frequency_agreement", "agreement", "", (-1, 1), UNIVARIATE, "bootstrap",
        "Lin's concordance of arcsin sqrt((carriers + 3/8) / (known + 3/4)) over alterations; so transformed, rare and"
        " common alterations have equal sampling error",
        "Lin, Biometrics 1989;45:255; Anscombe, Biometrika 1948;35:246",
    ),
    Metric(
        "frequency_difference", "descriptive", "share", (-1, 1), UNIVARIATE, "bootstrap",
        "f_candidate - f_real of each alteration", "this project",
    ),
    Metric(
        "burden_distance", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "total variation of the number of alterations per patient. `all`: mutated genes of sequenced patients"
        " (cytogenetic events if the cohort has no genes); `cytogenetic` and `genes and cytogenetic`: patients in whom"
        " all of these are known",
        "Gibbs and Su, Int Stat Rev 2002;70:419",
    ),
    Metric(
        "vaf_distance", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "Kolmogorov-Smirnov distance of the variant allele frequencies of a gene; `all`: mean over genes with"
        " min_mutations on both sides",
        "Smirnov, Ann Math Stat 1948;19:279",
    ),
)  # fmt: skip


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Carrier frequencies, burden, and variant allele frequencies. `rng` is not used."""
    schema, n = comparison.real.schema, len(comparison.real)
    events = list(schema.alterations)
    real, candidate = (make_matrix(cohort, events) for cohort in (comparison.real, comparison.candidate))
    carriers, known = _counts(real)
    other_carriers, other_known = _counts(candidate)
    values: list[Value] = []

    read = (known > 0) & (other_known > 0)
    difference = other_carriers / np.maximum(other_known, 1) - carriers / np.maximum(known, 1)
    reason = "" if read.any() else "no alteration is known on both sides"
    error = float(np.abs(difference[read]).mean()) if read.any() else np.nan
    values.append(Value("frequency_error", error, modality="genomic", n=n, reason=reason))
    if read.sum() >= 3:
        x, y = stabilise(carriers[read], known[read]), stabilise(other_carriers[read], other_known[read])
        values.append(Value("frequency_agreement", lin_concordance(x, y), modality="genomic", n=n))
    else:
        reason = "fewer than 3 alterations are known on both sides"
        values.append(Value("frequency_agreement", np.nan, modality="genomic", n=n, reason=reason))
    for i, name in enumerate(events):
        reason = "" if read[i] else "known in no patient of one side"
        number = float(difference[i]) if read[i] else np.nan
        values.append(Value("frequency_difference", number, name, "genomic", int(known[i]), reason))

    genes = np.array([schema.alterations[name] == "gene" for name in events])
    for target, part in list_burden_parts(genes).items():
        sides = [count_burden(matrix[:, part]) for matrix in (real, candidate)]
        fewest = min(len(side) for side in sides)
        enough = fewest >= FEWEST
        values.append(
            Value(
                "burden_distance",
                burden_distance(*sides) if enough else np.nan,
                target,
                "genomic",
                len(sides[0]),
                "" if enough else f"all of these events are known in only {fewest} patients of one side",
            )
        )
    return values + _vaf_values(comparison, schema.genes, int(settings["min_mutations"]), n)


def _counts(matrix: Vector) -> tuple[Vector, Vector]:
    return np.nansum(matrix, axis=0), (~np.isnan(matrix)).sum(axis=0).astype(np.float64)


def stabilise(carriers: Vector, known: Vector) -> Vector:
    """Anscombe's variance-stabilising transform of a share: its standard error is 1 / (2 sqrt(known)) for any share."""
    return np.asarray(np.arcsin(np.sqrt((carriers + 0.375) / (known + 0.75))))


def lin_concordance(x: Vector, y: Vector) -> float:
    """Lin's concordance correlation: 1 only where x and y are equal."""
    centred_x, centred_y = x - x.mean(), y - y.mean()
    norm = np.mean(centred_x**2) + np.mean(centred_y**2) + (x.mean() - y.mean()) ** 2
    return float(2 * np.mean(centred_x * centred_y) / norm) if norm > 0 else 1.0


def list_burden_parts(genes: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Which events each target of `burden_distance` counts."""
    if genes.all() or not genes.any():
        return {"all": np.ones(len(genes), dtype=bool)}
    return {"all": genes, "cytogenetic": ~genes, "genes and cytogenetic": np.ones(len(genes), dtype=bool)}


def count_burden(matrix: Vector) -> NDArray[np.int64]:
    """Number of alterations of each patient in whom all of them are known."""
    total = matrix.sum(axis=1)
    return np.asarray(total[~np.isnan(total)].astype(np.int64))


def burden_distance(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Total variation of two samples of counts."""
    top = int(max(first.max(), second.max())) + 1
    p, q = np.bincount(first, minlength=top) / len(first), np.bincount(second, minlength=top) / len(second)
    return total_variation(p, q)


def _vaf_values(comparison: Comparison, genes: list[str], fewest: int, n: int) -> list[Value]:
    real, candidate = (collect_vaf_by_gene(cohort) for cohort in (comparison.real, comparison.candidate))
    nothing = np.empty(0)
    values: list[Value] = []
    for gene in genes:
        first, second = real.get(gene, nothing), candidate.get(gene, nothing)
        if len(first) < fewest:
            continue
        enough = len(second) >= fewest
        reason = "" if enough else f"only {len(second)} mutations with read counts in the candidate"
        distance = kolmogorov_smirnov(first, second) if enough else np.nan
        values.append(Value("vaf_distance", distance, gene, "genomic", len(first), reason))
    numbers = [value.value for value in values if not np.isnan(value.value)]
    reason = "" if numbers else f"no gene has {fewest} mutations with read counts on both sides"
    mean = float(np.mean(numbers)) if numbers else np.nan
    return [Value("vaf_distance", mean, modality="genomic", n=n, reason=reason), *values]


def collect_vaf_by_gene(cohort: Cohort) -> dict[str, Vector]:
    """Variant allele frequencies of each gene: as recorded, or from read counts, where either is known."""
    if cohort.mutations is None:
        return {}
    vaf = pd.to_numeric(cohort.mutations["vaf"]).to_numpy(np.float64)
    alt, ref = (pd.to_numeric(cohort.mutations[name]).to_numpy(np.float64) for name in ("alt_count", "ref_count"))
    depth = alt + ref
    vaf = np.where(np.isnan(vaf), alt / np.where(depth > 0, depth, np.nan), vaf)
    codes, genes = pd.factorize(cohort.mutations["gene"], sort=True)
    known = ~np.isnan(vaf) & (codes >= 0)
    codes, vaf = codes[known], vaf[known]
    order = np.lexsort((vaf, codes))
    parts = np.split(vaf[order], np.cumsum(np.bincount(codes, minlength=len(genes)))[:-1]) if len(genes) else []
    return dict(zip(genes, parts, strict=True))


def kolmogorov_smirnov(first: Vector, second: Vector) -> float:
    """Largest gap between the distribution functions of two sorted samples."""
    points = np.concatenate([first, second])
    below = np.searchsorted(first, points, side="right") / len(first)
    return float(np.abs(below - np.searchsorted(second, points, side="right") / len(second)).max())


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Carrier frequency of every alteration with 95 % intervals, most frequent first; number of alterations."""
    from scipy.stats import beta

    schema = comparison.real.schema
    events = list(schema.alterations)
    cohorts = (comparison.real, comparison.candidate)
    sides = [make_matrix(cohort, events) for cohort in cohorts]
    counts = [_counts(side) for side in sides]
    frequency = counts[0][0] / np.maximum(counts[0][1], 1)
    order = np.argsort(-frequency, kind="stable")[:SHOWN]
    width = 3.4 + max(3.0, 0.155 * len(order))
    fig, (left, right) = new_figure(width, 4.4, ncols=2, gridspec_kw={"width_ratios": [width - 3.6, 2.9]})
    x = np.arange(len(order))
    looks = ((REAL, "real", -0.18), (SYNTHETIC, label, 0.18))
    for (carriers, known), cohort, (colour, name, offset) in zip(counts, cohorts, looks, strict=True):
        k, m = carriers[order], known[order]
        # Jeffreys intervals stay within 0 and 1, also for an alteration that nobody carries.
        low = np.where(k > 0, beta.ppf(0.025, k + 0.5, m - k + 0.5), 0)
        high = np.where(k < m, beta.ppf(0.975, k + 0.5, m - k + 0.5), 1)
        shown = m > 0
        left.vlines((x + offset)[shown], 100 * low[shown], 100 * high[shown], color=colour, lw=1)
        share = 100 * k / np.maximum(m, 1)
        left.scatter((x + offset)[shown], share[shown], s=11, c=colour, zorder=3, label=f"{name} (n = {len(cohort)})")
    names = [events[i] if len(events[i]) <= 18 else f"{events[i][:17]}…" for i in order]
    left.set_xticks(x, names, rotation=90, fontsize=7.5)
    left.set_xlim(-0.8, len(order) - 0.2)
    left.set_ylim(bottom=0)
    left.set_ylabel("carriers among assayed patients, %")
    row = values[(values.metric == "frequency_agreement") & (values.status == "ok")]
    text = (
        "" if row.empty else f", concordance {row.value.iloc[0]:.2f} ({row.low.iloc[0]:.2f} to {row.high.iloc[0]:.2f})"
    )
    left.set_title(
        f"{len(order)} of {len(events)} alterations{text}" if len(order) < len(events) else f"All alterations{text}"
    )
    left.legend(loc="upper right", fontsize=9, frameon=False)

    genes = np.array([schema.alterations[name] == "gene" for name in events])
    part = list_burden_parts(genes)["all"]
    loads = [count_burden(side[:, part]) for side in sides]
    top = max((int(load.max()) for load in loads if len(load)), default=1)
    last = min(top, BURDEN_SHOWN)
    for load, (colour, _, offset) in zip(loads, looks, strict=True):
        if len(load):
            share = 100 * np.bincount(np.minimum(load, last), minlength=last + 1) / len(load)
            right.bar(np.arange(last + 1) + offset * 1.1, share, 0.38, color=colour)
    ticks = range(0, last + 1, 1 if last <= 8 else 2)
    right.set_xticks(ticks, [f"≥{i}" if i == last < top else str(i) for i in ticks])
    right.set_xlabel("mutated genes" if genes.any() else "cytogenetic events")
    right.set_ylabel("patients, %")
    row = values[(values.metric == "burden_distance") & (values.target == "all") & (values.status == "ok")]
    right.set_title("Burden" + ("" if row.empty else f", total variation {row.value.iloc[0]:.2f}"))
    return fig
