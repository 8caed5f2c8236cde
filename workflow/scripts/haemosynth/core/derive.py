"""Derived columns: recomputed from their parents, never sampled.

A rule reads `name(argument, ...)`; arguments are clinical columns, alterations, or numbers.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.errors import InputError

Argument = pd.Series | float


def _present(values: pd.Series) -> pd.Series:
    """Yes where a value was recorded, else No (a transplant date, a relapse date)."""
    return pd.Series(np.where(values.notna(), "Yes", "No"), index=values.index)


def _count_at_least(least: float, *events: pd.Series) -> pd.Series:
    """Yes where at least `least` of the events are present; missing where the unknown ones could decide."""
    table = pd.concat(events, axis=1)
    present, unknown = (table == 1).sum(axis=1), table.isna().sum(axis=1)
    answer = pd.Series(np.where(present >= least, "Yes", "No"), index=table.index, dtype="object")
    return answer.mask((present < least) & (present + unknown >= least))


def _iss(beta2_microglobulin: pd.Series, albumin: pd.Series) -> pd.Series:
    """International Staging System of myeloma, from beta-2 microglobulin (mg/L) and albumin (g/L).

    Greipp et al., J Clin Oncol 2005;23:3412: I below 3.5 mg/L with albumin at least 35 g/L, III from 5.5 mg/L,
    II otherwise. Missing where a missing value could decide.
    """
    b, a = beta2_microglobulin, albumin
    stage = pd.Series(
        np.where(b >= 5.5, "III", np.where((b < 3.5) & (a >= 35), "I", "II")), index=b.index, dtype="object"
    )
    return stage.mask(b.isna() | ((b < 3.5) & a.isna()))


def _r_iss(iss: pd.Series, ldh: pd.Series, limit: float, *high_risk: pd.Series) -> pd.Series:
    """Revised ISS, from ISS, LDH (U/L, above `limit` is high) and high-risk cytogenetic events.

    Palumbo et al., J Clin Oncol 2015;33:2863: I is ISS I with normal LDH and no high-risk event, III is ISS III with
    high LDH or a high-risk event, II otherwise. Missing where a missing value could decide.
    """
    events = pd.concat(high_risk, axis=1)
    level = iss.astype("object")
    adverse = (ldh > limit) | (events == 1).any(axis=1)
    unsure = ~adverse & (ldh.isna() | events.isna().any(axis=1))
    stage = pd.Series("II", index=iss.index, dtype="object")
    stage = stage.mask((level == "I") & ~adverse, "I").mask((level == "III") & adverse, "III")
    return stage.mask(level.isna() | (level.isin(["I", "III"]) & unsure))


RULES: dict[str, Callable[..., pd.Series]] = {
    "present": _present,
    "count_at_least": _count_at_least,
    "iss": _iss,
    "r_iss": _r_iss,
}


def find_parents(rule: str, where: str) -> tuple[str, list[str | float]]:
    """Split a rule into its name and arguments.

    Raises:
        InputError: the rule cannot be read or is not known.
    """
    try:
        call = ast.parse(rule, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
            raise SyntaxError
        arguments: list[str | float] = []
        for node in call.args:
            if isinstance(node, ast.Name):
                arguments.append(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
                arguments.append(float(node.value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                arguments.append(node.value)  # a quoted name, such as 't(4;14)'
            else:
                raise SyntaxError
    except SyntaxError:
        raise InputError(f"{where}: cannot read the rule {rule!r}; expected name(column, ...)") from None
    if call.func.id not in RULES:
        raise InputError(f"{where}: unknown rule {call.func.id!r}; expected one of {', '.join(RULES)}")
    return call.func.id, arguments


def derive(cohort: Cohort) -> Cohort:
    """The cohort with every derived column recomputed, in schema order (a rule may use derived columns before it).

    Raises:
        InputError: a rule names a column or alteration that the cohort lacks.
    """
    clinical = cohort.clinical.copy()
    for name, column in cohort.schema.columns.items():
        if column.derived is None:
            continue
        where = f"derived column {name}"
        rule, names = find_parents(column.derived, where)
        clinical[name] = RULES[rule](*_arguments(names, clinical, cohort.alterations, where))
    return Cohort.of(
        cohort.schema, set_types(clinical, cohort.schema), cohort.alterations, cohort.sequenced, cohort.mutations
    )


def _arguments(
    names: Sequence[str | float], clinical: pd.DataFrame, alterations: pd.DataFrame | None, where: str
) -> list[Argument]:
    found: list[Argument] = []
    for name in names:
        if isinstance(name, float):
            found.append(name)
        elif name in clinical:
            found.append(clinical[name])
        elif alterations is not None and name in alterations:
            found.append(alterations[name])
        else:
            raise InputError(
                f"{where}: its rule names {name}, which is neither a column nor an alteration of the cohort"
            )
    return found
