"""What the stages co_occurrence and exclusivity share: pairs of alterations, real beside candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from haemosynth.modalities.genomic.alterations import make_matrix
from haemosynth.stats.association import weighted_concordance, weighted_correlation, weighted_error
from haemosynth.stats.pairs import (
    Flags,
    LoadMatched,
    Matrix,
    PairCounts,
    Tail,
    load_matched,
    load_matched_discoveries,
    log_odds_ratios,
    pair_counts,
)
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "min_expected": 1.0,  # joint carriers expected in real patients by chance that a pair needs for its odds ratio
    "false_discovery_rate": 0.05,  # of the load-matched test over testable pairs (discrete step-up)
    "significance": 0.05,  # one-sided p that a pair must be able to reach, and at which the candidate repeats it
    "min_pairs": 5,  # found in real patients, that shares of found pairs need
}


def declare_metrics(pairs: str, tested: str, finding: str) -> tuple[Metric, ...]:
    """The metrics of one tail: which odds ratios and load-matched overlaps are read, and what the test looks for."""
    load = (
        "logit P(patient, event) = patient + event effect, given the number of events of each patient; Canisius et al.,"
        " DISCOVER, Genome Biol 2016;17:261"
    )
    return (
        Metric(
            "log_odds_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
            f"sum w x y / sqrt(sum w x^2 sum w y^2) over {pairs} with at least min_expected joint carriers expected;"
            " x, y the Haldane-corrected log odds ratios, w = 1/(SE_x^2 + SE_y^2); about zero, which is independence",
            "this project; Haldane, Ann Hum Genet 1956;20:309",
        ),
        Metric(
            "log_odds_error", "error", "log odds ratio", (0, np.inf), JOINT, "bootstrap",
            f"sum w |x| |x - y| / sum w |x| over {pairs}; weighted by |x|, so that pairs without association"
            " cannot hide what was lost",
            "this project; Haldane, Ann Hum Genet 1956;20:309",
        ),
        Metric(
            "load_matched_agreement", "agreement", "", (-1, 1), JOINT, "bootstrap",
            f"2 sum x y / sum (x^2 + y^2) over {tested}; x and y the overlaps of real and candidate less their"
            " load-matched expectations, in standard deviations; about zero, which is chance",
            f"{load}; Lin, Biometrics 1989;45:255",
        ),
        Metric(
            "direction_concordance", "descriptive", "share", (0, 1), JOINT, "bootstrap",
            f"share of the {finding} pairs found in real patients whose overlap departs from the load-matched"
            " expectation to the same side in the candidate",
            load,
        ),
        Metric(
            "recovered_pairs", "agreement", "share", (0, 1), JOINT, "bootstrap",
            f"share of the {finding} pairs found in real patients with one-sided load-matched p <= significance in the"
            " candidate",
            load,
        ),
        Metric(
            "spurious_pairs", "descriptive", "share", (0, 1), JOINT, "bootstrap",
            f"share of the {finding} pairs found in the candidate that real patients do not support"
            " (one-sided load-matched p > significance, or the opposite side)",
            load,
        ),
        Metric(
            "found_pairs", "descriptive", "pairs", (0, np.inf), JOINT, "bootstrap",
            f"number of {finding} pairs found in the candidate at the false discovery rate",
            load,
        ),
        Metric(
            "log_odds_difference", "descriptive", "log odds ratio", (-np.inf, np.inf), JOINT, "bootstrap",
            f"candidate minus real, for each {finding} pair found in the training patients",
            "this project; Haldane, Ann Hum Genet 1956;20:309",
        ),
    )  # fmt: skip


def find_testable(test: LoadMatched, tail: Tail, significance: float) -> Flags:
    """Pairs whose margins allow a p of at most `significance`.  (events, events), without the diagonal"""
    least = test.least_upper if tail == "upper" else test.least_lower
    return np.asarray((least <= significance) & ~np.eye(len(least), dtype=bool))


def compare_odds(real: PairCounts, candidate: PairCounts, min_expected: float) -> tuple[Matrix, Matrix, Matrix, Flags]:
    """Log odds ratios of real and candidate, the precision of their difference, and which pairs are read.

    Each is (events, events); a pair is read where real patients are expected to carry both events at least
    `min_expected` times, once (above the diagonal).
    """
    x, x_error = log_odds_ratios(real)
    y, y_error = log_odds_ratios(candidate)
    read = np.triu(real.expected >= min_expected, 1)
    return x, y, 1 / (x_error**2 + y_error**2), np.asarray(read)


def measure_tail(comparison: Comparison, settings: Mapping[str, Any], tail: Tail) -> list[Value]:
    """All metrics of one tail.

    Co-occurrence reads all pairs, exclusivity those that occur together less often than by chance in real patients.
    Pairs are chosen, and testable, by real patients alone, so that every candidate answers the same question.
    """
    rate, significance = float(settings["false_discovery_rate"]), float(settings["significance"])
    events = list(comparison.real.schema.alterations)
    real, candidate = make_matrix(comparison.real, events), make_matrix(comparison.candidate, events)
    real_counts, candidate_counts = pair_counts(real), pair_counts(candidate)
    n = int(real_counts.known.max(initial=0))
    values: list[Value] = []

    def add(metric: str, value: float, reason: str = "", target: str = "all") -> None:
        values.append(Value(metric, value, target, "genomic", n, reason))

    x, y, precision, read = compare_odds(real_counts, candidate_counts, float(settings["min_expected"]))
    if tail == "lower":
        read = read & (x < 0)
    weight = precision[read] * np.abs(x[read])
    if read.sum() >= 3 and weight.sum() > 0:
        add("log_odds_agreement", weighted_correlation(x[read], y[read], precision[read]))
        add("log_odds_error", weighted_error(x[read], y[read], weight))
    else:
        few = f"fewer than 3 pairs with {settings['min_expected']:g} joint carriers expected in real patients"
        add("log_odds_agreement", np.nan, few)
        add("log_odds_error", np.nan, few)

    test, other = load_matched(real, real_counts), load_matched(candidate, candidate_counts)
    tested = find_testable(test, tail, significance)
    read = np.triu(tested if tail == "upper" else tested & (test.departure < 0), 1)
    departures = test.departure[read], other.departure[read]
    if read.sum() >= 3:
        add("load_matched_agreement", weighted_concordance(*departures, np.ones(int(read.sum()))))
    else:
        add("load_matched_agreement", np.nan, "fewer than 3 pairs are frequent enough to be tested")
    real_found = np.triu(load_matched_discoveries(test, tail, tested, rate))
    candidate_found = np.triu(load_matched_discoveries(other, tail, tested, rate))
    side = 1.0 if tail == "upper" else -1.0
    departs = side * (other.observed - other.expected) > 0
    p_real = test.upper if tail == "upper" else test.lower
    p_candidate = other.upper if tail == "upper" else other.lower
    if real_found.sum() >= int(settings["min_pairs"]):
        add("direction_concordance", float(departs[real_found].mean()))
        add("recovered_pairs", float((p_candidate[real_found] <= significance).mean()))
    else:
        few = f"fewer than {settings['min_pairs']} pairs are found in real patients (false discovery rate {rate:g})"
        add("direction_concordance", np.nan, few)
        add("recovered_pairs", np.nan, few)
    if candidate_found.any():
        add("spurious_pairs", float((p_real[candidate_found] > significance).mean()))
    else:
        add("spurious_pairs", np.nan, f"no pair is found in the candidate at a false discovery rate of {rate:g}")
    add("found_pairs", float(candidate_found.sum()))

    train_test = load_matched(make_matrix(comparison.train, events))
    for i, j in zip(
        *np.nonzero(
            np.triu(load_matched_discoveries(train_test, tail, find_testable(train_test, tail, significance), rate))
        ),
        strict=True,
    ):
        add("log_odds_difference", float(y[i, j] - x[i, j]), target=f"{events[i]}~{events[j]}")
    return values
