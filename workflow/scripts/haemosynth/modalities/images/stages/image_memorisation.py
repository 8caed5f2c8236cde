"""Image memorisation: does a synthetic image show a training patient?

Every synthetic image is compared with the images of training patients and of patients who were never seen, in two
spaces: pixels, and features of texture and intensity. Patients are the unit: what counts is whose image is nearest, and
how much nearer it is than the nearest image of any other patient. Mirrored images are compared too. Another attack asks
how dense the release lies round a patient's own texture, intensity and lesions, and, where the release holds the
descriptions that its images were drawn from, round what is described of the patient's images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.figures import NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import distinct
from haemosynth.modalities.images.description import describe, fields_of
from haemosynth.modalities.images.image_measures import Owned, lesions, measure_shares, nothing, scale, textures
from haemosynth.modalities.images.image_neighbours import nearness_ratio, pool, to_patients
from haemosynth.modalities.images.part import Images, find_images
from haemosynth.privacy.aggregate_attacks import attack_values
from haemosynth.stats.neighbours import as_at_equal_n
from haemosynth.stats.null_distribution import exchange_members, quantile, rank_statistics
from haemosynth.stats.ranking import area
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

Array = npt.NDArray[np.float64]
DEFAULTS: dict[str, Any] = {
    "side": 32,  # pixels of a side at most at which images are compared
    "isolated": 0.005,  # share of real images that lie as near to another patient as what counts as a copy, or nearer
    "margin": 0.9,  # of that ratio: a copy lies nearer still
    "exchanges": 1000,
    "planted": 100,  # training images at most that are planted as copies
}
RARE = 0.995
SPACES = ("pixels", "texture and intensity")
FEWEST = 2  # patients with images on a side
STAGE = Stage("privacy", needs=("images",), environment="images", memory=4000, runtime=30)
METRICS = (
    Metric(
        "image_copies", "error", "share", (0, 1), PRIVACY, "bootstrap",
        "ratio: distance of a synthetic image to the nearest image of a real patient over that to the nearest of any"
        " other real patient; a copy: a ratio below 0.9 times the 0.5 % quantile of this ratio for real images among"
        " other patients. Share of synthetic images that copy a training patient, less n_train / n_unseen times the"
        " share that copy an unseen one, at least 0, patients weighing alike; the worse of two spaces",
        "this project; ratio after Lowe, Int J Comput Vis 2004;60:91-110",
    ),
    Metric(
        "image_nearer_to_train", "target", "share", (0, 1), PRIVACY, "bootstrap",
        "s: share of synthetic images whose nearest real image is a training patient's (ties half), patients weighing"
        " alike; p = n_train / (n_train + n_unseen), patients with images; max(0, 1/2 + (s - p) / (2 (1 - p))); the"
        " worse of two spaces",
        "after Platzer and Reutterer, Front Big Data 2021;4:679939",
        target=0.5,
    ),
    Metric(
        "image_membership_auc", "target", "", (0, 1), PRIVACY, "attack",
        "area under the ROC curve, training against unseen patients, of the worse of values_2 and values_10 of"
        " disclosure_auc on each patient's mean texture, quantiles of each channel, and number, area, mean and"
        " maximum of lesions (images), and on the mean of each field of the descriptions, where they are released",
        "see disclosure_auc",
        target=0.5,
    ),
    Metric(
        "image_copies_caught", "descriptive", "share", (0, 1), PRIVACY, "bootstrap",
        "share of training images that image_copies recognises when they are taken for synthetic: mirrored, blurred by"
        " a Gaussian of 0.7 pixels and with noise of 2 % of the window",
        "this project",
    ),
    Metric(
        "image_memorisation_chance", "descriptive", "share", (0, 1), PRIVACY, "bootstrap",
        "99.5 % quantile of the metric that is the target: of image_nearer_to_train with training and unseen patients"
        " exchanged at random, so of image_membership_auc,"
        " of image_copies if every synthetic image passed for a copy with a chance of 0.5 %",
        "Fisher, The Design of Experiments, 1935 (randomisation test)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Space:
    """What is found once in one space.

    found: per synthetic image, three columns: distance to the nearest training image, to the nearest unseen one, and
    the ratio of the two nearest patients. to_patients: position of the nearest patient, training ones first.
    real: (real images,) their ratios among other patients. limit: below which a ratio tells a copy.
    """

    found: Owned
    to_patients: Owned
    real: Owned
    limit: float


@dataclass(frozen=True)
class Prepared:
    """Both spaces, numbers of training and unseen patients with images, and (exchanges, patients) labels.

    patients: training ones first. scores: attack -> (patients,). area: of the worst attack by chance.
    """

    spaces: tuple[Space, ...]
    trained: int
    unseen: int
    labels: npt.NDArray[np.bool_]
    caught: float
    patients: pd.Index
    scores: Mapping[str, Array]
    area: float


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | str:
    """Distances of every synthetic to every real image; a reason where there is nothing to compare. `rng` exchanges."""
    train, candidate = find_images(distinct(comparison.train)), find_images(comparison.candidate)
    unseen = find_images(distinct(unseen_side(comparison)))
    if train is None or unseen is None or candidate is None or any(nothing(i) for i in (train, unseen, candidate)):
        return "no images of synthetic, training or unseen patients"
    numbers = [len(np.unique(side.patient_id)) for side in (train, unseen)]
    if min(numbers) < FEWEST:
        return f"fewer than {FEWEST} training or unseen patients have images"
    labels = exchange_members(np.repeat([True, False], numbers), int(settings["exchanges"]), rng)
    spaces = []
    planted = _plant(train, int(settings["planted"]), rng)
    caught = np.zeros(len(planted), dtype=bool)
    for space in SPACES:
        place = _places(train, space, int(settings["side"]))
        real = np.concatenate([place(train)[0], place(unseen)[0]])
        # Training patients first, each with a number of his own.
        owners = [np.unique(side.patient_id, return_inverse=True)[1] for side in (train, unseen)]
        owner = np.concatenate([owners[0], owners[1] + numbers[0]])
        among = to_patients([real], real, owner)
        among[np.arange(len(real)), owner] = np.inf
        ratios = nearness_ratio(among)
        limit = float(settings["margin"]) * float(np.quantile(ratios, float(settings["isolated"]), method="lower"))
        to = to_patients(place(candidate), real, owner)
        caught |= nearness_ratio(to_patients(place(planted), real, owner)) < limit
        columns = [to[:, : numbers[0]].min(axis=1), to[:, numbers[0] :].min(axis=1), nearness_ratio(to)]
        spaces.append(
            Space(
                Owned(candidate.patient_id, np.stack(columns, axis=1)),
                Owned(candidate.patient_id, to.argmin(axis=1).astype(float)),
                Owned(np.concatenate([train.patient_id, unseen.patient_id]), ratios),
                limit,
            )
        )
    known = [_of_patients(side) for side in (train, unseen)]
    scores = attack_values(np.vstack(known), _of_patients(candidate).to_numpy())
    if candidate.descriptions is not None:
        described = np.vstack([_descriptions(side, describe(side)) for side in (train, unseen)])
        found = attack_values(described, _descriptions(candidate, candidate.descriptions))
        scores |= {f"description {attack}": score for attack, score in found.items()}
    areas = np.max([rank_statistics(score, labels, ())[0] for score in scores.values()], axis=0)
    return Prepared(
        tuple(spaces), numbers[0], numbers[1], labels, float(caught.mean()), known[0].index.append(known[1].index),
        scores, quantile(areas, RARE),
    )  # fmt: skip


def _of_patients(images: Images) -> pd.DataFrame:
    """(patients, numbers) mean over a patient's images of what `_measured` finds and of the lesions in each."""
    found = lesions(images)
    own = found.drop(columns=["row", "column", "roundness"]).groupby("image").mean()
    own = own.reindex(range(len(images)))  # without a lesion: NaN, nothing to compare
    own["lesions"] = found["image"].value_counts().reindex(range(len(images)), fill_value=0)
    table = pd.concat([pd.DataFrame(_measure(images)), own.reset_index(drop=True)], axis=1)
    return table.groupby(images.patient_id).mean()


def _places(train: Images, space: str, side: int) -> Callable[[Images], list[Array]]:
    """What gives the (N, coordinates) of images in a space, as they are and as they may be mirrored.

    pixels: within the window, averaged to at most `side` pixels a side. texture and intensity: the texture of
    `validate.image_measures` and five quantiles of each channel, in standard deviations of training images; both are
    the same in a mirror, since directions are averaged.
    """
    if space == "pixels":
        return lambda images: [pool(scale(seen), side) for seen in (images, mirror(images))]
    learned = _measure(train)
    middle, spread = learned.mean(axis=0), learned.std(axis=0)
    kept = spread > 1e-9
    return lambda images: [((_measure(images) - middle)[:, kept] / spread[kept]).clip(-10, 10)]


def _descriptions(images: Images, table: pd.DataFrame) -> Array:
    """(patients, fields) mean over a patient's images of each field, over the images in which it is known."""
    fields = [field.name for field in fields_of(images)]
    return np.asarray(table[fields].groupby(images.patient_id).mean(), dtype=np.float64)


def _measure(images: Images) -> Array:
    """Texture and quantiles of each channel."""
    flat = scale(images).reshape(*images.pixels.shape[:2], -1)
    quantiles = np.quantile(flat, [0.05, 0.25, 0.5, 0.75, 0.95], axis=2).transpose(1, 2, 0).reshape(len(flat), -1)
    return np.hstack([textures(images).values, quantiles])


def _plant(train: Images, most: int, rng: np.random.Generator) -> Images:
    """Copies of training images as a generator that remembers them may draw them."""
    from scipy.ndimage import gaussian_filter

    copied = mirror(train.take(np.sort(rng.permutation(len(train))[:most])))
    width = np.array([high - low for low, high in train.windows])[:, None, None]
    blurred = gaussian_filter(copied.pixels, (0, 0, 0.7, 0.7))
    return replace(copied, pixels=(blurred + 0.02 * width * rng.standard_normal(blurred.shape)).astype(np.float32))


def mirror(images: Images) -> Images:
    """The same images, left and right exchanged."""
    mask = None if images.mask is None else images.mask[..., ::-1]
    return replace(images, pixels=np.ascontiguousarray(images.pixels[..., ::-1]), mask=mask)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Both metrics in both spaces, and what chance shows. `rng` is not used."""
    from scipy.stats import binom

    known: Prepared | str = comparison.prepared
    if isinstance(known, str):
        return [Value(metric.name, np.nan, modality="images", reason=known) for metric in METRICS]
    found: dict[str, dict[str, float]] = {"image_copies": {}, "image_nearer_to_train": {}}
    chance = []
    n = 0
    for name, space in zip(SPACES, known.spaces, strict=True):
        rows = space.found.rows(comparison.candidate)
        n = len(rows)
        if n == 0:
            reason = "no synthetic patient has an image"
            return [Value(metric.name, np.nan, modality="images", reason=reason) for metric in METRICS]
        owners = space.found.owners[rows]
        _, place, times = np.unique(owners, return_inverse=True, return_counts=True)
        # A patient drawn twice by a bootstrap has twice the images: weight by image within, patients by draws.
        drawn = comparison.candidate.patients.value_counts()
        weight = drawn.reindex(owners).to_numpy(float) / times[place]
        weight /= weight.sum()
        to_train, to_unseen, ratio = space.found.values[rows].T
        nearest = space.to_patients.values[rows].astype(int)
        copies = ratio < space.limit
        of_train = nearest < known.trained
        found["image_copies"][name] = measure_copied(of_train[copies], weight[copies], known.trained, known.unseen)
        share = float(weight @ ((to_train < to_unseen) + 0.5 * (to_train == to_unseen)))
        found["image_nearer_to_train"][name] = as_at_equal_n(share, known.trained, known.unseen)
        by_patient = np.bincount(nearest, weight, minlength=known.trained + known.unseen)
        chance.append([as_at_equal_n(float(s), known.trained, known.unseen) for s in known.labels @ by_patient])
    values = []
    for metric, spaces in found.items():
        values.append(Value(metric, max(spaces.values()), modality="images", n=n))
        values += [Value(metric, value, space, "images", n) for space, value in spaces.items()]
    values += _membership(known, comparison)
    by_chance = {
        "image_membership_auc": known.area,
        "image_copies": float(binom.ppf(RARE, n, float(settings["isolated"])) / n),
        "image_nearer_to_train": quantile(np.array(chance).max(axis=0), RARE),
    }
    values.append(Value("image_copies_caught", known.caught, modality="images", n=n))
    return values + [Value("image_memorisation_chance", v, target, "images", n) for target, v in by_chance.items()]


def _membership(known: Prepared, comparison: Comparison) -> list[Value]:
    """The attacks `values` on these (resampled) patients, and the worse of them."""
    drawn = [known.patients.get_indexer(side.patients) for side in (comparison.train, unseen_side(comparison))]
    rows = [side[side >= 0] for side in drawn]
    name, n = "image_membership_auc", sum(map(len, rows))
    if not all(map(len, rows)):
        return [Value(name, np.nan, modality="images", reason="nobody left to distinguish")]
    areas = {attack: area(score[rows[0]], score[rows[1]]) for attack, score in known.scores.items()}
    values = [Value(name, max(areas.values()), modality="images", n=n)]
    return values + [Value(name, found, attack, "images", n) for attack, found in areas.items()]


def measure_copied(of_train: npt.NDArray[np.bool_], weight: Array, trained: int, others: int) -> float:
    """Share of the release that copies training patients, above what unseen patients lead to expect.

    of_train: (copies,) whether the copied patient is a training one; weight: of each, shares of the release.
    """
    return float(np.clip(weight[of_train].sum() - weight[~of_train].sum() * trained / others, 0, 1))


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """How much nearer the nearest patient is than any other, for synthetic and real images; what was found."""
    known: Prepared | str = comparison.prepared
    if isinstance(known, str):
        fig, axis = new_figure(5, 2)
        axis.axis("off")
        axis.text(0.5, 0.5, known, ha="center", va="center", color=NEUTRAL)
        return fig
    fig, axes = new_figure(10, 3.4, ncols=3, gridspec_kw={"width_ratios": [1, 1, 1.05]})
    bins = np.linspace(0, 1, 26)
    for axis, name, space in zip(axes[:2], SPACES, known.spaces, strict=True):
        rows = space.found.rows(comparison.candidate)
        sides = (
            (space.real.values, space.real.owners, REAL, "real"),
            (space.found.values[rows, 2], space.found.owners[rows], SYNTHETIC, label),
        )
        for part, owners, colour, text in sides:
            shares = measure_shares(part, owners, bins, MIN_CELL_COUNT if text == "real" else 1)
            axis.stairs(shares, bins, color=colour, lw=1.5, label=f"{text} (n = {len(part)} images)")
        axis.axvline(space.limit, color=NEUTRAL, ls="--", lw=1)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("distance to the nearest patient\n/ to the second nearest", fontsize=8)
    axes[0].set_ylabel("share of images")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2, fontsize=8)
    _draw_shares(axes[2], values[values["status"] == "ok"])
    return fig


def _draw_shares(axis: Any, found: pd.DataFrame) -> None:
    names = {
        "image_nearer_to_train": "nearer to a training\nthan to an unseen patient",
        "image_copies": "copies of a\ntraining patient",
    }
    for place, metric in enumerate(names):
        row = found[(found["metric"] == metric) & (found["target"] == "all")].iloc[0]
        axis.plot([0.5 if metric == "image_nearer_to_train" else 0.0], [-place], "|", color=REAL, ms=20, mew=1.5)
        by_chance = found.loc[(found["metric"] == "image_memorisation_chance") & (found["target"] == metric), "value"]
        axis.plot(by_chance, [-place] * len(by_chance), "|", color=NEUTRAL, ms=20, mew=2)
        if np.isfinite(row["low"]):
            axis.plot([row["low"], row["high"]], [-place, -place], color=SYNTHETIC, lw=1.5)
        axis.plot(row["value"], -place, "o", color=SYNTHETIC)
        axis.text(min(row["value"] + 0.03, 0.85), 0.1 - place, f"{row['value']:.3f}", fontsize=8)
    axis.set(xlim=(-0.04, 1.04), ylim=(-1.6, 0.6), xlabel="share of the release")
    axis.set_yticks([0, -1], list(names.values()), fontsize=8)
    axis.set_title("black: no memory, grey: chance", fontsize=8, color=NEUTRAL)
