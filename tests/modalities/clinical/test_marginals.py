"""Distances of marginals equal scipy's, are blind to joint structure, and see what is planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from haemosynth.modalities.clinical.stages import marginals
from haemosynth.stats.distributions import find_point_masses, kullback_leibler, measure_mixed_distance
from haemosynth.validate.resampling import prepare_comparison


def test_identical_patients_have_no_distance(identical, scored):
    found = scored(marginals, identical)
    assert len(found) == 7
    assert list(found.values()) == pytest.approx([0] * 7, abs=1e-7)


def test_distances_of_numbers_equal_scipys(comparison, measured):
    found = measured(marginals, comparison)
    for name in ("age", "LDH", "OS_time"):
        real, candidate = (side.clinical[name].dropna() for side in (comparison.real, comparison.candidate))
        scale = stats.iqr(real)
        assert found["wasserstein", name, "clinical"] == pytest.approx(
            stats.wasserstein_distance(real, candidate) / scale, abs=1e-9
        )
        assert found["kolmogorov_smirnov", name, "clinical"] == pytest.approx(
            stats.ks_2samp(real, candidate).statistic, abs=1e-9
        )


def test_distances_of_levels_equal_scipys_and_count_missing_as_a_level(comparison, measured):
    found = measured(marginals, comparison)
    shares = [
        side.clinical["ISS"].astype(object).fillna("missing").value_counts(normalize=True)
        for side in (comparison.real, comparison.candidate)
    ]
    p, q = (share.reindex(["I", "II", "III", "missing"], fill_value=0).to_numpy() for share in shares)
    assert p[-1] > 0
    assert found["jensen_shannon", "ISS", "clinical"] == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)
    assert found["total_variation", "ISS", "clinical"] == pytest.approx(np.abs(p - q).sum() / 2)
    assert found["hellinger", "ISS", "clinical"] == pytest.approx(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2))


def test_shuffling_columns_changes_no_marginal(comparison, shuffled, measured):
    assert measured(marginals, comparison) == pytest.approx(measured(marginals, shuffled), nan_ok=True)


def test_a_level_lost_and_labels_swapped_are_seen_where_they_were_planted(identical, measured):
    clinical = identical.real.clinical.copy()
    share = clinical["isotype"].value_counts(normalize=True)
    rare = share[share > 0].index[-1]
    clinical.loc[clinical["isotype"] == rare, "isotype"] = share.index[0]
    yes = (clinical["bone_lesions"] == "Yes").mean()
    no = (clinical["bone_lesions"] == "No").mean()
    clinical["bone_lesions"] = clinical["bone_lesions"].cat.rename_categories({"Yes": "No", "No": "Yes"})
    planted = replace(identical, candidate=replace(identical.candidate, clinical=clinical))
    found = measured(marginals, planted)
    touched = {key[1] for key, value in found.items() if value > 1e-6} - {"all"}
    assert touched == {"isotype", "bone_lesions"}
    assert found["total_variation", "isotype", "clinical"] == pytest.approx(
        (identical.real.clinical["isotype"] == rare).mean()
    )
    assert found["total_variation", "bone_lesions", "clinical"] == pytest.approx(abs(yes - no))


def test_a_shift_costs_its_size_in_interquartile_ranges(identical, measured):
    clinical = identical.real.clinical.copy()
    width = stats.iqr(clinical["haemoglobin"].dropna())
    clinical["haemoglobin"] += 0.4 * width
    planted = replace(identical, candidate=replace(identical.candidate, clinical=clinical))
    assert measured(marginals, planted)["wasserstein", "haemoglobin", "clinical"] == pytest.approx(0.4)


def test_a_column_that_cannot_be_compared_says_why(identical):
    clinical = identical.real.clinical.copy()
    clinical["LDH"] = np.nan
    planted = replace(identical, candidate=replace(identical.candidate, clinical=clinical))
    planted = prepare_comparison(marginals, planted, marginals.DEFAULTS, lambda *names: np.random.default_rng(0))
    values = marginals.measure(planted, marginals.DEFAULTS, np.random.default_rng(0))
    reasons = {value.metric: value.reason for value in values if value.target == "LDH"}
    assert reasons == dict.fromkeys((*marginals.NUMERIC, "kullback_leibler"), "no value is known in the candidate")


def test_uniform_columns_are_far_from_real_ones(comparison, scored):
    rng = np.random.default_rng(1)
    clinical = comparison.candidate.clinical.copy()
    for name, column in comparison.real.schema.columns.items():
        if column.numeric and column.kind != "event":
            clinical[name] = rng.uniform(*clinical[name].quantile([0.01, 0.99]), size=len(clinical))
        elif not column.numeric:
            clinical[name] = clinical[name].array[[0]].take(np.zeros(len(clinical), int))
            clinical[name] = clinical[name].cat.set_categories(comparison.real.clinical[name].cat.categories)
    uniform = replace(comparison, candidate=replace(comparison.candidate, clinical=clinical))
    close, far = scored(marginals, comparison), scored(marginals, uniform)
    assert all(far[key] > 2 * close[key] for key in close)


def test_kullback_leibler_equals_scipys_of_smoothed_counts_and_is_finite_where_a_level_is_lost():
    real, candidate = np.array([50.0, 30, 20, 0]), np.array([70.0, 30, 0, 0])
    expected = stats.entropy([50.5, 30.5, 20.5], [70.5, 30.5, 0.5], base=2)  # a level that nobody has is no level
    assert kullback_leibler(real, candidate) == pytest.approx(expected)
    assert kullback_leibler(candidate, real) != pytest.approx(expected)
    rng = np.random.default_rng(0)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    large = kullback_leibler(rng.multinomial(10**6, p).astype(float), rng.multinomial(10**6, q).astype(float))
    assert large == pytest.approx(stats.entropy(p, q, base=2), abs=0.01)


def test_a_mixed_distance_tells_a_wrong_point_mass_from_a_wrong_rest():
    rng = np.random.default_rng(1)
    real = np.concatenate([np.zeros(300), rng.normal(10, 1, 700)])
    assert find_point_masses(real, 0.05).tolist() == [0]
    masses = np.zeros(1)
    fewer_zeros = np.concatenate([np.zeros(100), rng.choice(real[300:], 900)])
    assert measure_mixed_distance(real, fewer_zeros, masses) == pytest.approx(0.2, abs=0.05)
    moved = np.concatenate([np.zeros(300), rng.normal(10, 1, 700) + 20])
    assert measure_mixed_distance(real, moved, masses) == pytest.approx(0.7)
    # Values beside a point mass instead of on it: the largest gap of distribution functions hardly sees them.
    beside = real + np.where(real == 0, 1e-3, 0)
    assert stats.ks_2samp(real, beside).statistic == pytest.approx(0.3)
    assert measure_mixed_distance(real, beside, masses) >= 0.3
    assert measure_mixed_distance(real, np.full(50, -5.0), masses) == pytest.approx(1.0)
    assert measure_mixed_distance(real, real, masses) == 0


def test_a_point_mass_that_was_smeared_out_is_seen_in_its_column(identical, measured):
    rng = np.random.default_rng(3)
    sides = []
    for smeared in (False, True):
        clinical = identical.real.clinical.copy()
        clinical["plasma_cells"] = clinical["plasma_cells"].mask(clinical["plasma_cells"] < 30, 0)
        if smeared:
            zero = clinical["plasma_cells"] == 0
            clinical.loc[zero, "plasma_cells"] = rng.uniform(0, 2, zero.sum())
        sides.append(replace(identical.real, clinical=clinical))
    share = (sides[0].clinical["plasma_cells"] == 0).sum() / sides[0].clinical["plasma_cells"].notna().sum()
    assert share > 0.1
    found = measured(marginals, replace(identical, real=sides[0], train=sides[0], candidate=sides[1]))
    assert found["mixed_distance", "plasma_cells", "clinical"] > share
    assert found["wasserstein", "plasma_cells", "clinical"] < 0.1
