"""Survival: do synthetic patients live, are they censored, and are their risks ordered as in real patients?

Curves are compared by Kaplan-Meier; associations by a Cox model of the same covariates on either side; usefulness by
a Cox model learned from the candidate and tested on real patients that nobody has seen.

Covariates of the Cox models, fixed by the training patients and so the same for every candidate: clinical columns of
the groups demographic, laboratory, disease and comorbidity that are not derived (what happens after baseline, such as
treatment, response and the other endpoints, never enters), and alterations with enough carriers. Numbers are
winsorised at the 1 and 99 % quantiles, skewed ones taken as log(1 + x), and put on the scale of one standard
deviation; levels are compared with the most frequent one. Missing values are completed within each side alone: the
median, the reference level or wild type, and an indicator of missingness where enough patients carry it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.cohort import Cohort
from haemosynth.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.validate.cox import (
    CoxModel,
    KaplanMeier,
    Matrix,
    Vector,
    concordance,
    curve_distance,
    fit_cox,
    integrated_brier,
    kaplan_meier,
    predict_survival,
)
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "horizon": None,  # months of the restricted mean; None is the 95 % quantile of real follow-up
    "carriers": 10,  # training patients that a level, an alteration or an indicator of missingness needs
    "ridge": 1.0,  # penalty of the Cox models: log hazard ratios ~ Normal(0, 1 / ridge)
    "events": 20,  # events that either side needs for a Cox model
}
BASELINE_GROUPS = ("demographic", "laboratory", "disease", "comorbidity")
FOLLOW_UP_QUANTILE = 0.95
FEWEST_SHOWN = 5  # curves end and counts are hidden where fewer patients are at risk

METRICS = (
    Metric(
        "km_distance", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "1/t integral_0^t |S_real(u) - S_candidate(u)| du, Kaplan-Meier, t the 95 % quantile of real follow-up",
        "Norcliffe et al., SurvivalGAN, AISTATS 2023 (Kaplan-Meier divergence, absolute)",
    ),
    Metric(
        "censoring_distance", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "as km_distance, with the reverse Kaplan-Meier estimate of the censoring distribution",
        "Schemper and Smith, Control Clin Trials 1996;17:343",
    ),
    Metric(
        "rmst_difference", "error", "months", (0, np.inf), UNIVARIATE, "bootstrap",
        "|RMST_real(t) - RMST_candidate(t)|, the area between zero and t under Kaplan-Meier",
        "Royston and Parmar, BMC Med Res Methodol 2013;13:152",
    ),
    Metric(
        "log_hazard_correlation", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "sum w b_r b_s / sqrt(sum w b_r^2 sum w b_s^2), Cox log hazard ratios b, w = 1/SE_r^2; taken about zero, so"
        " that the coding of a covariate does not matter",
        "this project; Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "log_hazard_difference", "error", "log hazard ratio", (0, np.inf), JOINT, "bootstrap",
        "sum w |b_r - b_s| / sum w, w = 1/SE_r^2",
        "this project; Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "hazard_interval_overlap", "agreement", "share", (0, 1), JOINT, "bootstrap",
        "mean over covariates of the overlap of the two 95 % intervals, as a share of either, averaged",
        "Karr et al., Am Stat 2006;60:224",
    ),
    Metric(
        "c_index_tstr", "agreement", "", (0, 1), JOINT, "bootstrap",
        "Harrell's C in the holdout of the Cox model learned from the candidate",
        "Harrell et al., JAMA 1982;247:2543; Esteban et al., arXiv 1706.02633 (train synthetic, test real)",
    ),
    Metric(
        "brier_tstr", "error", "squared probability", (0, 1), JOINT, "bootstrap",
        "integrated Brier score in the holdout up to t of the Cox model learned from the candidate (Breslow baseline),"
        " weighted by the inverse probability of censoring",
        "Graf et al., Stat Med 1999;18:2529",
    ),
)  # fmt: skip
CURVES = ("km_distance", "censoring_distance", "rmst_difference")
MODELS = tuple(metric.name for metric in METRICS if metric.name not in CURVES)


@dataclass(frozen=True)
class Design:
    """The covariates, as learned from training patients. names: one for each column of `matrix`."""

    numbers: tuple[tuple[str, bool, float, float, float, float], ...]  # column, log, low, high, mean, deviation
    levels: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    alterations: tuple[str, ...]
    unsequenced: bool
    no_karyotype: bool

    @property
    def names(self) -> list[str]:
        """Names of the covariates, in the order of the matrix."""
        return [
            *(f"{'log ' if log else ''}{name}, per SD" for name, log, *_ in self.numbers),
            *(f"{name}: {level}" for name, level in self.levels),
            *(f"{name}: unknown" for name in self.unknown),
            *self.alterations,
            *(["not sequenced"] if self.unsequenced else []),
            *(["karyotype incomplete"] if self.no_karyotype else []),
        ]

    def matrix(self, cohort: Cohort) -> Matrix:
        """(patients, covariates), complete; missing values completed from this cohort alone."""
        columns: list[Vector] = []
        clinical = cohort.clinical
        for name, log, low, high, mean, deviation in self.numbers:
            values = np.clip(clinical[name].to_numpy(float), low, high)
            known = np.isfinite(values)
            values = np.where(known, values, np.median(values[known]) if known.any() else low)
            columns.append((_scale(values, log) - mean) / deviation)
        for name, level in self.levels:
            columns.append((clinical[name] == level).to_numpy().astype(float))
        for name in self.unknown:
            columns.append(clinical[name].isna().to_numpy().astype(float))
        if self.alterations and cohort.alterations is not None:
            columns.extend(np.nan_to_num(cohort.alterations[list(self.alterations)].to_numpy(float)).T)
        if self.unsequenced and cohort.sequenced is not None:
            columns.append(1.0 - cohort.sequenced.to_numpy(float))
        if self.no_karyotype and cohort.alterations is not None:
            columns.append(_karyotype_incomplete(cohort).astype(float))
        return np.column_stack(columns) if columns else np.empty((len(cohort), 0))


def baseline_design(train: Cohort, carriers: int) -> Design:
    """The covariates known at baseline; `carriers` training patients are needed for a level or an alteration."""
    numbers, levels, unknown = [], [], []
    for name, column in train.schema.columns.items():
        if column.group not in BASELINE_GROUPS or column.kind in ("time", "event") or column.derived is not None:
            continue
        values = train.clinical[name]
        observed = values.dropna()
        if column.numeric:
            if len(observed) < carriers or observed.nunique() < 2:
                continue
            low, high = np.quantile(observed, [0.01, 0.99])
            clipped = np.clip(observed.to_numpy(float), low, high)
            log = bool(low >= 0 and _skewness(clipped) > 1)
            scaled = _scale(clipped, log)
            if scaled.std() == 0:
                continue
            numbers.append((name, log, float(low), float(high), float(scaled.mean()), float(scaled.std())))
        else:
            counts = observed.astype(str).value_counts(sort=False)
            kept = [level for level in values.cat.categories if counts.get(level, 0) >= carriers]
            if len(kept) < 2:
                continue
            reference = max(kept, key=lambda level: counts[level])
            levels += [(name, level) for level in kept if level != reference]
        if min(values.isna().sum(), len(observed)) >= carriers:
            unknown.append(name)
    alterations: list[str] = []
    unsequenced = no_karyotype = False
    if train.alterations is not None and train.sequenced is not None:
        present = (train.alterations.to_numpy(float) == 1).sum(axis=0)
        alterations = [
            str(name) for name, count in zip(train.alterations, present, strict=True) if carriers <= count < len(train)
        ]
        known = int(train.sequenced.sum())
        unsequenced = min(known, len(train) - known) >= carriers
        incomplete = int(_karyotype_incomplete(train).sum())
        no_karyotype = min(incomplete, len(train) - incomplete) >= carriers
    return Design(tuple(numbers), tuple(levels), tuple(unknown), tuple(alterations), unsequenced, no_karyotype)


def _scale(values: Vector, log: bool) -> Vector:
    return np.log1p(values) if log else values


def _skewness(values: Vector) -> float:
    deviation = values.std()
    return float(((values - values.mean()) ** 3).mean() / deviation**3) if deviation > 0 else 0.0


def _karyotype_incomplete(cohort: Cohort) -> NDArray[np.bool_]:
    events = [name for name, kind in cohort.schema.alterations.items() if kind == "cytogenetic"]
    assert cohort.alterations is not None
    incomplete: NDArray[np.bool_] = np.isnan(cohort.alterations[events].to_numpy(float)).any(axis=1)
    return incomplete


def follow_up(cohort: Cohort, endpoint: str) -> tuple[NDArray[np.intp], Vector, Vector]:
    """(positions of patients with known follow-up, their time in months, their event) of an endpoint."""
    time = cohort.clinical[f"{endpoint}_time"].to_numpy(float)
    event = cohort.clinical[f"{endpoint}_event"].to_numpy(float)
    known = np.flatnonzero(np.isfinite(time) & np.isfinite(event))
    return known, time[known], event[known]


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric for each endpoint; `all` repeats the primary one. Settings: see DEFAULTS. `rng` is not used."""
    endpoints = comparison.real.schema.endpoints
    if not endpoints:
        return [Value(metric.name, np.nan, reason="the cohort has no survival endpoint") for metric in METRICS]
    design = baseline_design(comparison.train, int(settings["carriers"]))
    real_covariates, candidate_covariates = design.matrix(comparison.real), design.matrix(comparison.candidate)
    values = []
    for endpoint in endpoints:
        found = [
            *_curves(comparison, endpoint, settings),
            *_models(comparison, endpoint, settings, real_covariates, candidate_covariates),
        ]
        for target in (endpoint, "all") if endpoint == endpoints[0] else (endpoint,):
            values += [Value(metric, value, target, n=n, reason=reason) for metric, value, n, reason in found]
    return values


Found = tuple[str, float, int, str]


def _curves(comparison: Comparison, endpoint: str, settings: Mapping[str, Any]) -> list[Found]:
    _, time, event = follow_up(comparison.real, endpoint)
    _, candidate_time, candidate_event = follow_up(comparison.candidate, endpoint)
    n = min(len(time), len(candidate_time))
    if n < 2:
        reason = f"fewer than two patients with known {endpoint}"
        return [(name, np.nan, n, reason) for name in CURVES]
    end = float(np.quantile(time, FOLLOW_UP_QUANTILE))
    horizon = end if settings["horizon"] is None else float(settings["horizon"])
    real, candidate = kaplan_meier(time, event), kaplan_meier(candidate_time, candidate_event)
    censored, candidate_censored = kaplan_meier(time, 1 - event), kaplan_meier(candidate_time, 1 - candidate_event)
    return [
        ("km_distance", curve_distance(real, candidate, end), n, ""),
        ("censoring_distance", curve_distance(censored, candidate_censored, end), n, ""),
        ("rmst_difference", abs(real.mean_until(horizon) - candidate.mean_until(horizon)), n, ""),
    ]


def _models(
    comparison: Comparison, endpoint: str, settings: Mapping[str, Any], real: Matrix, candidate: Matrix
) -> list[Found]:
    known, time, event = follow_up(comparison.real, endpoint)
    candidate_known, candidate_time, candidate_event = follow_up(comparison.candidate, endpoint)
    n, least = min(len(time), len(candidate_time)), int(settings["events"])
    reason = ""
    if not real.shape[1]:
        reason = "no baseline covariate"
    elif min(event.sum(), candidate_event.sum()) < least:
        reason = f"fewer than {least} events of {endpoint} on one side"
    if reason:
        return [(name, np.nan, n, reason) for name in MODELS]
    real, candidate = real[known], candidate[candidate_known]
    ridge = float(settings["ridge"])
    learned, truth = fit_cox(candidate, candidate_time, candidate_event, ridge), fit_cox(real, time, event, ridge)
    end = float(np.quantile(time, FOLLOW_UP_QUANTILE))
    grid = np.linspace(0, end, 51)[1:]
    predicted = predict_survival(learned, candidate, candidate_time, candidate_event, real, grid)
    return [
        *((name, value, n, "") for name, value in agreement(truth, learned).items()),
        ("c_index_tstr", concordance(real @ learned.log_hazard, time, event), n, ""),
        ("brier_tstr", integrated_brier(predicted, grid, time, event), n, ""),
    ]


def agreement(truth: CoxModel, learned: CoxModel) -> dict[str, float]:
    """The three comparisons of Cox models of the same covariates (formulas in METRICS)."""
    weight = truth.standard_error**-2
    a, b = truth.log_hazard, learned.log_hazard
    norm = np.sqrt((weight @ a**2) * (weight @ b**2))
    half_a, half_b = 1.959964 * truth.standard_error, 1.959964 * learned.standard_error
    shared = np.clip(np.minimum(a + half_a, b + half_b) - np.maximum(a - half_a, b - half_b), 0, None)
    return {
        "log_hazard_correlation": float(weight @ (a * b) / norm) if norm > 0 else 0.0,
        "log_hazard_difference": float(weight @ np.abs(a - b) / weight.sum()),
        "hazard_interval_overlap": float((shared / (2 * half_a) + shared / (2 * half_b)).mean() / 2),
    }


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Kaplan-Meier curves with 95 % bands and patients at risk, and hazard ratios of the strongest covariates."""
    schema = comparison.real.schema
    if not schema.endpoints:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, "no survival endpoint", ha="center", va="center", color=NEUTRAL)
        return drawn
    endpoint = schema.endpoints[0]
    drawn, axes = new_figure(
        10.5, 4.9, nrows=2, ncols=2, gridspec_kw={"height_ratios": [5, 0.75], "width_ratios": [1.15, 1]}
    )
    real, candidate = follow_up(comparison.real, endpoint), follow_up(comparison.candidate, endpoint)
    curves = [
        ("real, held out", REAL, kaplan_meier(*real[1:])),
        (label, SYNTHETIC, kaplan_meier(*candidate[1:])),
    ]
    end = float(np.quantile(real[1], FOLLOW_UP_QUANTILE))
    _draw_curves(axes[0, 0], curves, endpoint, end)
    scores = values[(values["target"] == "all") & (values["status"] == "ok")].set_index("metric")["value"]
    if "km_distance" in scores:
        axes[0, 0].set_title(f"mean distance of the curves {scores['km_distance']:.3f}", loc="left", fontsize=10)
    _draw_at_risk(axes[1, 0], axes[0, 0], curves)

    design = baseline_design(comparison.train, int(settings["carriers"]))
    for axis in axes[:, 1]:
        axis.remove()
    forest = drawn.add_subplot(axes[0, 1].get_subplotspec().get_gridspec()[:, 1])
    for side in ("top", "right"):
        forest.spines[side].set_visible(False)
    if not design.names or min(real[2].sum(), candidate[2].sum()) < settings["events"]:
        forest.axis("off")
        forest.text(0.5, 0.5, "too few events or covariates for a Cox model", ha="center", color=NEUTRAL)
        return drawn
    models = [
        fit_cox(design.matrix(cohort)[known], time, event, float(settings["ridge"]))
        for cohort, (known, time, event) in ((comparison.real, real), (comparison.candidate, candidate))
    ]
    _draw_forest(forest, design.names, models[0], models[1], endpoint)
    if "log_hazard_correlation" in scores:
        forest.set_title(
            f"log hazards r {scores['log_hazard_correlation']:.2f}, C-index {scores['c_index_tstr']:.2f}",
            loc="left",
            fontsize=10,
        )
    return drawn


def _in_groups(curve: KaplanMeier, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(steps,) mean time of every group of at least `FEWEST_SHOWN` patients in follow-up order, and where it ends.

    A curve with a step for each patient would show when each of them died.
    """
    gone = (curve.at_risk[0] - curve.at_risk[shown]) // FEWEST_SHOWN
    ends = np.flatnonzero(np.diff(gone, append=np.inf) > 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sums = np.add.reduceat(curve.times[shown], starts)
    return sums / (ends - starts + 1), ends


def _draw_curves(axis: Any, curves: list[tuple[str, str, KaplanMeier]], endpoint: str, end: float) -> None:
    for name, colour, curve in curves:
        shown = np.flatnonzero((curve.at_risk >= FEWEST_SHOWN) & (curve.times <= end))
        times, low, high, survival = np.zeros(1), np.ones(1), np.ones(1), np.ones(1)
        if len(shown):
            mean, ends = _in_groups(curve, shown)
            times = np.concatenate([times, mean])
            band = (side[shown][ends] for side in (*curve.band(), curve.survival))
            low, high, survival = (np.concatenate([[1.0], side]) for side in band)
        axis.step(times, survival, where="post", color=colour, lw=1.6,
                  label=f"{name} (n = {int(curve.at_risk[0]):,}, {int(curve.events.sum()):,} events)")  # fmt: skip
        axis.fill_between(times, low, high, step="post", color=colour, alpha=0.15, lw=0)
    axis.set(xlim=(0, end), ylim=(0, 1.02), xlabel=f"{endpoint}, months", ylabel="survival probability")
    axis.legend(loc="upper right", frameon=False, fontsize=9)


def _draw_at_risk(axis: Any, above: Any, curves: list[tuple[str, str, KaplanMeier]]) -> None:
    end = above.get_xlim()[1]
    ticks = [tick for tick in above.get_xticks() if 0 <= tick <= end]
    axis.set(xlim=(0, end), ylim=(-0.6, len(curves) - 0.1))
    axis.axis("off")
    axis.text(0, len(curves) - 0.25, "patients at risk", fontsize=8, color=NEUTRAL, ha="left")
    for row, (_, colour, curve) in enumerate(reversed(curves)):
        for tick in ticks:
            later = curve.at_risk[curve.times >= tick]
            count = int(later[0]) if len(later) else 0
            text = f"{count:,}" if count == 0 or count >= FEWEST_SHOWN else f"<{FEWEST_SHOWN}"
            axis.text(tick, row - 0.35, text, color=colour, fontsize=8, ha="center" if tick else "left")


def _draw_forest(
    axis: Any, names: list[str], truth: CoxModel, learned: CoxModel, endpoint: str, most: int = 12
) -> None:
    strength = np.abs(truth.log_hazard) / truth.standard_error
    chosen = np.argsort(-strength, kind="stable")[:most][::-1]
    rows = np.arange(len(chosen))
    for model, offset, colour in ((truth, 0.15, REAL), (learned, -0.15, SYNTHETIC)):
        middle, half = model.log_hazard[chosen], 1.959964 * model.standard_error[chosen]
        axis.errorbar(
            np.exp(middle), rows + offset, xerr=np.stack([np.exp(middle) - np.exp(middle - half),
            np.exp(middle + half) - np.exp(middle)]), fmt="o", ms=4, lw=1.3, color=colour,
        )  # fmt: skip
    axis.axvline(1, color=NEUTRAL, lw=0.8, zorder=0)
    axis.set_xscale("log")
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if axis.get_xlim()[0] <= tick <= axis.get_xlim()[1]]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_yticks(rows, [textwrap.shorten(names[i], 36, placeholder=" ...") for i in chosen])
    axis.set(ylim=(-0.7, len(chosen) - 0.3), xlabel=f"hazard ratio of {endpoint}, 95 % interval")
