"""Inference: does the release reveal an attribute of a patient whose other attributes are known?

The attacker knows all attributes of a patient but one and takes that one from the nearest released record. Every
baseline column and every alteration is the secret in turn; training patients against control patients. A second
attacker, for sensitive attributes, learns a classifier from the whole release: how much better does it predict
training patients' secrets than the same classifier learned from unseen patients, which breaks no confidence?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.figures import BLACK, BLUE, NEUTRAL, ORANGE, SYNTHETIC, new_figure
from haemosynth.encode.records import Encoder, Matrix, Vector, fit_encoder
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.privacy import attacks
from haemosynth.privacy.nearness import unseen_patients
from haemosynth.stats.ranking import area
from haemosynth.validate import Stage
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "attacks": 500,  # patients of a side at most who are attacked
    "tolerance": 0.05,  # relative error up to which a guessed number is right
    # Binary columns, events and alterations; null: the first outcome, comorbidities, the rarest alterations.
    "sensitive": None,
    "rare": 5,  # so many of the rarest alterations are sensitive
    "fewest": 10,  # training patients with and without a sensitive attribute, for an area under the curve
    "learned": 3,  # patients with and without it from whom a classifier learns
    "trees": 100,
    "learners": 6,  # smaller forests from resampled patients, whose spread enters the interval
    "rows": 5_000,  # patients at most from whom a classifier learns
}
DISCLOSURE_SOURCE = "this project; after Taub et al., PSD 2018;122 (attribution compared with what a baseline reveals)"
STAGE = Stage("privacy", needs=(RECORD,), environment="attacks", memory=4000, runtime=30)
METRICS = (
    *attacks.metrics(
        "inference",
        "the secret of the nearest released record on all other attributes is the patient's (a number within 5 % of"
        " the guess); patients whose secret is missing are not attacked",
        "the secret of a released record at random, in expectation",
        exchangeable=True,
    ),
    Metric(
        "disclosure_excess", "error", "", (0, 1), PRIVACY, "attack",
        "(AUC_release - AUC_unseen) / (1 - AUC_unseen), at least 0: areas under the ROC curve, for a sensitive"
        " attribute of training patients, of random forests on all other baseline attributes, learned from the"
        " release and from unseen patients, each tree from as many patients; all: from the mean areas over"
        " sensitive attributes",
        DISCLOSURE_SOURCE,
    ),
    Metric(
        "disclosure_auc", "descriptive", "", (0, 1), PRIVACY, "attack",
        "AUC_release of disclosure_excess", DISCLOSURE_SOURCE,
    ),
    Metric(
        "disclosure_auc_unseen", "descriptive", "", (0, 1), PRIVACY, "attack",
        "AUC_unseen of disclosure_excess", DISCLOSURE_SOURCE,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Disclosure:
    """What classifiers say of one sensitive attribute of training patients.

    known: (patients,) whether the attribute is known; has: whether they have it. by_release, by_unseen: predicted
    probabilities (learners, patients), the first learner from the patients as they are, the others from resamples of
    them. reason: why there are none.
    """

    modality: str
    known: NDArray[np.bool_]
    has: NDArray[np.bool_]
    by_release: Matrix
    by_unseen: Matrix
    reason: str = ""


@dataclass(frozen=True)
class Prepared:
    """What both attackers found. train: the patients that `disclosed` is about."""

    attacked: attacks.Attacked
    train: pd.Index
    disclosed: dict[str, Disclosure]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared:
    """Attack the release once. Settings: see DEFAULTS; `rng` chooses whom to attack and grows the forests."""
    choice, growth = rng.spawn(2)
    told = sensitive(comparison, settings)
    train, control = (
        attacks.some_patients(side, int(settings["attacks"]), choice) for side in (comparison.train, comparison.control)
    )
    released, schema = comparison.candidate, comparison.train.schema
    encoder = fit_encoder(comparison.train)
    seen = attacks.attributes(encoder, schema.survival, train, control, released)
    both = pd.concat(seen.tables[:2], ignore_index=True)
    border, tolerance = len(train), float(settings["tolerance"])
    names, right, tried, naive = [], [], [], []
    sets = [[name for name in seen.of if name != secret] for secret in seen.of]
    near = attacks.neighbours(seen, both, seen.tables[2], sets, choice, 1) if len(sets) > 1 else []
    for secret, nearest in zip(seen.of, near, strict=False):
        truth = np.concatenate([secrets(train, secret), secrets(control, secret)])
        offered = secrets(released, secret)
        names.append((secret, ALTERED if secret in schema.alterations else RECORD))
        asked = ~pd.isna(truth)
        right.append(score_guesses(offered[nearest[:, 0]], truth, tolerance))
        tried.append(asked.astype(float))
        naive.append(np.where(asked[:border], _naive(offered, truth[:border], tolerance), 0.0))

    def columns(parts: Sequence[Vector], rows: slice) -> Matrix:
        found = np.empty((len(both.index[rows]), len(parts)))  # no column where a single attribute leaves no secret
        for place, part in enumerate(parts):
            found[:, place] = part[rows]
        return found

    first, second = slice(0, border), slice(border, None)
    attacked = attacks.Attacked(
        tuple(names),
        attacks.Tally(train.patients, columns(right, first), columns(tried, first)),
        attacks.Tally(control.patients, columns(right, second), columns(tried, second)),
        attacks.Tally(train.patients, columns(naive, first), columns(tried, first)),
    )
    attacked = attacks.with_chance(attacked, choice.spawn(1)[0])
    return Prepared(attacked, comparison.train.patients, _disclose(comparison, told, encoder, settings, growth))


def secrets(cohort: Cohort, name: str) -> NDArray[Any]:
    """Values of a clinical column or an alteration; (patients,) float64 or objects, missing as NaN."""
    if name in cohort.clinical:
        column = cohort.clinical[name]
        return column.to_numpy(float) if cohort.schema.columns[name].numeric else column.astype(object).to_numpy()
    assert cohort.alterations is not None
    return cohort.alterations[name].to_numpy(float).astype(object)


def score_guesses(guess: NDArray[Any], truth: NDArray[Any], tolerance: float) -> Vector:
    """1 where a guess is right: the same level, or a number within `tolerance` of the guess; never where it is missing.

    The library's rule, but for negative numbers, which it always takes for right, and missing values.
    """
    number = truth.dtype == float and guess.dtype == float
    right = np.abs(guess - truth) <= tolerance * np.abs(guess) if number else (guess == truth) & ~pd.isna(truth)
    return np.asarray(right, dtype=float)


def _naive(offered: NDArray[Any], truth: NDArray[Any], tolerance: float) -> Vector:
    """How often a random released value would be right for each patient."""
    values, counts = np.unique(offered[~pd.isna(offered)], return_counts=True)
    chance = np.zeros(len(truth))
    for value, count in zip(values, counts, strict=True):
        chance += score_guesses(np.full(len(truth), value, dtype=offered.dtype), truth, tolerance) * count
    return chance / len(offered)


def sensitive(comparison: Comparison, settings: Mapping[str, Any]) -> list[str]:
    """The sensitive attributes: those of the study, or the first outcome, comorbidities and the rarest alterations.

    Raises:
        InputError: an attribute that the cohort has not, or that has more than two values.
    """
    train, schema = comparison.train, comparison.train.schema
    if settings["sensitive"] is not None:
        for name in settings["sensitive"]:
            column = schema.columns.get(name)
            if column is None and name not in schema.alterations:
                raise InputError(f"config: validation.inference.sensitive: the cohort has no attribute {name!r}")
            if column is not None and column.kind not in ("binary", "event"):
                raise InputError(f"config: validation.inference.sensitive: {name} is neither binary nor an event")
        return list(settings["sensitive"])
    chosen = [f"{schema.endpoints[0]}_event"] if schema.endpoints else []
    chosen += [name for name, column in schema.columns.items()
               if column.group == "comorbidity" and column.kind == "binary" and column.derived is None]  # fmt: skip
    if train.alterations is not None:
        carriers = train.alterations.sum()
        enough = carriers[carriers >= int(settings["fewest"])].sort_values(kind="stable")
        chosen += [str(name) for name in enough.index[: int(settings["rare"])]]
    return chosen


def _disclose(
    comparison: Comparison,
    told: Sequence[str],
    encoder: Encoder,
    settings: Mapping[str, Any],
    rng: np.random.Generator,
) -> dict[str, Disclosure]:
    train = comparison.train
    most = int(settings["rows"])
    sides = [attacks.some_patients(side, most, rng) for side in (comparison.candidate, unseen_patients(comparison))]
    points = [_points(encoder, side) for side in (train, *sides)]
    found = {}
    for name in told:
        answers = [_binary(side, name) for side in (train, *sides)]
        known, has = ~np.isnan(answers[0]), answers[0] == 1
        modality = ALTERED if name in train.schema.alterations else RECORD
        reason = _too_few(answers, (int(settings["fewest"]), *[int(settings["learned"])] * 2))
        grown = rng.spawn(2)
        if reason:
            found[name] = Disclosure(modality, known, has, np.empty((0, 0)), np.empty((0, 0)), reason)
            continue
        others = points[0].columns[[_attribute(column) != name for column in points[0].columns]]
        size = min(int((~np.isnan(answer)).sum()) for answer in answers[1:])
        by_release, by_unseen = (
            _forest_scores(points[i][others], answers[i], points[0][others], size, settings, growth)
            for i, growth in zip((1, 2), grown, strict=True)
        )
        found[name] = Disclosure(modality, known, has, by_release, by_unseen)
    return found


def _attribute(column: str) -> str:
    return column.split("\t")[0]


def _points(encoder: Encoder, cohort: Cohort) -> pd.DataFrame:
    """Encoded baseline columns and alterations, no outcome; each column is named attribute<tab>number."""
    names = [f"{name}\t{i}" for name, _, _ in encoder.numbers for i in range(2)]
    names += [f"{name}\t{i}" for name, levels in encoder.levels for i in range(len(levels) + 2)]
    names += [f"{name}\t0" for name in encoder.alterations] + (["sequenced\t0"] if encoder.alterations else [])
    points = pd.DataFrame(encoder.points(cohort), columns=names)
    return points.loc[:, encoder.baseline | encoder.genomic]


def _binary(cohort: Cohort, name: str) -> Vector:
    """1, 0 or missing: an event, an alteration, the second level of a binary column.  (patients,)"""
    if name in cohort.schema.columns and not cohort.schema.columns[name].numeric:
        codes = cohort.clinical[name].cat.codes.to_numpy()
        return np.where(codes < 0, np.nan, codes == len(cohort.schema.columns[name].categories) - 1)
    return secrets(cohort, name).astype(float)


def _too_few(answers: Sequence[Vector], least: Sequence[int]) -> str:
    sides = ("training patients", "the release", "unseen patients")
    for answer, fewest, side in zip(answers, least, sides, strict=True):
        if min((answer == 1).sum(), (answer == 0).sum()) < fewest:
            return f"fewer than {fewest} of {side} with or without it"
    return ""


def _forest_scores(
    learned: pd.DataFrame,
    answers: Vector,
    asked: pd.DataFrame,
    size: int,
    settings: Mapping[str, Any],
    rng: np.random.Generator,
) -> Matrix:
    """Probabilities for the patients `asked` of random forests each of whose trees learned from `size` patients.

    Returns:
        (1 + learners, patients); the first forest learned from all patients, the others from resamples of them.
    """
    from sklearn.ensemble import RandomForestClassifier

    rows = np.flatnonzero(~np.isnan(answers))
    of, held = learned.to_numpy()[rows], answers[rows] == 1
    scores = []
    for learner in range(1 + int(settings["learners"])):
        drawn = np.arange(len(rows)) if learner == 0 else rng.integers(len(rows), size=len(rows))
        if held[drawn].all() or not held[drawn].any():  # a resample without any carrier tells nothing of them
            scores.append(np.full(len(asked), 0.5))
            continue
        trees = int(settings["trees"]) if learner == 0 else max(1, int(settings["trees"]) // 4)
        forest = RandomForestClassifier(
            trees, max_samples=min(size, len(rows)), random_state=int(rng.integers(2**31)), n_jobs=1
        )
        forest.fit(of[drawn], held[drawn])
        scores.append(forest.predict_proba(asked.to_numpy())[:, 1])
    return np.array(scores)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Count the right guesses for these patients. Needs what `prepare` found.

    Whom a classifier learned from is luck too: where the attacked are a resample, so are they.
    """
    prepared: Prepared = comparison.prepared
    resampled, least = comparison.train.patients.has_duplicates, attacks.least_risk(comparison)
    values = attacks.measure_attack("inference", prepared.attacked, comparison)
    rows = prepared.train.get_indexer(comparison.train.patients)
    areas: dict[str, list[tuple[float, float]]] = {RECORD: [], ALTERED: []}
    for target, one in prepared.disclosed.items():
        chosen = rows[one.known[rows]]
        reason, pair = one.reason, (np.nan, np.nan)
        if not reason and not 0 < one.has[chosen].sum() < len(chosen):
            reason = "all or none of the training patients have it"
        if not reason:
            has = one.has[chosen]
            learner = rng.integers(1, len(one.by_release)) if resampled and len(one.by_release) > 1 else 0
            by_release, by_unseen = one.by_release[learner, chosen], one.by_unseen[learner, chosen]
            pair = area(by_release[has], by_release[~has]), area(by_unseen[has], by_unseen[~has])
            areas[one.modality].append(pair)
        values += _disclosure_values(pair, target, one.modality, len(chosen), reason, least)
    for modality, pairs in areas.items():
        reason = "no sensitive attribute could be attacked"
        if modality == ALTERED and comparison.train.alterations is None:
            reason = attacks.NO_GENOMIC
        mean = np.mean(pairs, axis=0) if pairs else (np.nan, np.nan)
        pair = float(mean[0]), float(mean[1])
        values += _disclosure_values(pair, "all", modality, len(rows), "" if pairs else reason, least)
    return values


def _disclosure_values(
    pair: tuple[float, float], target: str, modality: str, n: int, reason: str, least: float
) -> list[Value]:
    # Where unseen patients tell the attribute with certainty there is nothing left to disclose.
    excess = np.nan if reason else 0.0 if pair[1] >= 1 else attacks.risk(*pair, least)
    numbers = {"disclosure_excess": excess, "disclosure_auc": pair[0], "disclosure_auc_unseen": pair[1]}
    return [Value(name, number, target, modality, n, reason) for name, number in numbers.items()]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Success rates and risks, all secrets and those with the highest risk; what classifiers say of sensitive ones."""
    rows = attacks.risk_rows("inference", values)
    found = attacks.by_key(values)
    told = [key[1:] for key in found if key[0] == "disclosure_excess"]
    heights = [max(3, len(rows)), max(2, len(told))]
    drawn, axes = new_figure(9, 2.6 + 0.25 * sum(heights), nrows=2, ncols=2, gridspec_kw={"height_ratios": heights})
    (left, right), (areas, excess) = axes
    attacks.draw_risks(left, right, "inference", values, rows)
    sides = {
        "disclosure_auc": ("learned from the release", SYNTHETIC, "o", -0.14),
        "disclosure_auc_unseen": ("learned from unseen patients", BLACK, "s", 0.14),
    }
    for place, (target, modality) in enumerate(told):
        for metric, (text, colour, marker, shift) in sides.items():
            row = found[metric, target, modality]
            attacks.draw_interval(areas, row, place + shift, colour, marker, text if place == 0 else None)
        colour = BLUE if modality == RECORD else ORANGE
        attacks.draw_interval(excess, found["disclosure_excess", target, modality], place, colour, "o")
    texts = [f"{'mean' if target == 'all' else target} ({modality})" for target, modality in told]
    areas.set_yticks(range(len(told)), texts)
    areas.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--")
    areas.set(xlabel="area under the curve, training patients", xlim=(-0.02, 1.02))
    excess.axvline(0, color=NEUTRAL, lw=0.9, ls="--")
    excess.set(xlabel="excess (0: as from unseen patients)", xlim=(-0.05, 1.05))
    for axis in (areas, excess):
        axis.set_ylim(max(1, len(told)) - 0.4, -0.6)
    for axis in (right, excess):
        axis.set_yticks([])
    for axis in (left, areas):
        handles = axis.get_legend_handles_labels()
        if handles[0]:
            axis.legend(*handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8, borderaxespad=0.1)
    drawn.suptitle(attacks.headline(comparison, label), fontsize=9, fontweight="bold")
    return drawn
