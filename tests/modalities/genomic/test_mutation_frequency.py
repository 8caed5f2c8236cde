"""Frequencies are those of assayed patients; burden and allele frequencies see what is planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from haemosynth.modalities.genomic.stages import mutation_frequency


def test_identical_patients_agree_perfectly(identical, scored):
    found = scored(mutation_frequency, identical)
    assert {key[0] for key in found} == {"frequency_error", "frequency_agreement", "burden_distance", "vaf_distance"}
    for (metric, _, _), value in found.items():
        assert value == pytest.approx(1 if metric.endswith("agreement") else 0, abs=1e-12)


def test_unknown_is_not_absent(identical, measured):
    # Half of the patients are not sequenced: frequencies among the others are theirs, not diluted.
    kept = identical.real.alterations.copy()
    unknown = np.random.default_rng(1).permutation(len(kept))[: len(kept) // 2]
    genes = identical.real.schema.genes
    kept.iloc[unknown, [kept.columns.get_loc(gene) for gene in genes]] = np.nan
    planted = replace(identical, candidate=identical.candidate.replace(alterations=kept))
    found = measured(mutation_frequency, planted)
    for gene in genes:
        expected = kept[gene].mean() - identical.real.alterations[gene].mean()
        assert found["frequency_difference", gene, "genomic"] == pytest.approx(expected)
    assert found["frequency_error", "all", "genomic"] < 0.02


def test_shuffling_columns_keeps_frequencies(comparison, shuffled, scored):
    real, floor = scored(mutation_frequency, comparison), scored(mutation_frequency, shuffled)
    for metric in ("frequency_error", "frequency_agreement"):
        assert real[metric, "all", "genomic"] == pytest.approx(floor[metric, "all", "genomic"])


def test_events_at_random_rates_are_worse_than_real_patients(comparison, scored):
    rng = np.random.default_rng(2)
    matrix = comparison.candidate.alterations
    events = (rng.random(matrix.shape) < rng.random(matrix.shape[1])).astype(float)
    alterations = matrix.where(matrix.isna(), events)
    uniform = replace(comparison, candidate=comparison.candidate.replace(alterations=alterations))
    real, floor = scored(mutation_frequency, comparison), scored(mutation_frequency, uniform)
    assert real["frequency_error", "all", "genomic"] < 0.1 * floor["frequency_error", "all", "genomic"]
    assert real["frequency_agreement", "all", "genomic"] > 0.85 > floor["frequency_agreement", "all", "genomic"]
    assert real["burden_distance", "all", "genomic"] < 0.2 * floor["burden_distance", "all", "genomic"]


def test_swapped_genes_are_seen(identical, measured):
    alterations = identical.real.alterations.copy()
    alterations[["KRAS", "ATM"]] = alterations[["ATM", "KRAS"]].to_numpy()
    planted = replace(identical, candidate=identical.candidate.replace(alterations=alterations))
    found = measured(mutation_frequency, planted)
    moved = {key[1] for key, value in found.items() if key[0] == "frequency_difference" and abs(value) > 0}
    assert moved == {"KRAS", "ATM"}
    assert found["frequency_agreement", "all", "genomic"] < 0.97


def test_burden_is_total_variation_among_fully_assayed_patients():
    matrix = np.array([[1.0, 1.0], [1.0, 0.0], [np.nan, 1.0], [0.0, 0.0]])
    assert sorted(mutation_frequency.count_burden(matrix)) == [0, 1, 2]
    assert mutation_frequency.burden_distance(np.array([0, 0, 1]), np.array([3, 3, 1])) == pytest.approx(2 / 3)


def test_concordance_falls_with_shift_and_scale():
    rng = np.random.default_rng(3)
    x = rng.normal(size=200)
    assert mutation_frequency.lin_concordance(x, x) == pytest.approx(1)
    assert mutation_frequency.lin_concordance(x, -x) == pytest.approx(-1, abs=0.02)
    shift = 0.7
    expected = 2 * x.var() / (2 * x.var() + shift**2)
    assert mutation_frequency.lin_concordance(x, x + shift) == pytest.approx(expected)


def test_allele_frequencies_equal_scipys_distance_and_come_from_read_counts(comparison, measured):
    found = measured(mutation_frequency, comparison)
    sides = [side.mutations.loc[side.mutations.gene == "KRAS"] for side in (comparison.real, comparison.candidate)]
    expected = stats.ks_2samp(*(side.vaf for side in sides)).statistic
    assert found["vaf_distance", "KRAS", "genomic"] == pytest.approx(expected, abs=1e-9)

    def counted(cohort):
        return cohort.replace(mutations=cohort.mutations.assign(vaf=np.nan))

    by_reads = measured(
        mutation_frequency,
        replace(comparison, real=counted(comparison.real), candidate=counted(comparison.candidate)),
    )
    depth = [side.alt_count / (side.alt_count + side.ref_count) for side in sides]
    assert by_reads["vaf_distance", "KRAS", "genomic"] == pytest.approx(stats.ks_2samp(*depth).statistic, abs=1e-9)


def test_a_candidate_without_read_counts_is_not_applicable(shuffled):
    values = mutation_frequency.measure(shuffled, mutation_frequency.DEFAULTS, np.random.default_rng(0))
    found = [value for value in values if value.metric == "vaf_distance"]
    assert found[0].target == "all"
    assert all(np.isnan(value.value) and value.reason for value in found)
