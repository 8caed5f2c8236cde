"""Correlations see what shuffling loses and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from haemosynth.encode.design import code_levels
from haemosynth.modalities.clinical.stages import correlations
from haemosynth.stats.association import association_matrix
from haemosynth.validate.resampling import prepare_comparison


def test_identical_patients_agree_perfectly(identical, scored):
    found = scored(correlations, identical)
    assert {key[2] for key in found} == {"clinical", "joint"}
    for (metric, _, _), value in found.items():
        assert value == pytest.approx(0 if metric.endswith("error") else 1, abs=1e-9)
    assert {metric for metric, _, _ in found} >= {
        "pearson_error",
        "spearman_error",
        "kendall_error",
        "spread_agreement",
    }


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
    planted = replace(identical, candidate=identical.candidate.replace(alterations=alterations))
    found = measured(correlations, planted)
    assert found["association_error", "all", "clinical"] == pytest.approx(0, abs=1e-9)
    assert found["association_agreement", "all", "joint"] < 0.3


def test_a_cohort_of_one_column_is_not_applicable(identical):
    small = replace(identical.real.schema, columns={"age": identical.real.schema.columns["age"]}, endpoints=())
    cohort = replace(identical.real, schema=small, clinical=identical.real.clinical[["age"]]).record()
    small = replace(identical, real=cohort, candidate=cohort, train=cohort)
    small = prepare_comparison(correlations, small, correlations.DEFAULTS, lambda *names: np.random.default_rng(0))
    values = correlations.measure(small, correlations.DEFAULTS, np.random.default_rng(0))
    reasons = {value.reason for value in values if value.metric != "spread_rejection"}
    assert reasons == {"fewer than 3 pairs can be read in real patients"}
    assert next(value.value for value in values if value.metric == "spread_rejection") == 0


def test_coefficients_equal_scipys(comparison):
    settings = correlations.DEFAULTS
    ready = prepare_comparison(correlations, comparison, settings, lambda *names: np.random.default_rng(0))
    design = code_levels(ready.real.schema, ready.real.clinical, ready.candidate.clinical)
    real, candidate = (association_matrix(matrix, design.nominal) for matrix in design.matrices)
    found = correlations.compute_coefficients(
        design, ready, settings["kendall_rows"], np.random.default_rng(0), (real, candidate)
    )
    names = [name for name in design.columns if name in ready.prepared]
    for first, second in (("age", "haemoglobin"), ("creatinine", "beta2_microglobulin"), ("OS_time", "PFS_time")):
        known = ready.real.clinical[[first, second]].dropna()
        i, j = names.index(first), names.index(second)
        winsorised = [known[name].clip(*ready.prepared[name]) for name in known]
        assert found["pearson"][0][i, j] == pytest.approx(stats.pearsonr(*winsorised).statistic)
        assert found["spearman"][0][i, j] == pytest.approx(stats.spearmanr(known[first], known[second]).statistic)
        assert found["kendall"][0][i, j] == pytest.approx(stats.kendalltau(known[first], known[second]).statistic)


def test_numbers_drawn_to_their_mean_within_a_group_are_seen_by_spread(identical, measured):
    clinical = identical.real.clinical.copy()
    whole = measured(correlations, identical)
    assert whole["spread_rejection", "all", "clinical"] == 0
    for name in ("haemoglobin", "calcium", "albumin", "age"):
        middle = clinical[name].median()
        women = clinical["sex"] == "Female"
        clinical.loc[women, name] = middle + 0.3 * (clinical.loc[women, name] - middle)
    planted = measured(correlations, replace(identical, candidate=replace(identical.candidate, clinical=clinical)))
    assert planted["spread_agreement", "all", "clinical"] < 0.7
    assert planted["spread_rejection", "all", "clinical"] > 0.2


def test_spread_is_rejected_at_its_level_for_fresh_patients_and_more_for_other_ones(comparison, measured):
    fresh = measured(correlations, comparison)["spread_rejection", "all", "clinical"]
    clinical = comparison.candidate.clinical.copy()
    for name in comparison.real.schema.of_kind("continuous", "integer"):
        clinical[name] = clinical[name].median() + 0.5 * (clinical[name] - clinical[name].median())
    narrow = measured(correlations, replace(comparison, candidate=replace(comparison.candidate, clinical=clinical)))
    assert fresh < 0.2
    assert narrow["spread_rejection", "all", "clinical"] > 0.7
