"""Correlations: are clinical columns associated with each other and with alterations as in real patients?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import DIVERGING, new_figure
from haemosynth.encode.design import Design, code_levels, make_indicators
from haemosynth.modalities.clinical.stages.spread import brown_forsythe, brown_forsythe_p
from haemosynth.stats.association import (
    Matrix,
    association_matrix,
    cross_correlation,
    kendall_tau,
    rank_columns,
    weighted_concordance,
    weighted_error,
)
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "min_carriers": 10,  # carriers among real patients that an alteration needs to be read beside clinical columns
    "kendall_rows": 1_000,  # patients of a side at most for Kendall's tau, whose cost grows with patients squared
    "group": 20,  # patients of either side that a group needs for the tests of equal spread
    "level": 0.05,  # of these tests
}
_ASSOCIATION = (
    "association of each pair of columns, pairwise complete: Spearman's rho (numbers, ordinal and two-level columns),"
    " bias-corrected Cramer's V (nominal), bias-corrected correlation ratio of ranks (nominal with ordered). Modality"
    " joint: clinical column with alteration, correlation of ranks with carrier status, nominal columns by level"
)
_COEFFICIENTS = (
    ("pearson", "Pearson's correlation (values winsorised at the 1-99 % range of training patients)",
     "Pearson, Proc R Soc Lond 1895;58:240"),
    ("spearman", "Spearman's rank correlation", "Spearman, Am J Psychol 1904;15:72"),
    ("kendall", "Kendall's tau-b", "Kendall, Biometrika 1945;33:239"),
)  # fmt: skip
_SPREAD = (
    "the correlation of belonging to a group with the absolute deviation of a number from the median of its own side"
    " (members or others; Levene's W = (n - 2) l^2 / (1 - l^2)), of each number that is not a time with each level, or"
    " (modality joint) each alteration; numbers winsorised at the 1-99 % range of training patients"
)
STAGE = Stage("fidelity", needs=("clinical",), memory=2000, runtime=30)
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
    *(
        Metric(
            f"{name}_error", "error", "", (0, 2), JOINT, "bootstrap",
            f"sum |r_real| |r_real - r_candidate| / sum |r_real|, r {text} of each pair of numbers, pairwise complete",
            source,
        )
        for name, text, source in _COEFFICIENTS
    ),
    Metric(
        "spread_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
        f"2 sum w x y / sum w (x^2 + y^2), w = |x|, x and y {_SPREAD}",
        "Brown and Forsythe, J Am Stat Assoc 1974;69:364; Lin, Biometrics 1989;45:255",
    ),
    Metric(
        "spread_rejection", "descriptive", "share", (0, 1), JOINT, "subsample",
        "share of Brown-Forsythe tests at 5 % that find another spread in the candidate than in real patients: every"
        " number, in all patients and in every level or carrier group of at least 20 patients on either side; 0.05 for"
        " fresh real patients, and it grows with n",
        "Brown and Forsythe, J Am Stat Assoc 1974;69:364",
    ),
)  # fmt: skip


ASSOCIATION = ("association_error", "association_agreement")


def prepare(
    comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """The 1-99 % range in training patients of every number that is not an event. `rng` is not used."""
    ranges = {}
    for name, column in comparison.train.schema.columns.items():
        known = comparison.train.clinical[name].dropna()
        if column.numeric and column.kind != "event" and len(known):
            low, high = np.quantile(known, [0.01, 0.99])
            ranges[name] = float(low), float(high)
    return ranges


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Associations among clinical columns, and (modality joint) of clinical columns with alterations.

    A pair that cannot be read in the candidate (a constant column, nobody in whom both are known) has lost its
    association: it counts as 0. Needs `comparison.prepared`. `rng` chooses patients for Kendall's tau.
    """
    n = len(comparison.real)
    design = code_levels(comparison.real.schema, comparison.real.clinical, comparison.candidate.clinical)
    real, candidate = (association_matrix(matrix, design.nominal) for matrix in design.matrices)
    read = np.triu(~np.isnan(real), 1)
    values = _summary(real[read], np.nan_to_num(candidate[read]), "clinical", n)
    for i, j in zip(*np.nonzero(read & ~np.isnan(candidate)), strict=True):
        pair = f"{design.columns[i]}~{design.columns[j]}"
        values.append(Value("association_difference", float(candidate[i, j] - real[i, j]), pair, n=n))
    found = compute_coefficients(design, comparison, int(settings["kendall_rows"]), rng, (real, candidate))
    for name, (real, candidate) in found.items():
        read = np.triu(~np.isnan(real), 1)
        values += _summary(real[read], np.nan_to_num(candidate[read]), "clinical", n, (f"{name}_error",))
    values += _spreads(comparison, design, settings)

    if comparison.real.alterations is None or comparison.candidate.alterations is None:
        return values
    events = list(comparison.real.schema.alterations)
    real = clinical_by_alteration(design, 0, comparison.real, events)
    candidate = clinical_by_alteration(design, 1, comparison.candidate, events)
    frequent = comparison.real.alterations[events].sum().to_numpy() >= float(settings["min_carriers"])
    read = ~np.isnan(real) & frequent
    return values + _summary(real[read], np.nan_to_num(candidate[read]), "joint", n)


def _summary(
    real: Matrix, candidate: Matrix, modality: str, n: int, metrics: tuple[str, ...] = ASSOCIATION
) -> list[Value]:
    weight = np.abs(real)
    if len(real) < 3 or weight.sum() == 0:
        reason = "fewer than 3 pairs can be read in real patients"
        return [Value(metric, np.nan, modality=modality, n=n, reason=reason) for metric in metrics]
    return [
        Value(
            metric,
            (weighted_error if metric.endswith("_error") else weighted_concordance)(real, candidate, weight),
            modality=modality,
            n=n,
        )
        for metric in metrics
    ]


def compute_coefficients(
    design: Design, comparison: Comparison, most: int, rng: np.random.Generator, associations: tuple[Matrix, Matrix]
) -> dict[str, tuple[Matrix, Matrix]]:
    """Pearson's, Spearman's and Kendall's coefficients of all numbers that are not events, in real and candidate.

    Kendall's on `most` patients of a side at most; Spearman's are among the `associations` of all columns already.
    Each is (numbers, numbers) with NaN where it cannot be read.
    """
    columns = [i for i, name in enumerate(design.columns) if name in comparison.prepared]
    numbers = [matrix[:, columns] for matrix in design.matrices]
    low, high = np.array([comparison.prepared[design.columns[i]] for i in columns]).reshape(-1, 2).T
    some = [side[rng.permutation(len(side))[:most]] if len(side) > most else side for side in numbers]
    winsorised = [np.clip(side, low, high) for side in numbers]
    return {
        "pearson": (cross_correlation(winsorised[0], winsorised[0]), cross_correlation(winsorised[1], winsorised[1])),
        "spearman": (associations[0][np.ix_(columns, columns)], associations[1][np.ix_(columns, columns)]),
        "kendall": (kendall_tau(some[0]), kendall_tau(some[1])),
    }


def _groups(comparison: Comparison, design: Design) -> list[tuple[str, list[str], list[Matrix]]]:
    """Groups that numbers may be spread in: levels (clinical) and alterations (joint).

    (modality, names, one (patients, groups) of 1 member, 0 not, NaN unknown for each side)
    """
    names = [
        f"{name}={level}" for i, name in enumerate(design.columns) if _has_groups(comparison, name)
        for level in design.levels[i]
    ]  # fmt: skip
    sides = []
    for matrix in design.matrices:
        columns = [
            np.where(np.isnan(matrix[:, i]), np.nan, matrix[:, i] == code)
            for i, name in enumerate(design.columns) if _has_groups(comparison, name)
            for code in range(len(design.levels[i]))
        ]  # fmt: skip
        sides.append(np.column_stack(columns) if columns else np.empty((len(matrix), 0)))
    found = [("clinical", names, sides)]
    if comparison.real.alterations is not None and comparison.candidate.alterations is not None:
        events = list(comparison.real.schema.alterations)
        carried = [
            side[events].to_numpy(np.float64)
            for side in (comparison.real.alterations, comparison.candidate.alterations)
        ]
        found.append(("joint", events, carried))
    return found


def _has_groups(comparison: Comparison, name: str) -> bool:
    column = comparison.real.schema.columns[name]
    return not column.numeric and column.derived is None


def _spreads(comparison: Comparison, design: Design, settings: Mapping[str, Any]) -> list[Value]:
    schema = comparison.real.schema
    numbers = [
        (i, comparison.prepared[name]) for i, name in enumerate(design.columns)
        if name in comparison.prepared and schema.columns[name].kind != "time"
    ]  # fmt: skip
    values = []
    n, fewest = len(comparison.real), float(settings["min_carriers"])
    for modality, _, groups in _groups(comparison, design):
        effects: list[list[Matrix]] = [[], []]
        rejected: list[Matrix] = []
        members = [np.nansum(side == 1, axis=0) for side in groups]
        frequent = (members[0] >= fewest) & (np.nansum(groups[0] == 0, axis=0) >= fewest)
        tested = np.append(
            (members[0] >= settings["group"]) & (members[1] >= settings["group"]), modality == "clinical"
        )
        for i, (low, high) in numbers:
            sides = [np.clip(matrix[:, i], low, high) for matrix in design.matrices]
            for effect, side, group in zip(effects, sides, groups, strict=True):
                effect.append(brown_forsythe(side, group[:, frequent])[0])
            # The candidate beside real patients within each group, and last among all patients.
            within = [
                np.where(np.column_stack([group == 1, np.ones(len(group))]), float(side), np.nan)[:, tested]
                for side, group in enumerate(groups)
            ]
            difference, patients = brown_forsythe(np.concatenate(sides), np.concatenate(within))
            p = brown_forsythe_p(difference, patients)
            rejected.append(p[~np.isnan(difference)] < settings["level"])
        real, candidate = (np.concatenate(effect) if effect else np.empty(0) for effect in effects)
        read = ~np.isnan(real)
        values += _summary(real[read], np.nan_to_num(candidate[read]), modality, n, ("spread_agreement",))
        tests = np.concatenate(rejected) if rejected else np.empty(0)
        share, reason = (float(tests.mean()), "") if len(tests) else (np.nan, "no group is large enough")
        values.append(Value("spread_rejection", share, modality=modality, n=n, reason=reason))
    return values


def clinical_by_alteration(design: Design, side: int, cohort: Cohort, events: list[str]) -> Matrix:
    """Correlation of every clinical column (ranks; nominal columns by level) with carrying each alteration.

    (columns and levels, events); NaN where it cannot be read.
    """
    if cohort.alterations is None:
        raise ValueError("the cohort has no genomic modality")
    _, values = make_indicators(design, side)
    return cross_correlation(rank_columns(values), cohort.alterations[events].to_numpy(np.float64))


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Associations of all clinical columns: real, candidate, and candidate minus real."""
    design = code_levels(comparison.real.schema, comparison.real.clinical, comparison.candidate.clinical)
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
