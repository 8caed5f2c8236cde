"""Distances of marginals equal scipy's, are blind to joint structure, and see what is planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from haemosynth.validate.fidelity import marginals


def test_identical_patients_have_no_distance(identical, scored):
    found = scored(marginals, identical)
    assert len(found) == 5
    assert list(found.values()) == pytest.approx([0] * 5, abs=1e-7)


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
    values = marginals.measure(planted, marginals.DEFAULTS, np.random.default_rng(0))
    reasons = {value.metric: value.reason for value in values if value.target == "LDH"}
    assert reasons == dict.fromkeys(marginals.NUMERIC, "no value is known in the candidate")


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
