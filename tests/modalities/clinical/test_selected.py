"""The algorithm that is taken by evidence within training: planted better, worse and copying ones."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.generate import settings_of
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical.generators import forest, selected
from haemosynth.modalities.clinical.generators.selected import Evidence
from haemosynth.modalities.clinical.reference import reference
from haemosynth.report.content import say_selected


def algorithm(draw):
    """A stand-in whose patients are what `draw` makes of those it learned from."""
    kept = {}

    def fit(train, settings, rng, checkpoint):
        kept["train"] = train
        return Fitted({}, {"parameters": 1}, pd.DataFrame())

    def sample(fitted, schema, n, rng):
        return draw(kept["train"], n, rng).clinical

    return SimpleNamespace(DEFAULTS={"missing": "learned"}, fit=fit, sample=sample)


def copies(train, n, rng):
    return train.record().take(rng.permutation(len(train))[:n])


def columns_alone(train, n, rng):
    return reference("independent", train, n, rng)


@pytest.fixture
def known(monkeypatch):
    """`vae` draws every column alone, `gan` copies its training patients, `forest` is itself."""
    planted = {"vae": algorithm(columns_alone), "gan": algorithm(copies), "forest": forest}
    monkeypatch.setattr(selected, "load_algorithm", lambda modality, name: planted[name])


def settings(*names, **chosen):
    return settings_of(selected, {"algorithms": list(names), "draws": 2, "trees": 100, **chosen}, "test")


def taken(*names, **chosen):
    model = selected.fit(small_cohort(360), settings(*names, **chosen), stream(1, "selected"), None)
    return model.description["selected"]


def test_an_algorithm_without_associations_is_not_taken_wherever_it_is_named(known):
    found = taken("vae", "forest")
    assert found["algorithm"] == "forest"
    evidence = {name: Evidence(np.array(one["area"]), np.array(one["nearer"])) for name, one in found["tried"].items()}
    assert evidence["vae"].area.mean() > evidence["forest"].area.mean() + 0.03
    for names in (("vae", "forest"), ("forest", "vae")):
        assert selected.choose({name: evidence[name] for name in names}, selected.DEFAULTS["nearest"]) == "forest"


def test_an_algorithm_that_copies_is_not_taken_though_nothing_distinguishes_its_patients(known):
    found = taken("gan", "forest")
    area = {name: np.mean(one["area"]) for name, one in found["tried"].items()}
    assert area["gan"] < area["forest"] + 0.02
    assert np.mean(found["tried"]["gan"]["nearer"]) > 0.8
    assert found["algorithm"] == "forest"


def test_without_a_clear_difference_the_first_one_named_is_taken():
    near = np.full(3, 0.5)
    first, second = Evidence(np.array([0.62, 0.60, 0.63]), near), Evidence(np.array([0.60, 0.61, 0.62]), near)
    assert selected.choose({"a": first, "b": second}, 0.6) == "a"
    assert selected.choose({"b": second, "a": first}, 0.6) == "b"
    clear = Evidence(first.area - 0.03, near)
    assert selected.choose({"a": first, "b": clear}, 0.6) == "b"
    assert selected.choose({"a": first, "b": Evidence(clear.area, near + 0.11)}, 0.6) == "a"
    both = {"a": Evidence(first.area, near + 0.3), "b": Evidence(second.area, near + 0.2)}
    assert selected.choose(both, 0.6) == "b"  # all of them repeat patients: the least near one


def test_the_model_is_the_one_of_the_algorithm_that_was_taken_and_its_patients_are_the_same_twice(known):
    cohort, chosen = small_cohort(240), settings("forest", "vae", settings={"forest": {"trees": 5}}, trees=20)
    drawn = []
    for _ in range(2):
        model = selected.fit(cohort, chosen, stream(2), None)
        drawn.append(selected.sample(model, cohort.schema, 50, stream(3)))
    pd.testing.assert_frame_equal(*drawn)
    pd.testing.assert_frame_equal(drawn[0], forest.sample(model, cohort.schema, 50, stream(3)))


def test_settings_reach_the_algorithm_that_is_taken(known):
    model = selected.fit(
        small_cohort(240),
        settings("forest", "vae", settings={"forest": {"trees": 3}}, missing="completed"),
        stream(4),
        None,
    )
    drawn = selected.sample(model, small_cohort(240).schema, 80, stream(5))
    known_columns = [name for name, column in small_cohort(240).schema.columns.items() if column.derived is None]
    assert drawn[known_columns].notna().all().all()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"algorithms": ["forest"]}, "two different algorithms"),
        ({"algorithms": ["forest", "forest"]}, "two different algorithms"),
        ({"algorithms": ["forest", "private_marginals"]}, "private_marginals cannot be tried"),
        ({"algorithms": ["forest", "tree"]}, "no algorithm 'tree'"),
        ({"settings": {"gan": {}}}, "settings of 'gan', which is not tried"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(chosen, said):
    with pytest.raises(InputError, match=said) as error:
        selected.fit(small_cohort(120), settings_of(selected, chosen, "test"), stream(6), None)
    assert "\n" not in str(error.value)


def test_too_few_patients_are_told_which_setting_to_use():
    with pytest.raises(InputError, match="algorithm: vae"):
        selected.fit(small_cohort(40), settings_of(selected, {}, "test"), stream(7), None)


def test_the_documents_say_which_was_taken_and_why():
    tried = {"vae": {"area": [0.6, 0.7], "nearer": [0.5, 0.52]}, "forest": {"area": [0.6, 0.6], "nearer": [0.5, 0.5]}}
    said = say_selected({"algorithm": "forest", "tried": tried})
    assert said.startswith("took forest")
    assert "0.60 (vae 0.65)" in said
    assert "0.50 lay nearer to a patient who was learned from (vae 0.51)" in said
