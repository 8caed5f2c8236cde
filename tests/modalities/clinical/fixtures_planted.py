"""Tables whose joint law is known, for generators that must find it."""

from itertools import pairwise, product

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.schema import Column, Schema

STAY = 0.85  # chance that a column of the chain is like the one before it
COLUMNS = tuple("abcde")
STATES = list(product((0, 1), repeat=len(COLUMNS)))


def cohort_of(columns, table) -> Cohort:
    schema = Schema("planted", columns)
    return Cohort(schema, set_types(pd.DataFrame(table), schema))


def chain_law() -> np.ndarray:
    """(32,) probability of each state of five binary columns, each like the one before with chance STAY."""
    law = []
    for state in STATES:
        p = 0.3 if state[0] else 0.7
        for before, after in pairwise(state):
            p *= STAY if before == after else 1 - STAY
        law.append(p)
    return np.array(law)


def chain(n: int, seed: int = 1) -> Cohort:
    rng = np.random.default_rng(seed)
    rows = np.array(STATES)[rng.choice(len(STATES), n, p=chain_law())]
    kinds = {name: Column("binary", categories=("no", "yes")) for name in COLUMNS}
    return cohort_of(kinds, {name: np.where(rows[:, i] == 1, "yes", "no") for i, name in enumerate(COLUMNS)})


def shares_of_states(table: pd.DataFrame) -> np.ndarray:
    """(32,) share of each state of the chain."""
    values = np.stack([table[name].astype("object") == "yes" for name in COLUMNS], axis=1).astype(int)
    code = values @ (2 ** np.arange(len(COLUMNS))[::-1])
    return np.bincount(code, minlength=len(STATES)) / len(table)


def independent_shares(table: pd.DataFrame) -> np.ndarray:
    """The same, were the columns independent."""
    share = [(table[name].astype("object") == "yes").mean() for name in COLUMNS]
    return np.array([np.prod([p if s else 1 - p for p, s in zip(share, state, strict=True)]) for state in STATES])


def modes(n: int, seed: int = 1, checkerboard: bool = False) -> Cohort:
    """Normal clusters of standard deviation 0.05 at the points of a grid of five by five, or at every other one."""
    rng = np.random.default_rng(seed)
    points = [(i, j) for i, j in product(range(5), repeat=2) if not checkerboard or (i + j) % 2 == 0]
    at = np.array(points)[rng.integers(len(points), size=n)] + rng.normal(0, 0.05, (n, 2))
    kinds = {name: Column("continuous") for name in ("x", "y")}
    return cohort_of(kinds, {"x": at[:, 0], "y": at[:, 1]})


def rare(n: int, seed: int = 1) -> Cohort:
    """A level of 5 %, and a number that is 0 in a fifth of the patients and else normal about the level."""
    rng = np.random.default_rng(seed)
    level = rng.choice(["A", "B", "C"], n, p=[0.6, 0.35, 0.05])
    number = np.where(rng.random(n) < 0.2, 0.0, 10 + 4 * (level == "B") + rng.normal(0, 1, n))
    kinds = {"level": Column("categorical", categories=("A", "B", "C")), "number": Column("continuous")}
    return cohort_of(kinds, {"level": level, "number": number})
