"""Endpoints: a time in months and an event, and how the endpoints of a patient fit together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError, Mistakes
from haemosynth.modalities.clinical.ingest.infer import convert, find_words
from haemosynth.reading.numbers import advice, numbers
from haemosynth.reading.preprocess import MONTH_DAYS
from haemosynth.reading.resolution import DAY, TIME_STEPS, find_grain
from haemosynth.reading.source import Raw, suggestion

TIMES = {"MONTHS": 1.0, "TIME": 1.0, "DAYS": 1 / MONTH_DAYS, "WEEKS": 7 / MONTH_DAYS, "YEARS": 12.0}
EVENTS = ("STATUS", "EVENT")
TRUE = frozenset({
    "1", "1.0", "true", "yes", "event", "deceased", "dead", "died", "death", "progressed", "progression",
    "relapsed", "relapse", "recurred", "recurred/progressed", "progressed/recurred", "progressed/relapsed",
    "recurrence", "occurred",
})  # fmt: skip
FALSE = frozenset({
    "0", "0.0", "false", "no", "none", "living", "alive", "censored", "censor", "diseasefree", "disease_free",
    "progression_free", "event_free", "relapse_free", "not_progressed", "no_event",
})  # fmt: skip
# Endpoints that come as a pair of time and event (Cheson, J Clin Oncol 2003;21:4642; Rajkumar, Blood 2011;117:4691).
PAIRS = re.compile(
    r"os|pfs2?|efs|dfs|rfs|lfs|dss|css|mfs|ffs|ffp|ffr|dmfs|ddfs|dfi|pfi|tfs|ttp|ttnt|ttr|ttf|cir|nrm|trm|grfs|crfs|dor|"
    r"(\w+_)?(overall|disease_specific|cancer_specific)_survival|(\w+_)?(event|progression|relapse|disease|failure|leuk"
    r"a?emia|metastasis|recurrence)_free(_survival|_interval)?|time_to_\w+"
)
# The outcome in other words: a name that speaks of death, of the last contact, or of a time until something.
RESTATED = (
    "vital_?status|alive|dead|died|deceased|death|exitus|verstorben|todesursache|todesdatum|tod|cod|dod|"
    "(os|overall|survival)_?(status|event|time|days|weeks|months|years|mo|m)?|surv|survived|"
    "follow_?ups?|fup?_?(status|date|days|weeks|months|years|time)|last_?(contact|seen|visit|known|alive|observation|date|news|fu)|"
    "(date|day|days|dt)_?of_?(last|death|relapse|progression|recurrence)|lost_to_fu|letzter_?kontakt|"
    "(day|days|week|weeks|month|months|year|years|time|tt)_?(to|until|till|from)|"
    "(relapse|recurrence|progression|remission|cr|rezidiv|transplant|hsct|sct)_?"
    "(date|dt|day|days|datum|week|weeks|months?|years?|time)"
)
DEAD_OR_ALIVE = frozenset({"dead", "deceased", "died", "alive", "living", "lebt", "lebend", "tot", "verstorben", "dod"})
AGREES = 0.98  # share of the patients in whom a column says what an endpoint says
OUTCOMES = "os|pfs|efs|dfs|rfs|lfs|dss|ttp|ttnt|cr|ccr|relapse|remission|progression|hsct|sct|asct|transplant|death|"
OUTCOMES += "follow_?up|last_?contact|fu|nrm|aml|response"
SLACK = 0.1  # months by which a later endpoint may pass the primary one before it is a mistake


def _find(raw: Raw, endpoint: str, endings: tuple[str, ...]) -> str | None:
    found = {name.upper(): name for name in reversed(list(raw.clinical.columns))}
    return next((found[f"{endpoint}_{end}".upper()] for end in endings if f"{endpoint}_{end}".upper() in found), None)


def _first(flags: pd.Series) -> str:
    return str(flags.index[int(flags.argmax())])


def _time(name: str, factor: float, raw: Raw, columns: Mapping[str, Any], where: str) -> pd.Series:
    """Times in months, not below zero."""
    text = raw.clinical[name]
    values = numbers(text)
    if (text.notna() & values.isna()).any():
        patient = _first(text.notna() & values.isna())
        words = sorted(text[text.notna() & values.isna()].unique())
        raise InputError(
            f"{raw.value(name, patient)}: {text[patient]!r} is not a number; expected a time; mend it, or where it "
            f"means not recorded: `{advice(name, missing=words[:20])}`"
        )
    if (values < 0).any():
        patient = _first(values < 0)
        below = [float(value) for value in sorted(values[values < 0].unique())[:20]]
        raise InputError(
            f"{raw.value(name, patient)}: the time {values[patient]:g} is negative; mend it, or where it means not "
            f"recorded: `{advice(name, missing=below)}`"
        )
    declared = columns.get(name, {})
    if "convert" in declared:
        if declared["convert"]["to"] not in ("months", "month"):
            raise InputError(f"{where}: times of endpoints are in months; convert {name} to months")
        return convert(name, values, declared, where)[0]
    return values * factor


def _event(name: str, raw: Raw) -> pd.Series:
    """Events as 1 and 0, from 1:DECEASED, 0:LIVING, 1, 0 or words."""
    text = raw.clinical[name]

    def read(value: str) -> float:
        word = re.sub(r"[\s-]+", "_", value.lower())
        if word in TRUE or re.match(r"1\s*:", value):
            return 1.0
        return 0.0 if word in FALSE or re.match(r"0\s*:", value) else np.nan

    values = text.map({value: read(value) for value in text.dropna().unique()}).astype("float64")
    if (text.notna() & values.isna()).any():
        patient = _first(text.notna() & values.isna())
        raise InputError(
            f"{raw.value(name, patient)}: {text[patient]!r} is no event; expected 1 or 0, 1:DECEASED or 0:LIVING, "
            f"or words such as deceased and living; where it means not recorded: "
            f"`{advice(name, missing=sorted(text[text.notna() & values.isna()].unique())[:20])}`"
        )
    return values


def read(
    raw: Raw, endpoints: list[str], milestones: Mapping[str, str], columns: Mapping[str, Any], repair: bool, where: str
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """The endpoints of a cohort.

    Args:
        endpoints: the first is the primary one. milestones: endpoint -> a time that is recorded only when the event
        happened; patients without it are censored at their primary time.

    Returns:
        table: (patients, 2 x endpoints) `E_time` in months and `E_event` 1/0, NaN where not known.
        used: the source columns that went into it, with the reason why they are no longer there.
        notes: what was changed, patient by patient.

    Raises:
        InputError: a column is missing, a value is no time or no event, a time is negative, no patient has an event
            of the primary endpoint, or an endpoint ends after the primary one and `repair` is off.
    """
    table: dict[str, pd.Series] = {}
    used: dict[str, str] = {}
    notes: list[str] = []
    names: dict[str, str] = {}
    primary = endpoints[0]
    mistakes = Mistakes()
    milestones_at: dict[str, pd.Series] = {}
    for endpoint in endpoints:
        time, event = _find(raw, endpoint, tuple(TIMES)), _find(raw, endpoint, EVENTS)
        if time is None or event is None:
            there = sorted(
                {
                    name.rsplit("_", 1)[0]
                    for name in raw.clinical.columns
                    if _find(raw, name.rsplit("_", 1)[0], tuple(TIMES)) and _find(raw, name.rsplit("_", 1)[0], EVENTS)
                }
            )
            wanted = (
                f"{endpoint}_MONTHS (or _DAYS, _YEARS, _time)" if time is None else f"{endpoint}_STATUS (or _event)"
            )
            mistakes.add([f"{where}.endpoint: {endpoint} needs the column {wanted}; {suggestion(endpoint, there)}"])
            continue
        with mistakes.keep():
            table[f"{endpoint}_time"] = _time(time, TIMES[time.rsplit("_", 1)[1].upper()], raw, columns, where)
        with mistakes.keep():
            table[f"{endpoint}_event"] = _event(event, raw)
        names[endpoint] = time
        used |= {time: f"stands in {endpoint}_time", event: f"stands in {endpoint}_event"}
    for endpoint, name in milestones.items():
        if name not in raw.clinical:
            known = [str(column) for column in raw.clinical.columns]
            mistakes.add([f"{where}.milestones: {endpoint}: there is no column {name}; {suggestion(name, known)}"])
            continue
        ending = name.rsplit("_", 1)[-1].upper()
        with mistakes.keep():
            milestones_at[endpoint] = _time(name, TIMES.get(ending, 1.0), raw, columns, where)
        names[endpoint] = name
        used[name] = f"stands in {endpoint}_time"
    mistakes.tell()
    for endpoint, time_of in milestones_at.items():
        table[f"{endpoint}_time"] = time_of.fillna(table[f"{primary}_time"])
        known_end = table[f"{primary}_time"].notna()
        table[f"{endpoint}_event"] = time_of.notna().astype("float64").where(time_of.notna() | known_end)

    for endpoint in names:
        notes += _complete_pairs(table, endpoint)
        notes += _raise_zeros(table, endpoint)
    for endpoint in names:
        if endpoint != primary:
            with mistakes.keep():
                notes += _within_follow_up(table, endpoint, primary, repair, raw, names)
    if not (table[f"{primary}_event"] == 1).any():
        mistakes.add([
            f"{raw.column(str(_find(raw, primary, EVENTS)))}: none of {len(raw.clinical)} patients has an event "
            f"of the primary endpoint {primary}; check how events are written, or choose another endpoint"
        ])  # fmt: skip
    mistakes.tell()
    return pd.DataFrame(table, index=raw.clinical.index), used, notes


def _complete_pairs(table: dict[str, pd.Series], endpoint: str) -> list[str]:
    """An endpoint is known as a pair: a time without event, or an event without time, is missing."""
    time, event = table[f"{endpoint}_time"], table[f"{endpoint}_event"]
    half = time.isna() != event.isna()
    table[f"{endpoint}_time"], table[f"{endpoint}_event"] = time.mask(half), event.mask(half)
    notes = []
    if half.any():
        notes.append(f"{endpoint}: only time or only event recorded, taken as missing: {', '.join(half.index[half])}")
    missing = int(table[f"{endpoint}_time"].isna().sum())
    if missing:
        notes.append(f"{endpoint}: missing in {missing} of {len(time)} patients")
    return notes


def _raise_zeros(table: dict[str, pd.Series], endpoint: str) -> list[str]:
    """A time of zero becomes half of the step in which times were recorded: the event came within the first step."""
    time = table[f"{endpoint}_time"]
    zero = time == 0
    if not zero.any():
        return []
    half = (find_grain(time, TIME_STEPS) or DAY) / 2
    table[f"{endpoint}_time"] = time.mask(zero, half)
    return [
        f"{endpoint}: time 0 raised to {half:.4g} months (half of the recording step): {', '.join(zero.index[zero])}"
    ]


def _within_follow_up(
    table: dict[str, pd.Series], endpoint: str, primary: str, repair: bool, raw: Raw, names: Mapping[str, str]
) -> list[str]:
    """No endpoint ends after the primary one."""
    time, end = table[f"{endpoint}_time"], table[f"{primary}_time"]
    late = time > end
    wrong = time > end + SLACK
    if wrong.any() and not repair:
        patient = _first(wrong)
        raise InputError(
            f"{raw.value(names[endpoint], patient)}: {endpoint} at {time[patient]:.4g} months is later than the end of "
            f"{primary} at {end[patient]:.4g} months ({int(wrong.sum())} such patients); mend them, or set "
            f"`repair: true` to end {endpoint} with {primary}"
        )
    table[f"{endpoint}_time"] = time.mask(late, end)
    if not late.any():
        return []
    return [f"{endpoint}: time later than {primary}, set to the time of {primary}: {', '.join(late.index[late])}"]


def find_sources(raw: Raw, endpoints: list[str], milestones: Mapping[str, str]) -> list[str]:
    """The columns of the table that hold these endpoints, as far as they are there."""
    found = [_find(raw, endpoint, endings) for endpoint in endpoints for endings in (tuple(TIMES), EVENTS)]
    return [name for name in [*found, *milestones.values()] if name is not None and name in raw.clinical]


def find_further(
    raw: Raw,
    endpoints: list[str],
    milestones: Mapping[str, str],
    columns: Mapping[str, Any],
    excluded: Mapping[str, str],
    repair: bool,
    where: str,
) -> tuple[list[str], dict[str, str]]:
    """The endpoints with every other pair of time and event that the table holds, as secondary endpoints.

    Returns:
        endpoints: those given, then the others in table order. reasons: columns of the pairs that cannot be taken.
    """
    read(raw, endpoints, milestones, columns, repair, where)
    found, reasons = list(endpoints), dict[str, str]()
    known = {name.upper() for name in [*endpoints, *milestones]}
    for column in map(str, raw.clinical.columns):
        stem, _, ending = column.rpartition("_")
        if ending.upper() not in TIMES or stem.upper() in known or not PAIRS.fullmatch(stem.lower().replace(" ", "_")):
            continue
        time, event = _find(raw, stem, tuple(TIMES)), _find(raw, stem, EVENTS)
        if time is None or event is None or any(name in excluded or name in columns for name in (time, event)):
            continue
        known.add(stem.upper())
        try:
            table, _, _ = read(raw, [*endpoints, stem], milestones, columns, repair, where)
        except InputError as error:
            reasons |= dict.fromkeys((time, event), f"no secondary endpoint: {error}")
            continue
        if not (table[f"{stem}_event"] == 1).any():
            reasons |= dict.fromkeys((time, event), "no secondary endpoint: no patient has an event")
            continue
        found.append(stem)
    return found, reasons


def find_restated(raw: Raw, used: Mapping[str, str], table: pd.DataFrame) -> dict[str, str]:
    """Columns that repeat the outcome, by their name or because they agree with it, with the reason."""
    found = {}
    for name in map(str, raw.clinical.columns):
        if name in used:
            continue
        text = raw.clinical[name]
        spelt = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
        levels = set(text.dropna().str.lower().unique())
        if find_words(RESTATED, spelt):
            found[name] = "the outcome in other words: its name speaks of death, follow-up, or a time until an event"
        elif len(levels) <= 6 and levels & DEAD_OR_ALIVE:
            found[name] = "the outcome in other words: it says who died"
        elif why := _agrees(text, table):
            found[name] = f"the outcome in other words: {why}"
    return found


def _agrees(text: pd.Series, table: pd.DataFrame) -> str | None:
    """How a column agrees with an endpoint, its event, or its time; None where it does not."""
    number, recorded = numbers(text).to_numpy(), text.notna().to_numpy()
    for endpoint in dict.fromkeys(str(column).rsplit("_", 1)[0] for column in table.columns):
        time, event = (table[f"{endpoint}_{part}"].to_numpy("float64") for part in ("time", "event"))
        known = ~np.isnan(event)
        if min((event == 1).sum(), (event == 0).sum()) < 10:
            continue
        with_event = float((recorded[known] == (event[known] == 1)).mean())
        if max(with_event, 1 - with_event) >= AGREES:
            return f"it is recorded {'only' if with_event > 0.5 else 'unless'} where {endpoint} has its event"
        both = known & recorded
        levels = text[both].unique()
        if len(levels) == 2 and both.sum() >= 20 and len(np.unique(event[both])) == 2:
            same = float(((text[both] == levels[0]).to_numpy() == (event[both] == 1)).mean())
            if max(same, 1 - same) >= AGREES:
                return f"it says the event of {endpoint}"
        both = ~np.isnan(number) & (time > 0)
        if both.sum() >= 20 and len(np.unique(number[both])) > 10:
            ratio = float(np.median(number[both] / time[both]))
            near = np.abs(number[both] - ratio * time[both]) <= 0.02 * abs(ratio) * time[both] + 0.51
            if ratio > 0 and number[both].std() > 5 and near.mean() >= AGREES:
                return f"it is the time of {endpoint}"
    return None


def find_unlisted(raw: Raw, used: Mapping[str, str]) -> dict[str, str]:
    """Columns that look like follow-up but belong to no endpoint of the study, with the reason to leave them out."""
    found = {}
    for name in map(str, raw.clinical.columns):
        stem, _, ending = name.rpartition("_")
        if name in used or not stem:
            continue
        if ending.upper() in EVENTS and (other := _find(raw, stem, tuple(TIMES))):
            if other not in used:
                found[name] = f"event of {stem}, which the study does not list under `endpoint`"
        elif ending.upper() in TIMES and (_find(raw, stem, EVENTS) or re.fullmatch(OUTCOMES, stem.lower())):
            found[name] = f"time of {stem}, which the study lists neither under `endpoint` nor under `milestones`"
    return found
