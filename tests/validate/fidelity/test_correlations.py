"""Correlations see what shuffling loses and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from haemosynth.validate.fidelity import correlations


def test_identical_patients_agree_perfectly(identical, scored):
    found = scored(correlations, identical)
    assert {key[2] for key in found} == {"clinical", "joint"}
    for (metric, _, _), value in found.items():
        assert value == pytest.approx(0 if metric.endswith("error") else 1, abs=1e-9)


def test_real_patients_are_better_than_shuffled_columns(comparison, shuffled, scored):
    real, floor = scored(correlations, comparison), scored(correlations, shuffled)
    for modality in ("clinical", "joint"):
        error, agreement = (f"association_{part}" for part in ("error", "agreement"))
        assert real[error, "all", modality] < 0.7 * floor[error, "all", modality]
        assert real[agreement, "all", modality] > 0.4
        assert floor[agreement, "all", modality] == pytest.approx(0, abs=0.15)


def test_a_reversed_column_is_seen_in_its_own_pairs(identical, measured):
    clinical = identical.real.clinical.copy()
    clinical["albumin"] = -clinical["albumin"]
    planted = replace(identical, candidate=replace(identical.candidate, clinical=clinical))
    found = measured(correlations, planted)
    moved = {key[1] for key, value in found.items() if key[0] == "association_difference" and abs(value) > 1e-9}
    assert moved
    assert all("albumin" in pair.split("~") for pair in moved)
    assert found["association_error", "all", "clinical"] > 0


def test_shuffling_alterations_among_patients_is_seen_by_the_joint_modality_alone(identical, measured):
    order = np.random.default_rng(2).permutation(len(identical.real))
    alterations = identical.real.alterations.iloc[order].set_axis(identical.real.patients)
    planted = replace(identical, candidate=replace(identical.candidate, alterations=alterations))
    found = measured(correlations, planted)
    assert found["association_error", "all", "clinical"] == pytest.approx(0, abs=1e-9)
    assert found["association_agreement", "all", "joint"] < 0.3


def test_a_cohort_of_one_column_is_not_applicable(identical):
    small = replace(identical.real.schema, columns={"age": identical.real.schema.columns["age"]}, endpoints=())
    cohort = replace(identical.real, schema=small, clinical=identical.real.clinical[["age"]]).clinical_only()
    values = correlations.measure(
        replace(identical, real=cohort, candidate=cohort), correlations.DEFAULTS, np.random.default_rng(0)
    )
    assert {value.reason for value in values} == {"fewer than 3 pairs can be read in real patients"}
