"""The training loop: it finds minima, keeps the best, averages by its formula, and goes on where it was cut off."""

import json
import math

import numpy as np
import pytest
import torch

from haemosynth.learn import loop
from haemosynth.learn.checkpoint import Checkpoint
from haemosynth.learn.loop import Evaluation, Plan, descend, move, train


class Interrupted(Exception):
    pass


def quadratic(minimum, steps, noise=0.0, optimiser=torch.optim.Adam, checkpoint=loop.NOWHERE, plan=None, fails=None):
    """Training of two tensors towards a minimum that is seen through noise."""
    generator = torch.Generator().manual_seed(1)
    weights = [torch.zeros_like(part, requires_grad=True) for part in minimum]
    adam = optimiser(weights, lr=0.1)

    def take_step(step):
        if step == fails:
            raise Interrupted
        seen = [part + noise * torch.randn(part.shape, generator=generator) for part in minimum]
        loss = torch.stack([((w - part) ** 2).sum() for w, part in zip(weights, seen, strict=True)]).sum()
        descend(adam, loss, rate=0.1 * (1 - (step - 1) / steps))
        return {"loss": loss.detach()}

    def evaluate(average):
        error = math.fsum(float(((w - part) ** 2).sum()) for w, part in zip(average, minimum, strict=True))
        return Evaluation(error, {"validation": error})

    return train(weights, [adam], take_step, plan or Plan("test", steps, 10), generator, evaluate, checkpoint)


MINIMUM = [torch.tensor([1.0, -2.0, 0.5]), torch.tensor([[3.0]])]


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_a_quadratic_loss_is_led_to_its_minimum(optimiser):
    weight_decay = {"weight_decay": 0.0} if optimiser is torch.optim.AdamW else {}
    trained = quadratic(MINIMUM, 400, optimiser=lambda weights, lr: optimiser(weights, lr=lr, **weight_decay))
    for found, minimum in zip(trained.weights, MINIMUM, strict=True):
        torch.testing.assert_close(found, minimum, atol=1e-3, rtol=0)
    assert [row["step"] for row in trained.history] == list(range(10, 401, 10))
    assert trained.history[-1]["loss"] < 1e-4 * trained.history[0]["loss"]


def walk(losses, plan, stops_at=None):
    """Training whose weight is the number of the step, with these losses of those held back."""
    weight, told = torch.zeros(1), iter(losses)

    def take_step(step):
        weight.fill_(float(step))
        return {}

    def evaluate(average):
        loss = next(told)
        return Evaluation(loss, {"loss": loss, "seen": float(average[0])}, stop=float(average[0]) == stops_at)

    return train([weight], [], take_step, plan, torch.Generator(), evaluate)


def test_training_stops_when_patience_ends_and_keeps_the_best():
    trained = walk([5.0, 3.0, 4.0, 3.5, 3.0, 9.0, 1.0], Plan("test", 100, 2, patience=6))
    assert trained.best_step == 4
    assert trained.weights[0].tolist() == [4.0]
    assert [row["step"] for row in trained.history] == [2, 4, 6, 8, 10]  # an equal loss is no better one
    assert [row["seen"] for row in trained.history] == [2, 4, 6, 8, 10]


def test_the_last_step_is_evaluated_and_without_patience_all_are_taken():
    trained = walk([3.0, 4.0, 5.0, 2.0], Plan("test", 7, 2))
    assert [row["step"] for row in trained.history] == [2, 4, 6, 7]
    assert trained.weights[0].tolist() == [7.0]


def test_the_start_is_kept_where_it_counts_and_nothing_is_better():
    for counts, expected in ((True, 0.0), (False, 2.0)):
        losses = ([1.0] if counts else []) + [2.0, 3.0, 4.0]
        assert walk(losses, Plan("test", 6, 2, start_counts=counts)).weights[0].tolist() == [expected]


def test_an_evaluation_may_end_training_and_its_weights_are_not_kept():
    trained = walk([3.0, 2.0, 1.0, 0.0], Plan("test", 20, 5), stops_at=15)
    assert [row["step"] for row in trained.history] == [5, 10, 15]
    assert trained.weights[0].tolist() == [10.0]


def test_a_loss_that_is_no_number_is_never_the_best():
    assert walk([math.nan, math.nan], Plan("test", 4, 2)).best_step == 0


@pytest.mark.parametrize("steps", [1, 5, 90])
def test_the_average_of_a_line_lags_by_an_eleventh(steps):
    """With keep = t / (t + 10), the sum of 10 (s + 9)! / s! * t! / (t + 10)! * s over s is 10/11 t."""
    weight = torch.full((3,), 7.0, dtype=torch.float64)

    def take_step(step):
        weight.fill_(7 + 0.5 * step)
        return {}

    trained = train([weight], [], take_step, Plan("test", steps, 10, ema=0.9), torch.Generator())
    expected = torch.full((3,), 7 + 0.5 * steps * 10 / 11, dtype=torch.float64)
    torch.testing.assert_close(trained.weights[0], expected)


def test_after_the_first_steps_the_lag_is_that_of_an_exponential_average():
    weight = torch.zeros(1, dtype=torch.float64)

    def take_step(step):
        weight.fill_(2.0 * step)
        return {}

    trained = train([weight], [], take_step, Plan("test", 2000, 2000, ema=0.95), torch.Generator())
    assert float(trained.weights[0]) == pytest.approx(2.0 * (2000 - 0.95 / 0.05), rel=1e-9)


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("fails", [3, 21, 22, 38])
def test_an_interrupted_training_gives_the_bytes_of_an_uninterrupted_one(tmp_path, ema, fails):
    plan = Plan("test", 40, 5, patience=40, ema=ema, checkpoint_every=7)
    whole = quadratic(MINIMUM, 40, 0.5, plan=plan)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "this one")
    with pytest.raises(Interrupted):
        quadratic(MINIMUM, 40, 0.5, plan=plan, checkpoint=checkpoint, fails=fails)
    if fails > 7:
        assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == (fails - 1) // 7 * 7
    resumed = quadratic(MINIMUM, 40, 0.5, plan=plan, checkpoint=checkpoint)
    assert [part.numpy().tobytes() for part in resumed.weights] == [part.numpy().tobytes() for part in whole.weights]
    assert resumed.history == whole.history
    assert resumed.best_step == whole.best_step
    # What is finished is taken up as finished.
    again = quadratic(MINIMUM, 40, 0.5, plan=plan, checkpoint=checkpoint, fails=1)
    assert again.history == whole.history
    assert [part.numpy().tobytes() for part in again.weights] == [part.numpy().tobytes() for part in whole.weights]


def test_without_the_moments_of_the_optimiser_the_bytes_would_differ(tmp_path, monkeypatch):
    plan = Plan("test", 40, 5, checkpoint_every=7)
    whole = quadratic(MINIMUM, 40, 0.5, plan=plan)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "this one")
    with pytest.raises(Interrupted):
        quadratic(MINIMUM, 40, 0.5, plan=plan, checkpoint=checkpoint, fails=30)
    monkeypatch.setattr(torch.optim.Adam, "load_state_dict", lambda *_: None)
    resumed = quadratic(MINIMUM, 40, 0.5, plan=plan, checkpoint=checkpoint)
    assert resumed.weights[0].numpy().tobytes() != whole.weights[0].numpy().tobytes()


def test_a_checkpoint_with_other_names_is_not_taken_up(tmp_path):
    plan = Plan("test", 20, 5, checkpoint_every=7)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "this one")
    checkpoint.save({"flat": np.zeros(3)}, {"step": 10})
    assert quadratic(MINIMUM, 20, plan=plan, checkpoint=checkpoint).history == quadratic(MINIMUM, 20, plan=plan).history


def test_a_gradient_is_cut_to_its_length_and_groups_move_at_their_ease():
    slow, fast = (torch.zeros(2, requires_grad=True) for _ in range(2))
    sgd = torch.optim.SGD([{"params": [slow], "ease": 0.1}, {"params": [fast]}], lr=1.0)
    descend(sgd, (3 * slow + 4 * fast).sum(), rate=2.0, clip=1.0)
    # The gradient (3, 3, 4, 4) has the length sqrt(50).
    torch.testing.assert_close(fast.detach(), torch.full((2,), -2 * 4 / math.sqrt(50)), rtol=1e-5, atol=0)
    torch.testing.assert_close(slow.detach(), torch.full((2,), -0.2 * 3 / math.sqrt(50)), rtol=1e-5, atol=0)
    moved = fast.detach().clone()
    move(sgd, 0.0)
    torch.testing.assert_close(fast.detach(), moved)


def test_progress_is_told_of_the_steps_that_are_left(tmp_path, monkeypatch):
    seen = []
    plan = Plan("a name", 20, 5, checkpoint_every=7)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "this one")
    with pytest.raises(Interrupted):
        quadratic(MINIMUM, 20, plan=plan, checkpoint=checkpoint, fails=16)
    monkeypatch.setattr(
        loop, "progress", lambda items, name, total: (seen.append((name, total, i)) or i for i in items)
    )
    quadratic(MINIMUM, 20, plan=plan, checkpoint=checkpoint)
    assert seen == [("a name", 6, step) for step in range(14, 20)]
