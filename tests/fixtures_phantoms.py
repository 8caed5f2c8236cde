"""The small simulated cohort with its PET/CT phantoms; treat it as read-only."""

from functools import cache

import numpy as np
from fixtures_small import RESOURCES, small_cohort

from haemosynth.modalities.images.simulate import simulate_images


@cache
def imaged_cohort(n: int = 300, seed: int = 1, imaged: float = 0.5):
    """(cohort with images of a part of the patients, truth of the images)"""
    cohort = small_cohort(n, seed)
    source = {"images": {"imaged": imaged}}
    images, truth = simulate_images(cohort, {}, source, RESOURCES / "myeloma", np.random.default_rng(seed))
    return cohort.replace(images=images), truth
