"""Learners give the answers of independent implementations, and outcomes are what training patients say."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_small import small_cohort

from haemosynth.stats.learners import divide_stratified, fit_logistic
from haemosynth.stats.ranking import weighted_auc
from haemosynth.validate.stages import outcomes
from haemosynth.validate.stages.outcomes import Outcome, list_questions


@pytest.fixture(scope="module")
def weighted():
    rng = np.random.default_rng(0)
    covariates = rng.normal(size=(200, 4))
    answer = (rng.random(200) < 1 / (1 + np.exp(-covariates @ [1, -1, 0.5, 0]))).astype(float)
    return covariates, answer, rng.uniform(0, 3, 200)


@pytest.fixture(scope="module")
def asked():
    return list_questions(small_cohort(500, 3), outcomes.DEFAULTS)


def test_logistic_regression_is_that_of_scikit_learn(weighted):
    from sklearn.linear_model import LogisticRegression

    covariates, answer, weight = weighted
    ours = fit_logistic(covariates, answer, weight, ridge=4)
    theirs = LogisticRegression(C=1 / 4, tol=1e-10).fit(covariates, answer, sample_weight=weight)
    assert ours.log_odds == pytest.approx(theirs.coef_[0], abs=1e-5)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-5)


def test_one_answer_teaches_nothing(weighted):
    covariates, answer, weight = weighted
    model = fit_logistic(covariates, np.ones_like(answer), weight, ridge=1)
    assert not model.log_odds.any()
    assert model.intercept > 0


def test_area_under_the_curve_is_that_of_scikit_learn(weighted):
    from sklearn.metrics import roc_auc_score

    covariates, answer, weight = weighted
    score = np.round(covariates[:, 0], 1)  # with ties
    assert weighted_auc(answer, score, weight) == pytest.approx(roc_auc_score(answer, score, sample_weight=weight))
    assert np.isnan(weighted_auc(np.ones(5), np.arange(5.0), np.ones(5)))


def test_parts_hold_equal_numbers_of_either_answer(weighted):
    _, answer, weight = weighted
    part = divide_stratified(answer, weight, np.random.default_rng(0), 4)
    counts = np.array([[(answer[part == i] == value).sum() for value in (0, 1)] for i in range(4)])
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_without_censoring_everybody_weighs_the_same():
    cohort = small_cohort(300, 1)
    clinical = cohort.clinical.assign(OS_event=1.0)
    answer, weight = Outcome("", "survival", "OS", horizon=36).answers(replace(cohort, clinical=clinical))
    assert weight == pytest.approx(np.ones(len(cohort)))
    assert answer.mean() == pytest.approx((clinical["OS_time"] <= 36).mean())


def test_the_weighted_share_of_deaths_is_that_of_kaplan_meier():
    from lifelines import KaplanMeierFitter

    cohort = small_cohort(300, 1)
    # No two times are equal: at ties events stand before censoring, on which estimators differ.
    jitter = np.random.default_rng(0).uniform(0, 1e-4, len(cohort))
    clinical = cohort.clinical.assign(OS_time=cohort.clinical["OS_time"] + jitter)
    answer, weight = Outcome("", "survival", "OS", horizon=48).answers(replace(cohort, clinical=clinical))
    fitted = KaplanMeierFitter().fit(clinical["OS_time"], clinical["OS_event"])
    assert weight @ answer / weight.sum() == pytest.approx(1 - fitted.predict(48), abs=1e-3)


def test_outcomes_are_recorded_predictable_and_no_covariate_of_themselves(asked):
    train = small_cohort(500, 3)
    assert {outcome.kind for outcome in asked.outcomes} == {"survival", "clinical", "genomic"}
    assert all(outcome.auc >= outcomes.DEFAULTS["least_auc"] for outcome in asked.outcomes)
    assert len({outcome.column for outcome in asked.outcomes}) == len(asked.outcomes)
    for outcome in asked.outcomes:
        if outcome.kind == "clinical":
            assert train.schema.columns[outcome.column].derived is None
        used = np.array(asked.design.names)[asked.predictors(outcome)]
        assert not [name for name in used if name.split(":")[0].split(",")[0] == outcome.column]
    assert len(asked.sources) == len(asked.design.names)


def test_noise_is_no_outcome():
    train = small_cohort(500, 3)
    rng = np.random.default_rng(0)
    noise = train.clinical.assign(
        transplant=train.clinical["transplant"].array[rng.permutation(len(train))],
        ECOG=train.clinical["ECOG"].array[rng.permutation(len(train))],
    )
    found = list_questions(replace(train, clinical=noise), outcomes.DEFAULTS).outcomes
    assert not {"transplant", "ECOG"} & {outcome.column for outcome in found}
    before = list_questions(train, outcomes.DEFAULTS).outcomes
    assert {"transplant", "ECOG"} <= {outcome.column for outcome in before}
