"""The network's weights do what they should, radiomic measurements are what they are called, distances are unbiased."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures_pictures import pictured
from matplotlib import cbook
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images

from haemosynth.core.errors import InputError
from haemosynth.modalities.images import embedding, image_features
from haemosynth.modalities.images.image_features import cubic_kernel, points, radiomic, squared_discrepancy
from haemosynth.modalities.images.part import Images, images_of

UNIFORM, PALACE, DAISY = 652, 698, 985  # classes of ImageNet


def photograph(picture):
    """The middle of a photograph, 224 pixels wide."""
    side = min(picture.size)
    left, top = (picture.size[0] - side) // 2, (picture.size[1] - side) // 2
    cut = picture.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    return torch.tensor(np.array(cut), dtype=torch.float32).permute(2, 0, 1)[None] / 255


def test_the_network_knows_what_it_was_trained_on():
    china, flower = load_sample_images().images
    hopper = Image.open(cbook.get_sample_data("grace_hopper.jpg")).convert("RGB")
    named = embedding.weights()
    for picture, known in ((hopper, UNIFORM), (Image.fromarray(china), PALACE), (Image.fromarray(flower), DAISY)):
        features = embedding.forward(photograph(picture), named)
        scores = features @ named["_fc.weight"].T + named["_fc.bias"]
        assert int(scores.argmax()) == known


def test_weights_of_the_user_are_taken_and_others_refused(tmp_path):
    images = images_of(pictured()).take([0, 1])
    named = {name: tensor.contiguous() for name, tensor in embedding.weights().items()}
    save_file(named | {"_bn1.weight": named["_bn1.weight"] / 2}, tmp_path / "own")
    own, usual = embedding.embed(images, 64, str(tmp_path / "own")), embedding.embed(images, 64)
    assert not np.allclose(own, usual)
    save_file({"_conv_stem.weight": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(InputError, match="no weights of EfficientNet-Lite0"):
        embedding.embed(images, 64, str(tmp_path / "other"))
    with pytest.raises(InputError, match="no such file"):
        embedding.embed(images, 64, str(tmp_path / "none"))


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_number_of_channels_is_shown_as_a_picture(channels):
    pixels = np.random.default_rng(0).uniform(-1, 2, (3, channels, 8, 8)).astype(np.float32)
    names = tuple("abcde"[:channels])
    images = Images(np.array(["P"] * 3), pixels, None, names, names, ((0.0, 1.0),) * channels)
    pictures = embedding.as_pictures(images)
    assert pictures.shape == (3, 3, 8, 8)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    np.testing.assert_allclose(pictures[:, 0], pixels[:, 0].clip(0, 1))


def test_radiomic_measurements_of_a_disc():
    y, x = np.mgrid[:40, :40]
    disc = ((x - 20) ** 2 + (y - 20) ** 2 < 100).astype(np.uint8)
    pixels = np.where(disc, 3.0, 1.0)[None, None].astype(np.float32)
    images = Images(np.array(["P"]), pixels, disc[None], ("PET",), ("SUV",), ((0.0, 4.0),))
    row = radiomic(images).iloc[0]
    assert row["structures"] == 1
    assert row["masked area"] == disc.sum()
    assert row["PET in mask"] == row["PET peak in mask"] == 3
    assert row["PET 50 %"] == 1
    square = np.zeros((1, 40, 40), np.uint8)
    square[0, 10:12, 2:38] = 1
    assert radiomic(replace(images, mask=square)).iloc[0]["roundness"] < 0.5 * row["roundness"]


def test_texture_is_that_of_mahotas_on_the_levels_of_the_window():
    import mahotas

    images = images_of(pictured(5, 1))
    low, high = images.windows[1]
    grey = ((images.pixels[0, 1] - low) / (high - low) * 32).clip(0, 31).astype(np.uint8)
    assert radiomic(images).iloc[0]["PET entropy"] == mahotas.features.haralick(grey, return_mean=True)[8]


def test_discrepancy_is_the_formula_pair_by_pair():
    rng = np.random.default_rng(0)
    x, owners = rng.normal(size=(9, 4)), np.array(list("aabbcdeff"))
    first, second = np.arange(5), np.arange(5, 9)

    def k(a, b):
        return (a @ b / 4 + 1) ** 3

    def within(rows):
        return np.mean([k(x[i], x[j]) for i in rows for j in rows if owners[i] != owners[j]])

    expected = within(first) + within(second) - 2 * np.mean([k(x[i], x[j]) for i in first for j in second])
    assert squared_discrepancy(cubic_kernel(x, x), first, second, owners) == pytest.approx(expected)


def test_discrepancy_of_equal_distributions_is_zero_in_the_mean():
    """Also where patients own several like images, which the textbook estimator takes for a difference."""
    found, textbook = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        patients = np.repeat(np.arange(16), 3)
        x = rng.normal(size=(16, 3))[patients] + 0.1 * rng.normal(size=(48, 3))
        kernel, rows = cubic_kernel(x, x), np.arange(48)
        found.append(squared_discrepancy(kernel, rows[:24], rows[24:], patients))
        textbook.append(squared_discrepancy(kernel, rows[:24], rows[24:], rows))
    assert abs(np.mean(found)) < 4 * np.std(found) / 20
    assert np.mean(textbook) > 4 * np.std(textbook) / 20


def test_rows_follow_the_patients_and_their_repetitions():
    cohort = pictured(20, 2)
    known = image_features.Points(images_of(cohort).patient_id, np.empty((0, 0)), np.empty((0, 0)))
    again = cohort.take([3, 3, 5, 0])
    np.testing.assert_array_equal(known.owners[known.rows(again)], images_of(again).patient_id)
    np.testing.assert_array_equal(images_of(cohort).take(known.rows(again)).pixels, images_of(again).pixels)
    assert len(points(None, image_features.DEFAULTS).owners) == 0
