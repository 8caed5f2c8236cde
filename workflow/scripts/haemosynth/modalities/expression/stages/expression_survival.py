"""Survival by expression: does a prognostic signature learned from synthetic patients hold in real ones?

The signature is a ridge Cox model of the principal components of training patients' variable genes, each on the scale
of one standard deviation. Learned from the candidate it is tested in held-out patients; and the hazard ratios of the
same components are compared between both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SKY, SYNTHETIC, new_figure
from haemosynth.encode.baseline import follow_up
from haemosynth.encode.records import Matrix, Vector, some_rows
from haemosynth.modalities.expression.components import standard_components
from haemosynth.modalities.expression.part import expression_of, find_expression
from haemosynth.modalities.expression.subgroups import lacking, select_measured
from haemosynth.stats.cox import concordance, fit_cox
from haemosynth.stats.curves import draw_at_risk, draw_curves, format_p, survival_curve
from haemosynth.stats.estimates import c_index, log_rank_p
from haemosynth.stats.prognosis import calibration_slope, hazard_agreement
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "components": 10,
    "ridge": 5.0,  # penalty of the Cox models: log hazard ratios ~ Normal(0, 1 / ridge)
    "events": 15,  # events among patients with expression that either side needs
}
COMPARED = {
    "log_hazard_correlation": "component_hazard_correlation",
    "log_hazard_difference": "component_hazard_difference",
}
STAGE = Stage("utility", needs=("expression", "clinical"), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "signature_c_index_tstr", "agreement", "", (0, 1), JOINT, "bootstrap",
        "Harrell's C in the holdout of the ridge Cox model of 10 principal components learned from the candidate",
        "Harrell et al., JAMA 1982;247:2543; Esteban et al., arXiv 1706.02633 (train synthetic, test real)",
    ),
    Metric(
        "signature_slope", "target", "", (-np.inf, np.inf), JOINT, "bootstrap",
        "log hazard ratio, in the holdout, of the linear predictor of that model",
        "van Houwelingen, Stat Med 2000;19:3401",
        target=1.0,
    ),
    Metric(
        "component_hazard_correlation", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "sum w b_r b_s / sqrt(sum w b_r^2 sum w b_s^2), Cox log hazard ratios b of the components, w = 1/SE_r^2",
        "this project; Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "component_hazard_difference", "error", "log hazard ratio", (0, np.inf), JOINT, "bootstrap",
        "sum w |b_r - b_s| / sum w, w = 1/SE_r^2",
        "this project; Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "signature_c_index_trtr", "descriptive", "", (0, 1), JOINT, "bootstrap",
        "as signature_c_index_tstr, learned from as many training patients",
        "Harrell et al., JAMA 1982;247:2543",
    ),
)  # fmt: skip


def prepare(
    comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator
) -> Callable[[AnnData], Matrix] | None:
    """The components of training patients; None where expression cannot be read. `rng` is not used."""
    train = find_expression(comparison.train)
    return None if lacking(comparison) or train is None else standard_components(int(settings["components"]), train)


def _select_followed(
    cohort: Cohort, endpoint: str, place: Callable[[AnnData], Matrix]
) -> tuple[Matrix, Vector, Vector]:
    """Components, time and event of the patients with expression and known follow-up."""
    known, time, event = follow_up(select_measured(cohort), endpoint)
    return place(expression_of(cohort))[known], time, event


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric of each endpoint; `all` repeats the primary one. `rng` chooses training patients."""
    endpoints, reason = comparison.real.schema.endpoints, lacking(comparison)
    if not reason and not endpoints:
        reason = "the cohort has no survival endpoint"
    if reason:
        return [Value(metric.name, np.nan, modality="expression", reason=reason) for metric in METRICS]
    ridge, least = float(settings["ridge"]), int(settings["events"])
    train = some_rows(comparison.train, len(comparison.candidate), rng)
    values = []
    for endpoint in endpoints:
        real, candidate, known = (
            _select_followed(cohort, endpoint, comparison.prepared)
            for cohort in (comparison.real, comparison.candidate, train)
        )
        n = min(len(real[1]), len(candidate[1]))
        found = dict.fromkeys((metric.name for metric in METRICS), float("nan"))
        reason = ""
        if min(side[2].sum() for side in (real, candidate, known)) < least:
            reason = f"fewer than {least} events of {endpoint} among patients with expression on one side"
        else:
            truth, learned, reference = (fit_cox(*side, ridge) for side in (real, candidate, known))
            risk, usual = real[0] @ learned.log_hazard, real[0] @ reference.log_hazard
            ordered = concordance if comparison.resampled else c_index
            found["signature_c_index_tstr"] = ordered(risk, *real[1:])
            found["signature_c_index_trtr"] = ordered(usual, *real[1:])
            found["signature_slope"] = calibration_slope(risk, *real[1:])
            found |= {COMPARED[name]: value for name, value, _ in hazard_agreement(truth, learned) if name in COMPARED}
        for target in (endpoint, "all") if endpoint == endpoints[0] else (endpoint,):
            values += [
                Value(name, value, target, "expression", n,
                      "" if np.isfinite(value) else reason or "the model distinguishes no patients")
                for name, value in found.items()
            ]  # fmt: skip
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Held-out patients of low, middle and high risk by the signature of either side, with patients at risk, and the
    components' hazards."""
    endpoints = comparison.real.schema.endpoints
    sides = None
    if not lacking(comparison) and endpoints:
        sides = [
            _select_followed(cohort, endpoints[0], comparison.prepared)
            for cohort in (comparison.real, comparison.candidate, comparison.train)
        ]
    if sides is None or min(side[2].sum() for side in sides) < int(settings["events"]):
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, values["reason"].iloc[0] or "too few events", ha="center", va="center", color=NEUTRAL)
        return drawn
    real = sides[0]
    truth, learned, reference = (fit_cox(*side, float(settings["ridge"])) for side in sides)
    drawn, grid = new_figure(12, 4.7, nrows=2, ncols=3, gridspec_kw={"height_ratios": [5, 1]})
    for axis in grid[:, 2]:
        axis.remove()
    axes = [*grid[0, :2], drawn.add_subplot(grid[0, 2].get_subplotspec().get_gridspec()[:, 2])]
    scores = values[(values["target"] == "all") & (values["status"] == "ok")].set_index("metric")["value"]
    for axis, table, model, text, name in (
        (axes[0], grid[1, 0], reference, "training patients", "trtr"),
        (axes[1], grid[1, 1], learned, label, "tstr"),
    ):
        p = _draw_groups(axis, table, real[0] @ model.log_hazard, *real[1:])
        score = scores.get(f"signature_c_index_{name}")
        told = "" if score is None else f"C {score:.2f}, "
        axis.set_title(f"learned from {text}\n{told}log-rank {format_p(p)}", loc="left")
        axis.set(xlabel="months", ylabel=f"{endpoints[0]}, held-out real patients", ylim=(0, 1.02))
    axes[0].legend(loc="lower left", fontsize=8)
    rows = np.arange(len(truth.log_hazard))
    for shift, model, colour, mark, text, size in (
        (-0.15, truth, REAL, "o", "real, held out", len(real[1])),
        (0.15, learned, SYNTHETIC, "s", label, len(sides[1][1])),
    ):
        half = 1.96 * model.standard_error
        axes[2].hlines(rows + shift, model.log_hazard - half, model.log_hazard + half, color=colour, lw=1.3)
        axes[2].plot(model.log_hazard, rows + shift, mark, color=colour, ms=4.5, label=f"{text} (n = {size:,})")
    axes[2].axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    axes[2].set_yticks(rows, [f"component {i + 1}" for i in rows])
    axes[2].set_ylim(len(rows) + 0.9, -0.6)
    axes[2].set_xlabel(f"log hazard ratio of {endpoints[0]} per SD; 95 % interval")
    axes[2].legend(loc="lower right", fontsize=8, ncols=2)
    return drawn


def _draw_groups(axis: Any, table: Any, risk: Vector, time: Vector, event: Vector) -> float:
    """Kaplan-Meier curves of thirds by risk until 95 % of follow-up, and the log-rank test that they are the same."""
    thirds = np.array_split(np.argsort(risk, kind="stable"), 3)
    curves = [
        (f"{name} risk (n = {len(rows):,})", colour, survival_curve(time[rows], event[rows]))
        for name, colour, rows in zip(("low", "middle", "high"), (SKY, BLUE, REAL), thirds, strict=True)
    ]
    draw_curves(axis, curves, float(np.quantile(time, 0.95)))
    draw_at_risk(table, axis, curves)
    return log_rank_p([(time[rows], event[rows]) for rows in thirds])
