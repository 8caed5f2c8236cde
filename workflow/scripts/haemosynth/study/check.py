"""All mistakes of a study at once, before anything is run: its settings and every file of every cohort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError, Mistakes
from haemosynth.core.schema import Schema
from haemosynth.core.streams import stream
from haemosynth.generate.balance import read_checked
from haemosynth.modalities.registry import ALONE, FURTHER, RECORD, load
from haemosynth.study.settings import check, expand_paths, source
from haemosynth.study.split import split

RECORDS = load(RECORD, "ingest")
PASTED = RECORDS.KEYS | RECORDS.FOLDER_KEYS | RECORDS.TABLE_KEYS
NEEDED = {"format", "path", "endpoint"}  # without them there is no cohort


@dataclass
class Checked:
    """What the check of one cohort found: a line for every mistake, and where there is none what was read."""

    name: str
    entry: Mapping[str, Any]
    mistakes: list[str] = field(default_factory=list)
    cohort: Cohort | None = None
    left: dict[str, pd.DataFrame] = field(default_factory=dict)


def check_study(config: Mapping[str, Any], rules: Mapping[str, Any], root: Path) -> tuple[list[str], list[Checked]]:
    """Check the settings of a study and read its cohorts, as the run would.

    Args:
        config: the settings over the defaults. rules: their JSON schema. root: of the checkout.

    Returns:
        mistakes: of the settings. cohorts: what each cohort holds.
    """
    settings = Mistakes()
    with settings.kept():
        check(config, rules)
    cohorts = config["cohorts"] if isinstance(config.get("cohorts"), Mapping) else {}
    return settings.lines, [
        check_cohort(config, str(name), root) for name, entry in cohorts.items() if isinstance(entry, Mapping)
    ]


def check_cohort(config: Mapping[str, Any], name: str, root: Path) -> Checked:
    """Read everything of one cohort and try its split; every mistake is kept, and what it leaves untouched goes on."""
    mistakes = Mistakes()
    written = dict(config["cohorts"][name])
    found = Checked(name, written)
    whole = dict(source(config, name))
    if isinstance(whole.get("modalities"), str):  # told with the settings
        whole["modalities"] = [RECORD]
    try:
        whole = expand_paths(whole, name)
    except InputError as error:
        found.mistakes = list(error.lines)
        return found
    patients: pd.Index | None = None
    if whole.get("format") == "simulated":
        with mistakes.keep():
            _simulate(name, whole, root)
    elif whole.get("format") in ALONE:
        with mistakes.keep():
            found.cohort = RECORDS.ingest(name, whole)
            patients = found.cohort.patients
    else:
        found.cohort, patients = _record(name, whole, mistakes)
    asked = whole.get("modalities") or []
    if whole.get("format") != "simulated" and patients is not None:
        bare = found.cohort or Cohort(Schema(name, {}), pd.DataFrame(index=pd.Index(patients, name="patient_id")))
        for modality in (further for further in FURTHER if further in asked):
            left = load(modality, "ingest").check(name, whole, bare, mistakes)
            if left is not None:
                found.left[modality] = left
    if found.cohort is not None and not mistakes.lines:
        _splits(config, name, whole, found.cohort, mistakes)
    found.mistakes = mistakes.lines
    return found


def _record(name: str, whole: Mapping[str, Any], mistakes: Mistakes) -> tuple[Cohort | None, pd.Index | None]:
    """The cohort, where it can be made, and its patients. Wrong keys are reported and then left aside."""
    wrong = RECORDS.faults(name, whole)
    for lines in wrong.values():
        mistakes.add(lines)
    if wrong.keys() & (NEEDED - {"endpoint"}):
        return None, None
    sound = {key: value for key, value in whole.items() if key not in wrong}
    try:
        raw = RECORDS.read_raw(sound)
    except InputError as error:
        mistakes.add(error.lines)
        return None, None
    if "endpoint" in wrong:
        mistakes.add(raw.mistakes)
        return None, raw.clinical.index
    try:
        return assemble_checked(name, sound, raw), raw.clinical.index
    except InputError as error:
        mistakes.add(error.lines)
        return None, raw.clinical.index


def assemble_checked(name: str, sound: Mapping[str, Any], raw: Any) -> Cohort:
    """The canonical cohort of tables that were read."""
    cohort: Cohort = load(RECORD, "ingest.canonical").assemble(name, sound, raw, RECORDS.asks_genomic(sound))
    return cohort


def _simulate(name: str, whole: Mapping[str, Any], root: Path) -> None:
    """A few simulated patients, for the mistakes of the entry."""
    number = whole.get("patients", 200)
    few = {**whole, "patients": min(number, 200)} if isinstance(number, int) and number > 0 else whole
    load(RECORD, "simulate").simulate_cohort(name, few, root / "resources", stream(0, "check"))


def _splits(config: Mapping[str, Any], name: str, whole: Mapping[str, Any], cohort: Cohort, mistakes: Mistakes) -> None:
    """The split of every seed, as the run draws it, and the quotas on its training patients."""
    fraction, seed = config.get("split", {}).get("train_fraction"), config.get("seed")
    if not isinstance(fraction, float) or not isinstance(seed, int):
        return  # told with the settings
    for replicate in config.get("seeds") or []:
        with mistakes.keep():
            train, _ = split(
                cohort,
                fraction,
                whole.get("stratify"),
                whole.get("panel"),
                stream(seed, "split", f"cohort={name}", f"seed={replicate}"),
                whole.get("winsorise"),
            )
            if isinstance(quotas := config.get("balance"), Mapping):
                read_checked(quotas, train, config.get("synthetic_patients"))


def find_advice(line: str) -> list[dict[str, Any]]:
    """The settings of a cohort that a line offers, in backticks, in their order."""
    found = []
    for text in line.split("`")[1::2]:
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError:
            continue
        if isinstance(content, dict) and content and set(content) <= PASTED and None not in content.values():
            found.append(content)
    return found


def mend(entry: Mapping[str, Any], lines: Iterable[str]) -> dict[str, Any]:
    """The keys of a cohort's entry that change, in full, with the first advice of every line taken."""
    changed: dict[str, Any] = {}
    for line in lines:
        for key, value in next(iter(find_advice(line)), {}).items():
            changed[key] = _join(changed.get(key, entry.get(key)), value)
    return changed


def _join(old: Any, new: Any) -> Any:
    """Two settings of one key as one: mappings and lists together, of others the newer."""
    if isinstance(old, Mapping) and isinstance(new, list):
        return {**old, **{name: "excluded by the study" for name in new if name not in old}}
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**old, **{key: _join(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *(value for value in new if value not in old)]
    return new


def format_entry(changed: Mapping[str, Any]) -> list[str]:
    """Settings as lines of YAML, to be pasted into a cohort's entry: one for each column or key."""
    lines: list[str] = []
    for key, value in changed.items():
        if isinstance(value, Mapping):
            lines.append(f"{key}:")
            lines += [f"  {_flow({name: one})}" for name, one in value.items()]
        else:
            lines.append(_flow({key: value}))
    return lines


def _flow(content: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(content), default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.strip()[1:-1]
