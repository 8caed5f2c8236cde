"""Clinical records with differential privacy: noisy marginals over public domains, joined in a tree (`private_tree`).

Nothing but the noisy counts depends on training patients. The levels of a column come from what the study declared: its
range in cells along the recording grain, its categories, and missing. An endpoint is coded as in `encoding`, event by
cell of its time up to the `horizon`; the others lie at the end of the primary one or before it, whatever combinations
training patients show, so that no endpoint outlives the primary one. What inference took from training patients is not
public, and a column whose range, grain or categories were inferred is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import one_of_each, torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, FollowUp, Level, Variable
from haemosynth.privacy import private_tree
from haemosynth.privacy.accountant import Noise, divide_budget, secret, statement
from haemosynth.privacy.private_tree import Domain, Tree

DEFAULTS: dict[str, Any] = {
    "epsilon": 8.0,  # of the whole release, with the other modality; .inf for no privacy
    "delta": 1e-5,  # of the whole release
    "share": 0.6,  # of the release's zCDP budget that this modality spends
    "shares": {"marginals": 0.4, "selection": 0.2, "pairs": 0.4},  # what it is spent on
    "cells": 32,  # of a number or a time, a power of two; fewer where the grain leaves fewer values
    "bins": 8,  # groups of cells in a table of pairs, at most
    "horizon": 120.0,  # months of follow-up that are public: longer times count as this
}
PARTS = ("marginals", "selection", "pairs")
WIDE = 1000  # grains in a range from which cells widen in proportion to the value
PUBLIC = [
    "names, kinds, units, declared ranges, recording grains and categories of the columns; which columns there are",
    "the follow-up horizon and the recording grain of times",
    "the settings, the code, and the number of training patients",
]


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Measure training patients with noise; `checkpoint` is not used (seconds of work).

    Raises:
        InputError: no secret of the noise, a column that is not declared in full, or a setting out of its range.
    """
    where = f"cohort {train.schema.cohort}: private_marginals"
    spent = divide_budget(settings, PARTS, where)
    key = secret()
    encoding = public_encoding(train.schema, int(settings["cells"]), float(settings["horizon"]))
    levels = encoding.encode(train.clinical).levels
    noise = Noise(key, {"modality": "clinical", **settings}, levels, torch_seed(rng))
    root = encoding.endpoints[0] if encoding.endpoints else 0
    tree = private_tree.fit_tree(
        levels, [domain(v) for v in encoding.variables], spent, noise, bins=int(settings["bins"]), root=root
    )
    arrays, description = encoding.save()
    weights, plain = tree.save()
    names = [variable.name for variable in encoding.variables]
    return Fitted(
        arrays | weights,
        {
            "encoding": description,
            "tree": plain,
            "edges": [[names[tree.parent[i]], names[i]] for i in tree.order if tree.parent[i] >= 0],
            "parameters": int(sum(table.size for table in tree.table.values())),
            "privacy": statement(settings, spent, PUBLIC),
        },
        pd.DataFrame(),
    )


def sample(fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., derived columns missing.

    Raises:
        InputError: the schema and the fitted generator name different columns.
    """
    encoding = Encoding.load(fitted.arrays, fitted.description["encoding"])
    tree = Tree.load(fitted.arrays, fitted.description["tree"])
    return encoding.decode(draw_coded(encoding, tree.order, tree.probability, n, rng), schema)


def tree_levels(fitted: Fitted, cohort: Cohort) -> np.ndarray:
    """(patients, variables) level of each variable of the tree."""
    return Encoding.load(fitted.arrays, fitted.description["encoding"]).encode(cohort.clinical).levels


def draw_coded(
    encoding: Encoding,
    order: Sequence[int],
    probability: Callable[[int, np.ndarray], np.ndarray],
    n: int,
    rng: np.random.Generator,
) -> Coded:
    """n patients, variable by variable in this order, endpoints such that none outlives the primary one.

    Args:
        probability: (variable, (n, variables) levels drawn so far) -> (n, levels of the variable).
    """
    levels = np.zeros((n, len(encoding.variables)), dtype=np.int64)
    positions = rng.random(levels.shape)
    follow_up = FollowUp(encoding, n)
    for i in order:
        chance = probability(i, levels)
        survival = encoding.variables[i].kind == "survival"
        if survival:
            fits = follow_up.permit(i)
            held = np.where(fits, chance, 0.0)
            chance = np.where(held.sum(axis=1, keepdims=True) > 0, held, fits)
        levels[:, i] = one_of_each(chance, rng)
        if survival:
            follow_up.add(i, levels[:, i], positions[:, i])
    return Coded(levels, positions)


# -------------------------------------------------------------------- public domains


def public_encoding(schema: Schema, cells: int, horizon: float) -> Encoding:
    """The encoding that the declared schema alone gives, endpoints last.

    Raises:
        InputError: an attribute that is needed was inferred from training patients; one line names all of them.
    """
    winsorised = [note for note in schema.notes if "winsorised" in note]
    if winsorised:
        raise InputError(
            f"cohort {schema.cohort}: a private method takes no winsorised columns, whose limits are learned from "
            f"training patients: {winsorised[0].split(':')[0]}; declare its range instead"
        )
    plain = {name: column for name, column in schema.recorded.items() if name not in schema.survival}
    lacking = {name: wanted for name, column in plain.items() if (wanted := find_undeclared(column))}
    if lacking:
        told = "; ".join(f"{name} ({', '.join(wanted)})" for name, wanted in lacking.items())
        raise InputError(
            f"cohort {schema.cohort}: a private method needs public columns, and these were inferred from training "
            f"patients: {told}; declare them under `columns` or exclude the columns"
        )
    variables = [_variable(name, column, cells) for name, column in plain.items()]
    for endpoint in schema.endpoints:
        grain = schema.columns[f"{endpoint}_time"].grain
        primary = endpoint == schema.endpoints[0]
        knots = _knots(0.0, horizon, grain, cells)
        levels = [Level("missing")] + ([] if primary else [Level("end", event=e) for e in (0, 1)])
        timed = [Level("time" if primary else "between", event=e) for e in (0, 1) for _ in knots]
        inside = [np.empty(0)] * len(levels) + [*knots, *knots]
        names = (f"{endpoint}_time", f"{endpoint}_event")
        variables.append(
            Variable(endpoint, "survival", names, (*levels, *timed), tuple(inside), grain, low=grain, high=horizon)
        )
    states = [list(dict.fromkeys(level.state for level in v.levels)) for v in variables if v.kind == "survival"]
    return Encoding(tuple(variables), tuple(product(*states)) if states else ())


def find_undeclared(column: Column) -> list[str]:
    """What a private method needs of a column and the study did not declare."""
    wanted = ["kind", *(("low", "high", "grain") if column.numeric else ("categories",))]
    return [name for name in wanted if name not in column.declared]


def _variable(name: str, column: Column, cells: int) -> Variable:
    if column.numeric:
        assert column.low is not None
        assert column.high is not None
        knots = _knots(column.low, column.high, column.grain, cells)
        levels = (Level("missing"), *(Level("bin") for _ in knots))
        inside = (np.empty(0), *knots)
        return Variable(name, "number", (name,), levels, inside, column.grain, low=column.low, high=column.high)
    levels = (Level("missing"), *(Level("category", label=label) for label in column.categories))
    return Variable(name, "level", (name,), levels, tuple(np.empty(0) for _ in levels))


def _knots(low: float, high: float, grain: float | None, cells: int) -> list[np.ndarray]:
    """Both ends of each cell; a power of two of them, which hold whole grains and widen where the range is wide."""
    step = grain or 0.0
    values = round((high - low) / step) + 1 if step else cells
    count = 1 << (max(1, min(cells, values)).bit_length() - 1)
    share: np.ndarray = np.linspace(0.0, 1.0, count + 1)
    if values > WIDE:
        share = np.expm1(share * np.log1p(WIDE)) / WIDE
    edges: np.ndarray = low + share * (high - low)
    if step:
        # At least one recorded value to each cell; the ends lie half a grain beyond the values.
        first = np.maximum.accumulate(np.rint(share * values) - np.arange(count + 1)) + np.arange(count + 1)
        first = np.minimum(first, values - count + np.arange(count + 1))
        edges = low + (first - 0.5) * step
    return [np.array(pair) for pair in pairwise(edges)]


def domain(variable: Variable) -> Domain:
    """Categories, places and missing are alone; cells of a value are a run, for a time one for each event."""
    runs: dict[str, list[int]] = {}
    for code, level in enumerate(variable.levels):
        ordered = level.place in ("bin", "time", "between")
        runs.setdefault(level.state if ordered else f"{level.state}{level.label or ''}{code}", []).append(code)
    return Domain(len(variable.levels), tuple(tuple(run) for run in runs.values()))
