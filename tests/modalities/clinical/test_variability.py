"""Variability sees collapse, narrowing and lost classes, and nothing where nothing was lost."""

from dataclasses import replace

import numpy as np
import pytest

from haemosynth.modalities.clinical.stages import variability
from haemosynth.stats.contingency_tables import miller_madow


def spoiled(comparison, **columns):
    """The candidate with other values in some clinical columns."""
    clinical = comparison.candidate.clinical.assign(**columns)
    return replace(comparison, candidate=replace(comparison.candidate, clinical=clinical))


def test_identical_patients_are_equally_varied(identical, scored):
    best = {metric.name: {"error": 0, "agreement": 1, "target": metric.target}.get(metric.kind)
            for metric in variability.METRICS}  # fmt: skip
    found = scored(variability, identical)
    assert {key[2] for key in found} == {"clinical", "genomic", "joint"}
    for (metric, _, _), value in found.items():
        assert value == pytest.approx(best[metric])


def test_combinations_see_what_shuffling_loses_and_columns_do_not(comparison, shuffled, measured):
    real, floor = measured(variability, comparison), measured(variability, shuffled)
    for modality in ("clinical", "genomic"):
        assert floor["column_variation", "all", modality] == pytest.approx(real["column_variation", "all", modality])
        for metric in ("pair_variation", "triple_variation"):
            assert real[metric, "all", modality] < 0.8 * floor[metric, "all", modality]
        assert real["joint_entropy_error", "all", modality] < floor["joint_entropy_error", "all", modality]


def test_copies_of_five_patients_lose_entropy_everywhere(comparison, measured):
    collapsed = replace(comparison, candidate=comparison.candidate.take(np.arange(400) % 5))
    real, found = measured(variability, comparison), measured(variability, collapsed)
    blocks = [key for key in found if key[0] == "entropy_difference" and key[1].startswith("block")]
    assert len(blocks) == 5
    assert all(found[key] < -0.2 for key in blocks)
    for metric, modality in (("column_variation", "clinical"), ("pair_variation", "clinical"),
                             ("triple_variation", "genomic"), ("entropy_error", "clinical"),
                             ("joint_entropy_error", "genomic")):  # fmt: skip
        assert found[metric, "all", modality] > 3 * real[metric, "all", modality]
    assert found["variance_agreement", "all", "clinical"] < real["variance_agreement", "all", "clinical"] - 0.1


def test_values_drawn_to_their_mean_lose_the_square_of_the_factor(identical, measured):
    values = identical.real.clinical["haemoglobin"]
    found = measured(variability, spoiled(identical, haemoglobin=values.mean() + 0.5 * (values - values.mean())))
    assert found["variance_ratio", "haemoglobin", "clinical"] == pytest.approx(0.25, abs=0.03)
    assert found["variance_agreement", "all", "clinical"] < 1
    assert found["entropy_difference", "haemoglobin", "clinical"] < -0.1
    wide = measured(variability, spoiled(identical, haemoglobin=values.mean() + 1.2 * (values - values.mean())))
    assert wide["variance_ratio", "haemoglobin", "clinical"] > 1.2
    assert wide["variance_agreement", "haemoglobin", "clinical"] < 1


def test_a_dropped_rare_class_costs_its_entropy_and_swapped_labels_only_variation(identical, measured):
    isotype = identical.real.clinical["isotype"]
    counts = isotype.value_counts()
    counts = counts[counts > 0]
    rare, common = counts.index[-1], counts.index[0]
    found = measured(variability, spoiled(identical, isotype=isotype.where(isotype != rare, common)))
    missing = isotype.isna().sum()
    before = np.array([*counts, missing], dtype=float)
    after = before.copy()
    after[0], after[-2] = counts[common] + counts[rare], 0
    expected = miller_madow(after) - miller_madow(before)
    assert found["entropy_difference", "isotype", "clinical"] == pytest.approx(expected)
    assert expected < 0
    lesions = identical.real.clinical["bone_lesions"]
    found = measured(
        variability, spoiled(identical, bone_lesions=lesions.map({"Yes": "No", "No": "Yes"}).astype(lesions.dtype))
    )
    assert found["entropy_error", "bone_lesions", "clinical"] == pytest.approx(0)
    assert found["column_variation", "bone_lesions", "clinical"] > 0.2


def test_unknown_is_not_absent(identical, measured):
    alterations = identical.candidate.alterations.copy()
    alterations.iloc[:200] = np.nan
    found = measured(variability, replace(identical, candidate=identical.candidate.replace(alterations=alterations)))
    was_known = identical.real.alterations.iloc[:200].notna().mean()
    for name, share in was_known.items():
        assert found["column_variation", name, "genomic"] == pytest.approx(share / 2)


def test_a_cohort_of_one_constant_column_says_why(identical):
    schema = replace(identical.real.schema, columns={"age": identical.real.schema.columns["age"]}, endpoints=())
    clinical = identical.real.clinical[["age"]].assign(age=60.0)
    cohort = replace(identical.real, schema=schema, clinical=clinical).record()
    small = replace(identical, real=cohort, candidate=cohort, train=cohort)
    small = replace(small, prepared=variability.prepare(small, variability.DEFAULTS, np.random.default_rng(0)))
    values = variability.measure(small, variability.DEFAULTS, np.random.default_rng(0))
    found = {(value.metric, value.target): value for value in values}
    assert found["variance_ratio", "age"].reason == "the column is constant in real patients"
    assert found["variance_ratio", "all"].reason
    assert found["pair_variation", "all"].reason
    assert found["column_variation", "all"].value == 0
