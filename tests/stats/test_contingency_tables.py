"""Cells, entropies and the choice of combinations."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort
from scipy import stats

from haemosynth.stats.contingency_tables import (
    cell_counts,
    chao_shen,
    count_distance,
    design_cells,
    find_strongest,
    fit_coding,
    miller_madow,
    plug_in,
)

SETTINGS = {"bins": 3, "pairs": 10, "block_columns": 4, "block_events": 6}


def test_plug_in_entropy_equals_scipys_and_its_correction_is_millers():
    counts = np.array([5.0, 3, 0, 1])
    assert plug_in(counts) == pytest.approx(stats.entropy(counts))
    assert miller_madow(counts) == pytest.approx(stats.entropy(counts) + 2 / 18)


def test_chao_shen_follows_its_formula():
    counts = np.array([4.0, 2, 1, 1, 0])
    share = (1 - 2 / 8) * np.array([4, 2, 1, 1]) / 8
    expected = -sum(p * np.log(p) / (1 - (1 - p) ** 8) for p in share)
    assert chao_shen(counts) == pytest.approx(expected)
    assert np.isfinite(chao_shen(np.ones(7)))
    assert chao_shen(np.array([9.0])) == pytest.approx(0, abs=1e-9)


def test_corrected_entropies_are_nearer_to_the_truth_than_the_plug_in():
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(200))
    truth = stats.entropy(share)
    drawn = [rng.multinomial(150, share).astype(float) for _ in range(50)]
    bias = {
        f.__name__: abs(np.mean([f(counts) for counts in drawn]) - truth) for f in (plug_in, miller_madow, chao_shen)
    }
    assert bias["chao_shen"] < 0.25 * bias["plug_in"]
    assert bias["miller_madow"] < 0.6 * bias["plug_in"]


def test_every_state_is_told_apart_and_missing_is_one_of_them():
    cohort = small_cohort(300)
    coding = fit_coding(cohort, 3)
    codes = pd.DataFrame(coding.codes(cohort), columns=coding.columns)
    assert (codes >= 0).all(axis=None)
    assert (codes.to_numpy() < coding.sizes).all()
    assert "ISS" not in codes
    for i, name in enumerate(coding.columns):
        source = cohort.clinical if name in cohort.clinical else cohort.alterations
        assert ((codes[name] == coding.sizes[i] - 1).to_numpy() == source[name].isna().to_numpy()).all()
    for level, group in cohort.clinical["isotype"].groupby(cohort.clinical["isotype"], observed=True):
        assert codes["isotype"].to_numpy()[cohort.patients.isin(group.index)].tolist().count(
            list(cohort.clinical["isotype"].cat.categories).index(level)
        ) == len(group)
    shares = codes["haemoglobin"][cohort.clinical["haemoglobin"].notna().to_numpy()].value_counts(normalize=True)
    assert shares.to_numpy() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_a_level_that_training_patients_lack_is_a_state_of_its_own():
    cohort = small_cohort(300)
    clinical = cohort.clinical.copy()
    clinical["sex"] = clinical["sex"].cat.add_categories("Unseen")
    clinical.iloc[0, clinical.columns.get_loc("sex")] = "Unseen"
    coding = fit_coding(cohort, 3)
    i = coding.columns.index("sex")
    codes = coding.codes(replace(cohort, clinical=clinical))[:, i]
    assert codes[0] == len(cohort.clinical["sex"].cat.categories)
    assert (codes == codes[0]).sum() == 1


def test_counts_of_combined_states_equal_a_cross_table():
    cohort = small_cohort(300)
    coding = fit_coding(cohort, 3)
    codes = coding.codes(cohort)
    i, j = coding.columns.index("sex"), coding.columns.index("ECOG")
    first, second = cell_counts(codes, codes[:100], coding.sizes, (i, j))
    table = pd.crosstab(codes[:, i], codes[:, j]).to_numpy()
    assert sorted(first) == sorted(table[table > 0])
    assert second.sum() == 100
    assert count_distance(first, first) == 0
    assert count_distance(np.array([1.0, 0]), np.array([0, 7.0])) == 1


def test_the_strongest_sets_are_strongest_and_no_column_is_in_more_than_five():
    cohort = small_cohort(300)
    coding = fit_coding(cohort, 3)
    association = np.random.default_rng(0).random((len(coding.columns),) * 2)
    association = np.triu(association, 1) + np.triu(association, 1).T
    pairs = find_strongest(association, coding, 2, 10)
    assert len(pairs) == 30
    modalities = pd.Series([coding.modality(pair) for pair in pairs])
    assert (modalities.value_counts() == 10).all()
    clinical = len(coding.columns) - len(coding.alterations)
    best = np.unravel_index(association[:clinical, :clinical].argmax(), (clinical, clinical))
    assert pairs[0] == tuple(sorted(best))
    for modality in modalities.unique():
        members = [i for pair, of in zip(pairs, modalities, strict=True) if of == modality for i in pair]
        assert np.bincount(members).max() <= 5


def test_blocks_are_of_one_group_and_blind_to_the_candidate():
    cohort = small_cohort(300)
    design = design_cells(cohort, SETTINGS)
    groups = {name: {cohort.schema.columns[design.coding.columns[i]].group for i in chosen}
              for name, chosen in design.blocks.items() if name != "alterations"}  # fmt: skip
    assert groups == {name: {name} for name in groups}
    carriers = cohort.alterations.sum()
    assert {design.coding.columns[i] for i in design.blocks["alterations"]} == set(carriers.nlargest(6).index)
    assert design_cells(cohort.record(), SETTINGS).blocks.keys() == groups.keys()
