"""Records find their patients, and what is known of Fellegi and Sunter's weights holds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.encode.records import fit_encoder
from haemosynth.privacy import linkage
from haemosynth.privacy.linkage import Linkage, Number, fit_linkage, link, weights
from haemosynth.privacy.planted_leaks import blur_records

TOLERANCE, AGREEMENT = 0.08, 0.9


@pytest.fixture(scope="module")
def cohort():
    return small_cohort(600, 4)


@pytest.fixture(scope="module")
def linked(cohort):
    return fit_linkage(cohort, fit_encoder(cohort), TOLERANCE, AGREEMENT)


def bare(columns, patients):
    """A linkage that knows numbers alone: name -> values."""
    numbers = []
    for name, values in columns.items():
        values = np.asarray(values, dtype=float)
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.uint32)
        numbers.append(Number(name, 0.0, 1.0, np.sort(values[~np.isnan(values)]), ranks))
    return Linkage(tuple(numbers), (), (), 0, np.zeros((0, patients), np.float32), np.zeros(0), TOLERANCE, AGREEMENT)


class Records:
    """What `link` reads of a cohort."""

    def __init__(self, columns):
        self.clinical = pd.DataFrame(columns)
        self.alterations = self.sequenced = None

    def __len__(self):
        return len(self.clinical)


def test_weights_are_log_likelihood_ratios():
    """The usual worked example: the month of birth is right in 19 of 20 links and agrees in one of twelve strangers."""
    agree, differ = weights(0.95, np.array([1 / 12]), 10_000)
    assert agree[0] / np.log(2) == pytest.approx(3.51, abs=0.005)
    assert differ[0] / np.log(2) == pytest.approx(-4.20, abs=0.005)


def test_agreement_never_speaks_against_a_patient_and_no_chance_is_smaller_than_half_a_patient():
    agree, differ = weights(0.9, np.array([0.0, 0.95, 1.0]), 50)
    np.testing.assert_allclose(agree, [np.log(0.9 / 0.01), 0, 0])
    np.testing.assert_allclose(differ, [np.log(0.1 / 0.99), 0, 0])


def test_a_margin_is_the_difference_of_the_weights():
    """Four patients, two numbers: the best agrees in both, the second in the common one; the rare one is the margin."""
    known = bare({"rare": [0, 5, 7, 9], "common": [1, 1, 1, 4]}, 4)
    found = link(known, Records({"rare": [5.0], "common": [1.0]}))
    agree, differ = weights(AGREEMENT, np.array([1 / 4]), 4)
    assert found.best[0] == 1
    assert found.margin[0] == pytest.approx(agree[0] - differ[0], abs=1e-5)


def test_numbers_agree_within_the_tolerance_and_missing_ones_with_each_other():
    known = bare({"x": [0.0, 1.0, 2.0, np.nan]}, 4)
    tested = link(known, Records({"x": [1 + TOLERANCE, 1 + TOLERANCE + 1e-6, np.nan]}))
    assert list(tested.best[[0, 2]]) == [1, 3]
    assert (tested.margin[[0, 2]] > 0).all()
    assert tested.margin[1] == 0  # it agrees with nobody


def test_all_patients_find_themselves(cohort, linked):
    found = link(linked, cohort)
    np.testing.assert_array_equal(found.best, np.arange(len(cohort)))
    assert (found.margin > 0).all()


def test_blurred_copies_find_their_patients(cohort, linked):
    copies = replace(cohort, clinical=blur_records(cohort, cohort, 0.03, np.random.default_rng(0)))
    found = link(linked, copies)
    assert (found.best == np.arange(len(cohort))).mean() >= 0.95
    among_others = link(linked, cohort, apart=np.arange(len(cohort))).margin
    assert (found.margin > np.quantile(among_others, 0.99)).mean() >= 0.95


def test_whom_a_record_is_kept_apart_from_it_never_finds(cohort, linked):
    found = link(linked, cohort, apart=np.arange(len(cohort)))
    assert (found.best != np.arange(len(cohort))).all()
    among = np.arange(len(cohort)) < 50
    assert among[link(linked, cohort, among=among).best].all()
    with pytest.raises(ValueError, match="two patients"):
        link(linked, cohort, among=np.arange(len(cohort)) == 3)


def test_the_order_of_patients_and_of_records_does_not_matter(cohort, linked):
    order = np.random.default_rng(0).permutation(len(cohort))
    shuffled = fit_linkage(cohort.take(order), fit_encoder(cohort), TOLERANCE, AGREEMENT)
    records = small_cohort(200, 9)
    before, after = link(linked, records), link(shuffled, records.take(np.arange(200)[::-1]))
    np.testing.assert_allclose(after.margin[::-1], before.margin, atol=2e-3)
    clear = before.margin > 0.01
    np.testing.assert_array_equal(order[after.best[::-1]][clear], before.best[clear])


def test_the_size_of_a_block_does_not_matter(cohort, linked, monkeypatch):
    records = small_cohort(200, 9)
    whole = link(linked, records)
    monkeypatch.setattr(linkage, "CHUNK", 7 * len(cohort))
    parts = link(linked, records)
    np.testing.assert_array_equal(parts.best, whole.best)
    np.testing.assert_allclose(parts.margin, whole.margin, atol=2e-3)


def test_identical_patients_are_told_from_all_others_but_not_from_each_other(cohort):
    twins = cohort.take([0, 0, *range(1, 100)])
    known = fit_linkage(twins, fit_encoder(cohort), TOLERANCE, AGREEMENT)
    found = link(known, cohort.take([0]))
    assert found.best[0] in (0, 1)
    assert found.margin[0] == 0


def test_patients_who_were_not_sequenced_are_not_told_by_their_missing_alterations(cohort):
    """A single patient who was not sequenced must not attract every such record: this is one attribute, not forty."""
    some = cohort.take(np.flatnonzero(cohort.sequenced.to_numpy(bool))[:200])
    unknown = cohort.take(np.flatnonzero(~cohort.sequenced.to_numpy(bool))[:30])
    mixed = [side.take(rows) for side, rows in ((some, np.arange(199)), (unknown, [0]))]
    real = some.replace(
        clinical=pd.concat([side.clinical for side in mixed]),
        alterations=pd.concat([side.alterations for side in mixed]),
        sequenced=pd.concat([side.sequenced for side in mixed]),
    )
    found = link(fit_linkage(real, fit_encoder(cohort), TOLERANCE, AGREEMENT), unknown.take(np.arange(1, 30)))
    weight = np.subtract(*(side[0] for side in weights(AGREEMENT, np.array([1 / 200]), 200)))
    assert (found.margin < 2 * weight).all()


def test_an_unknown_level_agrees_with_nobody(cohort, linked):
    one = cohort.take([5])
    clinical = one.clinical.copy()
    clinical["centre"] = pd.Categorical(["Elsewhere"])
    changed = link(linked, replace(one, clinical=clinical))
    assert changed.best[0] == 5
    assert changed.margin[0] < link(linked, one).margin[0] + 1e-3


def test_a_clinical_record_alone_is_linked(cohort):
    alone = cohort.record()
    found = link(fit_linkage(alone, fit_encoder(alone), TOLERANCE, AGREEMENT), alone)
    assert (found.best == np.arange(len(cohort))).mean() > 0.99


def test_memory_is_bounded_by_the_block(monkeypatch):
    import tracemalloc

    monkeypatch.setattr(linkage, "CHUNK", 50_000)
    rng = np.random.default_rng(0)
    known = bare({name: rng.normal(size=3_000) for name in "abcd"}, 3_000)
    records = Records({name: rng.normal(size=3_000) for name in "abcd"})
    tracemalloc.start()
    link(known, records)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 4 * 50_000  # 16 blocks in single precision; all scores would be 180
