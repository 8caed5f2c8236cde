"""Models agree on what matters where structure was kept; a shuffled or reversed feature is named."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stages import feature_extraction as stage


@pytest.fixture(scope="module")
def comparison():
    split = compared(small_cohort(900, 3), train_fraction=0.5)
    split = replace(split, candidate=split.train)
    return prepare_comparison(stage, split, stage.DEFAULTS, lambda *names: stream(1, *names))


def measured(comparison):
    values = stage.measure(comparison, stage.DEFAULTS, np.random.default_rng(0))
    return {(value.metric, value.target, value.modality): value for value in values}


def test_the_same_patients_agree_perfectly(comparison):
    found = measured(replace(comparison, candidate=comparison.real))
    for (metric, *_), value in found.items():
        if not value.reason:
            assert value.value == pytest.approx(0 if metric == "importance_difference" else 1)


@pytest.mark.parametrize("modality", ["clinical", "genomic"])
def test_real_patients_agree_more_than_shuffled_columns(comparison, modality):
    real = measured(comparison)
    shuffled = [measured(replace(comparison, candidate=independent(comparison.candidate, seed))) for seed in range(4)]
    for metric in ("attribution_agreement", "importance_correlation", "top_overlap"):
        key = metric, "all", modality
        assert real[key].value > np.mean([found[key].value for found in shuffled])
    lost = [found["attribution_agreement", "all", modality].value for found in shuffled]
    assert np.mean(lost) == pytest.approx(0, abs=0.15)


def test_a_shuffled_feature_is_named(comparison):
    age = comparison.candidate.clinical["age"]
    order = np.random.default_rng(0).permutation(len(age))
    clinical = comparison.candidate.clinical.assign(age=age.to_numpy()[order])
    spoiled = replace(comparison, candidate=replace(comparison.candidate, clinical=clinical))
    before, after = measured(comparison), measured(spoiled)
    lost = {
        target: after[metric, target, modality].value - value.value
        for (metric, target, modality), value in before.items()
        if metric == "importance_difference"
    }
    assert min(lost, key=lost.__getitem__) == "age"
    key = "attribution_agreement", "transplant=Yes", "clinical"
    assert after[key].value < before[key].value - 0.3


def test_reversed_effects_have_the_same_importance_but_disagree():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 6)) * np.arange(1, 7)
    found = stage.measure_agreement(values, -values, 3)
    assert found == {"attribution_agreement": pytest.approx(-1), "importance_correlation": 1, "top_overlap": 1}
    assert stage.measure_agreement(values, np.zeros_like(values), 3)["attribution_agreement"] == 0


def test_shapley_values_are_exact():
    """The value of every coalition, the others held at their means, averaged over all orders of the covariates."""
    from itertools import permutations

    rng = np.random.default_rng(1)
    covariates, weights = rng.normal(size=(20, 4)), rng.normal(size=4)
    patient, mean = covariates[0], covariates.mean(axis=0)
    total = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        point = mean.copy()
        for i in order:
            before = point @ weights
            point[i] = patient[i]
            total[i] += point @ weights - before
    assert total / len(orders) == pytest.approx(weights * (patient - mean))


def test_features_gather_the_levels_of_a_column_and_leave_the_outcome_out(comparison):
    names, found = stage.compute_attributions(comparison, comparison.prepared, stage.DEFAULTS)
    assert len(set(names)) == len(names)
    assert "ECOG" in names
    for outcome in comparison.prepared.outcomes:
        pair = found[outcome.name]
        assert pair is not None
        assert pair[0].shape == (len(comparison.real), len(names))
        if outcome.column in names:
            assert not pair[0][:, names.index(outcome.column)].any()


def test_few_patients_give_reasons(comparison):
    few = replace(comparison, candidate=comparison.candidate.take(np.arange(12)))
    found = measured(few)
    assert "fewer than" in found["attribution_agreement", "transplant=Yes", "clinical"].reason
    names = ("real", "candidate", "train", "control")
    tiny = {name: getattr(comparison, name).record().take(np.arange(9)) for name in names}
    found = measured(replace(comparison, **tiny, prepared=None))
    assert "no predictable outcome" in found["attribution_agreement", "all", "clinical"].reason


def test_figure(comparison, tmp_path):
    settings = stage.DEFAULTS | {"repeats": 1, "replicates": 2}
    values, _ = evaluate(stage, comparison, settings, lambda *names: stream(1, *names))
    assert overlapping(stage.figure(comparison, values, settings, "candidate")) == []
    assert drawn_alike(lambda: stage.figure(comparison, values, settings, "candidate"), tmp_path)
