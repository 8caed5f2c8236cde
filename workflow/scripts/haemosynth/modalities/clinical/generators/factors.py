"""A latent space in two parts: what goes with a class, and what does not; and twins, a patient under another class.

z = (z_class, z_rest) of the autoencoder (`vae`), with z_rest kept independent of the class by a penalty on their
dependence (HSIC: Gretton et al., ALT 2005; as a constraint on a latent space: Lopez et al., NeurIPS 2018). The class is
one or several clinical columns, which are generated first, so that the decoder is given it.

A twin is made in three steps (abduction, action, prediction: Pearl, Causality, 2009; Pawlowski et al., NeurIPS 2020).
The patient's latent point and, column by column, what chance added to it are read off the record; the class is
exchanged, and with it z_class; the columns are generated anew with the same chance. A patient under the own class is
so the patient again, to the value, and what the decoder does not let depend on the class stays as it is. It is the
model's view of what depends on the class, and not an effect of a treatment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.generate.fitted import Fitted

if TYPE_CHECKING:
    import torch

    from haemosynth.core.schema import Schema
    from haemosynth.modalities.clinical.generators.encoding import Encoding

KEYS = {"columns": None, "latent": 2, "weight": 30.0}


@dataclass(frozen=True)
class Factors:
    """columns: of the class. latent: dimensions of z_class, the first ones. weight: of the penalty, nats a patient."""

    columns: tuple[str, ...]
    latent: int
    weight: float

    def plain(self) -> dict[str, Any]:
        """For the description of a fitted model."""
        return {"factors": {"columns": list(self.columns), "latent": self.latent}}

    def classes(self, encoding: Encoding, levels: np.ndarray) -> np.ndarray:
        """(patients,) the class of each patient, of `sizes` of the first columns."""
        sizes = [len(encoding.variables[i].levels) for i in range(len(self.columns))]
        return np.asarray(np.ravel_multi_index(tuple(levels[:, : len(sizes)].T), sizes))

    def means(self, points: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """(classes, latent) mean of z_class; that of everybody for a class of nobody."""
        own = points[:, : self.latent]
        found = np.tile(own.mean(axis=0), (int(classes.max()) + 1, 1))
        for one in np.unique(classes):
            found[one] = own[classes == one].mean(axis=0)
        return found


def check(settings: Mapping[str, Any], train: Cohort) -> Factors | None:
    """The setting `factors`, None where there is none.

    Raises:
        InputError: an unknown key or column, a number or an outcome, no dimension left for the rest.
    """
    chosen = settings["factors"]
    if not chosen:
        return None
    name = train.schema.cohort
    unknown = [key for key in chosen if key not in KEYS]
    if unknown or not chosen.get("columns"):
        raise InputError(
            f"cohort {name}: factors: expected {{columns: [...], latent: 2, weight: 30}}; found {chosen!r}"
        )
    for column in chosen["columns"]:
        known = train.schema.columns.get(column)
        if known is None or known.numeric or known.derived is not None:
            raise InputError(f"cohort {name}: factors names {column}; expected a column of levels that is not derived")
    latent = int(chosen.get("latent", KEYS["latent"]))
    if not 0 < latent < int(settings["latent"]):
        raise InputError(
            f"cohort {name}: factors.latent is {latent}; expected 1 to {int(settings['latent']) - 1}, so that some of "
            f"the {settings['latent']} dimensions are left for the rest"
        )
    return Factors(tuple(chosen["columns"]), latent, float(chosen.get("weight", KEYS["weight"])))


def dependence(points: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Normalised HSIC of latent points and classes, 0 (independent, large samples) to 1.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), the biased estimate (Gretton et al., ALT 2005; normalised as by Cortes et
    al., J Mach Learn Res 2012;13:795), with a Gaussian kernel of the median distance on dimensions of unit variance,
    and 1 for the same class.

    Args:
        points: (patients, dimensions). classes: (patients, columns) levels.
    """
    import torch

    scaled = (points - points.mean(0)) / (points.std(0).detach() + 1e-6)
    squared = (scaled[:, None, :] - scaled[None, :, :]).square().sum(-1)
    first = torch.exp(-squared / (squared.detach().median() + 1e-9))
    second = (classes[:, None, :] == classes[None, :, :]).all(-1).float()
    first, second = (
        kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean() for kernel in (first, second)
    )
    scale = torch.sqrt((first * first).sum() * (second * second).sum()) + 1e-9
    return (first * second).sum() / scale


def latent_points(fitted: Fitted, clinical: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(patients, dimensions) means of z_class and of z_rest of patients under a fitted model with factors."""
    import torch

    from haemosynth.modalities.clinical.generators import vae
    from haemosynth.modalities.clinical.generators.encoding import Encoding

    encoding = Encoding.load(fitted.arrays, fitted.description["encoding"])
    net = vae._Net(encoding, fitted.description["network"])
    with torch.no_grad():
        mean, _ = net.encode(
            net.weights(torch.tensor(fitted.arrays["weights"])), net.features(encoding.encode(clinical).levels)
        )
    latent = int(fitted.description["factors"]["latent"])
    return mean[:, :latent].numpy(), mean[:, latent:].numpy()


def twins(
    fitted: Fitted, schema: Schema, clinical: pd.DataFrame, classes: Mapping[str, str], rng: np.random.Generator
) -> pd.DataFrame:
    """Every patient under another class: a clinical table, typed, derived columns missing, indexed as `clinical`.

    Args:
        clinical: (patients, columns), synthetic or real. classes: column of the class -> level that all are to have.
        rng: says which patients change a level that becomes less likely, as many as have to.

    Raises:
        InputError: the model was fitted without factors, or a column or level is not of its class.
    """
    import torch

    from haemosynth.core.streams import one_of_each
    from haemosynth.modalities.clinical.generators import vae
    from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding, FollowUp

    if "factors" not in fitted.description:
        raise InputError("twins need a generator that was fitted with `factors: {columns: [...]}`")
    own = Factors(weight=0.0, **{k: fitted.description["factors"][k] for k in ("columns", "latent")})
    encoding = Encoding.load(fitted.arrays, fitted.description["encoding"])
    coded, n = encoding.encode(clinical), len(clinical)
    levels, positions = coded.levels.copy(), coded.positions.copy()
    for column, level in classes.items():
        if column not in own.columns:
            raise InputError(f"twins: {column} is no column of the class; expected {' or '.join(own.columns)}")
        i = list(own.columns).index(column)
        labels = [known.label for known in encoding.variables[i].levels]
        if level not in labels:
            raise InputError(
                f"twins: {column} has no level {level!r}; expected one of {', '.join(filter(None, labels))}"
            )
        levels[:, i] = labels.index(level)
    net = vae._Net(encoding, fitted.description["network"])
    with torch.no_grad():
        w = net.weights(torch.tensor(fitted.arrays["weights"]))
        mean, _ = net.encode(w, net.features(coded.levels))
        z = mean.numpy().copy()
        of_class = fitted.arrays["factors.means"]
        other = z.copy()
        places = [np.minimum(own.classes(encoding, each), len(of_class) - 1) for each in (levels, coded.levels)]
        other[:, : own.latent] += (of_class[places[0]] - of_class[places[1]]).astype(np.float32)
        walks = vae._Walk(net, w, z, fitted.arrays), vae._Walk(net, w, other, fitted.arrays)
        followed = FollowUp(encoding, n), FollowUp(encoding, n)
        for i, variable in enumerate(encoding.variables):
            before, after = (walk.probabilities(i) for walk in walks)
            if variable.kind == "survival":
                before, after = (
                    _permit(p, follow.permit(i)) for p, follow in zip((before, after), followed, strict=True)
                )
            if i >= len(own.columns):
                real = coded.levels[:, i]
                if variable.kind == "level":
                    levels[:, i] = _couple(before, after, real, rng, one_of_each)
                else:
                    levels[:, i], positions[:, i] = _move(before, after, real, coded.positions[:, i])
            for side, (walk, follow) in enumerate(zip(walks, followed, strict=True)):
                chosen, where = (coded.levels, coded.positions) if side == 0 else (levels, positions)
                if variable.kind == "survival":
                    follow.add(i, chosen[:, i], where[:, i])
                walk.add(i, chosen[:, i])
    return encoding.decode(Coded(levels, positions), schema).set_axis(clinical.index)


def _permit(probability: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Probabilities of the levels that are permitted; of all where none is."""
    both = probability * right
    total = both.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, both / np.where(total > 0, total, 1), probability))


def _couple(
    before: np.ndarray, after: np.ndarray, level: np.ndarray, rng: np.random.Generator, draw: Any
) -> np.ndarray:
    """Levels after, as many as can be the same as before (the maximal coupling of two distributions)."""
    rows = np.arange(len(level))
    kept = rng.random(len(level)) * np.maximum(before[rows, level], 1e-300) <= after[rows, level]
    excess = np.maximum(after - before, 0)
    excess = np.where(excess.sum(axis=1, keepdims=True) > 0, excess, after)
    return np.asarray(np.where(kept, level, draw(excess, rng)))


def _move(
    before: np.ndarray, after: np.ndarray, level: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Levels and places in them at the same quantile of the distribution after."""
    rows = np.arange(len(level))
    same = np.isclose(before, after, rtol=1e-5, atol=1e-9).all(axis=1)
    quantile = np.cumsum(before, axis=1)[rows, level] - (1 - position) * before[rows, level]
    edges = np.cumsum(after, axis=1)
    edges[:, -1] = np.maximum(edges[:, -1], 1.0)
    found = np.minimum((edges <= quantile[:, None]).sum(axis=1), after.shape[1] - 1)
    share = np.maximum(after[rows, found], 1e-300)
    place = np.clip((quantile - (edges[rows, found] - after[rows, found])) / share, 0, 1 - 1e-9)
    return np.where(same, level, found), np.where(same, position, place)
