"""Classes: the planted ones are found, and the consensus is the one of smallest expected loss."""

from itertools import product

import numpy as np
import pytest
from fixtures_small import RESOURCES

from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.genomic.stages.mutation_classes import cosine, find_consensus, fit_classes, name_classes
from haemosynth.stats.partitions import adjusted_rand

SETTINGS = {"chains": 4, "sweeps": 80, "merge": 0.95, "smallest": 10}


@pytest.fixture(scope="module")
def planted():
    """(class, events) of 300 patients in three classes, each with alterations of its own, and noise."""
    rng = np.random.default_rng(0)
    of = np.repeat([0, 1, 2], [150, 100, 50])
    frequency = np.full((3, 12), 0.05)
    frequency[0, :3], frequency[1, 3:6], frequency[2, 6:9] = 0.8, 0.8, 0.8
    return of, (rng.random((300, 12)) < frequency[of]).astype(float)


def variation_of_information(first, second):
    """2 H(first, second) - H(first) - H(second), Meila, J Multivar Anal 2007;98:873."""

    def entropy(labels):
        share = np.bincount(labels)[np.bincount(labels) > 0] / len(labels)
        return -(share * np.log(share)).sum()

    return 2 * entropy(first * 10 + second) - entropy(first) - entropy(second)


def test_planted_classes_are_found(planted):
    of, events = planted
    classes = fit_classes(events, np.random.default_rng(1), **SETTINGS)
    assert classes.count == 3
    assert adjusted_rand(of, classes.assign(events)) > 0.85
    assert classes.sizes.sum() == 300
    assert (np.diff(classes.sizes) <= 0).all()
    assert classes.weight.sum() == pytest.approx(1)
    names = name_classes(classes, [f"E{i}" for i in range(12)])
    assert {int(part[1:]) for part in names[0].split(", ")} == {0, 1, 2}


def test_independent_alterations_form_one_class(planted):
    rng = np.random.default_rng(2)
    shuffled = np.column_stack([rng.permutation(column) for column in planted[1].T])
    assert fit_classes(shuffled, rng, **SETTINGS).count == 1


def test_a_posterior_is_that_of_bayes_and_unknown_events_say_nothing(planted):
    classes = fit_classes(planted[1], np.random.default_rng(1), **SETTINGS)
    patient = planted[1][:1]
    by_hand = classes.weight * np.prod([np.where(patient[0] == 1, row, 1 - row) for row in classes.frequency], axis=1)
    assert classes.posterior(patient)[0] == pytest.approx(by_hand / by_hand.sum())
    assert classes.posterior(np.full((1, 12), np.nan))[0] == pytest.approx(classes.weight)
    some = np.where(np.arange(12) < 6, patient, np.nan)
    both = [classes.posterior(np.where(np.arange(12) < 6, patient, v))[0] for v in (0.0, 1.0)]
    assert not np.allclose(classes.posterior(some)[0], both[0])


def test_unknown_alterations_do_not_move_the_classes(planted):
    of, events = planted
    events = np.where(np.random.default_rng(3).random(events.shape) < 0.2, np.nan, events)
    classes = fit_classes(events, np.random.default_rng(1), **SETTINGS)
    assert adjusted_rand(of, classes.assign(events)) > 0.7


def test_small_classes_are_dissolved_and_like_classes_are_joined(planted):
    _, events = planted
    large = fit_classes(events, np.random.default_rng(1), **SETTINGS | {"smallest": 80})
    assert (large.count, large.tiny) == (2, 1)
    assert large.sizes.sum() == 300
    assert fit_classes(events, np.random.default_rng(1), **SETTINGS | {"merge": 0.0}).count == 1
    nothing = fit_classes(events, np.random.default_rng(1), **SETTINGS | {"smallest": 1000})
    assert nothing.count == 1


def test_the_same_stream_gives_the_same_classes(planted):
    one, two = (fit_classes(planted[1], np.random.default_rng(4), **SETTINGS) for _ in range(2))
    assert np.array_equal(one.frequency, two.frequency)


def test_the_consensus_lies_near_the_centre_of_all_partitions():
    """On six patients every partition can be tried: none has a much smaller mean variation of information."""
    draws = np.array([[0, 0, 0, 1, 1, 1]] * 5 + [[0, 0, 1, 1, 2, 2]] * 2 + [[0, 0, 0, 0, 1, 1]] * 3)
    everything = [np.array((0, *labels)) for labels in product(range(3), repeat=5)]
    loss = [np.mean([variation_of_information(cut, draw) for draw in draws]) for cut in everything]
    found = find_consensus(draws)
    assert np.mean([variation_of_information(found, draw) for draw in draws]) == pytest.approx(min(loss))
    assert adjusted_rand(found, draws[0]) == 1


def test_equal_draws_are_their_own_consensus():
    labels = np.random.default_rng(0).integers(0, 7, 60)
    assert adjusted_rand(find_consensus(np.stack([labels, (labels + 3) % 7])), labels) == 1


def test_cosine_of_parallel_and_orthogonal_profiles():
    assert cosine(np.array([[1.0, 0], [0, 0]]), np.array([[2.0, 0], [0, 3]])) == pytest.approx(
        np.array([[1, 0], [0, 0]])
    )


def test_classes_of_the_simulated_cohort_are_its_true_subgroups():
    source = {"format": "simulated", "disease": "myeloma", "patients": 600, "endpoint": ["OS", "PFS"]}
    cohort, truth = simulate_cohort("small", source, RESOURCES, stream(3, "true subgroups"))
    events = cohort.alterations.to_numpy(float)
    known = ~np.isnan(events).any(axis=1)
    subgroup = np.array([truth["subgroups"]["of_patient"][patient] for patient in cohort.patients])[known]
    classes = fit_classes(events[known], np.random.default_rng(0), **SETTINGS | {"chains": 8, "sweeps": 120})
    assigned = classes.assign(events[known])
    rng = np.random.default_rng(1)
    chance = [adjusted_rand(subgroup, rng.permutation(assigned)) for _ in range(50)]
    assert adjusted_rand(subgroup, assigned) > 0.5
    assert max(np.abs(chance)) < 0.05
