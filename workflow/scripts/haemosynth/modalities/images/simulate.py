"""PET/CT phantoms for the simulated myeloma cohort: trunk and pelvis, with focal lesions that the record explains.

Numbers stand in `resources/<disease>/imaging.tsv`, what depends on the record in `imaging_effects.tsv`. How an image is
made:

1. A part of the patients is imaged: one axial slice of the trunk and one of the pelvis each, 64 x 64 pixels of 5.5 mm.
2. Number (Poisson), SUVmax and diameter of focal lesions (lognormal) and the uptake of the marrow (lognormal) have
   means that are log-linear in the recorded values. A missing value contributes nothing, so that the truth holds for
   the record as it is.
3. Anatomy is drawn of ellipses with soft edges: HU and SUV of fat, muscle, organs, cortical and trabecular bone.
   Lesions lie in bone: they take up the tracer and dissolve the bone.
4. Both channels are blurred by the resolution of the scanner, then noise is added: of CT with the grain of its kernel,
   of PET with a standard deviation that goes with the root of the uptake, as counts do, and the grain of the
   reconstruction. There are two scanners, one sharp and one soft; the centre of a patient tells which.

Ellipses are no organs: there is no contrast medium, no vessels' course, no partial bodies, no motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.files import read_table
from haemosynth.modalities.clinical.simulate.myeloma import read_aggregates
from haemosynth.modalities.images.part import Images

Array = npt.NDArray[np.float64]
SIDE, PIXEL = 64, 5.5  # pixels, millimetres
WINDOWS = ((-200.0, 400.0), (0.0, 10.0))
TARGETS = ("lesions", "lesion SUV", "lesion diameter", "marrow SUV")
SOFT = "BDF"  # centres with the second, softer scanner
BATCH = 128
LEVELS = ("trunk", "pelvis")


def simulate_images(
    cohort: Cohort, truth: Mapping[str, Any], source: Mapping[str, Any], folder: Path, rng: np.random.Generator
) -> tuple[Images, dict[str, Any]]:
    """Images of a part of the patients of a simulated cohort, and the truth behind them.

    cohort: before any split. truth: of the cohort. source: the study's entry; `images: {imaged: share}` may change how
    many are imaged. folder: `resources/<disease>`.

    Returns:
        Two images for each imaged patient (trunk, pelvis), and as plain data: the coefficients, and for each imaged
        patient the scanner, the expected number of lesions, and number, SUVmax and diameter of those drawn.

    Raises:
        InputError: a covariate of the effects that the cohort has not got, or a share outside 0 to 1.
    """
    known = read_table(folder / "imaging.tsv").set_index("parameter")["value"].astype(float)
    effects = read_table(folder / "imaging_effects.tsv")
    limit = read_aggregates(folder).numbers["LDH limit"]
    imaged = float((source.get("images") or {}).get("imaged", known["imaged"]))
    if not 0 < imaged <= 1:
        raise InputError(f"images.imaged: {imaged!r}; expected a share above 0 and at most 1")
    chosen = np.sort(rng.permutation(len(cohort))[: max(1, round(imaged * len(cohort)))])
    patients = cohort.take(chosen)
    n = len(patients)
    log_means = {target: _linear(patients, effects, target, limit) for target in TARGETS}
    soft = patients.clinical["centre"].astype(str).isin(list(SOFT)).to_numpy()

    expected = known["lesions"] * np.exp(log_means["lesions"])
    shares = np.array([known["trunk share"], 1 - known["trunk share"]])
    counts = rng.poisson(expected[:, None] * shares)  # (patients, levels)
    owner = np.repeat(np.arange(2 * n), counts.ravel())  # image of each lesion: 2 * patient + level
    person = owner // 2

    def lognormal(name: str, where: Array | None = None, size: int = n) -> Array:
        middle = np.zeros(size) if where is None else where
        return np.asarray(known[name] * np.exp(middle + known[f"{name} spread"] * rng.standard_normal(size)))

    lesions = _Lesions(
        owner,
        lognormal("lesion SUV", log_means["lesion SUV"][person], len(owner)),
        lognormal("lesion diameter", log_means["lesion diameter"][person], len(owner)).clip(
            known["smallest lesion"], known["largest lesion"]
        ),
    )
    age = patients.clinical["age"].astype(float).fillna(66).to_numpy()
    female = (patients.clinical["sex"].astype(str) == "Female").to_numpy()
    person_of = np.repeat(np.arange(n), 2)
    body = _Bodies(
        female=female[person_of],
        bone=(known["trabecular bone"] + known["trabecular bone loss"] * (age - 60)).clip(60, 320)[person_of],
        marrow=lognormal("marrow SUV", log_means["marrow SUV"])[person_of],
        liver=lognormal("liver SUV")[person_of],
        bladder=lognormal("bladder SUV")[person_of],
        width=(np.where(female, 155.0, 165.0) + 12 * rng.standard_normal(n))[person_of],
        soft=soft[person_of],
    )
    pixels, mask = _draw(body, lesions, known, rng)
    ids = np.asarray(patients.patients, dtype=str)
    images = Images(
        ids[person_of], pixels, mask, ("CT", "PET"), ("HU", "SUV"), WINDOWS, (PIXEL, PIXEL),
        info={
            "format": "simulated", "unit": "axial slice", "levels": list(LEVELS),
            "scanner": "centres B, D, F: scanner 2, softer and noisier; others: scanner 1",
        },
    )  # fmt: skip
    return images, {
        "model": "log means are linear in recorded values; a missing value contributes nothing",
        "parameters": known.to_dict(),
        "effects": effects[["target", "covariate", "level", "coefficient"]].to_dict("records"),
        "patients": {
            patient: {
                "scanner": 2 if soft[i] else 1,
                "expected_lesions": float(expected[i]),
                "lesions": int(counts[i].sum()),
                "SUVmax": [round(float(v), 4) for v in lesions.uptake[person == i]],
                "diameter": [round(float(v), 3) for v in lesions.diameter[person == i]],
                "marrow_SUV": float(body.marrow[2 * i]),
            }
            for i, patient in enumerate(ids.tolist())
        },
    }


def _linear(cohort: Cohort, effects: pd.DataFrame, target: str, limit: float) -> Array:
    """(patients,) log-linear effect of the record on a target; a missing value contributes nothing."""
    total = np.zeros(len(cohort))
    for row in effects[effects["target"] == target].to_dict("records"):
        name, level = str(row["covariate"]), str(row["level"])
        if name in cohort.clinical:
            values = cohort.clinical[name]
            if level == "per 10 % from 40 %":
                part = (values.astype(float) - 40) / 10
            elif level == "above limit":
                part = (values.astype(float) > limit).astype(float)
            else:
                part = (values.astype("object") == level).astype(float)
        elif cohort.alterations is not None and name in cohort.alterations:
            part = cohort.alterations[name]
        elif cohort.alterations is None and level == "present":
            continue  # a cohort without genomic modality: nobody's alterations are recorded
        else:
            raise InputError(f"imaging_effects.tsv: the cohort has no {name}")
        total += float(row["coefficient"]) * part.fillna(0).to_numpy(float)
    return total


@dataclass(frozen=True)
class _Lesions:
    """Focal lesions: the image of each, SUVmax and diameter in millimetres."""

    owner: npt.NDArray[np.intp]
    uptake: Array
    diameter: Array


@dataclass(frozen=True)
class _Bodies:
    """What an image shows beside lesions; one entry per image, trunk and pelvis in turn."""

    female: npt.NDArray[np.bool_]
    bone: Array
    marrow: Array
    liver: Array
    bladder: Array
    width: Array
    soft: npt.NDArray[np.bool_]

    def part(self, rows: slice) -> _Bodies:
        return _Bodies(**{name: values[rows] for name, values in vars(self).items()})


class _Canvas:
    """CT and PET of images as ellipses are laid over one another, sizes in millimetres from the middle of the body."""

    def __init__(self, n: int) -> None:
        place = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL
        self.x, self.y = place[None, None, :], place[None, :, None]
        self.ct = np.full((n, SIDE, SIDE), -1000.0)
        self.pet = np.full((n, SIDE, SIDE), 0.02)

    def ellipse(self, x: Any, y: Any, across: Any, along: Any, turn: Any = 0.0) -> Array:
        """(images, rows, columns) share of each pixel inside an ellipse; edges are a pixel wide."""
        x, y, across, along, turn = (np.reshape(v, (-1, 1, 1)) for v in (x, y, across, along, turn))
        right, down = self.x - x, self.y - y
        u = (right * np.cos(turn) + down * np.sin(turn)) / across
        v = (down * np.cos(turn) - right * np.sin(turn)) / along
        beyond = (np.sqrt(u * u + v * v) - 1) * np.minimum(across, along)
        return np.asarray((0.5 - beyond / PIXEL).clip(0, 1))

    def lay(self, inside: Array, hounsfield: Any, uptake: Any) -> None:
        """Replace what lies inside."""
        for plane, value in ((self.ct, hounsfield), (self.pet, uptake)):
            if value is not None:
                plane += inside * (np.reshape(value, (-1, 1, 1)) - plane)


def _draw(
    body: _Bodies, lesions: _Lesions, known: pd.Series, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Pixels (images, 2, SIDE, SIDE) and masks, in batches of bounded memory."""
    n = len(body.marrow)
    pixels = np.empty((n, 2, SIDE, SIDE), dtype=np.float32)
    mask = np.zeros((n, SIDE, SIDE), dtype=np.uint8)
    for start in range(0, n, BATCH):  # an even number: trunk and pelvis stay in turn
        rows = slice(start, min(start + BATCH, n))
        part = body.part(rows)
        canvas = _Canvas(len(part.marrow))
        bones = _anatomy(canvas, part, rng)
        here = (lesions.owner >= rows.start) & (lesions.owner < rows.stop)
        own = _Lesions(lesions.owner[here] - start, lesions.uptake[here], lesions.diameter[here])
        mask[rows] = _with_lesions(canvas, own, bones, rng)
        pixels[rows, 0], pixels[rows, 1] = _scan(canvas, part.soft, known, rng)
    return pixels, mask


def _anatomy(canvas: _Canvas, body: _Bodies, rng: np.random.Generator) -> Array:
    """Draw trunk (even images) and pelvis (odd images). Returns (images, bones, 4): where lesions may lie, as x, y and
    half widths of ellipses of bone."""
    n = len(body.marrow)
    trunk = (np.arange(n) % 2 == 0)[:, None, None]

    def vary(spread: float) -> Array:
        return 1 + spread * rng.standard_normal(n)

    across, along = body.width * vary(0.02), 0.7 * body.width * vary(0.05)
    fat = np.where(body.female, 24.0, 17.0) * np.exp(0.3 * rng.standard_normal(n))
    canvas.lay(canvas.ellipse(0, 0, across, along), -105 + 5 * rng.standard_normal(n), 0.3)
    inner = (across - fat, along - 0.8 * fat)
    canvas.lay(canvas.ellipse(0, 0, *inner), 52 + 4 * rng.standard_normal(n), 0.7 * vary(0.1))

    def organ(level: str, x: Any, y: Any, a: Any, b: Any, hounsfield: Any, uptake: Any, turn: Any = 0.0) -> None:
        inside = canvas.ellipse(x, y, a, b, turn) * (trunk if level == "trunk" else ~trunk)
        canvas.lay(inside, hounsfield, uptake)

    w, h = inner
    jitter = rng.normal(0, 4, size=(8, 2, n))
    # Peritoneal fat first, organs upon it. The patient's right is on the left of the image.
    organ("trunk", 0, -0.15 * h, 0.8 * w, 0.62 * h, -90.0, 0.4)
    organ("pelvis", 0, -0.2 * h, 0.62 * w, 0.5 * h, -90.0, 0.4)
    organ("trunk", -0.42 * w + jitter[0, 0], -0.12 * h + jitter[0, 1], 0.42 * w * vary(0.06), 0.6 * h * vary(0.06),
          58 + 6 * rng.standard_normal(n), body.liver, 0.35)  # fmt: skip
    organ("trunk", 0.62 * w, 0.12 * h, 0.22 * w * vary(0.12), 0.3 * h * vary(0.12), 50.0, 0.85 * body.liver, -0.4)
    for side in (-1, 1):
        organ("trunk", side * 0.42 * w + jitter[1, 0], 0.45 * h, 0.15 * w, 0.2 * h * vary(0.1), 32.0,
              3.2 * np.exp(0.3 * rng.standard_normal(n)), -side * 0.3)  # fmt: skip
        organ("trunk", side * 34.0, 0.5 * h, 15 * vary(0.1), 22.0, 55.0, 0.8)  # psoas
        organ("pelvis", side * 0.62 * w, 0.42 * h, 0.3 * w, 0.36 * h, 55.0, 0.7, side * 0.5)  # gluteal muscles
    for k in range(2, 5):  # bowel, some of it with gas
        x, y = rng.uniform(-0.1, 0.55, n) * w, rng.uniform(-0.6, -0.05, n) * h
        gas = np.where(rng.random(n) < 0.35, -700.0, 30.0)
        for level in LEVELS:
            organ(level, x * (1 if level == "trunk" else 0.7) + jitter[k, 0], y, 20 * vary(0.2), 15 * vary(0.2), gas,
                  1.1 * np.exp(0.35 * rng.standard_normal(n)))  # fmt: skip
    organ("trunk", 16 + jitter[5, 0], 0.22 * h, 11.0, 11.0, 42.0, 1.5)  # aorta
    filled = rng.uniform(0.5, 1.2, n)
    organ("pelvis", jitter[6, 0], -0.35 * h, 38 * filled, 30 * filled, 8.0, body.bladder)

    # Bone: a shell of cortical bone round trabecular bone with marrow.
    def bone(level: str, x: Any, y: Any, a: Any, b: Any, turn: Any = 0.0, shell: float = 4.0) -> Array:
        x, y, a, b = (np.broadcast_to(np.asarray(v, dtype=float), (n,)) for v in (x, y, a, b))
        organ(level, x, y, a, b, 480.0, 0.6 * body.marrow, turn)
        organ(level, x, y, np.maximum(a - shell, 2), np.maximum(b - shell, 2), body.bone, body.marrow, turn)
        return np.stack([x, y, 0.6 * a, 0.6 * b], axis=1)

    size = np.where(body.female, 23.0, 26.0) * vary(0.05)
    spine = bone("trunk", jitter[7, 0], 0.42 * h, size, 0.8 * size)
    canal = 0.42 * h + 0.8 * size + 9
    organ("trunk", jitter[7, 0], canal, 11.0, 9.0, 25.0, 0.9)
    bone("trunk", jitter[7, 0], canal + 19, 7.0, 12.0)
    ribs = [
        bone("trunk", np.sin(angle) * (w - 6), -np.cos(angle) * (h - 6), 14.0, 7.0, angle, 3.0)
        for angle in (-2.2, -1.5, -0.8, 0.8, 1.5, 2.2)
    ]
    sacrum = bone("pelvis", jitter[7, 1], 0.55 * h, 42 * vary(0.06), 22 * vary(0.06))
    ilium = [
        bone("pelvis", side * 0.56 * w, 0.12 * h, 17 * vary(0.08), 52 * vary(0.06), -side * 0.55) for side in (-1, 1)
    ]
    # Lesions on the trunk: mostly the vertebra; on the pelvis: sacrum and iliac bones.
    even = [spine, spine, spine, ribs[1], ribs[4], spine]
    odd = [sacrum, sacrum, ilium[0], ilium[1], ilium[0], ilium[1]]
    return np.where((np.arange(n) % 2 == 0)[:, None, None], np.stack(even, axis=1), np.stack(odd, axis=1))


def _with_lesions(canvas: _Canvas, lesions: _Lesions, bones: Array, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Lay the lesions into bone; returns the mask (images, SIDE, SIDE)."""
    n = len(canvas.ct)
    count = len(lesions.owner)
    place = bones[lesions.owner, rng.integers(bones.shape[1], size=count)]
    shift = rng.uniform(-1, 1, size=(2, count))
    x, y = place[:, 0] + shift[0] * place[:, 2], place[:, 1] + shift[1] * place[:, 3]
    radius, turn = lesions.diameter / 2, rng.uniform(0, np.pi, count)
    flat = rng.uniform(0.75, 1.0, count)
    mask = np.zeros((n, SIDE, SIDE), dtype=np.uint8)
    # The first lesions of all images are laid at once, then the second ones, and so on.
    order = pd.Series(lesions.owner).groupby(lesions.owner).cumcount().to_numpy()
    for turn_of in range(int(order.max(initial=-1)) + 1):
        rows = order == turn_of
        images = lesions.owner[rows]
        inside = canvas.ellipse(x[rows], y[rows], radius[rows], flat[rows] * radius[rows], turn[rows])
        for plane, value in ((canvas.ct, np.full(rows.sum(), 65.0)), (canvas.pet, lesions.uptake[rows])):
            there = plane[images]
            plane[images] = there + inside * (value[:, None, None] - there)
        mask[images] |= (inside >= 0.5).astype(np.uint8)
    return mask


def _scan(
    canvas: _Canvas, soft: npt.NDArray[np.bool_], known: pd.Series, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """CT and PET as the two scanners record them."""
    from scipy.ndimage import gaussian_filter

    ct, pet = np.empty(canvas.ct.shape, dtype=np.float32), np.empty(canvas.pet.shape, dtype=np.float32)
    for scanner, rows in ((1, np.flatnonzero(~soft)), (2, np.flatnonzero(soft))):
        blur = float(known[f"scanner {scanner} CT blur"])
        width = float(known[f"scanner {scanner} PET resolution"]) / 2.355 / PIXEL
        shape = (len(rows), SIDE, SIDE)
        ct[rows] = gaussian_filter(canvas.ct[rows], (0, blur, blur)) + known[f"scanner {scanner} CT noise"] * _grain(
            rng.standard_normal(shape), blur
        )
        seen = gaussian_filter(canvas.pet[rows], (0, width, width))
        grain = _grain(rng.standard_normal(shape), max(width, 0.5))
        pet[rows] = seen + known[f"scanner {scanner} PET noise"] * np.sqrt(seen.clip(0)) * grain
    return ct.clip(-1024, 3071), pet.clip(0)


def _grain(noise: Array, width: float) -> Array:
    """Noise of unit variance with the grain of a Gaussian of this width (pixels)."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(noise, (0, width, width), mode="wrap")
    return np.asarray(smooth / smooth.std())


def simulate(
    name: str, entry: Mapping[str, Any], cohort: Cohort, truth: dict[str, Any], folder: Path, rng: np.random.Generator
) -> tuple[Images, dict[str, Any]]:
    """The images of a simulated cohort, and their truth (see `simulate_images`)."""
    return simulate_images(cohort, truth, entry, folder, rng)
