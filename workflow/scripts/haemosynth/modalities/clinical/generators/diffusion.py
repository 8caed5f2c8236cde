"""Masked diffusion of the clinical table: columns are hidden at random and drawn back, in any order.

Noise hides columns until all are hidden (absorbing states: Austin et al., NeurIPS 2021); one denoiser predicts the
levels of hidden columns from those that are visible. Its bound on the likelihood is that of a model that draws columns
in a random order (Hoogeboom et al., ICLR 2022; Sahoo et al., NeurIPS 2024), and so are patients drawn: from nothing,
from the columns that a study conditions on, or from what is recorded of a patient, whose missing entries are then
imputed (`Model.fill`). Columns are coded by `encoding`, and heads move the marginal distribution along smooth functions
(`heads`). Two things keep it from learning patients by heart, as in `vae`: members are trained on bootstrap samples and
their predictions averaged, and training stops where the likelihood of out-of-bag patients is best, for an exponential
moving average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Schema
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop
from haemosynth.learn.checkpoint import Checkpoint, identity_of
from haemosynth.modalities.clinical.generators.conditioning import Conditions
from haemosynth.modalities.clinical.generators.encoding import Coded, Encoding
from haemosynth.modalities.clinical.generators.heads import Drawing, Heads, code, collect, start

if TYPE_CHECKING:
    from torch import Tensor

DEFAULTS: dict[str, Any] = {
    "patients": 20_000,  # training patients to learn from; of more so many are drawn at random
    "fewest": 0,  # training patients that a level must have to be learned, see `rare`
    "bins": 20,  # quantile bins of numbers and times
    "order": 5,  # cosines along ordered bins
    "members": 4,  # denoisers, each on its own bootstrap sample
    "width": 128,  # hidden units of each layer
    "dropout": 0.2,  # of hidden units
    "steps": 3000,  # at most; training stops earlier on out-of-bag patients
    "patience": 400,  # steps without a better out-of-bag likelihood
    "batch": 128,
    "learning_rate": 2e-3,
    "weight_decay": 0.1,
    "ema": 0.98,
    "checkpoint_every": 100,  # steps
    "condition": [],  # columns generated first: all others are conditioned on them
    "where": {},  # column -> level or number: only such patients are sampled
    "missing": "learned",  # or "completed": no missing values are sampled
}
EVALUATE_EVERY = 50  # steps
CHUNK = 256  # patients who are drawn in the same order of columns
STILL = ("out", "direct")


class Denoiser:
    """Shapes and the forward pass; every weight has the member as its first axis."""

    def __init__(self, heads: Heads, members: int, width: int) -> None:
        self.heads, self.members, self.width = heads, members, width
        entered = heads.inputs + heads.columns
        self.shapes: dict[str, tuple[int, ...]] = {
            "enter": (members, entered, width), "enter_bias": (members * width,),
            "inner": (members, width, width), "inner_bias": (members * width,),
            "out": (members, width, heads.inputs), "direct": (members, entered, heads.inputs),
            "out_bias": (members * heads.inputs,),
        }  # fmt: skip

    def hidden(
        self, weights: Sequence[Tensor], levels: Tensor, visible: Tensor, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What goes in, (patients, inputs + columns), and what the last layer reads, (members, patients, width).

        levels: (patients, columns). visible: (patients, columns), 1 or 0. keep: mask of the hidden units.
        """
        import torch

        w = dict(zip(self.shapes, weights, strict=True))
        x = torch.cat([(self.heads.features(levels) * visible[:, :, None]).flatten(1), visible], dim=1)
        h = torch.nn.functional.silu(x @ w["enter"] + w["enter_bias"].reshape(self.members, 1, -1))
        h = h if keep is None else h * keep
        return x, h + torch.nn.functional.silu(h @ w["inner"] + w["inner_bias"].reshape(self.members, 1, -1))

    def log_shares(
        self, weights: Sequence[Tensor], levels: Tensor, visible: Tensor, base: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """(members, patients, columns, levels) log probability of each level of each column given the visible ones."""

        w = dict(zip(self.shapes, weights, strict=True))
        x, h = self.hidden(weights, levels, visible, keep)
        tilt = h @ w["out"] + x @ w["direct"] + w["out_bias"].reshape(self.members, 1, -1)
        shares = self.heads.logits(tilt.flatten(0, 1), base).log_softmax(-1)
        return shares.reshape(self.members, len(x), *shares.shape[1:])

    def of_column(self, weights: Sequence[Tensor], levels: Tensor, visible: Tensor, base: Tensor, i: int) -> Tensor:
        """(patients, levels) probability of each level of column i, the mean over members."""
        import torch

        w, heads = dict(zip(self.shapes, weights, strict=True)), self.heads
        x, h = self.hidden(weights, levels, visible)
        own = slice(i * heads.functions, (i + 1) * heads.functions)
        bias = w["out_bias"].reshape(self.members, 1, -1)[..., own]
        tilt = h @ w["out"][:, :, own] + x @ w["direct"][:, :, own] + bias
        return torch.softmax(tilt @ heads.basis[i].T + base[i], dim=-1).mean(0)


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit the denoiser to training patients; columns of the history are mean bounds of the log likelihood per patient.

    Args:
        checkpoint: path prefix; an interrupted fit of the same patients and settings is taken up from there and gives
            the same bytes as an uninterrupted one. The files are removed on success.

    Raises:
        InputError: a setting that names an unknown column or level.
    """
    coded = code(train, settings, rng)
    net = Denoiser(coded.heads, int(settings["members"]), int(settings["width"]))
    seed = torch_seed(rng)
    kept = Checkpoint(checkpoint, identity_of(settings, seed, coded.levels, coded.base))
    weights, history = _train(net, coded.levels, coded.base, settings, seed, kept)
    kept.remove()
    network = {key: settings[key] for key in ("members", "width", "order")}
    return coded.pack("denoiser", net.shapes, weights, network, history)


def _train(
    net: Denoiser, levels: np.ndarray, base: np.ndarray, settings: Mapping[str, Any], seed: int, checkpoint: Checkpoint
) -> tuple[list[np.ndarray], pd.DataFrame]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    n, columns, members = len(levels), net.heads.columns, net.members
    target, log_base = torch.tensor(levels), torch.tensor(base)
    drawn = torch.randint(n, (members, n), generator=generator)
    counts = torch.zeros(members, n).scatter_add_(1, drawn, torch.ones(members, n))
    weights = start(net.shapes, generator, still=STILL)
    rate, decay, dropout = (float(settings[key]) for key in ("learning_rate", "weight_decay", "dropout"))
    groups: list[dict[str, Any]] = [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": decay},
        {"params": [w for w in weights if w.dim() == 1], "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))
    batch = min(int(settings["batch"]), n)

    def bound(log_shares: Tensor, rows: Tensor, visible: Tensor) -> Tensor:
        """(members, patients) estimate of the bound: hidden columns represent all that may come next at this point."""
        index = rows.expand(len(log_shares), -1, -1).unsqueeze(-1)
        found = log_shares.gather(-1, index).squeeze(-1) * (1 - visible)
        return found.sum(-1) * columns / (1 - visible).sum(-1)

    def take_step(step: int) -> Mapping[str, Tensor]:
        rows = torch.randint(n, (batch,), generator=generator)
        visible = _visible(batch, columns, generator)
        keep = (torch.rand(batch, net.width, generator=generator) >= dropout).float() / (1 - dropout)
        shares = net.log_shares(weights, target[rows], visible, log_base, keep)
        loss = -(bound(shares, target[rows], visible) * counts[:, rows]).mean(1).sum() / columns
        loop.descend(adam, loss, rate * min(1.0, step / 50), clip=5.0)
        return {}

    # The same columns are hidden at every evaluation: half of one order, and what the other half left.
    fixed = torch.Generator().manual_seed(seed)
    hidings = [_visible(n, columns, fixed) for _ in range(4)]
    masks = [(counts > 0).float(), (counts == 0).float()]

    def evaluate(average: Sequence[Tensor]) -> loop.Evaluation:
        scores = []
        found = [net.log_shares(average, target, visible, log_base) for visible in hidings]
        for mask in masks:
            some = mask.sum(0) > 0
            log_mask = torch.where(mask > 0, 0.0, -torch.inf)[:, :, None, None]
            total = torch.zeros(n)
            for shares, visible in zip(found, hidings, strict=True):
                mixed = torch.logsumexp(shares + log_mask, dim=0) - mask.sum(0).clamp(min=1).log()[:, None, None]
                total += bound(mixed[None], target, visible)[0] / len(hidings)
            scores.append(float(total[some].mean()) if bool(some.any()) else 0.0)
        return loop.Evaluation(-scores[1], {"train": scores[0], "validation": scores[1]})

    plan = loop.Plan(
        "diffusion", steps=int(settings["steps"]), every=EVALUATE_EVERY, patience=int(settings["patience"]),
        ema=float(settings["ema"]), checkpoint_every=int(settings["checkpoint_every"]),
    )  # fmt: skip
    trained = loop.train(weights, [adam], take_step, plan, generator, evaluate, checkpoint)
    return [part.numpy() for part in trained.weights], pd.DataFrame(
        trained.history, columns=["step", "train", "validation"]
    )


def _visible(n: int, columns: int, generator: Any) -> Tensor:
    """(n, columns) 1 for the columns that come first in a random order, of any number but all."""
    import torch

    rank = torch.rand(n, columns, generator=generator).argsort(1).argsort(1)
    return (rank < torch.randint(columns, (n, 1), generator=generator)).float()


class Model:
    """A fitted denoiser, ready to draw columns given any others."""

    def __init__(self, fitted: Fitted) -> None:
        import torch

        self.encoding = Encoding.load(fitted.arrays, fitted.description["encoding"])
        self.conditions = Conditions.load(fitted.description)
        network = fitted.description["network"]
        self.net = Denoiser(Heads(self.encoding, int(network["order"])), int(network["members"]), int(network["width"]))
        self.weights = [torch.tensor(fitted.arrays[f"denoiser.{name}"]) for name in self.net.shapes]
        self.base = torch.tensor(fitted.arrays["base"])

    def probabilities(self, levels: np.ndarray, visible: np.ndarray, i: int) -> np.ndarray:
        """(patients, levels) of column i given the visible levels.  levels, visible: (patients, columns)"""
        import torch

        with torch.no_grad():
            shown = torch.tensor(visible.astype(np.float32))
            found = self.net.of_column(self.weights, torch.tensor(levels), shown, self.base, i)
        return np.asarray(found.numpy(), dtype=np.float64)[:, : int(self.encoding.sizes[i])]

    def fill(self, known: Coded, visible: np.ndarray, conditions: Conditions, rng: np.random.Generator) -> Coded:
        """Patients whose columns that are not visible are drawn, in a random order for every `CHUNK` of them.

        Columns to condition on come first and endpoints last, in their order, so that these stay coupled.

        Args:
            known: levels and positions of all columns; those of columns that are not visible are not read.
            visible: (patients, columns).
        """
        parts = []
        for at in range(0, len(visible), CHUNK):
            rows = slice(at, at + CHUNK)
            shown = visible[rows].copy()
            drawing = Drawing(self.encoding, conditions, len(shown), rng)
            drawing.levels[shown], drawing.positions[shown] = known.levels[rows][shown], known.positions[rows][shown]
            order = rng.permutation(len(self.encoding.variables))
            kept = {i: drawing.levels[:, i].copy() for i in order}
            for i in sorted(order, key=self._turn):
                if not shown[:, i].all() or i in self.encoding.endpoints:
                    chance = self.probabilities(drawing.levels, shown, i)
                    own = np.eye(chance.shape[1])[kept[i]]
                    drawing.draw(i, np.where(visible[rows, i, None], own, chance))
                shown[:, i] = True
            parts.append(Coded(drawing.levels, drawing.positions))
        return Coded(np.concatenate([p.levels for p in parts]), np.concatenate([p.positions for p in parts]))

    def _turn(self, i: int) -> tuple[int, int]:
        """When column i is drawn: what is asked for, what is conditioned on, the others as they come, endpoints."""
        variable = self.encoding.variables[i]
        if i in self.encoding.endpoints:
            return 3, i
        if variable.name in self.conditions.first:
            return (0 if self.conditions.asks(variable) else 1), 0
        return 2, 0


def sample(fitted: Fitted, schema: Schema, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sample n patients: clinical table, typed, index S000001..., derived columns missing.

    Raises:
        InputError: the schema and the fitted generator name different columns, or hardly any sampled patient has an
            event that `where` asks for.
    """
    model = Model(fitted)

    def draw(m: int) -> Coded:
        shape = (m, len(model.encoding.variables))
        nothing = Coded(np.zeros(shape, dtype=np.int64), np.zeros(shape))
        return model.fill(nothing, np.zeros(shape, dtype=bool), model.conditions, rng)

    return collect(model.encoding, model.conditions, schema, n, draw)
