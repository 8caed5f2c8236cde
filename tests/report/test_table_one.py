"""Table 1: differences as they are defined, and no small count in a release."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.files import read_table
from haemosynth.report.table_one import (
    HEAD,
    compute_difference_of_levels,
    compute_difference_of_means,
    compute_difference_of_shares,
    count_levels,
    format_as_docx,
    format_as_html,
    make_table_one,
    write_table_one,
)


def test_a_cohort_does_not_differ_from_itself():
    real = small_cohort(300)
    table = make_table_one(real, real, False)
    shown = table.loc[table["standardised difference"] != "", "standardised difference"]
    assert (shown == "0.00").all()
    assert len(shown) > 30
    assert (table["real"] == table["synthetic"]).all()


def test_differences_of_numbers_and_shares():
    first = np.array([0.0, 1.0, 2.0])
    assert compute_difference_of_means(first, first + 2) == pytest.approx(2.0)  # both deviations are 1
    assert compute_difference_of_means(first, 10 * (first + 2)) == compute_difference_of_means(10 * (first + 2), first)
    assert compute_difference_of_shares(0.2, 0.5) == pytest.approx(0.3 / np.sqrt((0.16 + 0.25) / 2))


@pytest.mark.parametrize("seed", range(5))
def test_two_levels_differ_as_their_shares_and_the_order_of_levels_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.05, 0.95, 2)
    assert compute_difference_of_levels(np.array([a, 1 - a]), np.array([b, 1 - b])) == pytest.approx(
        compute_difference_of_shares(a, b)
    )
    first, second = rng.dirichlet(np.ones(4), 2)
    order = rng.permutation(4)
    assert compute_difference_of_levels(first, second) == pytest.approx(
        compute_difference_of_levels(first[order], second[order])
    )


@pytest.mark.parametrize("seed", range(40))
def test_no_count_of_one_to_four_real_patients_follows_from_the_levels(seed):
    rng = np.random.default_rng(seed)
    names = [f"level {i}" for i in range(rng.integers(2, 7))]
    shares = rng.dirichlet(0.4 * np.ones(len(names) + 1))
    real, made = (
        pd.Series(pd.Categorical(rng.choice([*names, None], n, p=shares), categories=names)) for n in (60, 80)
    )
    counts = count_levels(real, made, release=True)
    assert sum(side[0] for side in counts.values()) == 60
    assert sum(side[1] for side in counts.values()) == 80
    if len(counts) > 1:
        assert all(side[0] == 0 or side[0] >= 5 for side in counts.values())


def test_few_carriers_are_withheld_in_a_release_alone():
    real = small_cohort(300)
    rare = [name for name in real.alterations if 0 < real.alterations[name].sum() < 5]
    for release in (False, True):
        table = make_table_one(real, real, release).set_index(HEAD[0])
        texts = [table.loc[f"  {name}", "real"] for name in rare]
        assert texts
        assert all((text == "fewer than 5") == release for text in texts)


def test_the_three_files_hold_the_same_table_and_equal_tables_equal_bytes(tmp_path):
    docx = pytest.importorskip("docx")
    real, made = small_cohort(300), small_cohort(200, 2)
    table = make_table_one(real, made, True)
    assert format_as_docx(table, "Table 1", "note") == format_as_docx(table, "Table 1", "note")
    write_table_one(table, tmp_path, "small", lambda name: name)
    grid = docx.Document(io.BytesIO((tmp_path / "table_one.docx").read_bytes())).tables[0]
    lines = [[cell.text for cell in row.cells] for row in grid.rows[:12]]
    assert lines == [list(HEAD), *[[text.strip() for text in row] for row in table.head(11).to_numpy().tolist()]]
    read = read_table(tmp_path / "table_one.tsv")
    assert len(read) == len(table)
    page = format_as_html(table, "Table 1", "note")
    assert len(re.findall("<tr>", page)) == len(table) + 1
    assert "<script" not in page
