"""Interruption and resumption of the autoencoder's fit, early stopping, and the refinement."""

import json

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort
from sklearn.ensemble import GradientBoostingClassifier

from haemosynth.core.streams import stream
from haemosynth.learn import loop
from haemosynth.modalities.clinical.generators import vae
from haemosynth.modalities.clinical.generators.forest import apply, pack

QUICK = vae.DEFAULTS | {
    "steps": 24, "decoders": 2, "width": 24, "checkpoint_every": 6,
    "refresh": None, "refinement": None, "margins": None,
}  # fmt: skip


class Interrupted(Exception):
    pass


@pytest.fixture
def short(monkeypatch):
    """Few steps are evaluated too, so that there are best weights to take up."""
    monkeypatch.setattr(vae, "EVALUATE_EVERY", 5)


def interrupted(monkeypatch, train, prefix, after: int = 14) -> None:
    """A fit that stops after so many steps, as a killed job would."""
    real = loop.progress

    def stopping(items, description, total=None):
        for count, item in enumerate(real(items, description, total)):
            if count == after:
                raise Interrupted
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(loop, "progress", stopping)
        with pytest.raises(Interrupted):
            vae.fit(train, QUICK, stream(1), prefix)


def test_a_resumed_fit_gives_the_same_bytes(tmp_path, monkeypatch, short):
    train, prefix = small_cohort(), tmp_path / "checkpoint"
    whole = vae.fit(train, QUICK, stream(1), None)
    interrupted(monkeypatch, train, prefix)
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 12
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(loop, "progress", lambda items, *_: (steps.append(i) or i for i in items))
        resumed = vae.fit(train, QUICK, stream(1), prefix)
    assert steps[0] == 12
    assert len(steps) == 12
    assert whole.arrays.keys() == resumed.arrays.keys()
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(array, resumed.arrays[name], err_msg=name)
    pd.testing.assert_frame_equal(whole.history, resumed.history)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_inputs_is_not_used(tmp_path, monkeypatch):
    train, prefix = small_cohort(), tmp_path / "checkpoint"
    interrupted(monkeypatch, train, prefix)
    other = QUICK | {"dropout": 0.35}
    resumed, fresh = vae.fit(train, other, stream(1), prefix), vae.fit(train, other, stream(1), None)
    np.testing.assert_array_equal(resumed.arrays["weights"], fresh.arrays["weights"])


def test_training_stops_on_patients_out_of_the_bag():
    model = vae.fit(small_cohort(), QUICK | {"steps": 3000, "patience": 150, "learning_rate": 0.01}, stream(1), None)
    assert list(model.history.columns) == ["step", "train", "validation", "kl"]
    best = model.history["validation"].idxmax()
    assert model.history["step"].iloc[-1] < 3000
    assert model.history["step"].iloc[-1] - model.history["step"][best] == 150
    assert model.history["train"].iloc[-1] > model.history["validation"].iloc[-1]


def test_boosted_odds_equal_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5))
    y = (x[:, 0] + rng.normal(size=400) > 0).astype(int)
    weight = np.where(y == 1, 1.0, y.sum() / (1 - y).sum())  # even odds at the start
    boosted = GradientBoostingClassifier(n_estimators=20, max_depth=3, random_state=0).fit(x, y, sample_weight=weight)
    trees = [tree.tree_ for tree in boosted.estimators_[:, 0]]
    packed = pack(trees)
    value = 0.1 * np.concatenate([tree.value[:, 0, 0] for tree in trees])
    total = sum(value[apply(packed, x, np.full(400, t))] for t in range(20))
    np.testing.assert_allclose(total, boosted.decision_function(x), atol=1e-6)
