"""The gate before publication: what the attacks on the released table may find at most."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.modalities.registry import FURTHER, OF_RECORD, load, offers
from haemosynth.privacy.check import Check
from haemosynth.privacy.tiers import TIERS, disclosure_limits

COLUMNS = ["check", "generator", "modality", "value", "limit", "chance", "low", "high", "passed", "open", "meaning"]
OVERRIDE = "override"


# One row for each check; the reasons for the limits stand in config/config.yaml and docs/privacy.md.
# A value passes at its limit, or where it is no larger than what chance shows (`<stage>_chance`, the 99.5 % quantile of
# the metric with training and unseen patients exchanged at random): so a limit does not depend on the cohort's size,
# and unseen patients of a small cohort pass. Where a metric has a value for several modalities, the worst one decides.
CHECKS: dict[str, Check] = {
    "exact_matches": Check(
        "distance", 0.005, "share of clinical records that repeat a training patient, above that of unseen patients"
    ),
    "linked_copies": Check(
        "memory", 0.005, "share of training patients to whom a released record belongs, above that of unseen patients"
    ),
    "exposed": Check(
        "memory", 0.01, "share of training patients to whom records are nearer than to 2 % of unseen patients"
    ),
    "copied_profiles": Check(
        "distance", 0.02,
        "share of mutation profiles (three or more alterations) of a training patient, above that of unseen patients",
    ),
    "disclosure_auc": Check(
        "disclosure", TIERS["open"].auc,
        "how well the worst attack distinguishes training from unseen patients in expectation; 0.5 is guessing, 1"
        " certainty",
    ),
    "disclosure_tpr_1": Check(
        "disclosure", TIERS["open"].tpr,
        "share of training patients that the worst attack names where 1 % of others are named too, in expectation",
    ),
    "disclosure_outlying_auc": Check(
        "disclosure", TIERS["open"].outlying,
        "the same as disclosure_auc among the fifth of patients who lie farthest from others",
    ),
    "audit_passed": Check(
        "audit", 1.0, "1 where these checks stop a planted leak and let unseen patients pass; else none can be trusted",
        least=True,
    ),
    "singling_out_risk": Check(
        "singling_out", 0.09, "how often one training patient is singled out, beyond the control", required=False
    ),
    "linkability_risk": Check(
        "linkability", 0.09, "how often two parts of a patient's data are linked, beyond the control", required=False
    ),
    "inference_risk": Check(
        "inference", 0.09, "how often an attribute is inferred, beyond the control", required=False
    ),
}  # fmt: skip
CHECKS.update(
    {check: own for name in FURTHER if offers(name, "checks") for check, own in load(name, "checks").CHECKS.items()}
)
# Asked of each class that quotas enlarge, on its members alone, in a study that has quotas (`balance:`). A class is
# judged as the patients who lie far from all others are: few, and shown more often than they occur.
OF_CLASSES: dict[str, Check] = {
    "class_disclosure_auc": Check(
        "enlarged_classes", TIERS["open"].outlying,
        "how well the worst attack distinguishes training from unseen patients of an enlarged class, in expectation",
    ),
    "class_exact_matches": Check(
        "enlarged_classes", 0.005,
        "share of the class's clinical records that repeat a training patient, above that of unseen patients",
    ),
    "class_linked_copies": Check(
        "enlarged_classes", 0.005,
        "share of the class's training patients to whom a released record belongs, above that of unseen patients",
    ),
    "class_exposed": Check(
        "enlarged_classes", 0.01,
        "share of the class's training patients to whom records are nearer than to 2 % of its unseen patients",
    ),
}  # fmt: skip
EVERY = CHECKS | OF_CLASSES
NOTHING_TO_COPY = "the cohort has no genomic modality"


def settings(chosen: Mapping[str, Any]) -> tuple[dict[str, float], Mapping[str, str] | None]:
    """The limits of all checks and the override of a study's `gate:`, None where there is none.

    Raises:
        InputError: a check that is unknown, a limit that is no number from 0 to 1, an override without name or reason.
    """
    limits = {name: check.limit for name, check in EVERY.items()}
    override = chosen.get(OVERRIDE)
    for name, limit in chosen.items():
        if name == OVERRIDE:
            continue
        if name not in EVERY:
            raise InputError(f"gate: unknown check {name!r}; expected {', '.join(CHECKS)} or {OVERRIDE}")
        if limit is None and EVERY[name].stage == "disclosure":
            continue
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= 1:
            raise InputError(f"gate.{name}: expected a number from 0 to 1, not {limit!r}")
        limits[name] = float(limit)
    if override is None:
        return limits, None
    given = isinstance(override, Mapping) and set(override) == {"by", "reason"}
    if not given or not all(isinstance(text, str) and text.strip() for text in override.values()):
        raise InputError("gate.override: expected {by: who answers for it, reason: why}, both in words")
    return limits, override


def gate(
    metrics: pd.DataFrame,
    chosen: Mapping[str, Any],
    stages: Collection[str] = (),
    modalities: Collection[str] = OF_RECORD,
    tier: str = "open",
    balanced: bool = False,
) -> pd.DataFrame:
    """Hold a release against its limits: a check passes at its limit, or where chance explains the value.

    A metric of a required stage that is missing or could not be measured does not pass, with one exception that the
    row states: there are no mutation profiles to copy in a cohort without genomic data. Stages that a study may leave
    out are listed as not run. An override adds a row that names who answers for the release, and the checks it
    overrules; these stay failed.

    Args:
        metrics: rows of `metrics.tsv` of the release: one cohort, one generator, the seed that is published.
        chosen: the study's `gate:`: check -> limit, and `override`.
        stages: only the checks of these stages; empty: all.
        modalities: of the cohort. Checks of others are not asked; where none is left the table is empty, and an empty
            table does not pass.
        tier: to whom the release may go. Memory of single patients is judged alike in all tiers.
        balanced: whether quotas enlarge classes: each is then judged on its own members, the worst one decides.

    Returns:
        the table with COLUMNS; one row per check, of the modality that comes off worst. open: whether the check would
        pass for an open release.

    Raises:
        InputError: see `settings`.
        ValueError: rows of more than one release.
    """
    limits, override = settings(chosen)
    if len(metrics[["cohort", "generator", "seed"]].drop_duplicates()) > 1:
        raise ValueError("the gate judges one release at a time: one cohort, one generator, one seed")
    generator = metrics["generator"].iloc[0] if len(metrics) else ""
    told = metrics.loc[metrics["metric"] == "disclosure_table_auc", "value"]
    table_auc = float(told.iloc[0]) if len(told) else np.nan
    own = {name: limits[name] for name in limits if chosen.get(name) is not None}
    by_tier = {name: limits | disclosure_limits(name, table_auc, own) for name in (tier, "open")}
    rows = []
    for name, check in CHECKS.items():
        if (stages and check.stage not in stages) or check.modality not in modalities:
            continue
        found = metrics[metrics["stage"] == check.stage]
        *row, passed, meaning = _judge(found, name, check, by_tier[tier][name])
        rows.append((name, generator, *row, passed, _judge(found, name, check, by_tier["open"][name])[-2], meaning))
    for name, check in OF_CLASSES.items() if balanced else ():
        if stages and check.stage not in stages:
            continue
        found = metrics[metrics["stage"] == check.stage]
        set_by_tier = chosen.get(name) is None and name == "class_disclosure_auc"
        at_tier = TIERS[tier].outlying if set_by_tier else limits[name]
        *row, passed, meaning = _judge_classes(found, name, check, at_tier)
        rows.append((name, generator, *row, passed, _judge_classes(found, name, check, limits[name])[-2], meaning))
    table = pd.DataFrame(rows, columns=COLUMNS)
    failed = table.loc[~table["passed"].astype(bool), "check"]
    if override is not None and len(failed):
        meaning = f"released by {override['by']} against {', '.join(failed)}: {override['reason']}"
        table.loc[len(table)] = [OVERRIDE, generator, "", *[np.nan] * 5, True, False, meaning]
    return table


def _judge_classes(
    found: pd.DataFrame, name: str, check: Check, limit: float
) -> tuple[str, float, float, float, float, float, bool, str]:
    """As `_judged`, of the class that comes off worst; the meaning says which."""
    classes = list(dict.fromkeys(found.loc[found["metric"] == name, "target"]))
    judged = []
    for one in classes:
        ours = found[(found["metric"] == name) & (found["target"] == one)].assign(target="all")
        chance = found[(found["metric"] == f"{check.stage}_chance") & (found["target"] == f"{name}~{one}")]
        modality, value, at, by_chance, low, high, passed, meaning = _judge(
            pd.concat([ours, chance.assign(target=name)]), name, check, limit
        )
        judged.append((modality, value, at, by_chance, low, high, passed, f"{meaning} ({one})"))
    if not judged:
        return _judge(found.iloc[:0], name, check, limit)
    # Those that failed come first, then the nearest to its limit.
    return min(judged, key=lambda row: (row[6], -float(np.nan_to_num(row[1] - np.fmax(row[2], row[3])))))


def _judge(
    found: pd.DataFrame, name: str, check: Check, limit: float
) -> tuple[str, float, float, float, float, float, bool, str]:
    """One check: modality, value, limit, chance, low, high, passed, meaning.  found: the metrics of its stage."""
    nothing = ("", np.nan, limit, np.nan, np.nan, np.nan)
    ours = found[(found["metric"] == name) & (found["target"] == "all")]
    if ours.empty:
        if check.required:
            return (*nothing, False, f"not measured: the stage {check.stage} was not run")
        return (*nothing, True, f"not run: the study leaves out the stage {check.stage}; this does not shut the gate")
    for reason in ours.loc[ours["status"] != "ok", "reason"]:
        if reason == NOTHING_TO_COPY or not check.required:
            continue
        return (*nothing, False, f"not measured: {reason}")
    ours = ours[ours["status"] == "ok"]
    if ours.empty:
        return (*nothing, True, f"not measured: {reason}")
    by_chance = found[(found["metric"] == f"{check.stage}_chance") & (found["target"] == name)]
    chance = ours["modality"].map(by_chance.set_index("modality")["value"]).to_numpy(float)
    values = ours["value"].to_numpy(float)
    beyond = limit - values if check.least else values - np.fmax(limit, chance)
    worst = int(beyond.argmax())
    row = ours.iloc[worst]
    return (
        str(row["modality"]), values[worst], limit, chance[worst], float(row["low"]), float(row["high"]),
        bool(beyond[worst] <= 0), check.meaning,
    )  # fmt: skip


def overridden(checks: pd.DataFrame) -> str:
    """Who released against the gate, and why; empty where nobody did."""
    return " ".join(checks.loc[checks["check"] == OVERRIDE, "meaning"])


def outcomes(checks: pd.DataFrame) -> list[str]:
    """Of each check yes, no, or nothing where it was not measured and does not count."""
    made = checks["value"].notna() | (checks["check"] == OVERRIDE)
    words = zip(checks["passed"].astype(bool), made, strict=True)
    return ["no" if not passed else "yes" if known else "" for passed, known in words]


def verdict(checks: pd.DataFrame) -> bool:
    """Whether the release may leave: every check was made and passed, or a named person overruled those that did not.

    An empty table does not pass.
    """
    return bool(len(checks) and (checks["passed"].astype(bool).all() or overridden(checks)))


def refusal(checks: pd.DataFrame, smaller: str = "") -> str:
    """Why the release is held back and what to do, in one line; empty where it is not.

    Args:
        checks: what `gate` returned for one generator.
        smaller: which number of patients would pass, in words; it helps where only the stage `disclosure` objects.
    """
    if verdict(checks):
        return ""
    if checks.empty:
        own = {check.stage: check.modality for check in CHECKS.values() if check.modality in FURTHER}
        named = ", ".join(f"{stage} for {modality}" for stage, modality in own.items())
        return (
            "not published: no privacy check was made; run the stages distance, memory, disclosure and audit, and"
            f" {named}"
        )
    refused = checks[~checks["passed"].astype(bool)]
    failed = [failure(row) for row in refused.to_dict("records")]
    stages = {EVERY[name].stage for name in refused["check"]}
    if stages == {"disclosure"} and smaller:
        help_ = smaller[0].upper() + smaller[1:]
    elif stages == {"enlarged_classes"}:
        help_ = (
            "Ask for fewer patients of this class under `balance:`, or for a smaller release (synthetic_patients), or"
            " release to those who agree not to attack it (release: {tier: agreement})"
        )
    elif stages == {"audit"}:
        help_ = (
            "The checks on memory do not find the copies that were planted in this release: the record has too few"
            " columns, or the release too few patients, for a verdict. Read more columns or more patients, or name who"
            " answers for the release (gate: {override: {by: NAME, reason: WHY}})"
        )
    else:
        help_ = (
            "Regularise the generator (the recipe common leaves rare levels out), train on more patients, or change the"
            " limits under `gate:` in the study and say why"
        )
    return f"{checks['generator'].iloc[0]} is not published: {'; '.join(failed)}. {help_}"


def failure(row: Mapping[Any, Any]) -> str:
    """A failed check in words."""
    name, value, limit = row["check"], row["value"], row["limit"]
    if np.isnan(value):
        return f"{name} {row['meaning']}"
    if EVERY[name].least:
        return f"{name} {value:.3g} is below {limit:.3g}"
    chance = f" and chance shows at most {row['chance']:.3g}" if row["chance"] > limit else ""
    where = f" ({row['modality']})" if isinstance(row["modality"], str) and row["modality"] else ""
    if name in OF_CLASSES:
        where = f" of {row['meaning'].removeprefix(f'{EVERY[name].meaning} (').removesuffix(')')}"
    return f"{name}{where} {value:.3g} is above {limit:.3g}{chance}"
