"""A record given alterations: these are kept as they are, and the record goes with them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth import generate
from haemosynth.core.cohort import bare
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Schema
from haemosynth.core.streams import one_of_each, stream
from haemosynth.modalities.clinical import given as given_alterations
from haemosynth.modalities.clinical.generators import forest, vae
from haemosynth.modalities.genomic.generators import dirichlet_process, logistic_chain, missingness

ALGORITHMS = {
    forest: {},
    vae: {
        "steps": 60, "decoders": 2, "width": 32, "refresh": {"trees": 8, "leaf": 24, "max_features": 0.5},
        "refinement": {"trees": 20, "depth": 3, "rate": 0.1, "leaf": 10},
    },
}  # fmt: skip
EVENTS = ["hyperdiploidy", "del(13q)", "t(11;14)"]
QUICK = {"sweeps": 60, "burn_in": 30, "draws": 5, "folds": 2}


@pytest.fixture(autouse=True)
def short_chains(monkeypatch):
    """The mutation model that chooses records has its defaults, which are for whole studies."""
    monkeypatch.setattr(dirichlet_process, "DEFAULTS", dirichlet_process.DEFAULTS | QUICK)
    monkeypatch.setattr(missingness, "GATE_RIDGES", (100.0,))  # nothing to choose from


def driven(n=400):
    """Patients whose haemoglobin is low in carriers of hyperdiploidy, and high in others."""
    cohort = small_cohort(n)
    state = cohort.alterations["hyperdiploidy"].fillna(0).to_numpy()
    level = np.where(state == 1, 8.0, 12.0) + stream(1, "haemoglobin").normal(0, 0.8, n)
    return replace(cohort, clinical=cohort.clinical.assign(haemoglobin=np.round(level, 1)))


def test_of_the_alterations_those_are_kept_that_are_given():
    cohort = small_cohort()
    assert given_alterations.only(cohort, ["genomic"]).alterations.equals(cohort.alterations)
    some = given_alterations.only(cohort, EVENTS)
    assert set(some.schema.alterations) == set(some.alterations) == set(EVENTS)
    assert some.alterations.equals(cohort.alterations[list(some.alterations)])
    assert set(some.mutations["gene"]) <= set(EVENTS)
    assert some.clinical is cohort.clinical


@pytest.mark.parametrize("chosen", [["genomic"], EVENTS], ids=["all", "some"])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda module: module.__name__.split(".")[-1])
def test_the_record_goes_with_the_alterations_that_are_given(algorithm, chosen):
    train, asked = driven(), small_cohort(160, 2)
    settings = algorithm.DEFAULTS | ALGORITHMS[algorithm]
    fitted = given_alterations.fit(algorithm, train, chosen, settings, stream(1), None)
    made = given_alterations.sample(algorithm, fitted, train.schema, asked, stream(2))
    assert list(made.index) == list(asked.patients)
    assert list(made) == list(train.schema.columns)
    carrier = (asked.alterations["hyperdiploidy"] == 1).to_numpy()
    level = made["haemoglobin"].to_numpy()
    assert np.nanmean(level[~carrier]) - np.nanmean(level[carrier]) > 2.5  # 4 in training patients
    # Where frequencies are those of training patients, so are the records.
    assert made["age"].mean() == pytest.approx(train.clinical["age"].mean(), abs=3)
    few = asked.take(np.arange(20))
    twice = [given_alterations.sample(algorithm, fitted, train.schema, few, stream(2)) for _ in range(2)]
    pd.testing.assert_frame_equal(*twice)


def test_unknown_alterations_choose_nothing_and_patients_are_independent_of_the_chunk(monkeypatch):
    train = driven()
    fitted = given_alterations.fit(forest, train, EVENTS, forest.DEFAULTS, stream(1), None)
    nothing = small_cohort(600, 2).replace(alterations=small_cohort(600, 2).alterations * np.nan)
    monkeypatch.setattr(given_alterations, "PER_PATIENT", 4)  # none of them is preferred
    made = given_alterations.sample(forest, fitted, train.schema, nothing, stream(2))
    assert made["haemoglobin"].mean() == pytest.approx(train.clinical["haemoglobin"].mean(), abs=0.35)
    monkeypatch.setattr(given_alterations, "CHUNK", 7)
    few = nothing.take(np.arange(20))
    assert list(given_alterations.sample(forest, fitted, train.schema, few, stream(2)).index) == list(few.patients)


def test_other_alterations_than_those_learned_are_refused():
    train = small_cohort()
    fitted = given_alterations.fit(forest, train, EVENTS, forest.DEFAULTS, stream(1), None)
    with pytest.raises(InputError, match="was given hyperdiploidy, which the patients lack"):
        given_alterations.sample(forest, fitted, train.schema, given_alterations.only(train, EVENTS[1:]), stream(1))


@pytest.mark.parametrize(("chosen", "message"), [(["TP35"], "'TP35' is unknown"), (["clinical"], "is unknown")])
def test_a_misspelt_alteration_is_named(chosen, message):
    with pytest.raises(InputError, match=message):
        given_alterations.only(small_cohort(), chosen)
    with pytest.raises(InputError, match="there are none"):
        given_alterations.only(small_cohort().record(), ["genomic"])


def test_one_choice_of_each_row_is_taken_in_proportion_to_its_weight():
    taken = one_of_each(np.tile([1.0, 0.0, 3.0], (4000, 1)), stream(1))
    assert not (taken == 1).any()
    assert (taken == 2).mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("algorithm", [logistic_chain, dirichlet_process], ids=["logistic_chain", "dirichlet_process"])
def test_alterations_that_are_given_nothing_keep_their_frequencies(algorithm):
    train = small_cohort()
    fitted = algorithm.fit(generate.visible(train, [], "genomic"), algorithm.DEFAULTS, stream(1), None)
    assert fitted.description["record"] == []
    made = algorithm.sample(fitted, bare(Schema("small", {}), 400), stream(2))
    known = train.alterations.mean()
    assert (made.alterations.mean() - known).abs().mean() < 0.03
    assert set(made.mutations["patient_id"]) <= set(made.alterations.index)


def test_what_a_method_is_not_given_it_does_not_see():
    train = small_cohort()
    alone = generate.visible(train, [], "genomic")
    assert not len(alone.clinical.columns)
    assert alone.alterations is train.alterations
    assert generate.visible(train, ["clinical"], "genomic").clinical is train.clinical
    with pytest.raises(InputError, match="genomic: given"):
        generate.visible(train, ["images"], "genomic")
