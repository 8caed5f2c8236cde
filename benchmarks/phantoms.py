"""Phantoms for the benchmarks of images: an oval body with a spine, hot lesions by `burden`, two scanners.

Simple shapes with known truth and realistic difficulties (noise, blur, lesions of a few pixels); not the trunk phantoms
of the simulated cohort, and not patients.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.schema import Column, Schema
from haemosynth.modalities.images.part import Images

WINDOWS = ((-300.0, 300.0), (0.0, 10.0))


def phantoms(n: int, seed: int, size: int = 64) -> Cohort:
    """n patients with one image each, size x size pixels of CT (HU), PET (SUV) and lesion mask."""
    rng = np.random.default_rng(seed)
    burden, scanner = rng.normal(size=n), np.where(rng.random(n) < 0.5, "A", "B")
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    unit = size / 64
    pixels, mask = np.empty((n, 2, size, size), dtype=np.float32), np.zeros((n, size, size), dtype=np.uint8)
    for i in range(n):
        across, along, shift = rng.uniform(0.7, 0.95), rng.uniform(0.5, 0.75), rng.normal(0, 0.05)
        body = ((x - shift) / across) ** 2 + (y / along) ** 2 < 1
        spine = ((x - shift) / 0.16) ** 2 + ((y - 0.3) / 0.2) ** 2 < rng.uniform(0.7, 1.3)
        ct = -250 + body * 250 * (1 + 0.1 * rng.normal()) + spine * 200
        pet = body * 1.2 + spine * 0.6
        for _ in range(rng.poisson(np.exp(0.2 + 0.5 * burden[i]))):
            cx, cy = shift + rng.normal(0, 0.25), 0.2 + rng.normal(0, 0.2)
            width = rng.uniform(0.05, 0.12) * np.exp(0.15 * burden[i])
            spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 2 / width**2) * body
            pet = pet + spot * rng.uniform(3, 8)
            mask[i] |= (spot > 0.5).astype(np.uint8)
        grain, blur = (12, 0.6) if scanner[i] == "A" else (25, 1.3)
        pixels[i, 0] = gaussian_filter(ct, blur * unit) + rng.normal(0, grain, (size, size))
        noise = gaussian_filter(rng.normal(0, 1, (size, size)), unit)
        pixels[i, 1] = gaussian_filter(pet, (0.7 + 0.5 * blur) * unit) * (1 + 0.5 * noise) + 0.1 * np.abs(noise)
    ids = pd.Index([f"P{seed}_{i:04d}" for i in range(n)], name="patient_id")
    table = pd.DataFrame({"burden": burden, "scanner": scanner}, index=ids)
    table.loc[rng.random(n) < 0.1, "burden"] = np.nan
    columns = {
        "burden": Column("continuous", "laboratory"),
        "scanner": Column("categorical", "other", categories=("A", "B")),
    }
    schema = Schema("phantoms", columns)
    names = np.asarray(ids, dtype=str)
    images = Images(names, pixels, mask, ("CT", "PET"), ("HU", "SUV"), WINDOWS, (4 / unit, 4 / unit))
    return Cohort.of(schema, set_types(table, schema), images=images)
