"""Cell fractions know copies of genes; precedence needs more cells and shared cells."""

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort
from scipy.stats import fisher_exact

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort, set_types
from haemosynth.core.schema import Column, Schema
from haemosynth.modalities.genomic.precedence import compute_cell_fractions, find_precedence

GENES = ["DNMT3A", "NRAS", "STAG2"]


def cohort(rows, sexes=("Female",)):
    """rows: (patient number, gene, alternative reads, reference reads) and changes of other columns."""
    ids = pd.Index([f"P{i}" for i in range(len(sexes))], name="patient_id")
    schema = Schema("hand", {"SEX": Column("binary", categories=("Female", "Male"))}, (), dict.fromkeys(GENES, "gene"))
    table = pd.DataFrame(
        [
            {"patient_id": f"P{i}", "gene": gene, "alt_count": alt, "ref_count": ref, "vaf": alt / (alt + ref), **other}
            for i, gene, alt, ref, other in rows
        ],
        columns=list(MUTATION_COLUMNS),
    )
    clinical = set_types(pd.DataFrame({"SEX": list(sexes)}, index=ids), schema)
    matrix = pd.DataFrame(0.0, index=ids, columns=GENES)
    return Cohort.of(schema, clinical, matrix, pd.Series(True, index=ids), table)


def fractions(rows, sexes=("Female",), unreliable=()):
    return compute_cell_fractions(cohort(rows, sexes), GENES, unreliable).fraction


def order(rows, sexes=("Female",), significance=0.01):
    return find_precedence(compute_cell_fractions(cohort(rows, sexes), GENES), len(GENES), significance)


@pytest.mark.parametrize(
    ("row", "sex", "expected"),
    [
        ((0, "DNMT3A", 40, 60, {}), "Female", 0.8),
        ((0, "DNMT3A", 70, 30, {}), "Female", 1.0),  # the other allele is lost
        ((0, "DNMT3A", 40, 60, {"copy_number": 1}), "Female", 0.4),
        ((0, "DNMT3A", 20, 80, {"copy_number": 3}), "Female", 0.6),
        ((0, "STAG2", 40, 60, {}), "Female", 0.8),
        ((0, "STAG2", 40, 60, {}), "Male", 0.4),  # by name
        ((0, "NRAS", 40, 60, {"chromosome": "X"}), "Male", 0.4),  # as recorded
        ((0, "STAG2", 40, 60, {"copy_number": 2}), "Male", 0.8),
        ((0, "NRAS", np.nan, np.nan, {"vaf": 0.3}), "Female", 0.6),
    ],
)
def test_cell_fraction(row, sex, expected):
    assert fractions([row], [sex]) == pytest.approx([expected])


def test_unreliable_genes_and_classes_are_left_out():
    rows = [(0, "NRAS", 40, 60, {"variant_class": "ITD"}), (0, "DNMT3A", 30, 70, {}), (0, "STAG2", 20, 80, {})]
    assert fractions(rows, unreliable=["ITD", "STAG2"]) == pytest.approx([0.6])


def test_precedence_needs_more_cells_and_shared_cells():
    early = (0, "DNMT3A", 45, 55, {})
    assert order([early, (0, "NRAS", 20, 80, {})]).wins[0, 1] == 1
    # As many reads short of significance; and two clones that may lie side by side (0.6 + 0.3 < 1).
    assert order([early, (0, "NRAS", 38, 62, {})]).wins.sum() == 0
    apart = order([(0, "DNMT3A", 120, 280, {}), (0, "NRAS", 60, 340, {})])
    assert apart.wins.sum() == 0
    assert apart.pairs == 1
    assert list(apart.burden) == [0]


def test_a_single_copy_is_not_taken_for_an_early_mutation():
    rows = [(0, "STAG2", 90, 10, {}), (0, "DNMT3A", 45, 55, {})]
    assert order(rows, ["Male"]).wins.sum() == 0  # 90 % of the cells both
    assert order([(0, "STAG2", 45, 55, {}), (0, "DNMT3A", 45, 55, {})], ["Male"], 0.05).wins[0, 2] == 1


def test_a_gene_stands_with_the_mutation_in_most_cells():
    rows = [(0, "DNMT3A", 10, 90, {}), (0, "DNMT3A", 48, 52, {}), (0, "NRAS", 20, 80, {})]
    found = order(rows)
    assert found.wins[0, 1] == found.wins.sum() == found.pairs == 1
    np.testing.assert_array_equal(found.cases, [1, 1, 0])


def test_precedences_are_those_of_a_plain_loop_with_fishers_test():
    small = small_cohort(300)
    genes = small.schema.genes
    mutations = compute_cell_fractions(small, genes)
    found = find_precedence(mutations, len(genes), 0.01)
    table = pd.DataFrame({"p": mutations.patient, "g": mutations.gene, "f": mutations.fraction, "d": mutations.depth})
    wins = np.zeros((len(genes), len(genes)))
    for _, own in table.sort_values(["f", "d"], ascending=False).groupby("p"):
        rows = list(own.drop_duplicates("g").itertuples())
        for one in rows:
            for other in rows:
                reads = [[round(m.d * m.f / 2), m.d - round(m.d * m.f / 2)] for m in (one, other)]
                more = one.f > other.f and fisher_exact(reads, alternative="greater").pvalue < 0.01
                wins[one.g, other.g] += more and one.f + other.f > 1
    assert wins.sum() > 20
    np.testing.assert_array_equal(found.wins, wins)
    assert found.burden @ found.times == wins.sum()


def test_a_patient_drawn_twice_counts_twice():
    small = small_cohort(300)
    genes = small.schema.genes
    once = find_precedence(compute_cell_fractions(small, genes), len(genes), 0.01)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(small)), 2))
    twice = find_precedence(compute_cell_fractions(small.take(order), genes), len(genes), 0.01)
    np.testing.assert_array_equal(twice.wins, 2 * once.wins)
    np.testing.assert_array_equal(twice.cases, 2 * once.cases)
    assert twice.pairs == 2 * once.pairs
    assert sorted(twice.burden) == sorted(once.burden)
    assert twice.times.sum() == 2 * once.times.sum()


def test_without_reads_or_mutations_there_is_no_order():
    empty = cohort([])
    for made in (empty, empty.record(), cohort([(0, "NRAS", np.nan, np.nan, {"vaf": 0.3})])):
        found = find_precedence(compute_cell_fractions(made, GENES), len(GENES), 0.01)
        assert found.wins.sum() == found.pairs == len(found.burden) == 0
