"""Hard constraints: found where broken, mended, and nothing else is touched."""

from dataclasses import replace

import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.generate.constraints import check, enforce


def broken(**columns):
    cohort = small_cohort()
    clinical = cohort.clinical.copy()
    for name, value in columns.items():
        clinical.loc[clinical.index[0], name] = value
    return replace(cohort, clinical=clinical)


def test_a_sound_cohort_is_not_changed():
    cohort = small_cohort()
    assert check(cohort) == []
    pd.testing.assert_frame_equal(enforce(cohort).clinical, cohort.clinical)
    pd.testing.assert_frame_equal(enforce(cohort).mutations, cohort.mutations)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"age": 130.0}, "age above"),
        ({"albumin": -3.0}, "albumin below"),
        ({"age": 60.5}, "age not in steps of 1"),
        ({"OS_time": 0.0}, "OS_time not above 0"),
        ({"PFS_time": 900.0}, "PFS_time after OS_time"),
        ({"OS_event": 0.3}, "neither 0 nor 1"),
        ({"OS_event": float("nan")}, "without event"),
        ({"beta2_microglobulin": 30.0, "ISS": "I"}, "ISS differs"),
    ],
)
def test_what_is_broken_is_found_and_mended(columns, words):
    cohort = broken(**columns)
    assert any(words in line and "first" in line for line in check(cohort))
    assert check(enforce(cohort)) == []


def test_mutations_need_a_carrier():
    cohort = small_cohort()
    gene, patient = cohort.mutations.loc[0, ["gene", "patient_id"]]
    alterations = cohort.alterations.copy()
    alterations.loc[patient, gene] = 0.0
    cohort = cohort.replace(alterations=alterations)
    assert any("do not carry" in line for line in check(cohort))
    assert check(enforce(cohort)) == []


def test_genes_of_patients_who_were_not_sequenced_are_unknown():
    cohort = small_cohort()
    sequenced = cohort.sequenced.copy()
    sequenced.iloc[:5] = False
    mended = enforce(cohort.replace(sequenced=sequenced))
    assert mended.alterations[cohort.schema.genes].iloc[:5].isna().all().all()
    assert check(mended) == []


def test_inferred_follow_up_of_training_patients_is_no_limit_and_a_declared_one_is():
    cohort = broken(OS_time=500.0)
    column = cohort.schema.columns["OS_time"]

    def with_time(column):
        schema = cohort.schema.with_columns({**cohort.schema.columns, "OS_time": column})
        return replace(cohort, schema=schema)

    inferred = with_time(replace(column, high=119.7, declared=("kind",)))
    declared = with_time(replace(column, high=119.7, declared=("kind", "high")))
    assert check(inferred) == []
    assert enforce(inferred).clinical["OS_time"].iloc[0] == 500.0
    assert any("OS_time above" in line for line in check(declared))
    assert enforce(declared).clinical["OS_time"].max() == 119.7
