"""The accountant against Opacus and exact formulas; noise that is what it says and stays secret."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chisquare, norm

from haemosynth.core.errors import InputError
from haemosynth.privacy.accountant import (
    KEY,
    Noise,
    compose,
    divide_budget,
    epsilon_of,
    rho_of,
    secret,
    statement,
    variance_of,
)

SETTINGS = {"epsilon": 2.0, "delta": 1e-5, "share": 0.5, "shares": {"a": 0.25, "b": 0.75}}


def noise(seed: int = 0, key: bytes = b"key") -> Noise:
    return Noise(key, {}, np.zeros((1, 1)), seed)


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
@pytest.mark.parametrize("rho", [1e-4, 0.02, 0.7, 5.0])
def test_the_accountant_is_that_of_opacus(rho, delta):
    rdp = pytest.importorskip("opacus.accountants.analysis.rdp")
    orders = 1 + np.exp(np.linspace(-3, 9, 4000))
    # One Gaussian mechanism without subsampling; sensitivity 1, so rho = 1 / (2 noise_multiplier^2).
    spent = rdp.compute_rdp(q=1.0, noise_multiplier=math.sqrt(0.5 / rho), steps=1, orders=orders)
    theirs, _ = rdp.get_privacy_spent(orders=orders, rdp=spent, delta=delta)
    assert epsilon_of(rho, delta) == pytest.approx(theirs, rel=1e-4)
    assert epsilon_of(rho, delta) <= theirs + 1e-12


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
@pytest.mark.parametrize("rho", [1e-4, 0.02, 0.7, 5.0])
def test_the_bound_holds_for_the_gaussian_mechanism_and_is_not_wide(rho, delta):
    """Exact delta of a Gaussian mechanism: Balle and Wang, ICML 2018, theorem 8."""
    epsilon, scale = epsilon_of(rho, delta), math.sqrt(0.5 / rho)
    exact = norm.cdf(0.5 / scale - epsilon * scale) - math.exp(epsilon) * norm.cdf(-0.5 / scale - epsilon * scale)
    assert delta / 30 < exact <= delta


def test_budgets_are_inverted_divided_and_put_together_again():
    for epsilon in (0.1, 1.0, 8.0, 50.0):
        assert epsilon_of(rho_of(epsilon, 1e-6), 1e-6) == pytest.approx(epsilon, rel=1e-6)
        assert epsilon_of(rho_of(epsilon, 1e-6), 1e-6) <= epsilon
    spent = divide_budget(SETTINGS, ("a", "b"), "test")
    assert spent["b"] == pytest.approx(3 * spent["a"])
    half = statement(SETTINGS, spent, [])
    whole = compose([half, half])
    assert whole["epsilon"] == pytest.approx(2.0)
    assert whole["exchange"] > whole["epsilon"] > half["epsilon"]
    assert compose([half, None]) is None
    free = statement(
        {**SETTINGS, "epsilon": math.inf}, divide_budget({**SETTINGS, "epsilon": math.inf}, ("a", "b"), ""), []
    )
    assert compose([half, free]) is None


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"epsilon": 0}, "epsilon"),
        ({"delta": 1}, "delta"),
        ({"share": 1.5}, "share"),
        ({"shares": {"a": 0.9, "b": 0.2}}, "at most 1"),
        ({"shares": {"a": 0.9}}, "shares of a, b"),
    ],
)
def test_budgets_that_are_none_are_refused(chosen, words):
    with pytest.raises(InputError, match=words):
        divide_budget({**SETTINGS, **chosen}, ("a", "b"), "test")


@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(9, 2), Fraction(400)])
def test_noise_is_discrete_gaussian(variance):
    source = noise(1)
    drawn = np.array([source.gaussian(variance) for _ in range(20_000)])
    edge = math.ceil(2.5 * math.sqrt(variance))
    at = np.arange(-12 * edge, 12 * edge + 1)
    weight = np.exp(-(at**2) / (2 * float(variance)))
    weight /= weight.sum()
    clipped, cells = np.clip(drawn, -edge, edge), np.clip(at, -edge, edge)
    expected = np.bincount(cells + edge, weights=weight) * len(drawn)
    assert chisquare(np.bincount(clipped + edge, minlength=2 * edge + 1), expected).pvalue > 1e-3


def test_the_exponential_mechanism_prefers_by_its_formula():
    scores, source = np.array([0.0, 1.0, 3.0]), noise(2)
    drawn = np.bincount([source.choice(scores, 2.0) for _ in range(20_000)], minlength=3)
    assert chisquare(drawn, np.exp(scores) / np.exp(scores).sum() * drawn.sum()).pvalue > 1e-3
    assert source.choice(scores, math.inf) == 2


def test_the_cost_of_noise_is_never_more_than_its_budget():
    for rho in (1e-3, 0.1, 7.0):
        assert 25 / (2 * variance_of(rho, 25)) <= rho
    assert variance_of(math.inf, 25) == 0


def test_noise_depends_on_the_secret_the_patients_the_settings_and_the_seed():
    def first(key: bytes = b"a", settings=(("x", 1),), levels=((0, 1),), seed: int = 1) -> int:
        return Noise(key, dict(settings), np.array(levels), seed).bits(128)

    assert first() == first()
    others = [first(key=b"b"), first(settings=(("x", 2),)), first(levels=((1, 1),)), first(seed=2)]
    assert len({first(), *others}) == 5
    streams = noise(3), noise(3)
    joined = (streams[0].bits(5) << 9000) | streams[0].bits(9000)
    assert joined == streams[1].bits(9005)


def test_no_secret_no_noise(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(InputError, match=f"{KEY} is not set"):
        secret()
    monkeypatch.setenv(KEY, "short")
    with pytest.raises(InputError, match="has 5 characters"):
        secret()
