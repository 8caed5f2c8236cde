"""How well imputation methods complete a table: known values are hidden, imputed, and compared with the truth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.figures import BLUE, NEUTRAL, VERMILION, new_figure
from haemosynth.generate import settings_of
from haemosynth.modalities.clinical.impute import load
from haemosynth.modalities.clinical.impute.complete import NOTHING
from haemosynth.modalities.clinical.impute.encoding import find_imputable
from haemosynth.stats.distributions import total_variation
from haemosynth.stats.ranking import auc

SHARE = 0.2  # of the observed entries, hidden
DRAWS = 19  # the span of 19 draws holds the next draw of the same distribution 18 times in 20
FEWEST = 5  # hidden values on each side that a column needs to be judged
REFERENCE = "marginal"  # each column's observed values at random: what ignoring all other columns gives
COLUMNS = ("mechanism", "method", "metric", "value", "n", "status", "reason")
METRICS = {
    "nrmse": "error of the mean of the draws / standard deviation (0 best)",
    "auc": "levels distinguished by the draws (1 best, 0.5 chance)",
    "wasserstein": "Wasserstein distance of draws and truth / standard deviation (0 best)",
    "total_variation": "total variation of imputed and true levels (0 best)",
    "bias": "|mean of the draws - true mean| / standard deviation (0 best)",
    "coverage": "truth within the span of the draws (0.9 expected)",
}


def hide_at_random(
    train: Cohort, mechanism: str, rng: np.random.Generator, share: float = SHARE
) -> dict[str, np.ndarray]:
    """Which observed entries to hide: column -> (patients,) bool.

    `MCAR`: each entry by the same chance. `MAR`: by a chance that rises with two columns that stay visible, age and
    white cells where they are found, else the two most complete numbers; patients without them count as average.
    The mean chance is `share` in both. Without a number that could stay visible, MAR hides nothing.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    names = find_imputable(train)
    drivers = _drivers(train) if mechanism == "MAR" else []
    if mechanism == "MAR" and not drivers:
        return {}
    chance = np.full(len(train), share)
    if drivers:
        z = np.zeros(len(train))
        for name in drivers:
            rank = train.clinical[name].rank()
            z += ((rank - rank.mean()) / (rank.std() or 1.0)).fillna(0).to_numpy()
        chance = expit(z + brentq(lambda shift: expit(z + shift).mean() - share, -20, 20))
    return {
        name: (rng.random(len(train)) < chance) & train.clinical[name].notna().to_numpy()
        for name in names
        if name not in drivers
    }


def _drivers(train: Cohort) -> list[str]:
    columns = train.schema.columns
    numbers = [name for name in find_imputable(train) if columns[name].numeric and train.clinical[name].std() > 0]
    if not numbers:
        return []
    complete = sorted(numbers, key=lambda name: (train.clinical[name].isna().sum(), numbers.index(name)))
    wanted = [
        next((name for name in numbers if re.search(pattern, name, re.IGNORECASE)), None)
        for pattern in (r"(^|_)age(_|$)", r"wbc|white|leu[ck]o")
    ]
    chosen = list(dict.fromkeys([*(name for name in wanted if name), *complete]))
    return chosen[: min(2, max(1, len(numbers) - 1))]


def assess(train: Cohort, methods: Mapping[str, Mapping[str, Any]], rng: np.random.Generator) -> pd.DataFrame:
    """Hide a fifth of the observed entries, completely at random and at random given age and white cells, and impute.

    All methods, and the reference `marginal`, are fitted on the same table with the same entries hidden, and are judged
    on those entries alone. Numbers: nrmse, wasserstein, bias, coverage; levels: auc (each level against the others),
    total_variation. Each is the mean over columns; nrmse, wasserstein and bias are divided by the column's standard
    deviation, and nrmse is that of the mean of 19 draws.

    Args:
        methods: name -> its algorithm (key `algorithm`) and the settings that it changes.

    Returns:
        mechanism, method, metric, value, n (hidden entries judged), status (ok or not_applicable), reason. What cannot
        be assessed is reported in one row, of the method `all` and the metric `all`.

    Raises:
        InputError: an unknown algorithm or setting.
    """
    rows: list[tuple[str, str, str, float, int, str, str]] = []
    for mechanism, stream in zip(("MCAR", "MAR"), rng.spawn(2), strict=True):
        mask_rng, reference_rng, *method_rngs = stream.spawn(2 + len(methods))
        mask = hide_at_random(train, mechanism, mask_rng)
        if reason := _nothing(train, mechanism, mask):
            rows.append((mechanism, "all", "all", np.nan, 0, "not_applicable", reason))
            continue
        clinical = train.clinical.copy()
        for name, hidden in mask.items():
            clinical[name] = clinical[name].mask(hidden)
        holed = replace(train, clinical=set_types(clinical, train.schema))
        tables = {REFERENCE: [_marginal(holed, reference_rng) for _ in range(DRAWS)]}
        for (method, chosen), own in zip(methods.items(), method_rngs, strict=True):
            settings = dict(chosen)
            module = load(settings.pop("algorithm"))
            fit_rng, draw_rng = own.spawn(2)
            fitted = module.fit(holed, settings_of(module, settings, f"imputation.methods.{method}"), fit_rng)
            tables[method] = module.impute(fitted, holed, DRAWS, draw_rng)
        for method, draws in tables.items():
            for metric, (value, n) in _judge(train, mask, draws).items():
                rows.append((mechanism, method, metric, value, n, "ok", ""))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _nothing(train: Cohort, mechanism: str, mask: Mapping[str, np.ndarray]) -> str:
    """Why a mechanism cannot be assessed; the empty string where it can."""
    if not find_imputable(train):
        return NOTHING
    if mechanism == "MAR" and not _drivers(train):
        return "no column of numbers that missing values could depend on"
    if not mask:
        return "no column other than the number that missing values would depend on"
    if max(hidden.sum() for hidden in mask.values()) < FEWEST:
        return f"fewer than {FEWEST} values to hide in every column"
    return ""


def _marginal(cohort: Cohort, rng: np.random.Generator) -> pd.DataFrame:
    table = cohort.clinical.copy()
    for name in find_imputable(cohort):
        missing, pool = table[name].isna().to_numpy(), table[name].dropna().to_numpy()
        if missing.any() and len(pool):
            values = table[name].astype("object")
            values.loc[missing] = pool[rng.integers(len(pool), size=missing.sum())]
            table[name] = values
    return set_types(table, cohort.schema)


def _judge(train: Cohort, mask: Mapping[str, np.ndarray], draws: list[pd.DataFrame]) -> dict[str, tuple[float, int]]:
    from scipy.stats import wasserstein_distance

    found: dict[str, list[tuple[float, int]]] = {metric: [] for metric in METRICS}
    for name, hidden in mask.items():
        n = int(hidden.sum())
        truth = train.clinical[name][hidden]
        if n < FEWEST:
            continue
        if train.schema.columns[name].numeric:
            real = truth.to_numpy(dtype=float)
            scale = float(train.clinical[name].std())
            imputed = np.array([draw[name].to_numpy(dtype=float)[hidden] for draw in draws])
            if np.isnan(imputed).any() or not scale > 0:
                continue  # nothing was left to learn the column from, or there is nothing to judge
            centre = imputed.mean(axis=0)
            found["nrmse"].append((float(np.sqrt(np.mean((centre - real) ** 2)) / scale), n))
            found["wasserstein"].append((float(wasserstein_distance(imputed.ravel(), real) / scale), n))
            found["bias"].append((float(abs(imputed.mean() - real.mean()) / scale), n))
            covered = (imputed.min(axis=0) <= real) & (real <= imputed.max(axis=0))
            found["coverage"].append((float(covered.mean()), n))
        else:
            levels = [str(level) for level in train.clinical[name].cat.categories]
            real_levels = truth.astype(str).to_numpy()
            shares = np.array([[(draw[name].astype("object")[hidden] == level) for draw in draws] for level in levels])
            chance = shares.mean(axis=1)  # (levels, hidden entries)
            real_shares = np.array([(real_levels == level) for level in levels])
            found["total_variation"].append((total_variation(chance.mean(axis=1), real_shares.mean(axis=1)), n))
            judged = [
                auc(yes, score)
                for yes, score in zip(real_shares, chance, strict=True)
                if FEWEST <= yes.sum() <= n - FEWEST
            ]
            if judged:
                found["auc"].append((float(np.mean(judged)), n))
    return {
        metric: (float(np.mean([value for value, _ in values])), sum(n for _, n in values))
        for metric, values in found.items()
        if values
    }


def figure(assessment: pd.DataFrame) -> Figure:
    """One panel per metric: methods in rows, one marker per mechanism. Where there is no metric, the reason."""
    metrics = [metric for metric in METRICS if (assessment["metric"] == metric).any()]
    if not metrics:
        drawn, axis = new_figure(8, 1.2)
        told = [f"{row.mechanism}: not applicable ({row.reason})" for row in assessment.itertuples()]
        axis.text(0.0, 0.5, "\n".join(told) or "not applicable", va="center")
        axis.set_axis_off()
        return drawn
    assessment = assessment[assessment["metric"].isin(metrics)]
    methods = list(dict.fromkeys(assessment["method"]))
    rows = -(-len(metrics) // 2)
    drawn, axes = new_figure(
        8, 1.0 + rows * (0.55 + 0.27 * len(methods)), nrows=rows, ncols=2, sharey=True, squeeze=False
    )
    marks = {"MCAR": ("o", BLUE), "MAR": ("D", VERMILION)}
    for axis, metric in zip(axes.ravel(), metrics, strict=False):
        part = assessment[assessment["metric"] == metric]
        for offset, (mechanism, (marker, colour)) in zip((-0.12, 0.12), marks.items(), strict=True):
            one = part[part["mechanism"] == mechanism]
            axis.plot(
                one["value"], [methods.index(m) + offset for m in one["method"]], marker, color=colour, label=mechanism
            )
        if metric == "coverage":
            axis.axvline(0.9, color=NEUTRAL, linewidth=1)
        axis.set_title(metric.replace("_", " "))
        axis.set_xlabel(METRICS[metric], fontsize=7)
        axis.set_yticks(range(len(methods)), methods)
        axis.set_ylim(len(methods) - 0.5, -0.5)
        axis.grid(axis="x", color="#DDDDDD")
    for axis in axes.ravel()[len(metrics) :]:
        axis.set_visible(False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper right", ncols=2)
    return drawn
