"""Quotas: exact for every number of patients, jointly, of patients of the generator, refused where they must be."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.generate.balance import (
    FEWEST,
    at_real_prevalence,
    fill_quotas,
    find_enlarged,
    read_checked,
    read_quotas,
    real_shares,
    sentences,
    sequence,
    to_draw,
    weights,
)
from haemosynth.generate.pool import RECORDS
from haemosynth.generate.quota_form import check_balance


@pytest.fixture(scope="module")
def train():
    return small_cohort(600, 2)


@pytest.fixture(scope="module")
def draw():
    return small_cohort(4000, 7)  # stands for a long draw of a generator


def shares(cohort, quotas):
    labels = quotas.labels(cohort)
    return np.bincount(labels, minlength=len(quotas.cells)) / len(labels)


def test_quotas_are_met_exactly_and_jointly_with_patients_of_the_draw(train, draw):
    quotas = read_quotas({"sex": "even", "class": {"t(4;14)": 150, "TP53": 0.25}}, train, 600)
    made = fill_quotas(draw, quotas, 600, 600)
    assert len(made) == 600
    assert list(made.patients[:2]) == ["S000001", "S000002"]
    sexes = made.clinical["sex"].value_counts()
    assert sorted(sexes) == [300, 300]
    carrier = made.alterations["t(4;14)"] == 1
    by_class = {q.key: q for q in quotas.of}["class"]
    counts = dict(zip(by_class.categories, np.bincount(by_class.labels(made)), strict=True))
    assert counts == {"t(4;14)": 150, "TP53": 150, "others": 300}
    assert (
        np.abs(pd.crosstab(made.clinical["sex"], by_class.labels(made)).to_numpy() - [[75, 75, 150]] * 2) == 0
    ).all()
    assert carrier.sum() >= 150  # who has both belongs to the rarer class
    # Every patient is one of the draw, whole: record, alterations and mutations together.
    key = [*made.schema.columns]
    seen = {tuple(row) for row in draw.clinical[key].astype(str).to_numpy()}
    assert all(tuple(row) in seen for row in made.clinical[key].astype(str).to_numpy())
    owned = made.mutations[made.mutations["patient_id"] == "S000001"]["gene"]
    assert (made.alterations.loc["S000001", owned] == 1).all()
    assert set(made.mutations["patient_id"]) <= set(made.patients)


def test_every_beginning_of_the_order_has_its_quotas(train):
    quotas = read_quotas({"sex": {"Female": 0.7, "Male": 0.3}, "TP53": 0.2, "KRAS": "even"}, train)
    cells = sequence(quotas, most=1000)
    for i, quota in enumerate(quotas.of):
        for at, share in enumerate(quota.shares):
            count = np.cumsum(quotas.cells[cells, i] == at)
            n = np.arange(1, len(cells) + 1)
            assert (count <= np.ceil(share * n - 1e-9)).all()
            exact = np.isclose(share * n, np.rint(share * n))
            assert (count >= share * n - len(quota.shares)).all()
            assert (count[n % 10 == 0] == np.rint(share * n)[n % 10 == 0]).all()
            assert exact.any()
    joint = np.bincount(cells, minlength=len(quotas.cells))
    assert np.abs(joint - 1000 * quotas.shares).max() <= 1


def test_weights_restore_the_prevalence_of_the_real_cohort(train, draw):
    quotas = read_quotas({"t(4;14)": 0.4, "sex": "even"}, train)
    made = fill_quotas(draw, quotas, 500, 500)
    weight = weights(made, quotas, train)
    assert weight.mean() == pytest.approx(1, abs=1e-3)
    known = quotas.labels(train) >= 0
    for member in (lambda c: c.alterations["t(4;14)"] == 1, lambda c: c.clinical["sex"] == "Female"):
        assert np.average(member(made), weights=weight) == pytest.approx(member(train)[known].mean(), abs=2e-3)
    part = at_real_prevalence(made, quotas, train)
    assert (part.alterations["t(4;14)"] == 1).mean() == pytest.approx(
        (train.alterations["t(4;14)"] == 1).mean(), abs=0.02
    )
    assert len(part) > 200
    assert set(part.patients) <= set(made.patients)


@pytest.mark.parametrize("most", [60, 150])
def test_a_small_part_has_the_prevalence_of_the_real_cohort_too(train, draw, most):
    quotas = read_quotas({"t(4;14)": 0.4, "sex": "even"}, train)
    part = at_real_prevalence(fill_quotas(draw, quotas, 500, 500), quotas, train, most=most)
    assert abs(len(part) - most) <= len(quotas.cells) / 2
    shares = np.bincount(quotas.labels(part), minlength=len(quotas.cells)) / len(part)
    assert np.abs(shares - real_shares(quotas, train)).max() < 1 / most + 0.01


def test_more_patients_than_real_ones_and_the_order_of_the_settings(train, draw):
    quotas = read_quotas({"sex": "even", "class": {"TP53": 0.2, "t(4;14)": 0.2}}, train)
    turned = read_quotas({"class": {"t(4;14)": 0.2, "TP53": 0.2}, "sex": "even"}, train)
    first, second = fill_quotas(draw, quotas, 900, 900), fill_quotas(draw, turned, 900, 900)
    assert len(first) > len(train)
    pd.testing.assert_frame_equal(first.clinical, second.clinical)
    nested = fill_quotas(draw, quotas, 100, 100)
    pd.testing.assert_frame_equal(nested.clinical, first.clinical.iloc[:100])


def test_a_class_that_cannot_be_drawn_is_refused_in_one_line(train, draw):
    quotas = read_quotas({"TP53": 0.9}, train)
    with pytest.raises(InputError, match="too rare to be drawn") as error:
        fill_quotas(draw, quotas, 3000, 3000)
    assert "\n" not in str(error.value)
    assert to_draw(quotas, train, 3000) > 10 * 3000
    assert to_draw(quotas, train, 300_000) == RECORDS


def test_classes_of_few_real_patients_need_a_declaration(train):
    rare = next(n for n in train.alterations if 0 < (train.alterations[n] == 1).sum() < FEWEST)
    with pytest.raises(InputError, match=f"{FEWEST}.*declared"):
        read_checked({rare: 0.3}, train)
    declared = {"by": "A. Person", "reason": "teaching"}
    quotas = read_checked({rare: 0.3, "declared": declared}, train)
    assert any("A. Person" in line for line in sentences(quotas, train, 100))
    read_checked({rare: 0.0001}, train)  # made rarer, not enlarged


def test_only_what_is_shown_more_often_counts_as_enlarged(train):
    common = (train.clinical["sex"] == "Male").mean()
    names = [one.name for one in find_enlarged(read_quotas({"sex": "even"}, train), train)]
    assert names == ["sex Female" if common > 0.5 else "sex Male"]
    several = [one.name for one in find_enlarged(read_quotas({"sex": "even", "TP53": 0.5}, train), train)]
    assert "TP53" in several
    assert any(" and " in name for name in several)


def test_a_cell_of_nobody_is_refused(train):
    nobody = replace(
        train, clinical=train.clinical.assign(sex=train.clinical["sex"].where(train.alterations["TP53"] != 1))
    )
    with pytest.raises(InputError, match="no training patient"):
        read_quotas({"sex": "even", "TP53": 0.5}, nobody)


@pytest.mark.parametrize(
    ("balance", "words"),
    [
        ({"sexx": "even"}, "did you mean 'sex'"),
        ({"sex": {"Femal": 0.5}}, "did you mean 'Female'"),
        ({"age": "even"}, "bands"),
        ({"age": {"sixty": 0.5}}, "no band"),
        ({"class": {"TP5": 0.5}}, "TP53"),
        ({"sex": {"Female": 0.5, "Male": 0.2}}, "sum to"),
        ({"TP53": 50}, "synthetic_patients"),
        ({"TP53": 1.5}, "at most 1"),
        ({"TP53": "half"}, "expected a share"),
    ],
)
def test_mistakes_are_told_in_one_line(train, balance, words):
    with pytest.raises(InputError, match=words) as error:
        read_quotas(balance, train)
    assert "\n" not in str(error.value)


def test_bands_of_numbers(train, draw):
    quotas = read_quotas({"age": {"<65": 0.5, ">=65": 0.5}}, train)
    made = fill_quotas(draw, quotas, 400, 400)
    assert (made.clinical["age"] < 65).sum() == 200
    assert (made.clinical["age"] >= 65).sum() == 200


def test_the_form_is_checked_before_anything_is_read():
    config = {"synthetic_patients": "auto", "generators": {"p": {"clinical": "m"}}, "compare": ["p"],
              "methods": {"clinical": {"m": {"algorithm": "private_vae"}}}}  # fmt: skip
    check_balance(config)
    with pytest.raises(InputError, match="counts patients"):
        check_balance({**config, "balance": {"class": {"TP53": 200}}})
    with pytest.raises(InputError, match="declared"):
        check_balance({**config, "balance": {"sex": "even", "declared": True}})
    with pytest.raises(InputError, match="differentially private"):
        check_balance({**config, "balance": {"sex": "even"}})
    check_balance({**config, "balance": {"sex": "even"}, "compare": []})
