"""Margins of accepted patients are those of training patients, whatever shifted them."""

from functools import cache

import numpy as np
import pytest
from fixtures_small import small_cohort

from haemosynth.modalities.clinical.generators import density_ratio, margins
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, learn
from haemosynth.stats.cox import kaplan_meier

PATIENTS = 300
NUMBER = "LDH"


@cache
def coded() -> tuple[Encoding, Coded]:
    train = small_cohort(PATIENTS)
    encoding = learn(train, 20)
    return encoding, encoding.encode(train.clinical)


def skewed(n: int, rng: np.random.Generator) -> Coded:
    """Training patients drawn anew; with low values, and with short survival, they come up too often."""
    encoding, own = coded()
    names = [variable.name for variable in encoding.variables]
    lab, survival = own.levels[:, names.index(NUMBER)], encoding.endpoints[0]
    months = encoding.variables[survival].values(own.levels[:, survival], own.positions[:, survival])
    weight = np.exp(-0.15 * lab) * np.exp(-months / (1.5 * np.nanmean(months)))
    weight *= 1 - 0.4 * encoding.variables[names.index(NUMBER)].missing[lab]
    rows = rng.choice(PATIENTS, n, p=weight / weight.sum())
    return Coded(own.levels[rows], own.positions[rows])


def shown(drawn: Coded) -> np.ndarray:
    """Mean of a number, restricted mean survival time; 1 + missing rate, 1 + share above the 95 % quantile."""
    table, own = (coded()[0].decode(part, small_cohort(PATIENTS).schema) for part in (drawn, coded()[1]))
    values, time, event = (table[name] for name in (NUMBER, "OS_time", "OS_event"))
    months = kaplan_meier(time.to_numpy(float), event.to_numpy(float)).mean_until(60)
    high = (values[values.notna()] > own[NUMBER].quantile(0.95)).mean()
    return np.array([values.mean(), months, 1 + values.isna().mean(), 1 + high])


def calibrated(odds, ridge=1.0, n=10_000):
    """n patients accepted with the odds alone, and with weights that meet the margins."""
    encoding, own = coded()
    fresh = skewed(8_000, np.random.default_rng(1))
    most = np.quantile(odds(fresh), 0.9)
    arrays = margins.learn(encoding, own, fresh, np.minimum(odds(fresh), most), ridge)

    def accepted(bound, weigh):
        rng = np.random.default_rng(2)
        return density_ratio.accept(bound, weigh, n, lambda m: skewed(m, rng), rng)

    return (
        accepted(float(most), odds),
        accepted(float(arrays["bound"][0]), lambda part: margins.weights(arrays, encoding, part, odds(part))),
    )


def even(part: Coded) -> np.ndarray:
    return np.ones(len(part.levels))


def telling(part: Coded) -> np.ndarray:
    """Odds as a classifier has them: on levels of many columns at once."""
    return np.exp(0.15 * (part.levels[:, :6] % 3 - 1).sum(axis=1))


@pytest.mark.parametrize("odds", [even, telling])
def test_what_was_shifted_is_taken_back(odds):
    before, after = calibrated(odds)
    own = shown(coded()[1])
    shifted, left = np.abs(shown(before) / own - 1), np.abs(shown(after) / own - 1)
    assert (shifted > [0.1, 0.08, 0.015, 0.015]).all()  # what was planted
    assert (left < [0.03, 0.03, 0.01, 0.01]).all()


def test_odds_that_shift_nothing_and_no_skew_change_nothing():
    encoding, own = coded()
    rng = np.random.default_rng(3)
    rows = rng.integers(PATIENTS, size=6_000)
    fresh = Coded(own.levels[rows], own.positions[rows])
    arrays = margins.learn(encoding, own, fresh, even(fresh), 50.0)
    weight = margins.weights(arrays, encoding, fresh, even(fresh))
    assert weight.mean() == pytest.approx(1)
    assert weight.std() < 0.1


def test_a_large_ridge_leaves_the_odds_as_they_are():
    encoding, own = coded()
    fresh = skewed(4_000, np.random.default_rng(4))
    arrays = margins.learn(encoding, own, fresh, even(fresh), 1e9)
    np.testing.assert_allclose(margins.weights(arrays, encoding, fresh, even(fresh)), 1, atol=1e-4)
