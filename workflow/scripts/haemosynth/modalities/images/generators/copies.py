"""Copies of training images, sought while a generator still learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haemosynth.modalities.images.generators.coding import Planes
from haemosynth.modalities.images.image_neighbours import nearness_ratio, pool, to_patients
from haemosynth.stats.neighbours import Matrix

SIDE = 32  # pixels of a side at most at which images are compared
ISOLATED, RARE = 0.005, 0.995  # as in the stage image_memorisation
# Of the ratio that tells a copy; the stage has 0.9. Training patients alone are fewer than the stage sees, and an image
# between them has a second neighbour farther away: on PET/CT of seven (twelve) the limits are 0.57 here and 0.56 there.
MARGIN = 0.8
FEWEST = 3  # patients with images


@dataclass(frozen=True)
class CopySearch:
    """Tells copies as the stage image_memorisation does, by training patients alone.

    A copy lies much nearer to one patient's image than to any other patient's: nearer, by the ratio of the two
    distances, than all but 0.5 % of the training images lie to those of other patients.

    real: (images, coordinates) of training patients; owner: the patient of each; limit: of the ratio; channels: of an
    image.
    """

    real: Matrix
    owner: NDArray[np.intp]
    limit: float
    channels: int

    @staticmethod
    def learn(planes: Planes, rows: NDArray[np.intp]) -> CopySearch | None:
        """From coded images (images, channels, H, W) and the patient of each; None for fewer than three patients."""
        owner = np.unique(rows, return_inverse=True)[1]
        if owner.max() + 1 < FEWEST:
            return None
        real = pool(planes, SIDE)
        among = to_patients([real, pool(planes[..., ::-1], SIDE)], real, owner)
        among[np.arange(len(real)), owner] = np.inf
        limit = MARGIN * float(np.quantile(nearness_ratio(among), ISOLATED, method="lower"))
        return CopySearch(real, owner, limit, planes.shape[1])

    def share(self, drawn: Planes) -> float:
        """The share of these images that are copies.  drawn: (images, channels, H, W)"""
        sides = [pool(planes, SIDE) for planes in (drawn, drawn[..., ::-1])]
        return float((nearness_ratio(to_patients(sides, self.real, self.owner)) < self.limit).mean())

    def is_chance(self, share: float, drawn: int) -> bool:
        """Whether images that pass for a copy with a chance of 0.5 % each show such a share in one draw of 200."""
        from scipy.stats import binom

        return share * drawn <= binom.ppf(RARE, drawn, ISOLATED) + 1e-9
