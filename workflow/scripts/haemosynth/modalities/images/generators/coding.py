"""Images as numbers that a network can learn, and the patient's record as numbers that it can condition on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.modalities.encode.predictors import describe_record, design_matrix
from haemosynth.modalities.images.part import Images, find_images

Planes = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
LEAST_CARRIERS = 10  # training patients with and without an alteration that conditions images
MOST_PLACES = 4  # images of a patient up to which each is told apart from the others
DEVIATION = 0.5  # standard deviation of every coded plane over training images, as in Karras et al., NeurIPS 2022


@dataclass(frozen=True)
class Coding:
    """How pixels, masks and records of training patients are coded.

    plain: JSON; `windows`, `channels`, `units`, `spacing`, `size` of the images, `center` and `scale` of each coded
        plane, `limits` of coded pixels, `record` and `alterations` that condition the images, `any_image` (intercept
        and coefficients of the log odds that a patient has images), `counts` (how many an owner has) and `places`
        (share of training images that stand first, second, ... of their patient; empty where there is one each, or
        where they are many).
    """

    plain: Mapping[str, Any]

    @staticmethod
    def learn(train: Cohort) -> Coding:
        """The coding of training patients.

        Raises:
            InputError: the cohort has no images.
        """
        images = find_images(train)
        if images is None or not len(images):
            raise InputError(f"cohort {train.schema.cohort}: no training patient has an image")
        record = describe_record(train)
        alterations = []
        if train.alterations is not None:
            carried, known = (train.alterations == 1).sum(), train.alterations.notna().sum()
            usable = (carried >= LEAST_CARRIERS) & (known - carried >= LEAST_CARRIERS)
            alterations = [
                {"event": str(name), "share": float(carried[name] / known[name])} for name in carried.index[usable]
            ]
        plain: dict[str, Any] = {
            "channels": list(images.channels),
            "units": list(images.units),
            "windows": [list(window) for window in images.windows],
            "spacing": None if images.spacing is None else list(images.spacing),
            "size": list(images.pixels.shape[2:]),
            "masked": images.mask is not None,
            "record": record,
            "alterations": alterations,
        }
        planes = compress(images.pixels, images.windows)
        # Extremes of single images are not repeated: values end where all but 1 pixel in 10,000 do.
        plain["limits"] = [np.quantile(planes[:, c], [1e-4, 1 - 1e-4]).tolist() for c in range(planes.shape[1])]
        if images.mask is not None:
            planes = np.concatenate([planes, images.mask[:, None] * 2.0 - 1.0], axis=1)
        plain["center"] = planes.mean(axis=(0, 2, 3), dtype=np.float64).tolist()
        spread = planes.std(axis=(0, 2, 3), dtype=np.float64)
        plain["scale"] = np.maximum(spread / DEVIATION, 0.05).tolist()
        counts = pd.Series(images.patient_id).value_counts().reindex(train.patients, fill_value=0)
        plain["counts"] = [int(n) for n in counts[counts > 0]]
        most = max(plain["counts"])
        place = _places(rows_of_owners(images, train))[0]
        plain["places"] = [float((place == k).mean()) for k in range(most)] if 1 < most <= MOST_PLACES else []
        plain["sequence"] = most > MOST_PLACES
        coding = Coding(plain)
        plain["any_image"] = _log_odds(coding.condition(train), counts.to_numpy() > 0)
        return coding

    @property
    def planes(self) -> int:
        """Coded planes of an image: its channels and, where there is one, its mask."""
        return len(self.plain["channels"]) + bool(self.plain["masked"])

    def condition(self, cohort: Cohort) -> Matrix:
        """(patients, features): the record (`design_matrix`) and, of each alteration, its excess over the training
        share where it is known, else 0, beside whether it is known. A cohort without a record has no features."""
        blocks = [design_matrix(self.plain["record"], cohort.clinical)]
        for alteration in self.plain["alterations"]:
            unknown = np.full(len(cohort), np.nan)
            table = cohort.alterations
            values = unknown if table is None else table[alteration["event"]].to_numpy(dtype=float)
            known = ~np.isnan(values)
            blocks.append(np.column_stack([np.where(known, values - alteration["share"], 0.0), known - 1.0]))
        return np.column_stack(blocks)

    def conditions(self, cohort: Cohort, rows: npt.NDArray[np.intp]) -> Matrix:
        """(images, features): the record of the patients at positions `rows`, and which of a patient's images each is.

        Studies often take the same images of each patient in the same order (trunk, pelvis; slices from the head
        down): the first, second, ... are told apart as levels, many as their relative place and its square.
        """
        return np.hstack([self.condition(cohort)[rows], self.place_features(rows)])

    def place_features(self, rows: npt.NDArray[np.intp]) -> Matrix:
        """(images, features): which of its patient's images each is, for images of the patients at positions `rows`."""
        place, count = _places(rows)
        blocks = [np.empty((len(rows), 0))]
        blocks += [((place == k) - share)[:, None] for k, share in enumerate(self.plain["places"][1:], 1)]
        if self.plain["sequence"]:
            along = 2 * place / np.maximum(count - 1, 1) - (count > 1)
            blocks.append(np.column_stack([1.7 * along, 3.4 * (along**2 - 1 / 3)]))
        return np.hstack(blocks)

    def places(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """(images,) which of its patient's images each is, from 0; 0 for all where they are not told apart so."""
        last = max(len(self.plain["places"]) - 1, 0)
        return np.minimum(_places(rows)[0], last)

    def encode(self, images: Images) -> Planes:
        """(images, planes, H, W): pixels and mask, each plane with mean 0 and deviation DEVIATION over training."""
        planes = compress(images.pixels, images.windows)
        for c, (low, high) in enumerate(self.plain["limits"]):
            planes[:, c] = planes[:, c].clip(low, high)
        if images.mask is not None:
            planes = np.concatenate([planes, images.mask[:, None].astype(np.float32) * 2 - 1], axis=1)
        center, scale = (np.array(self.plain[key], dtype=np.float32)[:, None, None] for key in ("center", "scale"))
        return np.asarray((planes - center) / scale, dtype=np.float32)

    def decode(self, planes: Planes, owners: npt.NDArray[np.str_], algorithm: str) -> Images:
        """The images that these coded planes stand for."""
        center, scale = (np.array(self.plain[key], dtype=np.float32)[:, None, None] for key in ("center", "scale"))
        planes = planes * scale + center
        count = len(self.plain["channels"])
        windows = tuple((float(low), float(high)) for low, high in self.plain["windows"])
        pixels = planes[:, :count]
        for c, (low, high) in enumerate(self.plain["limits"]):
            pixels[:, c] = pixels[:, c].clip(low, high)
        return Images(
            patient_id=owners,
            pixels=expand(pixels, windows),
            mask=(planes[:, count] > 0).astype(np.uint8) if self.plain["masked"] else None,
            channels=tuple(self.plain["channels"]),
            units=tuple(self.plain["units"]),
            windows=windows,
            spacing=None if self.plain["spacing"] is None else (self.plain["spacing"][0], self.plain["spacing"][1]),
            info={"algorithm": algorithm},
        )

    def owners(self, given: Cohort, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Positions of the patients who own the images to draw, one entry for each image, patient by patient.

        Whether a patient has images is drawn given the record, how many from the training patients who have some.
        """
        known = self.plain["any_image"]
        log_odds = known["intercept"] + self.condition(given) @ np.array(known["coefficients"])
        some = rng.random(len(given)) < 1 / (1 + np.exp(-log_odds))
        numbers = np.where(some, rng.choice(self.plain["counts"], size=len(given)), 0)
        return np.repeat(np.arange(len(given)), numbers)


def rows_of_owners(images: Images, cohort: Cohort) -> npt.NDArray[np.intp]:
    """(images,) position in the cohort of the patient who owns each image."""
    return np.asarray(cohort.patients.get_indexer(pd.Index(images.patient_id)), dtype=np.intp)


def _places(rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """(images,) how many images of the same patient stand before each, and how many the patient has."""
    grouped = pd.Series(rows).groupby(rows)
    return np.asarray(grouped.cumcount(), dtype=np.intp), np.asarray(grouped.transform("size"), dtype=np.intp)


def leave_out(rows: npt.NDArray[np.intp], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(images,) whether an image is left out of training, patient by patient; none where there are too few."""
    patients = rng.permutation(np.unique(rows))
    count = max(1, round(share * len(patients))) if len(patients) > 3 else 0
    return np.isin(rows, patients[:count])


def compress(pixels: Planes, windows: tuple[tuple[float, float], ...]) -> Planes:
    """The window of each channel as -1..1; beyond it values grow with the logarithm (a hot lesion, metal)."""
    low, high = (np.array([window[i] for window in windows], dtype=np.float32)[:, None, None] for i in (0, 1))
    linear = (pixels - low) / (high - low) * 2 - 1
    size = np.abs(linear)
    beyond = np.sign(linear) * (1 + np.log(np.maximum(size, 1)))
    return np.asarray(np.where(size > 1, beyond, linear), dtype=np.float32)


def expand(planes: Planes, windows: tuple[tuple[float, float], ...]) -> Planes:
    """The inverse of `compressed`."""
    low, high = (np.array([window[i] for window in windows], dtype=np.float32)[:, None, None] for i in (0, 1))
    size = np.abs(planes)
    beyond = np.sign(planes) * np.exp(np.maximum(size, 1) - 1)
    return np.asarray((np.where(size > 1, beyond, planes) + 1) / 2 * (high - low) + low, dtype=np.float32)


def _log_odds(condition: Matrix, some: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Ridge logistic regression of having images on the record; a constant where all patients have some."""
    nothing = [0.0] * condition.shape[1]
    if some.all():
        return {"intercept": 30.0, "coefficients": nothing}
    if not condition.shape[1]:
        return {"intercept": float(np.log(some.mean() / (1 - some.mean()))), "coefficients": nothing}
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0 / condition.shape[1], max_iter=1000).fit(condition, some)
    return {"intercept": float(model.intercept_[0]), "coefficients": model.coef_[0].tolist()}
