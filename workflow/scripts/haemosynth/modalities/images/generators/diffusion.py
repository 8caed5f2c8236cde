"""Denoising diffusion of images and their masks, given their description, which is drawn given the patient's record.

Preconditioning and noise levels follow Karras et al. (EDM, NeurIPS 2022), the deterministic sampler Lu et al.
(DPM-Solver++, 2022), with one change: the part of the denoiser that needs no learning is not a multiple of the noisy
image but the best linear denoiser of the training images, a Gaussian in principal components whose mean depends on the
record (for much noise, denoisers are linear: Wang and Vastola, TMLR 2024). The network learns what is left, so that a
few minutes on a CPU start from the linear model's images instead of from nothing. It works on blocks of `patch` x
`patch` pixels as channels, and first on quarters of images with their place (patch diffusion: Wang et al., NeurIPS
2023), which are four times as many examples in the same time.

Between record and image stands a description of some twenty numbers (`description.py`): it is learned and drawn given
the record (`description_model.py`) and conditions network and linear part, instead of a hundred indicators of the
record, which a network learns by heart. It is blurred a little in training (conditioning augmentation) and left out now
and then, which classifier-free guidance needs (Ho and Salimans, 2022). For little noise, where grain is decided, a
local denoiser is learned from patches (`local.py`); which denoiser serves at which noise is decided on patients that
are left out. Augmented images are told apart by their transformation as a further condition, so that samples,
drawn without it, show none (Karras et al., NeurIPS 2020 and 2022). Training stops where patients that are left out are
denoised best and the variety of training images is reached, and at the first copies of training images among images
drawn on the way: a network may learn images by heart while it still denoises others better.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.progress import progress
from haemosynth.core.streams import torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.learn import loop
from haemosynth.learn.checkpoint import Checkpoint, identity_of
from haemosynth.modalities.images.description import describe, fields_of
from haemosynth.modalities.images.generators import description_model
from haemosynth.modalities.images.generators.coding import Coding, leave_out, rows_of_owners
from haemosynth.modalities.images.generators.copies import CopySearch
from haemosynth.modalities.images.generators.principal_components import components, regression
from haemosynth.modalities.images.part import Images, images_of
from haemosynth.stats.neighbours import neighbourhoods

if TYPE_CHECKING:
    import torch

    from haemosynth.modalities.images.generators.local import Local
    from haemosynth.modalities.images.generators.unet import Denoiser, Window

DEFAULTS: dict[str, Any] = {
    "condition": "description",  # what images are drawn given: a description drawn given the record; or the `record`
    "components": 64,  # principal components of the linear part, at most
    "patch": None,  # pixels of a block's side; null: so that 32 blocks or fewer stand in a row
    "width": [32, 64, 96],  # channels at each resolution, the finest first
    "steps": 3000,  # at most; training stops earlier on patients left out
    "patience": 800,  # steps without better denoising of patients left out
    "batch": 32,
    "learning_rate": 2e-3,
    "weight_decay": 1e-3,
    "ema": 0.995,
    "left_out": 0.1,  # share of training patients that stopping is decided on
    "copies": 0.01,  # share of copies among drawn images, beyond which training stops unless chance explains it
    "augmentation": 0.3,  # share of images with each transformation: mirrored, and shifted, turned and scaled
    "unconditional": 0.1,  # share of images shown without their record
    "column_dropout": 0.1,  # share of the condition's features that is hidden from the network
    "crops": 0.6,  # share of the steps, the first ones, in which the network sees quarters of images and where they lie
    "blurred": 0.15,  # standard deviation of noise on a description in training, in normal scores
    "variety": 0.1,  # of the loss that decides when training stops: times the share of real images out of reach
    "local_steps": 800,  # of the denoiser for little noise; 0: none
    "local_width": 64,  # its channels
    "guidance": 1.0,  # of the record: 1 draws from the learned distribution, more exaggerates what the record says
    "sampling_steps": 28,  # evaluations of the network for an image
    "checkpoint_every": 200,  # steps
}
EVALUATE_EVERY = 200  # steps
DRAWN = 96  # images in which copies are sought at each evaluation
LEVELS = 6  # noise levels at which each image left out is denoised
# Of the logarithm of the noise in training: its mean falls from the first to the second value. Whether and where a
# small structure lies is decided at much noise, grain and edges at little; EDM's -1.2 and 1.2 hardly sees the first.
SIGMA_MEANS, SIGMA_DEVIATION = (0.4, -1.3), 1.4
SIGMA_LOW, SIGMA_HIGH, RHO = 0.01, 40.0, 7.0  # of the sampler
CHUNK = 64  # images sampled at once
CONDITIONS = ("description", "record")
LITTLE = 1.0  # noise up to which the local denoiser learns
RANGES = np.geomspace(SIGMA_LOW, SIGMA_HIGH, 14)  # levels of noise at which denoisers are compared
DIRECTIONS, NEIGHBOURS = 12, 5  # leading components in which variety is measured, as in the stage image_coverage
TRANSFORMATION = 5  # numbers that describe an augmentation: mirrored, shift (2), turn, scale


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None) -> Fitted:
    """Fit to the images of training patients.

    The history holds the denoising loss, 1 for the linear part alone, and the share of copies among drawn images.

    Args:
        checkpoint: path prefix; an interrupted fit of the same patients and settings is taken up from there and gives
            the same bytes as an uninterrupted one (on a CPU). The files are removed on success.

    Raises:
        InputError: the cohort has no images.
    """
    import torch

    from haemosynth.modalities.images.generators.unet import Denoiser

    if settings["condition"] not in CONDITIONS:
        expected = " or ".join(CONDITIONS)
        raise InputError(f"methods.images: condition: {settings['condition']!r} is unknown; expected {expected}")
    coding = Coding.learn(train)
    planes, rows = coding.encode(images_of(train)), rows_of_owners(images_of(train), train)
    described: tuple[dict[str, np.ndarray], dict[str, Any]] | None = None
    if settings["condition"] == "description":
        table, given, places = describe(images_of(train)), coding.conditions(train, rows), coding.places(rows)
        described = description_model.learn(table, fields_of(images_of(train)), given, rows, places, rng)
        told = description_model.features(described[1], table)
        condition = np.hstack([told, coding.place_features(rows)]).astype(np.float32)
    else:
        condition = coding.conditions(train, rows).astype(np.float32)
    out = leave_out(rows, float(settings["left_out"]), rng)
    seed = torch_seed(rng)
    linear = components(planes[~out], rows[~out], int(settings["components"]))
    linear |= regression(linear.pop("scores"), condition[~out].astype(float), rows[~out])
    shape = network_shape(planes.shape[1:], condition.shape[1], settings)
    search = CopySearch.learn(planes[:, : len(coding.plain["channels"])], rows)
    kept = Checkpoint(checkpoint, identity_of(settings, seed, planes, condition))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Denoiser(linear, shape, TRANSFORMATION).to(_device())
    weights, history = _train(model, planes, condition, out, search, settings, seed, kept)
    model.put(torch.tensor(weights))
    arrays = {"weights": weights, **{f"linear.{k}": v for k, v in linear.items()}}
    local = _train_local(model, planes, condition, out, settings, seed, checkpoint)
    if local is not None:
        arrays["local"] = torch.nn.utils.parameters_to_vector(local.parameters()).detach().cpu().numpy()
    if described is not None:
        arrays |= {f"description.{k}": v for k, v in described[0].items()}
    description = {
        "coding": dict(coding.plain),
        "parameters": int(sum(array.size for array in arrays.values())),
        "network": shape,
        "local_width": int(settings["local_width"]),
        "ranges": _ranges(model, local, planes, condition, out, seed),
        "description": None if described is None else described[1],
        "guidance": float(settings["guidance"]),
        "sampling_steps": int(settings["sampling_steps"]),
    }
    return Fitted(arrays, description, history)


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Images:
    """Draw the images of these patients; with the descriptions that they were drawn from, where there are some."""
    import torch

    coding = Coding(fitted.description["coding"])
    rows = coding.owners(given, rng)
    table = None
    if (known := fitted.description.get("description")) is None:
        condition = torch.tensor(coding.conditions(given, rows).astype(np.float32))
    else:
        own = {k.removeprefix("description."): v for k, v in fitted.arrays.items() if k.startswith("description.")}
        table = description_model.draw(own, known, coding.conditions(given, rows), rows, coding.places(rows), rng)
        told = np.hstack([description_model.features(known, table), coding.place_features(rows)])
        condition = torch.tensor(told.astype(np.float32))
    planes = draw_planes(fitted, condition, rng)
    images = coding.decode(planes, np.asarray(given.patients, dtype=str)[rows], "diffusion")
    return images if table is None else replace(images, descriptions=table)


def draw_planes(fitted: Fitted, condition: torch.Tensor, rng: np.random.Generator) -> np.ndarray:
    """(images, planes, H, W) coded images given their conditions (images, features)."""
    import torch

    from haemosynth.modalities.images.generators.local import Local, Ranged
    from haemosynth.modalities.images.generators.unet import Denoiser

    coding = Coding(fitted.description["coding"])
    linear = {k.removeprefix("linear."): v for k, v in fitted.arrays.items() if k.startswith("linear.")}
    device = _device()
    model = Denoiser(linear, fitted.description["network"], TRANSFORMATION).to(device)
    model.put(torch.tensor(fitted.arrays["weights"]))
    local = None
    if "local" in fitted.arrays:
        local = Local(model, coding.planes, int(fitted.description["local_width"])).to(device)
        local.put(torch.tensor(fitted.arrays["local"]).to(device))
    ranged = Ranged(model, local, fitted.description.get("ranges", ()))
    model.eval()
    generator = torch.Generator().manual_seed(torch_seed(rng))
    size = (coding.planes, *coding.plain["size"])
    drawn = [np.empty((0, *size), dtype=np.float32)]
    for at in progress(range(0, len(condition), CHUNK), "images", math.ceil(len(condition) / CHUNK)):
        part = condition[at : at + CHUNK].to(device)
        noise = torch.randn((len(part), *size), generator=generator).to(device)
        steps, guidance = int(fitted.description["sampling_steps"]), float(fitted.description["guidance"])
        drawn.append(solve(ranged, noise, part, steps, guidance).float().cpu().numpy())
    return np.concatenate(drawn)


def network_shape(size: tuple[int, ...], features: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Plain description of the network for images of this size (planes, H, W) and a record of so many features."""
    planes, height, width = size
    patch = settings["patch"] or max(1, math.ceil(max(height, width) / 32))
    return {
        "planes": planes, "height": height, "width": width, "features": features, "patch": int(patch),
        "channels": [int(c) for c in settings["width"]],
    }  # fmt: skip


def solve(model: Any, noise: torch.Tensor, condition: torch.Tensor, steps: int, guidance: float) -> torch.Tensor:
    """Images from noise (N, planes, H, W) by DPM-Solver++ (2M) on EDM's noise levels, `steps` evaluations of the model.

    In units of log noise the solution between two levels is an average of denoised images; the solver extrapolates
    them linearly from the last two levels. For a normal distribution it has half the error of Heun's method at 20
    steps, with less than the 39 evaluations that takes.
    """
    import torch

    count, device = len(noise), noise.device
    shown, hidden = torch.ones(count, device=device), torch.ones_like(condition)
    plain = torch.zeros(count, TRANSFORMATION, device=device)
    ramp = np.linspace(0, 1, steps)
    sigmas = (SIGMA_HIGH ** (1 / RHO) + ramp * (SIGMA_LOW ** (1 / RHO) - SIGMA_HIGH ** (1 / RHO))) ** RHO
    model.eval()
    with torch.no_grad(), _mix_precision(device):
        x = noise * sigmas[0]
        earlier, h, before = None, 0.0, 0.0
        for step, sigma in enumerate(sigmas.tolist()):
            level = torch.full((count,), sigma, device=device)
            found = model(x, level, condition, shown, hidden, plain)[0]
            if guidance != 1.0:
                without = model(x, level, condition, torch.zeros_like(shown), hidden, plain)[0]
                found = without + guidance * (found - without)
            if step + 1 == steps:
                return torch.as_tensor(found)
            kept = float(sigmas[step + 1]) / sigma
            h, before = -math.log(kept), h
            ahead = found if earlier is None else found + h / (2 * before) * (found - earlier)
            x, earlier = kept * x + (1 - kept) * ahead, found
    raise ValueError("a sampler needs at least one step")


def transform(planes: torch.Tensor, share: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Some images mirrored, some shifted, turned and scaled; with the transformation of each (N, TRANSFORMATION)."""
    import torch
    from torch.nn import functional as f

    n = len(planes)
    mirrored = torch.rand(n, generator=generator) < share / 2
    moved = torch.rand(n, generator=generator) < share
    draws = torch.rand((n, 4), generator=generator) * 2 - 1
    labels = torch.cat([mirrored[:, None].float(), draws * moved[:, None]], dim=1)
    planes = torch.where(mirrored[:, None, None, None], planes.flip(-1), planes)
    if bool(moved.any()):
        shift, turn, scale = 0.15 * draws[moved, :2], 0.2 * draws[moved, 2], torch.exp(0.15 * draws[moved, 3])
        cosine, sine = scale * turn.cos(), scale * turn.sin()
        top, low = torch.stack([cosine, -sine, shift[:, 0]], dim=1), torch.stack([sine, cosine, shift[:, 1]], dim=1)
        grid = f.affine_grid(torch.stack([top, low], dim=1), list(planes[moved].shape), align_corners=False)
        planes = planes.clone()
        planes[moved] = f.grid_sample(planes[moved], grid, padding_mode="border", align_corners=False)
    return planes, labels


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _mix_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Half precision (bfloat16) on a GPU, full precision on a CPU."""
    import torch

    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()


def _train(
    model: Denoiser, planes: np.ndarray, condition: np.ndarray, out: np.ndarray, search: CopySearch | None,
    settings: Mapping[str, Any], seed: int, checkpoint: Checkpoint,
) -> tuple[np.ndarray, pd.DataFrame]:  # fmt: skip
    """Flat weights and history. planes: coded images. condition: their records. out: the images left out."""
    import torch

    device, generator = _device(), torch.Generator().manual_seed(seed)
    x, record = torch.tensor(planes), torch.tensor(condition)
    inside = torch.tensor(np.flatnonzero(~out))
    total, batch, rate = int(settings["steps"]), min(int(settings["batch"]), len(inside)), settings["learning_rate"]
    decay = float(settings["weight_decay"])
    adam = torch.optim.AdamW(model.parameters(), float(rate), betas=(0.9, 0.99), weight_decay=decay)

    def take_step(step: int) -> Mapping[str, float]:
        rows = inside[torch.randint(len(inside), (batch,), generator=generator)]
        shown_planes, labels = transform(x[rows], float(settings["augmentation"]), generator)
        center = SIGMA_MEANS[0] + (SIGMA_MEANS[1] - SIGMA_MEANS[0]) * (step - 1) / total
        sigma = (torch.randn(batch, generator=generator) * SIGMA_DEVIATION + center).exp()
        noise = torch.randn(shown_planes.shape, generator=generator) * sigma[:, None, None, None]
        shown = (torch.rand(batch, generator=generator) >= float(settings["unconditional"])).float()
        kept = torch.rand(record[rows].shape, generator=generator) >= float(settings["column_dropout"])
        told = _blur(record[rows], settings, generator)
        model.train()
        given = [part.to(device) for part in (shown_planes, noise, sigma, told, shown, kept.float(), labels)]
        window = _crop(model, x.shape, generator) if step <= float(settings["crops"]) * total else None
        with _mix_precision(device):
            loss = _loss(model, *given, window=window)
        now = float(rate) * min(1.0, step / 100) * max(0.05, 1 - step / total)
        loop.descend(adam, loss, now, clip=1.0)
        return {}

    plan = loop.Plan(
        "diffusion", steps=total, every=EVALUATE_EVERY, patience=int(settings["patience"]),
        ema=float(settings["ema"]), checkpoint_every=int(settings["checkpoint_every"]),
    )  # fmt: skip
    evaluate = _evaluation(model, x, record, out, search, settings, seed)
    trained = loop.train(model.parameters(), [adam], take_step, plan, generator, evaluate, checkpoint)
    checkpoint.remove()
    weights = torch.nn.utils.parameters_to_vector(trained.weights).cpu().numpy()
    return weights, pd.DataFrame(trained.history, columns=["step", "train", "validation", "copies", "recall", "spread"])


def _crop(model: Denoiser, shape: Sequence[int], generator: torch.Generator) -> Window:
    """A window of half the height and width, on whole blocks; None where images are too small for one."""
    import torch

    sides = [side // 2 // model.unit * model.unit for side in shape[2:]]
    if min(sides) < 2 * model.unit:
        return None
    starts = [
        model.patch * int(torch.randint((whole - side) // model.patch + 1, (1,), generator=generator))
        for side, whole in zip(sides, shape[2:], strict=True)
    ]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns


def _blur(record: torch.Tensor, settings: Mapping[str, Any], generator: torch.Generator) -> torch.Tensor:
    """Conditions with a little noise, where they are descriptions: so that single ones are not learned by heart."""
    import torch

    if settings["condition"] != "description":
        return record
    return record + float(settings["blurred"]) * torch.randn(record.shape, generator=generator)


def _train_local(
    model: Denoiser, planes: np.ndarray, condition: np.ndarray, out: np.ndarray, settings: Mapping[str, Any], seed: int,
    checkpoint: Path | None,
) -> Local | None:  # fmt: skip
    """The denoiser for little noise, learned from all patches of the training images; None where none is asked for."""
    import torch

    from haemosynth.modalities.images.generators.local import Local

    total, rate = int(settings["local_steps"]), float(settings["learning_rate"])
    if not total:
        return None
    device, generator = _device(), torch.Generator().manual_seed(seed + 3)
    x, record = torch.tensor(planes), torch.tensor(condition)
    inside, outside = np.flatnonzero(~out), np.flatnonzero(out)
    held = torch.tensor(outside if len(outside) else inside)[: 4 * CHUNK]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 3)
        local = Local(model, x.shape[1], int(settings["local_width"])).to(device)
    batch = min(int(settings["batch"]), len(inside))
    adam = torch.optim.AdamW(local.parameters(), rate, betas=(0.9, 0.99), weight_decay=float(settings["weight_decay"]))
    low, high = math.log(SIGMA_LOW), math.log(LITTLE)

    def noised(rows: torch.Tensor, chance: torch.Generator) -> list[torch.Tensor]:
        sigma = (low + (high - low) * torch.rand(len(rows), generator=chance)).exp()
        noise = torch.randn(x[rows].shape, generator=chance) * sigma[:, None, None, None]
        return [part.to(device) for part in (x[rows], noise, sigma, record[rows])]

    def loss(parts: list[torch.Tensor]) -> torch.Tensor:
        shown, noise, sigma, told = parts
        found, size = local(shown + noise, sigma, told)
        squared: torch.Tensor = ((found - shown) / size).square().mean()
        return squared

    def take_step(step: int) -> Mapping[str, float]:
        rows = torch.tensor(inside)[torch.randint(len(inside), (batch,), generator=generator)]
        now = rate * min(1.0, step / 100) * max(0.05, 1 - step / total)
        loop.descend(adam, loss(noised(rows, generator)), now, clip=1.0)
        return {}

    def evaluate(average: Sequence[torch.Tensor]) -> loop.Evaluation:
        own = torch.nn.utils.parameters_to_vector(local.parameters()).clone()
        local.put(torch.nn.utils.parameters_to_vector(average))
        found = float(loss(noised(held, torch.Generator().manual_seed(seed + 4))))
        local.put(own)
        return loop.Evaluation(found)

    plan = loop.Plan("local denoiser", steps=total, every=EVALUATE_EVERY, ema=float(settings["ema"]),
                     checkpoint_every=int(settings["checkpoint_every"]), start_counts=True)  # fmt: skip
    prefix = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}_local")
    kept = Checkpoint(prefix, identity_of(settings, seed, planes, condition))
    trained = loop.train(local.parameters(), [adam], take_step, plan, generator, evaluate, kept)
    kept.remove()
    local.put(torch.nn.utils.parameters_to_vector(trained.weights))
    return local


def _ranges(
    model: Denoiser, local: Local | None, planes: np.ndarray, condition: np.ndarray, out: np.ndarray, seed: int
) -> list[list[Any]]:
    """[level of noise, the denoiser of the lowest loss there, the losses of all] at RANGES, on the images left out."""
    import torch

    from haemosynth.modalities.images.generators.local import LINEAR, LOCAL, NETWORK, best_of

    device, held = _device(), np.flatnonzero(out)
    held = (held if len(held) else np.arange(len(planes)))[: 2 * CHUNK]
    x, record = torch.tensor(planes[held]).to(device), torch.tensor(condition[held]).to(device)
    generator = torch.Generator().manual_seed(seed + 5)
    one, plain = torch.ones(len(x), device=device), torch.zeros(len(x), TRANSFORMATION, device=device)
    compared = (LINEAR, NETWORK) if local is None else (LINEAR, NETWORK, LOCAL)
    losses: dict[str, list[float]] = {name: [] for name in compared}
    model.eval()
    with torch.no_grad():
        for level in RANGES:
            noise = float(level) * torch.randn(x.shape, generator=generator).to(device)
            sigma = torch.full((len(x),), float(level), device=device)
            found = {
                LINEAR: model.linear_part(x + noise, sigma, record),
                NETWORK: model(x + noise, sigma, record, one, torch.ones_like(record), plain),
            }
            if local is not None:
                found[LOCAL] = local(x + noise, sigma, record)
            weight = found[NETWORK][1]
            for name, (denoised, _) in found.items():
                losses[name].append(float(((denoised - x) / weight).square().mean()))
    names = best_of(losses)
    return [
        [float(level), names[i], {name: round(own[i], 5) for name, own in losses.items()}]
        for i, level in enumerate(RANGES)
    ]


def _evaluation(
    model: Denoiser, x: torch.Tensor, record: torch.Tensor, out: np.ndarray, search: CopySearch | None,
    settings: Mapping[str, Any], seed: int,
) -> Callable[[Sequence[torch.Tensor]], loop.Evaluation]:  # fmt: skip
    """How well averaged weights denoise images left out, and whether they draw copies of the training images."""
    import torch

    inside, outside = (torch.tensor(np.flatnonzero(rows)) for rows in (~out, out))
    held = _fix_noise(x[outside if len(outside) else inside], record[outside if len(outside) else inside], seed)
    shown_again = _fix_noise(x[inside][: len(held[0])], record[inside][: len(held[0])], seed + 1)
    averaged, device = copy.deepcopy(model).eval(), _device()

    def draw() -> torch.Tensor:
        """Images drawn for training patients, with the same noise at every evaluation."""
        fixed = torch.Generator().manual_seed(seed + 2)
        given = record[inside[torch.randint(len(inside), (DRAWN,), generator=fixed)]].to(device)
        noise = torch.randn((DRAWN, *x.shape[1:]), generator=fixed).to(device)
        drawn = solve(averaged, noise, given, int(settings["sampling_steps"]), float(settings["guidance"]))
        return drawn.float().cpu()

    beside = x[outside if len(outside) > 2 * NEIGHBOURS else inside][:DRAWN]

    def variety(drawn: torch.Tensor) -> tuple[float, float]:
        """Recall and spread of drawn images beside those left out, in the leading components of training images."""
        axes, mean = averaged.axes[:DIRECTIONS].cpu(), averaged.mean.cpu()
        real, made = (((part.flatten(1) - mean) @ axes.T).double().numpy() for part in (beside, drawn))
        spread = np.exp(np.log((made.std(axis=0) + 1e-9) / (real.std(axis=0) + 1e-9)).mean())
        count = min(NEIGHBOURS, len(real) - 1)
        return (float(neighbourhoods(real, made, count)["recall"]) if count > 0 else math.nan), float(spread)

    def evaluate(average: Sequence[torch.Tensor]) -> loop.Evaluation:
        averaged.put(torch.nn.utils.parameters_to_vector(average))
        scores = [_measure_loss(averaged, part, device) for part in (shown_again, held)]
        drawn = draw()
        share = math.nan if search is None else search.share(drawn[:, : search.channels].numpy())
        recall, spread = variety(drawn)
        # More copies than may be, and than chance explains.
        copied = search is not None and share > float(settings["copies"]) and not search.is_chance(share, DRAWN)
        missed = 0.0 if math.isnan(recall) else 1 - recall
        criterion = scores[1] * (1 + float(settings["variety"]) * missed)
        row = {"train": scores[0], "validation": scores[1], "copies": share, "recall": recall, "spread": spread}
        return loop.Evaluation(criterion, row, copied)

    return evaluate


def _loss(
    model: Any, planes: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, record: torch.Tensor,
    shown: torch.Tensor, kept: torch.Tensor, labels: torch.Tensor, *, window: Window = None,
) -> torch.Tensor:  # fmt: skip
    found, size = model(planes + noise, sigma, record, shown, kept, labels, window)
    planes = planes if window is None else planes[..., window[0], window[1]]
    squared: torch.Tensor = ((found - planes) / size).square().mean()
    return squared


def _fix_noise(planes: torch.Tensor, record: torch.Tensor, seed: int) -> list[torch.Tensor]:
    """Images with the same noise at every evaluation: at LEVELS levels, quantiles of those in mid training."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    quantiles = torch.special.ndtri((torch.arange(LEVELS) + 0.5) / LEVELS)
    sigma = (quantiles * SIGMA_DEVIATION + sum(SIGMA_MEANS) / 2).exp().repeat_interleave(len(planes))
    noise = torch.randn((len(sigma), *planes.shape[1:]), generator=generator) * sigma[:, None, None, None]
    return [planes.repeat(LEVELS, 1, 1, 1), noise, sigma, record.repeat(LEVELS, 1)]


def _measure_loss(model: Any, part: list[torch.Tensor], device: torch.device) -> float:
    import torch

    total, count = 0.0, len(part[0])
    for at in range(0, count, CHUNK):
        planes, noise, sigma, record = (tensor[at : at + CHUNK].to(device) for tensor in part)
        shown, plain = torch.ones(len(sigma), device=device), torch.zeros(len(sigma), TRANSFORMATION, device=device)
        with _mix_precision(device):
            total += float(_loss(model, planes, noise, sigma, record, shown, torch.ones_like(record), plain)) * len(
                planes
            )
    return total / count
