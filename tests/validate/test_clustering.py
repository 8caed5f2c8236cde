"""Clusters of real patients are found again in real patients, and not where columns are shuffled."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.validate.resampling import evaluate
from haemosynth.validate.stages import clustering

KINDS = {metric.name: metric.kind for metric in clustering.METRICS}
SETTINGS = clustering.DEFAULTS


def prepared(comparison):
    return replace(comparison, prepared=clustering.prepare(comparison, SETTINGS, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def comparison():
    cohort = compared(small_cohort(800, 3), train_fraction=0.5)
    return prepared(replace(cohort, candidate=cohort.train))


def measured(comparison, candidate=None, seed=0):
    if candidate is not None:
        comparison = replace(comparison, candidate=candidate)
    values = clustering.measure(comparison, SETTINGS, np.random.default_rng(seed))
    return {(value.metric, value.target): value.value for value in values}


def test_silhouettes_are_those_of_scikit_learn():
    from sklearn.metrics import silhouette_samples

    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(60, 3)), np.append(rng.integers(0, 4, 59), 7)
    found = clustering.compute_silhouettes(clustering.distances(points), labels)
    assert found == pytest.approx(silhouette_samples(points, labels))
    assert (clustering.compute_silhouettes(clustering.distances(points), np.zeros(60, dtype=int)) == 0).all()
    same = np.zeros((6, 2))
    assert (clustering.compute_silhouettes(clustering.distances(same), np.array([0, 0, 0, 1, 1, 1])) == 0).all()


def test_the_centres_are_a_minimum_of_kmeans(comparison):
    """Lloyd's condition: every centre is the mean of the patients nearest to it."""
    points = comparison.prepared.points(comparison.train)
    for centres in comparison.prepared.centres.values():
        nearest = clustering.find_nearest_centre(points, centres)
        means = np.stack([points[nearest == k].mean(axis=0) for k in range(len(centres))])
        assert centres == pytest.approx(means, abs=1e-2)


def test_the_embedding_holds_no_endpoint(comparison):
    clinical = comparison.real.clinical.copy()
    for name in comparison.real.schema.survival:
        clinical[name] = clinical[name].to_numpy()[::-1]
    points = comparison.prepared.points(replace(comparison.real, clinical=clinical))
    assert np.array_equal(points, comparison.prepared.points(comparison.real))
    axes = comparison.prepared.axes
    assert axes.T @ axes == pytest.approx(np.eye(SETTINGS["components"]), abs=1e-9)


def test_the_holdout_itself_has_the_same_sizes_and_silhouettes(comparison):
    found = measured(comparison, comparison.real)
    assert found["cluster_size_distance", "all"] == pytest.approx(0, abs=1e-12)
    assert found["silhouette_distance", "all"] == pytest.approx(0, abs=1e-12)
    assert found["mean_silhouette", "all"] == pytest.approx(found["mean_silhouette", "real"], abs=0.02)


def test_the_training_patients_agree_with_themselves(comparison):
    assert measured(comparison)["cluster_agreement", "all"] > 0.8


def test_shuffled_columns_are_caught(comparison):
    real = measured(comparison)
    for seed in range(4):
        found = measured(comparison, independent(comparison.train, seed), seed)
        assert found["cluster_agreement", "all"] < real["cluster_agreement", "all"] - 0.2
        assert found["silhouette_distance", "all"] > 2 * real["silhouette_distance", "all"]


def test_real_patients_unseen_in_training_are_better_than_shuffled_ones(comparison):
    """The ceiling is not only that training patients are compared with themselves."""
    halves = [comparison.real.take(np.arange(len(comparison.real))[i::2]) for i in (0, 1)]
    fresh = replace(comparison, real=halves[0])
    found, floor = measured(fresh, halves[1]), measured(fresh, independent(halves[1]))
    assert found["cluster_agreement", "all"] > floor["cluster_agreement", "all"] + 0.1
    assert found["silhouette_distance", "all"] < floor["silhouette_distance", "all"]


def test_a_dropped_cluster_is_caught_by_the_sizes(comparison):
    embedding = comparison.prepared
    largest = {
        k: clustering.find_nearest_centre(embedding.points(comparison.train), c) for k, c in embedding.centres.items()
    }
    without = comparison.train.take(np.flatnonzero(largest[4] != np.bincount(largest[4]).argmin()))
    real, found = measured(comparison), measured(comparison, without)
    assert found["cluster_size_distance", "all"] > real["cluster_size_distance", "all"]


def test_values_stay_within_their_bounds_and_the_mean_is_that_of_its_rows(comparison):
    found = measured(comparison)
    bounds = {metric.name: metric.bounds for metric in clustering.METRICS}
    assert {metric for metric, _ in found} == set(bounds)
    assert all(bounds[metric][0] <= value <= bounds[metric][1] for (metric, _), value in found.items())
    rows = [value for (metric, target), value in found.items() if target.endswith(" clusters")]
    assert len(rows) == SETTINGS["largest"] - 1
    assert found["cluster_agreement", "all"] == pytest.approx(np.mean(rows))


def test_degenerate_cohorts_are_told(comparison):
    few = measured_reasons(replace(comparison, candidate=comparison.candidate.take(np.arange(10))))
    assert set(few) == set(KINDS)
    assert all("fewer than 40 patients" in reason for reason in few.values())
    small = prepared(replace(comparison, train=comparison.train.take(np.arange(10))))
    assert all("training patients" in reason for reason in measured_reasons(small).values())
    same = prepared(replace(comparison, train=comparison.train.take(np.zeros(60, dtype=int))))
    assert set(measured_reasons(same).values()) == {"training patients do not differ"}
    nothing = clustering.figure(same, pd.DataFrame(columns=["metric", "target"]), SETTINGS, "candidate")
    assert [text.get_text() for text in nothing.axes[0].texts] == ["training patients do not differ"]


def measured_reasons(comparison):
    values = clustering.measure(comparison, SETTINGS, np.random.default_rng(0))
    return {value.metric: value.reason for value in values if value.target == "all" and np.isnan(value.value)}


def test_equal_patients_and_missing_columns_do_not_break_it(comparison):
    one = measured(comparison, comparison.train.take(np.zeros(60, dtype=int)))
    assert one["cluster_agreement", "all"] == 0
    clinical = comparison.train.clinical.copy()
    clinical["albumin"] = np.nan
    assert np.isfinite(measured(comparison, replace(comparison.train, clinical=clinical))["cluster_agreement", "all"])


def test_a_cohort_without_alterations_is_clustered_by_its_clinical_columns(comparison):
    sides = ("real", "candidate", "train", "control")
    clinical = prepared(replace(comparison, **{name: getattr(comparison, name).record() for name in sides}))
    values = clustering.measure(clinical, SETTINGS, np.random.default_rng(0))
    assert {value.modality for value in values} == {"clinical"}
    assert all(np.isfinite(value.value) for value in values)
    alone = prepared(replace(comparison, candidate=comparison.candidate.record()))
    assert {value.modality for value in clustering.measure(alone, SETTINGS, np.random.default_rng(0))} == {"clinical"}


def test_the_figure_hides_counts_under_five(comparison, tmp_path):
    settings = SETTINGS | {"repeats": 1, "replicates": 2}
    values, _ = evaluate(clustering, comparison, settings, lambda *names: stream(1, *names))
    drawn = clustering.figure(comparison, values, settings, "candidate")
    assert overlapping(drawn) == []
    assert drawn_alike(lambda: clustering.figure(comparison, values, settings, "candidate"), tmp_path)
    counts = [text.get_text() for text in drawn.axes[2].texts]
    assert all(int(count) % 5 == 0 and int(count) for count in counts if count != "<5")
    assert "<5" in counts
