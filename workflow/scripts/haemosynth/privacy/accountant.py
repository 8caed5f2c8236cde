"""Differential privacy: the accountant, the secret of the noise, and noise that is exact.

All mechanisms are accounted for in zero-concentrated differential privacy (zCDP; Bun and Steinke, TCC 2016), whose
costs rho add up, and are translated once, at the end, into (epsilon, delta). Neighbouring cohorts differ by one
patient, added or removed, with everything that is recorded of this patient.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtri

from haemosynth.core.errors import InputError

KEY = "HAEMOSYNTH_NOISE_KEY"
UNIT = "one training patient added or removed, with everything that is recorded of this patient"
LEAST_KEY = 32  # characters
DENOMINATOR = 1 << 20  # variances are rounded up to multiples of 1 / DENOMINATOR
BLOCK = 1 << 10  # bytes of noise made at once


# -------------------------------------------------------------------- accountant


def epsilon_of(rho: float, delta: float) -> float:
    """The epsilon that rho-zCDP guarantees at this delta.

    The least over orders a > 1 of rho a + log(1 - 1 / a) - log(delta a) / (a - 1): Canonne, Kamath and Steinke, J Priv
    Confid 2022;12(1), proposition 12, with the Renyi divergence rho a of zCDP.
    """
    if rho == 0:
        return 0.0
    if math.isinf(rho):
        return math.inf

    def bound(log_excess: float) -> float:
        order = 1.0 + math.exp(log_excess)
        return rho * order + math.log1p(-1.0 / order) - math.log(delta * order) / (order - 1.0)

    grid = np.linspace(-12.0, 24.0, 361)
    start = int(np.argmin([bound(float(x)) for x in grid]))
    sides = (float(grid[max(start - 1, 0)]), float(grid[min(start + 1, len(grid) - 1)]))
    found = minimize_scalar(bound, bounds=sides, method="bounded", options={"xatol": 1e-10})
    return max(0.0, float(found.fun))


def rho_of(epsilon: float, delta: float) -> float:
    """The largest rho of which `epsilon_of` is at most epsilon.

    Raises:
        InputError: epsilon is not above 0, or delta not between 0 and 1.
    """
    if not epsilon > 0:
        raise InputError(f"epsilon is {epsilon}; expected a number above 0 (.inf for no privacy)")
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta}; expected a number between 0 and 1, well below 1 / patients")
    if math.isinf(epsilon):
        return math.inf
    high = 1.0
    while epsilon_of(high, delta) < epsilon:
        high *= 2.0
    return float(brentq(lambda rho: epsilon_of(rho, delta) - epsilon, 0.0, high, xtol=1e-15)) * (1.0 - 1e-9)


def divide_budget(settings: Mapping[str, Any], parts: tuple[str, ...], where: str) -> dict[str, float]:
    """The zCDP budget of each part of a method: `share` of the release's budget, divided by `shares`.

    Raises:
        InputError: a share that is not above 0, shares of other parts, or more than the whole.
    """
    rho = rho_of(float(settings["epsilon"]), float(settings["delta"]))
    share, shares = float(settings["share"]), {str(k): float(v) for k, v in settings["shares"].items()}
    if not 0 < share <= 1:
        raise InputError(f"{where}: share is {share}; expected a number above 0, at most 1")
    if set(shares) != set(parts) or min(shares.values()) <= 0 or sum(shares.values()) > 1 + 1e-12:
        raise InputError(f"{where}: shares of {', '.join(parts)} are above 0 and add up to at most 1, found {shares}")
    return {part: rho * share * shares[part] for part in parts}


def statement(settings: Mapping[str, Any], spent: Mapping[str, float], public: list[str]) -> dict[str, Any]:
    """What a fitted model says about its privacy: plain data, for `composed`. No budget, no guarantee: rho is None.

    `epsilon` is that of this model alone, `release` that of the release whose budget it shares.
    """
    rho, delta = sum(spent.values()), float(settings["delta"])
    finite = math.isfinite(rho)
    return {
        "unit": UNIT,
        "rho": rho if finite else None,
        "spent": dict(spent) if finite else {},
        "epsilon": epsilon_of(rho, delta) if finite else None,
        "delta": delta,
        "release": {"epsilon": float(settings["epsilon"]) if finite else None, "delta": delta},
        "public": public,
    }


def compose(statements: list[Mapping[str, Any] | None]) -> dict[str, float] | None:
    """The guarantee of a release made by several models, one statement each; None if any of them gives none.

    Returns:
        rho, delta (the smallest of the models'), epsilon for one patient added or removed, and `exchange`, the epsilon
        for one patient exchanged for another, which takes the number of patients as public (two steps: 4 rho).
    """
    if not statements or any(s is None or s["rho"] is None for s in statements):
        return None
    rho = sum(float(s["rho"]) for s in statements if s is not None)
    delta = min(float(s["delta"]) for s in statements if s is not None)
    return {"rho": rho, "delta": delta, "epsilon": epsilon_of(rho, delta), "exchange": epsilon_of(4 * rho, delta)}


# -------------------------------------------------------------------- noise


def secret() -> bytes:
    """The secret of the noise, from the environment.

    Raises:
        InputError: it is not set, or too short to be a secret.
    """
    key = os.environ.get(KEY, "")
    if len(key) < LEAST_KEY:
        told = "is not set" if not key else f"has {len(key)} characters, fewer than {LEAST_KEY}"
        raise InputError(
            f"the environment variable {KEY} {told}: noise made from the published seed could be subtracted again. "
            "Set it to a secret that is never published (openssl rand -hex 32)"
        )
    return key.encode()


class Noise:
    """Random numbers from a secret and from what they protect.

    The stream is SHAKE-256 under HMAC-SHA-256 of the secret and the context, which holds the coded patients and the
    settings: the same cohort gives the same bytes, another cohort gives independent noise, so that two releases never
    share noise that could be cancelled.
    """

    def __init__(self, key: bytes, settings: Mapping[str, Any], levels: np.ndarray, seed: int) -> None:
        plain = json.dumps([settings, list(levels.shape), seed], sort_keys=True, default=str)
        context = plain.encode() + b"\0" + np.ascontiguousarray(levels, dtype="<i8").tobytes()
        self._seed = hmac.new(key, context, hashlib.sha256).digest()
        self._block, self._pool, self._left = 0, 0, 0

    def bits(self, count: int) -> int:
        """So many random bits, as a number."""
        while self._left < count:
            data = hashlib.shake_256(self._seed + self._block.to_bytes(8, "big")).digest(BLOCK)
            self._pool, self._left = (self._pool << 8 * BLOCK) | int.from_bytes(data, "big"), self._left + 8 * BLOCK
            self._block += 1
        self._left -= count
        found = self._pool >> self._left
        self._pool &= (1 << self._left) - 1
        return found

    def below(self, bound: int) -> int:
        """A whole number from 0 to bound - 1, all alike."""
        count = (bound - 1).bit_length()
        while (found := self.bits(count) if count else 0) >= bound:
            pass
        return found

    def one_of(self, weights: np.ndarray) -> int:
        """An index, with chances exactly in proportion to whole-numbered weights."""
        return int(np.searchsorted(np.cumsum(weights), self.below(int(weights.sum())), side="right"))

    def _exponential(self, numerator: int, denominator: int) -> bool:
        """True with probability exp(-numerator / denominator), exactly."""
        whole, rest = divmod(numerator, denominator)
        if any(not self._below_one(1, 1) for _ in range(whole)):
            return False
        return self._below_one(rest, denominator)

    def _below_one(self, numerator: int, denominator: int) -> bool:
        k = 1
        while self.below(denominator * k) < numerator:
            k += 1
        return k % 2 == 1

    def _laplace(self, scale: int) -> int:
        while True:
            rest = self.below(scale)
            if not self._exponential(rest, scale):
                continue
            whole = 0
            while self._exponential(1, 1):
                whole += 1
            negative, size = self.below(2), rest + scale * whole
            if size or not negative:
                return -size if negative else size

    def gaussian(self, variance: Fraction) -> int:
        """One draw of the discrete Gaussian: weights exp(-x^2 / (2 variance)) on the whole numbers.

        Exact rational arithmetic (Canonne, Kamath and Steinke, J Priv Confid 2022;12(1), algorithms 1 to 3): nothing
        is lost to floating point. For whole-numbered answers of L2 sensitivity d it costs rho = d^2 / (2 variance).
        """
        top, bottom = variance.numerator, variance.denominator
        scale = math.isqrt(top // bottom) + 1
        while True:
            found = self._laplace(scale)
            if self._exponential((abs(found) * bottom * scale - top) ** 2, 2 * top * bottom * scale**2):
                return found

    def added(self, counts: np.ndarray, variance: Fraction) -> np.ndarray:
        """Counts (whole numbers, any shape) with discrete Gaussian noise; variance 0 adds none."""
        if not variance:
            return np.asarray(counts, dtype=float)
        noise = [self.gaussian(variance) for _ in range(counts.size)]
        return np.asarray(counts + np.reshape(np.array(noise, dtype=float), counts.shape), dtype=float)

    def normal(self, count: int, part: int) -> np.ndarray:
        """(count,) standard normal numbers; each `part` has its own, whatever was drawn before.

        In double precision by the inverse distribution function, so that a guarantee which rests on them holds up to
        the rounding of floating point (Mironov, CCS 2012); `gaussian` is exact and much slower.
        """
        data = hashlib.shake_256(self._seed + b"normal" + part.to_bytes(8, "big")).digest(8 * count)
        return np.asarray(ndtri((np.frombuffer(data, dtype=">u8") >> np.uint64(11)).astype(float) / 2**53 + 2**-54))

    def choice(self, scores: np.ndarray, epsilon: float) -> int:
        """The exponential mechanism: an index, with weight exp(epsilon score / 2); scores of sensitivity 1.

        It costs rho = epsilon^2 / 8 (McSherry and Talwar, FOCS 2007; Cesar and Rogers, ALT 2021).
        """
        if math.isinf(epsilon):
            return int(np.argmax(scores))
        weight = np.cumsum(np.exp(epsilon / 2.0 * (scores - scores.max())))
        return int(np.searchsorted(weight, self.bits(53) / 2**53 * weight[-1], side="right").clip(0, len(scores) - 1))


def variance_of(rho: float, squared_sensitivity: int) -> Fraction:
    """The variance of Gaussian noise that costs at most rho: squared sensitivity / (2 rho), rounded up."""
    if math.isinf(rho):
        return Fraction(0)
    return Fraction(math.ceil(squared_sensitivity / (2.0 * rho) * DENOMINATOR) + 1, DENOMINATOR)
