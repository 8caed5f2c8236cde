"""Images in words, and images from words.

    make describe IMAGES=results/.../images.zarr
    make draw MODEL=results/.../models/images/diffusion WORDS="Two focal lesions with an SUVmax of 8." [OUT=drawn]

`describe` prints a report of every image of a store. `draw` reads a report, takes what it does not tell as in the
middle of the training images, and writes images that a fitted model draws from that description, as pictures and as
numbers, with what is measured on them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.generate.fitted import Fitted, load
from haemosynth.modalities.images import part
from haemosynth.modalities.images.description import describe, fields_of
from haemosynth.modalities.images.export import export_images
from haemosynth.modalities.images.generators import description_model, diffusion
from haemosynth.modalities.images.generators.coding import Coding
from haemosynth.modalities.images.part import Images
from haemosynth.modalities.images.report import read_report, write_report


def tell(images: Images, rng: np.random.Generator) -> list[str]:
    """A report of each image, by what is measured on it."""
    fields = fields_of(images)
    return [write_report(row, fields, rng) for _, row in describe(images).iterrows()]


def read_words(text: str, fitted: Fitted) -> pd.Series:
    """The description that a text asks of a fitted model: what it tells, and the middle of training images elsewhere.

    Raises:
        InputError: the model does not draw from descriptions, or the text tells nothing that it knows.
    """
    known = fitted.description.get("description")
    if known is None:
        raise InputError("this model was not fitted with condition: description, and cannot draw from words")
    told = read_report(text, fields_of(_like(fitted)))
    if not told:
        raise InputError(f"{text!r}: no field of a description is told; expected words such as {_example(known)}")
    return pd.Series(_complete(known, told), dtype=float)


def draw_words(text: str, fitted: Fitted, count: int, rng: np.random.Generator, place: int = 0) -> Images:
    """Images that a fitted model draws from words. place: which of a patient's images, the first being 0."""
    import torch

    row = read_words(text, fitted)
    coding = Coding(fitted.description["coding"])
    table = pd.DataFrame([row] * count).reset_index(drop=True)
    told = description_model.features(fitted.description["description"], table)
    # As many images of one patient as come before this one, so that it stands at its place.
    features = coding.place_features(np.zeros(place + 1, dtype=np.intp))[-1:]
    condition = np.hstack([told, np.repeat(features, count, axis=0)]).astype(np.float32)
    planes = diffusion.draw_planes(fitted, torch.tensor(condition), rng)
    owners = np.array([f"W{i + 1:04d}" for i in range(count)])
    return replace(coding.decode(planes, owners, "diffusion"), descriptions=table)


def _complete(known: Mapping[str, Any], told: Mapping[str, float]) -> dict[str, float]:
    row: dict[str, float] = {}
    for name, scale, of, digits in zip(known["fields"], known["scale"], known["of"], known["digits"], strict=True):
        if name in told:
            row[name] = told[name]
        elif scale["grid"] is None or (of is not None and row.get(known["fields"][of]) == 0):
            row[name] = np.nan
        else:
            row[name] = round(float(np.interp(0.5, scale["at"], scale["grid"])), digits)
    return row


def _like(fitted: Fitted) -> Images:
    """No image, with the channels of those that a model draws."""
    coding = Coding(fitted.description["coding"])
    planes = np.empty((0, coding.planes, *coding.plain["size"]), dtype=np.float32)
    return coding.decode(planes, np.empty(0, dtype=str), "none")


def _example(known: Mapping[str, Any]) -> str:
    return "'two focal lesions, SUVmax 8'" if "suv_max" in known["fields"] else f"'{known['fields'][0]} 3'"


def main(arguments: Sequence[str] | None = None) -> int:
    """What `make describe` and `make draw` call. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="words", description="Images in words, and images from words.")
    chosen = parser.add_subparsers(dest="what", required=True)
    one = chosen.add_parser("describe")
    one.add_argument("images", type=Path)
    other = chosen.add_parser("draw")
    other.add_argument("model", type=Path, help="folder of model.safetensors and model.json")
    other.add_argument("words")
    other.add_argument("--out", type=Path, default=Path("drawn"))
    other.add_argument("--count", type=int, default=4)
    other.add_argument("--place", type=int, default=0, help="which of a patient's images, the first being 0")
    asked = parser.parse_args(arguments)
    try:
        if asked.what == "describe":
            images = part.read(asked.images)
            for owner, text in zip(images.patient_id, tell(images, stream(1, "describe")), strict=True):
                print(f"{owner}: {text}")
            return 0
        fitted = load(asked.model / "model.safetensors", asked.model / "model.json")
        drawn = draw_words(asked.words, fitted, asked.count, stream(1, "draw", asked.words), asked.place)
        export_images(drawn, asked.out)
        for text in tell(drawn, stream(1, "describe")):
            print(text)
        print(f"{len(drawn)} images: {asked.out}")
    except InputError as error:
        for line in error.lines:
            print(f"error: {line}")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
