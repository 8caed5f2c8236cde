"""Co-occurrence and exclusivity: perfect for the same patients, lost by shuffling, and each sees its own side."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from haemosynth.modalities.genomic.stages import co_occurrence, exclusivity

STAGES = [co_occurrence, exclusivity]


def with_events(comparison, real, candidate):
    """The comparison with other alterations, all known."""

    def changed(cohort, events):
        table = pd.DataFrame(events, index=cohort.patients, columns=cohort.alterations.columns)
        return cohort.replace(alterations=table)

    return replace(
        comparison,
        real=changed(comparison.real, real),
        candidate=changed(comparison.candidate, candidate),
        train=changed(comparison.train, candidate),
    )


def planted(comparison, seed, together=True, apart=True):
    """Random events with a pair that co-occurs (0, 1) and a pair that is exclusive (2, 3)."""
    rng = np.random.default_rng(seed)
    shape = comparison.real.alterations.shape
    events = (rng.random(shape) < 0.2).astype(float)
    if together:
        events[:, 1] = np.where(rng.random(shape[0]) < 0.7, events[:, 0], events[:, 1])
    if apart:
        events[events[:, 2] == 1, 3] = 0
    return events


@pytest.mark.parametrize("stage", STAGES)
def test_identical_patients_agree_perfectly(stage, identical, scored):
    found = scored(stage, identical)
    assert found["log_odds_agreement", "all", "genomic"] == pytest.approx(1)
    assert found["log_odds_error", "all", "genomic"] == pytest.approx(0)
    assert found["load_matched_agreement", "all", "genomic"] == pytest.approx(1)


@pytest.mark.parametrize("stage", STAGES)
def test_real_patients_are_better_than_shuffled_columns(stage, comparison, shuffled, scored):
    real, floor = scored(stage, comparison), scored(stage, shuffled)
    assert real["log_odds_agreement", "all", "genomic"] > floor["log_odds_agreement", "all", "genomic"] + 0.15
    assert real["log_odds_error", "all", "genomic"] < floor["log_odds_error", "all", "genomic"]
    assert real["load_matched_agreement", "all", "genomic"] > floor["load_matched_agreement", "all", "genomic"] + 0.1


def test_shuffled_genes_lose_the_pattern(identical, scored):
    # The same matrix under other names: frequencies, burden and the set of odds ratios stay, each pair is wrong.
    alterations = identical.real.alterations
    order = np.roll(np.arange(alterations.shape[1]), 7)
    names = alterations.columns
    wrong = pd.DataFrame(alterations.to_numpy()[:, order], index=alterations.index, columns=names)
    mixed = replace(identical, candidate=identical.candidate.replace(alterations=wrong))
    assert scored(co_occurrence, mixed)["log_odds_agreement", "all", "genomic"] < 0.5


def test_two_swapped_gene_labels_are_caught(comparison, measured):
    real, candidate = planted(comparison, 1), planted(comparison, 2)
    swapped = candidate[:, [0, 4, 2, 3, 1, *range(5, candidate.shape[1])]]
    kept = measured(co_occurrence, with_events(comparison, real, candidate), min_pairs=1)
    lost = measured(co_occurrence, with_events(comparison, real, swapped), min_pairs=1)
    assert kept["recovered_pairs", "all", "genomic"] == 1
    assert lost["recovered_pairs", "all", "genomic"] == 0
    assert lost["spurious_pairs", "all", "genomic"] == 1
    assert lost["log_odds_agreement", "all", "genomic"] < kept["log_odds_agreement", "all", "genomic"] - 0.1


def test_unknown_alterations_are_not_absent(identical, scored):
    # Half of one gene's patients are not assayed, carriers and others alike: the pattern is the same.
    alterations = identical.real.alterations.copy()
    alterations.loc[np.random.default_rng(3).random(len(alterations)) < 0.5, "KRAS"] = np.nan
    unknown = replace(identical, candidate=identical.candidate.replace(alterations=alterations))
    absent = replace(identical, candidate=identical.candidate.replace(alterations=alterations.fillna(0)))
    errors = [scored(co_occurrence, one)["log_odds_error", "all", "genomic"] for one in (unknown, absent)]
    assert errors[0] < errors[1]


def test_each_stage_sees_its_own_side(comparison, measured):
    lost_pair = with_events(comparison, planted(comparison, 1), planted(comparison, 2, together=False))
    assert measured(co_occurrence, lost_pair, min_pairs=1)["recovered_pairs", "all", "genomic"] == 0
    assert measured(exclusivity, lost_pair, min_pairs=1)["recovered_pairs", "all", "genomic"] == 1
    lost_gap = with_events(comparison, planted(comparison, 1), planted(comparison, 2, apart=False))
    assert measured(co_occurrence, lost_gap, min_pairs=1)["recovered_pairs", "all", "genomic"] == 1
    assert measured(exclusivity, lost_gap, min_pairs=1)["recovered_pairs", "all", "genomic"] == 0


def test_pairs_that_real_patients_do_not_support_are_spurious(comparison, measured):
    invented = with_events(comparison, planted(comparison, 1, together=False), planted(comparison, 2))
    found = measured(co_occurrence, invented)
    assert found["found_pairs", "all", "genomic"] >= 1
    assert found["spurious_pairs", "all", "genomic"] == 1
    kept = with_events(comparison, planted(comparison, 1), planted(comparison, 2))
    assert measured(co_occurrence, kept)["spurious_pairs", "all", "genomic"] < 1


def test_pairs_found_in_training_patients_have_a_row(comparison, measured):
    found = measured(co_occurrence, with_events(comparison, planted(comparison, 1), planted(comparison, 2)))
    first, second = comparison.real.alterations.columns[:2]
    assert abs(found["log_odds_difference", f"{first}~{second}", "genomic"]) < 2


def test_too_few_carriers_are_not_applicable(comparison):
    nobody = np.zeros(comparison.real.alterations.shape)
    values = co_occurrence.measure(
        with_events(comparison, nobody, nobody), co_occurrence.DEFAULTS, np.random.default_rng(0)
    )
    reasons = {value.metric: value.reason for value in values}
    assert "fewer than 3 pairs" in reasons["log_odds_agreement"]
    assert "fewer than 5 pairs are found in real patients" in reasons["recovered_pairs"]
    assert reasons["found_pairs"] == ""


@pytest.mark.parametrize("stage", STAGES)
def test_a_candidate_that_lost_a_gene_is_measured(stage, comparison, measured):
    alterations = comparison.candidate.alterations.copy()
    alterations["KRAS"] = alterations["KRAS"] * 0
    lost = replace(comparison, candidate=comparison.candidate.replace(alterations=alterations))
    found = measured(stage, lost)
    assert np.isfinite(found["log_odds_error", "all", "genomic"])
