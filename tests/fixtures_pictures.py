"""A few patients with small pictures: an oval body with a hot spot that grows with the patient's `burden`."""

from functools import cache

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.schema import Column, Schema
from haemosynth.modalities.images.part import Images

WINDOWS = ((-200.0, 200.0), (0.0, 10.0))


@cache
def pictured(n: int = 80, seed: int = 0, size: int = 16, record: bool = True, without: float = 0.15) -> Cohort:
    """Patients with `burden` (missing in a tenth) and `arm`; a share `without` has no image, others one or two."""
    rng = np.random.default_rng(seed)
    burden = rng.normal(size=n)
    ids = pd.Index([f"P{seed}_{i:04d}" for i in range(n)], name="patient_id")
    columns = {
        "burden": Column("continuous", "laboratory"),
        "arm": Column("categorical", "treatment", categories=("left", "right")),
    }
    table = pd.DataFrame({"burden": burden, "arm": np.where(rng.random(n) < 0.5, "left", "right")}, index=ids)
    table.loc[rng.random(n) < 0.1, "burden"] = np.nan
    schema = Schema("pictures", columns if record else {})
    counts = np.where(rng.random(n) < without, 0, rng.integers(1, 3, size=n))
    owners = np.repeat(np.arange(n), counts)
    pixels = np.empty((len(owners), 2, size, size), dtype=np.float32)
    mask = np.empty((len(owners), size, size), dtype=np.uint8)
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    for i, owner in enumerate(owners):
        across, shift = rng.uniform(0.7, 0.9), rng.normal(0, 0.05)
        body = ((x - shift) / across) ** 2 + (y / 0.7) ** 2 < 1
        side = -0.3 if table["arm"].iloc[owner] == "left" else 0.3
        width = 0.2 * np.exp(0.35 * burden[owner])
        spot = np.exp(-((x - side) ** 2 + (y - 0.1) ** 2) / (2 * width**2)) * body
        mask[i] = spot > 0.5
        pixels[i, 0] = np.where(body, 40.0, -150.0) + rng.normal(0, 12, (size, size))
        pixels[i, 1] = 1.0 * body + rng.uniform(5, 12) * spot + rng.gamma(2, 0.1, (size, size))
    images = Images(np.asarray(ids, dtype=str)[owners], pixels, mask, ("CT", "PET"), ("HU", "SUV"), WINDOWS, (4.0, 4.0))
    return Cohort.of(schema, set_types(table if record else table[[]], schema), images=images)
