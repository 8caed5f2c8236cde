"""Generators of images: the coding, the three algorithms, the references, interruption and resumption."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures_pictures import WINDOWS, pictured
from scipy.ndimage import gaussian_filter

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.generate.fitted import load, save
from haemosynth.learn import loop
from haemosynth.modalities.images.generators import autoencoder, diffusion, principal_components
from haemosynth.modalities.images.generators.coding import Coding, compress, expand, leave_out, rows_of_owners
from haemosynth.modalities.images.generators.copies import CopySearch
from haemosynth.modalities.images.generators.local import Local, Ranged, best_of
from haemosynth.modalities.images.generators.unet import Denoiser
from haemosynth.modalities.images.part import images_of
from haemosynth.modalities.images.reference import reference
from haemosynth.modalities.registry import load_algorithm

QUICK = {
    "diffusion": {
        "width": [8, 8],
        "patch": 2,
        "steps": 40,
        "batch": 8,
        "sampling_steps": 4,
        "checkpoint_every": 15,
        "local_steps": 0,
    },
    "autoencoder": {"width": [8, 8], "latent": 4, "steps": 40, "batch": 8},
    "principal_components": {},
}


def quick(name):
    algorithm = load_algorithm("images", name)
    return algorithm, algorithm.DEFAULTS | QUICK[name]


def without_images(cohort: Cohort) -> Cohort:
    return cohort.replace(images=None)


def test_pixels_are_coded_reversibly_within_and_beyond_their_window():
    pixels = np.random.default_rng(0).normal(0, 400, (5, 2, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(expand(compress(pixels, WINDOWS), WINDOWS), pixels, rtol=1e-4, atol=0.1)
    inside = np.full((1, 2, 1, 1), 0.0, dtype=np.float32)
    assert compress(inside, WINDOWS).ravel().tolist() == [0.0, -1.0]  # middle of the first, edge of the second


def test_coded_planes_are_standardised_and_masks_come_back():
    train = pictured()
    coding = Coding.learn(train)
    planes = coding.encode(images_of(train))
    np.testing.assert_allclose(planes.mean(axis=(0, 2, 3)), 0, atol=0.02)
    np.testing.assert_allclose(planes.std(axis=(0, 2, 3)), 0.5, atol=0.03)
    again = coding.decode(planes, images_of(train).patient_id, "none")
    np.testing.assert_array_equal(again.mask, images_of(train).mask)
    assert np.abs(again.pixels - images_of(train).pixels).mean() < 0.05


def test_missing_values_are_told_apart_from_the_mean():
    train = pictured(200, 3)
    coding = Coding.learn(train)
    features = coding.condition(train)
    missing = train.clinical["burden"].isna().to_numpy()
    flags = [j for j in range(features.shape[1]) if set(np.unique(features[:, j])) == {0.0, 1.0}]
    assert any((features[:, j] == missing).all() for j in flags)


def test_patients_without_images_keep_their_share_given_the_record():
    train = pictured(400, 5, without=0.0)
    some = (train.clinical["arm"] == "left").to_numpy()
    owners = np.isin(images_of(train).patient_id, np.asarray(train.patients, dtype=str)[some])
    train = train.replace(images=images_of(train).take(np.flatnonzero(owners)))
    drawn = Coding.learn(train).owners(train, np.random.default_rng(0))
    owned = np.isin(np.arange(len(train)), drawn)
    assert owned[some].mean() > 0.85
    assert owned[~some].mean() < 0.15
    assert abs(len(drawn) / len(images_of(train)) - 1) < 0.15


@pytest.mark.parametrize(("count", "features"), [(2, 1), (6, 2)])
def test_the_first_image_of_a_patient_is_told_from_the_last(count, features):
    one = pictured(40, 2, size=12, record=False, without=0.0)
    first = images_of(one).take(np.unique(images_of(one).patient_id, return_index=True)[1])
    every = first.take(np.repeat(np.arange(len(first)), count))
    place = np.tile(np.arange(count), len(first))
    every = replace(every, pixels=every.pixels + np.float32(2) * place[:, None, None, None])
    train = one.replace(images=every)
    fitted = principal_components.fit(train, principal_components.DEFAULTS, stream(1), None)
    assert Coding(fitted.description["coding"]).conditions(train, np.repeat(np.arange(40), count)).shape[1] == features
    drawn = principal_components.sample(fitted, without_images(train), stream(2))
    means = drawn.pixels[:, 1].mean(axis=(1, 2)).reshape(-1, count).mean(axis=0)
    assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("name", QUICK)
def test_images_belong_to_given_patients_and_are_the_same_for_the_same_seed(name, tmp_path):
    algorithm, settings = quick(name)
    train, given = pictured(), without_images(pictured(30, 1))
    drawn = []
    for i in range(2):
        fitted = algorithm.fit(train, settings, stream(1), None)
        files = [tmp_path / f"{i}.{ending}" for ending in ("safetensors", "json", "tsv")]
        save(fitted, *files)
        drawn.append(algorithm.sample(load(*files[:2]), given, stream(2)))
    assert (tmp_path / "0.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()
    np.testing.assert_array_equal(drawn[0].pixels, drawn[1].pixels)
    np.testing.assert_array_equal(drawn[0].mask, drawn[1].mask)
    assert set(drawn[0].patient_id) <= set(given.patients)
    assert drawn[0].channels == images_of(train).channels
    assert drawn[0].pixels.shape[1:] == images_of(train).pixels.shape[1:]
    assert np.isfinite(drawn[0].pixels).all()
    other = algorithm.sample(fitted, given, stream(3))
    assert other.pixels.shape != drawn[0].pixels.shape or (other.pixels != drawn[0].pixels).any()


@pytest.mark.parametrize("name", QUICK)
def test_a_cohort_of_images_alone_is_drawn_without_a_record(name):
    algorithm, settings = quick(name)
    train = pictured(record=False, without=0.0)
    fitted = algorithm.fit(train, settings, stream(1), None)
    assert len(algorithm.sample(fitted, without_images(train), stream(2))) > 0
    nobody = algorithm.sample(fitted, without_images(train).take([]), stream(2))
    assert len(nobody) == 0


@pytest.mark.parametrize("name", QUICK)
def test_no_image_at_all_is_told(name):
    algorithm, settings = quick(name)
    train = pictured()
    for images in (None, images_of(train).take([])):
        with pytest.raises(InputError, match="no training patient has an image"):
            algorithm.fit(train.replace(images=images), settings, stream(1), None)


def test_images_without_masks_and_of_odd_sizes_are_drawn():
    train = pictured(40, 2, size=18)
    images = replace(images_of(train), mask=None, pixels=images_of(train).pixels[:, :, :, :15])
    train = train.replace(images=images)
    for name in QUICK:
        algorithm, settings = quick(name)
        drawn = algorithm.sample(algorithm.fit(train, settings, stream(1), None), without_images(train), stream(2))
        assert drawn.mask is None
        assert drawn.pixels.shape[1:] == (2, 18, 15)


def test_principal_components_keep_mean_covariance_and_dependence_on_the_record():
    train = pictured(600, 7, size=12, without=0.0)
    fitted = principal_components.fit(train, principal_components.DEFAULTS, stream(1), None)
    drawn = principal_components.sample(fitted, without_images(train), stream(2))
    real, made = (Coding.learn(train).encode(images).reshape(len(images), -1) for images in (images_of(train), drawn))
    pixels = slice(0, 2 * 144)  # masks are cut at a threshold
    assert np.abs(real.mean(axis=0) - made.mean(axis=0))[pixels].max() < 0.15
    a, b = np.cov(real[:, pixels].T), np.cov(made[:, pixels].T)
    assert np.linalg.norm(a - b) / np.linalg.norm(a) < 0.25
    right = pd.Series((train.clinical["arm"] == "right").to_numpy(), index=train.patients)
    left_less_right = drawn.pixels[:, 1, :, :6].mean(axis=(1, 2)) - drawn.pixels[:, 1, :, 6:].mean(axis=(1, 2))
    assert left_less_right[~right[drawn.patient_id]].mean() > 0 > left_less_right[right[drawn.patient_id]].mean()


def test_the_linear_part_is_the_best_denoiser_of_a_normal_image():
    """An untrained network adds nothing, and then D is the posterior mean of the fitted Gaussian."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(32, 3)))[0].T
    variance, noise = np.array([2.0, 1.0, 0.5]), np.array([0.1, 0.1])
    linear = {
        "mean": rng.normal(size=32), "axes": axes, "variance": variance, "noise": noise,
        "slope": np.zeros((1, 3)), "residual": np.diag(np.sqrt(variance)),
    }  # fmt: skip
    shape = diffusion.network_shape((2, 4, 4), 1, {"patch": 1, "width": [8]})
    model = Denoiser(linear, shape, diffusion.TRANSFORMATION)
    x, sigma = torch.tensor(rng.normal(size=(5, 2, 4, 4)), dtype=torch.float32), torch.full((5,), 0.7)
    one = torch.ones(5, 1)
    found, size = model(x, sigma, 0 * one, one[:, 0], one, torch.zeros(5, diffusion.TRANSFORMATION))
    covariance = axes.T @ np.diag(variance) @ axes + 0.1 * (np.eye(32) - axes.T @ axes)
    gain = covariance @ np.linalg.inv(covariance + 0.49 * np.eye(32))
    expected = linear["mean"] + (x.numpy().reshape(5, -1) - linear["mean"]) @ gain.T
    np.testing.assert_allclose(found.detach().numpy().reshape(5, -1), expected, atol=1e-5)
    error = np.diag(gain * 0.49).reshape(2, 4, 4)  # posterior variance, by pixel
    np.testing.assert_allclose(model.linear_part(x, sigma, 0 * one)[1][0].numpy() ** 2, error, rtol=1e-4)
    np.testing.assert_allclose(size[0, :, 0, 0].numpy() ** 2, error.mean(axis=(1, 2)), rtol=1e-4)
    again = Denoiser(linear | {"noise": np.full((2, 4, 4), 0.1)}, shape, diffusion.TRANSFORMATION)
    same = again(x, sigma, 0 * one, one[:, 0], one, torch.zeros(5, diffusion.TRANSFORMATION))[0]
    np.testing.assert_allclose(same.detach(), found.detach(), atol=1e-6)


def test_where_no_image_varies_none_is_drawn_with_grain():
    """Air outside every body: its residual variance is its own, not that of the plane."""
    train = pictured(120, 9, without=0.0)
    images = images_of(train)
    pixels = images.pixels.copy()
    pixels[:, :, :4] = np.array([-150.0, 0.2], dtype=np.float32)[:, None, None]
    train = train.replace(images=replace(images, pixels=pixels))
    fitted = principal_components.fit(train, principal_components.DEFAULTS, stream(1), None)
    drawn = principal_components.sample(fitted, without_images(train), stream(2))
    for c in range(2):
        inside = drawn.pixels[:, c, 6:10, 6:10].std(axis=0).mean()
        assert drawn.pixels[:, c, :3].std(axis=0).mean() < 0.15 * inside
    linear = {k: v for k, v in fitted.arrays.items() if k != "weights"}
    shape = diffusion.network_shape((3, 16, 16), len(linear["slope"]), {"patch": 2, "width": [8]})
    model = Denoiser(linear, shape, diffusion.TRANSFORMATION)
    x = torch.tensor(Coding.learn(train).encode(images_of(train))[:20])
    sigma, record = torch.full((20,), 0.3), torch.zeros(20, len(linear["slope"]))
    noisy = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    found = model.linear_part(noisy, sigma, record)[0]
    assert (found - x)[:, :2, :3].square().mean() < 0.02 * (found - x)[:, :2, 6:10, 6:10].square().mean()


def test_the_sampler_draws_a_normal_distribution_from_its_denoiser():
    """With the exact denoiser of N(m, s^2) the probability flow ends in that distribution."""

    class Exact(torch.nn.Module):
        def forward(self, x, sigma, *_):
            squared = sigma[:, None, None, None] ** 2
            return (0.09 * x + squared * 1.5) / (0.09 + squared), None

    noise = torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    noise = (noise - noise.mean()) / noise.std()
    errors = []
    for steps in (14, 28, 56):
        drawn = diffusion.solve(Exact(), noise, torch.zeros(400, 1), steps, 1.0)
        # The start is centred on 0 instead of the mean: what of it is left is 1.5 * 0.3 / SIGMA_HIGH.
        assert abs(float(drawn.mean()) - 1.5) < 0.02
        errors.append(abs(float(drawn.std()) - 0.3))
    assert errors[2] < errors[1] < errors[0]
    assert errors[1] < 0.006


def test_transformations_are_labelled_and_images_without_one_are_untouched():
    planes = torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    moved, labels = diffusion.transform(planes, 0.5, torch.Generator().manual_seed(1))
    same = (labels == 0).all(dim=1)
    assert 0 < int(same.sum()) < 64
    assert torch.equal(moved[same], planes[same])
    assert all(not torch.equal(a, b) for a, b in zip(moved[~same], planes[~same], strict=True))
    mirrored = (labels[:, 0] == 1) & (labels[:, 1:] == 0).all(dim=1)
    assert torch.equal(moved[mirrored], planes[mirrored].flip(-1))


def test_patients_are_left_out_whole():
    rows = np.repeat(np.arange(20), 3)
    out = leave_out(rows, 0.25, np.random.default_rng(0))
    assert out.sum() == 15
    assert not set(rows[out]) & set(rows[~out])
    assert not leave_out(np.array([0, 1, 1]), 0.25, np.random.default_rng(0)).any()


def test_training_lowers_the_loss_of_patients_left_out():
    chosen = {"width": [8, 16], "patch": 1, "batch": 16, "components": 16, "augmentation": 0.0, "left_out": 0.2}
    settings = diffusion.DEFAULTS | chosen | {"local_steps": 0, "sampling_steps": 4}
    start, end = (
        diffusion.fit(pictured(150, 4), settings | {"steps": steps}, stream(1), None).history["validation"].iloc[-1]
        for steps in (1, 200)
    )
    assert end < 0.97 * start  # one step hardly changes the linear part


def test_copies_are_told_from_unseen_patients():
    train, unseen = pictured(40, 4), pictured(200, 5)
    coding = Coding.learn(train)
    planes, others = (coding.encode(images_of(part))[:, :2] for part in (train, unseen))
    rows = rows_of_owners(images_of(train), train)
    search = CopySearch.learn(planes, rows)
    noise = 0.05 * np.random.default_rng(0).standard_normal(planes.shape).astype(np.float32)
    assert search.share(planes[..., ::-1]) == 1
    assert search.share(planes[..., ::-1] + noise) > 0.95
    assert search.share(others) <= 0.02
    assert search.share(np.concatenate([planes, others])) == pytest.approx(
        len(planes) / (len(planes) + len(others)), abs=0.02
    )
    assert CopySearch.learn(planes[rows < 2], rows[rows < 2]) is None  # nobody else to be nearer to


def test_training_stops_at_the_first_copies_and_keeps_what_was_before(monkeypatch):
    _, settings = quick("diffusion")
    monkeypatch.setattr(diffusion, "EVALUATE_EVERY", 10)
    until_20 = diffusion.fit(pictured(), settings | {"steps": 40}, stream(1), None)
    shares = iter([0.0, 3 / 96, 4 / 96])  # three of 96 are chance
    monkeypatch.setattr(CopySearch, "share", lambda *_: next(shares))
    stopped = diffusion.fit(pictured(), settings | {"steps": 40}, stream(1), None)
    assert stopped.history["step"].tolist() == [10, 20, 30]
    assert stopped.history["copies"].tolist() == [0, 3 / 96, 4 / 96]
    pd.testing.assert_frame_equal(stopped.history.iloc[:2, :3], until_20.history.iloc[:2, :3])
    shares = iter([0.5])
    monkeypatch.setattr(CopySearch, "share", lambda *_: next(shares))
    linear = diffusion.fit(pictured(), settings, stream(1), None)
    assert len(linear.history) == 1
    drawn = diffusion.sample(linear, without_images(pictured(60, 3)), stream(2))
    assert np.isfinite(drawn.pixels).all()  # of the linear part alone


class Interrupted(Exception):
    pass


def test_a_resumed_fit_gives_the_same_bytes(tmp_path, monkeypatch):
    train, prefix = pictured(), tmp_path / "checkpoint"
    _, settings = quick("diffusion")
    whole = diffusion.fit(train, settings, stream(1), None)
    real = loop.progress

    def stopping(items, description, total=None):
        for count, item in enumerate(real(items, description, total)):
            if count == 37:
                raise Interrupted
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(loop, "progress", stopping)
        with pytest.raises(Interrupted):
            diffusion.fit(train, settings, stream(1), prefix)
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 30
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(loop, "progress", lambda items, *_: (steps.append(i) or i for i in items))
        resumed = diffusion.fit(train, settings, stream(1), prefix)
    assert steps == list(range(30, 40))
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(array, resumed.arrays[name], err_msg=name)
    pd.testing.assert_frame_equal(whole.history, resumed.history)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_images_is_not_used(tmp_path, monkeypatch):
    settings = quick("diffusion")[1] | {"steps": 20}
    monkeypatch.setattr(diffusion.Path, "unlink", lambda *_, **__: None)  # what success would remove stays
    diffusion.fit(pictured(seed=1), settings, stream(1), tmp_path / "checkpoint")
    monkeypatch.undo()
    resumed = diffusion.fit(pictured(), settings, stream(1), tmp_path / "checkpoint")
    fresh = diffusion.fit(pictured(), settings, stream(1), None)
    np.testing.assert_array_equal(resumed.arrays["weights"], fresh.arrays["weights"])


def test_references_keep_what_they_promise():
    train = pictured(300, 6, size=8, without=0.2)
    given = without_images(pictured(200, 8))
    assert reference("real", train, given, stream(1)) is images_of(train)
    alone = reference("independent", train, given, stream(1))
    assert set(alone.patient_id) <= set(given.patients)
    assert abs(len(alone) / len(given) - len(images_of(train)) / len(train)) < 0.2
    np.testing.assert_allclose(alone.pixels.mean(axis=0), images_of(train).pixels.mean(axis=0), atol=45)
    flat = alone.pixels[:, 0].reshape(len(alone), -1)
    residual = flat - flat.mean(axis=0)
    assert abs(np.corrcoef(residual[:, 27], residual[:, 28])[0, 1]) < 0.2  # neighbours tell nothing of each other
    even = reference("uniform", train, given, stream(1))
    for c, (low, high) in enumerate(WINDOWS):
        assert (even.pixels[:, c] >= low).all()
        assert (even.pixels[:, c] <= high).all()
        assert abs(even.pixels[:, c].mean() - (low + high) / 2) < 0.02 * (high - low)
    with pytest.raises(InputError, match="no reference"):
        reference("other", train, given, stream(1))


def test_settings_that_an_algorithm_does_not_know_are_refused():
    with pytest.raises(InputError, match="unknown setting"):
        generate.settings_of(autoencoder, {"layers": 3}, "config: methods.images.autoencoder")


def flat_linear(planes=3, side=24, noise=0.05):
    """A linear part without components: nothing far away can be seen through it."""
    pixels = planes * side * side
    return {
        "mean": np.zeros(pixels), "axes": np.zeros((1, pixels)), "variance": np.ones(1), "slope": np.zeros((2, 1)),
        "residual": np.eye(1), "noise": np.full((planes, side, side), noise),
    }  # fmt: skip


def local_pair(side=24):
    torch.manual_seed(0)
    shape = diffusion.network_shape((3, side, side), 2, {"patch": 2, "width": [8, 8]})
    network = Denoiser(flat_linear(side=side), shape, diffusion.TRANSFORMATION)
    local = Local(network, 3, 16)
    torch.nn.init.normal_(local.leave.weight, std=0.1)
    return network, local


def test_the_local_denoiser_sees_some_fifteen_pixels():
    _, local = local_pair()
    x, sigma, record = torch.randn(1, 3, 24, 24), torch.full((1,), 0.1), torch.zeros(1, 2)
    before = local(x, sigma, record)[0]
    changed = x.clone()
    changed[0, 0, 12, 12] += 1.0
    moved = (local(changed, sigma, record)[0] - before).abs().amax(dim=(0, 1)) > 1e-7
    rows, columns = np.nonzero(moved.detach().numpy())
    for at in (rows, columns):
        assert 10 <= at.max() - at.min() + 1 <= 15
    assert {name for name, _ in local.named_parameters()} & {"whole.leave.weight"} == set()  # trained alone


def test_a_window_is_the_part_of_the_image_that_it_says():
    """Untrained, the network adds nothing; trained on windows it sees where they lie."""
    network, _ = local_pair()
    x, sigma, one = torch.randn(3, 3, 24, 24), torch.full((3,), 0.4), torch.ones(3)
    rest = (torch.zeros(3, 2), one, torch.ones(3, 2), torch.zeros(3, diffusion.TRANSFORMATION))
    window = diffusion._crop(network, x.shape, torch.Generator().manual_seed(0))
    assert [part.stop - part.start for part in window] == [12, 12]
    whole, part = network(x, sigma, *rest), network(x, sigma, *rest, window)
    assert torch.equal(whole[0][..., window[0], window[1]], part[0])
    assert torch.equal(whole[1], part[1])
    torch.nn.init.normal_(network.leave.weight, std=0.1)
    shifted = network(x, sigma, *rest, (slice(0, 12), slice(0, 12)))[0]
    same = torch.roll(x, (12, 12), (2, 3))
    assert not torch.allclose(network(same, sigma, *rest, (slice(12, 24), slice(12, 24)))[0], shifted, atol=1e-4)
    assert diffusion._crop(network, (1, 3, 6, 6), torch.Generator()) is None


def test_each_range_of_noise_has_the_denoiser_of_the_lowest_loss():
    losses = {"linear": [3.0, 1.0, 0.5], "network": [2.0, 0.9, 0.5], "local": [1.0, 1.5, 2.0]}
    assert best_of(losses) == ["local", "network", "linear"]
    network, local = local_pair()
    ranged = Ranged(network, local, [[0.01, "local"], [1.0, "network"], [40.0, "linear"]])
    x, record, one = torch.randn(2, 3, 24, 24), torch.zeros(2, 2), torch.ones(2)
    plain = torch.zeros(2, diffusion.TRANSFORMATION)
    for level, expected in (
        (0.02, local(x, torch.full((2,), 0.02), record)[0]),
        (30.0, network.linear_part(x, torch.full((2,), 30.0), record)[0]),
    ):
        found = ranged(x, torch.full((2,), level), record, one, torch.ones_like(record), plain)[0]
        assert torch.equal(found, expected)


def test_the_local_denoiser_learns_the_grain_that_the_linear_part_cannot():
    """Noise whose neighbours are alike, of which there is far more than principal components can hold."""
    _, settings = quick("diffusion")
    chosen = settings | {"local_steps": 200, "local_width": 16, "steps": 1, "batch": 16, "learning_rate": 1e-2}
    train = pictured(60, 9)
    images, noise = images_of(train), np.random.default_rng(0).standard_normal(images_of(train).pixels.shape)
    grain = gaussian_filter(noise, (0, 0, 1, 1), mode="wrap") * np.array([300.0, 8.0])[:, None, None]
    train = train.replace(images=replace(images, pixels=(images.pixels + grain).astype(np.float32)))
    fitted = diffusion.fit(train, chosen, stream(1), None)
    ranges = fitted.description["ranges"]
    little = [losses for level, _, losses in ranges if 0.1 < level < 0.6]
    assert np.mean([own["local"] / own["linear"] for own in little]) < 0.94
    assert all(losses[name] == min(losses.values()) for _, name, losses in ranges)
    drawn = diffusion.sample(fitted, without_images(pictured(20, 3)), stream(2))
    assert np.isfinite(drawn.pixels).all()
    short = chosen | {"local_steps": 2}
    first, again = (diffusion.fit(train, short, stream(1), None).arrays["local"] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_images_are_drawn_from_descriptions_that_follow_the_record():
    train = pictured(400, 11, without=0.0)
    _, settings = quick("diffusion")
    fitted = diffusion.fit(train, settings | {"steps": 1}, stream(1), None)
    given = without_images(pictured(300, 12))
    drawn = diffusion.sample(fitted, given, stream(2))
    assert drawn.descriptions is not None
    assert len(drawn.descriptions) == len(drawn)
    burden = given.clinical["burden"].reindex(drawn.patient_id).to_numpy(float)
    told = drawn.descriptions["lesion_area"].to_numpy()
    known = ~np.isnan(burden) & ~np.isnan(told)
    assert np.corrcoef(burden[known], told[known])[0, 1] > 0.4  # it grows with the burden
    # The linear part alone draws larger masks where the description says so.
    area = drawn.mask.sum(axis=(1, 2))
    assert np.corrcoef(told[known], area[known])[0, 1] > 0.3


def test_the_record_may_still_be_the_condition_and_others_are_refused():
    _, settings = quick("diffusion")
    fitted = diffusion.fit(pictured(), settings | {"condition": "record", "steps": 1}, stream(1), None)
    assert diffusion.sample(fitted, without_images(pictured(20, 1)), stream(2)).descriptions is None
    with pytest.raises(InputError, match="condition: 'words' is unknown; expected description or record"):
        diffusion.fit(pictured(), settings | {"condition": "words"}, stream(1), None)
