"""Missingness sees rates, what is missing together, and in whom."""

from dataclasses import replace

import numpy as np
import pytest

from haemosynth.modalities.clinical.stages import missingness


def test_identical_patients_agree_perfectly(identical, scored):
    found = scored(missingness, identical)
    assert {key[2] for key in found} == {"clinical", "genomic", "joint"}
    for (metric, _, _), value in found.items():
        assert value == pytest.approx(0 if metric.endswith("error") else 1, abs=1e-9)


def test_shuffling_columns_keeps_rates_and_loses_what_is_missing_together(comparison, shuffled, scored):
    real, floor = scored(missingness, comparison), scored(missingness, shuffled)
    for modality in ("clinical", "genomic"):
        rate = ("missing_rate_error", "all", modality)
        assert real[rate] == pytest.approx(floor[rate])
        assert real["missing_together_error", "all", modality] < floor["missing_together_error", "all", modality]
        assert (
            real["missing_together_agreement", "all", modality]
            > floor["missing_together_agreement", "all", modality] + 0.2
        )


def test_a_changed_rate_is_seen_in_its_column_and_by_its_size(identical, measured):
    clinical = identical.real.clinical.copy()
    known = np.flatnonzero(clinical["age"].notna())
    clinical.iloc[known[:40], clinical.columns.get_loc("age")] = np.nan
    planted = replace(identical, candidate=replace(identical.candidate, clinical=clinical))
    found = measured(missingness, planted)
    wrong = {key[1]: value for key, value in found.items() if key[0] == "missing_rate_error" and value > 0}
    assert wrong.keys() == {"age", "all"}
    assert wrong["age"] == pytest.approx(40 / len(clinical))


def test_values_missing_in_other_patients_are_seen_only_by_missing_by_value(identical, scored):
    # Early deaths are the ones without LDH; then those who live long are.
    order = np.argsort(identical.real.clinical["OS_time"].to_numpy(), kind="stable")

    def without_ldh(patients):
        clinical = identical.real.clinical.copy()
        clinical["LDH"] = 200.0
        clinical.iloc[patients, clinical.columns.get_loc("LDH")] = np.nan
        return replace(identical.real, clinical=clinical)

    early, late = without_ldh(order[:100]), without_ldh(order[-100:])
    found = scored(missingness, replace(identical, real=early, candidate=late))
    assert found["missing_rate_error", "all", "clinical"] == pytest.approx(0)
    assert found["missing_by_value_error", "all", "clinical"] > 0.05
    same = scored(missingness, replace(identical, real=early, candidate=early))
    assert same["missing_by_value_error", "all", "clinical"] == pytest.approx(0)


def test_genes_count_once_as_not_sequenced(identical, measured):
    found = measured(missingness, identical)
    targets = {key[1] for key in found if key[2] == "genomic"}
    genes = set(identical.real.schema.genes)
    assert missingness.NOT_SEQUENCED in targets
    assert not targets & genes


def test_a_complete_table_is_not_applicable(identical):
    clinical = identical.real.clinical[["age", "sex"]].dropna()
    columns = {name: identical.real.schema.columns[name] for name in clinical}
    schema = replace(identical.real.schema, columns=columns, endpoints=())
    cohort = replace(identical.real, schema=schema, clinical=clinical).record()
    values = missingness.measure(
        replace(identical, real=cohort, candidate=cohort), missingness.DEFAULTS, np.random.default_rng(0)
    )
    assert all(np.isnan(value.value) and value.reason for value in values)


def test_wilson_interval_equals_scipys():
    from scipy.stats import binomtest

    low, high = missingness.wilson(np.array([0.0, 7.0, 50.0]), 50)
    for count, a, b in zip((0, 7, 50), low, high, strict=True):
        expected = binomtest(count, 50).proportion_ci(method="wilson")
        assert (a, b) == pytest.approx((expected.low, expected.high), abs=1e-9)
