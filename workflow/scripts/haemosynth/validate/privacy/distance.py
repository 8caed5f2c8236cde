"""Distance: a screening for copies of training patients.

Nearest-record distances do not show that a release is private (the attacks of the stage `membership` decide more);
they show at little cost when it is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.cohort import Cohort
from haemosynth.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.validate.records import Matrix, Vector, fit_encoder, nearest, some_rows, squared_distances
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "rows": 3_000,  # patients, released or unseen, whose neighbours are searched, at most; all patients are searched
    "tolerance": 0.01,  # clinical records nearer than this share of a 10-90 % range count as the same
    "fewest": 3,  # alterations that a mutation profile needs to be told from another
}

METRICS = (
    Metric(
        "nearer_to_train", "target", "share", (0, 1), PRIVACY, "bootstrap",
        "s: share of the release whose nearest real patient is a training one (ties half), p = n_train / (n_train +"
        " n_unseen) its value without memory; max(0, 1/2 + (s - p) / (2 (1 - p))). If a share m of the release are"
        " copies this is 1/2 + m/2, as at equal numbers",
        "after Platzer and Reutterer, Front Big Data 2021;4:679939",
        target=0.5,
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
)  # fmt: skip


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """The metrics above. Settings: see DEFAULTS.

    Neighbours are sought among all training and all unseen patients, since a copy whose source is left out would be
    missed, for at most `rows` released and `rows` unseen patients; `rng` only chooses these.
    """
    most = int(settings["rows"])
    train, unseen = comparison.train, unseen_patients(comparison)
    candidate, asked = (some_rows(cohort, most, rng) for cohort in (comparison.candidate, unseen))
    n = len(candidate)
    encoder = fit_encoder(train)
    known, others, released, fresh = (encoder.points(cohort) for cohort in (train, unseen, candidate, asked))
    own, other = nearest(released, known, 2), nearest(released, others)[:, 0]
    values = [Value("nearer_to_train", nearer_share(own[:, 0], other, len(known), len(others)), n=n)]

    apart = float(settings["tolerance"])
    blocks = (encoder.baseline, encoder.genomic)
    same, same_both = _identical_share(released, known, blocks, apart)
    chance, chance_both = _identical_share(fresh, known, blocks, apart)
    values.append(Value("exact_matches", max(0.0, same - chance), n=n))
    if candidate.alterations is not None:
        both = max(0.0, same_both - chance_both)
        values.append(Value("exact_matches", both, "clinical~genomic", "genomic", n))
        fewest = int(settings["fewest"])
        profiles = Counter(_profiles(train, fewest))
        shown, unknown = _profiles(comparison.candidate, fewest), _profiles(unseen, fewest)
        repeated = sum(profiles[profile] > 0 for profile in shown)
        # By chance: unseen patients beside the training patients, and each training patient beside the others.
        expected = sum(profiles[profile] > 0 for profile in unknown) + sum(k for k in profiles.values() if k > 1)
        excess = repeated / max(1, len(shown)) - expected / max(1, len(unknown) + profiles.total())
        values.append(Value("copied_profiles", max(0.0, excess), modality="genomic", n=len(shown)))
    else:
        reason = "the cohort has no genomic modality"
        values.append(Value("copied_profiles", np.nan, modality="genomic", n=n, reason=reason))
    reference = np.quantile(nearest(fresh, known)[:, 0], 0.05)
    if reference > 0:
        values.append(Value("dcr_ratio", float(np.quantile(own[:, 0], 0.05) / reference), n=n))
    else:
        reason = "one in twenty unseen patients equals a training patient: the records say too little"
        values.append(Value("dcr_ratio", np.nan, n=n, reason=reason))
    ratio = np.divide(own[:, 0], own[:, 1], out=np.ones(len(own)), where=own[:, 1] > 0)
    values.append(Value("nndr_median", float(np.median(ratio)), n=n))
    return values


def unseen_patients(comparison: Comparison) -> Cohort:
    """Real patients whom neither the generator nor the release has seen: the holdout, each patient once.

    Where the release is itself taken from the holdout (`fresh`), the control half.
    """
    if comparison.candidate.patients.isin(comparison.real.patients).any():
        return comparison.control
    return comparison.real.take(np.flatnonzero(~comparison.real.patients.duplicated()))


def nearer_share(to_train: Vector, to_others: Vector, trained: int, others: int) -> float:
    """Share of released patients nearer to training than to unseen patients, as at equal numbers.

    Without memory training and unseen patients are alike, so the nearest of all is a training patient with
    probability p = trained / (trained + others), whatever the release looks like. Thinning the training patients
    to the number of the unseen instead would hide the copies of those left out.

    Args:
        to_train, to_others: (released patients,) distances to the nearest training and unseen patient.
        trained, others: numbers of training and unseen patients.
    """
    share = float(((to_train < to_others) + 0.5 * (to_train == to_others)).mean())
    expected = trained / (trained + others)
    return max(0.0, 0.5 + (share - expected) / (2 * (1 - expected)))


def _identical_share(
    points: Matrix, train: Matrix, blocks: tuple[np.ndarray, np.ndarray], apart: float
) -> tuple[float, float]:
    """Share of points with a training point within `apart` in the first block; in both blocks."""
    first = both = 0
    clinical, genomic = blocks
    for rows, squared in squared_distances(points[:, clinical], train[:, clinical]):
        same = squared <= apart**2
        found = np.flatnonzero(same.any(axis=1))
        first += len(found)
        for some, others in squared_distances(points[rows][found][:, genomic], train[:, genomic]):
            both += int((same[found[some]] & (others <= apart**2)).any(axis=1).sum())
    return first / len(points), both / len(points)


def _profiles(cohort: Cohort, fewest: int) -> list[bytes]:
    """The sets of alterations of sequenced patients who carry at least `fewest`."""
    assert cohort.alterations is not None
    assert cohort.sequenced is not None
    present = cohort.alterations.to_numpy(float)[cohort.sequenced.to_numpy(bool)] == 1
    return [row.tobytes() for row in np.packbits(present[present.sum(axis=1) >= fewest], axis=1)]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Distances to the closest training patient, of the release and of unseen patients; and what was found."""
    rng = np.random.default_rng(0)  # only where more than `rows` patients are to be drawn
    control, candidate = (
        some_rows(cohort, int(settings["rows"]), rng) for cohort in (unseen_patients(comparison), comparison.candidate)
    )
    encoder = fit_encoder(comparison.train)
    known = encoder.points(comparison.train)
    drawn, (left, right) = new_figure(9.5, 3.4, ncols=2, gridspec_kw={"width_ratios": [1.25, 1]})
    sides = [
        (f"unseen patients (n = {len(control):,})", REAL, nearest(encoder.points(control), known)[:, 0]),
        (f"{label} (n = {len(candidate):,})", SYNTHETIC, nearest(encoder.points(candidate), known)[:, 0]),
    ]
    _draw_distances(left, sides)
    shares = [
        ("nearer_to_train", "nearer to training\nthan to unseen patients"),
        ("exact_matches", "same clinical record\nas a training patient, excess"),
        ("copied_profiles", "same alterations\nas a training patient, excess"),
    ]
    found = values[values["status"] == "ok"]
    rows: list[tuple[str, float, float, float]] = []
    for metric, text in shares:
        row = found[(found["metric"] == metric) & (found["target"] == "all")]
        if len(row):
            rows.append((text, float(row["value"].iloc[0]), float(row["low"].iloc[0]), float(row["high"].iloc[0])))
    for place, (_, value, low, high) in enumerate(rows):
        right.plot(value, -place, "o", color=SYNTHETIC)
        if np.isfinite(low):
            right.plot([low, high], [-place, -place], color=SYNTHETIC, lw=1.5)
        aside = 12 if value < 0.8 else -12
        right.annotate(f"{value:.3f}", (value, -place), (aside, 8), textcoords="offset points",
                       ha="left" if aside > 0 else "right", fontsize=8)  # fmt: skip
    right.plot([0.5], [0.0], "|", color=REAL, ms=22, mew=1.5)
    for place in range(1, len(rows)):
        right.plot([0.0], [-place], "|", color=REAL, ms=22, mew=1.5)
    right.set(xlim=(-0.04, 1.04), ylim=(0.6 - len(rows), 0.6), xlabel="share of the release (bar: without memory)")
    right.set_yticks([-place for place in range(len(rows))], [text for text, *_ in rows])
    return drawn


def _draw_distances(axis: Any, sides: list[tuple[str, str, Vector]]) -> None:
    end = max(float(np.quantile(distances, 0.99)) for _, _, distances in sides)
    bins = np.linspace(0, max(end, 1e-9), 31)
    for name, colour, distances in sides:
        axis.hist(np.clip(distances, 0, bins[-1]), bins, weights=np.full(len(distances), 1 / len(distances)),
                  histtype="step", color=colour, lw=1.6, label=name)  # fmt: skip
    axis.set(xlabel="distance to the closest training patient", ylabel="share of patients", xlim=(0, bins[-1]))
    axis.set_ylim(0, 1.3 * axis.get_ylim()[1])  # room for the legend
    axis.legend(loc="upper left", frameon=False, fontsize=8)
    axis.set_title("screening only: it does not prove privacy", loc="left", fontsize=9, color=NEUTRAL)
