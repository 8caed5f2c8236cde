"""Measurements: distribution of every analyte with its limits of detection, correlations, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLACK, BLUE, NEUTRAL, ORANGE, SYNTHETIC, new_figure, shorten
from haemosynth.encode.records import Matrix
from haemosynth.modalities.metabolomics.measured import HIGH, LOW, levels, limits_of
from haemosynth.modalities.metabolomics.part import find_measured, measured_of
from haemosynth.stats.association import cross_correlation, rank_columns, weighted_concordance, weighted_error
from haemosynth.stats.distributions import measure_mixed_distance
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "correlated": 200,  # analytes at most whose correlations are compared, the most often known ones
    "shown": 100,  # analytes at most that have a distance of their own in the results
}
FEWEST = 10  # patients with measurements on a side, values of an analyte, carriers and others of an alteration
BEYOND = 1e6  # where values at a limit stand, in standard deviations: far from all others
STAGE = Stage("fidelity", needs=("metabolomics",), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "analyte_distance", "error", "", (0, 1), UNIVARIATE, "bootstrap",
        "mean over analytes of the distance of known values: total variation over values at a lower limit, within the"
        " limits and at an upper one, plus the largest gap between the distribution functions within the limits times"
        " the smaller share of it; target: an analyte",
        "this project; total variation, Kolmogorov-Smirnov",
    ),
    Metric(
        "analyte_limit_error", "error", "share", (0, 1), UNIVARIATE, "bootstrap",
        "mean, over analytes with a limit of detection among training patients, of |share of known values at a limit in"
        " the candidate - in real patients|",
        "this project",
    ),
    Metric(
        "analyte_missing_error", "error", "share", (0, 1), UNIVARIATE, "bootstrap",
        "mean over analytes of |share of missing values in the candidate - in real patients|, of patients with"
        " measurements",
        "this project",
    ),
    Metric(
        "analyte_correlation_error", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "sum w |r_candidate - r_real| / sum w over pairs of analytes; r: Spearman correlation, values at a limit tied,"
        " of patients in whom both are known; w its square among training patients",
        "this project; Spearman, Am J Psychol 1904;15:72",
    ),
    Metric(
        "analyte_missing_correlation_error", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "the same of the indicators of missing values, phi in place of r",
        "this project",
    ),
    Metric(
        "analyte_alteration_concordance", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "2 sum w r_c r_r / sum w (r_c^2 + r_r^2) over pairs of an analyte and an alteration; r: correlation of the"
        " analyte's ranks with carrying the alteration, w its square among training patients",
        "after Lin, Biometrics 1989;45:255",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """What training patients show.

    limited: (analytes,) with a limit. kept: positions of the analytes whose correlations are compared. weights: of
    correlations, of missing indicators, and of analytes with alterations, whose names are `events`.
    """

    limited: np.ndarray
    kept: np.ndarray
    correlation: Matrix
    missing: Matrix
    alterations: Matrix
    events: tuple[str, ...]


def lacking(comparison: Comparison) -> str:
    """Why measurements cannot be compared; empty where they can."""
    for side, who in ((comparison.real, "real"), (comparison.candidate, "synthetic")):
        data = find_measured(side)
        if data is None or data.n_obs < FEWEST:
            return f"fewer than {FEWEST} {who} patients have measurements (metabolomics)"
    return ""


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | None:
    """Learn from training patients; None where measurements cannot be read. Nothing is drawn."""
    if lacking(comparison) or find_measured(comparison.train) is None:
        return None
    data = measured_of(comparison.train)
    known = ~np.isnan(levels(data))
    most = int(settings["correlated"])
    kept = np.sort(np.argsort(-known.sum(axis=0), kind="stable")[:most])
    states = comparison.train.alterations
    counts = {} if states is None else {str(name): states[name].sum() for name in states}
    events = tuple(name for name, count in counts.items() if count >= FEWEST)
    return Prepared(
        (limits_of(data) != 0).any(axis=0), kept, _square(_correlations(levels(data)[:, kept])),
        _square(_correlations((~known[:, kept]).astype(float))),
        _square(_with_alterations(comparison.train, kept, events)), events,
    )  # fmt: skip


def _square(correlations: Matrix) -> Matrix:
    return np.asarray(np.nan_to_num(correlations) ** 2)


def _correlations(values: Matrix) -> Matrix:
    """Rank correlations of columns, 0 for the diagonal, NaN where they cannot be computed."""
    ranks = rank_columns(values)
    found = cross_correlation(ranks, ranks)
    np.fill_diagonal(found, 0.0)
    return found


def _with_alterations(cohort: Cohort, kept: np.ndarray, events: tuple[str, ...]) -> Matrix:
    """(analytes, alterations) correlations of ranks with carrying an alteration."""
    data = measured_of(cohort)
    if not events or cohort.alterations is None:
        return np.full((len(kept), len(events)), np.nan)
    # A resampled patient occurs more than once.
    states = cohort.alterations[list(events)][~cohort.patients.duplicated()].reindex(data.obs_names).to_numpy(float)
    return cross_correlation(rank_columns(levels(data)[:, kept]), states)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """All metrics. Nothing is drawn."""
    learned: Prepared | None = comparison.prepared
    reason = lacking(comparison) or ("" if learned else "training patients have no measurements (metabolomics)")
    if reason or learned is None:
        return [Value(metric.name, np.nan, modality="metabolomics", reason=reason) for metric in METRICS]
    real, candidate = measured_of(comparison.real), measured_of(comparison.candidate)
    n = min(real.n_obs, candidate.n_obs)
    known, made = levels(real), levels(candidate)
    sides = limits_of(real), limits_of(candidate)
    apart = _distances(known, made, *sides)
    limited = np.flatnonzero(learned.limited)
    at_limit = [
        np.array([(own[:, j] != 0).sum() / max((~np.isnan(table[:, j])).sum(), 1) for j in limited])
        for table, own in zip((known, made), sides, strict=True)
    ]
    absent = [np.isnan(table) for table in (known, made)]
    kept = learned.kept
    together = [_correlations(table[:, kept]) for table in (made, known)]
    absent_together = [_correlations(table[:, kept].astype(float)) for table in reversed(absent)]
    altered = [_with_alterations(side, kept, learned.events) for side in (comparison.candidate, comparison.real)]
    missing_error = np.abs(absent[1].mean(axis=0) - absent[0].mean(axis=0)).mean()
    limit_error = np.abs(at_limit[1] - at_limit[0]).mean() if len(limited) else np.nan
    found = {
        "analyte_distance": (np.nanmean(apart) if np.isfinite(apart).any() else np.nan, "no analyte has values"),
        "analyte_limit_error": (limit_error, "no analyte has a limit of detection"),
        "analyte_missing_error": (missing_error, ""),
        "analyte_correlation_error": (_error(together[0], together[1], learned.correlation), "no correlated analytes"),
        "analyte_missing_correlation_error": (
            _error(absent_together[0], absent_together[1], learned.missing), "nothing is missing together",
        ),
        "analyte_alteration_concordance": (
            _concordance(altered[0], altered[1], learned.alterations), "no alteration with enough carriers",
        ),
    }  # fmt: skip
    values = [
        Value(name, float(value), modality="metabolomics", n=n, reason="" if np.isfinite(value) else why)
        for name, (value, why) in found.items()
    ]
    shown = int(settings["shown"])
    return values + [
        Value("analyte_distance", float(value), str(name), "metabolomics", n, "" if np.isfinite(value) else "no values")
        for name, value in list(zip(real.var_names, apart, strict=True))[:shown]
    ]


def _distances(known: Matrix, made: Matrix, real: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """(analytes,) distance of each analyte's known values; NaN where a side has too few."""
    masses = np.array([LOW * BEYOND, HIGH * BEYOND])
    found = np.full(known.shape[1], np.nan)
    for j in range(known.shape[1]):
        first, second = (
            np.where(side[:, j] != 0, side[:, j] * BEYOND, table[:, j])[~np.isnan(table[:, j])]
            for table, side in ((known, real), (made, candidate))
        )
        if min(len(first), len(second)) >= FEWEST:
            found[j] = measure_mixed_distance(first, second, masses)
    return found


def _error(candidate: Matrix, real: Matrix, weight: Matrix) -> float:
    """Weighted error; a correlation that the candidate cannot show is 0."""
    weight = np.where(np.isnan(real), 0.0, weight)
    return weighted_error(np.nan_to_num(candidate), np.nan_to_num(real), weight) if weight.sum() > 0 else float("nan")


def _concordance(candidate: Matrix, real: Matrix, weight: Matrix) -> float:
    weight = np.where(np.isnan(real), 0.0, weight)
    if weight.sum() <= 0:
        return float("nan")
    return weighted_concordance(np.nan_to_num(candidate), np.nan_to_num(real), weight)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Quantiles of every analyte, correlations of every pair, and shares missing and at limits."""
    drawn, axes = new_figure(11, 3.9, ncols=3)
    learned: Prepared | None = comparison.prepared
    if learned is None or lacking(comparison):
        for axis in axes:
            axis.set_axis_off()
        axes[0].text(0, 0.5, lacking(comparison) or "training patients have no measurements", fontsize=9)
        return drawn
    real, candidate = measured_of(comparison.real), measured_of(comparison.candidate)
    sides = levels(real), levels(candidate)
    for share, colour in ((0.1, BLUE), (0.5, BLACK), (0.9, ORANGE)):
        pair = [np.nanquantile(side, share, axis=0) for side in sides]
        axes[0].plot(*pair, ".", ms=4, alpha=0.6, color=colour, label=f"{share:.0%}", rasterized=True)
    axes[0].legend(frameon=False, fontsize=7, loc="upper left")
    axes[0].set_title(f"quantiles of {real.n_vars:,} analytes, SD", loc="left", fontsize=9)
    upper = np.triu_indices(len(learned.kept), 1)
    pair = [_correlations(side[:, learned.kept])[upper] for side in sides]
    axes[1].plot(*pair, ".", ms=2.5, alpha=0.35, color=SYNTHETIC, rasterized=True)
    axes[1].set_title("rank correlation of every pair", loc="left", fontsize=9)
    for text, colour, shares in (
        ("missing", NEUTRAL, [np.isnan(side).mean(axis=0) for side in sides]),
        ("at a limit of detection", SYNTHETIC, [(limits_of(data) != 0).mean(axis=0) for data in (real, candidate)]),
    ):
        axes[2].plot(*shares, ".", ms=5, alpha=0.6, color=colour, label=text)
    axes[2].legend(frameon=False, fontsize=7, loc="upper left")
    axes[2].set_title("share of patients", loc="left", fontsize=9)
    for axis in axes:
        axis.axline((0, 0), slope=1, color=BLACK, lw=0.8)
        axis.set(xlabel=f"real patients, n = {real.n_obs:,}", ylabel=f"{shorten(label, 24)}, n = {candidate.n_obs:,}")
    return drawn
