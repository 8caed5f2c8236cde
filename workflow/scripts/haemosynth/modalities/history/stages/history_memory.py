"""Memory of histories: do synthetic courses reveal whose courses were learned from?

A path of dates is a fingerprint. Three questions: do synthetic paths repeat a path of a training patient, in its states
and in all its times, do they lie nearer to training than to unseen patients, and can an attacker who holds a
patient's course decide whether the patient was in the training data? Linkage of courses to the rest of the record is
attacked by the stage `linkability`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.arrays import Matrix
from haemosynth.encode.records import distinct, some_rows
from haemosynth.modalities.history.features import entry_times, numbers
from haemosynth.modalities.history.part import Courses, find_courses
from haemosynth.privacy import profile_memory
from haemosynth.privacy.profile_memory import Attacked
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "rows": 3_000,  # training and unseen patients who are attacked, at most
    "trees": 400,  # of the attack `classifier`
    "exchanges": 1_000,  # of training and unseen patients, to see what chance shows
}
FEWEST = 10  # patients with a history on a side
LEAST_TIMES = 3  # entries and end of observation, below which a path is no fingerprint
SAME = 0.6  # recording steps by which each time may differ
COARSE = 1.0  # months to which times are rounded to see whose path is unique
STAGE = Stage("privacy", needs=("history",), environment="attacks", memory=4000, runtime=30)
METRICS = (
    Metric(
        "history_repeats", "error", "share", (0, 1), PRIVACY, "bootstrap",
        "share of synthetic paths with two transitions or more whose states, and every time as recorded (end of"
        " observation too), are those of a training patient, less the same share of unseen patients, at least 0",
        "this project",
    ),
    Metric(
        "history_nearer_to_train", "target", "share", (0, 1), PRIVACY, "bootstrap",
        "in standardised entries, times and early measurements, s: share of synthetic courses whose nearest real one is"
        " a training patient's (ties half), p = n_train / (n_train + n_unseen); max(0, 1/2 + (s - p) / (2 (1 - p)))",
        "after Platzer and Reutterer, Front Big Data 2021;4:679939",
        target=0.5,
    ),
    Metric(
        "history_membership_auc", "target", "", (0, 1), PRIVACY, "attack",
        "area under the ROC curve of the worst attack that distinguishes training from unseen patients by their"
        " courses; target: an attack",
        "see disclosure_auc",
        target=0.5,
    ),
    Metric(
        "history_memory_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
        "99.5 % quantile of the metric that is the target, with training and unseen patients exchanged at random",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
    Metric(
        "history_unique", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "share of training patients whose sequence of states with all times rounded to months no other training patient"
        " has",
        "this project",
    ),
)  # fmt: skip
REPEATS, NEARER, AREA, CHANCE, UNIQUE = (metric.name for metric in METRICS)
NAMES = (NEARER, AREA)


@dataclass(frozen=True)
class Known:
    """attacked: what the attacks find. repeated: (synthetic courses,) whether each repeats a training patient's.
    coincidence: the same share of unseen patients. unique: share of unique training paths."""

    attacked: Attacked
    repeated: pd.Series
    coincidence: float
    unique: float


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Known | str:
    """Attack every training and unseen patient once; a reason where there is nothing to attack."""
    choice, exchange, trees = rng.spawn(3)
    most = int(settings["rows"])
    sides = [some_rows(distinct(side), most, choice) for side in (comparison.train, unseen_side(comparison))]
    known = [part for side in sides if (part := find_courses(side)) is not None and len(part.paths) >= FEWEST]
    released = find_courses(distinct(comparison.candidate))
    if released is None or len(released.paths) < FEWEST or len(known) < len(sides):
        return f"fewer than {FEWEST} synthetic, training or unseen patients have a history"
    values = [numbers(part) for part in (*known, released)]
    seen = np.vstack(values[:2])
    columns = [j for j in range(seen.shape[1]) if (~np.isnan(seen[:, j])).any()]
    seen = seen[:, columns]
    middle, spread = np.nanmean(seen, axis=0), np.maximum(np.nanstd(seen, axis=0), 1e-9)

    def place(table: Matrix) -> Matrix:
        return np.asarray(np.nan_to_num(np.clip((table[:, columns] - middle) / spread, -6, 6)))

    owners = [pd.Index(part.paths.owner) for part in (*known, released)]
    attacked = profile_memory.attack_profiles(
        owners[0].append(owners[1]),
        np.repeat([True, False], [len(own) for own in owners[:2]]),
        np.vstack([place(table) for table in values[:2]]),
        np.vstack([table[:, columns] for table in values[:2]]),
        owners[2], place(values[2]), values[2][:, columns], settings, (exchange, trees),
    )  # fmt: skip
    return Known(
        attacked, pd.Series(repeats(released, known[0]), owners[2]), float(repeats(known[1], known[0]).mean()),
        unique_share(known[0]),
    )  # fmt: skip


def repeats(courses: Courses, train: Courses) -> np.ndarray:
    """(courses,) whether a path repeats a training patient's in its states and all its times."""
    paths, known = (np.asarray(side.paths.labels(), dtype=object) for side in (courses, train))
    times, others = np.nan_to_num(entry_times(courses), nan=-1.0), np.nan_to_num(entry_times(train), nan=-1.0)
    found = np.zeros(len(paths), dtype=bool)
    long = courses.paths.number >= LEAST_TIMES
    for label in np.unique(paths[long].astype(str)):
        rows, same = np.flatnonzero((paths == label) & long), np.flatnonzero(known == label)
        if len(same):
            gap = np.abs(times[rows][:, None, :] - others[same][None, :, :]).max(axis=2)
            found[rows] = (gap <= SAME * train.grain).any(axis=1)
    return found


def unique_share(courses: Courses) -> float:
    """Share of paths that no other patient has, times rounded to months."""
    times = np.nan_to_num(np.rint(entry_times(courses) / COARSE), nan=-1.0).astype(int)
    keys = pd.Series([f"{label} {row.tolist()}" for label, row in zip(courses.paths.labels(), times, strict=True)])
    return float((~keys.duplicated(keep=False)).mean())


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Repeated paths, nearness, and the worst attack with what chance shows; all found by `prepare`."""
    known: Known | str = comparison.prepared
    modality = "history"
    if isinstance(known, str):
        return [Value(name, np.nan, modality=modality, reason=known) for name in (REPEATS, *NAMES)]
    shown = known.repeated.index.get_indexer(comparison.candidate.patients)
    own = known.repeated.to_numpy()[shown[shown >= 0]]
    values = profile_memory.measure(known.attacked, comparison, NAMES, CHANCE, modality)
    values.append(Value(UNIQUE, known.unique, modality=modality, n=int(known.attacked.member.sum())))
    if not len(own):
        return [Value(REPEATS, np.nan, modality=modality, reason="no synthetic patient has a history"), *values]
    return [Value(REPEATS, max(0.0, float(own.mean()) - known.coincidence), modality=modality, n=len(own)), *values]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How much nearer the nearest real patient is than the next, and both checks beside chance."""
    known: Known | str = comparison.prepared
    return profile_memory.figure(known if isinstance(known, str) else known.attacked, values, NAMES, CHANCE, label)
