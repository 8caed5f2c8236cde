"""The description of images as a table that is learned and drawn given record and alterations.

A Gaussian copula, as for measured tables: normal scores of each field are a ridge regression on the patient's record
plus a normal residual, whose covariance has two parts, what the images of one patient share and what is each image's
own. Scores that are not known, of a missing field, or known to lie between two ranks alone, of equal values, are drawn
given the other fields while the model is learned (data augmentation; Tanner & Wong, J Am Stat Assoc 1987;82:528).
Fields of structures, such as the SUV of lesions, are modelled second, in images that have some, given record and the
other fields. Drawn scores go back to values by smooth quantiles with at least 48 images behind each piece
(`stats.quantiles`), of the images at that place of their patient (trunk, pelvis); counts by their shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.encode import conditions
from haemosynth.modalities.images.description import Field
from haemosynth.stats import quantiles as smooth
from haemosynth.stats.regression import ridge

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
LEVELS = np.linspace(0.001, 0.999, 101)
SWEEPS, KEPT = 8, 4  # in which unknown scores are drawn anew; of them the last, which the model is averaged over
LEAST = 0.02  # variance of a residual at least
DIFFERENT = 0.01  # chance, below which a field has a distribution of its own at each place
FARTHEST = 3.0  # normal scores at which a field ends, as a condition of images


def learn(
    table: pd.DataFrame, fields: Sequence[Field], given: Matrix, owners: Rows, places: Rows, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The model of a description, as arrays and as plain data.

    Args:
        table: (images, fields) of training images, NaN where missing. fields: of its columns.
        given: (images, features) the patient's record, and which of the patient's images each is.
        owners: (images,) the patient of each.
        places: (images,) groups whose fields have distributions of their own.
    """
    values = table.to_numpy(dtype=float)
    score, low, high = np.full(values.shape, np.nan), np.full(values.shape, -np.inf), np.full(values.shape, np.inf)
    groups = [np.flatnonzero(places == place) for place in np.unique(places)]
    margins: list[list[Any]] = [[] for _ in groups]
    for j, field in enumerate(fields):
        known = [rows[~np.isnan(values[rows, j])] for rows in groups]
        if _alike([values[rows, j] for rows in known]):
            known = [np.concatenate(known)] * len(groups)
        for rows, own in zip(known, margins, strict=True):
            own.append(_margin(values[rows, j], field))
            if len(rows):
                score[rows, j], low[rows, j], high[rows, j] = _rank(values[rows, j])
    first, second = _parts([field.of for field in fields])
    arrays, scores = _augment([given], score[:, first], low[:, first], high[:, first], owners, rng)
    if len(second):
        number = values[:, [field.name for field in fields].index(fields[second[0]].of)]
        rows = np.flatnonzero(number > 0)
        exact, least, most = (side[np.ix_(rows, second)] for side in (score, low, high))
        found = _augment([scores[rows], given[rows]], exact, least, most, owners[rows], rng)[0]
        arrays |= {f"{name}_2": array for name, array in found.items()}
    seed = int(rng.integers(2**31))
    plain = {
        "fields": [field.name for field in fields],
        "whole": [field.whole for field in fields],
        "digits": [field.digits for field in fields],
        "low": [field.low for field in fields],
        "of": [[f.name for f in fields].index(field.of) if field.of else None for field in fields],
        "margins": margins,
        "missing": [_missing(values[own], given[own], fields, seed) for own in groups],
        "scale": [_scale(values[:, j]) for j in range(values.shape[1])],
    }  # fmt: skip
    return arrays, plain


def draw(
    arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any], given: Matrix, owners: Rows, places: Rows,
    rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """(images, fields) descriptions, given the record (images, features) of the patient of each.

    A field of structures is missing where their drawn number is 0, others as often as in training images at this place.
    """
    first, second = _parts(plain["of"])
    count = len(plain["fields"])
    score = np.zeros((len(given), count))
    score[:, first] = _draw_part(arrays, "", given, owners, rng)
    if len(second):
        score[:, second] = _draw_part(arrays, "_2", np.hstack([score[:, first], given]), owners, rng)
    values = np.full(score.shape, np.nan)
    for place in range(len(plain["margins"])):
        rows = np.flatnonzero(np.minimum(places, len(plain["margins"]) - 1) == place)
        missing = _draw_missing(plain["missing"][place], given[rows], count, rng)
        for j in range(count):
            margin = plain["margins"][place][j]
            if margin is None:
                continue
            column = _carry(ndtr(score[rows, j]), margin, plain["whole"][j])
            if plain["low"][j] is not None:
                column = np.maximum(column, plain["low"][j])
            values[rows, j] = np.where(missing[:, j], np.nan, np.round(column, plain["digits"][j]))
        for j, of in enumerate(plain["of"]):
            if of is not None:
                number, rates = values[rows, of], plain["missing"][place][j]["rates"]
                rate = np.select([number == 1, number > 1], rates, 1.0)
                values[rows, j] = np.where(rng.random(len(rows)) < rate, np.nan, values[rows, j])
    return pd.DataFrame(values, columns=plain["fields"])


def _parts(of: Sequence[Any]) -> tuple[Rows, Rows]:
    """Positions of the fields of an image, and of those of its structures."""
    told = np.array([own not in (None, "") for own in of], dtype=bool)
    return np.flatnonzero(~told), np.flatnonzero(told)


def _draw_part(
    arrays: Mapping[str, np.ndarray], part: str, given: Matrix, owners: Rows, rng: np.random.Generator
) -> Matrix:
    """(images, fields of this part) scores: what the record says, what a patient's images share, and each one's own."""
    slope, middle, shared, alone = (arrays[f"{name}{part}"] for name in ("slope", "middle", "shared", "alone"))
    people, person = np.unique(owners, return_inverse=True)
    score = given @ slope + middle
    score = score + (rng.standard_normal((len(people), len(middle))) @ shared.T)[person]
    return np.asarray(score + rng.standard_normal(score.shape) @ alone.T)


def features(plain: Mapping[str, Any], table: pd.DataFrame) -> Matrix:
    """(images, features) a description as a condition of images: normal scores of the fields among training images, 0
    where missing, and for each field that may be missing whether it is, less the share of training images."""
    values = table[plain["fields"]].to_numpy(dtype=float)
    blocks = []
    for j, known in enumerate(plain["scale"]):
        if known["grid"] is None:
            continue
        missing = np.isnan(values[:, j])
        rank = np.interp(np.where(missing, 0.0, values[:, j]), known["grid"], known["at"])
        blocks.append(np.where(missing, 0.0, ndtri(rank).clip(-FARTHEST, FARTHEST)))
        if 0 < known["missing"] < 1:
            blocks.append(missing - known["missing"])
    return np.column_stack(blocks) if blocks else np.empty((len(table), 0))


def _rank(values: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Normal score of each value by its rank, NaN where others are equal; and the scores that it lies between."""
    n = len(values)
    _, of, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])[of]
    score = np.where(counts[of] == 1, ndtri((below + 0.5) / n), np.nan)
    return score, ndtri(below / n), ndtri((below + counts[of]) / n)


def _margin(values: Matrix, field: Field) -> Any:
    """The distribution of a field: [values, shares up to and with each] of a count, else quantiles at LEVELS.

    None where fewer than MIN_CELL_COUNT images have it.
    """
    if len(values) < MIN_CELL_COUNT:
        return None
    if not field.whole:
        return smooth.quantiles(np.sort(values), LEVELS).tolist()
    found, counts = np.unique(values, return_counts=True)
    kept: list[list[float]] = []
    for value, number in zip(found.tolist(), counts.tolist(), strict=True):
        # A count that few images have is told as the one below it.
        if kept and number < MIN_CELL_COUNT:
            kept[-1][1] += number
        else:
            kept.append([value, number])
    return [[value for value, _ in kept], (np.cumsum([number for _, number in kept]) / len(values)).tolist()]


def _carry(rank: Matrix, margin: Any, whole: bool) -> Matrix:
    if whole:
        place = np.searchsorted(np.asarray(margin[1])[:-1], rank, side="right")
        return np.asarray(margin[0], dtype=float)[place]
    return np.asarray(np.interp(rank, LEVELS, np.asarray(margin)))


def _scale(values: Matrix) -> dict[str, Any]:
    """What carries a field to its normal score: a grid of values with the share of training images up to each."""
    known = np.sort(values[~np.isnan(values)])
    if len(known) < MIN_CELL_COUNT or known[0] == known[-1]:
        return {"grid": None, "at": None, "missing": float(np.isnan(values).mean())}
    quantile = np.quantile(known, np.linspace(0.0, 1.0, 21))
    grid = np.unique(quantile)
    share = (np.searchsorted(known, grid, "left") + np.searchsorted(known, grid, "right")) / 2 / len(known)
    return {
        "grid": grid.tolist(),
        "at": share.clip(1e-3, 1 - 1e-3).tolist(),
        "missing": float(np.isnan(values).mean()),
    }


def _alike(groups: Sequence[Matrix]) -> bool:
    """Whether no place differs from the others (Kolmogorov-Smirnov): all then have one distribution."""
    from scipy.stats import ks_2samp

    known = [values for values in groups if len(values)]
    return all(
        ks_2samp(own, np.concatenate([*known[:k], *known[k + 1 :]])).pvalue > DIFFERENT
        for k, own in enumerate(known)
        if len(known) > 1
    )


def _augment(
    blocks: Sequence[Matrix], score: Matrix, low: Matrix, high: Matrix, owners: Rows, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], Matrix]:
    """Coefficients `slope` (features, fields) of the record, factors of the covariance that a patient's images share
    (`shared`) and of each image's own (`alone`), and the mean score `middle` (fields,), means over the last sweeps; and
    the scores (images, fields) of the last one.

    blocks: (images, features) each; what one leaves is explained by the next, so that few strong features are not
    penalised together with many weak ones.
    """
    given = np.hstack(blocks)
    if not len(score):
        fields = score.shape[1]
        nothing = {"slope": np.zeros((given.shape[1], fields)), "middle": np.zeros(fields)}
        return nothing | {"shared": np.zeros((fields, fields)), "alone": np.eye(fields)}, score
    unknown = np.isnan(score)
    table = np.where(unknown, _between(np.zeros_like(score), 1.0, low, high, rng), score)
    middle_given = given.mean(axis=0) if given.shape[1] else np.zeros(0)
    slopes, middles, wholes, commons = [], [], [], []
    for sweep in range(SWEEPS):
        parts, left = [], table
        for block in blocks:
            parts.append(ridge(block, left).astype(np.float64))
            left = left - block @ parts[-1]
        slope = np.vstack(parts)
        center = table.mean(axis=0) - middle_given @ slope
        expected = given @ slope + center
        rest = table - expected
        # A penalised regression leaves part of what it could explain in the rest: together they keep the variance.
        wanted = np.maximum(table.var(axis=0) - expected.var(axis=0), LEAST)
        scaled = rest * np.sqrt(wanted / np.maximum(rest.var(axis=0), LEAST))
        covariance = rest.T @ rest / len(rest) + LEAST * np.eye(rest.shape[1])
        if sweep >= SWEEPS - KEPT:
            slopes.append(slope)
            middles.append(center)
            wholes.append(scaled.T @ scaled / len(rest))
            commons.append(_average_shared(scaled, owners))
        precision = np.linalg.inv(covariance)
        for j in range(rest.shape[1]):
            rows = unknown[:, j]
            if not rows.any():
                continue
            others = rest[rows] @ precision[:, j] - rest[rows, j] * precision[j, j]
            mean, deviation = expected[rows, j] - others / precision[j, j], np.sqrt(1 / precision[j, j])
            table[rows, j] = _between(mean, deviation, low[rows, j], high[rows, j], rng)
            rest[rows, j] = table[rows, j] - expected[rows, j]
    whole, common = np.mean(wholes, axis=0), np.mean(commons, axis=0)
    values, vectors = np.linalg.eigh((common + common.T) / 2)
    shared = vectors * np.sqrt(values.clip(0))
    values, vectors = np.linalg.eigh(whole - shared @ shared.T)
    alone = vectors * np.sqrt(values.clip(1e-4))
    found = {"slope": np.mean(slopes, axis=0), "middle": np.mean(middles, axis=0), "shared": shared, "alone": alone}
    return found, table


def _average_shared(rest: Matrix, owners: Rows) -> Matrix:
    """Mean product of the residuals of two different images of one patient; 0 where nobody has two."""
    _, person = np.unique(owners, return_inverse=True)
    number = np.bincount(person).astype(float)
    sums = np.zeros((len(number), rest.shape[1]))
    np.add.at(sums, person, rest)
    pairs = float((number * (number - 1)).sum())
    if not pairs:
        return np.zeros((rest.shape[1], rest.shape[1]))
    return np.asarray((sums.T @ sums - rest.T @ rest) / pairs)


def _between(mean: Matrix, deviation: float | Matrix, low: Matrix, high: Matrix, rng: np.random.Generator) -> Matrix:
    """Normal numbers between bounds, by inversion."""
    first, last = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
    rank = first + (last - first) * rng.random(mean.shape)
    drawn = mean + deviation * ndtri(np.clip(rank, 1e-9, 1 - 1e-9))
    return np.asarray(np.clip(drawn, np.maximum(low, -6.0), np.minimum(high, 6.0)))


def _missing(values: Matrix, given: Matrix, fields: Sequence[Field], seed: int) -> list[Any]:
    """How often each field is missing: of structures by their number (one; more), of others given the record."""
    names = [field.name for field in fields]
    found: list[Any] = []
    for j, field in enumerate(fields):
        missing = np.isnan(values[:, j])
        if field.of:
            number = values[:, names.index(field.of)]
            rates = [float(missing[rows].mean()) if rows.any() else 0.0 for rows in (number == 1, number > 1)]
            found.append({"rates": rates})
        else:
            found.append(conditions.learn_presence(given, missing, seed))
    return found


def _draw_missing(known: Sequence[Any], given: Matrix, count: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(images, fields): which fields are missing, but for those of structures, which `draw` settles."""
    missing = np.zeros((len(given), count), dtype=bool)
    for j, own in enumerate(known):
        if "rates" not in own:
            missing[:, j] = conditions.draw_presence(own, given, rng)
    return missing
