"""Adam: the numbers of torch.optim.AdamW, and a decay of its own for each weight."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from haemosynth.learn.adam import Adam, AdamW


def steps(optimiser, weights, count=200):
    """Weights after steps along gradients of a changing, crooked loss."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(count):
        target = torch.randn(weights.shape, generator=generator, dtype=weights.dtype)
        optimiser.zero_grad()
        ((weights - target) ** 2 + torch.sin(3 * weights)).sum().backward()
        optimiser.step()
    return weights.detach()


def start(dtype=torch.float64):
    return torch.linspace(-1, 1, 23, dtype=dtype).requires_grad_(True)


@pytest.mark.parametrize(("betas", "decay"), [((0.9, 0.99), 0.0), ((0.9, 0.99), 0.1), ((0.5, 0.999), 0.02)])
def test_it_moves_as_torch_does(betas, decay):
    own, theirs = start(), start()
    steps(Adam([own], 0.01, betas, decay=decay), own)
    steps(torch.optim.AdamW([theirs], 0.01, betas, weight_decay=decay), theirs)
    torch.testing.assert_close(own, theirs, rtol=1e-10, atol=1e-12)


def test_torchs_own_without_its_wrappers_is_the_same_to_the_last_bit():
    own, theirs = start(torch.float32), start(torch.float32)
    ours = AdamW([own], 0.01, weight_decay=0.1)
    steps(ours, own)
    others = torch.optim.AdamW([theirs], 0.01, weight_decay=0.1)
    steps(others, theirs)
    assert torch.equal(own, theirs)
    assert torch.equal(ours.state_dict()["state"][0]["exp_avg"], others.state_dict()["state"][0]["exp_avg"])


def test_no_compiler_is_imported():
    code = (
        "import sys, torch; from haemosynth.learn.adam import Adam, AdamW; w = torch.ones(3, requires_grad=True)\n"
        "for kind in (Adam, AdamW):\n"
        "    o = kind([w], lr=0.1); o.zero_grad(); w.sum().backward(); o.step(); o.load_state_dict(o.state_dict())\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    scripts = Path(__file__).parents[2] / "workflow" / "scripts"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(scripts)})


def test_each_weight_decays_by_its_own():
    decay = torch.zeros(23, dtype=torch.float64)
    decay[10:] = 0.3
    mixed, none, all_of_them = start(), start(), start()
    steps(Adam([mixed], 0.01, decay=decay), mixed)
    steps(Adam([none], 0.01), none)
    steps(Adam([all_of_them], 0.01, decay=0.3), all_of_them)
    torch.testing.assert_close(mixed[:10], none[:10], rtol=0, atol=0)
    torch.testing.assert_close(mixed[10:], all_of_them[10:], rtol=0, atol=0)
    assert not torch.equal(none[10:], all_of_them[10:])


def test_its_state_is_taken_up_to_the_same_bytes():
    whole, half = start(torch.float32), start(torch.float32)
    first = Adam([whole], 0.01)
    steps(first, whole, 5)
    with torch.no_grad():
        half.copy_(whole)
    second = Adam([half], 0.01)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for one, other in ((first, whole), (second, half)):
        steps(one, other, 7)
    assert torch.equal(whole, half)
    fresh = start(torch.float32)
    with torch.no_grad():
        fresh.copy_(half)
    assert not torch.equal(steps(Adam([fresh], 0.01), fresh, 1), steps(second, half, 1))
