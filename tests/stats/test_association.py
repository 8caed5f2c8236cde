"""Associations equal those of scipy and pandas on the patients in whom both columns are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from haemosynth.core.schema import Column, Schema
from haemosynth.encode.design import code_levels, make_indicators
from haemosynth.stats import association


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(1)
    found = rng.normal(size=(150, 4)).cumsum(axis=1)
    found = np.column_stack([found, rng.integers(0, 3, 150), rng.integers(0, 4, 150)]).astype(float)
    found[:, 1] = np.round(found[:, 1])
    found[:, 0] += found[:, 4]
    found[rng.random(found.shape) < 0.15] = np.nan
    return found


NOMINAL = np.array([False, False, False, False, True, True])


def test_ordered_pairs_are_spearman(values):
    found = association.association_matrix(values, NOMINAL)
    for i in range(4):
        for j in range(i):
            assert found[i, j] == pytest.approx(
                stats.spearmanr(values[:, i], values[:, j], nan_policy="omit").statistic
            )


def test_nominal_with_ordered_is_the_share_of_rank_variance_between_groups_as_kruskal_and_wallis_have_it(values):
    found = association.association_matrix(values, NOMINAL)
    for i in range(4):
        known = ~np.isnan(values[:, [i, 4]]).any(axis=1)
        groups = [values[known & (values[:, 4] == level), i] for level in range(3)]
        h, n = stats.kruskal(*groups).statistic, known.sum()
        assert found[i, 4] == pytest.approx(np.sqrt(max(0.0, (h - 2) / (n - 3))))


def test_cramers_v_corrects_scipys_for_its_bias():
    rng = np.random.default_rng(2)
    first = rng.integers(0, 4, 300).astype(float)
    second = np.where(rng.random(300) < 0.5, first, rng.integers(0, 4, 300)).astype(float)
    raw = stats.contingency.association(pd.crosstab(first, second).to_numpy(), method="cramer")
    corrected = association.cramers_v(first, second)
    assert corrected < raw
    assert corrected == pytest.approx(raw, abs=0.02)
    unrelated = [association.cramers_v(first, rng.permutation(first)) ** 2 for _ in range(200)]
    assert np.mean(unrelated) < 0.005  # the uncorrected mean is (4 - 1) / 299 = 0.01
    assert association.cramers_v(first, first) == pytest.approx(1)
    assert association.cramers_v(first, 3 - first) == pytest.approx(1)


def test_a_constant_column_has_no_association():
    values = np.column_stack([np.ones(50), np.arange(50.0), np.arange(50.0) % 3])
    found = association.association_matrix(values, np.array([False, False, True]))
    assert np.isnan(found[0, 1])
    assert np.isnan(found[0, 2])


def test_cross_correlation_is_pairwise_complete(values):
    found = association.cross_correlation(values[:, :2] + 1e6, values[:, 2:4])
    expected = pd.DataFrame(values).corr().to_numpy()[:2, 2:4]
    assert found == pytest.approx(expected)


def test_agreement_is_one_for_equality_and_concordance_falls_with_size():
    rng = np.random.default_rng(3)
    x, weight = rng.normal(size=50), rng.random(50)
    for measure in (association.weighted_correlation, association.weighted_concordance):
        assert measure(x, x, weight) == pytest.approx(1)
        assert measure(x, -x, weight) == pytest.approx(-1)
        assert measure(x, 0 * x, weight) == 0
    assert association.weighted_correlation(x, x / 3, weight) == pytest.approx(1)
    assert association.weighted_concordance(x, x / 3, weight) == pytest.approx(2 / 3 / (1 + 1 / 9))
    assert association.weighted_error(x, x, weight) == 0


def test_both_sides_are_coded_alike_even_with_levels_that_the_schema_lacks():
    schema = Schema("c", {"age": Column("integer"), "type": Column("categorical", categories=("b", "a"))})
    real = pd.DataFrame({"age": [1.0, np.nan], "type": pd.Categorical(["a", None], ["b", "a"])})
    other = pd.DataFrame({"age": [2.0, 3.0], "type": pd.Categorical(["z", "b"], ["z", "b"])})
    design = code_levels(schema, real, other)
    assert design.levels == ((), ("b", "a", "z"))
    assert design.nominal.tolist() == [False, True]
    assert np.array_equal(design.matrices[0], [[1, 1], [np.nan, np.nan]], equal_nan=True)
    assert np.array_equal(design.matrices[1], [[2, 2], [3, 0]])
    names, table = make_indicators(design, 1)
    assert names == ["age", "type=b", "type=a", "type=z"]
    assert np.array_equal(table, [[2, 0, 0, 1], [3, 1, 0, 0]])


def test_kendalls_tau_equals_scipys_with_ties_and_missing_values(values):
    found = association.kendall_tau(values)
    for i in range(6):
        for j in range(6):
            assert found[i, j] == pytest.approx(
                stats.kendalltau(values[:, i], values[:, j], nan_policy="omit").statistic
            )
    few = np.column_stack([np.arange(9.0), np.arange(9.0)])
    assert np.isnan(association.kendall_tau(few)).all()
    assert np.isnan(association.kendall_tau(np.column_stack([np.ones(20), np.arange(20.0)]))[0, 1])
