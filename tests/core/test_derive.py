"""Derived columns: published cut-offs, what missing parents may decide, and mistakes in rules."""

import numpy as np
import pandas as pd
import pytest

from haemosynth.core.cohort import Cohort
from haemosynth.core.derive import derive, find_parents
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema

NAN = np.nan


def computed(rule, columns, alterations=None, categories=(), kind="ordinal", parents_kind="continuous"):
    """The derived column `x` of a cohort with these numeric columns and alterations."""
    n = len(next(iter((columns or alterations).values())))
    index = pd.Index([f"p{i}" for i in range(n)], name="patient_id")
    schema = Schema(
        "c",
        {**{name: Column(parents_kind) for name in columns}, "x": Column(kind, categories=categories, derived=rule)},
        alterations=dict.fromkeys(alterations or {}, "cytogenetic"),
    )
    clinical = pd.DataFrame({**columns, "x": [None] * n}, index=index)
    if alterations is None:
        cohort = Cohort(schema, clinical)
    else:
        matrix = pd.DataFrame(alterations, index=index, dtype="float64")
        cohort = Cohort.of(schema, clinical, matrix, pd.Series(True, index=index), pd.DataFrame())
    return [None if pd.isna(value) else value for value in derive(cohort).clinical["x"]]


def iss(beta2, albumin):
    return computed(
        "iss(beta2_microglobulin, albumin)",
        {"beta2_microglobulin": beta2, "albumin": albumin},
        categories=("I", "II", "III"),
    )


def test_iss_has_the_published_cut_offs():
    """Greipp 2005: I below 3.5 mg/L with at least 35 g/L; III from 5.5 mg/L; II neither."""
    assert iss([3.49, 3.49, 3.5, 5.49, 5.5, 9.0], [35.0, 34.9, 45.0, 20.0, 45.0, 20.0]) == [
        "I", "II", "II", "II", "III", "III",
    ]  # fmt: skip


def test_iss_is_missing_only_where_the_missing_value_decides():
    assert iss([6.0, 4.0, 3.0, NAN, NAN], [NAN, NAN, NAN, 40.0, 20.0]) == ["III", "II", None, None, None]


def r_iss(beta2, albumin, ldh, event, other=None):
    n = len(beta2)
    index = pd.Index([f"p{i}" for i in range(n)], name="patient_id")
    levels = ("I", "II", "III")
    schema = Schema(
        "c",
        {
            "b": Column("continuous"),
            "a": Column("continuous"),
            "LDH": Column("continuous"),
            "ISS": Column("ordinal", categories=levels, derived="iss(b, a)"),
            "R_ISS": Column("ordinal", categories=levels, derived="r_iss(ISS, LDH, 250, 'del(17p)', 't(4;14)')"),
        },
        alterations={"del(17p)": "cytogenetic", "t(4;14)": "cytogenetic"},
    )
    clinical = pd.DataFrame({"b": beta2, "a": albumin, "LDH": ldh, "ISS": None, "R_ISS": None}, index=index)
    events = pd.DataFrame({"del(17p)": event, "t(4;14)": other or [0.0] * n}, index=index)
    cohort = derive(Cohort.of(schema, clinical, events, pd.Series(True, index=index), pd.DataFrame()))
    values = cohort.clinical["R_ISS"]
    assert values.cat.ordered
    assert list(values.cat.categories) == list(levels)
    return [None if pd.isna(value) else value for value in values]


ONE, TWO, THREE = (3.0, 40.0), (4.0, 40.0), (6.0, 40.0)


def staged(*rows):
    stages, ldh, event = zip(*rows, strict=True)
    beta2, albumin = zip(*stages, strict=True)
    return r_iss(beta2, albumin, ldh, event)


def test_r_iss_as_published():
    """Palumbo 2015: I needs ISS I, normal LDH and no event; III needs ISS III and high LDH or an event."""
    assert staged((ONE, 250.0, 0.0), (ONE, 251.0, 0.0), (ONE, 200.0, 1.0)) == ["I", "II", "II"]
    assert staged((TWO, 200.0, 0.0), (TWO, 900.0, 1.0)) == ["II", "II"]
    assert staged((THREE, 250.0, 0.0), (THREE, 251.0, 0.0), (THREE, 200.0, 1.0)) == ["II", "III", "III"]


def test_r_iss_is_missing_only_where_the_missing_value_decides():
    assert staged((ONE, NAN, 0.0), (ONE, 200.0, NAN), (ONE, NAN, 1.0)) == [None, None, "II"]
    assert staged((TWO, NAN, NAN)) == ["II"]
    assert staged((THREE, NAN, 0.0), (THREE, NAN, 1.0), (THREE, 300.0, NAN)) == [None, "III", "III"]
    assert staged(((NAN, 40.0), 200.0, 0.0)) == [None]


def test_r_iss_takes_any_of_its_events():
    assert r_iss([6.0, 6.0], [40.0, 40.0], [200.0, 200.0], [0.0, NAN], other=[1.0, 1.0]) == ["III", "III"]


def test_count_at_least_leaves_open_what_unknown_events_could_decide():
    events = {
        "e1": [1, 1, 1, 0, 0, NAN, NAN],
        "e2": [1, 0, NAN, 0, NAN, NAN, 1],
        "e3": [0, 0, 0, 0, 0, NAN, 1],
    }
    found = computed("count_at_least(2, e1, e2, e3)", {}, events, ("No", "Yes"), "binary")
    assert found == ["Yes", "No", None, "No", "No", None, "Yes"]


def test_present_is_never_missing():
    assert computed("present(day)", {"day": [3.0, NAN, 0.0]}, categories=("No", "Yes"), kind="binary") == [
        "Yes", "No", "Yes",
    ]  # fmt: skip


def test_derived_columns_replace_what_stood_there_and_change_nothing_else():
    schema = Schema(
        "c", {"day": Column("continuous"), "had": Column("binary", categories=("No", "Yes"), derived="present(day)")}
    )
    clinical = pd.DataFrame({"day": [1.0, NAN], "had": ["No", "Yes"]}, index=pd.Index(["p", "q"], name="patient_id"))
    cohort = derive(Cohort(schema, clinical))
    assert list(cohort.clinical["had"]) == ["Yes", "No"]
    assert list(clinical["had"]) == ["No", "Yes"]
    assert derive(cohort).clinical.equals(cohort.clinical)


def test_rules_are_read_with_quoted_names_and_numbers():
    assert find_parents("r_iss(ISS, LDH, 250, 'del(17p)')", "here") == ("r_iss", ["ISS", "LDH", 250.0, "del(17p)"])


@pytest.mark.parametrize("rule", ["iss", "iss(a, b", "iss(a + b)", "iss(a=1)", "a.iss(b)", ""])
def test_an_unreadable_rule_is_told(rule):
    with pytest.raises(InputError, match="derived column x: cannot read the rule"):
        find_parents(rule, "derived column x")


def test_an_unknown_rule_or_parent_is_told():
    with pytest.raises(InputError, match="unknown rule 'ipss'; expected one of present"):
        find_parents("ipss(a)", "derived column x")
    with pytest.raises(InputError, match="derived column x: its rule names albumin, which is neither"):
        computed("iss(b, albumin)", {"b": [1.0]}, categories=("I", "II", "III"))
