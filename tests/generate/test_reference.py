"""The references: ceilings keep what patients are, floors keep only what they say they keep."""

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort
from scipy.stats import ks_2samp, kstest

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort, set_types
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.reference import reference
from haemosynth.modalities.genomic.precedence import compute_cell_fractions, find_precedence
from haemosynth.study.split import halve


def sides():
    cohort = small_cohort(n=600, seed=2)
    return cohort.take(np.arange(300)), cohort.take(np.arange(300, 600))


def drawn(kind, n=1000, genomic=True):
    train, holdout = sides()
    if not genomic:
        train, holdout = train.record(), holdout.record()
    return reference(kind, train, n, stream(1, kind))


def test_real_is_train_and_fresh_is_half_the_holdout():
    train, holdout = sides()
    assert drawn("real", 5).clinical.equals(train.clinical)
    fresh, control = halve(holdout, stream(1, "fresh"))
    assert len(fresh) == len(control) == 150
    assert set(fresh.patients) | set(control.patients) == set(holdout.patients)
    assert set(fresh.mutations["patient_id"]) <= set(fresh.patients)


@pytest.mark.parametrize("kind", ["independent", "uniform"])
@pytest.mark.parametrize("genomic", [True, False])
@pytest.mark.parametrize("n", [1, 5, 200])
def test_any_number_of_patients(kind, genomic, n):
    cohort = drawn(kind, n, genomic)
    assert list(cohort.patients) == [f"S{i:06d}" for i in range(1, n + 1)]
    assert (cohort.alterations is not None) == genomic


@pytest.mark.parametrize("kind", ["independent", "uniform"])
def test_mutations_belong_to_carriers_who_were_sequenced(kind):
    cohort = drawn(kind)
    carried = (
        cohort.alterations.eq(1)
        .reset_index(names="patient_id")
        .melt("patient_id")
        .set_index(["patient_id", "variable"])["value"]
    )
    pairs = set(zip(cohort.mutations["patient_id"], cohort.mutations["gene"], strict=True))
    assert pairs <= set(carried[carried].index)
    genes = cohort.schema.genes
    assert cohort.alterations.loc[~cohort.sequenced, genes].isna().all().all()
    assert list(cohort.mutations.columns) == list(sides()[0].mutations.columns)
    train = sides()[0]
    recorded = set(train.mutations["gene"])
    assert {(p, g) for p, g in carried[carried].index if g in recorded} == pairs


def numbers(cohort):
    return cohort.clinical[cohort.schema.of_kind("continuous", "integer", "time")]


def test_independent_keeps_marginals_and_destroys_correlation():
    train, _ = sides()
    cohort = drawn("independent", 4000)
    for name in numbers(train):
        assert ks_2samp(numbers(cohort)[name].dropna(), numbers(train)[name].dropna()).statistic < 0.05
    missing = (cohort.clinical.isna().mean() - train.clinical.isna().mean()).abs()
    assert missing.max() < 0.04
    frequency = (cohort.alterations.mean() - train.alterations.mean()).abs()
    assert frequency.max() < 0.04
    off = ~np.eye(numbers(train).shape[1], dtype=bool)
    real = numbers(train).corr("spearman").to_numpy()[off]
    alone = numbers(cohort).corr("spearman").to_numpy()[off]
    assert np.abs(real).max() > 0.5
    assert np.abs(alone).max() < 0.1


def ordered_patients(n=400):
    """Men and women; DNMT3A in all cancer cells, NRAS in a third, STAG2 (X chromosome) in all; 200 reads."""
    rng = np.random.default_rng(3)
    ids = pd.Index([f"P{i:03d}" for i in range(n)], name="patient_id")
    genes = {"DNMT3A": 1.0, "NRAS": 0.33, "STAG2": 1.0}
    schema = Schema(
        "ordered", {"sex": Column("binary", categories=("Female", "Male"))}, (), dict.fromkeys(genes, "gene")
    )
    men = rng.random(n) < 0.5
    rows = []
    for gene, fraction in genes.items():
        vaf = np.where((gene == "STAG2") & men, fraction, fraction / 2) * 0.95
        alt = rng.binomial(200, vaf)
        table = pd.DataFrame({"patient_id": ids, "gene": gene, "alt_count": alt, "ref_count": 200 - alt})
        rows.append(table.assign(vaf=alt / 200))
    mutations = pd.concat(rows, ignore_index=True).reindex(columns=list(MUTATION_COLUMNS))
    clinical = set_types(pd.DataFrame({"sex": np.where(men, "Male", "Female")}, index=ids), schema)
    matrix = pd.DataFrame(1.0, index=ids, columns=list(genes))
    return Cohort.of(schema, clinical, matrix, pd.Series(True, index=ids), mutations)


def test_independent_patients_have_no_clonal_order():
    train = ordered_patients()
    genes = train.schema.genes
    made = reference("independent", train, 2000, stream(1, "order"))
    wins = {}
    for name, cohort in (("train", train), ("made", made)):
        wins[name] = find_precedence(compute_cell_fractions(cohort, genes), len(genes), 0.01).wins
    assert wins["train"][0, 1] > 300
    assert wins["train"][1].sum() == 0
    for first, second in ((0, 1), (0, 2), (1, 2)):
        there, back = wins["made"][first, second], wins["made"][second, first]
        assert there + back > 300
        assert abs(there - back) < 3.5 * np.sqrt(there + back)
    # The cell fractions themselves are kept, in men's X-linked genes too.
    fractions = [compute_cell_fractions(cohort, genes).fraction for cohort in (train, made)]
    assert ks_2samp(*fractions).statistic < 0.05


def test_reads_are_kept_where_they_were_known_and_uniform_ones_are_over_their_range():
    train, _ = sides()
    mutations = train.mutations.copy()
    hidden = mutations["gene"] == "KRAS"
    mutations[["alt_count", "ref_count", "vaf"]] = mutations[["alt_count", "ref_count", "vaf"]].mask(hidden)
    made = reference("independent", train.replace(mutations=mutations), 1000, stream(1, "reads")).mutations
    assert made.loc[made["gene"] == "KRAS", ["alt_count", "ref_count", "vaf"]].isna().all().all()
    others = made[made["gene"] != "KRAS"]
    assert (others["alt_count"] >= 1).all()
    assert others["vaf"].to_numpy() == pytest.approx(others["alt_count"] / (others["alt_count"] + others["ref_count"]))

    even = drawn("uniform").mutations
    assert even["vaf"].isna().mean() == pytest.approx(0.5, abs=0.05)
    low, high = train.mutations["vaf"].quantile([0.01, 0.99])
    assert kstest(even["vaf"].dropna(), "uniform", (low, high - low)).statistic < 0.03


def test_uniform_keeps_neither():
    train, _ = sides()
    cohort = drawn("uniform", 4000)
    assert np.abs(cohort.clinical.isna().mean() - 0.5).max() < 0.05
    distance = [
        ks_2samp(numbers(cohort)[name].dropna(), numbers(train)[name].dropna()).statistic for name in numbers(train)
    ]
    assert np.mean(distance) > 0.15
    assert np.abs(np.triu(numbers(cohort).corr("spearman").to_numpy(), 1)).max() < 0.12
    for name in train.schema.of_kind("categorical", "ordinal", "binary"):
        shares = cohort.clinical[name].value_counts(normalize=True)
        np.testing.assert_allclose(shares, 1 / len(shares), atol=0.06)
    for name in numbers(train):
        low, high = train.clinical[name].quantile([0.01, 0.99])
        grain = train.schema.columns[name].grain or 0
        assert cohort.clinical[name].dropna().between(low - grain, high + grain).all()


@pytest.mark.parametrize("kind", ["real", "independent", "uniform"])
def test_same_stream_same_cohort(kind):
    first, again = drawn(kind), drawn(kind)
    pd.testing.assert_frame_equal(first.clinical, again.clinical)
    pd.testing.assert_frame_equal(first.mutations, again.mutations)


def test_unknown_reference():
    with pytest.raises(InputError, match="independent"):
        drawn("permuted")
