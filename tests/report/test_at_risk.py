"""Training patients at risk: copied patients stand first, and where nothing leaks unseen ones are named as often."""

from dataclasses import replace

import numpy as np
from fixtures_candidates import planted
from fixtures_small import small_cohort

from haemosynth.report.at_risk import find_patients_at_risk


def divided(n=360):
    """Training patients, unseen ones, and a release of others."""
    cohort = small_cohort(n)
    return [cohort.take(part) for part in np.split(np.arange(n), 3)]


def test_patients_who_were_copied_stand_first():
    train, unseen, others = divided()
    leaking = planted(others, train, 0.05)
    copied = set(train.patients[:6])
    table = find_patients_at_risk(train, unseen, leaking, np.random.default_rng(1))
    assert set(table["patient"][:6]) == copied
    assert table["attacks"].is_monotonic_decreasing
    assert (table["unseen_named_as_often"][:6] < 0.05).all()


def test_where_nothing_leaks_unseen_patients_are_named_as_often():
    train, unseen, others = divided()
    table = find_patients_at_risk(train, unseen, others, np.random.default_rng(1))
    assert len(train) * table["unseen_named_as_often"].iloc[-1] > len(table) / 3


def test_what_stands_out_is_told():
    train, unseen, others = divided()
    clinical = train.clinical.copy()
    clinical.loc[clinical.index[3], "LDH"] = 9876
    train = replace(train, clinical=clinical)
    table = find_patients_at_risk(
        train, unseen, planted(others, train.take(np.arange(3, 4)), 0.01), np.random.default_rng(1)
    )
    told = dict(zip(table["patient"], table["stands_out_by"], strict=True))
    assert "LDH 9876" in told[train.patients[3]]


def test_a_cohort_without_alterations_is_told_from_its_record():
    plain = [
        side.replace(schema=replace(side.schema, alterations={}), alterations=None, sequenced=None, mutations=None)
        for side in divided(180)
    ]
    assert len(find_patients_at_risk(*plain, np.random.default_rng(1))) > 0
