"""Singling out: does the release reveal attributes that only one training patient has?

The attacker writes queries that a single released record answers (`age >= 81 and FLT3 is mutated and ...`), and hopes
that exactly one training patient answers them too. Unseen patients are fewer than training patients, and in a larger
cohort a query finds someone more often and someone alone less often: their success is carried to the size of the
training cohort by a beta-binomial model of how frequent the queried combinations are. Modality `clinical`: queries on
baseline columns; `genomic`: on these and the alterations.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Encoder, Matrix, Vector, fit_encoder
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.privacy import attacks
from haemosynth.validate import Stage
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "queries": 500,  # per modality and kind of attack
    "clinical_columns": 6,  # attributes in a query on clinical columns; few if the cohort has fewer
    "joint_columns": 12,  # attributes in a query on clinical columns and alterations
    "attempts": 10_000,  # drawn queries at most, of which those with a single answer are kept
}
STAGE = Stage("privacy", needs=(RECORD,), environment="attacks", memory=4000, runtime=30)
METRICS = (
    *attacks.metrics(
        "singling_out",
        "exactly one training patient answers a query that exactly one released record answers; control_success is"
        " carried to the number of training patients by a beta-binomial model (Bethlehem et al., J Am Stat Assoc"
        " 1990;85:38)",
        "as many attributes, values and comparisons at random",
    ),
    Metric(
        "rare_value_risk", "error", "", (0, 1), PRIVACY, "attack",
        "the risk of singling out by one attribute: a released value that no other released record has, or beyond all"
        " others. A generator that repeats observed values repeats those of one patient too",
        attacks.SOURCE,
    ),
)  # fmt: skip
ONE = "1 attribute"
Answers = NDArray[np.bool_]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> attacks.Attacked:
    """Write the queries and put them once. Settings: see DEFAULTS; `rng` draws the queries."""
    schema = comparison.train.schema
    encoder = fit_encoder(comparison.train)
    sides = (comparison.train, comparison.control, comparison.candidate)
    tables = [raw_attributes(encoder, schema.survival, side) for side in sides]
    clinical = [name for name in tables[0] if name not in schema.alterations]
    kinds = [(RECORD, clinical, int(settings["clinical_columns"]))]
    if schema.alterations:
        kinds.append((ALTERED, list(tables[0]), int(settings["joint_columns"])))
    names, found = [], []
    for modality, columns, most in kinds:
        train, control, released = (table[columns] for table in tables)
        size = min(most, len(columns))
        # Alterations alone have two states and no rare value.
        for number in [1, size] if modality == RECORD else [size]:
            answers = _answers(train, control, released, number, settings, rng) if len(columns) > 1 else None
            if answers is None:
                continue
            naive = random_answers(released, train, number, int(settings["queries"]), rng)
            names.append((f"{number} attributes" if number > 1 else ONE, modality))
            found.append((*answers, naive))
    n, m = len(comparison.train), len(comparison.control)
    main = [alone(of_train) for of_train, _, _ in found]
    control_right = [alone(of_control) * carry_over(of_control.sum(axis=0), m, n) for _, of_control, _ in found]
    naive_right = [alone(naive) for _, _, naive in found]
    made = [of_train.shape[1] for of_train, _, _ in found]
    asked = [naive.shape[1] for _, _, naive in found]
    return attacks.Attacked(
        tuple(names),
        _tally(comparison.train.patients, main, made),
        _tally(comparison.control.patients, control_right, made),
        _tally(comparison.train.patients, naive_right, asked),
    )


def _tally(patients: pd.Index, right: list[Vector], made: list[int]) -> attacks.Tally:
    """Queries belong to the patient whom they single out; the number of queries is spread evenly over patients."""
    won: Matrix = np.array(right, dtype=float).T.reshape(len(patients), len(right))
    return attacks.Tally(patients, won, np.tile(np.array(made, dtype=float) / len(patients), (len(patients), 1)))


def raw_attributes(encoder: Encoder, outcomes: list[str], cohort: Cohort) -> pd.DataFrame:
    """Baseline columns and alterations as they are: numbers, and levels and states as text; missing stays missing."""
    columns: dict[str, Any] = {}
    for name, _, _ in encoder.numbers:
        if name not in outcomes:
            columns[name] = cohort.clinical[name].to_numpy(float)
    for name, _ in encoder.levels:
        columns[name] = cohort.clinical[name].astype(object).to_numpy()
    for name in encoder.alterations:
        assert cohort.alterations is not None
        columns[name] = cohort.alterations[name].map({0.0: "absent", 1.0: "present"}).to_numpy(object)
    return pd.DataFrame(columns)


def _answers(
    train: pd.DataFrame,
    control: pd.DataFrame,
    released: pd.DataFrame,
    number: int,
    settings: Mapping[str, Any],
    rng: np.random.Generator,
) -> tuple[Answers, Answers] | None:
    """Which training and control patients answer the queries of the library.  (patients, queries) each."""
    import polars as pl
    from anonymeter.evaluators.singling_out_evaluator import (
        multivariate_singling_out_queries,
        univariate_singling_out_queries,
    )

    # Neutral column names, and levels by number: the library reads some characters in names and levels as its own.
    known, unseen, open_to_all = (
        pl.DataFrame(_number(table, train), schema_overrides=_kinds(train)) for table in (train, control, released)
    )
    logging.getLogger("anonymeter").setLevel(logging.ERROR)
    wanted = int(settings["queries"])
    if number == 1:
        # All there are, in a fixed order before some are chosen: polars groups values in any order.
        with warnings.catch_warnings():  # of a missing value as the one rare value, a query that nobody answers
            warnings.simplefilter("ignore")
            queries = sorted(univariate_singling_out_queries(open_to_all, 10**9, rng), key=str)
        queries = [queries[i] for i in np.sort(rng.permutation(len(queries))[:wanted])]
    else:
        queries = multivariate_singling_out_queries(open_to_all, wanted, number, int(settings["attempts"]), rng)
    if not queries:
        return None
    return _put(known, queries), _put(unseen, queries)


def _put(table: Any, queries: list[Any]) -> Answers:
    answered = table.select([query.fill_null(False).alias(str(i)) for i, query in enumerate(queries)])
    return np.asarray(answered.to_numpy(), dtype=bool)


def _number(table: pd.DataFrame, train: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns c0, c1, ...; levels by their number among all training levels, any other level as unseen."""
    columns: dict[str, list[Any]] = {}
    for i, name in enumerate(table):
        levels = {level: str(code) for code, level in enumerate(sorted(train[name].dropna().unique()))}
        plain = train[name].dtype == float
        columns[f"c{i}"] = [
            None if pd.isna(value) else value if plain else levels.get(value, "unseen") for value in table[name]
        ]
    return columns


def _kinds(train: pd.DataFrame) -> dict[str, Any]:
    import polars as pl

    return {f"c{i}": pl.Float64 if train[name].dtype == float else pl.Utf8 for i, name in enumerate(train)}


def random_answers(
    released: pd.DataFrame, train: pd.DataFrame, number: int, queries: int, rng: np.random.Generator
) -> Answers:
    """Which training patients answer queries of random attributes, released values and comparisons."""
    answers = np.ones((len(train), queries), dtype=bool)
    values = {name: released[name].drop_duplicates().to_numpy() for name in released}
    truth = {name: train[name].to_numpy() for name in train}
    for query in range(queries):
        for name in rng.choice(released.columns, number, replace=False):
            value, own = values[name][rng.integers(len(values[name]))], truth[name]
            how = rng.integers(6)
            if pd.isna(value):
                same = pd.isna(own)
                answers[:, query] &= same if how % 2 == 0 else ~same
            elif own.dtype == float:
                answers[:, query] &= (
                    (own == value, (own != value) & ~np.isnan(own), own >= value, own <= value, own > value,
                     own < value)[how]
                )  # fmt: skip
            else:
                same = own == value
                answers[:, query] &= same if how % 2 == 0 else ~same & ~pd.isna(own)
    return answers


def alone(answers: Answers) -> Vector:
    """How many of the queries single out each patient.  (patients, queries) -> (patients,)"""
    return np.asarray(answers[:, answers.sum(axis=0) == 1].sum(axis=1), dtype=float)


def carry_over(answered: NDArray[np.int64], asked: int, size: int) -> float:
    """By what to multiply the share of queries with a single answer among `asked` patients, for `size` patients.

    The frequency w of a queried combination is Beta(a, b) over queries, the number of patients who answer one
    binomial; a and b by maximum likelihood. With n patients a query is answered once with probability
    n B(a + 1, b + n - 1) / B(a, b). Bethlehem, Keller and Pannekoek, J Am Stat Assoc 1990;85:38 (superpopulation model
    of uniqueness, there with a gamma distribution).

    Args:
        answered: (queries,) how many of the `asked` patients answer each.
    """
    from scipy.optimize import minimize
    from scipy.special import betaln

    if asked == size or not (answered == 1).any():
        return 1.0
    counts, weights = np.unique(answered, return_counts=True)

    def loss(log_parameters: Vector) -> float:
        a, b = np.exp(log_parameters)
        return -float(weights @ (betaln(counts + a, asked - counts + b) - betaln(a, b)))

    fitted = minimize(loss, np.log([0.5, asked]), method="Nelder-Mead", bounds=[(-12, 12)] * 2)
    a, b = np.exp(fitted.x)
    log_once = [np.log(n) + betaln(a + 1, b + n - 1) for n in (size, asked)]
    return float(np.exp(log_once[0] - log_once[1]))


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Count the queries that single out these patients. Needs what `prepare` found."""
    values = attacks.measure_attack("singling_out", comparison.prepared, comparison, apart=(ONE,))
    one = [value for value in values if value.metric == "singling_out_risk" and value.target == ONE]
    if one:
        return [*values, replace(one[0], metric="rare_value_risk", target="all")]
    reason = "no released record has a value of its own"
    return [*values, Value("rare_value_risk", np.nan, reason=reason)]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Success rates and risks by modality and number of attributes."""
    return attacks.figure("singling_out", values, comparison, label)
