"""A generator learns from at most as many patients as its settings say."""

import numpy as np
import pytest
from fixtures_small import small_cohort

from haemosynth import generate
from haemosynth.modalities.registry import load_algorithm

QUICK = {
    "vae": {"steps": 20, "refresh": {"trees": 2}, "refinement": {"trees": 5}},
    "forest": {"trees": 2},
    "dirichlet_process": {"sweeps": 20, "burn_in": 10, "draws": 2, "gate_ridge": [10.0]},
    "logistic_chain": {"event_ridge": [8.0], "record_ridge": [64.0]},
}


def fitted(algorithm, train, patients):
    modality = "clinical" if algorithm in ("vae", "forest") else "genomic"
    module = load_algorithm(modality, algorithm)
    settings = generate.settings_of(module, QUICK[algorithm] | {"patients": patients}, "here")
    return module.fit(train, settings, np.random.default_rng(1), None)


@pytest.mark.parametrize("algorithm", QUICK)
def test_a_limit_that_is_not_reached_changes_nothing(algorithm):
    train = small_cohort(120)
    one, other = fitted(algorithm, train, 120), fitted(algorithm, train, 10**6)
    assert one.description == other.description
    assert one.description["patients"] == 120
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])


@pytest.mark.parametrize("algorithm", QUICK)
def test_above_the_limit_it_says_how_many_it_learned_from(algorithm):
    assert fitted(algorithm, small_cohort(120), 80).description["patients"] == 80


def test_every_patient_has_the_same_chance_to_be_learned_from():
    train = small_cohort(120)
    seen = np.zeros(120)
    for seed in range(400):
        some = generate.at_most(train, 30, np.random.default_rng(seed)).patients
        assert len(set(some)) == 30
        assert list(some) == [p for p in train.patients if p in set(some)]  # in the cohort's order
        seen += np.isin(train.patients, some)
    # hypergeometric counts about 100 with a standard deviation of 8.7
    assert abs(seen - 100).max() < 5 * 8.7
