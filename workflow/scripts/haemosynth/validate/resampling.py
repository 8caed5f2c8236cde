"""Intervals for every stage, on the same resampled patients for all candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.progress import progress
from haemosynth.encode.records import some_rows
from haemosynth.validate.stage import PRIVACY, Comparison, StageModule, Value

KEYS = ["metric", "target", "modality"]
LEVEL = 0.95
RESAMPLING = ("repeats", "replicates", "patients", "released")
PATIENTS = 20_000  # of a side at most in one comparison, where the study does not say
Key = tuple[str, str, str]


def read_stage_settings(stage: StageModule, chosen: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The stage's defaults with the study's choices laid over them, among them those that every stage has: `repeats`,
    `replicates`, `patients` and `released`, the size of the release where it is not that of the training patients.

    Raises:
        InputError: a choice that the stage does not know.
    """
    known = [*RESAMPLING, *stage.DEFAULTS]
    for key in chosen:
        if key not in known:
            raise InputError(f"config: validation.{name}: unknown setting {key!r}; expected one of {', '.join(known)}")
    return {**stage.DEFAULTS, **chosen}


def prepare_comparison(
    stage: StageModule, comparison: Comparison, settings: Mapping[str, Any], streams: Callable[..., np.random.Generator]
) -> Comparison:
    """The comparison that `evaluate` and the figure of a stage read: bounded in size, with what is learned once.

    A side of more than `settings["patients"]` patients (default: PATIENTS; None: no limit) is replaced by that many of
    them, drawn once, so that no stage takes longer than it does for a cohort of that size; values and intervals then
    hold for that number, which is their `n`. Privacy stages see every patient, since every released patient may be a
    copy and every training patient its source; they bound their own searches. `comparison.prepared` is what the
    stage's `prepare` makes of the bounded comparison, None where it has none.
    """
    most = settings.get("patients", PATIENTS)
    if most is not None and not _whole(stage):
        comparison = _bound(comparison, int(most), streams("patients"))
    prepare = getattr(stage, "prepare", None)
    return replace(comparison, prepared=prepare(comparison, settings, streams("prepare"))) if prepare else comparison


def _whole(stage: StageModule) -> bool:
    """Whether a stage asks about each single patient of a release: privacy stages do."""
    return any(metric.references == PRIVACY for metric in stage.METRICS)


def _bound(comparison: Comparison, most: int, rng: np.random.Generator) -> Comparison:
    sides = ("real", "candidate", "train", "control")
    bounded: dict[str, Any] = {
        side: some_rows(getattr(comparison, side), most, own)
        for side, own in zip(sides, rng.spawn(len(sides)), strict=True)
    }
    return replace(comparison, **bounded)


def evaluate(
    stage: StageModule, comparison: Comparison, settings: Mapping[str, Any], streams: Callable[..., np.random.Generator]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run a stage with its intervals.

    The value is the mean over `settings["repeats"]` comparisons at equal n (the larger side is subsampled); of no more
    than `settings["released"]` patients, so that the ceiling holds for the n of the release; privacy
    stages see the whole candidate, since the whole of it would be released. For the interval the stage runs on
    `settings["replicates"]` resamples, by the scheme each metric declares (`Metric.interval`). With halves no
    rescaling is needed: the variance of a mean over n/2 of n patients, (1/(n/2))(1 - 1/2) s^2, equals s^2/n.
    Replicates are centred on the value, since resampling shifts metrics that are biased at small n.

    Args:
        comparison: as `prepared` gives it.
        streams: streams(name, number) gives the random stream of a replicate. It must not depend on the candidate,
            so that all candidates meet the same real patients and differences between them are paired.

    Returns:
        values: metric, target, modality, value, low, high, n, status, reason; one row per metric and target.
        replicates: metric, target, modality, replicate, value.
    """
    scheme_of = {metric.name: metric.interval for metric in stage.METRICS}
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    whole = _whole(stage)
    size = len(comparison.candidate)
    if not whole:
        size = min(size, len(comparison.real), settings.get("released") or size)
    draws = []
    for i in range(int(settings["repeats"])):
        part = comparison if whole else _at_equal_n(comparison, size, streams("repeat", i))
        draws.append(_index(stage.measure(part, settings, streams("measure", i))))
    undeclared = {metric for draw in draws for metric, _, _ in draw} - scheme_of.keys()
    if undeclared:
        raise ValueError(f"metrics {sorted(undeclared)} are not declared in METRICS")

    replicates: dict[Key, dict[int, float]] = {}
    count = int(settings["replicates"])
    for i in progress(range(count), "resampling", count):
        for scheme in sorted(set(scheme_of.values())):
            part = _resample(comparison, scheme, size, streams(scheme, i))
            for key, found in _index(stage.measure(part, settings, streams("measure", scheme, i))).items():
                if scheme_of[key[0]] == scheme:
                    replicates.setdefault(key, {})[i] = found.value

    rows, kept = [], []
    for key in dict.fromkeys(key for draw in draws for key in draw):
        values = [draw[key] for draw in draws if key in draw]
        numbers = np.array([value.value for value in values])
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            reason = next((value.reason for value in values if value.reason), "no finite value")
            rows.append((*key, np.nan, np.nan, np.nan, values[0].n or size, "not_applicable", reason))
            continue
        value, low, high = float(numbers.mean()), np.nan, np.nan
        # A replicate without a value is left out; the others keep their number, by which candidates are paired.
        cloud = pd.Series(replicates.get(key, {}), dtype=float).dropna()
        if len(cloud) > 1:
            cloud = cloud - cloud.mean() + value
            low, high = np.quantile(cloud, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).clip(*bounds[key[0]])
            columns = dict(zip(KEYS, key, strict=True))
            kept.append(pd.DataFrame({**columns, "replicate": cloud.index, "value": cloud.to_numpy()}))
        rows.append((*key, value, low, high, values[0].n or size, "ok", ""))
    table = pd.DataFrame(rows, columns=[*KEYS, "value", "low", "high", "n", "status", "reason"])
    empty = pd.DataFrame(columns=[*KEYS, "replicate", "value"])
    return table, pd.concat(kept, ignore_index=True) if kept else empty


def _index(values: list[Value]) -> dict[Key, Value]:
    keyed = {(value.metric, value.target, value.modality): value for value in values}
    if len(keyed) != len(values):
        raise ValueError("a metric was given twice for the same target and modality")
    return keyed


def _subset(cohort: Cohort, size: int, rng: np.random.Generator) -> Cohort:
    return cohort if len(cohort) == size else cohort.take(rng.permutation(len(cohort))[:size])


def _at_equal_n(comparison: Comparison, size: int, rng: np.random.Generator) -> Comparison:
    # Separate streams: which real patients are chosen does not depend on how many the candidate offers.
    real, candidate = rng.spawn(2)
    return replace(
        comparison, real=_subset(comparison.real, size, real), candidate=_subset(comparison.candidate, size, candidate)
    )


def _resample(comparison: Comparison, scheme: str, size: int, rng: np.random.Generator) -> Comparison:
    comparison = replace(comparison, resampled=True)
    real, candidate, train, control = rng.spawn(4)
    if scheme == "attack":
        return replace(
            comparison,
            real=_with_replacement(comparison.real, len(comparison.real), real),
            train=_with_replacement(comparison.train, len(comparison.train), train),
            control=_with_replacement(comparison.control, len(comparison.control), control),
        )
    if scheme == "bootstrap":
        return replace(
            comparison,
            real=_with_replacement(comparison.real, min(size, len(comparison.real)), real),
            candidate=_with_replacement(comparison.candidate, size, candidate),
        )
    half = max(2, size // 2)
    return replace(
        comparison, real=_subset(comparison.real, half, real), candidate=_subset(comparison.candidate, half, candidate)
    )


def _with_replacement(cohort: Cohort, size: int, rng: np.random.Generator) -> Cohort:
    return cohort.take(rng.integers(len(cohort), size=size))
