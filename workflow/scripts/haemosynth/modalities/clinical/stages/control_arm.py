"""Control arm: may synthetic patients stand in for, or enlarge, the control arm of a randomised trial?

Held-out patients are randomised into a treated and a control arm, again and again. The treatment does nothing, or
multiplies the hazard of death (the primary endpoint) by a known ratio (`validate/trials.py`). The treated are compared
with the real controls, with synthetic patients instead of these, and with both together.

Trials are emulated in patients of higher and of lower risk, apart: a candidate that has the right survival on the
whole but not the right survival for these patients must fail, and `independent` columns are such a candidate. Risk is a
Cox model of the few covariates that are strongest in training patients; few, since a model that knows its training
patients too well would find them at risks that unseen patients do not have. The trial in all patients is shown beside,
also stratified by risk (adjusted); it is not scored, since marginal survival is all it needs.

Variance. The synthetic controls are split into `sets` disjoint sets of k patients, and the estimates averaged. They
know no more than the n training patients that the generator learned from, whatever their number; so with c real
controls and v the variance of the control arm's part as if all c + k were real patients, that part has the variance
v (c + k^2/n + k/sets) / (c + k). With c = 0 this is v (k/n + 1/sets) of Raab, Nowok and Dibben (J Priv Confid
2016;7(3):67) for data synthesised from parameters that are estimated and not drawn, as here. Reiter's rule for
partially synthetic data (Surv Methodol 2003;29:181) has the variance between sets in place of v in the last term:
with two sets an estimate with one degree of freedom of what is known. Rubin's rules for imputed values, which add
(1 + 1/sets) times the variance between sets to the variance of the treated and of all controls, count the sampling of
the synthetic patients twice.

Patients are drawn without replacement, so the estimates over trials vary less than over new cohorts, and in one cohort
coverage and type-I error depend on how the holdout happens to differ from the candidate: over cohorts and seeds they
have their nominal values. The interval of a metric holds that uncertainty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.core.streams import stream
from haemosynth.encode.baseline import Design, baseline_design, follow_up
from haemosynth.modalities.clinical.stages.trials import Matrix, estimate_log_hazard_ratios, thin_events
from haemosynth.stats.cox import Z95, Vector, fit_cox
from haemosynth.stats.curves import draw_at_risk, draw_curves, format_p, survival_curve
from haemosynth.stats.estimates import log_rank_p
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "trials": 100,  # emulated trials of each kind
    "hazard_ratio": 0.6,  # of the planted treatment, at most 1
    "sets": 2,  # disjoint sets of synthetic controls, at least 2
    "covariates": 5,  # of the risk model
    "carriers": 20,  # training patients that a level, an alteration or an indicator of missingness needs
    "ridge": 10.0,  # penalty of the risk model
    "events": 20,  # that held-out patients and the candidate need in a trial
}
HIGHER, LOWER, EVERYONE, ADJUSTED = "higher risk", "lower risk", "everyone", "everyone, stratified by risk"
SCORED = (HIGHER, LOWER)  # trials whose mean is the value of `all`
ARMS = {
    "replaced": "synthetic controls instead of real ones",
    "enlarged": "real controls and as many synthetic ones",
    "real": "real controls, the same for every candidate",
}
MEASURES: dict[str, tuple[str, float, str, float | None]] = {  # unit, upper bound, formula, target
    "bias": ("log hazard ratio", np.inf, "|mean over trials of the estimated - planted log hazard ratio|", None),
    "rmse": ("log hazard ratio", np.inf, "root mean square over trials of estimated - planted log hazard ratio", None),
    "coverage": ("share", 1, "share of trials whose 95 % interval holds the planted log hazard ratio", 0.95),
    "type_one_error": ("share", 1, "share of trials of a treatment without effect with p < 0.05", 0.05),
    "power": ("share", 1, "share of trials of the planted treatment with p < 0.05 in its favour", None),
}
JUDGED: dict[tuple[str, str], Literal["error", "target"]] = {
    ("replaced", "bias"): "error",
    ("replaced", "coverage"): "target",
    ("replaced", "type_one_error"): "target",
    ("enlarged", "rmse"): "error",
    ("enlarged", "coverage"): "target",
}
RULE = "Raab, Nowok and Dibben, J Priv Confid 2016;7(3):67; Thorlund et al., Clin Epidemiol 2020;12:457"

STAGE = Stage("utility", needs=("clinical",), environment="survival", memory=2000, runtime=60)
METRICS = (
    *(
        Metric(
            f"{arm}_{measure}", JUDGED.get((arm, measure), "descriptive"), unit, (0, most), JOINT, "bootstrap",
            f"{formula}; {patients}; mean over patients of higher and of lower risk",
            RULE,
            target=target if (arm, measure) in JUDGED else None,
        )
        for arm, patients in ARMS.items()
        for measure, (unit, most, formula, target) in MEASURES.items()
    ),
    Metric(
        "naive_coverage", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "as replaced_coverage, had all synthetic controls been counted as real patients: v_T + v / sets",
        RULE,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Risk:
    """The risk model, from training patients. chosen: (covariates,) positions; cut: their median risk.

    known: training patients with known follow-up, in each trial.
    """

    design: Design
    chosen: NDArray[np.intp]
    log_hazard: Vector
    cut: float
    known: Mapping[str, int]

    def higher(self, cohort: Cohort) -> NDArray[np.bool_]:
        """(patients,) whose risk is above the median of training patients."""
        return np.asarray(self.design.matrix(cohort)[:, self.chosen] @ self.log_hazard > self.cut)


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Risk | None:
    """The risk model: a Cox model of the covariates with the largest Wald statistics on their own. `rng` is not used.

    Returns:
        None where training patients have no endpoint, too few events or no covariate.
    """
    train = comparison.train
    if not train.schema.endpoints:
        return None
    design = baseline_design(train, int(settings["carriers"]))
    known, time, event = follow_up(train, train.schema.endpoints[0])
    if not design.names or event.sum() < settings["events"]:
        return None
    matrix, ridge = design.matrix(train)[known], float(settings["ridge"])
    alone = [fit_cox(column[:, None], time, event, ridge) for column in matrix.T]
    strength = np.array([abs(model.log_hazard[0] / model.standard_error[0]) for model in alone])
    chosen = np.sort(np.argsort(-strength, kind="stable")[: int(settings["covariates"])])
    log_hazard = fit_cox(matrix[:, chosen], time, event, ridge).log_hazard
    risk = matrix[:, chosen] @ log_hazard
    cut = float(np.median(risk))
    above = int((risk > cut).sum())
    counts = {HIGHER: above, LOWER: len(risk) - above, EVERYONE: len(risk), ADJUSTED: len(risk)}
    return Risk(design, chosen, log_hazard, cut, counts)


@dataclass(frozen=True)
class Estimates:
    """Of each trial, by arm and by whether an effect was planted: log hazard ratio and variance, both (trials,)."""

    of: Mapping[tuple[str, bool], tuple[Vector, Vector]]
    patients: int  # real patients that were randomised


def combine_estimates(
    estimates: Matrix, variances: Matrix, control: Matrix, c: int, k: int, n: int
) -> tuple[Vector, Vector]:
    """One estimate and its variance from several sets of synthetic controls (see the head of this file).

    Args:
        estimates, variances: (sets, trials), each as if all patients were real. control: (sets, trials), the share of
            the variance that the control arm has.
        c: real controls. k: synthetic controls of a set. n: patients that the generator learned from.
    """
    arm = (variances * control).mean(axis=0)
    rest = (variances * (1 - control)).mean(axis=0)
    inflation = (c + k * k / n + k / len(estimates)) / (c + k)
    return estimates.mean(axis=0), rest + arm * inflation


def emulate(
    comparison: Comparison, risk: Risk, trial: str, settings: Mapping[str, Any], rng: np.random.Generator
) -> Estimates | str:
    """All trials of one kind, or the reason why there is none."""
    endpoint = comparison.real.schema.endpoints[0]
    sides = [_offer(cohort, risk, trial) for cohort in (comparison.real, comparison.candidate)]
    if min(side[1].sum() for side in sides) < settings["events"]:
        return f"fewer than {settings['events']} events of {endpoint} on one side"
    count, sets = int(settings["trials"]), int(settings["sets"])
    size, k = len(sides[0][0]) // 2, len(sides[1][0]) // sets
    drawn, offered = (rng.permuted(np.tile(np.arange(len(side[0])), (count, 1)), axis=1) for side in sides)
    treated, controls = (
        tuple(values[rows] for values in sides[0]) for rows in (drawn[:, :size], drawn[:, size : 2 * size])
    )
    synthetic = [tuple(values[offered[:, i * k : (i + 1) * k]] for values in sides[1]) for i in range(sets)]
    both = [tuple(np.hstack(pair) for pair in zip(controls, side, strict=True)) for side in synthetic]
    found: dict[tuple[str, bool], tuple[Vector, Vector]] = {}
    for planted in (False, True):
        event = thin_events(treated[1], np.log(settings["hazard_ratio"]), rng) if planted else treated[1]
        arm = treated[0], event, treated[2]
        n = max(1, risk.known[trial])
        controlled = {"real": ([controls], size, 0), "replaced": (synthetic, 0, k), "enlarged": (both, size, k)}
        for name, (groups, true, made) in controlled.items():
            parts = [_estimate(arm, group, trial == ADJUSTED) for group in groups]
            estimates, variances, control = (np.stack(part) for part in zip(*parts, strict=True))
            found[name, planted] = combine_estimates(estimates, variances, control, true, made, n)
            if name == "replaced":
                naive = (variances * (1 - control + control / sets)).mean(axis=0)
                found["naive", planted] = estimates.mean(axis=0), naive
    return Estimates(found, 2 * size)


def _offer(cohort: Cohort, risk: Risk, trial: str) -> tuple[Vector, Vector, Vector]:
    """(patients,) time, event and whether of higher risk, of the patients of a cohort that a trial may take."""
    known, time, event = follow_up(cohort, cohort.schema.endpoints[0])
    higher = risk.higher(cohort)[known]
    inside = {HIGHER: higher, LOWER: ~higher}.get(trial, np.ones(len(known), dtype=bool))
    return time[inside], event[inside], higher[inside].astype(float)


def _estimate(treated: tuple[Matrix, ...], control: tuple[Matrix, ...], stratified: bool) -> tuple[Vector, ...]:
    """(trials,) log hazard ratio, its variance, and the share of it that the control arm has (from the events)."""
    time, event, stratum = (np.hstack(pair) for pair in zip(treated, control, strict=True))
    arm = np.zeros_like(time)
    arm[:, : treated[0].shape[1]] = 1
    estimate, variance = estimate_log_hazard_ratios(time, event, arm, stratum if stratified else None)
    dead, dead_controls = treated[1].sum(axis=1), control[1].sum(axis=1)
    return estimate, variance, dead / np.maximum(dead + dead_controls, 1)


def summarise_trials(estimates: Estimates, effect: float) -> dict[str, float]:
    """Every metric of trials of one kind with a planted log hazard ratio of `effect`."""
    found: dict[str, float] = {}
    for arm in (*ARMS, "naive"):
        (null, null_variance), (value, variance) = estimates.of[arm, False], estimates.of[arm, True]
        half, null_half = Z95 * np.sqrt(variance), Z95 * np.sqrt(null_variance)
        found |= {
            f"{arm}_bias": float(abs((value - effect).mean())),
            f"{arm}_rmse": float(np.sqrt(((value - effect) ** 2).mean())),
            f"{arm}_coverage": float((np.abs(value - effect) <= half).mean()),
            f"{arm}_type_one_error": float((np.abs(null) > null_half).mean()),
            f"{arm}_power": float((value + half < 0).mean()),
        }
    return {metric.name: found[metric.name] for metric in METRICS}


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Every metric for each trial; `all` is the mean over higher and lower risk. `rng` randomises the patients."""
    risk = comparison.prepared or prepare(comparison, settings, rng)
    n = min(len(comparison.real), len(comparison.candidate))
    if risk is None:
        reason = "no survival endpoint with enough events and covariates in training patients"
        return [Value(metric.name, np.nan, n=n, reason=reason) for metric in METRICS]
    effect = float(np.log(settings["hazard_ratio"]))
    values, scored = [], []
    failed = ""
    for trial in (HIGHER, LOWER, EVERYONE, ADJUSTED):
        estimates = emulate(comparison, risk, trial, settings, rng)
        if isinstance(estimates, str):
            values += [Value(metric.name, np.nan, trial, n=n, reason=estimates) for metric in METRICS]
            failed = estimates if trial in SCORED else failed
            continue
        found = summarise_trials(estimates, effect)
        values += [Value(name, value, trial, n=estimates.patients) for name, value in found.items()]
        if trial in SCORED:
            scored.append(found)
    for metric in METRICS:
        mean = np.nan if failed else float(np.mean([found[metric.name] for found in scored]))
        values.append(Value(metric.name, mean, n=n, reason=failed))
    return values


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Estimated hazard ratios of emulated trials with real and synthetic controls, and how often they mislead; below,
    the survival of those who may become controls, with patients at risk."""
    risk = comparison.prepared or prepare(comparison, settings, np.random.default_rng(0))
    trials = {}
    if risk is not None:
        for trial in (HIGHER, LOWER, EVERYONE, ADJUSTED):
            found = emulate(comparison, risk, trial, settings, stream(0, "control_arm", trial))
            if not isinstance(found, str):
                trials[trial] = found
    if risk is None or not trials:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, "too few events for an emulated trial", ha="center", va="center", color=NEUTRAL)
        return drawn
    looks = {
        "real": (REAL, "real controls"),
        "replaced": (SYNTHETIC, f"{label} instead"),
        "enlarged": (BLUE, f"real and {label}"),
    }
    height = 1.5 + 0.95 * len(trials)
    drawn, ((axis, table), curves, counts) = new_figure(
        11.5, height + 3.9, nrows=3, ncols=2,
        gridspec_kw={"width_ratios": [1.3, 1], "height_ratios": [height, 3.2, 0.7]},
    )  # fmt: skip
    for above, below, trial in zip(curves, counts, SCORED, strict=True):
        _draw_controls(above, below, comparison, risk, trial, label)
    effect = float(np.log(settings["hazard_ratio"]))
    shown = values[values["status"] == "ok"].set_index(["metric", "target"])["value"]
    columns = (("coverage", "coverage"), ("type_one_error", "type-I error"), ("power", "power"), ("rmse", "RMSE"))
    table.axis("off")
    rows, names, centres = 0, [], []
    for trial, found in trials.items():
        names.append(f"{trial}\n(n = {found.patients:,})".replace(", stratified", ",\nstratified"))
        centres.append(rows + 1)
        for arm, (colour, text) in looks.items():
            estimates = found.of[arm, True][0]
            low, first, middle, third, high = np.exp(np.quantile(estimates, [0.025, 0.25, 0.5, 0.75, 0.975]))
            axis.plot([low, high], [rows, rows], color=colour, lw=1.2)
            axis.plot([first, third], [rows, rows], color=colour, lw=5, solid_capstyle="butt")
            axis.plot(middle, rows, "o", color="white", mec=colour, ms=5)
            for place, (measure_name, _) in enumerate(columns):
                number = shown.get((f"{arm}_{measure_name}", trial), np.nan)
                table.text(0.42 + 0.17 * place, rows, f"{number:.2f}", color=colour, ha="center", va="center")
            table.text(0.0, rows, text, color=colour, va="center")
            rows += 1
        rows += 1
    axis.axvline(np.exp(effect), color=NEUTRAL, lw=1, ls="--", zorder=0)
    axis.axvline(1, color=NEUTRAL, lw=0.6, zorder=0)
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    ticks = [tick for tick in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5) if low <= tick <= high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_yticks(centres, names)
    axis.set_xlabel(
        f"estimated hazard ratio of {comparison.real.schema.endpoints[0]} (planted: {settings['hazard_ratio']:g})"
    )
    axis.set_title(f"Median, half and 95 % of {settings['trials']} emulated trials", loc="left", fontsize=9)
    for side in (axis, table):
        side.set_ylim(rows - 1.3, -0.8)
    table.set_xlim(0, 1)
    for place, (_, title) in enumerate(columns):
        table.text(0.42 + 0.17 * place, 1.01, title, transform=table.transAxes, ha="center", va="bottom", fontsize=9)
    return drawn


def _draw_controls(axis: Any, table: Any, comparison: Comparison, risk: Risk, trial: str, label: str) -> None:
    """Kaplan-Meier curves of real and synthetic patients of one group of risk, until 95 % of real follow-up."""
    sides = [_offer(cohort, risk, trial) for cohort in (comparison.real, comparison.candidate)]
    if not all(len(time) for time, _, _ in sides):
        for one in (axis, table):
            one.axis("off")
        return
    curves = [
        (f"{name} (n = {len(time):,}, {int(event.sum()):,} events)", colour, survival_curve(time, event))
        for name, colour, (time, event, _) in zip(("real, held out", label), (REAL, SYNTHETIC), sides, strict=True)
    ]
    draw_curves(axis, curves, float(np.quantile(sides[0][0], 0.95)))
    draw_at_risk(table, axis, curves)
    axis.set(xlabel="months", ylabel=f"{comparison.real.schema.endpoints[0]}, patients of {trial}")
    axis.legend(loc="lower left", fontsize=8)
    p = log_rank_p([(time, event) for time, event, _ in sides])
    axis.set_title(f"Those who may be controls, {trial}: log-rank {format_p(p)}", loc="left", fontsize=9)
