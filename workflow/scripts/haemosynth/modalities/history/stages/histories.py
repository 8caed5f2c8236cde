"""Histories: occupation of states, paths, sojourns, what drives transitions, visits, and series of measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import draw_reason
from haemosynth.modalities.history import record
from haemosynth.modalities.history.drawing import occupation_panels, series_panels
from haemosynth.modalities.history.features import GRID, first_nadirs, profile
from haemosynth.modalities.history.generators.multistate import own_scale, with_own
from haemosynth.modalities.history.generators.series import visit_times
from haemosynth.modalities.history.kinetics import PARTIAL, VERY_GOOD
from haemosynth.modalities.history.part import Courses, courses_of, find_courses
from haemosynth.modalities.history.paths import NONE
from haemosynth.stats.association import weighted_concordance
from haemosynth.stats.distributions import total_variation
from haemosynth.stats.hazards import estimate_hazard
from haemosynth.stats.multistate import aalen_johansen, estimate_leaving, join, one_step_effects
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "horizons": [12.0, 24.0, 36.0, 60.0],  # months at which the states are compared
    "landmark": [12.0, 36.0],  # from the state at the first of these months to that at the second
    "fewest": 15,  # events of a transition among training patients whose effects are compared
}
PRIOR = 4.0  # information added to each log hazard ratio: a prior standard deviation of one half
FEWEST = 20  # patients with a history on a side
STAGE = Stage("fidelity", needs=("history",), memory=3000, runtime=30)
_AJ = "Aalen and Johansen, Scand J Stat 1978;5:141"
METRICS = (
    Metric(
        "state_occupation_error", "error", "probability", (0, 1), JOINT, "bootstrap",
        "mean over states and horizons of |P_candidate - P_real|, P by Aalen-Johansen; target: a state at a month", _AJ,
    ),
    Metric(
        "path_distance", "error", "", (0, 1), JOINT, "bootstrap",
        "total variation between the shares of patients on each sequence of states", "this project",
    ),
    Metric(
        "sojourn_error", "error", "probability", (0, 1), JOINT, "bootstrap",
        "mean over transitions, weighted by their events in train, of the mean over a grid of |F_candidate - F_real|, F"
        " the cumulative incidence of the transition in time since its origin was entered",
        _AJ,
    ),
    Metric(
        "transition_effect_concordance", "agreement", "", (-1, 1), JOINT, "bootstrap",
        "2 sum w b_c b_r / sum w (b_c^2 + b_r^2) over transitions and covariates; b: log hazard ratio of the covariate"
        " alone, clock reset, by one step from 0 under a normal prior of standard deviation 1/2; w: its information"
        " times its square in train, less 1, at least 0",
        "after Lin, Biometrics 1989;45:255; Cox, J R Stat Soc B 1972;34:187",
    ),
    Metric(
        "serial_dependence_error", "error", "log hazard ratio", (0, 10), JOINT, "bootstrap",
        "sum w |b_candidate - b_real| / sum w over transitions; b: log hazard ratio of the logarithm of the stay before"
        " and of the time since diagnosis; w: information in train",
        "this project",
    ),
    Metric(
        "landmark_error", "error", "probability", (0, 1), JOINT, "bootstrap",
        "mean over states at the landmark, weighted by their patients in train, of the mean over states of the"
        " difference of occupation at the horizon by Aalen-Johansen of these patients",
        "Anderson et al., J Clin Oncol 1983;1:710; " + _AJ,
    ),
    Metric(
        "follow_up_distance", "error", "", (0, 1), JOINT, "bootstrap",
        "largest gap between the distributions of follow-up by the reverse Kaplan-Meier method",
        "Schemper and Smith, Control Clin Trials 1996;17:343",
    ),
    Metric(
        "visit_distance", "error", "", (0, 1), JOINT, "bootstrap",
        "mean of the Kolmogorov-Smirnov distances of gaps between visits and of visits in a year of observation",
        "this project",
    ),
    Metric(
        "series_mean_error", "error", "SD", (0, 10), JOINT, "bootstrap",
        "mean over measurements and months (every third to two years) of |mean_candidate - mean_real| over the standard"
        " deviation in train; logarithms where a measurement has a limit of quantification; target: a measurement",
        "this project",
    ),
    Metric(
        "series_spread_error", "error", "log", (0, 10), JOINT, "bootstrap",
        "the same of |log(SD_candidate / SD_real)|", "this project",
    ),
    Metric(
        "series_autocorrelation_error", "error", "correlation", (0, 2), JOINT, "bootstrap",
        "mean over measurements and lags of a quarter and a half year of |r_candidate - r_real|", "this project",
    ),
    Metric(
        "nadir_distance", "error", "", (0, 1), JOINT, "bootstrap",
        "mean of the Kolmogorov-Smirnov distances of the depth of the nadir over the baseline and of the time to it, of"
        " the first stay of series of two clones",
        "this project",
    ),
    Metric(
        "response_error", "error", "share", (0, 1), JOINT, "bootstrap",
        "mean of |share_candidate - share_real| of stays whose best response is at least partial (50 %), and very good"
        " (90 %)",
        "Kumar et al., Lancet Oncol 2016;17:e328",
    ),
)  # fmt: skip
NAMES = [metric.name for metric in METRICS]


@dataclass(frozen=True)
class Prepared:
    """What training patients show. record: features; scale: of the covariates of the path; pairs: transitions whose
    effects are compared; weights: of their effects; serial: of the last two; events: of all transitions; grid: of each
    transition, months; landmark: (states,) weights; spread: measurement -> SD at each point of GRID."""

    record: Mapping[str, Any]
    scale: list[float]
    pairs: tuple[tuple[int, int], ...]
    weights: Matrix
    serial: Matrix
    events: Mapping[tuple[int, int], float]
    grid: Mapping[int, np.ndarray]
    landmark: np.ndarray
    spread: Mapping[str, np.ndarray]


def lacking(comparison: Comparison) -> str:
    """Why histories cannot be compared; empty where they can."""
    sides = ((comparison.real, "real"), (comparison.candidate, "synthetic"), (comparison.train, "training"))
    for side, who in sides:
        courses = find_courses(side)
        if courses is None or len(courses.paths) < FEWEST:
            return f"fewer than {FEWEST} {who} patients have a history"
    return ""


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | None:
    """Learn from training patients; None where histories cannot be read. Nothing is drawn."""
    if lacking(comparison):
        return None
    train = courses_of(comparison.train)
    known = record.learn(comparison.train)
    stays = train.paths.sojourns()
    moved = stays.target != NONE
    pairs, counts = np.unique(np.column_stack([stays.origin, stays.target])[moved], axis=0, return_counts=True)
    events = {(int(a), int(b)): float(n) for (a, b), n in zip(pairs, counts, strict=True)}
    kept = tuple(pair for pair, n in events.items() if n >= int(settings["fewest"]))
    scale = own_scale(stays)
    effect, information = effects(comparison.train, known, scale, kept)
    grid = {a: np.quantile(stays.length[(stays.origin == a) & moved], np.linspace(0.1, 0.9, 9)) for a, _ in events}
    first = train.paths.at(np.array([float(settings["landmark"][0])]))[:, 0]
    first = np.where(train.paths.end >= float(settings["landmark"][0]), first, NONE)
    weight = np.bincount(first[first != NONE], minlength=len(train.design.states)).astype(float)
    final = [train.design.states.index(s) for s in train.design.final]
    weight[final] = 0
    spread = {name: np.nanstd(profile(train, name), axis=0) for name in train.design.measurements}
    return Prepared(
        known,
        scale,
        kept,
        np.maximum(information[:, :-2] * effect[:, :-2] ** 2 - 1, 0.0),
        information[:, -2:],
        events,
        grid,
        weight,
        spread,
    )


def effects(
    cohort: Cohort, known: Mapping[str, Any], scale: list[float], pairs: tuple[tuple[int, int], ...]
) -> tuple[Matrix, Matrix]:
    """(pairs, covariates) log hazard ratios and their information; the last two covariates are those of the path."""
    courses = courses_of(cohort)
    paths = courses.paths
    own = cohort.patients.duplicated()
    x = record.features(known, cohort)[~own]
    x = x[cohort.patients[~own].get_indexer(pd.Index(paths.owner))]
    stays = paths.sojourns()
    table = with_own(x, stays.course, stays.entry, stays.before, scale)
    effect = np.zeros((len(pairs), table.shape[1]))
    information = np.zeros_like(effect)
    for i, (a, b) in enumerate(pairs):
        rows = stays.origin == a
        if rows.sum() >= 2:
            effect[i], information[i] = one_step_effects(
                stays.length[rows], stays.target[rows] == b, table[rows], PRIOR
            )
    return effect, information


def occupation(courses: Courses, times: np.ndarray, rows: np.ndarray | None = None, after: float = 0.0) -> Matrix:
    """(times, states) occupation by Aalen-Johansen; of the courses `rows` from the landmark `after` on."""
    paths = courses.paths if rows is None else courses.paths.take(rows)
    stays = paths.sojourns()
    origin, target, start, stop = join(stays.origin, stays.target, stays.entry, stays.entry + stays.length)
    late = stop > after
    origin, target, start, stop = origin[late], target[late], np.maximum(start[late], after), stop[late]
    states = len(paths.states)
    if after:
        initial = np.bincount(paths.at(np.array([after]))[:, 0].clip(0), minlength=states) / max(len(paths), 1)
    else:
        initial = np.bincount(paths.state[:, 0], minlength=states) / max(len(paths), 1)
    return aalen_johansen(origin, target, start, stop, states, initial, times)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """All metrics. Nothing is drawn."""
    learned: Prepared | None = comparison.prepared
    reason = lacking(comparison) or ("" if learned else "training patients have no histories")
    if reason or learned is None:
        return [Value(name, np.nan, modality="history", reason=reason) for name in NAMES]
    real, made = courses_of(comparison.real), courses_of(comparison.candidate)
    n = min(len(real.paths), len(made.paths))
    horizons = np.asarray(settings["horizons"], dtype=float)
    apart = np.abs(occupation(made, horizons) - occupation(real, horizons))
    found: dict[str, tuple[float, str]] = {"state_occupation_error": (float(apart.mean()), "")}
    shares = [pd.Series(side.paths.labels()).value_counts(normalize=True) for side in (made, real)]
    aligned = shares[0].align(shares[1], fill_value=0)
    found["path_distance"] = (total_variation(aligned[0].to_numpy(), aligned[1].to_numpy()), "")
    found["sojourn_error"] = (_sojourn_error(made, real, learned), "no transition was seen")
    own, known = (
        effects(s, learned.record, learned.scale, learned.pairs)[0] for s in (comparison.candidate, comparison.real)
    )
    found["transition_effect_concordance"] = (
        weighted_concordance(own[:, :-2], known[:, :-2], learned.weights) if learned.weights.sum() > 0 else np.nan,
        "no transition was seen often enough",
    )
    serial = learned.serial
    found["serial_dependence_error"] = (
        float((serial * np.abs(own[:, -2:] - known[:, -2:])).sum() / serial.sum()) if serial.sum() > 0 else np.nan,
        "no transition follows another one often enough",
    )
    found["landmark_error"] = (_landmark_error(made, real, learned, settings), "nobody is left at the landmark")
    found["follow_up_distance"] = (_follow_up_distance(made, real), "nobody is censored")
    found["visit_distance"] = (_visit_distance(made, real), "there are no visits")
    series = {name: _series(made, real, name, learned.spread[name]) for name in real.design.measurements}
    table = np.array(list(series.values())) if series else np.full((1, 3), np.nan)
    for j, name in enumerate(("series_mean_error", "series_spread_error", "series_autocorrelation_error")):
        known_ones = table[:, j][~np.isnan(table[:, j])]
        found[name] = (float(known_ones.mean()) if len(known_ones) else np.nan, "there are no series of measurements")
    nadirs = [first_nadirs(side) for side in (made, real)]
    few = min(len(nadirs[0][0]), len(nadirs[1][0])) < FEWEST
    found["nadir_distance"] = (
        np.nan if few else float(np.mean([_gap(nadirs[0][k], nadirs[1][k]) for k in (0, 1)])),
        "too few series of two clones",
    )
    rates = [[float((depth <= 1 - level).mean()) for level in (PARTIAL, VERY_GOOD)] for depth, _ in nadirs if not few]
    found["response_error"] = (
        np.nan if few else float(np.abs(np.diff(np.array(rates), axis=0)).mean()), "too few series of two clones",
    )  # fmt: skip
    values = [
        Value(name, float(value), modality="history", n=n, reason="" if np.isfinite(value) else why)
        for name, (value, why) in found.items()
    ]
    for i, horizon in enumerate(horizons):
        values += [
            Value("state_occupation_error", float(apart[i, j]), f"{state} at {horizon:g} months", "history", n)
            for j, state in enumerate(real.design.states)
        ]
    return values + [
        Value("series_mean_error", float(row[0]), name, "history", n, "" if np.isfinite(row[0]) else "no values")
        for name, row in series.items()
    ]


def _sojourn_error(made: Courses, real: Courses, learned: Prepared) -> float:
    sides = [side.paths.sojourns() for side in (made, real)]
    states, total, weight = len(real.design.states), 0.0, 0.0
    for origin, grid in learned.grid.items():
        curves = []
        for stays in sides:
            own = stays.origin == origin
            curves.append(np.nan_to_num(estimate_leaving(stays.length[own], stays.target[own], states, grid)))
        gap = np.abs(curves[0] - curves[1]).mean(axis=1)
        for (a, b), events in learned.events.items():
            if a == origin:
                total, weight = total + events * float(gap[b]), weight + events
    return total / weight if weight else float("nan")


def _landmark_error(made: Courses, real: Courses, learned: Prepared, settings: Mapping[str, Any]) -> float:
    at, horizon = (float(month) for month in settings["landmark"])
    total, weight = 0.0, 0.0
    for state in np.flatnonzero(learned.landmark):
        found = []
        for side in (made, real):
            rows = np.flatnonzero((side.paths.at(np.array([at]))[:, 0] == state) & (side.paths.end >= at))
            found.append(occupation(side, np.array([horizon]), rows, at)[0] if len(rows) >= 5 else None)
        if found[1] is None:
            continue
        # A candidate with nobody there is as wrong as can be.
        gap = 1.0 if found[0] is None else total_variation(found[0], found[1])
        total, weight = total + learned.landmark[state] * gap, weight + learned.landmark[state]
    return total / weight if weight else float("nan")


def _follow_up_distance(made: Courses, real: Courses) -> float:
    curves = []
    for side in (made, real):
        final = [side.design.states.index(s) for s in side.design.final]
        last = side.paths.state[np.arange(len(side.paths)), side.paths.number - 1]
        censored = ~np.isin(last, final)
        if not censored.any():
            return float("nan")
        curves.append(estimate_hazard(side.paths.end, censored.astype(float), "together"))
    grid = np.unique(np.concatenate([curves[0][0], curves[1][0]]))
    along = [np.concatenate([[0.0], hazard])[np.searchsorted(times, grid, side="right")] for times, hazard in curves]
    return float(np.abs(np.exp(-along[0]) - np.exp(-along[1])).max())


def _visit_distance(made: Courses, real: Courses) -> float:
    gaps, rates = [], []
    for side in (made, real):
        seen = visit_times(side)
        if len(seen) < FEWEST:
            return float("nan")
        same = seen["course"].to_numpy()[1:] == seen["course"].to_numpy()[:-1]
        gaps.append(np.diff(seen["time"].to_numpy())[same])
        count = np.bincount(seen["course"], minlength=len(side.paths))
        rates.append(count / np.maximum(side.paths.end / 12, 0.1))
    return (_gap(*gaps) + _gap(*rates)) / 2


def _gap(first: np.ndarray, second: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance."""
    if not len(first) or not len(second):
        return 1.0
    grid = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(side), grid, side="right") / len(side) for side in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def _series(made: Courses, real: Courses, name: str, spread: np.ndarray) -> tuple[float, float, float]:
    """Errors of mean, spread and autocorrelation of one measurement; NaN where there are too few values."""
    tables = [profile(side, name) for side in (made, real)]
    enough = np.array([(~np.isnan(t)).sum(axis=0) for t in tables])
    columns = np.flatnonzero((enough.min(axis=0) >= 10) & (spread > 1e-9))
    if not len(columns):
        return (float("nan"),) * 3
    means = [np.nanmean(t[:, columns], axis=0) for t in tables]
    spreads = [np.maximum(np.nanstd(t[:, columns], axis=0), 1e-6) for t in tables]
    lags = []
    for lag in (1, 2):
        pairs = []
        for table in tables:
            first, second = table[:, :-lag].ravel(), table[:, lag:].ravel()
            both = ~np.isnan(first) & ~np.isnan(second)
            varies = both.sum() >= 10 and first[both].std() > 1e-9 and second[both].std() > 1e-9
            pairs.append(float(np.corrcoef(first[both], second[both])[0, 1]) if varies else np.nan)
        lags.append(abs(pairs[0] - pairs[1]))
    return (
        float((np.abs(means[0] - means[1]) / spread[columns]).mean()),
        float(np.abs(np.log(spreads[0] / spreads[1])).mean()),
        float(np.nanmean(lags)) if np.isfinite(lags).any() else float("nan"),
    )


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Stacked occupation of states on both sides, transition effects, and the mean of the first series."""
    learned: Prepared | None = comparison.prepared
    if learned is None or lacking(comparison):
        return draw_reason(lacking(comparison) or "training patients have no histories")
    real, made = courses_of(comparison.real), courses_of(comparison.candidate)
    until = float(np.quantile(real.paths.end, 0.9))
    times = np.linspace(0, until, 120)
    pairs = [(side, occupation(side, times)) for side in (real, made)]
    drawn, rest = occupation_panels(pairs, times, label)
    own, known = (
        effects(s, learned.record, learned.scale, learned.pairs)[0] for s in (comparison.candidate, comparison.real)
    )
    series_panels(rest, real, made, label, (own[:, :-2], known[:, :-2], learned.weights), profile, GRID)
    return drawn
