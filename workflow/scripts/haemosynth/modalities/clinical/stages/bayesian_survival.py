"""Bayesian survival: would a Bayesian come to the same beliefs about hazards from synthetic as from real patients?

A proportional hazards model with a piecewise constant baseline (`bayesian_hazards.py`) is fitted to held-out real
patients and to the candidate, for the primary endpoint, with the same priors and the same covariates: those that are
strongest in training patients among what is known at baseline (`baseline.py`). Posteriors of the hazard ratios and of
the baseline are laid on each other, and what they predict for the same patients is compared.
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

from haemosynth.core.errors import InputError
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.baseline import Design, baseline_design, follow_up
from haemosynth.stats.association import weighted_concordance, weighted_error
from haemosynth.stats.bayesian_hazards import Posterior, Prior, laplace, normal_overlap, nuts, predict_survival
from haemosynth.stats.cox import fit_cox
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, UNIVARIATE, Comparison, Metric, Value

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

DEFAULTS: dict[str, Any] = {
    "inference": "laplace",  # or nuts, the No-U-Turn Sampler: some seconds a fit, so ask for few replicates
    "warmup": 200,  # of the sampler
    "draws": 400,  # of the sampler; and of the posterior, for predictions
    "most": 15,  # covariates, the strongest in training patients
    "carriers": 10,  # training patients that a level, an alteration or an indicator of missingness needs
    "covariates": [],  # columns known at baseline beside the baseline groups, such as a randomised arm
    "intervals": 6,  # of the baseline hazard, with as many training events in each
    "deviation": 1.0,  # prior standard deviation of log hazard ratios
    "events": 20,  # events that either side needs
}
GRID = 40  # times at which predicted survival is compared
FOLLOW_UP_QUANTILE = 0.95

STAGE = Stage("utility", needs=("clinical",), environment="pyro", memory=2000, runtime=30)
METRICS = (
    Metric(
        "posterior_overlap", "agreement", "", (0, 1), JOINT, "bootstrap",
        "sum c o / sum c, o = integral min(p_real, p_candidate) of the marginal posteriors of each log hazard ratio,"
        " c = |2 P(ratio > 1) - 1| its certainty of direction in real patients; other targets: each covariate",
        "Inman and Bradley, Commun Stat Theory Methods 1989;18:3851",
    ),
    Metric(
        "posterior_mean_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "2 sum w x y / sum w (x^2 + y^2), x and y the posterior means of the log hazard ratios, w = 1 / (v_x + v_y), v"
        " their posterior variances",
        "Lin, Biometrics 1989;45:255",
    ),
    Metric(
        "sign_probability", "agreement", "probability", (0, 1), JOINT, "bootstrap",
        "sum c s / sum c, s the posterior probability that a log hazard ratio of the candidate has the sign of the real"
        " posterior mean, c as in posterior_overlap; 1/2 where nothing was learned; other targets: each covariate",
        "this project; Gelman and Tuerlinckx, Comput Stat 2000;15:373 (errors of sign)",
    ),
    Metric(
        "baseline_hazard_error", "error", "log hazard ratio", (0, np.inf), UNIVARIATE, "bootstrap",
        "sum w |x - y| / sum w, x and y the posterior means of the log baseline hazards of the average training patient"
        " by interval, w = 1 / (v_x + v_y)",
        "Friedman, Ann Stat 1982;10:101 (piecewise exponential model)",
    ),
    Metric(
        "predicted_survival_distance", "error", "probability", (0, 1), UNIVARIATE, "bootstrap",
        "1/t integral_0^t |S_real(u) - S_candidate(u)| du, S the posterior predictive survival, averaged over held-out"
        " patients, t the 95 % quantile of their follow-up",
        "Rubin, Ann Stat 1984;12:1151 (posterior predictive)",
    ),
    Metric(
        "median_survival_difference", "descriptive", "months", (-np.inf, np.inf), UNIVARIATE, "bootstrap",
        "candidate minus real, the time at which posterior predictive survival averaged over held-out patients is 1/2",
        "Rubin, Ann Stat 1984;12:1151 (posterior predictive)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What training patients fix: which covariates are compared, and the priors. reason: why nothing can be."""

    design: Design | None = None
    chosen: NDArray[np.intp] | None = None
    prior: Prior | None = None
    reason: str = ""

    @property
    def names(self) -> list[str]:
        """The covariates, strongest first."""
        assert self.design is not None
        assert self.chosen is not None
        return [self.design.names[i] for i in self.chosen]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Plan:
    """Covariates and priors from the training patients, by a Cox model. `rng` is not used."""
    if settings["inference"] not in ("laplace", "nuts"):
        raise InputError(f"bayesian_survival.inference is {settings['inference']!r}; expected laplace or nuts")
    train = comparison.train
    if not train.schema.endpoints:
        return Plan(reason="the cohort has no survival endpoint")
    endpoint = train.schema.endpoints[0]
    design = baseline_design(train, int(settings["carriers"]), settings["covariates"])
    known, time, event = follow_up(train, endpoint)
    if event.sum() < int(settings["events"]):
        return Plan(reason=f"fewer than {settings['events']} events of {endpoint} in training patients")
    if not design.names:
        return Plan(reason="no baseline covariate")
    cox = fit_cox(design.matrix(train)[known], time, event, float(settings["deviation"]) ** -2)
    strength = np.abs(cox.log_hazard) / cox.standard_error
    chosen = np.argsort(-strength, kind="stable")[: int(settings["most"])]
    shares = np.arange(1, int(settings["intervals"])) / int(settings["intervals"])
    cuts = np.unique(np.quantile(time[event == 1], shares))
    prior = Prior(cuts, float(np.log(event.sum() / time.sum())), float(settings["deviation"]))
    return Plan(design, chosen, prior)


Side = tuple[Matrix, Vector, Vector]  # design, time, event


def _sides(comparison: Comparison, plan: Plan, settings: Mapping[str, Any]) -> tuple[list[Side], str]:
    """(design, time, event) of real patients and of the candidate, and why there is no comparison."""
    sides: list[Side] = []
    for cohort in (comparison.real, comparison.candidate):
        known, time, event = follow_up(cohort, cohort.schema.endpoints[0])
        if event.sum() < int(settings["events"]):
            return [], f"fewer than {settings['events']} events of {cohort.schema.endpoints[0]} on one side"
        assert plan.design is not None
        sides.append((plan.design.matrix(cohort)[known][:, plan.chosen], time, event))
    return sides, ""


def _posterior(side: Side, prior: Prior, settings: Mapping[str, Any], rng: np.random.Generator) -> Posterior:
    if settings["inference"] == "nuts":
        return nuts(*side, prior, rng, int(settings["warmup"]), int(settings["draws"]))
    return laplace(*side, prior)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric for the primary endpoint, overlap and sign also by covariate. Settings: see DEFAULTS.

    `rng` draws from the posteriors.
    """
    plan: Plan = comparison.prepared or prepare(comparison, settings, rng)
    sides, reason = ([], plan.reason) if plan.reason else _sides(comparison, plan, settings)
    if reason:
        return [Value(metric.name, np.nan, reason=reason) for metric in METRICS]
    prior = plan.prior
    assert prior is not None
    real, candidate = (_posterior(side, prior, settings, rng) for side in sides)
    n = min(len(time) for _, time, _ in sides)
    p = real.covariates
    x, y, v = real.mean, candidate.mean, 1 / (real.deviation**2 + candidate.deviation**2)
    overlap, same, certainty = compare_beliefs(real, candidate)
    end = float(np.quantile(sides[0][1], FOLLOW_UP_QUANTILE))
    grid = (np.arange(GRID) + 0.5) * end / GRID
    curves = [
        predict_survival(side, sides[0][0], prior, grid, side.draws(int(settings["draws"]) // 4, rng)).mean(axis=0)
        for side in (real, candidate)
    ]
    medians = [_median(grid, curve) for curve in curves]
    gap = medians[1] - medians[0]
    values = [
        Value("posterior_overlap", float(certainty @ overlap / certainty.sum()), n=n),
        Value("posterior_mean_agreement", weighted_concordance(x[:p], y[:p], v[:p]), n=n),
        Value("sign_probability", float(certainty @ same / certainty.sum()), n=n),
        Value("baseline_hazard_error", weighted_error(x[p:], y[p:], v[p:]), n=n),
        Value("predicted_survival_distance", float(np.abs(curves[0] - curves[1]).mean()), n=n),
        Value("median_survival_difference", gap, n=n, reason="" if np.isfinite(gap) else "median survival not reached"),
    ]
    for name, o, s in zip(plan.names, overlap, same, strict=True):
        values += [Value("posterior_overlap", float(o), name, n=n), Value("sign_probability", float(s), name, n=n)]
    return values


def compare_beliefs(real: Posterior, candidate: Posterior) -> tuple[Vector, Vector, Vector]:
    """Of each log hazard ratio: overlap, probability of the real sign in the candidate, certainty in real patients."""
    from scipy.special import ndtr

    p = real.covariates
    x, y, a, b = real.mean[:p], candidate.mean[:p], real.deviation[:p], candidate.deviation[:p]
    certainty: Vector = np.abs(2 * ndtr(x / a) - 1)
    return normal_overlap((x, a), (y, b)), ndtr(np.sign(x) * y / b), certainty


def _median(grid: Vector, curve: Vector) -> float:
    """Where a falling curve, 1 at time 0, crosses one half; NaN where it does not."""
    times, values = np.concatenate([[0.0], grid]), np.concatenate([[1.0], curve])
    return float(np.interp(-0.5, -values, times)) if values[-1] <= 0.5 else float("nan")


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Posterior densities of hazard ratios with their overlap shaded, and predicted survival with 95 % bands."""
    rng = np.random.default_rng(0)  # draws for the bands alone: the same picture each time
    plan: Plan = comparison.prepared or prepare(comparison, settings, rng)
    sides, reason = ([], plan.reason) if plan.reason else _sides(comparison, plan, settings)
    if reason:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, reason, ha="center", va="center", color=NEUTRAL)
        return drawn
    prior = plan.prior
    assert prior is not None
    posteriors = [_posterior(side, prior, settings, rng) for side in sides]
    drawn, (left, right) = new_figure(
        10.5, 1.6 + 0.33 * len(plan.names), ncols=2, gridspec_kw={"width_ratios": [1.35, 1]}
    )
    scores = values[(values["target"] == "all") & (values["status"] == "ok")].set_index("metric")["value"]
    _draw_posteriors(left, plan.names, posteriors, comparison.real.schema.endpoints[0])
    if "posterior_overlap" in scores:
        left.set_title(
            f"overlap {scores['posterior_overlap']:.2f}, same sign {scores['sign_probability']:.2f}", loc="left"
        )
    end = float(np.quantile(sides[0][1], FOLLOW_UP_QUANTILE))
    grid = np.linspace(0, end, 80)
    for name, colour, posterior, (_, time, event) in zip(
        ("real, held out", label), (REAL, SYNTHETIC), posteriors, sides, strict=True
    ):
        draws = posterior.draws(int(settings["draws"]), rng)
        survival = predict_survival(posterior, sides[0][0], prior, grid, draws)
        text = f"{name} (n = {len(time):,}, {int(event.sum()):,} events)"
        right.plot(grid, survival.mean(axis=0), color=colour, lw=1.6, label=text)
        right.fill_between(grid, *np.quantile(survival, [0.025, 0.975], axis=0), color=colour, alpha=0.15, lw=0)
    right.set(xlim=(0, end), ylim=(0, 1.02), ylabel="predicted survival of held-out patients",
              xlabel=f"{comparison.real.schema.endpoints[0]}, months")  # fmt: skip
    right.legend(fontsize=8.5, loc="lower left")
    if "predicted_survival_distance" in scores:
        right.set_title(f"distance of the predictions {scores['predicted_survival_distance']:.3f}", loc="left")
    return drawn


def _draw_posteriors(axis: Any, names: list[str], posteriors: list[Posterior], endpoint: str) -> None:
    p = posteriors[0].covariates
    reach = max(float((np.abs(side.mean[:p]) + 3 * side.deviation[:p]).max()) for side in posteriors)
    ratio = np.linspace(-min(reach, np.log(20)), min(reach, np.log(20)), 500)
    for row, _ in enumerate(names):
        base = len(names) - 1 - row
        curves = [
            np.exp(-0.5 * ((ratio - side.mean[row]) / side.deviation[row]) ** 2) / side.deviation[row]
            for side in posteriors
        ]
        top = max(float(curve.max()) for curve in curves)
        heights = [0.85 * curve / top for curve in curves]
        axis.fill_between(ratio, base, base + np.minimum(*heights), color=NEUTRAL, alpha=0.45, lw=0)
        for height, colour in zip(heights, (REAL, SYNTHETIC), strict=True):
            drawn = height > 0.005
            axis.plot(ratio[drawn], base + height[drawn], color=colour, lw=1.2)
        axis.axhline(base, color=NEUTRAL, lw=0.4, zorder=0)
    axis.axvline(0, color=NEUTRAL, lw=0.8, zorder=0)
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if ratio[0] <= np.log(tick) <= ratio[-1]]
    axis.set_xticks(np.log(ticks), [f"{tick:g}" for tick in ticks])
    labels = [textwrap.shorten(name, 36, placeholder=" ...") for name in reversed(names)]
    axis.set_yticks(np.arange(len(names)), labels, va="bottom")
    axis.tick_params(axis="y", length=0)
    axis.set(
        xlim=(ratio[0], ratio[-1]), ylim=(-0.1, len(names)), xlabel=f"hazard ratio of {endpoint}, posterior density"
    )
