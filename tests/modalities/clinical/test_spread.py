"""Brown-Forsythe effects and p equal scipy's, group by group."""

import numpy as np
import pytest
from scipy import stats

from haemosynth.modalities.clinical.stages.spread import brown_forsythe, brown_forsythe_p


def test_effect_and_p_equal_scipys_levene_about_medians():
    rng = np.random.default_rng(0)
    values = np.round(rng.lognormal(size=203), 1)  # ties, and an odd and an even number of members
    values[rng.random(203) < 0.1] = np.nan
    groups = (rng.random((203, 6)) < np.linspace(0.1, 0.8, 6)).astype(float)
    groups[rng.random(groups.shape) < 0.1] = np.nan
    effect, n = brown_forsythe(values, groups)
    p = brown_forsythe_p(effect, n)
    for j in range(6):
        members, others = (values[(groups[:, j] == state) & ~np.isnan(values)] for state in (1, 0))
        found = stats.levene(members, others, center="median")
        assert (n[j] - 2) * effect[j] ** 2 / (1 - effect[j] ** 2) == pytest.approx(found.statistic)
        assert p[j] == pytest.approx(found.pvalue)
        wider = np.abs(members - np.median(members)).mean() > np.abs(others - np.median(others)).mean()
        assert (effect[j] > 0) == wider


def test_a_group_that_cannot_be_compared_has_no_effect():
    values = np.array([1.0, 2, 3, 4, 5, 6])
    groups = np.array([[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0], [np.nan] * 6], dtype=float).T
    effect, n = brown_forsythe(values, groups)
    assert np.isnan(effect).all()
    assert n.tolist() == [6, 6, 0]
    assert brown_forsythe_p(effect, n).tolist() == [1, 1, 1]
    assert np.isnan(brown_forsythe(np.full(6, 3.0), (values > 3)[:, None].astype(float))[0]).all()
    assert np.isnan(brown_forsythe(np.full(6, np.nan), groups)[0]).all()
