"""Coverage sees which patients a candidate leaves out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from haemosynth.validate.stages import coverage
from haemosynth.validate.stages.coverage import neighbourhoods


def test_identical_patients_are_covered_wholly(identical, scored):
    found = scored(coverage, identical)
    for (metric, _, _), value in found.items():
        if metric in ("rare_share_error",):
            assert value == 0
        elif metric != "density":  # every patient also lies in its own ball
            assert value == 1
        else:
            assert value > 1


def brute_force(real, candidate, k):
    """The four definitions, patient by patient."""

    def balls(points):
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
        return np.sort(apart, axis=1)[:, k]

    apart = np.linalg.norm(real[:, None] - candidate[None], axis=-1)
    in_real, in_candidate = apart <= balls(real)[:, None], apart <= balls(candidate)[None, :]
    return {
        "precision": in_real.any(axis=0).mean(),
        "recall": in_candidate.any(axis=1).mean(),
        "density": in_real.sum(axis=0).mean() / k,
        "coverage": in_real.any(axis=1).mean(),
    }


def test_neighbourhoods_equal_their_definitions():
    rng = np.random.default_rng(0)
    real, candidate = rng.standard_normal((80, 3)), rng.standard_normal((60, 3)) * 1.5
    assert neighbourhoods(real, candidate, 4) == pytest.approx(brute_force(real, candidate, 4))


def test_the_expected_coverage_and_density_of_fresh_patients():
    # Naeem et al. 2020: equal distributions and equal n give a density of 1 and a coverage near 1 - 2^-k.
    rng = np.random.default_rng(1)
    found = [neighbourhoods(rng.standard_normal((300, 4)), rng.standard_normal((300, 4)), 5) for _ in range(10)]
    assert np.mean([one["coverage"] for one in found]) == pytest.approx(1 - 2**-5, abs=0.01)
    assert np.mean([one["density"] for one in found]) == pytest.approx(1, abs=0.05)


def test_density_of_fresh_patients_is_1_where_records_tie():
    rng = np.random.default_rng(2)
    found = [
        neighbourhoods((rng.random((300, 6)) < 0.2) * 1.0, (rng.random((300, 6)) < 0.2) * 1.0, 5) for _ in range(10)
    ]
    assert np.mean([one["density"] for one in found]) == pytest.approx(1, abs=0.1)


def test_fresh_patients_cover_more_than_shuffled_columns(comparison, shuffled, measured):
    real, floor = measured(coverage, comparison), measured(coverage, shuffled)
    for modality in ("clinical", "joint"):
        for metric in ("precision", "coverage", "combination_support"):
            assert real[metric, "all", modality] > floor[metric, "all", modality]
        density = (abs(found["density", "all", modality] - 1) for found in (real, floor))
        assert next(density) < next(density)


def test_copies_of_five_patients_cover_nearly_nobody(comparison, measured):
    collapsed = replace(comparison, candidate=comparison.candidate.take(np.arange(400) % 5))
    real, found = measured(coverage, comparison), measured(coverage, collapsed)
    for modality in ("clinical", "genomic", "joint"):
        for metric in ("coverage", "recall", "combination_support", "support_coverage"):
            assert found[metric, "all", modality] < real[metric, "all", modality] - 0.1
    assert found["coverage", "all", "joint"] < 0.3
    assert found["recall", "all", "joint"] == 0
    assert found["range_coverage", "all", "clinical"] < 0.8 * real["range_coverage", "all", "clinical"]
    assert found["rare_kept", "all", "genomic"] < 0.5
    assert found["rare_share_error", "all", "genomic"] > 2 * real["rare_share_error", "all", "genomic"]


def test_a_dropped_rare_class_and_a_dropped_rare_gene_are_seen_in_their_modality(identical, measured):
    isotype = identical.real.clinical["isotype"].value_counts(normalize=True)
    rare = isotype[(isotype > 0) & (isotype < 0.05)].index[0]
    clinical = identical.candidate.clinical.copy()
    clinical["isotype"] = clinical["isotype"].where(clinical["isotype"] != rare, isotype.index[0])
    found = measured(coverage, replace(identical, candidate=replace(identical.candidate, clinical=clinical)))
    assert found["rare_kept", "all", "clinical"] < 1
    assert found["rare_kept", "all", "genomic"] == 1
    assert found["support_coverage", "isotype", "clinical"] == pytest.approx(
        1 - (identical.real.clinical["isotype"] == rare).mean()
    )
    shares = identical.real.alterations.mean()
    gene = shares[(shares > 0) & (shares < 0.05)].index[0]
    alterations = identical.candidate.alterations.copy()
    alterations[gene] = alterations[gene].mask(alterations[gene] == 1, 0)
    found = measured(coverage, replace(identical, candidate=identical.candidate.replace(alterations=alterations)))
    assert found["rare_kept", "all", "clinical"] == 1
    assert found["rare_kept", "all", "genomic"] < 1
    assert found["rare_share_error", "all", "genomic"] > 0


def test_a_range_cut_in_half_is_half_covered(identical, measured):
    low, high = identical.real.clinical["age"].quantile([0.01, 0.99])
    clinical = identical.candidate.clinical.assign(age=np.linspace(low, (low + high) / 2, 400))
    found = measured(coverage, replace(identical, candidate=replace(identical.candidate, clinical=clinical)))
    assert found["range_coverage", "age", "clinical"] == pytest.approx(0.5, abs=0.02)


def test_too_few_patients_and_a_column_without_values_say_why(comparison):
    clinical = comparison.candidate.clinical.copy()
    clinical["LDH"] = np.nan
    clinical["isotype"] = pd.Categorical([None] * len(clinical), categories=clinical["isotype"].cat.categories)
    tiny = replace(
        comparison,
        real=comparison.real.take(np.arange(4)),
        candidate=replace(comparison.candidate, clinical=clinical).take(np.arange(4)),
    )
    tiny = replace(tiny, prepared=coverage.prepare(tiny, coverage.DEFAULTS, np.random.default_rng(0)))
    values = coverage.measure(tiny, coverage.DEFAULTS, np.random.default_rng(0))
    reasons = {(value.metric, value.target): value.reason for value in values if value.reason}
    assert reasons["coverage", "all"] == "not more than 5 patients on one side"
    assert reasons["range_coverage", "LDH"]
