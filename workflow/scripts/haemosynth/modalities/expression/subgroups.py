"""Molecular subgroups of patients with expression: the alterations that change most genes, and what they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Matrix, Vector
from haemosynth.modalities.expression.part import expression_of, find_expression
from haemosynth.modalities.expression.profiles import levels
from haemosynth.validate.stage import Comparison

DEFAULTS: dict[str, Any] = {
    "subgroups": None,  # alterations whose carriers are compared with the others; null: those that change most genes
    "most_subgroups": 5,
}
FEWEST = 10  # carriers, and others, with expression
CLEAR = 4.0  # t above which a gene counts when subgroups are chosen


def lacking(comparison: Comparison) -> str:
    """Why the expression of a comparison cannot be read; empty where it can."""
    train, *sides = (find_expression(side) for side in (comparison.train, comparison.real, comparison.candidate))
    if train is None or train.n_obs < 2 * FEWEST:
        return f"fewer than {2 * FEWEST} training patients have expression"
    if any(part is None or part.n_obs < 2 * FEWEST for part in sides):
        return f"fewer than {2 * FEWEST} patients of a side have expression"
    return ""


def select_measured(cohort: Cohort) -> Cohort:
    """The patients with expression, row by row as they are in it; without their mutations."""
    first = np.flatnonzero(~cohort.patients.duplicated())
    rows = first[cohort.patients[first].get_indexer(expression_of(cohort).obs_names)]
    parts: dict[str, Any] = {"clinical": cohort.clinical.iloc[rows]}
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        parts |= {
            "alterations": cohort.alterations.iloc[rows],
            "sequenced": cohort.sequenced.iloc[rows],
            "mutations": cohort.mutations.iloc[:0],
        }
    return cohort.replace(**parts)


def states(cohort: Cohort, events: tuple[str, ...]) -> Matrix:
    """(patients with expression, events) 1 carrier, 0 not, NaN unknown; a column of NaN for an event nobody knows."""
    known = select_measured(cohort).alterations
    if known is None:
        return np.full((expression_of(cohort).n_obs, len(events)), np.nan)
    return np.asarray(known.reindex(columns=list(events)).to_numpy(float))


def choose_subgroups(train: Cohort, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The alterations of `settings["subgroups"]`, or those that change most genes of training patients.

    A gene is changed where Welch's |t| between carriers and others exceeds CLEAR.
    """
    if settings["subgroups"] is not None:
        return tuple(settings["subgroups"])
    known, events = levels(expression_of(train)).astype(float), tuple(train.schema.alterations)
    changed = {}
    for name, state in zip(events, states(train, events).T, strict=True):
        found = difference(known, state)
        if found is not None:
            changed[name] = int((np.abs(found[1]) > CLEAR).sum())
    order = sorted((name for name in changed if changed[name]), key=lambda name: (-changed[name], name))
    return tuple(order[: int(settings["most_subgroups"])])


def difference(values: Matrix, state: Vector) -> tuple[Vector, Vector, Vector] | None:
    """Log2 fold change, Welch's t and p of every gene between carriers and others; None with too few of them.

    Args:
        values: (patients, genes) levels. state: (patients,) 1, 0, or NaN unknown.
    """
    from scipy.stats import ttest_ind_from_stats

    sides = [values[state == 1], values[state == 0]]
    if min(map(len, sides)) < FEWEST:
        return None
    means = [side.mean(axis=0) for side in sides]
    # Without a least spread a gene that is constant on both sides would have no t.
    spreads = [np.sqrt(np.maximum(side.var(axis=0, ddof=1), 1e-12)) for side in sides]
    t, p = ttest_ind_from_stats(
        means[0], spreads[0], len(sides[0]), means[1], spreads[1], len(sides[1]), equal_var=False
    )
    return means[0] - means[1], np.asarray(t), np.asarray(p)
