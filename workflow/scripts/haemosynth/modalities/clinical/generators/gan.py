"""Generative adversarial network for the clinical table: a conditional generator against a critic of packs of patients.

The critic estimates the Wasserstein distance (Arjovsky et al., ICML 2017) under a penalty on its gradient (Gulrajani et
al., NeurIPS 2017), and judges several patients together, which shows it when the generator repeats itself (PacGAN: Lin
et al., NeurIPS 2018). As in CTGAN (Xu et al., NeurIPS 2019) a patient is drawn given one column, whose levels come up
in training by the logarithm of their frequency, so that rare ones are learned; here given any set of columns that the
study names as well. Columns are coded by `encoding`: missing is a level, so are point masses, an endpoint is one head
of events and times, and heads move the marginal distribution along smooth functions (`heads`). Levels are drawn by the
straight-through Gumbel-softmax (Jang et al., ICLR 2017). Training stops where pairs of columns of training patients
who were held back are likeliest, for an exponential moving average of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Schema
from haemosynth.core.streams import one_of_each, torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop
from haemosynth.learn.checkpoint import Checkpoint, identity_of
from haemosynth.modalities.clinical.generators.conditioning import Conditions
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding
from haemosynth.modalities.clinical.generators.heads import Drawing, Heads, code, collect, start

if TYPE_CHECKING:
    from torch import Generator, Tensor

DEFAULTS: dict[str, Any] = {
    "patients": 20_000,  # training patients to learn from; of more so many are drawn at random
    "fewest": 0,  # training patients that a level must have to be learned, see `rare`
    "bins": 20,  # quantile bins of numbers and times
    "order": 5,  # cosines along ordered bins
    "latent": 32,  # dimensions of the noise
    "width": 64,  # hidden units of each layer of the generator
    "critic_width": 64,  # hidden units of each layer of the critic
    "pack": 4,  # patients whom the critic judges together
    "batch": 128,  # patients, a multiple of the pack
    "critic_steps": 1,  # of the critic for one of the generator
    "penalty": 10.0,  # on the critic's gradient
    "pairs": 100.0,  # weight of the likelihood of pairs of columns in the generator's loss
    "temperature": 0.5,  # of the Gumbel-softmax
    "learning_rate": 1e-3,
    "held_back": 0.15,  # share of training patients by whom training stops
    "steps": 2000,  # of the generator, at most
    "patience": 400,  # steps without a better likelihood of pairs
    "ema": 0.99,
    "checkpoint_every": 200,  # steps
    "condition": [],  # columns generated first: all others are conditioned on them
    "where": {},  # column -> level or number: only such patients are sampled
    "missing": "learned",  # or "completed": no missing values are sampled
}
EVALUATE_EVERY = 50  # steps
DRAWN_TO_EVALUATE = 1024  # synthetic patients whose heads are averaged
CHUNK = 1024  # patients drawn at once


class _Net:
    """Generator and critic: shapes and forward passes."""

    def __init__(self, heads: Heads, settings: Mapping[str, Any]) -> None:
        self.heads, self.latent, self.pack = heads, int(settings["latent"]), int(settings["pack"])
        width, critic = int(settings["width"]), int(settings["critic_width"])
        entered, judged = self.latent + heads.inputs + heads.columns, self.pack * (heads.inputs + heads.columns)
        self.generator: dict[str, tuple[int, ...]] = {
            "enter": (entered, width), "enter_bias": (width,), "inner": (width, width), "inner_bias": (width,),
            "out": (width, heads.inputs), "out_bias": (heads.inputs,),
        }  # fmt: skip
        self.critic: dict[str, tuple[int, ...]] = {
            "enter": (judged, critic), "enter_bias": (critic,), "inner": (critic, critic), "inner_bias": (critic,),
            "out": (critic, 1),
        }  # fmt: skip

    def tilt(self, weights: Sequence[Tensor], noise: Tensor, given: Tensor, shown: Tensor) -> Tensor:
        """Coefficients of the heads. noise: (patients, latent). given: (patients, columns, functions). shown:
        (patients, columns), 1 for the columns that are given."""
        import torch

        w = dict(zip(self.generator, weights, strict=True))
        x = torch.cat([noise, (given * shown[:, :, None]).flatten(1), shown], dim=1)
        h = torch.nn.functional.silu(x @ w["enter"] + w["enter_bias"])
        h = h + torch.nn.functional.silu(h @ w["inner"] + w["inner_bias"])
        return h @ w["out"] + w["out_bias"]

    def judge(self, weights: Sequence[Tensor], patients: Tensor) -> Tensor:
        """(packs,) how real packs of patients look. patients: (patients, features and shown columns)."""
        import torch

        w = dict(zip(self.critic, weights, strict=True))
        x = patients.reshape(len(patients) // self.pack, -1)
        h = torch.nn.functional.leaky_relu(x @ w["enter"] + w["enter_bias"], 0.2)
        h = torch.nn.functional.leaky_relu(h @ w["inner"] + w["inner_bias"], 0.2)
        return (h @ w["out"]).squeeze(1)


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit generator and critic to training patients; the history has the likelihood of pairs and the critic's gap.

    Args:
        checkpoint: path prefix; an interrupted fit of the same patients and settings is taken up from there and gives
            the same bytes as an uninterrupted one. The files are removed on success.

    Raises:
        InputError: a setting that names an unknown column or level.
    """
    coded = code(train, settings, rng)
    net = _Net(coded.heads, settings)
    seed = torch_seed(rng)
    kept = Checkpoint(checkpoint, identity_of(settings, seed, coded.levels, coded.base))
    weights, history = _train(net, coded.levels, _sets(coded.encoding, coded.conditions), settings, seed, kept)
    kept.remove()
    network = {key: settings[key] for key in ("latent", "width", "critic_width", "pack", "order")}
    return coded.fitted("generator", net.generator, weights, network, history)


def _sets(encoding: Encoding, conditions: Conditions) -> list[np.ndarray]:
    """The sets of columns that patients are drawn given, one after the other: those with levels that are asked for,
    and these with those to condition on; (columns,) bool each."""
    asked = np.array([conditions.asks(variable) for variable in encoding.variables])
    named = np.array([variable.name in conditions.first for variable in encoding.variables])
    return [
        columns for columns in (asked, named) if columns.any() and not (columns is named and (asked == named).all())
    ]


def _train(
    net: _Net, levels: np.ndarray, sets: list[np.ndarray], settings: Mapping[str, Any], seed: int,
    checkpoint: Checkpoint,
) -> tuple[list[np.ndarray], pd.DataFrame]:  # fmt: skip
    import torch

    generator = torch.Generator().manual_seed(seed)
    heads, pack, parts = net.heads, net.pack, len(net.generator)
    order = torch.randperm(len(levels), generator=generator)
    held = int(float(settings["held_back"]) * len(levels))
    target = torch.tensor(levels)
    inside, outside = target[order[held:]], target[order[:held]]
    batch = max(pack, int(settings["batch"]) // pack * pack)
    weights = start(net.generator, generator, still=("out",)) + start(net.critic, generator)
    # Not of those held back, by whom training would else stop at once; patients are drawn about everybody's shares.
    rate, log_base = float(settings["learning_rate"]), torch.tensor(heads.marginals(inside.numpy()))
    makers, critics = (torch.optim.Adam(part, lr=rate, betas=(0.5, 0.9)) for part in (weights[:parts], weights[parts:]))
    patients = _Patients(heads, inside, sets)

    def made(given: Tensor, shown: Tensor) -> Tensor:
        noise = torch.randn(batch, net.latent, generator=generator)
        logits = heads.logits(net.tilt(weights[:parts], noise, given, shown), log_base)
        gumbel = -torch.log(-torch.log(torch.rand(logits.shape, generator=generator).clamp(1e-9, 1 - 1e-7)))
        soft = torch.softmax((logits + gumbel) / float(settings["temperature"]), dim=-1)
        hard = torch.nn.functional.one_hot(soft.argmax(-1), heads.levels).float()
        return torch.where(shown[:, :, None] > 0, given, heads.mix(hard - soft.detach() + soft))

    def seen(features: Tensor, shown: Tensor) -> Tensor:
        return torch.cat([features.flatten(1), shown], dim=1)

    def anybody(n: int, chance: Generator) -> tuple[Tensor, Tensor, Tensor]:
        told, shown = patients.of_all(n, chance)
        return torch.randn(n, net.latent, generator=chance), told, shown

    def shares(own: Sequence[Tensor], noise: Tensor, told: Tensor, shown: Tensor) -> Tensor:
        """(patients, columns, levels) probability of each level; of the given column that of the patient."""
        found = torch.softmax(heads.logits(net.tilt(own, noise, heads.features(told), shown), log_base), dim=-1)
        given = torch.nn.functional.one_hot(told, heads.levels).float()
        return torch.where(shown[:, :, None] > 0, given, found)

    inside_pairs, held_pairs = _counts(inside, heads), _counts(outside, heads)

    def take_step(step: int) -> Mapping[str, Tensor]:
        gap = torch.zeros(())
        for _ in range(int(settings["critic_steps"])):
            levels_given, shown = patients.by_levels(batch, generator)
            real = heads.features(levels_given)
            with torch.no_grad():
                fake = made(real, shown)
            scores = [net.judge(weights[parts:], seen(side, shown)) for side in (real, fake)]
            gap = (scores[0] - scores[1]).mean()
            part = torch.rand(batch // pack, 1, generator=generator).repeat_interleave(pack, 0)[:, :, None]
            between = seen(real * part + fake * (1 - part), shown).requires_grad_(True)
            (slope,) = torch.autograd.grad(net.judge(weights[parts:], between).sum(), between, create_graph=True)
            size = slope.reshape(batch // pack, -1).norm(dim=1)
            loop.descend(critics, float(settings["penalty"]) * ((size - 1) ** 2).mean() - gap)
        levels_given, shown = patients.by_levels(batch, generator)
        fake = made(heads.features(levels_given), shown)
        likely = _pairs(shares(weights[:parts], *anybody(batch, generator)), inside_pairs)
        loss = -float(settings["pairs"]) * likely - net.judge(weights[parts:], seen(fake, shown)).mean()
        loop.descend(makers, loss, rate * min(1.0, step / 100))
        return {"gap": gap.detach()}

    fixed = anybody(DRAWN_TO_EVALUATE, torch.Generator().manual_seed(seed))

    def evaluate(average: Sequence[Tensor]) -> loop.Evaluation:
        found = [float(_pairs(shares(average[:parts], *fixed), counts)) for counts in (inside_pairs, held_pairs)]
        return loop.Evaluation(-found[1], {"train": found[0], "validation": found[1]})

    plan = loop.Plan(
        "gan", steps=int(settings["steps"]), every=EVALUATE_EVERY, patience=int(settings["patience"]),
        ema=float(settings["ema"]), checkpoint_every=int(settings["checkpoint_every"]), start_counts=True,
    )  # fmt: skip
    trained = loop.train(weights, [makers, critics], take_step, plan, generator, evaluate if held else None, checkpoint)
    history = pd.DataFrame(trained.history, columns=["step", *(["train", "validation"] if held else []), "gap"])
    return [part.numpy() for part in trained.weights[:parts]], history


class _Patients:
    """Training patients as they come up, each with the columns that are given of the patient."""

    def __init__(self, heads: Heads, levels: Tensor, sets: list[np.ndarray]) -> None:
        import torch

        self.heads, self.levels = heads, levels
        self.named = torch.tensor(np.array(sets)).reshape(-1, heads.columns).float()
        chances = []
        for column in levels.T:  # a level comes up by the logarithm of its frequency
            counts = torch.bincount(column, minlength=heads.levels).float()
            share = torch.log1p(counts)
            chances.append((share / share.sum() / counts.clamp(min=1))[column])
        self.along = torch.stack(chances).cumsum(1)

    def by_levels(self, n: int, chance: Generator) -> tuple[Tensor, Tensor]:
        """(n, columns) levels, and 1 for the columns that are given: one by its levels, or a set that the study names.

        Where sets are named, each is as frequent as the single columns together.
        """
        import torch

        column = torch.randint(self.heads.columns, (n,), generator=chance)
        place = torch.rand(n, 1, generator=chance) * self.along[column, -1:]
        rows = torch.searchsorted(self.along[column], place, right=True).squeeze(1).clamp(max=len(self.levels) - 1)
        shown = torch.nn.functional.one_hot(column, self.heads.columns).float()
        if len(self.named):
            which = torch.randint(1 + len(self.named), (n,), generator=chance)
            anyone = torch.randint(len(self.levels), (n,), generator=chance)
            rows = torch.where(which > 0, anyone, rows)
            shown = torch.where((which > 0)[:, None], self.named[(which - 1).clamp(min=0)], shown)
        return self.levels[rows], shown

    def of_all(self, n: int, chance: Generator) -> tuple[Tensor, Tensor]:
        """(n, columns) levels of patients who are all as likely, and 1 for one column that is given of each."""
        import torch

        column = torch.randint(self.heads.columns, (n,), generator=chance)
        rows = torch.randint(len(self.levels), (n,), generator=chance)
        return self.levels[rows], torch.nn.functional.one_hot(column, self.heads.columns).float()


def _counts(patients: Tensor, heads: Heads) -> Tensor:
    """Share of each pair of levels of two columns among all pairs of patients: (columns * levels) twice, sum 1."""
    import torch

    own = torch.nn.functional.one_hot(patients, heads.levels).float().flatten(1)
    column = torch.arange(heads.columns).repeat_interleave(heads.levels)
    counts = torch.where(column[:, None] == column[None], 0.0, own.T @ own)
    return counts / counts.sum().clamp(min=1)


def _pairs(shares: Tensor, counts: Tensor) -> Tensor:
    """Mean log likelihood of a pair of columns, of patients whose pairs of levels are as `counts` says.

    Composite likelihood (Varin et al., Stat Sin 2011;21:5), a proper score of the joint distributions of pairs. Columns
    are independent given the noise, so that a pair's distribution is the mean product of their shares.
    """
    import torch

    drawn = shares.flatten(1)
    return (counts * torch.log(drawn.T @ drawn / len(drawn) + 1e-6)).sum()


def sample(fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., derived columns missing.

    Raises:
        InputError: the schema and the fitted generator name different columns, or hardly any sampled patient has an
            event that `where` asks for.
    """
    import torch

    arrays, encoding = fitted.arrays, Encoding.load(fitted.arrays, fitted.description["encoding"])
    conditions = Conditions.load(fitted.description)
    net = _Net(Heads(encoding, int(fitted.description["network"]["order"])), fitted.description["network"])
    weights = [torch.tensor(arrays[f"generator.{name}"]) for name in net.generator]

    def draw(m: int) -> Coded:
        parts = [
            _draw(net, weights, arrays["base"], encoding, conditions, min(CHUNK, m - at), rng)
            for at in range(0, m, CHUNK)
        ]
        return Coded(np.concatenate([p.levels for p in parts]), np.concatenate([p.positions for p in parts]))

    return collect(encoding, conditions, schema, n, draw)


def _draw(
    net: _Net, weights: Sequence[Tensor], base: np.ndarray, encoding: Encoding, conditions: Conditions, n: int,
    rng: np.random.Generator,
) -> Coded:  # fmt: skip
    """n patients: given one column each, or given what is asked for, and then given the columns to condition on."""
    import torch

    heads = net.heads
    levels = np.zeros((n, heads.columns), dtype=np.int64)
    for i in range(heads.columns):
        share = np.exp(base[i, : encoding.sizes[i]].astype(np.float64)) * conditions.permit(encoding, i)
        levels[:, i] = one_of_each(np.broadcast_to(share, (n, len(share))), rng)
    one = np.eye(heads.columns, dtype=bool)[rng.integers(heads.columns, size=n)]
    sets = _sets(encoding, conditions)
    first = sets[0] if sets and any(conditions.asks(v) for v in encoding.variables) else None
    passes = [one if first is None else np.broadcast_to(first, one.shape)]
    passes += [np.broadcast_to(columns, one.shape) for columns in sets if columns is not first]
    drawing = Drawing(encoding, conditions, n, rng)
    for shown in passes:
        noise = torch.tensor(rng.standard_normal((n, net.latent)).astype(np.float32))
        mask = torch.tensor(shown.astype(np.float32))
        with torch.no_grad():
            tilt = net.tilt(weights, noise, heads.features(torch.tensor(levels)), mask)
            shares = torch.softmax(heads.logits(tilt, torch.tensor(base)), dim=-1).numpy()
        drawing = Drawing(encoding, conditions, n, rng)
        for i in range(heads.columns):
            own = np.eye(heads.levels)[levels[:, i]]
            drawing.draw(i, np.where(shown[:, i, None], own, shares[:, i]))
        levels = drawing.levels.copy()
    return Coded(drawing.levels, drawing.positions)
