"""The private autoencoder: what its steps cost, what one patient can change, and what more budget buys."""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures_small import small_cohort

from haemosynth import generate
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.files import load_model, save_model
from haemosynth.core.streams import stream
from haemosynth.encode.design import code_levels
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.generators import private_vae
from haemosynth.modalities.clinical.generators.private_marginals import public_encoding
from haemosynth.modalities.registry import load_algorithm
from haemosynth.privacy.accountant import KEY, Noise, compose, epsilon_of
from haemosynth.stats.association import association_matrix
from haemosynth.study.split import split


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv(KEY, "only the tests know this one, and they tell")


@cache
def train_patients() -> Cohort:
    cohort = small_cohort(n=500, seed=3)
    return split(cohort, 0.6, None, list(cohort.schema.genes), stream(1, "split"))[0]


def fit(train: Cohort | None = None, checkpoint=None, **chosen) -> Fitted:
    settings = generate.settings_of(private_vae, {"steps": 20, **chosen}, "test")
    return private_vae.fit(train or train_patients(), settings, stream(1, "fit"), checkpoint)


@pytest.mark.parametrize(("rho", "steps"), [(0.05, 10), (0.6, 150), (4.0, 500)])
def test_the_cost_of_all_steps_is_that_of_opacus(rho, steps):
    from opacus.accountants.analysis import rdp

    orders = 1 + np.exp(np.linspace(-3, 9, 4000))
    spent = rdp.compute_rdp(
        q=1.0, noise_multiplier=private_vae.noise_multiplier(rho, steps), steps=steps, orders=orders
    )
    theirs, _ = rdp.get_privacy_spent(orders=orders, rdp=spent, delta=1e-5)
    assert epsilon_of(rho, 1e-5) == pytest.approx(theirs, rel=1e-4)


def test_a_patient_moves_the_sum_of_gradients_by_no_more_than_the_clipping_length():
    train = train_patients()
    encoding = public_encoding(train.schema, 32, 120.0)
    levels = torch.tensor(encoding.encode(train.clinical).levels)
    shares = [np.full(size, 1 / size) for size in encoding.sizes]
    net = private_vae._Net(encoding, shares, private_vae.DEFAULTS)
    flat = net.first(torch.Generator().manual_seed(1)) * 3
    gradients = torch.func.vmap(torch.func.grad(net.loss), in_dims=(None, 0, 0))(
        flat, levels, torch.zeros((len(levels), net.latent))
    )
    length = float(gradients.norm(dim=1).median())
    whole = private_vae.sum_clipped(gradients, length)
    moved = [
        float((whole - private_vae.sum_clipped(torch.cat([gradients[:i], gradients[i + 1 :]]), length)).norm())
        for i in range(0, len(levels), 7)
    ]
    assert max(moved) <= length * (1 + 1e-5)
    assert min(moved) < 0.99 * length  # shorter gradients stay as they are
    # The gradient of each patient is that of the patient alone.
    alone = flat.clone().requires_grad_(True)
    (one,) = torch.autograd.grad(net.loss(alone, levels[5], torch.zeros(net.latent)), alone)
    torch.testing.assert_close(one, gradients[5], rtol=1e-4, atol=1e-5)


def test_the_noise_of_a_step_has_the_stated_size():
    found = fit(epsilon=0.05, steps=8)
    spent = found.description["privacy"]["spent"]["gradients"]
    sizes = sum(v.size for name, v in found.arrays.items() if name == "weights")
    expected = private_vae.noise_multiplier(spent, 8) * math.sqrt(sizes) / len(train_patients())
    assert found.history["gradient"].mean() == pytest.approx(expected, rel=0.05)  # noise drowns the gradient


def test_normal_numbers_are_normal_and_repeat_by_part():
    noise = Noise(b"key", {}, np.zeros((1, 1)), 0)
    first, second = noise.normal(20_000, 1), noise.normal(20_000, 2)
    from scipy.stats import kstest

    assert kstest(np.concatenate([first, second]), "norm").pvalue > 0.001
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    np.testing.assert_array_equal(first, Noise(b"key", {}, np.zeros((1, 1)), 0).normal(20_000, 1))


def test_nothing_but_counts_and_gradients_is_taken_from_patients():
    train = train_patients()
    extreme = train.clinical.copy()
    extreme.loc[extreme.index[0], "LDH"] = train.schema.columns["LDH"].high
    extreme.loc[extreme.index[0], "OS_time"] = 900.0
    other = Cohort.of(train.schema, extreme, train.alterations, train.sequenced, train.mutations)
    first, second = fit(steps=1), fit(other, steps=1)
    assert first.description["encoding"] == second.description["encoding"]
    for name in first.arrays:
        if name.startswith("encoding."):
            np.testing.assert_array_equal(first.arrays[name], second.arrays[name])


def test_an_interrupted_fit_gives_the_bytes_of_an_uninterrupted_one(tmp_path, monkeypatch):
    whole = fit(checkpoint_every=5)
    original = Noise.normal

    def breaks(self, count, part):
        if part == 13:
            raise KeyboardInterrupt
        return original(self, count, part)

    monkeypatch.setattr(Noise, "normal", breaks)
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=tmp_path / "checkpoint", checkpoint_every=5)
    assert (tmp_path / "checkpoint.json").is_file()
    monkeypatch.setattr(Noise, "normal", original)
    resumed = fit(checkpoint=tmp_path / "checkpoint", checkpoint_every=5)
    np.testing.assert_array_equal(whole.arrays["weights"], resumed.arrays["weights"])
    pd.testing.assert_frame_equal(whole.history, resumed.history)
    assert not list(tmp_path.iterdir())


def test_the_same_secret_gives_the_same_patients_through_files(tmp_path, monkeypatch):
    model, schema = fit(), train_patients().schema
    save_model(model.arrays, dict(model.description), tmp_path / "m.safetensors", tmp_path / "m.json")
    read = Fitted(*load_model(tmp_path / "m.safetensors", tmp_path / "m.json"), pd.DataFrame())
    first, second = (private_vae.sample(m, schema, 40, stream(5)) for m in (model, read))
    pd.testing.assert_frame_equal(first, second)
    monkeypatch.setenv(KEY, "another secret, as long as it has to be at least")
    assert not np.array_equal(model.arrays["weights"], fit().arrays["weights"])


def test_more_budget_keeps_more_of_the_associations():
    train = train_patients()

    def error(epsilon: float) -> float:
        model = fit(epsilon=epsilon, steps=150)
        made = private_vae.sample(model, train.schema, 3000, stream(3))
        design = code_levels(train.schema, train.clinical, made)
        real, found = (association_matrix(matrix, design.nominal) for matrix in design.matrices)
        weight = np.nan_to_num(np.abs(real)) * np.tri(len(real), k=-1) * ~np.isnan(found)
        return float((weight * np.abs(np.nan_to_num(real) - np.nan_to_num(found))).sum() / weight.sum())

    assert error(math.inf) < 0.8 * error(0.3)


def test_what_is_promised_is_stated_and_what_is_missing_refused(monkeypatch):
    genomic = load_algorithm("genomic", "private_marginals")
    other = genomic.fit(train_patients(), generate.settings_of(genomic, {"epsilon": 3}, "test"), stream(1, "fit"), None)
    found = compose([fit(epsilon=3).description["privacy"], other.description["privacy"]])
    assert found["epsilon"] == pytest.approx(3, rel=1e-6)
    with pytest.raises(InputError, match="clip is 0"):
        fit(clip=0)
    with pytest.raises(InputError, match="shares of marginals, gradients"):
        fit(shares={"marginals": 1.0})
    monkeypatch.delenv(KEY)
    with pytest.raises(InputError, match=KEY):
        fit()
