"""Speed and memory of the image diffusion model, beside MONAI's DiffusionModelUNet of the same number of weights.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts .venv/bin/python benchmarks/imaging.py [size] [width ...]

Three planes (CT, PET, mask), batches of 16. On a GPU both run in bfloat16, memory is the peak that torch allocated,
and the share of the card's peak counts the multiplications of convolutions and matrices (PyTorch's own count); on a
CPU it is one thread, CPU seconds, and memory is not told apart. MONAI's network is the usual one, on single pixels.
"""

import sys
import time
from contextlib import nullcontext

import numpy as np
import torch
from monai.networks.nets import DiffusionModelUNet
from phantoms import phantoms
from torch.utils.flop_counter import FlopCounterMode

from haemosynth.modalities.images.generators import diffusion
from haemosynth.modalities.images.generators.coding import Coding, rows_of_owners
from haemosynth.modalities.images.generators.principal_components import components, regression
from haemosynth.modalities.images.part import images_of

BATCH = 16
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bfloat16 operations in a second, by the maker


def timed(device, run, repeats):
    """Seconds of one run, after one that is not counted."""
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    start = clock()
    for _ in range(repeats):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) / repeats


def same_size(count):
    """MONAI's network whose number of weights is nearest to `count`, attention at the coarsest of three resolutions."""
    found = []
    for width in range(16, 161, 8):
        channels = (width, 2 * width, 3 * width)
        net = DiffusionModelUNet(
            spatial_dims=2, in_channels=3, out_channels=3, channels=channels, attention_levels=(False, False, True),
            num_res_blocks=1, num_head_channels=width, norm_num_groups=8,
        )  # fmt: skip
        found.append((abs(sum(p.numel() for p in net.parameters()) - count), width, net))
    return min(found, key=lambda row: row[:2])[2]


def main(size, width):
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    name = torch.cuda.get_device_name() if gpu else "CPU, one thread"
    train = phantoms(200, 1, size)
    coding = Coding.learn(train)
    planes, rows = coding.encode(images_of(train)), rows_of_owners(images_of(train), train)
    condition = coding.conditions(train, rows)
    linear = components(planes, rows, 64)
    linear |= regression(linear.pop("scores"), condition, rows)
    shape = diffusion.network_shape(planes.shape[1:], condition.shape[1], diffusion.DEFAULTS | {"width": width})
    own = diffusion.Denoiser(linear, shape).to(device)
    peer = same_size(sum(p.numel() for p in own.parameters())).to(device)
    x = torch.tensor(planes[:BATCH]).to(device)
    record = torch.tensor(condition[:BATCH].astype(np.float32)).to(device)
    sigma, shown = torch.full((BATCH,), 0.5, device=device), torch.ones(BATCH, device=device)
    plain = torch.zeros(BATCH, diffusion.TRANSFORMATION, device=device)

    def mixed():
        return torch.autocast("cuda", dtype=torch.bfloat16) if gpu else nullcontext()

    def ours():
        return own(x, sigma, record, shown, torch.ones_like(record), plain)[0]

    def theirs():
        return peer(x, torch.full((BATCH,), 500, device=device))

    print(f"{name}; {size} x {size} pixels, batches of {BATCH}, blocks of {shape['patch']} x {shape['patch']} pixels")
    for label, net, call in (("this project", own, ours), ("MONAI", peer, theirs)):
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4)

        def step(call=call, optimiser=optimiser):
            optimiser.zero_grad()
            with mixed():
                loss = torch.nn.functional.mse_loss(call(), x)
            loss.backward()
            optimiser.step()

        def drawn(call=call):
            with torch.no_grad(), mixed():
                call()

        if gpu:
            torch.cuda.reset_peak_memory_stats()
        trained, evaluated = timed(device, step, 30 if gpu else 3), timed(device, drawn, 30 if gpu else 3)
        text = (
            f"{label}: {sum(p.numel() for p in net.parameters()) / 1e6:.2f} M weights; {trained * 1e3:.0f} ms a step, "
        )
        text += f"{BATCH / trained:.1f} images a second trained; evaluation {evaluated * 1e3:.0f} ms, "
        text += f"{BATCH / evaluated / 28:.2f} images a second sampled with 28 evaluations"
        if gpu:
            with FlopCounterMode(display=False) as counter:
                step()
            peak = next((value for card, value in PEAKS.items() if card in name), float("nan"))
            text += f"; peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB; "
            text += f"{counter.get_total_flops() / trained / peak:.1%} of the peak of bfloat16"
        print(text, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64, [int(w) for w in sys.argv[2:]] or diffusion.DEFAULTS["width"])
