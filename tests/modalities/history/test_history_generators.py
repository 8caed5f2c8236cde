"""Generators of histories: planted effects, paths that contradict nothing, and series that are one with the path."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from course_cohorts import planted, simulated
from lifelines import KaplanMeierFitter

from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.modalities.history import kinetics, record
from haemosynth.modalities.history.generators import hazards, multistate, resampled
from haemosynth.modalities.history.part import MEASUREMENT, STATE
from haemosynth.modalities.history.paths import derive_endpoints
from haemosynth.modalities.history.reference import reference
from haemosynth.modalities.history.settle import settle
from haemosynth.modalities.history.stages.histories import effects

ALGORITHMS = {"multistate": multistate, "resampled": resampled}


def sampled(module, cohort, seed=3):
    model = module.fit(cohort, module.DEFAULTS, stream(2), None)
    return model, module.sample(model, cohort.replace(history=None), stream(seed))


@pytest.fixture(scope="module")
def leukaemia():
    cohort, truth = planted()
    return cohort, truth, {name: sampled(module, cohort) for name, module in ALGORITHMS.items()}


@pytest.fixture(scope="module")
def myeloma():
    cohort, _ = simulated()
    return cohort, {name: sampled(module, cohort) for name, module in ALGORITHMS.items()}


def possible(part):
    """Every step of every path is an allowed transition, forward in time, within observation."""
    paths, pairs = part.paths, set(part.design.pairs)
    for state, entry, end in zip(paths.state, paths.entry, paths.end, strict=True):
        names = [part.design.states[s] for s in state if s >= 0]
        times = entry[~np.isnan(entry)]
        assert names[0] == part.design.start
        assert times[0] == 0
        assert all(pair in pairs for pair in itertools.pairwise(names))
        assert (np.diff(times) >= 0).all()
        assert times[-1] <= end
        assert names[-1] not in part.design.final or times[-1] == end


@pytest.mark.parametrize("name", ALGORITHMS)
def test_record_path_and_endpoints_do_not_contradict_each_other(leukaemia, myeloma, name):
    for cohort, found in ((leukaemia[0], leukaemia[2]), (myeloma[0], myeloma[1])):
        part = found[name][1]
        possible(part)
        record = settle(cohort, part).clinical
        known = derive_endpoints(part.paths, part.design).reindex(record.index)
        for endpoint in part.design.endpoints:
            for column in (f"{endpoint}_time", f"{endpoint}_event"):
                assert (record[column] == known[column]).all()
        others = [c for c in record if c not in known]
        assert record[others].equals(cohort.clinical[others])
        rows = part.table
        ends = rows["patient_id"].map(dict(zip(part.paths.owner, part.paths.end, strict=True)))
        assert (rows["time"] <= ends + 1e-9).all()
        assert (rows["time"] >= 0).all()


@pytest.mark.parametrize("kind", ["independent", "uniform"])
def test_references_are_possible_too(kind):
    cohort, _ = planted()
    possible(reference(kind, cohort, cohort.replace(history=None), stream(1)))


def test_planted_effects_are_found_and_drawn(leukaemia):
    _, truth, found = leukaemia
    model, part = found["multistate"]
    names = model.description["names"].index("number x")
    states = part.design.states
    for t, (a, b) in enumerate(model.description["transitions"]):
        hazard = multistate.unpack(model, f"transition.{t}")
        effect = truth[states[a], states[b]]
        half = 3 * np.sqrt(hazard.variance[names])
        assert abs(hazard.beta[names] - effect) < half + 0.1, (states[a], states[b])


def test_the_model_draws_effects_and_the_baseline_none(leukaemia):
    cohort, truth, found = leukaemia
    columns = {"number": found["multistate"][0].description["record"]}
    shares = {}
    for name, (_, part) in found.items():
        side = cohort.replace(history=part)
        pair = (part.design.states.index("remission"), part.design.states.index("relapse"))
        drawn = effects(side, columns["number"], [0, 1, 0, 1], (pair,))[0][0, 0]
        shares[name] = drawn / truth["remission", "relapse"]
    assert shares["multistate"] > 0.6 > 0.2 > abs(shares["resampled"])


@pytest.mark.parametrize("factor", [0.3, 1.8])
def test_calibrated_courses_live_as_long_as_real_ones_whatever_the_effects(leukaemia, factor):
    """Effects that are shrunk, or too large, move the curve of survival; rates calibrated to them move it back."""
    cohort, _, found = leukaemia
    model, courses = found["multistate"][0], cohort.parts["history"]
    arrays = {name: a * factor if name.endswith(".beta") else a for name, a in model.arrays.items()}
    moved = replace(model, arrays=arrays)
    stays, names = courses.paths.sojourns(), courses.design.states
    learned = [
        hazards.Stays(
            stays.length[stays.origin == a], (stays.target[stays.origin == a] == b) * 1.0, np.empty((0, 0)), 0
        )
        for a, b in model.description["transitions"]
    ]
    assert [names[b] for _, b in model.description["transitions"]].count("death") == 3
    x = record.features(model.description["record"], cohort)
    many = np.tile(x, (20, 1))
    times = np.linspace(0, 96, 49)

    def survival(paths):
        own = derive_endpoints(paths, courses.design)
        curve = KaplanMeierFitter().fit(own["OS_time"], own["OS_event"])
        return curve.survival_function_at_times(times).to_numpy()

    def distance(fitted):
        drawn = multistate.draw_paths(fitted, many, np.arange(len(many)).astype(object), stream(8))
        return np.abs(survival(drawn) - survival(courses.paths)).mean()

    assert distance(multistate.calibrate(moved, learned, x, stream(7))) < min(0.012, distance(moved) / 2)


def test_no_interval_goes_on_at_its_rate_after_the_last_event():
    length = np.concatenate([np.linspace(0.1, 30, 100), np.full(60, 120.0)])
    event = (length <= 30).astype(float)
    cuts = hazards.intervals(length, event)
    assert cuts[-1] == 36  # the full year after the last event, at 30 months
    assert hazards.overall_rates(hazards.Stays(length, event, np.empty((160, 0)), 0), cuts)[-1] < 1e-3
    assert hazards.intervals(length[:100], event[:100])[-1] < 30  # nobody was at risk after it


def test_mode_is_that_of_the_model_declared_in_pyro():
    pyro = pytest.importorskip("pyro")
    import torch

    rng = stream(5)
    stays = []
    for group in (0, 0, 1):
        x = rng.standard_normal((120, 2))
        length = rng.exponential(10 * np.exp(-0.4 * x[:, 0]))
        stays.append(hazards.Stays(np.minimum(length, 20), (length < 20).astype(float), x, group))
    found, scales = hazards.learn(stays, 2)
    cuts = [h.cuts for h in found]

    def density(beta):
        data = {"beta": beta, "middle": torch.tensor(scales["middle"])}
        data |= {f"rate_{t}": torch.tensor(h.rate) for t, h in enumerate(found)}
        model = pyro.condition(hazards.declare, data=data)
        return pyro.poutine.trace(model).get_trace(stays, cuts, 2, scales["tau"], scales["omega"]).log_prob_sum()

    beta = torch.tensor(np.array([h.beta for h in found]), requires_grad=True)
    slope = torch.autograd.grad(density(beta), beta)[0].numpy()
    # The scales moved once more after the last steps: what is left of the gradient is a small part of a standard error.
    assert (np.abs(slope) * np.sqrt([h.variance for h in found]) < 0.1).all()
    for moved in (0.3, -0.3):
        assert density(beta.detach() + moved) < density(beta.detach())


def test_cumulative_hazard_and_draws_agree():
    hazard = hazards.Hazard(np.array([0.0, 2, 5]), np.array([0.3, 0.05, 0.2]), np.array([0.5]), *[np.zeros(1)] * 3, 0)
    drawn = hazards.draw_months(hazard, np.zeros((20_000, 1)), stream(6))
    for at in (1.0, 3.0, 8.0):
        expected = 1 - np.exp(-hazards.cumulative(hazard, np.array([at]))[0])
        assert (drawn <= at).mean() == pytest.approx(expected, abs=0.012)


def test_progression_of_the_series_is_that_of_the_path(myeloma):
    """The rules of the IMWG, applied to the drawn values alone, give back every line of every path."""
    cohort, found = myeloma
    parts = [cohort.parts["history"], *(part for _, part in found.values())]
    for part in parts:
        paths = part.paths
        progression = [paths.states.index(s) for s in part.design.measurements["M-protein"].progression]
        values = part.series_of("M-protein")
        checked = 0
        for course, own in values.groupby("course"):
            time, value = own["time"].to_numpy(), own["value"].to_numpy()
            for step in range(int(paths.number[course])):
                last = step + 1 == paths.number[course]
                stop = paths.end[course] if last else paths.entry[course, step + 1]
                inside = (time >= paths.entry[course, step] - 1e-9) & (time <= stop + 1e-9)
                if inside.sum() < 2:
                    continue
                first = kinetics.responses(value[inside], limit=1.0)[1]
                if not last and paths.state[course, step + 1] in progression:
                    assert first == inside.sum() - 1
                    assert time[inside][-1] == pytest.approx(stop, abs=1e-6)
                    checked += 1
                elif paths.states[paths.state[course, step]] != "refractory":
                    assert first is None
        assert checked > 100


def test_the_drawn_series_look_like_those_they_were_learned_from(myeloma):
    cohort, found = myeloma
    middle = {}
    for name, part in (("real", cohort.parts["history"]), ("multistate", found["multistate"][1])):
        values = part.series_of("M-protein")
        early = values[(values["time"] > 2.5) & (values["time"] < 3.5)]
        middle[name] = early["value"].median()
    assert middle["multistate"] == pytest.approx(middle["real"], rel=0.25)


def test_same_stream_same_bytes():
    cohort, _ = planted(200)
    tables = [sampled(multistate, cohort)[1].table for _ in range(2)]
    assert tables[0].equals(tables[1])


def test_too_few_patients_or_events_are_one_line():
    cohort, _ = planted(200)
    with pytest.raises(InputError, match="have a history; a model needs 30"):
        multistate.fit(cohort.replace(history=None), multistate.DEFAULTS, stream(1), None)
    with pytest.raises(InputError, match="no transition was seen 100000 times"):
        multistate.fit(cohort, {**multistate.DEFAULTS, "fewest": 100_000}, stream(1), None)


def test_simulated_courses_follow_the_planted_truth():
    cohort, told = simulated()
    part = cohort.parts["history"]
    possible(part)
    first = part.series_of("M-protein").groupby("course").head(1)
    assert np.log(first["value"]).mean() == pytest.approx(told["mean"][0], abs=0.1)
    assert set(part.table["kind"]) >= {STATE, MEASUREMENT, "line", "stop", "response", "visit", "end"}
    ages = cohort.clinical["age"].astype(float)
    died = cohort.clinical["OS_event"] == 1
    assert ages[died].mean() > ages[~died].mean()


@pytest.mark.slow
def test_intervals_of_planted_effects_cover_at_the_nominal_rate():
    inside, seeds = [], 100
    for seed in range(seeds):
        cohort, truth = planted(400, seed, 0.5)
        model = multistate.fit(cohort, multistate.DEFAULTS, stream(seed), None)
        states, place = cohort.parts["history"].design.states, model.description["names"].index("number x")
        for t, (a, b) in enumerate(model.description["transitions"]):
            hazard = multistate.unpack(model, f"transition.{t}")
            gap = abs(hazard.estimate[place] - truth[states[a], states[b]])
            inside.append(gap <= 1.96 * hazard.error[place])
    assert 0.915 <= np.mean(inside) <= 0.985  # 500 intervals: three standard errors, and half a point for Laplace
