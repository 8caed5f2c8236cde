"""Two clones under therapy: known answers, the differential equations, and the rules of the IMWG."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from haemosynth.core.streams import stream
from haemosynth.modalities.history import kinetics
from haemosynth.modalities.history.generators import clones

P, R, S = 0.01, 0.005, -0.015


def test_nadir_and_progression_of_the_worked_example():
    day, depth = kinetics.nadir(P, R, S)
    assert float(day) == pytest.approx(284.7, abs=0.05)
    assert float(depth) == pytest.approx(0.055, abs=0.0005)
    # A quarter over the nadir, by another solver; and with 5 g/l over it from 40 g/l.
    quarter = brentq(lambda t: kinetics.level(t, 1.0, P, R, S) - 1.25 * float(depth), float(day), 900)
    assert float(kinetics.rise_time(40.0, P, R, S, least=0.0)) == pytest.approx(quarter, abs=1e-6)
    assert quarter == pytest.approx(376.5, abs=0.05)
    assert float(kinetics.rise_time(40.0, P, R, S)) == pytest.approx(578.3, abs=0.05)


def test_closed_form_is_the_solution_of_the_equations():
    days = np.linspace(0, 900, 50)
    found = solve_ivp(lambda t, y: [R * y[0], S * y[1]], (0, 900), [40 * P, 40 * (1 - P)], t_eval=days,
                      rtol=1e-12, atol=1e-13, method="DOP853")  # fmt: skip
    np.testing.assert_allclose(kinetics.level(days, 40.0, P, R, S), found.y.sum(axis=0), rtol=1e-8)


def test_level_that_never_falls_has_its_nadir_at_the_start():
    assert float(kinetics.nadir(0.9, 0.01, -0.001)[0]) == 0


@pytest.mark.parametrize(
    ("values", "expected", "first"),
    [
        ([40, 21], "stable disease", None),
        ([40, 20], "partial response", None),
        ([40, 4], "very good partial response", None),
        ([40, 1], "complete response", None),
        ([40, 10, 14.9], "partial response", None),  # 49 % over the nadir and less than 5 g/l
        ([40, 10, 15], "progression", 2),
        ([40, 30, 36], "stable disease", None),  # 6 g/l and less than a quarter
    ],
)
def test_rules_of_response_and_progression(values, expected, first):
    category, found = kinetics.responses(np.array(values, dtype=float), limit=1.0)
    assert kinetics.CATEGORIES[category[-1]] == expected
    assert found == first


def series(n, visits, rng, error=0.05):
    theta = clones.START + np.array([0.3, 0.7, 0.3, 0.3]) * rng.standard_normal((n, 4))
    time = np.tile(np.arange(visits) * 28.0, (n, 1))
    value = np.exp(clones.log_level(theta, time)[0] + error * rng.standard_normal(time.shape))
    return theta, time, value


def test_hierarchical_fit_finds_the_population():
    _, time, value = series(300, 24, stream(1, "clones"))
    found = clones.learn(time, value, np.zeros_like(time, dtype=bool), np.zeros((300, 0)))
    np.testing.assert_allclose(found.slope[0], clones.START, atol=0.12)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), [0.3, 0.7, 0.3, 0.3], rtol=0.2)
    assert found.error == pytest.approx(0.05, rel=0.1)


def test_three_points_say_little_of_the_resistant_clone():
    found = {}
    for visits in (3, 24):
        _, time, value = series(200, visits, stream(2, "clones"))
        found[visits] = clones.learn(time, value, np.zeros_like(time, dtype=bool), np.zeros((200, 0))).learned
    rate = clones.NAMES.index("log r")
    assert found[3][rate] < 0.2 < 0.6 < found[24][rate]
    assert found[3][0] > 0.8  # the baseline is measured


def test_mode_is_that_of_the_model_declared_in_pyro():
    pyro = pytest.importorskip("pyro")
    import torch

    _, time, value = series(20, 8, stream(3, "clones"))
    found = clones.learn(time, value, np.zeros_like(time, dtype=bool), np.zeros((20, 0)))
    theta = torch.tensor(found.mode, requires_grad=True)
    centre = np.tile(found.slope[0], (20, 1))
    # The scales of the last round stand a little beyond those of the last mode: a few steps close the gap.
    optimiser = torch.optim.LBFGS([theta], max_iter=100, tolerance_grad=1e-10)

    def closure():
        optimiser.zero_grad()
        model = pyro.condition(clones.declare, data={"theta": theta})
        loss = -pyro.poutine.trace(model).get_trace(time, value, centre, found.covariance, found.error).log_prob_sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert np.abs(theta.detach().numpy() - found.mode).max() < 0.1


@pytest.mark.slow
def test_intervals_of_kinetic_parameters_cover_at_the_nominal_rate():
    inside = []
    for seed in range(100):
        theta, time, value = series(100, 16, stream(seed, "coverage"))
        found = clones.learn(time, value, np.zeros_like(time, dtype=bool), np.zeros((100, 0)))
        half = 1.96 * np.sqrt(np.diagonal(found.variance, axis1=1, axis2=2))
        inside.append((np.abs(found.mode - theta) <= half).mean())
    assert 0.92 < np.mean(inside) < 0.98
