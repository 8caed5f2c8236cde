"""The clinical algorithm that the cohort's own patients speak for: several are tried inside training, and one is taken.

Training patients are dealt into parts. For each part every algorithm learns from the others and draws as many patients
as the part has; how well trees distinguish these from the patients of the part is the evidence (classifier two-sample
test: Lopez-Paz and Oquab, ICLR 2017), and how many of them lie nearer to a patient who was learned from than to one of
the part is what the release check will hold against it. Patients outside training are never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix, Vector
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Schema
from haemosynth.encode.records import fit_encoder
from haemosynth.generate import at_most, settings_of
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.registry import RECORD, load_algorithm
from haemosynth.stats.neighbours import nearer_share, nearest
from haemosynth.stats.ranking import auc
from haemosynth.stats.trees import out_of_bag_votes

DEFAULTS: dict[str, Any] = {
    "algorithms": ["vae", "forest"],  # that are tried; where none is clearly better, the first is taken
    "settings": {},  # algorithm -> its settings, where they are not the defaults
    "patients": 6_000,  # training patients, drawn at random, on whom algorithms are tried at most
    "parts": 3,  # that training patients are dealt into; each algorithm is fitted once for each, and once more
    "draws": 3,  # of each fit, which are averaged
    "trees": 200,  # that distinguish drawn patients from those of a part
    "nearest": 0.65,  # share of drawn patients at most that may lie nearer to a patient who was learned from
    "fewest": 0,  # of the algorithm that is taken, as the next three
    "condition": [],
    "where": {},
    "missing": "learned",
}
HANDED_ON = ("fewest", "condition", "where", "missing")
FEWEST = 20  # patients in a part


@dataclass(frozen=True)
class Evidence:
    """Of one algorithm, (parts,) each. area: of the trees; nearer: share of drawn patients nearer
    to those learned from, as at equal numbers."""

    area: Vector
    nearer: Vector


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Try every algorithm inside training, and fit the one that is taken to all of it.

    Args:
        checkpoint: of the last fit, if its algorithm takes one up.

    Raises:
        InputError: fewer than two algorithms, one that is unknown or differentially private, or too few patients.
    """
    names = [str(name) for name in settings["algorithms"]]
    check_algorithms(names, settings["settings"])
    parts = int(settings["parts"])
    if len(train) < FEWEST * parts:
        raise InputError(
            f"methods.clinical: selected: {len(train)} training patients are too few for {parts} parts of {FEWEST};"
            f" name an algorithm: algorithm: {names[0]}"
        )
    trial, last = rng.spawn(2)
    evidence = try_algorithms(train, names, settings, trial)
    taken = choose(evidence, float(settings["nearest"]))
    algorithm = load_algorithm(RECORD, taken)
    asked = {key: settings[key] for key in HANDED_ON if key in algorithm.DEFAULTS}
    model = algorithm.fit(train, _settings(taken, settings) | asked, last, checkpoint)
    tried = {name: {"area": one.area.tolist(), "nearer": one.nearer.tolist()} for name, one in evidence.items()}
    description = {**model.description, "selected": {"algorithm": taken, "tried": tried}}
    return Fitted(model.arrays, description, model.history)


def sample(fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients by the algorithm that was taken.

    Raises:
        InputError: as that algorithm does.
    """
    algorithm = load_algorithm(RECORD, fitted.description["selected"]["algorithm"])
    drawn: pd.DataFrame = algorithm.sample(fitted, schema, n, rng)
    return drawn


def check_algorithms(names: list[str], settings: Mapping[str, Any]) -> None:
    """Refuse what cannot be tried.

    Raises:
        InputError: see `fit`.
    """
    where = "methods.clinical: selected: algorithms"
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise InputError(f"{where}: expected two different algorithms at least, found {', '.join(names) or 'none'}")
    for name in names:
        if name.startswith("private_") or name == "selected":
            raise InputError(
                f"{where}: {name} cannot be tried; expected algorithms without a guarantee of privacy, which choosing"
                " by the patients would break"
            )
        load_algorithm(RECORD, name)
    if unknown := sorted(set(settings) - set(names)):
        raise InputError(f"{where}: settings of {unknown[0]!r}, which is not tried; expected {', '.join(names)}")


def try_algorithms(
    train: Cohort, names: list[str], settings: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Evidence]:
    """What each algorithm draws, beside patients of training whom it did not learn from.  -> algorithm -> evidence"""
    deal, *streams = rng.spawn(1 + int(settings["parts"]))
    train = at_most(train, int(settings["patients"]), deal)
    part = deal.permutation(len(train)) % int(settings["parts"])
    encoder = fit_encoder(train.record())
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number, stream in enumerate(streams):
        learned, left = (train.take(np.flatnonzero(side)) for side in (part != number, part == number))
        held = encoder.points(left.record())
        known = encoder.points(learned.record())
        for name, own in zip(names, stream.spawn(len(names)), strict=True):
            algorithm = load_algorithm(RECORD, name)
            model = algorithm.fit(learned, _settings(name, settings), own, None)
            found = []
            for _ in range(int(settings["draws"])):
                drawn = algorithm.sample(model, train.schema, len(left), own)
                points = encoder.points(Cohort(train.record().schema, drawn))
                found.append(_compare(points, held, known, int(settings["trees"]), own))
            rows[name].append(tuple(np.mean(found, axis=0)))
    return {name: Evidence(*np.array(found).T) for name, found in rows.items()}


def _compare(drawn: Matrix, held: Matrix, known: Matrix, trees: int, rng: np.random.Generator) -> tuple[float, float]:
    """Area of trees that distinguish drawn from held patients, and share of drawn ones nearer to known patients."""
    answer = np.repeat([0.0, 1.0], [len(held), len(drawn)])
    area = auc(answer, out_of_bag_votes(np.vstack([held, drawn]), answer, trees, rng, min_samples_leaf=3))
    to_known, to_held = (nearest(drawn, side, 1)[:, 0] for side in (known, held))
    return area, nearer_share(to_known, to_held, len(known), len(held))


def choose(evidence: Mapping[str, Evidence], nearest: float) -> str:
    """The algorithm whose patients are least distinguished; the first named where it is not clearly behind.

    One whose patients lie nearer to those learned from in a share above `nearest` repeats them and is not taken, unless
    all do: then the least near one is. Clearly behind: by more than the standard error of the differences over parts.
    """
    share = {name: float(one.nearer.mean()) for name, one in evidence.items()}
    names = [name for name in evidence if share[name] <= nearest] or [min(share, key=lambda name: share[name])]
    best = min(names, key=lambda name: float(evidence[name].area.mean()))
    for name in names:
        behind = evidence[name].area - evidence[best].area
        if behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)):
            return name
    return best


def _settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return settings_of(
        load_algorithm(RECORD, name), settings["settings"].get(name, {}), f"methods.clinical: selected: settings.{name}"
    )
