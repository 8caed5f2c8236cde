"""A record given alterations: these are kept as they are, and the record follows them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth import generate
from haemosynth.errors import InputError
from haemosynth.generate.clinical import forest, vae
from haemosynth.generate.clinical.given import LEVELS, beside, one_of_each
from haemosynth.generate.genomic import dirichlet_process, logistic_chain
from haemosynth.generate.reference import bare
from haemosynth.schema import Schema
from haemosynth.streams import stream

ALGORITHMS = {
    forest: {},
    vae: {"steps": 200, "decoders": 2, "width": 32, "refinement": {"trees": 20, "depth": 3, "rate": 0.1, "leaf": 10}},
}
EVENTS = ["hyperdiploidy", "del(13q)", "t(11;14)"]


def driven(n=400):
    """Patients whose haemoglobin is low in carriers of hyperdiploidy, and high in others."""
    cohort = small_cohort(n)
    state = cohort.alterations["hyperdiploidy"].fillna(0).to_numpy()
    level = np.where(state == 1, 8.0, 12.0) + stream(1, "haemoglobin").normal(0, 0.8, n)
    return replace(cohort, clinical=cohort.clinical.assign(haemoglobin=np.round(level, 1)))


def test_alterations_stand_before_the_record_and_unknown_ones_are_missing():
    cohort = small_cohort()
    whole, names = beside(cohort, ["genomic"])
    assert list(whole.clinical) == [*names, *cohort.clinical]
    assert len(names) == len(cohort.schema.alterations)
    assert list(whole.schema.columns) == list(whole.clinical)
    for name, column in zip(cohort.schema.alterations, names, strict=True):
        told = whole.clinical[column].map(dict(zip(LEVELS, (0.0, 1.0), strict=True))).astype(float)
        pd.testing.assert_series_equal(told, cohort.alterations[name], check_names=False)
    inside = [name for name in cohort.schema.alterations if name in ("t(11;14)", "del(13q)")]
    assert beside(cohort, ["t(11;14)", "del(13q)"])[1] == [f"alteration {name}" for name in inside]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda module: module.__name__.split(".")[-1])
def test_the_record_follows_the_alterations_that_are_given(algorithm):
    train = driven()
    whole, names = beside(train, EVENTS)
    settings = algorithm.DEFAULTS | ALGORITHMS[algorithm] | {"condition": names}
    fitted = algorithm.fit(whole, settings, stream(1), None)
    asked = small_cohort(150, 2)
    given, _ = beside(asked, EVENTS)
    made = algorithm.sample(fitted, given.schema, len(asked), stream(2), given.clinical[names])
    for name in names:
        assert list(made[name].astype(object).fillna("")) == list(given.clinical[name].astype(object).fillna(""))
    carrier = (given.clinical["alteration hyperdiploidy"] == "present").to_numpy()
    level = made["haemoglobin"].to_numpy()
    assert np.nanmean(level[~carrier]) - np.nanmean(level[carrier]) > 2.5  # 4 in training patients
    again = algorithm.sample(fitted, given.schema, len(asked), stream(2), given.clinical[names])
    pd.testing.assert_frame_equal(made, again)


def test_other_alterations_than_those_learned_are_refused():
    whole, names = beside(small_cohort(), EVENTS)
    fitted = forest.fit(whole, forest.DEFAULTS | {"condition": names}, stream(1), None)
    with pytest.raises(InputError, match="other alterations"):
        forest.sample(fitted, whole.schema, len(whole), stream(1), whole.clinical[names[::-1]])


@pytest.mark.parametrize(("given", "message"), [(["TP35"], "'TP35' is unknown"), (["clinical"], "is unknown")])
def test_a_misspelt_alteration_is_named(given, message):
    with pytest.raises(InputError, match=message):
        beside(small_cohort(), given)
    with pytest.raises(InputError, match="there are none"):
        beside(small_cohort().clinical_only(), ["genomic"])


def test_one_record_of_each_patient_is_taken_in_proportion_to_its_weight():
    taken = one_of_each(np.tile([1.0, 0.0, 3.0], (4000, 1)), stream(1))
    assert not (taken == 1).any()
    assert (taken == 2).mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("algorithm", [logistic_chain, dirichlet_process], ids=["logistic_chain", "dirichlet_process"])
def test_alterations_that_are_given_nothing_keep_their_frequencies(algorithm):
    train = small_cohort()
    settings = dict(algorithm.DEFAULTS)
    if algorithm is dirichlet_process:
        settings |= {"sweeps": 60, "burn_in": 30, "draws": 5, "folds": 2}
    fitted = algorithm.fit(generate.visible(train, [], "genomic"), settings, stream(1), None)
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
        generate.visible(train, ["imaging"], "genomic")
