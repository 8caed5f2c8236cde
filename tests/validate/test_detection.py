"""The two-sample test is blind to patients of the same cohort and sees what is planted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from haemosynth.validate.stages import detection

QUICK = {"trees": 40, "folds": 3}


def test_auc_equals_scikit_learns():
    rng = np.random.default_rng(1)
    answer = (rng.random(80) < 0.4).astype(float)
    score = np.round(rng.normal(size=80) + answer, 1)
    assert detection.auc(answer, score) == pytest.approx(roc_auc_score(answer, score))


def test_real_patients_cannot_be_told_from_real_patients(comparison, measured):
    found = measured(detection, comparison, **QUICK)
    assert {key[2] for key in found} == {"clinical", "genomic", "joint"}
    for value in found.values():
        assert value == pytest.approx(0.5, abs=0.08)


def test_shuffled_columns_are_seen_by_trees_and_not_by_a_linear_model(shuffled, measured):
    found = measured(detection, shuffled, **QUICK)
    for modality in ("clinical", "genomic", "joint"):
        assert found["auc", "all", modality] > 0.7
    assert found["logistic_auc", "all", "clinical"] == pytest.approx(0.5, abs=0.1)


def test_endpoints_that_contradict_each_other_are_seen(comparison, measured):
    clinical = comparison.candidate.clinical.copy()
    order = np.random.default_rng(2).permutation(len(clinical))
    for name in ("PFS_time", "PFS_event"):
        clinical[name] = clinical[name].to_numpy()[order]
    planted = replace(comparison, candidate=replace(comparison.candidate, clinical=clinical))
    real, found = (measured(detection, side)["auc", "all", "clinical"] for side in (comparison, planted))
    assert found > real + 0.08


def test_values_never_missing_are_seen(comparison, measured):
    clinical = comparison.candidate.clinical.copy()
    clinical["LDH"] = clinical["LDH"].fillna(clinical["LDH"].median())
    planted = replace(comparison, candidate=replace(comparison.candidate, clinical=clinical))
    found = measured(detection, planted, **QUICK)
    assert found["auc", "all", "clinical"] > 0.55
    assert found["auc", "all", "genomic"] == pytest.approx(
        measured(detection, comparison, **QUICK)["auc", "all", "genomic"]
    )


def test_folds_are_disjoint_complete_and_even():
    answer = np.repeat([0.0, 1.0], [53, 47])
    folds = detection._folds(answer, 5, np.random.default_rng(0))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(100))
    for train, test in folds:
        assert not set(train) & set(test)
        assert abs(answer[test].sum() - 47 / 5) < 1


def test_a_linear_design_has_no_missing_value_and_unit_spread(comparison):
    found, _ = detection.make_tables(comparison)
    for _, matrix, nominal in found.values():
        design = detection.expand(matrix, nominal)
        assert np.isfinite(design).all()
        assert design.std(axis=0) == pytest.approx(np.ones(design.shape[1]))


def test_the_column_that_gives_them_away_leads_the_figure(comparison):
    clinical = comparison.candidate.clinical.copy()
    clinical["calcium"] = clinical["calcium"] + 1.5
    planted = replace(comparison, candidate=replace(comparison.candidate, clinical=clinical))
    columns = ["metric", "target", "modality", "value", "low", "high", "n", "status", "reason"]
    figure = detection.figure(planted, pd.DataFrame(columns=columns), detection.DEFAULTS, "planted")
    assert figure.axes[1].get_yticklabels()[0].get_text() == "calcium"


def test_a_handful_of_patients_is_not_applicable(comparison):
    few = replace(comparison, real=comparison.real.take(range(10)))
    values = detection.measure(few, detection.DEFAULTS, np.random.default_rng(0))
    assert all(np.isnan(value.value) and "fewer than 25" in value.reason for value in values)
