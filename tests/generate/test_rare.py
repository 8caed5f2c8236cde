"""Rare levels and alterations: on request they are neither learned nor released, and nothing else changes."""

import numpy as np
import pytest
from fixtures_small import small_cohort
from test_bounded_fits import QUICK

from haemosynth import generate
from haemosynth.generate.rare import without_rare_alterations, without_rare_levels
from haemosynth.modalities.registry import load_algorithm

FEWEST = 12


@pytest.fixture(scope="module")
def train():
    return small_cohort(200)


def rare_levels(train, fewest):
    return {
        (name, level)
        for name, column in train.schema.columns.items()
        if not column.numeric and column.derived is None
        for level, count in train.clinical[name].value_counts().items()
        if 0 < count < fewest
    }


def test_rare_levels_give_way_to_the_others(train):
    rare = rare_levels(train, FEWEST)
    assert rare
    found, left_out = without_rare_levels(train, FEWEST, np.random.default_rng(1))
    assert sorted(left_out) == sorted(f"{name}: {level}" for name, level in rare)
    for name in train.schema.columns:
        before, after = train.clinical[name], found.clinical[name]
        assert before.dtype == after.dtype
        kept = ~before.isin([level for column, level in rare if column == name])
        assert after[kept].equals(before[kept])
        assert not after.isin([level for column, level in rare if column == name]).any()
        assert (after.isna() == before.isna()).all()


def test_rare_alterations_are_absent_where_they_were_known(train):
    carriers = (train.alterations == 1).sum()
    rare = carriers.index[(carriers > 0) & (carriers < FEWEST)]
    found, left_out = without_rare_alterations(train, FEWEST)
    assert left_out == list(rare)
    assert len(rare)
    assert (found.alterations[rare].fillna(0) == 0).all(axis=None)
    assert (found.alterations.isna() == train.alterations.isna()).all(axis=None)
    others = train.alterations.columns.difference(rare)
    assert found.alterations[others].equals(train.alterations[others])
    assert set(found.mutations["gene"]) == set(train.mutations["gene"]) - set(rare)


def test_without_a_limit_nothing_changes(train):
    rng = np.random.default_rng(1)
    levels, none = without_rare_levels(train, 0, rng)
    alterations, no_more = without_rare_alterations(train, 0)
    assert none == no_more == []
    assert levels.clinical.equals(train.clinical)
    assert alterations.alterations.equals(train.alterations)
    assert rng.random() == np.random.default_rng(1).random()  # no random number was used


@pytest.mark.parametrize("algorithm", QUICK)
def test_what_was_left_out_is_never_drawn(train, algorithm):
    modality = "clinical" if algorithm in ("vae", "forest") else "genomic"
    module = load_algorithm(modality, algorithm)
    settings = generate.settings_of(module, QUICK[algorithm] | {"fewest": FEWEST}, "here")
    fitted = module.fit(train, settings, np.random.default_rng(1), None)
    rng = np.random.default_rng(2)
    if modality == "clinical":
        drawn = module.sample(fitted, train.schema, 2000, rng)
        assert sorted(fitted.description["left_out"]) == sorted(
            f"{name}: {level}" for name, level in rare_levels(train, FEWEST)
        )
        assert not any((drawn[name] == level).any() for name, level in rare_levels(train, FEWEST))
    else:
        drawn = module.sample(fitted, small_cohort(1000, seed=3), rng)
        left_out = fitted.description["left_out"]
        assert len(left_out)
        assert (drawn.alterations[left_out].fillna(0) == 0).all(axis=None)
        assert not drawn.mutations["gene"].isin(left_out).any()
        assert (drawn.alterations.drop(columns=left_out) == 1).any(axis=None)
