"""One training loop under all networks: averaging, early stop, history, and taking up an interrupted training.

A model says in `take_step` what a step is, mostly `descend` along the gradient of a loss, and in `evaluate` how good
the weights are for patients held back. The rest is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from haemosynth.core.progress import progress
from haemosynth.learn.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NOWHERE = Checkpoint(None, "")
PARTS = ("weights", "average", "best")  # of a state, each with as many tensors as there are weights


@dataclass(frozen=True)
class Plan:
    """How long is trained, and what of the weights is kept."""

    name: str  # what the progress is called
    steps: int  # at most
    every: int  # steps from one row of the history, and one evaluation, to the next
    patience: int | None = None  # steps without a lower loss of those held back; None: all steps are taken
    ema: float | None = None  # of the exponential moving average of the weights; None: the weights themselves
    checkpoint_every: int | None = None  # steps
    start_counts: bool = False  # whether the weights at the start are evaluated, and kept where none are better


@dataclass(frozen=True)
class Evaluation:
    """How good weights are. loss: of those held back. row: for the history. stop: these weights may not be kept, and
    no further step may be taken."""

    loss: float
    row: Mapping[str, float] = field(default_factory=dict)
    stop: bool = False


@dataclass
class Trained:
    """What training left: the best weights where they were evaluated, the averaged ones elsewhere."""

    weights: list[Tensor]
    history: list[dict[str, float]]  # rows with `step`, what was evaluated and what steps told
    best_step: int


@dataclass
class _State:
    weights: Sequence[Tensor]
    average: Sequence[Tensor]  # the weights themselves where they are not averaged
    best: Sequence[Tensor]
    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    stopped: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    weights: Iterable[Tensor],
    optimisers: Sequence[torch.optim.Optimizer],
    take_step: Callable[[int], Mapping[str, float | Tensor]],
    plan: Plan,
    generator: torch.Generator,
    evaluate: Callable[[Sequence[Tensor]], Evaluation] | None = None,
    checkpoint: Checkpoint = NOWHERE,
) -> Trained:
    """Take steps until they are used up, or those held back are no longer served better.

    Args:
        weights: tensors that the steps change in place; what is averaged and kept.
        optimisers: whose state an interrupted training needs to go on.
        take_step: changes the weights; it is given the number of the step, from 1, and returns entries of the history.
        generator: the only chance that steps may take.
        evaluate: the loss of those held back under the averaged weights; None: the last averaged weights are kept.
        checkpoint: where an interrupted training is taken up from, to the same bytes; removing it is the caller's part.
    """
    import torch

    weights = list(weights)
    state = _begin(weights, plan)
    if not _resume(state, optimisers, generator, checkpoint) and evaluate is not None and plan.start_counts:
        with torch.no_grad():
            state.best_loss = evaluate(state.average).loss

    def remaining() -> Iterator[int]:
        patience = math.inf if evaluate is None or plan.patience is None else plan.patience
        while state.step < plan.steps and state.step - state.best_step < patience and not state.stopped:
            yield state.step

    for _ in progress(remaining(), plan.name, plan.steps - state.step):
        state.step += 1
        told = take_step(state.step)
        if plan.ema is not None:
            average(state.average, weights, plan.ema, state.step)
        if state.step % plan.every == 0 or state.step == plan.steps:
            with torch.no_grad():
                found = None if evaluate is None else evaluate(state.average)
            _note(state, found, told)
        if plan.checkpoint_every and state.step % plan.checkpoint_every == 0:
            _save(state, optimisers, generator, checkpoint)
    if plan.checkpoint_every:
        _save(state, optimisers, generator, checkpoint)
    kept = state.average if evaluate is None else state.best
    return Trained([part.detach() for part in kept], state.history, state.best_step)


def descend(
    optimiser: torch.optim.Optimizer, loss: Tensor, rate: float | None = None, clip: float | None = None
) -> None:
    """One step of the optimiser along the gradient of the loss, which is cut to the length `clip`.

    rate: the learning rate of this step, see `move`.
    """
    import torch

    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if clip is not None:
        torch.nn.utils.clip_grad_norm_([w for group in optimiser.param_groups for w in group["params"]], clip)
    move(optimiser, rate)


def move(optimiser: torch.optim.Optimizer, rate: float | None = None) -> None:
    """One step of the optimiser along the gradients that the weights hold.

    rate: the learning rate of this step, times the `ease` of a group of weights that has one; None: as it was set.
    """
    if rate is not None:
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("ease", 1.0)
    optimiser.step()


def average(into: Sequence[Tensor], weights: Sequence[Tensor], ema: float, step: int) -> None:
    """Exponential moving average, in place, that keeps `ema` of what it was, and less in the first steps.

    While it keeps step / (step + 10), of weights that move evenly it is where they were after 10/11 of the steps.
    """
    import torch

    keep = min(ema, step / (step + 10))
    with torch.no_grad():
        for mean, weight in zip(into, weights, strict=True):
            mean.mul_(keep).add_(weight, alpha=1 - keep)


def _begin(weights: Sequence[Tensor], plan: Plan) -> _State:
    own, best = ([weight.detach().clone() for weight in weights] for _ in range(2))
    return _State(weights, weights if plan.ema is None else own, best)


def _note(state: _State, found: Evaluation | None, told: Mapping[str, float | Tensor]) -> None:
    """Write a row of the history, and keep the averaged weights where they are the best so far."""
    row = {} if found is None else dict(found.row)
    state.history.append({"step": state.step, **row, **{name: float(value) for name, value in told.items()}})
    if found is None:
        return
    state.stopped = found.stop
    if found.loss < state.best_loss and not found.stop:
        state.best_loss, state.best_step = found.loss, state.step
        state.best = [part.detach().clone() for part in state.average]


def _save(
    state: _State, optimisers: Sequence[torch.optim.Optimizer], generator: torch.Generator, checkpoint: Checkpoint
) -> None:
    if checkpoint.prefix is None:
        return
    tensors = {f"{part}/{i}": tensor for part in PARTS for i, tensor in enumerate(getattr(state, part))}
    for o, optimiser in enumerate(optimisers):
        for i, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{o}/{i}/{name}": tensor for name, tensor in moments.items()}
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    kept = [own.name for own in fields(state) if own.name not in PARTS]
    plain = {name: getattr(state, name) for name in kept}
    checkpoint.save({**arrays, "generator": generator.get_state().numpy()}, plain)


def _resume(
    state: _State, optimisers: Sequence[torch.optim.Optimizer], generator: torch.Generator, checkpoint: Checkpoint
) -> bool:
    """Whether there was a checkpoint; the state, the weights, the optimisers and the generator are then as it says."""
    import torch

    found = checkpoint.load()
    if found is None or f"{PARTS[0]}/0" not in found[0]:  # written by a version that named things otherwise
        return False
    arrays, plain = found
    with torch.no_grad():
        for part in PARTS:
            for i, tensor in enumerate(getattr(state, part)):
                tensor.copy_(torch.tensor(arrays[f"{part}/{i}"]))
    for o, optimiser in enumerate(optimisers):
        moments: dict[int, dict[str, Any]] = {}
        for name, array in arrays.items():
            kind, *place = name.split("/")
            if kind == "optimiser" and int(place[0]) == o:
                moments.setdefault(int(place[1]), {})[place[2]] = torch.tensor(array)
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    generator.set_state(torch.tensor(arrays["generator"]))
    for name, value in plain.items():
        if hasattr(state, name):
            setattr(state, name, value)
    return True
