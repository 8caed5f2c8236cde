"""Features see collapse, lost structure and shifted scores."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from haemosynth.modalities.clinical.stages import features
from haemosynth.modalities.clinical.stages.features import find_principal_axes, sample_distances

COMPONENTS = (
    "component_wasserstein", "sliced_wasserstein", "energy_distance", "mmd", "spectrum_agreement", "subspace_agreement",
)  # fmt: skip


def test_identical_patients_have_the_same_features(identical, scored):
    found = scored(features, identical)
    assert {key[0] for key in found} == {*COMPONENTS, "score_wasserstein"}
    for (metric, _, modality), value in found.items():
        assert modality == "joint"
        if metric == "mmd":  # unbiased: a patient beside itself counts only across the sides
            assert -0.02 < value <= 0
        else:
            assert value == pytest.approx(1 if metric.endswith("agreement") else 0, abs=1e-7)


def test_fresh_patients_are_nearer_than_shuffled_columns(comparison, shuffled, scored):
    kinds = {metric.name: metric for metric in features.METRICS}
    real, floor = scored(features, comparison), scored(features, shuffled)
    for metric in COMPONENTS:
        a, b = real[metric, "all", "joint"], floor[metric, "all", "joint"]
        if kinds[metric].kind == "agreement":
            assert a > b
        else:
            assert abs(a) < abs(b)


def test_copies_of_five_patients_are_far_in_every_metric(comparison, scored):
    collapsed = replace(comparison, candidate=comparison.candidate.take(np.arange(400) % 5))
    real, found = scored(features, comparison), scored(features, collapsed)
    for metric in (*COMPONENTS, "score_wasserstein"):
        a, b = real[metric, "all", "joint"], found[metric, "all", "joint"]
        if metric.endswith("agreement"):
            assert b < a - 0.15
        else:
            assert abs(b) > 2 * abs(a)


def test_patients_drawn_to_the_mean_lose_variance_along_the_components(identical, measured):
    clinical = identical.candidate.clinical.copy()
    for name in identical.real.schema.of_kind("continuous", "integer", "time"):
        clinical[name] = clinical[name].mean() + 0.3 * (clinical[name] - clinical[name].mean())
    found = measured(features, replace(identical, candidate=replace(identical.candidate, clinical=clinical)))
    assert found["spectrum_agreement", "all", "joint"] < 0.97
    assert found["score_wasserstein", "prognostic index", "joint"] > 0.1
    assert found["score_wasserstein", "alterations per patient", "joint"] == 0


def test_a_score_that_was_shifted_is_seen_alone(identical, measured):
    clinical = identical.candidate.clinical.copy()
    clinical["ISS"] = clinical["ISS"].mask(clinical["ISS"].notna(), "III")
    found = measured(features, replace(identical, candidate=replace(identical.candidate, clinical=clinical)))
    moved = {key[1] for key, value in found.items() if key[0] == "score_wasserstein" and value > 1e-9}
    assert moved == {"ISS", "all"}
    codes = identical.real.clinical["ISS"].dropna().cat.codes
    expected = stats.wasserstein_distance(codes, np.full(len(codes), 2)) / codes.std(ddof=0)
    assert found["score_wasserstein", "ISS", "joint"] == pytest.approx(expected)


def test_principal_axes_equal_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    points = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6))
    reference = PCA().fit(points)
    variances, axes = find_principal_axes(points)
    assert variances == pytest.approx(reference.explained_variance_)
    assert np.abs(np.sum(axes.T * reference.components_, axis=1)) == pytest.approx(np.ones(6))


def test_sample_distances_equal_independent_ones():
    from sklearn.metrics.pairwise import rbf_kernel

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 1)), rng.standard_normal((30, 1)) + 1
    energy, discrepancy = sample_distances(x, y, 1.3)
    between = np.abs(x - y.T).mean()
    # scipy's energy distance is the root of 2 E|X - Y| - E|X - X'| - E|Y - Y'|.
    assert energy == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]) ** 2 / (2 * between))
    kernel = [rbf_kernel(a, b, gamma=1 / (2 * 1.3**2)) for a, b in ((x, x), (y, y), (x, y))]
    own = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in kernel[:2]]
    assert discrepancy == pytest.approx(sum(own) - 2 * kernel[2].mean())


def test_the_unbiased_discrepancy_of_equal_distributions_is_zero_on_average():
    rng = np.random.default_rng(0)
    found = [sample_distances(rng.standard_normal((30, 3)), rng.standard_normal((30, 3)), 2.0)[1] for _ in range(200)]
    assert np.mean(found) == pytest.approx(0, abs=3 * np.std(found) / np.sqrt(200))


def test_the_prognostic_index_ranks_unseen_patients(comparison):
    from haemosynth.stats.cox import concordance

    ready = features.prepare(comparison, features.DEFAULTS, np.random.default_rng(0))
    index = features.compute_scores(comparison.real, ready.index)[features.PROGNOSTIC]
    clinical = comparison.real.clinical
    assert concordance(index, clinical["OS_time"].to_numpy(), clinical["OS_event"].to_numpy()) > 0.6


def test_cohorts_without_endpoint_or_alterations_say_why(identical, measured):
    clinical = replace(identical, real=identical.real.record(), candidate=identical.candidate.record())
    found = measured(features, clinical)
    assert {key[2] for key in found} == {"clinical"}
    assert ("score_wasserstein", "alterations per patient", "clinical") not in found
    cohort = identical.real
    columns = {name: column for name, column in cohort.schema.columns.items() if name not in cohort.schema.survival}
    cohort = replace(
        cohort,
        schema=replace(cohort.schema, columns=columns, endpoints=()),
        clinical=cohort.clinical[list(columns)],
    )
    plain = replace(identical, real=cohort, candidate=cohort, train=cohort)
    plain = replace(plain, prepared=features.prepare(plain, features.DEFAULTS, np.random.default_rng(0)))
    values = features.measure(plain, features.DEFAULTS, np.random.default_rng(0))
    reasons = {value.target: value.reason for value in values if value.reason}
    assert reasons == {"prognostic index": "the cohort has no survival endpoint"}
