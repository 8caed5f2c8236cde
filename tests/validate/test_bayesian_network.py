"""Networks of real patients agree, structure that is lost is seen, and edges keep to the tiers."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fixtures_small
import numpy as np
import pandas as pd
import pytest
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import stream
from haemosynth.stats.networks import as_pgmpy
from haemosynth.stats.queries import conditional_probabilities, joint_probability, make_legal_names
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison
from haemosynth.validate.stages import bayesian_network as stage

KINDS = {metric.name: metric.kind for metric in stage.METRICS}
SCORED = [name for name, kind in KINDS.items() if kind != "descriptive"]


def streams(*names):
    return stream(1, *names)


def measured(comparison, **settings):
    chosen = stage.DEFAULTS | settings
    values = stage.measure(prepare_comparison(stage, comparison, chosen, streams), chosen, np.random.default_rng(0))
    assert {value.metric for value in values} <= set(KINDS)
    keyed = {(value.metric, value.target): value for value in values}
    assert len(keyed) == len(values)
    return keyed


def changed(cohort, **alterations):
    """The cohort with other values of some alterations."""
    table = cohort.alterations.copy()
    for name, values in alterations.items():
        table[name] = np.asarray(values)
    return cohort.replace(alterations=table)


@pytest.fixture(scope="module")
def real(comparison):
    return measured(comparison)


@pytest.fixture(scope="module")
def floor(shuffled):
    return measured(shuffled)


def test_a_candidate_that_is_the_holdout_is_perfect(identical):
    found = measured(identical)
    assert found["edge_strength_agreement", "all"].value == pytest.approx(1)
    assert found["averaged_network_f1", "all"].value == 1
    assert found["structural_hamming_distance", "all"].value == 0
    assert found["query_error", "all"].value == 0
    assert found["effect_agreement", "all"].value == pytest.approx(1)
    differences = [value.value for (metric, _), value in found.items() if metric == "edge_strength_difference"]
    assert differences
    assert not np.any(differences)


def test_real_patients_stand_far_above_shuffled_columns(real, floor):
    # Effects are noise at 400 patients; they are planted below.
    for metric in set(SCORED) - {"effect_agreement"}:
        better = real[metric, "all"].value - floor[metric, "all"].value
        assert (better > 0) == (KINDS[metric] == "agreement"), metric
    assert real["edge_strength_agreement", "all"].value > 0.6
    assert floor["edge_strength_agreement", "all"].value < 0.2
    assert floor["averaged_network_f1", "all"].value < 0.2
    assert real["held_out_loss", "all"].value < 1 < floor["held_out_loss", "all"].value


def test_a_variable_that_was_shuffled_loses_its_edges_and_no_others(comparison, real):
    order = np.random.default_rng(4).permutation(len(comparison.candidate))
    name = "t(4;14)"
    spoilt = changed(comparison.candidate, **{name: comparison.candidate.alterations[name].to_numpy()[order]})
    found = measured(replace(comparison, candidate=spoilt))
    lost = {
        target: found["edge_strength_difference", target].value - value.value
        for (metric, target), value in real.items() if metric == "edge_strength_difference"
    }  # fmt: skip
    own = {target for target in lost if name in target.split("~")}
    assert len(own) >= 2
    assert max(lost[target] for target in own) < -0.3
    assert np.median([abs(lost[target]) for target in lost.keys() - own]) < 0.1
    for metric in ("edge_strength_agreement", "averaged_network_f1"):
        assert found[metric, "all"].value < real[metric, "all"].value
    assert found["held_out_loss", "all"].value > real["held_out_loss", "all"].value


def test_columns_that_were_swapped_are_caught(comparison, real):
    table = comparison.candidate.alterations
    swapped = changed(comparison.candidate, **{"hyperdiploidy": table["gain(1q)"], "gain(1q)": table["hyperdiploidy"]})
    found = measured(replace(comparison, candidate=swapped))
    assert found["edge_strength_agreement", "all"].value < real["edge_strength_agreement", "all"].value - 0.05
    assert found["averaged_network_f1", "all"].value < real["averaged_network_f1", "all"].value
    assert found["held_out_loss", "all"].value > real["held_out_loss", "all"].value + 0.01


def test_every_metric_is_within_its_bounds_and_the_same_every_time(comparison, real):
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    assert {metric for metric, _ in real} == set(bounds)
    for (metric, _), value in real.items():
        assert bounds[metric][0] <= value.value <= bounds[metric][1]
    assert {key: value.value for key, value in measured(comparison).items()} == {
        key: value.value for key, value in real.items()
    }


def test_no_edge_goes_back_in_time_or_stands_where_it_is_forbidden(comparison):
    forbidden = ["age", "transplant"]
    settings = stage.DEFAULTS | {"forbidden": [forbidden]}
    variables = stage.find_variables(comparison.train, settings)
    side = stage.learn(variables, comparison.train, settings, np.random.default_rng(0))
    tier = {group: i for i, groups in enumerate(settings["tiers"]) for group in groups}
    place = [tier[variable.group] for variable in variables.variables]
    source = [variable.source for variable in variables.variables]
    assert {0, 1, 2, 3} == set(place)
    for network in side.networks:
        assert network.edges.any()
        for i, j in np.argwhere(network.edges):
            assert place[i] <= place[j]
            assert [source[i], source[j]] != forbidden
    # Age and transplant depend on each other in this cohort, and only the edge now forbidden goes forward in time.
    assert side.strength[source.index("age"), source.index("transplant")] == 0
    variables = stage.find_variables(comparison.train, stage.DEFAULTS)
    free = stage.learn(variables, comparison.train, stage.DEFAULTS, np.random.default_rng(0))
    assert free.strength[source.index("age"), source.index("transplant")] > 0.5


def test_a_name_in_a_tier_goes_before_its_group(comparison):
    tiers = [["albumin"], [stage.ALTERATIONS, "laboratory"]]
    variables = stage.find_variables(comparison.train, stage.DEFAULTS | {"tiers": tiers})
    at = {variable.source: i for i, variable in enumerate(variables.variables)}
    assert variables.allowed[at["albumin"], at["calcium"]]
    assert not variables.allowed[at["calcium"], at["albumin"]]
    # Age stands in no tier and is free.
    assert variables.allowed[at["age"], at["albumin"]]
    assert variables.allowed[at["albumin"], at["age"]]


@pytest.mark.parametrize("settings", [{"tiers": [["demografic"]]}, {"forbidden": [["age", "agee"]]}])
def test_a_misspelt_name_is_an_error_of_the_user(comparison, settings):
    with pytest.raises(InputError, match=r"demografic|agee"):
        stage.find_variables(comparison.train, stage.DEFAULTS | settings)


def test_levels_have_enough_training_patients_and_follow_the_values(comparison):
    variables = stage.find_variables(comparison.train, stage.DEFAULTS)
    codes = variables.codes(comparison.train)
    for variable, row, levels in zip(variables.variables, codes, variables.levels, strict=True):
        assert np.bincount(row[row >= 0], minlength=levels).min() >= stage.DEFAULTS["carriers"], variable.name
    for i, variable in enumerate(variables.variables):
        if variable.cuts and variable.source in comparison.train.clinical:
            values = comparison.train.clinical[variable.source].to_numpy(float)
            assert ((codes[i] < 0) == np.isnan(values)).all()
            order = np.argsort(values[codes[i] >= 0])
            assert (np.diff(codes[i][codes[i] >= 0][order]) >= 0).all()
            assert np.bincount(codes[i][codes[i] >= 0]).max() < 0.5 * (codes[i] >= 0).sum()


def table(n=120, **columns):
    """A cohort of clinical columns: name=(Column, values)."""
    schema = Schema("small", {name: column for name, (column, _) in columns.items()})
    clinical = pd.DataFrame({name: values for name, (_, values) in columns.items()})
    return Cohort(schema, clinical.rename_axis("patient_id"))


def test_ties_stay_together_and_rare_levels_are_merged():
    numbers = np.array([0.0] * 50 + [1.0] * 40 + [2.0] * 30)
    stages = ["I"] * 60 + ["II"] * 50 + ["III"] * 4 + ["IV"] * 6
    names = ["a"] * 60 + ["b"] * 5 + ["c"] * 48 + ["d"] * 7
    cohort = table(
        blasts=(Column("continuous"), numbers),
        stage=(Column("ordinal"), pd.Categorical(stages, ordered=True)),
        kind=(Column("categorical"), pd.Categorical(names)),
        same=(Column("continuous"), np.ones(120)),
        empty=(Column("continuous"), np.full(120, np.nan)),
    )
    variables = stage.find_variables(cohort, stage.DEFAULTS | {"carriers": 10}).variables
    assert [variable.source for variable in variables] == ["blasts", "stage", "kind"]
    assert variables[0].cuts == (0.5, 1.5)
    assert variables[1].members == (("I",), ("II",), ("III", "IV"))
    assert variables[2].members == (("a",), ("b", "d"), ("c",))
    unseen = table(kind=(Column("categorical"), pd.Categorical(["a", "z", None])))
    assert variables[2].codes(unseen).tolist() == [0, -1, -1]


def test_the_outcome_is_unknown_in_those_censored_before_the_horizon(comparison):
    cohort = comparison.real
    variable = stage.find_variables(comparison.train, stage.DEFAULTS | {"horizon": 24}).variables[-1]
    assert variable.name == "OS event by 24 months"
    time, event = (cohort.clinical[f"OS_{part}"].to_numpy(float) for part in ("time", "event"))
    codes = variable.codes(cohort)
    assert (codes[time > 24] == 0).all()
    assert (codes[(time <= 24) & (event == 1)] == 1).all()
    assert (codes[(time <= 24) & (event == 0)] == -1).all()


def test_a_cohort_without_alterations_or_endpoint_is_measured_on_what_it_has(comparison):
    def bare(cohort):
        clinical = cohort.record()
        kept = {name: column for name, column in clinical.schema.columns.items() if name not in cohort.schema.survival}
        schema = replace(clinical.schema, columns=kept, endpoints=())
        return Cohort(schema, clinical.clinical[list(kept)])

    cohorts = {name: bare(getattr(comparison, name)) for name in ("real", "candidate", "train", "control")}
    found = measured(replace(comparison, **cohorts))
    assert {value.modality for value in found.values()} == {"clinical"}
    unasked = {"query_error": "no evidence", "effect_agreement": "no primary endpoint"}
    for metric in SCORED:
        value = found[metric, "all"]
        assert unasked[metric] in value.reason if metric in unasked else np.isfinite(value.value), metric


def test_too_few_patients_or_variables_are_said(comparison):
    found = measured(replace(comparison, real=comparison.real.take(range(20))))
    assert all(np.isnan(value.value) and "50 patients" in value.reason for value in found.values())
    found = measured(comparison, carriers=1000)
    assert {metric for metric, _ in found} == set(KINDS)
    assert all(np.isnan(value.value) and "3 variables" in value.reason for value in found.values())


def test_real_patients_without_any_edge_give_a_reason(comparison, shuffled):
    found = measured(replace(comparison, real=shuffled.candidate), strong=0.999)
    assert "no edge" in found["averaged_network_f1", "all"].reason


def test_a_column_missing_on_one_side_costs_its_edges_alone(comparison, real):
    clinical = comparison.candidate.clinical.copy()
    clinical["beta2_microglobulin"] = np.nan
    found = measured(replace(comparison, candidate=replace(comparison.candidate, clinical=clinical)))
    assert found["edge_strength_agreement", "all"].value < real["edge_strength_agreement", "all"].value
    assert found["edge_strength_difference", "creatinine~beta2_microglobulin"].value < -0.5


def test_a_network_of_a_cohort_answers_queries(comparison):
    from pgmpy.inference import VariableElimination

    variables = stage.find_variables(comparison.train, stage.DEFAULTS)
    side = stage.learn(variables, comparison.train, stage.DEFAULTS | {"resamples": 1}, np.random.default_rng(0))
    query = VariableElimination(as_pgmpy(side.networks[0])).query
    carriers = comparison.train.alterations["del(17p)"]
    alone = query(["del(17p)"], show_progress=False).get_value(**{"del(17p)": "present"})
    assert alone == pytest.approx(carriers.mean(), abs=0.03)
    mutated = comparison.train.alterations["TP53"] == 1
    given = query(["del(17p)"], {"TP53": "present"}, show_progress=False).get_value(**{"del(17p)": "present"})
    assert given == pytest.approx(carriers[mutated].mean(), abs=0.1)
    assert given > 2 * alone


def written(comparison, folder, **settings):
    """The three files that the stage writes beside its metrics."""
    chosen = stage.DEFAULTS | settings
    folder.mkdir()
    files = [folder / name for name in ("real.bif", "candidate.bif", "answers.tsv")]
    stage.write_beside(prepare_comparison(stage, comparison, chosen, streams), chosen, files)
    return files


def test_written_answers_are_those_of_the_metrics_and_the_networks_are_read_back(comparison, tmp_path):
    from pgmpy.inference import VariableElimination
    from pgmpy.readwrite import BIFReader

    ready = prepare_comparison(stage, comparison, stage.DEFAULTS, streams)
    asked, queries, effects = ready.prepared.asked, ready.prepared.queries, ready.prepared.effects
    files = written(comparison, tmp_path / "a")
    table = pd.read_csv(files[2], sep="\t", keep_default_na=False)
    assert table["kind"].value_counts().to_dict() == {"query": len(queries), "effect": len(effects)}
    for column, (part, side) in zip(("real", "candidate"), stage._at_equal_numbers(ready, stage.DEFAULTS), strict=True):
        answers = conditional_probabilities(joint_probability(side.averaged, asked), asked, queries)
        changes = stage._effects(ready.prepared.variables, part, side.averaged, effects)
        assert table[column].to_numpy() == pytest.approx([*answers, *changes], abs=1e-8)
    for column, file in zip(("real", "candidate"), files[:2], strict=True):
        query = VariableElimination(BIFReader(file).get_model()).query
        for row in table[(table["kind"] == "query") & table["given"].str.contains(" = present")].itertuples():
            (target, state), (given, known) = (text.split(" = ") for text in (row.asked, row.given))
            (target,), (given,) = make_legal_names([target]), make_legal_names([given])
            found = query([target], {given: known}, show_progress=False).get_value(**{target: state})
            assert found == pytest.approx(getattr(row, column), abs=1e-6)
    again = written(comparison, tmp_path / "b")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]


SCRIPT = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from fixtures_small import small_cohort
from haemosynth.core.streams import stream
from haemosynth.validate.resampling import prepare_comparison
from haemosynth.validate.stage import Comparison
from haemosynth.validate.stages import bayesian_network as stage
real, candidate = (small_cohort(300, seed) for seed in (1, 2))
both = Comparison(real=real, candidate=candidate, train=candidate, control=real)
settings = stage.DEFAULTS | {"resamples": 10, "completions": 2}
ready = prepare_comparison(stage, both, settings, lambda *names: stream(1, *names))
stage.write_beside(ready, settings, [Path(sys.argv[1]) / name for name in ("real.bif", "candidate.bif", "answers.tsv")])
"""


def test_what_is_written_is_the_same_in_another_process(tmp_path):
    """Sets of names have another order in each process."""
    real, candidate = (small_cohort(300, seed) for seed in (1, 2))
    both = Comparison(real=real, candidate=candidate, train=candidate, control=real)
    here = written(both, tmp_path / "here", resamples=10, completions=2)
    (tmp_path / "there").mkdir()
    paths = [str(Path(stage.__file__).parents[3]), str(Path(fixtures_small.__file__).parent)]
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "there"), *paths], check=True)
    assert [file.read_bytes() for file in here] == [(tmp_path / "there" / file.name).read_bytes() for file in here]


def test_too_few_patients_write_why(comparison, tmp_path):
    files = written(replace(comparison, real=comparison.real.take(range(20))), tmp_path / "few")
    assert "50 patients" in files[0].read_text()
    assert files[2].read_text().split() == ["kind", "asked", "given", "adjusted", "real", "candidate"]


def planted(patients, seed, protects=True):
    """Age decides who is transplanted and who dies; transplanted patients die less, whatever their age."""
    rng = np.random.default_rng(seed)
    old = rng.random(patients) < 0.5
    given = rng.random(patients) < np.where(old, 0.2, 0.8)
    if not protects:
        given = rng.permutation(given)
    dead = rng.random(patients) < np.where(old, 0.9, 0.4) - 0.3 * (given if protects else 0)
    binary = Column("categorical", group="treatment")
    cohort = table(
        patients,
        age=(Column("continuous", group="demographic"), np.where(old, 70.0, 50.0) + rng.normal(size=patients)),
        transplant=(binary, pd.Categorical(np.where(given, "yes", "no"))),
        height=(Column("continuous", group="demographic"), rng.normal(size=patients)),
        OS_time=(Column("time", group="outcome"), np.where(dead, 10.0, 30.0)),
        OS_event=(Column("event", group="outcome"), dead.astype(float)),
    )
    return replace(cohort, schema=replace(cohort.schema, endpoints=("OS",)))


def test_an_adjusted_effect_is_found_where_the_tiers_identify_it(tmp_path):
    train, real, same, without = (planted(3000, seed, seed < 3) for seed in range(4))
    settings = {"horizon": 24.0, "levels": 2, "resamples": 20}
    both = Comparison(real=real, candidate=same, train=train, control=real)
    effects = prepare_comparison(stage, both, stage.DEFAULTS | settings, streams).prepared.effects
    assert len(effects) == 1
    answers = pd.read_csv(written(both, tmp_path / "files", **settings)[2], sep="\t").query("kind == 'effect'")
    assert answers["adjusted"].tolist() == ["age"]
    # The more frequent level is the reference; a standard error is 0.02. Unadjusted it would be -0.6.
    sign = 1 if "do(transplant = yes) instead" in answers["given"].iloc[0] else -1
    assert sign * answers["real"].iloc[0] == pytest.approx(-0.3, abs=0.06)
    assert sign * answers["candidate"].iloc[0] == pytest.approx(-0.3, abs=0.06)
    assert measured(both, **settings)["effect_agreement", "all"].value > 0.95
    lost = measured(replace(both, candidate=without), **settings)
    assert abs(lost["effect_agreement", "all"].value) < 0.3


def test_without_an_order_in_time_no_effect_is_identified():
    part = [planted(2000, seed) for seed in range(2)]
    both = Comparison(real=part[0], candidate=part[1], train=part[1], control=part[0])
    found = measured(both, horizon=24.0, levels=2, resamples=20, tiers=[])
    assert "parents are known" in found["effect_agreement", "all"].reason


def test_figure(comparison, tmp_path):
    few = prepare_comparison(stage, comparison, stage.DEFAULTS, streams)
    values, _ = evaluate(stage, few, stage.DEFAULTS | {"repeats": 1, "replicates": 2}, streams)
    assert (values["status"] == "ok").all()
    drawn = stage.figure(few, values, stage.DEFAULTS, "candidate")
    assert overlapping(drawn) == []
    names = [text.get_text() for text in drawn.axes[0].texts]
    assert len(names) == len(set(names)) > 10
    assert names == [text.get_text() for text in drawn.axes[1].texts]
    assert drawn_alike(lambda: stage.figure(few, values, stage.DEFAULTS, "candidate"), tmp_path)


def test_figure_where_there_is_nothing_to_draw(comparison, shuffled):
    empty = replace(shuffled, real=shuffled.candidate)
    settings = stage.DEFAULTS | {"repeats": 1, "replicates": 0, "strong": 0.999}
    few = prepare_comparison(stage, empty, settings, streams)
    values, _ = evaluate(stage, few, settings, streams)
    assert "no edge on either side" in [
        text.get_text() for text in stage.figure(few, values, settings, "x").axes[0].texts
    ]
    settings = settings | {"carriers": 1000}
    few = prepare_comparison(stage, empty, settings, streams)
    values, _ = evaluate(stage, few, settings, streams)
    assert "fewer than 3 variables" in stage.figure(few, values, settings, "x").axes[0].texts[0].get_text()
