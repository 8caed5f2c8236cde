"""Distance: a screening for copies of training patients.

Nearest-record distances do not show that a release is private (record linkage, the stage `memory`, and attacks on
membership decide more); they show at little cost when it is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Encoder, Matrix, Vector, fit_encoder, some_rows
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.privacy import nearness
from haemosynth.privacy.nearness import (
    exchange_profiles,
    identical,
    profile_excess,
    profiles,
    unseen_patients,
)
from haemosynth.stats.neighbours import as_at_equal_n, nearer_share, nearest, neighbours
from haemosynth.stats.null_distribution import RARE, exchange_members, quantile
from haemosynth.validate import Stage
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS = nearness.DEFAULTS

Flags = NDArray[np.bool_]

STAGE = Stage("privacy", needs=(RECORD,), memory=4000, runtime=30)
METRICS = (
    Metric(
        "nearer_to_train", "descriptive", "share", (0, 1), PRIVACY, "bootstrap",
        "s: share of the release whose nearest real patient is a training one (ties half), p = n_train / (n_train +"
        " n_unseen) its value without memory; max(0, 1/2 + (s - p) / (2 (1 - p))). If a share m of the release are"
        " copies this is 1/2 + m/2, as at equal numbers",
        "after Platzer and Reutterer, Front Big Data 2021;4:679939",
    ),
    Metric(
        "exact_matches", "error", "share", (0, 1), PRIVACY, "bootstrap",
        "share of the release whose baseline clinical record (underived columns without the endpoints) is the same as a"
        " training patient's, less that share among unseen patients, at least 0; target clinical~genomic: and the same"
        " alterations",
        "this project",
    ),
    Metric(
        "copied_profiles", "error", "share", (0, 1), PRIVACY, "bootstrap",
        "among sequenced patients with at least three alterations, share whose set of alterations is a training"
        " patient's, less that share among real patients (unseen ones, and training patients beside the other"
        " training patients), at least 0",
        "this project",
    ),
    Metric(
        "dcr_ratio", "descriptive", "ratio", (0, np.inf), PRIVACY, "bootstrap",
        "5 % quantile of the distance to the closest training record, release / unseen patients",
        "Zhao et al., CTAB-GAN, ACML 2021 (distance to closest record)",
    ),
    Metric(
        "nndr_median", "descriptive", "ratio", (0, 1), PRIVACY, "bootstrap",
        "median over the release of the distance to the nearest / second nearest training record",
        "Zhao et al., CTAB-GAN, ACML 2021 (nearest neighbour distance ratio)",
    ),
    Metric(
        "distance_chance", "descriptive", "share", (0, 1), PRIVACY, "bootstrap",
        "99.5 % quantile of the metric that is the target, with training and unseen patients exchanged at random",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Screened:
    """What is found once, with all patients; resamples look it up.

    encoder: of distances. chance: (metric, modality) -> `RARE` quantile under exchanged labels; metrics that cannot be
    measured are left out. trained: (records, 2) distances to the nearest training patients. unseen, places: (records,
    1 + spare) distances to the nearest unseen patients, and which these are. records, hidden, asked: names of the
    records whose neighbours were sought, of all unseen patients, and of those whose neighbours were sought. points,
    others: of records and of unseen patients. same, same_asked: (records or asked, 2) whether a training patient has
    the same baseline record; and the same alterations too. closest: (asked,) distance to the closest training patient.
    profiles: of training patients.
    """

    encoder: Encoder
    chance: Mapping[tuple[str, str], float]
    trained: Matrix
    unseen: Matrix
    places: NDArray[np.intp]
    records: pd.Index
    hidden: pd.Index
    asked: pd.Index
    points: Matrix
    others: Matrix
    same: Flags
    same_asked: Flags
    closest: Vector
    profiles: Counter[bytes]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Screened:
    """Scale, neighbours, and what chance shows. `rng` exchanges labels and chooses `rows`.

    Neighbours are sought among all training and all unseen patients, since a copy whose source is left out would be
    missed, for at most `rows` released and `rows` unseen patients.
    """
    choice, exchange = rng.spawn(2)
    train, unseen = comparison.train, unseen_patients(comparison)
    candidate, asked = (some_rows(side, int(settings["rows"]), choice) for side in (comparison.candidate, unseen))
    encoder = fit_encoder(train)
    known, others, points, fresh = (encoder.points(side) for side in (train, unseen, candidate, asked))
    member = np.repeat([True, False], [len(train), len(unseen)])
    labels = exchange_members(member, int(settings["exchanges"]), exchange)
    trained, first = neighbours(points, known, 2)
    hidden, second = neighbours(points, others, min(1 + int(settings["spare"]), len(unseen)))
    places = np.where(trained[:, 0] <= hidden[:, 0], first[:, 0], len(train) + second[:, 0])
    null = np.array([as_at_equal_n(float(row[places].mean()), len(train), len(unseen)) for row in labels])
    chance = {("nearer_to_train", RECORD): quantile(null, RARE)}
    found: list[bytes] = []
    if candidate.alterations is not None:
        fewest = int(settings["fewest"])
        found, other, shown = (profiles(side, fewest) for side in (train, unseen, comparison.candidate))
        null = exchange_profiles(found, other, shown, len(labels), exchange)
        chance["copied_profiles", ALTERED] = quantile(null, RARE)
    apart = float(settings["tolerance"])
    same, same_asked = (identical(side, known, encoder, apart) for side in (points, fresh))
    return Screened(
        encoder, chance, trained, hidden, second, candidate.patients, unseen.patients, asked.patients, points, others,
        same, same_asked, nearest(fresh, known)[:, 0], Counter(found),
    )  # fmt: skip


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """The metrics above, of the records and unseen patients that `prepare` has chosen. Settings: see DEFAULTS.

    A resample of a large holdout may hold few or none of the unseen patients who were asked about; as many of these are
    then drawn by `rng`.
    """
    screened: Screened = comparison.prepared
    unseen = unseen_patients(comparison)
    rows, asked = _places(screened.records, comparison.candidate.patients), _places(screened.asked, unseen.patients)
    most = min(len(unseen), len(screened.asked))
    if len(asked) < most:
        asked = rng.integers(len(screened.asked), size=most)
    here = np.zeros(len(screened.hidden), dtype=bool)
    here[_places(screened.hidden, unseen.patients)] = True
    n, own, other = len(rows), screened.trained[rows], _nearest_unseen(screened, here)[rows]
    nearer = nearer_share(own[:, 0], other, len(comparison.train), len(unseen))
    values = [Value("nearer_to_train", nearer, n=n)]

    same, same_both = screened.same[rows].mean(axis=0) - screened.same_asked[asked].mean(axis=0)
    values.append(Value("exact_matches", max(0.0, float(same)), n=n))
    if comparison.candidate.alterations is not None:
        values.append(Value("exact_matches", max(0.0, float(same_both)), "clinical~genomic", ALTERED, n))
        fewest = int(settings["fewest"])
        shown = profiles(comparison.candidate, fewest)
        excess = profile_excess(screened.profiles, shown, profiles(unseen, fewest))
        values.append(Value("copied_profiles", max(0.0, excess), modality=ALTERED, n=len(shown)))
    else:
        reason = "the cohort has no genomic modality"
        values.append(Value("copied_profiles", np.nan, modality=ALTERED, n=n, reason=reason))
    reference = np.quantile(screened.closest[asked], 0.05)
    if reference > 0:
        values.append(Value("dcr_ratio", float(np.quantile(own[:, 0], 0.05) / reference), n=n))
    else:
        reason = "one in twenty unseen patients equals a training patient: the records say too little"
        values.append(Value("dcr_ratio", np.nan, n=n, reason=reason))
    values.append(Value("nndr_median", float(np.median(_ratio(own))), n=n))
    for (metric, modality), limit in screened.chance.items():
        values.append(Value("distance_chance", limit, metric, modality, n))
    return values


def _places(names: pd.Index, wanted: pd.Index) -> NDArray[np.intp]:
    """Where each of `wanted` is in `names`, as often as it is wanted; those not there are left out."""
    places = names.get_indexer(wanted)
    return places[places >= 0]


def _nearest_unseen(screened: Screened, here: Flags) -> Vector:
    """Distance from each record to the nearest of the unseen patients who are in the resample.

    Args:
        here: (unseen patients,) who is in it. Where none of those kept for a record is, others are sought.
    """
    kept = here[screened.places]
    found: Vector = screened.unseen[np.arange(len(kept)), kept.argmax(axis=1)]
    few = np.flatnonzero(~kept.any(axis=1))
    if len(few):
        found[few] = nearest(screened.points[few], screened.others[here])[:, 0]
    return found


def _ratio(distances: Matrix) -> Vector:
    """Distance to the nearest over that to the second nearest; 1 where both are 0.  distances: (records, 2)"""
    return np.divide(distances[:, 0], distances[:, 1], out=np.ones(len(distances)), where=distances[:, 1] > 0)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Distances to the closest training patient, of the release, of unseen and of training patients; what was found."""
    rng = np.random.default_rng(0)  # only where more than `rows` patients are to be drawn
    encoder = comparison.prepared.encoder
    known = encoder.points(comparison.train)
    unseen, candidate, train = (
        some_rows(cohort, int(settings["rows"]), rng)
        for cohort in (unseen_patients(comparison), comparison.candidate, comparison.train)
    )
    drawn, (left, right) = new_figure(10, 3.8, ncols=2, gridspec_kw={"width_ratios": [1.2, 1]})
    _draw_distances(left, [
        (f"training patients, among themselves (n = {len(train):,})", NEUTRAL,
         neighbours(encoder.points(train), known, 2)[0][:, 1]),
        (f"unseen patients (n = {len(unseen):,})", REAL, nearest(encoder.points(unseen), known)[:, 0]),
        (f"{label} (n = {len(candidate):,})", SYNTHETIC, nearest(encoder.points(candidate), known)[:, 0]),
    ])  # fmt: skip
    _draw_shares(right, values[values["status"] == "ok"])
    return drawn


def _draw_shares(axis: Any, found: pd.DataFrame) -> None:
    """The scored metrics with their intervals, beside their value without memory and what chance shows."""
    shares = {
        "nearer_to_train": "nearer to training\nthan to unseen patients",
        "exact_matches": "same clinical record\nas a training patient",
        "copied_profiles": "same alterations\nas a training patient",
    }
    texts: list[str] = []
    for metric, text in shares.items():
        rows = found[(found["metric"] == metric) & (found["target"] == "all")]
        if rows.empty:
            continue
        place = -len(texts)
        texts.append(text)
        row = rows.iloc[-1]  # of the whole record, where there are several modalities
        low, high = float(row["low"]), float(row["high"])
        by_chance = found[(found["metric"] == "distance_chance") & (found["target"] == metric)]
        limit = by_chance.loc[by_chance["modality"] == row["modality"], "value"]
        if len(limit):
            axis.plot(limit, [place], "|", color=NEUTRAL, ms=22, mew=2)
        axis.plot([0.5 if metric == "nearer_to_train" else 0.0], [place], "|", color=REAL, ms=22, mew=1.5)
        axis.plot(row["value"], place, "o", color=SYNTHETIC)
        if np.isfinite(low):
            axis.plot([low, high], [place, place], color=SYNTHETIC, lw=1.5)
        end = max(float(row["value"]), high if np.isfinite(high) else 0.0, *limit)
        aside, side = (end + 0.03, "left") if end < 0.8 else (float(row["value"]) - 0.05, "right")
        axis.text(aside, place, f"{row['value']:.3f}", ha=side, va="bottom", fontsize=8)
    axis.set(xlim=(-0.04, 1.04), ylim=(0.6 - len(texts), 0.6), xlabel="share of the release")
    axis.set_title("bars: black without memory, grey by chance", loc="left", fontsize=9, color=NEUTRAL)
    axis.set_yticks([-place for place in range(len(texts))], texts)


def _draw_distances(axis: Any, sides: list[tuple[str, str, Vector]]) -> None:
    end = max(float(np.quantile(distances, 0.99)) for _, _, distances in sides)
    bins = np.linspace(0, max(end, 1e-9), 31)
    for name, colour, distances in sides:
        counts = np.histogram(np.clip(distances, 0, bins[-1]), bins)[0]
        shares = np.where(counts < MIN_CELL_COUNT, 0, counts) / len(distances)
        axis.stairs(shares, bins, color=colour, lw=1.6, label=name)
    axis.set(xlabel="distance to the closest training patient", ylabel="share of patients", xlim=(0, bins[-1]))
    axis.set_ylim(0, 1.4 * axis.get_ylim()[1])  # room for the legend
    axis.legend(loc="upper left", frameon=False, fontsize=8)
    axis.set_title("screening only: it does not prove privacy", loc="left", fontsize=9, color=NEUTRAL)
