"""Membership attacks that look for single records: eight ways to say that a patient's record was learned from.

Every attack gives each attacked patient a score from the release and a sample of the population, which is made of all
attacked patients but the one in question. No score knows who is a training patient, so that training and unseen
patients are treated alike: a release without memory gives an area under the curve of one half on average over splits.
Sources: Chen et al., GAN-Leaks, CCS 2020 (distance); Hilprecht et al., PoPETs 2019 (neighbour counts); Hayes et al.,
LOGAN, PoPETs 2019 (classifier); van Breugel et al., DOMIAS, AISTATS 2023 (density ratio); Watson et al., ICLR 2022
(difficulty calibration); Homer et al., PLoS Genet 2008;4:e1000167 (likelihood).
"""

from __future__ import annotations

import numpy as np

from haemosynth.encode.records import Matrix, Vector
from haemosynth.privacy.likelihood import log_ratio
from haemosynth.stats.neighbours import neighbours, squared_distances
from haemosynth.stats.trees import out_of_bag_votes

ATTACKS = {
    "distance": "minus the distance to the nearest released record",
    "relative_distance": "log of the distance to the nearest other real record over it",
    "calibrated_distance": "how far log distance lies below its mean among patients of like distance to other real"
    " records, in standard deviations",
    "matched": "log of the distance of a released record to its second nearest real patient over that to its nearest,"
    " of which the patient takes the largest",
    "neighbour_count": "log of the number of released records nearer than the fifth nearest other real record",
    "density_ratio": "log of the Gaussian kernel density of the release over that of the other real records",
    "classifier": "logit of extremely randomised trees that distinguish released from real records, of the trees"
    " that have not seen the patient",
    "likelihood": "log density of a normal distribution with the mean and covariance of the release over that of the"
    " other real records",
}
NEAR = 0.01  # added to distances before their logarithm: a copy is near, not infinitely so
COUNTED = 5  # other real patients within the radius of `neighbour_count`
TYPICAL = 30  # patients at least among whom `calibrated_distance` compares


def attack(points: Matrix, released: Matrix, trees: int, rng: np.random.Generator) -> dict[str, Vector]:
    """Score every point by each of ATTACKS; each point's population sample is all the other points.

    Args:
        points: (attacked patients, columns). released: (released records, columns).
        trees: of the classifier, grown from `rng`.
    """
    to_released = neighbours(points, released, 1)[0][:, 0]
    beyond = min(COUNTED, len(points) - 1)
    to_others = neighbours(points, points, beyond + 1)[0][:, 1:]
    near, log_released = to_others[:, 0], np.log(to_released + NEAR)
    width = max(float(np.median(near)), NEAR)  # the usual distance between neighbours
    density, within = _around(points, released, width, to_others[:, -1])
    return {
        "distance": -to_released,
        "relative_distance": np.log(near + NEAR) - log_released,
        "calibrated_distance": _calibrate(-log_released, np.log(to_others + NEAR).mean(axis=1)),
        "matched": _match(points, released),
        "neighbour_count": np.log(within + 0.5),
        "density_ratio": density - _around(points, points, width, to_others[:, -1], without_self=True)[0],
        "classifier": _classify(points, released, trees, rng),
        "likelihood": log_ratio(points, released),
    }


def _around(
    points: Matrix, others: Matrix, width: float, radius: Vector, without_self: bool = False
) -> tuple[Vector, Vector]:
    """At each point: log of the mean Gaussian kernel (up to the same constant for all), and others within a radius."""
    from scipy.special import logsumexp

    density, within = np.empty(len(points)), np.empty(len(points))
    for rows, squared in squared_distances(points, others):
        if without_self:
            squared[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
        within[rows] = (squared < radius[rows, None] ** 2).sum(axis=1)
        squared /= -2 * width**2
        density[rows] = logsumexp(squared, axis=1)
    return density - np.log(len(others) - without_self), within


def _calibrate(scores: Vector, typicality: Vector) -> Vector:
    """Scores less their mean among patients of like typicality, over their standard deviation there."""
    groups = np.empty(len(scores), dtype=np.intp)
    count = max(1, min(20, len(scores) // TYPICAL))
    groups[np.argsort(typicality, kind="stable")] = np.arange(len(scores)) * count // len(scores)
    size = np.bincount(groups)
    mean = np.bincount(groups, scores) / size
    spread = np.sqrt(np.bincount(groups, (scores - mean[groups]) ** 2) / size)
    return (scores - mean[groups]) / np.maximum(spread[groups], NEAR)


def _match(points: Matrix, released: Matrix) -> Vector:
    """How much nearer a released record lies to this patient than to any other; 0 for patients nearest to none."""
    distances, places = neighbours(released, points, 2)
    gaps = np.log(distances[:, 1] + NEAR) - np.log(distances[:, 0] + NEAR)
    found = np.zeros(len(points))
    np.maximum.at(found, places[:, 0], gaps)
    return found


def _classify(points: Matrix, released: Matrix, trees: int, rng: np.random.Generator) -> Vector:
    """Logit that a record is a released one, from the trees whose bootstrap sample the patient is not in."""
    released = released[rng.permutation(len(released))[: 2 * len(points)]]
    answer = np.repeat([0.0, 1.0], [len(points), len(released)])
    votes = out_of_bag_votes(np.vstack([points, released]), answer, trees, rng)[: len(points)]
    share = np.clip(votes, 0.5 / trees, 1 - 0.5 / trees)
    return np.asarray(np.log(share) - np.log1p(-share))
