"""The planted order is found; real patients keep it, the floors and planted corruptions do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import RESOURCES, small_cohort

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.modalities.clinical.reference import reference
from haemosynth.modalities.clinical.simulate import simulate_cohort
from haemosynth.modalities.genomic.precedence import compute_cell_fractions, find_precedence
from haemosynth.modalities.genomic.stages import clonality
from haemosynth.stats.association import weighted_correlation
from haemosynth.stats.bradley_terry import fit_bradley_terry
from haemosynth.study.settings import expand_paths
from haemosynth.validate.resampling import evaluate
from haemosynth.validate.stage import Comparison

ORDER = ("order_agreement", "order_reversals")
READS = ["alt_count", "ref_count", "vaf", "copy_number"]
SOURCE = {"format": "simulated", "disease": "myeloma", "patients": 4000, "endpoint": ["OS"], "missing": False}


@pytest.fixture(scope="module")
def large():
    """Simulated patients, the truth behind them."""
    return simulate_cohort("large", SOURCE, RESOURCES, stream(1, "clonality"))


@pytest.fixture(scope="module")
def halves(large):
    """Two halves of 2,000 patients: a score of order needs them, for few of these patients have two mutated genes."""
    real, candidate = large[0].take(np.arange(2000)), large[0].take(np.arange(2000, 4000))
    return Comparison(real=real, candidate=candidate, train=candidate, control=real)


def candidate_of(comparison, kind, seed):
    made = reference(kind, comparison.train, 2000, stream(seed, kind))
    return replace(comparison, candidate=made)


def scores(comparison, scored):
    return {metric: value for (metric, _, _), value in scored(clonality, comparison).items()}


def with_reads(comparison, order):
    """The candidate whose mutations carry the reads of the mutations at these positions."""
    mutations = comparison.candidate.mutations.copy()
    mutations[READS] = mutations[READS].to_numpy()[order]
    return replace(comparison, candidate=comparison.candidate.replace(mutations=mutations))


def reversed_within_patients(mutations):
    """Positions: in every patient, the mutation in most cells takes the reads of the one in fewest."""
    fraction = mutations["vaf"] * mutations["copy_number"]
    order = np.arange(len(mutations))
    for own in mutations.groupby("patient_id").indices.values():
        ranked = own[np.argsort(fraction.to_numpy()[own], kind="stable")]
        order[ranked] = ranked[::-1]
    return order


def test_identical_patients_agree_perfectly(halves, scored):
    found = scores(replace(halves, candidate=halves.real), scored)
    assert set(found) == {*ORDER, "cell_fraction_distance", "clonal_share_error"}
    for metric, value in found.items():
        assert value == pytest.approx(1 if metric.endswith("agreement") else 0, abs=1e-12)


def test_the_planted_order_is_recovered(large):
    cohort, truth = large
    genes = cohort.schema.genes
    order = find_precedence(compute_cell_fractions(cohort, genes), len(genes), 0.01)
    ranked = np.flatnonzero(order.cases > 5)
    fit = fit_bradley_terry(order.wins[np.ix_(ranked, ranked)], 0.3)
    planted = np.array([truth["order"]["log_ability"][genes[i]] for i in ranked])
    upper = np.triu_indices(len(ranked), 1)
    gap, error = (planted[:, None] - planted)[upper], fit.difference_error[upper]
    assert len(ranked) > 15
    assert weighted_correlation(gap, fit.difference[upper], 1 / error**2) > 0.75
    clear = np.abs(fit.difference[upper]) > 1.96 * error
    # What is beyond the error is in the planted direction but for the share that chance allows.
    assert (gap * fit.difference[upper] < 0)[clear].mean() < 0.1
    assert clear.sum() > 30


def test_real_patients_are_better_than_the_floors(halves, scored):
    real = scores(halves, scored)
    # One structureless candidate agrees by chance, up or down: their mean does not.
    independent = [scores(candidate_of(halves, "independent", seed), scored) for seed in range(6)]
    agreement = np.array([found["order_agreement"] for found in independent])
    assert real["order_agreement"] > 0.5
    assert real["order_agreement"] > agreement.max()
    assert abs(agreement.mean()) < 3 * agreement.std(ddof=1) / np.sqrt(len(agreement))
    reversals = np.array([found["order_reversals"] for found in independent])
    assert real["order_reversals"] < 0.15 < reversals.min()
    assert reversals.mean() == pytest.approx(0.5, abs=0.2)
    uniform = scores(candidate_of(halves, "uniform", 1), scored)
    for metric in ("cell_fraction_distance", "clonal_share_error"):
        assert real[metric] < 0.5 * uniform[metric]


def test_shuffled_allele_fractions_are_caught(halves, scored):
    real, mutations = scores(halves, scored), halves.candidate.mutations
    for seed in range(4):
        planted = with_reads(halves, np.random.default_rng(seed).permutation(len(mutations)))
        found = scores(planted, scored)
        assert found["order_agreement"] < 0.5 < real["order_agreement"]
        assert found["order_reversals"] > 0.25 > real["order_reversals"]


def test_a_reversed_order_agrees_negatively(halves, scored):
    planted = with_reads(halves, reversed_within_patients(halves.candidate.mutations))
    found = scores(planted, scored)
    assert found["order_agreement"] < -0.5
    assert found["order_reversals"] > 0.85


def test_subclones_made_clonal_are_seen(halves, measured):
    mutations = halves.real.mutations.copy()
    late = mutations["gene"].eq("NRAS") & mutations["vaf"].between(0.02, 0.3)
    depth = mutations["alt_count"] + mutations["ref_count"]
    mutations["alt_count"] = mutations["alt_count"].mask(late, (depth * 0.48).round().astype(int))
    mutations["ref_count"], mutations["vaf"] = depth - mutations["alt_count"], mutations["alt_count"] / depth
    found = measured(clonality, replace(halves, candidate=halves.real.replace(mutations=mutations)))
    details = {key[1]: value for key, value in found.items() if key[0] == "clonal_share_error" and key[1] != "all"}
    share = late.sum() / mutations["gene"].eq("NRAS").sum()
    assert details.pop("NRAS") == pytest.approx(share)
    assert share > 0.1
    assert set(details.values()) == {0}


def test_the_distance_of_cell_fractions_is_scipys():
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(4)
    first, second = rng.beta(2, 1, 50), np.minimum(rng.beta(3, 1, 70) * 1.2, 1)
    assert clonality.wasserstein(first, second) == pytest.approx(wasserstein_distance(first, second))


def test_what_a_candidate_never_orders_counts_against_it(halves, scored, measured):
    """A candidate that has reads for the two commonest genes only."""
    mutations = halves.real.mutations
    kept = mutations["gene"].isin(["KRAS", "NRAS"])
    lost = halves.real.replace(mutations=mutations.assign(**{n: mutations[n].where(kept) for n in READS[:3]}))
    comparison = replace(halves, candidate=lost)
    found = scores(comparison, scored)
    assert found["order_agreement"] < 0.6
    assert found["order_reversals"] > 0.3
    assert measured(clonality, comparison)["linked_genes", "all", "genomic"] < 0.2


def no_reads(cohort):
    return cohort.replace(mutations=cohort.mutations.assign(**dict.fromkeys(READS[:3], np.nan)))


@pytest.mark.parametrize(
    "spoil",
    [
        no_reads,
        lambda cohort: cohort.record(),
        lambda cohort: cohort.take([0]),
        lambda cohort: cohort.replace(mutations=cohort.mutations.iloc[:0]),
    ],
)
@pytest.mark.parametrize("sides", [("real", "candidate"), ("candidate",)])
def test_what_cannot_be_measured_has_a_reason_and_a_figure(comparison, spoil, sides):
    small = replace(comparison, **{side: spoil(getattr(comparison, side)) for side in sides})
    values = clonality.measure(small, clonality.DEFAULTS, np.random.default_rng(0))
    scored = {m.name for m in clonality.METRICS if m.kind != "descriptive"}
    found = {value.metric: value for value in values if value.target == "all" and value.metric in scored}
    assert set(found) == scored
    assert all(np.isnan(value.value) and value.reason for value in found.values())
    table = pd.DataFrame({"metric": [], "target": [], "status": []})
    assert overlapping(clonality.figure(small, table, clonality.DEFAULTS, "candidate")) == []


def test_the_burden_of_order_is_the_total_variation_of_precedences(halves, measured):
    genes = halves.real.schema.genes
    order = find_precedence(compute_cell_fractions(halves.real, genes), len(genes), 0.01)
    mutations = halves.real.mutations.copy()
    mutations[["alt_count", "ref_count", "copy_number"]] = [100, 100, 2]  # all in every cell: nothing comes first
    found = measured(clonality, replace(halves, candidate=halves.real.replace(mutations=mutations)))
    assert found["precedence_distance", "all", "genomic"] == pytest.approx((order.burden > 0).mean())
    share = order.wins.sum() / order.pairs
    assert found["ordered_share_difference", "all", "genomic"] == pytest.approx(-share)
    assert share > 0.1


def test_figure_of_many_genes(halves, tmp_path):
    settings = clonality.DEFAULTS | {"repeats": 1, "replicates": 2}
    values, _ = evaluate(clonality, halves, settings, lambda *names: stream(1, *names))
    assert overlapping(clonality.figure(halves, values, settings, "candidate")) == []
    assert drawn_alike(lambda: clonality.figure(halves, values, settings, "candidate"), tmp_path)


def test_no_gene_of_fewer_than_five_patients_is_drawn(halves):
    settings = clonality.DEFAULTS | {"more_than_cases": 0}
    few = replace(halves, real=small_cohort(200, 3))
    fig = clonality.figure(few, pd.DataFrame({"metric": [], "target": [], "status": []}), settings, "candidate")
    drawn = {label.get_text() for label in fig.axes[0].get_yticklabels()}
    genes = few.real.schema.genes
    cases = find_precedence(compute_cell_fractions(few.real, genes), len(genes), 0.01).cases
    assert drawn == {gene for gene, count in zip(genes, cases, strict=True) if count >= MIN_CELL_COUNT}
    assert 0 < len(drawn) < np.count_nonzero(cases)


def test_the_order_of_real_leukaemias_is_the_published_one(real_data):
    """Epigenetic and splicing genes early, signalling genes late (Papaemmanuil et al., N Engl J Med 2016;374:2209).

    NPM1 lies between them by cell fraction, not by ability: there it is the latest of all, since it hardly ever exceeds
    another gene (its insertions probably lose reads). Its ability is only asked to come after the early genes.
    """
    studies = Path(__file__).resolve().parents[3] / "config" / "studies"
    entry = expand_paths(yaml.safe_load((studies / "amlsg.yaml").read_text())["cohorts"]["amlsg"], "amlsg")
    cohort = ingest("amlsg", entry)
    genes = cohort.schema.genes
    mutations = compute_cell_fractions(cohort, genes, clonality.DEFAULTS["unreliable"])
    order = find_precedence(mutations, len(genes), 0.01)
    ranked = np.flatnonzero(order.cases > 5)
    fit = fit_bradley_terry(order.wins[np.ix_(ranked, ranked)], 0.3)
    names = [genes[i] for i in ranked]
    groups = {
        "early": {"DNMT3A", "TET2", "ASXL1", "SRSF2", "SF3B1", "U2AF1", "IDH1", "IDH2", "IDH2_R172"},
        "late": {"FLT3", "NRAS", "PTPN11", "KIT"},
        "NPM1": {"NPM1"},
    }
    assert groups["late"] | groups["NPM1"] <= set(names)
    assert {"DNMT3A", "TET2", "ASXL1", "SF3B1", "IDH1", "IDH2"} <= set(names)
    member = {group: np.array([name in of for name in names], dtype=float) for group, of in groups.items()}
    for later in ("late", "NPM1"):
        contrast = member["early"] / member["early"].sum() - member[later] / member[later].sum()
        assert contrast @ fit.ability > 3 * np.sqrt(contrast @ fit.covariance @ contrast)

    share, error = {}, {}
    for group, of in groups.items():
        own = mutations.fraction[np.isin(mutations.gene, [genes.index(gene) for gene in of])]
        share[group], error[group] = own.mean(), own.std(ddof=1) / np.sqrt(len(own))
    assert share["early"] - share["NPM1"] > 3 * np.hypot(error["early"], error["NPM1"])
    assert share["NPM1"] - share["late"] > 2 * np.hypot(error["NPM1"], error["late"])
