"""How quotas are written in a study: what can be checked of them without the patients.

This file imports nothing heavy: the workflow reads it while it builds its graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haemosynth.core.errors import InputError

DECLARED, CLASSES, EVEN, OTHERS = "declared", "class", "even", "others"
PRESENT, ABSENT = "present", "absent"


def check_balance(config: Mapping[str, Any]) -> None:
    """Check a study's `balance:` before any file is read.

    Raises:
        InputError: a value that is no quota, a number of patients where the release has none, or a recipe whose
            guarantee the quotas would break.
    """
    balance = config.get("balance")
    if not balance:
        return
    if not [key for key in balance if key != DECLARED]:
        raise InputError("config: balance: no quota is named; expected such as `balance: {SEX: even}`")
    for key, wanted in balance.items():
        if key == DECLARED:
            words = isinstance(wanted, Mapping) and set(wanted) == {"by", "reason"}
            if not words or not all(isinstance(text, str) and text.strip() for text in wanted.values()):
                raise InputError("config: balance.declared: expected {by: who answers for it, reason: why}, in words")
        elif wanted != EVEN:
            shares_of(
                str(key), wanted if isinstance(wanted, Mapping) else {PRESENT: wanted}, config["synthetic_patients"]
            )
    for name, recipe in config["generators"].items():
        methods = config["methods"]
        private = [
            method for modality, method in recipe.items()
            if str(methods.get(modality, {}).get(method, {}).get("algorithm", "")).startswith("private_")
        ]  # fmt: skip
        if private and name in config["compare"]:
            raise InputError(
                f"config: balance: {name} is differentially private, and quotas count the training patients of a class;"
                " leave it out of `compare`, or balance no study that has it"
            )


def shares_of(key: str, wanted: Mapping[Any, Any], patients: Any) -> dict[str, float]:
    """Category -> share of the release: a number with a point is a share, a whole number counts patients.

    Args:
        patients: the study's `synthetic_patients`.

    Raises:
        InputError: no number, a number of patients of a release whose size is not given, or more than all patients.
    """
    found: dict[str, float] = {}
    for name, value in wanted.items():
        where = f"balance.{key}" + (f".{name}" if name != PRESENT else "")
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise InputError(f"{where}: expected a share such as 0.3, a number of patients, or {EVEN}; found {value!r}")
        if isinstance(value, int) and value > 0:
            if not isinstance(patients, int):
                raise InputError(
                    f"{where}: {value} counts patients, so the study must say of how many: `synthetic_patients: 1000`; "
                    "or give a share, such as 0.2"
                )
            value = value / patients
        found[str(name)] = float(value)
    if sum(found.values()) > 1 + 1e-9:
        raise InputError(
            f"balance.{key}: the quotas sum to {sum(found.values()):.3g} of the patients; expected at most 1"
        )
    return found
