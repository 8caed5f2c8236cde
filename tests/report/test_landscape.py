"""Oncoprint, co-mutation and survival by class: equal rows on both sides, nothing of fewer than five in a release."""

from itertools import pairwise

import numpy as np
import pytest
from fixtures_small import small_cohort

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import save_figure
from haemosynth.modalities.genomic.molecular_classes import find_molecular_classes
from haemosynth.report.landscape import (
    HIDDEN_CODE,
    assign_classes,
    compute_pair_odds,
    draw_landscape,
    draw_survival_by_class,
    find_frequent,
    join_cohorts,
    release_codes,
    release_rows,
    rows_of,
)


@pytest.mark.parametrize("seed", range(40))
def test_no_group_of_one_to_four_real_patients_follows_from_a_released_row(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, rng.integers(1, 7))
    borders = np.concatenate([[0], np.cumsum(sizes)])
    classes = list(pairwise(borders))
    codes = rng.choice([-1, 0, 1], borders[-1], p=rng.dirichlet([1, 3, 1])).astype(np.int8)
    shown = release_codes(codes, classes)
    hidden = [(shown[start:end] == HIDDEN_CODE).all() for start, end in classes]
    for value in np.unique(codes):
        for (start, end), away in zip(classes, hidden, strict=True):
            count = (shown[start:end] == value).sum()
            if not away:
                assert count == (codes[start:end] == value).sum()
                assert count == 0 or count >= MIN_CELL_COUNT
        # The row's total is known: what it leaves for the hidden classes together.
        left = (codes == value).sum() - (shown == value).sum()
        assert all(hidden) or left == 0 or left >= MIN_CELL_COUNT
    assert sum(hidden) != 1 or len(classes) == 1


def test_a_released_row_says_nothing_of_single_patients():
    real = small_cohort(300)
    classes, shown = find_molecular_classes(real), find_frequent(real, 10)
    group = np.sort(assign_classes(real, classes))
    rows = rows_of(real, real, shown, classes)
    released = release_rows(rows, group)
    mixed = np.arange(len(real))
    for name in np.unique(group):  # patients of a class change places, in each row by themselves
        mixed[group == name] = np.random.default_rng(int(name)).permutation(mixed[group == name])
    again = release_rows([type(row)(row.name, row.codes[mixed], row.colours) for row in rows], group)
    assert all(np.array_equal(a.codes, b.codes) for a, b in zip(released, again, strict=True))


def test_both_sides_have_the_same_rows_and_the_most_frequent_alteration_comes_first():
    real, made = small_cohort(300), small_cohort(200, 2)
    classes, shown = find_molecular_classes(real), find_frequent(real, 12)
    sides = [[row.name for row in rows_of(cohort, real, shown, classes)] for cohort in (real, made)]
    assert sides[0] == sides[1]
    assert sides[0][-len(shown) :] == shown
    carriers = [(real.alterations[name] == 1).sum() for name in shown]
    assert carriers == sorted(carriers, reverse=True)


def test_pairs_are_symmetric_and_few_real_patients_are_hidden():
    events = small_cohort(300).alterations.to_numpy(float)
    odds, found, none_hidden = compute_pair_odds(events, False)
    assert np.allclose(odds, odds.T, equal_nan=True)
    assert not none_hidden.any()
    assert np.isfinite(odds[found]).all()
    released, _, hidden = compute_pair_odds(events, True)
    both = np.nan_to_num(events).T @ np.nan_to_num(events)
    shown = np.isfinite(released)
    assert ((both[shown] == 0) | (both[shown] >= MIN_CELL_COUNT)).all()
    assert hidden.any()
    assert np.array_equal(released[shown], odds[shown])


def test_figures_are_drawn_and_equal_data_gives_equal_bytes(tmp_path):
    real, made = small_cohort(300), small_cohort(260, 2)
    train, holdout = real.take(range(150)), real.take(range(150, 300))
    assert len(join_cohorts(train, holdout)) == 300
    drawn = [draw_landscape(train, holdout, made, True) for _ in range(2)]
    assert [title for title, _, _ in drawn[0]] == ["Oncoprint", "Co-mutation", "Survival by molecular class"]
    for first, second in zip(*drawn, strict=True):
        for name, (_, _, figure) in (("a", first), ("b", second)):
            save_figure(figure, tmp_path / f"{name}.svg")
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
        assert not any(patient in (tmp_path / "a.svg").read_text() for patient in map(str, real.patients[:20]))


def test_no_curves_without_two_large_classes():
    real = small_cohort(300)
    assert draw_survival_by_class(real.take(range(30)), real, find_molecular_classes(real)) is None
    assert draw_landscape(real.record(), real.record(), real.record(), False) == []
