"""Speed and memory of training and sampling the image diffusion model, as a job does it, beside MONAI's network.

    PYTHONPATH=workflow/scripts .venv/bin/python benchmarks/imaging.py [size] [width ...]

What is timed is `diffusion.fit` itself in the environment of a job (`workflow/scripts/job.py`: pinned instruction set,
one thread): steps with augmentation, clipping and averaging, and an evaluation with the images drawn for it; then the
local denoiser, and drawing. Beside it the same step of MONAI's DiffusionModelUNet of the same number of weights, for
the same batch. Three planes (CT, PET, mask). On a CPU times are CPU seconds of one thread; since these grow where other
processes share the machine, the time of a product of two matrices of 1,024 x 1,024 stands beside. On a GPU both run in
bfloat16, memory is the peak that torch allocated, and the share of the card's peak counts the multiplications of
convolutions and matrices (PyTorch's own count). MONAI's network is the usual one, on single pixels.
"""

import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from job import INSTRUCTION_SET, THREADS  # before numpy and torch start

os.environ.update(INSTRUCTION_SET)
os.environ.update(dict.fromkeys(THREADS, "1"))

import numpy as np
import torch
from monai.networks.nets import DiffusionModelUNet
from phantoms import phantoms
from torch.utils.flop_counter import FlopCounterMode

from haemosynth.core.streams import stream
from haemosynth.learn import loop
from haemosynth.modalities.images.generators import diffusion

STEPS = 6
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bfloat16 operations in a second, by the maker


class Timed:
    """Seconds of the calls of a function, CPU seconds on a CPU."""

    def __init__(self, function, gpu):
        self.function, self.gpu, self.seconds = function, gpu, []

    def __call__(self, *arguments, **named):
        clock = time.perf_counter if self.gpu else time.process_time
        start = clock()
        found = self.function(*arguments, **named)
        if self.gpu:
            torch.cuda.synchronize()
        self.seconds.append(clock() - start)
        return found


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


def job_of(train, settings, gpu):
    """Seconds of a step, of an evaluation and of a step of the local denoiser in `diffusion.fit`, and the model."""
    told = {}
    whole = loop.train

    def train_timed(weights, optimisers, take_step, plan, generator, evaluate, checkpoint):
        step, judged = Timed(take_step, gpu), Timed(evaluate, gpu)
        told[plan.name] = (step, judged)
        return whole(weights, optimisers, step, plan, generator, judged, checkpoint)

    loop.train = train_timed
    try:
        fitted = diffusion.fit(train, settings, stream(1), None)
    finally:
        loop.train = whole
    return told, fitted


def main(size, width):
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    name = torch.cuda.get_device_name() if gpu else "CPU, one thread"
    settings = diffusion.DEFAULTS | {"width": width, "steps": STEPS, "local_steps": STEPS}
    matrix = torch.randn(1024, 1024)
    product = Timed(lambda: matrix @ matrix, False)
    for _ in range(5):
        product()
    batch = settings["batch"]
    print(f"{name}; {size} x {size} pixels, batches of {batch}; CPU: product of 1,024 x 1,024 matrices "
          f"{min(product.seconds) * 1e3:.0f} to {max(product.seconds) * 1e3:.0f} ms", flush=True)  # fmt: skip
    train = phantoms(200, 1, size)
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    told, fitted = job_of(train, settings, gpu)
    steps, judged = told["diffusion"]
    count = fitted.arrays["weights"].size
    step, evaluation = float(np.median(steps.seconds[1:])), judged.seconds[-1]
    little = float(np.median(told["local denoiser"][0].seconds[1:]))
    print(f"a job: {count / 1e6:.2f} M weights; {step * 1e3:.0f} ms a step, "
          f"{batch / step:.1f} images a second trained; {evaluation:.1f} s an evaluation, every "
          f"{diffusion.EVALUATE_EVERY} steps ({evaluation / diffusion.EVALUATE_EVERY / step:.0%} beside the steps); "
          f"local denoiser {little * 1e3:.0f} ms a step", flush=True)  # fmt: skip
    features = fitted.description["network"]["features"]
    draw = Timed(diffusion.draw_planes, gpu)
    draw(fitted, torch.zeros(batch, features), np.random.default_rng(0))
    text = f"drawing: {batch / draw.seconds[-1]:.2f} images a second, {settings['sampling_steps']} evaluations each"
    print(text + (f"; peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if gpu else ""), flush=True)
    peer = same_size(count).to(device)
    optimiser = torch.optim.AdamW(peer.parameters(), lr=1e-4)
    x = torch.randn(batch, 3, size, size, device=device)

    def peer_step():
        with torch.autocast("cuda", dtype=torch.bfloat16) if gpu else nullcontext():
            loss = torch.nn.functional.mse_loss(peer(x, torch.full((batch,), 500, device=device)), x)
        loop.descend(optimiser, loss, 1e-4, clip=1.0)

    theirs = Timed(peer_step, gpu)
    for _ in range(3):
        theirs()
    print(f"MONAI: {sum(p.numel() for p in peer.parameters()) / 1e6:.2f} M weights; {min(theirs.seconds) * 1e3:.0f} ms "
          f"a step, {min(theirs.seconds) / step:.1f} times as long", flush=True)  # fmt: skip
    if gpu:
        with FlopCounterMode(display=False) as counter:
            peer_step()
        peak = next((value for card, value in PEAKS.items() if card in name), float("nan"))
        print(f"MONAI: {counter.get_total_flops() / min(theirs.seconds) / peak:.1%} of the peak of bfloat16")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64, [int(w) for w in sys.argv[2:]] or diffusion.DEFAULTS["width"])
