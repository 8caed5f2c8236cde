"""The gate before publication: what the attacks on the released table may find at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from haemosynth.errors import InputError

COLUMNS = ["check", "generator", "value", "limit", "low", "high", "passed", "meaning"]


class Check(NamedTuple):
    """A limit on one metric. The stage that measures it, the limit where the study sets none, and what it means."""

    stage: str
    limit: float
    meaning: str


# Why these limits. Copies are counted in the very table that is released, beside what unseen real patients show by
# coincidence: among 300 of these one repeats a clinical record at most, and one time in twenty their excess of repeated
# mutation profiles is above a tenth. The other two checks are estimates with an error that comes mostly from the unseen
# patients: without any memory their standard deviations are .03 and .02 with 300 of these, .05 and .03 with 110 to 220.
# Each limit lies three of them above chance, so that unseen patients of a small cohort pass; nearness at .65 stops a
# release of which three in ten are near copies, an attack at .6 one that tells members in three cases of five.
# The value decides and not the upper end of its interval: that would stop even unseen patients of small cohorts.
CHECKS: Mapping[str, Check] = {
    "exact_matches": Check(
        "distance", 0.005, "share of clinical records that repeat a training patient, above that of unseen patients"
    ),
    "copied_profiles": Check(
        "distance",
        0.1,
        "share of mutation profiles (three or more alterations) of a training patient, above that of unseen patients",
    ),
    "nearer_to_train": Check(
        "distance", 0.65, "share of the release nearer to training than to unseen patients; 0.5 without memory"
    ),
    "membership_auc": Check(
        "membership", 0.6, "how well the worst attack tells training from unseen patients; 0.5 is guessing, 1 certainty"
    ),
}
NOTHING_TO_COPY = "the cohort has no genomic modality"


def gate(metrics: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Hold a release against its limits: a check passes when its value is at most the limit.

    A metric that is missing or could not be measured does not pass, with one exception that the row states: there are
    no mutation profiles to copy in a cohort without genomic data.

    Args:
        metrics: rows of `metrics.tsv` of the release: one cohort, one generator, the seed that is published.
        thresholds: check -> limit; those that the study leaves out are taken from `CHECKS`.

    Returns:
        check, generator, value, limit, low, high, passed, meaning; one row per check.

    Raises:
        InputError: a threshold that is no check, or no number.
        ValueError: rows of more than one release.
    """
    for name, limit in thresholds.items():
        if name not in CHECKS:
            raise InputError(f"gate: unknown check {name!r}; expected {', '.join(CHECKS)}")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1:
            raise InputError(f"gate.{name}: expected a number from 0 to 1, not {limit!r}")
    if len(metrics[["cohort", "generator", "seed"]].drop_duplicates()) > 1:
        raise ValueError("the gate judges one release at a time: one cohort, one generator, one seed")
    generator = metrics["generator"].iloc[0] if len(metrics) else ""
    rows = []
    for name, check in CHECKS.items():
        limit = float(thresholds.get(name, check.limit))
        found = metrics[(metrics["metric"] == name) & (metrics["stage"] == check.stage) & (metrics["target"] == "all")]
        value = low = high = np.nan
        passed, meaning = False, check.meaning
        if found.empty:
            meaning = f"not measured: the stage {check.stage} was not run"
        elif found["status"].iloc[0] != "ok":
            reason = str(found["reason"].iloc[0])
            passed, meaning = reason == NOTHING_TO_COPY, f"not measured: {reason}"
        else:
            value, low, high = (float(found[column].iloc[0]) for column in ("value", "low", "high"))
            passed = value <= limit
        rows.append((name, generator, value, limit, low, high, passed, meaning))
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(checks: pd.DataFrame) -> bool:
    """Whether every check was made and passed; an empty table does not pass."""
    return bool(len(checks) and checks["passed"].astype(bool).all())


def refusal(checks: pd.DataFrame) -> str:
    """Why the release is held back and what to do, in one line; empty where it is not.

    Args:
        checks: what `gate` returned for one generator.
    """
    if verdict(checks):
        return ""
    if checks.empty:
        return "not published: no privacy check was made; run the stages distance and membership"
    failed = [
        f"{check} {meaning}" if np.isnan(value) else f"{check} {value:.3g} is above {limit:.3g}"
        for check, value, limit, meaning, passed in zip(
            *(checks[column] for column in ("check", "value", "limit", "meaning", "passed")), strict=True
        )
        if not passed
    ]
    return (
        f"{checks['generator'].iloc[0]} is not published: {'; '.join(failed)}. Regularise the generator, train on more"
        " patients, or change the limits under `gate:` in the study and say why"
    )
