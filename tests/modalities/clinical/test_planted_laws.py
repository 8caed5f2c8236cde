"""Laws that are known come back: clusters, rare levels, point masses, and chains of columns."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from fixtures_planted import STATES, chain, chain_law, independent_shares, modes, rare, shares_of_states

from haemosynth import generate
from haemosynth.core.streams import stream
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.generators import diffusion
from haemosynth.modalities.registry import load_algorithm

QUICK = {
    "gan": {"steps": 900, "patience": 400},
    "diffusion": {"steps": 900, "patience": 300, "members": 2, "width": 48},
}
NETWORKS = pytest.mark.parametrize("algorithm", list(QUICK))
DRAWN = 6000


def fit(algorithm, cohort, **chosen) -> Fitted:
    module = load_algorithm("clinical", algorithm)
    settings = generate.settings_of(module, QUICK[algorithm] | chosen, "test")
    return module.fit(cohort, settings, stream(1, "planted"), None)


def drawn_from(algorithm, cohort, **chosen) -> pd.DataFrame:
    model = fit(algorithm, cohort, **chosen)
    return load_algorithm("clinical", algorithm).sample(model, cohort.schema, DRAWN, stream(2, "planted"))


def error(p: float, n: int) -> float:
    """Three standard errors of a share that is learned from n patients and seen in DRAWN."""
    return 3 * float(np.sqrt(p * (1 - p) * (1 / n + 1 / DRAWN)))


@cache
def chain_model() -> Fitted:
    return fit("diffusion", chain(2000))


@pytest.mark.slow
@NETWORKS
@pytest.mark.parametrize("checkerboard", [False, True])
def test_all_modes_of_a_grid_are_found(algorithm, checkerboard):
    table = drawn_from(algorithm, modes(2500, checkerboard=checkerboard), order=10)
    at = table[["x", "y"]].to_numpy()
    nearest = np.rint(at).clip(0, 4).astype(int)
    close = np.abs(at - nearest).max(axis=1) < 0.25
    counts = np.zeros((5, 5))
    np.add.at(counts, tuple(nearest[close].T), 1)
    there = np.add.outer(np.arange(5), np.arange(5)) % 2 == 0 if checkerboard else np.ones((5, 5), dtype=bool)
    share = counts[there] / DRAWN
    assert (share > 0.3 / there.sum()).all()  # every mode, at a third of its due at least
    # Columns that are drawn alone would put 13 of 25 patients on the squares of one colour.
    assert share.sum() > 0.7


@NETWORKS
def test_a_rare_level_and_a_point_mass_keep_their_share(algorithm):
    n = 2000
    cohort = rare(n)
    table = drawn_from(algorithm, cohort)
    assert (table["level"] == "C").mean() == pytest.approx(0.05, abs=error(0.05, n))
    assert (table["number"] == 0).mean() == pytest.approx(0.2, abs=error(0.2, n))
    known = table[table["number"] != 0].groupby("level", observed=True)["number"].mean()
    assert known["B"] - known["A"] == pytest.approx(4, abs=0.8)


@NETWORKS
def test_a_chain_of_five_columns_keeps_its_joint_law(algorithm):
    cohort = chain(2000)
    table = drawn_from(algorithm, cohort)
    apart = 0.5 * np.abs(shares_of_states(table) - chain_law()).sum()
    alone = 0.5 * np.abs(independent_shares(cohort.clinical) - chain_law()).sum()
    # The training patients' own shares lie 0.04 from the law.
    assert alone > 0.3
    assert apart < 0.09


def chance(model: diffusion.Model, given: dict[int, int], i: int) -> np.ndarray:
    """Probability of each level of column i given the levels of others."""
    columns = len(model.encoding.variables)
    levels, visible = np.zeros((1, columns), dtype=np.int64), np.zeros((1, columns), dtype=bool)
    for column, level in given.items():
        levels[0, column], visible[0, column] = level, True
    return model.probabilities(levels, visible, i)[0]


def test_either_order_of_two_columns_gives_the_same_law():
    model = diffusion.Model(chain_model())
    for a, b in ((0, 1), (1, 3), (0, 4)):
        forth = chance(model, {}, a)[:, None] * np.stack([chance(model, {a: level}, b) for level in (0, 1)])
        back = chance(model, {}, b)[None] * np.stack([chance(model, {b: level}, a) for level in (0, 1)], axis=1)
        np.testing.assert_allclose(forth, back, atol=0.02)


def log_chain(model: diffusion.Model, order) -> np.ndarray:
    """(32,) log probability of each state where columns are drawn in this order."""
    levels = np.array(STATES)
    visible, total = np.zeros(levels.shape, dtype=bool), np.zeros(len(levels))
    for i in order:
        total += np.log(model.probabilities(levels, visible, i)[np.arange(len(levels)), levels[:, i]])
        visible[:, i] = True
    return total


def test_the_bound_lies_below_the_likelihood_and_that_below_the_truth():
    """Of every order the probabilities sum to 1; the mean of their logarithms is the bound that is trained."""
    model, rng = diffusion.Model(chain_model()), np.random.default_rng(3)
    found = np.stack([log_chain(model, rng.permutation(5)) for _ in range(20)])
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
    law = chain_law()
    bound, likelihood = found.mean(axis=0), np.log(np.exp(found).mean(axis=0))
    truth = float(law @ np.log(law))
    assert (bound <= likelihood + 1e-12).all()
    assert float(law @ bound) <= float(law @ likelihood) <= truth
    assert float(law @ bound) > truth - 0.05


def test_the_bound_that_stops_training_is_that_of_the_orders():
    """Estimated from hidden columns in training, enumerated over orders here: out of the bag they agree."""
    model = chain_model()
    estimated = model.history["validation"].max()
    whole = diffusion.Model(model)
    found = np.mean([log_chain(whole, np.random.default_rng(s).permutation(5)) for s in range(20)], axis=0)
    assert estimated == pytest.approx(float(shares_of_states(chain(2000).clinical) @ found), abs=0.06)


def test_levels_that_are_given_move_the_others_as_the_law_says():
    # An adversarial network exaggerates what depends on a column that is given (docs/methods.md).
    for algorithm, error in {"gan": 0.15, "diffusion": 0.05}.items():
        table = drawn_from(algorithm, chain(2000), where={"a": "yes"})
        assert (table["a"] == "yes").all()
        assert (table["b"] == "yes").mean() == pytest.approx(0.85, abs=error), algorithm
