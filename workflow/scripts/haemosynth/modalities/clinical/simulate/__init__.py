"""Knowledge-based cohorts from published aggregates, with known truth: one file per disease, loaded when needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError, suggestion
from haemosynth.modalities.registry import FURTHER, NAMES

DISEASES = ("myeloma",)
DEFAULTS: dict[str, Any] = {
    "format": "simulated",
    "disease": "myeloma",
    "patients": 800,
    "endpoint": ["OS", "PFS"],
    "modalities": ["clinical", "genomic"],
    "missing": True,
    "panel": None,
    **dict.fromkeys(FURTHER),
    "note": None,
}


def simulate_cohort(
    name: str, source: Mapping[str, Any], resources: Path, rng: np.random.Generator
) -> tuple[Cohort, dict[str, Any]]:
    """Simulate the cohort `name` from the aggregates in `resources/<disease>/`.

    source: the study's entry for the cohort: `disease`, `patients` (how many), `endpoint` (OS, PFS or both, OS first),
    `modalities`, `missing` (false: a complete cohort); the keys of further modalities are checked by their `ingest`. A
    `panel` is accepted and changes nothing here: panels are chosen after the split, from training patients.

    Returns:
        The canonical cohort before any split, and the truth behind it as plain data for JSON.

    Raises:
        InputError: a key or value of `source` that is not known, or a table of aggregates that is wrong.
    """
    where = f"cohorts.{name}"
    for key in source:
        if key not in DEFAULTS:
            raise InputError(f"{where}: unknown key {key!r} of a simulated cohort; {suggestion(key, list(DEFAULTS))}")
    chosen = {**DEFAULTS, **source}
    if chosen["disease"] not in DISEASES:
        raise InputError(f"{where}.disease: {chosen['disease']!r} is unknown; expected one of {', '.join(DISEASES)}")
    patients = chosen["patients"]
    if isinstance(patients, bool) or not isinstance(patients, int) or patients < 1:
        raise InputError(f"{where}.patients: {patients!r} is not a number of patients; expected a whole number from 1")
    if not isinstance(chosen["missing"], bool):
        raise InputError(f"{where}.missing: {chosen['missing']!r}; expected true or false")
    endpoints = _choice(chosen["endpoint"], ("OS", "PFS"), f"{where}.endpoint")
    modalities = _choice(chosen["modalities"], NAMES, f"{where}.modalities")
    if endpoints == ("PFS", "OS"):
        raise InputError(f"{where}.endpoint: OS must come before PFS: no endpoint may be longer than the first")
    if "clinical" not in modalities:
        raise InputError(f"{where}.modalities: a simulated cohort needs the modality clinical")
    module = import_module(f"haemosynth.modalities.clinical.simulate.{chosen['disease']}")
    cohort, truth = module.simulate(
        name, patients, endpoints, "genomic" in modalities, chosen["missing"], resources / chosen["disease"], rng
    )
    return cohort, truth


def _choice(values: Any, known: tuple[str, ...], where: str) -> tuple[str, ...]:
    chosen = (values,) if isinstance(values, str) else tuple(values or ())
    wrong = [value for value in chosen if value not in known]
    if wrong or not chosen or len(set(chosen)) < len(chosen):
        told = f"{wrong[0]!r} is unknown" if wrong else f"{list(chosen)} is empty or repeats itself"
        raise InputError(f"{where}: {told}; expected one or more of {', '.join(known)}")
    return chosen
