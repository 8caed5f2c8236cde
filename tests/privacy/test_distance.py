"""Copies are caught, unseen patients are not, and the references stand in their order."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, planted, renamed
from fixtures_figures import overlapping
from fixtures_small import small_cohort
from scipy.spatial.distance import cdist

from haemosynth.encode.records import fit_encoder, some_rows
from haemosynth.privacy.planted_leaks import plant as leaking
from haemosynth.privacy.stages import distance
from haemosynth.stats.neighbours import nearest, neighbours, squared_distances
from haemosynth.validate.resampling import prepare_comparison


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(600, 2))


def values_of(comparison, **settings):
    chosen = distance.DEFAULTS | {"exchanges": 200} | settings
    seen = prepare_comparison(distance, comparison, chosen, lambda *_: np.random.default_rng(1))
    return seen, distance.measure(seen, chosen, np.random.default_rng(0))


def measured(comparison, **settings):
    """(metric, target) -> value, of the whole record where there are several modalities."""
    return {(value.metric, value.target): value.value for value in values_of(comparison, **settings)[1]}


def test_training_patients_are_the_worst_case(comparison):
    found = measured(replace(comparison, candidate=renamed(comparison.train)))
    assert found["nearer_to_train", "all"] == 1
    assert found["exact_matches", "all"] > 0.99
    assert found["dcr_ratio", "all"] == 0
    assert found["copied_profiles", "all"] > 0.5


def test_unseen_patients_are_as_near_to_control_as_to_training_patients():
    cohort = small_cohort(600, 2)
    found = [measured(compared(cohort, seed)) for seed in range(12)]
    near = np.array([one["nearer_to_train", "all"] for one in found])
    assert abs(near.mean() - 0.5) < 3 * near.std() / np.sqrt(len(near))
    assert max(one["exact_matches", "all"] for one in found) <= 0.01
    assert np.mean([one["copied_profiles", "all"] for one in found]) < 0.1


@pytest.mark.parametrize("spare", [0, 12])
def test_a_resample_finds_the_neighbours_that_a_search_among_its_patients_finds(comparison, spare):
    """Neighbours are sought once; of a resample without the nearest patients the next ones count."""
    rng = np.random.default_rng(4)
    seen, _ = values_of(comparison, spare=spare)
    sides = {name: getattr(comparison, name) for name in ("real", "candidate")}
    drawn = {name: side.take(rng.integers(len(side), size=len(side))) for name, side in sides.items()}
    part = replace(seen, **drawn)
    found = {(value.metric, value.modality): value.value for value in distance.measure(part, distance.DEFAULTS, rng)}
    encoder = seen.prepared.encoder
    points, train, unseen = (
        encoder.points(side) for side in (part.candidate, part.train, distance.unseen_patients(part))
    )
    to_train = cdist(points, train).min(axis=1)
    nearer = distance.nearer_share(to_train, cdist(points, unseen).min(axis=1), len(train), len(unseen))
    assert found["nearer_to_train", "clinical"] == pytest.approx(nearer)
    reference = np.quantile(cdist(unseen, train).min(axis=1), 0.05)
    assert found["dcr_ratio", "clinical"] == pytest.approx(np.quantile(to_train, 0.05) / reference)


def test_a_small_resample_of_a_large_holdout_holds_none_of_those_asked(comparison):
    """A small release of a large cohort: its resamples take few of many unseen patients."""
    seen, _ = values_of(replace(comparison, candidate=independent(comparison.train)), rows=20)
    others = comparison.real.take(np.flatnonzero(~comparison.real.patients.isin(seen.prepared.asked))[:10])
    found = distance.measure(replace(seen, real=others), distance.DEFAULTS, np.random.default_rng(0))
    assert all(np.isfinite(value.value) for value in found)


def test_structureless_patients_remember_nobody(comparison):
    found = measured(replace(comparison, candidate=independent(comparison.train)))
    assert found["exact_matches", "all"] == 0
    assert abs(found["nearer_to_train", "all"] - 0.5) < 0.15


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_planted_copies_are_counted(comparison, share):
    shuffled = independent(comparison.train)
    found = measured(replace(comparison, candidate=planted(shuffled, comparison.train, share)))
    before = measured(replace(comparison, candidate=shuffled))
    assert found["exact_matches", "all"] == pytest.approx(share, abs=0.01)
    assert found["exact_matches", "clinical~genomic"] == pytest.approx(share, abs=0.01)
    assert found["nearer_to_train", "all"] > before["nearer_to_train", "all"]


@pytest.mark.parametrize(("trained", "controls"), [(400, 400), (900, 300), (300, 900)])
def test_a_share_of_copies_gives_the_number_of_equal_sizes(trained, controls):
    """m copies among rows without memory: 1/2 + m/2 whatever the sizes."""
    rng = np.random.default_rng(0)
    train, control = rng.normal(size=(trained, 3)), rng.normal(size=(controls, 3))
    for m in (0.0, 0.3, 1.0):
        released = rng.normal(size=(20_000, 3))
        copies = round(m * len(released))
        released[:copies] = train[rng.integers(trained, size=copies)]
        near = [nearest(released, side)[:, 0] for side in (train, control)]
        assert distance.nearer_share(*near, trained, controls) == pytest.approx(0.5 + m / 2, abs=0.06)


def test_unseen_patients_are_the_holdout_each_once_or_the_control_of_fresh(comparison):
    fresh = distance.unseen_patients(comparison)
    assert fresh is comparison.control
    assert not set(fresh.patients) & set(comparison.candidate.patients)
    doubled = replace(comparison, real=comparison.real.take([0, 1, 1, 2, 0]), candidate=renamed(comparison.train))
    assert list(distance.unseen_patients(doubled).patients) == list(comparison.real.patients[:3])


def test_ties_count_half():
    assert distance.nearer_share(np.ones(4), np.ones(4), 5, 5) == 0.5


def test_nearest_equals_scipy_whatever_the_chunks(monkeypatch):

    rng = np.random.default_rng(0)
    points, others = rng.normal(size=(37, 6)), rng.normal(size=(23, 6))
    truth = np.sort(cdist(points, others), axis=1)[:, :2]
    for chunk in (10**6, 50):
        monkeypatch.setattr("haemosynth.stats.neighbours.CHUNK", chunk)
        np.testing.assert_allclose(nearest(points, others, 2), truth)
    assert nearest(points, points)[:, 0].max() == 0
    assert sum(len(part) for _, part in squared_distances(points, others)) == 37


def test_the_scale_of_records(comparison):
    """Other level: 1. A whole 10-90 % range: 1. Missing instead of present: at least 1. Derived columns: nothing."""
    train = comparison.train
    encoder, one = fit_encoder(train), train.take([0])

    def moved(column, value):
        clinical = one.clinical.copy()
        clinical[column] = pd.Series([value], index=clinical.index).astype(clinical[column].dtype)
        return float(np.linalg.norm(encoder.points(replace(one, clinical=clinical)) - encoder.points(one)))

    sex = one.clinical["sex"].iloc[0]
    other = next(level for level in one.clinical["sex"].cat.categories if level != sex)
    assert moved("sex", other) == pytest.approx(1)
    assert moved("sex", np.nan) == pytest.approx(1)
    low, high = np.quantile(train.clinical["age"].dropna(), [0.1, 0.9])
    assert fit_encoder(train).numbers[0] == ("age", pytest.approx((low + high) / 2), pytest.approx(high - low))
    assert 1 <= moved("age", np.nan) <= np.sqrt(2)
    assert moved("ISS", next(s for s in ("I", "II") if s != one.clinical["ISS"].iloc[0])) == 0


def test_a_level_that_training_patients_lack_differs_from_all_of_theirs(comparison):
    one = comparison.train.take([0])
    clinical = one.clinical.copy()
    clinical["sex"] = pd.Categorical(["Unseen"], categories=[*clinical["sex"].cat.categories, "Unseen"])
    encoder = fit_encoder(comparison.train)
    gap = encoder.points(replace(one, clinical=clinical)) - encoder.points(one)
    assert np.linalg.norm(gap) == pytest.approx(1)


def test_large_sides_are_subsampled_and_small_ones_left_alone(comparison):
    train = comparison.train
    assert some_rows(train, len(train), np.random.default_rng(0)) is train
    assert len(some_rows(train, 50, np.random.default_rng(0))) == 50
    assert measured(comparison, rows=60).keys() == measured(comparison).keys()


def test_copies_are_counted_in_a_cohort_too_large_to_search_every_patient(comparison):
    # Every source of a copy is searched: were the training patients thinned to `rows`, most copies would be missed.
    copied = replace(comparison, candidate=renamed(comparison.train))
    found = measured(copied, rows=80)
    assert found["exact_matches", "all"] > 0.97
    assert found["nearer_to_train", "all"] == 1
    assert found["dcr_ratio", "all"] == 0


def test_without_genomic_data_there_is_nothing_to_copy(comparison):
    cohorts = {name: getattr(comparison, name).record() for name in ("real", "candidate", "train", "control")}
    _, values = values_of(replace(comparison, **cohorts))
    profile = next(value for value in values if value.metric == "copied_profiles")
    assert np.isnan(profile.value)
    assert profile.reason == "the cohort has no genomic modality"


def test_the_figure_shows_no_patient(comparison):
    seen, found = values_of(comparison)
    values = pd.DataFrame([vars(value) for value in found]).assign(status="ok", low=0.4, high=0.6)
    drawn = distance.figure(seen, values, distance.DEFAULTS, "fresh")
    assert not overlapping(drawn)
    assert "months" not in drawn.axes[0].get_xlabel()
    assert not drawn.axes[0].collections
    sizes = {"unseen": len(distance.unseen_patients(seen)), "training": len(seen.train), "fresh": len(seen.candidate)}
    for stairs in drawn.axes[0].patches:
        heights = stairs.get_data().values
        n = next(size for word, size in sizes.items() if stairs.get_label().startswith(word))
        assert heights[heights > 0].min() * n >= 5 - 1e-9


@pytest.mark.parametrize("count", [1, 3, 20])
def test_neighbours_are_found_with_their_places(monkeypatch, count):

    rng = np.random.default_rng(0)
    points, others = rng.normal(size=(31, 4)), rng.normal(size=(29, 4))
    monkeypatch.setattr("haemosynth.stats.neighbours.CHUNK", 100)
    distances, places = neighbours(points, others, count)
    np.testing.assert_array_equal(places, np.argsort(cdist(points, others), axis=1)[:, :count])
    np.testing.assert_allclose(distances, np.sort(cdist(points, others), axis=1)[:, :count])
    with pytest.raises(ValueError, match="30 neighbours among 29"):
        neighbours(points, others, 30)


def test_blurred_copies_are_no_exact_matches(comparison):
    shuffled = independent(comparison.train)
    leak = leaking(shuffled, comparison.train, 0.1, 0.03, np.random.default_rng(0))
    assert measured(replace(comparison, candidate=leak))["exact_matches", "all"] < 0.02


def test_chance_covers_a_release_without_memory(comparison):
    """Of releases that know nobody about one in 200 lies above what the exchange of labels shows."""
    above = []
    for seed in range(12):
        _, values = values_of(compared(small_cohort(600, 2), seed))
        found = {(v.metric, v.target, v.modality): v.value for v in values}
        for (metric, target, modality), limit in found.items():
            if metric == "distance_chance":
                above.append(found[target, "all", modality] > limit)
    assert len(above) == 12 * 2
    assert sum(above) <= 2


def test_the_exchange_counts_profiles_as_the_metric_does():
    from collections import Counter

    rng = np.random.default_rng(0)
    sides = [[bytes([value]) for value in rng.integers(40, size=n)] for n in (60, 30, 50)]
    null = distance.exchange_profiles(*sides, 400, np.random.default_rng(1))
    pool, again = sides[0] + sides[1], []
    for _ in range(400):
        order = rng.permutation(len(pool))
        train, unseen = [pool[i] for i in order[:60]], [pool[i] for i in order[60:]]
        again.append(max(0.0, distance.profile_excess(Counter(train), sides[2], unseen)))
    assert null.mean() == pytest.approx(np.mean(again), abs=4 * np.std(again) / np.sqrt(200))


def test_memory_is_bounded_by_the_chunk(monkeypatch):
    """Neighbours of 3,000 among 20,000 need no more than a few chunks beyond the points themselves."""
    import tracemalloc

    monkeypatch.setattr("haemosynth.stats.neighbours.CHUNK", 200_000)
    rng = np.random.default_rng(0)
    points, others = rng.normal(size=(3_000, 5)), rng.normal(size=(20_000, 5))
    tracemalloc.start()
    neighbours(points, others, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 8 * 200_000  # eight chunks of doubles; the whole matrix would be 300
