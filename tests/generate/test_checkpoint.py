"""A checkpoint is taken up by the same fit alone, and never when it is damaged."""

import numpy as np
import pytest

from haemosynth.learn.checkpoint import Checkpoint, identity_of


@pytest.fixture
def kept(tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", identity_of({"steps": 3}, 1, np.arange(4)))
    checkpoint.save({"weights": np.arange(5.0)}, {"step": 2})
    return checkpoint


def test_what_was_saved_is_loaded_until_it_is_removed(kept):
    arrays, plain = kept.load()
    np.testing.assert_array_equal(arrays["weights"], np.arange(5.0))
    assert plain["step"] == 2
    kept.remove()
    assert kept.load() is None
    assert not list(kept.prefix.parent.iterdir())


@pytest.mark.parametrize("ending", ["safetensors", "json"])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_truncated_file_is_no_checkpoint(kept, ending, part):
    file = kept.prefix.with_name(f"checkpoint.{ending}")
    content = file.read_bytes()
    file.write_bytes(content[: int(part * len(content))])
    assert kept.load() is None


@pytest.mark.parametrize(
    "other", [({"steps": 4}, 1, np.arange(4)), ({"steps": 3}, 2, np.arange(4)), ({"steps": 3}, 1, np.arange(4) + 1)]
)
def test_another_fit_does_not_take_it_up(kept, other):
    assert Checkpoint(kept.prefix, identity_of(*other)).load() is None


def test_without_a_place_nothing_is_kept():
    nowhere = Checkpoint(None, "")
    nowhere.save({"weights": np.zeros(1)}, {})
    nowhere.remove()
    assert nowhere.load() is None
