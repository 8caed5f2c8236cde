"""Adversarial network and masked diffusion: interruption and resumption, early stop, and what is given."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.learn import loop
from haemosynth.modalities.clinical.generators import diffusion, gan
from haemosynth.modalities.clinical.generators.conditioning import Conditions
from haemosynth.modalities.clinical.generators.encoding import learn
from haemosynth.modalities.clinical.generators.heads import Heads

QUICK = {
    "gan": gan.DEFAULTS | {"steps": 60, "width": 16, "critic_width": 16, "checkpoint_every": 20},
    "diffusion": diffusion.DEFAULTS | {"steps": 60, "members": 2, "width": 16, "checkpoint_every": 20},
}
MODULES = {"gan": gan, "diffusion": diffusion}
BOTH = pytest.mark.parametrize("algorithm", list(MODULES))


class Interrupted(Exception):
    pass


@BOTH
def test_a_resumed_fit_gives_the_same_bytes(algorithm, tmp_path, monkeypatch):
    train, module, settings, real = small_cohort(), MODULES[algorithm], QUICK[algorithm], loop.progress

    def stopping(items, description, total=None):
        for count, item in enumerate(real(items, description, total)):
            if count == 50:
                raise Interrupted
            yield item

    whole = module.fit(train, settings, stream(1), None)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "progress", stopping)
        with pytest.raises(Interrupted):
            module.fit(train, settings, stream(1), tmp_path / "checkpoint")
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 40
    resumed = module.fit(train, settings, stream(1), tmp_path / "checkpoint")
    assert whole.arrays.keys() == resumed.arrays.keys()
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(array, resumed.arrays[name], err_msg=name)
    pd.testing.assert_frame_equal(whole.history, resumed.history)
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_training_stops_on_patients_who_were_not_learned_from(algorithm):
    settings = QUICK[algorithm] | {"steps": 2000, "patience": 100, "learning_rate": 0.02}
    history = MODULES[algorithm].fit(small_cohort(), settings, stream(1), None).history
    best = history["validation"].idxmax()
    assert history["step"].iloc[-1] < 2000
    assert history["train"].iloc[-1] > history["validation"].iloc[-1]
    assert history["step"][best] < history["step"].iloc[-1]


def test_networks_that_say_nothing_draw_every_column_alone():
    """Heads of zero coefficients are the shares of training patients, and levels that a column lacks have none."""
    train = small_cohort()
    encoding = learn(train, 20)
    levels = encoding.encode(train.clinical).levels
    heads = Heads(encoding, 5)
    base = torch.tensor(heads.marginals(levels))
    share = torch.softmax(heads.logits(torch.zeros(1, heads.inputs), base), dim=-1)[0].numpy()
    for i, size in enumerate(encoding.sizes):
        expected = (np.bincount(levels[:, i], minlength=size) + 0.5) / (len(levels) + 0.5 * size)
        np.testing.assert_allclose(share[i, :size], expected, rtol=1e-5)
        assert share[i, size:].sum() == 0


def test_pairs_are_scored_as_the_mean_product_of_shares():
    train = small_cohort()
    encoding = learn(train, 20)
    levels = torch.tensor(encoding.encode(train.clinical).levels)
    heads = Heads(encoding, 5)
    own = torch.nn.functional.one_hot(levels, heads.levels).float()
    found = float(gan._pairs(own, gan._counts(levels, heads)))
    total = []
    for i in range(heads.columns):
        for j in range(heads.columns):
            if i != j:
                pair = levels[:, i] * heads.levels + levels[:, j]
                share = torch.bincount(pair)[pair].double() / len(levels)
                total.append(float(torch.log(share).mean()))
    assert found == pytest.approx(np.mean(total), abs=1e-3)  # patients in place of a generator: minus the entropy


def test_what_is_visible_stays_and_what_is_hidden_varies():
    train = small_cohort()
    fitted = diffusion.fit(train, QUICK["diffusion"], stream(1), None)
    model = diffusion.Model(fitted)
    known = model.encoding.encode(train.clinical)
    visible = stream(2).random(known.levels.shape) < 0.7
    free = Conditions((), {}, completed=False)
    first, second = (model.fill(known, visible, free, stream(seed)) for seed in (3, 4))
    plain = [i for i in range(visible.shape[1]) if i not in model.encoding.endpoints]
    kept = visible[:, plain]
    for drawn in (first, second):
        np.testing.assert_array_equal(drawn.levels[:, plain][kept], known.levels[:, plain][kept])
    assert (first.levels[:, plain][~kept] != second.levels[:, plain][~kept]).mean() > 0.2
