"""Survival: do survival, censoring and the effects of covariates agree with real patients?

Curves are compared by Kaplan-Meier; associations by a Cox model of the same covariates on either side; usefulness by
a Cox model learned from the candidate and tested on real patients that nobody has seen.

The covariates are those of `baseline.py`: what is known at baseline, coded as training patients tell. Survival at
clinical horizons, discrimination over time and the proportionality of hazards are looked at beside.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.baseline import baseline_design, follow_up
from haemosynth.stats.association import weighted_concordance
from haemosynth.stats.cox import (
    Z95,
    CoxModel,
    Matrix,
    Vector,
    concordance,
    curve_distance,
    fit_cox,
    hazard_trends,
    kaplan_meier,
    log_rank,
)
from haemosynth.stats.curves import draw_at_risk, draw_curves, survival_curve
from haemosynth.stats.estimates import c_index, estimate_survival, restricted_mean
from haemosynth.stats.prognosis import (
    calibration_slope,
    dynamic_auc,
    hazard_agreement,
    integrated_brier,
    predict_survival,
)
from haemosynth.stats.proportionality import Proportionality, proportionality
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "horizon": None,  # months of the restricted mean; None is the 95 % quantile of real follow-up
    "horizons": [12, 24, 36, 60],  # months looked at, as far as a tenth of the training patients are followed
    "covariates": [],  # columns known at baseline beside the baseline groups, such as a randomised arm
    "carriers": 10,  # training patients that a level, an alteration or an indicator of missingness needs
    "ridge": 1.0,  # penalty of the Cox models: log hazard ratios ~ Normal(0, 1 / ridge)
    "events": 20,  # events that either side needs for a Cox model
}
FOLLOW_UP_QUANTILE = 0.95
STILL_FOLLOWED = 0.1  # share of training patients at risk that a horizon needs
CLEAR = 0.05  # p-value below which the figure marks a covariate whose hazards are not proportional

STAGE = Stage("utility", needs=("clinical",), environment="survival", memory=2000, runtime=30)
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
        "|RMST_real(t) - RMST_candidate(t)|, the area between zero and t under Kaplan-Meier; other targets: t the"
        " clinical horizons",
        "Royston and Parmar, BMC Med Res Methodol 2013;13:152",
    ),
    Metric(
        "log_rank_effect", "error", "log hazard ratio", (0, np.inf), UNIVARIATE, "bootstrap",
        "|O - E| / V, O the events of the candidate, E their log-rank expectation and V its variance: Peto's log hazard"
        " ratio of the candidate against real patients. An effect size, which does not grow with n as a p-value falls",
        "Mantel, Cancer Chemother Rep 1966;50:163; Yusuf et al., Prog Cardiovasc Dis 1985;27:335",
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
        "sign_concordance", "agreement", "share", (0, 1), JOINT, "bootstrap",
        "share of the covariates whose 95 % interval excludes no effect in real patients that have the same sign in the"
        " candidate; 1/2 by chance",
        "this project; Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "significance_concordance", "agreement", "share", (0, 1), JOINT, "bootstrap",
        "2 b / (r + s), r and s the covariates whose 95 % interval excludes no effect in real patients and in the"
        " candidate, b those in both, with the same sign",
        "Dice, Ecology 1945;26:297",
    ),
    Metric(
        "log_hazard_gap", "descriptive", "log hazard ratio", (-np.inf, np.inf), JOINT, "bootstrap",
        "candidate minus real log hazard ratio, for each covariate and the primary endpoint",
        "Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "hazard_trend_agreement", "descriptive", "", (-1, 1), JOINT, "bootstrap",
        "2 sum x y / sum (x^2 + y^2), x and y the correlations of scaled Schoenfeld residuals with the rank of time in"
        " real and candidate: are the departures from proportional hazards the same",
        "Grambsch and Therneau, Biometrika 1994;81:515; Lin, Biometrics 1989;45:255",
    ),
    Metric(
        "hazard_trend_difference", "descriptive", "", (0, np.inf), JOINT, "bootstrap",
        "mean |x - y| over covariates, x and y as in hazard_trend_agreement; other targets: each covariate, for the"
        " primary endpoint",
        "Grambsch and Therneau, Biometrika 1994;81:515",
    ),
    Metric(
        "calibration_slope", "target", "", (-np.inf, np.inf), JOINT, "bootstrap",
        "log hazard ratio, in the holdout, of the linear predictor of the Cox model learned from the candidate",
        "van Houwelingen, Stat Med 2000;19:3401",
        target=1.0,
    ),
    Metric(
        "c_index_tstr", "agreement", "", (0, 1), JOINT, "bootstrap",
        "Harrell's C in the holdout of the Cox model learned from the candidate",
        "Harrell et al., JAMA 1982;247:2543; Esteban et al., arXiv 1706.02633 (train synthetic, test real)",
    ),
    Metric(
        "auc_tstr", "agreement", "", (0, 1), JOINT, "bootstrap",
        "cumulative/dynamic area under the ROC curve at the clinical horizons, in the holdout, of the Cox model learned"
        " from the candidate, weighted by the inverse probability of censoring; mean over horizons",
        "Uno et al., J Am Stat Assoc 2007;102:527",
    ),
    Metric(
        "brier_tstr", "error", "squared probability", (0, 1), JOINT, "bootstrap",
        "integrated Brier score in the holdout up to t of the Cox model learned from the candidate (Breslow baseline),"
        " weighted by the inverse probability of censoring",
        "Graf et al., Stat Med 1999;18:2529",
    ),
)  # fmt: skip
CURVES = ("km_distance", "censoring_distance", "rmst_difference", "log_rank_effect")
BY_COVARIATE = "log_hazard_gap"
TRENDS = "hazard_trend_difference"
MODELS = tuple(metric.name for metric in METRICS if metric.name not in (*CURVES, BY_COVARIATE))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric for each endpoint; `all` repeats the primary one. Settings: see DEFAULTS. `rng` is not used."""
    endpoints = comparison.real.schema.endpoints
    if not endpoints:
        return [Value(metric.name, np.nan, reason="the cohort has no survival endpoint") for metric in METRICS]
    design = baseline_design(comparison.train, int(settings["carriers"]), settings["covariates"])
    real_covariates, candidate_covariates = design.matrix(comparison.real), design.matrix(comparison.candidate)
    values = []
    for endpoint in endpoints:
        horizons = _horizons(comparison.train, endpoint, settings)
        found = _curves(comparison, endpoint, settings, horizons)
        models, gaps, turns = _models(comparison, endpoint, settings, horizons, real_covariates, candidate_covariates)
        for metric, target, value, n, reason in found + models:
            values.append(Value(metric, value, target, n=n, reason=reason))
            if endpoint == endpoints[0] and target == endpoint:
                values.append(Value(metric, value, n=n, reason=reason))
        if endpoint == endpoints[0]:
            values += [Value(BY_COVARIATE, gap, name) for name, gap in zip(design.names, gaps, strict=False)]
            values += [Value(TRENDS, turn, name) for name, turn in zip(design.names, turns, strict=False)]
            if not len(gaps):
                values.append(Value(BY_COVARIATE, np.nan, endpoint, reason=models[0][-1]))
    return values


Found = tuple[str, str, float, int, str]  # metric, target, value, n, reason


def _horizons(train: Cohort, endpoint: str, settings: Mapping[str, Any]) -> list[float]:
    """The clinical horizons that follow-up allows; the training patients decide, so that no resample changes them."""
    _, time, _ = follow_up(train, endpoint)
    return [float(t) for t in settings["horizons"] if len(time) and (time > t).mean() >= STILL_FOLLOWED]


def _at(endpoint: str, horizon: float) -> str:
    return f"{endpoint} at {horizon:g} months"


def _curves(comparison: Comparison, endpoint: str, settings: Mapping[str, Any], horizons: list[float]) -> list[Found]:
    _, time, event = follow_up(comparison.real, endpoint)
    _, candidate_time, candidate_event = follow_up(comparison.candidate, endpoint)
    n = min(len(time), len(candidate_time))
    if n < 2:
        reason = f"fewer than two patients with known {endpoint}"
        return [(name, endpoint, np.nan, n, reason) for name in CURVES]
    end = float(np.quantile(time, FOLLOW_UP_QUANTILE))
    horizon = end if settings["horizon"] is None else float(settings["horizon"])
    estimate = kaplan_meier if comparison.resampled else estimate_survival
    real, candidate = estimate(time, event), estimate(candidate_time, candidate_event)
    censored, candidate_censored = estimate(time, 1 - event), estimate(candidate_time, 1 - candidate_event)
    untils = [horizon, *horizons]
    if comparison.resampled:
        means = [[curve.mean_until(until) for until in untils] for curve in (real, candidate)]
    else:
        means = [restricted_mean(*side, untils) for side in ((time, event), (candidate_time, candidate_event))]
    gains = [abs(first - second) for first, second in zip(*means, strict=True)]
    excess, variance = log_rank(
        np.concatenate([time, candidate_time]),
        np.concatenate([event, candidate_event]),
        np.repeat([0.0, 1.0], [len(time), len(candidate_time)]),
    )

    effect = abs(excess) / variance if variance > 0 else np.nan
    return [
        ("km_distance", endpoint, curve_distance(real, candidate, end), n, ""),
        ("censoring_distance", endpoint, curve_distance(censored, candidate_censored, end), n, ""),
        ("rmst_difference", endpoint, gains[0], n, ""),
        *(("rmst_difference", _at(endpoint, t), gain, n, "") for t, gain in zip(horizons, gains[1:], strict=True)),
        ("log_rank_effect", endpoint, effect, n, "" if variance > 0 else f"no event of {endpoint} at common risk"),
    ]


def _models(
    comparison: Comparison,
    endpoint: str,
    settings: Mapping[str, Any],
    horizons: list[float],
    real: Matrix,
    candidate: Matrix,
) -> tuple[list[Found], Vector, Vector]:
    """What Cox models of both sides find, candidate minus real log hazards, and how far their changes over time differ
    (empty where there is no model, or no change to be seen)."""
    known, time, event = follow_up(comparison.real, endpoint)
    candidate_known, candidate_time, candidate_event = follow_up(comparison.candidate, endpoint)
    n, least = min(len(time), len(candidate_time)), int(settings["events"])
    reason = ""
    if not real.shape[1]:
        reason = "no baseline covariate"
    elif min(event.sum(), candidate_event.sum()) < least:
        reason = f"fewer than {least} events of {endpoint} on one side"
    if reason:
        return [(name, endpoint, np.nan, n, reason) for name in MODELS], np.empty(0), np.empty(0)
    real, candidate = real[known], candidate[candidate_known]
    ridge = float(settings["ridge"])
    learned, truth = fit_cox(candidate, candidate_time, candidate_event, ridge), fit_cox(real, time, event, ridge)
    end = float(np.quantile(time, FOLLOW_UP_QUANTILE))
    grid = np.linspace(0, end, 51)[1:]
    predicted = predict_survival(learned, candidate, candidate_time, candidate_event, real, grid)
    risk = real @ learned.log_hazard
    agreement, turns, at_once = np.nan, np.empty(0), ""
    if min(np.ptp(time[event == 1]), np.ptp(candidate_time[candidate_event == 1])) > 0:
        trend = hazard_trends(truth, real, time, event) / np.sqrt(event.sum())
        other = hazard_trends(learned, candidate, candidate_time, candidate_event) / np.sqrt(candidate_event.sum())
        agreement, turns = weighted_concordance(trend, other, np.ones_like(trend)), np.abs(trend - other)
    else:
        at_once = f"all events of {endpoint} come at one time on one side"
    slope = calibration_slope(risk, time, event)
    areas = {t: dynamic_auc(risk, time, event, t) for t in horizons}
    areas = {t: area for t, area in areas.items() if np.isfinite(area)}
    found = [
        *((name, endpoint, value, n, reason) for name, value, reason in hazard_agreement(truth, learned)),
        ("hazard_trend_agreement", endpoint, agreement, n, at_once),
        (TRENDS, endpoint, np.nan if at_once else float(turns.mean()), n, at_once),
        ("calibration_slope", endpoint, slope, n, "" if np.isfinite(slope) else "the model distinguishes no patients"),
        ("c_index_tstr", endpoint, (concordance if comparison.resampled else c_index)(risk, time, event), n, ""),
        ("auc_tstr", endpoint, float(np.mean(list(areas.values()))) if areas else np.nan, n,
         "" if areas else "follow-up reaches no clinical horizon"),
        *(("auc_tstr", _at(endpoint, t), area, n, "") for t, area in areas.items()),
        ("brier_tstr", endpoint, integrated_brier(predicted, grid, time, event), n, ""),
    ]  # fmt: skip
    return found, learned.log_hazard - truth.log_hazard, turns


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Kaplan-Meier curves with 95 % bands, patients at risk, follow-up, and the strongest hazard ratios: how large they
    are, and whether they change over time."""
    schema = comparison.real.schema
    if not schema.endpoints:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, "no survival endpoint", ha="center", va="center", color=NEUTRAL)
        return drawn
    endpoint = schema.endpoints[0]
    drawn, axes = new_figure(
        12.5, 6.0, nrows=3, ncols=3, gridspec_kw={"height_ratios": [5, 0.8, 1.9], "width_ratios": [1.15, 1, 0.5]}
    )
    real, candidate = follow_up(comparison.real, endpoint), follow_up(comparison.candidate, endpoint)
    end = float(np.quantile(real[1], FOLLOW_UP_QUANTILE))
    curves, censored = (
        [
            (name, colour, survival_curve(time, event if of_events else 1 - event))
            for name, colour, (_, time, event) in (("real, held out", REAL, real), (label, SYNTHETIC, candidate))
        ]
        for of_events in (True, False)
    )
    scores = values[(values["target"] == "all") & (values["status"] == "ok")].set_index("metric")["value"]
    draw_curves(axes[0, 0], curves, end)
    axes[0, 0].set(xlabel=f"{endpoint}, months", ylabel="survival probability")
    axes[0, 0].legend(
        axes[0, 0].lines,
        [f"{name} (n = {curve.patients:,}, {curve.events:,} events)" for name, _, curve in curves],
        loc="upper right", frameon=False, fontsize=9,
    )  # fmt: skip
    _title(
        axes[0, 0],
        scores,
        {"km_distance": "distance of the curves {:.3f}", "log_rank_effect": "log-rank effect {:.2f}"},
    )
    draw_at_risk(axes[1, 0], axes[0, 0], curves)
    draw_curves(axes[2, 0], censored, end)
    axes[2, 0].set(xlabel="months", ylabel="still under\nfollow-up", yticks=[0, 0.5, 1])
    _title(axes[2, 0], scores, {"censoring_distance": "reverse Kaplan-Meier, distance {:.3f}"})

    design = baseline_design(comparison.train, int(settings["carriers"]), settings["covariates"])
    for axis in axes[:, 1:].flat:
        axis.remove()
    grid = axes[0, 1].get_subplotspec().get_gridspec()
    if not design.names or min(real[2].sum(), candidate[2].sum()) < settings["events"]:
        forest = drawn.add_subplot(grid[:, 1:])
        forest.axis("off")
        forest.text(0.5, 0.5, "too few events or covariates for a Cox model", ha="center", color=NEUTRAL)
        return drawn
    forest, trends = drawn.add_subplot(grid[:, 1]), drawn.add_subplot(grid[:, 2])
    sides = [
        (design.matrix(cohort)[known], time, event, float(settings["ridge"]))
        for cohort, (known, time, event) in ((comparison.real, real), (comparison.candidate, candidate))
    ]
    models = [fit_cox(*side) for side in sides]
    chosen = find_strongest(models[0])
    _draw_forest(forest, design.names, models[0], models[1], endpoint, chosen)
    _title(forest, scores, {"log_hazard_correlation": "log hazards r {:.2f}", "c_index_tstr": "C-index {:.2f}"})
    _draw_trends(trends, [proportionality(*side) for side in sides], chosen)
    return drawn


def _title(axis: Any, scores: pd.Series, parts: Mapping[str, str]) -> None:
    text = ", ".join(form.format(scores[name]) for name, form in parts.items() if name in scores)
    axis.set_title(text, loc="left", fontsize=10)


def find_strongest(truth: CoxModel, most: int = 12) -> NDArray[np.intp]:
    """Positions of the covariates with the largest Wald statistics, the strongest last."""
    strength = np.abs(truth.log_hazard) / truth.standard_error
    return np.argsort(-strength, kind="stable")[:most][::-1]


def _draw_forest(
    axis: Any, names: list[str], truth: CoxModel, learned: CoxModel, endpoint: str, chosen: NDArray[np.intp]
) -> None:
    rows = np.arange(len(chosen))
    for model, offset, colour in ((truth, 0.15, REAL), (learned, -0.15, SYNTHETIC)):
        middle, half = model.log_hazard[chosen], Z95 * model.standard_error[chosen]
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


def _draw_trends(axis: Any, sides: list[Proportionality], chosen: NDArray[np.intp]) -> None:
    """How the effects of the covariates of the forest plot change over time: filled where that is clear."""
    rows = np.arange(len(chosen))
    for side, offset, colour in zip(sides, (0.15, -0.15), (REAL, SYNTHETIC), strict=True):
        clear = side.p[chosen] < CLEAR
        for some, face in ((clear, colour), (~clear, "white")):
            axis.plot(side.trend[chosen][some], (rows + offset)[some], "o", ms=4.5, mec=colour, mfc=face)
    axis.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    reach = max(0.3, 1.1 * float(np.nanmax(np.abs([side.trend[chosen] for side in sides]))))
    axis.set(xlim=(-reach, reach), ylim=(-0.7, len(chosen) - 0.3), yticks=[])
    axis.set_xlabel(f"change of effect over time\n(correlation; filled: p < {CLEAR:g})")
    axis.set_title("proportional hazards", loc="left", fontsize=10)
