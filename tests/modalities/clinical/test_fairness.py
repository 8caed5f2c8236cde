"""Differences between groups: as fairlearn computes them, the same of the same patients, and what was planted."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.generate.balance import fill_quotas, read_quotas
from haemosynth.modalities.clinical.stages import fairness
from haemosynth.validate.stage import Comparison


@pytest.fixture(scope="module")
def sides():
    cohort = small_cohort(1600, 5)
    return cohort.take(np.arange(800)), cohort.take(np.arange(800, 1600))


def compared(sides, **settings):
    train, real = sides
    comparison = Comparison(real=real, candidate=train, train=train, control=real)
    return comparison, fairness.DEFAULTS | {"groups": ["sex"]} | settings


def found(comparison, settings):
    prepared = fairness.prepare(comparison, settings, np.random.default_rng(0))
    values = fairness.measure(replace(comparison, prepared=prepared), settings, np.random.default_rng(0))
    return {(v.metric, v.target): v.value for v in values}, prepared


def test_parity_and_odds_are_those_of_fairlearn(sides):
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    comparison, settings = compared(sides)
    numbers, prepared = found(comparison, settings)
    told, answer = fairness.find_outcome(comparison.real, settings)
    model = prepared.models["real"].classifier
    predicted = model.probability(prepared.design.matrix(comparison.real))[told] > prepared.threshold
    sex = comparison.real.clinical["sex"].astype(str).to_numpy()[told]
    expected = demographic_parity_difference(answer, predicted, sensitive_features=sex)
    assert numbers["demographic_parity_real", "sex"] == pytest.approx(expected, abs=1e-12)
    expected = equalized_odds_difference(answer, predicted, sensitive_features=sex)
    assert numbers["equalised_odds_real", "sex"] == pytest.approx(expected, abs=1e-12)


def test_the_same_patients_give_the_same_models(sides):
    numbers, _ = found(*compared(sides))
    for name in ("c_index_gap", "auc_gap", "equalised_odds"):
        assert numbers[f"{name}_synthetic", "all"] == numbers[f"{name}_real", "all"]
        assert np.isnan(numbers[f"{name}_balanced", "all"])


def test_a_group_whose_outcome_is_noise_is_found(sides):
    """Of one sex the times are dealt out at random among its held-out patients: no model can serve it."""
    train, real = sides
    rng = np.random.default_rng(1)
    clinical = real.clinical.copy()
    rows = np.flatnonzero(clinical["sex"] == "Male")
    both = ["OS_time", "OS_event"]
    clinical.iloc[rows, [clinical.columns.get_loc(n) for n in both]] = clinical[both].to_numpy()[rng.permutation(rows)]
    plain, _ = found(*compared(sides))
    spoilt, _ = found(*compared((train, replace(real, clinical=clinical))))
    assert spoilt["c_index_gap_real", "sex"] > plain["c_index_gap_real", "sex"] + 0.05


def test_the_cost_of_balance_is_measured(sides):
    train, real = sides
    balance = {"t(4;14)": 0.5}
    quotas = read_quotas(balance, train)
    pool = small_cohort(4000, 8)
    candidate, pool = fill_quotas(pool, quotas, 100, 100), fill_quotas(pool, quotas, 900, 900)
    comparison = Comparison(real=real, candidate=candidate, train=train, control=real, pool=pool)
    numbers, prepared = found(comparison, fairness.DEFAULTS | {"balance": balance, "groups": ["sex", "age"]})
    assert set(prepared.models) == set(fairness.SOURCES)
    assert 0 < abs(numbers["c_index_cost", "all"]) < 0.2
    assert not np.allclose(prepared.models["synthetic"].log_hazard, prepared.models["balanced"].log_hazard)
    assert numbers["c_index_cost", "all"] == pytest.approx(
        numbers["c_index_synthetic", "all"] - numbers["c_index_balanced", "all"]
    )
    assert np.isfinite(numbers["auc_gap_balanced", "age"])


def test_groups_are_found_by_name_and_unknown_ones_refused(sides):
    comparison, settings = compared(sides, groups=None)
    assert found(comparison, settings)[1].groups == ("sex", "age", "centre")
    with pytest.raises(InputError, match="no column 'race'"):
        found(*compared(sides, groups=["race"]))
    with pytest.raises(InputError, match="COLUMN=LEVEL"):
        found(*compared(sides, outcome="nothing"))
    labels = fairness.label_groups(comparison.real, "age", settings | {"age_bands": [50, 70]})
    assert set(labels.dropna()) == {"below 50", "50 to 70", "70 and above"}
