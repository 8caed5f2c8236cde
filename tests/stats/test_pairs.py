"""Pairwise statistics equal those of scipy and of exact enumeration, and the load-matched test does what it is for."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from haemosynth.stats import pairs


def events(patients, rates, seed, unknown=0.0):
    rng = np.random.default_rng(seed)
    found = (rng.random((patients, len(rates))) < rates).astype(float)
    found[rng.random(found.shape) < unknown] = np.nan
    return found


@pytest.fixture(scope="module")
def alterations():
    return events(250, np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.9, 0.15]), 1, unknown=0.1)


def tables(alterations):
    """Every pair and its 2 x 2 table, counted by pandas."""
    for i in range(alterations.shape[1]):
        for j in range(i):
            known = ~np.isnan(alterations[:, [i, j]]).any(axis=1)
            counted = pd.crosstab(alterations[known, i], alterations[known, j])
            yield i, j, counted.reindex(index=[1.0, 0.0], columns=[1.0, 0.0], fill_value=0).to_numpy()


def test_counts_are_those_of_patients_in_whom_both_events_are_known(alterations):
    counts = pairs.pair_counts(alterations)
    for i, j, table in tables(alterations):
        cells = [counts.both[i, j], counts.row[i, j], counts.column[i, j], counts.neither[i, j]]
        assert np.array_equal(cells, table.ravel())
        assert counts.known[i, j] == table.sum()
        assert counts.expected[i, j] == pytest.approx(stats.contingency.expected_freq(table)[0, 0])


def test_odds_ratios_and_their_errors_equal_those_of_scipy_on_the_corrected_table(alterations):
    odds, error = pairs.log_odds_ratios(pairs.pair_counts(alterations))
    for i, j, table in tables(alterations):
        cells = table + 0.5
        assert odds[i, j] == pytest.approx(np.log(cells[0, 0] * cells[1, 1] / (cells[0, 1] * cells[1, 0])), abs=1e-9)
        assert error[i, j] == pytest.approx(np.sqrt((1 / cells).sum()), abs=1e-9)
    # scipy's sample odds ratio takes whole counts: doubled, the corrected table is one, and its odds ratio is the same.
    _, _, table = next(tables(alterations))
    doubled = (2 * table + 1).astype(int)
    assert odds[1, 0] == pytest.approx(np.log(stats.contingency.odds_ratio(doubled, kind="sample").statistic), abs=1e-9)


def test_fisher_equals_scipy(alterations):
    p = pairs.fisher_exact(pairs.pair_counts(alterations))
    for i, j, table in tables(alterations):
        assert p[i, j] == pytest.approx(stats.fisher_exact(table).pvalue, abs=1e-9)
        assert p[i, j] == p[j, i]


def test_fisher_equals_scipy_in_small_and_in_lopsided_tables():
    rng = np.random.default_rng(8)
    cells = np.concatenate(
        [rng.integers(0, 6, (300, 4)), rng.integers(0, 2000, (100, 4)) * rng.integers(0, 2, (100, 4))]
    )
    counts = pairs.PairCounts(*(np.zeros((len(cells) + 1,) * 2) for _ in range(4)))
    for table, cell in zip((counts.both, counts.row, counts.column, counts.neither), cells.T, strict=True):
        table[0, 1:] = cell
    found = pairs.fisher_exact(counts)[0, 1:]
    expected = [stats.fisher_exact(cell.reshape(2, 2)).pvalue for cell in cells]
    assert found == pytest.approx(np.array(expected), rel=1e-6, abs=1e-300)


def test_fisher_of_nobody_is_one():
    assert np.array_equal(pairs.fisher_exact(pairs.pair_counts(np.full((5, 3), np.nan))), np.ones((3, 3)))


@pytest.mark.parametrize("unknown", [0.0, 0.2])
def test_the_background_keeps_the_sums_of_events_and_of_patients(unknown):
    alterations = events(200, np.array([0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.0, 1.0]), 2, unknown)
    background = pairs.load_matched_background(alterations)
    assert background.size.sum() == len(alterations)
    assert background.size @ background.probability == pytest.approx(np.nansum(alterations, axis=0), abs=1e-4)
    burden = background.probability.sum(axis=1)
    assert burden == pytest.approx(np.round(burden), abs=1e-4)
    expected = np.bincount(np.nansum(alterations, axis=1).astype(int))
    found = np.bincount(np.round(burden).astype(int), weights=background.size, minlength=len(expected))
    assert np.array_equal(found, expected)


def test_patients_of_equal_burden_leave_only_the_frequency_of_events():
    alterations = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    background = pairs.load_matched_background(alterations)
    assert background.probability == pytest.approx(np.array([[0.5, 0.25, 0.25]]), abs=1e-6)


def conditional_chances(odds, burden):
    """Chance of each event, and of each pair, of a patient of this burden, by going through all sets of events."""
    sets = np.array(list(combinations(range(len(odds)), burden)))
    member = np.zeros((len(sets), len(odds)))
    np.put_along_axis(member, sets, 1, axis=1)
    weight = np.prod(odds[sets], axis=1)
    weight /= weight.sum()
    return weight @ member, (weight[:, None] * member).T @ member


@pytest.mark.parametrize("burden", [1, 2, 3, 5, 9])
def test_given_the_burden_events_leave_each_other_less_room(burden):
    odds = np.random.default_rng(12).lognormal(size=10)
    single, pair = conditional_chances(odds, burden)
    c = pairs._share_covariance(single[None])[0]
    off = ~np.eye(10, dtype=bool)
    found = np.outer(single, single) - np.outer(c, c)
    naive = np.abs(np.outer(single, single) - pair)[off]
    assert np.abs(found - pair)[off].max() < (1e-3 if burden in (1, 9) else 0.1 * naive.max())
    equal, equal_pair = conditional_chances(np.ones(10), burden)
    c = pairs._share_covariance(equal[None])[0]
    assert np.outer(equal, equal)[off] - np.outer(c, c)[off] == pytest.approx(equal_pair[off], abs=1e-6)


@pytest.mark.parametrize("panel", [6, 12, 30])
def test_independent_events_depart_to_neither_side_however_small_the_panel(panel):
    """Without the shared burden, pairs of a small panel would all look exclusive."""
    departures, found, rng = [], 0, np.random.default_rng(13)
    for _ in range(20):
        test = pairs.load_matched((rng.random((500, panel)) < rng.uniform(0.05, 0.4, panel)).astype(float))
        departures.append(test.departure[np.triu_indices(panel, 1)].mean())
        tested = ~np.eye(panel, dtype=bool)
        for tail in ("upper", "lower"):
            found += np.triu(pairs.load_matched_discoveries(test, tail, tested, 0.05)).sum()
    assert abs(np.mean(departures)) < 0.1
    assert found <= 4  # of 40 families, one in twenty with a false find


def exact_tails(chances, overlap):
    """P(X >= overlap), P(X <= overlap) of a sum of independent events, by the dynamic programme."""
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, [1 - chance, chance])
    return distribution[overlap:].sum(), distribution[: overlap + 1].sum()


def test_tails_equal_the_exact_poisson_binomial():
    rng = np.random.default_rng(3)
    chances = rng.beta(0.6, 12, size=300)
    mean, square = np.array([[chances.sum()]]), np.array([[(chances**2).sum()]])
    for overlap in range(2, 31):
        upper, lower = exact_tails(chances, overlap)
        k = np.array([[float(overlap)]])
        assert np.log10(pairs.upper_tail(k, mean, square)[0, 0]) == pytest.approx(np.log10(upper), abs=0.05)
        assert np.log10(pairs.lower_tail(k, mean, square)[0, 0]) == pytest.approx(np.log10(lower), abs=0.05)


def test_tails_of_equal_chances_are_the_binomial_ones():
    k = np.arange(11, dtype=float)[None]
    mean, square = np.full_like(k, 10 * 0.3), np.full_like(k, 10 * 0.09)
    assert pairs.upper_tail(k, mean, square) == pytest.approx(stats.binom.sf(k - 1, 10, 0.3), abs=1e-6)
    assert pairs.lower_tail(k, mean, square) == pytest.approx(stats.binom.cdf(k, 10, 0.3), abs=1e-6)


def test_an_event_of_nobody_overlaps_with_certainty_in_nobody():
    test = pairs.load_matched(np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]))
    assert test.lower[0, 1] == 1.0
    assert test.upper[0, 1] == 1.0


def test_burden_alone_is_co_occurrence_to_fisher_and_nothing_to_the_load_matched_test():
    rng = np.random.default_rng(4)
    load = rng.choice([0.04, 0.4], size=(600, 1), p=[0.7, 0.3])
    alterations = (rng.random((600, 20)) < load).astype(float)
    tested = ~np.eye(20, dtype=bool)
    fisher = pairs.discoveries(pairs.fisher_exact(pairs.pair_counts(alterations)), tested, 0.05)
    matched = pairs.discoveries(pairs.load_matched(alterations).upper, tested, 0.05)
    assert np.triu(fisher).sum() > 150  # of 190
    assert np.triu(matched).sum() <= 2


def test_planted_pairs_are_found_in_their_tail():
    rng = np.random.default_rng(5)
    alterations = (rng.random((500, 12)) < 0.15).astype(float)
    alterations[:, 1] = np.where(rng.random(500) < 0.8, alterations[:, 0], alterations[:, 1])
    exclusive = alterations[:, 2] == 1
    alterations[exclusive, 3] = 0
    tested = ~np.eye(12, dtype=bool)
    test = pairs.load_matched(alterations)
    assert [(int(i), int(j)) for i, j in np.argwhere(np.triu(pairs.discoveries(test.upper, tested, 0.01)))] == [(0, 1)]
    assert (2, 3) in [(int(i), int(j)) for i, j in np.argwhere(np.triu(pairs.discoveries(test.lower, tested, 0.05)))]


def test_no_p_is_smaller_than_the_least_that_the_margins_allow(alterations):
    test = pairs.load_matched(alterations)
    off = ~np.eye(len(test.upper), dtype=bool)
    assert (test.upper >= test.least_upper - 1e-12)[off].all()
    assert (test.lower >= test.least_lower - 1e-12)[off].all()


def attainable_of(p_values):
    """Number of the test and value, of all p-values that the tests can attain."""
    return np.repeat(np.arange(len(p_values)), [len(p) for p in p_values]), np.concatenate(p_values)


def slow_step_up(p, supports, rate):
    """The step-up procedure of Döhler, Durand and Roquain as it is written: sums of distribution functions."""

    def chance(i, t):
        return max((value for value in supports[i] if value <= t), default=0.0)

    tests = range(len(p))
    values = sorted({value for support in supports for value in support})
    allowed = [t for t in values if sum(chance(i, t) / (1 - chance(i, t)) for i in tests) <= rate * len(p)]
    for k in range(len(p), 0, -1):
        t = sorted(p)[k - 1]
        if allowed and t <= allowed[-1]:
            expected = sum(chance(i, t) / (1 - chance(i, allowed[-1])) for i in tests)
            if expected <= rate * k:
                return p <= t
    return np.zeros(len(p), dtype=bool)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_the_discrete_step_up_is_the_published_procedure(rate):
    rng = np.random.default_rng(9)
    found = 0
    for _ in range(60):
        trials, chance = rng.integers(1, 15, 12), rng.uniform(0.02, 0.4, 12)
        tails = [stats.binom.sf(np.arange(n + 1) - 1, n, c) for n, c in zip(trials, chance, strict=True)]
        seen = rng.binomial(trials, np.where(rng.random(12) < 0.4, 0.8, chance))
        p = np.array([tail[k] for tail, k in zip(tails, seen, strict=True)])
        supports = [tail[tail <= rate] for tail in tails]
        quick = pairs.discrete_step_up(p, *attainable_of(supports), rate)
        assert np.array_equal(quick, slow_step_up(p, supports, rate))
        found += quick.sum()
    assert found > 100


def test_no_test_is_found_where_none_can_be():
    nothing = np.empty(0)
    assert not pairs.discrete_step_up(np.ones(5), nothing.astype(int), nothing, 0.05).any()
    assert not pairs.discrete_step_up(nothing, nothing.astype(int), nothing, 0.05).any()


def test_false_discoveries_stay_below_the_rate_and_rare_pairs_are_found_more_often_than_by_benjamini_and_hochberg():
    """Rare events, 190 pairs, 8 of them planted: many of the others can never be found."""
    rng = np.random.default_rng(10)
    shares, found, plain = [], 0, 0
    tested, planted = ~np.eye(20, dtype=bool), np.zeros((20, 20), dtype=bool)
    planted[np.arange(0, 16, 2), np.arange(1, 16, 2)] = True
    for _ in range(150):
        alterations = (rng.random((250, 20)) < rng.uniform(0.01, 0.06, 20)).astype(float)
        together = rng.random((250, 8)) < 0.35
        alterations[:, 1:16:2] = np.where(together, alterations[:, 0:16:2], alterations[:, 1:16:2])
        test = pairs.load_matched(alterations)
        discrete = np.triu(pairs.load_matched_discoveries(test, "upper", tested, 0.05))
        shares.append((discrete & ~planted).sum() / max(1, discrete.sum()))
        found += (discrete & planted).sum()
        plain += (np.triu(pairs.discoveries(test.upper, tested, 0.05)) & planted).sum()
    assert np.mean(shares) <= 0.05 + 3 * np.std(shares) / np.sqrt(len(shares))
    assert found > 1.1 * plain


@pytest.mark.parametrize("tail", ["upper", "lower"])
def test_every_observed_p_is_among_those_that_its_pair_can_attain(tail):
    test = pairs.load_matched(events(300, np.linspace(0.02, 0.3, 20), 11, unknown=0.1))
    rows, columns = np.triu_indices(20, 1)
    pair, attainable = pairs._attainable(test, tail, rows, columns, 0.25)
    observed = getattr(test, tail)[rows, columns]
    small = np.flatnonzero(observed <= 0.25)
    assert len(small) > 5
    for i in small:
        assert observed[i] in attainable[pair == i]


def test_discoveries_are_those_of_benjamini_and_hochberg():
    rng = np.random.default_rng(6)
    p = np.triu(rng.random((30, 30)) ** 4, 1)
    p = p + p.T
    tested = np.triu(rng.random(p.shape) < 0.7, 1)
    tested = tested | tested.T
    found = np.triu(pairs.discoveries(p, tested, 0.1), 1)
    chosen = np.triu(tested, 1)
    ordered = np.sort(p[chosen])
    passing = np.flatnonzero(ordered <= 0.1 * np.arange(1, len(ordered) + 1) / len(ordered))
    assert found.sum() == passing[-1] + 1
    assert p[found].max() == ordered[passing[-1]]
    assert not found[~chosen].any()
