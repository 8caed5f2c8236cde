"""Adam with decoupled weight decay, as torch.optim.AdamW computes it but for the last digits; and torch's own.

torch wraps the methods of its optimisers so that its compiler leaves them alone, and imports the compiler for it, which
takes two seconds of processor and is not used here: both are without these wrappers.

The clinical autoencoder's releases are promised to come out the same byte for byte; torch.optim.AdamW moves the first
moment by `lerp` and divides in another order, which rounds otherwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class _Plain(torch.optim.Optimizer):
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class AdamW(_Plain, torch.optim.AdamW):
    """torch.optim.AdamW to the last digit."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Adam(_Plain):
    """AdamW (Loshchilov and Hutter, ICLR 2019). decay: a number, or a tensor like the weights with a decay for each."""

    def __init__(
        self,
        weights: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        decay: float | Tensor = 0.0,
    ) -> None:
        super().__init__(weights, {"lr": lr, "betas": betas, "eps": eps, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step along the gradients that the weights hold."""
        for group in self.param_groups:
            rate, (beta1, beta2) = group["lr"], group["betas"]
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state |= {"step": torch.tensor(0.0), "first": torch.zeros_like(weight)}
                    state["second"] = torch.zeros_like(weight)
                state["step"] += 1
                step = int(state["step"])
                first = state["first"].mul_(beta1).add_(weight.grad, alpha=1 - beta1)
                second = state["second"].mul_(beta2).addcmul_(weight.grad, weight.grad, value=1 - beta2)
                size = (second / (1 - beta2**step)).sqrt_().add_(group["eps"])
                weight.mul_(1 - rate * group["decay"]).sub_(rate / (1 - beta1**step) * first / size)
