"""Stages of histories: references in order, and planted corruptions that are caught by the stage made for them."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from course_cohorts import planted, simulated, some

from haemosynth.core.figures import new_figure, save_figure
from haemosynth.core.streams import stream
from haemosynth.modalities.history import figure, panel
from haemosynth.modalities.history.generators import multistate
from haemosynth.modalities.history.part import END, STATE, make
from haemosynth.modalities.history.reference import reference
from haemosynth.modalities.history.stages import histories, history_memory, history_prediction
from haemosynth.modalities.history.summary import summarise
from haemosynth.validate.stage import Comparison

SETTINGS = {"trees": 60, "exchanges": 200}


@cache
def sides():
    cohort, _ = planted()
    return some(cohort, range(400)), some(cohort, range(400, 800)), some(cohort, range(800, 900))


@cache
def candidate(kind):
    train = sides()[0]
    bare = train.replace(history=None)
    if kind in ("real", "independent", "uniform"):
        return bare.replace(history=reference(kind, train, bare, stream(2, kind)))
    if kind == "multistate":
        return bare.replace(
            history=multistate.sample(multistate.fit(train, multistate.DEFAULTS, stream(3), None), bare, stream(4))
        )
    part = train.parts["history"]
    if kind == "strangers":  # courses of other patients: everything stays but what drives transitions
        order = stream(5).permutation(len(train))
        owners = dict(zip(train.patients[order], train.patients, strict=True))
        rows = part.table.assign(patient_id=part.table["patient_id"].map(owners))
        return bare.replace(history=make(rows, bare.patients, part.design, part.grain))
    if kind == "shuffled":  # the stays of a path in another order: their lengths stay, what they mean does not
        paths, rows = part.paths, []
        for i in range(len(paths)):
            number = int(paths.number[i])
            times = np.append(paths.entry[i, :number], paths.end[i])
            entry = np.append(0.0, np.cumsum(np.diff(times)[::-1]))
            names = [paths.states[s] for s in paths.state[i, :number]]
            rows += [(paths.owner[i], t, STATE, n) for t, n in zip(entry, names, strict=False)]
            rows.append((paths.owner[i], entry[-1], END, "observed"))
        table = pd.DataFrame(rows, columns=["patient_id", "time", "kind", "name"])
        return bare.replace(history=make(table, bare.patients, part.design, part.grain))
    if kind == "immortal":  # who relapses is said to have been in remission from the first day
        time = part.table["time"].where(part.table["name"] != "remission", 0.0)
        return bare.replace(history=make(part.table.assign(time=time), bare.patients, part.design, part.grain))
    raise ValueError(kind)


@cache
def found(stage, kind, target="all"):
    train, holdout, control = sides()
    comparison = Comparison(holdout, candidate(kind), train, control)
    settings = {**stage.DEFAULTS, **{k: v for k, v in SETTINGS.items() if k in stage.DEFAULTS}}
    learned = stage.prepare(comparison, settings, stream(6))
    values = stage.measure(Comparison(holdout, candidate(kind), train, control, learned), settings, stream(7))
    return {value.metric: value.value for value in values if value.target == target}


ERRORS = ["state_occupation_error", "path_distance", "sojourn_error", "landmark_error", "follow_up_distance"]


@pytest.mark.parametrize("metric", ERRORS)
def test_generator_is_near_the_ceiling_and_far_from_the_floor(metric):
    real, made_, floor = (found(histories, kind)[metric] for kind in ("real", "multistate", "independent"))
    assert made_ < (real + floor) / 2


def test_effects_are_kept_by_the_generator_alone():
    effect = "transition_effect_concordance"
    assert found(histories, "real")[effect] > 0.85
    assert found(histories, "multistate")[effect] > 0.7
    assert abs(found(histories, "independent")[effect]) < 0.3
    assert abs(found(histories, "strangers")[effect]) < 0.3


def test_courses_of_strangers_have_the_same_states_and_other_drivers():
    for metric in ERRORS:
        assert found(histories, "strangers")[metric] == pytest.approx(found(histories, "real")[metric])
    assert found(history_prediction, "strangers")["transition_concordance"] < 0.6
    assert found(history_prediction, "real")["transition_concordance"] > 0.65


def test_shuffled_order_is_caught():
    assert found(histories, "shuffled")["sojourn_error"] > 3 * found(histories, "real")["sojourn_error"]


def test_immortal_time_is_caught():
    for metric in ("sojourn_error", "state_occupation_error"):
        assert found(histories, "immortal")[metric] > 2 * found(histories, "real")[metric], metric


def test_prediction_loses_nothing_from_train_and_something_without_structure():
    losses = {
        kind: found(history_prediction, kind)["path_likelihood_loss"] for kind in ("real", "multistate", "independent")
    }
    assert losses["real"] == 0
    assert losses["multistate"] < losses["independent"]


def test_copied_paths_are_caught_and_drawn_ones_pass():
    copied, drawn = found(history_memory, "real"), found(history_memory, "multistate")
    assert copied["history_repeats"] > 0.3
    assert copied["history_nearer_to_train"] > 0.9
    assert copied["history_membership_auc"] > 0.9
    assert drawn["history_repeats"] == 0
    assert drawn["history_nearer_to_train"] < 0.6
    assert 0.5 < copied["history_unique"] <= 1


def test_real_patients_against_themselves_differ_in_nothing():
    train, holdout, control = sides()
    comparison = Comparison(holdout, holdout, train, control)
    learned = histories.prepare(comparison, histories.DEFAULTS, stream(1))
    values = histories.measure(Comparison(holdout, holdout, train, control, learned), histories.DEFAULTS, stream(1))
    for value in values:
        if np.isfinite(value.value):
            assert value.value == pytest.approx(1 if value.metric == "transition_effect_concordance" else 0, abs=1e-9)


def test_series_are_compared_and_wrong_ones_told():
    cohort, _ = simulated()
    train, holdout = some(cohort, range(120)), some(cohort, range(120, 240))
    part = train.parts["history"]
    doubled = part.table.assign(
        value=part.table["value"].where(part.table["name"] != "M-protein", part.table["value"] * 2)
    )
    values = {}
    for name, side in (
        ("real", train),
        ("doubled", train.replace(history=make(doubled, train.patients, part.design, part.grain))),
    ):
        comparison = Comparison(holdout, side, train, holdout)
        learned = histories.prepare(comparison, histories.DEFAULTS, stream(1))
        measured = histories.measure(Comparison(holdout, side, train, holdout, learned), histories.DEFAULTS, stream(1))
        values[name] = {(v.metric, v.target): v.value for v in measured}
    for key in (("series_mean_error", "M-protein"), ("series_mean_error", "all")):
        assert values["doubled"][key] > values["real"][key] + 0.1
    # Twice the values are twice the baseline: depths, times and responses are relative.
    assert values["doubled"]["nadir_distance", "all"] == pytest.approx(values["real"]["nadir_distance", "all"])
    assert all(np.isfinite(values["real"][name, "all"]) for name in histories.NAMES)


def test_histories_in_numbers_are_those_of_their_patients():
    train, holdout, _ = sides()
    place = summarise([train, holdout], 20, 4)
    names, table = place(train)
    assert len(names) == table.shape[1] <= 4
    assert np.isfinite(table).all()
    back = place(train.take(np.arange(len(train))[::-1]))[1]
    np.testing.assert_allclose(back[::-1], table)
    assert summarise([train.replace(history=None)], 20, 4) is None


def test_figures_and_panels_are_drawn(tmp_path):
    cohort, _ = simulated()
    train, holdout = some(cohort, range(120)), some(cohort, range(120, 240))
    for name, real in (("working", train), ("release", None)):
        save_figure(figure.draw(holdout, real), tmp_path / f"{name}.svg")
    for stage in (histories, history_prediction, history_memory):
        settings = {**stage.DEFAULTS, **{k: v for k, v in SETTINGS.items() if k in stage.DEFAULTS}}
        comparison = Comparison(holdout, train, train, holdout)
        learned = stage.prepare(comparison, settings, stream(1))
        comparison = Comparison(holdout, train, train, holdout, learned)
        values = pd.DataFrame(
            {"metric": v.metric, "target": v.target, "value": v.value, "low": v.value, "high": v.value,
             "status": "ok" if np.isfinite(v.value) else "not_applicable"}
            for v in stage.measure(comparison, settings, stream(2))
        )  # fmt: skip
        save_figure(stage.figure(comparison, values, settings, "made"), tmp_path / f"{stage.__name__}.svg")
    drawn, axis = new_figure(3, 3)
    panel.prepare(holdout, train)(axis, 0, train)
    save_figure(drawn, tmp_path / "panel.svg")
    assert panel.space(train)(holdout).shape[0] == len(holdout)
    assert len(list(tmp_path.glob("*.svg"))) == 6
