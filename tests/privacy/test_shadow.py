"""Refits with and without a patient: copies give him away to somebody who knows all others, strangers tell nothing."""

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.privacy.redraws import restrict
from haemosynth.privacy.stages import shadow
from haemosynth.validate.resampling import prepare_comparison
from haemosynth.validate.stage import Comparison

QUICK = shadow.DEFAULTS | {"refits": 8, "targets": 20, "trees": 40}
TREES = {"algorithm": "forest", "trees": 2, "leaf": 40}


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(300, 2))


def attacked(comparison, make, **more):
    seen = shadow.attack_refits(
        comparison.train, comparison.real, make, len(comparison.train), QUICK | more, np.random.default_rng(1)
    )
    known = Comparison(comparison.real, comparison.candidate, comparison.train, comparison.control, seen)
    values = shadow.measure(known, QUICK, np.random.default_rng(0))
    return known, {(value.metric, value.target): value.value for value in values}


def test_copies_of_training_patients_give_every_target_away(comparison):
    seen, found = attacked(comparison, lambda train, n, rng: renamed(train.take(rng.permutation(len(train)))))
    assert found["shadow_auc", "all"] > 0.9
    names = {target for metric, target in found if metric == "shadow_auc"}
    assert {"all", "outlying", "ordinary", "values_2", "likelihood", "distance"} <= names
    assert found["shadow_auc", "all"] == max(found["shadow_auc", n] for n in seen.prepared.scores)


def test_a_generator_that_never_saw_the_targets_tells_nothing(comparison):
    """Every column drawn from the holdout, whoever is learned from. Twenty targets in eight refits: SE about 0.05."""

    def make(train, n, rng):
        return independent(comparison.real, int(rng.integers(1 << 30)))

    found = attacked(comparison, make)[1]
    areas = [found["shadow_auc", name] for name in ("values_2", "values_10", "columns", "means", "distance")]
    assert np.abs(np.array(areas) - 0.5).max() < 0.17
    assert np.mean(areas) == pytest.approx(0.5, abs=0.08)


def test_every_target_is_in_half_of_the_refits_and_everybody_else_in_all(comparison):
    learned = []

    def make(train, n, rng):
        learned.append(train.patients)
        return independent(comparison.real, 1)

    seen = attacked(comparison, make)[0].prepared
    assert (seen.inside.sum(axis=0) == 4).all()
    assert seen.outlying.sum() == 10
    for patients, inside in zip(learned, seen.inside, strict=True):
        expected = comparison.train.patients.difference(seen.patients[~inside])
        assert set(patients) == set(expected)


def test_calibration_takes_no_side():
    """A target's own level falls out, and without memory scores have mean 0 with and without him."""
    rng = np.random.default_rng(1)
    inside = rng.permuted(np.repeat(np.arange(6)[:, None] < 3, 500, axis=1), axis=0)
    scores = rng.normal(size=(6, 500)) + 100 * rng.normal(size=500)
    found = shadow.calibrate(scores, inside)
    for side in (inside, ~inside):
        assert abs(found[side].mean()) < 0.15
    np.testing.assert_allclose(shadow.calibrate(scores + 7, inside), found)


def test_a_recipe_of_forests_is_refitted_alike_from_the_same_stream(comparison):
    settings = QUICK | {"refits": 4, "targets": 8, "methods": {"clinical": TREES}}
    columns = ("age", "sex", "OS_time", "OS_event")
    bare = Comparison(*(restrict(getattr(comparison, n), columns) for n in ("real", "candidate", "train", "control")))
    tables = []
    for _ in range(2):
        seen = prepare_comparison(shadow, bare, settings, lambda *_: np.random.default_rng(3))
        tables.append(shadow.measure(seen, settings, np.random.default_rng(0)))
    assert tables[0] == tables[1]
    assert {value.modality for value in tables[0]} == {"clinical"}
    assert all(0 <= value.value <= 1 for value in tables[0])


@pytest.mark.parametrize(
    ("more", "told"),
    [({"refits": 5}, "refits is 5; expected an even number"), ({"targets": 1000}, "below the 180 training patients")],
)
def test_impossible_numbers_are_told(comparison, more, told):
    with pytest.raises(InputError, match=told):
        attacked(comparison, None, **more)


def test_a_record_given_alterations_is_refused():
    with pytest.raises(InputError, match="whose record comes first"):
        shadow.recipe({"clinical": {**TREES, "given": ["genomic"]}})


def test_the_figure_is_legible_and_drawn_alike(comparison, tmp_path):
    seen, _ = attacked(comparison, lambda train, n, rng: independent(train, int(rng.integers(1 << 30))))
    values = pd.DataFrame([vars(value) for value in shadow.measure(seen, QUICK, np.random.default_rng(0))])

    def draw():
        return shadow.figure(seen, values, QUICK, "default")

    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
